"""Measures of masks and pictures: torchmetrics' own, or tested against them."""

import torch
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio

from maskgan_lib.classes import IGNORE_ID, NUM_CLASSES


def confusion_matrix(predicted: Tensor, labels: Tensor) -> Tensor:
    """Pixels by class: ``[true, predicted]`` counts, int64 ``[19, 19]``; ``IGNORE_ID`` in ``labels`` is left out."""
    known = labels != IGNORE_ID
    index = labels[known].long() * NUM_CLASSES + predicted[known].long()
    return torch.bincount(index, minlength=NUM_CLASSES**2).reshape(NUM_CLASSES, NUM_CLASSES)


def pixel_accuracy(confusion: Tensor) -> float:
    """Share of the pixels that have the right class, in [0, 1]."""
    return (confusion.diagonal().sum() / confusion.sum()).item()


def class_iou(confusion: Tensor) -> Tensor:
    """Intersection over union by class over the whole data set, ``[19]``; NaN for classes absent from the labels."""
    hit = confusion.diagonal().double()
    iou = hit / (confusion.sum(dim=0) + confusion.sum(dim=1) - hit)
    iou[confusion.sum(dim=1) == 0] = torch.nan
    return iou


def mean_iou(confusion: Tensor) -> float:
    """Mean of ``class_iou`` over the classes present in the labels, in [0, 1]."""
    return class_iou(confusion).nanmean().item()


def psnr(made: Tensor, real: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB by picture: ``[B, 3, H, W]`` in [-1, 1] to ``[B]``."""
    return peak_signal_noise_ratio(made, real, data_range=2.0, reduction="none", dim=(1, 2, 3))


def ssim(made: Tensor, real: Tensor) -> Tensor:
    """Structural similarity by picture: ``[B, 3, H, W]`` in [-1, 1], more than 5 pixels a side, to float64 ``[B]``.

    The mean over pixels and channels, with torchmetrics' window (a Gaussian of 11 x 11, sigma 1.5) and constants.
    """
    # It compares brightness, which it takes to be positive: [0, 1]. And it subtracts squares that are nearly equal, so
    # that in float32 a picture would not quite be its own equal; convolutions in float64 are slow, these products not.
    x, y = ((image.double() + 1) / 2 for image in (made, real))
    rows, columns = (_blurring(side).to(x.device) for side in x.shape[-2:])
    mean_x, mean_y, xx, yy, xy = rows.T @ torch.stack([x, y, x * x, y * y, x * y]) @ columns
    product, squares = mean_x * mean_y, mean_x**2 + mean_y**2
    brightness = (2 * product + 0.01**2) / (squares + 0.01**2)
    structure = (2 * (xy - product) + 0.03**2) / (xx + yy - squares + 0.03**2)
    return (brightness * structure).mean(dim=(1, 2, 3))


def _blurring(side: int) -> Tensor:
    """What a row of ``side`` numbers is multiplied with for SSIM's window, the row mirrored at its ends: float64."""
    window = torch.exp(-(torch.arange(-5, 6, dtype=torch.float64) ** 2) / (2 * 1.5**2))
    mirrored = torch.nn.functional.pad(torch.eye(side, dtype=torch.float64), (5, 5), mode="reflect")
    return mirrored.unfold(1, 11, 1) @ (window / window.sum())


def around(region: Tensor, margin: float) -> Tensor:
    """``region`` (bool ``[B, H, W]``) and a band about it, ``margin`` times the picture's height wide."""
    reach = 2 * round(margin * region.shape[-1]) + 1
    wide = region.float()[:, None]
    for window in ((reach, 1), (1, reach)):
        wide = torch.nn.functional.max_pool2d(wide, window, stride=1, padding=(window[0] // 2, window[1] // 2))
    return wide[:, 0] > 0


def mean_outside(region: Tensor, values: Tensor) -> Tensor:
    """Mean of ``values [B, H, W]`` where ``region`` (bool) is not, ``[B]``; NaN where it is everywhere."""
    return (values * ~region).sum(dim=(1, 2)) / (~region).sum(dim=(1, 2))


def grey_levels(one: Tensor, other: Tensor) -> Tensor:
    """How far two pictures are apart, pixel by pixel, in levels of 0 to 255: ``[B, 3, H, W]`` to ``[B, H, W]``."""
    return (one - other).abs().mean(dim=1) * 127.5


def locality(before: Tensor, after: Tensor, edited: Tensor, margin: float = 0.1) -> Tensor:
    """How many times more an edit changes the edited region than what is far from it, by picture.

    Mean absolute difference of ``before`` and ``after`` (``[B, 3, H, W]``) inside ``edited`` (bool ``[B, H, W]``) over
    the same outside a band of ``margin`` times the picture's height around it: ``[B]``. NaN where nothing is edited or
    nothing is far.
    """
    change = (after - before).abs().mean(dim=1)
    return mean_outside(~edited, change) / mean_outside(around(edited, margin), change)
