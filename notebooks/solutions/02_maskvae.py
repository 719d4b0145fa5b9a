"""Solutions of chapter 02. Try first, then read."""

import math

import torch


def halvings(size):
    """2.1: both are powers of two, so the logarithm is a whole number."""
    return int(math.log2(size / 4))


def kl_of_log_std(mu, s):
    """2.2: the variance is exp(s) squared, its logarithm 2 s; Equation 4."""
    return 0.5 * (mu**2 + torch.exp(2 * s) - 2 * s - 1).sum(dim=1).mean()


def slerp(a, b, t):
    """2.3: the angle is shared out; the lengths are not touched."""
    omega = torch.acos((a @ b) / (a.norm() * b.norm()))
    mixed = torch.sin((1 - t) * omega) * a + torch.sin(t * omega) * b
    return mixed / torch.sin(omega)


def without(d, e):
    """2.4: one step of Gram-Schmidt: the rest has no part along e."""
    return d - (d @ e) / (e @ e) * e
