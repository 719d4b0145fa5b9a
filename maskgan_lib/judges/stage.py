"""What the nets that grade pictures share in training: imperfect photos, one optimiser, and how samples are shown."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch, flip, to_uint8_image
from maskgan_lib.presets import Preset
from maskgan_lib.training.stage import BETAS, OneLossStage, tile


@dataclass(frozen=True)
class JudgeSettings:
    """Of a net on a ResNet-18 and its training, of which the paper states nothing."""

    width: int = 64  # 64: ResNet-18
    batch: int = 32
    steps: int = 100_000
    lr: float = 1e-3


class JudgeStage(OneLossStage):
    """Trains ``network``, and ``others`` that only training needs, with Adam.

    ``config`` is what else than the rate a step depends on.
    """

    def __init__(self, preset: Preset, network: nn.Module, config: Mapping | None = None, **others: nn.Module):
        lr = getattr(preset, self.settings).lr
        self.networks, self.averaged = {self.name: network, **others}, (self.name,)
        parameters = [values for net in self.networks.values() for values in net.parameters()]
        self.optimizers = {self.name: torch.optim.Adam(parameters, lr=lr, betas=BETAS)}
        self.config = {"lr": lr, **(config or {})}


def imperfect(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Photos and masks of ``batch``, some mirrored, each with a blur, a contrast, a colour cast and grain of its own.

    The third is bool ``[B]``: which are mirrored. A judge that has seen clean photos only takes a render's grain or
    softness for something else than it is. What is drawn depends on seed and step alone.
    """
    size = batch.image.shape[-1]
    noise = batch.noise(3, size + 1, size)
    grain, shared = noise[:, :, :size], noise[:, :, size:]  # the last row: numbers that hold for a whole picture
    cast, (mirror, blur, contrast, strength) = shared[..., :1], shared[:, 0, 0, 1:5].T[..., None, None, None]
    flipped_image, flipped_mask = flip(batch.image, batch.mask)
    mirrored = mirror > 0
    image = torch.where(mirrored, flipped_image, batch.image)
    mask = torch.where(mirrored[:, 0], flipped_mask, batch.mask)
    soft = F.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
    image = torch.lerp(image, soft, blur.abs().clamp(max=1))
    image = image * (1 + 0.1 * contrast) + 0.04 * cast + 0.03 * strength.abs() * grain
    return image.clamp(-1, 1), mask, mirrored.flatten()


def nearest(features: Tensor) -> Tensor:
    """For each of ``features [N, F]`` the place of the other one with the largest cosine, int64 ``[N]``."""
    unit = F.normalize(features)
    return (unit @ unit.T).fill_diagonal_(-2).argmax(dim=1)


def sheet(*rows: Tensor) -> np.ndarray:
    """Rows of pictures ``[B, 3, S, S]`` as one uint8 picture, at most eight beside each other."""
    return tile(to_uint8_image(torch.cat(rows)), min(8, len(rows[0])))
