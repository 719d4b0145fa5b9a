"""The face parser: a U-Net from an image to the logits of its mask."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.networks.blocks import check_size

LEVELS = 4


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for channels in (inputs, outputs):
        parts += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts)


class FaceParser(nn.Module):
    """Image ``[B, 3, H, W]`` in [-1, 1] to class logits ``[B, classes, H, W]``; sizes are multiples of 16.

    Four levels of two 3x3 convolutions with batch normalisation, 2x2 max pooling between them, a centre, and the way
    back with transposed convolutions and the level's own features beside them.
    """

    def __init__(self, num_classes: int = NUM_CLASSES, width: int = 16):
        super().__init__()
        self.config = {"num_classes": num_classes, "width": width}
        widths = [width * 2**i for i in range(LEVELS + 1)]
        self.down = nn.ModuleList(_double_conv(i, o) for i, o in zip([3, *widths[:-2]], widths[:-1], strict=True))
        self.center = _double_conv(widths[-2], widths[-1])
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.up = nn.ModuleList(_double_conv(2 * w, w) for w in reversed(widths[:-1]))
        self.final = nn.Conv2d(width, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        check_size(image, 2**LEVELS, 2**LEVELS, type(self).__name__)
        skips = []
        x = image
        for level in self.down:
            x = level(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.center(x)
        for enlarge, level, skip in zip(self.enlarge, self.up, reversed(skips), strict=True):
            x = level(torch.cat((skip, enlarge(x)), dim=1))
        return self.final(x)
