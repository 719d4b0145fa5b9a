"""Faces at another size: for networks that have learnt at one size, and faces that were prepared at another."""

from dataclasses import replace

import numpy as np
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from maskgan_lib.data.batches import to_float_image, to_uint8_image
from maskgan_lib.data.packed import PackedFaces


def resize_images(images: Tensor, side: int) -> Tensor:
    """Pictures float ``[B, C, H, W]`` in [-1, 1] at ``side`` pixels a side: bilinear, without aliases.

    The one way in which a network gets pictures of another size than its own, so that a measure of it does not depend
    on who asks.
    """
    if images.shape[-2:] == (side, side):
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def resized(faces: PackedFaces, indices: np.ndarray, size: int) -> PackedFaces:
    """The faces ``indices`` alone, ``size`` pixels a side, in memory; their ``source`` says that they were resized.

    Pictures by ``resize_images``; a pixel of a label map gets the class that has most of its area.
    """
    images, masks = np.empty((len(indices), size, size, 3), np.uint8), np.empty((len(indices), size, size), np.uint8)
    for place, index in enumerate(indices):
        images[place] = to_uint8_image(resize_images(to_float_image(faces.images[[index]]), size))[0]
        masks[place] = _by_majority(faces.masks[index], size)
    source, records = f"{faces.source}, resized to {size} x {size} pixels", [faces.records[i] for i in indices]
    return replace(faces, images=images, masks=masks, records=records, size=size, source=source)


def _by_majority(labels: np.ndarray, size: int) -> np.ndarray:
    present = np.unique(labels)
    planes = [Image.fromarray((labels == label).astype(np.float32)) for label in present]
    shares = [np.asarray(plane.resize((size, size), Image.Resampling.BOX)) for plane in planes]
    return present[np.argmax(shares, axis=0)]
