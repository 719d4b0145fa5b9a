"""What the paper's tables measure, table by table, and the notes that a reader of them needs."""

from collections.abc import Mapping, Sequence

import numpy as np

from maskgan_lib.evaluation.comparison import FEWEST_FACES, Measure
from maskgan_lib.evaluation.distances import FALLBACK_NAME, frechet_distance, kernel_distance
from maskgan_lib.evaluation.grading import Graded, GradingJudges
from maskgan_lib.evaluation.protocols import MEASURES, PairList
from maskgan_lib.evaluation.tables import TITLES, VERIFICATION, Cell, Column, Table, make_table
from maskgan_lib.evaluation.verification import Verification, choose_threshold, verify_edits

ATTRIBUTE = Measure("attribute accuracy", "%", True)
FRECHET = Measure(FALLBACK_NAME, "", False)
KERNEL = Measure("kernel distance (attribute net)", "", False)
FIXED = Measure("accuracy at a fixed threshold", "%", True)
BEST = Measure("accuracy at the best threshold", "%", True)
AUC = Measure("area under the ROC curve", "", True)


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


def people_row(people: Verification) -> tuple[Cell, ...]:
    """The cells of the photos in the identity table: two photos of one person are the same pairs."""
    count = len(people)
    return (
        Cell(100 * people.halves_accuracy, np.nan, np.nan, count),
        Cell(100 * people.best_accuracy, np.nan, np.nan, count),
        Cell(people.auc, *people.auc_interval(), count),
    )


def verification_table(
    columns: Sequence[Column], results: Mapping[str, Graded], people: Verification | None, notes: Sequence[str]
) -> Table:
    """The paper's Table 4; two photos of one of ``people`` are what the judge can tell at best."""
    row = None if people is None else people_row(people)
    return make_table(TITLES[VERIFICATION], columns, results, row, notes=[*notes, *notes_of_people(people)])


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


def notes_of_distances(reference: Graded | None) -> list[str]:
    """What a reader has to know of the distances to the photos ``reference``."""
    if reference is None:
        return []
    count, features = reference.features.shape
    return [
        f"The distances are to {count} photos of other faces in {features} features of the attribute net: they are no "
        "FID or KID, which take Inception's. The Fréchet distance of few pictures comes out too large, and less so for "
        "pictures that are all alike: below that of the photos, which are as many, lower is not better. The kernel "
        "distance has no such error."
    ]


def notes_of_people(people: Verification | None) -> list[str]:
    """What a reader has to know of the identity table, whose fixed threshold suits ``people``."""
    made = "A result and its target's photo are the same person, a result and the next target's photo another one."
    if people is None:
        return [made, "No other person is known on two photos: the fixed threshold is the other half of the pairs'."]
    return [
        made,
        f"The fixed threshold suits {len(people.same)} pairs of photos of one person and {len(people.different)} of "
        "two, none of them in this table. The row photos is made of these pairs, its fixed threshold by halves.",
    ]
