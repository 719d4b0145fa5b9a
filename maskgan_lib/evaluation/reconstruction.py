"""How well MaskVAE, and methods that render a mask, give back unseen faces; whether an edit stays where it was made."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.classes import GROUPS
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.edits import changed, replace_parts
from maskgan_lib.evaluation.metrics import (
    bootstrap_interval,
    confusion_matrix,
    locality,
    mean_iou,
    pixel_accuracy,
    psnr,
)
from maskgan_lib.methods.spade import SPADEGenerator
from maskgan_lib.networks import AlphaBlender, DenseMappingNetwork, MaskVAE, one_hot
from maskgan_lib.training.ebst import simulate_edits


@dataclass(frozen=True)
class Figure:
    """One measured value, on how many faces; a mean over faces has a bootstrap 95 % interval."""

    name: str
    value: float
    unit: str
    faces: int
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        between = f" [{self.interval[0]:.4g}, {self.interval[1]:.4g}]" if self.interval else ""
        return f"{self.name}: {self.value:.4g}{between} {self.unit}".rstrip() + f" (n = {self.faces})"


def mean_over_faces(name: str, values: np.ndarray, unit: str) -> Figure:
    """Mean of one value a face, those that are not finite left out, with its interval."""
    values = values[np.isfinite(values)]
    return Figure(name, float(values.mean()), unit, len(values), bootstrap_interval(values))


def pairs(faces: PackedFaces, indices: np.ndarray, size: int = 16) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Images ``[B, 3, S, S]`` in [-1, 1] and masks, uint8 ``[B, S, S]``, of the faces ``indices`` in order."""
    for start in range(0, len(indices), size):
        images, masks = faces.read(indices[start : start + size])
        yield to_float_image(images), masks


@torch.no_grad()
def measure_maskvae(network: MaskVAE, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """Pixel accuracy and mean IoU over the classes present of the masks ``indices``, decoded from their mean code."""
    device = next(network.parameters()).device
    total = torch.zeros(19, 19, dtype=torch.int64)
    for _, masks in pairs(faces, indices):
        labels = torch.as_tensor(masks, device=device)
        logits, _, _ = network(one_hot(labels))
        total += confusion_matrix(logits.argmax(dim=1), labels).cpu()
    return [
        Figure("pixel accuracy", pixel_accuracy(total), "", len(indices)),
        Figure("mean IoU over the classes present", mean_iou(total), "", len(indices)),
    ]


@torch.no_grad()
def measure_dmn(network: DenseMappingNetwork | SPADEGenerator, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """PSNR of the faces ``indices`` rendered from their own mask and style, and the locality of a swapped mouth.

    The mouth of the next face in the list takes the place of each face's own; pairs that agree there are left out.
    """
    device = next(network.parameters()).device
    quality, ratio = [], []
    for image, masks in pairs(faces, indices):
        image, mask = image.to(device), one_hot(torch.as_tensor(masks, device=device))
        style = network.encode_style(image, mask)
        made = network.render(mask, style)
        quality.append(psnr(made, image).cpu())
        swapped = [replace_parts(a, b, GROUPS["mouth"]) for a, b in zip(masks, np.roll(masks, -1, axis=0), strict=True)]
        edited = torch.as_tensor(np.stack([changed(a, b) for a, b in zip(masks, swapped, strict=True)]), device=device)
        after = network.render(one_hot(torch.as_tensor(np.stack(swapped), device=device)), style)
        ratio.append(locality(made, after, edited).cpu())
    return [
        mean_over_faces("reconstruction PSNR", torch.cat(quality).numpy(), "dB"),
        mean_over_faces("change inside a swapped mouth over change far from it", torch.cat(ratio).numpy(), "times"),
    ]


@torch.no_grad()
def measure_blender(
    network: AlphaBlender, faces: PackedFaces, indices: np.ndarray, dmn: DenseMappingNetwork, maskvae: MaskVAE
) -> list[Figure]:
    """PSNR of the blends of two opposite edits of the faces ``indices``, and of the better one of the two renders.

    The next face in the list gives each edit its direction. ``dmn`` paints, ``maskvae`` edits.
    """
    device = next(network.parameters()).device
    blends, better = [], []
    for image, masks in pairs(faces, indices):
        image, mask = image.to(device), one_hot(torch.as_tensor(masks, device=device))
        edits = torch.cat(simulate_edits(maskvae, mask, mask.roll(-1, dims=0)))
        inter, outer = dmn(edits, image, mask).chunk(2)
        blends.append(psnr(network(inter, outer)[0], image).cpu())
        better.append(torch.maximum(psnr(inter, image), psnr(outer, image)).cpu())
    return [
        mean_over_faces("blend of two opposite edits, PSNR to the photo", torch.cat(blends).numpy(), "dB"),
        mean_over_faces("the better one of the two renders", torch.cat(better).numpy(), "dB"),
    ]
