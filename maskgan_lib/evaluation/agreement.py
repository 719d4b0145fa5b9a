"""What the answers of a survey say: how often each method is preferred, and how far raters agree.

Answers about one item are alike, whoever gives them, so intervals come from resampling items with all their answers.
They tell how the same raters would answer about other items, not what other raters would say.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskgan_lib.evaluation.estimates import FEWEST_ITEMS, RESAMPLES, Estimate, quantiles
from maskgan_lib.evaluation.report import Report, Table, TableRow
from maskgan_lib.evaluation.survey.answers import Answer, read_answers
from maskgan_lib.evaluation.survey.session import LETTERS


@dataclass(frozen=True)
class Preference:
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
class SurveyReport(Report):
    """All that is said of a survey.

    Args:
        preferences: by criterion and method, how often it was chosen where it was shown.
        kappas: by criterion, Fleiss' kappa over the items that two raters or more have answered: 1 is full agreement, 0
            what chance would give, NaN where no item has two raters or all answers name one method.
        positions: how often the result at A, B, ... was chosen, whatever it was: far from ``by_chance``, raters favour
            a place.
    """

    preferences: dict[str, dict[str, Preference]]
    kappas: dict[str, Estimate]
    positions: dict[str, Preference]
    answers: int
    items: int
    raters: int

    @property
    def parts(self) -> list[Table | str]:
        """A table of preferences and agreement, one of positions, and how to read them."""
        methods = sorted({method for shares in self.preferences.values() for method in shares})
        rows = {method: [shares.get(method, "") for shares in self.preferences.values()] for method in methods}
        rows["agreement of raters (Fleiss' kappa)"] = [
            f"{k.value:.2f} [{k.low:.2f}, {k.high:.2f}]" if k else "not defined" for k in self.kappas.values()
        ]
        places = {"chosen": self.positions.values()}
        places["if chosen blindly"] = [f"{100 * share.by_chance:.0f} %" for share in self.positions.values()]
        raters = "1 rater" if self.raters == 1 else f"{self.raters} raters"
        note = (
            f"{self.answers} answers about {self.items} items by {raters}. Intervals come from resampling items with "
            "all their answers: they hold for other items and these raters."
            + f" With fewer than {FEWEST_ITEMS} items they tell little." * (self.items < FEWEST_ITEMS)
            + " With one rater there is no agreement to measure." * (self.raters == 1)
        )
        parts = ("preferred in [95 % interval]", self.preferences, rows), ("position", self.positions, places)
        return [*(_table(*part) for part in parts), note]


def _table(corner: str, heads: Iterable[str], rows: dict[str, Iterable]) -> Table:
    shown = tuple(TableRow(name, tuple(map(str, cells))) for name, cells in rows.items())
    return Table("", tuple(heads), shown, corner=corner)


def report(answers: str | Path | Sequence[Answer]) -> SurveyReport:
    """All of a survey's figures, from its CSV or its answers. ``DataError`` if there is no such CSV."""
    answers = read_answers(answers) if isinstance(answers, (str, Path)) else answers
    of_criteria = {name: [a for a in answers if a.criterion == name] for name in _places(a.criterion for a in answers)}
    return SurveyReport(
        {name: _shares(some, lambda a: a.shown, lambda a: a.method) for name, some in of_criteria.items()},
        {name: _agreement(some) for name, some in of_criteria.items()},
        _shares(answers, lambda a: LETTERS[: len(a.shown)], lambda a: a.position),
        len(answers),
        len({answer.item for answer in answers}),
        len({answer.rater for answer in answers}),
    )


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


def _agreement(answers: Sequence[Answer]) -> Estimate:
    items, methods = _places(a.item for a in answers), _places(a.method for a in answers)
    counts = np.zeros((len(items), len(methods)), int)
    for answer in answers:
        counts[items[answer.item], methods[answer.method]] += 1
    counts = counts[counts.sum(axis=1) >= 2]
    drawn = [fleiss_kappa(np.repeat(counts, times, axis=0)) for times in _resamples(len(counts))]
    return Estimate(fleiss_kappa(counts), *quantiles(np.array(drawn)), len(counts))


def _shares(
    answers: Sequence[Answer], options: Callable[[Answer], Sequence[str]], choice: Callable[[Answer], str]
) -> dict[str, Preference]:
    """The share of each option among the answers that had it."""
    items, names = _places(a.item for a in answers), _places(sorted({name for a in answers for name in options(a)}))
    chosen, asked, blindly = np.zeros((3, len(items), len(names)))
    for answer in answers:
        chosen[items[answer.item], names[choice(answer)]] += 1
        had = [names[name] for name in options(answer)]
        asked[items[answer.item], had] += 1
        blindly[items[answer.item], had] += 1 / len(had)
    times = _resamples(len(items))
    with np.errstate(invalid="ignore"):  # a resample may lack the items that an option belongs to
        drawn = (times @ chosen) / (times @ asked)
    totals = zip(names, chosen.sum(axis=0), asked.sum(axis=0), blindly.sum(axis=0), drawn.T, strict=True)
    return {
        name: Preference(hit / tried, *quantiles(draws), int(hit), int(tried), guessed / tried)
        for name, hit, tried, guessed, draws in totals
    }


def _places(names: Iterable[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(dict.fromkeys(names))}


def _resamples(count: int) -> np.ndarray:
    """How often each of ``count`` items is drawn in each resample, ``[RESAMPLES, count]``; from a fixed seed."""
    if not count:
        return np.zeros((RESAMPLES, 0), int)
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), RESAMPLES)
