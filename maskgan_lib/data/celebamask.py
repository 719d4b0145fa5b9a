"""CelebAMask-HQ on disk, its folder or its zip, to a packed folder.

``CelebA-HQ-img/{i}.jpg`` are 1024x1024 photographs, ``CelebAMask-HQ-mask-anno/{i // 2000}/{i:05d}_{part}.png`` 512x512
masks of the parts that are present, drawn as if nothing lay over them: skin lies under eyes, nose and mouth.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np

from maskgan_lib.classes import CLASS_ID, PART_NAMES
from maskgan_lib.data.annotations import ATTRIBUTE_FILE as ATTRIBUTE_FILE
from maskgan_lib.data.annotations import Table, read_annotations, split_of
from maskgan_lib.data.archive import Archive
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.filling import pack
from maskgan_lib.data.packed import FaceRecord, PackedFaces
from maskgan_lib.data.pictures import decode_image, decode_part, resize_labels

IMAGE_FOLDER = "CelebA-HQ-img"
MASK_FOLDER = "CelebAMask-HQ-mask-anno"

DUPLICATES = (
    (234, 235), (3329, 3330), (5162, 5163), (6770, 6771), (7384, 7385), (7561, 7562), (12444, 12445), (12885, 12886),
    (13825, 13826), (15506, 15507), (19199, 19200), (20134, 20135), (24646, 24647),
)  # fmt: skip
"""Faces that are in the data set twice (issue 84 of the authors' repository)."""

KNOWN_BAD = {second: f"the same face as {first}" for first, second in DUPLICATES} | {
    404: "its mask lacks mouth and lips",
    573: "its mask has neck or skin wrong",
    2110: "its mask is not aligned with the photograph",
    9852: "its mask has neck or skin wrong",
}
"""Faces that users of the data set found to be bad, and why; of duplicates, the second."""


def prepare(
    root: str | Path,
    out: str | Path,
    size: int = 512,
    *,
    workers: int | None = None,
    keep_going: bool = False,
    exclude_known_bad: bool = False,
    limit: int | None = None,
    progress: bool = True,
) -> PackedFaces:
    """Writes the packed folder ``out`` from the data set in ``root``, its folder or its zip, and opens it.

    Photographs and label maps become ``size`` x ``size``; the splits are the official ones. ``exclude_known_bad``
    passes over ``KNOWN_BAD``, ``limit`` takes the first so many faces. Bad files raise ``DataError``; with
    ``keep_going`` their faces are left out and named in ``left_out.json``. Killed, the same call goes on where it
    stopped.
    """
    archive = open_data_set(root)
    tables = read_annotations(archive, keep_going)
    indices = [i for i in sorted(tables[0].values) if not (exclude_known_bad and i in KNOWN_BAD)][:limit]
    jobs = {str(i): partial(make_face, archive, i, size, _record(i, *tables)) for i in indices}
    made_by = {"command": "prepare", "exclude_known_bad": exclude_known_bad, "limit": limit}
    about = (size, source_name(archive), jobs, tables[1].columns, made_by)
    return pack(out, *about, workers=workers, keep_going=keep_going, progress=progress)


def open_data_set(root: str | Path) -> Archive:
    """The data set in ``root``, its folder or its zip; ``DataError`` if it is not there."""
    archive = Archive.open(root, IMAGE_FOLDER)
    if not archive.zipped and not (archive.root / MASK_FOLDER).is_dir():
        lost = f"has no {MASK_FOLDER}, which some unzip programs drop"
        raise DataError(f"{root} {lost}: give the path of the zip itself.")
    return archive


def source_name(archive: Archive) -> str:
    """What the faces are: procedural ones in the same layout say so in the first line of their README.txt."""
    first_line = (archive.read("README.txt") or b"").decode("utf-8", "replace").partition("\n")[0].strip()
    return first_line if first_line.startswith("procedural faces") else "CelebAMask-HQ"


def make_face(
    archive: Archive, index: int, size: int, record: FaceRecord | DataError
) -> tuple[np.ndarray, np.ndarray, FaceRecord]:
    """Image, label map and record of a face; ``DataError`` if one of its files is bad, or if ``record`` is one."""
    if isinstance(record, DataError):
        raise record
    path = f"{IMAGE_FOLDER}/{index}.jpg"
    photograph = archive.existing(path)
    labels = merge_parts(read_parts(archive, index))
    return decode_image(photograph, archive.name(path), size), resize_labels(labels, size), record


def read_parts(archive: Archive, index: int) -> dict[str, np.ndarray]:
    """The part masks of a face, bool ``[512, 512]`` each, by name; parts without a file are absent from the face."""
    parts: dict[str, np.ndarray] = {}
    for name in PART_NAMES:
        data = archive.read(part_path(index, name))
        if data is not None:
            file = archive.name(part_path(index, name))
            part = parts[name] = decode_part(data, file)
            first = next(iter(parts.values()))
            if part.shape != first.shape:
                sizes = "{1}x{0}, the face's other parts {3}x{2}".format(*part.shape, *first.shape)
                raise DataError(f"{file} is {sizes}: unpack it again.")
    if not parts.get("skin", np.zeros(1)).any():
        fault = "blank" if "skin" in parts else "missing"
        file = archive.name(part_path(index, "skin"))
        raise DataError(f"{file} is {fault}, but every face has skin: unpack it again.")
    return parts


def part_path(index: int, part: str) -> str:
    """Path of a part mask within the data set: 2000 faces a folder, the number with five digits."""
    return f"{MASK_FOLDER}/{index // 2000}/{index:05d}_{part}.png"


def merge_parts(parts: Mapping[str, np.ndarray]) -> np.ndarray:
    """Label map uint8 ``[H, W]`` from bool part masks: drawn in the order of the ids, later over earlier."""
    labels = np.zeros(next(iter(parts.values())).shape, np.uint8)
    for name in PART_NAMES:
        if name in parts:
            labels[parts[name]] = CLASS_ID[name]
    return labels


def _record(index: int, mapping: Table, attributes: Table, poses: Table) -> FaceRecord | DataError:
    try:
        return FaceRecord(str(index), split_of(mapping[index]), attributes=attributes[index], pose=poses[index])
    except DataError as error:
        return error
