"""What is asked of methods: the paper's tasks (Tables 2 to 4) on pairs of faces, and attributes given and taken.

A list of pairs is a function of the faces, the settings and the seed. It is saved as a file, so that every method is
measured on the same pairs.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.attribute_masks import AttributeMasks
from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.classes import CLASS_ID, GROUPS
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.edits import replace_parts
from maskgan_lib.evaluation.judges import BATCH
from maskgan_lib.evaluation.methods import EDITING, RECONSTRUCTION, STYLE_COPY, TRANSFER, Request

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


def held_out(faces: PackedFaces, most: int | None = None, fewest: int = 1) -> np.ndarray:
    """Places of the first ``most`` faces of the test split; ``DataError`` if there are less than ``fewest``."""
    found = faces.indices("test")[:most]
    if len(found) < fewest:
        needed = "at least one is" if fewest == 1 else f"at least {fewest} are"
        raise DataError(f"{faces.folder} has {len(found)} faces to test on: {needed} needed, so take a larger folder.")
    return found


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
    targets, sources = np.flatnonzero(~has & (shown | (len(own_parts) == 0))), np.flatnonzero(has & shown)
    found, uses = [], np.zeros(len(sources), np.int64)
    for target in np.random.default_rng(seed).permutation(targets):
        distance = np.abs(pose[sources] - pose[target]).max(axis=1)
        within = np.flatnonzero(distance <= tolerance)
        if len(within) and len(found) < count:
            best = within[np.lexsort((distance[within], uses[within]))[0]]
            uses[best] += 1
            found.append((target, sources[best]))
    if not found:
        far = f", but not in poses within {tolerance:g} degrees: allow more, or" if sources.size * targets.size else ":"
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
    return _pair_list(TRANSFER, indices[np.array(found)], attribute, faces, rule)


def style_pairs(faces: PackedFaces, indices: np.ndarray, count: int = 1000, seed: int = 0) -> PairList:
    """At most ``count`` faces of ``indices`` as targets; the sources are the same in another order, nobody its own.

    ``rule`` has the share of pairs of a man and a woman, about half in the paper, or None where that is unknown.
    ``DataError`` if there are fewer than two faces.
    """
    drawn, rule = _drawn(indices, count, seed)
    if len(drawn) < 2:
        raise DataError(f"Copying a style takes at least two faces, not {len(drawn)}: take more faces.")
    pairs = np.stack([drawn, np.roll(drawn, 1)], axis=1)
    rule["share of another gender"] = None
    if "Male" in faces.attribute_names:
        male = faces.attribute("Male")[pairs]
        rule["share of another gender"] = float((male[:, 0] != male[:, 1]).mean())
    return _pair_list(STYLE_COPY, pairs, None, faces, rule)


def reconstruction_pairs(faces: PackedFaces, indices: np.ndarray, count: int = 1000, seed: int = 0) -> PairList:
    """At most ``count`` faces of ``indices``, each its own source; ``DataError`` if there is none."""
    drawn, rule = _drawn(indices, count, seed)
    if not len(drawn):
        raise DataError("There is no face to reconstruct: take more faces.")
    return _pair_list(RECONSTRUCTION, np.stack([drawn, drawn], axis=1), None, faces, rule)


def _drawn(indices: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, dict]:
    """At most ``count`` of ``indices`` in a random order, and the rule by which they were chosen."""
    places = _places(indices, count)
    drawn = np.random.default_rng(seed).permutation(places)[:count]
    return drawn, {"asked for": count, "found": len(drawn), "faces": len(places), "seed": seed}


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
    pairs: PairList, faces: PackedFaces, device: str | torch.device = "cpu", batch: int = BATCH
) -> Iterator[Request]:
    """What is asked for the pairs in order, ``batch`` at a time, on ``device``; ``DataError`` for other faces.

    In attribute transfer the target's parts are replaced by the source's as they are: the poses are similar.
    """
    pairs.check(faces)
    known = COPIED if pairs.task == STYLE_COPY else ()
    labels = faces.attribute_names if pairs.task in (TRANSFER, EDITING) else ()
    for start in range(0, len(pairs), batch):
        targets, sources = pairs.targets[start : start + batch], pairs.sources[start : start + batch]
        (image, mask), (source_image, source_mask) = faces.read(targets), faces.read(sources)
        edited = mask
        if pairs.task == TRANSFER:
            parts = TRANSFERRED[pairs.attribute]
            edited = np.stack([replace_parts(a, b, parts) for a, b in zip(mask, source_mask, strict=True)])
        yield Request(
            pairs.task,
            to_float_image(image, device),
            torch.as_tensor(mask, device=device),
            to_float_image(source_image, device),
            torch.as_tensor(source_mask, device=device),
            torch.as_tensor(edited, device=device),
            pairs.attribute,
            _has(known, faces, sources, device),
            _has(labels, faces, targets, device),
        )


def to_give_back(
    faces: PackedFaces, indices: np.ndarray, device: str | torch.device = "cpu", batch: int = BATCH
) -> Iterator[Request]:
    """The faces ``indices`` in order, asked to be given back as they are."""
    return requests(PairList(EDITING, indices, indices, None, faces_mark(faces)), faces, device, batch)


def to_change(request: Request, attribute: str, masks: AttributeMasks | None = None) -> Request:
    """The faces of ``to_give_back`` asked for the other label of ``attribute`` each; ``masks`` moves their masks."""
    edited = request.target_mask
    if masks is not None:
        amounts = 1 - 2 * request.labels[attribute].int().cpu().numpy()
        own = request.target_mask.cpu().numpy()
        moved = np.stack([masks.move(mask, {attribute: amount}) for mask, amount in zip(own, amounts, strict=True)])
        edited = torch.as_tensor(moved, device=edited.device)
    return replace(request, attribute=attribute, edited=edited)


def _has(names: Iterable[str], faces: PackedFaces, places: np.ndarray, device: str | torch.device) -> dict[str, Tensor]:
    """Bool ``[B]`` by name: who has an attribute, of those that the faces know."""
    known = [name for name in names if name in faces.attribute_names]
    return {name: torch.as_tensor((faces.attribute(name) > 0)[places], device=device) for name in known}
