"""The authors' checkpoints: their networks computed here from raw dicts, by key name, against ours after loading."""

import re
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from authors_networks import (
    Raw,
    Shapes,
    blender_shapes,
    discriminator_shapes,
    generator_shapes,
    parser_shapes,
    their_discriminator,
    their_encoder_decoder,
    their_generator,
    their_parser,
    their_vae,
    vae_shapes,
)
from torch import Tensor
from torch.utils._pytree import tree_leaves

from maskgan_lib.checkpoints import CheckpointError, authors_state, export_authors, load_authors
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.networks import AlphaBlender, DenseMappingNetwork, MaskVAE, MultiScaleDiscriminator

CLOSE = {"atol": 1e-5, "rtol": 0}
PUBLISHED = {
    "model.1.weight": (64, 19, 7, 7), "model.13.weight": (1024, 512, 3, 3), "model.20.weight": (1024, 512, 3, 3),
    "model.19.conv_block.1.conv.weight": (1024, 1024, 3, 3), "model.33.weight": (3, 64, 7, 7),
    "enc_style.model_last.1.weight": (16384, 64, 1, 1), "enc_label.model_last.3.conv.weight": (64, 64, 4, 4),
    "enc_style.sft2.SFT_shift_conv2.weight": (64, 64, 1, 1),
}  # fmt: skip
"""Some shapes of the generator in the published checkpoint."""

NETWORKS = {
    "generator": (DenseMappingNetwork, generator_shapes, 94, 89_702_595),
    "blender": (AlphaBlender, blender_shapes, 28, 4_329_443),
    "discriminator": (MultiScaleDiscriminator, discriminator_shapes, 20, 2 * 2_784_193),
    "vae": (MaskVAE, vae_shapes, 99, 170_619_571),
    "parser": (FaceParser, parser_shapes, 136, 1_944_355),
}


@pytest.mark.parametrize(("network", "shapes", "entries", "parameters"), NETWORKS.values(), ids=NETWORKS)
def test_at_the_papers_size_the_names_and_shapes_are_the_authors(network, shapes, entries, parameters):
    theirs = shapes()
    buffers = re.compile(r"running_(mean|var)$|num_batches_tracked$")
    assert len(theirs) == entries
    sizes = [torch.Size(shape).numel() for key, shape in theirs.items() if not buffers.search(key)]
    assert sum(sizes) == parameters
    with torch.device("meta"):
        state = authors_state(network())
    assert {key: tuple(value.shape) for key, value in state.items()} == theirs
    assert PUBLISHED.items() <= theirs.items() or network is not DenseMappingNetwork


# Random checkpoints of their classes, in the old file format


def random_state(shapes: Shapes, seed: int = 0) -> OrderedDict[str, Tensor]:
    """Values that keep activations near 1, so that every layer counts in the result."""
    generator = torch.Generator().manual_seed(seed)
    state = OrderedDict()
    for key, shape in shapes.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(1234)
        elif key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            state[key] = 0.5 + torch.rand(shape, generator=generator)
        elif key.endswith("weight"):
            state[key] = torch.randn(shape, generator=generator) * 1.5 / torch.Size(shape[1:]).numel() ** 0.5
        else:
            state[key] = torch.randn(shape, generator=generator) * 0.3
    return state


def in_old_format(tmp_path, state):
    path = tmp_path / "latest_net.pth"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


def random_mask(size: int, seed: int) -> Tensor:
    ids = torch.randint(0, 19, (2, size // 4, size // 4), generator=torch.Generator().manual_seed(seed))
    ids = ids.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return F.one_hot(ids, 19).permute(0, 3, 1, 2).double()


def random_image(size: int, seed: int) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


def their_blend(state: OrderedDict, mask: Tensor, image: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    alpha = their_encoder_decoder(Raw(state), torch.cat((image, other), 1), 2, 2, None).sigmoid()
    return alpha * image + (1 - alpha) * other, alpha


def generator(ngf: int, downs: int, blocks: int, labels: bool) -> tuple:
    return (
        *(generator_shapes(ngf, downs, blocks, style=4, labels=labels), 64),
        lambda state, m, i, o: their_generator(state, m, m.flip(-1), i, downs, blocks, labels),
        lambda net, m, i, o: net(m, i, m.flip(-1)),
    )


def vae(size: int, stages: int) -> tuple:
    return (
        *(vae_shapes(2, latent=12, stages=stages), size),
        lambda state, m, i, o: their_vae(state, m, i[:, 0, :2, :6].flatten(1), stages),
        lambda net, m, i, o: net(m, i[:, 0, :2, :6].flatten(1)),
    )


# By name: the shapes, the size, what they compute of a mask, an image and another one, and what ours does.
CASES = {
    "generator": generator(4, 2, 2, True),
    "generator of 4": generator(2, 4, 4, True),
    "generator without labels": generator(4, 3, 1, False),
    "blender": (blender_shapes(4, downs=2, blocks=2), 32, their_blend, lambda net, m, i, o: net(i, o)),
    "discriminator": (
        *(discriminator_shapes(4), 64),
        lambda state, m, i, o: their_discriminator(state, m, i),
        lambda net, m, i, o: net(m, i),
    ),
    "vae 128": vae(128, 5),
    "vae 32": vae(32, 3),
    "parser": (parser_shapes(2), 64, lambda state, m, i, o: their_parser(state, i), lambda net, m, i, o: net(i)),
}


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_a_network_of_the_authors_computes_the_same(tmp_path, name):
    shapes, size, theirs, ours = CASES[name]
    state = random_state(shapes)
    network = load_authors(in_old_format(tmp_path, state))
    assert isinstance(network, NETWORKS[name.partition(" ")[0]][0]) and not network.training
    assert network.config.get("image_size", size) == size
    inputs = random_mask(size, 1), random_image(size, 2), random_image(size, 3)
    truth = theirs(state, *inputs)
    assert min(tensor.std() for tensor in tree_leaves(truth)) > 0.05
    torch.testing.assert_close(ours(network.double(), *inputs), truth, **CLOSE)


# The way back, and what does not fit

SMALL = {
    "generator": generator_shapes(2, 2, 1, 2),
    "blender": blender_shapes(2, 2, 1),
    "discriminator": discriminator_shapes(2),
    "vae": vae_shapes(2, latent=4, stages=3),
    "parser": parser_shapes(2),
}


@pytest.mark.parametrize("name", SMALL)
def test_what_is_loaded_is_written_back_bit_for_bit(tmp_path, name):
    """Also what an older version of PyTorch wrote, in parallel: with a prefix, and without counters."""
    state = random_state(SMALL[name])
    older = {f"module.{k}": v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    for given in (state, older):
        path = tmp_path / "exported.pth"
        export_authors(load_authors(in_old_format(tmp_path, given)), path)
        assert path.read_bytes()[:2] != b"PK", "the old format is no zip file"
        again = torch.load(path, weights_only=True)
        assert set(again) == set(state)
        for key, value in state.items():
            dummy = ".norm.running_" in key and name == "generator"
            expected = torch.full_like(value, float(key.endswith("var"))) if dummy else value
            counter = given is older and key.endswith("num_batches_tracked")
            assert torch.equal(again[key], torch.tensor(0) if counter else expected), key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("generator", "enc_style.sft2.SFT_scale_conv2.bias"),
        ("generator", "model.10.conv_block.1.conv.weight"),
        ("blender", "model.4.weight"),
        ("discriminator", "scale1_layer3.0.bias"),
        ("vae", "bn4.running_var"),
        ("parser", "up_concat2.conv.conv1.1.bias"),
    ],
)
def test_missing_unexpected_and_wrong_shaped_keys_are_listed(tmp_path, name, key):
    state = random_state(SMALL[name])
    del state[key]
    state["model.999.weight"] = torch.zeros(1)
    other = next(k for k, v in state.items() if v.dim() == 1 and k.endswith("bias"))
    state[other] = torch.zeros(99)
    with pytest.raises(CheckpointError) as caught:
        load_authors(in_old_format(tmp_path, state))
    message = str(caught.value)
    assert re.search(rf"missing: {re.escape(key)}\b", message)
    assert "unexpected: model.999.weight" in message
    assert f"{other} [99] instead of {list(SMALL[name][other])}" in message


@pytest.mark.parametrize("content", [{"a": torch.zeros(1)}, {}, [1, 2], {"state_dict": {"model.1.weight": 3}}])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    with pytest.raises(CheckpointError, match=r"latest_net\.pth .*\.pth files"):
        load_authors(in_old_format(tmp_path, content))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.99])
def test_half_a_network_and_a_truncated_download_are_told(tmp_path, share):
    state = random_state(SMALL["generator"])
    kept = {key: value for key, value in state.items() if not key.startswith("model.")}
    with pytest.raises(CheckpointError, match="not a whole DenseMappingNetwork"):
        load_authors(in_old_format(tmp_path, kept))
    path = in_old_format(tmp_path, state)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"latest_net\.pth cannot be read.*download it again"):
        load_authors(path)
