"""What is asked for and what a network makes of it: fit to be used, or an ``EditError`` of one sentence."""

import reprlib
from collections.abc import Callable

import numpy as np

from maskgan_lib.editor.rle import EditError

LONGEST_REASON = 200


def within(value: float, low: float, high: float, what: str) -> float:
    """``value``; ``what`` names it where it lies outside."""
    if not low <= value <= high:
        raise EditError(f"{what} goes from {low} to {high}, so {reprlib.repr(value)} cannot be done.")
    return float(value)


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
