"""SPADE (Park et al., CVPR 2019) with its image encoder: the mask steers every normalisation, the style is a seed.

It learns on real pairs: the picture of its own mask in its own style, adversarial with the hinge loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.losses import Outputs, feature_matching_loss, kl_divergence
from maskgan_lib.methods.method import Method, by_mask
from maskgan_lib.networks import NETWORKS, MultiScaleDiscriminator, one_hot
from maskgan_lib.networks.blocks import SpectralConv2d, layers_to_draw
from maskgan_lib.presets import Preset
from maskgan_lib.registry import METHODS, SETTINGS, STAGES
from maskgan_lib.training.adversarial import perceptual_loss, sheet
from maskgan_lib.training.stage import Stage, Terms, TrainingError


def init_xavier(network: nn.Module) -> None:
    """Draw the weights of every ``Conv2d`` and ``Linear`` from Xavier's normal distribution; biases become zero."""
    for layer in layers_to_draw(network, (nn.Conv2d, nn.Linear)):
        nn.init.xavier_normal_(layer.weight, 0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class SPADE(nn.Module):
    """Spatially-adaptive normalisation: ``n * (1 + gamma(mask)) + beta(mask)``, n being batch-normalised ``features``.

    The mask, resized by nearest neighbour, goes through a 3x3 convolution to ``hidden`` channels and ReLU, then gamma
    and beta are a 3x3 convolution each: one value per channel and pixel. A batch of 1 on either side is shared.
    """

    def __init__(self, channels: int, num_classes: int = NUM_CLASSES, hidden: int = 128):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.shared = nn.Conv2d(num_classes, hidden, 3, padding=1)
        self.gamma = nn.Conv2d(hidden, channels, 3, padding=1)
        self.beta = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """``features [B, C, h, w]``, one-hot ``mask [B, classes, H, W]``."""
        hidden = F.relu(self.shared(F.interpolate(mask, features.shape[-2:])), inplace=True)
        normal = self.norm(features)
        return torch.addcmul(normal + self.beta(hidden), normal, self.gamma(hidden))


class SPADEResBlock(nn.Module):
    """``shortcut(x) + conv(act(SPADE(conv(act(SPADE(x))))))``: 3x3, spectral normalisation, LeakyReLU 0.2.

    The middle has ``min(inputs, outputs)`` channels. The shortcut is SPADE and a 1x1 convolution without bias where the
    numbers of channels differ, else ``x`` itself.
    """

    def __init__(self, inputs: int, outputs: int, num_classes: int = NUM_CLASSES, hidden: int = 128):
        super().__init__()
        middle = min(inputs, outputs)
        self.norm1 = SPADE(inputs, num_classes, hidden)
        self.conv1 = SpectralConv2d(inputs, middle, 3, padding=1)
        self.norm2 = SPADE(middle, num_classes, hidden)
        self.conv2 = SpectralConv2d(middle, outputs, 3, padding=1)
        self.learned_shortcut = inputs != outputs
        if self.learned_shortcut:
            self.norm3 = SPADE(inputs, num_classes, hidden)
            self.conv3 = SpectralConv2d(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        shortcut = self.conv3(self.norm3(x, mask)) if self.learned_shortcut else x
        x = self.conv1(F.leaky_relu(self.norm1(x, mask), 0.2))
        return shortcut + self.conv2(F.leaky_relu(self.norm2(x, mask), 0.2))


class SPADEEncoder(nn.Module):
    """An image to mean and log-variance of its style: stride-2 convolutions down to 4x4 pixels, then linear layers.

    Spectral and instance normalisation and LeakyReLU 0.2 follow every convolution. Channels double from ``width`` to 8
    times as many. The image is resized to ``image_size`` pixels first, 256 in the paper: six convolutions.
    """

    def __init__(self, width: int = 64, latent: int = 256, image_size: int = 256):
        super().__init__()
        if image_size < 8 or image_size & (image_size - 1):
            raise ValueError(f"The image encoder's size must be a power of two from 8 up, not {image_size}.")
        self.image_size = image_size
        widths = [3, *(min(width * 2**i, 8 * width) for i in range(image_size.bit_length() - 3))]
        self.down = nn.Sequential(*(self._halve(i, o) for i, o in pairwise(widths)), nn.Flatten())
        self.mu = nn.Linear(widths[-1] * 4 * 4, latent)
        self.logvar = nn.Linear(widths[-1] * 4 * 4, latent)

    @staticmethod
    def _halve(inputs: int, outputs: int) -> nn.Sequential:
        # Instance normalisation would take a bias away again.
        convolution = SpectralConv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
        return nn.Sequential(convolution, nn.InstanceNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """``image [B, 3, H, W]`` in [-1, 1] to ``(mu, logvar)``, each ``[B, latent]``."""
        size = (self.image_size, self.image_size)
        if image.shape[-2:] != size:
            image = F.interpolate(image, size, mode="bilinear", align_corners=False)
        features = self.down(image)
        return self.mu(features), self.logvar(features)


class SPADEBackbone(nn.Module):
    """One-hot mask ``[B, classes, S, S]`` and the map at the bottom, flat, to an image ``[B, 3, S, S]`` in [-1, 1].

    Seven blocks with five doublings of the size between them; a mask of 64 times the ``bottom`` instead of 32 times
    asks for a sixth one, after the second block (the authors' "more" upsampling).
    """

    def __init__(self, num_classes: int = NUM_CLASSES, width: int = 64, mask_width: int = 128, bottom: int = 16):
        super().__init__()
        self.bottom = bottom
        widths = [width * k for k in (16, 16, 16, 16, 8, 4, 2, 1)]
        self.blocks = nn.ModuleList(SPADEResBlock(i, o, num_classes, mask_width) for i, o in pairwise(widths))
        self.last = nn.Conv2d(width, 3, 3, padding=1)

    @property
    def sizes(self) -> tuple[int, int]:
        """Pixels a side of the pictures that it can make."""
        return 32 * self.bottom, 64 * self.bottom

    def forward(self, mask: Tensor, features: Tensor) -> Tensor:
        """``features [B, 16 * width * bottom**2]``. A batch of 1 on either side is shared by the other's."""
        more = mask.shape[-1] == self.sizes[1]
        x = features.unflatten(1, (-1, self.bottom, self.bottom))
        for number, block in enumerate(self.blocks):
            if number != 0 and (number != 2 or more):
                x = F.interpolate(x, scale_factor=2)
            x = block(x, mask)
        return torch.tanh(self.last(F.leaky_relu(x, 0.2)))


@NETWORKS.register
class SPADEGenerator(nn.Module):
    """SPADE: ``render(mask, encode_style(image))``. Masks are one-hot, images in [-1, 1].

    The style is a code of ``latent`` numbers, the mean of what the image encoder says; a linear map makes the map of
    features at the bottom from it, and nothing else of the picture comes from the style.

    Args:
        num_classes: planes of a mask.
        width: channels at full resolution, of the encoder too; the generator has 16 times as many at the bottom.
        mask_width: channels between mask and gamma and beta.
        bottom: pixels a side of the lowest resolution. It renders masks of 32 times (the authors' "normal" upsampling)
            or 64 times ("more") as many; others are a ``ValueError``. So what is learnt at half the size goes on.
        style_size: a style image is resized to so many pixels a side, a power of two from 8 up.
    """

    def __init__(
        self,
        num_classes: int = NUM_CLASSES,
        width: int = 64,
        mask_width: int = 128,
        latent: int = 256,
        bottom: int = 16,
        style_size: int = 256,
    ):
        super().__init__()
        self.config = {"num_classes": num_classes, "width": width, "mask_width": mask_width}
        self.config |= {"latent": latent, "bottom": bottom, "style_size": style_size}
        self.encoder = SPADEEncoder(width, latent, style_size)
        self.style_to_features = nn.Linear(latent, 16 * width * bottom**2)
        self.backbone = SPADEBackbone(num_classes, width, mask_width, bottom)
        init_xavier(self)

    def encode_style(self, image: Tensor, mask: Tensor | None = None) -> Tensor:
        """Style code ``[B, latent]`` of an image: the mean, so that it repeats itself. No mask is looked at."""
        return self.encoder(image)[0]

    def check(self, mask: Tensor) -> None:
        """``ValueError`` unless masks of this size, ``[..., H, W]``, can be rendered."""
        (height, width), (few, many) = mask.shape[-2:], self.backbone.sizes
        if height != width or width not in (few, many):
            raise ValueError(f"This SPADE takes masks of {few} or {many} pixels a side, not {height} x {width}.")

    def condition(self, style: Tensor) -> Tensor:
        """What the backbone takes beside the mask: for styles ``[B, latent]`` the features at the bottom, flat."""
        return self.style_to_features(style.to(self.style_to_features.weight.dtype))

    def render(self, mask: Tensor, style: Tensor) -> Tensor:
        """Image ``[B, 3, S, S]`` in [-1, 1] of a one-hot mask in a style."""
        self.check(mask)
        if len(mask) != len(style) and 1 not in (len(mask), len(style)):
            raise ValueError(f"{len(mask)} masks and {len(style)} styles: the numbers must agree, or one of them be 1.")
        return self.backbone(mask, self.condition(style))

    def forward(
        self, mask: Tensor, image: Tensor, style_mask: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """``mask`` in the style of ``image``; ``style_mask``, which other networks need, is not looked at.

        There may be several masks for every image, first one for each image, then the second ones, and so on: a style
        is encoded once for all of them.
        With ``noise [B, latent]`` from N(0, I), for training: ``(picture, mu, logvar)``, the style being
        ``mu + noise * exp(logvar / 2)``.
        """
        mu, logvar = self.encoder(image)
        if noise is not None:
            return self.render(mask, mu + noise * torch.exp(logvar / 2)), mu, logvar
        masks, rest = divmod(len(mask), len(mu))
        return self.render(mask, mu.repeat(masks, 1) if masks > 1 and not rest else mu)


BETAS = (0.0, 0.9)
"""Of Adam, as in SPADE's code."""


def hinge_loss(outputs: Outputs, is_real: bool) -> Tensor:
    """SPADE's loss of the discriminator: how far scores are short of 1 (real) or above -1 (fake), averaged over scales.

    Each scale's mean over positions, ``max(0, 1 - score)`` or ``max(0, 1 + score)``.
    """
    sign = 1.0 if is_real else -1.0
    return sum(F.relu(1 - sign * features[-1]).mean() for features in outputs) / len(outputs)


def hinge_generator_loss(outputs: Outputs) -> Tensor:
    """SPADE's adversarial loss of the generator: minus the mean score, averaged over scales."""
    return -sum(features[-1].mean() for features in outputs) / len(outputs)


@SETTINGS.called("spade")
@dataclass(frozen=True)
class SPADESettings:
    """Of SPADE and its training."""

    width: int = 64  # 64
    mask_width: int = 128  # 128
    latent: int = 256  # 256
    bottom: int = 16  # 16 pixels a side for 512 ("normal" upsampling), 8 for 512 with "more"
    style_size: int = 256  # 256: the encoder sees the image at this size
    batch: int = 8  # as the DMN's
    steps: int = 600_000  # as the DMN's; 50 epochs in the authors' code
    lr: float = 1e-4  # 1e-4 with betas (0, 0.9), the discriminator learns four times as fast
    disc_lr: float = 4e-4  # 4e-4
    kl_weight: float = 0.05  # 0.05, times the divergence summed over the batch


@STAGES.register
class SPADEStage(Stage):
    """Updates the discriminator at ``spade.disc_lr``, then SPADE with its encoder at ``spade.lr``.

    ``L_D = hinge(real) + hinge(made)``, ``L_G = L_adv + 10 L_feat + 10 L_percept + 0.05 L_KL``. The divergence is
    summed over the batch, as in the authors' code, so that it weighs more in a larger one; the log shows its mean.
    """

    name, settings = "spade", "spade"
    averaged = ("spade",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        own, shared = preset.spade, preset.adversary
        spade = SPADEGenerator(NUM_CLASSES, own.width, own.mask_width, own.latent, own.bottom, own.style_size)
        if faces.size not in spade.backbone.sizes:
            few, many = spade.backbone.sizes
            raise TrainingError(
                f"With spade.bottom {own.bottom} SPADE makes pictures of {few} or {many} pixels, and these faces have"
                f" {faces.size}: choose another preset, or faces of that size."
            )
        discriminator = MultiScaleDiscriminator(width=shared.width, spectral=True)
        init_xavier(discriminator)
        self.networks = {"spade": spade, "discriminator": discriminator}
        self.optimizers = {
            "spade": torch.optim.Adam(spade.parameters(), own.lr, BETAS),
            "discriminator": torch.optim.Adam(discriminator.parameters(), own.disc_lr, BETAS),
        }
        self.perceptual, self.preset = perceptual_loss(preset), preset
        self.config = {"lr": own.lr, "disc_lr": own.disc_lr, "kl_weight": own.kl_weight}
        self.config |= {"feature_weight": shared.feature_weight, "perceptual_weight": shared.perceptual_weight}
        self.config["perceptual"] = self.perceptual.features.name

    def modules(self) -> list[nn.Module]:
        """The networks and those of the perceptual loss."""
        return [*super().modules(), self.perceptual]

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> Terms:
        """One update of each network. The picture is made once: batch normalisation counts every batch once."""
        self.autocast = accelerator.autocast
        [batch], own, shared = batches, self.preset.spade, self.preset.adversary
        spade, discriminator = self.networks["spade"], self.networks["discriminator"]
        mask, real = one_hot(batch.mask), batch.image
        made, mu, logvar = spade(mask, real, noise=batch.noise(own.latent))

        on_real, on_made = judged(discriminator, mask, real, made.detach())
        hinge = hinge_loss(on_real, True) + hinge_loss(on_made, False)
        losses = [(hinge, {"discriminator": hinge})]
        logged = self.update(["discriminator"], losses, 1, accelerator)

        judge = accelerator.unwrap_model(discriminator).requires_grad_(False)
        on_real, on_made = judged(judge, mask, real, made)
        with self.autocast():
            perceptual = self.perceptual(made, real)
        terms = {"adversarial": hinge_generator_loss(on_made), "feature": feature_matching_loss(on_real, on_made)}
        terms |= {"perceptual": perceptual, "kl": kl_divergence(mu, logvar)}
        loss = terms["adversarial"] + shared.feature_weight * terms["feature"] + shared.perceptual_weight * perceptual
        # The divergence is the whole batch's, of which several processes hold a share each.
        loss = loss + own.kl_weight * batch.total * terms["kl"]
        logged |= self.update(["spade"], [(loss, terms)], 1, accelerator)
        judge.requires_grad_(True)
        return logged

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Masks, photos, and what SPADE makes of them: see ``sheet``."""
        return sheet(networks["spade"], batch)


def judged(discriminator: nn.Module, mask: Tensor, real: Tensor, made: Tensor) -> tuple[Outputs, Outputs]:
    """The discriminator's maps of the real and of the made pictures, which it sees in one batch."""
    outputs = discriminator(torch.cat([mask, mask]), torch.cat([real, made]))
    on_real, on_made = ([[maps.chunk(2)[side] for maps in scale] for scale in outputs] for side in (0, 1))
    return on_real, on_made


PHASES = ("shipped-half", "shipped", "shipped-finish")
METHODS.register(Method("SPADE", SPADEGenerator, "spade", by_mask, place=3, phases=PHASES))
