"""Hints for the exercises of chapter 01, and hidden tests."""

import numpy as np

from maskgan_lib.classes import CLASS_ID

HINTS = {
    "1.1": [
        "Where a pixel of skin is covered, the merged map names another "
        "class. So which two arrays do you compare?",
        "Merge the parts as in section 1.4, then keep only the pixels "
        "that `parts['skin']` marks.",
        "The mean of `labels[parts['skin']] != CLASS_ID['skin']` is the "
        "share.",
    ],
    "1.2": [
        "For each of their ids there is one of ours with the same name. "
        "How would you write down all 19 pairs?",
        "Make an array whose entry number k is our id for their class k. "
        "`CLASS_ID[name]` gives it.",
        "If `table` is this array (uint8), then `table[ids]` translates a "
        "whole map at once.",
    ],
    "1.3": [
        "If you know how often each of the 19 ids occurs in each block, "
        "what is left to do?",
        "A reshape to `[H // factor, factor, W // factor, factor]` gives "
        "every block two axes of its own.",
        "For each id k, sum `blocks == k` over the axes 1 and 3, stack "
        "the 19 counts, and take the argmax over k; it returns the first "
        "of equals. The result is uint8.",
    ],
    "1.4": [
        "Which face is always nearest to face i? And what does `argmin` "
        "do if there is a `nan`?",
        "The distances are `np.linalg.norm(pose - pose[i], axis=1)`. The "
        "one at i must not win.",
        "Set the distance at i to `nan`, like those of unknown poses, and "
        "use `np.nanargmin`.",
    ],
    "1.5": [
        "Move one eye up or down, and nothing else. Should the answer "
        "change? Does it?",
        "Print what `np.argwhere` returns for a single pixel. Which of "
        "its two numbers is the row?",
        "`np.argwhere` gives (row, column), so x is the second number: "
        "`_, x_left = ...`.",
    ],
}


def _eyes(left: tuple[int, int], right: tuple[int, int]) -> np.ndarray:
    """A map with an eye of two pixels at two places (row, column)."""
    labels = np.ones((40, 20), np.uint8)
    for name, (row, column) in (("l_eye", left), ("r_eye", right)):
        labels[row, column : column + 2] = CLASS_ID[name]
    return labels


def test_1_5_level(sides_swapped):
    """when the eyes are level, the names still tell"""
    assert not sides_swapped(_eyes((30, 14), (30, 4)))
    assert sides_swapped(_eyes((30, 4), (30, 14)))


def test_1_5_tilted(sides_swapped):
    """a head may be tilted to either side"""
    for tilt in (-4, -1, 1, 4):
        assert not sides_swapped(_eyes((30 + tilt, 14), (30, 4)))
        assert sides_swapped(_eyes((30 + tilt, 4), (30, 14)))


def test_1_5_turned(sides_swapped):
    """in a turned head both eyes may lie in the same half of the picture"""
    assert not sides_swapped(_eyes((30, 8), (31, 2)))
    assert sides_swapped(_eyes((30, 12), (29, 17)))
