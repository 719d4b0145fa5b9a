"""The three text files of CelebAMask-HQ: mapping to CelebA (and so the split), attributes, head poses."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from maskgan_lib.data.errors import DataError

MAPPING_FILE = "CelebA-HQ-to-CelebA-mapping.txt"
ATTRIBUTE_FILE = "CelebAMask-HQ-attribute-anno.txt"
POSE_FILE = "CelebAMask-HQ-pose-anno.txt"

LAST_TRAIN, LAST_VAL = 162_770, 182_637
"""Last file numbers (counted from 1) of CelebA's train and val split."""


@dataclass
class Table:
    """One text file: by the number of a face its value, or what is wrong with its line."""

    name: str
    columns: tuple[str, ...] = ()
    values: dict[int, Any | DataError] = field(default_factory=dict)
    strays: list[DataError] = field(default_factory=list)  # what is wrong with lines of which nobody knows the face

    def problems(self) -> list[DataError]:
        """What is wrong with the file, line by line."""
        return [value for value in self.values.values() if isinstance(value, DataError)] + self.strays

    def __getitem__(self, face: int) -> Any:
        """The value of ``face``; ``DataError`` if its line is bad or missing."""
        value = self.values.get(face, DataError(f"{self.name} has no line for face {face}: unpack it again."))
        if isinstance(value, DataError):
            raise value
        return value


def split_of(celeba_number: int) -> str:
    """Official split of a face: that of its photograph in CelebA, whose files are counted from 1."""
    return "train" if celeba_number <= LAST_TRAIN else "val" if celeba_number <= LAST_VAL else "test"


def read_mapping(text: str, name: str = MAPPING_FILE) -> Table:
    """File number in CelebA of each face, from lines ``idx orig_idx orig_file`` below a header.

    ``orig_idx`` counts from 0 and ``orig_file`` from 1; the second is read, since CelebA's split is written in it.
    """

    def parse(words: list[str]) -> tuple[int, int]:
        index, _, file = words
        return int(index), int(file.removesuffix(".jpg"))

    has_header = not text.lstrip()[:1].isdigit()  # the authors' own script wants it removed by hand
    return _read(text, name, int(has_header), "the number of a face, its index and its file in CelebA", parse)


def read_attributes(text: str, name: str = ATTRIBUTE_FILE) -> Table:
    """Attributes of each face as ``{name: 1 or -1}``: a count, the names, then ``0.jpg`` and one value a name."""
    names = tuple((text.splitlines() + ["", ""])[1].split())

    def parse(words: list[str]) -> tuple[int, dict[str, int]]:
        values = [{"1": 1, "-1": -1}[word] for word in words[1:]]
        return _face_number(words[0]), dict(zip(names, values, strict=True))

    return _read(text, name, 2, f"a file name and {len(names)} values 1 or -1", parse, names)


def read_poses(text: str, name: str = POSE_FILE) -> Table:
    """Yaw, pitch and roll (spelt "Raw" there) of each face, in degrees: a count, a header, then ``0.jpg`` and three.

    The signs are the file's. Its poses are HopeNet's, and by that network's published code positive means the viewer's
    left, up and clockwise: all three the opposite of what procedural faces say.
    """

    def parse(words: list[str]) -> tuple[int, tuple[float, float, float]]:
        yaw, pitch, roll = map(float, words[1:])
        if not all(map(math.isfinite, (yaw, pitch, roll))):
            raise ValueError
        return _face_number(words[0]), (yaw, pitch, roll)

    return _read(text, name, 2, "a file name, yaw, pitch and roll", parse)


def _face_number(file: str) -> int:
    return int(file.removesuffix(".jpg"))


def _read(
    text: str,
    name: str,
    header: int,
    wanted: str,
    parse: Callable[[list[str]], tuple[int, Any]],
    columns: tuple[str, ...] = (),
) -> Table:
    table = Table(name, columns)
    for number, line in enumerate(text.splitlines()[header:], header + 1):
        words = line.split()  # any run of spaces: the files have double ones
        if not words:
            continue
        try:
            face, value = parse(words)
        except (ValueError, KeyError, TypeError):
            fault = f"is not {wanted}: {line.strip()[:60]!r}; unpack the file again or repair it."
            problem = DataError(f"{name}, line {number}, {fault}")
            try:
                table.values[_face_number(words[0])] = problem
            except ValueError:
                table.strays.append(problem)
        else:
            table.values[face] = value
    if all(isinstance(value, DataError) for value in table.values.values()):
        raise DataError(f"{name} has no line for any face: unpack it again.")
    return table
