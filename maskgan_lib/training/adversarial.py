"""What all stages with a discriminator share: its update, then a generator's by the three losses of Eq. 6."""

from collections.abc import Callable, Sequence

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch
from maskgan_lib.losses import PerceptualLoss, adversarial_loss, feature_matching_loss, perceptual_features
from maskgan_lib.networks import DenseMappingNetwork, MultiScaleDiscriminator, one_hot
from maskgan_lib.presets import Preset
from maskgan_lib.training.stage import BETAS, Stage, update

STYLE_MASKS = ("sft", "concat", "none")
"""The ways in which a style encoder can see the mask of its picture."""


class AdversarialStage(Stage):
    """A Dense Mapping Network and its discriminator, both learning at the rate ``lr``, and the losses between them."""

    def __init__(self, preset: Preset, lr: float):
        if preset.style_mask not in STYLE_MASKS:
            raise ValueError(f"style_mask must be one of {', '.join(STYLE_MASKS)}, not {preset.style_mask!r}.")
        dmn = DenseMappingNetwork(
            width=preset.dmn_width,
            blocks=preset.dmn_blocks,
            style_width=preset.style_width,
            mask_branch=preset.style_mask == "sft",
            concatenate=preset.style_mask == "concat",
        )
        discriminator = MultiScaleDiscriminator(width=preset.disc_width)
        self.networks = {"dmn": dmn, "discriminator": discriminator}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=lr, betas=BETAS) for name, network in self.networks.items()
        }
        self.perceptual = PerceptualLoss(perceptual_features(preset.perceptual))
        self.preset = preset
        self.config = {
            "lr": lr,
            "gan_loss": preset.gan_loss,
            "feature_weight": preset.feature_weight,
            "perceptual_weight": preset.perceptual_weight,
            "perceptual": self.perceptual.features.name,
        }

    def modules(self) -> list[nn.Module]:
        """The networks and those of the perceptual loss."""
        return [*super().modules(), self.perceptual]

    def update_both(
        self,
        generator: str,
        learning: Sequence[str],
        picture: Callable[[Batch], Tensor],
        batches: Sequence[Batch],
        accelerator: Accelerator,
    ) -> dict[str, Tensor]:
        """One update of the discriminator, then one by the optimiser ``generator``, the discriminator frozen.

        ``picture`` makes images from a batch, through the networks ``learning``. They are shown to the discriminator
        with the batch's own masks, and compared with its photographs.
        """
        # In one part, the picture is made once and serves both updates. In several, memory holds the graph of one.
        kept = picture(batches[0]) if len(batches) == 1 else None

        def for_the_discriminator(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            with torch.no_grad():
                made = picture(batch) if kept is None else kept.detach()
            return self.discriminator_loss(one_hot(batch.mask), batch.image, made)

        def for_the_generator(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            made = picture(batch) if kept is None else kept
            return self.generator_loss(one_hot(batch.mask), batch.image, made, judge)

        discriminator = self.networks["discriminator"]
        optimizer = self.optimizers["discriminator"]
        losses = update(optimizer, [discriminator], batches, for_the_discriminator, accelerator)
        judge = accelerator.unwrap_model(discriminator).requires_grad_(False)
        networks = [self.networks[name] for name in learning]
        losses |= update(self.optimizers[generator], networks, batches, for_the_generator, accelerator)
        judge.requires_grad_(True)
        return losses

    def reconstruct(self, batch: Batch) -> Tensor:
        """Every face from its own mask, in its own style."""
        mask = one_hot(batch.mask)
        return self.networks["dmn"](mask, batch.image, mask)

    def discriminator_loss(self, mask: Tensor, real: Tensor, made: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``(real + fake) / 2`` of Eq. 7, real and made picture judged in one batch."""
        outputs = self.networks["discriminator"](torch.cat([mask, mask]), torch.cat([real, made]))
        on_real, on_made = zip(*[zip(*[f.chunk(2) for f in scale], strict=True) for scale in outputs], strict=True)
        kind = self.preset.gan_loss
        loss = 0.5 * (adversarial_loss(on_real, True, kind) + adversarial_loss(on_made, False, kind))
        return loss, {"discriminator": loss}

    def generator_loss(
        self, mask: Tensor, real: Tensor, made: Tensor, judge: nn.Module
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 6 on the picture ``made``, ``L_adv + 10 L_feat + 10 L_percept``; ``judge`` is the discriminator."""
        with torch.no_grad():
            on_real = judge(mask, real)
        on_made = judge(mask, made)
        adversarial = adversarial_loss(on_made, True, self.preset.gan_loss)
        feature = feature_matching_loss(on_real, on_made)
        perceptual = self.perceptual.to(made.device)(made, real)
        loss = adversarial + self.preset.feature_weight * feature + self.preset.perceptual_weight * perceptual
        return loss, {"adversarial": adversarial, "feature": feature, "perceptual": perceptual}
