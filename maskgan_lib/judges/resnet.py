"""ResNet-18 without its last layer: what the nets that answer questions about a face have in common."""

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


class ResNet18(nn.Module):
    """The convolutions of ResNet-18 (He et al., CVPR 2016), its 64 channels of the first one an argument."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.channels = inputs = width
        self.blocks = nn.Sequential()
        for level in range(4):
            inputs, self.channels = self.channels, width * 2**level
            self.blocks.append(BasicBlock(inputs, self.channels, stride=2 if level else 1))
            self.blocks.append(BasicBlock(self.channels, self.channels, stride=1))
        init_convolutions(self, he=True)

    def maps(self, image: Tensor) -> Tensor:
        """The last feature maps ``[B, 8 * width, h, w]``: a 32nd of the picture's size, rounded up."""
        x = F.relu(self.norm(self.conv(image)), inplace=True)
        return self.blocks(F.max_pool2d(x, 3, stride=2, padding=1))

    def features(self, image: Tensor) -> Tensor:
        """``[B, 8 * width]``: the last feature maps, averaged over the picture."""
        return self.maps(image).mean(dim=(2, 3))
