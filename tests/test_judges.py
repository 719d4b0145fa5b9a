"""The nets that grade: what they are, that they learn, how they are asked, and how their own errors are counted."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torchvision.models import resnet18
from toy_faces import pack_pictures, pack_toy_faces

from maskgan_lib.checkpoints import CheckpointError, load_weights, save_weights
from maskgan_lib.data.batches import Batches, flip, to_float_image
from maskgan_lib.data.packed import DataError
from maskgan_lib.data.procedural import render_packed
from maskgan_lib.evaluation.judges import GRADED, Judge, Judges, measure_attributes, measure_parser
from maskgan_lib.evaluation.metrics import confusion_matrix, pixel_accuracy
from maskgan_lib.judges.attributes import AttributeNet
from maskgan_lib.judges.identity import IdentityNet
from maskgan_lib.judges.parser import FaceParser, class_weights
from maskgan_lib.judges.pose import PoseNet
from maskgan_lib.judges.stage import imperfect, nearest
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import make_stage, train_stage

# ---- the attribute net


@torch.no_grad()
def test_the_attribute_net_is_resnet_18():
    torch.manual_seed(0)
    theirs = resnet18(num_classes=3).eval()
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            for numbers in (module.weight, module.running_var):
                numbers.uniform_(0.5, 2)
            for numbers in (module.bias, module.running_mean):
                numbers.normal_()
    ours = AttributeNet(["Male", "Smiling", "Young"]).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    image = torch.randn(2, 3, 75, 96)
    torch.testing.assert_close(ours(image), theirs(image))
    theirs.fc = nn.Identity()
    torch.testing.assert_close(ours.features(image), theirs(image))


# ---- what they learn from


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return pack_toy_faces(tmp_path_factory.mktemp("judges") / "toy", 8)


def test_imperfect_photos_keep_their_masks(faces):
    batch = Batches(faces, np.arange(8), 8, seed=1).at(0)
    image, mask, mirrored = imperfect(batch)
    mirrored_image, mirrored_mask = flip(batch.image, batch.mask)
    assert 0 < sum(mirrored) < 8
    assert image.abs().max() <= 1
    for k, turned in enumerate(mirrored):
        right, wrong = (mirrored_image, batch.image) if turned else (batch.image, mirrored_image)
        assert torch.equal(mask[k], (mirrored_mask if turned else batch.mask)[k])
        assert likeness(image[k], right[k]) > max(0.8, likeness(image[k], wrong[k]))
        assert 0.005 < (image[k] - right[k]).abs().mean() < 0.3


def likeness(a: torch.Tensor, b: torch.Tensor) -> float:
    """Correlation of two pictures."""
    return torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1].item()


def test_imperfections_depend_on_seed_and_step_alone(faces):
    def draw(seed: int, step: int):
        return imperfect(Batches(faces, np.arange(1), 2, seed).at(step))[0]

    assert torch.equal(draw(1, 4), draw(1, 4))
    assert not torch.equal(draw(1, 4), draw(1, 5)) and not torch.equal(draw(1, 4), draw(2, 4))
    whole, half = (Batches(faces, np.arange(8), 4, 1, rank=rank, world=world).at(0) for rank, world in ((0, 1), (1, 2)))
    assert torch.equal(imperfect(whole)[0][2:], imperfect(half)[0])


def test_nearest_is_brute_force():
    features = torch.randn(9, 4, generator=torch.Generator().manual_seed(0))
    for place, found in enumerate(nearest(features)):
        cosines = [torch.cosine_similarity(features[place], other, dim=0).item() for other in features]
        cosines[place] = -9
        assert found == int(np.argmax(cosines))


# ---- the stages

SMOKE = replace(PRESETS["smoke"], ema_decay=0.8, log_every=50, checkpoint_every=999, sample_every=999)


def test_losses_are_cross_entropies(faces):
    batch = Batches(faces, np.arange(8), 4, seed=1).at(0)
    image, mask, _ = imperfect(batch)

    stage = make_stage("parser", SMOKE, faces)
    shares = stage.networks["parser"](image).softmax(dim=1).gather(1, mask[:, None].long())
    assert stage.step([batch], Accelerator())["loss"].item() == pytest.approx(-shares.log().mean().item(), rel=1e-4)

    stage = make_stage("attributes", SMOKE, faces)
    yes = stage.networks["attributes"](image)[:, 0].sigmoid()
    smiles = torch.as_tensor(batch.index % 2 == 1)
    by_hand = -torch.where(smiles, yes, 1 - yes).log().mean().item()
    losses = stage.step([batch], Accelerator())
    assert losses["loss"].item() == pytest.approx(by_hand, rel=1e-4)
    assert losses["wrong"].item() == ((yes > 0.5) != smiles).float().mean().item()


def memorised(stage: str, faces, folder, steps: int = 120, **settings) -> torch.Tensor:
    """What the network of a stage makes of the faces that it was trained on."""
    preset = SMOKE.replace({f"{stage}.{name}": value for name, value in {"width": 8, "lr": 1e-2, **settings}.items()})
    train_stage(stage, preset, faces, folder, steps=steps)
    with torch.no_grad():
        return load_weights(folder / f"{stage}.safetensors")(to_float_image(faces.images))


def test_each_judge_memorises_faces(faces, tmp_path):
    two = pack_toy_faces(tmp_path / "two", 2)
    parsed = memorised("parser", two, tmp_path / "parser", batch=4).argmax(dim=1)
    assert pixel_accuracy(confusion_matrix(parsed, torch.as_tensor(np.array(two.masks)))) >= 0.97
    smiles = memorised("attributes", faces, tmp_path / "attributes")[:, 0] > 0
    assert smiles.tolist() == [False, True] * 4
    assert torch.equal(nearest(memorised("identity", faces, tmp_path / "who", 60)) // 2, torch.arange(8) // 2)


def test_a_parser_of_merged_classes_learns_from_merged_masks(faces):
    """The 12 classes: eyes without sides, lips without up and down, what is left over together."""
    batch = Batches(faces, np.arange(8), 4, seed=1).at(0)
    image, mask, _ = imperfect(batch)
    stage = make_stage("parser", SMOKE.replace({"parser.classes": 12, "parser.balance": 0.5}), faces)
    new = np.zeros(19, int)
    new[[0, 1, 2, 4, 5, 10, 13]] = 11, 0, 6, 2, 2, 7, 10  # the classes that toy faces have
    counts = np.bincount(new[np.array(faces.masks)].flatten(), minlength=12)
    weights = torch.tensor([(counts.max() / count) ** 0.5 if count else 1.0 for count in counts]).float()
    torch.testing.assert_close(stage.weights, weights)
    chances = stage.networks["parser"](image).log_softmax(dim=1)
    merged = torch.as_tensor(new[mask.numpy()])
    right = chances.gather(1, merged[:, None])[:, 0]
    by_hand = -(weights[merged] * right).sum() / weights[merged].sum()
    assert stage.step([batch], Accelerator())["loss"].item() == pytest.approx(by_hand.item(), rel=1e-4)
    with torch.no_grad():
        assert stage.sample(stage.networks, batch).shape == (3 * 32, 4 * 32, 3)
    with pytest.raises(ValueError, match=r"parser\.classes must be 19 or 12, not 13"):
        make_stage("parser", SMOKE.replace({"parser.classes": 13}), faces)


def test_rare_classes_weigh_by_a_power_of_their_share(faces):
    counts = np.bincount(np.asarray(faces.masks).reshape(-1), minlength=19)
    expected = [(count / counts.max()) ** -0.5 if count else 1 for count in counts]
    assert class_weights(faces, 0.5).tolist() == pytest.approx(expected)
    assert torch.equal(class_weights(faces, 0.0), torch.ones(19))


def test_faces_without_attributes_teach_none(tmp_path):
    faces = pack_pictures(tmp_path / "plain", np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(TrainingError, match="plain knows no attributes"):
        make_stage("attributes", SMOKE, faces)


# ---- asking the judges


class Brightness(nn.Module):
    """Class logits of a pixel that only depend on red: class k where it is k / 20."""

    def __init__(self):
        super().__init__()
        self.levels = nn.Parameter(torch.arange(19) / 20)

    def forward(self, image):
        return -(image[:, :1] - self.levels[:, None, None]).abs()


@pytest.mark.parametrize("size", [16, 32, 64])
def test_parse_answers_at_the_pictures_size(size):
    labels = torch.arange(16).reshape(1, 4, 4)
    labels = labels.repeat_interleave(size // 4, dim=1).repeat_interleave(size // 4, dim=2)
    images = (labels / 20)[:, None].expand(2, 3, -1, -1)
    judge = Judge(Brightness(), 32, {})
    parsed = Judges(judge, judge).parse(images)
    assert parsed.dtype == torch.uint8 and parsed.shape == (2, size, size)
    # Where the picture was resized, the borders between two levels are mixed.
    place, margin = torch.arange(size) % (size // 4), 0 if size == 32 else size // 16
    inner = (place >= margin) & (place < size // 4 - margin)
    keep = inner[:, None] & inner
    assert torch.equal(parsed[:, keep].long(), labels[0, keep].expand(2, -1))


def test_pictures_are_resized_without_aliases():
    stripes = torch.tensor([-1.0, 1, 1, -1]).repeat(32).expand(1, 3, 128, 128)
    seen = []
    Judge(nn.Linear(1, 1), 32, {}).ask(stripes, lambda images: seen.append(images) or images)
    assert seen[0].shape == (1, 3, 32, 32)
    assert seen[0][..., 1:-1].abs().max() < 1e-5


NETWORKS = {
    "parser": FaceParser(width=2),
    "attributes": AttributeNet(["Male", "Smiling"], width=2),
    "identity": IdentityNet(32, 4, width=2),
    "pose": PoseNet(width=2),
}


def save(folder, *names, data="toys", **card):
    for name in names:
        save_weights(folder / f"{name}.safetensors", NETWORKS[name], {"image_size": 32, "data": data, **card})


def test_judges_answer_with_what_is_there(tmp_path):
    save(tmp_path, "parser", preset={})
    save(tmp_path, "attributes", image_size=64)
    few = Judges.shipped(folder=tmp_path)
    assert set(few.by_role) == {"parser", "attributes"}
    for ask in (few.identity, few.pose):
        with pytest.raises(CheckpointError, match=r"There is no \w+ net among these judges"):
            ask(torch.rand(1, 3, 32, 32))
    save(tmp_path, "attributes", "identity", "pose", data="published: them")
    judges, images = Judges.shipped(folder=tmp_path), torch.rand(3, 3, 32, 32) * 2 - 1
    assert [few.attribute_net.size, judges.attribute_net.size] == [64, 32], "the size that it learnt at"
    network = NETWORKS["attributes"].eval()
    assert judges.attribute_names == ("Male", "Smiling")
    assert torch.equal(judges.attributes(images), network(images).detach())
    assert torch.equal(judges.features(images), network.features(images).detach())
    assert judges.features(torch.rand(3, 3, 100, 100)).shape == (3, 16)
    assert not judges.attributes(images).requires_grad
    torch.testing.assert_close(judges.identity(images).norm(dim=1), torch.ones(3))
    torch.testing.assert_close(judges.pose(images), NETWORKS["pose"].eval().degrees(images).detach())
    assert judges.pose(torch.rand(2, 3, 80, 80)).shape == (2, 3)
    assert judges.origins == {"parser": "trained here on toys"} | dict.fromkeys(list(NETWORKS)[1:], "published: them")
    assert judges.fingerprint == Judges.shipped(folder=tmp_path).fingerprint != few.fingerprint


def test_judges_that_cannot_be_had_are_named(tmp_path):
    parser, attributes = tmp_path / "parser.safetensors", tmp_path / "attributes.safetensors"
    save(tmp_path, "parser", "attributes")
    with pytest.raises(CheckpointError, match=rf"{re.escape(str(parser))} holds a FaceParser, no AttributeNet"):
        Judges.load({"parser": parser, "attributes": parser})
    save_weights(parser, FaceParser(width=2))
    with pytest.raises(CheckpointError, match=r"parser\.safetensors does not say which image_size"):
        Judges.load({"parser": parser, "attributes": attributes})
    save_weights(parser, FaceParser(12, width=2), {"image_size": 32})
    with pytest.raises(CheckpointError, match=r"parser\.safetensors knows 12 classes, a judge 19"):
        Judges.load({"parser": parser, "attributes": attributes})
    parser.unlink()
    with pytest.raises(CheckpointError, match=r"There is no file .*parser\.safetensors"):
        Judges.shipped(folder=tmp_path)


def test_the_shipped_judges_know_procedural_faces(tmp_path):
    faces = render_packed(tmp_path / "packed", 12, 128, seed=11, workers=1, progress=False)
    judges, images = Judges.shipped(), to_float_image(faces.images)
    masks = torch.as_tensor(np.array(faces.masks))
    assert pixel_accuracy(confusion_matrix(judges.parse(images), masks)) > 0.95
    smaller = judges.parse(images[..., ::2, ::2])
    assert pixel_accuracy(confusion_matrix(smaller, masks[:, ::2, ::2])) > 0.85
    truth = torch.as_tensor(np.stack([faces.attribute(name) > 0 for name in judges.attribute_names], axis=1))
    assert set(GRADED) <= set(judges.attribute_names)
    assert ((judges.attributes(images) > 0) == truth).float().mean() > 0.9


# ---- the judges' own errors


class ReadsRed(nn.Module):
    """A parser of pictures whose red is ten times the class, except that hair comes out as skin if it is forgetful."""

    def __init__(self, forgetful: bool, merged: bool = False):
        super().__init__()
        self.forgetful = nn.Parameter(torch.tensor(float(forgetful)))
        self.merged = merged

    def forward(self, image):
        labels = ((image[:, 0] + 1) * 12.75).round().long()
        if self.forgetful:
            labels[labels == 13] = 1
        if self.merged:
            labels = torch.tensor([11, 0, *[-1] * 11, 10])[labels]
        return nn.functional.one_hot(labels, 12 if self.merged else 19).movedim(-1, 1).float()


class ReadsGreen(nn.Module):
    """Says yes to an attribute where its pixel of the first row is green."""

    def __init__(self, attributes):
        super().__init__()
        self.config = {"attributes": attributes}
        self.sharpness = nn.Parameter(torch.tensor(5.0))

    def forward(self, image):
        return self.sharpness * image[:, 1, 0, : len(self.config["attributes"])]


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    """Twenty faces whose red tells the class and whose green says "Smiling" and "Wings" to all, "Male" to none."""
    masks = np.random.default_rng(0).choice([0, 1, 13], (20, 16, 16)).astype(np.uint8)
    pictures = np.zeros((20, 16, 16, 3), np.uint8)
    pictures[..., 0], pictures[:, 0, 1:3, 1] = 10 * masks, 255
    attributes = [{"Male": 1 if i < 5 else -1, "Smiling": 1 if i < 16 else -1} for i in range(20)]
    return pack_pictures(tmp_path_factory.mktemp("painted") / "packed", pictures, masks, attributes=attributes)


def test_parser_figures(painted):
    indices = np.arange(20)
    assert [figure.value for figure in measure_parser(ReadsRed(forgetful=False), painted, indices)] == [1, 1]
    accuracy, iou = measure_parser(ReadsRed(forgetful=True), painted, indices)
    hair, skin = ((np.asarray(painted.masks) == name).mean() for name in (13, 1))
    assert accuracy.value == pytest.approx(1 - hair) and accuracy.faces == 20
    assert iou.value == pytest.approx((1 + 0 + skin / (skin + hair)) / 3)
    assert [figure.value for figure in measure_parser(ReadsRed(False, merged=True), painted, indices)] == [1, 1]
    assert measure_parser(ReadsRed(True, merged=True), painted, indices) == [accuracy, iou]


def test_attribute_figures(painted):
    figures = measure_attributes(ReadsGreen(["Male", "Smiling", "Wings"]), painted, np.arange(20))
    assert {figure.name: figure.value for figure in figures} == {
        "accuracy Smiling": 16 / 20,
        "accuracy Male": 15 / 20,
        "mean accuracy of all 2 attributes": pytest.approx((16 + 15) / 40),
        "the same of always giving the commoner answer": pytest.approx((16 + 15) / 40),
    }
    assert figures[0].interval[0] < figures[0].value < figures[0].interval[1]
    first_ten = measure_attributes(ReadsGreen(["Male", "Smiling"]), painted, np.arange(10))
    assert [figure.value for figure in first_ten] == [1, 0.5, 0.75, 0.75]
    with pytest.raises(DataError, match="knows none of the attributes"):
        measure_attributes(ReadsGreen(["Wings"]), painted, np.arange(20))
