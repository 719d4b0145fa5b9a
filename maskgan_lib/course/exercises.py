"""Checks of a reader's answers, and hints for those who ask. They print, and never stop a notebook.

What a chapter's exercises keep from the reader lies in ``notebooks/exercises``, in a file of the chapter's name:
``HINTS``, from the gentlest to the plainest for each exercise, and hidden tests. The tests of exercise 3.4 are called
``test_3_4_...``; they take the answer, assert, and their docstrings end the sentence "not yet: ...".
"""

import runpy
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from maskgan_lib.course.chapter import NOTEBOOKS, from_project

_given: Counter[str] = Counter()


class _Missing(Exception):
    """The answer is not written yet."""


def check(name: str, function: Callable, cases: Sequence[tuple[tuple, Any]] = ()) -> bool:
    """Print whether ``function`` answers the exercise ``name``, "3.4", and return it.

    It is called on each of ``cases``, pairs of arguments and expected result (numbers may differ by 1e-5, label maps
    not at all), and given to the hidden tests of the exercise. If it returns ``None``, it counts as not written yet.
    """

    def asked(*arguments: Any, **named: Any) -> Any:
        found = function(*arguments, **named)
        if found is None:
            raise _Missing
        return found

    kept, _ = _kept(name)
    tests = [kept[key] for key in kept if key.startswith(f"test_{name.replace('.', '_')}_")]
    what = ""
    try:
        assert cases or tests, "there is nothing to check it with"
        for k, (arguments, expected) in enumerate(cases, 1):
            what = f"case {k} of {len(cases)}"
            assert _agree(_array(asked(*arguments)), _array(expected)), "the results differ"
        for test in tests:
            what = test.__doc__
            test(asked)
    except Exception as error:  # whatever an answer raises belongs to the answer, not to the notebook
        why = str(error).partition("\n")[0] if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        wrong = "your turn." if isinstance(error, _Missing) else f"not yet: {what}{f' ({why})' * bool(why)}."
        print(f'Exercise {name}: {wrong} Ask for help with hint("{name}").')
        return False
    parts = [f"{len(cases)} cases"] * bool(cases) + [f"{len(tests)} hidden tests"] * bool(tests)
    print(f"Exercise {name}: passed, all {' and '.join(parts)}.")
    return True


def hint(name: str) -> None:
    """Print the next hint of the exercise ``name``, "3.4"; the first one gives away least."""
    kept, chapter = _kept(name)
    hints = kept["HINTS"].get(name, ())
    if not chapter:
        return
    if not hints:
        print(f"There is no exercise {name!r}: this chapter has {', '.join(kept['HINTS'])}.")
        return
    _given[name] = min(_given[name] + 1, len(hints))
    print(f"Hint {_given[name]} of {len(hints)} for {name}: {hints[_given[name] - 1]}")
    if _given[name] == len(hints):
        print(f"That was the last one. The solution is in solutions/{chapter}.")


def _kept(name: str) -> tuple[dict[str, Any], str]:
    """What the file of the chapter holds, and the file's name."""
    number = name.partition(".")[0].zfill(2)
    for path in NOTEBOOKS.glob(f"exercises/{number}_*.py"):
        return runpy.run_path(str(path)), path.name
    print(f"{from_project(NOTEBOOKS / 'exercises')} has no file of chapter {number}: there are no hints.")
    return {"HINTS": {}}, ""


def _array(answer: Any) -> np.ndarray:
    return np.asarray(answer.detach().cpu() if isinstance(answer, Tensor) else answer)


def _agree(found: np.ndarray, expected: np.ndarray) -> bool:
    if found.shape != expected.shape or not np.issubdtype(expected.dtype, np.floating):
        return np.array_equal(found, expected)
    return np.allclose(found, expected, rtol=1e-5, atol=1e-5, equal_nan=True)
