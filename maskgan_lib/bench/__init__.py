"""What this machine does: faces, preparation, batches, training steps and edits per second, and the memory they take.

Where one way of doing a thing is claimed to be faster than another, both are timed in turn in the same run and shown as
a ratio: rates change with what else the machine does, ratios hardly.
"""

import json
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from maskgan_lib.bench.data import bench_batches, bench_faces, bench_preparation
from maskgan_lib.bench.edits import bench_edits
from maskgan_lib.bench.measuring import FULL, QUICK, Row
from maskgan_lib.bench.memory import bench_memory
from maskgan_lib.bench.training import bench_training
from maskgan_lib.data.filling import available_cores
from maskgan_lib.progress import progress_bar
from maskgan_lib.training.execution import best_precision, hardware


def run_bench(quick: bool = False, json_path: Path | None = None, out: Callable[[str], None] = print) -> list[Row]:
    """Measure everything, hand the table line by line to ``out``, and return its rows.

    ``quick`` takes seconds instead of minutes, with smaller networks, and its figures are rough. ``json_path`` names a
    file for the same figures as JSON.
    """
    effort = QUICK if quick else FULL
    parts = {
        "faces": bench_faces,
        "preparation": bench_preparation,
        "batches": bench_batches,
        "training": bench_training,
        "edits": bench_edits,
        "memory": bench_memory,
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder, progress_bar(total=len(parts), desc="bench", unit="part") as bar:
        for name, measure in parts.items():
            bar.set_postfix_str(name)
            rows += measure(effort, Path(folder))
            bar.update()
    about = {"machine": f"{hardware()}, {available_cores()} cores", "python": platform.python_version()}
    about |= {"torch": str(torch.__version__), "preset": effort.preset.name, "precision": best_precision()}
    out(", ".join(f"{key}: {value}" for key, value in about.items()))
    for row in rows:
        out(str(row))
    if json_path:
        content = {**about, "rows": [asdict(row) for row in rows]}
        Path(json_path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return rows
