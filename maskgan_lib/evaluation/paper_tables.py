"""``python -m maskgan_lib evaluate tables``: all of the paper's tables at once, its orderings, and README's section.

For the weights that ship, or for others by name.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.data.procedural import render_packed
from maskgan_lib.evaluation.estimates import FEWEST_ITEMS
from maskgan_lib.evaluation.grades import ATTRIBUTE, IDENTITY, SEGMENTATION
from maskgan_lib.evaluation.judges import PRETRAINED, Judges
from maskgan_lib.evaluation.methods import RECONSTRUCTION, STYLE_COPY, TRANSFER, MethodError, TrainedMethod, methods_of
from maskgan_lib.evaluation.paper_columns import (
    FEW_PAIRS,
    FRECHET,
    TITLES,
    VERIFICATION,
    columns_of,
    make_table,
    notes_of,
    people_cells,
    verification_columns,
)
from maskgan_lib.evaluation.paper_orderings import OrderingTable, compare_orderings
from maskgan_lib.evaluation.published import judges_of
from maskgan_lib.evaluation.report import Report, Table
from maskgan_lib.evaluation.run import Graded, Grader
from maskgan_lib.evaluation.shipped import SHIPPED_METHODS
from maskgan_lib.evaluation.tasks import COPIED, PairList, attribute_pairs, held_out, reconstruction_pairs, style_pairs
from maskgan_lib.evaluation.verification import Verification, people_of
from maskgan_lib.evaluation.weights import best_device, named_weights, shipped_files

DRAWN, PEOPLE, SIZE, SEED = 1600, 800, 128, 5
SPLITS = (0.5, 0.0, 0.5)
"""The faces that are drawn where none are given: people whom no shipped network has seen. Half are measured on; sets of
pictures are compared with the others, and the judge of identities shows on them what it can."""

COUNTS = {TRANSFER: 400, STYLE_COPY: 1000, RECONSTRUCTION: 1000}
"""Pairs of each task, the first two the paper's."""

REFERENCES = 1000
"""At most so many photos the distances are to."""

PAIRS = {TRANSFER: attribute_pairs, STYLE_COPY: style_pairs, RECONSTRUCTION: reconstruction_pairs}

README_COLUMNS = (ATTRIBUTE.name, IDENTITY.name, *COPIED, SEGMENTATION.name, FRECHET.name, "PSNR", "SSIM")
"""Of the tables of pairs; the identity table is narrow enough."""

README_COMMAND = "python -m maskgan_lib evaluate tables --write-back"
README_BEGIN, README_END = "<!-- results -->", "<!-- end of results -->"


@dataclass(frozen=True)
class Results(Report):
    """The tables by task, why one is missing, what they were made from, and the orderings."""

    tables: dict[str, Table]
    missing: dict[str, str]
    graded: dict[str, dict[str, Graded]]
    orderings: OrderingTable
    data: str

    @property
    def parts(self) -> list[Table | str]:
        """All tables; in the place of a missing one stands why it is."""
        return [f"Measured on {self.data}.", *map(self.table, TITLES), *self.orderings.parts]

    def table(self, task: str) -> Table:
        """That of a task, or an empty one that says why it is missing."""
        return self.tables.get(task) or Table(TITLES[task], (), (), (self.missing[task],))


def evaluate_methods(
    methods: Sequence[TrainedMethod],
    faces: PackedFaces,
    indices: np.ndarray,
    judges: Judges,
    out: str | Path,
    counts: Mapping[str, int] = MappingProxyType(COUNTS),
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> Results:
    """All tables of ``methods`` on pairs among the faces ``indices``, at most ``counts`` of them by task.

    The lists of pairs go to ``out/pairs``, what is graded to ``out/graded``, from where an interrupted run goes on,
    the tables to ``out/tables.md`` and ``out/tables.csv``. Sets of pictures are compared with photos of faces that are
    not in ``indices``. A task that the faces do not allow, and a method that cannot do it, is named in the tables; the
    others are measured. ``DataError`` if no table can be made.
    """
    out, others = Path(out), np.setdiff1d(np.arange(len(faces)), indices)
    grader = Grader(faces, judges, out / "graded", device)
    lists, missing, places = {}, {}, {VERIFICATION: _strangers(faces, indices, others)}
    for task, choose in PAIRS.items():
        try:
            lists[task] = choose(faces, indices, count=counts[task], seed=seed)
        except DataError as error:
            missing[task] = str(error)
            continue
        lists[task].save(out / "pairs" / f"{task.replace(' ', '-')}.json")
        places[task] = _reference(lists[task], faces, others)
    references = _grade_sets(places, grader)
    tables, graded, columns = {}, {}, {}
    for task, pairs in lists.items():
        photos = grader.of_photos(pairs)
        results, failures = _grade_all(methods, pairs, grader)
        if not results:
            missing[task] = " ".join(failures) or "None of the methods does this task."
            continue
        graded[task], columns[task], about = results, columns_of(task, references.get(task)), notes_of(pairs, judges)
        of_photos = [column.cell(photos) for column in columns[task]]
        tables[task] = make_table(TITLES[task], columns[task], results, of_photos, about, failures)
        if task == TRANSFER:
            try:
                people = _people(references.get(VERIFICATION), faces.identity[places[VERIFICATION]], judges)
                of_people = verification_columns(photos, faces.identity[pairs.targets], people)
                row = people and people_cells(people)
                tables[VERIFICATION] = make_table(TITLES[VERIFICATION], of_people, results, row, about)
                graded[VERIFICATION], columns[VERIFICATION] = results, of_people
            except DataError as error:
                missing[VERIFICATION] = str(error)
    if VERIFICATION not in tables:
        missing.setdefault(VERIFICATION, missing.get(TRANSFER))
    if not tables:
        raise DataError(f"There is nothing to compare. {' '.join(dict.fromkeys(missing.values()))}")
    tables = {task: tables[task] for task in TITLES if task in tables}
    results = Results(tables, missing, graded, compare_orderings(graded, columns), f"{len(indices)} {faces.source}")
    results.write(out, "tables")
    return results


def _grade_all(
    methods: Sequence[TrainedMethod], pairs: PairList, grader: Grader
) -> tuple[dict[str, Graded], list[str]]:
    """The methods that do the task by name, and a sentence for each that cannot do what it is asked for here."""
    graded, failures = {}, []
    for method in (method for method in methods if pairs.task in method.tasks):
        try:
            graded[method.name] = grader.of_method(method, pairs)
        except MethodError as error:
            failures.append(f"{method.name} is left out: {error}")
            print(failures[-1], file=sys.stderr)
    return graded, failures


def _grade_sets(places: Mapping[str, np.ndarray], grader: Grader) -> dict[str, Graded]:
    """The sets of photos at ``places`` by name, but the empty ones; a photo that is in several is looked at once."""
    every = np.unique(np.concatenate(list(places.values())))
    if not len(every):
        return {}
    seen = grader.of_set(every)
    return {name: seen.at(np.searchsorted(every, chosen)) for name, chosen in places.items() if len(chosen)}


def _people(strangers: Graded | None, identity: np.ndarray, judges: Judges) -> Verification | None:
    """Pairs among the photos ``strangers`` of the persons ``identity``; None if there is no such photo.

    ``DataError`` without an identity net.
    """
    if judges.identity_net is None:
        raise DataError("Nobody among the judges tells persons apart: give them an identity net.")
    return None if strangers is None else people_of(strangers.embeddings, identity)


def _reference(pairs: PairList, faces: PackedFaces, others: np.ndarray) -> np.ndarray:
    """Places among ``others`` of photos that the results should look like; none where the task or their number gives
    no set."""
    if pairs.task == RECONSTRUCTION or len(pairs) < FEWEST_ITEMS:
        return others[:0]
    if pairs.task == TRANSFER:
        others = others[faces.attribute(pairs.attribute)[others] > 0]
    chosen = np.sort(np.random.default_rng(0).permutation(others)[:REFERENCES])
    return chosen if len(chosen) >= FEWEST_ITEMS else others[:0]


def _strangers(faces: PackedFaces, indices: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Places among ``others`` of at most ``REFERENCES`` photos of persons on several, none of them on ``indices``."""
    identity = faces.identity
    strangers = others[(identity[others] >= 0) & ~np.isin(identity[others], identity[indices])]
    persons, counts = np.unique(identity[strangers], return_counts=True)
    return strangers[np.isin(identity[strangers], persons[counts > 1])][:REFERENCES]


def evaluate_tables(
    out: str | Path,
    data: str | Path | None = None,
    networks: Sequence[str] = (),
    judges: str | Path | None = None,
    other_judges: Sequence[str] = (),
    pairs: int | None = None,
    seed: int = 0,
) -> Results:
    """The tables of ``networks`` (``NAME=FILE`` each; without any, those that ship) on the test split of ``data``.

    Without ``data``, procedural faces are drawn into ``out/faces``. ``judges`` is a folder of their weights, by default
    the one that ships, ``other_judges`` some that take a place among them (see ``judges_of``). ``pairs`` is how many
    pairs of each task at most; without it as many as in the paper.
    """
    out = Path(out)
    device = best_device()
    folder = out / "faces" if data is None else Path(data)
    if data is None and not folder.exists():
        render_packed(folder, DRAWN, SIZE, SEED, PEOPLE, splits=SPLITS)
    faces = PackedFaces.open(folder)
    files = named_weights(networks, fewest=1) or shipped_files(SHIPPED_METHODS)
    counts = COUNTS if pairs is None else dict.fromkeys(COUNTS, pairs)
    graders = judges_of(judges or PRETRAINED, other_judges, device)
    return evaluate_methods(methods_of(files, device), faces, held_out(faces), graders, out, counts, seed, device)


# ---- README


def readme_section(results: Results) -> str:
    """The tables without their long notes, for README."""
    parts = []
    for task in TITLES:
        table = results.table(task)
        warnings = [note for note in table.notes[1:] if note.startswith(FEW_PAIRS)]
        short = table if task == VERIFICATION else table.only(README_COLUMNS)
        parts.append(replace(short, notes=(table.notes[0], *warnings)).markdown())
    head = (
        f"Measured on {results.data}: nothing here compares with the paper's figures. In brackets: 95 % intervals over "
        "pairs. *photos* is what the same judges say of the photos, their own error. Bold: the best of a column among "
        "the methods that render a mask, which StarGAN and ELEGANT do not."
    )
    tail = (
        f"Made by `{README_COMMAND}`, which also writes the other measures, the judges' origins, and the paper's "
        "orderings beside those seen here."
    )
    return "\n\n".join([head, *parts, tail])
