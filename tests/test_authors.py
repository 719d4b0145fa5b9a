"""The authors' checkpoints: their networks computed here from raw dicts, by key name, against ours after loading."""

import os
import re
from collections import OrderedDict

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from maskgan_lib.checkpoints import CheckpointError, authors_state, export_authors, load_authors
from maskgan_lib.networks import AlphaBlender, DenseMappingNetwork, FaceParser, MaskVAE, MultiScaleDiscriminator

Shapes = dict[str, tuple[int, ...]]
CLOSE = {"atol": 1e-5, "rtol": 0}


# The names and shapes of the authors' state dicts


def conv(name: str, *shape: int, transposed: bool = False) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": (shape[1 if transposed else 0],)}


def batch_norm(name: str, channels: int) -> Shapes:
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": (channels,) for leaf in leaves} | {f"{name}.num_batches_tracked": ()}


def encoder_decoder_shapes(inputs: int, outputs: int, ngf: int, downs: int, blocks: int, adain: bool) -> Shapes:
    shapes = conv("model.1", ngf, inputs, 7, 7)
    index = 4
    for i in range(downs):
        shapes |= conv(f"model.{index}", ngf * 2 ** (i + 1), ngf * 2**i, 3, 3)
        index += 3
    wide = ngf * 2**downs
    for _ in range(blocks):
        for half in (0, 1):
            shapes |= conv(f"model.{index}.conv_block.{half}.conv", wide, wide, 3, 3)
            if adain:
                norm = f"model.{index}.conv_block.{half}.norm"
                shapes |= {f"{norm}.running_mean": (wide,), f"{norm}.running_var": (wide,)}
        index += 1
    for i in reversed(range(downs)):
        shapes |= conv(f"model.{index}", ngf * 2 ** (i + 1), ngf * 2**i, 3, 3, transposed=True)
        index += 3
    return shapes | conv(f"model.{index + 1}", outputs, ngf, 7, 7)


def generator_shapes(ngf: int = 64, downs: int = 4, blocks: int = 4, style: int = 16, labels: bool = True) -> Shapes:
    shapes = encoder_decoder_shapes(19, 3, ngf, downs, blocks, adain=True)
    code = 4 * style
    for branch, inputs in (("enc_style", 3), ("enc_label", 19)) if labels else (("enc_style", 3),):
        shapes |= conv(f"{branch}.model.0.conv", style, inputs, 7, 7)
        shapes |= conv(f"{branch}.model.1.conv", 2 * style, style, 4, 4)
        shapes |= conv(f"{branch}.model.2.conv", code, 2 * style, 4, 4)
    for i in range(3):
        shapes |= conv(f"enc_style.model_middle.{i}.conv", code, code, 4, 4)
    shapes |= conv("enc_style.model_last.1", 2 * blocks * 2 * ngf * 2**downs, code, 1, 1)
    if labels:
        for i in (1, 2, 3):
            shapes |= conv(f"enc_label.model_last.{i}.conv", code, code, 4, 4)
        for layer in ("sft1", "sft2"):
            for part in ("scale_conv1", "scale_conv2", "shift_conv1", "shift_conv2"):
                shapes |= conv(f"enc_style.{layer}.SFT_{part}", code, code, 1, 1)
    return shapes


def blender_shapes(ngf: int = 32, downs: int = 3, blocks: int = 3) -> Shapes:
    return encoder_decoder_shapes(6, 3, ngf, downs, blocks, adain=False)


def discriminator_shapes(ndf: int = 64) -> Shapes:
    widths = [22, ndf, 2 * ndf, 4 * ndf, 8 * ndf, 1]
    shapes: Shapes = {}
    for scale in (0, 1):
        for i in range(5):
            shapes |= conv(f"scale{scale}_layer{i}.0", widths[i + 1], widths[i], 4, 4)
    return shapes


def vae_shapes(width: int = 32, latent: int = 1024, stages: int = 7) -> Shapes:
    widths = [width * 2**i for i in range(stages)]
    flat = widths[-1] * 16
    shapes: Shapes = {}
    for i, (inputs, outputs) in enumerate(zip([19, *widths], widths, strict=False), 1):
        shapes |= conv(f"e{i}", outputs, inputs, 4, 4) | batch_norm(f"bn{i}", outputs)
    shapes |= conv("fc1", latent, flat) | conv("fc2", latent, flat) | conv("d1", flat, latent)
    for i, outputs in enumerate(reversed(widths[:-1])):
        shapes |= conv(f"d{i + 2}", outputs, 2 * outputs, 3, 3) | batch_norm(f"bn{stages + 1 + i}", outputs)
    return shapes | conv(f"d{stages + 1}", 19, width, 3, 3)


def parser_shapes(width: int = 16) -> Shapes:
    def double(name: str, inputs: int, outputs: int) -> Shapes:
        shapes: Shapes = {}
        for half, channels in ((1, inputs), (2, outputs)):
            shapes |= conv(f"{name}.conv{half}.0", outputs, channels, 3, 3)
            shapes |= batch_norm(f"{name}.conv{half}.1", outputs)
        return shapes

    shapes = double("conv1", 3, width)
    for i in (2, 3, 4):
        shapes |= double(f"conv{i}", width * 2 ** (i - 2), width * 2 ** (i - 1))
    shapes |= double("center", 8 * width, 16 * width)
    for i in (4, 3, 2, 1):
        outputs = width * 2 ** (i - 1)
        shapes |= double(f"up_concat{i}.conv", 2 * outputs, outputs)
        shapes |= conv(f"up_concat{i}.up", 2 * outputs, outputs, 2, 2, transposed=True)
    return shapes | conv("final", 19, width, 1, 1)


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


def test_some_shapes_of_the_generator_are_as_published():
    with torch.device("meta"):
        state = authors_state(DenseMappingNetwork())
    published = {
        "model.1": (64, 19, 7, 7), "model.13": (1024, 512, 3, 3), "model.19.conv_block.1.conv": (1024, 1024, 3, 3),
        "model.20": (1024, 512, 3, 3), "model.33": (3, 64, 7, 7), "enc_style.model_last.1": (16384, 64, 1, 1),
        "enc_style.sft2.SFT_shift_conv2": (64, 64, 1, 1), "enc_label.model_last.3.conv": (64, 64, 4, 4),
    }  # fmt: skip
    assert {name: tuple(state[f"{name}.weight"].shape) for name in published} == published


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


# Their networks, written out


class Raw:
    """Layers by the names in a raw state dict, in double precision: rounding is not what is compared."""

    def __init__(self, state: dict[str, Tensor]):
        self.state = {key: value.double() for key, value in state.items()}

    def conv(self, x: Tensor, name: str, stride: int = 1, pad: int = 0, mode: str = "constant") -> Tensor:
        x = F.pad(x, (pad,) * 4, mode=mode) if pad else x
        return F.conv2d(x, self.state[f"{name}.weight"], self.state[f"{name}.bias"], stride)

    def up(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return F.conv_transpose2d(x, weight, bias, stride=2, padding=1, output_padding=1)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.state[f"{name}.weight"].T + self.state[f"{name}.bias"]

    def batch_norm(self, x: Tensor, name: str, eps: float = 1e-5) -> Tensor:
        leaves = ("running_mean", "running_var", "weight", "bias")
        mean, var, weight, bias = (self.state[f"{name}.{leaf}"].view(1, -1, 1, 1) for leaf in leaves)
        return (x - mean) / (var + eps).sqrt() * weight + bias


def instance_norm(x: Tensor) -> Tensor:
    mean = x.mean((2, 3), keepdim=True)
    return (x - mean) / ((x - mean).pow(2).mean((2, 3), keepdim=True) + 1e-5).sqrt()


def their_encoder_decoder(raw: Raw, x: Tensor, downs: int, blocks: int, p: Tensor | None) -> Tensor:
    x = instance_norm(raw.conv(x, "model.1", pad=3, mode="reflect")).relu()
    index = 4
    for _ in range(downs):
        x = instance_norm(raw.conv(x, f"model.{index}", stride=2, pad=1)).relu()
        index += 3
    channels, k = x.shape[1], 0
    for _ in range(blocks):
        y = x
        for half in (0, 1):
            y = instance_norm(raw.conv(y, f"model.{index}.conv_block.{half}.conv", pad=1, mode="reflect"))
            if p is not None:
                bias = p[:, 2 * channels * k : 2 * channels * k + channels]
                weight = p[:, 2 * channels * k + channels : 2 * channels * (k + 1)]
                y = y * weight[:, :, None, None] + bias[:, :, None, None]
            y = y.relu() if half == 0 else y
            k += 1
        x = x + y
        index += 1
    for _ in range(downs):
        x = instance_norm(raw.up(x, f"model.{index}")).relu()
        index += 3
    return raw.conv(x, f"model.{index + 1}", pad=3, mode="reflect")


def their_generator(state, mask, style_mask, style_image, downs: int, blocks: int, labels: bool) -> Tensor:
    raw = Raw(state)

    def halve(x: Tensor, name: str) -> Tensor:
        return raw.conv(x, name, stride=2, pad=1, mode="reflect")

    def sft(x: Tensor, condition: Tensor, layer: str) -> Tensor:
        def path(part: str) -> Tensor:
            hidden = F.leaky_relu(raw.conv(condition, f"enc_style.{layer}.SFT_{part}_conv1"), 0.1)
            return raw.conv(hidden, f"enc_style.{layer}.SFT_{part}_conv2")

        return x * path("scale") + path("shift")

    x = raw.conv(style_image, "enc_style.model.0.conv", pad=3, mode="reflect").relu()
    x = halve(halve(x, "enc_style.model.1.conv").relu(), "enc_style.model.2.conv").relu()
    if labels:
        c = raw.conv(style_mask, "enc_label.model.0.conv", pad=3, mode="reflect").relu()
        first = halve(halve(c, "enc_label.model.1.conv").relu(), "enc_label.model.2.conv")
        c = halve(halve(first.relu(), "enc_label.model_last.1.conv").relu(), "enc_label.model_last.2.conv").relu()
        second = halve(c, "enc_label.model_last.3.conv")
        x = sft(x, first, "sft1")
    for i in range(3):
        x = halve(x, f"enc_style.model_middle.{i}.conv").relu()
    if labels:
        x = sft(x, second, "sft2")
    p = raw.conv(x.mean((2, 3), keepdim=True), "enc_style.model_last.1")[:, :, 0, 0]
    return their_encoder_decoder(raw, mask, downs, blocks, p).tanh()


def their_discriminator(state, mask, image) -> list[list[Tensor]]:
    raw, results = Raw(state), []
    x = torch.cat((mask, image), 1)
    for scale in (1, 0):
        maps = [F.leaky_relu(raw.conv(x, f"scale{scale}_layer0.0", stride=2, pad=2), 0.2)]
        for i, stride in ((1, 2), (2, 2), (3, 1)):
            maps.append(F.leaky_relu(instance_norm(raw.conv(maps[-1], f"scale{scale}_layer{i}.0", stride, 2)), 0.2))
        maps.append(raw.conv(maps[-1], f"scale{scale}_layer4.0", pad=2))
        results.append(maps)
        # The mean over those of the 3x3 pixels that lie in the picture.
        total, count = (F.avg_pool2d(F.pad(t, (1,) * 4), 3, 2) for t in (x, torch.ones_like(x)))
        x = total / count
    return results


def their_vae(state, mask, noise, stages: int) -> tuple[Tensor, Tensor, Tensor]:
    raw, x = Raw(state), mask
    for i in range(1, stages + 1):
        x = F.leaky_relu(raw.batch_norm(raw.conv(x, f"e{i}", stride=2, pad=1), f"bn{i}"), 0.2)
    x = x.reshape(len(x), -1)
    mu, logvar = raw.linear(x, "fc1"), raw.linear(x, "fc2")
    z = mu + noise * logvar.mul(0.5).exp()
    x = raw.linear(z, "d1").relu().reshape(len(x), -1, 4, 4)
    for i in range(2, stages + 2):
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        x = raw.conv(x, f"d{i}", pad=1, mode="replicate")
        if i <= stages:
            x = F.leaky_relu(raw.batch_norm(x, f"bn{stages - 1 + i}", eps=1e-3), 0.2)
    return x, mu, logvar


def their_parser(state, image) -> Tensor:
    raw = Raw(state)

    def double(x: Tensor, name: str) -> Tensor:
        for half in (1, 2):
            x = raw.batch_norm(raw.conv(x, f"{name}.conv{half}.0", pad=1), f"{name}.conv{half}.1").relu()
        return x

    skips = [double(image, "conv1")]
    for i in (2, 3, 4):
        skips.append(double(F.max_pool2d(skips[-1], 2), f"conv{i}"))
    x = double(F.max_pool2d(skips[-1], 2), "center")
    for i in (4, 3, 2, 1):
        weight, bias = (raw.state[f"up_concat{i}.up.{leaf}"] for leaf in ("weight", "bias"))
        up = F.conv_transpose2d(x, weight, bias, stride=2)
        x = double(torch.cat((skips[i - 1], up), 1), f"up_concat{i}.conv")
    return raw.conv(x, "final")


@pytest.mark.parametrize(("ngf", "downs", "blocks", "labels"), [(4, 2, 2, True), (2, 4, 4, True), (4, 3, 1, False)])
@torch.no_grad()
def test_a_generator_of_the_authors_makes_the_same_picture(tmp_path, ngf, downs, blocks, labels):
    state = random_state(generator_shapes(ngf, downs, blocks, style=4, labels=labels))
    dmn = load_authors(in_old_format(tmp_path, state))
    assert isinstance(dmn, DenseMappingNetwork)
    assert not dmn.training
    mask, style_mask, image = random_mask(64, 1), random_mask(64, 2), random_image(64, 3)
    theirs = their_generator(state, mask, style_mask, image, downs, blocks, labels)
    assert theirs.std() > 0.1
    torch.testing.assert_close(dmn.double()(mask, image, style_mask), theirs, **CLOSE)


@torch.no_grad()
def test_a_blender_of_the_authors_gives_the_same_blend(tmp_path):
    state = random_state(blender_shapes(4, downs=2, blocks=2))
    blender = load_authors(in_old_format(tmp_path, state))
    assert isinstance(blender, AlphaBlender)
    inter, outer = random_image(32, 1), random_image(32, 2)
    alpha = their_encoder_decoder(Raw(state), torch.cat((inter, outer), 1), 2, 2, None).sigmoid()
    assert alpha.std() > 0.1
    blend, our_alpha = blender.double()(inter, outer)
    torch.testing.assert_close(our_alpha, alpha, **CLOSE)
    torch.testing.assert_close(blend, alpha * inter + (1 - alpha) * outer, **CLOSE)


@torch.no_grad()
def test_a_discriminator_of_the_authors_sees_the_same_features(tmp_path):
    state = random_state(discriminator_shapes(4))
    critic = load_authors(in_old_format(tmp_path, state))
    assert isinstance(critic, MultiScaleDiscriminator)
    mask, image = random_mask(64, 1), random_image(64, 2)
    torch.testing.assert_close(critic.double()(mask, image), their_discriminator(state, mask, image), **CLOSE)


@pytest.mark.parametrize(("stages", "size"), [(5, 128), (3, 32)])
@torch.no_grad()
def test_a_vae_of_the_authors_gives_the_same_code_and_mask(tmp_path, stages, size):
    state = random_state(vae_shapes(2, latent=16, stages=stages))
    vae = load_authors(in_old_format(tmp_path, state))
    assert isinstance(vae, MaskVAE)
    assert vae.config["image_size"] == size
    mask, noise = random_mask(size, 1), torch.randn(2, 16, generator=torch.Generator().manual_seed(5)).double()
    theirs = their_vae(state, mask, noise, stages)
    assert min(t.std() for t in theirs) > 0.1
    for ours, their in zip(vae.double()(mask, noise), theirs, strict=True):
        torch.testing.assert_close(ours, their, **CLOSE)


@torch.no_grad()
def test_a_parser_of_the_authors_gives_the_same_logits(tmp_path):
    state = random_state(parser_shapes(2))
    parser = load_authors(in_old_format(tmp_path, state))
    assert isinstance(parser, FaceParser)
    image = random_image(64, 1)
    theirs = their_parser(state, image)
    assert theirs.std() > 0.1
    torch.testing.assert_close(parser.double()(image), theirs, **CLOSE)


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
    state = random_state(SMALL[name])
    path = tmp_path / "exported.pth"
    export_authors(load_authors(in_old_format(tmp_path, state)), path)
    assert path.read_bytes()[:2] != b"PK", "the old format is no zip file"
    again = torch.load(path, weights_only=True)
    assert set(again) == set(state)
    for key, value in state.items():
        dummy = ".norm.running_" in key and name == "generator"
        expected = torch.full_like(value, float(key.endswith("var"))) if dummy else value
        assert torch.equal(again[key], expected), key


@pytest.mark.parametrize("name", SMALL)
def test_the_prefix_of_a_parallel_module_is_removed_and_counters_may_lack(tmp_path, name):
    state = random_state(SMALL[name])
    plain = load_authors(in_old_format(tmp_path, state)).state_dict()
    older = {f"module.{k}": v for k, v in state.items() if not k.endswith("num_batches_tracked")}
    again = load_authors(in_old_format(tmp_path, older)).state_dict()
    assert all(torch.equal(again[k], v) for k, v in plain.items() if not k.endswith("num_batches_tracked"))


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


def test_half_a_generator_is_refused_in_one_sentence(tmp_path):
    state = random_state(SMALL["generator"])
    kept = {key: value for key, value in state.items() if not key.startswith("model.")}
    with pytest.raises(CheckpointError, match="not a whole DenseMappingNetwork"):
        load_authors(in_old_format(tmp_path, kept))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.99])
def test_a_truncated_download_is_told(tmp_path, share):
    path = in_old_format(tmp_path, random_state(SMALL["generator"]))
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CheckpointError, match=r"latest_net\.pth cannot be read.*download it again"):
        load_authors(path)


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


def test_code_in_a_file_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError):
        load_authors(in_old_format(tmp_path, {"model.1.weight": Bomb()}))
    assert not (tmp_path / "exploded").exists()
