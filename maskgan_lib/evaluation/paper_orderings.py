"""What the paper states in words, that one method is better than another, beside the same difference measured here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from maskgan_lib.evaluation.estimates import BETTER, EMPTY, SAME, TOO_FEW, WORSE, Estimate, verdict
from maskgan_lib.evaluation.grades import ATTRIBUTE, SEGMENTATION
from maskgan_lib.evaluation.methods import STYLE_COPY, TRANSFER
from maskgan_lib.evaluation.paper_columns import FIXED, FRECHET, VERIFICATION, Column
from maskgan_lib.evaluation.report import Report, Said, Table, TableRow
from maskgan_lib.evaluation.run import Graded
from maskgan_lib.evaluation.tasks import COPIED

NOT_MEASURED, NOT_TRAINED = "not measured here", "not trained here"
SAID = {BETTER: "agreeing", WORSE: "not agreeing", SAME: SAME, TOO_FEW: "too few pairs"}
"""What a verdict on the better minus the worse method says of an ordering."""

ORDERING_HEADS = ("statement", "compared", "measure", "difference here", "verdict", "source")


@dataclass(frozen=True)
class Ordering:
    """A statement that a method is better than another on a measure of a table, and who states it.

    ``ours`` is the difference better minus worse that is seen here, in ``unit``; ``verdict`` is whether it agrees.
    """

    table: str
    statement: str
    better: str
    worse: str
    measure: str
    source: str
    ours: Estimate = EMPTY
    verdict: str = NOT_TRAINED
    unit: str = ""

    def shown(self) -> TableRow:
        """As it stands in the table."""
        unit = {"": "", "%": " points"}.get(self.unit, f" {self.unit}")
        ours = Said(self.ours, f"{self.ours}{unit}") if self.ours else ""
        compared = f"{self.better} against {self.worse}"
        return TableRow(self.table, (self.statement, compared, self.measure, ours, self.verdict, self.source))


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
class OrderingTable(Report):
    """The paper's orderings beside ours."""

    rows: tuple[Ordering, ...]

    @property
    def seen(self) -> list[Ordering]:
        """Those whose methods are both there."""
        return [row for row in self.rows if row.verdict != NOT_TRAINED]

    @property
    def parts(self) -> list[Table]:
        """The orderings that can be looked at, and the list of the others, each statement once."""
        judged = sum(row.verdict in (SAID[BETTER], SAID[WORSE], SAID[SAME]) for row in self.seen)
        notes = [
            "The difference here is the first method minus the second on the same pairs. It agrees, or does not, "
            f"where its 95 % interval leaves zero out; of {judged} verdicts about {0.05 * judged:.1f} would by chance.",
            "The paper's statements are about photographs, judges and trainings that are not those of this table.",
        ]
        untrained = dict.fromkeys(f"{r.table}: {r.statement}" for r in self.rows if r.verdict == NOT_TRAINED)
        if untrained:
            notes.append(f"{NOT_TRAINED.capitalize()}: {'; '.join(untrained)}.")
        title, rows = "The paper's orderings, and what is seen here", tuple(row.shown() for row in self.seen)
        return [Table(title, ORDERING_HEADS, rows, tuple(notes), corner="table")]


def compare_orderings(
    graded: Mapping[str, Mapping[str, Graded]], columns: Mapping[str, Sequence[Column]]
) -> OrderingTable:
    """``ORDERINGS`` beside the results of methods by table; ``columns`` are those tables' own."""
    trained, rows = {name for results in graded.values() for name in results}, []
    for stated in ORDERINGS:
        results, pair = graded.get(stated.table, {}), {stated.better, stated.worse}
        column = next((c for c in columns.get(stated.table, ()) if c.measure.name == stated.measure), None)
        if pair <= trained:
            stated = replace(stated, verdict=NOT_MEASURED)
        if column is not None and pair <= results.keys():
            ours = column.difference(results[stated.better], results[stated.worse])
            said = SAID[verdict(ours, column.measure, column.fewest)] if ours else NOT_MEASURED
            stated = replace(stated, ours=ours, verdict=said, unit=column.measure.unit)
        rows.append(stated)
    return OrderingTable(tuple(rows))
