"""Checks of a reader's answers: they say what is right or give a hint, and never stop a notebook."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor


def check(name: str, function: Callable, cases: Sequence[tuple[tuple, Any]], hint: str) -> bool:
    """Call ``function`` on each of ``cases``, pairs of arguments and expected result, and print how it did.

    Numbers may differ by 1e-5, label maps not at all. A function that returns ``None`` counts as not written yet. An
    exception is printed, with the hint. Returns whether every case agreed.
    """
    for k, (arguments, expected) in enumerate(cases, 1):
        try:
            found = function(*arguments)
            if found is not None and _agree(_array(found), _array(expected)):
                continue
            wrong = "your turn." if found is None else f"case {k} of {len(cases)} differs."
        except Exception as error:  # whatever an answer raises belongs to the answer, not to the notebook
            wrong = f"{type(error).__name__}: {error}."
        print(f"Exercise {name}: {wrong} Hint: {hint}")
        return False
    print(f"Exercise {name}: passed, all {len(cases)} cases agree.")
    return True


def _array(answer: Any) -> np.ndarray:
    return np.asarray(answer.detach().cpu() if isinstance(answer, Tensor) else answer)


def _agree(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.shape != expected.shape or not np.issubdtype(expected.dtype, np.floating):
        return np.array_equal(found, expected)
    return np.allclose(found, expected, rtol=1e-5, atol=1e-5, equal_nan=True)
