"""Attributes given and taken in several ways: constants and copies as ways, whose measures are known."""

import numpy as np
import pytest
import torch
from stub_judges import Judges
from torch import nn

from maskgan_lib import checkpoints
from maskgan_lib.__main__ import main
from maskgan_lib.classes import CLASS_ID
from maskgan_lib.data.packed import DataError, FaceRecord, PackedWriter
from maskgan_lib.evaluation.attribute_edits import (
    FROM_PHOTO,
    FROM_RETURNED,
    IDENTITY,
    PHOTO,
    REACHED,
    UNASKED,
    compare_attribute_edits,
)
from maskgan_lib.evaluation.judges import PRETRAINED
from maskgan_lib.evaluation.methods import EDITING, TRANSFER, Request, TrainedMethod, method_of
from maskgan_lib.evaluation.tasks import to_change
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.methods.spade import SPADEGenerator
from maskgan_lib.methods.stargan import StarGANGenerator
from maskgan_lib.networks import one_hot
from maskgan_lib.training.stage import TrainingError

SIZE, COUNT = 32, 20
NAMES = ("Smiling", "Bangs", "Male")


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Random grey pictures: a face that smiles is bright, as the stub judge sees it, but for every fifth face."""
    rng = np.random.default_rng(0)
    with PackedWriter(tmp_path_factory.mktemp("faces") / "faces", SIZE, COUNT, "grey faces", NAMES) as writer:
        for i in range(COUNT):
            smiles = i % 2 == 0
            bright = smiles != (i % 5 == 0)
            image = rng.integers(140, 200, (SIZE, SIZE, 3)) - (0 if bright else 100)
            mask = np.full((SIZE, SIZE), CLASS_ID["skin"], np.uint8)
            mask[:4], mask[24:28, 12:20] = CLASS_ID["hair"], CLASS_ID["mouth"]
            record = FaceRecord(
                str(i), "test", i, {"Smiling": 1 if smiles else -1, "Bangs": 1 if i % 5 else -1, "Male": 1}
            )
            writer.write(i, image.astype(np.uint8), mask, record)
        return writer.finish()


@pytest.fixture
def judges():
    return Judges()


def edits(name, make, attributes=None) -> TrainedMethod:
    return TrainedMethod(name, make, name, (EDITING,), attributes=attributes)


def constant(name, level, attributes=None) -> TrainedMethod:
    return edits(name, lambda asked: torch.full_like(asked.target, level), attributes)


def test_a_copy_and_a_constant_get_what_is_theirs(faces, judges):
    ways = [constant("white", 1.0), constant("black", -1.0)]
    made = compare_attribute_edits(ways, faces, np.arange(COUNT), judges)
    assert made.records.methods == (PHOTO.name, "white", "black")
    assert made.records.tasks == ("Smiling given", "Smiling taken")
    smiles = faces.attribute("Smiling") > 0
    bright = np.asarray(faces.images).mean((1, 2, 3)) > 127.5
    for how, asked, wanted in (("given", ~smiles, True), ("taken", smiles, False)):
        edit = f"Smiling {how}"
        copy = made.records.mean(PHOTO.name, REACHED, edit)
        assert copy.count == asked.sum() and copy.value == pytest.approx(100 * (bright[asked] == wanted).mean())
        assert copy.low <= copy.value <= copy.high
        assert made.records.mean("white", REACHED, edit).value == (100 if wanted else 0)
        assert made.records.mean("black", REACHED, edit).value == (0 if wanted else 100)
    assert 0 < made.records.mean(PHOTO.name, REACHED).value < 100
    assert made.records.mean(PHOTO.name, IDENTITY).value == pytest.approx(1)
    for measure in (FROM_PHOTO, FROM_RETURNED):
        assert made.records.mean(PHOTO.name, measure).value == 0
    assert made.records.mean("white", FROM_RETURNED).value == 0
    far = np.ones((SIZE, SIZE), bool)
    far[24 - 3 : 28 + 3, 12 - 3 : 20 + 3] = False  # a tenth of the height, 3 pixels, around the mouth
    expected = np.mean([(255 - image[far].astype(float)).mean() for image in faces.images])
    assert made.records.mean("white", FROM_PHOTO).value == pytest.approx(expected, rel=1e-4)


def test_only_change_far_from_where_the_attribute_shows_counts(faces, judges):
    def touch(asked, box):
        made = asked.target.clone()
        if asked.attribute is not None:
            made[:, :, box[0], box[1]] += 0.5
        return made

    mouth = edits("mouth", lambda asked: touch(asked, np.s_[21:31, 9:23]))
    hair = edits("hair", lambda asked: touch(asked, np.s_[:4, :]))
    made = compare_attribute_edits([mouth, hair], faces, np.arange(COUNT), judges)
    share = 4 * SIZE / (SIZE**2 - 10 * 14)
    for measure in (FROM_PHOTO, FROM_RETURNED):
        assert made.records.mean("mouth", measure).value == 0
        assert made.records.mean("hair", measure).value == pytest.approx(0.5 * 127.5 * share, rel=1e-4)


def test_what_a_way_cannot_paint_is_not_the_edit_s(faces, judges):
    darker = edits("darker", lambda asked: asked.target - 0.1)
    made = compare_attribute_edits([darker], faces, np.arange(COUNT), judges)
    assert made.records.mean("darker", FROM_PHOTO).value == pytest.approx(12.75, rel=1e-4)
    assert made.records.mean("darker", FROM_RETURNED).value == pytest.approx(0, abs=1e-4)


def test_what_a_way_does_to_every_face_is_told_from_what_it_was_asked_for(faces, judges):
    always_white = constant("white", 1.0)
    white_if_asked = edits("asked", lambda asked: torch.full_like(asked.target, 1.0 if asked.attribute else -1.0))
    made = compare_attribute_edits([always_white, white_if_asked], faces, np.arange(COUNT), judges)
    for way, unasked in (("white", 100), ("asked", 0)):
        assert made.records.mean(way, REACHED, "Smiling given").value == 100
        assert made.records.mean(way, UNASKED, "Smiling given").value == unasked
    assert made.records.mean("white", UNASKED, "Smiling taken").value == 0


def test_each_way_is_asked_only_for_what_it_knows_and_only_common_edits_are_averaged(faces):
    judges = Judges(attribute_names=("Bangs", "Smiling"))
    seen = []
    knows_one = edits("one", lambda asked: seen.append(asked.attribute) or asked.target, ("Smiling", "Wings"))
    made = compare_attribute_edits([knows_one, constant("all", 0.3)], faces, np.arange(COUNT), judges)
    assert set(seen) == {None, "Smiling"} and made.common == ("Smiling given", "Smiling taken")
    assert made.records.tasks == ("Smiling given", "Smiling taken", "Bangs given", "Bangs taken")
    assert made.records.mean("one", REACHED, "Bangs given").count == 0
    assert made.records.mean("all", REACHED, "Bangs taken").count == (faces.attribute("Bangs") > 0).sum()
    text, one = made.markdown(), compare_attribute_edits([knows_one], faces, np.arange(COUNT), judges, ["Smiling"])
    assert "one does not know Bangs and is left out there." in text and "over Smiling given, Smiling taken |" in text
    assert not any(line.split(",")[1:3] == ["Bangs given", "one"] for line in made.csv().splitlines())
    assert one.records.tasks == made.records.tasks[:2]


def test_what_cannot_be_measured_is_said(faces, judges):
    white, judges.identity_net = constant("white", 1.0), None
    assert compare_attribute_edits([white], faces, np.arange(4), judges).records.mean("white", IDENTITY).count == 0
    with pytest.raises(DataError, match=r"of Male: masks show Smiling.* know Smiling"):
        compare_attribute_edits([white], faces, np.arange(4), judges, attributes=["Male"])
    with pytest.raises(DataError, match=r"of these methods.* know none"):
        compare_attribute_edits([constant("white", 1.0, ("Male",))], faces, np.arange(4), judges)
    with pytest.raises(TrainingError, match="SPADE renders masks: name the weights"):
        compare_attribute_edits([method_of("SPADE", spade())], faces, np.arange(2), judges)
    with pytest.raises(TrainingError, match="A cannot be asked to give or take an attribute"):
        compare_attribute_edits([TrainedMethod("A", None, "a", (TRANSFER,))], faces, np.arange(2), judges)


# ---- trained networks


@pytest.fixture
def asked():
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, SIZE, SIZE, generator=generator) * 2 - 1
    masks = torch.randint(0, 19, (2, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    labels = {"Smiling": torch.tensor([True, False]), "Bangs": torch.tensor([True, True])}
    return Request(EDITING, images, masks, images, masks, masks, labels=labels)


@torch.no_grad()
def test_networks_are_asked_for_the_other_label(asked):
    torch.manual_seed(0)
    kinds = SeCGANGenerator, StarGANGenerator
    secgan, stargan = (kind(["Bangs", "Smiling"], width=4, blocks=1).eval() for kind in kinds)
    wish, method = to_change(asked, "Smiling"), method_of("SeCGAN", secgan, SIZE)
    assert method.attributes == ("Bangs", "Smiling")
    assert torch.equal(method.make(wish), secgan(asked.target, torch.tensor([[0.0, -1.0], [0.0, 1.0]])))
    assert torch.equal(method.make(asked), secgan(asked.target, torch.zeros(2, 2)))
    method = method_of("StarGAN", stargan, SIZE)
    assert torch.equal(method.make(wish), stargan(asked.target, torch.tensor([[1.0, 0.0], [1.0, 1.0]])))
    assert torch.equal(method.make(asked), stargan(asked.target, torch.tensor([[1.0, 1], [1, 0]])))


class Moves:
    """Masks that become left eyes for more of a smile, and right ears for less."""

    attributes, network = ("Smiling",), nn.Identity()

    def move(self, mask, amounts):
        assert set(amounts) == {"Smiling"}
        return np.full_like(mask, 5 if amounts["Smiling"] == 1 else 7)


def spade() -> SPADEGenerator:
    torch.manual_seed(1)
    network = SPADEGenerator(width=1, mask_width=2, latent=3, bottom=1, style_size=8)
    for parameter in network.parameters():
        nn.init.normal_(parameter, 0, 0.5)
    return network.eval()


@torch.no_grad()
def test_moved_masks_are_rendered_in_the_face_s_own_style(asked):
    network = spade()
    moved = one_hot(torch.tensor([7, 5], dtype=torch.uint8)[:, None, None].expand(2, SIZE, SIZE))
    own = one_hot(asked.target_mask)
    style, method = network.encode_style(asked.target, own), method_of("SPADE", network)
    assert torch.equal(method.make(to_change(asked, "Smiling", Moves())), network.render(moved, style))
    assert torch.equal(method.make(asked), network.render(own, style))


def test_a_method_that_renders_masks_knows_what_moves_them(faces, judges, tmp_path, monkeypatch):
    arguments = [method_of("SPADE", spade())], faces, np.arange(6), judges, Moves()
    made = compare_attribute_edits(*arguments, cache=tmp_path)
    assert made.records.methods == (PHOTO.name, "moved mask, SPADE")
    monkeypatch.setattr(Moves, "move", None)
    assert compare_attribute_edits(*arguments, cache=tmp_path).csv() == made.csv(), "what was measured is kept"


def test_the_command_compares_weights_by_name(faces, tmp_path, capsys):
    for name, network in (
        ("g_rgb", SeCGANGenerator(width=4, blocks=1)),
        ("g_seg", SeCGANGenerator(branch="seg", width=4, blocks=1)),
        ("spade", SPADEGenerator(width=1, mask_width=2, latent=3, bottom=1, style_size=8)),
    ):
        checkpoints.save_weights(tmp_path / f"{name}.safetensors", network, {"image_size": 32})
    command = f"evaluate attribute-edits --data {faces.folder} --out {tmp_path} --judges {PRETRAINED} --faces 6"
    command += f" --masks {tmp_path}/g_seg.safetensors --networks renders={tmp_path}/spade.safetensors"
    assert main([*command.split(), f"SeCGAN={tmp_path}/g_rgb.safetensors"]) == 0
    written = (tmp_path / "attribute-edits.md").read_text()
    assert written in capsys.readouterr().out and "| moved mask, renders |" in written
    assert "Smiling given" in (tmp_path / "attribute-edits.csv").read_text()
