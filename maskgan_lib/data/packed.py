"""The training format: a packed folder, memory-mapped.

=============  =======================================================================================================
``images.npy``  uint8 ``[N, S, S, 3]``, RGB
``masks.npy``   uint8 ``[N, S, S]``, ids 0-18 in the order of ``classes.py``, or ``IGNORE_ID`` where unknown
``faces.json``  source, format version, size, attribute names, how it was made; per face: id, split, identity,
                attributes (1 or -1), pose (yaw, pitch, roll in degrees)
=============  =======================================================================================================
"""

import json
import math
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from maskgan_lib.classes import IGNORE_ID, NUM_CLASSES
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.journal import PartialFolder, write_all

FORMAT_VERSION = 1
SPLITS = ("train", "val", "test")
SHARES = (0.8, 0.1, 0.1)
"""Shares of train, val and test where the faces themselves have none."""

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
    mended: bool = False  # whether left and right were swapped in its label map, and are no more


@dataclass(frozen=True, repr=False, eq=False)
class PackedFaces:
    """A packed folder, opened for reading: ``images`` and ``masks`` are memory maps, ``records`` one record a face."""

    folder: Path
    images: np.ndarray
    masks: np.ndarray
    records: list[FaceRecord]
    attribute_names: tuple[str, ...]
    size: int
    source: str
    made_by: dict[str, Any]

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Opens ``folder`` and checks that its three files belong together; raises ``DataError`` if not."""
        folder = Path(folder)
        path, partial = folder / "faces.json", folder.with_name(folder.name + ".partial")
        if partial.is_dir() and not folder.exists():
            raise DataError(f"{folder} is not finished: run the command that makes it again, it goes on.")
        if not path.is_file():
            raise DataError(f"{folder} is no packed folder: make one with `python -m maskgan_lib faces` or `prepare`.")
        try:
            about = json.loads(path.read_text(encoding="utf-8"))
            if about["format"] != FORMAT_VERSION:
                raise ValueError(f"format {about['format']}, and this version reads {FORMAT_VERSION}")
            names, size = tuple(about["attribute_names"]), about["size"]
            records = [_record_from_json(entry, names) for entry in about["faces"]]
            source, made_by = about["source"], about["made_by"]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} lacks or garbles {error}: prepare the folder again.") from None
        images = _map_array(folder / "images.npy", (len(records), size, size, 3))
        masks = _map_array(folder / "masks.npy", (len(records), size, size))
        return cls(folder, images, masks, records, names, size, source, made_by)

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
        return np.array([record.pose or (np.nan,) * 3 for record in self.records], np.float32).reshape(-1, 3)

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


class PackedWriter(PartialFolder):
    """Writes a packed folder of at most ``count`` faces; interrupted, the same call goes on where it stopped.

    The arrays grow face by face; ``records`` has, by the number of a face and in the order of the arrays, what is
    written, also by an earlier run. ``left_out`` names the others, ``{"id": ..., "reason": ...}`` each, for this run
    alone: their files may have been repaired before the next. ``made_by`` holds the settings that decide what the
    folder contains; going on with others raises ``DataError``, as do a disk too small and a ``folder`` that exists.
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
        if count < 1:
            raise DataError(f"There is no face to write to {folder}.")
        self.about = {"format": FORMAT_VERSION, "source": source, "size": size}
        self.about |= {"attribute_names": list(attribute_names), "made_by": made_by or {}}
        super().__init__(folder, {**self.about, "count": count, "journal": 2})
        self.count = count
        self.records = {entry["face"]: _record_from_json(entry, attribute_names) for entry in self.entries}
        self.left_out: list[dict[str, str]] = []
        self._flushed, self._last_flush = len(self.records), time.monotonic()
        self._shapes = {self.partial / "images.npy": (size, size, 3), self.partial / "masks.npy": (size, size)}
        wanted, free = 4 * size**2 * (count - len(self.records)), shutil.disk_usage(self.partial).free
        if wanted > free:
            sizes = f"{wanted / 1e6:,.0f} MB, and its disk has {free / 1e6:,.0f}"
            raise DataError(f"No space left for {folder}, which takes {sizes}: make room and run the command again.")
        for path, shape in self._shapes.items():
            path.touch()
            self._start = _write_header(path, (count, *shape))  # where the pixels begin

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.flush()

    def write(self, i: int, image: np.ndarray, mask: np.ndarray, record: FaceRecord) -> None:
        """Stores face ``i``: image uint8 ``[S, S, 3]``, mask uint8 ``[S, S]``."""
        arrays, names = (image, mask), self.about["attribute_names"]
        if [(array.shape, array.dtype) for array in arrays] != [(shape, np.uint8) for shape in self._shapes.values()]:
            forms = " and ".join(f"{array.dtype} {array.shape}" for array in arrays)
            raise ValueError(f"face {record.id}: {forms}, size {self.about['size']}")
        if np.any((mask >= NUM_CLASSES) & (mask != IGNORE_ID)):
            raise ValueError(f"face {record.id}: mask has ids over {NUM_CLASSES - 1}")
        if record.split not in SPLITS or set(record.attributes) != set(names) or i in self.records:
            raise ValueError(f"face {record.id}, number {i}: split or attributes unknown, or written already")
        for path, array in zip(self._shapes, arrays, strict=True):
            with path.open("r+b", buffering=0) as file:
                file.seek(self._start + len(self.records) * array.nbytes)
                write_all(file, array.tobytes())
        self.records[int(i)] = record
        if time.monotonic() - self._last_flush >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Brings all faces so far to the disk: first the pixels, then the lines that say they are there."""
        new = list(self.records.items())[self._flushed :]
        if new:
            _sync(self._shapes)
            names = self.about["attribute_names"]
            self.append({"face": i, **_record_to_json(record, names)} for i, record in new)
        self._flushed, self._last_flush = len(self.records), time.monotonic()

    def finish(self) -> PackedFaces:
        """Gives the folder its final name and opens it."""
        total, open_ones = len(self.records), self.count - len(self.records) - len(self.left_out)
        if open_ones:
            raise ValueError(f"{open_ones} of {self.count} faces were neither written nor left out")
        if not total:
            first = self.left_out[0]["reason"]
            raise DataError(f"No face is left for {self.folder}, all are bad; of the first: {first}")
        self.flush()
        for path, shape in self._shapes.items():
            os.truncate(path, _write_header(path, (total, *shape)) + total * math.prod(shape))
        faces = [_record_to_json(record, self.about["attribute_names"]) for record in self.records.values()]
        (self.partial / "left_out.json").unlink(missing_ok=True)  # of an earlier run that was killed here
        for name, value in (("faces.json", {**self.about, "faces": faces}), ("left_out.json", self.left_out)):
            if value:
                (self.partial / name).write_text(json.dumps(value), encoding="utf-8")
        _sync(self.partial.iterdir())
        self.complete()
        return PackedFaces.open(self.folder)


def _write_header(path: Path, shape: tuple[int, ...]) -> int:
    """Says in the file of an array of uint8 what its shape is; returns the length, one for any number of rows."""
    with path.open("r+b") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        return file.tell()


def _sync(paths: Iterable[Path]) -> None:
    for path in paths:
        with path.open("r+b") as file:
            os.fsync(file.fileno())


def _record_to_json(record: FaceRecord, names: Sequence[str]) -> dict[str, Any]:
    return {**vars(record), "attributes": [record.attributes[name] for name in names]}


def _record_from_json(entry: dict[str, Any], names: Sequence[str]) -> FaceRecord:
    attributes = dict(zip(names, entry["attributes"], strict=True))
    pose = None if entry["pose"] is None else tuple(entry["pose"])
    return FaceRecord(entry["id"], entry["split"], entry["identity"], attributes, pose, entry.get("mended", False))


def _map_array(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}): prepare the folder again.") from None
    if array.shape != shape or array.dtype != np.uint8:
        found = f"{array.dtype} {array.shape}"
        raise DataError(f"{path} holds {found}, but faces.json says uint8 {shape}: prepare the folder again.")
    return array
