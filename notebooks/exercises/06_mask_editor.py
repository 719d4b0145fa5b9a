"""Hints for the exercises of chapter 06, and hidden tests."""

import numpy as np
import torch

HINTS = {
    "6.1": [
        "Three bytes make a run. How long is a run whose second byte is 144 "
        "and whose third byte is 1?",
        "Read the bytes with np.frombuffer(data, np.uint8) and reshape them "
        "to (-1, 3): a row for each run.",
        "np.repeat(label, low + 256 * high) writes the runs out. Turn high "
        "into integers first, or 256 does not fit.",
    ],
    "6.2": [
        "Two things are painted, one over the other. Which of them has to "
        "come last, so that it wins?",
        "stroke[:, ::-1] is the mirrored map; a bool map chooses the pixels "
        "that get a class.",
        "Copy the mask, write partner[label] where the mirrored map is "
        "true, then label where the stroke is.",
    ],
    "6.3": [
        "How far is a pixel from the nearest edited one? And which weight "
        "follows from that distance?",
        "Brute force will do: the distances of all pixels to all edited "
        "ones at once are [H, W, edited pixels], and the smallest along the "
        "last axis is the one that counts.",
        "The weight is np.clip(1 - distance / reach, 0, 1). np.nonzero "
        "finds the edited pixels, np.mgrid the rows and columns of all, and "
        "np.hypot the distances.",
    ],
    "6.4": [
        "What is np.uint8([100]) - np.uint8([104])? Try it. And why are only "
        "those reconstructions hurt that are too bright?",
        "An array of bytes has no negative numbers: below 0 it starts again "
        "at 255. At which place does the function compute something that "
        "should be negative?",
        "Turn one of the two pictures into floats before you subtract: "
        "original.astype(float) - reconstruction.",
    ],
    "6.5": [
        "Set the difference to 0 at edited pixels, and take the mean over "
        "the window. Why is this mean too small, and by which factor?",
        "The mean over the known pixels is a sum over them, divided by "
        "their number. Both are means over the window of something: of "
        "known * difference, and of known. At the picture's edge the same "
        "division helps.",
        "F.avg_pool2d(x, 2 * radius + 1, stride=1, padding=radius) is the "
        "mean over the window. Divide one by the other, with "
        ".clamp(min=1e-6) below, and join the two parts by edited and 1 - "
        "edited.",
    ],
}


def _flat(*colour):
    return np.tile(np.array(colour, np.uint8), (4, 6, 1))


def test_6_4_too_dark(answer):
    "a reconstruction that is too dark makes the render brighter"
    found = answer(_flat(90, 90, 90), _flat(100, 100, 100), _flat(95, 95, 95))
    assert np.array_equal(found, _flat(95, 95, 95)) and found.dtype == np.uint8


def test_6_4_too_bright(answer):
    "a reconstruction that is too bright makes the render darker"
    found = answer(
        _flat(90, 90, 90), _flat(100, 100, 100), _flat(105, 105, 105)
    )
    assert np.array_equal(found, _flat(85, 85, 85)), (
        f"{found.mean():.0f} for 85"
    )


def test_6_4_channels(answer):
    "each colour is moved by a step of its own"
    found = answer(
        _flat(90, 90, 90), _flat(100, 100, 100), _flat(105, 100, 95)
    )
    assert np.array_equal(found, _flat(85, 90, 95))


def test_6_4_noise(answer):
    "errors of both signs cancel"
    off = np.array([[1], [-1]] * 2)[..., None]
    found = answer(
        _flat(90, 90, 90),
        _flat(100, 100, 100),
        (_flat(100, 100, 100) + off).astype(np.uint8),
    )
    assert np.array_equal(found, _flat(90, 90, 90))


def test_6_4_ends(answer):
    "large steps are possible, and end at black and white"
    found = answer(_flat(250, 10, 90), _flat(250, 10, 250), _flat(220, 40, 20))
    assert np.array_equal(found, _flat(255, 0, 255))


def _pictures(height=7, width=9):
    torch.manual_seed(0)
    render, original, reconstruction = torch.rand(3, 2, 3, height, width)
    edited = torch.zeros(2, 1, height, width)
    edited[:, :, 2:5, 3:8] = 1
    edited[0, :, :2, :2] = 1
    return render, original, reconstruction, edited


def test_6_5_shapes(answer):
    "pictures [2, 3, 7, 9] give a picture of the same shape"
    assert answer(1)(*_pictures()).shape == (2, 3, 7, 9)


def test_6_5_unedited(answer):
    "unedited pixels are exactly the original's"
    given = _pictures()
    same = (answer(2)(*given) == given[1]) | (given[3] > 0)
    assert same.all(), f"{(~same).sum()} values differ"


def test_6_5_what_was_there_before(answer):
    "what the original showed in the edited region plays no part"
    render, original, reconstruction, edited = _pictures()
    other = torch.where(edited > 0, torch.rand_like(original), original)
    found = [
        answer(2)(render, x, reconstruction, edited) for x in (original, other)
    ]
    assert torch.allclose(*found, atol=1e-5)


def test_6_5_same_error(answer):
    "an error that is the same everywhere is put right everywhere"
    render, original, _, edited = _pictures()
    found = answer(2)(render, original, original - 0.25, edited)
    assert torch.allclose(
        found, torch.where(edited > 0, render + 0.25, original), atol=1e-5
    )


def test_6_5_all_edited(answer):
    "where no unedited pixel is near, the render stays as it is"
    render, original, reconstruction, edited = _pictures()
    assert torch.allclose(
        answer(1)(render, original, reconstruction, torch.ones_like(edited)),
        render,
    )


def test_6_5_by_loops(answer):
    "an edited pixel is moved by the unedited pixels in its window"
    render, original, reconstruction, edited = given = _pictures()
    expected = original.clone()
    for b, y, x in edited[:, 0].nonzero().tolist():
        window = (
            b,
            slice(None),
            slice(max(y - 2, 0), y + 3),
            slice(max(x - 2, 0), x + 3),
        )
        known = edited[window][0] == 0
        shift = (
            (original - reconstruction)[window][:, known].mean(dim=1)
            if known.any()
            else 0
        )
        expected[b, :, y, x] = render[b, :, y, x] + shift
    assert torch.allclose(answer(2)(*given), expected, atol=1e-5)
