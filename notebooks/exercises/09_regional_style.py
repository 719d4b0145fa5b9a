"""Hints for the exercises of chapter 09, and hidden tests."""

import torch
import torch.nn.functional as F

from maskgan_lib.networks import one_hot

HINTS = {
    "9.1": [
        "A mean over a region is a sum divided by an area. Which letters "
        "does each of the two keep?",
        "The sums are torch.einsum('khw,chw->kc', mask, features), the "
        "areas mask.sum(dim=(1, 2)), with an axis more for the channels.",
        "torch.where(area > 0, total / area.clamp(min=1e-4), missing) "
        "chooses row by row.",
    ],
    "9.2": [
        "On the way from one vector to another, where are you after half of "
        "the way, and after twice the way?",
        "Only the rows ids move, and they move in a copy: own.clone().",
        "table[ids] = torch.lerp(own[ids], other[ids], amount). It also "
        "goes beyond both ends.",
    ],
    "9.3": [
        "Where is the middle of a class, if its pixels are all that you "
        "have? Think of a centre of mass.",
        "The mean column is (plane * columns).sum() / plane.sum(). What "
        "happens for a class without a pixel?",
        "right = plane * (columns > centre) is the new plane: append it "
        "with torch.cat, and subtract it from plane k.",
    ],
    "9.4": [
        "The loss is right, so look at its gradient. For which of the two "
        "masks is it nan, and what is special about one of the classes "
        "there?",
        "where throws the value 0 / 0 away, but not its gradient. The chain "
        "rule multiplies a zero by a nan, which is nan, and the sum over "
        "classes brings it to every pixel.",
        "Make sure that no division by zero takes place: divide by "
        "area.clamp(min=1e-4). A class without a pixel then contributes a "
        "plain 0.",
    ],
    "9.5": [
        "Do it in three steps: shares at the size of x, parameters for "
        "every place, and AdaIN place by place. Which step is new?",
        "With total = share.sum(dim=1, keepdim=True), divide the shares by "
        "total.clamp(min=1). What is left for nobody is (1 - "
        "total).clamp(min=0).",
        "torch.einsum('bkhw,bkp->bphw', share, self.linear(table)) + rest * "
        "self.nobody[:, None, None], and then bias, weight = rows.chunk(2, "
        "dim=1). Normalise x over dim=1, with unbiased=False and 1e-5 under "
        "the root.",
    ],
}


def _pictures():
    torch.manual_seed(0)
    first, second = [[0, 0, 1, 1], [0, 2, 2, 1]], [[0, 1, 1, 1], [0, 0, 1, 1]]
    labels = torch.tensor([first, second])  # the second lacks class 2
    return torch.rand(2, 3, 2, 4), torch.rand(2, 3, 2, 4), one_hot(labels, 3)


def _by_regions(picture, original, mask):
    off = []
    for b in range(len(mask)):
        for plane in mask[b] > 0:
            if plane.any():
                means = (
                    x[b][:, plane].mean(dim=1) for x in (picture, original)
                )
                off.append((next(means) - next(means)).abs().mean())
    return torch.stack(off).mean()


def test_9_4_value(answer):
    "the loss is the mean over all regions that have a pixel"
    given = _pictures()
    assert torch.allclose(answer(*given), _by_regions(*given), rtol=1e-3), (
        f"{answer(*given):.4f}"
    )


def test_9_4_finite_gradient(answer):
    "every pixel has a finite gradient, also if a class is missing"
    picture, original, mask = _pictures()
    (found,) = torch.autograd.grad(
        answer(picture.requires_grad_(), original, mask), picture
    )
    assert found.isfinite().all(), (
        f"{(~found.isfinite()).sum()} of {found.numel()} are not"
    )


def test_9_4_right_gradient(answer):
    "the gradient is the one that a loop over the regions has"
    picture, original, mask = _pictures()
    picture.requires_grad_()
    found, expected = (
        torch.autograd.grad(f(picture, original, mask), picture)[0]
        for f in (answer, _by_regions)
    )
    assert torch.allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_9_4_more_classes(answer):
    "classes that nobody has change nothing"
    picture, original, mask = _pictures()
    wider = F.pad(mask, (0, 0, 0, 0, 0, 4))
    assert torch.allclose(
        answer(picture, original, wider),
        answer(picture, original, mask),
        rtol=1e-3,
    )


def _adain(answer):
    """Codes of 3 numbers, 4 channels, and 5 classes in a one-hot mask."""
    torch.manual_seed(0)
    module = answer(3, 4)
    with torch.no_grad():
        module.nobody.copy_(torch.randn(8))
    mask = one_hot(torch.randint(0, 5, (2, 4, 6)), 5)
    return module, torch.randn(2, 4, 4, 6), torch.randn(2, 5, 3), mask


def _styled(x, rows):
    """AdaIN of x [B, C, h, w] by rows [B, 2 C, h, w], place by place."""
    bias, weight = rows.chunk(2, dim=1)
    return (
        weight * F.layer_norm(x.movedim(1, -1), x.shape[1:2]).movedim(-1, 1)
        + bias
    )


def test_9_5_shapes(answer):
    "features [2, 4, 4, 6] and a mask of four times the size give [2, 4, 4, 6]"
    module, x, table, mask = _adain(answer)
    assert (
        module(x, table, F.interpolate(mask, scale_factor=4)).shape == x.shape
    )
    assert module.linear.weight.shape == (8, 3) and module.nobody.shape == (8,)


def test_9_5_no_leak(answer):
    "features and a row of one class matter only where this class is"
    module, x, table, mask = _adain(answer)
    inside = mask[:, 2:3]
    lent = table.clone()
    lent[:, 2] += 1
    moved = module(x + inside * torch.randn_like(x), lent, mask) != module(
        x, table, mask
    )
    assert not (moved & (inside == 0)).any() and (moved & (inside > 0)).any()


def test_9_5_one_hot(answer):
    "with a one-hot mask, every place takes its class' biases and weights"
    module, x, table, mask = _adain(answer)
    rows = torch.zeros(2, 8, 4, 6)
    for b, k, y, col in mask.nonzero().tolist():
        rows[b, :, y, col] = module.linear(table[b, k])
    assert torch.allclose(module(x, table, mask), _styled(x, rows), atol=1e-4)


def test_9_5_larger_mask(answer):
    "a larger mask is averaged, so that a border belongs to both sides"
    module, x, table, _ = _adain(answer)
    finer = one_hot(torch.randint(0, 5, (2, 8, 12)), 5)
    share = finer.unflatten(2, (4, 2)).unflatten(4, (6, 2)).mean(dim=(3, 5))
    rows = torch.einsum("bkhw,bkp->bphw", share, module.linear(table))
    assert torch.allclose(module(x, table, finer), _styled(x, rows), atol=1e-4)


def test_9_5_twice(answer):
    "claiming every place twice is the same as claiming it once"
    module, x, table, mask = _adain(answer)
    assert torch.allclose(
        module(x, table, 2 * mask), module(x, table, mask), atol=1e-5
    )


def test_9_5_nobody(answer):
    "a place claimed by half lies half way between its class and nobody"
    module, x, table, mask = _adain(answer)
    none, half, whole = (
        module(x, table, share * mask) for share in (0, 0.5, 1)
    )
    nobody = module.nobody[None, :, None, None].expand(2, -1, 4, 6)
    assert torch.allclose(none, _styled(x, nobody), atol=1e-4)
    assert torch.allclose(half, (none + whole) / 2, atol=1e-4)
