"""What things cost: stopwatches, a stage to hold them to, and a method's price in parameters, operations and time."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from accelerate import Accelerator
from torch.utils.flop_counter import FlopCounterMode

from maskgan_lib.classes import MERGED_CLASSES
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.methods import Request, TrainedMethod
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.networks import MaskVAE
from maskgan_lib.presets import PRESETS, Preset
from maskgan_lib.training.execution import make_accelerator
from maskgan_lib.training.loop import prepare
from maskgan_lib.training.stage import Stage
from maskgan_lib.training.stages import STAGES, make_stage, run_settings

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
    asked = {"references": stage.references, "expressions": stage.expressions}
    return stage, accelerator, Batches(faces, indices, size, device=accelerator.device, **asked)


def now() -> float:
    """Seconds on a clock that is read when a GPU has worked through its queue: only then is a difference a time."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def rate(work: Callable[[int], object], seconds: float) -> float:
    """Calls of ``work(0)``, ``work(1)``, ... per second, after one that warms up."""
    work(0)
    start, calls = now(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        calls += 1
        work(calls)
    return calls / (now() - start)


def in_turn(ways: Sequence[Callable[[], object]], seconds: float) -> list[float]:
    """Median seconds of each of ``ways``, called in turn so that a busy spell of the machine hits them all."""
    times: list[list[float]] = [[] for _ in ways]
    for way in ways:
        way()
    stop = time.perf_counter() + seconds
    while not times[-1] or time.perf_counter() < stop:
        for way, taken in zip(ways, times, strict=True):
            start = now()
            way()
            taken.append(now() - start)
    return [statistics.median(taken) for taken in times]


# ---- methods: a picture, and an update of the training


@dataclass(frozen=True)
class Cost:
    """Of one picture of one pair: ``operations`` are multiplications and additions, the time is the median in ms."""

    method: str
    parameters: int
    operations: float
    milliseconds: float


@torch.no_grad()
def costs_of(methods: Sequence[TrainedMethod], request: Request, seconds: float = 2.0) -> list[Cost]:
    """The cost of each of ``methods`` in answering ``request`` for its first pair, timed in turn for ``seconds``.

    Everything that depends on the pair counts: both faces' encoders, and the style's.
    """
    one = {name: value[:1] for name, value in vars(request).items() if isinstance(value, torch.Tensor)}
    first = replace(request, **one, labels={name: label[:1] for name, label in request.labels.items()})
    costs = []
    for method, taken in zip(methods, in_turn([partial(method.make, first) for method in methods], seconds)):
        with FlopCounterMode(display=False) as counter:
            method.make(first)
        costs.append(Cost(method.name, method.parameters, counter.get_total_flops(), 1000 * taken))
    return costs


def update_times(stages: Sequence[str], preset: Preset, faces: PackedFaces, seconds: float = 2.0) -> dict[str, float]:
    """Median seconds of an update, which is a step's share, in each of ``stages`` with fresh networks of ``preset``.

    Steps are made in turn for ``seconds`` and once at least, all on the same faces of the train split.
    """
    works = [at_work(name, preset, faces) for name in stages]
    times = in_turn([partial(stage.step, [batches.at(0)], loop) for stage, loop, batches in works], seconds)
    return {name: taken / STAGES[name].updates_per_step(preset) for name, taken in zip(stages, times)}
