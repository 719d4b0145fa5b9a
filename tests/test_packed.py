"""The packed folder: what goes in comes out, a kill costs nothing, a full disk and damage are said in one sentence."""

import contextlib
import errno
import json
import os
import shutil
from collections import namedtuple
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskgan_lib.classes import IGNORE_ID
from maskgan_lib.data import packed
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.filling import pack
from maskgan_lib.data.packed import FaceRecord, PackedFaces, PackedWriter

SIZE = 8
NAMES = ("Smiling", "Male")
MADE_BY = {"seed": 0, "shares": (0.5, 0.5)}


def face(i, bad=()):
    """Image, mask and record of face i: all a function of i."""
    if i in bad:
        raise DataError(f"Face {i} has no nose.")
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
                           "made_by": MADE_BY, **changes})  # fmt: skip


def make(folder, count, bad=(), **options):
    """The faces 0 to ``count``, without those that are bad."""
    jobs = {f"face {i}": partial(face, i, bad) for i in range(count)}
    return pack(folder, SIZE, "test", jobs, NAMES, MADE_BY, workers=1, progress=False, keep_going=True, **options)


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
    with pytest.raises(DataError, match=r"'Hat'.*Smiling, Male"):
        made.attribute("Hat")
    with pytest.raises(ValueError, match="split"):
        made.indices("training")
    with pytest.raises(DataError, match="already exists"):
        make(tmp_path / "new" / "faces", 7)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(indices=st.lists(st.integers(0, 5), max_size=12))
def test_read_gives_the_faces_asked_for_in_that_order(tmp_path, indices):
    folder = tmp_path / "faces"
    faces = PackedFaces.open(folder) if folder.exists() else make(folder, 6)
    images, masks = faces.read(indices)
    assert images.shape == (len(indices), SIZE, SIZE, 3)
    for place, i in enumerate(indices):
        assert np.array_equal(images[place], face(i)[0]) and np.array_equal(masks[place], face(i)[1])


@pytest.mark.parametrize("cut", range(0, 400, 23))
def test_a_journal_cut_anywhere_loses_faces_but_never_invents_them(tmp_path, cut):
    with writer(tmp_path / "faces", 4) as file:
        for i in range(4):
            file.write(i, *face(i))
            file.flush()
    with pytest.raises(DataError, match="not finished"):
        PackedFaces.open(tmp_path / "faces")
    journal = tmp_path / "faces.partial" / "journal.jsonl"
    content = journal.read_bytes()
    journal.write_bytes(content[: max(0, len(content) - cut)])
    lost = content[len(content) - cut :].count(b"\n") if cut else 0
    with writer(tmp_path / "faces", 4) as file:
        assert [*file.records.values()] == [face(i)[2] for i in range(4 - lost)]
    assert_holds(make(tmp_path / "faces", 4), range(4))


def test_pixels_are_on_the_disk_before_a_face_counts_as_done(tmp_path, monkeypatch):
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not say which file a number stands for")
    synced = []
    with writer(tmp_path / "faces", 2) as file:
        file.write(0, *face(0))
        monkeypatch.setattr(os, "fsync", lambda number: synced.append(Path(f"/proc/self/fd/{number}").readlink().name))
        file.flush()
    assert synced == ["images.npy", "masks.npy", "journal.jsonl"]


@pytest.mark.parametrize("calls", range(6))
@pytest.mark.parametrize(
    ("owner", "step"),
    [(os, "fsync"), (os, "truncate"), (packed, "_write_header"), (Path, "write_text"), (Path, "rename")],
)
@pytest.mark.parametrize("bad", [(), (1, 3), (0, 6)])
def test_a_stop_anywhere_does_no_harm(tmp_path, monkeypatch, owner, step, calls, bad):
    """Also in ``finish``, also twice: what comes of it is what an uninterrupted run makes, byte for byte."""
    original, count = getattr(owner, step), iter(range(100))

    def stop_after(*arguments, **options):
        if next(count) >= calls:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(packed, "FLUSH_SECONDS", 0)
    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(owner, step, stop_after)
        make(tmp_path / "faces", 7, bad)
    faces, whole = tmp_path / "faces", make(tmp_path / "whole", 7, bad)
    made = PackedFaces.open(faces) if faces.exists() else make(faces, 7, bad)
    assert_holds(made, [i for i in range(7) if i not in bad])
    assert made.left_out == [{"id": f"face {i}", "reason": f"Face {i} has no nose."} for i in bad]
    for path in whole.folder.iterdir():
        assert (faces / path.name).read_bytes() == path.read_bytes()


def test_a_repaired_face_gets_a_second_chance(tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(ZeroDivisionError):
        patch.setattr(Path, "rename", lambda *_: 1 / 0)
        make(tmp_path / "faces", 3, bad=[1])
    faces = make(tmp_path / "faces", 3)
    assert_holds(faces, [0, 2, 1])
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
    writer(tmp_path / "faces", 3)
    with pytest.raises(DataError, match=named):
        writer(**{"folder": tmp_path / "faces", "count": 3, **changes})


def test_a_folder_that_an_older_version_began_is_refused(tmp_path):
    """It kept a place for every face."""
    writer(tmp_path / "faces", 3)
    journal = tmp_path / "faces.partial" / "journal.jsonl"
    journal.write_text(journal.read_text().replace(', "journal": 2', ""))
    with pytest.raises(DataError, match="journal None there"):
        writer(tmp_path / "faces", 3)


def test_nothing_to_write_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no face"):
        make(tmp_path / "faces", 0)
    with pytest.raises(DataError, match=r"bad.*Face 0 has no nose\."):
        make(tmp_path / "bad", 2, bad=[0, 1])
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
        assert not file.records
        file.write(1, *face(1))
        with pytest.raises(ValueError, match="written already"):
            file.write(1, *face(1))


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("broken", ["fsync", "write_all"])
def test_a_full_disk_is_one_sentence_and_what_is_done_stays(tmp_path, monkeypatch, broken, error):
    owner, calls = {"fsync": os, "write_all": packed}[broken], iter(range(100))
    original = getattr(owner, broken)

    def full(*arguments):
        if next(calls) < 4:
            return original(*arguments)
        raise OSError(error, "no more")

    monkeypatch.setattr(packed, "FLUSH_SECONDS", 0)
    with monkeypatch.context() as patch:
        patch.setattr(owner, broken, full)
        with pytest.raises(OSError if error == errno.EIO else DataError, match=r"no more|No space left on .*faces"):
            make(tmp_path / "faces", 3)
    with writer(tmp_path / "faces", 3) as file:
        assert [record.id for record in file.records.values()] == ["face 0", "face 1"][: 2 if broken != "fsync" else 1]
    assert_holds(make(tmp_path / "faces", 3), range(3))


def test_too_little_space_is_told_before_the_work(tmp_path, monkeypatch):
    disk = namedtuple("disk", "free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: disk(1000 * 4 * 256**2 - 1))
    with pytest.raises(DataError, match=r"No space left .* 262 MB"):
        writer(tmp_path / "faces", 1000, size=256)
    writer(tmp_path / "few", 999, size=256)


def damage_json(folder, change):
    path = folder / "faces.json"
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "faces is no packed folder"),
        (lambda folder: (folder / "faces.json").unlink(), "faces is no packed folder"),
        (lambda folder: (folder / "faces.json").write_text("{"), "faces.json lacks or garbles"),
        (lambda folder: (folder / "images.npy").unlink(), "images.npy cannot be read"),
        (lambda folder: (folder / "masks.npy").write_bytes(b"no array"), "masks.npy cannot be read"),
        (lambda folder: (folder / "images.npy").open("r+b").truncate(300), "images.npy cannot be read"),
        (lambda folder: np.save(folder / "masks.npy", np.zeros((3, 8, 8), np.int64)), "holds int64"),
        (lambda folder: np.save(folder / "masks.npy", np.zeros((2, 8, 8), np.uint8)), r"says uint8 \(3, 8, 8\)"),
        (lambda folder: damage_json(folder, lambda about: about.update(format=99)), "format 99"),
        (lambda folder: (folder / "faces.json").write_text("[]"), "faces.json lacks or garbles"),
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
