"""What all stages with a discriminator share: its update, then a generator's by the three losses of Eq. 6."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import NormalDist

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch
from maskgan_lib.losses import (
    PerceptualLoss,
    adversarial_loss,
    feature_matching_loss,
    perceptual_features,
    real_gradient_penalty,
)
from maskgan_lib.networks import DenseMappingNetwork, MultiScaleDiscriminator, one_hot
from maskgan_lib.presets import Preset, Proportions
from maskgan_lib.training.execution import one_first
from maskgan_lib.training.stage import BETAS, Stage, TrainingError, update

STYLE_MASKS = ("sft", "concat", "none")
"""The ways in which a style encoder can see the mask of its picture."""

R1_EVERY = 16
"""The gradient penalty of real pairs is taken at one step of so many, and counts as many times (StyleGAN2)."""

LEFT_OUT = 0.05
"""How often a style for every region does without a class that the photo has, so that ``missing`` learns its look."""


def perceptual_loss(preset: Preset) -> PerceptualLoss:
    """Eq. 9 with the preset's network; ``TrainingError`` that names the way out where it cannot be had."""
    try:
        with one_first():
            return PerceptualLoss(perceptual_features(preset.perceptual))
    except OSError as error:
        raise TrainingError(
            f"The perceptual loss needs the network {preset.perceptual!r}, which could not be loaded ({error}): cure"
            " that, or choose one that needs nothing (--set perceptual=random-pyramid)."
        ) from error


def proportions_of(preset: Preset, size: int) -> Proportions:
    """The preset's at ``size`` pixels; ``TrainingError`` for a size that the rule cannot serve."""
    try:
        return preset.proportions(size)
    except ValueError as error:
        raise TrainingError(str(error)) from error


def make_dmn(preset: Preset, size: int) -> DenseMappingNetwork:
    """The preset's network for faces of ``size`` pixels, with fresh weights."""
    if preset.style_mask not in STYLE_MASKS:
        raise ValueError(f"style_mask must be one of {', '.join(STYLE_MASKS)}, not {preset.style_mask!r}.")
    return DenseMappingNetwork(
        width=preset.dmn_width,
        downsamplings=proportions_of(preset, size).downsamplings,
        blocks=preset.dmn_blocks,
        style_width=preset.style_width,
        mask_branch=preset.style_mask == "sft",
        concatenate=preset.style_mask == "concat",
        style=preset.style,
        upsampling=preset.upsampling,
    )


class AdversarialStage(Stage):
    """A Dense Mapping Network and its discriminator, both learning at the rate ``lr``, and the losses between them."""

    def __init__(self, preset: Preset, size: int, lr: float):
        dmn = make_dmn(preset, size)
        layers = proportions_of(preset, size).disc_layers
        discriminator = MultiScaleDiscriminator(width=preset.disc_width, layers=layers)
        self.networks = {"dmn": dmn, "discriminator": discriminator}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=lr, betas=BETAS) for name, network in self.networks.items()
        }
        self.perceptual = perceptual_loss(preset)
        self.preset = preset
        self.references = self.references or bool(preset.mismatch_weight)
        self.config = {
            "lr": lr,
            "gan_loss": preset.gan_loss,
            "mismatch_weight": preset.mismatch_weight,
            "r1_weight": preset.r1_weight,
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
            return self.penalised_loss(batch, made, plain)

        def for_the_generator(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            made = picture(batch) if kept is None else kept
            return self.generator_loss(one_hot(batch.mask), batch.image, made, judge)

        discriminator = self.networks["discriminator"]
        plain = accelerator.unwrap_model(discriminator)
        optimizer = self.optimizers["discriminator"]
        losses = update(optimizer, [discriminator], batches, for_the_discriminator, accelerator)
        judge = plain.requires_grad_(False)
        networks = [self.networks[name] for name in learning]
        losses |= update(self.optimizers[generator], networks, batches, for_the_generator, accelerator)
        judge.requires_grad_(True)
        return losses

    def reconstruct(self, batch: Batch) -> Tensor:
        """Every face from its own mask, in its own style."""
        mask = one_hot(batch.mask)
        if self.preset.style != "regional":
            return self.networks["dmn"](mask, batch.image, mask)
        without = batch.noise(mask.shape[1]) > NormalDist().inv_cdf(1 - LEFT_OUT)
        return self.networks["dmn"](mask, batch.image, mask, without)

    def penalised_loss(self, batch: Batch, made: Tensor, plain: nn.Module) -> tuple[Tensor, dict[str, Tensor]]:
        """The discriminator's loss on a batch and the pictures ``made``, with R1 where its step is one of those.

        ``plain`` is the discriminator itself: processes exchange no gradients of its gradients.
        """
        mask, real = one_hot(batch.mask), batch.image
        wrong = one_hot(batch.reference) if self.preset.mismatch_weight else None
        loss, terms = self.discriminator_loss(mask, real, made, wrong)
        if self.preset.r1_weight and batch.step % R1_EVERY == 0:
            loss = loss + R1_EVERY * self.preset.r1_weight * real_gradient_penalty(partial(plain, mask), real)
        return loss, terms

    def discriminator_loss(
        self, mask: Tensor, real: Tensor, made: Tensor, wrong: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """``(real + fake) / 2`` of Eq. 7, all pictures judged in one batch.

        With ``wrong``, masks of other faces, a share of *fake* is the photo with such a mask (Reed et al., ICML 2016):
        else nothing teaches the discriminator to look at the mask at all.
        """
        masks = [mask, mask] if wrong is None else [mask, mask, wrong]
        outputs = self.networks["discriminator"](torch.cat(masks), torch.cat([real, made, real][: len(masks)]))
        scores = [scale[-1].chunk(len(masks)) for scale in outputs]

        def judged(place: int, is_real: bool) -> Tensor:
            return adversarial_loss([[score[place]] for score in scores], is_real, self.preset.gan_loss)

        fake = judged(1, False)
        if wrong is not None:
            fake = torch.lerp(fake, judged(2, False), self.preset.mismatch_weight)
        loss = 0.5 * (judged(0, True) + fake)
        return loss, {"discriminator": loss}

    def generator_loss(
        self, mask: Tensor, real: Tensor, made: Tensor, judge: nn.Module
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 6 on the picture ``made``, weighted as the preset says; ``judge`` is the discriminator."""
        with torch.no_grad():
            on_real = judge(mask, real)
        on_made = judge(mask, made)
        adversarial = adversarial_loss(on_made, True, self.preset.gan_loss)
        feature = feature_matching_loss(on_real, on_made)
        perceptual = self.perceptual.to(made.device)(made, real)
        loss = adversarial + self.preset.feature_weight * feature + self.preset.perceptual_weight * perceptual
        return loss, {"adversarial": adversarial, "feature": feature, "perceptual": perceptual}
