"""Solutions of chapter 08. Try first, then read."""

import numpy as np
import torch.nn.functional as F
from torch import nn

from maskgan_lib.methods.stargan import StarGANBackbone


def difference(source, target):
    """8.1: one gives, minus one takes away, zero leaves alone."""
    return [t - s for s, t in zip(source, target)]


def consistency_rgb(parsed, made):
    """8.2: the made mask is hardened, so it is a target and nothing else."""
    best = made.argmax(axis=0)[None]
    return -np.log(np.take_along_axis(parsed, best, axis=0)).mean()


def move_mask(mask, before, after, kept):
    """8.3: the network's own errors are in both of its answers, so they go."""
    moves = (before != after) & ~np.isin(mask, kept)
    return np.where(moves, after, mask)


def wish_loss(logits, source, wish):
    """8.4: a target is a label, so a wish of -1 ends at 0, not at -1."""
    wanted = source + wish
    losses = F.binary_cross_entropy_with_logits(
        logits, wanted, reduction="none"
    )
    return losses.sum(dim=1).mean()


def gated_branch(attributes, width):
    """8.5: a gate that a wish opens, for each face by itself."""

    class GatedBranch(nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = StarGANBackbone(12, 13, attributes, width, 1)

        def forward(self, masks, wish):
            planes = self.backbone(masks, wish)
            asked = wish.abs().amax(dim=1)[:, None, None, None]
            q = planes[:, 12:].sigmoid() * asked
            return q * planes[:, :12].softmax(dim=1) + (1 - q) * masks

    return GatedBranch()
