"""Procedural faces on disk: the same from any run, persons in one split, a practice set that the real code reads."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from maskgan_lib import faces
from maskgan_lib.classes import ATTRIBUTE_NAMES, CLASS_ID
from maskgan_lib.data import celebamask, procedural
from maskgan_lib.data.packed import DataError, PackedFaces

SIZE = 64


def render(folder, count=6, size=SIZE, **settings):
    return procedural.render_packed(folder, count, size, **{"seed": 3, "progress": False, "workers": 1, **settings})


def test_a_packed_face_is_what_the_renderer_draws(tmp_path):
    packed = render(tmp_path / "faces", count=3, identities=2)
    assert packed.source == f"procedural faces v{faces.VERSION}"
    assert packed.attribute_names == faces.ATTRIBUTES
    for i, record in enumerate(packed.records):
        drawn = faces.render(faces.sample(3, i, 2), SIZE)
        assert np.array_equal(packed.images[i], drawn.image) and np.array_equal(packed.masks[i], drawn.labels)
        assert record.id == str(i) and record.identity == drawn.face.identity
        assert record.attributes == {name: 1 if value else -1 for name, value in drawn.attributes.items()}
        assert np.allclose(record.pose, drawn.pose)


def test_faces_do_not_depend_on_their_number_nor_on_the_workers(tmp_path):
    few, many = render(tmp_path / "few", count=4), render(tmp_path / "many", count=20, workers=2)
    assert np.array_equal(few.images, many.images[:4]) and np.array_equal(few.masks, many.masks[:4])
    assert few.records == many.records[:4]


@pytest.mark.parametrize("shares", [procedural.SHARES, procedural.OFFICIAL_SHARES, (1.0, 0.0, 0.0)])
@pytest.mark.parametrize("count", [30, 500])
def test_any_number_of_persons_is_shared_out_evenly(shares, count):
    splits = [procedural.split_of_person(person, shares) for person in range(count)]
    for split, share in zip(("train", "val", "test"), shares, strict=True):
        assert abs(splits.count(split) - share * count) < 2


def test_no_person_is_in_two_splits(tmp_path):
    packed = render(tmp_path / "faces", count=40, identities=9)
    split_of = {}
    for record in packed.records:
        assert split_of.setdefault(record.identity, record.split) == record.split
    assert len(split_of) > 5 and len(set(split_of.values())) > 1
    with pytest.raises(ValueError, match="add up to 1"):
        render(tmp_path / "more", splits=(0.8, 0.1, 0.2))


INTERRUPTED = """
import sys
from maskgan_lib.data import packed, procedural
packed.FLUSH_SECONDS = 0
if __name__ == "__main__":
    procedural.{call}
"""


def kill_midway(call, folder, is_begun):
    """Runs ``call`` in a process of its own and kills it, without mercy, once ``is_begun``."""
    root = Path(__file__).resolve().parent.parent
    script = folder / "run.py"
    script.write_text(INTERRUPTED.format(call=call))
    environment = {**os.environ, "PYTHONPATH": str(root)}
    process = subprocess.Popen([sys.executable, str(script)], env=environment, start_new_session=True)
    deadline = time.monotonic() + 60
    while not is_begun():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def all_files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("call", "workers"),
    [
        ("render_packed({folder!r}, 40, 64, seed=3, workers={workers}, progress=False)", 2),
        ("render_celebamask_hq({folder!r}, 20, seed=3, image_size=128, workers={workers}, progress=False)", 1),
    ],
)
def test_a_killed_run_goes_on_and_ends_like_an_uninterrupted_one(tmp_path, call, workers):
    folder, journal = tmp_path / "faces", tmp_path / "faces.partial" / "journal.jsonl"
    begun = call.format(folder=str(folder), workers=workers)
    kill_midway(begun, tmp_path, lambda: journal.exists() and journal.read_bytes().count(b"\n") > 4)
    assert not folder.exists()
    with pytest.raises(DataError, match="not finished"):
        PackedFaces.open(folder)
    assert journal.read_bytes().count(b"\n") < 21
    for path in (folder, tmp_path / "whole"):
        eval(f"procedural.{call.format(folder=str(path), workers=1)}")
    assert all_files(folder) == all_files(tmp_path / "whole")


@pytest.fixture(scope="module")
def practice_set(tmp_path_factory):
    folder = tmp_path_factory.mktemp("practice") / "CelebAMask-HQ"
    return procedural.render_celebamask_hq(folder, 24, seed=5, image_size=256, identities=12, progress=False)


def test_the_practice_set_has_the_official_layout(practice_set):
    assert sorted(path.name for path in practice_set.iterdir()) == [
        "CelebA-HQ-img", "CelebA-HQ-to-CelebA-mapping.txt", "CelebAMask-HQ-attribute-anno.txt",
        "CelebAMask-HQ-mask-anno", "CelebAMask-HQ-pose-anno.txt", "README.txt",
    ]  # fmt: skip
    assert {path.name for path in (practice_set / "CelebA-HQ-img").iterdir()} == {f"{i}.jpg" for i in range(24)}
    for path in (practice_set / "CelebAMask-HQ-mask-anno" / "0").iterdir():
        number, _, part = path.stem.partition("_")
        assert len(number) == 5 and int(number) < 24 and part in CLASS_ID and path.suffix == ".png"
        with Image.open(path) as image:
            assert image.mode == "RGB" and image.size == (128, 128)
            assert set(np.unique(image)) == {0, 255}
    attributes = (practice_set / "CelebAMask-HQ-attribute-anno.txt").read_text().splitlines()
    assert attributes[0] == "24" and tuple(attributes[1].split()) == ATTRIBUTE_NAMES and len(attributes) == 26
    assert len(attributes[2].split()) == 41 and attributes[2].startswith("0.jpg")
    poses = (practice_set / "CelebAMask-HQ-pose-anno.txt").read_text().splitlines()
    assert poses[:2] == ["24", "Yaw Pitch Raw"] and len(poses[25].split()) == 4


def test_preparing_the_practice_set_gives_back_what_was_drawn(practice_set, tmp_path):
    parts = celebamask.read_parts(celebamask.open_data_set(practice_set), 0)
    assert not any((parts[name] & ~parts["skin"]).any() for name in ("nose", "l_eye", "r_eye", "u_lip", "l_lip"))
    packed = celebamask.prepare(practice_set, tmp_path / "packed", 128, workers=1, progress=False)
    assert packed.source == f"procedural faces v{faces.VERSION}"
    assert packed.attribute_names == ATTRIBUTE_NAMES
    splits = {}
    for i, record in enumerate(packed.records):
        drawn = faces.render(faces.sample(5, i, 12), 256)
        assert np.array_equal(packed.masks[i], drawn.labels[1::2, 1::2])
        halved = drawn.image.reshape(128, 2, 128, 2, 3).mean((1, 3))
        assert np.abs(packed.images[i] - halved).mean() < 3
        known = {name: 1 if value else -1 for name, value in drawn.attributes.items()}
        assert record.attributes == {name: known.get(name, -1) for name in ATTRIBUTE_NAMES}
        assert np.allclose(record.pose, drawn.pose, atol=1e-5)
        assert splits.setdefault(drawn.face.identity, record.split) == record.split


def test_practice_sets_are_not_overwritten_nor_mixed(practice_set, tmp_path):
    with pytest.raises(DataError, match="already exists"):
        procedural.render_celebamask_hq(practice_set, 2)
    with pytest.raises(DataError, match=r"0 faces .* 1 to"):
        procedural.render_celebamask_hq(tmp_path / "none", 0)
    (tmp_path / "mixed.partial").mkdir()
    (tmp_path / "mixed.partial" / "journal.jsonl").write_text('{"count": 2, "seed": 1}\n')
    with pytest.raises(DataError, match="seed 1 there, 0 here"):
        procedural.render_celebamask_hq(tmp_path / "mixed", 2, seed=0, progress=False)


def test_expressions_of_a_face_lie_side_by_side(tmp_path):
    """The first is the face of a set with one; all of a person are in one split."""
    plain = render(tmp_path / "plain", 4, 32)
    both = render(tmp_path / "both", 8, 32, expressions=2)
    assert both.made_by["expressions"] == 2 and "expressions" not in plain.made_by
    assert np.array_equal(both.images[::2], plain.images) and np.array_equal(both.masks[::2], plain.masks)
    assert all((one != other).any() for one, other in zip(both.images[::2], both.images[1::2], strict=True))
    assert [face.split for face in both.records] == [face.split for face in plain.records for _ in range(2)]
    with pytest.raises(DataError, match="7 faces cannot show 2 expressions each"):
        render(tmp_path / "odd", 7, 32, expressions=2)
