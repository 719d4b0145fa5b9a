"""What the answers of a survey say: how often each method is preferred, and how far raters agree.

Answers about one item are alike, whoever gives them, so intervals come from resampling items with all their answers.
They tell how the same raters would answer about other items, not what other raters would say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskgan_lib.evaluation.comparison import FEWEST_FACES
from maskgan_lib.evaluation.survey.answers import Answer, read_answers
from maskgan_lib.evaluation.survey.session import LETTERS

RESAMPLES = 2000


@dataclass(frozen=True)
class Share:
    """``chosen`` of the ``asked`` answers that could have chosen it, as a share in [0, 1] with its 95 % interval.

    ``by_chance`` is the share that choosing blindly would give.
    """

    share: float
    low: float
    high: float
    chosen: int
    asked: int
    by_chance: float

    def __str__(self) -> str:
        return f"{100 * self.share:.0f} % [{100 * self.low:.0f}, {100 * self.high:.0f}]"


@dataclass(frozen=True)
class Kappa:
    """Fleiss' kappa with its 95 % interval over the ``items`` that two raters or more have answered.

    1 is full agreement, 0 what chance would give; NaN where no item has two raters, or all answers name one method.
    """

    kappa: float
    low: float
    high: float
    items: int

    def __str__(self) -> str:
        return "not defined" if np.isnan(self.kappa) else f"{self.kappa:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class SurveyReport:
    """Everything that is said of a survey: ``preferences`` and ``kappas`` by criterion, ``positions`` by letter."""

    preferences: dict[str, dict[str, Share]]
    kappas: dict[str, Kappa]
    positions: dict[str, Share]
    answers: int
    items: int
    raters: int

    def markdown(self) -> str:
        """A table of preferences and agreement, one of positions, and how to read them."""
        criteria = list(self.preferences)
        methods = sorted({method for shares in self.preferences.values() for method in shares})
        rows = [[m, *(str(self.preferences[c].get(m, "")) for c in criteria)] for m in methods]
        rows.append(["agreement of raters (Fleiss' kappa)", *(str(self.kappas[c]) for c in criteria)])
        chosen = ["chosen", *map(str, self.positions.values())]
        blindly = ["if chosen blindly", *(f"{100 * share.by_chance:.0f} %" for share in self.positions.values())]
        return "\n\n".join(
            [
                _table(["preferred in [95 % interval]", *criteria], rows),
                _table(["position", *self.positions], [chosen, blindly]),
                self._note(),
            ]
        )

    def _note(self) -> str:
        raters = "1 rater" if self.raters == 1 else f"{self.raters} raters"
        note = [
            f"{self.answers} answers about {self.items} items by {raters}. Intervals come from resampling items with "
            "all their answers: they hold for other items and these raters."
        ]
        if self.items < FEWEST_FACES:
            note.append(f"With fewer than {FEWEST_FACES} items they tell little.")
        if self.raters == 1:
            note.append("With one rater there is no agreement to measure.")
        return " ".join(note)


def report(answers: str | Path | Sequence[Answer]) -> SurveyReport:
    """All of a survey's figures, from its CSV or its answers. ``DataError`` if there is no such CSV."""
    answers = _loaded(answers)
    return SurveyReport(
        shares(answers),
        agreement(answers),
        positions(answers),
        len(answers),
        len({answer.item for answer in answers}),
        len({answer.rater for answer in answers}),
    )


def shares(answers: str | Path | Sequence[Answer]) -> dict[str, dict[str, Share]]:
    """How often each method was chosen where it was shown, by criterion and method."""
    return {
        criterion: _shares(of_criterion, lambda answer: answer.shown, lambda answer: answer.method)
        for criterion, of_criterion in _by_criterion(_loaded(answers)).items()
    }


def positions(answers: str | Path | Sequence[Answer]) -> dict[str, Share]:
    """How often the result at A, B, ... was chosen, whatever it was: far from ``by_chance``, raters favour a place."""
    return _shares(_loaded(answers), lambda answer: LETTERS[: len(answer.shown)], lambda answer: answer.position)


def agreement(answers: str | Path | Sequence[Answer]) -> dict[str, Kappa]:
    """Fleiss' kappa by criterion."""
    kappas = {}
    for criterion, of_criterion in _by_criterion(_loaded(answers)).items():
        items, methods = _distinct(a.item for a in of_criterion), _distinct(a.method for a in of_criterion)
        counts = np.zeros((len(items), len(methods)), int)
        for answer in of_criterion:
            counts[items[answer.item], methods[answer.method]] += 1
        counts = counts[counts.sum(axis=1) >= 2]
        drawn = [fleiss_kappa(np.repeat(counts, times, axis=0)) for times in _resamples(len(counts))]
        kappas[criterion] = Kappa(fleiss_kappa(counts), *_interval(np.array(drawn)), len(counts))
    return kappas


def fleiss_kappa(counts: np.ndarray) -> float:
    """Agreement of raters beyond chance (Fleiss 1971): ``counts [i, j]`` raters put item i into category j.

    Items may have different numbers of raters; those with fewer than two are left out. NaN if none is left, or if all
    ratings are in one category.
    """
    raters = counts.sum(axis=1)
    counts, raters = counts[raters >= 2], raters[raters >= 2]
    if not len(counts) or (counts.sum(axis=0) > 0).sum() < 2:
        return np.nan
    agreeing = (counts * (counts - 1)).sum(axis=1) / (raters * (raters - 1))  # pairs of raters, item by item
    by_chance = np.square(counts.sum(axis=0) / raters.sum()).sum()
    return float((agreeing.mean() - by_chance) / (1 - by_chance))


def _loaded(answers: str | Path | Sequence[Answer]) -> Sequence[Answer]:
    return read_answers(answers) if isinstance(answers, (str, Path)) else answers


def _by_criterion(answers: Sequence[Answer]) -> dict[str, list[Answer]]:
    return {name: [a for a in answers if a.criterion == name] for name in _distinct(a.criterion for a in answers)}


def _distinct(names) -> dict[str, int]:
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def _shares(
    answers: Sequence[Answer], options: Callable[[Answer], Sequence[str]], choice: Callable[[Answer], str]
) -> dict[str, Share]:
    """The share of each option among the answers that had it."""
    items = _distinct(answer.item for answer in answers)
    names = _distinct(sorted({name for answer in answers for name in options(answer)}))
    chosen, asked, blindly = np.zeros((3, len(items), len(names)))
    for answer in answers:
        item = items[answer.item]
        chosen[item, names[choice(answer)]] += 1
        for name in options(answer):
            asked[item, names[name]] += 1
            blindly[item, names[name]] += 1 / len(options(answer))
    times = _resamples(len(items))
    with np.errstate(invalid="ignore"):  # a resample may lack the items that an option belongs to
        drawn = (times @ chosen) / (times @ asked)
    totals = chosen.sum(axis=0), asked.sum(axis=0), blindly.sum(axis=0)
    return {
        name: Share(hit / tried, *_interval(drawn[:, place]), int(hit), int(tried), guessed / tried)
        for (name, place), hit, tried, guessed in zip(names.items(), *totals)
    }


def _resamples(count: int) -> np.ndarray:
    """How often each of ``count`` items is drawn in each resample, ``[RESAMPLES, count]``; from a fixed seed."""
    if not count:
        return np.zeros((RESAMPLES, 0), int)
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)


def _interval(drawn: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resamples, NaNs left out."""
    known = drawn[np.isfinite(drawn)]
    return tuple(np.quantile(known, [0.025, 0.975]).tolist()) if len(known) else (np.nan, np.nan)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(line) + " |" for line in [heads, ["---"] * len(heads), *rows])
