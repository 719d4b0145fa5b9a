"""Grading methods pair by pair, and keeping it: hand-made judges and methods, kills, damage."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stub_judges import Counting, Judges, method, paint
from toy_faces import pack_toy_faces

from maskgan_lib.data.batches import to_float_image
from maskgan_lib.evaluation import run
from maskgan_lib.evaluation.grades import TASK_MEASURES
from maskgan_lib.evaluation.methods import RECONSTRUCTION, STYLE_COPY, TASKS, TRANSFER, MethodError
from maskgan_lib.evaluation.metrics import around
from maskgan_lib.evaluation.run import Grader
from maskgan_lib.evaluation.tasks import attribute_pairs, reconstruction_pairs, requests, style_pairs


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return pack_toy_faces(tmp_path_factory.mktemp("faces") / "toy", 40)


@pytest.fixture(scope="module")
def lists(faces):
    places = np.arange(len(faces))
    return {
        TRANSFER: attribute_pairs(faces, places, seed=1),
        STYLE_COPY: style_pairs(faces, places),
        RECONSTRUCTION: reconstruction_pairs(faces, places),
    }


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(run, "PART", 8)


def equal(a, b) -> bool:
    return (
        a.values.keys() == b.values.keys()
        and all(np.array_equal(a.values[name], b.values[name], equal_nan=True) for name in a.values)
        and np.array_equal(a.features, b.features)
        and np.array_equal(a.embeddings, b.embeddings)
    )


# ---- what is graded


@pytest.mark.parametrize("task", TASKS)
def test_every_pair_has_every_measure(faces, lists, task):
    pairs = lists[task]
    graded = Grader(faces, Judges()).of_method(method(), pairs)
    assert list(graded.values) == [measure.name for measure in TASK_MEASURES[task]]
    assert {values.shape for values in graded.values.values()} == {(len(pairs),)} and len(graded) == len(pairs)
    assert (graded.values["segmentation accuracy"] == 100).all()
    request = next(iter(requests(pairs, faces, batch=len(pairs))))
    assert graded.features == pytest.approx(Judges().features(paint(request)).numpy())
    assert graded.embeddings == pytest.approx(Judges().identity(paint(request)).numpy())


def test_neither_parts_nor_batches_show(faces, lists, small_parts):
    in_parts = Grader(faces, Judges(), batch=3).of_method(method(), lists[TRANSFER])
    assert len(lists[TRANSFER]) > 8
    whole = Grader(faces, Judges(), batch=64).of_method(method(), lists[TRANSFER])
    assert all(in_parts.values[name] == pytest.approx(whole.values[name], nan_ok=True) for name in whole.values)
    assert in_parts.features == pytest.approx(whole.features)


def test_without_an_identity_net_there_are_no_embeddings(faces, lists):
    grader = Grader(faces, Judges(identity_net=None))
    assert grader.of_method(method(), lists[TRANSFER]).embeddings is grader.of_set(np.arange(3)).embeddings is None


def test_photos_are_graded_where_their_truth_is_known(faces, lists):
    pairs = lists[TRANSFER]
    images, masks = to_float_image(np.array(faces.images)), torch.as_tensor(np.array(faces.masks))
    photos = Grader(faces, Judges()).of_photos(pairs)
    smiling = images.mean(dim=(1, 2, 3)).numpy() > 0
    assert 0 < smiling[pairs.sources].mean() < 1
    assert np.array_equal(photos.values["attribute accuracy"], 100.0 * smiling[pairs.sources])
    right = Judges().parse(images) == masks
    own = 100 * right.double().mean(dim=(1, 2)).numpy()
    assert photos.values["segmentation accuracy"] == pytest.approx(own[pairs.targets])
    edited = torch.cat([request.edited for request in requests(pairs, faces)])
    near = around(edited != masks[pairs.targets], 0.03)
    local = (right[pairs.targets] & near).sum(dim=(1, 2)) / near.sum(dim=(1, 2))
    assert photos.values["segmentation accuracy around the edit"] == pytest.approx(100 * local.double().numpy())
    for like_itself in ("identity similarity", "change far from the edit"):
        assert np.isnan(photos.values[like_itself]).all()
    assert photos.features == pytest.approx(Judges().features(images[pairs.sources]).numpy())
    assert photos.embeddings == pytest.approx(Judges().identity(images[pairs.targets]).numpy())


def test_looks_of_photos_are_held_against_the_annotation_of_the_source(faces, lists, monkeypatch):
    """The toy faces are annotated as smiling only: let style copy ask for that."""
    known = (faces.attribute("Smiling") > 0)[lists[STYLE_COPY].sources]
    plain = run.requests

    def with_truth(pairs, faces, device, batch):
        for start, request in enumerate(plain(pairs, faces, device, 1)):
            yield replace(request, known={"Male": torch.as_tensor(known[start : start + 1])})

    monkeypatch.setattr(run, "requests", with_truth)
    photos = Grader(faces, Judges(attribute_names=("Young", "Male"))).of_photos(lists[STYLE_COPY])
    images = to_float_image(faces.read(lists[STYLE_COPY].sources)[0])
    assert np.array_equal(photos.values["Male"], 100.0 * ((images.mean(dim=(1, 2, 3)).numpy() > 0) == known))


@pytest.mark.parametrize(
    ("make", "says"),
    [(lambda request: request.target[:, :, ::2], "made"), (lambda request: request.target / 0, "not finite")],
)
def test_bad_pictures_are_refused(faces, lists, make, says):
    with pytest.raises(MethodError, match=f"painter.*{says}"):
        Grader(faces, Judges()).of_method(method(make), lists[STYLE_COPY])
    with pytest.raises(MethodError, match="does no style copy"):
        Grader(faces, Judges()).of_method(method(make, tasks=(TRANSFER,)), lists[STYLE_COPY])


# ---- what is kept


@pytest.mark.parametrize("other", [None, "method", "judges", "pairs", "version"])
def test_only_what_another_fingerprint_has_is_made_anew(faces, lists, tmp_path, monkeypatch, other):
    make, pairs = Counting(), lists[TRANSFER]
    whole = Grader(faces, Judges(), tmp_path).of_method(method(make), pairs)
    if other == "pairs":
        pairs = replace(pairs, sources=np.roll(pairs.sources, 1))
    if other == "version":
        monkeypatch.setattr(run, "VERSION", run.VERSION + 1)
    judges = Judges("others") if other == "judges" else Judges()
    again = Grader(faces, judges, tmp_path).of_method(method(make, "other" if other == "method" else "painter"), pairs)
    assert make.pictures == len(pairs) * (1 if other is None else 2)
    assert other == "pairs" or equal(whole, again)


def test_a_killed_run_goes_on(faces, lists, tmp_path, small_parts):
    pairs = lists[STYLE_COPY]
    killed, resumed = Counting(dies_at=4), Counting()
    with pytest.raises(KeyboardInterrupt):
        Grader(faces, Judges(), tmp_path, batch=4).of_method(method(killed), pairs)
    assert killed.pictures == 12
    result = Grader(faces, Judges(), tmp_path, batch=4).of_method(method(resumed), pairs)
    assert resumed.pictures == len(pairs) - 8, "the first part of 8 was kept, the half of the second was not"
    assert equal(result, Grader(faces, Judges(), batch=4).of_method(method(), pairs))
    assert not list(tmp_path.rglob("*.partial"))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    at = content.index(b"NUMPY") + 130  # among the numbers of the first array
    content[at] ^= 0xFF
    path.write_bytes(content)


def shorten(path):
    with np.load(path) as stored:
        arrays = {name: stored[name][:-1] for name in stored.files}
    np.savez(path, **arrays)


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, lambda path: path.write_bytes(b""), shorten])
def test_a_damaged_part_is_made_again(faces, lists, tmp_path, small_parts, capsys, damage):
    pairs = lists[STYLE_COPY]
    whole = Grader(faces, Judges(), tmp_path, batch=8).of_method(method(), pairs)
    parts = sorted(tmp_path.rglob("*.npz"))
    assert len(parts) == 5
    damage(parts[2])
    make = Counting()
    assert equal(whole, Grader(faces, Judges(), tmp_path, batch=8).of_method(method(make), pairs))
    assert make.pictures == 8
    assert f"{parts[2].name} is damaged" in capsys.readouterr().err


def test_photos_and_sets_are_kept_too(faces, lists, tmp_path, monkeypatch):
    grader = Grader(faces, Judges(), tmp_path)
    first = grader.of_photos(lists[TRANSFER]), grader.of_set(np.arange(9))
    images = to_float_image(faces.read(np.arange(9))[0])
    assert first[1].values == {} and first[1].features == pytest.approx(Judges().features(images).numpy())
    monkeypatch.setattr(Judges, "features", None)
    again = grader.of_photos(lists[TRANSFER]), grader.of_set(np.arange(9))
    assert equal(first[0], again[0]) and equal(first[1], again[1])
    with pytest.raises(TypeError):
        grader.of_set(np.arange(8))
