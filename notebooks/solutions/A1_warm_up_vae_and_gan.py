"""Solutions of the warm-up. Try first, then read."""

import torch
import torch.nn.functional as F
from torch import nn


def best_answer(p, q, share):
    """A1.1: things come by with densities share * p, (1 - share) * q."""
    return share * p / (share * p + (1 - share) * q)


def kl_between(mu_1, s_1, mu_2, s_2):
    """A1.2: the mean of (z - mu_2)^2 is (mu_1 - mu_2)^2 + exp(s_1)."""
    distance = ((mu_1 - mu_2) ** 2 + torch.exp(s_1)) * torch.exp(-s_2)
    return 0.5 * (s_2 - s_1 + distance - 1)


def elbo_loss(scores, masks, mu, s):
    """A1.4: summed over pixels; their mean is 256 times less than a mask."""
    pixels = F.cross_entropy(scores, masks, reduction="none")
    price = 0.5 * (mu**2 + s.exp() - s - 1).sum(dim=1)
    return (pixels.sum(dim=(1, 2)) + price).mean()


def spread_layer(group):
    """A1.5: groups get an axis, and the root stays away from zero."""

    class Spread(nn.Module):
        def forward(self, x):
            groups = x.reshape(len(x) // group, group, -1)
            variance = groups.var(dim=1, correction=0)
            spread = (variance + 1e-8).sqrt().mean(dim=1)
            spread = spread.repeat_interleave(group)
            return torch.cat([x, spread[:, None]], dim=1)

    return Spread()
