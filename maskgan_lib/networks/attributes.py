"""The attribute net: a ResNet-18 with one yes-or-no answer per attribute of a face."""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.networks.blocks import init_convolutions


class BasicBlock(nn.Module):
    """``relu(shortcut(x) + norm(conv(relu(norm(conv(x))))))``; ``stride`` 2 halves the size.

    Where size or channels change, the shortcut is a 1x1 convolution with batch normalisation, else the identity.
    """

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.shortcut(x) + self.norm2(self.conv2(y)), inplace=True)


class AttributeNet(nn.Module):
    """Image ``[B, 3, H, W]`` in [-1, 1] to logits ``[B, A]``: positive where the face has the attribute.

    ResNet-18 (He et al., CVPR 2016; section 4.2 of the paper), its 64 channels of the first convolution an argument.
    One network answers for all attributes; the paper trains one network each. Faces of any size from 32 pixels up.

    Args:
        attributes: names of the A attributes, in the order of the logits.
    """

    def __init__(self, attributes: Sequence[str], width: int = 64):
        super().__init__()
        self.config = {"attributes": list(attributes), "width": width}
        self.conv = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(width)
        widths = [width * 2**i for i in range(4)]
        self.blocks = nn.Sequential()
        for inputs, outputs in zip((width, *widths[:-1]), widths, strict=True):
            self.blocks.append(BasicBlock(inputs, outputs, stride=1 if outputs == width else 2))
            self.blocks.append(BasicBlock(outputs, outputs, stride=1))
        self.answers = nn.Linear(widths[-1], len(attributes))
        init_convolutions(self, he=True)

    def features(self, image: Tensor) -> Tensor:
        """``[B, 8 * width]``: the last feature maps, averaged over the picture."""
        x = F.relu(self.norm(self.conv(image)), inplace=True)
        return self.blocks(F.max_pool2d(x, 3, stride=2, padding=1)).mean(dim=(2, 3))

    def forward(self, image: Tensor) -> Tensor:
        return self.answers(self.features(image))
