"""Solutions of chapter 04. Try first, then read."""

import torch
from torch import nn


def undo_steps(z_inter, z_outer, lam):
    """4.1: z lies half-way, without lam; z_ref is lam steps from it."""
    z, step = (z_inter + z_outer) / 2, (z_inter - z_outer) / 2
    return z, z + lam * step


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


def gradient_in_parts(network, loss, batch, parts):
    """4.4: a part counts by its faces, since its loss is their mean."""
    network.zero_grad()
    for part in batch.chunk(parts):
        (loss(network, part) * len(part) / len(batch)).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def many_blender(body):
    """4.5: B times K pictures are scored at once, then the K compete."""

    class ManyBlender(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = body

        def forward(self, renders):
            mean = renders.mean(dim=1, keepdim=True).expand_as(renders)
            pairs = torch.cat([renders, mean], dim=2)
            scores = self.body(pairs.flatten(0, 1))
            shares = scores.unflatten(0, renders.shape[:2]).softmax(dim=1)
            return (shares * renders).sum(dim=1), shares

    return ManyBlender()
