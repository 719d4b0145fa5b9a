"""The pose net: how a head is turned, as three distributions over angles (HopeNet)."""

import torch
from torch import Tensor, nn

from maskgan_lib.networks.resnet import ResNet18

BINS, BIN_DEGREES = 66, 3.0
"""HopeNet's: 66 bins of 3 degrees cover -99 to 99."""


def expected_angles(logits: Tensor) -> Tensor:
    """Expected angles in degrees, ``[B, 3]``, of distributions over the bins with these logits ``[B, 3, 66]``."""
    centres = (torch.arange(BINS, device=logits.device) + 0.5 - BINS / 2) * BIN_DEGREES
    return logits.float().softmax(dim=2) @ centres


class PoseNet(ResNet18):
    """Image ``[B, 3, H, W]`` in [-1, 1] to logits ``[B, 3, 66]``: in which bin yaw, pitch and roll lie.

    As in HopeNet (Ruiz et al., CVPR workshops 2018), on a ResNet-18: classification is robust, and the expected angle
    finer than the bins. Faces of any size from 32 pixels up.
    """

    def __init__(self, width: int = 64):
        super().__init__(width)
        self.config = {"width": width}
        self.answers = nn.Linear(self.channels, 3 * BINS)

    def forward(self, image: Tensor) -> Tensor:
        return self.answers(self.features(image)).unflatten(1, (3, BINS))

    def degrees(self, image: Tensor) -> Tensor:
        """Yaw, pitch and roll in degrees, ``[B, 3]``."""
        return expected_angles(self(image))
