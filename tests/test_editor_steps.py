"""Steps of a session: undo and redo, gestures, results, saving by itself, and files."""

import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from editor_faces import ColourRenderer, drawn_faces, drawn_mask
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from test_editor_session import SIZE, looks, make_session, painted

from maskgan_lib.checkpoints import CheckpointError, load_weights, save_weights
from maskgan_lib.classes import CLASS_ID, colorize
from maskgan_lib.data.errors import DataError
from maskgan_lib.editor import EditError, EditSession
from maskgan_lib.editor.components import STYLE_REGIONS
from maskgan_lib.editor.files import render_files
from maskgan_lib.editor.rendering import PLAIN, Renderer
from maskgan_lib.editor.steps import DEPTH, HISTORY
from maskgan_lib.editor.storage import read_mask, write_mask, write_picture
from maskgan_lib.networks import DenseMappingNetwork, MaskVAE

ROOT = Path(__file__).resolve().parent.parent
OLD_SESSION = ROOT / "tests" / "editor_session_of_format_2"


@pytest.fixture
def session() -> EditSession:
    return make_session(methods=["plain", "vivid"])


def names(steps) -> list[str]:
    return [step.name for step in steps]


def paint(session: EditSession, value: str, row: int = 2) -> None:
    mask = session.mask
    mask[row : row + 3, 4:12] = CLASS_ID[value]
    session.mask = mask


EDITS = {
    "painted hat": lambda session: paint(session, "hat"),
    "face 1": lambda session: session.choose_target(1),
    "style of face 2": lambda session: session.choose_style(2, 0.5),
    "style of face 2 on hair": lambda session: session.choose_style(2, region="hair"),
    "drawn by vivid": lambda session: session.choose_method("vivid"),
    "photo kept at 50%": lambda session: session.set_keep(0.5),
    "glasses of face 1": lambda session: session.copy_component(1, "glasses"),
    "moved left brow": lambda session: session.transform_component("left brow", down=2),
    "Lower +0.20": lambda session: session.move_latent("Lower", 0.2),
    "50% towards face 1": lambda session: session.interpolate(1, 0.5),
    "random edit 3": lambda session: session.random_edit(3),
    "Bangs +1.00": lambda session: session.move_attributes({"Bangs": 1}),
    "mask loaded": lambda session: session.load_mask(OLD_SESSION / "pictures" / "0dce96a7b2e353603dcf3499ce022064.png"),
}


REPEATABLE = ("glasses of face 1", "moved left brow", "random edit 3")
"""Edits that go on from what they have made."""


# ---- undo and redo


@pytest.mark.parametrize("name", EDITS)
def test_every_edit_is_one_step_with_a_name_and_all_of_it_is_undone(session, name):
    paint(session, "cloth", 20)
    session.render()
    before = looks(session)
    EDITS[name](session)
    assert names(session.done) == ["original", "painted cloth", name] and not session.is_drawn
    EDITS[name](session)
    assert len(session.done) == 3 or name in REPEATABLE, "the same once more is no step"
    session.undo(len(session.done) - 2)
    assert looks(session)[0] == before[0] and looks(session)[2:] == before[2:] and session.is_drawn
    session.redo()
    assert session.done[-1].name == name


def test_undo_goes_as_far_as_it_can_and_a_new_edit_ends_redo(session):
    for value, row in (("hat", 2), ("cloth", 10), ("hair", 20)):
        paint(session, value, row)
    session.undo(99)
    session.undo()
    assert np.array_equal(session.mask, session.original)
    session.redo(99)
    session.undo()
    paint(session, "hat", 25)
    session.redo()
    assert names(session.done) == ["original", "painted hat", "painted cloth", "painted hat"] and session.undone == ()
    for i in range(DEPTH + 3):
        paint(session, ("hat", "cloth")[i % 2])
    assert len(session.done) == DEPTH + 1
    session.undo(DEPTH + 3)
    assert len(session.undone) == DEPTH and not np.array_equal(session.mask, session.original)


# ---- gestures and results


def test_a_gesture_is_one_step_and_one_result(session):
    session.render()
    for end, amounts in enumerate([(0.1, 0.2, 0.3), (0.4, 0.5)]):
        for amount in amounts:
            with session.gesture(f"drag {end}"):
                session.move_latent("Lower", amount)
                session.render()
    assert names(session.done) == names(session.history) == ["original", "Lower +0.30", "Lower +0.50"]
    session.undo()
    assert session.sliders == {"Lower": 0.3}
    with session.gesture("drag 1"):
        paint(session, "hat")
    assert names(session.done)[1:] == ["Lower +0.30", "painted hat"], "a step between ends a gesture"


def test_a_gesture_that_leads_back_is_no_step(session):
    paint(session, "hat")
    session.render()
    before = looks(session)
    for amount in (0.3, 0.0):
        with session.gesture("drag"):
            session.move_latent("Lower", amount)
            session.render()
    assert looks(session) == before
    with session.gesture("drag"):
        session.move_latent("Lower", 0.2)
    assert names(session.done)[1:] == ["painted hat", "Lower +0.20"]


def test_results_are_each_new_picture_once_and_bounded(session):
    for _ in range(3):
        session.render()
    assert len(session.history) == 1
    for seed in range(HISTORY + 5):
        session.mask = painted(session, seed)
        session.render()
        assert np.array_equal(session.history[-1].mask, session.mask)
        assert np.array_equal(session.history[-1].image, session.image)
        assert len(session.history) == min(seed + 2, HISTORY)
    forgotten = [step for step in session.done if step.image is None]
    assert len(forgotten) == 6, "no other pictures are kept"
    session.undo(99)
    assert not session.is_drawn
    session.render()
    assert np.array_equal(session.history[-1].mask, session.original)


def test_a_result_gives_back_itself_and_going_there_is_a_step(session):
    session.choose_style(1, region="hair")
    session.set_keep(0.7)
    session.choose_method("vivid")
    picture = session.render()
    result = session.history[-1]
    session.undo(3)
    paint(session, "hat")
    session.render()
    for again in (result, result.key):
        session.go_back(again)
        assert np.array_equal(session.image, picture) and session.is_drawn and len(session.history) == 2
        assert (session.region_styles, session.keep, session.method) == ({"hair": (1, 1.0)}, 0.7, "vivid")
        session.undo()
        assert session.done[-1].name == "painted hat" and session.region_styles == {}
    session.redo()
    session.go_back(result)
    assert len(session.done) == 3, "one is there already"


# ---- saving


def act(session: EditSession, step: int) -> None:
    """The deterministic step number ``step`` of a session; some do nothing."""
    rng = np.random.default_rng(step)
    face = int(rng.integers(4))
    steps = [
        lambda: setattr(session, "mask", painted(session, step)),
        lambda: session.copy_component(face, "nose"),
        lambda: session.choose_style(face, float(rng.random())),
        lambda: session.choose_style(face, float(rng.random()), list(STYLE_REGIONS)[step % len(STYLE_REGIONS)]),
        lambda: session.set_keep(float(rng.random())),
        lambda: session.move_latent("Lower", float(rng.uniform(-1, 1))),
        lambda: session.choose_target(face),
        lambda: session.go_back(session.history[0]) if session.history else None,
        lambda: session.undo(face),
        lambda: session.redo(face),
        session.reset,
    ]
    with session.gesture(None):
        steps[step % 3 and int(rng.integers(len(steps)))]()
        if step % 2:
            session.render()


def run_steps(count: int) -> EditSession:
    session = make_session()
    for step in range(count):
        act(session, step)
    return session


@given(st.integers(0, 60))
@settings(max_examples=8, deadline=None)
def test_sessions_are_saved_and_loaded(tmp_path_factory, count):
    folder = tmp_path_factory.mktemp("saved")
    session = run_steps(count)
    session.save(folder / "s")
    other = make_session(autosave=folder / "auto")
    other.mask = painted(other, 99)
    other.load(folder / "s")
    assert looks(other) == looks(session)
    assert looks(EditSession.restore(folder / "auto", other.faces, ColourRenderer(SIZE))) == looks(session)


def test_what_is_done_is_saved_before_it_is_said(tmp_path):
    session = make_session(autosave=tmp_path / "auto")
    for step in range(30):
        act(session, step)
        restored = EditSession.restore(tmp_path / "auto", session.faces, ColourRenderer(SIZE))
        assert looks(restored) == looks(session) and session.autosaved == str(tmp_path / "auto")
    files = {path.name for path in (tmp_path / "auto" / "pictures").iterdir()}
    assert len(files) <= len(session.done + session.undone) + 2 * HISTORY + 8


def test_a_session_of_before_there_were_steps_is_opened():
    faces = drawn_faces(size=16)
    session = EditSession(faces, {name: ColourRenderer(16) for name in ("DMN", "SPADE")})
    session.load(OLD_SESSION)
    assert (session.target, session.style, session.style_mix, session.keep) == (1, 2, 0.5, 0.8)
    assert (session.region_styles, session.method) == ({"hair": (0, 1.0), "inner mouth": (2, 1.0)}, "SPADE")
    assert names(session.history) == ["original (DMN)", "painted (DMN)", "hair in the style of face 0 (SPADE)"]
    assert names(session.done) == ["mouth of face 2"] and session.image is not None and not session.is_drawn
    hat = drawn_mask(16)
    hat[:3, 4:12] = CLASS_ID["hat"]
    session.go_back(session.history[1])
    assert np.array_equal(session.mask, hat) and session.is_drawn and len(session.faces) == 3


def test_loading_brings_faces_that_are_not_here(tmp_path):
    session = make_session()
    session.choose_target(3)
    session.choose_style(2)
    session.save(tmp_path)
    faces = session.faces
    other = EditSession([faces[1], faces[2]], ColourRenderer(SIZE))
    other.load(tmp_path)
    assert [face.name for face in other.faces] == ["face 1", "face 2", "face 0", "face 3"]
    assert (other.target, other.style) == (3, 1) and np.array_equal(other.photo, session.photo)
    large = make_session(size=64)
    before = looks(large)
    with pytest.raises(EditError, match="32 pixels a side, not 64"):
        large.load(tmp_path)
    with pytest.raises(EditError, match="cannot be read"):
        large.load(tmp_path / "nowhere")
    assert looks(large) == before


def test_a_method_that_is_no_longer_there_is_said_and_the_first_one_taken(tmp_path):
    session = make_session(methods=["plain", "vivid"], autosave=tmp_path)
    session.mask = painted(session, 1)
    session.choose_method("vivid")
    session.render()
    renderer = {"dark": ColourRenderer(SIZE, 0.9), "plain": ColourRenderer(SIZE)}
    with pytest.warns(UserWarning, match="method 'vivid' .* goes on with dark"):
        restored = EditSession.restore(tmp_path, session.faces, renderer)
    assert restored.method == "dark" and np.array_equal(restored.mask, session.mask)
    assert restored.image is None, "the other method made it; it is a result still"
    assert np.array_equal(restored.history[-1].image, session.image)
    restored.render()
    assert EditSession.restore(tmp_path, session.faces, renderer).method == "dark", "and it is not said again"


def test_a_new_session_does_not_destroy_an_old_one_before_its_first_change(tmp_path):
    session = make_session(autosave=tmp_path)
    session.mask = painted(session, 1)
    make_session(autosave=tmp_path).undo()
    assert looks(EditSession.restore(tmp_path, session.faces, ColourRenderer(SIZE))) == looks(session)


def test_a_full_disk_does_not_end_the_editing_and_no_part_of_a_file_is_left(tmp_path):
    session = make_session(autosave=tmp_path)
    session.mask = painted(session, 1)
    mask = painted(session, 2)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40, limits[1]))  # bytes that a file may have: less than a mask takes
    try:
        session.mask = mask
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert np.array_equal(session.mask, mask) and session.autosaved == ""
    assert session.autosave_trouble == "The session could not be saved ([Errno 27] File too large)."
    assert not list(tmp_path.rglob("*.partial"))
    session.render()
    assert session.autosaved == str(tmp_path) and session.autosave_trouble == ""
    assert looks(EditSession.restore(tmp_path, session.faces, session.renderer)) == looks(session)


def test_a_killed_process_loses_nothing(tmp_path):
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_editor_steps import act, make_session\n"
        f"session = make_session(autosave={str(tmp_path)!r})\n"
        "for step in range(10_000):\n"
        "    act(session, step)\n"
        "    print(step, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    done = -1
    for line in child.stdout:
        done = int(line)
        if done == 40:
            os.kill(child.pid, signal.SIGKILL)
            break
    done = max([done, *map(int, child.stdout.read().split())])
    assert child.wait() == -signal.SIGKILL
    restored = EditSession.restore(tmp_path, make_session().faces, ColourRenderer(SIZE))
    # the step that was under way may be there
    assert looks(restored) in [looks(run_steps(count)) for count in (done + 1, done + 2)]
    restored.mask = painted(restored, 1)
    restored.render()


def test_threads_take_turns(session, monkeypatch):
    busy, most = [], []

    def render(mask, style):
        busy.append(1)
        most.append(len(busy))
        threading.Event().wait(0.01)
        busy.pop()
        return colorize(mask)

    monkeypatch.setattr(session.renderer, "render", render)
    threads = [threading.Thread(target=lambda i=i: (session.random_edit(i), session.render())) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and np.array_equal(session.history[-1].mask, session.mask)


def test_no_widget_library_is_needed():
    script = """
import sys
for name in ("anywidget", "ipywidgets", "traitlets", "IPython"):
    sys.modules[name] = None
import numpy as np
from maskgan_lib.editor import EditorFace, EditSession
from maskgan_lib.editor.rendering import Renderer
from maskgan_lib.networks import DenseMappingNetwork
renderer = Renderer(DenseMappingNetwork(width=2, downsamplings=2, blocks=1, style_width=2), 32)
session = EditSession([EditorFace("a", np.zeros((32, 32, 3), np.uint8), np.ones((32, 32), np.uint8))], renderer)
session.set_keep(0.5)
print(session.render().shape, *[name for name in ("matplotlib", "torchmetrics") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "(32, 32, 3)\n" and not done.stderr


# ---- one edit from files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A tiny network, two faces and an edited mask, as files."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    network = DenseMappingNetwork(width=4, downsamplings=2, blocks=1, style_width=4)
    save_weights(folder / "dmn.safetensors", network, {"image_size": SIZE})
    save_weights(folder / "sizeless.safetensors", network)
    save_weights(folder / "vae.safetensors", MaskVAE(image_size=32, width=4, latent=8))
    session = make_session()
    for place in (0, 1):
        write_picture(folder / f"{place}.png", session.faces[place].image)
        write_mask(folder / f"{place}-mask.png", session.faces[place].mask)
    session.copy_component(1, "glasses")
    session.save_mask(folder / "edited.png")
    return folder


def render_in(folder: Path, **changes) -> Path:
    arguments = {"image": "0.png", "mask": "0-mask.png", "edited": "edited.png", "out": "out.png"}
    paths = {name: folder / file for name, file in (arguments | {"weights": "dmn.safetensors"}).items()}
    return render_files(**paths | changes)


def test_an_edit_from_files_is_that_of_a_session(files):
    renderer = Renderer(load_weights(files / "dmn.safetensors"), SIZE, way=PLAIN)
    session = EditSession(make_session().faces[:2], renderer)
    session.mask = read_mask(files / "edited.png", SIZE)
    styled = {"style": files / "1.png", "style_mask": files / "1-mask.png"}
    for options, change in (
        ({}, lambda: None),
        ({"keep": 0.5}, lambda: session.set_keep(0.5)),
        (styled, lambda: session.choose_style(1)),
        (styled | {"keep": 1.0}, lambda: session.set_keep(1.0)),
    ):
        change()
        written = render_in(files, **options)
        assert written == files / "out.png"
        assert np.array_equal(np.array(Image.open(written)), session.render())
    with Image.open(render_in(files, out=files / "new" / "out.jpg", size=64)) as picture:
        assert picture.size == (64, 64) and picture.format == "JPEG"


def test_files_that_do_not_fit_are_said(files, tmp_path):
    before = (files / "edited.png").read_bytes()
    for changes, words in (
        ({"image": files / "none.png"}, "cannot be read"),
        ({"edited": files / "0.png"}, "class ids"),
        ({"out": tmp_path / "out.gif"}, "end in"),
        ({"style": files / "1.png"}, "both or none"),
        ({"keep": 2.0}, "from 0 to 1"),
        ({"size": 33}, "multiples"),
        ({"weights": files / "vae.safetensors"}, "no DenseMappingNetwork"),
        ({"weights": files / "sizeless.safetensors"}, "image_size"),
    ):
        with pytest.raises((DataError, CheckpointError)) as caught:
            render_in(files, **{"out": tmp_path / "out.png"} | changes)
        assert words in str(caught.value), changes
        assert not (tmp_path / "out.png").exists()
    assert (files / "edited.png").read_bytes() == before
