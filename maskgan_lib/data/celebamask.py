"""CelebAMask-HQ on disk, its folder or its zip, to a packed folder.

``CelebA-HQ-img/{i}.jpg`` are 1024x1024 photographs, ``CelebAMask-HQ-mask-anno/{i // 2000}/{i:05d}_{part}.png`` 512x512
masks of the parts that are present, drawn as if nothing lay over them: skin lies under eyes, nose and mouth. Three text
files have the mapping to CelebA (and so the split), attributes and head poses.
"""

import math
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from maskgan_lib.classes import CLASS_ID, PART_NAMES
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.filling import pack
from maskgan_lib.data.label_maps import fault, mended
from maskgan_lib.data.packed import FaceRecord, PackedFaces
from maskgan_lib.data.pictures import decode_image, decode_part, resize_labels

SOURCE = "CelebAMask-HQ"
IMAGE_FOLDER = "CelebA-HQ-img"
MASK_FOLDER = "CelebAMask-HQ-mask-anno"
MAPPING_FILE = "CelebA-HQ-to-CelebA-mapping.txt"
ATTRIBUTE_FILE = "CelebAMask-HQ-attribute-anno.txt"
POSE_FILE = "CelebAMask-HQ-pose-anno.txt"
TEXT_FILES = MAPPING_FILE, ATTRIBUTE_FILE, POSE_FILE

LAST_TRAIN, LAST_VAL = 162_770, 182_637
"""Last file numbers (counted from 1) of CelebA's train and val split."""

KNOWN_BAD = {404, 573, 2110, 9852}
"""Faces that users of the data set found to be bad: the mask of 404 lacks mouth and lips, those of 573 and 9852 have
neck or skin wrong, that of 2110 is not aligned with the photograph. The seventeen of issue 5 of the authors' repository
(481, 1499, 2260, 2281, 2905, 3137, 4790, 4995, 5130, 5591, 5608, 9150, 9895, 10184, 13008, 15587, 17586) are none of
these: they were reported before version 1.1 repaired masks. What is blank or lacks a face is found in any case."""
KNOWN_DUPLICATES = {235, 3330, 5163, 6771, 7385, 7562, 12445, 12886, 13826, 15507, 19200, 20135, 24647}
"""Faces that show the same photograph as the one before them (issue 84); five of these pairs lie in two splits."""

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What ``zipfile`` raises for a damaged file: a ``RuntimeError`` if that looks encrypted or compressed in a new way."""


# ---- files


@dataclass(frozen=True)
class Archive:
    """The data set's folder, or the zip that holds it: ``prefix`` is the folder within the zip."""

    root: Path
    prefix: str | None = None

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, None if there is no such file."""
        try:
            if self.prefix is not None:
                return _zip_file(self.root, self.root.stat().st_mtime_ns).read(self.prefix + path)
            return (self.root / path).read_bytes()
        except (FileNotFoundError, KeyError):
            return None
        except RuntimeError as error:  # a password, or a compression that Python lacks
            way = "unpack the zip with the program that made it, and give the folder"
            raise DataError(f"{self.name(path)} cannot be read ({error}): {way}.") from None
        except (*ZIP_ERRORS, OSError) as error:
            raise DataError(f"{self.name(path)} cannot be read ({error}): copy or download it again.") from None

    def existing(self, path: str) -> bytes:
        """The bytes of a file that must be there."""
        data = self.read(path)
        if data is None:
            raise DataError(f"{self.name(path)} is missing: unpack the data set again.")
        return data

    def name(self, path: str) -> str:
        """How messages name a file."""
        return str(self.root / path) if self.prefix is None else f"{self.root}: {path}"


@lru_cache(maxsize=2)
def _zip_file(path: Path, changed_at: int) -> zipfile.ZipFile:
    """One open zip per process: reading the directory of 400,000 files takes seconds."""
    return zipfile.ZipFile(path)


def open_data_set(root: str | Path) -> Archive:
    """The data set in ``root``, its folder or its zip; ``DataError`` if it is not there, or says where it is."""
    root = Path(root).expanduser()
    if root.is_file():
        try:
            names = "\n".join(_zip_file(root, root.stat().st_mtime_ns).namelist())
        except (*ZIP_ERRORS, OSError) as error:
            raise DataError(f"{root} cannot be read as a zip ({error}): download it again, or give a folder.") from None
        found = re.search(rf"^(?!__MACOSX/)(.*/)?{IMAGE_FOLDER}(/|$)", names, re.MULTILINE)
        if found is None:
            raise DataError(f"{root} holds no {IMAGE_FOLDER}: give the zip that does.")
        return Archive(root, found[1] or "")
    if not root.is_dir():
        raise DataError(f"There is no folder or zip {root}: give the path of the unpacked data set or of its zip.")
    inside = sorted(root.iterdir())
    places = [folder for folder in (root, *root.resolve().parents[:2], *inside) if (folder / IMAGE_FOLDER).exists()]
    if not places:
        fault = f"has no {IMAGE_FOLDER}" if inside else "is empty"
        raise DataError(f"{root} {fault}: give the folder that holds it or its zip, or unpack the data set again.")
    if places[0] != root:
        raise DataError(f"{root} is one level off, the data set is {places[0]}: give that path.")
    if not (root / MASK_FOLDER).is_dir():
        merged = [folder for folder in inside if "mask" in folder.name.lower() and folder.is_dir()]
        raise DataError(
            f"{root} has no {MASK_FOLDER}"
            + (
                f": if {merged[0].name} holds merged label maps, prepare {root / IMAGE_FOLDER} --labels {merged[0]}."
                if merged
                else ", which some unzip programs drop: give the path of the zip itself."
            )
        )
    return Archive(root)


def terms_of(source: str) -> str:
    """What may be done with what has learnt from faces of this source; "" for drawn ones, which have no terms."""
    if source.startswith("procedural faces"):
        return ""
    if SOURCE.lower() in source.lower():
        return f"learnt from photographs of {SOURCE}, for non-commercial research and education only"
    return "learnt from photographs, so the terms of these hold for it, too"


def source_name(archive: Archive) -> str:
    """What the faces are: procedural ones in the same layout say so in the first line of their README.txt."""
    first_line = (archive.read("README.txt") or b"").decode("utf-8", "replace").partition("\n")[0].strip()
    return first_line if first_line.startswith("procedural faces") else SOURCE


# ---- text files


@dataclass(frozen=True)
class Table:
    """One text file: by the number of a face its value, or what is wrong with its line."""

    name: str
    columns: tuple[str, ...]
    values: dict[int, Any | DataError]

    def __getitem__(self, face: int) -> Any:
        """The value of ``face``; ``DataError`` if its line is bad or missing."""
        value = self.values.get(face, DataError(f"{self.name} has no line for face {face}: unpack it again."))
        if isinstance(value, DataError):
            raise value
        return value


def split_of(celeba_number: int) -> str:
    """Official split of a face: that of its photograph in CelebA, whose files are counted from 1."""
    return "train" if celeba_number <= LAST_TRAIN else "val" if celeba_number <= LAST_VAL else "test"


def read_annotations(archive: Archive, keep_going: bool = False) -> tuple[Table, Table, Table]:
    """Mapping, attributes and poses. A bad line raises, or with ``keep_going`` only where its face is asked for."""
    return (
        _read_table(archive, MAPPING_FILE, keep_going, "the number of a face, its index and its file in CelebA", _file),
        _read_table(archive, ATTRIBUTE_FILE, keep_going, "a file name and {} values 1 or -1", _attributes),
        _read_table(archive, POSE_FILE, keep_going, "a file name, yaw, pitch and roll", _pose),
    )


def _file(columns: tuple[str, ...], index: str, file: str) -> int:
    """File number in CelebA: ``orig_idx`` counts from 0 and ``orig_file`` from 1, as CelebA's split does."""
    return _number(file)


def _attributes(columns: tuple[str, ...], *words: str) -> dict[str, int]:
    return dict(zip(columns, [{"1": 1, "-1": -1}[word] for word in words], strict=True))


def _pose(columns: tuple[str, ...], *words: str) -> tuple[float, float, float]:
    """Yaw, pitch and roll (spelt "Raw" there) in degrees.

    The signs are the file's. Its poses are HopeNet's, and by that network's published code positive means the viewer's
    left, up and clockwise: all three the opposite of what procedural faces say.
    """
    yaw, pitch, roll = map(float, words)
    if not math.isfinite(yaw + pitch + roll):
        raise ValueError
    return yaw, pitch, roll


def _number(file: str) -> int:
    return int(file.removesuffix(".jpg"))


def _read_table(archive: Archive, file: str, keep_going: bool, wanted: str, convert: Callable[..., Any]) -> Table:
    """A count (but in the mapping), a line of names, and lines of a face and of the words that ``convert`` takes."""
    name, data = archive.name(file), archive.existing(file)
    # Windows' editors write a byte order mark, or two bytes a letter.
    coding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    lines = data.decode(coding, "replace").splitlines()
    header = 2
    if file == MAPPING_FILE:  # the authors' own script wants its header removed by hand
        header = int(not "".join(lines[:1]).lstrip()[:1].isdigit())
    table = Table(name, tuple("".join(lines[header - 1 : header]).split()), {})
    for number, line in enumerate(lines[header:], header + 1):
        if not line.strip():
            continue
        form, said = wanted.format(len(table.columns)), line.strip()[:60]
        problem = DataError(f"{name}, line {number}, is not {form}: {said!r}; unpack the file again or repair it.")
        face, *words = line.split()  # any run of spaces: the files have double ones
        try:
            face = _number(face)
            table.values[face] = problem
            table.values[face] = convert(table.columns, *words)
        except (ValueError, KeyError, TypeError):
            # a stray line of the mapping hides a face for good; elsewhere the face is found to have no line
            if not keep_going or (isinstance(face, str) and file == MAPPING_FILE):
                raise problem from None
    if all(isinstance(value, DataError) for value in table.values.values()):
        raise DataError(f"{name} has no line for any face: unpack it again.")
    return table


# ---- faces


def prepare(
    root: str | Path,
    out: str | Path,
    size: int = 512,
    *,
    keep_going: bool = False,
    exclude_known_bad: bool = False,
    keep_duplicates: bool = False,
    limit: int | None = None,
    **how: Any,
) -> PackedFaces:
    """Writes the packed folder ``out`` from the data set in ``root``, its folder or its zip, and opens it.

    Photographs and label maps become ``size`` x ``size``; the splits are the official ones. ``KNOWN_DUPLICATES`` are
    passed over unless ``keep_duplicates``, ``KNOWN_BAD`` if ``exclude_known_bad``; ``limit`` takes the first so many
    faces. Bad files raise ``DataError``; with
    ``keep_going`` their faces are left out and named in ``left_out.json``. Killed, the same call goes on where it
    stopped. ``how`` goes to ``pack``: ``workers`` and ``progress``.
    """
    archive = open_data_set(root)
    tables = read_annotations(archive, keep_going)
    source = source_name(archive)
    out_of_it = KNOWN_BAD if exclude_known_bad else set()
    if not keep_duplicates and source == SOURCE:
        out_of_it = out_of_it | KNOWN_DUPLICATES
    indices = [i for i in sorted(tables[0].values) if i not in out_of_it][:limit]
    jobs = {str(i): partial(make_face, archive, i, size, record_of(i, *tables)) for i in indices}
    made_by = {"command": "prepare", "exclude_known_bad": exclude_known_bad, "limit": limit}
    made_by |= {"keep_duplicates": True} if keep_duplicates else {}
    return pack(out, size, source, jobs, tables[1].columns, made_by, keep_going=keep_going, **how)


def record_of(index: int, mapping: Table, attributes: Table, poses: Table) -> FaceRecord | DataError:
    """What the text files say of a face, or what is wrong with that."""
    try:
        return FaceRecord(str(index), split_of(mapping[index]), attributes=attributes[index], pose=poses[index])
    except DataError as error:
        return error


def make_face(
    archive: Archive, index: int, size: int, record: FaceRecord | DataError
) -> tuple[np.ndarray, np.ndarray, FaceRecord]:
    """Image, label map and record of a face; ``DataError`` if one of its files is bad, or if ``record`` is one."""
    if isinstance(record, DataError):
        raise record
    path = f"{IMAGE_FOLDER}/{index}.jpg"
    photograph = archive.existing(path)
    labels = merge_parts(read_parts(archive, index))
    if clause := fault(labels):
        raise DataError(f"The label map of face {index} in {archive.root} is no face's, {clause}: leave it out.")
    labels, record = mended(labels, record)
    return decode_image(photograph, archive.name(path), size), resize_labels(labels, size), record


def read_parts(archive: Archive, index: int) -> dict[str, np.ndarray]:
    """The part masks of a face, bool ``[512, 512]`` each, by name; parts without a file are absent from the face."""
    parts: dict[str, np.ndarray] = {}
    for name in PART_NAMES:
        data = archive.read(part_path(index, name))
        if data is not None:
            file = archive.name(part_path(index, name))
            part = parts[name] = decode_part(data, file)
            if not part.any():
                remedy = "unpack it again, or leave the face out (--keep-going)"
                raise DataError(f"{file} is blank, which no part of a face is: {remedy}.")
            first = next(iter(parts.values()))
            if part.shape != first.shape:
                sizes = "{1}x{0}, the face's other parts {3}x{2}".format(*part.shape, *first.shape)
                raise DataError(f"{file} is {sizes}: unpack it again.")
    if "skin" not in parts:
        raise DataError(
            f"{archive.name(part_path(index, 'skin'))} is missing, but every face has skin: unpack it again."
        )
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
