"""The three text files of CelebAMask-HQ: mapping to CelebA (and so the split), attributes, head poses."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from maskgan_lib.data.archive import Archive
from maskgan_lib.data.errors import DataError

MAPPING_FILE = "CelebA-HQ-to-CelebA-mapping.txt"
ATTRIBUTE_FILE = "CelebAMask-HQ-attribute-anno.txt"
POSE_FILE = "CelebAMask-HQ-pose-anno.txt"

LAST_TRAIN, LAST_VAL = 162_770, 182_637
"""Last file numbers (counted from 1) of CelebA's train and val split."""


@dataclass(frozen=True)
class Table:
    """One text file: by the number of a face its value, or what is wrong with its line."""

    name: str
    values: dict[int, Any | DataError]
    columns: tuple[str, ...] = ()

    def __getitem__(self, face: int) -> Any:
        """The value of ``face``; ``DataError`` if its line is bad or missing."""
        value = self.values.get(face, DataError(f"{self.name} has no line for face {face}: unpack it again."))
        if isinstance(value, DataError):
            raise value
        return value


def split_of(celeba_number: int) -> str:
    """Official split of a face: that of its photograph in CelebA, whose files are counted from 1."""
    return "train" if celeba_number <= LAST_TRAIN else "val" if celeba_number <= LAST_VAL else "test"


def read_mapping(lines: list[str], name: str, keep_going: bool) -> Table:
    """File number in CelebA of each face, from lines ``idx orig_idx orig_file`` below a header.

    ``orig_idx`` counts from 0 and ``orig_file`` from 1; the second is read, since CelebA's split is written in it.
    """
    has_header = not lines[0].lstrip()[:1].isdigit()  # the authors' own script wants it removed by hand
    wanted = "the number of a face, its index and its file in CelebA"
    return Table(name, _values(lines, name, keep_going, int(has_header), wanted, lambda index, file: _number(file)))


def read_attributes(lines: list[str], name: str, keep_going: bool) -> Table:
    """Attributes of each face as ``{name: 1 or -1}``: a count, the names, then ``0.jpg`` and one value a name."""
    names = tuple(lines[1].split())

    def signs(*words: str) -> dict[str, int]:
        return dict(zip(names, [{"1": 1, "-1": -1}[word] for word in words], strict=True))

    wanted = f"a file name and {len(names)} values 1 or -1"
    return Table(name, _values(lines, name, keep_going, 2, wanted, signs), names)


def read_poses(lines: list[str], name: str, keep_going: bool) -> Table:
    """Yaw, pitch and roll (spelt "Raw" there) of each face, in degrees: a count, a header, then ``0.jpg`` and three.

    The signs are the file's. Its poses are HopeNet's, and by that network's published code positive means the viewer's
    left, up and clockwise: all three the opposite of what procedural faces say.
    """

    def angles(*words: str) -> tuple[float, ...]:
        yaw, pitch, roll = map(float, words)
        if not math.isfinite(yaw + pitch + roll):
            raise ValueError
        return yaw, pitch, roll

    return Table(name, _values(lines, name, keep_going, 2, "a file name, yaw, pitch and roll", angles))


READERS = {MAPPING_FILE: read_mapping, ATTRIBUTE_FILE: read_attributes, POSE_FILE: read_poses}


def read_annotations(archive: Archive, keep_going: bool = False) -> tuple[Table, Table, Table]:
    """Mapping, attributes and poses. A bad line raises, or with ``keep_going`` only where its face is asked for."""
    texts = {file: archive.existing(file).decode("utf-8", "replace") for file in READERS}
    return tuple(
        read(texts[file].splitlines() + ["", ""], archive.name(file), keep_going) for file, read in READERS.items()
    )


def _number(file: str) -> int:
    return int(file.removesuffix(".jpg"))


def _values(
    lines: list[str], name: str, keep_going: bool, header: int, wanted: str, convert: Callable[..., Any]
) -> dict[int, Any | DataError]:
    """By the number of a face, the first word of a line, what ``convert`` makes of the other words."""
    values: dict[int, Any | DataError] = {}
    for number, line in enumerate(lines[header:], header + 1):
        if not line.strip():
            continue
        fault = f"is not {wanted}: {line.strip()[:60]!r}; unpack the file again or repair it."
        problem = DataError(f"{name}, line {number}, {fault}")
        face, *words = line.split()  # any run of spaces: the files have double ones
        try:
            face = _number(face)
            values[face] = problem
            values[face] = convert(*words)
        except (ValueError, KeyError, TypeError):
            # a stray line of the mapping hides a face for good; elsewhere the face is found to have no line
            if not keep_going or (isinstance(face, str) and name.endswith(MAPPING_FILE)):
                raise problem from None
    if all(isinstance(value, DataError) for value in values.values()):
        raise DataError(f"{name} has no line for any face: unpack it again.")
    return values
