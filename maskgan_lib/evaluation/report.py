"""Tables of estimates: as Markdown, as HTML for a notebook, and as CSV in the long form."""

import csv
import html
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.evaluation.estimates import Estimate, Measure

PHOTOS = "photos"
"""How the name of a row, or column, begins that has what the same judges say of the photos: their own error."""

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


@dataclass(frozen=True)
class TableRow:
    """A name, e.g. of a method, and its cells in the order of the table's columns."""

    name: str
    cells: tuple[Estimate | str, ...]

    @property
    def is_of_photos(self) -> bool:
        """Whether it shows the judges' own error."""
        return self.name.startswith(PHOTOS)


@dataclass(frozen=True)
class Table:
    """Rows by columns.

    Args:
        columns: measures, or plain heads.
        ranked: the rows among which the best of a column is looked for, and shown in bold.
        corner: what the names of the rows are.
    """

    title: str
    columns: tuple[Measure | str, ...]
    rows: tuple[TableRow, ...]
    notes: tuple[str, ...] = ()
    ranked: tuple[str, ...] = ()
    corner: str = "method"

    def best(self, column: int) -> float:
        """The best value of the ranked rows in a column; NaN if fewer than two have one."""
        values = [row.cells[column].value for row in self.rows if row.name in self.ranked and row.cells[column]]
        if len(values) < 2:
            return np.nan
        return max(values) if self.columns[column].higher_is_better else min(values)

    def is_best(self, row: TableRow, column: int) -> bool:
        """Whether a ranked row has the best value, shared or alone."""
        return row.name in self.ranked and row.cells[column].value == self.best(column)

    def only(self, names: Sequence[str]) -> "Table":
        """The same with the columns of the measures ``names``, those that it has."""
        kept = [k for k, measure in enumerate(self.columns) if measure.name in names]
        rows = [TableRow(row.name, tuple(row.cells[k] for k in kept)) for row in self.rows]
        return replace(self, columns=tuple(self.columns[k] for k in kept), rows=tuple(rows))

    def markdown(self) -> str:
        """Title, table and notes, those that there are."""
        lines = [[self.corner, *map(_head, self.columns)], ["---"] * (1 + len(self.columns))]
        for row in self.rows:
            shown = [f"**{cell}**" if self.is_best(row, k) else str(cell) for k, cell in enumerate(row.cells)]
            lines.append([f"*{row.name}*" if row.is_of_photos else row.name, *shown])
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        notes = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join(filter(None, [self.title and f"**{self.title}**", table * bool(self.rows), notes]))

    def html(self) -> str:
        """The table for a notebook, light or dark; a bar in each cell is as long as its value, from zero."""
        heads = "".join(f"<th>{html.escape(_head(column))}</th>" for column in self.columns)
        heads = heads.replace(" ↑", "&nbsp;↑").replace(" ↓", "&nbsp;↓")
        longest = [max((abs(c.value) for c in column if isinstance(c, Estimate) and c), default=0)
                   for column in zip(*(row.cells for row in self.rows))]  # fmt: skip
        body = []
        for row in self.rows:
            cells = "".join(_html_cell(c, self.is_best(row, k), longest[k]) for k, c in enumerate(row.cells))
            mark = ' class="photos"' if row.is_of_photos else ""
            body.append(f"<tr{mark}><th>{html.escape(row.name)}</th>{cells}</tr>")
        words = "" if any(longest) else " words"
        head = f"<thead><tr><th>{html.escape(self.corner)}</th>{heads}</tr></thead>"
        table = f"<table>{head}<tbody>{''.join(body)}</tbody></table>" if body else ""
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        title = f"<p><b>{html.escape(self.title)}</b></p>" if self.title else ""
        return f'{STYLE}<div class="maskgan-table{words}">{title}{table}{f"<ul>{notes}</ul>" * bool(notes)}</div>'

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_markdown_(self) -> str:
        return self.markdown()


def _head(column: Measure | str) -> str:
    return column if isinstance(column, str) else column.title


def _html_cell(cell: Estimate | str, best: bool, longest: float) -> str:
    """Value, interval below it, and a bar."""
    if isinstance(cell, str):
        return f"<td>{html.escape(cell)}</td>"
    shown, _, interval = str(cell).partition(" ")
    if not shown:
        return "<td></td>"
    width = 100 * max(cell.value, 0) / longest if longest else 0
    number = f"<b>{shown}</b>" if best else shown
    return f'<td>{number}<small>{interval}</small><i class="bar" style="width:{width:.0f}%"></i></td>'


def long_csv(heads: Sequence[str], rows: Iterable[Sequence[str | float]]) -> str:
    """A line for each of ``rows`` under ``heads``; six digits of what is no whole number."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heads)
    writer.writerows([f"{field:.6g}" if isinstance(field, float) else field for field in row] for row in rows)
    return text.getvalue()


def numbers(*estimates: Estimate) -> list[float]:
    """Value and interval of the first, and the intervals of the others, for ``long_csv``."""
    return [estimates[0].value, *(float(end) for estimate in estimates for end in (estimate.low, estimate.high))]


def direction(measure: Measure) -> str:
    """Which way is better, in a CSV."""
    return "higher" if measure.higher_is_better else "lower"


class Report:
    """What an experiment has found; a subclass has ``parts``, and to be written also ``csv()`` in the long form."""

    parts: Sequence[Table | str]
    """Tables, and paragraphs between them, in order."""

    def markdown(self) -> str:
        """All parts."""
        return "\n\n".join(part if isinstance(part, str) else part.markdown() for part in self.parts) + "\n"

    def write(self, folder: str | Path, stem: str) -> None:
        """Both to ``stem.md`` and ``stem.csv`` in ``folder``."""
        for suffix, text in (("md", self.markdown()), ("csv", self.csv())):
            with atomic(Path(folder) / f"{stem}.{suffix}") as file:
                file.write(text.encode())

    def _repr_html_(self) -> str:
        shown = []
        for part in self.parts:
            words = re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(part)) if isinstance(part, str) else ""
            shown.append(f"<p>{words}</p>" if words else part.html())
        return "".join(shown)

    def _repr_markdown_(self) -> str:
        return self.markdown()
