"""``python -m maskgan_lib evaluate tables``: all of the paper's tables at once, its orderings, and README's section.

For the weights that ship, or for others by name.
"""

import csv
import html
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from maskgan_lib.checkpoints.files import CheckpointError, atomic
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.data.procedural import render_packed
from maskgan_lib.evaluation.columns import (
    ATTRIBUTE,
    FRECHET,
    columns_of,
    notes_of,
    notes_of_distances,
    verification_columns,
    verification_table,
)
from maskgan_lib.evaluation.comparison import FEWEST_FACES
from maskgan_lib.evaluation.experiment import named_weights
from maskgan_lib.evaluation.grading import Graded, GradingJudges, grade_method, grade_photos, grade_set
from maskgan_lib.evaluation.judges import SHIPPED
from maskgan_lib.evaluation.methods import RECONSTRUCTION, STYLE_COPY, TRANSFER, TrainedMethod, methods_of
from maskgan_lib.evaluation.orderings import OrderingTable, compare_orderings
from maskgan_lib.evaluation.protocols import (
    COPIED,
    IDENTITY,
    SEGMENTATION,
    PairList,
    attribute_pairs,
    reconstruction_pairs,
    style_pairs,
)
from maskgan_lib.evaluation.published import judges_of
from maskgan_lib.evaluation.shipped import SHIPPED_METHODS
from maskgan_lib.evaluation.tables import COLUMNS, FEW_PAIRS, TITLES, VERIFICATION, Cell, Table, make_table
from maskgan_lib.evaluation.verification import Verification, people_of
from maskgan_lib.readme import write_between

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
    methods: Sequence[TrainedMethod],
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
    lists, missing, places = {}, {}, {VERIFICATION: _strangers(faces, indices, others)}
    for task, choose in PAIRS.items():
        try:
            lists[task] = choose(faces, indices, count=counts[task], seed=seed)
        except DataError as error:
            missing[task] = str(error)
            continue
        lists[task].save(out / "pairs" / f"{task.replace(' ', '-')}.json")
        places[task] = _reference(lists[task], faces, others)
    references = _grade_sets(places, faces, judges, settings)
    tables, graded, columns = {}, {}, {}
    for task, pairs in lists.items():
        photos = grade_photos(pairs, faces, judges, **settings)
        results, failures = _grade_all(methods, pairs, faces, judges, settings)
        if not results:
            missing[task] = " ".join(failures) or "None of the methods does this task."
            continue
        graded[task], columns[task] = results, columns_of(task, references.get(task))
        notes = [*notes_of(pairs, judges), *notes_of_distances(references.get(task)), *failures]
        tables[task] = make_table(TITLES[task], columns[task], results, photos, shares.get(task, {}), notes)
        if task == TRANSFER:
            try:
                people = _people(references.get(VERIFICATION), faces.identity[places[VERIFICATION]], judges)
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
    methods: Sequence[TrainedMethod], pairs: PairList, faces: PackedFaces, judges: GradingJudges, settings: dict
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


def _grade_sets(
    places: Mapping[str, np.ndarray], faces: PackedFaces, judges: GradingJudges, settings: dict
) -> dict[str, Graded]:
    """The sets of photos at ``places`` by name, but the empty ones; a photo that is in several is looked at once."""
    every = np.unique(np.concatenate(list(places.values())))
    if not len(every):
        return {}
    seen = grade_set(every, faces, judges, **settings)
    rows = {name: np.searchsorted(every, chosen) for name, chosen in places.items() if len(chosen)}
    return {
        name: Graded({}, seen.features[row], None if seen.embeddings is None else seen.embeddings[row])
        for name, row in rows.items()
    }


def _people(strangers: Graded | None, identity: np.ndarray, judges: GradingJudges) -> Verification | None:
    """Pairs among the photos ``strangers`` of the persons ``identity``; None if there is no such photo.

    ``DataError`` without an identity net.
    """
    if judges.identity_net is None:
        raise DataError("Nobody among the judges tells persons apart: give them an identity net.")
    return None if strangers is None else people_of(strangers.embeddings, identity)


def _reference(pairs: PairList, faces: PackedFaces, others: np.ndarray) -> np.ndarray:
    """Places among ``others`` of photos that the results should look like; none where the task or their number gives
    no set."""
    if pairs.task == RECONSTRUCTION or len(pairs) < FEWEST_FACES:
        return others[:0]
    if pairs.task == TRANSFER:
        others = others[faces.attribute(pairs.attribute)[others] > 0]
    chosen = np.sort(np.random.default_rng(0).permutation(others)[:REFERENCES])
    return chosen if len(chosen) >= FEWEST_FACES else others[:0]


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
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = out / "faces" if data is None else Path(data)
    if data is None and not folder.exists():
        render_packed(folder, DRAWN, SIZE, SEED, PEOPLE, splits=SPLITS)
    faces = PackedFaces.open(folder)
    files = named_weights(networks, fewest=1) or {n: SHIPPED / f"{f}.safetensors" for n, f in SHIPPED_METHODS.items()}
    counts = COUNTS if pairs is None else dict.fromkeys((TRANSFER, STYLE_COPY, RECONSTRUCTION), pairs)
    graders = judges_of(judges or SHIPPED, other_judges, device)
    return evaluate_methods(methods_of(files, device), faces, faces.indices("test"), graders, out, counts, seed, device)


# ---- README


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
        "pairs. *photos* is what the same judges say of the photos, their own error. Bold: the best of a column among "
        "the methods that render a mask, which StarGAN and ELEGANT do not."
    )
    tail = (
        f"Made by `{README_COMMAND}`, which also writes the other measures, the judges' origins, and the paper's "
        "orderings beside those seen here."
    )
    return "\n\n".join([head, *parts, tail])


def write_readme(path: str | Path, results: Results) -> None:
    """Put ``readme_section`` between its two marks in a file; ``DataError`` unless it has them."""
    write_between(path, README_BEGIN, README_END, readme_section(results))
