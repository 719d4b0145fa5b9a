"""Spectral normalisation (Miyato et al., ICLR 2018)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SpectralConv2d(nn.Conv2d):
    """A convolution whose kernel, as a matrix ``[outputs, inputs * k * k]``, is divided by its largest singular value.

    The value is estimated by one power iteration per call. It starts from the buffer ``left``, an estimate of the left
    singular vector, which training moves on: a network in evaluation mode changes nothing and repeats itself. The
    length of ``left`` does not matter, so an average over steps will do as well.
    """

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.register_buffer("left", torch.ones(self.out_channels))

    def kernel(self) -> Tensor:
        """The normalised kernel; in training, the power iteration is kept."""
        dtype = torch.promote_types(self.weight.dtype, torch.float32)
        with torch.autocast(self.weight.device.type, enabled=False):
            matrix = self.weight.to(dtype).flatten(1)
            with torch.no_grad():
                right = F.normalize(matrix.T @ self.left.to(dtype), dim=0)
                left = F.normalize(matrix @ right, dim=0)
                if self.training:
                    self.left.copy_(left)
            return (self.weight / (left @ matrix @ right)).to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """``x [B, inputs, H, W]`` to ``[B, outputs, h, w]``."""
        return self._conv_forward(x, self.kernel(), self.bias)
