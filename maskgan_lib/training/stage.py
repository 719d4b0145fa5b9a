"""What a stage of training is, and a batch in one or several parts."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
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

    The loop prepares ``networks`` and ``optimizers`` (device, precision, processes) and puts the prepared ones back.
    ``config`` holds what else a step depends on (rates, weights of losses): a run is only resumed with the same.
    """

    name: str
    settings: str
    """The stage's section of a preset; ``steps`` and ``batch`` are two of its fields."""
    averaged: tuple[str, ...]
    """The networks whose averaged weights are kept for inference."""
    accumulates = True
    """Whether the parts of a batch may be done one by one: not with batch normalisation, which looks at all of it."""
    augments = True
    """Whether faces in another framing can be learnt from: not where something else is said of the framing."""
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

    def update(
        self,
        names: Sequence[str],
        losses: Iterable[tuple[Tensor, Terms]],
        parts: int,
        accelerator: Accelerator,
        optimizer: str = "",
    ) -> Terms:
        """One update of the networks ``names`` by an optimiser, by default the first one's; the means of what to log.

        ``losses`` says for each of the equal ``parts`` of a batch what is minimised, a mean over faces, and what to
        log: a generator, so that memory holds the graph of one part at a time. Several processes exchange gradients
        once, with the last part.
        """
        optimizer, logged, losses = optimizer or names[0], [], iter(losses)
        self.optimizers[optimizer].zero_grad(set_to_none=True)
        for part in range(1, parts + 1):
            with ExitStack() as waiting:
                for name in names if part < parts else ():
                    waiting.enter_context(accelerator.no_sync(self.networks[name]))
                loss, terms = next(losses)
                accelerator.backward(loss / parts)
            logged.append({name: term.detach() for name, term in terms.items()})
        self.optimizers[optimizer].step()
        return mean(logged)

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
        return self.update(list(self.networks), map(self.loss, batches), len(batches), accelerator)


def mean(logged: Sequence[Terms]) -> Terms:
    """The terms' means over the parts of a batch, or over updates."""
    return {name: torch.stack([terms[name] for terms in logged]).mean() for name in logged[0]}


def differing(theirs: Mapping[str, object], ours: Mapping[str, object]) -> str:
    """The settings, of those that both know, in which a run there is another than here; "" if there are none."""
    others = (name for name, value in ours.items() if name in theirs and theirs[name] != value)
    return "; ".join(f"{name} {theirs[name]} there, {ours[name]} here" for name in others)


def tile(pictures: np.ndarray, columns: int) -> np.ndarray:
    """uint8 ``[N, H, W, 3]`` as one picture, ``columns`` in a row, missing ones white."""
    missing = -len(pictures) % columns
    sheet = np.pad(pictures, [(0, missing), (0, 0), (0, 0), (0, 0)], constant_values=255)
    return np.vstack([np.hstack(sheet[k : k + columns]) for k in range(0, len(sheet), columns)])
