"""The attribute net: a ResNet-18 with one yes-or-no answer per attribute of a face."""

from collections.abc import Sequence

from torch import Tensor, nn

from maskgan_lib.networks.resnet import ResNet18


class AttributeNet(ResNet18):
    """Image ``[B, 3, H, W]`` in [-1, 1] to logits ``[B, A]``: positive where the face has the attribute.

    ResNet-18 as in the paper's evaluation. One network answers for all attributes; the paper trains one network each.
    Faces of any size from 32 pixels up.

    Args:
        attributes: names of the A attributes, in the order of the logits.
    """

    def __init__(self, attributes: Sequence[str], width: int = 64):
        super().__init__(width)
        self.config = {"attributes": list(attributes), "width": width}
        self.answers = nn.Linear(self.channels, len(attributes))

    def forward(self, image: Tensor) -> Tensor:
        return self.answers(self.features(image))
