"""The kernel's side of the editor: what a front end may say, and what is answered."""

import base64
import io

import ipywidgets
import numpy as np
import pytest
from editor_faces import drawn_mask, drawn_session
from PIL import Image

from maskgan_lib.classes import COLORS
from maskgan_lib.editor import EditError
from maskgan_lib.editor.rle import decode_runs, encode_runs
from maskgan_lib.editor.session import STYLE_REGIONS
from maskgan_lib.editor.widget import MaskEditor

SIZE = 64


def front_end(editor, state, edit=None):
    """Delivers what a front end sends, in the structure in which ipywidgets receives it."""
    paths, buffers = ([["edit"]], [memoryview(edit)]) if edit is not None else ([], [])
    message = {"method": "update", "state": dict(state), "buffer_paths": paths}
    editor._handle_msg({"content": {"data": message}, "buffers": buffers})


def say(editor, content, buffers=()):
    message = {"method": "custom", "content": content}
    editor._handle_msg({"content": {"data": message}, "buffers": [memoryview(data) for data in buffers]})


def command(editor, n, name, arguments=None, buffers=()):
    say(editor, {"type": "command", "view": "v", "n": n, "name": name, "arguments": arguments or {}}, buffers)


@pytest.fixture
def mask():
    mask = drawn_mask(SIZE)
    mask[20:30, 20:30] = 18
    return mask


@pytest.fixture
def editor(mask):
    """An editor that has accepted one edit."""
    editor = MaskEditor(drawn_session())
    front_end(editor, {"seq": ["v", 1]}, encode_runs(mask))
    return editor


@pytest.fixture
def said(editor, monkeypatch):
    """All that the editor says in messages of its own."""
    messages = []
    monkeypatch.setattr(editor, "send", lambda content, buffers=None: messages.append((content, buffers)))
    return messages


def test_an_edit_is_rendered_and_answered(editor, mask):
    assert editor.done[:3] == ("v", 1, None) and editor.done[3] > 0
    assert (editor.mask == mask).all()
    with Image.open(io.BytesIO(editor.picture)) as file:
        assert file.format == "JPEG" and file.size == (SIZE, SIZE)
        assert np.abs(np.asarray(file).astype(int) - editor.image).mean() < 10  # JPEG


BAD_EDITS = {
    "empty": lambda good: b"",
    "short": lambda good: good[:-3],
    "long": lambda good: good + b"\x01\x05\x00",
    "odd": lambda good: good + b"\x00",
    "class 200": lambda good: bytes([200]) + good[1:],
    "too many": lambda good: b"\x01\x01\x00" * (SIZE * SIZE + 1),
    "bomb": lambda good: b"\x01\xff\xff" * 1000,
}


@pytest.mark.parametrize("name", BAD_EDITS)
def test_a_refused_edit_leaves_the_last_good_mask(editor, mask, name):
    front_end(editor, {"seq": ["v", 2]}, BAD_EDITS[name](encode_runs(mask)))
    assert editor.done[:2] == ("v", 2) and editor.done[2]
    assert (editor.mask == mask).all()
    assert editor.edit == encode_runs(mask)  # what a page that is loaded again decodes
    front_end(editor, {"seq": ["v", 3]}, encode_runs(drawn_mask(SIZE)))
    assert editor.done[:3] == ("v", 3, None) and (editor.mask == drawn_mask(SIZE)).all()


@pytest.mark.skipif(ipywidgets.__version__ < "8", reason="version 7 sends only to a real kernel")
def test_a_refusal_and_the_good_mask_come_in_one_message(editor):
    sent = []
    editor._send = lambda message, buffers=None: sent.append(message)
    front_end(editor, {"seq": ["v", 2]}, b"")
    (message,) = sent
    assert {"edit", "done"} <= {*message["state"], *(path[0] for path in message["buffer_paths"])}


@pytest.mark.skipif(ipywidgets.__version__ < "8", reason="version 7 sends only to a real kernel")
def test_an_accepted_edit_is_sent_back_only_after_python_changed_the_mask(editor, mask):
    sent = []
    editor._send = lambda message, buffers=None: sent.extend(path[0] for path in message["buffer_paths"])
    front_end(editor, {"seq": ["v", 2]}, encode_runs(drawn_mask(SIZE)))
    assert "edit" not in sent
    editor.mask = mask
    sent.clear()
    front_end(editor, {"seq": ["v", 3]}, encode_runs(drawn_mask(SIZE)))
    assert sent.count("edit") == 1


def test_a_failing_picture_keeps_the_mask_and_the_last_picture(editor):
    before = editor.picture
    editor.session._renderer.error = "out of memory"
    front_end(editor, {"seq": ["v", 2]}, encode_runs(drawn_mask(SIZE)))
    assert "out of memory" in editor.done[2]
    assert (editor.mask == drawn_mask(SIZE)).all() and editor.picture == before
    assert editor.edit == encode_runs(drawn_mask(SIZE))


def test_on_the_button_an_edit_makes_no_picture(editor):
    renders = editor.session._renderer.renders
    front_end(editor, {"live": "button"})
    front_end(editor, {"seq": ["v", 2]}, encode_runs(drawn_mask(SIZE)))
    assert (editor.mask == drawn_mask(SIZE)).all() and editor.session._renderer.renders == renders
    command(editor, 3, "render")
    assert editor.session._renderer.renders == renders + 1 and editor.done[:3] == ("v", 3, None)


@pytest.mark.parametrize("state", [{"brush": 10**9}, {"picture": None}, {"seq": "x"}, {"live": "never"}, {"done": [1]}])
def test_bad_state_is_refused(editor, mask, state):
    (name,) = state
    before = getattr(editor, name)
    front_end(editor, state)
    assert getattr(editor, name) == before and (editor.mask == mask).all()


def test_a_front_end_cannot_move_the_limits(editor, mask):
    front_end(editor, {"state": {"size": 4}})
    front_end(editor, {"seq": ["v", 2]}, b"\x00\x10\x00")
    assert editor.done[2] and (editor.mask == mask).all()


def test_a_command_answers_with_mask_state_and_picture(editor):
    before, picture = editor.mask, editor.picture
    command(editor, 2, "copy_component", {"face": 1, "group": "mouth"})
    assert editor.done[:3] == ("v", 2, None)
    assert (editor.mask != before).any() and editor.picture != picture
    assert (decode_runs(editor.edit, SIZE) == editor.mask).all()
    command(editor, 3, "choose_target", {"face": 2})
    assert editor.state["target"] == 2
    assert (decode_runs(editor.original, SIZE) == editor.session.faces[2].mask).all()


def test_a_region_has_a_style_of_its_own_until_it_is_given_back(editor):
    assert editor.state["regions"] == list(STYLE_REGIONS) and editor.state["regionStyles"] == {}
    assert editor.state["regional"] and editor.state["stylesAround"] == {name: [0, 1.0] for name in STYLE_REGIONS}
    command(editor, 2, "choose_style", {"face": 1, "mix": 0.5, "region": "face"})
    assert editor.state["regionStyles"] == {"face": [1, 0.5]} and editor.state["style"] == 0
    around = editor.state["stylesAround"]
    assert (around["face"], around["nose"], around["hair"]) == ([0, 1.0], [1, 0.5], [0, 1.0])
    command(editor, 3, "choose_style", {"face": 0, "mix": 1, "region": "face"})
    assert editor.state["regionStyles"] == {}


def test_a_method_with_one_style_says_so():
    editor = MaskEditor(drawn_session(methods=["DMN", "SPADE"], global_methods=["SPADE"]))
    command(editor, 1, "choose_style", {"face": 1, "region": "hair"})
    with pytest.warns(UserWarning, match="SPADE has one style for the whole picture: the styles of hair are kept"):
        command(editor, 2, "choose_method", {"name": "SPADE"})
    assert editor.done[:3] == ("v", 2, None) and not editor.state["regional"]
    assert editor.state["regionStyles"] == {"hair": [1, 1.0]}
    command(editor, 3, "choose_style", {"face": 2, "region": "hair"})
    assert editor.done[2] == (
        "SPADE has one style for the whole picture, none for the hair: choose a method that draws regions (DMN)."
    )


def test_a_method_is_chosen_and_draws_the_same_mask(mask):
    assert MaskEditor(drawn_session()).state["methods"] == [] and MaskEditor(drawn_session()).state["method"] == ""
    editor = MaskEditor(drawn_session(methods=["DMN", "SPADE"]))
    assert (editor.state["methods"], editor.state["method"]) == (["DMN", "SPADE"], "DMN")
    front_end(editor, {"seq": ["v", 1]}, encode_runs(mask))
    before = editor.picture
    command(editor, 2, "choose_method", {"name": "SPADE"})
    assert editor.done[:3] == ("v", 2, None) and editor.state["method"] == "SPADE"
    assert (editor.mask == mask).all() and editor.picture != before
    assert [item.note for item in editor.history[1:]] == ["painted (DMN)", "painted (SPADE)"]
    editor.command("choose_method", name="DMN")
    assert editor.state["method"] == "DMN" and editor.picture == before


def test_each_editor_has_an_id_that_stays(editor):
    before = editor.state["id"]
    command(editor, 2, "choose_target", {"face": 1})
    assert editor.state["id"] == before != MaskEditor(drawn_session()).state["id"]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("save", {"folder": "x"}),
        ("copy_component", {"face": 99, "group": "mouth"}),
        ("choose_style", {"face": "a"}),
        ("choose_style", {"face": 1, "region": "tail"}),
        ("choose_style", {"face": 1, "region": 3}),
        ("choose_method", {"name": "SPADE"}),
        ("choose_method", {"name": 0}),
        (7, {}),
    ],
)
def test_bad_commands_are_said_and_change_nothing(editor, mask, name, arguments):
    command(editor, 2, name, arguments)
    assert editor.done[:2] == ("v", 2) and 10 < len(editor.done[2]) <= 300
    assert (editor.mask == mask).all() and editor.state["target"] == 0


@pytest.mark.parametrize("content", [{}, {"type": "command"}, {"type": "gallery", "view": 3}, {"type": "?"}])
def test_messages_that_are_none_are_ignored(editor, mask, content):
    done = editor.done
    say(editor, content)
    assert editor.done == done and (editor.mask == mask).all()


def test_files_come_as_buffers(editor, mask):
    file = io.BytesIO()
    Image.fromarray(drawn_mask(SIZE)).save(file, "PNG")
    command(editor, 2, "load_mask", buffers=[file.getvalue()])
    assert editor.done[:3] == ("v", 2, None) and (editor.mask == drawn_mask(SIZE)).all()
    command(editor, 3, "load_mask", buffers=[b"nothing"])
    assert editor.done[2] and (editor.mask == drawn_mask(SIZE)).all()


def test_ready_is_answered_and_results_are_sent(editor, mask, said):
    say(editor, {"type": "ready"})
    say(editor, {"type": "gallery", "view": "v"})
    (hello, _), (gallery, buffers) = said
    assert hello == {"type": "hello"}
    assert len(gallery["notes"]) == len(editor.history) == 2 and len(buffers) == 4
    assert (decode_runs(buffers[3], SIZE) == mask).all()
    assert Image.open(io.BytesIO(buffers[2])).size == (96, 96)


def test_python_sees_and_changes_what_the_view_does(editor, mask, tmp_path):
    editor.mask = drawn_mask(SIZE)
    assert (decode_runs(editor.edit, SIZE) == drawn_mask(SIZE)).all() and editor.done[:3] == ("", 0, None)
    editor.command("copy_component", face=1, group="nose")
    assert editor.history[-1].note == "nose of face 1" and editor.image.shape == (SIZE, SIZE, 3)
    editor.save(tmp_path / "mine")
    nose = editor.mask
    editor.mask = mask
    editor.load(tmp_path / "mine")
    assert (editor.mask == nose).all() and (decode_runs(editor.edit, SIZE) == nose).all()


@pytest.mark.parametrize(
    "bad", [np.zeros((SIZE, SIZE)), np.zeros((8, 8), np.uint8), np.full((SIZE, SIZE), 19), np.full((SIZE, SIZE), -1)]
)
def test_what_python_sets_is_checked(editor, mask, bad):
    with pytest.raises(EditError):
        editor.mask = bad
    assert (editor.mask == mask).all()


def test_the_classes_are_the_projects(editor):
    classes = editor.state["classes"]
    assert [one["rgb"] for one in classes] == COLORS.tolist()
    assert (classes[4]["partner"], classes[5]["partner"], classes[13]["partner"]) == (5, 4, 13)


def test_the_still_and_the_repr(editor):
    data, _ = editor._repr_mimebundle_()
    still = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert still.size == (768, 256)
    assert repr(editor) == "MaskEditor(64 x 64, 3 faces)"


def test_the_module_needs_nothing_else():
    assert "import " not in MaskEditor._esm.replace("import(", "")
    assert MaskEditor._esm.count("\nexport ") == 1 and "http" not in MaskEditor._esm.replace("http://www.w3.org", "")


def test_an_autosave_brings_an_editor_back(mask, tmp_path):
    editor = MaskEditor(drawn_session(autosave=tmp_path))
    front_end(editor, {"seq": ["v", 1]}, encode_runs(mask))
    assert editor.state["autosaved"] == str(tmp_path)
    again = drawn_session()
    restored = type(again).restore(tmp_path, again.faces, again._renderer)
    assert (MaskEditor(restored).mask == mask).all() and len(restored.history) == 2
