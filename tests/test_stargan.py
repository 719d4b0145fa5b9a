"""StarGAN: its networks against the paper's sizes and a second writing, the penalty, the step, and that it learns."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from same_steps import assert_same_steps
from torch import Tensor, nn
from toy_faces import images, pack_noise_faces, pack_toy_faces

from maskgan_lib.checkpoints import load_weights
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.metrics import psnr
from maskgan_lib.methods.stargan import StarGANDiscriminator, StarGANGenerator
from maskgan_lib.methods.wgan import gradient_penalty
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.execution import set_recompute
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import make_stage, train_stage

pytestmark = pytest.mark.usefixtures("one_thread")

PAPER = PRESETS["paper"]
TINY = PRESETS["smoke"].replace(
    {
        "image_size": 32,
        "stargan.batch": 20,
        "stargan.critic_updates": 5,
        "stargan.lr": 1e-4,
        "stargan.penalty_weight": PAPER.stargan.penalty_weight,
        "stargan.disc_class_weight": PAPER.stargan.disc_class_weight,
        "stargan.class_weight": PAPER.stargan.class_weight,
        "stargan.cycle_weight": PAPER.stargan.cycle_weight,
        "stargan.identity_weight": PAPER.stargan.identity_weight,
    }
)


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> PackedFaces:
    return pack_toy_faces(tmp_path_factory.mktemp("stargan") / "toy", 12, splits=("train", "train", "test"))


# ---- the networks


def millions(network: nn.Module) -> float:
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def test_the_defaults_are_the_papers_networks():
    """8.42 M with one attribute to 8.46 M with thirteen; with CelebA's five, 44.8 M at 128 and 44.9 M at 256 pixels."""
    with torch.device("meta"):
        assert [round(millions(StarGANGenerator(["a"] * count)), 2) for count in (1, 13)] == [8.42, 8.46]
        five = ["a"] * 5
        assert [round(millions(StarGANDiscriminator(five, size)), 1) for size in (128, 256)] == [44.8, 44.9]
        assert StarGANDiscriminator(image_size=256).classes.kernel_size == (4, 4)


def instance_norm(x: Tensor, layer: nn.Module) -> Tensor:
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
    weight, bias = layer.weight[:, None, None], layer.bias[:, None, None]
    return (x - mean) / (variance + 1e-5).sqrt() * weight + bias


def test_the_generator_is_its_layer_list():
    torch.manual_seed(0)
    network = StarGANGenerator(("Male", "Smiling"), width=3, blocks=2).double()
    for parameter in network.parameters():
        parameter.data = torch.randn_like(parameter) / max(1, parameter[0].numel()) ** 0.5
    convolutions = [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    norms = iter([m for m in network.modules() if isinstance(m, nn.InstanceNorm2d)])
    first, down1, down2, *blocks, up1, up2, last = convolutions
    image, labels = images(2, 16, dtype=torch.float64), torch.tensor([[0.0, 1], [1, 1]])
    planes = torch.stack([torch.stack([torch.full((16, 16), value) for value in row]) for row in labels.tolist()])
    x = torch.cat([image, planes.double()], dim=1)
    x = instance_norm(F.conv2d(x, first, padding=3), next(norms)).relu()
    x = instance_norm(F.conv2d(x, down1, stride=2, padding=1), next(norms)).relu()
    x = instance_norm(F.conv2d(x, down2, stride=2, padding=1), next(norms)).relu()
    for one, two in zip(blocks[::2], blocks[1::2], strict=True):
        y = instance_norm(F.conv2d(x, one, padding=1), next(norms)).relu()
        x = x + instance_norm(F.conv2d(y, two, padding=1), next(norms))
    x = instance_norm(F.conv_transpose2d(x, up1, stride=2, padding=1), next(norms)).relu()
    x = instance_norm(F.conv_transpose2d(x, up2, stride=2, padding=1), next(norms)).relu()
    truth = F.conv2d(x, last, padding=3).tanh()
    assert len(blocks) == 4 and next(norms, None) is None
    torch.testing.assert_close(network(image, labels), truth)


def test_a_picture_depends_on_nothing_but_its_face_and_labels():
    """Not on training or evaluation mode, on the rest of the batch, or on what came before."""
    torch.manual_seed(0)
    network, image, labels = StarGANGenerator(width=4, blocks=1), images(3), torch.tensor([[0.0], [1], [1]])
    truth = network.train()(image, labels)
    assert not list(network.buffers())
    network.eval()
    for k in range(3):
        torch.testing.assert_close(network(image[k : k + 1], labels[k : k + 1])[0], truth[k])
    assert (network(image, 1 - labels) - truth).abs().amax(dim=(1, 2, 3)).min() > 1e-3, "the labels are not seen"


def test_the_discriminator_has_as_many_layers_as_the_picture_has_room_for():
    def maps(size):
        network = StarGANDiscriminator(("Male", "Smiling"), size, width=1)
        scores, logits = network(images(2, size))
        assert logits.shape == (2, 2)
        assert torch.equal(network.scores(images(2, size)), scores)
        return len(network.layers) // 2, scores.shape

    assert [maps(size) for size in (32, 64, 128, 256)] == [
        (4, (2, 1, 2, 2)),
        (5, (2, 1, 2, 2)),
        (6, (2, 1, 2, 2)),
        (6, (2, 1, 4, 4)),
    ]


def test_the_discriminator_is_its_layer_list():
    torch.manual_seed(0)
    network = StarGANDiscriminator(("Male", "Smiling"), 64, width=2).double()
    x = image = images(3, 64, dtype=torch.float64)
    for layer in network.layers[::2]:
        x = F.conv2d(x, layer.weight, layer.bias, stride=2, padding=1)
        x = torch.where(x > 0, x, 0.01 * x)
    scores, logits = network(image)
    torch.testing.assert_close(scores, F.conv2d(x, network.source.weight, padding=1))
    torch.testing.assert_close(logits, torch.einsum("bchw,achw->ba", x, network.classes.weight))


def test_what_does_not_fit_is_refused():
    network = StarGANGenerator(("Male", "Smiling"), width=2, blocks=1)
    with pytest.raises(ValueError, match=r"2 images need labels \[2, 2\] for Male, Smiling, not \[2, 1\]"):
        network(images(2), torch.zeros(2, 1))
    with pytest.raises(ValueError, match="multiples of 4, not 30 x 30"):
        network(images(2, 30), torch.zeros(2, 2))
    with pytest.raises(ValueError, match="takes pictures of 32 x 32 pixels, not 64 x 64"):
        StarGANDiscriminator(image_size=32, width=2)(images(1, 64))
    with pytest.raises(ValueError, match="from 8 pixels a side up, not 4"):
        StarGANDiscriminator(image_size=4)


# ---- the gradient penalty


def test_the_penalty_and_its_gradient_are_those_of_finite_differences():
    torch.manual_seed(0)
    critic = StarGANDiscriminator(image_size=8, width=2).double()
    real, made, mix = images(2, 8, 1, torch.float64), images(2, 8, 2, torch.float64), torch.tensor([0.3, 0.8]).double()
    mix = mix[:, None, None, None]

    @torch.no_grad()
    def by_hand() -> float:
        between, step, total = mix * real + (1 - mix) * made, 1e-6, 0.0
        for picture in between:
            nudges = step * torch.eye(picture.numel(), dtype=torch.float64).reshape(-1, *picture.shape)
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
    penalty = gradient_penalty(lambda x: x.flatten(1).sum(dim=1) * scale, real, made, torch.rand(2, 1, 1, 1))
    penalty.backward()
    assert real.grad is None and made.grad is None and scale.grad.isfinite()


# ---- the step


def in_double(faces, changes=()):
    """A stage in float64 with plain gradient descent: Adam would make whole steps of rounding errors."""
    torch.manual_seed(0)
    stage = make_stage("stargan", TINY.replace(dict(changes)), faces)
    for network in stage.networks.values():
        network.double()
    stage.optimizers = {
        name: torch.optim.SGD(network.parameters(), lr=1e-2) for name, network in stage.networks.items()
    }
    batches = Batches(faces, faces.indices("train"), stage.preset.stargan.batch, seed=3)
    return stage, lambda step: replace(batches.at(step), image=batches.at(step).image.double())


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    chance = logits.sigmoid()
    return -(labels * chance.log() + (1 - labels) * (1 - chance).log()).sum(dim=1).mean()


@pytest.mark.parametrize(("attributes", "identity_weight", "disc_class_weight"), [(1, 0, 1), (2, 0, 1), (1, 7, 3)])
def test_a_step_is_the_papers(attributes, identity_weight, disc_class_weight, tmp_path):
    """Five updates of the discriminator and one of the generator, written once more; and with what is ours."""
    labels = [(1, 1), (1, -1), (-1, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)]
    faces = pack_noise_faces(tmp_path / "toy", [own[:attributes] for own in labels])
    names = ("Smiling", "Male")[:attributes]
    ours = {"stargan.identity_weight": identity_weight, "stargan.disc_class_weight": disc_class_weight}
    stage, at = in_double(faces, {"stargan.attributes": names, **ours})
    batch = at(2)
    generator, judge = (copy.deepcopy(stage.networks[name]) for name in ("stargan", "discriminator"))
    losses = stage.step([batch], Accelerator())

    known = torch.tensor(labels, dtype=torch.float64)[:, :attributes].clamp(min=0)
    draws = (1 + torch.erf(batch.noise(2).double() / math.sqrt(2))) / 2
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
    for ours, theirs in zip(stage.networks["discriminator"].parameters(), judge.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-9)
    for ours, theirs in zip(stage.networks["discriminator"].parameters(), gradients, strict=True):
        torch.testing.assert_close(ours.grad, theirs, rtol=1e-5, atol=1e-8)
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
    for ours, theirs in zip(stage.networks["stargan"].parameters(), generator.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-5, atol=1e-8)
    expected = totals | {name: term.item() for name, term in terms.items()}
    assert {name: value.item() for name, value in losses.items()} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("changed", ["parts", "recompute"])
def test_how_a_step_is_executed_does_not_change_it(changed, faces):
    (plain, at), (other, _) = in_double(faces), in_double(faces)
    if changed == "recompute":
        set_recompute(other.networks["stargan"], True)
    assert_same_steps(plain, other, at, parts=4 if changed == "parts" else 1)


def test_every_update_of_a_step_sees_faces_of_its_own(faces):
    stage, at = in_double(faces)
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
    """One of four in the train split; all of the test split."""
    faces = pack_noise_faces(
        tmp_path / "toy", [(1,), (-1,), (-1,), (1,), (-1,), (1,)], ("train", "train", "train", "test")
    )
    faces.records[5] = replace(faces.records[5], attributes={"Smiling": -1})
    stage, at = in_double(faces)
    shares = [stage.asked(at(step))[1] for step in range(60)]
    assert not torch.equal(shares[0], shares[1])
    count = len(torch.cat(shares))
    assert torch.cat(shares).mean().item() == pytest.approx(1 / 5, abs=4 * (0.16 / count) ** 0.5)
    mixes = torch.cat([stage.asked(at(step))[2] for step in range(60)])
    assert mixes.min() >= 0 and mixes.max() <= 1 and mixes.mean().item() == pytest.approx(0.5, abs=0.05)


def test_the_penalty_is_not_autocast(faces, monkeypatch):
    """accelerate has ``forward`` compute in half precision; a penalty from that would be noise."""
    torch.manual_seed(0)
    stage = make_stage("stargan", TINY, faces)
    judge, seen = stage.networks["discriminator"], []
    monkeypatch.setattr(judge, "forward", torch.autocast("cpu", torch.bfloat16)(judge.forward))
    assert judge(images(1))[0].dtype == torch.bfloat16
    scores = judge.scores
    monkeypatch.setattr(judge, "scores", lambda x: seen.append(scores(x)) or seen[-1])
    stage.step([Batches(faces, faces.indices("train"), 20).at(0)], Accelerator())
    assert len(seen) == 5 and all(map.dtype == torch.float32 for map in seen)


# ---- it learns, and what it cannot learn from


def test_stargan_memorises_two_faces(tmp_path):
    faces = pack_toy_faces(tmp_path / "two", 2)
    preset = TINY.replace(
        {
            "stargan.width": 8,
            "stargan.blocks": 1,
            "stargan.critic_updates": 1,
            "stargan.batch": 2,
            "stargan.lr": 3e-3,
            "log_every": 10,
            "checkpoint_every": 999,
            "sample_every": 999,
        }
    )
    log = train_stage("stargan", preset, faces, tmp_path / "run", steps=80)
    network = load_weights(tmp_path / "run" / "stargan.safetensors")
    batch = Batches(faces, np.arange(2), 2).at(0)
    labels = torch.from_numpy(batch.index % 2).float()[:, None]
    with torch.no_grad():
        back = psnr(network(network(batch.image, 1 - labels), labels), batch.image).min().item()
    assert back > 15 and log[-1]["cycle"] < 0.4 * log[0]["cycle"]
    assert log[-1]["real classes"] < 0.3 < 0.5 < log[0]["real classes"]


def test_faces_that_do_not_show_an_attribute_both_ways_are_refused(faces, tmp_path):
    def make(data, *attributes, batch=TINY.stargan.batch):
        make_stage("stargan", TINY.replace({"stargan.attributes": attributes, "stargan.batch": batch}), data)

    with pytest.raises(TrainingError, match=r"has no attribute 'Bald'; it has: Smiling\. Name others"):
        make(faces, "Smiling", "Bald")
    with pytest.raises(TrainingError, match="No attribute is named"):
        make(faces)
    everyone = pack_noise_faces(tmp_path / "all", [(1, 1), (1, -1), (-1, -1)], ("train", "train", "test"))
    with pytest.raises(TrainingError, match="has no face without Smiling in its train split"):
        make(everyone, "Male", "Smiling")
    nobody = pack_noise_faces(tmp_path / "none", [(-1, 1), (-1, -1)])
    with pytest.raises(TrainingError, match="has no face with Smiling in its train split"):
        make(nobody, "Smiling")
    with pytest.raises(ValueError, match=r"stargan\.batch must be a multiple of 5, not 12"):
        make(faces, "Smiling", batch=12)
