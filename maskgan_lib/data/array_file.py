"""A ``.npy`` file of uint8 rows that is written row by row and can be cut or extended."""

import io
import os
from pathlib import Path

import numpy as np


class ArrayFile:
    """A growing ``.npy`` file of uint8 rows, written through the file, since a memory map dies on a full disk."""

    def __init__(self, path: Path, row_shape: tuple[int, ...]):
        self._row_shape = row_shape
        self._row_bytes = int(np.prod(row_shape))
        path.touch()
        self._file = path.open("r+b", buffering=0)

    def resize(self, rows: int) -> None:
        """Writes the header for ``rows`` rows (its length does not depend on them) and cuts or extends the file."""
        buffer = io.BytesIO()
        header = {"descr": "|u1", "fortran_order": False, "shape": (rows, *self._row_shape)}
        np.lib.format.write_array_header_1_0(buffer, header)
        self._offset = len(buffer.getvalue())
        self._file.seek(0)
        write_all(self._file, buffer.getvalue())
        self._file.truncate(self._offset + rows * self._row_bytes)

    def write(self, i: int, row: np.ndarray) -> None:
        self._file.seek(self._offset + int(i) * self._row_bytes)
        write_all(self._file, np.ascontiguousarray(row).data.cast("B"))

    def move(self, source: int, target: int) -> None:
        self._file.seek(self._offset + int(source) * self._row_bytes)
        row = np.frombuffer(self._file.read(self._row_bytes), np.uint8)
        self.write(target, row)

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def write_all(file: io.RawIOBase, data: bytes | memoryview) -> None:
    data = memoryview(data)
    while len(data):  # a raw file may take a part of it
        data = data[file.write(data) :]
