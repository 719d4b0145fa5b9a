"""SPADE: its normalisation, the published sizes, its losses, and that mask and style are both obeyed."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from toy_faces import images, pack_toy_faces
from toy_networks import assert_same_gradients, livelier, masks, numbers

from maskgan_lib.checkpoints import load_weights, save_weights
from maskgan_lib.data.batches import Batches
from maskgan_lib.methods.spade import SPADE, SPADEGenerator, hinge_generator_loss, hinge_loss
from maskgan_lib.networks import MultiScaleDiscriminator, one_hot
from maskgan_lib.networks.blocks import SpectralConv2d
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.stages import make_stage, train_stage

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = PRESETS["smoke"].replace(
    {
        "image_size": 32,
        "adversary.feature_weight": 10.0,
        "adversary.perceptual_weight": 10.0,
        "spade.lr": 2e-3,
        "spade.disc_lr": 8e-3,
        "spade.kl_weight": 0.05,
        "log_every": 50,
    }
)
SMALL = {"width": 2, "mask_width": 3, "latent": 5, "bottom": 1, "style_size": 16}


# ---- sizes


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("bottom", "millions"), [(16, 159.7), (8, 109.2)])
def test_the_sizes_are_the_published_ones(bottom, millions):
    """At 512 pixels: "normal" from 16 pixels a side, "more" from 8."""
    with torch.device("meta"):
        network, judge = SPADEGenerator(bottom=bottom), MultiScaleDiscriminator(spectral=True)
    assert round((count(network) - count(network.encoder)) / 1e6, 1) == millions
    assert round(count(network.encoder) / 1e6, 2) == 10.46
    assert round(count(judge) / 1e6, 2) == 5.57
    spectral = [name for name, module in judge.named_modules() if isinstance(module, SpectralConv2d)]
    assert spectral == [f"scales.{scale}.{layer}.0" for scale in (0, 1) for layer in (1, 2, 3)], "the middle layers"
    # Without an encoder, a 3x3 convolution of the mask takes the place of the linear map of the style.
    assert round((count(network.backbone) + 19 * 1024 * 9 + 1024) / 1e6, 1) == 92.5
    assert 512 in network.backbone.sizes


@pytest.mark.parametrize(("size", "bottom"), [(32, 1), (64, 1), (64, 2), (256, 8), (512, 8)])
@torch.no_grad()
def test_it_renders_at_every_size(size, bottom):
    network = livelier(SPADEGenerator(**SMALL | {"width": 1, "bottom": bottom}))
    picture = network(masks(1, size), images(1, size))
    assert picture.shape == (1, 3, size, size)
    assert picture.abs().max() <= 1 and picture.std() > 0.01


# ---- the normalisation


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 3), st.integers(1, 3), st.sampled_from([(4, 8), (3, 8), (5, 5), (4, 2)]), st.booleans())
@torch.no_grad()
def test_spade_is_its_equation(faces, channels, sizes, training):
    size, mask_size = sizes
    torch.manual_seed(faces)
    layer = livelier(SPADE(channels, num_classes=4, hidden=3)).double().train(training)
    layer.norm.running_mean.normal_()
    layer.norm.running_var.uniform_(0.5, 2)
    features = 3 * torch.randn(faces, channels, size, size).double() + 1
    mask = one_hot(torch.randint(0, 4, (faces, mask_size, mask_size)), 4, torch.float64)
    if training:
        mean, variance = features.mean((0, 2, 3)), features.var((0, 2, 3), correction=0)
    else:
        mean, variance = layer.norm.running_mean.clone(), layer.norm.running_var.clone()
    nearest = torch.arange(size) * mask_size // size
    hidden = layer.shared(mask[:, :, nearest][..., nearest]).clamp(min=0)
    normal = (features - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
    truth = normal * (1 + layer.gamma(hidden)) + layer.beta(hidden)
    torch.testing.assert_close(layer(features, mask), truth)


# ---- spectral normalisation


def largest_singular_value(kernel: Tensor) -> float:
    return torch.linalg.svdvals(kernel.detach().flatten(1))[0].item()


def test_a_spectral_kernel_has_norm_one_and_the_direction_of_its_weight():
    torch.manual_seed(0)
    layer = SpectralConv2d(3, 7, 3)
    x = torch.randn(1, 3, 5, 5)
    for _ in range(200):
        layer(x)
    sigma = largest_singular_value(layer.weight)
    torch.testing.assert_close(layer.kernel(), layer.weight / sigma, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight / sigma, layer.bias), rtol=1e-4, atol=1e-5)


def test_evaluation_moves_no_power_iteration_and_the_length_of_its_start_does_not_matter():
    torch.manual_seed(0)
    layer = SpectralConv2d(3, 7, 3).eval()
    start, kernel = layer.left.clone(), layer.kernel()
    assert torch.equal(layer.kernel(), kernel) and torch.equal(layer.left, start)
    layer.left.mul_(0.25)
    torch.testing.assert_close(layer.kernel(), kernel)
    layer.train().kernel()
    assert not torch.allclose(layer.left, start)


def test_the_gradient_counts_the_change_of_the_norm():
    torch.manual_seed(0)
    layer = SpectralConv2d(2, 3, 2).double()
    for _ in range(500):
        layer.kernel()
    layer.eval()

    def kernel(weight: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"weight": weight}, (torch.eye(8).reshape(8, 2, 2, 2).double(),))

    assert torch.autograd.gradcheck(kernel, layer.weight.detach().clone().requires_grad_())


# ---- mask and style


@torch.no_grad()
def test_mask_and_style_change_the_picture_and_the_styles_mask_does_not():
    network = livelier(SPADEGenerator(**SMALL))
    mask, image = masks(2, 32), images(2, 32)
    picture = network(mask, image, mask)
    assert torch.equal(network(mask, image, masks(2, 32, seed=5)), picture), "no mask is read with the style"
    assert torch.equal(network.render(mask, network.encode_style(image, mask)), picture)
    assert (network(masks(2, 32, seed=5), image) - picture).abs().mean() > 0.05
    assert (network(mask, images(2, 32, seed=6)) - picture).abs().mean() > 0.01


@torch.no_grad()
def test_evaluation_repeats_itself_after_saving_too(tmp_path):
    network = SPADEGenerator(**SMALL)
    mask, image = masks(3, 32), images(3, 32)
    for _ in range(3):
        network(mask, image)  # training mode: running statistics and power iterations move on
    picture = network.eval()(mask, image)
    assert torch.equal(network(mask, image), picture)
    save_weights(tmp_path / "spade.safetensors", network)
    again = load_weights(tmp_path / "spade.safetensors")
    assert torch.equal(again(mask, image), picture)


@torch.no_grad()
def test_it_computes_in_bfloat16():
    network = livelier(SPADEGenerator(**SMALL | {"width": 4}))
    mask, image = masks(2, 32), images(2, 32)
    picture = network(mask, image)
    with torch.autocast("cpu", torch.bfloat16):
        cast = network(mask, image)
    assert (cast.float() - picture).abs().mean() < 0.05 * picture.std()
    style = network.encode_style(image)
    whole = copy.deepcopy(network).to(torch.bfloat16).render(mask.bfloat16(), style)
    assert (whole.float() - picture).abs().mean() < 0.1 * picture.std()


# ---- losses


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 3), st.integers(0, 2**31), st.booleans())
def test_hinge_losses_are_their_formulas(scales, seed, is_real):
    rng = np.random.default_rng(seed)
    scores = [2 * rng.normal(size=(2, 1, 5 + k, 4)) for k in range(scales)]
    outputs = [[torch.full((2, 3), float("nan")), torch.from_numpy(score)] for score in scores]
    short = [np.maximum(0, 1 - score if is_real else 1 + score).mean() for score in scores]
    assert hinge_loss(outputs, is_real).item() == pytest.approx(np.mean(short))
    expected = -np.mean([score.mean() for score in scores])
    assert hinge_generator_loss(outputs).item() == pytest.approx(expected)


def test_a_step_is_that_of_the_equations(tmp_path):
    """Losses and both networks' gradients of one step against plain autograd of the equations."""
    faces = pack_toy_faces(tmp_path / "faces", 8)
    torch.manual_seed(0)
    stage = make_stage("spade", TINY.replace({"spade.width": 4, "spade.disc_lr": 0.0}), faces)
    batch = Batches(faces, faces.indices("train"), 4).at(0)
    # No power iteration, no running statistics: everything can be computed twice. The rate of zero keeps the judge.
    network, judge = (stage.networks[name].eval() for name in ("spade", "discriminator"))
    network.backbone.apply(lambda module: module.train() if isinstance(module, nn.BatchNorm2d) else None)
    network.backbone.last.weight.data.mul_(100)
    twin, twin_judge = copy.deepcopy(network), copy.deepcopy(judge)
    logged = stage.step([batch], Accelerator())

    mask, real = one_hot(batch.mask), batch.image
    mu, logvar = twin.encoder(real)
    made = twin.render(mask, mu + batch.noise(TINY.spade.latent) * (0.5 * logvar).exp())
    on_real, on_made = twin_judge(mask, real), twin_judge(mask, made.detach())
    hinge = sum((1 - r[-1]).clamp(min=0).mean() + (1 + m[-1]).clamp(min=0).mean() for r, m in zip(on_real, on_made))
    (hinge / 2).backward()
    divergence = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum()  # over the batch too
    on_real, on_made = twin_judge(mask, real), twin_judge(mask, made)
    adversarial = -sum(m[-1].mean() for m in on_made) / 2
    pairs = [pair for r, m in zip(on_real, on_made) for pair in zip(r[:-1], m[:-1])]
    feature = sum((r.detach() - m).abs().mean() for r, m in pairs) / 2
    perceptual = stage.perceptual(made, real)
    judged = [parameter.grad.clone() for parameter in twin_judge.parameters()]
    (adversarial + 10 * feature + 10 * perceptual + 0.05 * divergence).backward()
    assert_same_gradients(network, twin)
    for ours, theirs in zip(judge.parameters(), judged, strict=True):
        torch.testing.assert_close(ours.grad, theirs, rtol=1e-3, atol=1e-6)
    expected = {"discriminator": hinge / 2, "adversarial": adversarial, "feature": feature, "perceptual": perceptual}
    assert numbers(logged) == pytest.approx(numbers(expected | {"kl": divergence / 4}), rel=1e-4)
    assert all(parameter.requires_grad for parameter in judge.parameters())


# ---- training


def test_a_run_at_half_the_size_goes_on_at_the_whole_one(tmp_path):
    half, whole = (pack_toy_faces(tmp_path / str(size), 2, size=size) for size in (32, 64))
    train_stage("spade", TINY, half, tmp_path / "half", steps=2)
    rates = TINY.replace({"spade.lr": 0.0, "spade.disc_lr": 0.0, "ema_decay": 0.0})
    train_stage("spade", rates, whole, tmp_path / "run", steps=1, init=tmp_path / "half")
    ours, theirs = (load_weights(tmp_path / name / "spade.safetensors") for name in ("run", "half"))
    assert ours.config == theirs.config
    assert ours(masks(1, 64), images(1, 64)).shape == (1, 3, 64, 64)
