"""Augmentation: the same faces in other framings and other light, so that few photos teach more.

What is drawn depends on seed, step and a face's place in the batch alone: a resumed run sees what it would have seen.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from maskgan_lib.data.batches import Batch, flip

TURN, ZOOM, SHIFT = math.radians(12), 0.12, 0.1
"""Standard deviations of a turn in radians, of the logarithm of the scale, and of a shift in half sides."""
GAMMA, CONTRAST, EXPOSURE, CAST, SATURATION = 0.2, 0.15, 0.15, 0.06, 0.3
"""Standard deviations of the logarithms of what colours are raised to, or multiplied by."""
FRAMING, LIGHT = 5, 7
"""How many numbers a face's framing takes, and its light."""


def augmented(batch: Batch, strength: float) -> Batch:
    """``batch`` with every face in a framing and a light of its own; of its other expression, in the same.

    ``strength`` scales all of ``TURN`` to ``SATURATION``: 1 is for a parser, which shall know photos of all kinds, less
    for a network that shall paint aligned faces. Half of the faces are mirrored. Masks of other faces stay as they are.
    """
    numbers = batch.noise(FRAMING + LIGHT, stream="augmentation").clamp(-2, 2)
    framing, light = numbers.split((FRAMING, LIGHT), dim=1)
    faces = {"": (batch.image, batch.mask)}
    if batch.other_image is not None:
        faces["other_"] = batch.other_image, batch.other_mask
    changes = {}
    for which, (image, mask) in faces.items():
        image, changes[which + "mask"] = reframe(image, mask, framing, strength)
        changes[which + "image"] = relight(image, light, strength)
    return replace(batch, **changes)


def reframe(image: Tensor, mask: Tensor, numbers: Tensor, strength: float = 1.0) -> tuple[Tensor, Tensor]:
    """Images ``[B, 3, S, S]`` and label maps ``[B, S, S]``, mirrored where the first of ``numbers [B, 5]`` is positive.

    Then turned, scaled and moved right and down as the others say, in standard deviations. Beyond its edges a picture
    goes on as its own mirror image, and its label map with it.
    """
    mirrored, turn, zoom, *shift = numbers.T
    mirrored = mirrored[:, None, None] > 0
    other_image, other_mask = flip(image, mask)
    image, mask = torch.where(mirrored[:, None], other_image, image), torch.where(mirrored, other_mask, mask)
    turn, scale = strength * TURN * turn, (strength * ZOOM * zoom).exp()
    cos, sin = scale * turn.cos(), scale * turn.sin()
    x, y = (strength * SHIFT * share for share in shift)
    maps = torch.stack((torch.stack((cos, -sin, x), 1), torch.stack((sin, cos, y), 1)), 1)
    grid = F.affine_grid(maps, list(image.shape), align_corners=False)
    moved = F.grid_sample(image, grid, "bilinear", "reflection", align_corners=False)
    labels = F.grid_sample(mask[:, None].to(image.dtype), grid, "nearest", "reflection", align_corners=False)
    return moved, labels[:, 0].to(mask.dtype)


def relight(image: Tensor, numbers: Tensor, strength: float = 1.0) -> Tensor:
    """Images ``[B, 3, S, S]`` in [-1, 1] with another gamma, contrast, exposure, white balance and saturation.

    As ``numbers [B, 7]`` say, in standard deviations of the logarithm.
    """
    deviations = numbers.new_tensor([GAMMA, CONTRAST, EXPOSURE, CAST, CAST, CAST, SATURATION])
    factors = (strength * deviations * numbers).exp()[..., None, None]
    gamma, contrast, exposure, cast, saturation = factors.split((1, 1, 1, 3, 1), dim=1)
    colours = ((image + 1) / 2).clamp(1e-4, 1) ** gamma * exposure * cast
    mean = colours.mean((1, 2, 3), keepdim=True)
    colours = mean + (colours - mean) * contrast
    grey = colours.mean(1, keepdim=True)
    return (grey + (colours - grey) * saturation).clamp(0, 1) * 2 - 1
