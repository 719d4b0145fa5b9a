"""What a method declares of itself, and what is asked of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from maskgan_lib.networks import DenseMappingNetwork, one_hot
from maskgan_lib.registry import METHODS

TRANSFER, STYLE_COPY, RECONSTRUCTION = "attribute transfer", "style copy", "reconstruction"
TASKS = (TRANSFER, STYLE_COPY, RECONSTRUCTION)
EDITING = "attribute editing"
"""The paper's tasks and reconstruction, on pairs of faces; and what is asked of one face."""


class MethodError(ValueError):
    """A method cannot do what it is asked for, or its answer is no picture: one sentence."""


@dataclass(frozen=True)
class Request:
    """What is asked of a method for B pairs of faces.

    Images are float ``[B, 3, S, S]`` in [-1, 1], masks uint8 ``[B, S, S]``. ``edited`` is the mask that the result
    should have. In attribute transfer the target is to get ``attribute`` as the source has it; in style copy the
    target's layout the source's looks; in reconstruction the source is the target. In attribute editing a face is to
    get the other label of ``attribute``, or to be given back as it is if that is None. ``known`` is the truth about the
    looks in style copy: by attribute, bool ``[B]``, whether the source has it; empty where nobody knows. ``labels``
    says in transfer and editing what the target is annotated with, by attribute, bool ``[B]``.
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

    @property
    def wish(self) -> dict[str, Tensor]:
        """The label that is asked for, bool ``[B]`` by attribute; empty where none is."""
        if self.attribute is None:
            return {}
        if self.task == EDITING:
            return {self.attribute: ~self.labels[self.attribute]}
        return {self.attribute: torch.ones(len(self.target), dtype=torch.bool, device=self.target.device)}


@dataclass(frozen=True)
class Method:
    """A way to make faces, as its file declares it to the rest of the library.

    Args:
        name: as tables call it.
        network: the class of what makes the pictures.
        stage: what trains it, as ``train`` calls it.
        answer: ``answer(network, request)`` is float ``[B, 3, S, S]`` in [-1, 1].
        tasks: what it can be asked. A method that knows no masks can only transfer and edit attributes; one that
            renders masks the editor can choose, and tables rank it among those that do.
        place: in the tables, from 0 up; the paper's methods have the order of its Table 2.
        phases: the presets that trained what ships of it as a row of the tables, in order: a file named as the stage.
        check: ``check(name, network)`` raises ``TrainingError`` for a network of the class that answers nothing.
        at_learnt_size: sees faces of another size than it learnt from resized to that.
    """

    name: str
    network: type[nn.Module]
    stage: str
    answer: Callable[[nn.Module, Request], Tensor]
    tasks: tuple[str, ...] = (*TASKS, EDITING)
    place: int = 100
    phases: tuple[str, ...] = ()
    check: Callable[[str, nn.Module], None] | None = None
    at_learnt_size: bool = False

    @property
    def renders(self) -> bool:
        """Whether it renders masks."""
        return STYLE_COPY in self.tasks


def method_for(network: nn.Module) -> Method | None:
    """The method whose network ``network`` is; None for one that makes no faces."""
    return next((method for method in METHODS.values() if method.network is type(network)), None)


def by_mask(network: nn.Module, request: Request) -> Tensor:
    """The edited mask, rendered in the style that the task asks for."""
    image, mask = request.style
    return network.render(one_hot(request.edited), network.encode_style(image, one_hot(mask)))


def wish(network: nn.Module, request: Request) -> dict[str, Tensor]:
    """``request.wish``; ``MethodError`` if the network was not trained for it, or a transfer names no attribute."""
    names, attribute = network.config["attributes"], request.attribute
    if attribute not in names and (attribute is not None or request.task != EDITING):
        raise MethodError(f"This {type(network).__name__} was trained for {', '.join(names)}, not for {attribute}.")
    return request.wish


def known(labels: Mapping[str, Tensor], name: str) -> Tensor:
    """Which targets have the attribute ``name``, bool ``[B]``; ``MethodError`` where ``labels`` do not say."""
    if name not in labels:
        raise MethodError(f"Nobody knows whether the targets have {name}: use annotated faces.")
    return labels[name]


METHODS.register(Method("DMN", DenseMappingNetwork, "dmn", by_mask, place=50))
