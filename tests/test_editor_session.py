"""The editor without a browser: every step does what it says or nothing, and nothing is lost."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskgan_lib.checkpoints import CheckpointError, save_weights
from maskgan_lib.classes import CLASS_ID, NUM_CLASSES, colorize
from maskgan_lib.data.batches import to_float_image, to_uint8_image
from maskgan_lib.data.errors import DataError
from maskgan_lib.editor import COMMANDS, EditError, EditorFace, EditSession
from maskgan_lib.editor import session as session_module
from maskgan_lib.editor.components import STYLE_REGIONS
from maskgan_lib.editor.files import render_files
from maskgan_lib.editor.rendering import PLAIN, Renderer
from maskgan_lib.editor.session import HISTORY
from maskgan_lib.editor.storage import encode_mask, read_mask, write_mask, write_picture
from maskgan_lib.networks import DenseMappingNetwork, MaskVAE, one_hot

ROOT = Path(__file__).resolve().parent.parent
SIZE = 32
SKIN, NOSE, GLASSES, HAIR = (CLASS_ID[n] for n in ("skin", "nose", "eye_g", "hair"))


@dataclass(frozen=True)
class Style:
    """A colour for every class, ``[19, 3]``, or one."""

    colours: np.ndarray

    def mix(self, other: "Style", share: float) -> "Style":
        return Style((1 - share) * self.colours + share * other.colours)

    def put(self, other: "Style", classes) -> "Style":
        colours = self.colours.copy()
        colours[list(classes)] = other.colours[list(classes)]
        return Style(colours)


class Painter:
    """Draws a mask in its colours, tinted by the mean colour of the style picture; breaks when told to."""

    regional = True

    def __init__(self, size: int = SIZE):
        self.size, self.error, self.calls = size, None, 0

    def style(self, image, mask):
        assert image.shape == (*mask.shape, 3)
        return Style(np.tile(image.mean(axis=(0, 1)), (NUM_CLASSES, 1)))

    def render(self, mask, style):
        self.calls += 1
        if self.error is not None:
            raise self.error
        picture = np.rint((colorize(mask) + style.colours[mask]) / 2).astype(np.uint8)
        mask[:] = 0  # a renderer may do what it likes with what it gets
        return picture


class Negative(Painter):
    """Another method, with another idea of a style, too."""

    def style(self, image, mask):
        return Style(255 - super().style(image, mask).colours)

    def render(self, mask, style):
        return 255 - super().render(mask, style)


class OneTint(Painter):
    """A method with one style for the whole picture."""

    regional = False

    def style(self, image, mask):
        return Style(image.mean(axis=(0, 1)))

    def render(self, mask, style):
        return super().render(mask, Style(np.tile(style.colours, (NUM_CLASSES, 1))))


def methods() -> dict[str, Painter]:
    return {"plain": Painter(), "negative": Negative()}


class Roller:
    """Latent edits as rolled masks: easy to check."""

    directions = ("smile", "age")
    error = None

    def move(self, mask, direction, amount):
        if self.error is not None:
            raise self.error
        return np.roll(mask, round(4 * amount), axis=self.directions.index(direction))

    def towards(self, mask, other, share):
        return np.where(np.arange(mask.shape[1]) < share * mask.shape[1], other, mask)

    def random(self, mask, seed):
        return np.roll(mask, seed % 7 + 1, axis=1)


class Shrinker:
    """Attributes as parts that go, as far as they are asked for."""

    attributes = ("Smiling", "Bangs")

    def move(self, mask, amounts):
        assert all(amounts.values())
        y = np.indices(mask.shape)[0] / mask.shape[0]
        smile, bangs = (abs(amounts.get(name, 0)) for name in self.attributes)
        mask[(mask == CLASS_ID["mouth"]) & (y < 0.65 + 0.2 * smile)] = SKIN  # it may do what it likes with its mask
        mask[(mask == HAIR) & (y < bangs)] = 0
        return mask


def make_face(seed: int, size: int = SIZE) -> EditorFace:
    """A head with hair and a nose; odd ones wear glasses."""
    rng = np.random.default_rng(seed)
    mask = np.zeros((size, size), np.uint8)
    y, x = np.mgrid[:size, :size] / size
    down, right = rng.uniform(-0.06, 0.06, 2)
    mask[np.hypot((y - 0.5 - down) / 1.2, x - 0.5 - right) < 0.34] = HAIR
    mask[np.hypot((y - 0.55 - down) / 1.2, x - 0.5 - right) < 0.28] = SKIN
    mask[np.hypot(y - 0.58 - down, x - 0.5 - right) < 0.08] = NOSE
    mask[np.hypot(y - 0.75 - down, (x - 0.5 - right) / 2) < 0.05] = CLASS_ID["mouth"]
    if seed % 2:
        mask[(abs(y - 0.45 - down) < 0.04) & (abs(x - 0.5 - right) < 0.2)] = GLASSES
    return EditorFace(f"face {seed}", rng.integers(0, 256, (size, size, 3), np.uint8), mask)


def make_session(renderer=None, **options) -> EditSession:
    options = {"attribute_masks": Shrinker()} | options
    return EditSession([make_face(seed) for seed in range(4)], renderer or Painter(), Roller(), **options)


@pytest.fixture
def session() -> EditSession:
    return make_session()


def content(session: EditSession) -> str:
    """A fingerprint of all that a session remembers."""
    digest = hashlib.sha256()
    looks = (session.style, session.style_mix, session.keep, sorted(session.region_styles.items()), session.method)
    digest.update(repr((session.target, *looks, len(session.faces))).encode())
    for array in (session.mask, b"-" if session.image is None else session.image):
        digest.update(np.ascontiguousarray(array) if not isinstance(array, bytes) else array)
    for item in session.history:
        digest.update(item.note.encode() + item.mask.tobytes() + item.image.tobytes())
    for face in session.faces:
        digest.update(face.name.encode() + face.image.tobytes() + face.mask.tobytes())
    return digest.hexdigest()


def painted(session: EditSession, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = session.mask
    y, x = rng.integers(0, SIZE - 6, 2)
    mask[y : y + 6, x : x + 6] = rng.integers(0, NUM_CLASSES)
    return mask


# ---- masks and pictures


def test_a_new_session(session):
    assert session.size == SIZE and len(session.faces) == 4
    assert (session.target, session.style, session.style_mix, session.keep) == (0, 0, 1.0, None)
    assert np.array_equal(session.mask, make_face(0).mask) and np.array_equal(session.original, session.mask)
    assert np.array_equal(session.photo, make_face(0).image)
    assert session.image is None and session.history == () and session.autosaved == ""
    assert session.groups() == ("mouth", "nose", "hair")
    assert session.directions == ("smile", "age")
    assert (session.methods, session.method) == ((), "")


def test_a_mask_is_set_as_a_copy_and_drawn(session):
    mask = painted(session, 1)
    session.mask = mask
    assert np.array_equal(session.mask, mask)
    given_mask = mask.copy()
    mask[:] = 0
    session.mask[:] = 5
    assert np.array_equal(session.mask, given_mask)
    expected = np.rint((colorize(given_mask) + make_face(0).image.mean(axis=(0, 1))) / 2).astype(np.uint8)
    assert np.array_equal(session.render(), expected) and np.array_equal(session.image, expected)
    assert np.array_equal(session.mask, given_mask), "the renderer got a copy"


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((SIZE, SIZE)),
        np.zeros((SIZE, SIZE, 3), np.uint8),
        np.full((SIZE, SIZE), 19),
        np.full((SIZE, SIZE), -1),
        np.zeros((512, 512), np.uint8),
        None,
        [[1], [2, 3]],
    ],
)
def test_a_bad_mask_changes_nothing(session, bad):
    session.mask = painted(session, 1)
    session.render()
    before = content(session)
    with pytest.raises(EditError):
        session.mask = bad
    assert content(session) == before


def test_the_history_has_each_new_picture_once_and_is_bounded(session):
    for _ in range(3):
        session.render()
    assert len(session.history) == 1
    for seed in range(HISTORY + 5):
        session.mask = painted(session, seed)
        session.render()
        session.render()
        assert np.array_equal(session.history[-1].mask, session.mask)
        assert np.array_equal(session.history[-1].image, session.image)
        assert len(session.history) == min(seed + 2, HISTORY)
    assert session.history[-1].note == "painted"
    with pytest.raises(ValueError):
        session.history[0].image[:] = 0
    notes = []
    for act in (
        lambda: session.copy_component(1, "glasses"),
        lambda: session.choose_style(2),
        lambda: session.move_latent("smile", 0.5),
        lambda: session.reset(),
    ):
        act()
        session.render()
        notes.append(session.history[-1].note)
    assert notes == ["glasses of face 1", "style of face 2", "smile +0.50", "original"]


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA out of memory\nTried to allocate"), MemoryError(), ValueError("x" * 5000)]
)
def test_a_failing_picture_keeps_mask_and_old_picture(session, error):
    old = session.render()
    mask = painted(session, 3)
    session.mask = mask
    session._renderer.error = error
    with pytest.raises(EditError) as caught:
        session.render()
    sentence = str(caught.value)
    assert sentence.startswith("The picture could not be made") and len(sentence) < 300 and "\n" not in sentence
    assert np.array_equal(session.mask, mask) and np.array_equal(session.image, old) and len(session.history) == 1
    session._renderer.error = None
    assert not np.array_equal(session.render(), old)


@pytest.mark.parametrize("wrong", [np.zeros((SIZE, SIZE), np.uint8), np.zeros((SIZE, SIZE, 3)), "text"])
def test_a_picture_of_another_kind_is_refused(session, wrong):
    session.render()
    before = content(session)
    session._renderer.render = lambda mask, style: wrong
    with pytest.raises(EditError, match="could not be made"):
        session.render()
    assert content(session) == before


def test_faces_are_checked():
    face = make_face(0)
    for wrong in (
        [],
        [EditorFace("a", face.image[:16], face.mask)],
        [EditorFace("a", face.image / 255, face.mask)],
        [EditorFace("a", face.image, face.mask + 19)],
        [face, make_face(1, 64)],
    ):
        with pytest.raises(EditError):
            EditSession(wrong, Painter())


def test_the_callers_arrays_stay_theirs():
    face = make_face(0)
    mask, image = face.mask.copy(), face.image.copy()
    session = EditSession([face], Painter())
    face.mask[:], face.image[:] = 0, 0
    assert np.array_equal(session.original, mask) and np.array_equal(session.photo, image)


# ---- faces, styles, keeping


def test_targets_and_styles(session):
    session.choose_target(2)
    assert (session.target, session.style) == (2, 2)
    assert np.array_equal(session.mask, make_face(2).mask)
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


def test_a_new_style_is_not_hidden_by_keeping(session):
    session.set_keep(0.8)
    session.choose_style(1)
    assert session.keep is None
    session.set_keep(0.5)
    session.choose_style(1, 0.4)
    assert session.keep == 0.5, "asked for again"
    session.choose_style(0)
    assert session.keep == 0.5
    session.choose_style(2)
    assert session.keep is None


# ---- regions in styles of their own


def test_a_region_in_a_style_of_its_own(session):
    own = session.render()
    session.choose_style(1)
    foreign = session.render()
    session.choose_style(0)
    session.choose_style(1, region="hair")
    assert (session.style, session.region_styles) == (0, {"hair": (1, 1.0)})
    assert np.array_equal(session.render(), np.where((session.mask == HAIR)[..., None], foreign, own))
    session.choose_style(0, region="hair")
    assert session.region_styles == {} and np.array_equal(session.render(), own)


def test_however_many_styles_there_are_one_render_makes_the_picture(session):
    for face, region in enumerate(("hair", "face", "nose", "background")):
        session.choose_style(face, 0.5, region)
    session.choose_style(2)
    session.render()
    assert session._renderer.calls == 1
    session.set_keep(0.5)
    session.render()
    assert session._renderer.calls == 3, "and one of the mask before the edit"
    session.mask = painted(session, 1)
    session.choose_style(3, region="hair")
    session.render()
    assert session._renderer.calls == 4, "which is kept"


def regional_network(seed: int = 0) -> DenseMappingNetwork:
    """Weights large enough for pictures that are not grey, and for styles that differ."""
    torch.manual_seed(seed)
    network = DenseMappingNetwork(width=4, downsamplings=2, blocks=1, style_width=4, style="regional")
    with torch.no_grad():
        network.style_to_adain.weight.mul_(30)
        network.backbone.last.weight.mul_(20)
    return network.eval()


@pytest.mark.parametrize("mix", [0.0, 0.5, 1.0])
def test_a_region_s_style_is_its_code_in_the_place_of_another(mix):
    """With codes exchanged by hand in the network itself."""
    network = regional_network()
    session = make_session(Renderer(network, SIZE, way=PLAIN))
    session.choose_style(2)
    session.choose_style(1, mix, "face")
    session.choose_style(3, region="nose")
    with torch.no_grad():
        onehots = [one_hot(torch.from_numpy(face.mask.copy())[None]) for face in session.faces]
        images = [to_float_image(face.image[None].copy()) for face in session.faces]
        own, *others = [network.encode_style(image, mask) for image, mask in zip(images, onehots)]
        codes = others[1].clone()
        face = list(STYLE_REGIONS["face"])
        codes[:, face] = ((1 - mix) * own + mix * others[0])[:, face]
        codes[:, NOSE] = others[2][:, NOSE]
        expected, plain = (to_uint8_image(network.render(onehots[0], code))[0] for code in (codes, others[1]))
    made = session.render().astype(int)
    assert abs(made - expected).max() <= 1
    assert abs(made - plain).mean() > 5, "it can be seen"


def test_regions_beside_another_face_s_style(session):
    session.choose_style(2)
    session.choose_style(0, region="face")
    assert session.region_styles == {"face": (0, 1.0)}, "the target's own, where all else is another's"
    session.choose_style(2, 0.0, "background")
    assert session.region_styles.keys() == {"face", "background"}
    session.choose_style(2, region="face")
    assert session.region_styles.keys() == {"background"}, "as the whole picture"
    session.choose_style(1, region="hair")
    session.choose_target(3)
    assert session.region_styles == {"background": (2, 0.0), "hair": (1, 1.0)}
    session.choose_style(3, region="face")
    session.choose_target(0)
    assert session.region_styles["face"] == (0, 1.0), "an own style follows"
    session.choose_style(3, region="clothes")
    session.render()  # nobody wears any


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
    tints = [face.image.mean(axis=(0, 1)) for face in first.faces]
    for label, face in ((NOSE, 2), (SKIN, 1), (HAIR, 0)):
        expected = np.rint((colorize(np.uint8(label)) + tints[face]) / 2)
        assert (first.image == expected)[first.mask == label].all()
    first.choose_style(0, region="nose")
    assert first.region_styles["nose"] == (0, 1.0), "the whole picture's style is not the one around it"
    first.choose_style(1, region="nose")
    assert first.region_styles == {"face": (1, 1.0)}, "given back to the face"


def test_what_the_photo_lacks_comes_with_its_look(session):
    """Face 0 has no glasses, face 1 has: copied, they take its style; its nose, which face 0 has, does not."""
    session.copy_component(1, "nose")
    assert session.region_styles == {}
    session.copy_component(1, "glasses")
    assert session.region_styles == {"eyeglasses": (1, 1.0)}
    session.copy_component(3, "glasses")
    assert session.region_styles == {"eyeglasses": (3, 1.0)}
    session.choose_style(2, region="hair")
    session.reset()
    assert session.region_styles == {"hair": (2, 1.0)}, "the glasses are gone, and their style with them"
    plain = make_session(OneTint())
    plain.copy_component(1, "glasses")
    assert plain.region_styles == {}


def test_regions_that_cannot_be(session):
    before = content(session)
    for region in ("chin", "", "Hair"):
        with pytest.raises(EditError, match=r"choose one of hair, face, eyes, .*, background, skin, nose, .*, cloth"):
            session.choose_style(1, region=region)
    with pytest.raises(EditError, match="from 0 to 1"):
        session.choose_style(1, 1.5, "hair")
    assert content(session) == before


def test_a_restyled_region_counts_as_edited(session):
    session.set_keep(1.0)
    session.choose_style(1, region="hair")
    assert session.keep == 1.0, "it does not reach the whole picture"
    kept, hair = session.render(), session.mask == HAIR
    far = ~grown(hair, 3)
    assert far.any() and np.array_equal(kept[far], session.photo[far])
    session.choose_style(3, region="hair")
    assert (session.render() != kept).any(axis=-1)[hair].mean() > 0.9


def grown(region: np.ndarray, reach: int) -> np.ndarray:
    """All pixels within ``reach`` rows and columns of a region."""
    steps = range(-reach, reach + 1)
    return np.any([np.roll(region, (down, right), (0, 1)) for down in steps for right in steps], axis=0)


def test_what_looks_like_the_whole_picture_again_is_not_edited(session):
    session.set_keep(1.0)
    session.choose_style(1, region="face")
    session.choose_style(0, region="skin")
    kept, skin = session.render(), session.mask == SKIN
    far = skin & ~grown(np.isin(session.mask, STYLE_REGIONS["face"]) & ~skin, 3)
    assert far.any() and np.array_equal(kept[far], session.photo[far])


def test_every_class_is_a_region_and_regions_do_not_cross():
    assert {(i,) for i in range(NUM_CLASSES)} <= set(STYLE_REGIONS.values())
    assert len(set(map(frozenset, STYLE_REGIONS.values()))) == len(STYLE_REGIONS), "none is there twice"
    for one in map(set, STYLE_REGIONS.values()):
        for other in map(set, STYLE_REGIONS.values()):
            assert one <= other or other <= one or not one & other


def test_a_method_with_one_style_refuses_regions_and_names_the_way_out():
    session = make_session({"DMN": OneTint(), "MaskGAN†": Painter(), "other": Painter()})
    before = content(session)
    assert not session.regional
    with pytest.raises(EditError) as caught:
        session.choose_style(1, region="left eye")
    assert str(caught.value) == (
        "DMN has one style for the whole picture, none for the left eye: "
        "choose a method that draws regions (MaskGAN†, other)."
    )
    with pytest.raises(EditError, match=r"The network has one style .*: give one with style='regional'\."):
        make_session(OneTint()).choose_style(1, region="hair")
    assert content(session) == before
    session.choose_style(1)
    session.choose_method("other")
    assert session.regional
    session.choose_style(2, region="left eye")


def test_styles_of_regions_wait_while_a_method_cannot_draw_them(tmp_path, recwarn):
    plain = {"regional": Painter(), "DMN": OneTint()}
    session = make_session(plain, autosave=tmp_path)
    own = session.render()
    session.choose_method("DMN")
    session.choose_method("regional")
    assert not recwarn.list, "nothing waits"
    session.choose_style(1, region="hair")
    session.choose_style(2, region="nose")
    drawn = session.render()
    words = "^DMN has one style for the whole picture: the styles of hair, nose are kept, but not drawn.$"
    with pytest.warns(UserWarning, match=words) as said:
        session.choose_method("DMN")
    assert said[0].filename == __file__
    assert np.array_equal(session.render(), own)
    session.set_keep(1.0)
    assert np.array_equal(session.render(), session.photo), "nothing counts as edited"
    session.set_keep(None)
    with pytest.warns(UserWarning, match=words):
        restored = EditSession.restore(tmp_path, session.faces, plain)
    assert restored.region_styles == session.region_styles == {"hair": (1, 1.0), "nose": (2, 1.0)}
    restored.choose_method("regional")
    assert np.array_equal(restored.render(), drawn)


def test_reset_restores_the_mask_only(session):
    session.choose_style(3, 0.7)
    session.set_keep(0.5)
    session.mask = painted(session, 1)
    session.reset()
    assert np.array_equal(session.mask, session.original)
    assert (session.style, session.style_mix, session.keep) == (3, 0.7, 0.5)


def test_components(session):
    session.copy_component(0, "nose")
    assert np.array_equal(session.mask, session.original), "one's own"
    session.copy_component(1, "glasses")
    assert (session.mask == GLASSES).sum() == (make_face(1).mask == GLASSES).sum() and "glasses" in session.groups()
    session.transform_component("nose")
    before = session.mask
    session.transform_component("nose", down=3, right=-2, scale=1.3, degrees=20)
    assert not np.array_equal(session.mask, before)
    session.copy_component(0, "nose")
    assert np.array_equal(session.mask == NOSE, session.original == NOSE), "one's own comes back to its place"


# ---- methods


def test_methods_by_name_in_order_and_the_first_at_first():
    session = make_session(methods())
    assert (session.methods, session.method) == (("plain", "negative"), "plain")
    given = methods()
    session = make_session(given)
    given.clear()
    session.choose_method("negative")
    assert session.method == "negative" and session.render().shape == (SIZE, SIZE, 3), "the caller's dict stays theirs"


@pytest.mark.parametrize(
    ("renderer", "words"),
    [
        ({}, "one at least"),
        ({"": Painter()}, "no empty name"),
        ({"plain": Painter(), "": Painter()}, "no empty name"),
        ({"small": Painter(), "large": Painter(64)}, r"sizes \(small 32, large 64\): give renderers of one size"),
    ],
)
def test_methods_that_cannot_be(renderer, words):
    with pytest.raises(EditError, match=words):
        EditSession([make_face(0)], renderer)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=10))
@settings(max_examples=30, deadline=None)
def test_a_picture_is_that_of_the_chosen_method_alone(steps):
    """Also with styles that are mixed, or of regions, and with the reconstruction that keeping needs."""
    session = make_session(methods())
    alone = {name: make_session(renderer) for name, renderer in methods().items()}
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
        for name in ("plain", "negative"):
            mask = session.mask
            session.choose_method(name)
            assert np.array_equal(session.mask, mask)
            assert np.array_equal(session.render(), alone[name].render())


def test_notes_say_which_method_made_a_picture_where_there_are_several():
    session = make_session(methods())
    session.mask = painted(session, 1)
    session.render()
    session.choose_method("negative")
    session.render()
    session.reset()
    session.render()
    assert [item.note for item in session.history] == ["painted (plain)", "painted (negative)", "original (negative)"]
    only = make_session({"plain": Painter()})
    only.render()
    assert only.method == "plain" and only.history[0].note == "original"


def test_choosing_a_method_changes_nothing_else():
    session = make_session(methods())
    session.choose_style(1, 0.5)
    session.move_latent("smile", 0.5)
    session.preview_attributes({"Bangs": 1})
    session.render()
    before, preview = content(session), session.preview
    for name in ("Plain", "", "n" * 100):
        with pytest.raises(EditError, match=r"no method .*: choose one of plain, negative\.$"):
            session.choose_method(name)
    assert content(session) == before
    session.choose_method("negative")
    assert content(session) != before and session.sliders == {"smile": 0.5}
    session.choose_method("plain")
    assert content(session) == before and np.array_equal(session.preview, preview)


def test_the_method_is_saved_with_the_session(tmp_path):
    session = make_session(methods(), autosave=tmp_path / "auto")
    session.render()
    session.choose_method("negative")
    assert session.autosaved
    restored = EditSession.restore(tmp_path / "auto", session.faces, methods(), Roller())
    assert restored.method == "negative" and content(restored) == content(session)
    assert np.array_equal(restored.render(), session.render())
    other = make_session(dict(reversed(methods().items())))
    session.choose_method("plain")
    session.save(tmp_path / "saved")
    other.load(tmp_path / "saved")
    assert (other.methods, other.method) == (("negative", "plain"), "plain")


def test_a_session_of_before_there_were_methods_opens_with_the_first(tmp_path, recwarn):
    session = make_session(autosave=tmp_path)
    session.mask = painted(session, 1)
    session.render()
    restored = EditSession.restore(tmp_path, session.faces, methods())
    assert restored.method == "plain" and restored.image is None and not recwarn.list
    assert np.array_equal(restored.mask, session.mask) and len(restored.history) == 1


@pytest.mark.parametrize(
    ("renderer", "method", "words"),
    [
        ({"dark": Negative(), "plain": Painter()}, "dark", " is not here: it goes on with dark."),
        (Painter(), "", " is not here: it goes on with the renderer that was given."),
    ],
)
def test_a_method_that_is_no_longer_there_is_said_and_the_first_one_taken(tmp_path, renderer, method, words):
    session = make_session(methods(), autosave=tmp_path)
    session.mask = painted(session, 1)
    session.choose_method("negative")
    session.render()
    with pytest.warns(UserWarning) as said:
        restored = EditSession.restore(tmp_path, session.faces, renderer)
    (warning,) = said
    assert str(warning.message) == f"The method 'negative' of the session in {tmp_path}{words}"
    assert restored.method == method and np.array_equal(restored.mask, session.mask)
    assert restored.image is None, "the other method made it; it is in the history still"
    assert np.array_equal(restored.history[-1].image, session.image)
    restored.render()
    assert EditSession.restore(tmp_path, session.faces, renderer).method == method, "and it is not said again"


# ---- latent edits


def test_sliders_count_from_where_they_were_first_touched(session):
    before = session.mask
    session.move_latent("smile", 0.25)
    session.move_latent("smile", 1.0)
    assert np.array_equal(session.mask, np.roll(before, 4, axis=0))
    session.move_latent("age", -0.5)
    assert np.array_equal(session.mask, np.roll(before, (4, -2), axis=(0, 1)))
    assert session.sliders == {"smile": 1.0, "age": -0.5}
    session.mask = session.mask
    session.choose_style(1)
    session.render()
    assert session.sliders, "the mask was not changed"
    session.move_latent("smile", 0)
    session.move_latent("age", 0)
    assert np.array_equal(session.mask, before)
    session.move_latent("smile", 0.5)
    session.mask = painted(session, 1)
    assert session.sliders == {}
    stroke = session.mask
    session.move_latent("smile", 0.25)
    assert np.array_equal(session.mask, np.roll(stroke, 1, axis=0))


def test_towards_another_face(session):
    before = session.mask
    for share in (0.5, 1.0, 0.25, 0.0):
        session.interpolate(1, share)
        expected = np.where(np.arange(SIZE) < share * SIZE, make_face(1).mask, before)
        assert np.array_equal(session.mask, expected)
    session.interpolate(1, 0.5)
    half = session.mask
    session.interpolate(2, 0.0)
    assert np.array_equal(session.mask, half), "another face starts from here"


def test_random_edits_are_drawn_by_their_seed(session):
    before = session.mask
    session.random_edit(3)
    first = session.mask
    session.mask = before
    session.random_edit(3)
    assert np.array_equal(session.mask, first) and not np.array_equal(first, before)


def test_latent_edits_that_fail_change_nothing(session):
    session.move_latent("smile", 0.5)
    before = content(session)
    session._moves._latent.error = RuntimeError("broken")
    with pytest.raises(EditError, match=r"could not be changed \(broken\)"):
        session.move_latent("smile", 1)
    session._moves._latent.error = None
    session._moves._latent.random = lambda mask, seed: mask + 40
    with pytest.raises(EditError):
        session.random_edit(1)
    assert content(session) == before and session.sliders == {"smile": 0.5}
    bare = EditSession([make_face(0)], Painter())
    assert bare.directions == ()
    for act in (lambda: bare.move_latent("smile", 1), lambda: bare.interpolate(0, 1), lambda: bare.random_edit(1)):
        with pytest.raises(EditError, match="no MaskVAE"):
            act()


# ---- commands

NUMBERS = st.one_of(st.floats(), st.integers(), st.floats(-1, 1), st.integers(-1, 4))
ANYTHING = st.one_of(
    NUMBERS,
    st.none(),
    st.booleans(),
    st.text(max_size=5),
    st.binary(max_size=40),
    st.sampled_from(["nose", "glasses", "mouth", "hair", "smile", "age"]),
    st.lists(st.integers(), max_size=2),
)


@st.composite
def calls(draw):
    name = draw(st.sampled_from(sorted(COMMANDS)))
    fitting = {
        int: st.integers(-1, 5),
        float: st.floats(-2, 2),
        str: st.sampled_from(["nose", "glasses", "hair", "hat", "smile", "age", "plain", "negative"]),
        bytes: st.just(encode_mask(make_face(3).mask)) if name == "load_mask" else st.binary(max_size=40),
        type(None): st.none(),
        dict: st.dictionaries(st.sampled_from(["Smiling", "Bangs", "Black_Hair"]), st.floats(-1.1, 1.1), max_size=2),
    }
    arguments = {key: draw(st.one_of(*[fitting[kind] for kind in kinds])) for key, kinds in COMMANDS[name].items()}
    if draw(st.integers(0, 3)) == 0:
        key = draw(st.sampled_from([*COMMANDS[name], "path", "self"]))
        arguments[key] = draw(ANYTHING)
    if arguments and draw(st.integers(0, 5)) == 0:
        del arguments[draw(st.sampled_from(sorted(arguments)))]
    return name, arguments


@given(st.lists(calls(), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_whatever_a_front_end_calls_is_done_or_refused(steps):
    session = make_session(methods(), judges=object())
    known = set(range(NUM_CLASSES))
    for name, arguments in steps:
        before, preview = content(session), session.preview
        try:
            session.command(name, arguments)
        except EditError as error:
            assert content(session) == before and "\n" not in str(error)
            assert np.array_equal(session.preview, preview)
        mask = session.mask
        assert (session.preview is None) == (session.preview_amounts == {})
        if name == "preview_attributes":
            assert content(session) == before
        assert mask.shape == (SIZE, SIZE) and mask.dtype == np.uint8 and set(np.unique(mask)) <= known
        assert set(np.unique(mask)) <= {i for face in session.faces for i in np.unique(face.mask).tolist()}
        assert session.render().shape == (SIZE, SIZE, 3)
        assert np.array_equal(session.history[-1].mask, mask) and len(session.history) <= HISTORY
        assert 0 <= session.target < 4 and 0 <= session.style < 4 and 0 <= session.style_mix <= 1


def test_commands_do_what_the_methods_do():
    session, other = make_session(methods()), make_session(methods())
    session.command("choose_method", {"name": "negative"})
    other.choose_method("negative")
    session.command("choose_style", {"face": 2})
    other.choose_style(2)
    session.command("copy_component", {"face": 1, "group": "glasses"})
    other.copy_component(1, "glasses")
    session.command("transform_component", {"group": "nose", "down": 2, "scale": 1.5})
    other.transform_component("nose", down=2, scale=1.5)
    session.command("set_keep", {"strength": 0.5})
    other.set_keep(0.5)
    assert content(session) == content(other)
    session.command("load_mask", {"data": encode_mask(make_face(2).mask)})
    assert np.array_equal(session.mask, make_face(2).mask)
    session.command("reset", {})
    assert np.array_equal(session.mask, session.original)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("save", {"folder": "anywhere"}, "no command 'save'"),
        ("_change", {"note": "x"}, "no command"),
        ("x" * 10_000, {}, "no command"),
        (["reset"], {}, "no command"),
        (None, {}, "no command"),
        ("reset", [], "by name"),
        ("reset", None, "by name"),
        ("reset", {"now": 1}, "does not take 'now'"),
        ("choose_target", {}, "give all arguments"),
        ("choose_target", {"face": 4}, "no face 4"),
        ("choose_target", {"face": -1}, "no face -1"),
        ("choose_target", {"face": True}, "does not take"),
        ("choose_target", {"face": 1.0}, "does not take"),
        ("choose_target", {"face": 10**400}, "does not take"),
        ("choose_style", {"face": 1, "mix": 1.5}, "from 0 to 1"),
        ("choose_style", {"face": 1, "mix": float("nan")}, "from 0 to 1"),
        ("choose_method", {"name": "SPADE"}, "no method 'SPADE': give renderers by name"),
        ("choose_method", {"name": ""}, "no method ''"),
        ("choose_method", {"name": None}, "does not take"),
        ("choose_method", {}, "give all arguments"),
        ("set_keep", {"strength": -0.1}, "from 0 to 1"),
        ("set_keep", {}, "give all arguments"),
        ("copy_component", {"face": 0, "group": "hat"}, "no hat to copy"),
        ("copy_component", {"face": 0, "group": "chin"}, "no component 'chin'"),
        ("transform_component", {"group": "nose", "scale": 0}, "scaled"),
        ("transform_component", {"group": "nose", "down": 10**6}, "stay in the picture"),
        ("move_latent", {"direction": "hope", "amount": 1}, "no direction 'hope'"),
        ("move_latent", {"direction": "smile", "amount": 2}, "from -1 to 1"),
        ("interpolate", {"face": 1, "share": -1}, "from 0 to 1"),
        ("random_edit", {"seed": -1}, "no seed"),
        ("preview_attributes", {"amounts": {"Black_Hair": 1}}, "'Black_Hair' does not move masks here: choose from"),
        ("preview_attributes", {"amounts": {"x" * 1000: 1}}, "choose from Smiling, Bangs"),
        ("preview_attributes", {"amounts": {0: 1}}, "does not move masks"),
        ("preview_attributes", {"amounts": {"Smiling": 1.01}}, "The amount of Smiling goes from -1 to 1"),
        ("preview_attributes", {"amounts": {"Smiling": float("nan")}}, "from -1 to 1"),
        ("preview_attributes", {"amounts": {"Smiling": 10**400}}, "from -1 to 1"),
        ("preview_attributes", {"amounts": {"Smiling": "1"}}, "is a number, not '1'"),
        ("preview_attributes", {"amounts": {"Smiling": True}}, "is a number, not True"),
        ("preview_attributes", {"amounts": {"Smiling": None}}, "is a number"),
        ("preview_attributes", {"amounts": {"Smiling": 1, "Bangs": [1]}}, "amount of Bangs is a number"),
        ("preview_attributes", {"amounts": [["Smiling", 1]]}, "does not take 'amounts'"),
        ("preview_attributes", {"amounts": None}, "does not take"),
        ("preview_attributes", {}, "give all arguments"),
        ("move_attributes", {"amounts": {"Bangs": -2}}, "from -1 to 1"),
        ("move_attributes", {"amounts": "Smiling"}, "does not take"),
        ("load_mask", {"data": "/etc/passwd"}, "does not take"),
        ("load_mask", {"data": b"broken"}, "no PNG"),
        ("load_mask", {"data": encode_mask(np.zeros((8, 9), np.uint8))}, "square"),
        ("add_photo", {"data": b"broken"}, "The photo is in no known picture format"),
        ("add_photo", {"data": "/etc/passwd"}, "does not take"),
    ],
)
def test_wrong_commands_are_refused_in_a_sentence(name, arguments, words):
    session = make_session(judges=object())
    session.mask = painted(session, 1)
    session.render()
    before = content(session)
    with pytest.raises(EditError) as caught:
        session.command(name, arguments)
    assert words in str(caught.value) and len(str(caught.value)) < 500
    assert content(session) == before


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


def photo_file(seed: int = 0) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (160, 120, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def test_an_own_photo_becomes_a_face(tmp_path):
    session = make_session(judges=Seeing(), autosave=tmp_path / "auto")
    (tmp_path / "me.jpg").write_bytes(photo_file())
    assert session.add_photo(photo_file()) == 4
    assert session.add_photo(tmp_path / "me.jpg") == 5
    assert [face.name for face in session.faces[4:]] == ["own photo 1", "own photo 2"]
    assert np.array_equal(session.faces[4].image, session.faces[5].image)
    assert "eyes" not in session.groups()
    session.choose_target(4)
    assert "eyes" in session.groups() and session.render().shape == (SIZE, SIZE, 3)
    again = EditSession.restore(tmp_path / "auto", [make_face(seed) for seed in range(4)], Painter())
    assert again.target == 4 and again.faces[4].name == "own photo 1"
    assert np.array_equal(again.photo, session.photo) and np.array_equal(again.original, session.original)


class Blind:
    def parse(self, images):
        return torch.zeros(len(images), *images.shape[-2:], dtype=torch.uint8)


def test_photos_without_a_face_are_refused(session, tmp_path):
    session._judges = Blind()
    before = content(session)
    with pytest.raises(EditError, match="No face found"):
        session.add_photo(photo_file())
    with pytest.raises(EditError, match="There is no photo"):
        session.add_photo(tmp_path / "missing.jpg")
    assert content(session) == before


# ---- files, autosave


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
        lambda: session.move_latent("smile", float(rng.uniform(-1, 1))),
        lambda: session.choose_target(face),
        session.reset,
        session.render,
    ]
    steps[step % 3 and int(rng.integers(len(steps)))]()
    if step % 2:
        session.render()


def run_steps(count: int) -> EditSession:
    session = make_session()
    for step in range(count):
        act(session, step)
    return session


@given(st.integers(0, 60))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sessions_are_saved_and_loaded(tmp_path_factory, count):
    folder = tmp_path_factory.mktemp("saved")
    session = run_steps(count)
    session.save(folder / "s")
    other = make_session(autosave=folder / "auto")
    other.mask = painted(other, 99)
    other.load(folder / "s")
    assert content(other) == content(session)
    assert content(EditSession.restore(folder / "auto", other.faces, Painter())) == content(session)


def test_loading_brings_faces_that_are_not_here(tmp_path):
    session = make_session()
    session.choose_target(3)
    session.choose_style(2)
    session.save(tmp_path)
    other = EditSession([make_face(9), make_face(2)], Painter())
    other.load(tmp_path)
    assert (other.target, other.style) == (2, 1) and other.faces[2].name == "face 3"
    assert np.array_equal(other.photo, session.photo)
    large = EditSession([make_face(0, 64)], Painter(64))
    before = content(large)
    with pytest.raises(EditError, match="32 pixels a side, not 64"):
        large.load(tmp_path)
    with pytest.raises(EditError, match="no file"):
        large.load(tmp_path / "nowhere")
    assert content(large) == before


def test_masks_and_pictures_are_saved(session, tmp_path):
    with pytest.raises(EditError, match="no picture yet"):
        session.save_image(tmp_path / "a.png")
    session.mask = painted(session, 4)
    picture = session.render()
    session.save_image(tmp_path / "a.png")
    session.save_mask(tmp_path / "m.png")
    assert np.array_equal(np.array(Image.open(tmp_path / "a.png")), picture)
    other = make_session()
    other.load_mask(tmp_path / "m.png")
    assert np.array_equal(other.mask, session.mask)
    before = content(other)
    with pytest.raises(EditError):
        other.load_mask(tmp_path / "a.png")
    assert content(other) == before


def test_what_is_done_is_saved_before_it_is_said(tmp_path):
    session = make_session(autosave=tmp_path / "auto")
    faces = session.faces
    for step in range(30):
        act(session, step)
        restored = EditSession.restore(tmp_path / "auto", faces, Painter(), Roller())
        assert content(restored) == content(session)
        assert session.autosaved == str(tmp_path / "auto") and restored.autosave == session.autosave
    files = {path.name for path in (tmp_path / "auto" / "pictures").iterdir()}
    assert len(files) <= 2 * HISTORY + 8


def test_a_new_session_does_not_destroy_an_old_one_before_its_first_change(tmp_path):
    session = make_session(autosave=tmp_path)
    session.mask = painted(session, 1)
    make_session(autosave=tmp_path)
    assert content(EditSession.restore(tmp_path, session.faces, Painter())) == content(session)


def test_a_full_disk_does_not_end_the_editing(tmp_path, monkeypatch):
    session = make_session(autosave=tmp_path)
    session.mask = painted(session, 1)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(session_module, "write_session", full)
        mask = painted(session, 2)
        session.mask = mask
        assert np.array_equal(session.mask, mask) and session.autosaved == ""
        assert session.autosave_trouble == "The session could not be saved ([Errno 28] No space left on device)."
    session.render()
    assert session.autosaved == str(tmp_path) and session.autosave_trouble == ""


def test_a_damaged_autosave_is_said(tmp_path):
    session = make_session(autosave=tmp_path)
    session.render()
    (tmp_path / "session.json").write_text("{")
    with pytest.raises(EditError, match="damaged"):
        EditSession.restore(tmp_path, session.faces, Painter())


def test_a_killed_process_loses_nothing(tmp_path):
    script = (
        "import sys; sys.path.insert(0, 'tests')\n"
        "from test_editor_session import act, make_session\n"
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
    restored = EditSession.restore(tmp_path, make_session().faces, Painter(), Roller())
    expected = run_steps(done + 1)
    # the step that was under way may be there in part: each step makes one or two changes
    after = run_steps(done + 1)
    contents = {content(expected)}
    render, after.render = after.render, lambda: None
    act(after, done + 1)
    contents.add(content(after))
    render()
    contents.add(content(after))
    assert content(restored) in contents
    restored.mask = painted(restored, 1)
    restored.render()


def test_threads_take_turns():
    session = make_session()
    busy, most = [], []

    def render(mask, style):
        busy.append(1)
        most.append(len(busy))
        threading.Event().wait(0.01)
        busy.pop()
        return colorize(mask)

    session._renderer.render = render
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
mask = np.ones((32, 32), np.uint8)
faces = [EditorFace(str(i), np.full((32, 32, 3), 90 * i, np.uint8), mask) for i in range(2)]
session = EditSession(faces, renderer)
mask[8:16] = 13
session.mask = mask
session.choose_style(1, 0.5)
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
    for seed in (0, 1):
        write_picture(folder / f"{seed}.png", make_face(seed).image)
        write_mask(folder / f"{seed}-mask.png", make_face(seed).mask)
    session = make_session()
    session.copy_component(1, "glasses")
    session.save_mask(folder / "edited.png")
    return folder


def render_in(folder: Path, **changes) -> Path:
    arguments = {
        "image": folder / "0.png",
        "mask": folder / "0-mask.png",
        "edited": folder / "edited.png",
        "out": folder / "out.png",
        "weights": folder / "dmn.safetensors",
    }
    return render_files(**arguments | changes)


def test_an_edit_from_files_is_that_of_a_session(files):
    from maskgan_lib.checkpoints import load_weights
    from maskgan_lib.editor.rendering import PLAIN, Renderer

    renderer = Renderer(load_weights(files / "dmn.safetensors"), SIZE, way=PLAIN)
    session = EditSession([make_face(0), make_face(1)], renderer)
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
    (tmp_path / "text.png").write_text("text")
    for changes, words in (
        ({"image": files / "none.png"}, "no file"),
        ({"image": tmp_path / "text.png"}, "text.png is damaged"),
        ({"mask": files / "0.png"}, "class ids"),
        ({"edited": files / "0.png"}, "class ids"),
        ({"out": tmp_path / "out.gif"}, "end in"),
        ({"out": tmp_path / "text.png" / "out.png"}, "could not be written"),
        ({"style": files / "1.png"}, "both or none"),
        ({"keep": 2.0}, "from 0 to 1"),
        ({"size": 33}, "multiples"),
        ({"size": 8}, "from 32"),
        ({"weights": files / "vae.safetensors"}, "no DenseMappingNetwork"),
        ({"weights": files / "sizeless.safetensors"}, "image_size"),
        ({"weights": files / "nothing.safetensors"}, "no file"),
    ):
        with pytest.raises((DataError, CheckpointError)) as caught:
            render_in(files, **{"out": tmp_path / "out.png"} | changes)
        assert words in str(caught.value), changes
        assert not (tmp_path / "out.png").exists()
    assert (files / "edited.png").read_bytes() == before
