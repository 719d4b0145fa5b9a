"""Components moved, scaled, turned and copied: what must hold for every mask, and what a known edit does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgan_lib.classes import CLASS_ID, NUM_CLASSES
from maskgan_lib.data.procedural import render_packed
from maskgan_lib.editor.checks import EditError
from maskgan_lib.editor.components import COMPONENTS, copy_component, ids_of, transform_component
from maskgan_lib.evaluation.perturbations import scale_parts, shift_parts

BACKGROUND, SKIN, NOSE, GLASSES, HAIR = (CLASS_ID[n] for n in ("background", "skin", "nose", "eye_g", "hair"))
GROUP_NAMES = st.sampled_from(sorted(COMPONENTS))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces") / "packed"
    return np.array(render_packed(folder, 12, 64, seed=4, workers=1, progress=False).masks)


def patchwork(size: int = 32):
    """Blocks of any classes, so faces without eyes, of hair alone, of anything."""
    blocks = st.lists(st.integers(0, NUM_CLASSES - 1), min_size=16, max_size=16)
    return blocks.map(lambda ids: np.kron(np.array(ids, np.uint8).reshape(4, 4), np.ones((size // 4,) * 2, np.uint8)))


def centroid(mask: np.ndarray, ids) -> np.ndarray:
    return np.argwhere(np.isin(mask, ids)).mean(axis=0)


def blob(size: int = 96) -> np.ndarray:
    """A nose in a skin, without any symmetry."""
    mask = np.full((size, size), SKIN, np.uint8)
    mask[40:60, 44:50] = NOSE
    mask[54:60, 50:62] = NOSE
    return mask


@given(
    patchwork(),
    GROUP_NAMES,
    st.floats(-40, 40),
    st.floats(-40, 40),
    st.floats(0.2, 5),
    st.floats(-360, 360),
)
@settings(max_examples=120, deadline=None)
def test_a_transform_invents_no_class(mask, group, down, right, scale, degrees):
    before = mask.copy()
    try:
        moved = transform_component(mask, group, down, right, scale, degrees)
    except EditError:
        moved = mask
    assert np.array_equal(mask, before)
    assert moved.shape == mask.shape and moved.dtype == np.uint8
    assert set(np.unique(moved)) <= set(np.unique(mask))
    assert np.isin(moved, COMPONENTS[group]).any() == np.isin(mask, COMPONENTS[group]).any()


@given(patchwork(), patchwork(), GROUP_NAMES, st.booleans())
@settings(max_examples=120, deadline=None)
def test_a_copy_invents_no_class(mask, source, group, align):
    before, given_source = mask.copy(), source.copy()
    try:
        edited = copy_component(mask, source, group, align)
    except EditError:
        assert align or not np.isin(source, COMPONENTS[group]).any()
        edited = mask
    assert np.array_equal(mask, before) and np.array_equal(source, given_source)
    assert edited.shape == mask.shape and edited.dtype == np.uint8
    assert set(np.unique(edited)) <= set(np.unique(mask)) | set(np.unique(source))


@given(st.integers(-20, 20), st.integers(-20, 20))
@settings(max_examples=40, deadline=None)
def test_moving_agrees_with_the_perturbation(down, right):
    mask, square = blob(), np.full((64, 64), SKIN, np.uint8)
    moved = shift_parts(mask, (NOSE,), down, right)
    assert np.array_equal(transform_component(mask, "nose", down + 0.3, right - 0.4), moved)
    square[20:41, 25:40] = NOSE  # both scale it about one middle
    assert np.array_equal(transform_component(square, "nose", scale=1.7), scale_parts(square, (NOSE,), 1.7))


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_turning_by_right_angles_is_exact_and_clockwise(turns):
    mask = np.full((65, 65), SKIN, np.uint8)
    mask[22:43, 22:24] = NOSE  # a bar at the left,
    mask[22:24, 22:43] = NOSE  # one at the top,
    mask[41:43, 34:43] = NOSE  # and half of one at the bottom: the box is a square about (32, 32)
    turned = transform_component(mask, "nose", degrees=90 * turns)
    assert np.array_equal(turned, np.rot90(mask, -turns))


@given(st.floats(-180, 180))
@settings(max_examples=30, deadline=None)
def test_turning_keeps_the_area_and_turns_the_centroid(degrees):
    mask = blob()
    turned = transform_component(mask, "nose", degrees=degrees)
    assert (turned == NOSE).sum() == pytest.approx((mask == NOSE).sum(), rel=0.08)
    held = np.argwhere(mask == NOSE)
    centre = (held.min(axis=0) + held.max(axis=0)) / 2
    y, x = centroid(mask, [NOSE]) - centre
    angle = np.radians(degrees)
    expected = centre + (x * np.sin(angle) + y * np.cos(angle), x * np.cos(angle) - y * np.sin(angle))
    assert np.allclose(centroid(turned, [NOSE]), expected, atol=0.7)


def test_the_hole_takes_the_nearest_class():
    mask = np.full((32, 32), SKIN, np.uint8)
    mask[:, :10] = HAIR
    mask[12:20, 8:16] = NOSE
    moved = transform_component(mask, "nose", right=12)
    hole = (mask == NOSE) & (moved != NOSE)
    assert (moved[hole & (np.arange(32) < 10)] == HAIR).all()
    assert (moved[14:18, 13:16] == SKIN).all()
    assert np.array_equal(moved[mask != NOSE][moved[mask != NOSE] != NOSE], mask[(mask != NOSE) & (moved != NOSE)])


def test_a_copied_feature_comes_to_the_own_place(faces):
    compared = 0
    for mask, other in zip(faces, np.roll(faces, 1, axis=0), strict=True):
        for group in ("eyes", "mouth", "nose"):
            ids = COMPONENTS[group]
            if not (np.isin(mask, ids).sum() > 8 and np.isin(other, ids).sum() > 8):
                continue
            edited = copy_component(mask, other, group)
            assert np.allclose(centroid(edited, ids), centroid(mask, ids), atol=1)
            assert np.isin(edited, ids).sum() == np.isin(other, ids).sum()
            outside = ~np.isin(mask, ids) & ~np.isin(edited, ids)
            assert np.array_equal(edited[outside], mask[outside])
            compared += 1
    assert compared > 10


def test_shorter_hair_shows_what_the_other_face_has_there():
    neck = CLASS_ID["neck"]
    mask, source = (np.full((48, 48), BACKGROUND, np.uint8) for _ in range(2))
    for face in (mask, source):
        face[12:36, 12:36], face[24:27, 22:26], face[36:, 20:28] = SKIN, NOSE, neck
    mask[:, 6:12], mask[6:12, 6:40], mask[30:, 6:24] = HAIR, HAIR, HAIR
    source[6:12, 6:40] = HAIR
    edited = copy_component(mask, source, "hair")
    assert np.array_equal(edited, source)


def test_what_cannot_be_done_is_said():
    mask = blob()
    for wrong, words in [
        (lambda: transform_component(mask, "mouth", 1), "no mouth to move"),
        (lambda: transform_component(mask, "nose", scale=0), "scaled"),
        (lambda: transform_component(mask, "nose", scale=-1), "scaled"),
        (lambda: transform_component(mask, "nose", scale=float("nan")), "scaled"),
        (lambda: transform_component(mask, "nose", down=float("inf")), "finite"),
        (lambda: transform_component(mask, "nose", down=500), "stay in the picture"),
        (lambda: transform_component(mask, "nose", right=1e300), "stay in the picture"),
        (lambda: transform_component(mask, "chin", 1), "no component 'chin'"),
        (lambda: copy_component(mask, mask, "hat"), "no hat to copy"),
        (lambda: ids_of("component", ["nose"]), "no component"),
        (lambda: ids_of("region", ["nose"]), "no region"),
    ]:
        with pytest.raises(EditError) as caught:
            wrong()
        assert words in str(caught.value)
