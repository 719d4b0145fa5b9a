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


def test_lines_of_an_old_class_go_and_only_beside_the_change():
    mask = np.ones((12, 12), np.uint8)
    mask[:, 5], mask[:, 6:] = 13, 14
    mask[2, 2] = 4
    changed = np.zeros((12, 12), bool)
    changed[:, 6:] = True
    cleaned = edits.without_slivers(mask, changed)
    assert not (cleaned == 13).any() and cleaned[2, 2] == 4
    assert np.array_equal(edits.without_slivers(mask, np.zeros_like(changed)), mask)


def naive_take_over(mask, before, after):
    """Pixel by pixel; of classes that are equally common the one with the lowest id."""
    side, reach = len(mask), max(1, len(mask) // 128)
    taken = np.array([[m if b == a else a for m, b, a in zip(*rows)] for rows in zip(mask, before, after)], np.uint8)
    result = taken.copy()
    for y, x in np.ndindex(mask.shape):
        around = np.s_[max(0, y - reach) : min(side, y + reach + 1), max(0, x - reach) : min(side, x + reach + 1)]
        if (before[around] != after[around]).any():
            counts = np.bincount(taken[around].ravel(), minlength=19)
            own, counts[taken[y, x]] = counts[taken[y, x]], 0
            if counts.max() >= own:
                result[y, x] = counts.argmax()
    return result


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), coarse=st.booleans())
def test_what_a_network_changes_is_taken_over_as_a_naive_loop_does_it(seed, coarse):
    rng = np.random.default_rng(seed)
    mask, before = rng.choice([0, 1, 13, 18], (2, 4, 4)).astype(np.uint8).repeat(3, 1).repeat(3, 2)
    after = before.copy()
    after[3:9, 4:] = rng.integers(0, 19, (6, 8)) if not coarse else 17
    assert np.array_equal(edits.take_over(mask, before, after), naive_take_over(mask, before, after))


def test_larger_masks_lose_wider_lines():
    mask = np.ones((256, 256), np.uint8)
    mask[:, 20:22], mask[:, 22:] = 13, 14
    changed = np.zeros((256, 256), bool)
    changed[:, 22:] = True
    assert not (edits.without_slivers(mask, changed) == 13).any()
    small = np.where(np.arange(12) < 5, 1, np.where(np.arange(12) < 7, 13, 14)).astype(np.uint8)[None].repeat(12, 0)
    assert np.array_equal(edits.without_slivers(small, small == 14), small)


def test_pasting_a_face_s_own_parts_changes_nothing(real_faces):
    from PIL import Image

    for i in range(4):
        labels = np.asarray(Image.open(real_faces / "expected_labels" / f"{i}.png"))
        assert not edits.changed(labels, edits.replace_parts(labels, labels, GROUPS["mouth"])).any()
