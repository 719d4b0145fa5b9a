"""Checks of answers: right, wrong, missing and raising ones; hidden tests, and hints for those who ask."""

import numpy as np
import pytest
import torch

from maskgan_lib.course import exercises
from maskgan_lib.course.exercises import check, hint

CASES = [((2,), 4), ((3,), 9)]
KEPT = """
HINTS = {"9.1": ["look at the square", "x * x"]}

def test_9_1_negative(square):
    "negative numbers have squares, too"
    assert square(-3) == 9, f"{square(-3)} for -3"

def test_9_1_named(square):
    "x may be named"
    assert square(x=2) == 4

def test_9_11_is_of_another_exercise(square):
    raise RuntimeError
"""


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch):
    (tmp_path / "exercises").mkdir()
    (tmp_path / "exercises" / "09_name.py").write_text(KEPT)
    monkeypatch.setattr(exercises, "NOTEBOOKS", tmp_path)
    monkeypatch.setattr(exercises, "_given", exercises.Counter())


def broken(x):
    raise KeyError("nose")


@pytest.mark.parametrize(
    "answer", [lambda x: None, lambda x: x + x, broken, lambda: 4, lambda x: "text", lambda x: [x], lambda x: [[x], x]]
)
def test_a_wrong_answer_is_told_where_to_get_help_and_nothing_is_raised(answer, capsys):
    assert check("9.1", lambda x: x * x, CASES) is True
    assert "hint(" not in capsys.readouterr().out
    assert check("9.1", answer, CASES) is False
    assert 'hint("9.1")' in capsys.readouterr().out


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
    assert check("9.2", lambda: found, [((), expected)]) is right


def test_hidden_tests_see_what_the_cases_do_not(capsys):
    assert check("9.1", lambda x: x * abs(x), CASES) is False
    assert "negative numbers have squares, too (-9 for -3)" in capsys.readouterr().out
    assert check("9.1", lambda y: y * y, CASES) is False
    assert "x may be named (TypeError" in capsys.readouterr().out
    assert check("9.1", lambda x: x * x) is True
    assert "2 hidden tests" in capsys.readouterr().out


def test_nothing_to_check_an_answer_with_is_no_success(capsys):
    assert check("9.3", lambda x: x) is False and check("8.1", lambda x: x) is False
    assert "nothing to check it with" in capsys.readouterr().out


def test_hints_come_one_by_one_and_end_with_the_place_of_the_solution(capsys):
    said = []
    for _ in range(3):
        hint("9.1")
        said.append(capsys.readouterr().out)
    assert "1 of 2" in said[0] and "look at the square" in said[0] and "solutions/" not in said[0]
    assert "x * x" in said[1] and "solutions/09_name.py" in said[1] and said[2] == said[1]
    hint("9.7")
    assert "'9.7'" in capsys.readouterr().out
    hint("7.1")
    assert capsys.readouterr().out.count("\n") == 1
