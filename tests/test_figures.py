"""What is measured on shipped weights, against networks whose answers are known."""

import numpy as np
import pytest
import torch
from maskgan_lib.evaluation.reconstruction import measure_blender, measure_dmn, measure_maskvae
from torch import nn

from maskgan_lib.data.procedural import render_packed
from maskgan_lib.networks import MaskVAE


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


def test_maskvae_figures(faces):
    indices = np.arange(len(faces))
    accuracy, iou = measure_maskvae(GivesBack(forgetful=False), faces, indices)
    assert accuracy.value == 1 and iou.value == 1 and accuracy.faces == len(indices)

    accuracy, iou = measure_maskvae(GivesBack(forgetful=True), faces, indices)
    hair = (np.asarray(faces.masks) == 13).mean()
    assert accuracy.value == pytest.approx(1 - hair)
    present = np.unique(faces.masks).size
    skin = (np.asarray(faces.masks) == 1).mean()
    assert iou.value == pytest.approx((present - 2 + skin / (skin + hair)) / present)


def test_dmn_figures(faces):
    indices = np.arange(len(faces))
    quality, locality = measure_dmn(PaintsClasses(), faces, indices)
    images = torch.as_tensor(np.array(faces.images)).movedim(-1, 1).float() / 127.5 - 1
    grey = torch.linspace(-1, 1, 19)[torch.as_tensor(np.array(faces.masks)).long()][:, None]
    by_hand = (10 * torch.log10(4 / (images - grey).square().mean(dim=(1, 2, 3)))).mean().item()
    assert quality.value == pytest.approx(by_hand, abs=0.05)
    assert quality.interval[0] < quality.value < quality.interval[1]
    assert locality.value > 20  # only noise moves outside the mouth


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


def test_blender_figures(faces):
    indices = np.arange(len(faces))
    vae = MaskVAE(faces.size, width=4, latent=4).eval()
    blend, better = measure_blender(Halves(), faces, indices, Remembers(), vae)
    images = torch.as_tensor(np.array(faces.images)).movedim(-1, 1).float() / 127.5 - 1
    error = ((images + 0.01 - 1) / 2 - images).square().mean(dim=(1, 2, 3))  # half of the way to black
    assert blend.value == pytest.approx((10 * torch.log10(4 / error)).mean().item(), abs=1e-3)
    assert better.value == pytest.approx(10 * np.log10(4 / 0.01**2), abs=1e-3)
