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


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 9), batch_size=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_every_pass_is_a_permutation(faces, count, batch_size, seed):
    """Cut anew into passes of ``count``, the stream of batches holds every face once a pass."""
    indices = np.arange(100, 100 + count)
    batches = Batches(faces, indices, batch_size, seed)
    stream = np.concatenate([batches.order(step) for step in range(3 * count)])
    assert len(stream) == 3 * count * batch_size
    for k in range(0, len(stream), count):
        assert sorted(stream[k : k + count]) == list(indices)


def test_order_is_that_of_seed_and_step(faces):
    indices = np.arange(50)
    steps = range(20)
    first = [Batches(faces, indices, 8, seed=3).order(step).tolist() for step in steps]
    np.random.default_rng(0).random(5)
    torch.manual_seed(99)
    again = Batches(faces, indices, 8, seed=3)
    assert [again.order(step).tolist() for step in reversed(steps)][::-1] == first
    assert [Batches(faces, indices, 8, seed=4).order(step).tolist() for step in steps] != first


def test_passes_differ_and_mix_well(faces):
    """Where a face comes in a pass is uniform: over many passes, each is first about equally often."""
    batches = Batches(faces, np.arange(5), 5, seed=0)
    first = Counter(int(batches.order(step)[0]) for step in range(1000))
    assert sorted(first) == [0, 1, 2, 3, 4]
    assert all(140 < n < 260 for n in first.values())  # 200 expected, standard deviation 12.6


def test_impossible_batches_are_refused(faces):
    with pytest.raises(ValueError, match="no faces"):
        Batches(faces, np.array([], int), 4)
    with pytest.raises(ValueError, match="9 faces cannot be shared evenly by 2"):
        Batches(faces, np.arange(5), 9, world=2)


# ---- content


@pytest.mark.parametrize(("indices", "size"), [(range(7), 3), ([1], 4)])
def test_a_stream_of_batches_holds_their_faces(faces, indices, size):
    batches = Batches(faces, np.array(indices), size, seed=1, references=True, expressions=True)
    stream = list(batches.stream(2, 6))
    assert [batch.step for batch in stream] == [2, 3, 4, 5] and not list(batches.stream(6, 6))
    for batch in stream:
        assert batch.image.dtype == torch.float32 and batch.mask.dtype == torch.uint8
        assert batch.index.tolist() == batches.order(batch.step).tolist()
        truth = np.moveaxis(faces.images[batch.index].astype(np.float64), -1, 1) / 127.5 - 1
        np.testing.assert_allclose(batch.image.numpy(), truth, atol=1e-6)
        np.testing.assert_array_equal(batch.mask.numpy(), faces.masks[batch.index])
        alone = batches.at(batch.step).pictures()
        assert all(torch.equal(value, alone[name]) for name, value in batch.pictures().items())
        other = [[1, 0, 3, 2, 5, 4, 7][i] for i in batch.index]  # two of each
        np.testing.assert_array_equal(batch.other_mask.numpy(), faces.masks[other])
        truth = np.moveaxis(faces.images[other].astype(np.float64), -1, 1) / 127.5 - 1
        np.testing.assert_allclose(batch.other_image.numpy(), truth, atol=1e-6)
        np.testing.assert_array_equal(batch.reference.numpy(), faces.masks[batches.reference_order(batch.step)])


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


def test_noise_is_that_of_seed_and_step(faces):
    def noise(seed: int, step: int) -> torch.Tensor:
        return Batches(faces, np.arange(7), 6, seed).at(step).noise(2000)

    first = noise(1, 0)
    torch.manual_seed(5)
    assert torch.equal(noise(1, 0), first)
    assert first.shape == (6, 2000)
    assert abs(first.mean()) < 0.05 and abs(first.std() - 1) < 0.05
    for other in (noise(1, 1), noise(2, 0)):
        assert abs((first * other).mean()) < 0.05  # uncorrelated


# ---- references and parts


@settings(max_examples=30, deadline=None)
@given(count=st.integers(2, 9), batch_size=st.integers(1, 12), seed=st.integers(0, 2**32 - 1))
def test_references_are_other_faces_each_once_a_pass(faces, count, batch_size, seed):
    batches = Batches(faces, np.arange(count), batch_size, seed)
    own, others = (
        np.concatenate([order(step) for step in range(3 * count)]) for order in (batches.order, batches.reference_order)
    )
    assert (own != others).all()
    for k in range(0, len(others), count):
        assert sorted(others[k : k + count]) == list(range(count))


def test_pairs_with_references_differ_from_pass_to_pass(faces):
    batches = Batches(faces, np.arange(6), 6)
    pairs = Counter(
        pair
        for step in range(300)
        for pair in zip(batches.order(step).tolist(), batches.reference_order(step).tolist(), strict=True)
    )
    assert len(pairs) == 30 and all(30 < n < 95 for n in pairs.values())  # 60 expected


def test_references_come_only_where_asked_for(faces):
    assert Batches(faces, np.arange(7), 3).at(0).reference is None
    alone = Batches(faces, np.array([4]), 3, references=True).at(0)
    assert np.array_equal(alone.reference, alone.mask)


@pytest.mark.parametrize("count", [5, 8])
def test_unequal_parts_are_refused(faces, count):
    with pytest.raises(ValueError, match=f"6 faces cannot be cut into {count} equal parts"):
        Batches(faces, np.arange(7), 6).at(0).parts(count)


# ---- pixels


def test_bytes_survive_the_way_there_and_back():
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1).repeat(3, axis=3)
    there = to_float_image(every)
    assert there.shape == (1, 3, 16, 16) and there.min() == -1 and there.max() == 1
    np.testing.assert_array_equal(to_uint8_image(there), every)


def test_pixels_out_of_range_are_clipped():
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
