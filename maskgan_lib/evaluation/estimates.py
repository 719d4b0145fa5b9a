"""Estimates with 95 % intervals: means of items, statistics of sets, and trainings for the sample.

An item is what is measured once: a pair of faces, or a face with all that was made of it. Intervals resample items, or
leave groups of them out. A distance between sets cannot be resampled: a picture that is drawn twice makes its set look
poorer and the distance larger. There the items are cut into groups, the distance is computed again without each group,
and its spread over the groups (the jackknife) gives the interval.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from maskgan_lib.data.errors import DataError

FEWEST_ITEMS = 10
"""With fewer, resampling tells too little for a verdict."""

RESAMPLES = 2000

GROUPS = 20
"""Into so many groups the jackknife cuts the items."""

BETTER, WORSE, SAME, TOO_FEW = "better", "worse", "no difference seen", "too few faces"


@dataclass(frozen=True)
class Measure:
    """What is measured on a picture, in which unit, and in which direction it is better."""

    name: str
    unit: str
    higher_is_better: bool

    @property
    def better(self) -> str:
        """In a word."""
        return "higher" if self.higher_is_better else "lower"

    @property
    def title(self) -> str:
        """Name, unit and an arrow towards the better."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name}{unit} {'↑' if self.higher_is_better else '↓'}"


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval, NaN where there is none, over ``count`` items or trainings."""

    value: float
    low: float
    high: float
    count: int

    def __bool__(self) -> bool:
        return bool(np.isfinite(self.value))

    def __str__(self) -> str:
        value, low, high = (round(number, 9) for number in (self.value, self.low, self.high))  # rounding errors are 0
        if not self:
            return ""
        return f"{value:.4g}" + (f" [{low:.3g}, {high:.3g}]" if np.isfinite(low) else "")


EMPTY = Estimate(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True)
class Figure:
    """One measured value of a model card, on how many faces; a mean over faces has a bootstrap 95 % interval."""

    name: str
    value: float
    unit: str
    faces: int
    interval: tuple[float, float] | None = None

    def __str__(self) -> str:
        between = f" [{self.interval[0]:.4g}, {self.interval[1]:.4g}]" if self.interval else ""
        return f"{self.name}: {self.value:.4g}{between} {self.unit}".rstrip() + f" (n = {self.faces})"


def mean_over_faces(name: str, values: np.ndarray, unit: str) -> Figure:
    """Mean of one value a face, those that are not finite left out; ``DataError`` if none is left."""
    found = mean_estimate(values)
    if not found:
        raise DataError(f"None of {len(values)} faces tells the {name}: take more faces.")
    return Figure(name, found.value, unit, found.count, (found.low, found.high))


def mean_known(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """Mean without the NaNs; NaN, and no warning, where nothing else is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    return np.where(known, values, 0).sum(axis=axis) / np.where(count, count, np.nan)


def mean_estimate(values: np.ndarray) -> Estimate:
    """Mean of one value an item (those that are not finite left out), with the bootstrap's interval."""
    values = values[np.isfinite(values)]
    return Estimate(float(values.mean()), *bootstrap_interval(values), len(values)) if len(values) else EMPTY


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of ``values`` (NaN left out) from ``RESAMPLES`` resamples, as (low, high)."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    return quantiles(np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(axis=1))


def quantiles(draws: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of resampled statistics, NaNs left out; NaN if nothing is left."""
    known = draws[np.isfinite(draws)]
    return tuple(np.quantile(known, [0.025, 0.975]).tolist()) if len(known) else (np.nan, np.nan)


def jackknife(statistic: Callable[[np.ndarray], float], count: int) -> Estimate:
    """``statistic`` of the places 0 .. ``count`` - 1, with the jackknife's interval; of few places there is none.

    A group is left out as one run of neighbours: "another person" in a verification is the next pair's.
    """
    places = np.arange(count)
    value = statistic(places)
    if count < FEWEST_ITEMS:
        return Estimate(value, np.nan, np.nan, count)
    groups = min(GROUPS, count)
    without = np.array([statistic(places[places * groups // count != group]) for group in range(groups)])
    return _students(value, np.sqrt((groups - 1) / groups * ((without - without.mean()) ** 2).sum()), groups, count)


def over_trainings(values: np.ndarray) -> Estimate:
    """Mean of one value a training (NaN left out), with Student's interval; of one training there is none."""
    values = values[np.isfinite(values)]
    count = len(values)
    if count < 2:
        return Estimate(float(values.mean()), np.nan, np.nan, 1) if count else EMPTY
    return _students(float(values.mean()), values.std(ddof=1) / np.sqrt(count), count, count)


def _students(value: float, error: float, sample: int, count: int) -> Estimate:
    """Within the reach in which Student's distribution of ``sample`` - 1 degrees of freedom has 95 % of its mass."""
    reach = float(stdtrit(sample - 1, 0.975) * error)
    return Estimate(value, value - reach, value + reach, count)


def verdict(difference: Estimate, measure: Measure, fewest: float = FEWEST_ITEMS) -> str:
    """What a difference says: the first is better, worse, or not told apart; too few with less than ``fewest``."""
    if not difference or difference.count < fewest:
        return TOO_FEW
    if difference.low <= 0 <= difference.high:
        return SAME
    return BETTER if (difference.value > 0) == measure.higher_is_better else WORSE
