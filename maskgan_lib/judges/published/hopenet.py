"""HopeNet, a head pose network with published weights, on torchvision's ResNet-50."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck, ResNet

from maskgan_lib.judges.pose import BIN_DEGREES, BINS


class HopeNet(ResNet):
    """Image ``[B, 3, H, W]``, ImageNet-normalised, to logits ``[B, 3, 66]`` of the bins of yaw, pitch and roll.

    Ruiz et al., CVPR workshops 2018. Layers are named as in the state dicts that its authors publish, but for their
    ``fc_finetune``, which has no part in the angles.

    Args:
        layers: number of blocks at each of the four sizes.
    """

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3)):
        super().__init__(Bottleneck, list(layers))
        self.config = {"layers": list(layers)}
        channels = self.fc.in_features
        self.fc = nn.Identity()
        self.fc_yaw, self.fc_pitch, self.fc_roll = (nn.Linear(channels, BINS) for _ in range(3))

    def forward(self, image: Tensor) -> Tensor:
        features = super().forward(image)
        return torch.stack([self.fc_yaw(features), self.fc_pitch(features), self.fc_roll(features)], dim=1)

    def degrees(self, image: Tensor) -> Tensor:
        """Yaw, pitch and roll in degrees, ``[B, 3]``, by HopeNet's own signs.

        Yaw is positive where the face turns to the viewer's left, pitch where it looks up, roll clockwise on the
        picture: so its authors draw the axes of a head (``draw_axis``). Its bins count by their lower edges, as it was
        trained, where ``PoseNet`` counts by the centres.
        """
        edges = torch.arange(BINS, device=image.device) * BIN_DEGREES - BINS / 2 * BIN_DEGREES
        return self(image).float().softmax(dim=2) @ edges
