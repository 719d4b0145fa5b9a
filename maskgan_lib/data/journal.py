"""The journal of a long run: what is done, line by line, so that the same run can go on after a kill."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from maskgan_lib.data.array_file import write_all
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
        self._file = path.open("r+b" if lines else "wb", buffering=0)
        if lines:
            self._file.truncate(len(whole) + 1)
            self._file.seek(0, os.SEEK_END)
        else:
            self.append([settings])

    def append(self, entries: Iterable[dict[str, Any]]) -> None:
        """Brings these lines to the disk."""
        write_all(self._file, "".join(json.dumps(entry) + "\n" for entry in entries).encode())
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()

    @property
    def closed(self) -> bool:
        """Whether ``close`` was called."""
        return self._file.closed


def _differences(old: dict, new: dict) -> str:
    old, new = ({**settings, **settings.get("made_by", {})} for settings in (old, new))
    keys = [key for key in {**old, **new} if key != "made_by" and old.get(key) != new.get(key)]
    return ", ".join(f"{key} {old.get(key)!r} there, {new.get(key)!r} here" for key in keys)
