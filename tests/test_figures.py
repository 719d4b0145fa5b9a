"""What is measured on shipped weights, against networks whose answers are known."""

from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import nn
from toy_faces import pack_toy_faces

from maskgan_lib.__main__ import main
from maskgan_lib.attribute_masks import KEPT
from maskgan_lib.classes import CLASS_ID, GROUPS
from maskgan_lib.data.packed import DataError
from maskgan_lib.data.procedural import render_packed
from maskgan_lib.evaluation.figures import (
    FIGURES,
    measure_blender,
    measure_dmn,
    measure_elegant,
    measure_maskvae,
    measure_secgan,
    measure_secgan_masks,
    measure_stargan,
)
from maskgan_lib.evaluation.judges import PRETRAINED
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.networks import MaskVAE
from maskgan_lib.training.stage import TrainingError

SMILES, BEARD, WHO = "Smiling", "No_Beard", "the attribute net of this test"


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return render_packed(tmp_path_factory.mktemp("faces") / "packed", 20, 64, seed=3, workers=1, progress=False)


class GivesBack(nn.Module):
    """A MaskVAE that returns its input, except that hair comes out as skin if it is forgetful."""

    def __init__(self, forgetful: bool):
        super().__init__()
        self.forgetful = forgetful
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, mask):
        logits = mask.clone()
        if self.forgetful:
            logits[:, 1] += mask[:, 13]
            logits[:, 13] = 0
        return logits, None, None


class PaintsClasses(nn.Module):
    """A DMN that paints every class in a grey of its own, with nothing taken from the picture but its batch."""

    def __init__(self):
        super().__init__()
        self.greys = nn.Parameter(torch.linspace(-1, 1, 19))

    def encode_style(self, image, mask):
        return image.mean(dim=(2, 3))

    def render(self, mask, style):
        grey = torch.einsum("bchw,c->bhw", mask, self.greys)
        return grey[:, None].expand(-1, 3, -1, -1) + 1e-3 * torch.rand_like(grey)[:, None]


def decibels(error):
    """PSNR of pictures in [-1, 1] with this mean squared error."""
    return 10 * np.log10(4 / np.asarray(error))


@pytest.fixture(scope="module")
def images(faces):
    return torch.as_tensor(np.array(faces.images)).movedim(-1, 1).float() / 127.5 - 1


def test_maskvae_figures(faces):
    indices = np.arange(len(faces))
    assert [figure.value for figure in measure_maskvae(GivesBack(forgetful=False), faces, indices)] == [1, 1]
    accuracy, iou = measure_maskvae(GivesBack(forgetful=True), faces, indices)
    hair, skin = ((np.asarray(faces.masks) == label).mean() for label in (13, 1))
    assert accuracy.value == pytest.approx(1 - hair) and accuracy.faces == len(indices)
    present = np.unique(faces.masks).size
    assert iou.value == pytest.approx((present - 2 + skin / (skin + hair)) / present)


def test_dmn_figures(faces, images):
    quality, locality = measure_dmn(PaintsClasses(), faces, np.arange(len(faces)))
    grey = torch.linspace(-1, 1, 19)[torch.as_tensor(np.array(faces.masks)).long()][:, None]
    assert quality.value == pytest.approx(decibels((images - grey).square().mean(dim=(1, 2, 3))).mean(), abs=0.05)
    assert quality.interval[0] < quality.value < quality.interval[1]
    assert locality.value > 20  # only noise moves outside the mouth
    with pytest.raises(DataError, match="None of 1 faces tells the change inside a swapped mouth"):
        measure_dmn(PaintsClasses(), faces, np.arange(1))


class Halves(nn.Module):
    """A blender that takes half of each render."""

    def __init__(self):
        super().__init__()
        self.share = nn.Parameter(torch.tensor(0.5))

    def forward(self, inter, outer):
        return self.share * inter + (1 - self.share) * outer, self.share


class Remembers(nn.Module):
    """A DMN whose first render is the photo, a little brighter, and whose second is black."""

    def forward(self, masks, image, style_mask):
        return torch.cat([image + 0.01, torch.full_like(image, -1.0)])


def test_blender_figures(faces, images):
    vae = MaskVAE(faces.size, width=4, latent=4).eval()
    blend, better = measure_blender(Halves(), faces, np.arange(len(faces)), Remembers(), vae)
    error = ((images + 0.01 - 1) / 2 - images).square().mean(dim=(1, 2, 3))  # half of the way to black
    assert blend.value == pytest.approx(decibels(error).mean(), abs=1e-3)
    assert better.value == pytest.approx(decibels(0.01**2), abs=1e-3)


# ---- attributes that are given and taken


class Judge:
    """Sees an attribute where the pixel of its column is bright."""

    attribute_names = ("Young", SMILES, BEARD)
    origins = MappingProxyType({"attributes": "of this test"})

    def attributes(self, images):
        return images[:, 0, 0, :3] - 0.5


class Paints(nn.Module):
    """A StarGAN that darkens pictures and writes labels into pixels, but not that a face has ``fails``."""

    def __init__(self, attributes, fails=None):
        super().__init__()
        self.config, self.fails = {"attributes": attributes}, fails
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images, labels):
        made = images - 0.1
        for column, name in enumerate(self.config["attributes"]):
            bright = (labels[:, column, None] > 0.5) & (name != self.fails)
            made[:, :, 0, Judge.attribute_names.index(name)] = bright * 2.0 - 1
        return made


def by_name(figures):
    return {figure.name: figure for figure in figures}


def test_stargan_is_asked_for_the_other_label_and_comes_back(faces):
    indices = np.arange(18)
    figures = by_name(measure_stargan(Paints([SMILES, BEARD]), faces, indices, Judge()))
    smiling = faces.attribute(SMILES)[indices] > 0
    bright = np.asarray(faces.images)[indices, 0, 1, 0] / 127.5 - 1 > 0.5
    given, taken = (figures[f"Smiling {how}: so judged by {WHO}"] for how in ("given", "taken"))
    assert (given.value, given.faces) == (1, (~smiling).sum()) and (taken.value, taken.faces) == (1, smiling.sum())
    before = [figures[f"Smiling {how}: the same of the photos, unedited"].value for how in ("given", "taken")]
    assert before == pytest.approx([bright[~smiling].mean(), 1 - bright[smiling].mean()])
    names = "PSNR of the edited faces (Smiling) to the photos", "reconstruction PSNR, there and back (Smiling)"
    once, twice = (figures[name].value for name in names)
    assert [once, twice] == pytest.approx([decibels(0.1**2), decibels(0.2**2)], abs=0.4)  # but for the pixels
    lazy = by_name(measure_stargan(Paints([SMILES, BEARD], fails=SMILES), faces, indices, Judge()))
    edits = "Smiling given", "Smiling taken", "No_Beard given"
    assert [lazy[f"{edit}: so judged by {WHO}"].value for edit in edits] == [0, 1, 1]
    alike = by_name(measure_stargan(Paints([SMILES]), faces, np.flatnonzero(faces.attribute(SMILES) > 0)[:3], Judge()))
    assert f"Smiling taken: so judged by {WHO}" in alike and f"Smiling given: so judged by {WHO}" not in alike


class Copies(nn.Module):
    """An ELEGANT that gives the whole of the other face, and its own a little darker."""

    def __init__(self):
        super().__init__()
        self.config = {"attributes": [SMILES]}
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen = []

    def forward(self, a, b, attribute):
        assert attribute == SMILES
        self.seen.append((a, b))
        return a - 0.1, b, b, a


def test_elegant_takes_from_the_next_face_with_the_other_label(faces, images):
    network = Copies()
    figures = by_name(measure_elegant(network, faces, np.arange(20), Judge()))
    targets, sources = (torch.cat(seen) for seen in zip(*network.seen, strict=True))
    smiling = faces.attribute(SMILES) > 0
    assert torch.allclose(targets, images, atol=1e-6)
    for place, source in enumerate(sources):
        (partner,) = [k for k in range(20) if torch.allclose(source, images[k], atol=1e-6)]
        between = [k % 20 for k in range(place + 1, place + 20)]
        assert partner == next(k for k in between if smiling[k] != smiling[place])
    back = figures["reconstruction PSNR, from their own codes (Smiling)"]
    assert back.value == pytest.approx(decibels(0.1**2), abs=1e-3)
    with pytest.raises(DataError, match="nobody can lend"):
        measure_elegant(network, faces, np.flatnonzero(smiling)[:3], Judge())


class Shifts(SeCGANGenerator):
    """A G_rgb that writes what it is asked for into pixels; it gives back pictures a little darker."""

    def forward(self, images, difference):
        made = images - 0.1
        for column, name in enumerate(self.config["attributes"]):
            pixel, wish = made[:, :, 0, Judge.attribute_names.index(name)], difference[:, column, None]
            pixel[:] = torch.where(wish != 0, wish.sign(), pixel)
        return made


def test_secgan_is_asked_for_the_difference(faces):
    indices = np.arange(18)
    figures = by_name(measure_secgan(Shifts([SMILES, BEARD], width=4, blocks=1), faces, indices, Judge()))
    smiling = faces.attribute(SMILES)[indices] > 0
    given, taken = (figures[f"Smiling {how}: so judged by {WHO}"] for how in ("given", "taken"))
    assert (given.value, given.faces) == (1, (~smiling).sum()) and (taken.value, taken.faces) == (1, smiling.sum())
    (back,) = [figure for name, figure in figures.items() if name.startswith("reconstruction")]
    assert (back.name, back.faces) == ("reconstruction PSNR, asked for no change", 18)
    assert back.value == pytest.approx(decibels(0.1**2), abs=1e-3)


class Opens(SeCGANGenerator):
    """A G_seg that draws a mouth of 4 rows on top for more of the attribute, and takes all eyes for skin."""

    def forward(self, x, difference):
        made = x.clone()
        made[:, 0] += made[:, 2]
        made[:, 2] = 0
        for place, amount in enumerate(difference[:, 0]):
            if amount > 0:
                made[place, :, :4], made[place, 7, :4] = 0, 1
        return made


def test_secgan_s_masks_are_given_back_and_the_areas_of_what_shows_attributes_move(faces):
    network = Opens(["Mouth_Slightly_Open", "Male"], "seg", width=4, blocks=1)
    figures = by_name(measure_secgan_masks(network, faces, np.arange(18)))
    masks, has = np.array(faces.masks[:18]), faces.attribute("Mouth_Slightly_Open")[:18] > 0
    eyes, mouth = np.isin(masks, GROUPS["eyes"]), masks == CLASS_ID["mouth"]
    assert figures["share of pixels given back, asked for no change"].value == pytest.approx(1 - eyes.mean())
    assert 0 < figures["mean IoU of these over the classes present"].value < 1
    area = "change of the area of inner mouth"
    given, taken = (figures[f"Mouth_Slightly_Open {how}: {area}"] for how in ("given", "taken"))
    drawn = ~np.isin(masks[~has, :4], KEPT)
    assert given.value == pytest.approx(100 * drawn.mean() * 4 / 64, abs=0.05)
    assert given.faces == (~has).sum() and taken.value == 0
    apart = figures["Mouth_Slightly_Open: this area, of faces with it less of faces without"]
    assert apart.value == pytest.approx(100 * (mouth[has].mean() - mouth[~has].mean()))
    assert len(figures) == 5  # Male shows nowhere in a mask


def test_networks_and_attributes_that_cannot_be_measured_are_said(faces):
    for make in ({"branch": "seg"}, {"concatenate": True}):
        with pytest.raises(TrainingError, match="take g_rgb of the variant"):
            measure_secgan(SeCGANGenerator([SMILES], width=4, blocks=1, **make), faces, np.arange(4), Judge())
    with pytest.raises(TrainingError, match="take the generator of masks"):
        measure_secgan_masks(SeCGANGenerator([SMILES], width=4, blocks=1), faces, np.arange(4))
    with pytest.raises(DataError, match="does not know Male"):
        measure_stargan(Paints(["Male"]), faces, np.arange(4), Judge())


# ---- nothing to measure


@pytest.fixture(scope="module")
def unseen(tmp_path_factory):
    """A packed folder whose faces are all of the train split."""
    return pack_toy_faces(tmp_path_factory.mktemp("train") / "packed", 2, 64).folder


@pytest.mark.parametrize("name", FIGURES)
def test_a_folder_without_test_faces_is_one_sentence_and_no_card(name, unseen, tmp_path, capsys):
    file = {"secgan-faces": "secgan"}.get(name, name)
    command = ["evaluate", name, "--weights", str(PRETRAINED / f"{file}.safetensors"), "--data", str(unseen)]
    for other in ("dmn", "maskvae") if name == "blender" else ():
        command += [f"--{other}", str(PRETRAINED / f"{other}.safetensors")]
    assert main([*command, "--publish", str(tmp_path / "card.safetensors")]) == 1
    said = capsys.readouterr()
    assert said.out == "" and "has 0 faces to test on: at least one is needed" in said.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", ["tables", "attribute-edits", "ebst-ablation", "secgan"])
def test_no_experiment_starts_without_test_faces(what, unseen, tmp_path, capsys):
    assert main(["evaluate", what, "--data", str(unseen), "--out", str(tmp_path / "out")]) == 1
    assert "has 0 faces to test on" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "option", [["tables", "--pairs", "0"], ["ebst-ablation", "--seeds", "0"], ["secgan", "--count=-1"]]
)
def test_at_least_one_is_asked_for(option, unseen, tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["evaluate", *option, "--data", str(unseen), "--out", str(tmp_path)])
    assert "is less than 1" in capsys.readouterr().err
