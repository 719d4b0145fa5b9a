"""What model cards say of StarGAN and ELEGANT, against networks whose answers are known."""

import numpy as np
import pytest
import torch
from torch import nn

from maskgan_lib.data.packed import DataError
from maskgan_lib.data.procedural import render_packed
from maskgan_lib.evaluation.attribute_edits import measure_elegant, measure_stargan

SMILES, BEARD = "Smiling", "No_Beard"


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return render_packed(tmp_path_factory.mktemp("faces") / "packed", 20, 64, seed=3, workers=1, progress=False)


class Judge:
    """Sees an attribute where the pixel of its column is bright."""

    attribute_names = ("Young", SMILES, BEARD)

    def __init__(self):
        self.origins = {"attributes": "of this test"}

    def attributes(self, images):
        return images[:, 0, 0, :3] - 0.5


class Paints(nn.Module):
    """A StarGAN that writes labels into pixels; it darkens what is asked to have the attribute ``fails``."""

    def __init__(self, attributes, fails=None):
        super().__init__()
        self.config, self.fails = {"attributes": attributes}, fails
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, images, labels):
        made = images.clone()
        for column, name in enumerate(self.config["attributes"]):
            made[:, :, 0, Judge.attribute_names.index(name)] = (labels[:, column, None] > 0.5) * 2.0 - 1
            if name == self.fails:
                made[:, :, 0, Judge.attribute_names.index(name)] = -1
        return made


def by_name(figures):
    return {figure.name: figure for figure in figures}


def test_stargan_is_asked_for_the_other_label(faces):
    indices = np.arange(18)
    figures = by_name(measure_stargan(Paints([SMILES, BEARD]), faces, indices, Judge()))
    smiling = faces.attribute(SMILES)[indices] > 0
    bright = np.asarray(faces.images)[indices, 0, 1, 0] / 127.5 - 1 > 0.5
    assert (
        figures["Smiling given: so judged by the attribute net of this test"].value
        == figures["Smiling taken: so judged by the attribute net of this test"].value
        == 1
    )
    assert figures["Smiling given: so judged by the attribute net of this test"].faces == (~smiling).sum()
    before = figures["Smiling given: the same of the photos, unedited"]
    assert before.value == pytest.approx(bright[~smiling].mean())
    assert figures["Smiling taken: the same of the photos, unedited"].value == pytest.approx(1 - bright[smiling].mean())
    lazy = by_name(measure_stargan(Paints([SMILES, BEARD], fails=SMILES), faces, indices, Judge()))
    assert (
        lazy["Smiling given: so judged by the attribute net of this test"].value == 0
        and lazy["Smiling taken: so judged by the attribute net of this test"].value == 1
    )
    assert lazy["No_Beard given: so judged by the attribute net of this test"].value == 1


def test_stargan_comes_back(faces):
    class Brightens(Paints):
        def forward(self, images, labels):
            return images + 0.1

    indices = np.arange(10)
    figures = by_name(measure_stargan(Brightens([SMILES]), faces, indices, Judge()))
    once, twice = (
        figures["PSNR of the edited faces (Smiling) to the photos"],
        figures["reconstruction PSNR, there and back (Smiling)"],
    )
    assert once.value == pytest.approx(10 * np.log10(4 / 0.1**2), abs=1e-3)
    assert twice.value == pytest.approx(10 * np.log10(4 / 0.2**2), abs=1e-3)


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


def test_elegant_takes_from_the_next_face_with_the_other_label(faces):
    indices, network = np.arange(20), Copies()
    figures = by_name(measure_elegant(network, faces, indices, Judge()))
    targets, sources = (torch.cat(images) for images in zip(*network.seen, strict=True))
    images = torch.as_tensor(np.array(faces.images)).movedim(-1, 1).float() / 127.5 - 1
    smiling = faces.attribute(SMILES) > 0
    assert torch.allclose(targets, images, atol=1e-6)
    for place, source in enumerate(sources):
        (partner,) = [k for k in range(20) if torch.allclose(source, images[k], atol=1e-6)]
        between = [k % 20 for k in range(place + 1, place + 20)]
        assert partner == next(k for k in between if smiling[k] != smiling[place])
    assert figures["reconstruction PSNR, from their own codes (Smiling)"].value == pytest.approx(26.0206, abs=1e-3)


def test_what_nobody_knows_is_said(faces):
    with pytest.raises(DataError, match="does not know Wings"):
        measure_stargan(Paints(["Wings"]), faces, np.arange(4), Judge())
    alike = np.flatnonzero(faces.attribute(SMILES) > 0)[:3]
    with pytest.raises(DataError, match="nobody can lend"):
        measure_elegant(Copies(), faces, alike, Judge())


def test_faces_of_one_label_are_measured_for_it(faces):
    alike = np.flatnonzero(faces.attribute(SMILES) > 0)[:3]
    names = by_name(measure_stargan(Paints([SMILES]), faces, alike, Judge()))
    assert (
        "Smiling taken: so judged by the attribute net of this test" in names
        and "Smiling given: so judged by the attribute net of this test" not in names
    )
