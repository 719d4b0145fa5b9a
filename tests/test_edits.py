import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgan_lib import edits
from maskgan_lib.classes import GROUPS


def brute_nearest(labels, hole, known):
    """Set of labels at the least distance, per pixel of the hole: by trying all pixels."""
    sources = np.argwhere(known)
    for y, x in np.argwhere(hole):
        distance = ((sources - (y, x)) ** 2).sum(1)
        best = sources[distance == distance.min()]
        yield (y, x), {int(labels[tuple(source)]) for source in best}


def face_with_mouth(box):
    labels = np.zeros((32, 32), np.uint8)
    labels[4:28, 6:26] = 1
    labels[10:12, 9:13] = 4
    top, bottom, left, right = box
    labels[top:bottom, left:right] = 11
    labels[(top + bottom) // 2 : bottom, left:right] = 12
    return labels


def test_a_smaller_mouth_is_closed_by_skin():
    labels, source = face_with_mouth((18, 24, 10, 22)), face_with_mouth((19, 22, 12, 20))
    assert np.array_equal(edits.replace_parts(labels, source, GROUPS["mouth"]), source)


def test_a_larger_mouth_covers_what_lies_there():
    labels, source = face_with_mouth((19, 22, 12, 20)), face_with_mouth((9, 24, 9, 22))
    edited = edits.replace_parts(labels, source, (10, 11, 12))
    mouth = np.isin(source, (10, 11, 12))
    assert np.array_equal(edited[mouth], source[mouth])
    assert np.array_equal(edited[~mouth], labels[~mouth])
    assert np.array_equal(edits.changed(labels, edited), labels != edited)


def test_a_mouth_that_the_source_lacks_disappears():
    labels = face_with_mouth((18, 24, 10, 22))
    edited = edits.replace_parts(labels, np.zeros_like(labels), (10, 11, 12))
    expected = labels.copy()
    expected[np.isin(labels, (10, 11, 12))] = 1
    assert np.array_equal(edited, expected)


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="two sizes"):
        edits.replace_parts(np.zeros((8, 8), np.uint8), np.zeros((16, 16), np.uint8), (1,))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), ids=st.sets(st.integers(0, 4), min_size=1, max_size=4))
def test_replaced_parts_are_the_source_s_and_holes_take_the_nearest_class(seed, ids):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 5, (2, 4, 5)).astype(np.uint8)
    labels, source = coarse.repeat(4, 1).repeat(3, 2)
    before = labels.copy()
    edited = edits.replace_parts(labels, source, ids)
    old, new = np.isin(labels, list(ids)), np.isin(source, list(ids))
    assert np.array_equal(labels, before)
    assert np.array_equal(edited[new], source[new])
    assert np.array_equal(edited[~old & ~new], labels[~old & ~new])
    if (~old).any():
        for place, allowed in brute_nearest(labels, old & ~new, ~old):
            assert edited[place] in allowed


def test_pasting_a_face_s_own_parts_changes_nothing(real_faces):
    from PIL import Image

    for i in range(4):
        labels = np.asarray(Image.open(real_faces / "expected_labels" / f"{i}.png"))
        assert not edits.changed(labels, edits.replace_parts(labels, labels, GROUPS["mouth"])).any()
