"""The packed folder: what goes in comes out, a kill costs nothing, a full disk and damage are said in one sentence."""

import contextlib
import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskgan_lib.classes import IGNORE_ID
from maskgan_lib.data import journal, packed
from maskgan_lib.data.packed import DataError, FaceRecord, PackedFaces, PackedWriter

SIZE = 8
NAMES = ("Smiling", "Male")


def face(i):
    """Image, mask and record of face i: all a function of i."""
    rng = np.random.default_rng(i)
    image = rng.integers(0, 256, (SIZE, SIZE, 3), np.uint8)
    mask = rng.integers(0, 19, (SIZE, SIZE)).astype(np.uint8)
    mask[0, 0] = IGNORE_ID
    pose = None if i % 3 == 0 else (i * 1.5, -2.0, 0.25)
    attributes = {"Smiling": 1 if i % 2 else -1, "Male": -1}
    record = FaceRecord(f"face {i}", ("train", "val", "test")[i % 3], i // 2 if i else None, attributes, pose)
    return image, mask, record


def writer(folder, count, **changes):
    return PackedWriter(**{"folder": folder, "size": SIZE, "count": count, "source": "test", "attribute_names": NAMES,
                           "made_by": {"seed": 0, "shares": (0.5, 0.5)}, **changes})  # fmt: skip


def make(folder, count):
    with writer(folder, count) as file:
        for i in range(count):
            file.write(i, *face(i))
        return file.finish()


def assert_holds(faces, numbers):
    """The folder has the faces of these numbers, in this order."""
    assert len(faces) == len(numbers) == len(faces.images) == len(faces.masks)
    for place, i in enumerate(numbers):
        image, mask, record = face(i)
        assert np.array_equal(faces.images[place], image)
        assert np.array_equal(faces.masks[place], mask)
        assert faces.records[place] == record


def test_what_goes_in_comes_out(tmp_path):
    made = make(tmp_path / "new" / "faces", 7)
    for faces in (made, PackedFaces.open(str(tmp_path / "new" / "faces"))):
        assert_holds(faces, range(7))
        assert isinstance(faces.images, np.memmap) and not faces.images.flags.writeable
        assert faces.size == SIZE and faces.source == "test" and faces.attribute_names == NAMES
        assert faces.made_by == {"seed": 0, "shares": [0.5, 0.5]} and faces.left_out == []
        assert faces.indices("val").tolist() == [1, 4] and faces.indices("train").tolist() == [0, 3, 6]
        assert faces.attribute("Smiling").tolist() == [-1, 1, -1, 1, -1, 1, -1]
        assert faces.identity.tolist() == [-1, 0, 1, 1, 2, 2, 3]
        assert np.isnan(faces.pose[0]).all() and faces.pose[5].tolist() == [7.5, -2.0, 0.25]
    written = {str(path.relative_to(tmp_path / "new")) for path in (tmp_path / "new").rglob("*")}
    assert written == {"faces", "faces/faces.json", "faces/images.npy", "faces/masks.npy"}


def test_names_that_do_not_exist_are_refused(tmp_path):
    faces = make(tmp_path / "faces", 2)
    with pytest.raises(DataError, match=r"'Hat'.*Smiling, Male"):
        faces.attribute("Hat")
    with pytest.raises(ValueError, match="split"):
        faces.indices("training")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(indices=st.lists(st.integers(0, 5), max_size=12))
def test_read_gives_the_faces_asked_for_in_that_order(tmp_path, indices):
    folder = tmp_path / "faces"
    faces = PackedFaces.open(folder) if folder.exists() else make(folder, 6)
    images, masks = faces.read(indices)
    assert images.shape == (len(indices), SIZE, SIZE, 3)
    for place, i in enumerate(indices):
        assert np.array_equal(images[place], face(i)[0]) and np.array_equal(masks[place], face(i)[1])


def test_an_interrupted_run_goes_on_and_ends_the_same(tmp_path):
    make(tmp_path / "whole", 6)
    with writer(tmp_path / "faces", 6) as file:
        for i in (0, 4, 2):
            file.write(i, *face(i))
    with pytest.raises(DataError, match="not finished"):
        PackedFaces.open(tmp_path / "faces")
    with writer(tmp_path / "faces", 6) as file:
        assert file.todo.tolist() == [1, 3, 5] and file.done.tolist() == [True, False, True, False, True, False]
        for i in file.todo:
            file.write(i, *face(i))
        file.finish()
    for name in ("images.npy", "masks.npy", "faces.json"):
        assert (tmp_path / "faces" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize("cut", range(0, 400, 23))
def test_a_journal_cut_anywhere_loses_faces_but_never_invents_them(tmp_path, cut):
    with writer(tmp_path / "faces", 4) as file:
        for i in range(4):
            file.write(i, *face(i))
            file.flush()
    journal = tmp_path / "faces.partial" / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[: max(0, len(content) - cut)])
    with writer(tmp_path / "faces", 4) as file:
        assert file.done.sum() >= 4 - content[len(content) - cut :].count(b"\n") - 1 or cut == 0
        for i in np.flatnonzero(file.done):
            assert file.records[i] == face(i)[2]
        for i in file.todo:
            file.write(i, *face(i))
        assert_holds(file.finish(), range(4))


def test_pixels_are_on_the_disk_before_a_face_counts_as_done(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(np.memmap, "flush", lambda self: events.append("pixels"))
    monkeypatch.setattr(journal.Journal, "append", lambda self, entries: events.append("marks"))
    with writer(tmp_path / "faces", 2) as file:
        file.write(0, *face(0))
        events.clear()
        file.flush()
        assert events == ["pixels", "pixels", "marks"]


@pytest.mark.parametrize(
    ("left_out", "order"),
    [((1,), [0, 5, 2, 3, 4]), ((5,), [0, 1, 2, 3, 4]), ((0, 1, 4, 5), [2, 3]), ((0, 5), [4, 1, 2, 3])],
)
def test_left_out_faces_are_gone_and_named(tmp_path, left_out, order):
    with writer(tmp_path / "faces", 6) as file:
        for i in range(6):
            if i in left_out:
                file.leave_out(i, f"face {i}", "no nose")
            else:
                file.write(i, *face(i))
        faces = file.finish()
    assert_holds(faces, order)
    assert faces.left_out == [{"id": f"face {i}", "reason": "no nose"} for i in left_out]


@pytest.mark.parametrize("calls", range(4))
@pytest.mark.parametrize(
    ("owner", "step"),
    [(np.memmap, "__setitem__"), (np.memmap, "flush"), (packed, "_cut"), (packed, "_replace_json"), (Path, "rename")],
)
def test_a_stop_while_left_out_faces_are_dropped_does_no_harm(tmp_path, monkeypatch, owner, step, calls):
    original, count = getattr(owner, step), iter(range(100))

    def stop_after(*arguments):
        if next(count) >= calls:
            raise KeyboardInterrupt
        return original(*arguments)

    with writer(tmp_path / "faces", 7) as file:
        for i in (0, 2, 4, 5, 6):
            file.write(i, *face(i))
        file.leave_out(1, "face 1", "bad")
        file.leave_out(3, "face 3", "bad")
        with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
            patch.setattr(owner, step, stop_after)
            file.finish()
    if not (tmp_path / "faces").exists():
        with writer(tmp_path / "faces", 7) as file:
            for i in file.todo:
                file.leave_out(i, f"face {i}", "bad")
            file.finish()
    faces = PackedFaces.open(tmp_path / "faces")
    assert_holds(faces, [0, 5, 2, 6, 4])
    assert [entry["id"] for entry in faces.left_out] == ["face 1", "face 3"]
    assert (faces.folder / "masks.npy").stat().st_size == 128 + 5 * SIZE**2


def test_a_repaired_face_gets_a_second_chance(tmp_path):
    with writer(tmp_path / "faces", 2) as file:
        file.write(0, *face(0))
        file.leave_out(1, "face 1", "bad")
    with writer(tmp_path / "faces", 2) as file:
        assert file.todo.tolist() == [1]
        file.write(1, *face(1))
        faces = file.finish()
    assert_holds(faces, [0, 1])
    assert faces.left_out == []


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"size": 16}, "size 8 there, 16 here"),
        ({"made_by": {"seed": 1, "shares": (0.5, 0.5)}}, "seed 0 there, 1 here"),
        ({"count": 4}, "count 3 there, 4 here"),
    ],
)
def test_going_on_with_other_settings_is_refused(tmp_path, changes, named):
    writer(tmp_path / "faces", 3).close()
    with pytest.raises(DataError, match=named):
        writer(**{"folder": tmp_path / "faces", "count": 3, **changes})


def test_a_finished_folder_is_not_overwritten(tmp_path):
    make(tmp_path / "faces", 1)
    with pytest.raises(DataError, match="already exists"):
        writer(tmp_path / "faces", 1)


def test_nothing_to_write_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no face"):
        writer(tmp_path / "faces", 0)
    with writer(tmp_path / "bad", 1) as file:
        file.leave_out(0, "face 0", "It has no nose.")
        with pytest.raises(DataError, match=r"bad.*It has no nose\."):
            file.finish()


def test_a_forgotten_face_is_noticed(tmp_path):
    with writer(tmp_path / "faces", 3) as file:
        file.write(1, *face(1))
        with pytest.raises(ValueError, match="2 of 3 faces"):
            file.finish()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda image, mask, record: (image[:4], mask, record),
        lambda image, mask, record: (image, mask[:, :4], record),
        lambda image, mask, record: (image.astype(float), mask, record),
        lambda image, mask, record: (image, mask + np.uint8(19), record),
        lambda image, mask, record: (image, mask, FaceRecord("1", "train", attributes={"Smiling": 1})),
        lambda image, mask, record: (image, mask, FaceRecord("1", "training", attributes=record.attributes)),
    ],
)
def test_faces_of_another_form_are_refused(tmp_path, spoil):
    with writer(tmp_path / "faces", 3) as file:
        with pytest.raises(ValueError):
            file.write(1, *spoil(*face(1)))
        assert not file.done.any()


def full(*_):
    raise OSError(errno.ENOSPC, "no space")


def test_a_full_disk_is_one_sentence_and_what_is_done_stays(tmp_path, monkeypatch):
    with pytest.raises(DataError, match=r"No space left .* 1 of the 3 faces"), writer(tmp_path / "faces", 3) as file:
        file.write(0, *face(0))
        file.flush()
        monkeypatch.setattr(journal.os, "fsync", full)
        file.write(1, *face(1))
    monkeypatch.undo()
    with writer(tmp_path / "faces", 3) as file:
        assert file.todo.tolist() == [1, 2]
        for i in file.todo:
            file.write(i, *face(i))
        assert_holds(file.finish(), range(3))


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="space is taken by writing zeros here")
def test_too_little_space_is_told_before_the_work_and_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(packed.os, "posix_fallocate", full)
    with pytest.raises(DataError, match=r"No space left .* 262 MB"):
        writer(tmp_path / "faces", 1000, size=256)
    assert [path.name for path in (tmp_path / "faces.partial").iterdir()] == ["journal.jsonl"]


def test_a_system_that_cannot_reserve_space_gets_the_same_files(tmp_path, monkeypatch):
    make(tmp_path / "reserved", 3)
    monkeypatch.delattr(packed.os, "posix_fallocate", raising=False)
    make(tmp_path / "written", 3)
    for name in ("images.npy", "masks.npy"):
        assert (tmp_path / "reserved" / name).read_bytes() == (tmp_path / "written" / name).read_bytes()


def test_other_errors_of_the_disk_are_not_mistaken_for_a_full_one(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "input/output error")

    file = writer(tmp_path / "faces", 3)
    monkeypatch.setattr(np.memmap, "flush", broken)
    file.write(0, *face(0))
    with pytest.raises(OSError, match="input/output"):
        file.close()


def damage_json(folder, change):
    path = folder / "faces.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: (folder / "faces.json").unlink(), "no packed folder, it has no faces.json"),
        (lambda folder: (folder / "faces.json").write_text("{"), "faces.json is damaged"),
        (lambda folder: (folder / "images.npy").unlink(), "images.npy cannot be read"),
        (lambda folder: (folder / "masks.npy").write_bytes(b"no array"), "masks.npy cannot be read"),
        (lambda folder: (folder / "images.npy").open("r+b").truncate(300), "images.npy cannot be read"),
        (lambda folder: np.save(folder / "masks.npy", np.zeros((3, 8, 8), np.int64)), "holds int64"),
        (lambda folder: np.save(folder / "masks.npy", np.zeros((2, 8, 8), np.uint8)), r"says uint8 \(3, 8, 8\)"),
        (lambda folder: damage_json(folder, lambda about: about.update(format=99)), "not of format"),
        (lambda folder: damage_json(folder, lambda about: about.pop("source")), "lacks or garbles 'source'"),
        (lambda folder: damage_json(folder, lambda about: about["faces"][1].pop("id")), "lacks or garbles 'id'"),
        (lambda folder: damage_json(folder, lambda about: about["faces"].pop()), r"says uint8 \(2, 8, 8, 3\)"),
        (lambda folder: damage_json(folder, lambda about: about["faces"][0]["attributes"].pop()), "lacks or garbles"),
    ],
)
def test_a_damaged_folder_is_not_opened(tmp_path, damage, message):
    make(tmp_path / "faces", 3)
    damage(tmp_path / "faces")
    with pytest.raises(DataError, match=message) as caught:
        PackedFaces.open(tmp_path / "faces")
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"There is no folder .*nowhere"):
        PackedFaces.open(tmp_path / "nowhere")
