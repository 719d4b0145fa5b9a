"""StarGAN: its networks against a second writing, the penalty, and the step."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn
from toy_faces import images, pack_noise_faces
from toy_networks import assert_same_gradients, batches_of, descending, instance_norm, livelier, numbers

from maskgan_lib.methods.stargan import StarGANDiscriminator, StarGANGenerator
from maskgan_lib.methods.wgan import gradient_penalty
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.stage import TrainingError

pytestmark = pytest.mark.usefixtures("one_thread", "in_double")

PAPER = PRESETS["paper"].stargan
WEIGHTS = ("penalty_weight", "disc_class_weight", "class_weight", "cycle_weight", "identity_weight")
TINY = PRESETS["smoke"].replace(
    {"image_size": 32, "stargan.batch": 20, "stargan.critic_updates": 5}
    | {f"stargan.{name}": getattr(PAPER, name) for name in WEIGHTS}
)
LABELS = [(1, 1), (1, -1), (-1, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)]


@pytest.fixture
def faces(tmp_path):
    return pack_noise_faces(tmp_path / "noise", [own[:1] for own in LABELS])


def stage_of(faces, changes=()):
    preset = TINY.replace(dict(changes))
    return descending("stargan", preset, faces), batches_of("stargan", preset, faces)


# ---- the networks


def test_the_generator_is_its_layer_list():
    """In training as in evaluation, and whatever else is in the batch."""
    network = livelier(StarGANGenerator(("Male", "Smiling"), width=3, blocks=2), 1.0)
    convolutions = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    norms = iter([m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)])
    first, down1, down2, *blocks, up1, up2, last = convolutions
    image, labels = images(2, 16), torch.tensor([[0.0, 1], [1, 1]])
    planes = torch.stack([torch.stack([torch.full((16, 16), value) for value in row]) for row in labels.tolist()])
    x = torch.cat([image, planes], dim=1)
    x = instance_norm(F.conv2d(x, first, padding=3), next(norms)).relu()
    x = instance_norm(F.conv2d(x, down1, stride=2, padding=1), next(norms)).relu()
    x = instance_norm(F.conv2d(x, down2, stride=2, padding=1), next(norms)).relu()
    for one, two in zip(blocks[::2], blocks[1::2], strict=True):
        y = instance_norm(F.conv2d(x, one, padding=1), next(norms)).relu()
        x = x + instance_norm(F.conv2d(y, two, padding=1), next(norms))
    x = instance_norm(F.conv_transpose2d(x, up1, stride=2, padding=1), next(norms)).relu()
    x = instance_norm(F.conv_transpose2d(x, up2, stride=2, padding=1), next(norms)).relu()
    truth = F.conv2d(x, last, padding=3).tanh()
    assert len(blocks) == 4 and next(norms, None) is None and not list(network.buffers())
    torch.testing.assert_close(network.train()(image, labels), truth)
    torch.testing.assert_close(network.eval()(image[1:], labels[1:]), truth[1:])


@pytest.mark.parametrize(("size", "layers", "side"), [(32, 4, 2), (64, 5, 2), (128, 6, 2), (256, 6, 4)])
def test_the_discriminator_is_its_layer_list(size, layers, side):
    """As many layers as the picture has room for."""
    network = livelier(StarGANDiscriminator(("Male", "Smiling"), size, width=1))
    x = image = images(2, size)
    for layer in network.layers[::2]:
        x = F.conv2d(x, layer.weight, layer.bias, stride=2, padding=1)
        x = torch.where(x > 0, x, 0.01 * x)
    assert len(network.layers) == 2 * layers and x.shape[-1] == side
    scores, logits = network(image)
    torch.testing.assert_close(scores, F.conv2d(x, network.source.weight, padding=1))
    torch.testing.assert_close(logits, torch.einsum("bchw,achw->ba", x, network.classes.weight))
    assert torch.equal(network.scores(image), scores)


# ---- the gradient penalty


def test_the_penalty_and_its_gradient_are_those_of_finite_differences():
    torch.manual_seed(0)
    critic = StarGANDiscriminator(image_size=8, width=2)
    real, made, mix = images(2, 8, 1), images(2, 8, 2), torch.tensor([0.3, 0.8])
    mix = mix[:, None, None, None]

    @torch.no_grad()
    def by_hand() -> float:
        between, step, total = mix * real + (1 - mix) * made, 1e-6, 0.0
        for picture in between:
            nudges = step * torch.eye(picture.numel()).reshape(-1, *picture.shape)
            slope = (critic.scores(picture + nudges) - critic.scores(picture - nudges)).sum((1, 2, 3)) / (2 * step)
            total += (slope.square().sum().sqrt() - 1).square().item()
        return total / len(between)

    penalty = gradient_penalty(critic.scores, real, made, mix)
    assert penalty.item() == pytest.approx(by_hand(), rel=1e-6)
    penalty.backward()
    weight, step = critic.layers[2].weight, 1e-4
    for place in (0, 17, 63):
        ends = []
        for sign in (1, -1):
            weight.data.view(-1)[place] += sign * step
            ends.append(by_hand())
            weight.data.view(-1)[place] -= sign * step
        slope = (ends[0] - ends[1]) / (2 * step)
        assert weight.grad.view(-1)[place].item() == pytest.approx(slope, rel=1e-3, abs=1e-7)


def test_the_pictures_learn_nothing_from_the_penalty_and_a_flat_critic_is_no_trouble():
    real, made = images(2, 8).requires_grad_(), images(2, 8, 1).requires_grad_()
    scale = torch.zeros((), requires_grad=True)
    with torch.no_grad():  # as in a measurement
        penalty = gradient_penalty(lambda x: x.flatten(1).sum(dim=1) * scale, real, made, torch.rand(2, 1, 1, 1))
    assert penalty.item() == 1
    gradient_penalty(lambda x: x.flatten(1).sum(dim=1) * scale, real, made, torch.rand(2, 1, 1, 1)).backward()
    assert real.grad is None and made.grad is None and scale.grad.isfinite()


# ---- the step


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    chance = logits.sigmoid()
    return -(labels * chance.log() + (1 - labels) * (1 - chance).log()).sum(dim=1).mean()


@pytest.mark.parametrize(("attributes", "identity_weight", "disc_class_weight"), [(1, 7, 3), (2, 0, 1)])
def test_a_step_is_the_papers(attributes, identity_weight, disc_class_weight, tmp_path):
    """Five updates of the discriminator and one of the generator, written once more; and with what is ours."""
    faces = pack_noise_faces(tmp_path / "toy", [own[:attributes] for own in LABELS])
    names = ("Smiling", "Male")[:attributes]
    ours = {"stargan.identity_weight": identity_weight, "stargan.disc_class_weight": disc_class_weight}
    stage, at = stage_of(faces, {"stargan.attributes": names, **ours})
    batch = at(2)
    generator, judge = (copy.deepcopy(stage.networks[name]) for name in ("stargan", "discriminator"))
    losses = stage.step([batch], Accelerator())

    known = torch.tensor(LABELS).double()[:, :attributes].clamp(min=0)
    draws = (1 + torch.erf(batch.noise(2) / math.sqrt(2))) / 2
    totals = {"critic": 0.0, "penalty": 0.0, "real classes": 0.0}
    for number in range(5):
        own = slice(number, None, 5)
        image, source = batch.image[own], known[batch.index[own]]
        target, mix = known[(draws[own, 0] * 7).long()], draws[own, 1]
        judge.zero_grad()
        with torch.no_grad():
            made = generator(image, target)
        critic = judge(made)[0].mean() - judge(image)[0].mean()
        between = torch.stack([m * r + (1 - m) * f for m, r, f in zip(mix, image, made, strict=True)])
        between.requires_grad_()
        slope = torch.autograd.grad(judge(between)[0].sum(), between, create_graph=True)[0]
        penalty = sum((one.square().sum().sqrt() - 1) ** 2 for one in slope) / len(slope)
        classes = binary_cross_entropy(judge(image)[1], source)
        (critic + 10 * penalty + disc_class_weight * classes).backward()
        gradients = [parameter.grad.clone() for parameter in judge.parameters()]
        for parameter in judge.parameters():
            parameter.data -= 1e-2 * parameter.grad
        for name, value in zip(totals, (critic, penalty, classes), strict=True):
            totals[name] += value.item() / 5
    triples = zip(stage.networks["discriminator"].parameters(), judge.parameters(), gradients, strict=True)
    for ours, theirs, gradient in triples:
        torch.testing.assert_close((ours, ours.grad), (theirs, gradient), rtol=1e-5, atol=1e-8)
        assert ours.requires_grad

    made = generator(image, target)
    scores, logits = judge(made)
    terms = {
        "adversarial": -scores.mean(),
        "made classes": binary_cross_entropy(logits, target),
        "cycle": (generator(made, source) - image).abs().mean(),
        "identity": sum((m - i).abs().mean() for m, i, s, t in zip(made, image, source, target) if s.equal(t)) / 4,
    }
    assert 0 < sum(s.equal(t) for s, t in zip(source, target, strict=True)) < 4 or attributes == 2
    loss = terms["adversarial"] + terms["made classes"] + 10 * terms["cycle"] + identity_weight * terms["identity"]
    loss.backward()
    assert_same_gradients(stage.networks["stargan"], generator, rtol=1e-5, atol=1e-8)
    assert numbers(losses) == pytest.approx(totals | numbers(terms), rel=1e-5)


def test_every_update_of_a_step_sees_faces_of_its_own(faces):
    stage, at = stage_of(faces)
    whole = at(0)
    for batch in (whole, *whole.parts(2)):
        shares = [stage.share(batch, number) for number in range(5)]
        assert [len(share.image) for share in shares] == [len(batch.image) // 5] * 5
        for number, share in enumerate(shares):
            places = np.arange(20)[share.share]
            assert (places % 5 == number).all() and (share.index == whole.index[places]).all()
            assert torch.equal(share.image, whole.image[torch.from_numpy(places)])
            assert torch.equal(share.noise(3), whole.noise(3)[torch.from_numpy(places)])
    with pytest.raises(TrainingError, match="holds 4 faces, which 5 updates of the discriminator cannot share"):
        stage.step(whole.parts(5), Accelerator())


def test_labels_are_asked_for_as_often_as_train_faces_have_them(tmp_path):
    """One of five in the train split; all of the test split."""
    splits = ("train", "train", "train", "test")
    faces = pack_noise_faces(tmp_path / "toy", [(1,), (-1,), (-1,), (1,), (-1,), (1,)], splits)
    faces.records[5] = replace(faces.records[5], attributes={"Smiling": -1})
    stage, at = stage_of(faces)
    labels, mixes = zip(*(stage.asked(at(step))[1:] for step in range(60)), strict=True)
    assert not torch.equal(*labels[:2])
    assert torch.cat(labels).mean().item() == pytest.approx(1 / 5, abs=4 * (0.16 / 1200) ** 0.5)
    mixes = torch.cat(mixes)
    assert mixes.min() >= 0 and mixes.max() <= 1 and mixes.mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_penalty_is_not_autocast(faces, monkeypatch):
    """accelerate has ``forward`` compute in half precision; a penalty from that would be noise."""
    torch.set_default_dtype(torch.float32)
    stage, at = stage_of(faces)
    judge, seen = stage.networks["discriminator"], []
    monkeypatch.setattr(judge, "forward", torch.autocast("cpu", torch.bfloat16)(judge.forward))
    assert judge(images(1))[0].dtype == torch.bfloat16
    scores = judge.scores
    monkeypatch.setattr(judge, "scores", lambda x: seen.append(scores(x)) or seen[-1])
    stage.step([at(0)], Accelerator())
    assert len(seen) == 5 and all(map.dtype == torch.float32 for map in seen)
