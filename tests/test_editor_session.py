"""The editor without a browser: every edit does what it says or nothing."""

import io
from collections import Counter

import numpy as np
import pytest
import torch
from editor_faces import ColourRenderer, drawn_faces, drawn_session
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskgan_lib.classes import CLASS_ID, NUM_CLASSES, colorize
from maskgan_lib.data.batches import to_float_image, to_uint8_image
from maskgan_lib.editor import COMMANDS, EditError, EditorFace, EditSession
from maskgan_lib.editor.components import STYLE_REGIONS
from maskgan_lib.editor.rendering import PLAIN, Renderer
from maskgan_lib.editor.rle import encode_runs
from maskgan_lib.editor.steps import DEPTH, HISTORY
from maskgan_lib.editor.storage import encode_mask
from maskgan_lib.networks import DenseMappingNetwork, one_hot

SIZE = 32
SKIN, NOSE, HAIR = (CLASS_ID[n] for n in ("skin", "nose", "hair"))


def make_session(**options) -> EditSession:
    """Four faces, of which the odd ones wear glasses; all that can move masks."""
    return drawn_session(**{"count": 4, "size": SIZE, "glasses": True, "attributes": True} | options)


@pytest.fixture
def session() -> EditSession:
    return make_session()


def looks(session: EditSession) -> tuple:
    """All that a session remembers, to be compared."""

    def plain(step):
        image = None if step.image is None else step.image.tobytes()
        looks = step.name, step.target, step.style, step.keep, step.method, dict(step.regions)
        return *looks, step.mask.tobytes(), image

    faces = [(face.name, face.image.tobytes(), face.mask.tobytes()) for face in session.faces]
    image = None if session.image is None else session.image.tobytes()
    return (*([plain(s) for s in some] for some in (session.done, session.undone, session.history)), image, faces)


def painted(session: EditSession, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = session.mask
    y, x = rng.integers(0, session.size - 6, 2)
    mask[y : y + 6, x : x + 6] = rng.integers(0, NUM_CLASSES)
    return mask


# ---- masks and pictures


def test_arrays_are_copied_on_every_way(session):
    mask = painted(session, 1)
    session.mask = mask
    given_mask = mask.copy()
    mask[:] = 0
    session.mask[:] = 5
    assert np.array_equal(session.mask, given_mask)
    expected = (0.5 * colorize(given_mask) + 0.5 * session.photo.mean(axis=(0, 1))).astype(np.uint8)
    assert np.array_equal(session.render(), expected) and np.array_equal(session.image, expected)
    assert np.array_equal(session.mask, given_mask), "the renderer got a copy"
    with pytest.raises(ValueError):
        session.history[0].image[:] = 0
    face = EditorFace("a", session.photo.copy(), given_mask.copy())
    other = EditSession([face], ColourRenderer(SIZE))
    face.mask[:], face.image[:] = 0, 0
    assert np.array_equal(other.original, given_mask) and np.array_equal(other.photo, session.photo)


@pytest.mark.parametrize("bad", [np.zeros((SIZE, SIZE)), np.full((SIZE, SIZE), 19), np.zeros((64, 64), np.uint8)])
def test_a_bad_mask_changes_nothing(session, bad):
    session.mask = painted(session, 1)
    session.render()
    before = looks(session)
    with pytest.raises(EditError):
        session.mask = bad
    assert looks(session) == before


@pytest.mark.parametrize(
    "broken",
    [RuntimeError("CUDA out of memory\nTried to allocate"), ValueError("x" * 5000), np.zeros((SIZE, SIZE, 3)), "text"],
    ids=lambda value: type(value).__name__,
)
def test_a_failing_picture_keeps_mask_and_old_picture(session, monkeypatch, broken):
    def fails(mask, style):
        if isinstance(broken, Exception):
            raise broken
        return broken

    old = session.render()
    session.mask = painted(session, 3)
    before = looks(session)
    with monkeypatch.context() as patched:
        patched.setattr(session.renderer, "render", fails)
        with pytest.raises(EditError, match="The picture could not be made") as caught:
            session.render()
    assert len(str(caught.value)) < 300 and "\n" not in str(caught.value)
    assert looks(session) == before and not session.is_drawn
    assert not np.array_equal(session.render(), old)


def test_faces_are_checked():
    face, *_ = drawn_faces(size=SIZE)
    for wrong in (
        [],
        [EditorFace("a", face.image[:16], face.mask)],
        [EditorFace("a", face.image / 255, face.mask)],
        [EditorFace("a", face.image, face.mask + 19)],
        [face, *drawn_faces(size=64)],
    ):
        with pytest.raises(EditError):
            EditSession(wrong, ColourRenderer(SIZE))


# ---- faces, styles, keeping


def test_targets_and_styles(session):
    session.choose_target(2)
    assert (session.target, session.style) == (2, 2)
    assert np.array_equal(session.mask, session.faces[2].mask)
    own = session.render()
    session.choose_style(1)
    foreign = session.render()
    session.choose_style(1, 0.0)
    assert np.array_equal(session.render(), own)
    session.choose_style(1, 0.5)
    assert np.allclose(session.render().astype(float), (own.astype(float) + foreign) / 2, atol=1)
    session.choose_target(3)
    assert (session.target, session.style, session.style_mix) == (3, 1, 0.5)
    session.choose_target(1)
    session.choose_target(0)
    assert session.style == 0, "a style that was the own one is not carried on"


def test_keeping_what_was_not_edited(session):
    session.set_keep(1.0)
    assert np.array_equal(session.render(), session.photo), "nothing was edited"
    mask = session.mask
    mask[:3, :3] = HAIR
    session.mask = mask
    kept = session.render()
    assert np.array_equal(kept[16:, 16:], session.photo[16:, 16:])
    assert not np.array_equal(kept[:3, :3], session.photo[:3, :3])
    session.set_keep(None)
    plain = session.render()
    session.set_keep(0)
    assert np.array_equal(session.render(), plain)
    session.set_keep(0.8)
    for face, mix, keep in ((1, 1.0, None), (0, 1.0, None), (2, 1.0, None)):
        session.choose_style(face, mix)
        assert session.keep == keep, "a new style is not hidden by keeping"
    session.set_keep(0.5)
    for face, mix, keep in ((2, 0.4, 0.5), (0, 1.0, 0.5), (1, 1.0, None)):
        session.choose_style(face, mix)
        assert session.keep == keep


# ---- regions in styles of their own


def test_however_many_styles_there_are_one_render_makes_the_picture(session):
    for face, region in enumerate(("hair", "face", "nose", "background")):
        session.choose_style(face, 0.5, region)
    session.choose_style(2)
    counts = []
    for change in (
        lambda: None,
        lambda: session.set_keep(0.5),  # and one of the mask before the edit
        lambda: setattr(session, "mask", painted(session, 1)),  # which is kept
        lambda: session.choose_style(3, region="hair"),
    ):
        change()
        session.render()
        counts.append(session.renderer.renders)
    assert counts == [1, 3, 4, 5]


@pytest.mark.parametrize("mix", [0.0, 0.5, 1.0])
def test_a_region_s_style_is_its_code_in_the_place_of_another(mix):
    """With codes exchanged by hand in a network whose weights are large enough for styles that differ."""
    torch.manual_seed(0)
    network = DenseMappingNetwork(width=4, downsamplings=2, blocks=1, style_width=4, style="regional").eval()
    with torch.no_grad():
        network.style_to_adain.weight.mul_(30)
        network.backbone.last.weight.mul_(20)
    session = EditSession(drawn_faces(4, SIZE), Renderer(network, SIZE, way=PLAIN))
    session.choose_style(2)
    session.choose_style(1, mix, "face")
    session.choose_style(3, region="nose")
    with torch.no_grad():
        onehots = [one_hot(torch.from_numpy(face.mask.copy())[None]) for face in session.faces]
        images = [to_float_image(face.image[None].copy()) for face in session.faces]
        own, *others = [network.encode_style(image, mask) for image, mask in zip(images, onehots)]
        codes, face = others[1].clone(), list(STYLE_REGIONS["face"])
        codes[:, face] = ((1 - mix) * own + mix * others[0])[:, face]
        codes[:, NOSE] = others[2][:, NOSE]
        expected = to_uint8_image(network.render(onehots[0], codes))[0]
    assert abs(session.render().astype(int) - expected).max() <= 1


def test_regions_beside_another_face_s_style(session):
    session.choose_style(2)
    session.choose_style(0, region="face")
    assert session.region_styles == {"face": (0, 1.0)}, "the target's own, where all else is another's"
    session.choose_style(2, 0.0, "background")
    session.choose_style(2, region="face")
    assert session.region_styles.keys() == {"background"}, "the face is as the whole picture"
    session.choose_style(1, region="hair")
    session.choose_target(3)
    assert session.region_styles == {"background": (2, 0.0), "hair": (1, 1.0)}
    session.choose_style(3, region="face")
    session.choose_target(0)
    assert session.region_styles["face"] == (0, 1.0), "an own style follows"
    session.choose_style(3, region="hat")
    session.render()  # nobody wears one


def test_a_region_in_a_region_has_its_own_style_whichever_was_chosen_first():
    sessions = [make_session(), make_session()]
    steps = [(1, "face"), (2, "nose")]
    for session, order in zip(sessions, (steps, steps[::-1])):
        for face, region in order:
            session.choose_style(face, region=region)
    first, second = sessions
    assert first.region_styles == second.region_styles == {"face": (1, 1.0), "nose": (2, 1.0)}
    assert np.array_equal(first.render(), second.render())
    assert (first.style_around("nose"), first.style_around("face")) == ((1, 1.0), (0, 1.0))
    for label, face in ((NOSE, 2), (SKIN, 1), (HAIR, 0)):
        tint = first.faces[face].image.reshape(-1, 3).mean(0)
        expected = (0.5 * colorize(np.uint8(label)) + 0.5 * tint).astype(np.uint8)
        assert (first.image == expected)[first.mask == label].all()
    first.choose_style(0, region="nose")
    assert first.region_styles["nose"] == (0, 1.0), "the whole picture's style is not the one around it"
    first.choose_style(1, region="nose")
    assert first.region_styles == {"face": (1, 1.0)}, "given back to the face"


def test_what_the_photo_lacks_comes_with_its_look_and_goes_with_it(session):
    """Face 0 has no glasses, face 1 has: copied, they take its style; its nose, which face 0 has, does not."""
    session.choose_style(3, 0.7)
    session.set_keep(0.5)
    session.choose_style(2, region="hair")
    session.copy_component(1, "nose")
    session.copy_component(0, "nose")
    assert np.array_equal(session.mask == NOSE, session.original == NOSE), "one's own comes back to its place"
    for face in (1, 3):
        session.copy_component(face, "glasses")
        assert session.region_styles == {"hair": (2, 1.0), "eyeglasses": (face, 1.0)}
    session.reset()
    assert np.array_equal(session.mask, session.original) and session.region_styles == {"hair": (2, 1.0)}
    assert (session.style, session.style_mix, session.keep) == (3, 0.7, 0.5)
    plain = make_session(methods=["SPADE"], global_methods=["SPADE"])
    plain.copy_component(1, "glasses")
    assert plain.region_styles == {}


def grown(region: np.ndarray, reach: int) -> np.ndarray:
    """All pixels within ``reach`` rows and columns of a region."""
    steps = range(-reach, reach + 1)
    return np.any([np.roll(region, (down, right), (0, 1)) for down in steps for right in steps], axis=0)


def test_a_restyled_region_counts_as_edited_and_only_that():
    session = make_session(size=64)
    session.set_keep(1.0)
    session.choose_style(1, region="hair")
    assert session.keep == 1.0, "it does not reach the whole picture"
    kept, hair = session.render(), session.mask == HAIR
    far = ~grown(hair, 5)
    assert far.any() and np.array_equal(kept[far], session.photo[far])
    session.choose_style(2, region="hair")
    assert (session.render() != kept).any(axis=-1)[hair].mean() > 0.9
    session.choose_style(0, region="hair")
    session.choose_style(1, region="face")
    session.choose_style(0, region="skin")
    kept, skin = session.render(), session.mask == SKIN
    far = skin & ~grown(np.isin(session.mask, STYLE_REGIONS["face"]) & ~skin, 5)
    assert far.any() and np.array_equal(kept[far], session.photo[far]), "it looks like the whole picture again"


def test_every_class_is_a_region_and_regions_do_not_cross():
    assert {(i,) for i in range(NUM_CLASSES)} <= set(STYLE_REGIONS.values())
    assert max(Counter(map(frozenset, STYLE_REGIONS.values())).values()) == 1, "none is there twice"
    for one in map(set, STYLE_REGIONS.values()):
        for other in map(set, STYLE_REGIONS.values()):
            assert one <= other or other <= one or not one & other


# ---- methods


def test_methods_that_cannot_be():
    for renderer, words in (
        ({}, "one at least"),
        ({"plain": ColourRenderer(SIZE), "": ColourRenderer(SIZE)}, "no empty name"),
        ({"small": ColourRenderer(SIZE), "large": ColourRenderer(64)}, r"sizes \(small 32, large 64\)"),
    ):
        with pytest.raises(EditError, match=words):
            EditSession(drawn_faces(size=SIZE), renderer)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=10))
@settings(max_examples=30, deadline=None)
def test_a_picture_is_that_of_the_chosen_method_alone(steps):
    """Also with styles that are mixed, or of regions, and with the reconstruction that keeping needs."""
    session = make_session(methods=["plain", "vivid"])
    alone = {name: EditSession(session.faces, ColourRenderer(SIZE, s)) for name, s in (("plain", 0.2), ("vivid", 1))}
    changes = [
        lambda one: one.choose_style(1, 0.5),
        lambda one: one.choose_style(3, region="hair"),
        lambda one: one.set_keep(0.7),
        lambda one: one.choose_target(2),
        lambda one: setattr(one, "mask", np.roll(one.mask, 2, axis=0)),
    ]
    for step in steps:
        if step < len(changes):
            for one in (session, *alone.values()):
                changes[step](one)
        for name in ("plain", "vivid"):
            session.choose_method(name)
            assert np.array_equal(session.mask, alone[name].mask)
            assert np.array_equal(session.render(), alone[name].render())


def test_a_method_with_one_style_refuses_regions_and_names_the_way_out():
    session = make_session(methods=["DMN", "MaskGAN†", "other"], global_methods=["DMN"])
    before = looks(session)
    with pytest.raises(EditError, match=r"left eye: .* \(MaskGAN†, other\)"):
        session.choose_style(1, region="left eye")
    assert looks(session) == before and not session.regional
    session.choose_method("other")
    session.choose_style(2, region="left eye")


def test_styles_of_regions_wait_while_a_method_cannot_draw_them(tmp_path, recwarn):
    renderers = {"regional": ColourRenderer(SIZE), "DMN": ColourRenderer(SIZE, regional=False)}
    session = EditSession(drawn_faces(size=SIZE), renderers, autosave=tmp_path)
    own = session.render()
    session.choose_method("DMN")
    session.choose_method("regional")
    assert not recwarn.list, "nothing waits"
    session.choose_style(1, region="hair")
    session.choose_style(2, region="nose")
    drawn = session.render()
    with pytest.warns(UserWarning, match="DMN .* hair, nose are kept") as said:
        session.choose_method("DMN")
    assert said[0].filename == __file__ and np.array_equal(session.render(), own)
    session.set_keep(1.0)
    assert np.array_equal(session.render(), session.photo), "nothing counts as edited"
    session.set_keep(None)
    with pytest.warns(UserWarning, match="DMN .* hair, nose are kept"):
        restored = EditSession.restore(tmp_path, session.faces, renderers)
    assert restored.region_styles == session.region_styles == {"hair": (1, 1.0), "nose": (2, 1.0)}
    restored.choose_method("regional")
    assert np.array_equal(restored.render(), drawn)


# ---- latent edits


def test_sliders_count_from_where_they_were_first_touched(session):
    before = session.mask
    session.move_latent("Lower", 0.1)
    session.move_latent("Lower", 0.4)
    assert np.array_equal(session.mask, np.roll(before, 4, axis=0))
    session.move_latent("Smile <b>", -0.2)
    assert np.array_equal(session.mask, np.roll(before, (4, -2), axis=(0, 1)))
    assert session.sliders == {"Lower": 0.4, "Smile <b>": -0.2}
    session.mask = session.mask
    session.choose_style(1)
    session.render()
    assert session.sliders, "the mask was not changed"
    session.move_latent("Lower", 0)
    session.move_latent("Smile <b>", 0)
    assert np.array_equal(session.mask, before)
    session.move_latent("Lower", 0.5)
    session.mask = painted(session, 1)
    assert session.sliders == {}
    stroke = session.mask
    session.move_latent("Lower", 0.1)
    assert np.array_equal(session.mask, np.roll(stroke, 1, axis=0))


def test_towards_another_face_and_at_random(session):
    before = session.mask
    for share in (0.5, 1.0, 0.25, 0.0):
        session.interpolate(1, share)
        rows = round(share * SIZE)
        assert np.array_equal(session.mask, np.concatenate([session.faces[1].mask[:rows], before[rows:]]))
        assert session.blend == {"1": share}
    session.interpolate(1, 0.5)
    half = session.mask
    session.interpolate(2, 0.0)
    assert np.array_equal(session.mask, half) and session.blend == {"2": 0.0}, "another face starts from here"
    session.random_edit(3)
    first = session.mask
    session.undo()
    session.random_edit(3)
    assert np.array_equal(session.mask, first) and session.blend == {}


def test_latent_edits_that_fail_change_nothing(session, monkeypatch):
    session.move_latent("Lower", 0.5)
    before = looks(session)
    monkeypatch.setattr("editor_faces.Shifts.error", "broken")
    with pytest.raises(EditError, match=r"could not be changed \(broken\)"):
        session.move_latent("Lower", 1)
    monkeypatch.setattr("editor_faces.Shifts.random", lambda self, mask, seed: mask + 40)
    with pytest.raises(EditError):
        session.random_edit(1)
    assert looks(session) == before and session.sliders == {"Lower": 0.5}
    bare = drawn_session(latent=False)
    for act in (lambda: bare.move_latent("Lower", 1), lambda: bare.interpolate(0, 1), lambda: bare.random_edit(1)):
        with pytest.raises(EditError, match="no MaskVAE"):
            act()


# ---- commands

ANYTHING = st.one_of(
    *(st.floats(), st.integers(), st.none(), st.booleans(), st.text(max_size=5), st.binary(max_size=40)),
    *(st.sampled_from(["nose", "glasses", "hair", "Lower"]), st.lists(st.integers(), max_size=2)),
)
FILES = {"load_mask": encode_mask(drawn_faces(size=SIZE)[2].mask), "paint": encode_runs(drawn_faces(size=SIZE)[1].mask)}


@st.composite
def calls(draw):
    name = draw(st.sampled_from(sorted(COMMANDS)))
    fitting = {
        int: st.integers(-1, 5),
        float: st.floats(-2, 2),
        str: st.sampled_from(["nose", "glasses", "hair", "hat", "Lower", "plain", "vivid"]),
        bytes: st.one_of(st.just(FILES.get(name, b"")), st.binary(max_size=40)),
        type(None): st.none(),
        list: st.one_of(st.just([[75, 60], [45, 60], [60, 95]]), st.lists(ANYTHING, max_size=3)),
        dict: st.dictionaries(st.sampled_from(["Smiling", "Bangs", "Black_Hair"]), st.floats(-1.1, 1.1), max_size=2),
    }
    arguments = {key: draw(st.one_of(*[fitting[kind] for kind in kinds])) for key, kinds in COMMANDS[name].items()}
    if draw(st.integers(0, 3)) == 0:
        key = draw(st.sampled_from([*COMMANDS[name], "path", "self"]))
        arguments[key] = draw(ANYTHING)
    if arguments and draw(st.integers(0, 5)) == 0:
        del arguments[draw(st.sampled_from(sorted(arguments)))]
    return name, arguments, draw(st.sampled_from([None, None, "drag"]))


@given(st.lists(calls(), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_whatever_a_front_end_calls_is_done_or_refused(steps):
    session = make_session(methods=["plain", "vivid"], judges=object())
    known = {i for face in session.faces for i in np.unique(face.mask).tolist()}
    for name, arguments, gesture in steps:
        before, preview, count = looks(session), session.preview, len(session.done)
        try:
            with session.gesture(gesture):
                session.command(name, arguments)
        except EditError as error:
            assert looks(session) == before and "\n" not in str(error)
            assert np.array_equal(session.preview, preview)
        mask = session.mask
        assert (session.preview is None) == (session.preview_amounts == {})
        assert name != "preview_attributes" or looks(session) == before
        assert len(session.done) <= min(count + 1, DEPTH + 1) or name == "redo"
        assert mask.shape == (SIZE, SIZE) and mask.dtype == np.uint8 and set(np.unique(mask)) <= known | {HAIR}
        assert session.render().shape == (SIZE, SIZE, 3)
        assert np.array_equal(session.done[-1].image, session.image) and len(session.history) <= HISTORY
        assert 0 <= session.target < 4 and 0 <= session.style < 4 and 0 <= session.style_mix <= 1


WRONG = [
    ("save", {"folder": "anywhere"}, "no command 'save'"),
    ("x" * 10_000, {}, "no command"),
    (["reset"], {}, "no command"),
    ("reset", [], "by name"),
    ("reset", {"now": 1}, "does not take 'now'"),
    ("choose_target", {}, "give all arguments"),
    ("choose_target", {"face": 4}, "no face 4"),
    ("choose_target", {"face": -1}, "no face -1"),
    ("choose_target", {"face": True}, "does not take"),
    ("choose_target", {"face": 10**400}, "does not take"),
    ("choose_style", {"face": 1, "mix": float("nan")}, "from 0 to 1"),
    ("choose_style", {"face": 1, "region": "chin"}, "choose one of hair, face, eyes"),
    ("choose_method", {"name": "SPADE"}, "no method 'SPADE'"),
    ("set_keep", {"strength": -0.1}, "from 0 to 1"),
    ("move_latent", {"direction": "hope", "amount": 1}, "no direction 'hope'"),
    ("move_latent", {"direction": "Lower", "amount": 2}, "from -1 to 1"),
    ("interpolate", {"face": 1, "share": -1}, "from 0 to 1"),
    ("random_edit", {"seed": -1}, "no seed"),
    ("preview_attributes", {"amounts": {"Black_Hair": 1}}, "'Black_Hair' does not move masks"),
    ("preview_attributes", {"amounts": {"x" * 1000: 1}}, "Smiling, Bangs"),
    ("preview_attributes", {"amounts": {"Smiling": 10**400}}, "from -1 to 1"),
    ("preview_attributes", {"amounts": {"Smiling": True}}, "is a number"),
    ("preview_attributes", {"amounts": {"Smiling": 1, "Bangs": [1]}}, "amount of Bangs is a number"),
    ("move_attributes", {"amounts": {"Bangs": -2}}, "from -1 to 1"),
    ("load_mask", {"data": "/etc/passwd"}, "does not take"),
    ("load_mask", {"data": b"broken"}, "no PNG"),
    ("paint", {"data": b"\x01\xff\xff" * 999}, "pixels instead of"),
    ("go_back", {"result": "nose"}, "not remembered"),
]


@pytest.mark.parametrize(("name", "arguments", "words"), WRONG, ids=range(len(WRONG)))
def test_wrong_commands_are_refused_in_a_sentence(name, arguments, words):
    session = make_session(judges=object())
    session.mask = painted(session, 1)
    session.render()
    before = looks(session)
    with pytest.raises(EditError) as caught:
        session.command(name, arguments)
    assert words in str(caught.value) and len(str(caught.value)) < 500
    assert looks(session) == before


# ---- own photos


class Seeing:
    """A parser that sees the four points of a face wherever it looks, so that the crop is the middle of the photo."""

    def parse(self, images):
        labels = np.zeros(images.shape[-2:], np.uint8)
        side = len(labels)
        y, x = (np.mgrid[:side, :side] + 0.5) / side
        labels[np.hypot((y - 0.55) / 1.3, x - 0.5) < 0.35] = SKIN
        labels[np.hypot(y - 0.6, x - 0.5) < 0.06] = NOSE
        labels[np.hypot((y - 0.735) * 2.5, x - 0.5) < 0.11] = CLASS_ID["u_lip"]
        labels[np.hypot(y - 0.475, x - 0.625) < 0.04] = CLASS_ID["l_eye"]
        labels[np.hypot(y - 0.475, x - 0.375) < 0.04] = CLASS_ID["r_eye"]
        return torch.from_numpy(np.repeat(labels[None], len(images), axis=0))


class Blind:
    def parse(self, images):
        return torch.zeros(len(images), *images.shape[-2:], dtype=torch.uint8)


def photo_file() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (160, 120, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


def test_an_own_photo_becomes_a_face(tmp_path):
    session = make_session(judges=Seeing(), autosave=tmp_path / "auto")
    (tmp_path / "me.jpg").write_bytes(photo_file())
    assert (session.add_photo(photo_file()), session.add_photo(tmp_path / "me.jpg")) == (4, 5)
    assert [face.name for face in session.faces[4:]] == ["own photo 1", "own photo 2"]
    assert np.array_equal(session.faces[4].image, session.faces[5].image) and len(session.done) == 1
    session.choose_target(4)
    again = EditSession.restore(tmp_path / "auto", make_session().faces, ColourRenderer(SIZE))
    assert again.target == 4 and [face.name for face in again.faces] == [face.name for face in session.faces]
    assert np.array_equal(again.photo, session.photo) and np.array_equal(again.original, session.original)


def test_an_edit_comes_back_into_the_whole_photo(tmp_path):
    """The photo is upright, in its own size, and unedited pixels are its own; so it is after a restart, too."""
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = 6  # the camera lay on its side
    lying = Image.fromarray(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8))
    lying.save(file, "PNG", exif=exif)
    upright = np.rot90(np.asarray(lying), -1)
    session = make_session(judges=Seeing(), autosave=tmp_path / "auto")
    with pytest.raises(EditError, match="no photo of your own"):
        session.whole_photo()
    session.choose_target(session.add_photo(file.getvalue()))
    session.set_keep(1.0)
    assert np.array_equal(session.whole_photo(), upright)
    mask = session.mask
    mask[20:30, 20:30] = 13
    session.mask = mask
    made = session.whole_photo()
    changed = (made != upright).any(axis=-1)
    assert made.shape == (320, 240, 3) and 0 < changed.mean() < 0.3
    again = EditSession.restore(tmp_path / "auto", make_session().faces, ColourRenderer(SIZE))
    assert np.array_equal(again.whole_photo(), made)
    again.save_photo(tmp_path / "whole.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "whole.png")), made)
    next((tmp_path / "auto" / "pictures").glob("*.photo")).write_bytes(b"another")
    with pytest.raises(EditError, match="damaged"):
        EditSession.restore(tmp_path / "auto", make_session().faces, ColourRenderer(SIZE))


def test_three_points_say_where_a_face_is_that_nobody_finds():
    session = make_session(judges=Blind())
    place = session.add_photo(photo_file(), [[75, 60], [45, 60], [60, 95]])
    assert session.faces[place].image.shape == (SIZE, SIZE, 3)
    for points in ([[75, 60], [45, 60]], [[75, 60]] * 3, [[75, 600], [45, 600], [60, 950]]):
        with pytest.raises(EditError):
            session.command("add_photo", {"data": photo_file(), "points": points})


def test_photos_without_a_face_are_refused(tmp_path):
    session = make_session(judges=Blind())
    before = looks(session)
    for photo in (photo_file(), b"broken", tmp_path / "missing.jpg"):
        with pytest.raises(EditError):
            session.add_photo(photo)
    assert looks(session) == before
