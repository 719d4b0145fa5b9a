"""Ways to give and take attributes: masks that move, which a network renders, or pictures that a network changes."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from maskgan_lib.attribute_masks import AttributeMasks
from maskgan_lib.evaluation.methods import resize
from maskgan_lib.methods.secgan import SeCGANGenerator, check_edits_faces
from maskgan_lib.methods.spade import SPADEGenerator
from maskgan_lib.methods.stargan import StarGANGenerator
from maskgan_lib.networks import DenseMappingNetwork, one_hot
from maskgan_lib.training.stage import TrainingError


@dataclass(frozen=True)
class Asked:
    """B faces that are asked for the other label of ``attribute`` each; None: to be given back as they are.

    ``images`` is float ``[B, 3, S, S]`` in [-1, 1], ``masks`` uint8 ``[B, S, S]``, ``labels[name]`` bool ``[B]``:
    whether a face is annotated to have an attribute.
    """

    images: Tensor
    masks: np.ndarray
    labels: dict[str, Tensor]
    attribute: str | None = None


@dataclass(frozen=True)
class Way:
    """A way to change attributes: ``edit(asked)`` is float ``[B, 3, S, S]``; ``attributes`` None: it takes any."""

    name: str
    attributes: tuple[str, ...] | None
    edit: Callable[[Asked], Tensor]

    def knows(self, attribute: str) -> bool:
        """Whether it can be asked for ``attribute``."""
        return self.attributes is None or attribute in self.attributes


PHOTO = Way("photo, unedited", None, lambda asked: asked.images)


def way_of(name: str, network: nn.Module, size: int, masks: AttributeMasks | None = None) -> Way:
    """A trained network as a way: it changes pictures itself, or renders what ``masks`` moves in the face's own style.

    The former sees pictures of ``size``, at which it learnt, and its answer is resized back. ``TrainingError`` for
    other networks, and for one that renders masks if there is none to move them.
    """
    if isinstance(network, DenseMappingNetwork | SPADEGenerator):
        if masks is None:
            raise TrainingError(f"{name} renders masks: name the weights that move them (--masks).")
        return Way(f"moved mask, {name}", masks.attributes, partial(_by_moved_masks, network, masks))
    if isinstance(network, SeCGANGenerator):
        check_edits_faces(name, network)
    elif not isinstance(network, StarGANGenerator):
        raise TrainingError(
            f"{name} is a {type(network).__name__}, which cannot be asked to give or take an attribute."
        )
    return Way(name, tuple(network.config["attributes"]), partial(_by_network, network, size))


def _by_moved_masks(network: DenseMappingNetwork | SPADEGenerator, masks: AttributeMasks, asked: Asked) -> Tensor:
    moved = asked.masks
    if asked.attribute is not None:
        amounts = 1 - 2 * asked.labels[asked.attribute].int().cpu().numpy()
        moved = np.stack([masks.move(m, {asked.attribute: a}) for m, a in zip(asked.masks, amounts, strict=True)])
    own, new = (one_hot(torch.tensor(labels, device=asked.images.device)) for labels in (asked.masks, moved))
    return network.render(new, network.encode_style(asked.images, own))


def _by_network(network: SeCGANGenerator | StarGANGenerator, size: int, asked: Asked) -> Tensor:
    names = network.config["attributes"]
    own = torch.stack([asked.labels[name] for name in names], dim=1).float()
    step = torch.zeros_like(own)
    if asked.attribute is not None:
        column = names.index(asked.attribute)
        step[:, column] = 1 - 2 * own[:, column]
    wish = step if isinstance(network, SeCGANGenerator) else own + step
    return resize(network(resize(asked.images, size), wish), asked.images.shape[-1])
