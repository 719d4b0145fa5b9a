"""Masks, pictures and sessions on the disk: bit-equal when read again, and nothing else is taken for one."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskgan_lib.classes import COLORS, NUM_CLASSES
from maskgan_lib.editor import storage
from maskgan_lib.editor.checks import EditError
from maskgan_lib.editor.steps import DEPTH, HISTORY, EditorFace, SessionState, Step
from maskgan_lib.editor.storage import (
    decode_mask,
    encode_mask,
    has_session,
    read_mask,
    read_session,
    write_mask,
    write_picture,
    write_session,
)

SIZE = 32

pytestmark = pytest.mark.filterwarnings("ignore:.*left and right swapped")  # in masks of noise


def random_mask(rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    return np.kron(rng.integers(0, NUM_CLASSES, (8, 8), np.uint8), np.ones((size // 8,) * 2, np.uint8))


def random_picture(rng: np.random.Generator, size: int = SIZE) -> np.ndarray:
    return rng.integers(0, 256, (size, size, 3), np.uint8)


def random_state(seed: int) -> SessionState:
    rng = np.random.default_rng(seed)
    faces = tuple(EditorFace(f"face {i}", random_picture(rng), random_mask(rng)) for i in range(4))

    def step(i: int) -> Step:
        regions = {"hair": (2, float(rng.random())), "left eye": (1, 1.0)} if seed >= 3 else {}
        keep, method = None if seed % 2 else float(rng.random()), ["", "DMN", "MaskGAN†"][seed % 3]
        image = random_picture(rng) if i else None
        return Step(f"step {i} ü", 1, (3, float(rng.random())), keep, method, random_mask(rng), regions, image)

    steps = tuple(step(i) for i in range(4))
    return SessionState(faces, steps, seed % 4, steps[1:], steps[-1].image if seed % 3 else None)


def plain(state: SessionState) -> tuple:
    """To be compared: the faces that are used by their content."""

    def content(array: np.ndarray | None) -> tuple | None:
        return None if array is None else (array.dtype, array.shape, array.tobytes())

    def looks(step: Step) -> tuple:
        faces = [state.faces[place].key for place in step.faces]
        mixes = [mix for _, mix in (step.style, *step.regions.values())]
        return step.name, step.keep, step.method, faces, mixes, [*step.regions], content(step.mask), content(step.image)

    steps, results = ([looks(step) for step in some] for some in (state.steps, state.results))
    return steps, state.at, results, content(state.image)


def png(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


@given(st.integers(0, 2**32 - 1), st.sampled_from([8, 32, 40]))
@settings(max_examples=30, deadline=None)
def test_masks_come_back(seed, size):
    mask = random_mask(np.random.default_rng(seed), size)
    again = decode_mask(encode_mask(mask), size)
    assert again.dtype == np.uint8 and np.array_equal(again, mask)
    with Image.open(io.BytesIO(encode_mask(mask))) as picture:
        assert picture.mode == "P" and picture.size == (size, size)
        assert np.array_equal(np.array(picture.convert("RGB")), COLORS[mask])


GOOD = encode_mask(random_mask(np.random.default_rng(3)))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (png(np.full((SIZE, SIZE, 3), (100, 2, 3), np.uint8)), "coloured"),
        (png(np.eye(SIZE, dtype=np.uint8) * 255), "id 255"),
        (png(np.zeros((SIZE, SIZE + 1), np.uint8)), "33x32"),
        (GOOD[:-20], "cut off"),
        (b"", "no PNG"),
    ],
)
def test_bad_masks_are_refused_in_a_sentence(bad, words):
    with pytest.raises(EditError) as caught:
        decode_mask(bad, SIZE, "bad.png")
    sentence = str(caught.value)
    assert words in sentence and "bad.png" in sentence and sentence.endswith(".") and "\n" not in sentence


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_mask_is_refused_or_a_mask(data):
    damaged = bytearray(GOOD)
    damaged[data.draw(st.integers(0, len(GOOD) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        mask = decode_mask(bytes(damaged), SIZE)
    except EditError:
        return
    assert mask.shape == (SIZE, SIZE) and mask.max() < NUM_CLASSES


def test_files_of_masks_and_pictures(tmp_path):
    rng = np.random.default_rng(5)
    mask, picture = random_mask(rng), random_picture(rng)
    write_mask(tmp_path / "new" / "mask.png", mask)
    assert np.array_equal(read_mask(tmp_path / "new" / "mask.png", SIZE), mask)
    larger = np.kron(mask, np.ones((2, 2), np.uint8))
    assert np.array_equal(read_mask(tmp_path / "new" / "mask.png", 2 * SIZE), larger)
    write_picture(tmp_path / "a.PNG", picture)
    assert np.array_equal(np.array(Image.open(tmp_path / "a.PNG")), picture)
    write_picture(tmp_path / "a.jpg", np.full((SIZE, SIZE, 3), 77, np.uint8))
    with Image.open(tmp_path / "a.jpg") as jpeg:
        assert jpeg.format == "JPEG" and abs(np.array(jpeg).astype(int) - 77).max() <= 2
    for wrong in (lambda: write_mask(tmp_path / "m.jpg", mask), lambda: write_picture(tmp_path / "p.gif", picture)):
        with pytest.raises(EditError, match="end in"):
            wrong()


# ---- sessions


@pytest.mark.parametrize("seed", range(6))
def test_sessions_come_back(tmp_path, seed):
    """With the faces that are used, and those that joined those that were given."""
    state = random_state(seed)
    assert not has_session(tmp_path / "s")
    for known in (4, 2):
        write_session(tmp_path / "s", state, known, wait=seed < 3)
        assert has_session(tmp_path / "s")
        read = read_session(tmp_path / "s", SIZE)
        assert plain(read) == plain(state)
        skip = 1 if seed >= 3 or known == 2 else 2
        assert [face.name for face in read.faces] == ["face 1", "face 2", "face 3"][::skip]


def test_a_folder_holds_one_session_and_nothing_is_written_twice(tmp_path, monkeypatch):
    state = random_state(1)
    write_session(tmp_path, state, 4)
    first = {path.name for path in (tmp_path / "pictures").iterdir()}
    written = []
    write = storage._write
    monkeypatch.setattr(storage, "_write", lambda path, *args: (written.append(path.name), write(path, *args)))
    write_session(tmp_path, replace(state, at=0), 4)
    assert written == ["session.json"]
    write_session(tmp_path, random_state(2), 4)
    assert not first & {path.name for path in (tmp_path / "pictures").iterdir()}
    assert plain(read_session(tmp_path, SIZE)) == plain(random_state(2))
    (tmp_path / "pictures" / "holiday.png").write_bytes(b"mine")
    write_session(tmp_path, random_state(4), 4)
    assert (tmp_path / "pictures" / "holiday.png").exists()


def rewrite(folder, **changes) -> None:
    """The session with other contents, sealed anew."""
    content = json.loads((folder / "session.json").read_text()) | changes
    content.pop("sha256", None)
    (folder / "session.json").write_text(json.dumps(content | {"sha256": storage._digest(content)}))


def test_what_is_read_is_bounded(tmp_path):
    write_session(tmp_path, random_state(1), 4)
    content = json.loads((tmp_path / "session.json").read_text())
    rewrite(tmp_path, steps=content["steps"] * 5000, results=content["results"] * 5000, at=19_999)
    read = read_session(tmp_path, SIZE)
    assert (len(read.steps), read.at, len(read.results)) == (DEPTH + 1, DEPTH, HISTORY)


class Stopped(BaseException):
    """As if the process ended here."""


@pytest.mark.parametrize("step", range(16))
def test_wherever_writing_stops_the_old_session_or_the_new_one_is_there(tmp_path, monkeypatch, step):
    old, new = random_state(1), random_state(2)
    write_session(tmp_path, old, 4)
    left = step

    def counting(method):
        def counted(*args, **kwargs):
            nonlocal left
            left -= 1
            if left < 0:
                raise Stopped
            return method(*args, **kwargs)

        return counted

    with monkeypatch.context() as patched:
        patched.setattr(storage, "_write", counting(storage._write))
        patched.setattr("pathlib.Path.unlink", counting(storage.Path.unlink))
        with pytest.raises(Stopped):
            write_session(tmp_path, new, 4)
    read = read_session(tmp_path, SIZE)
    assert plain(read) == plain(new if read.at == new.at else old)
    write_session(tmp_path, new, 4)
    assert plain(read_session(tmp_path, SIZE)) == plain(new)


def test_every_changed_byte_is_noticed(tmp_path):
    state = random_state(1)
    write_session(tmp_path, state, 4)
    rng = np.random.default_rng(0)
    for path in [tmp_path / "session.json", *sorted((tmp_path / "pictures").iterdir())]:
        good = path.read_bytes()
        for place in rng.choice(len(good), 12, replace=False):
            path.write_bytes(good[:place] + bytes([good[place] ^ 4]) + good[place + 1 :])
            try:
                assert plain(read_session(tmp_path, SIZE)) == plain(
                    state
                )  # a byte that says nothing, of a palette for instance
            except EditError as error:
                assert str(path) in str(error)
        for short in (b"", good[:-30]):
            path.write_bytes(short)
            with pytest.raises(EditError):
                read_session(tmp_path, SIZE)
        path.write_bytes(good)
    assert plain(read_session(tmp_path, SIZE)) == plain(state)


BAD_STEPS = [
    {"mask": "../outside.png"},
    {"mask": None},
    {"target": 9},
    {"target": float("inf")},
    {"style": [-1, 1.0]},
    {"style": [0, float("nan")]},
    {"keep": 2},
    {"keep": "much"},
    {"regions": {"hair": [9, 1.0]}},
    {"regions": {"hair": [0, 2.0]}},
    {"regions": {"hair": 0}},
    {"regions": {"moon": [0, 1.0]}},
    {"regions": 3},
]


def test_sessions_that_are_none(tmp_path):
    write_session(tmp_path, random_state(1), 4)
    good = json.loads((tmp_path / "session.json").read_text())
    step, picture = good["steps"][0], good["image"]
    (tmp_path / "outside.png").write_bytes(GOOD)

    def refused(**changes) -> str:
        rewrite(tmp_path, **good | changes)
        with pytest.raises(EditError) as caught:
            read_session(tmp_path, SIZE)
        return str(caught.value)

    assert "update the library" in refused(format=4)
    assert "64 pixels a side, not 32" in refused(size=64)
    steps = [{"steps": [step | change]} for change in [*BAD_STEPS, {"mask": picture}]]
    for changes in (*steps, {"steps": []}, {"steps": [3]}, {"at": 9}, {"at": -1}, {"faces": 3}, {"results": [1]}):
        said = refused(**{"at": 0} | changes)
        assert "damaged" in said or "coloured" in said, changes
    for text in ("[]", "3", "null", "{}", "[" * 100_000):
        (tmp_path / "session.json").write_text(text)
        with pytest.raises(EditError):
            read_session(tmp_path, SIZE)
    with pytest.raises(EditError, match="cannot be read"):
        read_session(tmp_path / "nowhere", SIZE)


@pytest.mark.parametrize("name", ["../outside.png", "/etc/passwd", "..", "0" * 32 + ".png/../../outside.png"])
def test_a_session_names_no_file_outside_its_folder(tmp_path, monkeypatch, name):
    write_session(tmp_path, random_state(1), 4)
    step = json.loads((tmp_path / "session.json").read_text())["steps"][0] | {"mask": name}
    rewrite(tmp_path, steps=[step], at=0)
    opened = []
    read = storage.read_file
    monkeypatch.setattr(storage, "read_file", lambda path: (opened.append(path), read(path))[1])
    with pytest.raises(EditError, match="damaged"):
        read_session(tmp_path, SIZE)
    assert len(opened) > 1 and not any(str(path).endswith(name) for path in opened)
