"""The discriminator: PatchGANs that judge an image and its mask at several scales."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.networks.blocks import SpectralConv2d, init_convolutions

WIDEST = 512
"""Channels do not double beyond this, as in pix2pixHD."""


class PatchDiscriminator(nn.ModuleList):
    """``C64 s2, C128 s2, C256 s2, C512 s1, C1 s1``: 4x4 convolutions with zero padding 2 and LeakyReLU 0.2.

    Instance normalisation on all but the first and the last; the last has no activation either. With 3 ``layers`` each
    score sees a patch of 70x70 pixels. ``spectral`` is SPADE's: spectral normalisation too where there is instance
    normalisation, and no bias there.
    """

    def __init__(self, inputs: int, width: int, layers: int, spectral: bool = False):
        widths = [min(width * 2**i, WIDEST) for i in range(layers + 1)]
        convolution = SpectralConv2d if spectral else nn.Conv2d
        first = nn.Conv2d(inputs, widths[0], 4, stride=2, padding=2)
        stages = [nn.Sequential(first, nn.LeakyReLU(0.2, inplace=True))]
        for number, (before, after) in enumerate(pairwise(widths), start=1):
            stride = 2 if number < layers else 1
            inner = convolution(before, after, 4, stride=stride, padding=2, bias=not spectral)
            stages.append(nn.Sequential(inner, nn.InstanceNorm2d(after), nn.LeakyReLU(0.2, inplace=True)))
        super().__init__([*stages, nn.Sequential(nn.Conv2d(widths[-1], 1, 4, padding=2))])

    def forward(self, x: Tensor) -> list[Tensor]:
        """Output of every stage, the score map ``[B, 1, h, w]`` last."""
        maps = []
        for stage in self:
            x = stage(x)
            maps.append(x)
        return maps


class MultiScaleDiscriminator(nn.Module):
    """The same PatchGAN, with weights of its own, at full size, at half of it, and so on for ``scales`` scales.

    Args:
        num_classes: planes of the mask, which is judged together with the 3 of the image.
        width: channels of the first layer; they double per layer, up to 512.
        layers: layers of stride 2.
        spectral: spectral normalisation on the inner layers, as SPADE has it.
    """

    def __init__(
        self, num_classes: int = NUM_CLASSES, width: int = 64, layers: int = 3, scales: int = 2, spectral: bool = False
    ):
        super().__init__()
        self.config = {"num_classes": num_classes, "width": width, "layers": layers}
        self.config |= {"scales": scales, "spectral": spectral}
        self.scales = nn.ModuleList(PatchDiscriminator(num_classes + 3, width, layers, spectral) for _ in range(scales))
        init_convolutions(self)

    def forward(self, mask: Tensor, image: Tensor) -> list[list[Tensor]]:
        """One-hot ``mask [B, classes, H, W]``, ``image [B, 3, H, W]`` to the maps of each scale, full size first.

        The last map of each list holds the scores (linear, to be compared with 1 and 0 by LSGAN), those before it the
        features for feature matching.
        """
        x = torch.cat((mask, image), dim=1)
        results = [self.scales[0](x)]
        for discriminator in self.scales[1:]:
            x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
            results.append(discriminator(x))
        return results
