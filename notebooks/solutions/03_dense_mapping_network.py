"""Solutions of chapter 03. Try first, then read."""

import torch
import torch.nn.functional as F
from torch import nn


def part_way(z, other, amount):
    """3.1: AdaIN is linear in its parameters, so these may be mixed."""

    def statistics(z):
        std = (z.var(dim=(2, 3), unbiased=False) + 1e-5).sqrt()
        return torch.cat([z.mean(dim=(2, 3)), std], dim=1)

    return torch.lerp(statistics(z), statistics(other), amount)


def receptive_field(layers):
    """3.2: neighbours of one output are `stride` inputs apart."""
    side = 1
    for kernel, stride in reversed(layers):
        side = (side - 1) * stride + kernel
    return side


def regional_adain(z, inside, outside, region):
    """3.3: parameters as maps: [B, 2 C, 1, 1] times [B, 1, H, W]."""
    inside, outside = inside[:, :, None, None], outside[:, :, None, None]
    maps = torch.where(region > 0, inside, outside)
    bias, weight = maps.chunk(2, dim=1)
    return weight * F.instance_norm(z) + bias


@torch.no_grad()
def render_two_styles(dmn, mask, first, second, region):
    """`mask` [1, 19, H, W] in style `first` where `region` [1, 1, H, W] is 1.

    The walk through the backbone of section 3.5, with `regional_adain` for
    every AdaIN; the region is brought to the size of the blocks.
    Try: mask = one_hot(torch.as_tensor(people_labels[:1])), and its hair,
    region = mask[:, 13:14], in the style of another face.
    """
    net, styles = dmn.backbone, torch.stack([first, second])
    parameters = dmn.style_to_adain(styles[:, :, None, None]).flatten(1)
    x = mask
    for layer in (net.first, *net.down):
        x = F.relu(F.instance_norm(layer(x)))
    small = (F.adaptive_avg_pool2d(region, x.shape[-2:]) > 0.5).float()
    parts = parameters.chunk(2 * len(net.blocks), dim=1)
    for k, block in enumerate(net.blocks):
        (a1, b1), (a2, b2) = (p[:, None] for p in parts[2 * k : 2 * k + 2])
        y = F.relu(regional_adain(block.conv1(x), a1, b1, small))
        x = x + regional_adain(block.conv2(y), a2, b2, small)
    for layer in net.up:
        x = F.relu(F.instance_norm(layer(x)))
    return torch.tanh(net.last(x))


def slope_penalty(D, real):
    """3.4: create_graph, or the slope is a constant for the loss."""
    real = real.detach().requires_grad_()
    (slope,) = torch.autograd.grad(D(real).sum(), real, create_graph=True)
    return slope.square().sum(dim=(1, 2, 3)).mean()


def place_block(channels):
    """3.5: statistics of the channels at a place, style for each channel."""

    def adain(z, parameters, eps=1e-5):
        bias, weight = parameters[:, :, None, None].chunk(2, dim=1)
        mean = z.mean(dim=1, keepdim=True)
        variance = z.var(dim=1, keepdim=True, unbiased=False)
        return weight * (z - mean) / (variance + eps).sqrt() + bias

    class PlaceBlock(nn.Module):
        def __init__(self):
            super().__init__()
            same = {"padding": 1, "padding_mode": "reflect"}
            self.conv1 = nn.Conv2d(channels, channels, 3, **same)
            self.conv2 = nn.Conv2d(channels, channels, 3, **same)

        def forward(self, x, parameters):
            first, second = parameters.chunk(2, dim=1)
            y = F.relu(adain(self.conv1(x), first))
            return x + adain(self.conv2(y), second)

    return PlaceBlock()
