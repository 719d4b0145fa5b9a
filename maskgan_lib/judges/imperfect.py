"""Photos as judges should know them: a little blurred, grainy, off colour."""

import torch
import torch.nn.functional as F
from torch import Tensor

from maskgan_lib.data.batches import Batch, flip


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
