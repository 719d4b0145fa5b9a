"""What a picture costs with each method: parameters, operations, time."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from maskgan_lib.bench.measuring import in_turn
from maskgan_lib.evaluation.methods import Method, Request


@dataclass(frozen=True)
class Cost:
    """Of one picture of one pair: ``operations`` are multiplications and additions, the time is the median in ms."""

    method: str
    parameters: int
    operations: float
    milliseconds: float


@torch.no_grad()
def costs_of(methods: Sequence[Method], request: Request, seconds: float = 2.0) -> list[Cost]:
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
