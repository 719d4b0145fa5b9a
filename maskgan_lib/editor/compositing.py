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


def keep_unedited(
    render: np.ndarray,
    photo: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    reconstruction: np.ndarray,
    strength: float = 1.0,
    restyled: np.ndarray | None = None,
) -> np.ndarray:
    """``photo`` with ``render`` in place of what was edited, uint8 ``[S, S, 3]`` like all pictures here.

    The edited region is where the label maps ``before`` and ``after``, uint8 ``[S, S]``, differ. A soft edge lies
    around it, and the render is moved to the photo's colours there by what the network got wrong nearby: the blurred
    difference of the photo and ``reconstruction``, the render of ``before``, over pixels that were not edited.

    Args:
        strength: 1 keeps the photo far from the edit bit for bit (all of it if nothing was edited), 0 gives the render,
            values between are mixtures of both.
        restyled: bool ``[S, S]``, pixels that count as edited although their class may be the same.
    """
    if not render.shape == photo.shape == reconstruction.shape == (*before.shape, 3) or before.shape != after.shape:
        raise ValueError("Pictures and label maps must have one size, S x S x 3 and S x S.")
    if not 0 <= strength <= 1:
        raise ValueError(f"The strength must be between 0 and 1, not {strength}.")
    if strength == 0:
        return render.copy()
    edited = changed(before, after) if restyled is None else changed(before, after) | restyled
    share = feather(edited)[..., None]
    matched = np.clip(render + colour_difference(photo, reconstruction, ~edited), 0, 255)
    composite = share * matched + (1 - share) * photo
    return np.rint(strength * composite + (1 - strength) * render).astype(np.uint8)


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
