"""Edits of label maps: parts of one face put into another, and what a network changes taken over into a mask."""

from collections.abc import Iterable

import numpy as np
from scipy import ndimage


def replace_parts(labels: np.ndarray, source: np.ndarray, ids: Iterable[int]) -> np.ndarray:
    """The label map ``labels`` with the parts ``ids`` of ``source`` in place of its own.

    Both are uint8 ``[H, W]``. Where an old part stuck out from under the new one, the nearest remaining class takes
    over: skin closes around a smaller mouth. ``ids=(10, 11, 12)``, or ``GROUPS["mouth"]``, swaps the mouth.
    """
    if labels.shape != source.shape:
        raise ValueError(f"label maps of two sizes: {labels.shape} and {source.shape}")
    ids = list(ids)
    old, new = np.isin(labels, ids), np.isin(source, ids)
    edited = fill_nearest(labels, old & ~new, known=~old)
    edited[new] = source[new]
    return edited


def fill_nearest(labels: np.ndarray, hole: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
    """A copy of ``labels`` in which each pixel of ``hole`` has the label of the nearest ``known`` pixel.

    ``labels`` is ``[H, W]``, ``hole`` and ``known`` bool ``[H, W]``; ``known`` is everything but the hole unless given.
    The distance is Euclidean, to pixel centres, and exact; of pixels equally near, the first from the top, then from
    the left, counts.
    """
    known = ~hole if known is None else known & ~hole
    filled = labels.copy()
    if known.any():
        # Transposed, the search prefers upper pixels to left ones among those that are equally near.
        columns, rows = ndimage.distance_transform_edt(~known.T, return_distances=False, return_indices=True)
        filled[hole] = labels[rows.T[hole], columns.T[hole]]
    return filled


def take_over(mask: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """``mask`` with the classes of ``after`` where ``before`` and ``after``, two outputs of a network, differ.

    All three are uint8 ``[S, S]``. The network's own errors, which are in both of its outputs, stay out.
    """
    return without_slivers(np.where(before == after, mask, after), before != after)


def without_slivers(mask: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """``mask``, uint8 ``[S, S]``, with another class for pixels in or beside ``changed`` that lie on thin lines.

    Where the network's edge ran beside the mask's own, a line of the old class is left between old and new. A pixel is
    on one if another class is as common around it as its own, and takes that class. "Around" is a square of 3 pixels in
    masks of up to 128 a side, of more in larger ones.
    """
    reach = max(1, mask.shape[0] // 128)
    present = np.unique(mask)
    counts = np.stack([_count_around(mask == label, reach) for label in present])
    own = np.searchsorted(present, mask)[None]
    others = counts.copy()
    np.put_along_axis(others, own, 0, axis=0)
    thin = (_count_around(changed, reach) > 0) & (others.max(0) >= np.take_along_axis(counts, own, axis=0)[0])
    return np.where(thin, present[others.argmax(0)], mask)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Bool ``[H, W]``: where two label maps differ, the region of an edit."""
    return before != after


def _count_around(region: np.ndarray, reach: int) -> np.ndarray:
    """Integer ``[H, W]``: how many pixels of ``region`` lie in the square of ``2 reach + 1`` pixels around each."""
    ones = np.ones((2 * reach + 1, 2 * reach + 1), np.uint16)
    return ndimage.correlate(region.astype(np.uint16), ones, mode="constant")
