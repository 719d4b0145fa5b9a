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
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from maskgan_lib.classes import IGNORE_ID, NUM_CLASSES
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
        return _left_out(self.folder)

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

    ``records`` are those of the faces that are done, also by an earlier run, and None elsewhere. Faces that an earlier
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
        names = list(attribute_names)
        self.about = {"format": FORMAT_VERSION, "source": source, "size": size, "attribute_names": names}
        self.about["made_by"] = made_by or {}
        self.records: list[FaceRecord | None] = [None] * count
        self.left_out: dict[int, dict[str, str]] = {}
        self._pending: list[dict] = []
        self._last_flush = time.monotonic()
        with full_disk_is_an_error(self._no_space):
            self.partial.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(self.partial / "journal.jsonl", {**self.about, "count": count})
            for entry in self._journal.entries:
                self.records[entry["face"]] = _record_from_json(entry, names)
            self._images = _reserved(self.partial / "images.npy", (count, size, size, 3))
            self._masks = _reserved(self.partial / "masks.npy", (count, size, size))
        self.left_out = dict(zip(self.todo.tolist(), _left_out(self.partial)))  # it was all but finished

    @property
    def done(self) -> np.ndarray:
        """Bool ``[count]``: the faces that are written."""
        return np.array([record is not None for record in self.records])

    @property
    def todo(self) -> np.ndarray:
        """Ascending int64 positions that still want a ``write`` or a ``leave_out``."""
        return np.setdiff1d(np.flatnonzero(~self.done), list(self.left_out)).astype(np.int64)

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
        self._images[i], self._masks[i] = image, mask
        self._pending.append({"face": int(i), **_record_to_json(record, names)})
        self.records[i] = record
        self.left_out.pop(i, None)
        if time.monotonic() - self._last_flush >= FLUSH_SECONDS:
            self.flush()

    def leave_out(self, i: int, id: str, reason: str) -> None:
        """Face ``i`` will be missing in the finished folder; ``left_out.json`` there will say why."""
        self.left_out[int(i)] = {"id": id, "reason": reason}

    def flush(self) -> None:
        """Brings all faces so far to the disk: first the pixels, then the lines that say they are there."""
        with full_disk_is_an_error(self._no_space):
            self._images.flush()
            self._masks.flush()
            self._journal.append(self._pending)
        self._pending = []
        self._last_flush = time.monotonic()

    def close(self) -> None:
        """Flushes; unless ``finish`` was called, a later writer goes on from here."""
        try:
            if self._pending:
                self.flush()
        finally:
            self._journal.close()

    def finish(self) -> PackedFaces:
        """Drops the left-out faces, gives the folder its final name and opens it."""
        if len(self.todo):
            raise ValueError(f"{len(self.todo)} of {len(self.records)} faces were neither written nor left out")
        if not self.done.any():
            reason = next(iter(self.left_out.values()))["reason"]
            raise DataError(f"No face is left for {self.folder}, all are bad; of the first: {reason}")
        self.flush()
        with full_disk_is_an_error(self._no_space):
            if self.left_out:  # from here on a later run only repeats what follows
                entries = [self.left_out[i] for i in sorted(self.left_out)]
                _replace_json(self.partial / "left_out.json", entries)
            faces = [_record_to_json(record, self.about["attribute_names"]) for record in self._without_gaps()]
            _replace_json(self.partial / "faces.json", {**self.about, "faces": faces})
        self.close()
        self.partial.rename(self.folder)
        (self.folder / "journal.jsonl").unlink()
        return PackedFaces.open(self.folder)

    def _without_gaps(self) -> list[FaceRecord]:
        """Records and arrays with faces from the end in the places of those left out.

        A kill may come at any time: no face is overwritten before its own file is cut.
        """
        done = self.done
        total = int(done.sum())
        order = np.arange(total)
        order[~done[:total]] = total + np.flatnonzero(done[total:])
        for array in (self._images, self._masks):
            if len(array) > total:  # else it is cut already
                for place in np.flatnonzero(~done[:total]):
                    array[place] = array[order[place]]
                array.flush()
            _cut(array, total)
        return [self.records[i] for i in order]

    def _no_space(self) -> str:
        kept, size = sum(record is not None for record in self.records) - len(self._pending), self.about["size"]
        return (
            f"No space left on the disk of {self.folder}, which takes {len(self.records) * size**2 * 4 / 1e6:,.0f} MB: "
            f"make room and run the same command again, {kept} of the {len(self.records)} faces are kept."
        )


def _reserved(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """The array of uint8 in ``path``, to be written to, or a new one there.

    Its place on the disk is taken at once: a process that writes to a memory map without one dies on a full disk.
    """
    if not path.exists():
        new = path.with_suffix(".new")
        try:
            with new.open("wb") as file:
                _write_header(file, shape)
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, file.tell() + math.prod(shape))
                else:
                    for _ in range(shape[0]):
                        file.write(bytes(math.prod(shape[1:])))
        except OSError:
            new.unlink()
            raise
        new.replace(path)
    return np.load(path, mmap_mode="r+")


def _cut(array: np.memmap, rows: int) -> None:
    """Leaves the first ``rows`` rows in the file of ``array``, whose header has one length for any number of rows."""
    with Path(array.filename).open("r+b") as file:
        _write_header(file, (rows, *array.shape[1:]))
        file.truncate(file.tell() + rows * math.prod(array.shape[1:]))


def _write_header(file: BinaryIO, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _left_out(folder: Path) -> list[dict[str, str]]:
    path = folder / "left_out.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else []


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
