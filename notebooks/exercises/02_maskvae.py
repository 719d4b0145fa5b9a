"""Hints for the exercises of chapter 02, and hidden tests."""

import math

import torch
from torch import nn

from maskgan_lib.networks import MaskVAE, one_hot

HINTS = {
    "2.1": [
        "How many numbers go into the two heads? They are the 4 x 4 places "
        "after the last stage, each with all channels of that stage.",
        "log2(size / 4) stages double the channels at each but the first, "
        "so the last one has width * size / 8. A linear layer from a to b "
        "numbers has (a + 1) * b weights, with the biases.",
        "With flat = 16 * width * size // 8, both heads have (flat + 1) * "
        "latent each, and expand has (latent + 1) * flat.",
    ],
    "2.2": [
        "Equation 4 is written for a log-variance. What is the log-variance, "
        "if s is the logarithm of the standard deviation?",
        "The variance is the square of the standard deviation, so its "
        "logarithm is 2 s. Put that into Equation 4.",
        "For each dimension it is 0.5 * (mu**2 + exp(2 s) - 2 s - 1). Sum "
        "over dim 1, then take the mean over the batch.",
    ],
    "2.3": [
        "You need the angle first. How do a dot product and two lengths give "
        "the angle between two vectors?",
        "The cosine of omega is a @ b divided by both lengths, and "
        "torch.acos turns it into the angle.",
        "The lengths are needed for the angle only. The formula then takes "
        "a and b as they are, not normalised.",
    ],
    "2.4": [
        "Imagine the shadow that d casts on the line along e. What is left "
        "of d without its shadow is at right angles to e.",
        "The shadow is a multiple of e. Its factor is the dot product of d "
        "and e, divided by that of e with itself.",
        "Return d minus (d @ e) / (e @ e) times e.",
    ],
    "2.5": [
        "In which order do the numbers of a tensor [B, 19, H, W] lie in "
        "memory? Which 19 of them are neighbours?",
        "reshape never reorders numbers. A row of 19 neighbours holds one "
        "class at 19 pixels, and not 19 classes at one pixel.",
        "Either move the classes to the end before you cut rows, "
        "scores.movedim(1, -1), or give cross_entropy the scores as they "
        "are: it expects the classes in dim 1.",
    ],
    "2.6": [
        "What in section 2.2.4 depends on the size of the mask: the "
        "convolutions, or what comes after them?",
        "Convolutions take any size, and PyTorch has a pooling layer that is "
        "told the size of its result. Put it between the stages of section "
        "2.2.1 and the two linear heads.",
        "down is an nn.Sequential of stages: Conv2d of 4 x 4 with stride 2 "
        "and padding 1, BatchNorm2d, LeakyReLU(0.2). In forward, "
        "nn.functional.adaptive_avg_pool2d(self.down(onehot), 4), flattened "
        "from dim 1 on, goes into both heads.",
    ],
}


def scores_and_labels():
    """Scores [2, 19, 3, 5] and ids [2, 3, 5], the same every time."""
    draw = torch.Generator().manual_seed(0)
    scores = torch.randn(2, 19, 3, 5, generator=draw)
    return scores, torch.randint(0, 19, (2, 3, 5), generator=draw)


def test_2_5_right_and_sure(pixel_loss):
    """high scores for the right class of every pixel should cost nothing"""
    _, labels = scores_and_labels()
    loss = pixel_loss(50 * one_hot(labels), labels)
    assert abs(loss) < 1e-4, f"they cost {loss:.2f}"


def test_2_5_guessing(pixel_loss):
    """equal scores for all 19 classes should cost log 19 a pixel"""
    _, labels = scores_and_labels()
    loss = pixel_loss(torch.zeros(2, 19, 3, 5), labels)
    assert abs(loss - math.log(19)) < 1e-4, f"they cost {loss:.2f}"


def test_2_5_pixel_by_pixel(pixel_loss):
    """it should be the mean over the pixels of what Equation 5 gives"""
    scores, labels = scores_and_labels()
    each = []
    for b, row, column in [
        (b, y, x) for b in (0, 1) for y in range(3) for x in range(5)
    ]:
        pixel = scores[b, :, row, column]
        each.append(pixel.exp().sum().log() - pixel[labels[b, row, column]])
    loss, wanted = pixel_loss(scores, labels), sum(each) / len(each)
    assert abs(loss - wanted) < 1e-4, f"{loss:.3f}, not {wanted:.3f}"


def test_2_5_own_pixel(pixel_loss):
    """more of the class of a pixel, and less of others, should lower it"""
    scores, labels = scores_and_labels()
    scores.requires_grad_()
    pixel_loss(scores, labels).backward()
    assert torch.equal(scores.grad < 0, one_hot(labels) > 0)


def blocks(height, width):
    """One-hot masks [2, 19, height, width] in blocks of 4 x 4 pixels."""
    draw = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 19, (2, height // 4, width // 4), generator=draw)
    return one_hot(ids.repeat_interleave(4, 1).repeat_interleave(4, 2))


def loaded(any_size_encoder):
    """An answer, and a MaskVAE for 32 pixels with the same weights."""
    library = MaskVAE(32, width=4, latent=6).eval()
    for layer in library.down.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.2)
    weights = {
        name: value
        for name, value in library.state_dict().items()
        if name.startswith(("down.", "mu.", "logvar."))
    }
    answer = any_size_encoder(3, 4, 6)
    answer.load_state_dict(weights)
    return answer.eval(), library


def test_2_6_shapes(any_size_encoder):
    """masks of 32 x 32 and of 48 x 80 pixels should both give [2, 6] twice"""
    answer = any_size_encoder(3, 4, 6)
    for size in ((32, 32), (48, 80)):
        found = [list(part.shape) for part in answer(blocks(*size))]
        assert found == [[2, 6], [2, 6]], f"{found} for {size}"


@torch.no_grad()
def test_2_6_same_as_maskvae(any_size_encoder):
    """with a MaskVAE's weights it should answer as MaskVAE.encode does"""
    answer, library = loaded(any_size_encoder)
    masks = blocks(32, 32)
    (mu, logvar), (right_mu, right_logvar) = (
        answer(masks),
        library.encode(masks),
    )
    assert torch.allclose(mu, right_mu, atol=1e-5), "mu differs"
    assert torch.allclose(logvar, right_logvar, atol=1e-5), "logvar differs"


@torch.no_grad()
def test_2_6_average(any_size_encoder):
    """the heads should get the mean of each of 4 x 4 equal parts"""
    answer, library = loaded(any_size_encoder)
    features = library.down(blocks(64, 96))  # [2, 16, 8, 12]
    parts = features.unflatten(3, (4, 3)).unflatten(2, (4, 2))
    places = parts.mean(dim=(3, 5)).flatten(1)
    mu, logvar = answer(blocks(64, 96))
    assert torch.allclose(mu, library.mu(places), atol=1e-5)
    assert torch.allclose(logvar, library.logvar(places), atol=1e-5)


def test_2_6_gradient(any_size_encoder):
    """a loss of mu and logvar should reach every weight"""
    answer = any_size_encoder(2, 4, 3)
    mu, logvar = answer(blocks(24, 40))
    (mu.square().sum() + logvar.exp().sum()).backward()
    weights = dict(answer.named_parameters())
    missed = [name for name, w in weights.items() if w.grad is None]
    assert not missed, ", ".join(missed)
    assert len(weights) == 12, f"{len(weights)} tensors of weights, not 12"
