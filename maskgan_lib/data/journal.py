"""A folder that a long run makes, and its journal: what is done, so that the same run can go on after a kill."""

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from maskgan_lib.data.errors import DataError


class PartialFolder:
    """``<folder>.partial``, which ``complete`` renames, so that a half-written ``folder`` is never read.

    Its journal is a file of JSON lines. The first holds the ``settings`` of the run: going on with others raises
    ``DataError``, as does a ``folder`` that exists. ``entries`` are the lines of an earlier run; one that a kill has
    cut short does not count.
    """

    def __init__(self, folder: str | Path, settings: dict[str, Any]):
        self.folder = Path(folder)
        if self.folder.exists():
            raise DataError(f"{folder} already exists: choose another folder, or remove this one if it is not needed.")
        self.partial = self.folder.with_name(self.folder.name + ".partial")
        self.partial.mkdir(parents=True, exist_ok=True)
        self._journal = self.partial / "journal.jsonl"
        self._journal.touch()
        whole = self._journal.read_bytes().rpartition(b"\n")
        self._length = len(whole[0] + whole[1])
        settings = json.loads(json.dumps(settings))  # as it will be read back: tuples become lists
        begun, *self.entries = [json.loads(line) for line in whole[0].splitlines()] or [settings]
        if begun != settings:
            raise DataError(
                f"{self.partial} was begun with other settings ({_differences(begun, settings)}): "
                "delete it, or repeat the first command."
            )
        if not self._length:
            self.append([settings])

    def append(self, entries: Iterable[dict[str, Any]]) -> None:
        """Brings these lines to the disk, in the place of any that an earlier call could not write in full."""
        with self._journal.open("r+b", buffering=0) as file:
            file.truncate(self._length)
            file.seek(self._length)
            write_all(file, "".join(json.dumps(entry) + "\n" for entry in entries).encode())
            os.fsync(file.fileno())
            self._length = file.tell()

    def complete(self) -> None:
        """Gives the folder its name."""
        self.partial.rename(self.folder)
        (self.folder / "journal.jsonl").unlink()


def write_all(file: io.RawIOBase, data: bytes) -> None:
    """Writes ``data``, of which a raw file may take a part at a time."""
    while data:
        data = data[file.write(data) :]


def _differences(old: dict, new: dict) -> str:
    old, new = ({**settings, **settings.get("made_by", {})} for settings in (old, new))
    keys = [key for key in {**old, **new} if key != "made_by" and old.get(key) != new.get(key)]
    return ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} here" for key in keys)
