"""Hints for the exercises of the warm-up, and hidden tests."""

import math
import statistics

import torch
import torch.nn.functional as F

HINTS = {
    "A1.1": [
        "In A1.4.1 real and made things come by equally often. How often "
        "does a real one come by at this point now?",
        "Real things now come by with density `share * p`. And made ones?",
        "Put `share * p` and `(1 - share) * q` for p and q into the "
        "formula of D*.",
    ],
    "A1.2": [
        "Write down both logarithms as in A1.3.2. Which part of the "
        "second one has changed?",
        "Now log p holds s_2 and (z - mu_2)^2 e^(-s_2). So you need the "
        "mean of (z - mu_2)^2 over z from the first cloud.",
        "That mean is (mu_1 - mu_2)^2 + exp(s_1). The rest is as before: "
        "half of s_2 - s_1 + that mean * exp(-s_2) - 1.",
    ],
    "A1.4": [
        "Whoever says nothing about the mask has a code for nothing. "
        "Which of the two terms is so large, beside the other, that this "
        "pays? Question 2 of A1.3 shows the same.",
        "The KL term is the price of one mask. For how much of a mask "
        "does `F.cross_entropy` give the loss by default?",
        "Sum over the pixels of a mask before you average over the masks: "
        "`reduction='none'`, then `.sum(dim=(1, 2)).mean()`, as in "
        "`reconstruction`.",
    ],
    "A1.5": [
        "Which shape would give each group an axis of its own? The spread "
        "is then taken along one axis, and the mean of the spreads along "
        "another.",
        "Reshape to `[N // group, group, C]`. `var(dim=1, correction=0)` "
        "is the mean squared distance; add 1e-8 before the root, whose "
        "slope at zero is infinite.",
        "`(variance + 1e-8).sqrt().mean(dim=1)` has one number for each "
        "group. Give it to all rows of the group by "
        "`repeat_interleave(group)`, and attach it by `torch.cat(..., "
        "dim=1)`.",
    ],
}


def _random(*shape: int) -> torch.Tensor:
    """Always the same numbers, whatever the reader's seed is, which stays."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def test_A1_4_price(elbo_loss):
    """if all pixels are right, the clouds alone cost, codes added up"""
    masks = torch.arange(12).reshape(2, 2, 3) % 4
    sure = 100 * F.one_hot(masks, 4).permute(0, 3, 1, 2).float()
    mu = torch.tensor([[3.0, 0, 0], [0, 0, 1]])
    price = (4.5 + 0.5) / 2
    found = float(elbo_loss(sure, masks, mu, torch.zeros(2, 3)))
    assert math.isclose(found, price, abs_tol=1e-4)


def test_A1_4_batch(elbo_loss):
    """the loss is that of one mask, so a batch of two copies costs no more"""
    masks = torch.zeros(2, 4, 6).long()
    once = (_random(2, 5, 4, 6), masks, *_random(2, 2, 3))
    twice = (torch.cat([x, x]) for x in once)
    assert torch.isclose(elbo_loss(*twice), elbo_loss(*once), atol=1e-4)


def test_A1_4_pixels(elbo_loss):
    """a mask of twice the pixels costs twice as much, its cloud no more"""
    scores, masks = _random(2, 5, 4, 6), torch.ones(2, 4, 6).long()
    mu, s = _random(2, 2, 3)
    once = elbo_loss(scores, masks, mu, s)
    twice = elbo_loss(scores.repeat(1, 1, 1, 2), masks.repeat(1, 1, 2), mu, s)
    price = 0.5 * (mu**2 + s.exp() - s - 1).sum(dim=1).mean()
    assert torch.isclose(twice - price, 2 * (once - price), atol=1e-4)


def test_A1_5_shapes(spread_layer):
    """one column is added, and the others stay as they came"""
    for rows, features, group in ((4, 1, 4), (12, 5, 3), (6, 64, 2)):
        points = _random(rows, features)
        made = spread_layer(group)(points)
        assert made.shape == (rows, features + 1), tuple(made.shape)
        assert torch.equal(made[:, :-1], points)


def test_A1_5_other_groups(spread_layer):
    """a group minds neither other groups nor the order of its own rows"""
    points = _random(8, 3)
    layer, far = spread_layer(4), torch.cat([points[:4], 10 * points[4:]])
    shuffled = points[[2, 0, 3, 1, 4, 5, 6, 7]]
    for other in (far, shuffled):
        assert torch.allclose(layer(points)[:4, -1], layer(other)[:4, -1])


def test_A1_5_brute_force(spread_layer):
    """a loop over groups, rows and features should give the last column"""
    points = _random(6, 4)
    made = spread_layer(3)(points)[:, -1]
    for first in (0, 3):
        features = zip(*points[first : first + 3].tolist(), strict=True)
        spread = torch.tensor(sum(map(statistics.pstdev, features)) / 4)
        assert torch.allclose(made[first : first + 3], spread, atol=1e-4)


def test_A1_5_single_rows(spread_layer):
    """a group of one row has no spread: 0, not nan"""
    assert (spread_layer(1)(_random(3, 2))[:, -1].abs() < 1e-3).all()


def test_A1_5_gradient(spread_layer):
    """the gradient tells points to move apart, and is finite at a collapse"""
    points = torch.tensor([[-1.0, 0.0], [1.0, 0.0]], requires_grad=True)
    spread_layer(2)(points)[:, -1].sum().backward()
    assert points.grad[0, 0] < 0 < points.grad[1, 0]
    collapsed = torch.ones(4, 2, requires_grad=True)
    spread_layer(4)(collapsed)[:, -1].sum().backward()
    assert collapsed.grad.isfinite().all()
