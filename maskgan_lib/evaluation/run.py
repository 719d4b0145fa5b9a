"""Runs methods over pairs or faces and keeps what the judges say, so that a run that was killed goes on."""

import hashlib
import json
import sys
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.grades import TASK_MEASURES, grade, grade_looks
from maskgan_lib.evaluation.judges import BATCH, Judges
from maskgan_lib.evaluation.methods import MethodError, Request, TrainedMethod
from maskgan_lib.evaluation.report import PHOTOS
from maskgan_lib.evaluation.tasks import PairList, faces_mark, requests
from maskgan_lib.progress import progress_bar

PART = 64
"""Items that are graded between two writes: what a kill can lose."""

VERSION = 1
"""Raised when a measure is computed in another way: what was graded before is then not taken for today's."""

OF_THE_MASK = ("segmentation accuracy", "segmentation accuracy around the edit")
"""Measures that say something of a photo on its own mask: whether its parts are seen."""

UNREADABLE = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error)


@torch.no_grad()
def in_parts(
    title: str, key: Sequence, count: int, make: Callable[[slice], dict[str, np.ndarray]], cache: Path | None = None
) -> dict[str, np.ndarray]:
    """The arrays ``[count, ...]`` by name that ``make`` gives for one part of the items after the other.

    With a folder ``cache`` every part is kept there under ``key``, JSON that tells all that the arrays depend on: what
    is there is not made again, and a damaged part is made anew.
    """
    digest = hashlib.sha256(json.dumps([VERSION, PART, *key]).encode()).hexdigest()[:20]
    parts = []
    with progress_bar(total=count, desc=title, unit="item") as bar:
        for start in range(0, count, PART):
            part = slice(start, min(start + PART, count))
            path = cache and Path(cache) / digest / f"{start:06d}.npz"
            arrays = _read_part(path, part.stop - part.start) if path else None
            if arrays is None:
                arrays = make(part)
                if path:
                    with atomic(path) as file:
                        np.savez(file, **arrays)
            parts.append(arrays)
            bar.update(part.stop - part.start)
    return {name: np.concatenate([arrays[name] for arrays in parts]) for name in parts[0]}


def _read_part(path: Path, count: int) -> dict[str, np.ndarray] | None:
    """The arrays of a part, each checked against the zip file's checksum; None if it has to be made."""
    if not path.is_file():
        return None
    try:
        with np.load(path) as stored:
            arrays = {name: stored[name] for name in stored.files}
        if not arrays or any(len(array) != count for array in arrays.values()):
            raise ValueError(f"it does not hold {count} items")
        return arrays
    except UNREADABLE as error:
        print(f"{path} is damaged ({error}): these {count} are graded again.", file=sys.stderr)
        return None


def places_mark(faces: PackedFaces, indices: np.ndarray) -> list[str]:
    """What tells these faces in this order from others, for a key."""
    return [faces_mark(faces), hashlib.sha256(indices.astype("<i8").tobytes()).hexdigest()]


# ---- pairs of faces


@dataclass(frozen=True)
class Graded:
    """What the judges say of P pictures.

    ``values`` are float64 ``[P]`` by the measure's name, NaN where a measure does not apply; ``features [P, F]`` and
    ``embeddings [P, E]`` are what the attribute net and the identity net make of the pictures; no embeddings without
    an identity net.
    """

    values: dict[str, np.ndarray]
    features: np.ndarray
    embeddings: np.ndarray | None

    def __len__(self) -> int:
        return len(self.features)

    def at(self, places: np.ndarray) -> Self:
        """Of the pictures at ``places`` only."""
        values = {name: column[places] for name, column in self.values.items()}
        return Graded(values, self.features[places], None if self.embeddings is None else self.embeddings[places])


def made_by(method: TrainedMethod, request: Request) -> Tensor:
    """The method's pictures; ``MethodError`` if they have another shape than the targets, or are not finite."""
    made = method.make(request)
    if made.shape != request.target.shape:
        raise MethodError(f"{method.name} made {list(made.shape)} where {list(request.target.shape)} was asked for.")
    if not torch.isfinite(made).all():
        raise MethodError(f"{method.name} made a picture that is not finite: its weights are no good, train again.")
    return made


@dataclass(frozen=True)
class Grader:
    """Grades what methods make of ``faces``, and the photos, ``batch`` pictures at a time on ``device``.

    What the judges said is kept in the folder ``cache``: see ``in_parts``.
    """

    faces: PackedFaces
    judges: Judges
    cache: Path | None = None
    device: str | torch.device = "cpu"
    batch: int = BATCH

    def of_method(self, method: TrainedMethod, pairs: PairList) -> Graded:
        """What the judges say of the pictures that ``method`` makes for ``pairs``.

        ``MethodError`` if it does not do the task, or makes pictures of another shape, or that are not finite.
        """
        if pairs.task not in method.tasks:
            raise MethodError(f"{method.name} does no {pairs.task}, only {', '.join(method.tasks)}.")

        def answer(request: Request) -> tuple[dict[str, Tensor], Tensor, Tensor]:
            made = made_by(method, request)
            return grade(request, made, self.judges), made, made

        return self._of_pairs(method.name, method.fingerprint, answer, pairs)

    def of_photos(self, pairs: PairList) -> Graded:
        """The row of the photos: what the same judges say where the truth is known, which bounds what they can see.

        Attributes are graded on the sources' photos, which have the looks that are asked for; masks on the targets'
        photos with their own masks. What a photo would be compared with itself in is NaN. ``features`` are of the
        photos that the results should look like, the sources but in reconstruction; ``embeddings`` of the targets.
        """

        def answer(request: Request) -> tuple[dict[str, Tensor], Tensor, Tensor]:
            # Around an edit the parser is asked where the mask changes, whichever way: here back to the target's own.
            own = replace(request, edited=request.target_mask, target_mask=request.edited)
            of_target = grade(own, request.target, self.judges)
            values = {name: value if name in OF_THE_MASK else value * torch.nan for name, value in of_target.items()}
            return values | grade_looks(request, request.source, self.judges), request.source, request.target

        return self._of_pairs(PHOTOS, PHOTOS, answer, pairs)

    def of_set(self, indices: np.ndarray) -> Graded:
        """Features and embeddings of the photos ``indices`` alone, for distances to a set of photos; no values."""

        def make(part: slice) -> dict[str, np.ndarray]:
            images = to_float_image(self.faces.read(indices[part])[0], self.device)
            return self._seen(images.split(self.batch), images.split(self.batch))

        key = ["set of photos", *places_mark(self.faces, indices), self.judges.fingerprint]
        arrays = in_parts("photos to compare with", key, len(indices), make, self.cache)
        return Graded({}, arrays["features"], arrays.get("embeddings"))

    def _of_pairs(self, name: str, fingerprint: str, answer: Callable[[Request], tuple], pairs: PairList) -> Graded:
        """``answer`` gives for a request its values and the pictures whose features and embeddings are asked for."""
        names = [measure.name for measure in TASK_MEASURES[pairs.task]]

        def make(part: slice) -> dict[str, np.ndarray]:
            some = replace(pairs, targets=pairs.targets[part], sources=pairs.sources[part])
            asked = requests(some, self.faces, self.device, self.batch)
            answers, looks, persons = zip(*map(answer, asked), strict=True)
            values = [torch.cat([values[n].double().cpu() for values in answers]).numpy() for n in names]
            return {"values": np.stack(values, axis=1), **self._seen(looks, persons)}

        key = [pairs.task, fingerprint, pairs.fingerprint, self.judges.fingerprint, names]
        arrays = in_parts(f"{name}, {pairs.task}", key, len(pairs.targets), make, self.cache)
        return Graded(dict(zip(names, arrays["values"].T, strict=True)), arrays["features"], arrays.get("embeddings"))

    def _seen(self, looks: Sequence[Tensor], persons: Sequence[Tensor]) -> dict[str, np.ndarray]:
        """Features of the pictures ``looks`` and, where there is an identity net, embeddings of ``persons``."""
        seen = {"features": map(self.judges.features, looks)}
        if self.judges.identity_net is not None:
            seen["embeddings"] = map(self.judges.identity, persons)
        return {name: torch.cat([part.float().cpu() for part in parts]).numpy() for name, parts in seen.items()}
