"""The journal of a long run: what is done, line by line, so that the same run can go on after a kill."""

import io
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from maskgan_lib.data.errors import DataError


class Journal:
    """A file of JSON lines. The first holds the settings of the run: going on with others raises ``DataError``.

    ``entries`` are the lines of an earlier run; one that a kill has cut short does not count.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        settings = json.loads(json.dumps(settings))  # as it will be read back: tuples become lists
        whole = path.read_bytes().rpartition(b"\n")[0] if path.exists() else b""
        lines = [json.loads(line) for line in whole.splitlines()]
        if lines and lines[0] != settings:
            raise DataError(
                f"{path.parent} was begun with other settings ({_differences(lines[0], settings)}): "
                "delete it, or repeat the first command."
            )
        self.entries = lines[1:]
        self._file = path.open("ab", buffering=0)
        self._file.truncate(len(whole) + 1 if lines else 0)
        if not lines:
            self.append([settings])

    def append(self, entries: Iterable[dict[str, Any]]) -> None:
        """Brings these lines to the disk, or on a full disk none of them."""
        before = self._file.seek(0, os.SEEK_END)
        try:
            write_all(self._file, "".join(json.dumps(entry) + "\n" for entry in entries).encode())
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(before)
            raise

    def close(self) -> None:
        self._file.close()


def write_all(file: io.RawIOBase, data: bytes) -> None:
    """Writes ``data``, of which a raw file may take a part at a time."""
    while data:
        data = data[file.write(data) :]


def _differences(old: dict, new: dict) -> str:
    old, new = ({**settings, **settings.get("made_by", {})} for settings in (old, new))
    keys = [key for key in {**old, **new} if key != "made_by" and old.get(key) != new.get(key)]
    return ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} here" for key in keys)
