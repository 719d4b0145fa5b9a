"""SPADE on real pairs: the picture of its own mask in its own style, adversarial with the hinge loss."""

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.classes import colorize
from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.losses import (
    Outputs,
    feature_matching_loss,
    hinge_generator_loss,
    hinge_loss,
    kl_divergence,
)
from maskgan_lib.networks import MultiScaleDiscriminator, SPADEGenerator, one_hot
from maskgan_lib.networks.spade import init_xavier
from maskgan_lib.presets import Preset
from maskgan_lib.training.adversarial import perceptual_loss
from maskgan_lib.training.stage import Stage, TrainingError, tile, update

BETAS = (0.0, 0.9)
"""Of Adam, as in SPADE's code."""


class SPADEStage(Stage):
    """Updates the discriminator at ``spade_disc_lr``, then SPADE with its encoder at ``spade_lr``.

    ``L_D = hinge(real) + hinge(made)``, ``L_G = L_adv + 10 L_feat + 10 L_percept + 0.05 L_KL``. The divergence is
    summed over the batch, as in the authors' code, so that it weighs more in a larger one; the log shows its mean.
    """

    name, settings = "spade", "spade"
    averaged = ("spade",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        spade = SPADEGenerator(
            width=preset.spade_width,
            mask_width=preset.spade_mask_width,
            latent=preset.spade_latent,
            bottom=preset.spade_bottom,
            style_size=preset.spade_style_size,
        )
        if faces.size not in spade.backbone.sizes:
            few, many = spade.backbone.sizes
            raise TrainingError(
                f"With spade_bottom {preset.spade_bottom} SPADE makes pictures of {few} or {many} pixels, and these"
                f" faces have {faces.size}: choose another preset, or faces of that size."
            )
        discriminator = MultiScaleDiscriminator(width=preset.disc_width, spectral=True)
        init_xavier(discriminator)
        self.networks = {"spade": spade, "discriminator": discriminator}
        rates = {"spade": preset.spade_lr, "discriminator": preset.spade_disc_lr}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=rates[name], betas=BETAS)
            for name, network in self.networks.items()
        }
        self.perceptual = perceptual_loss(preset)
        self.preset = preset
        self.config = {
            "lr": preset.spade_lr,
            "disc_lr": preset.spade_disc_lr,
            "kl_weight": preset.spade_kl_weight,
            "feature_weight": preset.feature_weight,
            "perceptual_weight": preset.perceptual_weight,
            "perceptual": self.perceptual.features.name,
        }

    def modules(self) -> list[nn.Module]:
        """The networks and those of the perceptual loss."""
        return [*super().modules(), self.perceptual]

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update of each network. The picture is made once: batch normalisation counts every batch once."""
        spade, discriminator = self.networks["spade"], self.networks["discriminator"]
        [batch] = batches
        mask = one_hot(batch.mask)
        made, mu, logvar = spade(mask, batch.image, noise=batch.noise(self.preset.spade_latent))

        def for_the_discriminator(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            on_real, on_made = judged(discriminator, mask, batch.image, made.detach())
            loss = hinge_loss(on_real, True) + hinge_loss(on_made, False)
            return loss, {"discriminator": loss}

        def for_the_generator(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            on_real, on_made = judged(judge, mask, batch.image, made)
            adversarial = hinge_generator_loss(on_made)
            feature = feature_matching_loss(on_real, on_made)
            perceptual = self.perceptual.to(made.device)(made, batch.image)
            divergence = kl_divergence(mu, logvar)
            loss = adversarial + self.preset.feature_weight * feature + self.preset.perceptual_weight * perceptual
            # The whole batch's, of which several processes hold a share each.
            loss = loss + self.preset.spade_kl_weight * batch.total * divergence
            terms = {"adversarial": adversarial, "feature": feature, "perceptual": perceptual, "kl": divergence}
            return loss, terms

        losses = update(self.optimizers["discriminator"], [discriminator], batches, for_the_discriminator, accelerator)
        judge = accelerator.unwrap_model(discriminator).requires_grad_(False)
        losses |= update(self.optimizers["spade"], [spade], batches, for_the_generator, accelerator)
        judge.requires_grad_(True)
        return losses

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: masks, photos, reconstructions, and every mask in the style of its neighbour."""
        spade, image, mask = networks["spade"], batch.image[:8], one_hot(batch.mask[:8])
        style = spade.encode_style(image)
        pictures = [image, spade.render(mask, style), spade.render(mask, style.roll(1, dims=0))]
        rows = [colorize(batch.mask[:8].cpu().numpy()), *map(to_uint8_image, pictures)]
        return tile(np.concatenate(rows), len(image))


def judged(discriminator: nn.Module, mask: Tensor, real: Tensor, made: Tensor) -> tuple[Outputs, Outputs]:
    """The discriminator's maps of the real and of the made pictures, which it sees in one batch."""
    outputs = discriminator(torch.cat([mask, mask]), torch.cat([real, made]))
    halves = [[features.chunk(2) for features in scale] for scale in outputs]
    on_real, on_made = ([[half[side] for half in scale] for scale in halves] for side in (0, 1))
    return on_real, on_made
