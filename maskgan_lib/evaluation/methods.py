"""What is compared: a method makes a picture from a target face, a source face and the mask that it should have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from maskgan_lib.checkpoints import load_weights
from maskgan_lib.networks import DenseMappingNetwork, one_hot
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
    looks in style copy: by attribute, bool ``[B]``, whether the source has it; empty where nobody knows.
    """

    task: str
    target: Tensor
    target_mask: Tensor
    source: Tensor
    source_mask: Tensor
    edited: Tensor
    attribute: str | None = None
    known: dict[str, Tensor] = field(default_factory=dict)

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
    for this one's. A method that knows no masks can transfer attributes only.
    """

    name: str
    make: Callable[[Request], Tensor]
    fingerprint: str
    tasks: tuple[str, ...] = TASKS


def mask_method(name: str, network: DenseMappingNetwork) -> Method:
    """``network`` renders the edited mask in the style that the task asks for."""

    def make(request: Request) -> Tensor:
        image, mask = request.style
        return network.render(one_hot(request.edited), network.encode_style(image, one_hot(mask)))

    return Method(name, make, fingerprint(network))


def methods_of(networks: Mapping[str, str | Path], device: str | torch.device = "cpu") -> list[Method]:
    """A method for each of the weights by name; ``TrainingError`` for a file that holds no Dense Mapping Network."""
    methods = []
    for name, path in networks.items():
        network = load_weights(path, device)
        if not isinstance(network, DenseMappingNetwork):
            raise TrainingError(f"{path} holds a {type(network).__name__}, where a DenseMappingNetwork is needed.")
        methods.append(mask_method(name, network))
    return methods


COPY_OF_THE_TARGET = Method("copy of the target", lambda request: request.target, "copy of the target")
COPY_OF_THE_SOURCE = Method("copy of the source", lambda request: request.source, "copy of the source")
"""They do nothing of what is asked: what they get, a measure gives away."""
