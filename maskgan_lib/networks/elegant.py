"""ELEGANT (Xiao et al., ECCV 2018): two faces exchange an attribute by exchanging a part of their codes.

What is decoded is not a picture, but what to add to one.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.networks.blocks import Recomputing, check_size

HALVINGS = 5


def _init_weights(network: nn.Module) -> None:
    """Draw all weights from N(0, 0.02), as the authors do, and set the biases to zero.

    The layers normalise what they get to a small length: PyTorch's default biases would be larger than the signal.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear) and not module.weight.is_meta:
            nn.init.normal_(module.weight, 0.0, 0.02)
            nn.init.zeros_(module.bias)


class ChannelNormalization(nn.Module):
    """``alpha * x / |x| + beta``: the channels of every pixel as a vector of length 1, one alpha and one beta for all.

    Both are learned. Nothing is shared between pixels, pictures or batches.
    """

    def __init__(self):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1))
        self.beta = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1) * self.alpha + self.beta


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    """A 3x3 convolution of stride 2, the normalisation, LeakyReLU 0.2."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    return nn.Sequential(convolution, ChannelNormalization(), nn.LeakyReLU(0.2, inplace=True))


class Elegant(Recomputing):
    """Encoder and decoder: ``transfer(target, source, attribute)`` gives the target the source's attribute.

    The encoder halves five times, ``64, 128, 256, 512, 512``; the channels of its code are cut into one group for each
    attribute. The decoder sees two codes of one face, the one with a group from another face and its own, and gives
    ``2 tanh(...)``, which is added to the face. It gets the encoder's features of that face as skips, added after its
    layers.

    Args:
        attributes: names of the attributes, in the order of their groups of channels.
        width: channels after the first halving; they double per layer, up to eight times as many.
        latent: channels of the code.

    Sizes: heights and widths that are multiples of 32; others are a ``ValueError``.
    """

    def __init__(self, attributes: Sequence[str] = ("Smiling",), width: int = 64, latent: int = 512):
        super().__init__()
        if latent < len(attributes):
            raise ValueError(f"A code of {latent} channels cannot be cut into {len(attributes)} groups: widen it.")
        self.config = {"attributes": list(attributes), "width": width, "latent": latent}
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.encoder = nn.ModuleList(_halving(i, o) for i, o in zip([3, *widths], [*widths, latent], strict=True))
        self.decoder = nn.ModuleList(
            self._doubling(i, o) for i, o in zip([2 * latent, *widths[:0:-1]], widths[::-1], strict=True)
        )
        self.last = nn.ConvTranspose2d(width, 3, 3, stride=2, padding=1, output_padding=1)
        _init_weights(self)

    @staticmethod
    def _doubling(inputs: int, outputs: int) -> nn.Sequential:
        convolution = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        return nn.Sequential(convolution, ChannelNormalization(), nn.ReLU(inplace=True))

    def encode(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        """``image [B, 3, H, W]`` in [-1, 1] to codes ``[B, latent, H/32, W/32]`` and the skips, the largest first."""
        check_size(image, 2**HALVINGS, 2**HALVINGS, type(self).__name__)
        features = [image]
        for layer in self.encoder:
            features.append(self.segment(layer, features[-1]))
        return features[-1], features[1:-1]

    def group(self, attribute: str) -> slice:
        """The channels of a code that belong to ``attribute``."""
        names = self.config["attributes"]
        if attribute not in names:
            raise ValueError(f"This network transfers {', '.join(names)}, not {attribute!r}.")
        ends = [self.config["latent"] * k // len(names) for k in range(len(names) + 1)]
        place = names.index(attribute)
        return slice(ends[place], ends[place + 1])

    def swap(self, codes_a: Tensor, codes_b: Tensor, attribute: str) -> tuple[Tensor, Tensor]:
        """Both codes, each with the other's group of ``attribute``."""
        group = self.group(attribute)
        codes_c, codes_d = codes_a.clone(), codes_b.clone()
        codes_c[:, group], codes_d[:, group] = codes_b[:, group], codes_a[:, group]
        return codes_c, codes_d

    def decode(self, codes: Tensor, own: Tensor, skips: Sequence[Tensor]) -> Tensor:
        """Residual ``[B, 3, H, W]`` in [-2, 2] of wanted and own ``codes``, and the skips of the face it is for."""
        x = torch.cat([codes, own], dim=1)
        for layer, skip in zip(self.decoder, reversed(skips), strict=True):
            x = self.segment(layer, x) + skip
        return 2 * torch.tanh(self.last(x))

    def transfer(self, target: Tensor, source: Tensor, attribute: str) -> Tensor:
        """The ``target``, ``[B, 3, H, W]`` in [-1, 1], with ``attribute`` as the ``source`` has it."""
        own, skips = self.encode(target)
        codes, _ = self.swap(own, self.encode(source)[0], attribute)
        return (target + self.decode(codes, own, skips)).clamp(-1, 1)

    def forward(self, a: Tensor, b: Tensor, attribute: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """``A', B', C, D``: both faces from their own codes, ``a`` with b's attribute, ``b`` with a's."""
        images = torch.cat([a, b])
        own, skips = self.encode(images)
        swapped = torch.cat(self.swap(*own.chunk(2), attribute))
        residual = self.decode(torch.cat([own, swapped]), own.repeat(2, 1, 1, 1), [s.repeat(2, 1, 1, 1) for s in skips])
        return (images.repeat(2, 1, 1, 1) + residual).clamp(-1, 1).chunk(4)


class ElegantDiscriminator(nn.Module):
    """Two discriminators of a picture with its labels, one at full size and one at half of it.

    Each: ``cat(image, labels as planes)``, four halvings ``64, 128, 256, 512``, and a linear layer over all of the map.

    Args:
        attributes: names of the A attributes, in the order of the labels.
        image_size: side of the pictures, a multiple of 32.
        width: channels of the first layer; they double per layer.
    """

    def __init__(self, attributes: Sequence[str] = ("Smiling",), image_size: int = 256, width: int = 64):
        super().__init__()
        if image_size < 32 or image_size % 32:
            raise ValueError(f"The discriminator takes pictures whose side is a multiple of 32, not {image_size}.")
        self.config = {"attributes": list(attributes), "image_size": image_size, "width": width}
        sizes = (image_size, image_size // 2)
        self.scales = nn.ModuleList(self._scale(3 + len(attributes), width, size) for size in sizes)
        _init_weights(self)

    @staticmethod
    def _scale(inputs: int, width: int, size: int) -> nn.Sequential:
        widths = [width * 2**k for k in range(4)]
        layers = [_halving(i, o) for i, o in zip([inputs, *widths[:-1]], widths, strict=True)]
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(widths[-1] * (size // 16) ** 2, 1))

    def forward(self, image: Tensor, labels: Tensor) -> list[Tensor]:
        """``image [B, 3, S, S]``, ``labels [B, A]`` of 0 and 1 to logits ``[B]`` of each scale, positive if real."""
        planes = labels.to(image.dtype)[:, :, None, None].expand(-1, -1, *image.shape[-2:])
        x = torch.cat([image, planes], dim=1)
        full, half = self.scales
        return [full(x).flatten(), half(F.avg_pool2d(x, 2)).flatten()]
