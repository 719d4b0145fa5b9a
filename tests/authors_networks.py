"""The authors' five networks by the key names of their state dicts: the shapes, and what they compute, written out.

Nothing here uses the library; ``test_authors.py`` compares the two.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


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
