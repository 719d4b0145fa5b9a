"""What is compared: a method makes a picture from a target face, a source face and the mask that it should have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from maskgan_lib.checkpoints import load_weights
from maskgan_lib.networks import DenseMappingNetwork, Elegant, SPADEGenerator, StarGANGenerator, one_hot
from maskgan_lib.training.ebst import fingerprint
from maskgan_lib.training.stage import TrainingError

TRANSFER, STYLE_COPY, RECONSTRUCTION = "attribute transfer", "style copy", "reconstruction"
TASKS = (TRANSFER, STYLE_COPY, RECONSTRUCTION)


@dataclass(frozen=True)
class Request:
    """What is asked of a method for B pairs of faces.

    Images are float ``[B, 3, S, S]`` in [-1, 1], masks uint8 ``[B, S, S]``. ``edited`` is the mask that the result
    should have. In attribute transfer the target is to get ``attribute`` as the source has it; in style copy the
    target's layout the source's looks; in reconstruction the source is the target. ``known`` is the truth about the
    looks in style copy: by attribute, bool ``[B]``, whether the source has it; empty where nobody knows. ``labels``
    says in attribute transfer what the target is annotated with, by attribute, bool ``[B]``.
    """

    task: str
    target: Tensor
    target_mask: Tensor
    source: Tensor
    source_mask: Tensor
    edited: Tensor
    attribute: str | None = None
    known: dict[str, Tensor] = field(default_factory=dict)
    labels: dict[str, Tensor] = field(default_factory=dict)

    @property
    def style(self) -> tuple[Tensor, Tensor]:
        """Photo and mask of the face whose looks the result should have."""
        if self.task == STYLE_COPY:
            return self.source, self.source_mask
        return self.target, self.target_mask


@dataclass(frozen=True)
class Method:
    """A way to answer requests: ``make(request)`` is float ``[B, 3, S, S]`` in [-1, 1].

    ``fingerprint`` tells methods, and trainings of one method, apart: what was made with other weights is not taken
    for this one's. A method that knows no masks can transfer attributes only. ``parameters`` is how many numbers it has
    learnt.
    """

    name: str
    make: Callable[[Request], Tensor]
    fingerprint: str
    tasks: tuple[str, ...] = TASKS
    parameters: int = 0


def by_mask(network: DenseMappingNetwork | SPADEGenerator, request: Request) -> Tensor:
    """The edited mask, rendered in the style that the task asks for."""
    image, mask = request.style
    return network.render(one_hot(request.edited), network.encode_style(image, one_hot(mask)))


def by_label(network: StarGANGenerator, request: Request) -> Tensor:
    """The target with the attribute; what else the network can change stays as the target is annotated."""
    _check_attribute(network, request.attribute)
    yes = torch.ones(len(request.target), dtype=torch.bool, device=request.target.device)
    wanted = request.labels | {request.attribute: yes}
    unknown = [name for name in network.config["attributes"] if name not in wanted]
    if unknown:
        raise ValueError(f"Nobody knows whether the targets have {', '.join(unknown)}: use annotated faces.")
    return network(request.target, torch.stack([wanted[name] for name in network.config["attributes"]], dim=1).float())


def by_example(network: Elegant, request: Request) -> Tensor:
    """The target with the attribute as the source has it."""
    _check_attribute(network, request.attribute)
    return network.transfer(request.target, request.source, request.attribute)


def _check_attribute(network: StarGANGenerator | Elegant, attribute: str | None) -> None:
    if attribute not in network.config["attributes"]:
        known = ", ".join(network.config["attributes"])
        raise ValueError(f"This {type(network).__name__} was trained for {known}, not for {attribute}.")


WAYS: dict[type[nn.Module], tuple[Callable[[nn.Module, Request], Tensor], tuple[str, ...]]] = {
    DenseMappingNetwork: (by_mask, TASKS),
    SPADEGenerator: (by_mask, TASKS),
    StarGANGenerator: (by_label, (TRANSFER,)),
    Elegant: (by_example, (TRANSFER,)),
}
"""How a network answers, and the tasks that it does."""


def method_of(name: str, network: nn.Module) -> Method:
    """A trained network as the method ``name``; ``TrainingError`` for one that makes no faces."""
    if type(network) not in WAYS:
        makers = ", ".join(kind.__name__ for kind in WAYS)
        raise TrainingError(f"{name} is a {type(network).__name__}, which makes no faces: take one of {makers}.")
    make, tasks = WAYS[type(network)]
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return Method(name, partial(make, network), fingerprint(network), tasks, parameters)


def methods_of(networks: Mapping[str, str | Path], device: str | torch.device = "cpu") -> list[Method]:
    """A method for each of the weights by name; ``TrainingError`` for a file that holds no network that makes faces."""
    return [method_of(name, load_weights(path, device)) for name, path in networks.items()]


COPY_OF_THE_TARGET = Method("copy of the target", lambda request: request.target, "copy of the target")
COPY_OF_THE_SOURCE = Method("copy of the source", lambda request: request.source, "copy of the source")
"""They do nothing of what is asked: what they get, a measure gives away."""
