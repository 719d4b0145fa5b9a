"""SeCGAN: the 12 classes, its networks against a second writing, every term and where its gradient goes, and a step."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from toy_faces import images, pack_noise_faces
from toy_networks import batches_of, descending, instance_norm, livelier, numbers

from maskgan_lib.checkpoints import save_weights
from maskgan_lib.classes import CLASS_NAMES, COLORS, IGNORE_ID, MERGED_CLASSES, MERGED_ID, colorize_merged
from maskgan_lib.data.batches import Batch, flip, merge
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.methods.attgan import AttGANDiscriminator
from maskgan_lib.methods.secgan import SeCGANGenerator, consistency, soft_cross_entropy
from maskgan_lib.methods.stargan import StarGANGenerator
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.stages import make_stage, train_stage

pytestmark = pytest.mark.usefixtures("one_thread", "in_double")

PAPER = PRESETS["paper"].secgan
WEIGHTS = (
    *("lr", "attgan_lr", "penalty_weight", "disc_class_weight", "class_weight", "attgan_class_weight"),
    *("reconstruction_weight", "attgan_reconstruction_weight"),
)
TINY = PRESETS["smoke"].replace(
    {"image_size": 32, "secgan.blocks": 1, "secgan.critic_updates": 2, "secgan.batch": 8}
    | {f"secgan.{name}": getattr(PAPER, name) for name in WEIGHTS}
    | {"secgan.attgan_disc_class_weight": 5.0, "secgan.consistency_weight": 3.0}
    | {"secgan.attributes": ("Male", "Smiling")}
)
"""The published weights of losses whatever the presets are tuned to, but for two that no other weight equals."""
KNOWN = [(int(i % 3 == 0), i % 2) for i in range(12)]


@pytest.fixture
def faces(tmp_path):
    """Twelve pictures of noise with two attributes; ``KNOWN`` says which."""
    signs = [(2 * male - 1, 2 * smiling - 1) for male, smiling in KNOWN]
    return pack_noise_faces(tmp_path / "noise", signs, ("train", "train", "test"), ("Male", "Smiling"))


def make_parser(gain: float = 20.0) -> FaceParser:
    """A parser with random weights, its batch statistics not the first ones; its answers differ from pixel to pixel."""
    torch.manual_seed(4)
    parser = FaceParser(12, width=4)
    with torch.no_grad():
        parser.train()(images(8, 32, 9))
    parser.final.weight.data.mul_(gain)
    return parser.eval()


def soft_masks(count: int, size: int = 32, seed: int = 0, classes: int = 12) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(count, classes, size, size, generator=generator)).softmax(dim=1)


# ---- the 12 classes


def test_the_19_classes_are_shared_out_among_the_12():
    order = "skin eyebrows eyes eyeglasses ears earrings nose mouth lips neck hair others".split()
    members_of = {"eyebrows": "l_brow r_brow", "eyes": "l_eye r_eye", "ears": "l_ear r_ear", "lips": "u_lip l_lip"}
    members_of |= {"eyeglasses": "eye_g", "earrings": "ear_r", "others": "background hat neck_l cloth"}
    assert list(MERGED_CLASSES) == order and sum(map(len, MERGED_CLASSES.values())) == 19
    for number, name in enumerate(order):
        members = {CLASS_NAMES.index(member) for member in members_of.get(name, name).split()}
        assert {*MERGED_CLASSES[name]} == members == {*(MERGED_ID[:19] == number).nonzero()[0]}


def test_merging_forgets_sides_and_keeps_what_nobody_knows():
    mask = torch.randint(0, 19, (2, 5, 7), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    mask[0, 0, :3] = IGNORE_ID
    merged = merge(mask)
    assert merged[0, 0, :3].eq(IGNORE_ID).all()
    assert (merged.dtype, merge(mask.long()).dtype) == (torch.uint8, torch.int64)
    assert torch.equal(merge(flip(torch.zeros(2, 3, 5, 7), mask)[1]), merged.flip(-1))
    colours = colorize_merged(merged.numpy())
    assert (colours[merged.numpy() == 2] == COLORS[4]).all() and (colours[merged.numpy() == 11] == COLORS[0]).all()
    assert (colours[0, 0, :3] == 128).all() and colours.shape == (2, 5, 7, 3)


# ---- the networks


def test_on_stargans_backbone_it_is_stargans_generator_told_differences():
    attributes = ("Male", "Smiling")
    ours = livelier(SeCGANGenerator(attributes, width=3, blocks=2))
    theirs = StarGANGenerator(attributes, width=3, blocks=2)
    theirs.load_state_dict(ours.backbone.state_dict())
    image, change = images(2, 16), torch.tensor([[0.0, 1], [-1, 0]])
    assert torch.equal(ours(image, change), theirs(image, change))


def batch_norm(x: Tensor, layer: nn.BatchNorm2d) -> Tensor:
    mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, correction=0)
    return (x - mean) / (variance + 1e-5).sqrt() * layer.weight[:, None, None] + layer.bias[:, None, None]


@pytest.mark.parametrize("branch", ["rgb", "seg"])
def test_attgans_generator_is_its_layer_list(branch):
    network = livelier(SeCGANGenerator(("Male", "Smiling"), branch, "attgan", num_classes=5, width=2)).train()
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    x = images(3, 64) if branch == "rgb" else soft_masks(3, 64, classes=5)
    change = torch.tensor([[0.0, 1], [-1, 0], [1, 1]])
    truth, features = x, []
    for convolution, norm in zip(convolutions[:5], norms[:5], strict=True):
        truth = batch_norm(F.conv2d(truth, convolution.weight, stride=2, padding=1), norm)
        truth = torch.where(truth > 0, truth, 0.01 * truth)
        features.append(truth)
    assert [f.shape[1:] for f in features] == [(2, 32, 32), (4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 2, 2)]
    truth = torch.cat([truth, change[:, :, None, None] * torch.ones(2, 2)], dim=1)
    for number, (convolution, norm) in enumerate(zip(convolutions[5:9], norms[5:], strict=True)):
        truth = batch_norm(F.conv_transpose2d(truth, convolution.weight, stride=2, padding=1), norm).relu()
        if number == 0:
            truth = torch.cat([truth, features[3]], dim=1)
    assert [c.weight.shape[1] for c in convolutions[5:]] == [32, 16, 8, 4, 3 if branch == "rgb" else 5]
    last = convolutions[9]
    truth = F.conv_transpose2d(truth, last.weight, last.bias, stride=2, padding=1)
    if branch == "rgb":
        truth = truth.tanh()
    else:
        truth = truth.exp() / truth.exp().sum(dim=1, keepdim=True)
    torch.testing.assert_close(network(x, change), truth)


@pytest.mark.parametrize(("size", "layers"), [(32, 4), (64, 5), (128, 5)])
def test_attgans_discriminator_is_its_layer_list(size, layers):
    """As many layers as the picture has room for."""
    network = livelier(AttGANDiscriminator(("Male", "Smiling"), size, width=2, inputs=5))
    x = mask = soft_masks(3, size, classes=5)
    convolutions = [m for m in network.layers if isinstance(m, nn.Conv2d)]
    norms = [m for m in network.layers if isinstance(m, nn.InstanceNorm2d)]
    for convolution, norm in zip(convolutions, norms, strict=True):
        x = instance_norm(F.conv2d(x, convolution.weight, stride=2, padding=1), norm)
        x = torch.where(x > 0, x, 0.01 * x)
    assert len(norms) == layers
    for ours, head in zip(network(mask), (network.source, network.classes), strict=True):
        hidden = (x.flatten(1) @ head[0].weight.T + head[0].bias).relu()
        assert hidden.shape == (3, 32)
        torch.testing.assert_close(ours, hidden @ head[2].weight.T + head[2].bias)
    assert torch.equal(network.scores(mask), network(mask)[0])


# ---- the losses


def hardened(probabilities: Tensor) -> Tensor:
    """1 for the most likely class of a pixel, 0 for the others, by comparison."""
    return (probabilities == probabilities.amax(dim=1, keepdim=True)).to(probabilities.dtype)


def test_a_very_sure_softmax_still_learns():
    """The gradient by a logit is the probability minus the target, even at e^-80; beyond, it is finite."""
    logits = torch.tensor([80.0, 0.0, 200.0], dtype=torch.float32).reshape(1, 3, 1, 1)
    for gap, learns in ((logits[:, :2], True), (logits, False)):
        gap = gap.clone().requires_grad_()
        target = torch.zeros_like(gap)
        target[0, 1] = 1
        loss = soft_cross_entropy(gap.softmax(dim=1), target)
        loss.backward()
        assert loss.isfinite() and gap.grad.isfinite().all()
        if learns:
            torch.testing.assert_close(gap.grad.flatten(), torch.tensor([1.0, -1.0], dtype=torch.float32))
            assert loss.item() == pytest.approx(80)


# ---- the terms of the step


def stage_of(faces, variant="secgan", backbone="stargan"):
    """A stage with plain gradient descent, and its third batch."""
    preset = TINY.replace({"secgan.variant": variant, "secgan.backbone": backbone})
    stage = descending("secgan", preset, faces, 1e-4, parser=make_parser())
    # As the loop does. The first weights make flat pictures, from which little is learnt: these are larger.
    for name, network in stage.networks.items():
        network.train()
        for parameter in network.parameters():
            if parameter.dim() > 1 and name.startswith("g"):
                parameter.data *= 2
    return stage, batches_of("secgan", preset, faces)(2)


def wishes_of(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Labels of the faces, those to give them and the places of the penalty, from the batch's noise."""
    draws = (1 + torch.erf(batch.noise(2) / math.sqrt(2))) / 2
    known = torch.tensor(KNOWN).double()
    train = known[[index for index in range(12) if index % 3 < 2]]
    return known[batch.index], train[(draws[:, 0] * len(train)).long()], draws[:, 1]


def entropy_of_labels(logits: Tensor, labels: Tensor, mean: bool) -> Tensor:
    chance = logits.sigmoid()
    each = -(labels * chance.log() + (1 - labels) * (1 - chance).log())
    return each.mean() if mean else each.sum(dim=1).mean()


def both_passes(network: nn.Module, x: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
    """The wished and the unchanged one; batch normalisation sees both."""
    made = network(torch.cat([x, x]), torch.cat([difference, 0 * difference]))
    return made[: len(x)], made[len(x) :]


def generator_terms_by_hand(stage, batch, variant, backbone) -> dict[str, Tensor]:
    image, (source, target, _) = batch.image, wishes_of(batch)
    logits = stage.parser(image) if stage.parser else None
    mask = None if logits is None else (logits.exp() / logits.exp().sum(dim=1, keepdim=True)).detach()
    mean, nets = backbone == "attgan", stage.networks
    seen = torch.cat([image, mask], dim=1) if variant == "concat" else image
    made, same = both_passes(nets["g_rgb"], seen, target - source)
    scores, answers = nets["d_rgb"](made)
    terms = {
        "adversarial": -scores.mean(),
        "made classes": entropy_of_labels(answers, target, mean),
        "reconstruction": (image - same).abs().mean(),
    }
    if variant == "secgan":
        made_mask, same_mask = both_passes(nets["g_seg"], mask, target - source)
        scores, answers = nets["d_seg"](made_mask)
        parsed = stage.parser(made)
        parsed = parsed.exp() / parsed.exp().sum(dim=1, keepdim=True)
        pixels = image.shape[-1] ** 2 * len(image)
        terms |= {
            "seg adversarial": -scores.mean(),
            "seg made classes": entropy_of_labels(answers, target, mean),
            "seg reconstruction": -(mask * same_mask.log()).sum() / pixels,
            "consistency": -(hardened(made_mask.detach()) * parsed.log()).sum() / pixels,
            "seg consistency": -(hardened(parsed.detach()) * made_mask.log()).sum() / pixels,
        }
    return terms


def discriminator_terms_by_hand(stage, batch, variant, backbone) -> dict[str, Tensor]:
    source, target, places = wishes_of(batch)
    with torch.no_grad():
        mask = stage.parser(batch.image).softmax(dim=1) if stage.parser else None
        seen = torch.cat([batch.image, mask], dim=1) if variant == "concat" else batch.image
        pairs = {"": ("d_rgb", batch.image, stage.networks["g_rgb"](seen, target - source))}
        if variant == "secgan":
            pairs["seg "] = ("d_seg", mask, stage.networks["g_seg"](mask, target - source))
    terms = {}
    for branch, (name, real, made) in pairs.items():
        judge = stage.networks[name]
        terms[f"{branch}critic"] = judge(made)[0].mean() - judge(real)[0].mean()
        total = 0.0
        for place, one, other in zip(places, real, made, strict=True):
            between = (place * one + (1 - place) * other)[None].requires_grad_()
            slope = torch.autograd.grad(judge(between)[0].sum(), between, create_graph=True)[0]
            total += (slope.square().sum().sqrt() - 1) ** 2
        terms[f"{branch}penalty"] = total / len(real)
        terms[f"{branch}real classes"] = entropy_of_labels(judge(real)[1], source, backbone == "attgan")
    return terms


LEARN = {
    "adversarial": {"g_rgb", "d_rgb"},
    "made classes": {"g_rgb", "d_rgb"},
    "reconstruction": {"g_rgb"},
    "seg adversarial": {"g_seg", "d_seg"},
    "seg made classes": {"g_seg", "d_seg"},
    "seg reconstruction": {"g_seg"},
    "consistency": {"g_rgb"},
    "seg consistency": {"g_seg"},
}
"""The networks that a term's gradient reaches where nothing but the parser is frozen."""
LEARN |= {
    f"{b}{name}": {f"d_{b.strip() or 'rgb'}"} for b in ("", "seg ") for name in ("critic", "penalty", "real classes")
}


@pytest.mark.parametrize("backbone", ["stargan", "attgan"])
def test_the_gradient_of_a_term_goes_where_it_should_and_nowhere_else(backbone, faces):
    stage, batch = stage_of(faces, backbone=backbone)
    batch = stage.share(batch, 0)
    batch.image.requires_grad_()
    terms = stage.generator_terms(batch) | stage.discriminator_terms(batch)
    assert terms.keys() == LEARN.keys()
    networks = {**stage.networks, "parser": stage.parser}
    for name, term in terms.items():
        for network in networks.values():
            network.zero_grad(set_to_none=True)
        term.backward(retain_graph=True)
        learn = {key for key, network in networks.items() if any(p.grad is not None for p in network.parameters())}
        assert learn == LEARN[name], name
        if "consistency" in name:  # all of the generator learns, from the first layer to the last
            generator = stage.networks[next(iter(learn))].backbone
            assert all(p.grad.abs().max() > 0 for p in generator.parameters() if p.dim() > 1)


def test_the_gradient_of_consistency_is_that_through_the_parser(faces):
    """By a pixel that G_rgb made, against finite differences of the parser's cross-entropy."""
    parser = make_parser(gain=5.0).requires_grad_(False)
    made, target = images(1, 16).requires_grad_(), soft_masks(1, 16)
    consistency(parser(made), target)[0].backward()
    step = 1e-6
    with torch.no_grad():
        for place in (3, 300, 700):
            ends = []
            for sign in (1, -1):
                nudged = made.clone()
                nudged.view(-1)[place] += sign * step
                ends.append(-(hardened(target) * parser(nudged).log_softmax(dim=1)).sum().item() / 256)
            slope = (ends[0] - ends[1]) / (2 * step)
            assert made.grad.view(-1)[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-9)
            assert abs(slope) > 1e-6


@pytest.mark.parametrize("kind", ["secgan stargan", "secgan attgan", "baseline stargan", "concat attgan"])
def test_a_step_is_the_weighed_sum_of_the_terms(kind, faces):
    """Two updates of the discriminators, then one of the generators, by gradient descent written once more."""
    variant, backbone = kind.split()
    stage, batch = stage_of(faces, variant, backbone)
    twin, start = copy.deepcopy(stage), copy.deepcopy(stage.networks)
    losses = stage.step([batch], Accelerator())
    weights = {"critic": 1, "penalty": 10, "real classes": 1, "adversarial": 1, "consistency": 3}
    weights |= (
        {"real classes": 5, "made classes": 10, "reconstruction": 100}
        if backbone == "attgan"
        else {"made classes": 1, "reconstruction": 10}
    )

    def descend(names, terms) -> dict[str, float]:
        parameters = [p for name in names for p in twin.networks[name].parameters()]
        total = sum(weights[name.removeprefix("seg ")] * term for name, term in terms.items())
        gradients = torch.autograd.grad(total, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.data -= 1e-4 * gradient
            parameter.last = gradient
        return numbers(terms)

    first, second = (
        descend(twin.discriminators, discriminator_terms_by_hand(twin, twin.share(batch, number), variant, backbone))
        for number in range(2)
    )
    expected = {name: (first[name] + second[name]) / 2 for name in first}
    generators = generator_terms_by_hand(twin, twin.share(batch, 1), variant, backbone)
    expected |= descend(twin.generators, generators)
    assert numbers(losses) == pytest.approx(expected, rel=1e-6)
    for name, network in stage.networks.items():
        triples = zip(network.parameters(), twin.networks[name].parameters(), start[name].parameters(), strict=True)
        for ours, theirs, before in triples:
            torch.testing.assert_close(ours - before, theirs - before, rtol=1e-5, atol=1e-12)
            # None is added to the discriminators' by the generators' update.
            torch.testing.assert_close(ours.grad, theirs.last, rtol=1e-5, atol=1e-12)
            assert ours.requires_grad


@pytest.mark.parametrize("branch", ["rgb", "seg"])
def test_a_weights_file_starts_its_own_branch(branch, faces, tmp_path, monkeypatch, capsys):
    source = make_stage("secgan", TINY, faces, parser=make_parser()).networks[f"g_{branch}"]
    save_weights(tmp_path / "start.safetensors", source)
    save_weights(tmp_path / "parser", make_parser())
    started = {}
    monkeypatch.setattr("maskgan_lib.training.stages.train", lambda stage, *rest: started.update(stage.networks))
    sources = {"init": tmp_path / "start.safetensors", "parser": tmp_path / "parser"}
    train_stage("secgan", TINY, faces, tmp_path / "run", seed=7, **sources)
    for key, value in started[f"g_{branch}"].state_dict().items():
        assert torch.equal(value, source.state_dict()[key])
    assert "d_rgb" in capsys.readouterr().out
