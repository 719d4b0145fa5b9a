"""Hints for the exercises of chapter 03, and hidden tests."""

import torch
from torch import nn

from maskgan_lib.networks.blocks import ResidualBlock

HINTS = {
    "3.1": [
        "AdaIN takes away the mean and the spread of each channel. Which "
        "parameters would give back what it has taken, and which have made "
        "the recoloured face?",
        "You need two sets: the statistics of z itself, and those of other. "
        "The result of AdaIN is linear in its parameters, so a mix of the "
        "parameters paints the mix of the maps.",
        "Return torch.lerp(statistics(z), statistics(other), amount), with "
        "statistics from section 3.2.2.",
    ],
    "3.2": [
        "Begin at the end. One score sees a square as wide as the last "
        "kernel. How many pixels does that square need one layer before?",
        "Neighbouring outputs of a layer start stride pixels apart, and each "
        "of them sees as many pixels as the kernel is wide.",
        "Start with side = 1. For each layer, the last one first, the new "
        "side is (side - 1) * stride + kernel.",
    ],
    "3.3": [
        "Which part of AdaIN does not depend on the style at all? That part "
        "is needed once, and for the whole map.",
        "Give the parameters the shape [B, 2 C, 1, 1], and choose between "
        "the two sets at every place: you get maps [B, 2 C, H, W].",
        "torch.where(region > 0, inside, outside) makes the maps. Their "
        "first half is the bias and the second half the weight of "
        "F.instance_norm(z).",
    ],
    "3.4": [
        "The value is right and has no effect on training. What must a term "
        "of the loss have besides a value?",
        "The penalty must have a gradient by the weights of D. It is made of "
        "a gradient itself, so autograd has to record how that one was "
        "computed. Is requires_grad of the result True?",
        "Give torch.autograd.grad the argument create_graph=True.",
    ],
    "3.5": [
        "TinyAdaIN takes mean and variance over dims 2 and 3. Over which "
        "dimension does one place have many numbers?",
        "Over dim 1, the channels, with keepdim=True, so that they become "
        "maps of one channel. All else stays as in TinyBlock.",
        "In forward, halve the parameters by chunk(2, dim=1) for the two "
        "layers, and each half into bias and weight, [B, C, 1, 1]. A layer "
        "is weight * (z - mean) / (variance + 1e-5).sqrt() + bias, with "
        "z.var(dim=1, keepdim=True, unbiased=False).",
    ],
}


class Bowl(nn.Module):
    """Scores w * sum(x^2), so the slope by the pixels is 2 w x."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w))

    def forward(self, pictures):
        return self.w * pictures.square().sum(dim=(1, 2, 3))


def pictures(count=5):
    """Pictures [count, 3, 4, 6], the same every time."""
    draw = torch.Generator().manual_seed(0)
    return torch.randn(count, 3, 4, 6, generator=draw)


def test_3_4_value(slope_penalty):
    """scores w * sum(x^2) should cost 4 w^2 sum(x^2), mean over faces"""
    found = slope_penalty(Bowl(0.5), pictures()).item()
    wanted = pictures().square().sum().item() / 5
    assert abs(found - wanted) < 1e-3, f"{found:.3f}, not {wanted:.3f}"


def test_3_4_gradient(slope_penalty):
    """the penalty should have a gradient by the weights of D"""
    bowl = Bowl(0.5)
    loss = slope_penalty(bowl, pictures())
    assert loss.requires_grad, "it has none"
    loss.backward()
    assert bowl.w.grad is not None, "none arrives at the weights"
    wanted = 8 * 0.5 * pictures().square().sum().item() / 5
    assert abs(bowl.w.grad.item() - wanted) < 1e-2, "it is another one"


def test_3_4_faces_apart(slope_penalty):
    """showing every face twice should change nothing"""
    once, twice = (
        slope_penalty(Bowl(0.5), pictures().repeat(n, 1, 1, 1)).item()
        for n in (1, 2)
    )
    assert abs(once - twice) < 1e-3, f"{once:.3f}, then {twice:.3f}"


def test_3_4_leaves_no_trace(slope_penalty):
    """the pictures should be as they were, with no gradient of their own"""
    real = pictures()
    slope_penalty(Bowl(0.5), real)
    assert not real.requires_grad and real.grad is None
    assert torch.equal(real, pictures())


def block_and_library(place_block):
    """An answer of 6 channels and the library's block, the same weights."""
    library = ResidualBlock(6, adaptive=True, norm="positional")
    block = place_block(6)
    block.load_state_dict(library.state_dict())
    return block, library


def features():
    """Features [2, 6, 7, 9] and parameters [2, 24]."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(2, 6, 7, 9, generator=draw)
    return x, torch.randn(2, 24, generator=draw)


def test_3_5_shape(place_block):
    """a map of 7 x 9 places should come out with the shape it had"""
    x, parameters = features()
    assert place_block(6)(x, parameters).shape == x.shape


@torch.no_grad()
def test_3_5_no_style(place_block):
    """with parameters of zero nothing should be added to x"""
    x, parameters = features()
    assert torch.allclose(place_block(6)(x, 0 * parameters), x, atol=1e-6)


@torch.no_grad()
def test_3_5_local(place_block):
    """a spike at one place should not be felt three places away"""
    block, (x, parameters) = place_block(6), features()
    spiked = x.clone()
    spiked[:, :, 3, 2] *= 50
    change = (block(spiked, parameters) - block(x, parameters)).abs()
    assert change[..., 5:].max() < 1e-6, f"{change[..., 5:].max():.2g}"
    assert change[..., 4].max() > 1e-6, "two places away it should"


@torch.no_grad()
def test_3_5_same_as_library(place_block):
    """with the same weights it should be the block that you trained"""
    block, library = block_and_library(place_block)
    x, parameters = features()
    wanted = library(x, parameters)
    off = (block(x, parameters) - wanted).abs().max()
    assert off < 1e-4, f"largest difference {off:.2g}"


def test_3_5_gradient(place_block):
    """a loss should reach both convolutions, x and the parameters"""
    block = place_block(6)
    x, parameters = (part.requires_grad_() for part in features())
    block(x, parameters).square().sum().backward()
    assert len(list(block.parameters())) == 4, "conv1 and conv2 have 4"
    for tensor in (x, parameters, *block.parameters()):
        assert tensor.grad is not None and tensor.grad.any()
