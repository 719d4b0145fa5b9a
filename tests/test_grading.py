"""Grading methods pair by pair, and keeping it: hand-made judges and methods, kills, damage."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from stub_judges import Counting, Judges, method, paint
from toy_faces import pack_toy_faces

from maskgan_lib.data.batches import to_float_image
from maskgan_lib.evaluation import grading
from maskgan_lib.evaluation.grading import grade_method, grade_photos, grade_set
from maskgan_lib.evaluation.methods import RECONSTRUCTION, STYLE_COPY, TASKS, TRANSFER
from maskgan_lib.evaluation.metrics import around
from maskgan_lib.evaluation.protocols import MEASURES, attribute_pairs, reconstruction_pairs, requests, style_pairs


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
    monkeypatch.setattr(grading, "PART", 8)


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
    graded = grade_method(method(), pairs, faces, Judges())
    assert list(graded.values) == [measure.name for measure in MEASURES[task]]
    assert {values.shape for values in graded.values.values()} == {(len(pairs),)} and len(graded) == len(pairs)
    assert (graded.values["segmentation accuracy"] == 100).all()
    request = next(iter(requests(pairs, faces, batch=len(pairs))))
    assert graded.features == pytest.approx(Judges().features(paint(request)).numpy())
    assert graded.embeddings == pytest.approx(Judges().identity(paint(request)).numpy())


def test_neither_parts_nor_batches_show(faces, lists, small_parts):
    in_parts = grade_method(method(), lists[TRANSFER], faces, Judges(), batch=3)
    assert len(lists[TRANSFER]) > 8
    whole = grade_method(method(), lists[TRANSFER], faces, Judges(), batch=64)
    assert all(in_parts.values[name] == pytest.approx(whole.values[name], nan_ok=True) for name in whole.values)
    assert in_parts.features == pytest.approx(whole.features)


def test_without_an_identity_net_there_are_no_embeddings(faces, lists):
    judges = Judges(identity_net=None)
    assert grade_method(method(), lists[TRANSFER], faces, judges).embeddings is None
    assert grade_photos(lists[TRANSFER], faces, judges).embeddings is None
    assert grade_set(np.arange(3), faces, judges).embeddings is None


def test_photos_are_graded_where_their_truth_is_known(faces, lists):
    pairs = lists[TRANSFER]
    images, masks = to_float_image(np.array(faces.images)), torch.as_tensor(np.array(faces.masks))
    photos = grade_photos(pairs, faces, Judges())
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
    assert np.isnan(photos.values["identity similarity"]).all()
    assert np.isnan(photos.values["change far from the edit"]).all()
    assert photos.features == pytest.approx(Judges().features(images[pairs.sources]).numpy())
    assert photos.embeddings == pytest.approx(Judges().identity(images[pairs.targets]).numpy())


def test_photos_say_nothing_of_how_like_themselves_they_are(faces, lists):
    for task, said in ((STYLE_COPY, {"segmentation accuracy"}), (RECONSTRUCTION, {"segmentation accuracy"})):
        photos = grade_photos(lists[task], faces, Judges())
        assert {name for name, values in photos.values.items() if np.isfinite(values).any()} == said


def test_looks_of_photos_are_held_against_the_annotation_of_the_source(faces, lists, monkeypatch):
    """The toy faces are annotated as smiling only: let style copy ask for that."""
    known = (faces.attribute("Smiling") > 0)[lists[STYLE_COPY].sources]
    plain = grading.requests

    def with_truth(pairs, faces, device, batch):
        for start, request in enumerate(plain(pairs, faces, device, 1)):
            yield replace(request, known={"Male": torch.as_tensor(known[start : start + 1])})

    monkeypatch.setattr(grading, "requests", with_truth)
    photos = grade_photos(lists[STYLE_COPY], faces, Judges(attribute_names=("Young", "Male")))
    images = to_float_image(faces.read(lists[STYLE_COPY].sources)[0])
    assert np.array_equal(photos.values["Male"], 100.0 * ((images.mean(dim=(1, 2, 3)).numpy() > 0) == known))


def test_a_set_of_photos(faces):
    seen = grade_set(np.array([5, 2, 9]), faces, Judges())
    images = to_float_image(faces.read([5, 2, 9])[0])
    assert seen.values == {} and seen.features == pytest.approx(Judges().features(images).numpy())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda request: request.target[:, :, ::2], "made"),
        (lambda request: request.target / 0, "not finite"),
    ],
)
def test_bad_pictures_are_refused(faces, lists, make, says):
    with pytest.raises(ValueError, match=f"painter.*{says}"):
        grade_method(method(make), lists[STYLE_COPY], faces, Judges())


def test_a_method_is_not_asked_for_what_it_does_not_do(faces, lists):
    with pytest.raises(ValueError, match="painter does no style copy, only attribute transfer"):
        grade_method(method(tasks=(TRANSFER,)), lists[STYLE_COPY], faces, Judges())


# ---- what is kept


def test_what_is_graded_is_not_made_again(faces, lists, tmp_path):
    first, second = Counting(), Counting()
    pairs = lists[TRANSFER]
    whole = grade_method(method(first), pairs, faces, Judges(), tmp_path)
    again = grade_method(method(second), pairs, faces, Judges(), tmp_path)
    assert first.pictures == len(pairs) and second.pictures == 0 and equal(whole, again)


@pytest.mark.parametrize("other", ["method", "judges", "pairs", "version"])
def test_another_fingerprint_is_made_anew(faces, lists, tmp_path, monkeypatch, other):
    make = Counting()
    grade_method(method(make), lists[TRANSFER], faces, Judges(), tmp_path)
    pairs, before = lists[TRANSFER], make.pictures
    if other == "pairs":
        pairs = replace(pairs, sources=np.roll(pairs.sources, 1))
    if other == "version":
        monkeypatch.setattr(grading, "VERSION", grading.VERSION + 1)
    judges = Judges("others") if other == "judges" else Judges()
    grade_method(method(make, "other" if other == "method" else "painter"), pairs, faces, judges, tmp_path)
    assert make.pictures == 2 * before


def test_a_killed_run_goes_on(faces, lists, tmp_path, small_parts):
    pairs = lists[STYLE_COPY]
    killed, resumed = Counting(dies_at=4), Counting()
    with pytest.raises(KeyboardInterrupt):
        grade_method(method(killed), pairs, faces, Judges(), tmp_path, batch=4)
    assert killed.pictures == 12
    result = grade_method(method(resumed), pairs, faces, Judges(), tmp_path, batch=4)
    assert resumed.pictures == len(pairs) - 8, "the first part of 8 was kept, the half of the second was not"
    assert equal(result, grade_method(method(), pairs, faces, Judges(), batch=4))
    assert not list(tmp_path.rglob("*.partial"))


def truncate(path):
    path.write_bytes(path.read_bytes()[:-30])


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    at = content.index(b"NUMPY") + 130  # among the numbers of the first array
    content[at] ^= 0xFF
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b"")


def shorten(path):
    with np.load(path) as stored:
        arrays = {name: stored[name][:-1] for name in stored.files}
    np.savez(path, **arrays)


@pytest.mark.parametrize("damage", [truncate, flip_a_byte, empty, shorten])
def test_a_damaged_part_is_made_again(faces, lists, tmp_path, small_parts, capsys, damage):
    pairs = lists[STYLE_COPY]
    whole = grade_method(method(), pairs, faces, Judges(), tmp_path, batch=8)
    parts = sorted(tmp_path.rglob("*.npz"))
    assert len(parts) == 5
    damage(parts[2])
    capsys.readouterr()
    make = Counting()
    assert equal(whole, grade_method(method(make), pairs, faces, Judges(), tmp_path, batch=8))
    assert make.pictures == 8
    said = [line for line in capsys.readouterr().err.splitlines() if "damaged" in line]
    assert len(said) == 1 and parts[2].name in said[0] and "graded again" in said[0]


def test_photos_and_sets_are_kept_too(faces, lists, tmp_path, monkeypatch):
    first = grade_photos(lists[TRANSFER], faces, Judges(), tmp_path), grade_set(np.arange(9), faces, Judges(), tmp_path)
    monkeypatch.setattr(Judges, "features", None)
    again = grade_photos(lists[TRANSFER], faces, Judges(), tmp_path), grade_set(np.arange(9), faces, Judges(), tmp_path)
    assert equal(first[0], again[0]) and equal(first[1], again[1])
    with pytest.raises(TypeError):
        grade_set(np.arange(8), faces, Judges(), tmp_path)
