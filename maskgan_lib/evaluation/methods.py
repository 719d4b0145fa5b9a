"""What is compared: a method makes a picture from a target face, a source face and the mask that it should have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.checkpoints import load_weights, read_card
from maskgan_lib.methods.elegant import Elegant
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.methods.spade import SPADEGenerator
from maskgan_lib.methods.stargan import StarGANGenerator
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


def by_difference(network: SeCGANGenerator, request: Request) -> Tensor:
    """The target with the attribute: asked for where it is annotated to lack it; nothing else is asked for."""
    _check_attribute(network, request.attribute)
    if request.attribute not in request.labels:
        raise ValueError(f"Nobody knows whether the targets have {request.attribute}: use annotated faces.")
    names = network.config["attributes"]
    difference = torch.zeros(len(request.target), len(names), device=request.target.device)
    difference[:, names.index(request.attribute)] = 1 - request.labels[request.attribute].float()
    return network(request.target, difference)


def at_size(make: Callable[[Request], Tensor], size: int, request: Request) -> Tensor:
    """What ``make`` answers where the target and its labels are all that it looks at and ``size`` is what it learnt.

    The target is resized to it, and the answer back, unless it has that size.
    """
    side = request.target.shape[-1]
    return resize(make(replace(request, target=resize(request.target, size))), side)


def resize(images: Tensor, side: int) -> Tensor:
    """Images ``[B, 3, S, S]`` in [-1, 1] as such of ``side`` pixels a side."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, (side, side), mode="bilinear", antialias=True)


def _check_attribute(network: StarGANGenerator | Elegant | SeCGANGenerator, attribute: str | None) -> None:
    if attribute not in network.config["attributes"]:
        known = ", ".join(network.config["attributes"])
        raise ValueError(f"This {type(network).__name__} was trained for {known}, not for {attribute}.")


WAYS: dict[type[nn.Module], tuple[Callable[[nn.Module, Request], Tensor], tuple[str, ...]]] = {
    DenseMappingNetwork: (by_mask, TASKS),
    SPADEGenerator: (by_mask, TASKS),
    StarGANGenerator: (by_label, (TRANSFER,)),
    Elegant: (by_example, (TRANSFER,)),
    SeCGANGenerator: (by_difference, (TRANSFER,)),
}
"""How a network answers, and the tasks that it does."""


def method_of(name: str, network: nn.Module, size: int | None = None) -> Method:
    """A trained network as the method ``name``; ``TrainingError`` for one that makes no faces of faces alone.

    A SeCGAN sees faces of another size than ``size``, where it is known, resized to it.
    """
    if type(network) not in WAYS:
        makers = ", ".join(kind.__name__ for kind in WAYS)
        raise TrainingError(f"{name} is a {type(network).__name__}, which makes no faces: take one of {makers}.")
    make, tasks = WAYS[type(network)]
    answer, mark = partial(make, network), fingerprint(network)
    if isinstance(network, SeCGANGenerator):
        check_edits_faces(name, network)
        if size is not None:
            answer, mark = partial(at_size, answer, size), f"{mark} at {size}"
    return Method(name, answer, mark, tasks, sum(parameter.numel() for parameter in network.parameters()))


def check_edits_faces(name: str, network: SeCGANGenerator) -> None:
    """``TrainingError`` unless ``network``, called ``name`` in it, takes pictures of faces and makes such."""
    if network.config["branch"] != "rgb" or network.config["concatenate"]:
        what = "makes masks" if network.config["branch"] == "seg" else "needs a parser's mask with each face"
        raise TrainingError(f"{name} is a SeCGANGenerator that {what}: take g_rgb of the variant secgan or baseline.")


def methods_of(networks: Mapping[str, str | Path], device: str | torch.device = "cpu") -> list[Method]:
    """A method for each of the weights by name; ``TrainingError`` for a file that holds no network that makes faces."""
    return [
        method_of(name, load_weights(path, device), read_card(path).get("image_size"))
        for name, path in networks.items()
    ]


COPY_OF_THE_TARGET = Method("copy of the target", lambda request: request.target, "copy of the target")
COPY_OF_THE_SOURCE = Method("copy of the source", lambda request: request.source, "copy of the source")
"""They do nothing of what is asked: what they get, a measure gives away."""
