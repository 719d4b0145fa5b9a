"""IResNet, the network of the published ArcFace weights, under the names of their layers."""

from collections.abc import Sequence

from torch import Tensor, nn

SIDE = 112
"""Height and width of the pictures; four halvings leave maps of 7 x 7."""


class IResNetBlock(nn.Module):
    """``shortcut(x) + norm(conv(prelu(norm(conv(norm(x))))))``; ``first`` of its size, it halves the one before."""

    def __init__(self, inputs: int, outputs: int, first: bool):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.prelu = nn.PReLU(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 2 if first else 1, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Identity()
        if first:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.prelu(self.bn2(self.conv1(self.bn1(x))))
        return self.downsample(x) + self.bn3(self.conv2(y))


class IResNet(nn.Module):
    """Aligned faces ``[B, 3, 112, 112]``, RGB in [-1, 1], to embeddings ``[B, embedding]`` of any length.

    The residual network of ArcFace (Deng et al., CVPR 2019), with a normalisation before every convolution and no
    pooling; ``layers`` counts the blocks at each of the four sizes: (3, 4, 14, 3) is IR-50, (3, 13, 30, 3) IR-100.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 14, 3), width: int = 64, embedding: int = 512):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(width), nn.PReLU(width)
        for i, count in enumerate(layers):
            inputs, width = width, width * 2 if i else width
            blocks = (IResNetBlock(width if j else inputs, width, first=j == 0) for j in range(count))
            self.add_module(f"layer{i + 1}", nn.Sequential(*blocks))
        self.bn2 = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width * (SIDE // 16) ** 2, embedding)
        self.features = nn.BatchNorm1d(embedding)

    def forward(self, image: Tensor) -> Tensor:
        x = self.prelu(self.bn1(self.conv1(image)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.features(self.fc(self.bn2(x).flatten(1)))
