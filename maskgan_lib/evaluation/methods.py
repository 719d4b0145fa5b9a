"""What is compared: trained methods, each a way to answer requests."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from maskgan_lib.checkpoints import load_weights, read_card
from maskgan_lib.data.resizing import resize_images
from maskgan_lib.methods.method import (  # noqa: F401
    EDITING,
    RECONSTRUCTION,
    STYLE_COPY,
    TASKS,
    TRANSFER,
    MethodError,
    Request,
    method_for,
)
from maskgan_lib.registry import METHODS
from maskgan_lib.training.ebst import fingerprint
from maskgan_lib.training.stage import TrainingError


@dataclass(frozen=True)
class TrainedMethod:
    """A way to answer requests: ``make(request)`` is float ``[B, 3, S, S]`` in [-1, 1].

    ``fingerprint`` tells methods, and trainings of one method, apart: what was made with other weights is not taken
    for this one's. A method that knows no masks can only transfer and edit attributes, those of ``attributes``; None
    stands for any. ``parameters`` is how many numbers it has learnt.
    """

    name: str
    make: Callable[[Request], Tensor]
    fingerprint: str
    tasks: tuple[str, ...] = TASKS
    parameters: int = 0
    attributes: tuple[str, ...] | None = None


def at_size(make: Callable[[Request], Tensor], size: int, request: Request) -> Tensor:
    """What ``make`` answers where the target and its labels are all that it looks at and ``size`` is what it learnt.

    The target is resized to it, and the answer back, unless it has that size.
    """
    side = request.target.shape[-1]
    return resize_images(make(replace(request, target=resize_images(request.target, size))), side)


def method_of(name: str, network: nn.Module, size: int | None = None) -> TrainedMethod:
    """A trained network as the method ``name``; ``TrainingError`` for one that makes no faces of faces alone.

    One that answers at the size that it learnt alone sees faces of another size than ``size``, where it is known,
    resized to it.
    """
    method = method_for(network)
    if method is None:
        makers = ", ".join(sorted({method.network.__name__ for method in METHODS.values()}))
        raise TrainingError(f"{name} is a {type(network).__name__}, which makes no faces: take one of {makers}.")
    if method.check:
        method.check(name, network)
    answer, mark = partial(method.answer, network), fingerprint(network)
    if method.at_learnt_size and size is not None:
        answer, mark = partial(at_size, answer, size), f"{mark} at {size}"
    attributes = None if method.renders else tuple(network.config["attributes"])
    return TrainedMethod(name, answer, mark, method.tasks, sum(p.numel() for p in network.parameters()), attributes)


def methods_of(networks: Mapping[str, str | Path], device: str | torch.device = "cpu") -> list[TrainedMethod]:
    """A method for each of the weights by name; ``TrainingError`` for a file that holds no network that makes faces."""
    return [
        method_of(name, load_weights(path, device), read_card(path).get("image_size"))
        for name, path in networks.items()
    ]


COPY_OF_THE_TARGET = TrainedMethod("copy of the target", lambda request: request.target, "copy of the target")
COPY_OF_THE_SOURCE = TrainedMethod("copy of the source", lambda request: request.source, "copy of the source")
"""They do nothing of what is asked: what they get, a measure gives away."""
