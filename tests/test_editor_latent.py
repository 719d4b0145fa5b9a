"""Edits in MaskVAE's latent space: with a toy VAE for the rules, with the one that ships for what they look like."""

from pathlib import Path

import numpy as np
import pytest
import torch

from maskgan_lib import checkpoints
from maskgan_lib.classes import CLASS_ID, EVIDENCE, NUM_CLASSES
from maskgan_lib.data import procedural
from maskgan_lib.data.packed import FaceRecord, PackedWriter
from maskgan_lib.editor import latent
from maskgan_lib.editor.latent import LatentEdits
from maskgan_lib.networks import MaskVAE

ROOT = Path(__file__).resolve().parent.parent
SIZE = 16


class BarVAE(MaskVAE):
    """Knows one number of a mask: how many of its rows, from the top, are hat; the rest it takes for skin."""

    def __init__(self):
        super().__init__(SIZE, width=2, latent=1)

    def encode(self, onehot):
        share = onehot[:, CLASS_ID["hat"]].mean((1, 2))[:, None] * SIZE
        return share, torch.zeros_like(share)

    def decode(self, z):
        rows = torch.arange(SIZE) + 0.5
        hat = (rows[None] < z)[:, :, None].expand(-1, -1, SIZE).float()
        logits = torch.zeros(len(z), NUM_CLASSES, SIZE, SIZE)
        logits[:, CLASS_ID["hat"]], logits[:, CLASS_ID["skin"]] = hat, 1 - hat
        return logits


def bar(rows, size=SIZE):
    """``rows`` of 16 rows of hat over skin, with a nose that the VAE does not know."""
    mask = np.full((size, size), CLASS_ID["skin"], np.uint8)
    mask[: rows * size // SIZE] = CLASS_ID["hat"]
    nose = slice(size * 12 // SIZE, size * 14 // SIZE)
    mask[nose, nose] = CLASS_ID["nose"]
    return mask


@pytest.fixture(scope="module")
def bars(tmp_path_factory):
    """Faces with a hat of 6 rows and without; every third one says that it has a big nose, which changes nothing."""
    names = ("Wearing_Hat", "Big_Nose", "Young")
    with PackedWriter(tmp_path_factory.mktemp("bars") / "bars", SIZE, 24, "bars", names) as writer:
        for i in range(24):
            values = {"Wearing_Hat": 1 if i % 2 else -1, "Big_Nose": -1 if i % 3 else 1, "Young": 1}
            image = np.zeros((SIZE, SIZE, 3), np.uint8)
            writer.write(i, image, bar(6 if i % 2 else 0), FaceRecord(str(i), "train", attributes=values))
        return writer.finish()


@pytest.fixture(scope="module")
def toy(bars):
    return LatentEdits(BarVAE(), bars, bars.indices("train"))


def rows_of_hat(mask):
    return (mask == CLASS_ID["hat"]).sum() / mask.shape[1]


def test_only_directions_that_work_are_offered(toy):
    assert toy.directions == ("Wearing_Hat",)


@pytest.mark.parametrize("size", [SIZE, 2 * SIZE])
def test_moving_goes_as_far_as_asked_and_leaves_the_rest(size, toy):
    mask = bar(2, size)
    before = mask.copy()
    for amount in (-1.0, 0.0, 0.5, 1.0):
        moved = toy.move(mask, "Wearing_Hat", amount)
        expected = max(0.0, 2 + amount * latent.REACH * 6)
        assert rows_of_hat(moved) * SIZE / size == pytest.approx(min(expected, SIZE), abs=1)
        if amount <= 0.5:  # the hat does not reach the nose, which the VAE does not know
            assert np.array_equal(moved == CLASS_ID["nose"], mask == CLASS_ID["nose"])
    assert np.array_equal(toy.move(mask, "Wearing_Hat", 0.0), mask) and np.array_equal(mask, before)


def test_the_way_between_two_masks_has_their_own_ends(toy):
    start, end = bar(1), bar(9)
    end[15, 3] = CLASS_ID["neck"]
    assert np.array_equal(toy.towards(start, end, 0.0), start)
    assert np.array_equal(toy.towards(start, end, 1.0), end)
    heights = [rows_of_hat(toy.towards(start, end, share)) for share in np.linspace(0, 1, 9)]
    assert heights == sorted(heights) and heights[4] == pytest.approx(5, abs=0.6)
    for share, label in ((0.45, CLASS_ID["skin"]), (0.55, CLASS_ID["neck"])):
        assert toy.towards(start, end, share)[15, 3] == label
    assert np.array_equal(toy.towards(start, start, 0.3), start)


def test_a_random_edit_depends_on_its_seed_only(toy):
    mask = bar(4)
    torch.manual_seed(1)
    made = [toy.random(mask, seed, amount=1.0) for seed in range(24)]
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert all(np.array_equal(toy.random(mask, seed, amount=1.0), made[seed]) for seed in range(24))
    assert {rows_of_hat(edited) for edited in made} == {0.0, 4.0, 10.0}  # differences between two of these faces
    torch.set_rng_state(state)
    assert np.array_equal(toy.random(mask, 3, amount=0.0), mask)
    assert {rows_of_hat(LatentEdits(BarVAE()).random(mask, seed, amount=4.0)) for seed in range(8)} != {4.0}


# ---- the MaskVAE that ships


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The shipped MaskVAE's edits, from 72 faces, and 4 faces that these do not contain."""
    folder = tmp_path_factory.mktemp("faces") / "faces"
    faces = procedural.render_packed(folder, 76, 128, seed=20, workers=1, progress=False)
    network = checkpoints.load_weights(ROOT / "data" / "pretrained" / "maskvae.safetensors")
    return LatentEdits(network, faces, np.arange(72)), faces.masks[72:]


@pytest.mark.parametrize(
    "direction",
    ["Smiling", "Mouth_Slightly_Open", "Chubby", "Bangs", "Wavy_Hair", "Eyeglasses", "Wearing_Hat"],
)
def test_more_of_a_direction_is_more_of_its_evidence_on_unseen_faces(direction, shipped):
    edits, masks = shipped
    assert direction in edits.directions

    def area(amount):
        return np.mean([np.isin(edits.move(mask, direction, amount), EVIDENCE[direction]).sum() for mask in masks])

    less, same, half, more = (area(amount) for amount in (-1, 0, 0.5, 1))
    assert less <= same <= half < more


def test_a_small_step_changes_little_and_a_random_one_something(shipped):
    edits, masks = shipped
    for mask in masks[:2]:
        assert (edits.move(mask, "Mouth_Slightly_Open", 0.3) != mask).mean() < 0.05
        assert 0 < (edits.random(mask, seed=1) != mask).mean() < 0.3
