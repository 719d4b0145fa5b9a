"""Attributes in the editor: which ones are offered, and that a preview is nobody's mask until it is applied."""

import numpy as np
import pytest
import torch
from editor_faces import ColourRenderer, Grins, drawn_faces, drawn_session

from maskgan_lib.attribute_masks import AttributeMasks
from maskgan_lib.checkpoints import save_weights
from maskgan_lib.classes import ATTRIBUTE_NAMES, CLASS_ID
from maskgan_lib.editor import EditError, EditSession
from maskgan_lib.editor.components import SHOWING
from maskgan_lib.methods.secgan import SeCGANGenerator

SIZE = 64
CLOTH = CLASS_ID["cloth"]


def moved(mask: np.ndarray, **amounts: float) -> np.ndarray:
    """What the stand-in makes of a mask."""
    return Grins().move(mask, amounts)


@pytest.fixture
def session() -> EditSession:
    return drawn_session(attributes=True)


def test_only_what_masks_show_and_the_network_knows_is_offered(session):
    assert session.attributes == ("Smiling", "Bangs") and Grins.attributes == ("Black_Hair", "Bangs", "Smiling")
    assert drawn_session().attributes == ()
    words = [word for ends in SHOWING.values() for word in ends]
    assert set(SHOWING) <= set(ATTRIBUTE_NAMES) and len(set(words)) == 2 * len(SHOWING)


def test_a_preview_leaves_the_mask_and_moving_makes_it_the_mask(session):
    before = session.mask
    session.render()
    session.preview_attributes({"Smiling": 0.5, "Bangs": 0.0})
    assert np.array_equal(session.preview, moved(before, Smiling=0.5)) and not np.array_equal(session.preview, before)
    assert session.preview_amounts == {"Smiling": 0.5} and np.array_equal(session.mask, before)
    session.render()
    assert len(session.history) == 1, "the picture is the mask's"
    session.preview_attributes({"Smiling": 1, "Bangs": 1})
    both = moved(before, Smiling=1, Bangs=1)
    assert np.array_equal(session.preview, both)
    session.move_attributes({"Smiling": 1, "Bangs": 1})
    assert np.array_equal(session.mask, both) and session.preview is None and session.preview_amounts == {}
    assert session.done[-1].name == "Smiling +1.00, Bangs +1.00"
    session.preview_attributes({"Bangs": 1})
    session.move_attributes({"Smiling": np.float32(-1)})
    assert np.array_equal(session.mask, moved(both, Smiling=-1)), "not what was previewed, and from the mask as it is"


def test_the_network_works_on_a_copy_and_only_once(session, monkeypatch):
    calls = []

    def move(self, mask, amounts):
        calls.append(dict(amounts))
        mask[:] = CLOTH
        return mask

    monkeypatch.setattr(Grins, "move", move)
    before = session.mask
    for _ in range(2):
        session.preview_attributes({"Smiling": 1})
    assert np.array_equal(session.mask, before)
    session.preview[:] = 0
    session.move_attributes({"Smiling": 1})
    assert calls == [{"Smiling": 1.0}] and (session.mask == CLOTH).all()


CHANGES = {
    "the same mask": lambda session: setattr(session, "mask", session.mask),
    "latent": lambda session: session.move_latent("Lower", 0.1),
    "copied": lambda session: session.copy_component(1, "mouth"),
    "the same face": lambda session: session.choose_target(0),
    "reset": lambda session: session.reset(),
    "undo": lambda session: session.undo(),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_else_changes_the_mask_drops_the_preview(session, name):
    other = drawn_session()
    session.preview_attributes({"Smiling": 1})
    for each in (session, other):
        CHANGES[name](each)
    assert session.preview is None and np.array_equal(session.mask, other.mask)


def test_a_direction_that_is_moved_stays_while_attributes_are_previewed(session):
    before = session.mask
    session.move_latent("Lower", 0.3)
    lower = session.mask
    session.preview_attributes({"Bangs": 1})
    assert session.sliders == {"Lower": 0.3} and np.array_equal(session.preview, moved(lower, Bangs=1))
    session.move_latent("Lower", 0)
    assert np.array_equal(session.mask, before) and session.preview is None, "it counts from the mask before both"
    session.move_latent("Lower", 0.3)
    session.move_attributes({"Bangs": 1})
    assert session.sliders == {}, "the mask was changed in another way: directions start anew"
    session.move_latent("Lower", 0.1)
    assert np.array_equal(session.mask, np.roll(moved(lower, Bangs=1), 1, axis=0))
    session.move_attributes({"Bangs": -1})
    assert session.sliders == {"Lower": 0.1}, "no bangs to take away: the mask is as it was"


@pytest.mark.parametrize("move", [None, lambda self, mask, amounts: mask + 40, lambda self, mask, amounts: mask[:5]])
def test_a_failing_network_changes_nothing(session, monkeypatch, move):
    session.preview_attributes({"Smiling": 0.5})
    before, preview = session.mask, session.preview
    monkeypatch.setattr(Grins, "error", "out of memory")
    if move:
        monkeypatch.setattr(Grins, "move", move)
    for act in (session.preview_attributes, session.move_attributes):
        with pytest.raises(EditError, match="mask" if move else "out of memory"):
            act({"Bangs": 1})
        assert np.array_equal(session.mask, before) and np.array_equal(session.preview, preview)


def test_the_real_network_moves_a_sessions_mask(tmp_path):
    torch.manual_seed(4)
    network = SeCGANGenerator(("Pale_Skin", "Bangs", "Smiling"), branch="seg", width=4, blocks=1)
    for parameter in network.parameters():  # as large as trained ones: a new network sees little of what it is told
        torch.nn.init.normal_(parameter, std=0.3)
    save_weights(tmp_path / "g_seg.safetensors", network, card={"image_size": 32})
    masks = AttributeMasks.load(tmp_path / "g_seg.safetensors")
    session = EditSession(drawn_faces(), ColourRenderer(), attribute_masks=masks)
    before = session.mask
    assert session.attributes == ("Smiling", "Bangs")
    made = {}
    for amounts in ({"Smiling": 1.0}, {"Smiling": -0.5, "Bangs": 1}):
        session.preview_attributes(amounts)
        made[len(amounts)] = session.preview
        assert np.array_equal(session.preview, masks.move(before, amounts)) and np.array_equal(session.mask, before)
    assert not np.array_equal(made[1], before) and not np.array_equal(made[1], made[2])
    session.move_attributes(amounts)
    assert np.array_equal(session.mask, made[2]) and session.render().shape == (SIZE, SIZE, 3)
