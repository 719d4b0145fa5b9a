"""Stage (b): the Dense Mapping Network alone, on real pairs: the picture of its own mask in its own style (Eq. 6)."""

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.classes import colorize
from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.losses import PerceptualLoss, adversarial_loss, feature_matching_loss, perceptual_features
from maskgan_lib.networks import DenseMappingNetwork, MultiScaleDiscriminator, one_hot
from maskgan_lib.presets import Preset
from maskgan_lib.training.loop import Stage, tile

BETAS = (0.5, 0.999)


class DMNStage(Stage):
    """Updates the discriminator, then the generator with ``L_adv + 10 L_feat + 10 L_percept`` (Eq. 6).

    The picture is made once per step and used by both updates; the discriminator is frozen while the generator learns.
    """

    name = "dmn"
    averaged = ("dmn",)

    def __init__(self, preset: Preset):
        dmn = DenseMappingNetwork(width=preset.dmn_width, blocks=preset.dmn_blocks, style_width=preset.style_width)
        discriminator = MultiScaleDiscriminator(width=preset.disc_width)
        self.networks = {"dmn": dmn, "discriminator": discriminator}
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=preset.dmn_lr, betas=BETAS)
            for name, network in self.networks.items()
        }
        self.perceptual = PerceptualLoss(perceptual_features(preset.perceptual))
        self.preset = preset
        self.config = {
            "lr": preset.dmn_lr,
            "gan_loss": preset.gan_loss,
            "feature_weight": preset.feature_weight,
            "perceptual_weight": preset.perceptual_weight,
            "perceptual": self.perceptual.features.name,
        }

    def step(self, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
        """One update of the discriminator and one of the generator."""
        mask = one_hot(batch.mask)
        made = self.networks["dmn"](mask, batch.image, mask)
        losses = self.update_discriminator(mask, batch.image, made.detach(), accelerator)
        return losses | self.update_generator(mask, batch.image, made, accelerator)

    def update_discriminator(
        self, mask: Tensor, real: Tensor, made: Tensor, accelerator: Accelerator
    ) -> dict[str, Tensor]:
        """``(real + fake) / 2``, real and made picture in one batch."""
        optimizer = self.optimizers["discriminator"]
        outputs = self.networks["discriminator"](torch.cat([mask, mask]), torch.cat([real, made]))
        on_real, on_made = zip(*[zip(*[f.chunk(2) for f in scale], strict=True) for scale in outputs], strict=True)
        kind = self.preset.gan_loss
        loss = 0.5 * (adversarial_loss(on_real, True, kind) + adversarial_loss(on_made, False, kind))
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        optimizer.step()
        return {"discriminator": loss.detach()}

    def update_generator(self, mask: Tensor, real: Tensor, made: Tensor, accelerator: Accelerator) -> dict[str, Tensor]:
        """The three losses of Eq. 6 on the picture ``made``, with the discriminator frozen."""
        optimizer = self.optimizers["dmn"]
        judge = accelerator.unwrap_model(self.networks["discriminator"]).requires_grad_(False)
        with torch.no_grad():
            on_real = judge(mask, real)
        on_made = judge(mask, made)
        adversarial = adversarial_loss(on_made, True, self.preset.gan_loss)
        feature = feature_matching_loss(on_real, on_made)
        perceptual = self.perceptual.to(made.device)(made, real)
        loss = adversarial + self.preset.feature_weight * feature + self.preset.perceptual_weight * perceptual
        optimizer.zero_grad(set_to_none=True)
        accelerator.backward(loss)
        optimizer.step()
        judge.requires_grad_(True)
        terms = {"adversarial": adversarial, "feature": feature, "perceptual": perceptual}
        return {name: term.detach() for name, term in terms.items()}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: masks, photos, reconstructions, and every mask in the style of its neighbour."""
        dmn, image, mask = networks["dmn"], batch.image[:8], one_hot(batch.mask[:8])
        style = dmn.encode_style(image, mask)
        pictures = [image, dmn.render(mask, style), dmn.render(mask, style.roll(1, dims=0))]
        rows = [colorize(batch.mask[:8].cpu().numpy()), *map(to_uint8_image, pictures)]
        return tile(np.concatenate(rows), len(image))
