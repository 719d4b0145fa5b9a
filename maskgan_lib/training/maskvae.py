"""Stage (a): MaskVAE, an autoencoder of label maps whose latent space EBST walks in (Eq. 3)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from maskgan_lib.classes import colorize
from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.losses import kl_divergence, reconstruction_loss
from maskgan_lib.networks import MaskVAE, one_hot
from maskgan_lib.presets import Preset
from maskgan_lib.registry import SETTINGS, STAGES
from maskgan_lib.training.stage import OneLossStage, Terms, tile


@SETTINGS.called("maskvae")
@dataclass(frozen=True)
class MaskVAESettings:
    """Of MaskVAE and its training."""

    width: int = 32  # 32 channels after the first convolution, doubled at every stage
    latent: int = 1024  # 1024
    batch: int = 16  # 16
    steps: int = 300_000  # not stated in the paper
    lr: float = 2e-4  # not stated; pix2pixHD's
    kl_weight: float = 1e-5  # lambda_KL = 1e-5


@STAGES.register
class MaskVAEStage(OneLossStage):
    """Minimises ``L = L_rec + lambda_KL * L_KL`` (Eq. 3) with Adam."""

    name = settings = "maskvae"
    averaged = ("maskvae",)

    def __init__(self, preset: Preset, faces: PackedFaces):
        network = MaskVAE(faces.size, width=preset.maskvae.width, latent=preset.maskvae.latent)
        self.networks = {"maskvae": network}
        self.optimizers = {"maskvae": torch.optim.Adam(network.parameters(), lr=preset.maskvae.lr)}
        self.kl_weight, self.latent = preset.maskvae.kl_weight, preset.maskvae.latent
        self.config = {"lr": preset.maskvae.lr, "kl_weight": preset.maskvae.kl_weight}

    def loss(self, batch: Batch) -> tuple[Tensor, Terms]:
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
