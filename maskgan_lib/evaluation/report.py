"""Tables of estimates: as Markdown, as HTML for a notebook, and as CSV in the long form."""

import csv
import html
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

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


CSV_HEADS = ("table", "row", "column", "unit", "better", "value", "low", "high", "count", "shown")


@dataclass(frozen=True)
class Said:
    """An estimate that a table shows in words of its own."""

    estimate: Estimate
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class TableRow:
    """A name, e.g. of a method, and its cells in the order of the table's columns."""

    name: str
    cells: tuple[Estimate | Said | str, ...]

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

    def is_best(self, row: TableRow, column: int) -> bool:
        """Whether a ranked row has the best value, shared or alone, of the two or more ranked rows that have one."""
        values = [other.cells[column].value for other in self.rows if other.name in self.ranked and other.cells[column]]
        if row.name not in self.ranked or len(values) < 2:
            return False
        best = max(values) if self.columns[column].higher_is_better else min(values)
        return row.cells[column].value == best

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

    def lines(self) -> Iterator[tuple]:
        """A line of ``CSV_HEADS`` for each cell that is not empty; six digits."""
        for row in self.rows:
            for column, cell in zip(self.columns, row.cells, strict=True):
                found = getattr(cell, "estimate", cell)
                numbers = [f"{x:.6g}" for x in astuple(found)] if isinstance(found, Estimate) else [""] * 4
                about = (column, "", "") if isinstance(column, str) else (column.name, column.unit, column.better)
                if found:
                    yield self.title or self.corner, row.name, *about, *numbers, str(cell)

    def _repr_html_(self) -> str:
        return self.html()

    def _repr_markdown_(self) -> str:
        return self.markdown()


def _head(column: Measure | str) -> str:
    return column if isinstance(column, str) else column.title


def _html_cell(cell: Estimate | Said | str, best: bool, longest: float) -> str:
    """Value, interval below it, and a bar."""
    if not isinstance(cell, Estimate):
        return f"<td>{html.escape(str(cell))}</td>"
    shown, _, interval = str(cell).partition(" ")
    if not shown:
        return "<td></td>"
    width = 100 * max(cell.value, 0) / longest if longest else 0
    number = f"<b>{shown}</b>" if best else shown
    return f'<td>{number}<small>{interval}</small><i class="bar" style="width:{width:.0f}%"></i></td>'


class Report:
    """What an experiment has found; a subclass has ``parts``."""

    parts: Sequence[Table | str]
    """Tables, and paragraphs between them, in order."""

    def markdown(self) -> str:
        """All parts."""
        return "\n\n".join(part if isinstance(part, str) else part.markdown() for part in self.parts) + "\n"

    def csv(self) -> str:
        """The cells of all tables in the long form, a line each."""
        text = io.StringIO()
        lines = [line for part in self.parts if isinstance(part, Table) for line in part.lines()]
        csv.writer(text, lineterminator="\n").writerows([CSV_HEADS, *lines])
        return text.getvalue()

    def write(self, folder: str | Path, stem: str) -> None:
        """Both to ``stem.md`` and ``stem.csv`` in ``folder``."""
        for suffix, text in (("md", self.markdown()), ("csv", self.csv())):
            with atomic(Path(folder) / f"{stem}.{suffix}") as file:
                file.write(text.encode())

    def _repr_html_(self) -> str:
        return "".join(_paragraph(part) if isinstance(part, str) else part.html() for part in self.parts)

    def _repr_markdown_(self) -> str:
        return self.markdown()


def _paragraph(words: str) -> str:
    return "<p>" + re.sub(r"\*\*(.+?)\*\*", r"<b>\1</b>", html.escape(words)) + "</p>"
