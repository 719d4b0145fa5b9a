"""Checks of answers: right, wrong, missing and raising ones."""

import numpy as np
import pytest
import torch

from maskgan_lib.course.exercises import check

CASES = [((2,), 4), ((3,), 9)]


def test_a_right_answer_passes(capsys):
    assert check("9.1", lambda x: x * x, CASES, "square it")
    assert "passed, all 2 cases" in capsys.readouterr().out


def broken(x):
    raise KeyError("nose")


@pytest.mark.parametrize(
    "answer", [lambda x: None, lambda x: x + x, broken, lambda: 4, lambda x: "text", lambda x: [x]]
)
def test_any_other_answer_gets_the_hint_and_raises_nothing(answer, capsys):
    assert check("9.1", answer, CASES, "square it") is False
    assert "square it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("found", "expected", "right"),
    [
        (np.array([[1, 2]]), [[1, 2]], True),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0 + 1e-7]), True),
        (torch.tensor([1.0, 2.0]), [1.0, 2.1], False),
        (np.array([1, 2]), [[1, 2]], False),
        (np.array([1.0, 2.0]), [1, 2], True),
        (np.array([1.000001]), [1], False),
        ([3, 1], [1, 3], False),
        ([], [], True),
    ],
)
def test_arrays_agree_in_shape_and_value(found, expected, right, capsys):
    assert check("9.2", lambda: found, [((), expected)], "look again") is right
