"""A network that learns without labels what two views of one picture have in common: features for ssFID."""

from torch import Tensor, nn

from maskgan_lib.networks.resnet import ResNet18


class SelfSupervisedNet(ResNet18):
    """Image ``[B, 3, H, W]`` in [-1, 1] to an embedding ``[B, projection]``, which training alone looks at.

    What it has learnt are its ``features``, ``[B, 8 * width]``. A ResNet-18 and, as in VICReg (Bardes et al., ICLR
    2022), an expander of three linear layers, the first two with batch normalisation. Faces of any size from 32 pixels
    up.
    """

    def __init__(self, width: int = 64, projection: int = 8192):
        super().__init__(width)
        self.config = {"width": width, "projection": projection}
        self.expander = nn.Sequential()
        for inputs in (self.channels, projection):
            self.expander.append(nn.Linear(inputs, projection, bias=False))
            self.expander.append(nn.BatchNorm1d(projection))
            self.expander.append(nn.ReLU(inplace=True))
        self.expander.append(nn.Linear(projection, projection, bias=False))

    def forward(self, image: Tensor) -> Tensor:
        return self.expander(self.features(image))
