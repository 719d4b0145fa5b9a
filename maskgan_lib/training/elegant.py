"""ELEGANT: a face that has an attribute and one that has not exchange it; both ways round are learnt at once."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch, to_float_image, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.networks import Elegant, ElegantDiscriminator
from maskgan_lib.presets import Preset
from maskgan_lib.training.labels import face_labels, pick, uniform
from maskgan_lib.training.stage import BETAS, Stage, Weights, tile, update

WEIGHT_DECAY = 1e-5
SCALES = (1.0, 0.5)
"""What the discriminators at full and at half size count, in the losses of both sides."""


class ElegantStage(Stage):
    """For each attribute in turn, one update of the discriminators and one of encoder and decoder.

    Every face of the batch gets a partner, a face of the train split with the other label: the positive one of the two
    is A, the negative one B. Rates fall as in all stages, linearly; the authors take 0.97 times the rate every 3,000
    steps.

    Raises ``TrainingError`` for faces that do not show the attributes both ways.
    """

    name = settings = "elegant"
    averaged = ("elegant",)

    @classmethod
    def updates_per_step(cls, preset: Preset) -> int:
        """One for each attribute."""
        return len(preset.elegant_attributes)

    @classmethod
    def faces_per_step(cls, preset: Preset) -> int:
        """Those of the batch, and for each attribute a partner for each of them."""
        return preset.elegant_batch * (1 + len(preset.elegant_attributes))

    def __init__(self, preset: Preset, faces: PackedFaces):
        self.attributes = preset.elegant_attributes
        self.labels = face_labels(faces, self.attributes)
        self.faces = faces
        train = faces.indices("train")
        positive = self.labels[train].numpy() > 0
        self.partners = [{1: train[~column], 0: train[column]} for column in positive.T]
        self.networks = {
            "elegant": Elegant(self.attributes, preset.elegant_width, preset.elegant_latent),
            "discriminator": ElegantDiscriminator(self.attributes, faces.size, preset.elegant_disc_width),
        }
        rates = {"elegant": preset.elegant_lr, "discriminator": preset.elegant_disc_lr}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), rates[name], BETAS, weight_decay=WEIGHT_DECAY)
            for name, network in self.networks.items()
        }
        self.reconstruction_weight = preset.elegant_reconstruction_weight
        self.config = {
            "lr": preset.elegant_lr,
            "disc_lr": preset.elegant_disc_lr,
            "reconstruction weight": self.reconstruction_weight,
        }

    def grown(
        self, sizes: Mapping[str, object], networks: Mapping[str, Weights]
    ) -> tuple[Mapping[str, object], Mapping[str, Weights]]:
        """From half the size: the discriminator at full size there is the one at half size here; the other is new."""
        name = "discriminator image_size"
        size = self.sizes()[name]
        if 2 * sizes.get(name, 0) != size:
            return sizes, networks
        full, half = ("scales.0.", "scales.1.")
        learnt = networks["discriminator"]
        known = {half + key.removeprefix(full): value for key, value in learnt.items() if key.startswith(full)}
        own = self.networks["discriminator"].state_dict()
        return {**sizes, name: size}, {**networks, "discriminator": {**own, **known}}

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """The updates for every attribute; returns the losses' means over the attributes."""
        logged = [self.update_both(place, batches, accelerator) for place in range(len(self.attributes))]
        return {name: torch.stack([terms[name] for terms in logged]).mean() for name in logged[0]}

    def update_both(self, place: int, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update of the discriminators, then one of encoder and decoder, for the attribute at ``place``."""
        # In one part, the pictures are made once and serve both updates. In several, memory holds the graph of one.
        kept = self.exchange(batches[0], place) if len(batches) == 1 else None

        def for_the_discriminator(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            with torch.no_grad():
                faces, labels, pictures = kept or self.exchange(batch, place)
            return self.discriminator_loss(faces, labels, pictures[len(faces) :].detach(), place)

        def for_the_generator(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            return self.generator_loss(*(kept or self.exchange(batch, place)), place, judge)

        discriminator, generator = self.networks["discriminator"], self.networks["elegant"]
        losses = update(self.optimizers["discriminator"], [discriminator], batches, for_the_discriminator, accelerator)
        judge = accelerator.unwrap_model(discriminator).requires_grad_(False)
        losses |= update(self.optimizers["elegant"], [generator], batches, for_the_generator, accelerator)
        judge.requires_grad_(True)
        return losses

    def pair(self, batch: Batch, place: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """A and B, faces with and without the attribute at ``place``, ``[B, 3, S, S]``, and their labels ``[B, A]``.

        Who a face's partner is depends on seed, step and its place in the whole batch only.
        """
        own = self.labels[batch.index]
        positive = own[:, place] > 0
        share = uniform(batch, len(self.attributes), "cpu")[:, place]  # faces are chosen and read by the CPU
        pools = [self.partners[place][int(label)] for label in positive]
        partner = np.array([pool[pick(u, len(pool))] for pool, u in zip(pools, share, strict=True)])
        theirs = self.labels[partner]
        first = positive[:, None]
        labels = torch.where(first, own, theirs), torch.where(first, theirs, own)
        image = batch.image
        other = to_float_image(self.faces.images[partner], image.device).to(image.dtype)
        first = first[:, :, None, None].to(image.device)
        faces = torch.where(first, image, other), torch.where(first, other, image)
        return *faces, *(label.to(image.device) for label in labels)

    def exchange(self, batch: Batch, place: int) -> tuple[Tensor, Tensor, Tensor]:
        """A and B, ``[2B, ...]``, their labels, and A', B', C, D, ``[4B, ...]``, where C is A with B's attribute."""
        a, b, labels_a, labels_b = self.pair(batch, place)
        pictures = self.networks["elegant"](a, b, self.attributes[place])
        return torch.cat([a, b]), torch.cat([labels_a, labels_b]), torch.cat(pictures)

    def discriminator_loss(
        self, faces: Tensor, labels: Tensor, made: Tensor, place: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """``(L_D1 + L_D2 / 2) / 4``: A and B as real, C and D as made, each with the labels that it should have."""
        labels = torch.cat([labels, exchanged(labels, place)])
        logits = self.networks["discriminator"](torch.cat([faces, made]), labels)
        real = torch.zeros(len(labels), device=faces.device)
        real[: len(faces)] = 1
        # Four groups of faces of one size: the mean over all is a quarter of the sum of their means.
        loss = sum(
            weight * F.binary_cross_entropy_with_logits(scale, real.to(scale.dtype))
            for weight, scale in zip(SCALES, logits, strict=True)
        )
        return loss, {"discriminator": loss}

    def generator_loss(
        self, faces: Tensor, labels: Tensor, pictures: Tensor, place: int, judge: nn.Module
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """``5 (MSE(A', A) + MSE(B', B)) + L_D1 + L_D2 / 2``, the latter of C and D as if they were real."""
        again, made = pictures.chunk(2)
        # Two groups of faces of one size: twice the mean over both is the sum of their means.
        reconstruction = 2 * F.mse_loss(again, faces)
        adversarial = sum(
            2 * weight * F.binary_cross_entropy_with_logits(scale, torch.ones_like(scale))
            for weight, scale in zip(SCALES, judge(made, exchanged(labels, place)), strict=True)
        )
        loss = self.reconstruction_weight * reconstruction + adversarial
        return loss, {"adversarial": adversarial, "reconstruction": reconstruction}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: for each attribute A, B, A with B's attribute, B with A's."""
        network, rows = networks["elegant"], []
        for place, attribute in enumerate(self.attributes):
            a, b, *_ = (tensor[:8] for tensor in self.pair(batch, place))
            rows += [a, b, network.transfer(a, b, attribute), network.transfer(b, a, attribute)]
        return tile(to_uint8_image(torch.cat(rows)), len(rows[0]))


def exchanged(labels: Tensor, place: int) -> Tensor:
    """The labels ``[2B, A]`` of C and D from those of A and B: the one at ``place`` changes."""
    result = labels.clone()
    result[:, place] = 1 - labels[:, place]
    return result
