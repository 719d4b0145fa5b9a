"""How far apart two pictures look, part by part: CIELAB colours of the classes, whatever their shapes."""

import torch
from torch import Tensor

from maskgan_lib.networks import one_hot

SMALLEST_REGION = 1e-3
"""Share of the picture from which on a class counts: fewer pixels have no colour of their own."""

# IEC 61966-2-1: linear sRGB to CIE XYZ; its white is D65, (1, 1, 1) in sRGB.
_TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))


def srgb_to_lab(image: Tensor) -> Tensor:
    """sRGB pictures ``[B, 3, H, W]`` in [-1, 1] to CIELAB (D65, 2 degrees), L in [0, 100]."""
    value = ((image.float() + 1) / 2).clamp(0, 1)
    linear = torch.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(_TO_XYZ, device=image.device)
    xyz = torch.einsum("ij,bjhw->bihw", matrix / matrix.sum(dim=1, keepdim=True), linear)
    delta = 6 / 29
    f = torch.where(xyz > delta**3, xyz.clamp(min=1e-9) ** (1 / 3), xyz / (3 * delta**2) + 4 / 29)
    x, y, z = f.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def region_colours(image: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean CIELAB colour ``[B, 19, 3]`` and share of the picture ``[B, 19]`` of every class; absent ones are NaN."""
    onehot = one_hot(labels)
    total = torch.einsum("bchw,bkhw->bck", onehot, srgb_to_lab(image))
    area = onehot.sum(dim=(2, 3))
    return total / area.where(area > 0, torch.nan)[..., None], area / labels[0].numel()


def colour_distance(image: Tensor, labels: Tensor, photo: Tensor, photo_labels: Tensor) -> Tensor:
    """Mean Delta E (CIE 1976) between the mean colours of the classes that both pictures have: ``[B]``.

    ``image`` and ``photo`` are ``[B, 3, H, W]`` in [-1, 1], the labels integer ``[B, H, W]``. Below about 2.3 two
    colours are hardly told apart. NaN where no class is in both.
    """
    ours, area = region_colours(image, labels)
    theirs, their_area = region_colours(photo, photo_labels)
    both = torch.minimum(area, their_area) >= SMALLEST_REGION
    distance = (ours - theirs).norm(dim=2).where(both, torch.nan)
    return distance.nanmean(dim=1)
