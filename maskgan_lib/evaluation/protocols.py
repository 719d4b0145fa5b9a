"""The paper's tasks (Tables 2 to 4): which faces make a pair, what is asked of a method, and how its answer is graded.

A list of pairs is a function of the faces, the settings and the seed. It is saved as a file, so that every method is
measured on the same pairs.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.classes import CLASS_ID, GROUPS, IGNORE_ID
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.edits import replace_parts
from maskgan_lib.evaluation.ablation import BAND, MARGIN
from maskgan_lib.evaluation.appearance import colour_distance
from maskgan_lib.evaluation.comparison import Measure
from maskgan_lib.evaluation.methods import RECONSTRUCTION, STYLE_COPY, TRANSFER, Request
from maskgan_lib.evaluation.metrics import around, psnr, ssim

TOLERANCE = 5.0
"""Degrees by which yaw, pitch and roll of a pair may each differ. Our choice: the paper does not tell its own."""

TRANSFERRED = {
    "Smiling": GROUPS["mouth"],
    "Mouth_Slightly_Open": GROUPS["mouth"],
    "Big_Lips": GROUPS["mouth"],
    "Big_Nose": (CLASS_ID["nose"],),
    "Pointy_Nose": (CLASS_ID["nose"],),
    "Narrow_Eyes": GROUPS["eyes"],
    "Arched_Eyebrows": GROUPS["brows"],
    "Bushy_Eyebrows": GROUPS["brows"],
    "Eyeglasses": (CLASS_ID["eye_g"],),
}
"""Attributes that the shape of parts decides, and these parts: the source's take the place of the target's."""

COPIED = ("Male", "Heavy_Makeup", "No_Beard")
"""Attributes that come with the style; no part of a mask shows them."""

HIGHEST_PSNR = 100.0
"""dB. Of two equal pictures the PSNR is infinite, and no mean could be taken."""

SEGMENTATION = Measure("segmentation accuracy", "%", True)
IDENTITY = Measure("identity similarity", "cosine", True)
MEASURES = {
    TRANSFER: (
        Measure("attribute accuracy", "%", True),
        SEGMENTATION,
        Measure("segmentation accuracy around the edit", "%", True),
        IDENTITY,
        Measure("change far from the edit", "grey levels", False),
    ),
    STYLE_COPY: (
        *(Measure(name, "%", True) for name in COPIED),
        SEGMENTATION,
        Measure("colour distance to the source", "Delta E", False),
    ),
    RECONSTRUCTION: (
        Measure("PSNR", "dB", True),
        Measure("SSIM", "", True),
        SEGMENTATION,
        IDENTITY,
    ),
}
"""By task, what ``grade`` tells of every picture."""


class TaskJudges(Protocol):
    """The nets that ``grade`` asks about pictures, float ``[B, 3, H, W]`` in [-1, 1], as ``Judges`` has them."""

    attribute_names: Sequence[str]
    identity_net: object | None

    def parse(self, images: Tensor) -> Tensor:
        """Label maps, integer ``[B, H, W]``."""

    def attributes(self, images: Tensor) -> Tensor:
        """Logits ``[B, A]``."""

    def identity(self, images: Tensor) -> Tensor:
        """Unit vectors ``[B, E]``; asked only if ``identity_net`` is not None."""


# ---- pairs


@dataclass(frozen=True, eq=False)
class PairList:
    """P pairs of faces of one packed folder, for one task.

    ``targets`` and ``sources`` are int64 ``[P]``, places in the folder; ``faces`` is the folder's ``faces_mark``.
    ``rule`` says how the pairs were chosen, with the counts that were asked for and found, as JSON.
    """

    task: str
    targets: np.ndarray
    sources: np.ndarray
    attribute: str | None
    faces: str
    rule: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all that the list says, 64 hexadecimal digits."""
        return _digest(self._as_json())

    def save(self, path: str | Path) -> None:
        """Writes the list as JSON."""
        with atomic(path) as file:
            file.write(json.dumps({**self._as_json(), "fingerprint": self.fingerprint}, indent=1).encode())

    @classmethod
    def load(cls, path: str | Path, faces: PackedFaces) -> Self:
        """The list in a file of ``save``; ``DataError`` if it is damaged or belongs to other faces than ``faces``."""
        path = Path(path)
        if not path.is_file():
            raise DataError(f"There is no file {path}: check the path, or choose the pairs anew.")
        try:
            stored = json.loads(path.read_bytes())
            fingerprint = stored.pop("fingerprint")
            places = {name: np.array(stored.pop(name), np.int64) for name in ("targets", "sources")}
            pairs = cls(**stored, **places)
            intact = pairs.fingerprint == fingerprint
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            intact = False
        if not intact:
            raise DataError(f"{path} is damaged, or holds no list of pairs: delete it and choose the pairs anew.")
        pairs.check(faces)
        return pairs

    def check(self, faces: PackedFaces) -> None:
        """``DataError`` unless the list was made for ``faces``."""
        if self.faces != faces_mark(faces):
            raise DataError(
                f"The list of pairs for {self.task} was made for other faces than those in {faces.folder}: "
                "open the folder that it was made for, or choose the pairs anew."
            )

    def _as_json(self) -> dict:
        return {**asdict(self), "targets": self.targets.tolist(), "sources": self.sources.tolist()}


@lru_cache(maxsize=4)  # every part of a list asks for it, and there may be 30,000 records
def faces_mark(faces: PackedFaces) -> str:
    """What tells a packed folder from others: SHA-256 over its size, its origin and what is known of every face."""
    return _digest([faces.size, faces.source, faces.made_by, [vars(record) for record in faces.records]])


def _digest(content: dict | list) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def attribute_pairs(
    faces: PackedFaces,
    indices: np.ndarray,
    attribute: str = "Smiling",
    count: int = 400,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> PairList:
    """Pairs among the faces ``indices`` whose source has ``attribute`` and whose target has not, in similar poses.

    No angle differs by more than ``tolerance`` degrees. Targets are drawn, each at most once; each gets, among the
    sources within the tolerance, one of those that were used least, the nearest first (by the largest of the three
    differences). The source's mask shows the parts of ``TRANSFERRED[attribute]``; the target's does too, unless they
    are worn. There are fewer than ``count`` pairs if the faces give no more.

    Raises ``ValueError`` for an attribute that no part shows, ``DataError`` if a pose is unknown or there is no pair.
    """
    if attribute not in TRANSFERRED:
        raise ValueError(f"{attribute!r} is not shown by parts of a mask: choose one of {', '.join(TRANSFERRED)}.")
    indices = _places(indices, count)
    pose = faces.pose[indices]
    unknown = int(np.isnan(pose).any(axis=1).sum())
    if unknown:
        raise DataError(
            f"{unknown} of the {len(indices)} faces have no known pose, so pairs of similar pose cannot be found: "
            "leave these faces out, or prepare the data set with its file of poses."
        )
    parts = TRANSFERRED[attribute]
    own_parts = tuple(set(parts) - set(GROUPS["worn"]))
    has = faces.attribute(attribute)[indices] > 0
    shown = np.array([np.isin(faces.masks[i], parts if h else own_parts).any() for i, h in zip(indices, has)], bool)
    targets = np.flatnonzero(~has & (shown | (len(own_parts) == 0)))
    sources = np.flatnonzero(has & shown)

    found, uses = [], np.zeros(len(sources), np.int64)
    for target in np.random.default_rng(seed).permutation(targets):
        if len(found) == count:
            break
        distance = np.abs(pose[sources] - pose[target]).max(axis=1)
        within = np.flatnonzero(distance <= tolerance)
        if len(within):
            best = within[np.lexsort((distance[within], uses[within]))[0]]
            uses[best] += 1
            found.append((indices[target], indices[sources[best]]))
    if not found:
        far = (
            f", but not in poses within {tolerance:g} degrees: allow more, or" if len(sources) and len(targets) else ":"
        )
        raise DataError(
            f"There is no pair for {attribute} among {len(indices)} faces, of which {len(sources)} show it and "
            f"{len(targets)} could get it{far} take more faces."
        )
    rule = {
        "asked for": count,
        "found": len(found),
        "pose tolerance in degrees": float(tolerance),
        "faces": len(indices),
        "with the attribute": len(sources),
        "without": len(targets),
        "parts": [int(part) for part in parts],
        "seed": seed,
    }
    return _pair_list(TRANSFER, np.array(found), attribute, faces, rule)


def style_pairs(faces: PackedFaces, indices: np.ndarray, count: int = 1000, seed: int = 0) -> PairList:
    """At most ``count`` faces of ``indices`` as targets; the sources are the same in another order, nobody its own.

    ``rule`` has the share of pairs of a man and a woman, about half in the paper, or None where that is unknown.
    ``DataError`` if there are fewer than two faces.
    """
    drawn = _draw(indices, count, seed)
    if len(drawn) < 2:
        raise DataError(f"Copying a style takes at least two faces, not {len(drawn)}: take more faces.")
    pairs = np.stack([drawn, np.roll(drawn, 1)], axis=1)
    rule = {"asked for": count, "found": len(pairs), "faces": len(np.unique(indices)), "seed": seed}
    rule["share of another gender"] = None
    if "Male" in faces.attribute_names:
        male = faces.attribute("Male")
        rule["share of another gender"] = float((male[pairs[:, 0]] != male[pairs[:, 1]]).mean())
    return _pair_list(STYLE_COPY, pairs, None, faces, rule)


def reconstruction_pairs(faces: PackedFaces, indices: np.ndarray, count: int = 1000, seed: int = 0) -> PairList:
    """At most ``count`` faces of ``indices``, each its own source; ``DataError`` if there is none."""
    drawn = _draw(indices, count, seed)
    if not len(drawn):
        raise DataError("There is no face to reconstruct: take more faces.")
    rule = {"asked for": count, "found": len(drawn), "faces": len(np.unique(indices)), "seed": seed}
    return _pair_list(RECONSTRUCTION, np.stack([drawn, drawn], axis=1), None, faces, rule)


def _draw(indices: np.ndarray, count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(_places(indices, count))[:count]


def _places(indices: np.ndarray, count: int) -> np.ndarray:
    """``indices`` in ascending order, each once; ``ValueError`` unless at least one pair is asked for."""
    if count < 1:
        raise ValueError(f"At least one pair has to be asked for, not {count}.")
    return np.unique(indices).astype(np.int64)


def _pair_list(task: str, pairs: np.ndarray, attribute: str | None, faces: PackedFaces, rule: dict) -> PairList:
    targets, sources = pairs[np.argsort(pairs[:, 0])].T  # by place in the file, which is read forward
    return PairList(task, targets.copy(), sources.copy(), attribute, faces_mark(faces), rule)


# ---- requests


def requests(
    pairs: PairList, faces: PackedFaces, device: str | torch.device = "cpu", batch: int = 16
) -> Iterator[Request]:
    """What is asked for the pairs in order, ``batch`` at a time, on ``device``; ``DataError`` for other faces.

    In attribute transfer the target's parts are replaced by the source's as they are: the poses are similar.
    """
    pairs.check(faces)
    copied = COPIED if pairs.task == STYLE_COPY else ()
    known = {name: faces.attribute(name) > 0 for name in copied if name in faces.attribute_names}
    labels = {name: faces.attribute(name) > 0 for name in faces.attribute_names if pairs.task == TRANSFER}
    for start in range(0, len(pairs), batch):
        targets, sources = pairs.targets[start : start + batch], pairs.sources[start : start + batch]
        image, mask = faces.read(targets)
        source_image, source_mask = faces.read(sources)
        edited = mask
        if pairs.task == TRANSFER:
            parts = TRANSFERRED[pairs.attribute]
            edited = np.stack([replace_parts(a, b, parts) for a, b in zip(mask, source_mask, strict=True)])
        truth = {name: torch.as_tensor(has[sources], device=device) for name, has in known.items()}
        own = {name: torch.as_tensor(has[targets], device=device) for name, has in labels.items()}
        yield Request(
            pairs.task,
            to_float_image(image, device),
            torch.as_tensor(mask, device=device),
            to_float_image(source_image, device),
            torch.as_tensor(source_mask, device=device),
            torch.as_tensor(edited, device=device),
            pairs.attribute,
            truth,
            own,
        )


# ---- grades


@torch.no_grad()
def grade(request: Request, made: Tensor, judges: TaskJudges) -> dict[str, Tensor]:
    """``MEASURES`` of the task on the pictures ``made [B, 3, S, S]``, by name: float64 ``[B]``.

    NaN where a measure does not apply: the judge does not know the attribute, nobody knows whether the source has it,
    there is no identity net, or no pixel is near the edit, or none is far from it.

    * attribute transfer: whether the attribute net sees the attribute (100 or 0); the share of the pixels in which the
      parser agrees with the edited mask, everywhere and in and around the edit (a band of 3 % of the height); the
      cosine between the identities in the picture and in the target's photo; the mean absolute difference to this
      photo where the edit is farther away than 10 % of the height, in grey levels of 0 to 255.
    * style copy: for each of ``COPIED``, whether the attribute net's answer is what the source is annotated with; the
      parser's agreement with the target's mask; the distance of the colours, part by part, to those of the source.
    * reconstruction: PSNR (at most ``HIGHEST_PSNR``) and SSIM to the photo, the parser's agreement, the identity.
    """
    values = _GRADES[request.task](request, made, judges)
    return _named(request, made, values)


@torch.no_grad()
def grade_looks(request: Request, made: Tensor, judges: TaskJudges) -> dict[str, Tensor]:
    """Those of ``grade``'s values that the attribute net gives: empty in reconstruction."""
    return _named(request, made, _looks(request, made, judges))


def _named(request: Request, made: Tensor, values: list[Tensor]) -> dict[str, Tensor]:
    """The first of the task's measures by name, as many as there are ``values``."""
    measures = MEASURES[request.task][: len(values)]
    return {m.name: value.to(made.device).double() for m, value in zip(measures, values, strict=True)}


def _grade_transfer(request: Request, made: Tensor, judges: TaskJudges) -> list[Tensor]:
    edit = request.edited != request.target_mask
    far = ~around(edit, MARGIN)
    drift = (made - request.target).abs().mean(dim=1) * 127.5
    return [
        *_looks(request, made, judges),
        *_agreement(made, request.edited, judges, around(edit, BAND)),
        _same_person(made, request.target, judges),
        (drift * far).sum(dim=(1, 2)) / far.sum(dim=(1, 2)),
    ]


def _grade_style(request: Request, made: Tensor, judges: TaskJudges) -> list[Tensor]:
    return [
        *_looks(request, made, judges),
        *_agreement(made, request.edited, judges),
        colour_distance(made, request.edited, request.source, request.source_mask),
    ]


def _grade_reconstruction(request: Request, made: Tensor, judges: TaskJudges) -> list[Tensor]:
    return [
        psnr(made, request.target).clamp(max=HIGHEST_PSNR),
        ssim(made, request.target),
        *_agreement(made, request.edited, judges),
        _same_person(made, request.target, judges),
    ]


_GRADES = {TRANSFER: _grade_transfer, STYLE_COPY: _grade_style, RECONSTRUCTION: _grade_reconstruction}


def _looks(request: Request, made: Tensor, judges: TaskJudges) -> list[Tensor]:
    """What stands first among the measures of a task: whether the attribute net sees what was asked for."""
    if request.task == TRANSFER:
        return _right(made, (request.attribute,), {request.attribute: torch.ones(len(made), dtype=torch.bool)}, judges)
    return _right(made, COPIED, request.known, judges) if request.task == STYLE_COPY else []


def _right(made: Tensor, names: Sequence[str], truth: Mapping[str, Tensor], judges: TaskJudges) -> list[Tensor]:
    """By name, 100 where the judge's answer is ``truth[name]``, else 0: ``[B]``; NaN if one is missing."""
    said = judges.attributes(made).cpu() > 0
    values = dict.fromkeys(names, torch.full((len(made),), torch.nan))
    for name in set(names) & set(truth) & set(judges.attribute_names):
        column = list(judges.attribute_names).index(name)
        values[name] = 100 * (said[:, column] == truth[name].cpu()).double()
    return list(values.values())


def _agreement(made: Tensor, labels: Tensor, judges: TaskJudges, *regions: Tensor) -> list[Tensor]:
    """Per cent of the pixels where the parser sees ``labels``, ``[B]``: of all, and of each region ``[B, S, S]``."""
    known = labels != IGNORE_ID
    hit = (judges.parse(made).to(labels.device) == labels) & known
    return [100 * (hit & r).sum(dim=(1, 2)).double() / (known & r).sum(dim=(1, 2)) for r in (known, *regions)]


def _same_person(made: Tensor, photo: Tensor, judges: TaskJudges) -> Tensor:
    """Cosine between the identities in two pictures, ``[B]``; NaN without an identity net."""
    if judges.identity_net is None:
        return torch.full((len(made),), torch.nan)
    return (judges.identity(made) * judges.identity(photo)).sum(dim=1)
