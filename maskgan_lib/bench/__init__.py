"""What this machine does: faces, preparation, batches, training steps and edits per second, and the memory they take.

Where one way of doing a thing is claimed to be faster than another, both are timed in turn in the same run and shown as
a ratio: rates change with what else the machine does, ratios hardly.
"""

import platform
import tempfile
from json import dumps
from pathlib import Path
from typing import NamedTuple

import torch

from maskgan_lib.bench.costs import FULL, QUICK
from maskgan_lib.bench.memory import bench_memory
from maskgan_lib.bench.speed import bench_batches, bench_edits, bench_faces, bench_preparation, bench_training
from maskgan_lib.data.filling import available_cores
from maskgan_lib.progress import progress_bar
from maskgan_lib.training.execution import best_precision, hardware

PARTS = {
    "faces": bench_faces,
    "preparation": bench_preparation,
    "batches": bench_batches,
    "training": bench_training,
    "edits": bench_edits,
    "memory": bench_memory,
}


class Row(NamedTuple):
    """One measured figure: ``part`` of the work, what was measured, and the value in its unit."""

    part: str
    name: str
    value: float
    unit: str


def run_bench(quick: bool = False, json: Path | None = None) -> list[Row]:
    """Measure everything, print the table, and return its rows.

    ``quick`` takes seconds instead of minutes, with smaller networks, and its figures are rough. ``json`` names a file
    for the same figures as JSON.
    """
    effort, rows = QUICK if quick else FULL, []
    with tempfile.TemporaryDirectory() as folder, progress_bar(total=len(PARTS), desc="bench", unit="part") as bar:
        for part, measure in PARTS.items():
            bar.set_postfix_str(part)
            rows += [Row(part, *figure) for figure in measure(effort, Path(folder))]
            bar.update()
    about = {"machine": f"{hardware()}, {available_cores()} cores", "python": platform.python_version()}
    about |= {"torch": str(torch.__version__), "preset": effort.preset.name, "precision": best_precision()}
    print(", ".join(f"{key}: {value}" for key, value in about.items()))
    for row in rows:
        print("{:<12} {:<58} {:>9.4g} {}".format(*row))
    if json:
        content = {**about, "rows": [row._asdict() for row in rows]}
        json.write_text(dumps(content, indent=1) + "\n", encoding="utf-8")
    return rows
