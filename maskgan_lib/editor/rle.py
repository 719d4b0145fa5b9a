"""Masks as run lengths, the form in which they travel between the kernel and the browser.

A mask ``[S, S]`` is read row by row and becomes triples of bytes: class, low byte and high byte of a run's length. A
face of 512 x 512 pixels takes about 8 kB instead of 262 kB.
"""

import numpy as np

from maskgan_lib.editor.checks import EditError, check_classes

LONGEST_RUN = 65535


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
    check_classes(values)
    return np.repeat(values, low.astype(np.int64) | high.astype(np.int64) << 8).reshape(size, size)
