"""What the paper's tables measure, table by table, and the notes that a reader of them needs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from maskgan_lib.evaluation.distances import FALLBACK_NAME, frechet_distance, kernel_distance
from maskgan_lib.evaluation.estimates import FEWEST_ITEMS, Estimate, Measure, jackknife, mean_estimate
from maskgan_lib.evaluation.grades import TASK_MEASURES
from maskgan_lib.evaluation.judges import Judges
from maskgan_lib.evaluation.methods import COPY_OF_THE_SOURCE, COPY_OF_THE_TARGET, RECONSTRUCTION, STYLE_COPY, TRANSFER
from maskgan_lib.evaluation.report import PHOTOS, Table, TableRow
from maskgan_lib.evaluation.run import Graded
from maskgan_lib.evaluation.tasks import PairList
from maskgan_lib.evaluation.verification import Verification, choose_threshold, verify_edits
from maskgan_lib.registry import METHODS

VERIFICATION = "identity verification"
"""The table made from the results of attribute transfer."""

TITLES = {
    TRANSFER: "Attribute transfer (the paper's Table 2)",
    STYLE_COPY: "Style copy (the paper's Table 3)",
    VERIFICATION: "Identity after attribute transfer (the paper's Table 4)",
    RECONSTRUCTION: "Reconstruction of a face from its own mask and looks",
}

NOT_RANKED = (
    *(name for name, method in METHODS.items() if not method.renders),
    *(COPY_OF_THE_TARGET.name, COPY_OF_THE_SOURCE.name),
)
"""They render no mask, or do nothing of what is asked: the best of a column is looked for among the others."""

FEW_PAIRS = f"Fewer than {FEWEST_ITEMS} pairs"

FRECHET = Measure(FALLBACK_NAME, "", False)
KERNEL = Measure("kernel distance (attribute net)", "", False)
FIXED = Measure("accuracy at a fixed threshold", "%", True)
BEST = Measure("accuracy at the best threshold", "%", True)
AUC = Measure("area under the ROC curve", "", True)


@dataclass(frozen=True)
class Column:
    """A measure of methods: the mean of its value a pair or, with ``statistic``, one number of many pairs.

    ``statistic(graded, places)`` is that number for the pairs at ``places``; it lies in ``bounds``. With less than
    ``fewest`` pairs two methods are not told apart. ``notes`` are what a reader has to know of it.
    """

    measure: Measure
    statistic: Callable[[Graded, np.ndarray], float] | None = None
    bounds: tuple[float, float] = (-np.inf, np.inf)
    fewest: float = FEWEST_ITEMS
    notes: tuple[str, ...] = ()

    def cell(self, graded: Graded) -> Estimate:
        """What a method gets."""
        if self.statistic is None:
            return mean_estimate(graded.values[self.measure.name])
        cell = jackknife(partial(self.statistic, graded), len(graded))
        return replace(cell, low=np.clip(cell.low, *self.bounds), high=np.clip(cell.high, *self.bounds))

    def difference(self, ours: Graded, other: Graded) -> Estimate:
        """``ours`` minus ``other`` on the same pairs."""
        if self.statistic is None:
            return mean_estimate(ours.values[self.measure.name] - other.values[self.measure.name])
        return jackknife(lambda places: self.statistic(ours, places) - self.statistic(other, places), len(ours))


def columns_of(task: str, reference: Graded | None = None) -> tuple[Column, ...]:
    """The columns of a task's table: what is graded a pair and, with ``reference``, the distances to those photos."""
    columns = tuple(Column(measure) for measure in TASK_MEASURES[task])
    if reference is None:
        return columns
    photos = reference.features
    count, features = photos.shape
    # With fewer pictures than features a covariance is unknown in most directions: the dullest set comes out nearest.
    fewest = max(features, FEWEST_ITEMS) if count >= features else np.inf
    note = (
        f"The distances are to {count} photos of other faces in {features} features of the attribute net: they are no "
        "FID or KID, which take Inception's. The Fréchet distance of few pictures comes out too large, and less so for "
        "pictures that are all alike: below that of the photos, which are as many, lower is not better. The kernel "
        "distance has no such error."
    )

    def to_photos(distance: Callable[[np.ndarray, np.ndarray], float], graded: Graded, places: np.ndarray) -> float:
        return distance(graded.features[places], photos)

    frechet, kernel = (partial(to_photos, distance) for distance in (frechet_distance, kernel_distance))
    return *columns, Column(FRECHET, frechet, (0, np.inf), fewest, (note,)), Column(KERNEL, kernel)


def verification_columns(photos: Graded, persons: np.ndarray, people: Verification | None) -> tuple[Column, ...]:
    """Whether results show the person of their target: ``photos`` has the targets' embeddings, ``persons [P]`` names
    them (-1: unknown). The fixed threshold is the one that suits ``people``; without, each half of the pairs takes that
    of the other half.
    """
    threshold = None if people is None else choose_threshold(people.same, people.different)
    made = "A result and its target's photo are the same person, a result and the next target's photo another one."
    fixed = "No other person is known on two photos: the fixed threshold is the other half of the pairs'."
    if people is not None:
        fixed = (
            f"The fixed threshold suits {len(people.same)} pairs of photos of one person and {len(people.different)} "
            "of two, none of them in this table. The row photos is made of these pairs, its fixed threshold by halves."
        )

    def verified(graded: Graded, places: np.ndarray) -> Verification:
        return verify_edits(graded.embeddings[places], photos.embeddings[places], persons[places])

    return (
        Column(FIXED, lambda *some: 100 * verified(*some).fixed_accuracy(threshold), (0, 100), notes=(made, fixed)),
        Column(BEST, lambda *some: 100 * verified(*some).best_accuracy, (0, 100)),
        Column(AUC, lambda *some: verified(*some).auc, (0, 1)),
    )


def people_cells(people: Verification) -> tuple[Estimate, ...]:
    """The cells of the photos in the identity table: two photos of one person are the same pairs."""
    accuracies = people.halves_accuracy, people.best_accuracy
    return (
        *(Estimate(100 * accuracy, np.nan, np.nan, len(people)) for accuracy in accuracies),
        Estimate(people.auc, *people.auc_interval(), len(people)),
    )


def make_table(
    title: str,
    columns: Sequence[Column],
    results: Mapping[str, Graded],
    photos: Sequence[Estimate] | None = None,
    about: Sequence[str] = (),
    failures: Sequence[str] = (),
) -> Table:
    """Methods by columns, the cells of the photos first; columns that nobody has a value in are left out.

    The notes: what the table is ``about``, those on the columns, ``failures``, and on intervals that say little.
    """
    rows = {} if photos is None else {PHOTOS: photos}
    rows |= {name: [column.cell(graded) for column in columns] for name, graded in results.items()}
    notes = [*about, *(note for column in columns for note in column.notes), *failures]
    if max((cell.count for row in rows.values() for cell in row if cell), default=FEWEST_ITEMS) < FEWEST_ITEMS:
        notes.append(f"{FEW_PAIRS}: the intervals tell too little for a verdict.")
    if any(cell.low == cell.high for name, row in rows.items() if name not in NOT_RANKED for cell in row):
        notes.append("An interval without width means that all pairs agree, not that the value is certain.")
    measures, made = tuple(c.measure for c in columns), tuple(TableRow(name, tuple(r)) for name, r in rows.items())
    ranked = tuple(name for name in results if name not in NOT_RANKED)
    known = [m.name for k, m in enumerate(measures) if any(row.cells[k] for row in made)]
    return Table(title, measures, made, tuple(notes), ranked).only(known)


def notes_of(pairs: PairList, judges: Judges) -> list[str]:
    """What a reader has to know of a table: pairs, judges, their errors, and intervals."""
    rule = ", ".join(f"{n} {f'{value:.3g}' if isinstance(value, float) else value}" for n, value in pairs.rule.items())
    different = len(np.unique(pairs.sources))
    return [
        f"{len(pairs)} pairs for {pairs.task}{f' of {pairs.attribute}' if pairs.attribute else ''} ({rule})"
        + (f"; {different} different sources." if different < len(pairs) else "."),
        "Judges: " + "; ".join(f"{judge}, {origin}" for judge, origin in judges.origins.items()) + ".",
        "The row photos shows the judges' own errors: what they say of the photos, where the truth is known.",
        "In brackets: 95 % intervals over pairs, for these judges and these trainings.",
    ]
