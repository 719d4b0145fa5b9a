"""ELEGANT: its networks against the paper's sizes and a second writing, the swap, the step, and that it learns."""

import copy
from dataclasses import replace
from statistics import NormalDist

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from same_steps import assert_same_steps
from torch import Tensor, nn
from toy_faces import images, pack_noise_faces, pack_toy_faces

from maskgan_lib.checkpoints import load_weights, save_weights
from maskgan_lib.data.batches import Batches, to_float_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.metrics import psnr
from maskgan_lib.methods.elegant import ChannelNormalization, Elegant, ElegantDiscriminator
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.execution import set_recompute
from maskgan_lib.training.loop import newest_checkpoint
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import make_stage, train_stage

pytestmark = pytest.mark.usefixtures("one_thread")

TINY = PRESETS["smoke"].replace(
    {
        "image_size": 32,
        "elegant.batch": 4,
        "elegant.lr": PRESETS["paper"].elegant.lr,
        "elegant.disc_lr": PRESETS["paper"].elegant.disc_lr,
        "elegant.reconstruction_weight": PRESETS["paper"].elegant.reconstruction_weight,
    }
)
NAMES = ("Smiling", "Male", "Young")


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> PackedFaces:
    return pack_toy_faces(tmp_path_factory.mktemp("elegant") / "toy", 12, splits=("train", "train", "test"))


def livelier(network: nn.Module) -> nn.Module:
    """Larger weights, so that residuals, near zero at first, vary from face to face; in float64."""
    generator = torch.Generator().manual_seed(7)
    for module in network.double().modules():
        for name, parameter in module.named_parameters(recurse=False):
            drawn = torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.3
            # Far from what they start from, and such that all layers let something through.
            parameter.data = 1.2 + 0.3 * drawn if name == "alpha" else 0.3 * drawn if name == "beta" else drawn
    return network


# ---- the networks


def millions(*networks: nn.Module) -> float:
    return round(sum(p.numel() for network in networks for p in network.parameters()) / 1e6, 2)


def test_the_defaults_are_the_papers_networks():
    with torch.device("meta"):
        network, discriminator = Elegant(), ElegantDiscriminator()
    assert (millions(network.encoder), millions(network.decoder, network.last)) == (3.91, 6.27)
    assert [millions(scale) for scale in discriminator.scales] == [1.68, 1.58]


@pytest.mark.parametrize("size", [64, 128, 256])
@torch.no_grad()
def test_faces_of_three_sizes_and_no_others(size):
    network, discriminator = Elegant(NAMES, width=2, latent=5), ElegantDiscriminator(NAMES, size, width=1)
    codes, skips = network.encode(images(1, size))
    assert codes.shape == (1, 5, size // 32, size // 32)
    assert [skip.shape[1:] for skip in skips] == [(2 * 2**k, size // 2**k // 2, size // 2**k // 2) for k in range(4)]
    assert network.transfer(images(1, size), images(1, size, 1), "Male").shape == (1, 3, size, size)
    assert [logits.shape for logits in discriminator(images(2, size), torch.zeros(2, 3))] == [(2,), (2,)]
    with pytest.raises(ValueError, match=f"multiples of 32, not {size + 16} x {size + 16}"):
        network.encode(images(1, size + 16))
    with pytest.raises(ValueError, match="side is a multiple of 32, not 48"):
        ElegantDiscriminator(image_size=48)


def test_normalisation_is_its_formula():
    layer = ChannelNormalization().double()
    assert (layer.alpha.item(), layer.beta.item()) == (1, 0)
    layer.alpha.data.fill_(1.5)
    layer.beta.data.fill_(-0.25)
    x = images(2, 3, dtype=torch.float64)
    result = layer(x)
    for b in range(2):
        for i in range(3):
            for j in range(3):
                vector = x[b, :, i, j].tolist()
                length = sum(v * v for v in vector) ** 0.5
                truth = torch.tensor([1.5 * v / length - 0.25 for v in vector], dtype=torch.float64)
                torch.testing.assert_close(result[b, :, i, j], truth)


def plain_normalization(x: Tensor, layer: nn.Module) -> Tensor:
    return layer.alpha * x / x.square().sum(dim=1, keepdim=True).sqrt() + layer.beta


def test_a_transfer_is_its_layer_list():
    network = livelier(Elegant(("Male", "Smiling"), width=2, latent=4))
    target, source = images(2, 64, 0, torch.float64), images(2, 64, 1, torch.float64)

    def encode(x):
        kept = []
        for convolution, norm, _ in network.encoder:
            x = F.conv2d(x, convolution.weight, convolution.bias, stride=2, padding=1)
            x = F.leaky_relu(plain_normalization(x, norm), 0.2)
            kept.append(x)
        return kept

    own, theirs = encode(target), encode(source)[-1]
    wanted = torch.cat([own[-1][:, :2], theirs[:, 2:]], dim=1)
    x = torch.cat([wanted, own[-1]], dim=1)
    options = {"stride": 2, "padding": 1, "output_padding": 1}
    for (convolution, norm, _), skip in zip(network.decoder, own[3::-1], strict=True):
        x = F.conv_transpose2d(x, convolution.weight, convolution.bias, **options)
        x = plain_normalization(x, norm).relu() + skip
    residual = 2 * F.conv_transpose2d(x, network.last.weight, network.last.bias, **options).tanh()
    torch.testing.assert_close(network.transfer(target, source, "Smiling"), (target + residual).clamp(-1, 1))
    assert (residual.abs() > 0.1).any()


def test_training_makes_the_pictures_that_a_transfer_makes():
    network = livelier(Elegant(NAMES, width=2, latent=7))
    a, b = images(2, 32, 0, torch.float64), images(2, 32, 1, torch.float64)
    again_a, again_b, c, d = network(a, b, "Male")
    for picture, target, source in ((again_a, a, a), (again_b, b, b), (c, a, b), (d, b, a)):
        torch.testing.assert_close(picture, network.transfer(target, source, "Male"))
    assert (c - again_a).abs().max() > 1e-3
    network.eval()
    assert torch.equal(network(a, b, "Male")[2], c), "evaluation is training"
    torch.testing.assert_close(network.transfer(a[1:], b[1:], "Male"), c[1:])


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 3), st.integers(0, 9), st.integers(0, 2), st.integers(0, 2**31))
def test_a_swap_is_an_involution_that_leaves_the_other_groups(count, more, place, seed):
    names = NAMES[:count]
    network = Elegant(names, width=1, latent=count + more)
    attribute = names[place % count]
    a, b = torch.randn(2, 2, count + more, 3, 2, generator=torch.Generator().manual_seed(seed))
    before = a.clone(), b.clone()
    c, d = network.swap(a, b, attribute)
    for ours, theirs in zip(network.swap(c, d, attribute), (a, b), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(a, before[0]) and torch.equal(b, before[1])
    for ours in network.swap(a, a, attribute):
        assert torch.equal(ours, a)
    moved = [channel for channel in range(count + more) if not torch.equal(c[:, channel], a[:, channel])]
    groups = [list(range(count + more))[network.group(name)] for name in names]
    assert moved == groups[place % count]
    assert [channel for group in groups for channel in group] == list(range(count + more))
    assert max(map(len, groups)) - min(map(len, groups)) <= 1


def test_attributes_that_it_lacks_and_codes_that_are_too_small():
    with pytest.raises(ValueError, match="transfers Smiling, Male, Young, not 'Bald'"):
        Elegant(NAMES, width=1, latent=3).group("Bald")
    with pytest.raises(ValueError, match="code of 2 channels cannot be cut into 3 groups"):
        Elegant(NAMES, latent=2)


def test_the_discriminators_are_their_layer_list():
    network = livelier(ElegantDiscriminator(("Male", "Smiling"), 64, width=2))
    image, labels = images(3, 64, dtype=torch.float64), torch.tensor([[0.0, 1], [1, 1], [1, 0]])
    for logits, scale, halvings in zip(network(image, labels), network.scales, (0, 1), strict=True):
        x = image if not halvings else image.reshape(3, 3, 32, 2, 32, 2).mean((3, 5))
        planes = labels.double()[:, :, None, None] * torch.ones(x.shape[-2:]).double()
        x = torch.cat([x, planes], dim=1)
        *layers, _, linear = scale
        for convolution, norm, _ in layers:
            x = F.conv2d(x, convolution.weight, convolution.bias, stride=2, padding=1)
            x = F.leaky_relu(plain_normalization(x, norm), 0.2)
        torch.testing.assert_close(logits, (x.flatten(1) * linear.weight).sum(dim=1) + linear.bias)
        assert len(layers) == 4


def test_weights_start_from_the_authors_distribution_and_come_back_as_written(tmp_path):
    torch.manual_seed(0)
    for network in (Elegant(width=16, latent=64), ElegantDiscriminator(image_size=64, width=16)):
        drawn = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.Linear)]
        for layer in drawn:
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1) and not layer.bias.any()
        save_weights(tmp_path / "w.safetensors", network)
        loaded = load_weights(tmp_path / "w.safetensors").state_dict()
        assert all(torch.equal(loaded[key], value) for key, value in network.state_dict().items())


# ---- the step


def in_double(faces, changes=()):
    """A stage in float64 with plain gradient descent: Adam would make whole steps of rounding errors."""
    torch.manual_seed(0)
    stage = make_stage("elegant", TINY.replace(dict(changes)), faces)
    for network in stage.networks.values():
        livelier(network)
    stage.optimizers = {
        name: torch.optim.SGD(network.parameters(), lr=1e-2) for name, network in stage.networks.items()
    }
    batches = Batches(faces, faces.indices("train"), 4, seed=3)
    return stage, lambda step: replace(batches.at(step), image=batches.at(step).image.double())


def surprise(logits: Tensor, real: bool) -> Tensor:
    return -(logits.sigmoid() if real else 1 - logits.sigmoid()).log().mean()


LABELS = [(1, 1, -1), (1, -1, 1), (-1, 1, 1), (-1, -1, -1), (1, 1, 1), (-1, 1, -1), (1, -1, -1)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_step_is_the_papers(count, tmp_path):
    """For each attribute an update of the discriminators and one of encoder and decoder, written once more."""
    faces = pack_noise_faces(tmp_path / "toy", [own[:count] for own in LABELS])
    names = NAMES[:count]
    stage, at = in_double(faces, {"elegant.attributes": names})
    batch = at(2)
    network, judge = (copy.deepcopy(stage.networks[name]) for name in ("elegant", "discriminator"))
    losses = stage.step([batch], Accelerator())

    pictures = to_float_image(faces.images).double()
    bits = [[max(0, value) for value in own[:count]] for own in LABELS]
    draws, totals = batch.noise(count), {"discriminator": 0.0, "adversarial": 0.0, "reconstruction": 0.0}
    for place, name in enumerate(names):
        a, b = [], []
        for row, index in enumerate(batch.index.tolist()):
            others = [k for k in range(len(bits)) if bits[k][place] != bits[index][place]]
            partner = others[int(NormalDist().cdf(draws[row, place].item()) * len(others))]
            pair = (index, partner) if bits[index][place] else (partner, index)
            a.append(pair[0])
            b.append(pair[1])
        y_a, y_b = torch.tensor([bits[k] for k in a]).double(), torch.tensor([bits[k] for k in b]).double()
        y_c, y_d = y_a.clone(), y_b.clone()
        y_c[:, place], y_d[:, place] = y_b[:, place], y_a[:, place]
        face_a, face_b = pictures[a], pictures[b]
        network.zero_grad()
        judge.zero_grad()

        again_a, again_b, c, d = network(face_a, face_b, name)
        both = []
        for scale in (0, 1):
            real = surprise(judge(face_a, y_a)[scale], True) + surprise(judge(face_b, y_b)[scale], True)
            made = surprise(judge(c.detach(), y_c)[scale], False) + surprise(judge(d.detach(), y_d)[scale], False)
            both.append(real + made)
        discriminator_loss = (both[0] + 0.5 * both[1]) / 4
        discriminator_loss.backward()
        theirs = [parameter.grad.clone() for parameter in judge.parameters()]
        for parameter in judge.parameters():
            parameter.data -= 1e-2 * parameter.grad

        adversarial = sum(
            weight * (surprise(judge(c, y_c)[scale], True) + surprise(judge(d, y_d)[scale], True))
            for scale, weight in ((0, 1.0), (1, 0.5))
        )
        reconstruction = (again_a - face_a).square().mean() + (again_b - face_b).square().mean()
        (5 * reconstruction + adversarial).backward()
        for parameter in network.parameters():
            parameter.data -= 1e-2 * parameter.grad
        for key, value in zip(totals, (discriminator_loss, adversarial, reconstruction), strict=True):
            totals[key] += value.item() / count
    for ours, gradient in zip(stage.networks["discriminator"].parameters(), theirs, strict=True):
        torch.testing.assert_close(ours.grad, gradient, rtol=1e-5, atol=1e-8)
        assert ours.requires_grad
    for ours, plain in zip(stage.networks["elegant"].parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(ours, plain, rtol=1e-5, atol=1e-8)
    assert {key: value.item() for key, value in losses.items()} == pytest.approx(totals, rel=1e-5)


@pytest.mark.parametrize("changed", ["parts", "recompute"])
def test_how_a_step_is_executed_does_not_change_it(changed, faces):
    (plain, at), (other, _) = in_double(faces), in_double(faces)
    if changed == "recompute":
        set_recompute(other.networks["elegant"], True)
    assert_same_steps(plain, other, at, parts=4 if changed == "parts" else 1)


def test_partners_are_all_train_faces_of_the_other_label(tmp_path):
    """The test split's faces, which come last, are nobody's partners."""
    faces = pack_noise_faces(
        tmp_path / "toy", [(1,), (-1,), (1,), (-1,), (-1,), (1,), (1,), (-1,)], ("train", "train", "test")
    )
    stage, train = make_stage("elegant", TINY, faces), faces.indices("train")
    pictures, batches = to_float_image(faces.images), Batches(faces, train, 4)
    met = set()
    for step in range(40):
        batch = batches.at(step)
        a, b, label_a, label_b = stage.pair(batch, 0)
        assert (label_a == 1).all() and (label_b == 0).all()
        for own, one, other in zip(batch.index, a, b, strict=True):
            places = [next(k for k in range(8) if torch.equal(pictures[k], picture)) for picture in (one, other)]
            assert faces.attribute("Smiling")[places].tolist() == [1, -1] and own in places
            met.add((int(own), places[int(places[0] == own)]))
    smiling, serious = {k for k in train if k in (0, 2, 5, 6)}, {k for k in train if k in (1, 3, 4, 7)}
    assert met == {(a, b) for a in smiling for b in serious} | {(b, a) for a in smiling for b in serious}


# ---- it learns, and what it cannot learn from


def test_elegant_memorises_two_faces(tmp_path, monkeypatch):
    """From a decoder that spoils every face at first."""
    faces = pack_toy_faces(tmp_path / "two", 2)
    preset = TINY.replace(
        {"elegant.width": 8, "elegant.batch": 2, "elegant.lr": 2e-3, "log_every": 10, "checkpoint_every": 999}
    )
    init = Elegant.__init__

    def spoiled(self, *arguments):
        init(self, *arguments)
        nn.init.normal_(self.last.weight, 0.0, 0.5)

    monkeypatch.setattr(Elegant, "__init__", spoiled)
    log = train_stage("elegant", preset, faces, tmp_path / "run", steps=70)
    monkeypatch.undo()
    network = load_weights(tmp_path / "run" / "elegant.safetensors")
    pictures = to_float_image(faces.images)
    with torch.no_grad():
        again = psnr(network.transfer(pictures, pictures, "Smiling"), pictures).min().item()
    assert again > 20 and log[-1]["reconstruction"] < 0.05 * log[0]["reconstruction"]


def test_from_half_the_size_the_discriminator_goes_on_at_half_size(tmp_path):
    small, large = (pack_toy_faces(tmp_path / str(size), 6, size=size) for size in (32, 64))
    train_stage("elegant", TINY, small, tmp_path / "half", steps=2)
    still = TINY.replace({"image_size": 64, "elegant.lr": 0.0, "elegant.disc_lr": 0.0})
    train_stage("elegant", still, large, tmp_path / "run", steps=1, init=tmp_path / "half")
    theirs, ours = (newest_checkpoint(tmp_path / name)["networks"] for name in ("half", "run"))
    assert all(torch.equal(ours["elegant"][name], value) for name, value in theirs["elegant"].items())
    then, now = ElegantDiscriminator(("Smiling",), 32, width=4), ElegantDiscriminator(("Smiling",), 64, width=4)
    then.load_state_dict(theirs["discriminator"])
    now.load_state_dict(ours["discriminator"])
    image, label = torch.rand(3, 3, 64, 64) * 2 - 1, torch.tensor([[1.0], [0.0], [1.0]])
    with torch.no_grad():
        torch.testing.assert_close(now(image, label)[1], then(F.avg_pool2d(image, 2), label)[0])
    with pytest.raises(TrainingError, match="discriminator image_size 64 there, 32 here"):
        train_stage("elegant", TINY, small, tmp_path / "back", steps=1, init=tmp_path / "run")


def test_faces_that_do_not_show_an_attribute_both_ways_are_refused(faces, tmp_path):
    with pytest.raises(TrainingError, match="has no attribute 'Bald'; it has: Smiling"):
        make_stage("elegant", TINY.replace({"elegant.attributes": ("Bald",)}), faces)
    everyone = pack_noise_faces(tmp_path / "all", [(1, 1), (1, -1), (-1, -1)], ("train", "train", "test"))
    with pytest.raises(TrainingError, match="has no face without Smiling in its train split"):
        make_stage("elegant", TINY, everyone)
