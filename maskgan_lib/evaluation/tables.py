"""The paper's tables: one row a method and one for the photos, as Markdown, HTML and CSV.

Every cell has its number of pairs and a 95 % interval over pairs. Where a cell is the mean of a value a pair, the pairs
are resampled. A distance between sets cannot be resampled so: a picture that is drawn twice makes its set look poorer
and the distance larger. There the pairs are cut into groups, the distance is computed again without each group, and
its spread over the groups (the jackknife) gives the interval; the set of photos that it is a distance to is held fixed.
"""

import csv
import html
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np

from maskgan_lib.evaluation.comparison import FEWEST_FACES, PHOTOS, Measure, student_quantile
from maskgan_lib.evaluation.grading import Graded
from maskgan_lib.evaluation.methods import (
    COPY_OF_THE_SOURCE,
    COPY_OF_THE_TARGET,
    RECONSTRUCTION,
    STYLE_COPY,
    TRANSFER,
)
from maskgan_lib.evaluation.metrics import bootstrap_interval
from maskgan_lib.registry import METHODS

GROUPS = 20
"""Into so many groups the jackknife cuts the pairs."""

FEW_PAIRS = f"Fewer than {FEWEST_FACES} pairs"

NOT_RANKED = (
    *(name for name, method in METHODS.items() if not method.renders),
    *(COPY_OF_THE_TARGET.name, COPY_OF_THE_SOURCE.name),
)
"""They render no mask, or do nothing of what is asked: the best of a column is looked for among the others."""

VERIFICATION = "identity verification"
"""The table made from the results of attribute transfer."""

TITLES = {
    TRANSFER: "Attribute transfer (the paper's Table 2)",
    STYLE_COPY: "Style copy (the paper's Table 3)",
    VERIFICATION: "Identity after attribute transfer (the paper's Table 4)",
    RECONSTRUCTION: "Reconstruction of a face from its own mask and looks",
}

PREFERENCE = Measure("preferred by people", "%", True)

COLUMNS = ("table", "method", "measure", "unit", "better", "value", "low", "high", "pairs")


@dataclass(frozen=True)
class Cell:
    """A value with its 95 % interval, NaN where there is none, over ``count`` pairs."""

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


EMPTY = Cell(np.nan, np.nan, np.nan, 0)


@dataclass(frozen=True)
class Column:
    """A measure of methods: the mean of its value a pair or, with ``statistic``, one number of many pairs.

    ``statistic(graded, places)`` is that number for the pairs at ``places``; it lies in ``bounds``. With less than
    ``fewest`` pairs two methods are not told apart.
    """

    measure: Measure
    statistic: Callable[[Graded, np.ndarray], float] | None = None
    bounds: tuple[float, float] = (-np.inf, np.inf)
    fewest: float = FEWEST_FACES

    def cell(self, graded: Graded) -> Cell:
        """What a method gets."""
        if self.statistic is None:
            return mean_cell(graded.values[self.measure.name])
        cell = jackknife_cell(partial(self.statistic, graded), len(graded))
        return replace(cell, low=np.clip(cell.low, *self.bounds), high=np.clip(cell.high, *self.bounds))

    def difference(self, ours: Graded, other: Graded) -> Cell:
        """``ours`` minus ``other`` on the same pairs."""
        if self.statistic is None:
            return mean_cell(ours.values[self.measure.name] - other.values[self.measure.name])
        return jackknife_cell(lambda places: self.statistic(ours, places) - self.statistic(other, places), len(ours))


def mean_cell(values: np.ndarray) -> Cell:
    """Mean of a value a pair (NaN left out), with the bootstrap's interval."""
    values = values[np.isfinite(values)]
    return Cell(float(values.mean()), *bootstrap_interval(values), len(values)) if len(values) else EMPTY


def jackknife_cell(statistic: Callable[[np.ndarray], float], count: int) -> Cell:
    """``statistic`` of the places 0 .. ``count`` - 1, with the jackknife's interval; of few places there is none.

    A group is left out as one run of neighbours: "another person" in a verification is the next pair's.
    """
    places = np.arange(count)
    value = statistic(places)
    if count < FEWEST_FACES:
        return Cell(value, np.nan, np.nan, count)
    groups = min(GROUPS, count)
    without = np.array([statistic(places[places * groups // count != group]) for group in range(groups)])
    error = np.sqrt((groups - 1) / groups * ((without - without.mean()) ** 2).sum())
    reach = float(student_quantile(groups - 1) * error)
    return Cell(value, value - reach, value + reach, count)


@dataclass(frozen=True)
class TableRow:
    """A method, or the photos, and its cells in the order of the table's columns."""

    name: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Methods by measures; the row named "photos" is what the same judges say of photos."""

    title: str
    columns: tuple[Measure, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()

    def best(self, column: int) -> float:
        """The best value of the ranked methods in a column; NaN if fewer than two have one."""
        values = [row.cells[column].value for row in self.rows if row.name not in (PHOTOS, *NOT_RANKED)]
        values = [value for value in values if np.isfinite(value)]
        if len(values) < 2:
            return np.nan
        return max(values) if self.columns[column].higher_is_better else min(values)

    def is_best(self, row: TableRow, column: int) -> bool:
        """Whether the row has the best value, shared or alone."""
        return row.name not in (PHOTOS, *NOT_RANKED) and row.cells[column].value == self.best(column)

    def only(self, names: Sequence[str]) -> "Table":
        """The same with the columns ``names``, those that it has."""
        kept = [k for k, measure in enumerate(self.columns) if measure.name in names]
        rows = [TableRow(row.name, tuple(row.cells[k] for k in kept)) for row in self.rows]
        return replace(self, columns=tuple(self.columns[k] for k in kept), rows=tuple(rows))

    def markdown(self) -> str:
        """Title, table and notes; the best of a column in bold."""
        body = []
        for row in self.rows:
            shown = [f"**{cell}**" if self.is_best(row, k) else str(cell) for k, cell in enumerate(row.cells)]
            body.append([f"*{row.name}*" if row.name == PHOTOS else row.name, *shown])
        lines = [["method", *(measure.title for measure in self.columns)], ["---"] * (1 + len(self.columns)), *body]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return "\n\n".join(
            [f"**{self.title}**", table, *(["\n".join(f"- {n}" for n in self.notes)] * bool(self.notes))]
        )

    def csv(self, header: bool = True) -> str:
        """One line a cell that is not empty."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if header:
            writer.writerow(COLUMNS)
        for row in self.rows:
            for measure, cell in zip(self.columns, row.cells, strict=True):
                if cell:
                    about = (measure.name, measure.unit, "higher" if measure.higher_is_better else "lower")
                    numbers = [f"{number:.6g}" for number in (cell.value, cell.low, cell.high)]
                    writer.writerow([self.title, row.name, *about, *numbers, cell.count])
        return text.getvalue()

    def html(self) -> str:
        """The table for a notebook, light or dark; a bar in each cell is as long as its value, from zero."""
        heads = "".join(
            f"<th>{html.escape(measure.title[:-2])}&nbsp;{measure.title[-1]}</th>" for measure in self.columns
        )
        longest = [max((abs(row.cells[k].value) for row in self.rows if np.isfinite(row.cells[k].value)), default=0)
                   for k in range(len(self.columns))]  # fmt: skip
        body = []
        for row in self.rows:
            cells = "".join(_html_cell(c, self.is_best(row, k), longest[k]) for k, c in enumerate(row.cells))
            mark = ' class="photos"' if row.name == PHOTOS else ""
            body.append(f"<tr{mark}><th>{html.escape(row.name)}</th>{cells}</tr>")
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return (
            f'{STYLE}<div class="maskgan-table"><p><b>{html.escape(self.title)}</b></p><table><thead><tr>'
            f"<th>method</th>{heads}</tr></thead><tbody>{''.join(body)}</tbody></table>"
            f"{f'<ul>{notes}</ul>' if notes else ''}</div>"
        )

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_markdown_(self) -> str:
        return self.markdown()


STYLE = """<style>
.maskgan-table table{border-collapse:collapse;font-size:13px;color:inherit;background:transparent}
.maskgan-table th,.maskgan-table td{padding:4px 10px;text-align:right;border:0;background:transparent;color:inherit;vertical-align:top;white-space:nowrap}
.maskgan-table thead th{max-width:11em;white-space:normal;vertical-align:bottom;border-bottom:1px solid currentColor;font-weight:600}
.maskgan-table th:first-child{text-align:left}
.maskgan-table tbody th{font-weight:400}
.maskgan-table tr.photos>*{border-bottom:1px solid currentColor;font-style:italic}
.maskgan-table.words td,.maskgan-table.words th{text-align:left}
.maskgan-table small{display:block;opacity:.7;font-weight:400}
.maskgan-table i.bar{display:block;height:3px;margin-top:2px;background:#4a86c8}
.maskgan-table ul{font-size:12px;opacity:.8;max-width:60em;text-align:left}
</style>"""  # noqa: E501
"""Colours come from the notebook's theme, but for the bars, whose blue is seen on white and on black."""


def _html_cell(cell: Cell, best: bool, longest: float) -> str:
    """Value, interval below it, and a bar."""
    shown, _, interval = str(cell).partition(" ")
    if not shown:
        return "<td></td>"
    width = 100 * max(cell.value, 0) / longest if longest else 0
    number = f"<b>{shown}</b>" if best else shown
    return f'<td>{number}<small>{interval}</small><i class="bar" style="width:{width:.0f}%"></i></td>'


def make_table(
    title: str,
    columns: Sequence[Column],
    results: Mapping[str, Graded],
    photos: Graded | Sequence[Cell] | None = None,
    shares: Mapping[str, Cell] = MappingProxyType({}),
    notes: Sequence[str] = (),
) -> Table:
    """Methods by columns, the photos first; columns that nobody has a value in are left out.

    ``shares`` are how often people preferred a method, in per cent of their answers.
    """
    rows = {name: [column.cell(graded) for column in columns] for name, graded in results.items()}
    if photos is not None:
        cells = [column.cell(photos) for column in columns] if isinstance(photos, Graded) else photos
        rows = {PHOTOS: list(cells), **rows}
    measures = tuple(column.measure for column in columns)
    if shares:
        measures += (PREFERENCE,)
        rows = {name: [*cells, shares.get(name, EMPTY)] for name, cells in rows.items()}
    known = [
        m.name for m, cells in zip(measures, zip(*rows.values(), strict=True), strict=True) if any(map(bool, cells))
    ]
    table = Table(title, measures, tuple(TableRow(name, tuple(cells)) for name, cells in rows.items()), tuple(notes))
    return _with_warnings(table.only(known))


def _with_warnings(table: Table) -> Table:
    """Notes on intervals that say less than they seem to."""
    cells, notes = [cell for row in table.rows for cell in row.cells if cell], []
    if cells and max(cell.count for cell in cells) < FEWEST_FACES:
        notes.append(f"{FEW_PAIRS}: the intervals tell too little for a verdict.")
    if any(cell.low == cell.high for row in table.rows if row.name not in NOT_RANKED for cell in row.cells):
        notes.append("An interval without width means that all pairs agree, not that the value is certain.")
    return replace(table, notes=(*table.notes, *notes))
