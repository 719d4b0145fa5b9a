"""ELEGANT: its networks against a second writing, the swap, and the step."""

import copy
from statistics import NormalDist

import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from toy_faces import images, pack_noise_faces, pack_toy_faces
from toy_networks import batches_of, descending, numbers

from maskgan_lib.data.batches import Batches, to_float_image
from maskgan_lib.methods.elegant import Elegant, ElegantDiscriminator
from maskgan_lib.presets import PRESETS
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


def test_weights_start_from_the_authors_distribution():
    torch.manual_seed(0)
    for network in (Elegant(width=16, latent=64), ElegantDiscriminator(image_size=64, width=16)):
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1) and not layer.bias.any()


# ---- the step


def surprise(logits: Tensor, real: bool) -> Tensor:
    return -(logits.sigmoid() if real else 1 - logits.sigmoid()).log().mean()


LABELS = [(1, 1, -1), (1, -1, 1), (-1, 1, 1), (-1, -1, -1), (1, 1, 1), (-1, 1, -1), (1, -1, -1)]


@pytest.mark.parametrize("count", [1, 3])
def test_a_step_is_the_papers(count, tmp_path, in_double):
    """For each attribute an update of the discriminators and one of encoder and decoder, written once more."""
    faces = pack_noise_faces(tmp_path / "toy", [own[:count] for own in LABELS])
    names = NAMES[:count]
    preset = TINY.replace({"elegant.attributes": names})
    stage, batch = descending("elegant", preset, faces), batches_of("elegant", preset, faces)(2)
    for network in stage.networks.values():
        livelier(network)
    network, judge = (copy.deepcopy(stage.networks[name]) for name in ("elegant", "discriminator"))
    losses = stage.step([batch], Accelerator())

    pictures = to_float_image(faces.images)
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
    assert numbers(losses) == pytest.approx(totals, rel=1e-5)


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
        pairs, labels = stage.pair(batch, 0)
        a, b = pairs.chunk(2)
        assert labels.flatten().tolist() == [1] * 4 + [0] * 4
        for own, one, other in zip(batch.index, a, b, strict=True):
            places = [next(k for k in range(8) if torch.equal(pictures[k], picture)) for picture in (one, other)]
            assert faces.attribute("Smiling")[places].tolist() == [1, -1] and own in places
            met.add((int(own), places[int(places[0] == own)]))
    smiling, serious = {k for k in train if k in (0, 2, 5, 6)}, {k for k in train if k in (1, 3, 4, 7)}
    assert met == {(a, b) for a in smiling for b in serious} | {(b, a) for a in smiling for b in serious}


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
