"""Hints for the exercises of chapter 00, and hidden tests."""

import numpy as np
import torch

from maskgan_lib.evaluation.metrics import psnr

HINTS = {
    "0.1": [
        "An edit touches a class in two ways: pixels can lose it, and "
        "pixels can get it. Which pixels are these?",
        "`before != after` is an array of bools. What do you get if you "
        "index each of the two maps by it?",
        "Put both `before[differs].tolist()` and "
        "`after[differs].tolist()` into one set, and sort it.",
    ],
    "0.2": [
        "A point on the line is `first + weight * (second - first)`. "
        "Which weights do you need, and how many?",
        "The weights are `torch.linspace(0, 1, steps)`. They need two "
        "more axes, so that each of them meets a whole style.",
        "With weights of shape `[steps, 1, 1]`, `torch.lerp(first, "
        "second, weights)` gives all styles at once.",
    ],
    "0.3": [
        "Four levels are right, a hundred are not. What is the largest "
        "number that the type of these pictures can hold?",
        "Print `first - second` where the second picture is brighter, and "
        "`np.uint8(20) ** 2`: there is no room for either. A signed type "
        "of 16 bits would not do, because 255 ** 2 is more than it holds.",
        "Make both pictures floats before you subtract them: "
        "`first.astype(float) - second.astype(float)`.",
    ],
}


def test_0_3_black_and_white(closeness):
    """black and white are as far apart as pictures can be, which is 0 dB"""
    black = np.zeros((4, 4, 3), np.uint8)
    assert abs(closeness(black, black + 255)) < 1e-5
    assert abs(closeness(black + 255, black)) < 1e-5


def test_0_3_noise(closeness):
    """pictures of noise should get what the chapter's psnr gives"""
    numbers = np.random.default_rng(1).integers(0, 256, (2, 16, 20, 3))
    pair = numbers.astype(np.uint8)
    first, second = torch.from_numpy(pair).movedim(-1, 1) / 127.5 - 1
    wanted = psnr(first[None], second[None]).item()
    assert abs(closeness(*pair) - wanted) < 1e-3
