"""What the stages share that give faces attributes by a critic: WGAN-GP's step, and what is asked of the generators."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.training.labels import face_labels, pick, uniform
from maskgan_lib.training.stage import BETAS, Stage, Terms, TrainingError, mean


class WassersteinStage(Stage):
    """A step is one update of the generators, after several of the discriminators, each on faces of its own.

    A batch holds the faces of all these updates; the generators learn from those of the last one, as in StarGAN's code.
    Its authors permute the labels of a batch to get the attributes to ask for. Here these are the labels of other faces
    of the train split: the same distribution, whatever the parts and processes that share a batch.

    Raises ``TrainingError`` for faces that do not show the attributes both ways.
    """

    generators: tuple[str, ...]
    discriminators: tuple[str, ...]
    """The names of the networks; an optimiser is named as the first of those that it updates."""
    judges: Mapping[str, nn.Module]
    """The discriminators as they are before several processes share them: for the penalty, and for the generators."""

    def __init__(self, faces: PackedFaces, own: Any):
        """``own`` is the stage's section of a preset."""
        if own.batch % own.critic_updates:
            raise ValueError(f"{self.settings}.batch must be a multiple of {own.critic_updates}, not {own.batch}.")
        self.critic_updates = own.critic_updates
        self.labels = face_labels(faces, own.attributes)
        self.train_labels = self.labels[faces.indices("train")]

    def learn_with_adam(
        self,
        generators: Mapping[str, nn.Module],
        discriminators: Mapping[str, nn.Module],
        weights: Mapping[str, float],
        lr: float,
    ) -> None:
        """Sets networks and optimisers, and how much each term of a loss, by its name, counts."""
        self.networks = {**generators, **discriminators}
        self.generators, self.discriminators = tuple(generators), tuple(discriminators)
        self.optimizers = {
            names[0]: torch.optim.Adam([p for n in names for p in self.networks[n].parameters()], lr, BETAS)
            for names in (self.generators, self.discriminators)
        }
        self.judges, self.weights = discriminators, weights
        counted = {f"{name} weight": weight for name, weight in weights.items()}
        self.config = {"lr": lr, "critic updates": self.critic_updates, **counted}

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> Terms:
        """The updates of the discriminators, then the generators', the discriminators frozen."""
        self.autocast = accelerator.autocast
        on_made = []
        for number in range(self.critic_updates):
            shares = [self.share(batch, number) for batch in batches]
            losses = (self.weighed(self.discriminator_terms(share)) for share in shares)
            on_made.append(self.update(self.discriminators, losses, len(shares), accelerator))

        for judge in self.judges.values():
            judge.requires_grad_(False)
        losses = (self.weighed(self.generator_terms(share)) for share in shares)
        logged = self.update(self.generators, losses, len(shares), accelerator)
        for judge in self.judges.values():
            judge.requires_grad_(True)
        return mean(on_made) | logged

    def weighed(self, terms: Terms) -> tuple[Tensor, Terms]:
        """The sum of ``terms``, each as often as it counts, and these."""
        return sum(self.weights[name] * term for name, term in terms.items()), terms

    def share(self, batch: Batch, number: int) -> Batch:
        """The faces of the update ``number``: every so-many-th, so that parts of a batch give what the whole does."""
        updates = self.critic_updates
        if len(batch.image) % updates:
            raise TrainingError(
                f"A part of a batch holds {len(batch.image)} faces, which {updates} updates of the discriminator cannot"
                " share: choose --accumulate (or the number of processes) so that they can."
            )
        own = slice(number, None, updates)
        places = slice(batch.share.start + number, batch.share.stop, updates)
        return replace(batch, image=batch.image[own], mask=batch.mask[own], index=batch.index[own], share=places)

    def asked(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """The labels ``[B, A]`` of the faces, those to give them, and a number in [0, 1] for each, ``[B, 1, 1, 1]``."""
        image = batch.image
        other, mix = uniform(batch, 2).T
        self.train_labels = self.train_labels.to(image.device)  # all of them, once
        target = self.train_labels[pick(other, len(self.train_labels))]
        return self.labels[batch.index].to(image.device), target, mix.to(image.dtype)[:, None, None, None]

    @abstractmethod
    def discriminator_terms(self, batch: Batch) -> Terms:
        """What the discriminators minimise, by name, not yet weighed."""

    @abstractmethod
    def generator_terms(self, batch: Batch) -> Terms:
        """What the generators minimise, by name, not yet weighed."""


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, mix: Tensor) -> Tensor:
    """WGAN-GP (Gulrajani et al., NIPS 2017, Eq. 3): mean over pictures of ``(|gradient| - 1)^2`` between two of them.

    The gradient is that of a picture's scores, summed over their places, by the pixels of
    ``mix * real + (1 - mix) * made``; ``real`` and ``made`` are ``[B, 3, H, W]``, ``mix`` is ``[B, 1, 1, 1]`` in
    [0, 1]. Only what ``critic`` computes with learns from it, and its second derivatives are needed: call it outside
    autocast.
    """
    between = torch.lerp(made.detach(), real.detach(), mix).requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def critic_terms(
    critic: nn.Module, plain: nn.Module, real: Tensor, made: Tensor, mix: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean score of ``made`` minus that of ``real``, their gradient penalty, and the logits ``[B, A]`` of ``real``.

    ``critic`` has two heads; ``plain`` is the network itself, as it is before several processes share it.
    """
    scores, logits = critic(torch.cat([real, made]))
    on_real, on_made = scores.chunk(2)
    return on_made.mean() - on_real.mean(), gradient_penalty(plain.scores, real, made, mix), logits.chunk(2)[0]


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of ``logits [B, A]``, summed over attributes, averaged over faces."""
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum") / len(logits)
