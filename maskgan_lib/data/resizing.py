"""Packed faces at another size: for networks that have learnt at one size, and faces that were prepared at another."""

import numpy as np
from PIL import Image

from maskgan_lib.data.decoding import resize_labels
from maskgan_lib.data.packed import PackedFaces


def resized(faces: PackedFaces, indices: np.ndarray, size: int) -> PackedFaces:
    """The faces ``indices`` alone, ``size`` pixels a side, in memory; their ``source`` says that they were resized.

    Pictures by Lanczos, label maps by the nearest pixel.
    """
    images, masks = np.empty((len(indices), size, size, 3), np.uint8), np.empty((len(indices), size, size), np.uint8)
    for place, index in enumerate(indices):
        picture = Image.fromarray(faces.images[index])
        images[place] = np.asarray(picture.resize((size, size), Image.Resampling.LANCZOS))
        masks[place] = resize_labels(faces.masks[index], size)
    about = {
        "attribute_names": faces.attribute_names,
        "size": size,
        "source": f"{faces.source}, resized to {size} x {size} pixels",
        "made_by": faces.made_by,
    }
    return PackedFaces(faces.folder, images, masks, [faces.records[index] for index in indices], about)
