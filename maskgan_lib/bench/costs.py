"""What each method costs: a picture in parameters, operations and time, and an update of its training in time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch.utils.flop_counter import FlopCounterMode

from maskgan_lib.bench.measuring import in_turn, prepared
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.methods import Request, TrainedMethod
from maskgan_lib.networks import MaskVAE
from maskgan_lib.presets import Preset
from maskgan_lib.training.stages import STAGES, make_stage, run_settings


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
    operations = []
    for method in methods:
        with FlopCounterMode(display=False) as counter:
            method.make(first)
        operations.append(counter.get_total_flops())
    times = in_turn([lambda m=method: m.make(first) for method in methods], seconds)
    return [
        Cost(method.name, method.parameters, count, 1000 * time)
        for method, count, time in zip(methods, operations, times, strict=True)
    ]


def update_times(stages: Sequence[str], preset: Preset, faces: PackedFaces, seconds: float = 2.0) -> dict[str, float]:
    """Median seconds of an update, which is a step's share, in each of ``stages`` with fresh networks of ``preset``.

    Steps are made in turn for ``seconds`` and once at least, all on the same faces of the train split.
    """
    maskvae = MaskVAE(faces.size, width=preset.maskvae.width, latent=preset.maskvae.latent)
    steps = []
    for name in stages:
        stage = make_stage(name, preset, faces, maskvae=maskvae)
        accelerator, count = prepared(stage), run_settings(name, preset).batch_size
        indices, where = faces.indices("train"), accelerator.device
        batch = Batches(faces, indices, count, device=where, references=stage.references).at(0)
        steps.append(partial(stage.step, [batch], accelerator))
    times = in_turn(steps, seconds)
    return {name: time / STAGES[name].updates_per_step(preset) for name, time in zip(stages, times, strict=True)}
