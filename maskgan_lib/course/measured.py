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
        precision = ",.0f" if isinstance(self.value, float) and abs(self.value) >= 1000 else ".4g"
        value = format(self.value, precision) if isinstance(self.value, float) else str(self.value)
        return f"{value} {self.unit}".rstrip() + (f" ({self.note})" if self.note else "")

    def __str__(self) -> str:
        return f"{self.name}: {self.shown}"


def write_json(path: Path, content: object) -> None:
    """Write ``content`` to ``path``, whole or not at all."""
    with atomic(path) as file:
        file.write(f"{json.dumps(content, indent=1)}\n".encode())


def read_json(path: Path) -> dict:
    """What ``write_json`` wrote; empty if there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def read_run(build: Path, chapter: str) -> dict:
    """What the last run of ``chapter`` left in ``build``: preset, device, machine, data, values. Empty if none ran."""
    return read_json(build / "measured" / f"{chapter}.json")


def measured(build: Path, chapters: Sequence[str]) -> list[tuple[str, Measurement]]:
    """What the last run of each of ``chapters`` measured: pairs of chapter number and measurement."""
    runs = [(number, read_run(build, number)) for number in chapters]
    return [(number, Measurement(**value)) for number, run in runs for value in run.get("values", ())]


def read_times(folder: Path) -> dict[str, dict]:
    """Measured times in ``folder``: ``{"01 laptop cpu": {"seconds": 60, "machine": "2 CPU cores"}}``; empty if none."""
    return read_json(folder / "times.json")


def time_key(chapter: str, preset: str, device: str) -> str:
    """Under which name ``times.json`` keeps the time of a chapter."""
    return f"{chapter} {preset} {device}"


def expected_time(key: str, build: Path, notebooks: Path) -> str:
    """How long the chapter of ``key`` takes: by the last run in ``build``, or by the one that made the notebooks."""
    for folder, where in ((build / "measured", "the last run here"), (notebooks, None)):
        time = read_times(folder).get(key)
        if time:
            return f"about {describe_seconds(time['seconds'])}, measured on {where or time['machine']}"
    return "not measured yet with this preset and device"


def describe_seconds(seconds: float) -> str:
    """A duration as a person would say it: "40 s", "3 min", "2.5 h"."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
