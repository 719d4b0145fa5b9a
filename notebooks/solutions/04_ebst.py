"""Solutions of chapter 04. Try first, then read."""

import torch


def two_steps(z, z_ref, lam):
    """4.1: equally long, in opposite directions."""
    step = (z_ref - z) / lam
    return z + step, z - step


def best_alpha(inter, outer, original):
    """4.2: where the original lies between the two renders, it can be hit."""
    between = inter - outer
    same = between == 0
    alpha = (original - outer) / torch.where(same, 1.0, between)
    return torch.where(same, 0.5, alpha.clamp(0, 1))


def widening(values):
    """4.3: one number for each face, then its standard error."""
    by_face = values.mean(axis=1)
    faces = by_face.std(ddof=1) / len(by_face) ** 0.5
    return faces / (values.std(ddof=1) / values.size**0.5)
