"""Toy faces for tests: ellipses and boxes, each face in its own places and colours; and faces of noise."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.classes import CLASS_ID
from maskgan_lib.data.packed import FaceRecord, PackedFaces, PackedWriter

BOXES = {"l_eye": (0.62, 0.42), "r_eye": (0.38, 0.42), "nose": (0.5, 0.55), "mouth": (0.5, 0.72)}
"""Centre (x, y) of a part, in widths of the picture."""


def pack_toy_faces(folder: Path, count: int, size: int = 32, splits: tuple[str, ...] = ("train",)) -> PackedFaces:
    """``count`` faces of ``size`` pixels, two of each person; the splits take turns."""
    with PackedWriter(folder, size, count, "toy faces", ("Smiling",), {"count": count, "expressions": 2}) as writer:
        for i in range(count):
            image, mask = _draw(np.random.default_rng(i), size)
            record = FaceRecord(
                f"toy-{i}", splits[i % len(splits)], i // 2, {"Smiling": 1 if i % 2 else -1}, (0.0, 1.0, 2.0)
            )
            writer.write(i, image, mask, record)
        return writer.finish()


def pack_noise_faces(
    folder: Path,
    labels: list[tuple[int, ...]],
    splits: tuple[str, ...] = ("train",),
    names: tuple[str, ...] = ("Smiling", "Male", "Young"),
) -> PackedFaces:
    """Faces of noise, 32 x 32 pixels, with these attributes, 1 or -1 each, on masks of background."""
    names = names[: len(labels[0])]
    with PackedWriter(folder, 32, len(labels), "noise", names) as writer:
        for i, own in enumerate(labels):
            image = np.random.default_rng(i).integers(0, 256, (32, 32, 3), np.uint8)
            record = FaceRecord(str(i), splits[i % len(splits)], attributes=dict(zip(names, own, strict=True)))
            writer.write(i, image, np.zeros((32, 32), np.uint8), record)
        return writer.finish()


def pack_pictures(folder: Path, pictures: np.ndarray, masks: np.ndarray | None = None, **known: list) -> PackedFaces:
    """uint8 ``pictures [N, S, S, 3]``, on background without ``masks``; ``known`` of each is a field of its record."""
    masks = np.zeros(pictures.shape[:3], np.uint8) if masks is None else masks
    names = tuple(known["attributes"][0]) if "attributes" in known else ()
    with PackedWriter(folder, pictures.shape[1], len(pictures), "pictures", names) as writer:
        for i, (picture, mask) in enumerate(zip(pictures, masks, strict=True)):
            own = {field: values[i] for field, values in known.items()}
            writer.write(i, picture, mask, FaceRecord(str(i), "train", **own))
        return writer.finish()


def images(count: int, size: int = 32, seed: int = 0, dtype: torch.dtype | None = None) -> Tensor:
    """Noise in [-1, 1], ``[count, 3, size, size]``."""
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=dtype) * 2 - 1


def _draw(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    shift = rng.uniform(-0.08, 0.08, 2)
    width, height = rng.uniform(0.26, 0.36), rng.uniform(0.34, 0.42)
    mask = np.full((size, size), CLASS_ID["background"], np.uint8)
    for part, stretch in (("hair", 1.25), ("skin", 1.0)):
        inside = ((x - 0.5 - shift[0]) / width) ** 2 + ((y - 0.52 - shift[1]) / height) ** 2 < stretch**2
        mask[inside] = CLASS_ID[part]
    for part, (left, top) in BOXES.items():
        extent = rng.uniform(0.04, 0.08, 2)
        box = (abs(x - left - shift[0]) < extent[0]) & (abs(y - top - shift[1]) < extent[1])
        mask[box] = CLASS_ID[part]
    colors = rng.uniform(20, 235, (19, 3))
    shade = 1 - 0.2 * x[..., None]
    return (colors[mask] * shade).astype(np.uint8), mask
