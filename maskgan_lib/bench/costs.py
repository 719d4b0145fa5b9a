"""What each method costs: a picture in parameters, operations and time, and an update of its training in time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from maskgan_lib.bench.measuring import at_work, in_turn
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.methods import Request, TrainedMethod
from maskgan_lib.presets import Preset
from maskgan_lib.training.stages import STAGES


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
    for method, time in zip(methods, in_turn([partial(method.make, first) for method in methods], seconds)):
        with FlopCounterMode(display=False) as counter:
            method.make(first)
        costs.append(Cost(method.name, method.parameters, counter.get_total_flops(), 1000 * time))
    return costs


def update_times(stages: Sequence[str], preset: Preset, faces: PackedFaces, seconds: float = 2.0) -> dict[str, float]:
    """Median seconds of an update, which is a step's share, in each of ``stages`` with fresh networks of ``preset``.

    Steps are made in turn for ``seconds`` and once at least, all on the same faces of the train split.
    """
    at_works = [at_work(name, preset, faces) for name in stages]
    steps = [partial(stage.step, [batches.at(0)], accelerator) for stage, accelerator, batches in at_works]
    times = in_turn(steps, seconds)
    return {name: time / STAGES[name].updates_per_step(preset) for name, time in zip(stages, times, strict=True)}
