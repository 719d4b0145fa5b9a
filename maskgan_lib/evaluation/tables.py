"""The paper's tables, one row a method and one for the photos, and its stated orderings beside what is measured here.

Every cell has its number of pairs and a 95 % interval over pairs. Where a cell is the mean of a value a pair, the pairs
are resampled. A distance between sets cannot be resampled so: a picture that is drawn twice makes its set look poorer
and the distance larger. There the pairs are cut into groups, the distance is computed again without each group, and
its spread over the groups (the jackknife) gives the interval; the set of photos that it is a distance to is held fixed.
"""

import csv
import html
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from maskgan_lib.checkpoints.files import CheckpointError, atomic
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation.comparison import FEWEST_FACES, PHOTOS, Measure, student_quantile
from maskgan_lib.evaluation.distances import FALLBACK_NAME, frechet_distance, kernel_distance
from maskgan_lib.evaluation.grading import Graded, GradingJudges, grade_method, grade_photos, grade_set
from maskgan_lib.evaluation.methods import (
    COPY_OF_THE_SOURCE,
    COPY_OF_THE_TARGET,
    RECONSTRUCTION,
    STYLE_COPY,
    TRANSFER,
    Method,
)
from maskgan_lib.evaluation.metrics import bootstrap_interval
from maskgan_lib.evaluation.protocols import (
    COPIED,
    IDENTITY,
    MEASURES,
    SEGMENTATION,
    PairList,
    attribute_pairs,
    reconstruction_pairs,
    style_pairs,
)
from maskgan_lib.evaluation.verification import Verification, choose_threshold, verify_edits

GROUPS = 20
"""Into so many groups the jackknife cuts the pairs."""

FEW_PAIRS = f"Fewer than {FEWEST_FACES} pairs"

NOT_RANKED = ("StarGAN", "ELEGANT", COPY_OF_THE_TARGET.name, COPY_OF_THE_SOURCE.name)
"""They render no mask, or do nothing of what is asked: the best of a column is looked for among the others."""

VERIFICATION = "identity verification"
"""The table made from the results of attribute transfer."""

TITLES = {
    TRANSFER: "Attribute transfer (the paper's Table 2)",
    STYLE_COPY: "Style copy (the paper's Table 3)",
    VERIFICATION: "Identity after attribute transfer (the paper's Table 4)",
    RECONSTRUCTION: "Reconstruction of a face from its own mask and looks",
}

ATTRIBUTE = Measure("attribute accuracy", "%", True)
FRECHET = Measure(FALLBACK_NAME, "", False)
KERNEL = Measure("kernel distance (attribute net)", "", False)
FIXED = Measure("accuracy at a fixed threshold", "%", True)
BEST = Measure("accuracy at the best threshold", "%", True)
AUC = Measure("area under the ROC curve", "", True)
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


# ---- what is measured, table by table


def columns_of(task: str, reference: Graded | None = None) -> tuple[Column, ...]:
    """The columns of a task's table: what is graded a pair and, with ``reference``, the distances to those photos."""
    columns = tuple(Column(measure) for measure in MEASURES[task])
    if reference is None:
        return columns
    photos = reference.features
    # With fewer pictures than features a covariance is unknown in most directions: the dullest set comes out nearest.
    fewest = max(photos.shape[1], FEWEST_FACES) if len(photos) >= photos.shape[1] else np.inf
    return (
        *columns,
        Column(FRECHET, lambda graded, places: frechet_distance(graded.features[places], photos), (0, np.inf), fewest),
        Column(KERNEL, lambda graded, places: kernel_distance(graded.features[places], photos)),
    )


def verification_columns(photos: Graded, persons: np.ndarray, people: Verification | None) -> tuple[Column, ...]:
    """Whether results show the person of their target: ``photos`` has the targets' embeddings, ``persons [P]`` names
    them (-1: unknown). The fixed threshold is the one that suits ``people``; without, each half of the pairs takes that
    of the other half.
    """
    threshold = None if people is None else choose_threshold(people.same, people.different)

    def verified(graded: Graded, places: np.ndarray) -> Verification:
        return verify_edits(graded.embeddings[places], photos.embeddings[places], persons[places])

    def at_fixed(graded: Graded, places: np.ndarray) -> float:
        found = verified(graded, places)
        return 100 * (found.halves_accuracy if threshold is None else found.accuracy(threshold))

    return (
        Column(FIXED, at_fixed, (0, 100)),
        Column(BEST, lambda graded, places: 100 * verified(graded, places).best_accuracy, (0, 100)),
        Column(AUC, lambda graded, places: verified(graded, places).auc, (0, 1)),
    )


def people_of(embeddings: np.ndarray, persons: np.ndarray, most: int = 2000) -> Verification | None:
    """Pairs of photos of one person and of two, at most ``most`` of each; None where no known person is there twice."""
    scores = embeddings @ embeddings.T
    known = np.triu((persons[:, None] >= 0) & (persons >= 0), k=1)
    alike = persons[:, None] == persons
    rng = np.random.default_rng(0)
    same, different = (rng.permutation(scores[known & kind])[:most] for kind in (alike, ~alike))
    return Verification(same, different) if len(same) and len(different) else None


def people_row(people: Verification) -> tuple[Cell, ...]:
    """The cells of the photos in the identity table: two photos of one person are the same pairs."""
    count = len(people)
    return (
        Cell(100 * people.halves_accuracy, np.nan, np.nan, count),
        Cell(100 * people.best_accuracy, np.nan, np.nan, count),
        Cell(people.auc, *people.auc_interval(), count),
    )


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


def verification_table(
    columns: Sequence[Column], results: Mapping[str, Graded], people: Verification | None, notes: Sequence[str]
) -> Table:
    """The paper's Table 4; two photos of one of ``people`` are what the judge can tell at best."""
    row = None if people is None else people_row(people)
    return make_table(TITLES[VERIFICATION], columns, results, row, notes=[*notes, *_notes_of_people(people)])


def _with_warnings(table: Table) -> Table:
    """Notes on intervals that say less than they seem to."""
    cells, notes = [cell for row in table.rows for cell in row.cells if cell], []
    if cells and max(cell.count for cell in cells) < FEWEST_FACES:
        notes.append(f"{FEW_PAIRS}: the intervals tell too little for a verdict.")
    if any(cell.low == cell.high for row in table.rows if row.name not in NOT_RANKED for cell in row.cells):
        notes.append("An interval without width means that all pairs agree, not that the value is certain.")
    return replace(table, notes=(*table.notes, *notes))


def notes_of(pairs: PairList, judges: GradingJudges) -> list[str]:
    """What a reader has to know of a table: pairs, judges, their errors, and intervals."""
    rule = ", ".join(f"{n} {f'{value:.3g}' if isinstance(value, float) else value}" for n, value in pairs.rule.items())
    repeated = len(pairs.targets) - len(np.unique(pairs.sources))
    return [
        f"{len(pairs)} pairs for {pairs.task}{f' of {pairs.attribute}' if pairs.attribute else ''} ({rule})"
        + (f"; {len(np.unique(pairs.sources))} different sources." if repeated else "."),
        "Judges: " + "; ".join(f"{judge}, {origin}" for judge, origin in judges.origins.items()) + ".",
        "The row photos shows the judges' own errors: what they say of the photos, where the truth is known.",
        "In brackets: 95 % intervals over pairs, for these judges and these trainings.",
    ]


def _notes_of_distances(reference: Graded | None) -> list[str]:
    if reference is None:
        return []
    count, features = reference.features.shape
    return [
        f"The distances are to {count} photos of other faces in {features} features of the attribute net: they are no "
        "FID or KID, which take Inception's. The Fréchet distance of few pictures comes out too large, and less so for "
        "pictures that are all alike: below that of the photos, which are as many, lower is not better. The kernel "
        "distance has no such error."
    ]


def _notes_of_people(people: Verification | None) -> list[str]:
    made = "A result and its target's photo are the same person, a result and the next target's photo another one."
    if people is None:
        return [made, "No other person is known on two photos: the fixed threshold is the other half of the pairs'."]
    return [
        made,
        f"The fixed threshold suits {len(people.same)} pairs of photos of one person and {len(people.different)} of "
        "two, none of them in this table. The row photos is made of these pairs, its fixed threshold by halves.",
    ]


# ---- the paper's orderings

AGREES, DISAGREES, SAME = "agreeing", "not agreeing", "no difference seen"
TOO_FEW, NOT_MEASURED, NOT_TRAINED = "too few pairs", "not measured here", "not trained here"


ORDERING_TITLE = "The paper's orderings, and what is seen here"
ORDERING_HEADS = ("table", "statement", "compared", "measure", "difference here", "verdict", "source")


@dataclass(frozen=True)
class Ordering:
    """A statement that a method is better than another on a measure of a table, and who states it."""

    table: str
    statement: str
    better: str
    worse: str
    measure: str
    source: str


def _stated(
    table: str, statement: str, better: Sequence[str], worse: Sequence[str], measures: Sequence[str], source: str
) -> list[Ordering]:
    every = product(better, worse, measures)
    return [Ordering(table, statement, ours, other, measure, source) for ours, other, measure in every]


_MASKGAN = ("DMN", "MaskGAN†")
_T2, _T3, _T4 = ("the paper, " + section for section in ("Table 2", "Table 3", "Table 4"))
_CONTROL = "this course: as many updates without EBST"
_SEGMENTS = [SEGMENTATION.name]
_T2_MEASURES, _T3_MEASURES = (ATTRIBUTE.name, *_SEGMENTS, FRECHET.name), (*COPIED, *_SEGMENTS, FRECHET.name)
_REST = ("ELEGANT", "Pix2PixHD-m", "SPADE", *_MASKGAN)

ORDERINGS = (
    *_stated(TRANSFER, "StarGAN classifies best of all", ["StarGAN"], _REST, [ATTRIBUTE.name], _T2),
    *_stated(TRANSFER, "StarGAN has the best FID of all", ["StarGAN"], _REST, [FRECHET.name], _T2),
    *_stated(TRANSFER, "Pix2PixHD-m classifies best of the mask methods", ["Pix2PixHD-m"], ["SPADE", *_MASKGAN],
             [ATTRIBUTE.name], _T2),
    *_stated(TRANSFER, "SPADE segments best", ["SPADE"], ["Pix2PixHD-m", *_MASKGAN], _SEGMENTS, _T2),
    *_stated(TRANSFER, "EBST improves the table", ["MaskGAN†"], ["DMN"], _T2_MEASURES, _T2),
    *_stated(TRANSFER, "EBST improves the table", ["MaskGAN†"], ["DMN, trained longer"], _T2_MEASURES, _CONTROL),
    *_stated(STYLE_COPY, "SPADE segments best", ["SPADE"], ["Pix2PixHD-m", *_MASKGAN], _SEGMENTS, _T3),
    *_stated(STYLE_COPY, "MaskGAN keeps attributes better", _MASKGAN, ["SPADE", "Pix2PixHD-m"], COPIED, _T3),
    *_stated(STYLE_COPY, "EBST improves the table", ["MaskGAN†"], ["DMN"], _T3_MEASURES, _T3),
    *_stated(STYLE_COPY, "EBST improves the table", ["MaskGAN†"], ["DMN, trained longer"], _T3_MEASURES, _CONTROL),
    *_stated(VERIFICATION, "MaskGAN keeps identity best of the mask methods", _MASKGAN, ["SPADE", "Pix2PixHD-m"],
             [FIXED.name], _T4),
)  # fmt: skip
"""What the paper states in words. It says of EBST that it improves Tables 2 and 3, not in which columns: all that the
paper has are looked at. "MaskGAN" is the DMN with and without EBST, unless it is compared with itself."""


@dataclass(frozen=True)
class OrderingRow:
    """An ordering, the difference better minus worse that is seen here, and whether it agrees."""

    ordering: Ordering
    ours: Cell
    verdict: str
    unit: str = ""


@dataclass(frozen=True)
class OrderingTable:
    """The paper's orderings beside ours."""

    rows: tuple[OrderingRow, ...]

    @property
    def seen(self) -> list[OrderingRow]:
        """Those whose methods are both there."""
        return [row for row in self.rows if row.verdict != NOT_TRAINED]

    @property
    def unseen(self) -> list[str]:
        """The statements that nothing can be said of, for want of a method, each once."""
        rows = [row for row in self.rows if row.verdict == NOT_TRAINED]
        return list(dict.fromkeys(f"{row.ordering.table}: {row.ordering.statement}" for row in rows))

    def markdown(self) -> str:
        """The orderings that can be looked at, and the list of the others."""
        body = [ORDERING_HEADS, ["---"] * len(ORDERING_HEADS), *(_shown(row) for row in self.seen)]
        table = ["\n".join("| " + " | ".join(line) + " |" for line in body)] if self.seen else []
        return "\n\n".join([f"**{ORDERING_TITLE}**", *table, "\n".join(f"- {note}" for note in self.notes)])

    def html(self) -> str:
        """The same for a notebook."""
        head = "".join(f"<th>{name}</th>" for name in ORDERING_HEADS)
        body = ["".join(f"<td>{html.escape(text)}</td>" for text in _shown(row)) for row in self.seen]
        rows = "".join(f"<tr>{cells}</tr>" for cells in body)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>" if body else ""
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return f'{STYLE}<div class="maskgan-table words"><p><b>{ORDERING_TITLE}</b></p>{table}<ul>{notes}</ul></div>'

    @property
    def notes(self) -> list[str]:
        """What a reader has to know of the verdicts."""
        judged = sum(row.verdict in (AGREES, DISAGREES, SAME) for row in self.seen)
        notes = [
            "The difference here is the first method minus the second on the same pairs. It agrees, or does not, "
            f"where its 95 % interval leaves zero out; of {judged} verdicts about {0.05 * judged:.1f} would by chance.",
            "The paper's statements are about photographs, judges and trainings that are not those of this table.",
        ]
        if self.unseen:
            notes.append(f"{NOT_TRAINED.capitalize()}: {'; '.join(self.unseen)}.")
        return notes

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_markdown_(self) -> str:
        return self.markdown()


def _shown(row: OrderingRow) -> list[str]:
    stated, unit = row.ordering, {"": "", "%": " points"}.get(row.unit, f" {row.unit}")
    compared = f"{stated.better} against {stated.worse}"
    ours = f"{row.ours}{unit}" if str(row.ours) else ""
    return [stated.table, stated.statement, compared, stated.measure, ours, row.verdict, stated.source]


def compare_orderings(
    graded: Mapping[str, Mapping[str, Graded]], columns: Mapping[str, Sequence[Column]]
) -> OrderingTable:
    """``ORDERINGS`` beside the results of methods by table; ``columns`` are those tables' own."""
    trained = {name for results in graded.values() for name in results}
    return OrderingTable(tuple(_compared(stated, trained, graded, columns) for stated in ORDERINGS))


def _compared(
    stated: Ordering,
    trained: set[str],
    graded: Mapping[str, Mapping[str, Graded]],
    columns: Mapping[str, Sequence[Column]],
) -> OrderingRow:
    if not {stated.better, stated.worse} <= trained:
        return OrderingRow(stated, EMPTY, NOT_TRAINED)
    results = graded.get(stated.table, {})
    column = next((c for c in columns.get(stated.table, ()) if c.measure.name == stated.measure), None)
    if column is None or not {stated.better, stated.worse} <= results.keys():
        return OrderingRow(stated, EMPTY, NOT_MEASURED)
    ours = column.difference(results[stated.better], results[stated.worse])
    return OrderingRow(stated, ours, _verdict(ours, column), column.measure.unit)


def _verdict(difference: Cell, column: Column) -> str:
    """What a difference, better minus worse by the paper, says of an ordering."""
    if not difference:
        return NOT_MEASURED
    if difference.count < column.fewest:
        return TOO_FEW
    if difference.low <= 0 <= difference.high:
        return SAME
    return AGREES if (difference.value > 0) == column.measure.higher_is_better else DISAGREES


# ---- everything at once

COUNTS = {TRANSFER: 400, STYLE_COPY: 1000, RECONSTRUCTION: 1000}
"""Pairs of each task, the first two the paper's."""

REFERENCES = 1000
"""At most so many photos the distances are to."""

PAIRS = {TRANSFER: attribute_pairs, STYLE_COPY: style_pairs, RECONSTRUCTION: reconstruction_pairs}


@dataclass(frozen=True)
class Results:
    """The tables by task, why one is missing, what they were made from, and the orderings."""

    tables: dict[str, Table]
    missing: dict[str, str]
    graded: dict[str, dict[str, Graded]]
    orderings: OrderingTable
    data: str

    def markdown(self) -> str:
        """All tables; in the place of a missing one stands why it is."""
        parts = [
            self.tables[task].markdown() if task in self.tables else f"**{TITLES[task]}**\n\n- {self.missing[task]}"
            for task in TITLES
        ]
        return "\n\n".join([f"Measured on {self.data}.", *parts, self.orderings.markdown()]) + "\n"

    def csv(self) -> str:
        """All tables in the long form, with one header."""
        header = io.StringIO()
        csv.writer(header, lineterminator="\n").writerow(COLUMNS)
        return header.getvalue() + "".join(table.csv(header=False) for table in self.tables.values())

    def _repr_html_(self) -> str:
        gone = {t: f"<p><b>{html.escape(TITLES[t])}</b>: {html.escape(why)}</p>" for t, why in self.missing.items()}
        shown = gone | {task: table.html() for task, table in self.tables.items()}
        return "".join([*(shown[task] for task in TITLES), self.orderings.html()])

    def _repr_markdown_(self) -> str:
        return self.markdown()


def evaluate_methods(
    methods: Sequence[Method],
    faces: PackedFaces,
    indices: np.ndarray,
    judges: GradingJudges,
    out: str | Path,
    counts: Mapping[str, int] = MappingProxyType(COUNTS),
    seed: int = 0,
    device: str | torch.device = "cpu",
    batch: int = 16,
    shares: Mapping[str, Mapping[str, Cell]] = MappingProxyType({}),
) -> Results:
    """All tables of ``methods`` on pairs among the faces ``indices``, at most ``counts`` of them by task.

    The lists of pairs go to ``out/pairs``, what is graded to ``out/graded``, from where an interrupted run goes on,
    the tables to ``out/tables.md`` and ``out/tables.csv``. Sets of pictures are compared with photos of faces that are
    not in ``indices``. A task that the faces do not allow, and a method that fails, is named in the tables; the others
    are measured. ``shares`` are people's preferences in per cent, by task and method.
    """
    out, others = Path(out), np.setdiff1d(np.arange(len(faces)), indices)
    settings = {"cache": out / "graded", "device": device, "batch": batch}
    tables, missing, graded, columns = {}, {}, {}, {}
    for task, choose in PAIRS.items():
        try:
            pairs = choose(faces, indices, count=counts[task], seed=seed)
        except DataError as error:
            missing[task] = str(error)
            continue
        pairs.save(out / "pairs" / f"{task.replace(' ', '-')}.json")
        photos = grade_photos(pairs, faces, judges, **settings)
        results, failures = _grade_all(methods, pairs, faces, judges, settings)
        if not results:
            missing[task] = " ".join(failures) or "None of the methods does this task."
            continue
        reference = _reference(pairs, faces, others, judges, settings)
        graded[task], columns[task] = results, columns_of(task, reference)
        notes = [*notes_of(pairs, judges), *_notes_of_distances(reference), *failures]
        tables[task] = make_table(TITLES[task], columns[task], results, photos, shares.get(task, {}), notes)
        if task == TRANSFER:
            try:
                people = _people(faces, indices, others, judges, settings)
                persons = faces.identity[pairs.targets]
                columns[VERIFICATION] = verification_columns(photos, persons, people)
                tables[VERIFICATION] = verification_table(
                    columns[VERIFICATION], results, people, notes_of(pairs, judges)
                )
                graded[VERIFICATION] = results
            except DataError as error:
                missing[VERIFICATION] = str(error)
    if VERIFICATION not in tables:
        missing.setdefault(VERIFICATION, missing.get(TRANSFER))
    tables = {task: tables[task] for task in TITLES if task in tables}
    results = Results(tables, missing, graded, compare_orderings(graded, columns), f"{len(indices)} {faces.source}")
    for name, text in (("tables.md", results.markdown()), ("tables.csv", results.csv())):
        with atomic(out / name) as file:
            file.write(text.encode())
    return results


def _grade_all(
    methods: Sequence[Method], pairs: PairList, faces: PackedFaces, judges: GradingJudges, settings: dict
) -> tuple[dict[str, Graded], list[str]]:
    """The methods that do the task by name, and a sentence for each that failed."""
    graded, failures = {}, []
    for method in methods:
        if pairs.task not in method.tasks:
            continue
        try:
            graded[method.name] = grade_method(method, pairs, faces, judges, **settings)
        except CheckpointError:  # the cache cannot be written: nor can the others' be
            raise
        except Exception as error:  # whatever one method does, the others' results are kept
            failures.append(f"{method.name} failed ({type(error).__name__}: {error}).")
            print(failures[-1], file=sys.stderr)
    return graded, failures


def _reference(
    pairs: PairList, faces: PackedFaces, others: np.ndarray, judges: GradingJudges, settings: dict
) -> Graded | None:
    """Photos that the results should look like, of ``others``; None where the task or their number gives no set."""
    if pairs.task == RECONSTRUCTION or len(pairs) < FEWEST_FACES:
        return None
    if pairs.task == TRANSFER:
        others = others[faces.attribute(pairs.attribute)[others] > 0]
    chosen = np.sort(np.random.default_rng(0).permutation(others)[:REFERENCES])
    return grade_set(chosen, faces, judges, **settings) if len(chosen) >= FEWEST_FACES else None


def _people(
    faces: PackedFaces, indices: np.ndarray, others: np.ndarray, judges: GradingJudges, settings: dict
) -> Verification | None:
    """Pairs among at most ``REFERENCES`` photos ``others``, of persons that none of the faces ``indices`` shows.

    ``DataError`` without an identity net; None if no such person is known on two photos.
    """
    if judges.identity_net is None:
        raise DataError("Nobody among the judges tells persons apart: give them an identity net.")
    identity = faces.identity
    strangers = others[(identity[others] >= 0) & ~np.isin(identity[others], identity[indices])]
    persons, counts = np.unique(identity[strangers], return_counts=True)
    several = strangers[np.isin(identity[strangers], persons[counts > 1])][:REFERENCES]
    if not len(several):
        return None
    return people_of(grade_set(several, faces, judges, **settings).embeddings, faces.identity[several])


# ---- README

README_COLUMNS = (ATTRIBUTE.name, IDENTITY.name, *COPIED, SEGMENTATION.name, FRECHET.name, "PSNR", "SSIM")
"""Of the tables of pairs; the identity table is narrow enough."""

README_COMMAND = "python -m maskgan_lib evaluate tables --write-back"
README_BEGIN, README_END = "<!-- results -->", "<!-- end of results -->"


def readme_section(results: Results) -> str:
    """The tables without their long notes, for README."""
    parts = []
    for task in TITLES:
        if task not in results.tables:
            parts.append(f"**{TITLES[task]}**\n\n- {results.missing[task]}")
            continue
        table = results.tables[task]
        warnings = [note for note in table.notes if note.startswith(FEW_PAIRS)]
        short = table if task == VERIFICATION else table.only(README_COLUMNS)
        parts.append(replace(short, notes=(table.notes[0], *warnings)).markdown())
    head = (
        f"Measured on {results.data}: nothing here compares with the paper's figures. In brackets: 95 % intervals over "
        "pairs. *photos* is what the same judges say of the photos, their own error. The best of a column is bold."
    )
    tail = (
        f"Made by `{README_COMMAND}`, which also writes the other measures, the judges' origins, and the paper's "
        "orderings beside those seen here."
    )
    return "\n\n".join([head, *parts, tail])


def write_readme(path: str | Path, text: str) -> None:
    """Put ``text`` between the two marks in a file; ``DataError`` unless it has each of them once, in order."""
    path = Path(path)
    content = path.read_text(encoding="utf-8")
    before, begin, rest = content.partition(README_BEGIN)
    _, end, after = rest.partition(README_END)
    if not begin or not end or README_BEGIN in rest:
        raise DataError(f"{path} needs one line {README_BEGIN} and below it one line {README_END}: put them there.")
    with atomic(path) as file:
        file.write(f"{before}{begin}\n{text.strip()}\n{end}{after}".encode())
