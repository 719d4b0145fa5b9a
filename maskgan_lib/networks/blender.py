"""The Alpha Blender, G_B of editing behaviour simulated training: two images to one."""

import torch
from torch import Tensor, nn

from maskgan_lib.networks.blocks import EncoderDecoder, check_size, init_convolutions


class AlphaBlender(nn.Module):
    """``blend = alpha * inter + (1 - alpha) * outer``, with alpha in [0, 1] drawn from both images.

    Args:
        width: channels at full resolution; they double at each of the ``downsamplings`` halvings.
        alpha_channels: 3, as the authors' code has it, or 1 for one map for all colours.

    Sizes: multiples of ``2**downsamplings``, at least twice that; others are a ``ValueError``.
    """

    def __init__(self, width: int = 32, downsamplings: int = 3, blocks: int = 3, alpha_channels: int = 3):
        super().__init__()
        self.config = {"width": width, "downsamplings": downsamplings, "blocks": blocks}
        self.config["alpha_channels"] = alpha_channels
        self.body = EncoderDecoder(6, alpha_channels, width, downsamplings, blocks, adaptive=False)
        init_convolutions(self)

    def forward(self, inter: Tensor, outer: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``[B, 3, H, W]`` in [-1, 1] to ``(blend [B, 3, H, W], alpha [B, alpha_channels, H, W])``."""
        check_size(inter, self.body.multiple, 2 * self.body.multiple, type(self).__name__)
        alpha = torch.sigmoid(self.body(torch.cat((inter, outer), dim=1)))
        return outer + alpha * (inter - outer), alpha
