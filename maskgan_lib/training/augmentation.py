"""Augmentation: other framings, lights, cameras and colours of the same faces, so that few photos teach more.

Everything is drawn from a ``torch.Generator`` that the caller seeds, so a resumed run sees what it would have seen.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from maskgan_lib.classes import CLASS_ID, NUM_CLASSES
from maskgan_lib.data.batches import flip
from maskgan_lib.networks import one_hot

TURN, ZOOM, SHIFT = math.radians(12), 0.12, 0.05
"""Standard deviations of a turn in radians, of the logarithm of the scale, of a shift in sides of the picture: framing
differs as between aligned photos and ones whose eyes were found a little off."""


def reframe(image: Tensor, mask: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
    """Images ``[B, 3, S, S]`` and label maps ``[B, S, S]``, half of them mirrored, all turned, scaled and moved a bit.

    Beyond its edges a picture goes on as its own mirror image, and its label map with it.
    """
    count, device = len(image), image.device
    mirrored = torch.rand(count, generator=generator, device=device) < 0.5
    other_image, other_mask = flip(image, mask)
    image = torch.where(mirrored[:, None, None, None], other_image, image)
    mask = torch.where(mirrored[:, None, None], other_mask, mask)
    turn, zoom, *shift = torch.randn(4, count, generator=generator, device=device)
    turn, scale = TURN * turn.clamp(-2, 2), (ZOOM * zoom.clamp(-2, 2)).exp()
    cos, sin = scale * turn.cos(), scale * turn.sin()
    x, y = (2 * SHIFT * s.clamp(-2, 2) for s in shift)
    maps = torch.stack((torch.stack((cos, -sin, x), 1), torch.stack((sin, cos, y), 1)), 1)
    grid = F.affine_grid(maps, list(image.shape), align_corners=False)
    moved = F.grid_sample(image, grid, "bilinear", "reflection", align_corners=False)
    labels = F.grid_sample(mask[:, None].float(), grid, "nearest", "reflection", align_corners=False)
    return moved, labels[:, 0].to(mask.dtype)


def relight(image: Tensor, generator: Generator) -> Tensor:
    """Images ``[B, 3, S, S]`` in [-1, 1] with another exposure, contrast, white balance and saturation, some grey."""
    count, device = len(image), image.device

    def factor(deviation: float, *shape: int) -> Tensor:
        drawn = torch.randn(count, *shape, 1, 1, generator=generator, device=device).clamp(-2, 2)
        return (deviation * drawn).exp()

    linear = ((image + 1) / 2).clamp(1e-4, 1) ** factor(0.2, 1)
    linear = linear * factor(0.15, 1) * factor(0.06, 3)
    mean = linear.mean((1, 2, 3), keepdim=True)
    linear = mean + (linear - mean) * factor(0.15, 1)
    grey = linear.mean(1, keepdim=True)
    saturation = factor(0.3, 1) * (torch.rand(count, 1, 1, 1, generator=generator, device=device) > 0.03)
    return (grey + (linear - grey) * saturation).clamp(0, 1) * 2 - 1


def through_a_camera(image: Tensor, generator: Generator) -> Tensor:
    """Images ``[B, 3, S, S]`` in [-1, 1], some softer, as if they had been smaller, and with grain."""
    count, size, device = len(image), image.shape[-1], image.device
    smaller = F.interpolate(image, size=max(8, size // 2), mode="bilinear", antialias=True)
    soft = F.interpolate(smaller, size=size, mode="bilinear")
    share = torch.rand(count, 1, 1, 1, generator=generator, device=device)
    image = torch.lerp(image, soft, (1.5 * share - 0.5).clamp(min=0))
    strength = 0.05 * torch.randn(count, 1, 1, 1, generator=generator, device=device).abs()
    return (image + strength * torch.randn(image.shape, generator=generator, device=device)).clamp(-1, 1)


def repaint(image: Tensor, mask: Tensor, generator: Generator) -> Tensor:
    """Drawn faces ``[B, 3, S, S]`` whose regions have colours, slopes and textures that no drawing has.

    Domain randomisation (Tobin et al., IROS 2017): a parser of such faces has to look at shapes, since no colour is
    to be relied on, and takes photographs for one more variation. Every region gets a colour cast and cloudy texture
    of its own; half of the backgrounds are replaced by clouds of any colour.
    """
    count, size, device = len(image), image.shape[-1], image.device
    planes = one_hot(mask)

    def per_region(deviation: float) -> Tensor:
        drawn = deviation * torch.randn(count, NUM_CLASSES, 3, generator=generator, device=device)
        return torch.einsum("bkhw,bkc->bchw", planes, drawn)

    texture = clouds(count, 3, size, generator, device)
    image = image * (1 + per_region(0.15)) + per_region(0.12) + per_region(0.12) * texture
    other = clouds(count, 3, size, generator, device) * torch.rand(count, 1, 1, 1, generator=generator, device=device)
    other = other + 0.5 * torch.randn(count, 3, 1, 1, generator=generator, device=device)
    replaced = torch.rand(count, 1, 1, 1, generator=generator, device=device) < 0.5
    behind = planes[:, CLASS_ID["background"], None] * replaced
    return torch.lerp(image, other, behind).clamp(-1, 1)


def clouds(count: int, planes: int, size: int, generator: Generator, device: torch.device) -> Tensor:
    """Noise ``[count, planes, size, size]`` of deviation 1 that is alike at all scales (amplitude 1 / frequency)."""
    white = torch.randn(count, planes, size, size, generator=generator, device=device)
    rows, columns = torch.fft.fftfreq(size, device=device), torch.fft.rfftfreq(size, device=device)
    frequency = (rows[:, None] ** 2 + columns**2).sqrt().clamp(min=1 / size)
    pink = torch.fft.irfft2(torch.fft.rfft2(white) / frequency, s=(size, size))
    return (pink - pink.mean((2, 3), keepdim=True)) / pink.std((2, 3), keepdim=True)
