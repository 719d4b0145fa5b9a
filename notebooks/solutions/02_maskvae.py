"""Solutions of chapter 02. Try first, then read."""

import torch
from torch import nn

from maskgan_lib.classes import NUM_CLASSES


def linear_weights(size, width, latent):
    """2.1: 4 x 4 places; a halving of the size doubles the channels."""
    flat = 4 * 4 * width * size // 8
    heads = 2 * (flat + 1) * latent
    return heads + (latent + 1) * flat


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


def pixel_loss(scores, labels):
    """2.5: reshape cut rows of 19 pixels; here the classes are in dim 1."""
    return nn.functional.cross_entropy(scores, labels.long())


def any_size_encoder(stages, width, latent):
    """2.6: a mean over 4 x 4 parts stands between features and heads."""
    widths = [NUM_CLASSES, *(width * 2**k for k in range(stages))]

    def halve(inputs, outputs):
        conv = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
        return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = nn.Sequential(*map(halve, widths, widths[1:]))
            self.mu = nn.Linear(widths[-1] * 16, latent)
            self.logvar = nn.Linear(widths[-1] * 16, latent)

        def forward(self, onehot):
            features = self.down(onehot)
            places = nn.functional.adaptive_avg_pool2d(features, 4).flatten(1)
            return self.mu(places), self.logvar(places)

    return Encoder()
