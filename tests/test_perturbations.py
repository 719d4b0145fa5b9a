"""Edits as a person makes them: what must hold for every label map, and what a known edit does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgan_lib.classes import CLASS_ID, GROUPS, NUM_CLASSES
from maskgan_lib.data.procedural import render_packed
from maskgan_lib.evaluation.perturbations import (
    MOVABLE,
    PERTURBATIONS,
    SMALLEST_EDIT,
    paint_stroke,
    perturb,
    scale_parts,
    shift_parts,
)

SKIN, NOSE, HAIR = CLASS_ID["skin"], CLASS_ID["nose"], CLASS_ID["hair"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folders = tmp_path_factory.mktemp("faces")
    packed = {s: render_packed(folders / str(s), 8, s, seed=4, workers=1, progress=False) for s in (64, 128)}
    return {size: np.array(p.masks) for size, p in packed.items()}


def label_maps(size: int = 32):
    """Patchwork label maps: blocks of any classes, so faces without eyes, of hair alone, of anything."""
    blocks = st.lists(st.integers(0, NUM_CLASSES - 1), min_size=16, max_size=16)
    return blocks.map(lambda ids: np.kron(np.array(ids, np.uint8).reshape(4, 4), np.ones((size // 4,) * 2, np.uint8)))


@given(label_maps(), label_maps(), st.integers(0, 2**32 - 1), st.sampled_from(sorted(PERTURBATIONS)))
@settings(max_examples=80, deadline=None)
def test_any_label_maps(labels, other, seed, name):
    before, given_other = labels.copy(), other.copy()
    edited = perturb(name, labels, other, np.random.default_rng(seed))
    again = perturb(name, labels, other, np.random.default_rng(seed))
    assert np.array_equal(labels, before) and np.array_equal(other, given_other)
    if edited is None:
        assert again is None
        return
    assert edited.shape == labels.shape and edited.dtype == np.uint8
    assert set(np.unique(edited)) <= set(np.unique(labels)) | set(np.unique(other))
    assert np.array_equal(edited, again)
    assert (edited != labels).mean() >= SMALLEST_EDIT


@pytest.mark.parametrize("name", PERTURBATIONS)
@pytest.mark.parametrize("size", [64, 128])
def test_edits_of_faces_are_local_and_seeds_draw_different_ones(faces, size, name):
    drawn = []
    for i, labels in enumerate(faces[size]):
        for seed in range(4):
            edited = perturb(name, labels, faces[size][i - 1], np.random.default_rng([seed, i]))
            drawn.append(edited != labels)
    assert np.median(np.array(drawn).mean(axis=(1, 2))) < 0.05
    different = 0.5 if name == "component swap" else 0.9  # there are only four components to swap
    assert len({region.tobytes() for region in drawn}) > different * len(drawn)


def centroid(labels: np.ndarray, ids) -> np.ndarray:
    return np.argwhere(np.isin(labels, ids)).mean(axis=0)


@given(st.integers(-6, 6), st.integers(-6, 6))
@settings(deadline=None)
def test_shift_moves_the_centroid_and_closes_the_hole(down, right):
    labels = np.full((32, 32), SKIN, np.uint8)
    labels[12:18, 13:17] = NOSE
    moved = shift_parts(labels, (NOSE,), down, right)
    assert np.allclose(centroid(moved, [NOSE]) - centroid(labels, [NOSE]), (down, right))
    assert (moved == NOSE).sum() == (labels == NOSE).sum()
    assert set(np.unique(moved)) == {SKIN, NOSE}


@given(st.floats(0.5, 2))
@settings(deadline=None)
def test_scale_changes_the_area_by_the_square_and_stays_in_place(factor):
    labels = np.full((96, 96), SKIN, np.uint8)
    y, x = np.ogrid[:96, :96]
    labels[(y - 50) ** 2 + ((x - 46) / 1.4) ** 2 < 15**2] = NOSE
    scaled = scale_parts(labels, (NOSE,), factor)
    area = (labels == NOSE).sum()
    assert (scaled == NOSE).sum() == pytest.approx(area * factor**2, rel=0.12)
    assert np.allclose(centroid(scaled, [NOSE]), centroid(labels, [NOSE]), atol=0.6)


def test_each_eye_is_scaled_where_it_is(faces):
    labels = faces[128][0]
    drawn = [PERTURBATIONS["scale"](labels, labels, np.random.default_rng(seed)) for seed in range(40)]
    scaled = [edited for edited in drawn if (np.isin(edited, GROUPS["eyes"]) != np.isin(labels, GROUPS["eyes"])).any()]
    assert scaled
    for edited in scaled:
        for eye in GROUPS["eyes"]:
            assert np.allclose(centroid(edited, [eye]), centroid(labels, [eye]), atol=1.5)


def test_a_stroke_is_a_round_line_that_goes_around_what_it_should():
    labels = np.full((40, 40), SKIN, np.uint8)
    labels[18:22, 18:22] = NOSE
    path = np.stack([np.full(50, 20.0), np.linspace(8, 32, 50)], axis=1)
    y, x = np.mgrid[:40, :40]
    from_segment = np.hypot(y - 20, x - np.clip(x, 8, 32))
    painted = paint_stroke(labels, path, 3, HAIR, around=(NOSE,))
    assert np.array_equal(painted == NOSE, labels == NOSE)
    assert ((painted == HAIR) | (labels == NOSE))[from_segment < 2.8].all()
    assert not (painted == HAIR)[from_segment > 3].any()


def test_strokes_paint_a_large_class_and_only_hair_covers_features(faces):
    large = [CLASS_ID[name] for name in ("background", "skin", "hair", "hat", "neck", "cloth")]
    features = [i for part in ("eyes", "brows", "nose", "mouth") for i in MOVABLE[part]]
    for i, labels in enumerate(faces[128]):
        for seed in range(6):
            edited = perturb("brush strokes", labels, labels, np.random.default_rng([i, seed]))
            changed = edited != labels
            assert np.isin(edited[changed], large).all()
            assert (edited[changed & np.isin(labels, features)] == HAIR).all()


def toy_face(grow: int, down: int) -> np.ndarray:
    labels = np.full((64, 64), SKIN, np.uint8)
    for part, (y, x) in {4: (20, 40), 5: (20, 20), NOSE: (32, 30), 12: (46, 30)}.items():
        labels[y + down - grow : y + down + 2 + grow, x - grow : x + 4 + grow] = part
    return labels


def test_swapped_features_come_from_the_other_face_and_lie_where_the_own_lay():
    own, other = toy_face(grow=0, down=0), toy_face(grow=2, down=7)
    seen = set()
    for seed in range(20):
        edited = perturb("component swap", own, other, np.random.default_rng(seed))
        for name in ("eyes", "nose", "mouth"):
            ids = MOVABLE[name]
            if not np.array_equal(np.isin(edited, ids), np.isin(own, ids)):
                seen.add(name)
                assert np.isin(edited, ids).sum() == np.isin(other, ids).sum()
                assert np.allclose(centroid(edited, ids), centroid(own, ids))
                assert np.array_equal(edited != own, np.isin(edited, ids) & ~np.isin(own, ids))
    assert seen == {"eyes", "nose", "mouth"}


def test_swapped_hair_leaves_the_backdrop_of_the_other_face_bare():
    """Long hair turns short: what it covered beside the head is background, not the nearest skin."""
    own = np.zeros((48, 48), np.uint8)
    own[6:44, 6:42] = HAIR
    own[14:40, 16:32] = SKIN
    own[20:22, 19:21], own[20:22, 27:29], own[24:28, 23:25], own[32:34, 21:27] = 5, 4, NOSE, 12
    other = own.copy()
    other[own == HAIR] = 0
    other[8:14, 14:34] = HAIR
    swapped = [PERTURBATIONS["component swap"](own, other, np.random.default_rng(seed)) for seed in range(20)]
    assert any(np.array_equal(edited, other) for edited in swapped)


@pytest.mark.parametrize("name", PERTURBATIONS)
def test_an_edit_that_cannot_be_made_is_none(name):
    bare = np.zeros((32, 32), np.uint8)
    assert perturb(name, bare, bare, np.random.default_rng(0)) is None
