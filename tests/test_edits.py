"""Edits of label maps against naive loops, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskgan_lib import edits
from maskgan_lib.classes import GROUPS


def brute_nearest(labels, hole, known):
    """The label of the nearest known pixel, the first of them from the top and then from the left, by trying all."""
    sources = np.argwhere(known)
    for y, x in np.argwhere(hole):
        distance = ((sources - (y, x)) ** 2).sum(1)
        yield (y, x), labels[tuple(sources[distance.argmin()])]


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"8, 8.*16, 16"):
        edits.replace_parts(np.zeros((8, 8), np.uint8), np.zeros((16, 16), np.uint8), (1,))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.0, 0.02, 0.1, 0.5]))
def test_a_hole_takes_the_nearest_label_and_of_equally_near_ones_the_first(seed, share):
    rng = np.random.default_rng(seed)
    labels, hole = np.arange(12 * 15).reshape(12, 15), rng.random((12, 15)) < 0.6
    known = rng.random((12, 15)) < share
    expected = labels.copy()
    for place, label in brute_nearest(labels, hole, known & ~hole) if (known & ~hole).any() else ():
        expected[place] = label
    assert np.array_equal(edits.fill_nearest(labels, hole, known), expected)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), ids=st.sets(st.integers(0, 4), min_size=1, max_size=4))
def test_replaced_parts_are_the_source_s_and_holes_take_the_nearest_class(seed, ids):
    rng = np.random.default_rng(seed)
    labels, source = rng.integers(0, 5, (2, 4, 5)).astype(np.uint8).repeat(4, 1).repeat(3, 2)
    before = labels.copy()
    edited = edits.replace_parts(labels, source, ids)
    old, new = np.isin(labels, list(ids)), np.isin(source, list(ids))
    assert np.array_equal(labels, before)
    expected = np.where(new, source, labels)
    if (~old).any():
        for place, label in brute_nearest(labels, old & ~new, ~old):
            expected[place] = label
    assert np.array_equal(edited, expected)


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


@pytest.mark.parametrize(("side", "width", "goes"), [(12, 1, True), (12, 2, False), (256, 2, True)])
def test_lines_of_an_old_class_go_beside_the_change_alone_and_wider_ones_in_larger_masks(side, width, goes):
    mask = np.ones((side, side), np.uint8)
    mask[:, 5 : 5 + width], mask[:, 5 + width :] = 13, 14
    mask[2, 2] = 4
    changed = mask == 14
    cleaned = edits.without_slivers(mask, changed)
    assert (cleaned == 13).any() != goes and cleaned[2, 2] == 4
    assert np.array_equal(edits.without_slivers(mask, np.zeros_like(changed)), mask)


def test_pasting_a_face_s_own_parts_changes_nothing(real_faces):
    for i in range(4):
        labels = np.asarray(Image.open(real_faces / "expected_labels" / f"{i}.png"))
        assert np.array_equal(labels, edits.replace_parts(labels, labels, GROUPS["mouth"]))
