"""Who is asked what in which order, and what was answered; no widget, no browser.

The order of the items and of the methods within an item is a function of seed, rater and item, so that methods change
places from item to item and from rater to rater, and a survey that is opened again goes on where it was.
"""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from maskgan_lib.data.errors import DataError
from maskgan_lib.evaluation.survey.answers import TAKEN_BACK, Answer, append_answer, open_answers

LETTERS = "ABCDEFGHI"
"""What the results are called; one for each of the keys 1 to 9."""


CRITERIA = {
    "quality": "Which result does best what is asked for?",
    "realism": "Which result looks most like a real photo?",
}
"""Transfer or style quality, and realism: the paper's two, one after the other for each item; by name, the question."""


@dataclass(frozen=True, eq=False)
class SurveyItem:
    """What the methods made of one request. Pictures are uint8 ``[H, W, 3]``.

    ``results`` holds 2 to 9 pictures by method name. ``task`` says in a sentence what was asked of the methods, e.g.
    "Give the target the source's smile." ``key`` names the item in the answers: other pictures need another key, or
    another file of answers.
    """

    key: str
    target: np.ndarray
    source: np.ndarray | None
    results: Mapping[str, np.ndarray]
    task: str

    def __post_init__(self):
        for name in (self.key, *self.results):
            _check_name(name, "The name of an item or a method")
        if not 2 <= len(self.results) <= len(LETTERS):
            raise ValueError(f"Item {self.key!r} has {len(self.results)} results: 2 to {len(LETTERS)} can be shown.")
        given = {"target": self.target} | ({} if self.source is None else {"source": self.source})
        for name, picture in {**given, **self.results}.items():
            shape, dtype = np.shape(picture), getattr(picture, "dtype", type(picture))
            if dtype != np.uint8 or len(shape) != 3 or shape[2] != 3 or 0 in shape:
                raise ValueError(f"{name!r} of item {self.key!r} is {dtype} {list(shape)}, not uint8 [H, W, 3].")


@dataclass(frozen=True)
class Question:
    """An item, which of ``CRITERIA`` it is asked about, and the order in which the methods are shown.

    ``number`` counts from 0 over items and criteria.
    """

    number: int
    item: SurveyItem
    criterion: str
    shown: tuple[str, ...]

    @property
    def pictures(self) -> list[np.ndarray]:
        """The results in the order in which they are shown."""
        return [self.item.results[method] for method in self.shown]


class SurveySession:
    """One rater's way through a survey; every answer is on the disk before it counts.

    Args:
        answers: CSV of all raters; what ``rater`` has answered in it is not asked again.
        rater: a name or a pseudonym. Whoever answers under two names counts twice.
        seed: of the orders. One study keeps one.

    Raises:
        DataError: the file cannot be written, or holds answers about other items or methods.
        ValueError: there is no item, two share a key, or a name cannot be stored on one line.
    """

    def __init__(self, items: Sequence[SurveyItem], answers: str | Path, rater: str, seed: int = 0):
        _check_name(rater, "The rater's name")
        by_key = {item.key: item for item in items}
        if not items or len(by_key) < len(items):
            raise ValueError("A survey needs items, each with a key of its own.")
        self.rater, self.path = rater, Path(answers)
        self.questions = _questions(by_key, rater, seed)
        stored = open_answers(self.path)
        _check_fit(stored, by_key, self.path)
        self._answered = {(answer.item, answer.criterion) for answer in stored if answer.rater == rater}
        self.restart_clock()

    @property
    def total(self) -> int:
        """How many questions there are."""
        return len(self.questions)

    @property
    def answered(self) -> int:
        """How many of them this rater has answered."""
        return len(self._answered)

    @property
    def question(self) -> Question | None:
        """The first question without an answer; None at the end."""
        return next((q for q in self.questions if (q.item.key, q.criterion) not in self._answered), None)

    def restart_clock(self) -> None:
        """``seconds`` of the next answer count from now, e.g. from when the pictures are on the screen."""
        self._asked_at = time.monotonic()

    def answer(self, choice: int) -> None:
        """Chooses the result at place ``choice``, from 0. ``DataError`` if that cannot be stored: it is asked again."""
        question = self.question
        if question is None or not 0 <= choice < len(question.shown):
            raise ValueError(f"There is no result {choice} to choose.")
        self._store(question, question.shown[choice], LETTERS[choice])

    def back(self) -> None:
        """Takes back the answer to the question before this one, which is asked again. At the first: nothing."""
        current = self.question
        place = self.total if current is None else current.number
        if place:
            self._store(self.questions[place - 1], TAKEN_BACK, "")

    def _store(self, question: Question, method: str, position: str) -> None:
        seconds = round(time.monotonic() - self._asked_at, 2)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        place = (question.item.key, question.criterion)
        append_answer(self.path, Answer(self.rater, *place, method, position, question.shown, seconds, now))
        (self._answered.discard if method == TAKEN_BACK else self._answered.add)(place)
        self.restart_clock()


def _questions(items: Mapping[str, SurveyItem], rater: str, seed: int) -> list[Question]:
    """All questions in this rater's order, which depends neither on the order of the items nor of their results."""
    questions: list[Question] = []
    for key in sorted(items, key=lambda key: _digest(seed, rater, key, "place")):
        rng = np.random.default_rng(int.from_bytes(_digest(seed, rater, key, "methods")))
        shown = tuple(map(str, rng.permutation(sorted(items[key].results))))
        questions += [Question(len(questions) + i, items[key], c, shown) for i, c in enumerate(CRITERIA)]
    return questions


def _digest(*parts: str | int) -> bytes:
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def _check_name(name: str, what: str) -> None:
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ValueError(f"{what} is {name!r}: take some letters on one line.")


def _check_fit(answers: Sequence[Answer], items: Mapping[str, SurveyItem], path: Path) -> None:
    for answer in answers:
        if answer.item not in items:
            trouble = f"item {answer.item!r}"
        elif set(answer.shown) != set(items[answer.item].results):
            trouble = f"item {answer.item!r} with the methods {', '.join(sorted(answer.shown))}"
        elif answer.criterion not in CRITERIA:
            trouble = f"the criterion {answer.criterion!r}"
        else:
            continue
        raise DataError(f"{path} holds answers about another survey ({trouble}): name another file.")
