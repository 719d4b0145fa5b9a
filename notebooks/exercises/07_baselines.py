"""Hints for the exercises of chapter 07, and hidden tests."""

import torch

from maskgan_lib.methods.spade import SPADE
from maskgan_lib.networks import one_hot

HINTS = {
    "7.1": [
        "Which channels belong to group k? Count how many channels a group"
        " has, then where the group begins and ends.",
        "An assignment into an array changes that array, and a slice of it"
        " is a view, not a copy. Copy both codes before you exchange"
        " anything.",
        "With n = len(a) // groups, the group is slice(k * n, (k + 1) * n)."
        " Write b's group into a copy of a, and a's group into a copy of b.",
    ],
    "7.2": [
        "SPADE first normalises and then scales and shifts. Which axes does"
        " the mean of one channel run over?",
        "Take the mean and np.var over axes 1 and 2, with keepdims=True, so"
        " that both still fit h.",
        "The result is (1 + gamma) * (h - mean) / np.sqrt(variance + 1e-5)"
        " + beta.",
    ],
    "7.3": [
        "The penalty is about the slope of the critic at the points"
        " between, not about its values.",
        "A central difference looks a small step to both sides: divide the"
        " change of the critic by twice the step.",
        "With x = mix * real + (1 - mix) * made, the slope is (critic(x +"
        " 1e-4) - critic(x - 1e-4)) / 2e-4. Take its absolute value,"
        " subtract 1, square, and take the mean.",
    ],
    "7.4": [
        "Give one scale two patches, with scores 4 and -1, and call both"
        " real. What should each of them cost, and what does the colleague's"
        " loss say?",
        "Compare with the equation of L_D in 7.3: does the bar, the mean"
        " over patches, stand inside max or around it?",
        "For each scale it is F.relu(1 - on_real).mean() + F.relu(1 +"
        " on_made).mean(); then divide by the number of scales.",
    ],
    "7.5": [
        "Begin with SpadeLayer. Only the line with the normalisation"
        " changes, and one parameter is new.",
        "F.instance_norm(h) needs no layer. The parameter is"
        " nn.Parameter(torch.zeros(channels)); after the sigmoid, give it"
        " two more axes, or it will be laid along the width.",
        "share = self.mix.sigmoid()[:, None, None], then share *"
        " self.norm(h) + (1 - share) * F.instance_norm(h).",
    ],
}


def _layer_and_inputs(mixed_spade, mix=0.0):
    """The answer's layer with the library's weights, that one, and inputs."""
    torch.manual_seed(0)
    library = SPADE(6, 5, hidden=4)
    layer = mixed_spade(6, 5, 4)
    weights = library.state_dict()
    missing, unexpected = layer.load_state_dict(weights, strict=False)
    names = ", ".join(layer.state_dict())
    assert (missing, unexpected) == (["mix"], []), f"its weights are {names}"
    layer.mix.data.fill_(mix)
    mask = one_hot(torch.randint(5, (3, 24, 40)), 5)
    contrast = torch.arange(1.0, 4)[:, None, None, None]
    return layer, library, torch.randn(3, 6, 6, 10) * contrast + 2, mask


def test_7_5_size(mixed_spade):
    """features may be wider than high, and masks larger than features"""
    layer, _, h, mask = _layer_and_inputs(mixed_spade)
    assert layer(h, mask).shape == h.shape


def test_7_5_batch(mixed_spade):
    """with `mix` far above zero it has to do what the library's SPADE does"""
    layer, library, h, mask = _layer_and_inputs(mixed_spade, 50.0)
    assert torch.allclose(layer(h, mask), library(h, mask), atol=1e-5)


def test_7_5_instance(mixed_spade):
    """with `mix` far below zero no picture may depend on its neighbours"""
    layer, _, h, mask = _layer_and_inputs(mixed_spade, -50.0)
    assert torch.allclose(
        layer(h, mask)[1:2], layer(h[1:2], mask[1:2]), atol=1e-5
    )


def test_7_5_half(mixed_spade):
    """at the start both normalisations have to count one half"""
    layer, library, h, mask = _layer_and_inputs(mixed_spade)
    assert not mixed_spade(6, 5, 4).mix.any(), "`mix` does not start at zero"
    # In a batch of one, the statistics of the batch are the picture's own.
    alone = torch.cat(
        [library(*one) for one in zip(h.split(1), mask.split(1))]
    )
    assert torch.allclose(
        layer(h, mask), (library(h, mask) + alone) / 2, atol=1e-4
    )


def test_7_5_channel(mixed_spade):
    """a number of `mix` may move the channel it belongs to and no other"""
    layer, _, h, mask = _layer_and_inputs(mixed_spade)
    before = layer(h, mask)
    layer.mix.data[4] = 3.0
    moved = (layer(h, mask) - before).abs().amax(dim=(0, 2, 3)) > 1e-4
    assert moved.tolist() == [False, False, False, False, True, False]


def test_7_5_gradient(mixed_spade):
    """a loss on the result has to reach every weight, `mix` too"""
    layer, _, h, mask = _layer_and_inputs(mixed_spade)
    (layer(h, mask) ** 3).sum().backward()
    still = [
        name
        for name, p in layer.named_parameters()
        if p.grad is None or not p.grad.any()
    ]
    assert not still, f"no gradient in {', '.join(still)}"
