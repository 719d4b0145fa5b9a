"""Hints for the exercises of chapter 04, and hidden tests."""

import math

import numpy as np
import torch
from torch import nn

HINTS = {
    "4.1": [
        "All four codes lie on one line. Where on it is z, seen from the two "
        "that you have?",
        "z lies half-way between them, since both steps are equally long. "
        "And the way from z_outer to z_inter is two steps.",
        "With z = (z_inter + z_outer) / 2 and step = (z_inter - z_outer) / 2, "
        "z_ref is lam steps from z.",
    ],
    "4.2": [
        "Fix one pixel and one colour: two numbers to mix, and a third that "
        "is wanted. When can a mix reach it, and what is best if not?",
        "Solve alpha * inter + (1 - alpha) * outer = original for alpha. "
        "Where the result is outside of [0, 1], the nearer end is best.",
        "It is (original - outer) / (inter - outer), clamped to [0, 1]. Put "
        "a 1 in place of a denominator of 0, and 0.5 for the result there.",
    ],
    "4.3": [
        "How many independent numbers are there: as many as values, or as "
        "many as faces?",
        "The mean over its edits is one number per face. Take the standard "
        "error of these, and that of all values, as if they were unrelated.",
        "by_face = values.mean(axis=1). Divide by_face.std(ddof=1) / "
        "len(by_face) ** 0.5 by values.std(ddof=1) / values.size ** 0.5.",
    ],
    "4.4": [
        "Print the sizes of the parts of a batch of 8, and those of a batch "
        "of 7. Of how many faces is the loss of each part a mean?",
        "The mean of means is the mean of all only if all parts are equally "
        "large. How much should a part of n faces count?",
        "Weigh the loss of a part by len(part) / len(batch), in place of "
        "1 / parts.",
    ],
    "4.5": [
        "The same body looks at every render. A batch does that, too: could "
        "B pictures with K renders each be B * K pictures?",
        "The mean of the renders over dim 1, expanded to the size of the "
        "renders, gives the other 3 planes. flatten(0, 1) makes the batch, "
        "and unflatten(0, (B, K)) takes it apart again.",
        "Softmax over dim 1, the renders, gives the shares, and the blend is "
        "(shares * renders).sum(dim=1). Keep body as self.body, or its "
        "weights are not found.",
    ],
}


def test_4_3_twins(widening):
    """if a face's 16 edits say the same, the interval is 4 times wider"""
    faces = np.random.default_rng(0).normal(size=(1000, 1))
    found = float(widening(np.repeat(faces, 16, axis=1)))
    assert math.isclose(found, 4, rel_tol=1e-2), f"{found:.3f} times"


def test_4_3_strangers(widening):
    """if a face's edits are independent, both intervals are alike"""
    values = np.random.default_rng(0).normal(size=(2000, 5))
    found = float(widening(values))
    assert math.isclose(found, 1, rel_tol=0.05), f"{found:.3f} times"


def test_4_3_by_hand(widening):
    """two faces with two edits each are few enough for pencil and paper"""
    found = float(widening(np.array([[0.0, 2.0], [4.0, 6.0]])))
    assert math.isclose(found, math.sqrt(2.4), rel_tol=1e-6), f"{found:.4f}"


def costs(network, batch):
    """A mean over faces."""
    return (network(batch) - 1).square().mean()


def check_parts(gradient_in_parts, count, parts):
    """Compare with autograd for the whole batch."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
    batch = torch.randn(count, 5)
    weights = list(network.parameters())
    whole = torch.autograd.grad(costs(network, batch), weights)
    wanted = torch.cat([part.flatten() for part in whole])
    for _ in range(2):  # what an earlier call has left must not count
        found = gradient_in_parts(network, costs, batch, parts)
    off = ((found - wanted).norm() / wanted.norm()).item()
    assert off < 1e-4, f"{count} faces in {parts} parts: off by {off:.0%}"


def test_4_4_equal_parts(gradient_in_parts):
    """equal parts should give the gradient of the whole batch"""
    for count, parts in ((8, 4), (6, 1), (6, 6)):
        check_parts(gradient_in_parts, count, parts)


def test_4_4_unequal_parts(gradient_in_parts):
    """unequal parts should give the gradient of the whole batch, too"""
    for count, parts in ((7, 4), (7, 2), (10, 4)):
        check_parts(gradient_in_parts, count, parts)


def test_4_4_one_at_a_time(gradient_in_parts):
    """no more faces than one part has should be in the network at once"""
    seen = []

    def watched(network, batch):
        seen.append(len(batch))
        return costs(network, batch)

    gradient_in_parts(nn.Linear(5, 1), watched, torch.randn(7, 5), 4)
    assert max(seen) <= 2 and sum(seen) == 7, f"they were {seen}"


class Body(nn.Module):
    """6 planes to 3 scores, pixel by pixel, without symmetry."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(6, 8, 1), nn.Tanh(), nn.Conv2d(8, 3, 1)
        )

    def forward(self, x):
        assert x.dim() == 4 and x.shape[1] == 6, f"body got {list(x.shape)}"
        return 4 * self.layers(2 * x)


def renders(count=3):
    """Renders [2, count, 3, 4, 6] in [-1, 1], the same every time."""
    draw = torch.Generator().manual_seed(1)
    return torch.rand(2, count, 3, 4, 6, generator=draw) * 2 - 1


def one_by_one(body, some):
    """Blend and shares of three renders, without a batch or a softmax."""
    mean = (some[:, 0] + some[:, 1] + some[:, 2]) / 3
    scores = [body(torch.cat([some[:, k], mean], dim=1)) for k in range(3)]
    total = sum(score.exp() for score in scores)
    shares = [score.exp() / total for score in scores]
    return sum(shares[k] * some[:, k] for k in range(3)), shares


def test_4_5_shapes(many_blender):
    """K renders of any size should give one blend and K shares"""
    blender = many_blender(Body())
    for count in (2, 3, 5):
        blend, shares = blender(renders(count))
        assert blend.shape == (2, 3, 4, 6), f"blend {list(blend.shape)}"
        assert shares.shape == renders(count).shape, "shares"


@torch.no_grad()
def test_4_5_shares(many_blender):
    """the shares of a pixel and colour should add up to 1 over the renders"""
    _, shares = many_blender(Body())(renders())
    assert (shares >= 0).all(), "some are negative"
    off = (shares.sum(dim=1) - 1).abs().max()
    assert off < 1e-5, f"off by {off:.2f}"


@torch.no_grad()
def test_4_5_order(many_blender):
    """in another order, the blend should stay and the shares follow"""
    blender, order = many_blender(Body()), [2, 0, 1]
    blend, shares = blender(renders())
    other, moved = blender(renders()[:, order])
    assert torch.allclose(blend, other, atol=1e-5), "the blend changes"
    assert torch.allclose(shares[:, order], moved, atol=1e-5), "the shares"


@torch.no_grad()
def test_4_5_pixel_by_pixel(many_blender):
    """blend and shares should be those of a slow loop over the renders"""
    body, some = Body(), renders()
    blend, shares = many_blender(body)(some)
    right, right_shares = one_by_one(body, some)
    for k, share in enumerate(right_shares):
        assert torch.allclose(shares[:, k], share, atol=1e-4), f"share {k}"
    assert torch.allclose(blend, right, atol=1e-4), "the blend"


def test_4_5_gradient(many_blender):
    """a loss should reach every render and the weights of body"""
    body, some = Body(), renders().requires_grad_()
    blender = many_blender(body)
    inputs = [some, *body.parameters()]
    found, wanted = (
        torch.autograd.grad(blend.square().sum(), inputs, allow_unused=True)
        for blend in (blender(some)[0], one_by_one(body, some)[0])
    )
    for part, right in zip(found, wanted, strict=True):
        assert part is not None, "something is not reached"
        assert torch.allclose(part, right, atol=1e-3), "not as it should"
    known = {id(weight) for weight in blender.parameters()}
    missed = [w for w in body.parameters() if id(w) not in known]
    assert not missed, "an optimiser does not find the weights of body"
