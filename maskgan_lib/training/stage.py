"""What a stage of training is, and a batch in one or several parts."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch
from maskgan_lib.presets import Preset

BETAS = (0.5, 0.999)
"""Of Adam, as in the authors' code."""

Weights = Mapping[str, Tensor]
"""A network's, by name."""

Terms = dict[str, Tensor]
"""What is minimised, to log, by name: scalars that are means over faces."""


class TrainingError(Exception):
    """A run that cannot start or go on, in one sentence: what happened and what to do."""


class Stage(ABC):
    """What is trained: networks, optimisers and one step. Made from a preset and the faces to train on.

    ``networks`` and ``optimizers`` are named; the loop prepares them (device, precision, processes) and puts the
    prepared ones back. ``config`` holds what else a step depends on (rates, weights of losses): a run is only resumed
    with the same.
    """

    name: str
    settings: str
    """The stage's section of a preset; ``steps`` and ``batch`` are two of its fields."""
    averaged: tuple[str, ...]
    """The networks whose averaged weights are kept for inference."""
    accumulates = True
    """Whether the parts of a batch may be done one by one: not with batch normalisation, which looks at all of it."""
    references = False
    """Whether every batch also brings masks of other faces, ``batch.reference``."""
    expressions = False
    """Whether every batch also brings its faces with another expression, ``batch.other_image`` and ``other_mask``."""
    fresh: tuple[str, ...] = ()
    """The networks that start from random weights even where the run starts from another one."""
    needs: tuple[tuple[str, str], ...] = ()
    """Trained networks that the stage takes beside preset and faces: argument and name of the class of each."""

    autocast: Callable[[], AbstractContextManager] = staticmethod(nullcontext)
    """In what frozen networks compute, so that their precision is the run's: a step takes the accelerator's."""

    config: dict[str, float | str]
    networks: dict[str, nn.Module]
    optimizers: dict[str, torch.optim.Optimizer]

    def modules(self) -> list[nn.Module]:
        """Everything that a step computes with, what does not learn included."""
        return list(self.networks.values())

    def sizes(self) -> dict[str, object]:
        """Every network's arguments, named as in ``"dmn width"``: weights of other sizes do not fit."""
        return {f"{name} {key}": value for name, net in self.networks.items() for key, value in net.config.items()}

    @classmethod
    def updates_per_step(cls, preset: Preset) -> int:
        """How often a step updates the network that makes the pictures."""
        return 1

    @classmethod
    def faces_per_step(cls, preset: Preset) -> int:
        """Photos that a step learns from."""
        return getattr(preset, cls.settings).batch

    def grown(
        self, sizes: Mapping[str, object], networks: Mapping[str, Weights]
    ) -> tuple[Mapping[str, object], Mapping[str, Weights]]:
        """``sizes`` and weights of another run, changed to this stage's where it can go on from smaller images."""
        return sizes, networks

    @abstractmethod
    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> Terms:
        """Update the networks once on a batch that comes in equal parts; returns detached scalar losses by name."""

    @abstractmethod
    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """A picture of what the averaged ``networks`` do with ``batch``: uint8 ``[H, W, 3]``."""


class OneLossStage(Stage):
    """Minimises one loss by one optimiser on the whole batch at once: its networks have batch normalisation."""

    accumulates = False

    @abstractmethod
    def loss(self, batch: Batch) -> tuple[Tensor, Terms]:
        """What is minimised on ``batch``, and what to log."""

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> Terms:
        """One update."""
        [batch], [optimizer] = batches, self.optimizers.values()
        optimizer.zero_grad(set_to_none=True)
        loss, terms = self.loss(batch)
        accelerator.backward(loss)
        optimizer.step()
        return detached(terms)


def in_parts(batches: Sequence[Batch], networks: Sequence[nn.Module], accelerator: Accelerator) -> Iterator[Batch]:
    """The equal parts ``batches`` of a batch one by one, whose gradients add up to one update of ``networks``.

    Several processes exchange the gradients once, with the last part. With ``loss / len(batches)`` of each part they
    are those of the whole batch, since every loss is a mean over faces.
    """
    for number, batch in enumerate(batches, start=1):
        with ExitStack() as waiting:
            for network in networks if number < len(batches) else ():
                waiting.enter_context(accelerator.no_sync(network))
            yield batch


def mean(logged: Sequence[Terms]) -> Terms:
    """The terms' means over the parts of a batch, or over updates."""
    return {name: torch.stack([terms[name] for terms in logged]).mean() for name in logged[0]}


def detached(terms: Terms) -> Terms:
    """The terms without what they were computed from, whose memory is given back."""
    return {name: term.detach() for name, term in terms.items()}


def differing(theirs: Mapping[str, object], ours: Mapping[str, object]) -> str:
    """The settings, of those that both know, in which a run there is another than here; "" if there are none."""
    others = (name for name, value in ours.items() if name in theirs and theirs[name] != value)
    return "; ".join(f"{name} {theirs[name]} there, {ours[name]} here" for name in others)


def tile(pictures: np.ndarray, columns: int) -> np.ndarray:
    """uint8 ``[N, H, W, 3]`` as one picture, ``columns`` in a row, missing ones white."""
    count, height, width, _ = pictures.shape
    rows = math.ceil(count / columns)
    sheet = np.full((rows * columns, height, width, 3), 255, np.uint8)
    sheet[:count] = pictures
    sheet = sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
    return sheet.reshape(rows * height, columns * width, 3)
