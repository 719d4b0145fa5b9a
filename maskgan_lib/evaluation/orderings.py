"""What the paper states in words, that one method is better than another, beside the same difference measured here."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from maskgan_lib.evaluation.columns import ATTRIBUTE, FIXED, FRECHET
from maskgan_lib.evaluation.grading import Graded
from maskgan_lib.evaluation.methods import STYLE_COPY, TRANSFER
from maskgan_lib.evaluation.protocols import COPIED, SEGMENTATION
from maskgan_lib.evaluation.tables import EMPTY, STYLE, VERIFICATION, Cell, Column

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
