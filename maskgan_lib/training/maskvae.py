"""Stage (a): MaskVAE, an autoencoder of label maps whose latent space EBST walks in (Eq. 3)."""

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.classes import colorize
from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.losses import kl_divergence, reconstruction_loss
from maskgan_lib.networks import MaskVAE, one_hot
from maskgan_lib.presets import Preset
from maskgan_lib.training.stage import STAGES, Stage, tile, update


@STAGES.register
class MaskVAEStage(Stage):
    """Minimises ``L = L_rec + lambda_KL * L_KL`` (Eq. 3) with Adam."""

    name, settings = "maskvae", "vae"
    averaged = ("maskvae",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        network = MaskVAE(faces.size, width=preset.vae_width, latent=preset.vae_latent)
        self.networks = {"maskvae": network}
        self.optimizers = {"maskvae": torch.optim.Adam(network.parameters(), lr=preset.vae_lr)}
        self.kl_weight, self.latent = preset.kl_weight, preset.vae_latent
        self.config = {"lr": preset.vae_lr, "kl_weight": preset.kl_weight}

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on the masks."""
        return update(self.optimizers["maskvae"], [self.networks["maskvae"]], batches, self.maskvae_loss, accelerator)

    def maskvae_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Eq. 3 on the masks of ``batch``, with its noise."""
        logits, mu, logvar = self.networks["maskvae"](one_hot(batch.mask), batch.noise(self.latent))
        reconstruction, divergence = reconstruction_loss(logits, batch.mask), kl_divergence(mu, logvar)
        loss = reconstruction + self.kl_weight * divergence
        return loss, {"loss": loss, "reconstruction": reconstruction, "kl": divergence}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows of eight masks, each followed by the row of their reconstructions."""
        masks = batch.mask[:8]
        logits, _, _ = networks["maskvae"](one_hot(masks))
        both = torch.cat([masks, logits.argmax(dim=1).to(masks.dtype)])
        return tile(colorize(both.cpu().numpy()), len(masks))
