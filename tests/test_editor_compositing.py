"""Keeping what was not edited: exact far away, the render inside, no seam between."""

import numpy as np
import pytest

from maskgan_lib.editor.compositing import FEATHER, WHOLE, edit_layer, feather, lay_over

SIZE = 64


def keep_unedited(render, photo, *others):
    return lay_over(photo, *edit_layer(render, photo, *others))


@pytest.fixture
def scene():
    """A photo, a render of the edited mask, one of the mask before, and both masks: a box was painted."""
    rng = np.random.default_rng(0)
    photo, render, reconstruction = rng.integers(0, 256, (3, SIZE, SIZE, 3), np.uint8)
    before = np.ones((SIZE, SIZE), np.uint8)
    after = before.copy()
    after[24:40, 20:36] = 14
    return render, photo, before, after, reconstruction


def far(scene):
    """Pixels farther from the edit than its soft edge reaches: by trying all pairs."""
    _, _, before, after, _ = scene
    places = np.argwhere(before != after)
    grid = np.stack(np.mgrid[:SIZE, :SIZE], -1)
    distance = np.sqrt(((grid[:, :, None] - places) ** 2).sum(-1).min(-1))
    return distance >= (WHOLE + FEATHER) * SIZE


def test_far_from_the_edit_the_photo_stays_bit_for_bit(scene):
    made = keep_unedited(*scene, 1.0)
    assert far(scene).sum() > SIZE * SIZE / 2
    assert np.array_equal(made[far(scene)], scene[1][far(scene)])


def test_without_an_edit_the_photo_stays_and_all_of_it_edited_is_the_render(scene):
    render, photo, before, _, reconstruction = scene
    assert np.array_equal(keep_unedited(render, photo, before, before, reconstruction, 1.0), photo)
    assert np.array_equal(keep_unedited(render, photo, before, before + 1, reconstruction), render)


def test_strength_zero_is_the_render_and_others_lie_between(scene):
    render, photo = scene[:2]
    none, half, whole = (keep_unedited(*scene, strength) for strength in (0.0, 0.5, 1.0))
    assert np.array_equal(none, render) and none is not render
    assert abs(half - (none.astype(float) + whole) / 2).max() <= 1
    assert not np.array_equal(whole, photo)


def test_a_network_that_is_too_dark_is_made_up_for(scene):
    """Everything it renders is 30 too dark: the composite is what a perfect network would have given."""
    _, _, before, after, _ = scene
    rng = np.random.default_rng(1)
    photo, truth = rng.integers(60, 200, (2, SIZE, SIZE, 3), np.uint8)
    made = keep_unedited(truth - 30, photo, before, after, photo - 30, 1.0)
    perfect = keep_unedited(truth, photo, before, after, photo, 1.0)
    edited = before != after
    assert abs(made.astype(float) - perfect)[edited].max() < 6
    assert abs((truth - 30).astype(float) - perfect)[edited].min() > 29


def test_what_is_edited_does_not_colour_the_rest(scene):
    """The photo under the painted box says nothing about the colours there."""
    render, photo, before, after, reconstruction = scene
    other = photo.copy()
    other[before != after] = 0
    assert np.array_equal(
        keep_unedited(render, photo, before, after, reconstruction),
        keep_unedited(render, other, before, after, reconstruction),
    )


def test_the_edge_is_soft():
    region = np.zeros((SIZE, SIZE), bool)
    region[:, :20] = True
    share = feather(region)
    assert (share[:, :21] == 1).all() and (share[:, 26:] == 0).all()
    steps = -np.diff(share[0])
    assert (steps >= 0).all() and 0 < steps.max() < 0.5


def test_restyled_pixels_count_as_edited(scene):
    render, photo, before, _, reconstruction = scene
    restyled = np.zeros((SIZE, SIZE), bool)
    restyled[24:40, 20:36] = True
    by_style = keep_unedited(render, photo, before, before, reconstruction, 1.0, restyled)
    assert np.array_equal(by_style, keep_unedited(*scene, 1.0)), "as if a class had changed there"
