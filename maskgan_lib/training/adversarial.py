"""What the stages of the DMN share: network, discriminator and its update, the generator's losses (Eq. 6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.classes import colorize
from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.losses import (
    PerceptualLoss,
    adversarial_loss,
    feature_matching_loss,
    perceptual_features,
    real_gradient_penalty,
)
from maskgan_lib.networks import DenseMappingNetwork, MultiScaleDiscriminator, one_hot
from maskgan_lib.networks.blocks import check_choice
from maskgan_lib.presets import Preset, Proportions
from maskgan_lib.registry import SETTINGS
from maskgan_lib.training.execution import one_first
from maskgan_lib.training.stage import BETAS, Stage, Terms, TrainingError, tile

STYLE_MASKS = ("sft", "concat", "none")
"""The ways in which a style encoder can see the mask of its picture."""

R1_EVERY = 16
"""The gradient penalty of real pairs is taken at one step of so many, and counts as many times (StyleGAN2)."""

LEFT_OUT = 0.05
"""How often a style for every region does without a class that the photo has, so that ``missing`` learns its look."""


@SETTINGS.called("dmn")
@dataclass(frozen=True)
class DMNSettings:
    """Of the Dense Mapping Network and its training."""

    width: int = 64  # 64
    blocks: int = 4  # 4 residual blocks with AdaIN
    style_width: int = 16  # 16, so the style code has 64 numbers
    # How the style encoder sees the mask. "sft": the paper's; "concat": the ablation of its supplement; "none": its
    # baseline Pix2PixHD-m.
    style_mask: str = "sft"
    style: str = "global"  # the paper's one code; "regional": one for every class
    downsamplings: int = 0  # 4; 0: those that fit the size of the faces, 4 at 512
    # Never; ours: how often a face takes its style from a picture of it with another expression (drawn faces only).
    other_expression: float = 0.0
    norm: str = ""  # "instance"; "": that with a global style, "positional" with a regional one
    upsampling: str = "transposed"  # transposed convolutions; "nearest": nearest neighbour and a convolution
    batch: int = 8  # 8
    steps: int = 600_000  # 100 + 100 epochs in the authors' code
    lr: float = 2e-4  # 2e-4 with betas (0.5, 0.999) in pix2pixHD; the paper's first stage is not stated


@SETTINGS.called("adversary")
@dataclass(frozen=True)
class AdversarySettings:
    """Of the discriminator of whatever renders masks, and of the losses of Eq. 6."""

    width: int = 64  # 64
    layers: int = 0  # 3; 0: those that fit the size of the faces, 3 at 512
    mismatch_weight: float = 0.0  # none; ours: how much of what is fake are photos with another face's mask
    r1_weight: float = 0.0  # none; ours: of the penalty on the discriminator's gradient at real pairs
    feature_weight: float = 10.0  # lambda_feat = 10
    perceptual_weight: float = 10.0  # lambda_percept = 10
    perceptual: str = "vgg19"  # VGG-19; "edge-vgg16" needs a package, "random-pyramid" nothing
    gan_loss: str = "lsgan"  # the paper prints the log form ("vanilla"), the authors' code uses least squares


def perceptual_loss(preset: Preset) -> PerceptualLoss:
    """Eq. 9 with the preset's network; ``TrainingError`` that names the way out where it cannot be had."""
    try:
        with one_first():
            return PerceptualLoss(perceptual_features(preset.adversary.perceptual))
    except OSError as error:
        raise TrainingError(
            f"The perceptual loss needs the network {preset.adversary.perceptual!r}, which could not be loaded"
            f" ({error}): cure that, or choose one that needs nothing (--set adversary.perceptual=random-pyramid)."
        ) from error


def proportions_of(preset: Preset, size: int) -> Proportions:
    """The preset's at ``size`` pixels; ``TrainingError`` for a size that the rule cannot serve."""
    try:
        return preset.proportions(size)
    except ValueError as error:
        raise TrainingError(str(error)) from error


def make_dmn(preset: Preset, size: int) -> DenseMappingNetwork:
    """The preset's network for faces of ``size`` pixels, with fresh weights."""
    check_choice("dmn.style_mask", preset.dmn.style_mask, STYLE_MASKS)
    return DenseMappingNetwork(
        width=preset.dmn.width,
        downsamplings=proportions_of(preset, size).downsamplings,
        blocks=preset.dmn.blocks,
        style_width=preset.dmn.style_width,
        mask_branch=preset.dmn.style_mask == "sft",
        concatenate=preset.dmn.style_mask == "concat",
        style=preset.dmn.style,
        upsampling=preset.dmn.upsampling,
        norm=preset.dmn.norm,
    )


class AdversarialStage(Stage):
    """A Dense Mapping Network and its discriminator, both learning at the rate ``lr``, and the losses between them."""

    def __init__(self, preset: Preset, size: int, lr: float):
        dmn = make_dmn(preset, size)
        layers = proportions_of(preset, size).disc_layers
        discriminator = MultiScaleDiscriminator(width=preset.adversary.width, layers=layers)
        self.networks = {"dmn": dmn, "discriminator": discriminator}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=lr, betas=BETAS) for name, network in self.networks.items()
        }
        self.perceptual = perceptual_loss(preset)
        self.preset = preset
        self.references = self.references or bool(preset.adversary.mismatch_weight)
        self.config = {
            "lr": lr,
            "gan_loss": preset.adversary.gan_loss,
            "other_expression": preset.dmn.other_expression,
            "mismatch_weight": preset.adversary.mismatch_weight,
            "r1_weight": preset.adversary.r1_weight,
            "feature_weight": preset.adversary.feature_weight,
            "perceptual_weight": preset.adversary.perceptual_weight,
            "perceptual": self.perceptual.features.name,
        }

    def modules(self) -> list[nn.Module]:
        """The networks and those of the perceptual loss."""
        return [*super().modules(), self.perceptual]

    def update_discriminator(self, batches: Sequence[Batch], made: Sequence[Tensor], accelerator: Accelerator) -> Terms:
        """One update on the photographs and the pictures ``made`` of each part, shown with the batch's own masks."""
        plain, pairs = accelerator.unwrap_model(self.networks["discriminator"]), zip(batches, made, strict=True)
        losses = (self.penalised_loss(batch, pictures.detach(), plain) for batch, pictures in pairs)
        return self.update(["discriminator"], losses, len(batches), accelerator)

    def alternate(
        self,
        batches: Sequence[Batch],
        make: Callable[[Batch], Tensor],
        names: Sequence[str],
        accelerator: Accelerator,
        optimizer: str = "",
    ) -> Terms:
        """One update of the discriminator, then, with it frozen, one of the networks ``names`` behind ``make``.

        In one part, a picture serves both updates. In several, it is made twice: memory holds the graph of one at a
        time. The other arguments are those of ``update``.
        """
        judge, once = accelerator.unwrap_model(self.networks["discriminator"]), len(batches) == 1
        with torch.set_grad_enabled(once):
            made = [make(batch) for batch in batches]
        first = self.update_discriminator(batches, made, accelerator)

        judge.requires_grad_(False)
        pairs = zip(batches, made if once else map(make, batches), strict=True)
        losses = (self.generator_loss(one_hot(b.mask), b.image, picture, judge) for b, picture in pairs)
        second = self.update(names, losses, len(batches), accelerator, optimizer)
        judge.requires_grad_(True)
        return first | second

    def reconstruct(self, batch: Batch) -> Tensor:
        """Every face from its own mask, in the style of its own picture or of one with another expression.

        How often it is the other one is ``dmn.other_expression``. What the mask says, such as a smile, is then of no
        use in a style: an edited mask will say something else.
        """
        mask, style_mask, image, dmn = one_hot(batch.mask), batch.mask, batch.image, self.networks["dmn"]
        regional, share = self.preset.dmn.style == "regional", self.preset.dmn.other_expression
        chance = torch.special.ndtr(batch.noise(1 + mask.shape[1])) if regional or share else None
        if share:
            other = chance[:, 0, None, None] > 1 - share
            style_mask = torch.where(other, batch.other_mask, style_mask)
            image = torch.where(other[:, None], batch.other_image, image)
        return dmn(mask, image, one_hot(style_mask), *([chance[:, 1:] > 1 - LEFT_OUT] if regional else []))

    def penalised_loss(self, batch: Batch, made: Tensor, plain: nn.Module) -> tuple[Tensor, Terms]:
        """The discriminator's loss on a batch and the pictures ``made``, with R1 where its step is one of those.

        ``plain`` is the discriminator itself: processes exchange no gradients of its gradients.
        """
        mask, real = one_hot(batch.mask), batch.image
        wrong = one_hot(batch.reference) if self.preset.adversary.mismatch_weight else None
        loss, terms = self.discriminator_loss(mask, real, made, wrong)
        if self.preset.adversary.r1_weight and batch.step % R1_EVERY == 0:
            loss = loss + R1_EVERY * self.preset.adversary.r1_weight * real_gradient_penalty(partial(plain, mask), real)
        return loss, terms

    def discriminator_loss(
        self, mask: Tensor, real: Tensor, made: Tensor, wrong: Tensor | None = None
    ) -> tuple[Tensor, Terms]:
        """``(real + fake) / 2`` of Eq. 7, all pictures judged in one batch.

        With ``wrong``, masks of other faces, a share of *fake* is the photo with such a mask (Reed et al., ICML 2016):
        else nothing teaches the discriminator to look at the mask at all.
        """
        masks = [mask, mask] if wrong is None else [mask, mask, wrong]
        outputs = self.networks["discriminator"](torch.cat(masks), torch.cat([real, made, real][: len(masks)]))
        scores = [scale[-1].chunk(len(masks)) for scale in outputs]

        def judged(place: int, is_real: bool) -> Tensor:
            return adversarial_loss([[score[place]] for score in scores], is_real, self.preset.adversary.gan_loss)

        fake = judged(1, False)
        if wrong is not None:
            fake = torch.lerp(fake, judged(2, False), self.preset.adversary.mismatch_weight)
        loss = 0.5 * (judged(0, True) + fake)
        return loss, {"discriminator": loss}

    def generator_loss(self, mask: Tensor, real: Tensor, made: Tensor, judge: nn.Module) -> tuple[Tensor, Terms]:
        """Eq. 6 on the picture ``made``, weighted as the preset says; ``judge`` is the discriminator."""
        with torch.no_grad():
            on_real = judge(mask, real)
        on_made = judge(mask, made)
        adversarial = adversarial_loss(on_made, True, self.preset.adversary.gan_loss)
        feature = feature_matching_loss(on_real, on_made)
        with self.autocast():
            perceptual = self.perceptual(made, real)
        loss = (
            adversarial
            + self.preset.adversary.feature_weight * feature
            + self.preset.adversary.perceptual_weight * perceptual
        )
        return loss, {"adversarial": adversarial, "feature": feature, "perceptual": perceptual}


def sheet(network: nn.Module, batch: Batch) -> np.ndarray:
    """Rows: masks, photos, reconstructions, and every mask in the style of its neighbour."""
    image, mask = batch.image[:8], one_hot(batch.mask[:8])
    style = network.encode_style(image, mask)
    pictures = [image, network.render(mask, style), network.render(mask, style.roll(1, dims=0))]
    rows = [colorize(batch.mask[:8].cpu().numpy()), *map(to_uint8_image, pictures)]
    return tile(np.concatenate(rows), len(image))
