"""Keeping the photo where nothing was edited, without a seam."""

from functools import lru_cache

import numpy as np
from scipy import ndimage

from maskgan_lib.edits import changed

WHOLE, FEATHER = 1 / 64, 1 / 20
"""Around the edited region the render is kept whole for so much of the picture's side, and fades within so much."""
COLOUR_SCALE = 1 / 16
"""Colours are compared after a Gaussian blur of this standard deviation, in sides of the picture."""
DOUBT = 0.02
"""Share of known pixels under the blur at which half of the colour difference is believed."""


def edit_layer(
    render: np.ndarray,
    photo: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    reconstruction: np.ndarray,
    strength: float = 1.0,
    restyled: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """What is to lie over ``photo``, float32 ``[S, S, 3]``, and with what weight, float32 ``[S, S, 1]`` in [0, 1].

    The edited region is where the label maps ``before`` and ``after``, uint8 ``[S, S]``, differ: there lies ``render``,
    which like all pictures here is uint8 ``[S, S, 3]``. It has a soft edge, and is moved to the photo's colours by what
    the network got wrong nearby: the blurred difference of the photo and ``reconstruction``, the render of ``before``,
    over pixels that were not edited.

    Args:
        strength: with 1 the weight is 0 far from the edit, with 0 the render covers all; values between are mixtures.
        restyled: bool ``[S, S]``, pixels that count as edited although their class may be the same.
    """
    if not render.shape == photo.shape == reconstruction.shape == (*before.shape, 3) or before.shape != after.shape:
        raise ValueError("Pictures and label maps must have one size, S x S x 3 and S x S.")
    if not 0 <= strength <= 1:
        raise ValueError(f"The strength must be between 0 and 1, not {strength}.")
    edited = changed(before, after) if restyled is None else changed(before, after) | restyled
    share = feather(edited)[..., None]
    matched = np.clip(render + colour_difference(photo, reconstruction, ~edited), 0, 255)
    weight = 1 - np.float32(strength) * (1 - share)
    layer = (strength * share * matched + (1 - strength) * render) / np.maximum(weight, 1e-6)
    return layer.astype(np.float32), weight


def lay_over(photo: np.ndarray, layer: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """uint8: ``photo`` with ``layer`` over it; where the weight is 0 it stays bit for bit."""
    return np.rint(weight * layer + (1 - weight) * photo).astype(np.uint8)


def feather(region: np.ndarray) -> np.ndarray:
    """float32 ``[S, S]``: 1 in and close to the bool ``region``, smoothly down to exactly 0 farther away."""
    if not region.any():
        return np.zeros(region.shape, np.float32)
    side = max(region.shape)
    whole, width = WHOLE * side, FEATHER * side
    distance = ndimage.distance_transform_edt(~region)
    share = np.clip(1 - (distance - whole) / width, 0, 1)
    return (share * share * (3 - 2 * share)).astype(np.float32)


def colour_difference(photo: np.ndarray, reconstruction: np.ndarray, known: np.ndarray) -> np.ndarray:
    """float32 ``[S, S, 3]``: how much brighter the photo is than its reconstruction, blurred over ``known`` pixels.

    Where none is near, the difference fades to nothing.
    """
    down, along = (_blur(side, COLOUR_SCALE) for side in known.shape)
    weight = known.astype(np.float32)
    difference = (photo.astype(np.float32) - reconstruction) * weight[..., None]
    blurred = np.stack([down @ difference[..., channel] @ along.T for channel in range(3)], axis=-1)
    return blurred / (down @ weight @ along.T + DOUBT)[..., None]


@lru_cache(maxsize=4)
def _blur(side: int, deviation: float) -> np.ndarray:
    """float32 ``[side, side]``: the matrix that blurs a column by a Gaussian of a standard deviation in sides.

    What lies outside of the picture counts as nothing.
    """
    place = np.arange(side, dtype=np.float32)
    weights = np.exp(-0.5 * ((place[:, None] - place) / (deviation * side)) ** 2)
    return weights / weights.sum(1).max()
