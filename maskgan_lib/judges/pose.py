"""The pose net: how a head is turned, as three distributions over angles (HopeNet)."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.judges.resnet import ResNet18
from maskgan_lib.judges.stage import JudgeSettings, JudgeStage, imperfect, sheet
from maskgan_lib.presets import Preset
from maskgan_lib.registry import NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.stage import Terms, TrainingError

BINS, BIN_DEGREES = 66, 3.0
"""HopeNet's: 66 bins of 3 degrees cover -99 to 99."""


def expected_angles(logits: Tensor) -> Tensor:
    """Expected angles in degrees, ``[B, 3]``, of distributions over the bins with these logits ``[B, 3, 66]``."""
    centres = (torch.arange(BINS, device=logits.device) + 0.5 - BINS / 2) * BIN_DEGREES
    return logits.float().softmax(dim=2) @ centres


@NETWORKS.register
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


def binned_angle_loss(logits: Tensor, degrees: Tensor, regression: float) -> Tensor:
    """HopeNet (Ruiz et al., 2018): cross-entropy of the bins plus ``regression`` times the expectation's squared error.

    ``logits [B, 3, 66]`` of the bins that the true ``degrees [B, 3]`` fall into; means over faces and angles.
    """
    label = (degrees / BIN_DEGREES + BINS / 2).floor().long().clamp(0, BINS - 1)
    error = F.mse_loss(expected_angles(logits), degrees)
    return F.cross_entropy(logits.flatten(0, 1), label.flatten()) + regression * error


@SETTINGS.called("pose")
@dataclass(frozen=True)
class PoseSettings(JudgeSettings):
    """Of the pose net and its training; HopeNet is a ResNet-50."""

    regression: float = 0.1  # ours: weight of the squared error in degrees beside the bins
    steps: int = 50_000


@STAGES.register
class PoseStage(JudgeStage):
    """Minimises HopeNet's loss of binned angles. Raises ``TrainingError`` for faces of unknown pose."""

    name = settings = "pose"
    augments = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        self.pose, self.regression = torch.from_numpy(faces.pose), preset.pose.regression
        if not self.pose.isfinite().all():
            raise TrainingError(f"{faces.folder} does not know the pose of every face: choose faces with poses.")
        super().__init__(preset, PoseNet(preset.pose.width), {"regression": self.regression})

    def loss(self, batch: Batch) -> tuple[Tensor, Terms]:
        """The loss on photos made ``imperfect``; ``degrees`` is the mean absolute error of the three angles.

        A mirrored face looks the other way and tilts the other way, and nods as before.
        """
        image, _, mirrored = imperfect(batch)
        pose = self.pose[batch.index].to(image.device)
        yaw, pitch, roll = pose.T
        pose = torch.where(mirrored[:, None], torch.stack([-yaw, pitch, -roll], dim=1), pose)
        logits = self.networks["pose"](image)
        loss = binned_angle_loss(logits, pose, self.regression)
        return loss, {"loss": loss, "degrees": (expected_angles(logits) - pose).abs().mean()}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """The photos in rows of eight, by yaw as the network sees it."""
        return sheet(batch.image[networks["pose"].degrees(batch.image)[:, 0].argsort()])
