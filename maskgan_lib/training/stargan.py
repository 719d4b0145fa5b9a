"""StarGAN: a generator that is told which attributes a face should have, and has to find the way back."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.losses import gradient_penalty
from maskgan_lib.networks import StarGANDiscriminator, StarGANGenerator
from maskgan_lib.presets import Preset
from maskgan_lib.training.labels import face_labels, pick, uniform
from maskgan_lib.training.stage import BETAS, Stage, TrainingError, tile, update


class StarGANStage(Stage):
    """A step is one update of the generator, after several of the discriminator, each on faces of its own.

    A batch holds the faces of all these updates; the generator learns from those of the last one, as in the authors'
    code. They permute the labels of a batch to get the attributes to ask for. Here these are the labels of other faces
    of the train split: the same distribution, whatever the parts and processes that share a batch. With one attribute,
    half of them ask for nothing new; such a face teaches the way there and back only.

    Raises ``TrainingError`` for faces that do not show the attributes both ways.
    """

    name = settings = "stargan"
    averaged = ("stargan",)

    def __init__(self, preset: Preset, faces: PackedFaces):
        attributes, updates = preset.stargan_attributes, preset.stargan_critic_updates
        if preset.stargan_batch % updates:
            raise ValueError(f"stargan_batch must be a multiple of {updates}, not {preset.stargan_batch}.")
        self.labels = face_labels(faces, attributes)
        self.train_labels = self.labels[faces.indices("train")]
        self.networks = {
            "stargan": StarGANGenerator(attributes, preset.stargan_width, preset.stargan_blocks),
            "discriminator": StarGANDiscriminator(attributes, faces.size, preset.stargan_disc_width),
        }
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=preset.stargan_lr, betas=BETAS)
            for name, network in self.networks.items()
        }
        self.preset = preset
        self.config = {
            "lr": preset.stargan_lr,
            "critic updates": updates,
            "penalty weight": preset.stargan_penalty_weight,
            "discriminator's class weight": preset.stargan_disc_class_weight,
            "class weight": preset.stargan_class_weight,
            "cycle weight": preset.stargan_cycle_weight,
            "identity weight": preset.stargan_identity_weight,
        }

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """The updates of the discriminator, then the generator's, the discriminator frozen."""
        judge = accelerator.unwrap_model(self.networks["discriminator"])
        logged = []
        for number in range(self.preset.stargan_critic_updates):
            shares = [self.share(batch, number) for batch in batches]
            logged.append(
                update(
                    self.optimizers["discriminator"],
                    [self.networks["discriminator"]],
                    shares,
                    lambda batch: self.discriminator_loss(batch, judge),
                    accelerator,
                )
            )
        losses = {name: torch.stack([terms[name] for terms in logged]).mean() for name in logged[0]}
        judge.requires_grad_(False)
        losses |= update(
            self.optimizers["stargan"],
            [self.networks["stargan"]],
            shares,
            lambda batch: self.generator_loss(batch, judge),
            accelerator,
        )
        judge.requires_grad_(True)
        return losses

    def share(self, batch: Batch, number: int) -> Batch:
        """The faces of the update ``number``: every so-many-th, so that parts of a batch give what the whole does."""
        updates = self.preset.stargan_critic_updates
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
        target = self.train_labels.to(image.device)[pick(other, len(self.train_labels))]
        return self.labels[batch.index].to(image.device), target, mix.to(image.dtype)[:, None, None, None]

    def discriminator_loss(self, batch: Batch, judge: StarGANDiscriminator) -> tuple[Tensor, dict[str, Tensor]]:
        """WGAN-GP and the attributes of the photographs; ``judge`` is the plain discriminator, for the penalty."""
        source, target, mix = self.asked(batch)
        with torch.no_grad():
            made = self.networks["stargan"](batch.image, target)
        scores, logits = self.networks["discriminator"](torch.cat([batch.image, made]))
        real, fake = scores.chunk(2)
        critic = fake.mean() - real.mean()
        penalty = gradient_penalty(judge.scores, batch.image, made, mix)
        classes = label_loss(logits.chunk(2)[0], source)
        preset = self.preset
        loss = critic + preset.stargan_penalty_weight * penalty + preset.stargan_disc_class_weight * classes
        return loss, {"critic": critic, "penalty": penalty, "real classes": classes}

    def generator_loss(self, batch: Batch, judge: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
        """The score, the attributes that were asked for, and L1 between a face and itself after there and back.

        Where nothing new was asked for, the result should be the face itself: L1 again, of weight 0 in the paper. A
        generator that cannot yet do that loses the face on its way there, and learns the way back slowly.
        """
        source, target, _ = self.asked(batch)
        made = self.networks["stargan"](batch.image, target)
        scores, logits = judge(made)
        adversarial = -scores.mean()
        classes = label_loss(logits, target)
        cycle = F.l1_loss(self.networks["stargan"](made, source), batch.image)
        unchanged = (target == source).all(dim=1)
        identity = ((made - batch.image).abs().mean(dim=(1, 2, 3)) * unchanged).mean()
        preset = self.preset
        loss = adversarial + preset.stargan_class_weight * classes + preset.stargan_cycle_weight * cycle
        loss = loss + preset.stargan_identity_weight * identity
        return loss, {"adversarial": adversarial, "made classes": classes, "cycle": cycle, "identity": identity}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, there and back with their own labels, and for each attribute those with that label changed."""
        network, image = networks["stargan"], batch.image[:8]
        labels = self.labels[batch.index[:8]].to(image.device)
        rows = [image, network(image, labels)]
        for place in range(labels.shape[1]):
            changed = labels.clone()
            changed[:, place] = 1 - changed[:, place]
            rows.append(network(image, changed))
        return tile(to_uint8_image(torch.cat(rows)), len(image))


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of ``logits [B, A]``, summed over attributes, averaged over faces."""
    return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype), reduction="sum") / len(logits)
