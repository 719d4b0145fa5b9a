"""What chapters measure and how long they take, kept as JSON in ``measured`` of the build folder."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskgan_lib.checkpoints.files import atomic


@dataclass(frozen=True)
class Measurement:
    """One value that a chapter measured. ``note`` says on what."""

    name: str
    value: float | int | str
    unit: str = ""
    note: str = ""

    @property
    def shown(self) -> str:
        """Value, unit and note, as a person would write them."""
        precision = "" if not isinstance(self.value, float) else ",.0f" if abs(self.value) >= 1000 else ".4g"
        return f"{self.value:{precision}} {self.unit}".rstrip() + (f" ({self.note})" if self.note else "")

    def __str__(self) -> str:
        return f"{self.name}: {self.shown}"


def write_json(path: Path, content: object) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with atomic(path) as file:
        file.write(f"{json.dumps(content, indent=1)}\n".encode())


def read_json(path: Path) -> dict:
    """What ``write_json`` wrote; empty if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def measured(build: Path, chapters: Sequence[str]) -> list[tuple[str, Measurement]]:
    """What the last run of each of ``chapters`` measured: pairs of chapter number and measurement."""
    runs = [(number, read_json(build / "measured" / f"{number}.json")) for number in chapters]
    return [(number, Measurement(**value)) for number, run in runs for value in run.get("values", ())]


def expected_time(key: str, build: Path, notebooks: Path) -> str:
    """How long a chapter takes: by the last run in ``build``, or by the one that made the notebooks.

    ``times.json`` in either has ``{key: {"seconds": 60, "machine": "2 CPU cores"}}``, ``key`` as of ``time_key``.
    """
    for folder, where in ((build / "measured", "the last run here"), (notebooks, None)):
        if time := read_json(folder / "times.json").get(key):
            return f"about {describe_seconds(time['seconds'])}, measured on {where or time['machine']}"
    return "not measured yet with this preset and device"


def time_key(chapter: str, preset: str, device: str) -> str:
    """Under which name ``times.json`` keeps the time of a chapter."""
    return f"{chapter} {preset} {device}"


def describe_seconds(seconds: float) -> str:
    """A duration as a person would say it: "40 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
