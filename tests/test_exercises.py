"""Checks of answers: right, wrong, missing and raising ones."""

import numpy as np
import pytest
import torch

from maskgan_lib.course.exercises import check

CASES = [((2,), 4), ((3,), 9)]


def broken(x):
    raise KeyError("nose")


@pytest.mark.parametrize(
    "answer", [lambda x: None, lambda x: x + x, broken, lambda: 4, lambda x: "text", lambda x: [x], lambda x: [[x], x]]
)
def test_only_a_right_answer_gets_no_hint_and_nothing_is_raised(answer, capsys):
    assert check("9.1", lambda x: x * x, CASES, "square it") is True
    assert "square it" not in capsys.readouterr().out
    assert check("9.1", answer, CASES, "square it") is False
    assert "square it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "expected", "right"),
    [
        (np.array([[1, 2]]), [[1, 2]], True),
        (torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([1.0, 2.0 + 1e-7]), True),
        (torch.tensor([1.0, 2.0]), [1.0, 2.1], False),
        (np.array([1.0, np.nan]), [1.0, np.nan], True),
        (np.array([1, 2]), [[1, 2]], False),
        (np.array([1.000001]), [1], False),
        (1.0, [1.0], False),
    ],
)
def test_arrays_agree_in_shape_and_value(found, expected, right):
    assert check("9.2", lambda: found, [((), expected)], "look again") is right
