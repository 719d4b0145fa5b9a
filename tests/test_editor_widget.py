"""The kernel's side of the editor: what a front end may say, and what is answered."""

import base64
import io

import ipywidgets
import numpy as np
import pytest
from editor_faces import Grins, drawn_mask, drawn_session
from PIL import Image

from maskgan_lib.editor import EditError
from maskgan_lib.editor.rle import decode_runs, encode_runs
from maskgan_lib.editor.widget import MaskEditor

SIZE = 64


def front_end(editor, state):
    """Delivers traits that a front end sets, in the structure in which ipywidgets receives them."""
    editor._handle_msg({"content": {"data": {"method": "update", "state": state, "buffer_paths": []}}, "buffers": []})


def say(editor, content, buffers=()):
    message = {"method": "custom", "content": content}
    editor._handle_msg({"content": {"data": message}, "buffers": [memoryview(data) for data in buffers]})


def command(editor, n, name, arguments=None, buffers=(), **more):
    content = {"type": "command", "view": "v", "n": n, "name": name, "arguments": arguments or {}}
    say(editor, content | more, buffers)


def paint(editor, n, mask, **more):
    command(editor, n, "paint", buffers=[encode_runs(mask)], **more)


@pytest.fixture
def mask():
    mask = drawn_mask(SIZE)
    mask[20:30, 20:30] = 18
    return mask


@pytest.fixture
def editor(mask):
    """An editor that has accepted one edit."""
    editor = MaskEditor(drawn_session(attributes=True))
    paint(editor, 1, mask)
    return editor


def test_an_edit_is_rendered_and_answered(editor, mask):
    assert editor.done[:3] == ("v", 1, None) and editor.done[3] > 0
    assert (editor.mask == mask).all() and (decode_runs(editor.edit, SIZE) == mask).all()
    with Image.open(io.BytesIO(editor.picture)) as file:
        assert file.format == "JPEG" and file.size == (SIZE, SIZE)
        assert np.abs(np.asarray(file).astype(int) - editor.session.image).mean() < 10  # JPEG
    undo, redo = (editor.state[name] for name in ("undo", "redo"))
    assert (undo, redo["count"]) == ({"count": 1, "name": "painted cloth"}, 0)
    assert [name for _, name in editor.state["results"]] == ["original", "painted cloth"]
    command(editor, 2, "choose_target", {"face": 2})
    assert editor.state["target"] == 2
    assert (decode_runs(editor.original, SIZE) == editor.session.faces[2].mask).all()


BAD_EDITS = {
    "empty": lambda good: b"",
    "odd": lambda good: good + b"\x00",
    "class 200": lambda good: bytes([200]) + good[1:],
    "bomb": lambda good: b"\x01\xff\xff" * 1000,
}


@pytest.mark.parametrize("name", BAD_EDITS)
def test_a_refused_edit_leaves_the_last_good_mask(editor, mask, name):
    command(editor, 2, "paint", buffers=[BAD_EDITS[name](encode_runs(mask))])
    assert editor.done[:2] == ("v", 2) and editor.done[2]
    assert (editor.mask == mask).all() and editor.edit == encode_runs(mask)
    paint(editor, 3, drawn_mask(SIZE))
    assert editor.done[:3] == ("v", 3, None) and (editor.mask == drawn_mask(SIZE)).all()


@pytest.mark.skipif(ipywidgets.__version__ < "8", reason="version 7 sends only to a real kernel")
def test_an_answer_and_what_it_changed_come_in_one_message(editor):
    sent = []
    editor._send = lambda message, buffers=None: sent.append(message)
    paint(editor, 2, drawn_mask(SIZE))
    (message,) = [message for message in sent if message["method"] == "update"]
    assert {"edit", "done", "picture"} <= {*message["state"], *(path[0] for path in message["buffer_paths"])}


def test_a_gesture_is_one_step_and_pictures_are_made_when_they_are_asked_for(editor, mask):
    renders = editor.session.renderer.renders
    for n, row in enumerate((10, 11, 12), start=2):
        mask[row] = 13
        paint(editor, n, mask, gesture="g", open=True, draw=False)
    assert editor.session.renderer.renders == renders and editor.state["undo"]["count"] == 2
    paint(editor, 5, mask, gesture="g", open=False, draw=True)
    assert editor.session.renderer.renders == renders + 1 and editor.state["undo"]["count"] == 2
    command(editor, 6, "undo")
    assert editor.session.renderer.renders == renders + 1, "its picture is known"
    assert editor.state["redo"] == {"count": 1, "name": "painted hair"}
    paint(editor, 7, mask, draw=False)
    command(editor, 8, "render")
    assert editor.session.renderer.renders == renders + 2 and editor.done[:3] == ("v", 8, None)


def test_a_failing_picture_keeps_the_mask_and_the_last_picture(editor):
    before = editor.picture
    editor.session.renderer.error = "out of memory"
    paint(editor, 2, drawn_mask(SIZE))
    assert "out of memory" in editor.done[2]
    assert (editor.mask == drawn_mask(SIZE)).all() and editor.picture == before
    assert editor.edit == encode_runs(drawn_mask(SIZE))


@pytest.mark.parametrize("state", [{"brush": 10**9}, {"picture": None}, {"live": "never"}, {"done": [1]}])
def test_bad_state_is_refused(editor, mask, state):
    (name,) = state
    before = getattr(editor, name)
    front_end(editor, state)
    assert getattr(editor, name) == before and (editor.mask == mask).all()


def test_a_preview_travels_beside_the_mask_and_makes_no_picture(editor, mask, monkeypatch):
    edit, picture, renders = editor.edit, editor.picture, editor.session.renderer.renders
    command(editor, 2, "preview_attributes", {"amounts": {"Smiling": 1}})
    smiling = Grins().move(mask, {"Smiling": 1})
    assert editor.done[:3] == ("v", 2, None) and editor.state["preview_amounts"] == {"Smiling": 1.0}
    assert (decode_runs(editor.preview, SIZE) == smiling).all()
    assert (editor.edit, editor.picture, editor.session.renderer.renders) == (edit, picture, renders)
    command(editor, 3, "move_attributes", {"amounts": {"Smiling": 1}})
    assert editor.preview == b"" and editor.state["preview_amounts"] == {} and editor.picture != picture
    assert (decode_runs(editor.edit, SIZE) == smiling).all()
    editor.command("preview_attributes", amounts={"Bangs": 1})
    assert editor.preview and editor.done[:3] == ("", 0, None)
    paint(editor, 4, mask)
    assert editor.preview == b"" and editor.state["preview_amounts"] == {}
    monkeypatch.setattr(Grins, "error", "out of memory")
    command(editor, 5, "preview_attributes", {"amounts": {"Bangs": 1}})
    assert "out of memory" in editor.done[2] and editor.preview == b""


def test_bad_commands_are_said_and_change_nothing(editor, mask):
    wrong = [("save", {"folder": "x"}), ("preview_attributes", {"amounts": None}), (7, {}), ("reset", [1])]
    for n, (name, arguments) in enumerate(wrong, start=2):
        command(editor, n, name, arguments)
        assert editor.done[:2] == ("v", n) and 10 < len(editor.done[2]) <= 300
    done = editor.done
    for content in ({}, {"type": "command"}, {"type": "?"}):
        say(editor, content)
    assert editor.done == done and (editor.mask == mask).all() and editor.state["target"] == 0


def test_files_come_as_buffers(editor):
    file = io.BytesIO()
    Image.fromarray(drawn_mask(SIZE)).save(file, "PNG")
    command(editor, 2, "load_mask", buffers=[file.getvalue()])
    assert editor.done[:3] == ("v", 2, None) and (editor.mask == drawn_mask(SIZE)).all()
    command(editor, 3, "load_mask", buffers=[b"nothing"])
    assert editor.done[2] and (editor.mask == drawn_mask(SIZE)).all()


def test_small_pictures_are_sent_to_a_new_view_and_with_each_new_result(editor, monkeypatch):
    messages = []
    monkeypatch.setattr(editor, "send", lambda content, buffers=None: messages.append((content, buffers)))
    say(editor, {"type": "ready"})
    paint(editor, 2, drawn_mask(SIZE, 0.06))
    (hello, small), (new, more) = messages
    faces, results = ([key for key, _ in editor.state[name]] for name in ("faces", "results"))
    assert (hello["type"], hello["keys"]) == ("hello", faces + results[:2]) and new["keys"] == results[2:]
    pictures = [face.image for face in editor.session.faces] + [step.image for step in editor.session.history]
    for data, picture in zip([*small, *more], pictures, strict=True):
        image = Image.open(io.BytesIO(data))
        assert image.size == (96, 96)
        assert abs(np.asarray(image).mean((0, 1)) - picture.mean((0, 1))).max() < 5


def test_python_sees_and_changes_what_the_view_does(editor, mask, tmp_path):
    editor.mask = drawn_mask(SIZE)
    assert (decode_runs(editor.edit, SIZE) == drawn_mask(SIZE)).all() and editor.done[:3] == ("", 0, None)
    editor.command("copy_component", face=1, group="nose")
    assert editor.session.history[-1].name == "nose of face 1" and editor.session.image.shape == (SIZE, SIZE, 3)
    editor.session.save(tmp_path / "mine")
    nose = editor.mask
    editor.mask = mask
    editor.session.load(tmp_path / "mine")
    editor.refresh()
    assert (editor.mask == nose).all() and (decode_runs(editor.edit, SIZE) == nose).all()
    with pytest.raises(EditError):
        editor.mask = np.full((SIZE, SIZE), 19)
    assert (editor.mask == nose).all()


def test_the_still(editor):
    data, _ = editor._repr_mimebundle_()
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size == (768, 256)


def test_the_module_needs_nothing_else():
    assert "import " not in MaskEditor._esm.replace("import(", "")
    assert MaskEditor._esm.count("\nexport ") == 1 and "http" not in MaskEditor._esm.replace("http://www.w3.org", "")


def test_an_autosave_brings_an_editor_back(mask, tmp_path):
    editor = MaskEditor(drawn_session(autosave=tmp_path))
    paint(editor, 1, mask)
    assert editor.state["autosaved"] == str(tmp_path)
    again = drawn_session()
    restored = MaskEditor(type(again).restore(tmp_path, again.faces, again.renderer))
    assert (restored.mask == mask).all() and restored.state["results"] == editor.state["results"]
    assert restored.session.renderer.renders == 0, "its picture has been read"
