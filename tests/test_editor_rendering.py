"""The editor's renderer: the network's own pictures, faster, and nobody else's business."""

import numpy as np
import pytest
import torch

from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.data.batches import to_float_image, to_uint8_image
from maskgan_lib.editor import rendering
from maskgan_lib.editor.rendering import PLAIN, WAYS, Renderer, choose
from maskgan_lib.networks import DenseMappingNetwork, one_hot

SIZE = 32


def make_network(style: str = "global") -> DenseMappingNetwork:
    """Weights large enough for pictures that are not grey, and for styles that differ."""
    torch.manual_seed(0)
    network = DenseMappingNetwork(width=4, blocks=2, style_width=4, style=style)
    with torch.no_grad():
        network.style_to_adain.weight.mul_(30)
        network.backbone.last.weight.mul_(20)
    return network.eval()


@pytest.fixture(scope="module")
def network():
    return make_network()


@pytest.fixture(scope="module")
def renderer(network):
    return Renderer(network, SIZE, way=PLAIN)


def face(seed):
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 19, (8, 8), np.uint8).repeat(4, 0).repeat(4, 1)
    return rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8), mask


@pytest.mark.parametrize("style", ["global", "regional"])
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_pictures_are_the_network_s(way, style):
    (image, own), (_, mask), network = face(1), face(2), make_network(style)
    renderer = Renderer(network, SIZE, way=way)
    assert renderer.regional == (style == "regional")
    made = renderer.render(mask, renderer.style(image, own)).astype(int)
    with torch.no_grad():
        masks = [one_hot(torch.from_numpy(m)[None]) for m in (mask, own)]
        expected = to_uint8_image(network(masks[0], to_float_image(image[None]), masks[1]))[0].astype(int)
    assert expected.std() > 20  # there is something to see
    difference = abs(made - expected)
    assert difference.max() <= 1 if way.dtype == torch.float32 else difference.mean() < 0.1 * expected.std()


def test_a_mix_is_a_straight_line_of_codes(network, renderer):
    (first, own), (second, other), (_, mask) = face(1), face(2), face(3)
    styles = renderer.style(first, own), renderer.style(second, other)
    assert not np.array_equal(*(renderer.render(mask, style) for style in styles))
    for share in (0.0, 0.3, 1.0):
        code = (1 - share) * styles[0].code + share * styles[1].code
        with torch.no_grad():
            expected = to_uint8_image(network.render(one_hot(torch.from_numpy(mask)[None]), code))[0]
        made = renderer.render(mask, styles[0].mix(styles[1], share))
        assert abs(made.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_only_the_codes_of_the_chosen_classes_are_another_style_s(share):
    network, classes = make_network("regional"), [2, 13]
    renderer = Renderer(network, SIZE, way=PLAIN)
    first, second = renderer.style(*face(1)), renderer.style(*face(2))
    before, mixed = first.code.clone(), first.mix(second, share)
    made = first.put(mixed, classes)
    rest = [i for i in range(NUM_CLASSES) if i not in classes]
    assert torch.equal(made.code[:, classes], mixed.code[:, classes]) and torch.equal(
        made.code[:, rest], before[:, rest]
    )
    assert torch.equal(first.code, before), "which stays as it was"
    with torch.no_grad():
        assert torch.allclose(network.condition(made.code), made.condition, atol=1e-4), "the two still agree"
        expected = to_uint8_image(network.render(one_hot(torch.from_numpy(face(3)[1])[None]), made.code))[0]
    assert abs(renderer.render(face(3)[1], made).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["global", "regional"])
def test_styles_that_do_not_belong_together_are_refused(renderer, kind):
    """Their tensors would broadcast, or are of one shape even."""
    stranger = Renderer(make_network(kind), SIZE, way=PLAIN)
    style, strange = (one.style(*face(1)) for one in (renderer, stranger))
    for bring_together in (
        lambda: style.mix(strange, 0.5),
        lambda: strange.put(style, [1]),
        lambda: renderer.render(face(3)[1], strange),
    ):
        with pytest.raises(ValueError, match="belongs to another network"):
            bring_together()


def test_a_style_is_encoded_once(network, monkeypatch):
    renderer = Renderer(network, SIZE, way=PLAIN)
    asked = []
    encode = renderer._network.encode_style
    monkeypatch.setattr(renderer._network, "encode_style", lambda *inputs: asked.append(1) or encode(*inputs))
    (image, mask), (_, other) = face(1), face(2)
    style = renderer.style(image, mask)
    assert renderer.style(image.copy(), mask.copy()) is style and len(asked) == 1
    assert not torch.equal(renderer.style(image, other).code, style.code)  # other contents, another style
    image[0, 0] ^= 255
    renderer.style(image, mask)
    assert len(asked) == 3
    renderer.render(mask, style)
    assert len(asked) == 3


def test_training_the_network_does_not_touch_the_renderer():
    network = make_network()
    renderer = Renderer(network, SIZE, way=PLAIN)
    image, mask = face(1)
    before = renderer.render(mask, renderer.style(image, mask))
    network.train()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    image = image.copy()
    assert np.array_equal(renderer.render(mask, renderer.style(image, mask)), before)
    assert network.training and all(parameter.requires_grad for parameter in network.parameters())


def test_neither_the_caller_s_settings_nor_its_own_leak(network, renderer):
    image, mask = face(1)
    style = renderer.style(image, mask)
    expected = renderer.render(mask, style)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    with torch.enable_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        inside = renderer.render(mask, style)
        renderer._styles.clear()
        assert torch.equal(renderer.style(image, mask).code, style.code)
        assert torch.is_grad_enabled() and torch.is_autocast_enabled("cpu") and not torch.is_inference_mode_enabled()
    assert np.array_equal(inside, expected)
    Renderer(network, SIZE)
    assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)


def test_masks_and_pictures_that_do_not_fit_are_refused(renderer):
    image, mask = face(1)
    style = renderer.style(image, mask)
    for wrong in (
        *(lambda: renderer.render(mask[:16], style), lambda: renderer.render(mask.astype(np.int64), style)),
        *(lambda: renderer.style(image[:16], mask), lambda: renderer.render(np.full_like(mask, 19), style)),
        *(lambda: style.put(style, [1]), lambda: Renderer(make_network(), 40)),
    ):
        with pytest.raises(ValueError):
            wrong()


def test_a_faster_way_has_to_be_worth_it():
    _, last, half = WAYS
    assert choose({PLAIN: 1.0, last: 0.95, half: 0.9}) == PLAIN
    assert choose({PLAIN: 1.0, last: 0.7, half: 0.5}) == half
    assert choose({PLAIN: 1.0, last: 0.7, half: 4.0}) == last


@pytest.mark.parametrize("fastest", WAYS[1:])
def test_the_way_is_the_one_that_was_measured_fastest(network, monkeypatch, fastest):
    """By a clock that only the ways move: a busy machine does not take part."""
    now = 0.0
    run = Renderer._run

    def timed(self, backbone, way, mask, style):
        nonlocal now
        now += 0.01 if way == fastest else 0.03
        return run(self, backbone, way, mask, style)

    monkeypatch.setattr(Renderer, "_run", timed)
    monkeypatch.setattr(rendering.time, "perf_counter", lambda: now)
    assert Renderer(network, SIZE).way == fastest
