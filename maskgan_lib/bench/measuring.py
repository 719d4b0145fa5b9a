"""What a measurement is made of: how much is measured, a stage to measure, and stopwatches."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from maskgan_lib.classes import MERGED_CLASSES
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.networks import MaskVAE
from maskgan_lib.presets import PRESETS, Preset
from maskgan_lib.training.execution import make_accelerator
from maskgan_lib.training.loop import prepare
from maskgan_lib.training.stage import Stage
from maskgan_lib.training.stages import make_stage, run_settings

Figure = tuple[str, float, str]
"""What was measured, the value, and its unit."""


@dataclass(frozen=True)
class Effort:
    """How much is measured."""

    seconds: float  # for each figure
    prepared: int  # faces drawn in the layout of CelebAMask-HQ
    packed: int  # faces in the folder that batches are read from
    preset: Preset  # of training
    edited: Mapping[str, tuple[int, ...]]  # sizes in pixels of an edit, by the preset of the network that makes it


FULL = Effort(3.0, 8, 200, PRESETS["laptop"], {"shipped": (128, 256), "paper": (128, 256, 512)})
QUICK = Effort(0.1, 1, 16, PRESETS["smoke"], {"smoke": (64,)})


def at_work(name: str, preset: Preset, faces: PackedFaces) -> tuple[Stage, Accelerator, Batches]:
    """The stage ``name`` with fresh networks, as the training loop prepares it, and batches of the train split."""
    maskvae = MaskVAE(faces.size, width=preset.maskvae.width, latent=preset.maskvae.latent)
    parser = FaceParser(len(MERGED_CLASSES), preset.parser.width)
    stage, accelerator = make_stage(name, preset, faces, maskvae=maskvae, parser=parser), make_accelerator()
    prepare(stage, accelerator)
    indices, size = faces.indices("train"), run_settings(name, preset).batch_size
    return stage, accelerator, Batches(faces, indices, size, device=accelerator.device, references=stage.references)


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
