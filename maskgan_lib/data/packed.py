"""The training format: a packed folder, memory-mapped.

=============  =======================================================================================================
``images.npy``  uint8 ``[N, S, S, 3]``, RGB
``masks.npy``   uint8 ``[N, S, S]``, ids 0-18 in the order of ``classes.py``, or ``IGNORE_ID`` where unknown
``faces.json``  source, format version, size, attribute names, how it was made; per face: id, split, identity,
                attributes (1 or -1), pose (yaw, pitch, roll in degrees)
=============  =======================================================================================================

A folder is written as ``<folder>.partial`` and renamed when complete, so a half-written one is never read.
"""

import json
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from maskgan_lib.classes import IGNORE_ID, NUM_CLASSES
from maskgan_lib.data.array_file import ArrayFile
from maskgan_lib.data.errors import DataError, full_disk_is_an_error
from maskgan_lib.data.journal import Journal

FORMAT_VERSION = 1
SPLITS = ("train", "val", "test")
FLUSH_SECONDS = 1.0
"""Work that a kill may cost: faces are marked as done this often, each time after their pixels are on the disk."""


@dataclass(frozen=True)
class FaceRecord:
    """What is known of one face besides its pixels."""

    id: str
    split: str  # one of SPLITS
    identity: int | None = None  # number of the person, None if unknown
    attributes: dict[str, int] = field(default_factory=dict)  # name -> 1 (yes) or -1 (no)
    pose: tuple[float, float, float] | None = None  # yaw, pitch, roll in degrees


class PackedFaces:
    """A packed folder, opened for reading: ``images`` and ``masks`` are memory maps, ``records`` one record a face."""

    def __init__(self, folder: Path, images: np.ndarray, masks: np.ndarray, records: list[FaceRecord], about: dict):
        self.folder = folder
        self.images = images
        self.masks = masks
        self.records = records
        self.attribute_names = tuple(about["attribute_names"])
        self.size: int = about["size"]
        self.source: str = about["source"]
        self.made_by: dict[str, Any] = about["made_by"]

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Opens ``folder`` and checks that its three files belong together; raises ``DataError`` if not."""
        folder = Path(folder)
        about = _read_about(folder)
        try:
            records = [_record_from_json(entry, about["attribute_names"]) for entry in about["faces"]]
            size, _, _ = about["size"], about["source"], about["made_by"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{folder / 'faces.json'} lacks or garbles {error}: prepare the folder again.") from None
        images = _map_array(folder / "images.npy", (len(records), size, size, 3))
        masks = _map_array(folder / "masks.npy", (len(records), size, size))
        return cls(folder, images, masks, records, about)

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(self.indices(split))} {split}" for split in SPLITS)
        return f"PackedFaces({str(self.folder)!r}: {self.source}, {self.size}x{self.size}, {counts})"

    def indices(self, split: str) -> np.ndarray:
        """Ascending int64 positions of the faces of ``split``: "train", "val" or "test"."""
        if split not in SPLITS:
            raise ValueError(f"split {split!r} is none of {SPLITS}")
        return np.array([i for i, record in enumerate(self.records) if record.split == split], np.int64)

    def attribute(self, name: str) -> np.ndarray:
        """int8 ``[N]``: 1 where the face has the attribute, -1 where it has not; ``DataError`` if none is known."""
        if name not in self.attribute_names:
            known = ", ".join(self.attribute_names) or "none"
            raise DataError(f"{self.folder} has no attribute {name!r}; it has: {known}.")
        return np.array([record.attributes[name] for record in self.records], np.int8)

    @property
    def pose(self) -> np.ndarray:
        """float32 ``[N, 3]``: yaw, pitch, roll in degrees; nan where unknown."""
        unknown = (np.nan,) * 3
        poses = [unknown if record.pose is None else record.pose for record in self.records]
        return np.array(poses, np.float32).reshape(-1, 3)

    @property
    def identity(self) -> np.ndarray:
        """int64 ``[N]``: number of the person; -1 where unknown."""
        return np.array([-1 if record.identity is None else record.identity for record in self.records], np.int64)

    @property
    def left_out(self) -> list[dict[str, str]]:
        """Faces that are missing because their files were bad: ``{"id": ..., "reason": ...}`` each."""
        path = self.folder / "left_out.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []

    def read(self, indices: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Copies of images ``[B, S, S, 3]`` and masks ``[B, S, S]`` at ``indices``, in the order asked for."""
        indices = np.asarray(indices, np.int64)
        images = np.empty((len(indices), *self.images.shape[1:]), np.uint8)
        masks = np.empty((len(indices), *self.masks.shape[1:]), np.uint8)
        for k in np.argsort(indices):  # by place in the file: a cold disk reads forward three times as fast
            images[k] = self.images[indices[k]]
            masks[k] = self.masks[indices[k]]
        return images, masks


class PackedWriter:
    """Writes a packed folder of at most ``count`` faces; interrupted, the same call goes on where it stopped.

    ``done`` is bool ``[count]``: the faces that an earlier run wrote need no second ``write``. Faces that an earlier
    run left out are open again, since their files may have been repaired. ``made_by`` holds the settings that decide
    what the folder contains; going on with others raises ``DataError``, as do a full disk and a finished ``folder``.
    """

    def __init__(
        self,
        folder: str | Path,
        size: int,
        count: int,
        source: str,
        attribute_names: Sequence[str] = (),
        made_by: dict[str, Any] | None = None,
    ):
        self.folder = Path(folder)
        self.partial = self.folder.with_name(self.folder.name + ".partial")
        if self.folder.exists():
            raise DataError(f"{self.folder} already exists: delete it first, or choose another folder.")
        if count < 1:
            raise DataError(f"There is no face to write to {self.folder}.")
        self.about = {
            "format": FORMAT_VERSION,
            "source": source,
            "size": size,
            "attribute_names": list(attribute_names),
            "made_by": json.loads(json.dumps(made_by or {})),  # as it will be read back
        }
        self.count = count
        self.records: list[FaceRecord | None] = [None] * count
        self.left_out: dict[int, dict[str, str]] = {}
        self.done = np.zeros(count, bool)
        self._compacted = self._disk_is_full = False
        self._pending: list[dict] = []
        self._last_flush = time.monotonic()
        with full_disk_is_an_error(self._no_space):
            self.partial.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(self.partial / "journal.jsonl", {**self.about, "count": count})
            self._resume()
            self._images = ArrayFile(self.partial / "images.npy", (size, size, 3))
            self._masks = ArrayFile(self.partial / "masks.npy", (size, size))
            if not self._compacted:
                self._images.resize(count)
                self._masks.resize(count)
        self._check_free_space()

    @property
    def todo(self) -> np.ndarray:
        """Ascending int64 positions that still want a ``write`` or a ``leave_out``."""
        return np.flatnonzero(~self.done) if not self._compacted else np.zeros(0, np.int64)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def write(self, i: int, image: np.ndarray, mask: np.ndarray, record: FaceRecord) -> None:
        """Stores face ``i``: image uint8 ``[S, S, 3]``, mask uint8 ``[S, S]``."""
        size, names = self.about["size"], self.about["attribute_names"]
        if image.shape != (size, size, 3) or mask.shape != (size, size) or not image.dtype == mask.dtype == np.uint8:
            raise ValueError(
                f"face {record.id}: {image.dtype} {image.shape} and {mask.dtype} {mask.shape}, size {size}"
            )
        if np.any((mask >= NUM_CLASSES) & (mask != IGNORE_ID)):
            raise ValueError(f"face {record.id}: mask has ids over {NUM_CLASSES - 1}")
        if record.split not in SPLITS or set(record.attributes) != set(names):
            raise ValueError(f"face {record.id}: split {record.split!r}, attributes {sorted(record.attributes)}")
        with full_disk_is_an_error(self._no_space):
            self._images.write(i, image)
            self._masks.write(i, mask)
            self._mark({"face": int(i), **_record_to_json(record, names)})
        self.records[i], self.done[i] = record, True
        self.left_out.pop(i, None)

    def leave_out(self, i: int, id: str, reason: str) -> None:
        """Face ``i`` will be missing in the finished folder; ``left_out.json`` there will say why."""
        self.left_out[int(i)] = {"id": id, "reason": reason}

    def flush(self) -> None:
        """Brings all faces so far to the disk: first the pixels, then the marks that say they are there."""
        with full_disk_is_an_error(self._no_space):
            self._images.sync()
            self._masks.sync()
            self._journal.append(self._pending)
        self._pending = []
        self._last_flush = time.monotonic()

    def close(self) -> None:
        """Flushes and closes the files; unless ``finish`` was called, a later writer goes on from here."""
        if not self._journal.closed:
            if not self._disk_is_full:
                self.flush()
            for file in (self._images, self._masks, self._journal):
                file.close()

    def finish(self) -> PackedFaces:
        """Drops the left-out faces, gives the folder its final name and opens it."""
        open_faces = [i for i in range(self.count) if not self.done[i] and i not in self.left_out]
        if open_faces and not self._compacted:
            raise ValueError(f"{len(open_faces)} of {self.count} faces were neither written nor left out")
        if not self.done.any():
            reason = next(iter(self.left_out.values()))["reason"]
            raise DataError(f"No face is left for {self.folder}, all {self.count} are bad; of the first: {reason}")
        self.flush()
        with full_disk_is_an_error(self._no_space):
            records = self._compact()
            names = self.about["attribute_names"]
            if self.left_out:
                _replace_json(self.partial / "left_out.json", list(self.left_out.values()))
            faces = [_record_to_json(record, names) for record in records]
            _replace_json(self.partial / "faces.json", {**self.about, "faces": faces})
        self.close()
        self.partial.rename(self.folder)
        (self.folder / "journal.jsonl").unlink()
        return PackedFaces.open(self.folder)

    def _compact(self) -> list[FaceRecord]:
        """Fills the places of left-out faces from the end; a kill may come any time: no source is overwritten."""
        total = int(self.done.sum())
        holes = np.flatnonzero(~self.done[:total])
        tail = total + np.flatnonzero(self.done[total:])
        records = self.records[:total]
        for hole, last in zip(holes, tail, strict=True):
            records[hole] = self.records[last]
            if not self._compacted:
                self._images.move(last, hole)
                self._masks.move(last, hole)
        if not self._compacted:
            self._mark({"compacted": True, "left_out": list(self.left_out.items())})
            self.flush()
        self._images.resize(total)
        self._masks.resize(total)
        return records

    def _mark(self, entry: dict) -> None:
        self._pending.append(entry)
        if time.monotonic() - self._last_flush >= FLUSH_SECONDS:
            self.flush()

    def _resume(self) -> None:
        """Takes over what an earlier run has marked."""
        for entry in self._journal.entries:
            if "compacted" in entry:
                self._compacted = True
                self.left_out = {i: reason for i, reason in entry["left_out"]}
            else:
                i = entry["face"]
                self.records[i], self.done[i] = _record_from_json(entry, self.about["attribute_names"]), True

    def _check_free_space(self) -> None:
        needed = int((~self.done).sum()) * self.about["size"] ** 2 * 4
        free = shutil.disk_usage(self.partial).free
        if needed > free and not self._compacted:
            raise DataError(
                f"No space left on the disk of {self.folder}: {needed / 1e9:.1f} GB are needed, "
                f"{free / 1e9:.1f} GB are free; make room, choose another folder, or a smaller size."
            )

    def _no_space(self) -> str:
        self._disk_is_full = True
        kept = int(self.done.sum()) - sum("face" in entry for entry in self._pending)
        return (
            f"No space left on the disk of {self.folder}: make room and run the same command again, it goes on after "
            f"the {kept} of {self.count} faces that are done."
        )


def _replace_json(path: Path, value: Any) -> None:
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(value, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _record_to_json(record: FaceRecord, names: list[str]) -> dict:
    return {
        "id": record.id,
        "split": record.split,
        "identity": None if record.identity is None else int(record.identity),
        "attributes": [int(record.attributes[name]) for name in names],
        "pose": None if record.pose is None else [float(angle) for angle in record.pose],
    }


def _record_from_json(entry: dict, names: list[str]) -> FaceRecord:
    attributes = dict(zip(names, entry["attributes"], strict=True))
    pose = None if entry["pose"] is None else tuple(entry["pose"])
    return FaceRecord(entry["id"], entry["split"], entry["identity"], attributes, pose)


def _read_about(folder: Path) -> dict:
    path = folder / "faces.json"
    if not folder.is_dir():
        if folder.with_name(folder.name + ".partial").is_dir():
            raise DataError(
                f"{folder} is not finished: run the command that makes it again, it goes on where it stopped."
            )
        raise DataError(f"There is no folder {folder}: make it with `python -m maskgan_lib faces` or `prepare`.")
    if not path.is_file():
        raise DataError(
            f"{folder} is no packed folder, it has no faces.json: make one with `python -m maskgan_lib prepare`."
        )
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is damaged ({error}): prepare the folder again.") from None
    if not isinstance(about, dict) or about.get("format") != FORMAT_VERSION:
        raise DataError(
            f"{path} is not of format {FORMAT_VERSION}, which this version reads: prepare the folder again."
        )
    return about


def _map_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): prepare the folder again.") from None
    if array.shape != shape or array.dtype != np.uint8:
        raise DataError(
            f"{path} holds {array.dtype} {array.shape}, but faces.json says uint8 {shape}: prepare the folder again."
        )
    return array
