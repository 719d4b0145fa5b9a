"""Order, noise and pixels of batches, and the flip that lets left and right trade places."""

import threading
import warnings
from collections import Counter
from contextlib import closing

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from toy_faces import pack_toy_faces

from maskgan_lib.classes import CLASS_ID, IGNORE_ID
from maskgan_lib.data.batches import Batch, Batches, flip, to_float_image, to_uint8_image
from maskgan_lib.data.packed import PackedFaces


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> PackedFaces:
    return pack_toy_faces(tmp_path_factory.mktemp("batches") / "toy", 8, splits=("train", "train", "test"))


# ---- order


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 9), batch_size=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_every_pass_is_a_permutation(faces, count, batch_size, seed):
    """Cut anew into passes of ``count``, the batches hold every face once a pass, and once another's mask with it."""
    indices = np.arange(100, 100 + count)
    batches = Batches(faces, indices, batch_size, seed)
    drawn = np.concatenate([batches.draw(step) for step in range(3 * count)])
    assert drawn.shape == (3 * count * batch_size, 2)
    for k in range(0, len(drawn), count):
        assert (np.sort(drawn[k : k + count], axis=0) == indices[:, None]).all()
    assert count == 1 or (drawn[:, 0] != drawn[:, 1]).all()


def test_order_and_noise_are_those_of_seed_and_step(faces):
    def orders(seed: int, steps: range) -> list[list[list[int]]]:
        batches = Batches(faces, np.arange(50), 8, seed)
        return [batches.draw(step).tolist() for step in steps]

    def noise(seed: int, step: int) -> torch.Tensor:
        return Batches(faces, np.arange(7), 6, seed).at(step).noise(2000)

    first, first_noise = orders(3, range(20)), noise(1, 0)
    torch.manual_seed(99)
    assert orders(3, range(19, -1, -1))[::-1] == first != orders(4, range(20))
    assert torch.equal(noise(1, 0), first_noise) and first_noise.shape == (6, 2000)
    assert abs(first_noise.mean()) < 0.05 and abs(first_noise.std() - 1) < 0.05
    for other in (noise(1, 1), noise(2, 0)):
        assert abs((first_noise * other).mean()) < 0.05  # uncorrelated


def test_passes_differ_and_mix_well(faces):
    """Every place of a pass, and every pair of a face and a reference, comes about equally often."""
    batches = Batches(faces, np.arange(6), 6)
    drawn = [batches.draw(step) for step in range(600)]
    first = Counter(int(order[0, 0]) for order in drawn)
    assert len(first) == 6 and all(60 < n < 140 for n in first.values())  # 100 expected, standard deviation 9.1
    pairs = Counter(tuple(pair) for order in drawn for pair in order.tolist())
    assert len(pairs) == 30 and all(75 < n < 165 for n in pairs.values())  # 120 expected


def test_impossible_batches_and_parts_are_refused(faces):
    with pytest.raises(ValueError, match="no faces"):
        Batches(faces, np.array([], int), 4)
    with pytest.raises(ValueError, match="9 faces cannot be shared evenly by 2"):
        Batches(faces, np.arange(5), 9, world=2)
    for count in (5, 8):
        with pytest.raises(ValueError, match=f"6 faces cannot be cut into {count} equal parts"):
            Batches(faces, np.arange(7), 6).at(0).parts(count)


# ---- content


@pytest.mark.parametrize(("indices", "size"), [(range(7), 3), ([1], 4)])
def test_a_stream_of_batches_holds_their_faces(faces, indices, size):
    batches = Batches(faces, np.array(indices), size, seed=1, references=True, expressions=True)
    stream = list(batches.stream(2, 6))
    assert [batch.step for batch in stream] == [2, 3, 4, 5] and not list(batches.stream(6, 6))
    for batch in stream:
        assert batch.image.dtype == torch.float32 and batch.mask.dtype == torch.uint8
        assert batch.index.tolist() == batches.draw(batch.step)[:, 0].tolist()
        truth = np.moveaxis(faces.images[batch.index].astype(np.float64), -1, 1) / 127.5 - 1
        np.testing.assert_allclose(batch.image.numpy(), truth, atol=1e-6)
        np.testing.assert_array_equal(batch.mask.numpy(), faces.masks[batch.index])
        alone = batches.at(batch.step).pictures()
        assert all(torch.equal(value, alone[name]) for name, value in batch.pictures().items())
        other = [[1, 0, 3, 2, 5, 4, 7][i] for i in batch.index]  # two of each
        np.testing.assert_array_equal(batch.other_mask.numpy(), faces.masks[other])
        truth = np.moveaxis(faces.images[other].astype(np.float64), -1, 1) / 127.5 - 1
        np.testing.assert_allclose(batch.other_image.numpy(), truth, atol=1e-6)
        np.testing.assert_array_equal(batch.reference.numpy(), faces.masks[batches.draw(batch.step)[:, 1]])


def test_a_stream_that_is_closed_or_fails_leaves_no_thread(faces, monkeypatch):
    def reading() -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread.name.startswith("batches")]

    with closing(Batches(faces, np.arange(7), 3).stream(0, 9)) as stream:
        next(stream)
        assert reading()
    assert not reading()
    batches = Batches(faces, np.arange(7), 3)
    monkeypatch.setattr(PackedFaces, "read", lambda self, indices: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        next(batches.stream(0, 9))
    assert not reading()


@pytest.mark.parametrize(("world", "count"), [(1, 1), (1, 3), (2, 1), (2, 3), (3, 2)])
def test_shares_of_processes_and_their_parts_make_up_the_batch(faces, world, count):
    def batch(rank: int, world: int) -> Batch:
        return Batches(faces, np.arange(7), 12, 5, references=True, expressions=True, rank=rank, world=world).at(4)

    whole, parts = batch(0, 1), [part for rank in range(world) for part in batch(rank, world).parts(count)]
    assert [len(part.image) for part in parts] == [12 // world // count] * (world * count)
    for name, value in whole.pictures().items():
        assert torch.equal(torch.cat([part.pictures()[name] for part in parts]), value)
    assert np.array_equal(np.concatenate([part.index for part in parts]), whole.index)
    assert torch.equal(torch.cat([part.noise(5) for part in parts]), whole.noise(5))


def test_references_come_only_where_asked_for(faces):
    assert Batches(faces, np.arange(7), 3).at(0).reference is None
    alone = Batches(faces, np.array([4]), 3, references=True).at(0)
    assert np.array_equal(alone.reference, alone.mask)


# ---- pixels


def test_bytes_survive_the_way_there_and_back_and_others_are_clipped():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    there = to_float_image(every)
    assert there.shape == (1, 3, 16, 16) and there.min() == -1 and there.max() == 1
    np.testing.assert_array_equal(to_uint8_image(there), every)
    image = torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).view(1, 5, 1).expand(3, 5, 1)
    assert to_uint8_image(image)[:, 0, 0].tolist() == [0, 0, 128, 255, 255]


def test_a_read_only_memory_map_and_a_mirrored_view_will_do(faces):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = to_float_image(faces.images[2])
    assert torch.equal(to_float_image(faces.images[2][:, ::-1]), image.flip(-1))


# ---- flip

masks = arrays(
    np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 18)
)


@given(masks)
def test_flip_swaps_sides(labels):
    mirrored = flip(torch.zeros(len(labels), 3, *labels.shape[1:]), torch.from_numpy(labels))[1].numpy()[..., ::-1]
    for name, i in CLASS_ID.items():
        partner = {"l_": "r_", "r_": "l_"}.get(name[:2], "") + name[2:]
        partner = CLASS_ID.get(partner, i)  # l_lip, the lower lip, has none
        np.testing.assert_array_equal(mirrored == partner, labels == i)


def test_flip_keeps_unknown_pixels_and_mirrors_the_image():
    image = torch.arange(12.0).view(1, 3, 1, 4)
    mask = torch.tensor([[[IGNORE_ID, CLASS_ID["l_eye"], 0, CLASS_ID["r_eye"]]]], dtype=torch.uint8)
    mirrored, swapped = flip(image, mask)
    assert mirrored[0, :, 0].tolist() == [[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]]
    assert swapped[0, 0].tolist() == [CLASS_ID["l_eye"], 0, CLASS_ID["r_eye"], IGNORE_ID]
    assert swapped.dtype == torch.uint8
