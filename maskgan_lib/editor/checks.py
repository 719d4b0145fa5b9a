"""What is asked for and what a network makes of it: fit to be used, or an ``EditError`` of one sentence."""

import reprlib
from collections.abc import Callable

import numpy as np

from maskgan_lib.classes import CLASS_TITLES, NUM_CLASSES
from maskgan_lib.data.errors import DataError

EditError = DataError
"""An edit that cannot be done, in one sentence: what is wrong and what to do. Nothing was changed by it."""
LONGEST_REASON = 200


def within(value: float, low: float, high: float, what: str) -> float:
    """``value``; ``what`` names it where it lies outside."""
    if not low <= value <= high:
        raise EditError(f"{what} goes from {low} to {high}, so {reprlib.repr(value)} cannot be done.")
    return float(value)


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
    check_classes(mask)
    return mask.astype(np.uint8)


def check_classes(ids: np.ndarray) -> None:
    """``EditError`` if one of these integers is no class."""
    wrong = ids[(ids < 0) | (ids >= NUM_CLASSES)]
    if wrong.size:
        first, last = CLASS_TITLES[0], CLASS_TITLES[-1]
        raise EditError(f"The mask holds the class {wrong[0]}: use the ids 0 ({first}) to 18 ({last}).")


def attempt(what: str, work: Callable[[], np.ndarray]) -> np.ndarray:
    """The result of ``work``, a network's; its errors become one sentence that starts with ``what``."""
    try:
        return work()
    except EditError:
        raise
    except Exception as error:
        raise EditError(f"{what} ({reason(error)}): nothing was lost, so try again.") from error


def reason(error: Exception) -> str:
    """The first line of an error's text, not too long, or what kind of error it is."""
    text = str(error).strip().partition("\n")[0][:LONGEST_REASON].rstrip(".")
    return text or type(error).__name__


def read_only(array: np.ndarray) -> np.ndarray:
    """The array itself, locked, since states share it: it must be nobody else's."""
    array.flags.writeable = False
    return array
