"""Hints for the exercises of chapter 05, and hidden tests."""

from itertools import permutations, product

import numpy as np
import torch
import torch.nn.functional as F

HINTS = {
    "5.1": [
        "Which entries of the table belong to pixels whose true class is k: "
        "those of row k, or those of column k?",
        "Recall is the entry of row k on the diagonal, divided by the sum "
        "of row k.",
    ],
    "5.2": [
        "In one dimension a covariance is just a variance. What is the "
        "square root of the product of two variances?",
        "Two means and two standard deviations are enough: square the "
        "difference of each, and add the squares.",
        "A mean is a.mean(), a standard deviation with n - 1 in the "
        "denominator is a.std(ddof=1).",
    ],
    "5.3": [
        "If all scores stand in one sorted row, what does the place of a "
        "same score say about the scores below it?",
        "The ranks of the same scores also count the same scores below "
        "them. Among n scores these are n (n + 1) / 2 in all, whatever the "
        "values are: subtract them.",
        "np.searchsorted(scores, same, 'left') + 1 is the first rank of a "
        "score, and with 'right' the last one. Add their means, subtract n "
        "(n + 1) / 2, and divide by n times m, the number of all pairs.",
    ],
    "5.4": [
        "Write out the first term for a set of two pictures. Which of its "
        "four values would stay large even if the two pictures had nothing "
        "in common?",
        "Among the pairs of a set, a picture is also compared with itself. "
        "There are n such pairs among n * n, so the smaller the set, the "
        "more they count. Between two sets there are none.",
        "With values = (x @ x.T / F + 1) ** 3 the first two terms are "
        "(values.sum() - np.trace(values)) / (n * (n - 1)); the third stays "
        "a plain mean.",
    ],
    "5.5": [
        "What shape does self.look(maps) have, and over which of its axes "
        "must the weights of one attribute sum to 1?",
        "Flatten the places first: weights are [B, A, P], maps are [B, C, "
        "P]. An einsum over p gives each attribute its own mean of the "
        "maps, [B, A, C].",
        "Row a of answer.weight belongs to the mean of attribute a only: "
        "(means * self.answer.weight).sum(dim=2) + self.answer.bias.",
    ],
}


def _sets(first, second, features=3):
    rng = np.random.default_rng(first + second)
    return rng.normal(size=(first, features)), rng.normal(
        0.5, 1, size=(second, features)
    )


def _by_pairs(a, b):
    def kernel(x, y):
        return (np.dot(x, y) / len(x) + 1) ** 3

    def among(x):
        return np.mean([kernel(p, q) for p, q in permutations(x, 2)])

    between = np.mean([kernel(p, q) for p, q in product(a, b)])
    return among(a) + among(b) - 2 * between


def test_5_4_no_bias(answer):
    "sets of one population are 0 apart on average, however small"
    rng = np.random.default_rng(0)
    found = [answer(*rng.normal(size=(2, 6, 8))) for _ in range(600)]
    error = np.std(found) / len(found) ** 0.5
    assert abs(np.mean(found)) < 4 * error, f"{np.mean(found):.2f} on average"


def test_5_4_below_zero(answer):
    "it may fall below zero, and does so for a set and a copy of it"
    a, _ = _sets(8, 2)
    assert answer(a, a.copy()) < 0


def test_5_4_two_sets(answer):
    "sets of four and of six pictures are as far apart as by loops"
    a, b = _sets(4, 6)
    assert np.isclose(answer(a, b), _by_pairs(a, b)), (
        f"{answer(a, b):.4f} for {_by_pairs(a, b):.4f}"
    )


def test_5_4_both_ways(answer):
    "it does not matter which of the two sets comes first"
    a, b = _sets(5, 9)
    assert np.isclose(answer(a, b), answer(b, a))


def _head(answer, channels=6, attributes=4):
    torch.manual_seed(0)
    head = answer(channels, attributes)
    return head, torch.randn(2, channels, 3, 5)


def test_5_5_shapes(answer):
    "maps [2, 6, 3, 5] give logits [2, 4], by two layers of these names"
    head, maps = _head(answer)
    assert head(maps).shape == (2, 4)
    assert head.look.weight.shape == (4, 6, 1, 1)
    assert head.answer.weight.shape == (4, 6)


def test_5_5_equal_weights(answer):
    "with the same weight for all places, it is the head of section 5.2.2"
    head, maps = _head(answer)
    with torch.no_grad():
        head.look.weight.zero_()
    expected = F.linear(
        maps.mean(dim=(2, 3)), head.answer.weight, head.answer.bias
    )
    assert torch.allclose(head(maps), expected, atol=1e-5)


def test_5_5_own_gaze(answer):
    "the loss of one attribute only teaches where this one looks"
    head, maps = _head(answer)
    head(maps)[:, 1].sum().backward()
    taught = head.look.weight.grad.flatten(1).norm(dim=1) > 1e-7
    assert taught.tolist() == [False, True, False, False], (
        f"taught: {taught.tolist()}"
    )


def test_5_5_places_have_no_order(answer):
    "it does not matter in which order the places come"
    head, maps = _head(answer)
    shuffled = maps.flatten(2)[:, :, torch.randperm(15)].unflatten(2, (3, 5))
    assert torch.allclose(head(maps), head(shuffled), atol=1e-5)


def test_5_5_by_loops(answer):
    "the logits are those of loops over faces, attributes and places"
    head, maps = _head(answer)
    u, c = head.look.weight[:, :, 0, 0], head.look.bias
    w, b = head.answer.weight, head.answer.bias
    expected = torch.zeros(2, 4)
    for face, a in np.ndindex(2, 4):
        places = maps[face].flatten(1).T
        says = [(u[a] @ place + c[a]).exp() for place in places]
        seen = sum(e * place for e, place in zip(says, places, strict=True))
        seen = seen / sum(says)
        expected[face, a] = w[a] @ seen + b[a]
    assert torch.allclose(head(maps), expected, atol=1e-4)
