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
        wrong = None
        try:
            found = function(*arguments)
        except Exception as error:  # whatever an answer raises belongs to the answer, not to the notebook
            wrong = f"{type(error).__name__}: {error}."
        else:
            if found is None:
                wrong = "your turn."
            elif not _agree(found, expected):
                wrong = f"case {k} of {len(cases)} differs."
        if wrong:
            print(f"Exercise {name}: {wrong} Hint: {hint}")
            return False
    print(f"Exercise {name}: passed, all {len(cases)} cases agree.")
    return True


def _agree(found: Any, expected: Any) -> bool:
    try:
        found, expected = (
            np.asarray(x.detach().cpu()) if isinstance(x, Tensor) else np.asarray(x) for x in (found, expected)
        )
        if found.shape != expected.shape:
            return False
        if np.issubdtype(expected.dtype, np.floating):
            return bool(np.allclose(found, expected, rtol=1e-5, atol=1e-5, equal_nan=True))
        return bool(np.array_equal(found, expected))
    except (TypeError, ValueError):
        return False
