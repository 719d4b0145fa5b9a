"""Tables of networks that were measured on the same edits of the same faces, and of their differences.

The edits of one face are alike, so a face counts once: its values over edits and seeds are averaged first, and
intervals come from resampling faces.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from maskgan_lib.evaluation.metrics import bootstrap_interval

ALL_EDITS = "all edits"
PHOTOS = "photos"
FEWEST_FACES = 10
"""With fewer, resampling tells too little for a verdict."""

BETTER, WORSE, SAME, TOO_FEW = "better", "worse", "no difference seen", "too few faces"
COLUMNS = ("table", "what", "measure", "unit", "better", "edit", "mean", "low", "high", "count", "verdict")


@dataclass(frozen=True)
class Measure:
    """What is measured on a picture, in which unit, and in which direction it is better."""

    name: str
    unit: str
    higher_is_better: bool

    @property
    def title(self) -> str:
        """Name, unit and an arrow towards the better."""
        unit = f" ({self.unit})" if self.unit else ""
        return f"{self.name}{unit} {'↑' if self.higher_is_better else '↓'}"


@dataclass(frozen=True)
class Row:
    """A mean with its 95 % interval: of ``what`` (a network, or one minus another) over ``count`` faces or runs."""

    what: str
    measure: Measure
    edit: str
    mean: float
    low: float
    high: float
    count: int
    verdict: str = ""

    def __str__(self) -> str:
        mean, low, high = (round(value, 9) for value in (self.mean, self.low, self.high))  # rounding errors are zeros
        return f"{mean:.4g} [{low:.3g}, {high:.3g}]"


@dataclass(frozen=True)
class Comparison:
    """Values by training run, network, measure, edit, seed of the edits and face; NaN where one does not apply.

    ``values`` is float ``[runs, N, M, E, K, F]``, ``photos`` ``[M, F]``: what the same judges say of the photos with
    their own masks, a bound for what they can say of a render. The last network is compared with each of the others.
    Several runs are the same networks trained from several seeds.
    """

    networks: tuple[str, ...]
    measures: tuple[Measure, ...]
    edits: tuple[str, ...]
    values: np.ndarray
    photos: np.ndarray

    @property
    def runs(self) -> int:
        """How often the networks were trained."""
        return len(self.values)

    @property
    def references(self) -> tuple[str, ...]:
        """The networks that the last one is compared with."""
        return self.networks[:-1]

    def of_faces(self, network: str, measure: int, edit: str = ALL_EDITS) -> np.ndarray:
        """Means over edits and seeds by run and face, ``[runs, F]``; NaN for a face that no edit applies to."""
        values = self.values[:, self.networks.index(network), measure]
        if edit != ALL_EDITS:
            values = values[:, [self.edits.index(edit)]]
        return mean_known(values, axis=(1, 2))

    def means(self, edit: str = ALL_EDITS) -> list[Row]:
        """Every network on every measure, over runs and faces; the photos first where a measure applies to them."""
        rows = []
        for k, measure in enumerate(self.measures):
            if np.isfinite(self.photos[k]).any():
                rows.append(over_faces(PHOTOS, measure, "none", self.photos[k]))
            rows += [
                over_faces(name, measure, edit, mean_known(self.of_faces(name, k, edit), axis=0))
                for name in self.networks
            ]
        return rows

    def differences(self, reference: str, edit: str = ALL_EDITS) -> list[Row]:
        """The last network minus ``reference`` on every measure, face by face, with a verdict."""
        rows = []
        for k, measure in enumerate(self.measures):
            row = over_faces(
                self._title(reference), measure, edit, mean_known(self._paired(reference, k, edit), axis=0)
            )
            rows.append(_judged(row, enough=row.count >= FEWEST_FACES))
        return rows

    def over_runs(self, reference: str) -> list[Row]:
        """The same differences over all edits with training seeds for the sample: Student's interval, n = runs."""
        rows = []
        for k, measure in enumerate(self.measures):
            by_run = mean_known(self._paired(reference, k, ALL_EDITS), axis=1)
            mean = float(by_run.mean())
            reach = student_quantile(self.runs - 1) * by_run.std(ddof=1) / np.sqrt(self.runs)
            row = Row(self._title(reference), measure, ALL_EDITS, mean, mean - reach, mean + reach, self.runs)
            rows.append(_judged(row, enough=np.isfinite(mean)))
        return rows

    def table(self) -> list[tuple[str, Row]]:
        """All rows, each with the name of the table it belongs to."""
        rows = [("means", row) for row in self.means()]
        for edit, reference in product((ALL_EDITS, *self.edits), self.references):
            rows += [("differences", row) for row in self.differences(reference, edit)]
        if self.runs > 1:
            rows += [("over training seeds", row) for name in self.references for row in self.over_runs(name)]
        return rows

    def csv(self) -> str:
        """All rows in the long form, with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for table, row in self.table():
            direction = "higher" if row.measure.higher_is_better else "lower"
            value = [f"{v:.6g}" for v in (row.mean, row.low, row.high)]
            writer.writerow(
                [table, row.what, row.measure.name, row.measure.unit, direction, row.edit, *value, row.count]
                + [row.verdict]
            )
        return text.getvalue()

    def markdown(self) -> str:
        """The tables for a reader: means, differences with verdicts, and differences edit by edit."""
        parts = [self._means_table(), *(self._differences_table(name) for name in self.references)]
        parts += [self._edits_table(name) for name in self.references]
        return "\n\n".join([*parts, self._note()]) + "\n"

    def _title(self, reference: str) -> str:
        return f"{self.networks[-1]} minus {reference}"

    def _paired(self, reference: str, measure: int, edit: str) -> np.ndarray:
        return self.of_faces(self.networks[-1], measure, edit) - self.of_faces(reference, measure, edit)

    def _means_table(self) -> str:
        rows = {(row.what, row.measure): str(row) for row in self.means()}
        names = (PHOTOS, *self.networks)
        body = [[m.title, *(rows.get((name, m), "") for name in names)] for m in self.measures]
        return markdown_table(["mean over faces [95 % interval]", *names], body)

    def _differences_table(self, reference: str) -> str:
        heads, columns = ["over faces", "verdict"], [self.differences(reference)]
        if self.runs > 1:
            heads += [f"over {self.runs} training seeds", "verdict"]
            columns.append(self.over_runs(reference))
        body = [
            [rows[0].measure.title, *(cell for row in rows for cell in (str(row), row.verdict))]
            for rows in zip(*columns, strict=True)
        ]
        return markdown_table([self._title(reference), *heads], body)

    def _edits_table(self, reference: str) -> str:
        columns = [self.differences(reference, edit) for edit in self.edits]
        body = [
            [rows[0].measure.title, *(f"{row}{_MARKS.get(row.verdict, '')}" for row in rows)]
            for rows in zip(*columns, strict=True)
        ]
        return markdown_table([f"{self._title(reference)}, by edit", *self.edits], body)

    def _note(self) -> str:
        verdicts = len(self.measures) * len(self.references) * (1 + len(self.edits))
        return (
            f"{self.values.shape[-1]} faces, {self.values.shape[-2]} drawings of each edit. Intervals are bootstrap "
            f"intervals over faces. ✓ better, ✗ worse than the reference. Of {verdicts} differences over faces, about "
            f"{0.05 * verdicts:.0f} would leave their 95 % interval by chance alone."
        )


_MARKS = {BETTER: " ✓", WORSE: " ✗"}


def student_quantile(freedom: int, level: float = 0.95) -> float:
    """t for which Student's distribution has ``level`` of its mass in [-t, t], to four digits.

    With t = sqrt(f) tan(a) the density becomes proportional to cos(a)^(f - 1) on (-90, 90) degrees.
    """
    angle = (np.arange(200_000) + 0.5) / 200_000 * np.pi / 2
    mass = np.cumsum(np.cos(angle) ** (freedom - 1))
    return float(np.sqrt(freedom) * np.tan(angle[np.searchsorted(mass, level * mass[-1])]))


def mean_known(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """Mean without the NaNs; NaN, and no warning, where nothing else is."""
    known = np.isfinite(values)
    count = known.sum(axis=axis)
    return np.where(known, values, 0).sum(axis=axis) / np.where(count, count, np.nan)


def over_faces(what: str, measure: Measure, edit: str, values: np.ndarray) -> Row:
    """Mean and interval of one value a face, ``[F]``, NaN where there is none."""
    count = int(np.isfinite(values).sum())
    low, high = bootstrap_interval(values) if count else (np.nan, np.nan)
    return Row(what, measure, edit, float(mean_known(values, axis=0)), low, high, count)


def _judged(row: Row, enough: bool) -> Row:
    if not enough:
        verdict = TOO_FEW
    elif row.low <= 0 <= row.high:
        verdict = SAME
    else:
        verdict = BETTER if (row.mean > 0) == row.measure.higher_is_better else WORSE
    return replace(row, verdict=verdict)


def markdown_table(heads: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, without a line break at its end."""
    lines = [heads, ["---"] * len(heads), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
