"""What a measurement is made of: its rows, how much is measured, and stopwatches."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from maskgan_lib.presets import PRESETS, Preset
from maskgan_lib.training.execution import make_accelerator
from maskgan_lib.training.loop import prepare
from maskgan_lib.training.stage import Stage


@dataclass(frozen=True)
class Row:
    """One measured figure: ``part`` of the work, what was measured, and the value in its unit."""

    part: str
    name: str
    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.part:<12} {self.name:<58} {self.value:>9.4g} {self.unit}"


@dataclass(frozen=True)
class Effort:
    """How much is measured. Sizes are pixels a side."""

    seconds: float  # for each figure
    face_sizes: tuple[int, ...]
    prepared: int  # faces drawn in the layout of CelebAMask-HQ
    photograph: int  # their size
    packed: int  # faces in the folder that batches are read from
    preset: Preset  # of training
    edited: tuple[tuple[str, int], ...]  # preset and size of the networks that make an edit
    estimated: tuple[str, ...] = ("colab", "paper")  # presets whose need of a GPU's memory is estimated


EDITED = (("shipped", 128), ("shipped", 256), ("paper", 128), ("paper", 256), ("paper", 512))
FULL = Effort(3.0, (64, 128, 512), 8, 1024, 400, PRESETS["laptop"], EDITED)
QUICK = Effort(0.1, (64, 128, 512), 1, 1024, 16, PRESETS["smoke"], (("smoke", 64),))


def prepared(stage: Stage) -> Accelerator:
    """The stage as the training loop prepares it, and its accelerator."""
    accelerator = make_accelerator()
    prepare(stage, accelerator)
    return accelerator


def rate(work: Callable[[int], object], seconds: float) -> float:
    """Calls of ``work(0)``, ``work(1)``, ... per second, after one that warms up."""
    work(0)
    finish_queue()
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        calls += 1
        work(calls)
    finish_queue()
    return calls / (time.perf_counter() - start)


def in_turn(ways: list[Callable[[], object]], seconds: float) -> list[float]:
    """Median seconds of each of ``ways``, called in turn so that a busy spell of the machine hits them all."""
    times: list[list[float]] = [[] for _ in ways]
    for way in ways:
        way()
    stop = time.perf_counter() + seconds
    while not times[-1] or time.perf_counter() < stop:
        for way, taken in zip(ways, times, strict=True):
            finish_queue()
            start = time.perf_counter()
            way()
            finish_queue()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def finish_queue() -> None:
    """A GPU works through a queue: a time is only one when the queue is empty."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
