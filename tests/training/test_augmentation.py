"""Augmentation: other framings and lights, exactly known ones, the same for everybody who looks at a step."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_runs import TINY

from maskgan_lib import faces as drawn_faces
from maskgan_lib.classes import CLASS_ID
from maskgan_lib.data.batches import Batches, flip, to_float_image
from maskgan_lib.presets import changed
from maskgan_lib.training.augmentation import SHIFT, TURN, ZOOM, augmented, reframe, relight
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import train_stage

STILL = torch.tensor([[-1.0, 0, 0, 0, 0]])


@pytest.fixture(scope="module")
def face():
    drawn = drawn_faces.render(drawn_faces.sample(3, 1), 64)
    return to_float_image(drawn.image[None]), torch.from_numpy(drawn.labels.copy())[None]


def test_without_numbers_nothing_changes(face):
    image, mask = reframe(*face, STILL)
    torch.testing.assert_close(image, face[0], atol=1e-5, rtol=0)
    assert torch.equal(mask, face[1])
    torch.testing.assert_close(relight(face[0], torch.zeros(1, 7)), face[0], atol=1e-3, rtol=0)


def test_a_positive_first_number_mirrors(face):
    image, mask = reframe(*face, -STILL)
    mirrored_image, mirrored_mask = flip(*face)
    torch.testing.assert_close(image, mirrored_image, atol=1e-5, rtol=0)
    assert torch.equal(mask, mirrored_mask)


def eyes(mask):
    """Middle of each eye, (x, y) from the picture's middle in half sides."""
    found = [torch.argwhere(mask[0] == CLASS_ID[name]).float().mean(0).flip(0) for name in ("l_eye", "r_eye")]
    return torch.stack(found).add(0.5).div(mask.shape[-1] / 2).sub(1)


@pytest.mark.parametrize("numbers", [(1.5, 0, 0, 0), (0, -1.5, 0, 0), (0, 0, 1, -1), (1, 1, 1, 1)])
def test_framing_moves_eyes_as_the_similarity_says(face, numbers):
    turn, scale = TURN * numbers[0], np.exp(ZOOM * numbers[1])
    there = scale * torch.tensor([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]], dtype=torch.float32)
    _, mask = reframe(*face, torch.tensor([[-1.0, *numbers]]))
    back = eyes(mask) @ there.T + SHIFT * torch.tensor(numbers[2:])
    torch.testing.assert_close(back, eyes(face[1]), atol=0.02, rtol=0)


def test_picture_and_mask_stay_together(face):
    colours = F.one_hot(face[1].long(), 19).movedim(-1, 1)[:, :3].float()
    image, mask = reframe(colours, face[1], torch.tensor([[1.0, 1.2, -0.7, 0.6, 0.4]]))
    seen = F.one_hot(mask.long(), 19).movedim(-1, 1)[:, :3].float()
    assert (image - seen).abs().mean() < 0.02


def test_light_is_what_its_numbers_say():
    grey = torch.full((1, 3, 4, 4), 0.5 * 2 - 1)
    brighter = relight(grey, torch.tensor([[0, 0, 1.0, 0, 0, 0, 0]]))
    torch.testing.assert_close((brighter + 1) / 2, torch.full_like(grey, 0.5 * np.exp(0.15)))
    warmer = relight(grey, torch.tensor([[0, 0, 0, 1.0, 0, -1.0, 0]]), strength=0.5)[0, :, 0, 0]
    assert warmer[0] > warmer[1] > warmer[2]
    assert relight(grey, torch.full((1, 7), 2.0)).abs().max() <= 1


def test_what_is_drawn_depends_on_seed_step_and_place_alone(faces):
    def at(seed, step, rank=0, world=1):
        indices = faces.indices("train")
        return augmented(Batches(faces, indices, 4, seed, rank=rank, world=world, references=True).at(step), 1.0)

    whole = at(0, 3)
    assert torch.equal(whole.image, at(0, 3).image)
    assert not torch.equal(whole.image, at(1, 3).image) and not torch.equal(whole.image, at(0, 4).image)
    half = at(0, 3, rank=1, world=2)
    assert torch.equal(whole.image[2:], half.image) and torch.equal(whole.mask[2:], half.mask)
    plain = Batches(faces, faces.indices("train"), 4, 0, references=True).at(3)
    assert torch.equal(whole.reference, plain.reference)


def test_another_expression_is_seen_in_the_same_framing_and_light(faces):
    batch = Batches(faces, faces.indices("train"), 4, 0).at(0)
    batch = replace(batch, other_image=batch.image, other_mask=batch.mask)
    made = augmented(batch, 0.7)
    assert torch.equal(made.other_image, made.image) and torch.equal(made.other_mask, made.mask)
    assert not torch.equal(made.image, batch.image)


def test_a_net_that_is_told_how_heads_are_turned_is_not_augmented(faces, tmp_path):
    with pytest.raises(TrainingError, match="pose cannot learn from turned faces"):
        train_stage("pose", changed(TINY, ["augment=1"]), faces, tmp_path, steps=1)
