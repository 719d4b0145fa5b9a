"""Masks as run lengths: every mask survives, and nothing else is taken for one."""

import time

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.editor.checks import EditError, check_mask
from maskgan_lib.editor.rle import decode_runs, encode_runs

SIZE = 32


def masks(size: int = SIZE):
    """Masks of long runs, short runs and noise."""
    runs = st.lists(st.tuples(st.integers(0, NUM_CLASSES - 1), st.integers(1, 200)), min_size=1, max_size=60)

    def filled(pairs):
        flat = np.repeat(*np.array(pairs).T)
        return np.resize(flat, (size, size)).astype(np.uint8)

    return runs.map(filled)


def plain_runs(mask: np.ndarray) -> bytes:
    """The format, written down pixel by pixel."""
    triples: list[list[int]] = []
    for value in mask.ravel().tolist():
        if triples and triples[-1][0] == value and triples[-1][1] < 65535:
            triples[-1][1] += 1
        else:
            triples.append([value, 1])
    return bytes(byte for value, run in triples for byte in (value, run % 256, run // 256))


@given(masks())
@settings(max_examples=60, deadline=None)
def test_masks_survive(mask):
    data = encode_runs(mask)
    assert data == plain_runs(mask)
    again = decode_runs(data, SIZE)
    assert again.dtype == np.uint8 and again.flags.writeable
    assert np.array_equal(again, mask)
    assert np.array_equal(decode_runs(memoryview(data), SIZE), mask)


@pytest.mark.parametrize("border", [65534, 65535, 65536, 131070, 131071])
def test_runs_that_are_too_long_for_two_bytes(border):
    mask = np.full((512, 512), 7, np.uint8)
    mask.ravel()[border:] = 1
    assert encode_runs(mask) == plain_runs(mask)
    assert np.array_equal(decode_runs(encode_runs(mask), 512), mask)


@st.composite
def damaged(draw):
    """A good message with a few bytes changed."""
    data = bytearray(encode_runs(draw(masks())))
    for _ in range(draw(st.integers(0, 3))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@given(damaged() | st.binary(max_size=200))
@example(b"\x01\x00\x04")
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_whole_mask_or_refused(data):
    pixels = sum(low + 256 * high for low, high in zip(data[1::3], data[2::3]))
    if data and len(data) % 3 == 0 and pixels == SIZE**2 and max(data[::3]) < NUM_CLASSES and len(data) <= 3 * SIZE**2:
        assert decode_runs(data, SIZE).shape == (SIZE, SIZE)
    else:
        with pytest.raises(EditError):
            decode_runs(data, SIZE)


BIG = 512
GOOD = plain_runs(np.tile(np.arange(16, dtype=np.uint8).repeat(32), (BIG, 1)))
MALFORMED = {
    "long": GOOD + b"\x01\x05\x00",
    "class 19": bytes([NUM_CLASSES]) + GOOD[1:],
    "class 200 in a run of nothing": GOOD + b"\xc8\x00\x00",
    "too many triples": b"\x01\x01\x00" * (BIG**2 + 1),
    "many runs of nothing": b"\x01\x00\x00" * BIG**2,
    "bomb": b"\x01\xff\xff" * 5000,
    "a fraction more than 32 bits": b"\x01\xff\xff" * 65536 + b"\x01\x00\x01",
    "text": "1",
    "numbers": [1, 2, 3],
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_messages_are_refused_at_once(name):
    assert decode_runs(GOOD, BIG).shape == (BIG, BIG)
    times = []
    for _ in range(9):
        start = time.perf_counter()
        with pytest.raises(EditError) as caught:
            decode_runs(MALFORMED[name], BIG)
        times.append(time.perf_counter() - start)
    assert min(times) < 1e-3 and len(str(caught.value)) < 300


def test_masks_of_python_are_checked_and_copied():
    mask = np.full((4, 4), 18, np.int64)
    checked = check_mask(mask, 4)
    assert checked.dtype == np.uint8 and np.array_equal(checked, mask)
    own = checked.copy()
    assert not np.shares_memory(check_mask(own, 4), own)
    for bad, words in [
        (np.zeros((4, 4)), "float64"),
        (np.zeros((4, 5), np.uint8), "[4, 5]"),
        (np.full((4, 4), 19), "class 19"),
        (np.full((4, 4), -1), "class -1"),
        ([[1], [2, 3]], "rows"),
        (None, "object"),
    ]:
        with pytest.raises(EditError) as caught:
            check_mask(bad, 4)
        assert words in str(caught.value)
