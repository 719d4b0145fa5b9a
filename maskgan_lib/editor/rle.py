"""Masks as run lengths, the form in which they travel between the kernel and the browser.

A mask ``[S, S]`` is read row by row and becomes triples of bytes: class, low byte and high byte of a run's length. A
face of 512 x 512 pixels takes about 8 kB instead of 262 kB.
"""

import numpy as np

from maskgan_lib.classes import CLASS_TITLES, NUM_CLASSES
from maskgan_lib.data.errors import DataError

LONGEST_RUN = 65535


class EditError(DataError):
    """An edit that cannot be done, in one sentence: what is wrong and what to do. Nothing was changed by it."""


def encode_runs(mask: np.ndarray) -> bytes:
    """The runs of a mask, integer ``[S, S]`` with ids 0 to 18."""
    flat = np.ascontiguousarray(mask, np.uint8).ravel()
    starts = np.flatnonzero(np.concatenate([[True], flat[1:] != flat[:-1]]))
    lengths = np.diff(starts, append=flat.size)
    pieces = -(-lengths // LONGEST_RUN)  # a run that is too long for two bytes is cut
    values = np.repeat(flat[starts], pieces)
    runs = np.full(len(values), LONGEST_RUN)
    last = np.cumsum(pieces) - 1
    runs[last] = lengths - LONGEST_RUN * (pieces - 1)
    return np.stack([values, runs & 255, runs >> 8], axis=1).astype(np.uint8).tobytes()


def decode_runs(data: bytes, size: int) -> np.ndarray:
    """The mask uint8 ``[size, size]`` that ``data`` describes.

    ``EditError`` for anything but a whole mask of this size with ids 0 to 18. All is checked before memory is taken for
    the mask, so a few bytes that claim millions of pixels cost nothing.
    """
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise EditError(f"A mask comes as bytes, not as {type(data).__name__}: send its runs.")
    data = memoryview(data).cast("B")
    if len(data) % 3 or not 0 < len(data) <= 3 * size**2:
        raise EditError(f"A mask of {len(data)} bytes is not made of whole runs: send it again.")
    values, low, high = np.frombuffer(data, np.uint8).reshape(-1, 3).T
    pixels = int(low.sum(dtype=np.int64)) + 256 * int(high.sum(dtype=np.int64))
    if pixels != size**2:
        raise EditError(f"The runs of a mask have {pixels} pixels instead of {size**2}: send it again.")
    if values.max() >= NUM_CLASSES:
        raise EditError(_unknown_class(int(values.max())))
    return np.repeat(values, low.astype(np.int64) | high.astype(np.int64) << 8).reshape(size, size)


def check_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """A copy, uint8 ``[size, size]``, of a mask of any integer type; ``EditError`` if it is none of this size."""
    try:
        mask = np.asarray(mask)
    except ValueError:
        raise EditError("A mask has rows of one length: give an array.") from None
    if mask.dtype.kind not in "ui":
        raise EditError(f"A mask holds integer class ids, not {mask.dtype}: convert it.")
    if mask.shape != (size, size):
        raise EditError(f"The mask is {list(mask.shape)} instead of {[size, size]}: resize it by the nearest pixel.")
    wrong = mask[(mask < 0) | (mask >= NUM_CLASSES)]
    if wrong.size:
        raise EditError(_unknown_class(int(wrong[0])))
    return mask.astype(np.uint8)


def _unknown_class(number: int) -> str:
    return f"The mask holds the class {number}: use the ids 0 ({CLASS_TITLES[0]}) to 18 ({CLASS_TITLES[-1]})."
