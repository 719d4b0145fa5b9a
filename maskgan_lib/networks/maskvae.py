"""MaskVAE: the space of masks, a variational autoencoder with batch normalisation (section 3.2 of the paper)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from maskgan_lib.classes import NUM_CLASSES


class MaskVAE(nn.Module):
    """One-hot mask ``[B, classes, S, S]`` to a Gaussian in ``latent`` dimensions, and a latent code to mask logits.

    ``log2(S / 4)`` halvings lead to 4x4 and as many doublings back. Channels start at ``width`` and double at each
    halving; with 512 pixels they end at 2048.

    Args:
        image_size: S, a power of two from 8 up; others are a ``ValueError``.
    """

    def __init__(self, image_size: int = 512, num_classes: int = NUM_CLASSES, width: int = 32, latent: int = 1024):
        super().__init__()
        if image_size < 8 or image_size & (image_size - 1):
            raise ValueError(f"MaskVAE takes image sizes that are powers of two from 8 up, not {image_size}.")
        self.config = {"image_size": image_size, "num_classes": num_classes, "width": width, "latent": latent}
        widths = [width * 2**i for i in range(image_size.bit_length() - 3)]
        flat = widths[-1] * 4 * 4
        self.down = nn.Sequential(*(self._halve(i, o) for i, o in pairwise([num_classes, *widths])))
        self.mu = nn.Linear(flat, latent)
        self.logvar = nn.Linear(flat, latent)
        self.expand = nn.Linear(latent, flat)
        self.up = nn.Sequential(*(self._double(2 * w, w) for w in reversed(widths[:-1])))
        self.logits = nn.Sequential(*self._upsampled_conv(width, num_classes))

    @staticmethod
    def _halve(inputs: int, outputs: int) -> nn.Sequential:
        conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2, inplace=True))

    @staticmethod
    def _upsampled_conv(inputs: int, outputs: int) -> tuple[nn.Module, nn.Module]:
        return nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")

    @classmethod
    def _double(cls, inputs: int, outputs: int) -> nn.Sequential:
        norm = nn.BatchNorm2d(outputs, eps=1e-3)
        return nn.Sequential(*cls._upsampled_conv(inputs, outputs), norm, nn.LeakyReLU(0.2, inplace=True))

    def encode(self, onehot: Tensor) -> tuple[Tensor, Tensor]:
        """``(mu, logvar)``, each ``[B, latent]``: mean and log-variance of the posterior."""
        size = self.config["image_size"]
        if onehot.shape[-2:] != (size, size):
            raise ValueError(f"This MaskVAE takes {size} x {size} masks, not {onehot.shape[-2]} x {onehot.shape[-1]}.")
        features = self.down(onehot).flatten(1)
        return self.mu(features), self.logvar(features)

    def decode(self, z: Tensor) -> Tensor:
        """Logits ``[B, classes, S, S]`` of a latent code ``[B, latent]``."""
        features = torch.relu(self.expand(z)).unflatten(1, (-1, 4, 4))
        return self.logits(self.up(features))

    def forward(self, onehot: Tensor, noise: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """``(logits, mu, logvar)`` with ``z = mu + noise * exp(logvar / 2)``; without noise, ``z = mu``.

        ``noise [B, latent]`` is drawn from N(0, I) by the caller, who thereby decides on the seed.
        """
        mu, logvar = self.encode(onehot)
        z = mu if noise is None else mu + noise * torch.exp(logvar / 2)
        return self.decode(z), mu, logvar
