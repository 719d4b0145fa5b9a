"""Presets: nested settings, presets with other values, presets of one's own, and what older cards say."""

import json

import pytest

from maskgan_lib.checkpoints import read_card
from maskgan_lib.evaluation.judges import PRETRAINED
from maskgan_lib.presets import PRESETS, changed, preset_of, read_preset

LAPTOP = PRESETS["laptop"]


def test_a_preset_differs_from_the_papers_in_what_it_sets_itself():
    assert (LAPTOP.spade.lr, LAPTOP.spade.kl_weight, LAPTOP.secgan.consistency_weight) == (4e-4, 0.005, 1.0)
    assert PRESETS["shipped-finish"].parser.lr == LAPTOP.parser.lr != PRESETS["paper"].parser.lr
    with pytest.raises(AttributeError, match="no 'wings'"):
        LAPTOP.wings  # noqa: B018
    for wrong in ({"spade.wings": 1}, {"wings.lr": 1}, {"wings": 1}):
        with pytest.raises((KeyError, TypeError), match="wings"):
            LAPTOP.replace(wrong)


def test_every_preset_is_made_of_settings_that_there_are():
    for name, preset in PRESETS.items():
        assert json.loads(json.dumps(preset.asdict()))["name"] == name


def test_settings_keep_their_kind_and_are_named():
    preset = changed(LAPTOP, ["dmn.lr=5e-5", "dmn_batch=16", "style_mask=concat", "stargan.attributes=Smiling,Male"])
    assert (preset.dmn.lr, preset.dmn.batch, preset.dmn.style_mask) == (5e-5, 16, "concat"), "older names do, too"
    assert preset.stargan.attributes == ("Smiling", "Male") and preset.dmn.width == LAPTOP.dmn.width
    assert preset.name.startswith("laptop, ") and "dmn.lr=5e-5" in preset.name
    assert changed(LAPTOP, []) == LAPTOP


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("dmn.lr", "section.field=value"),
        ("wings=2", "no 'wings'.*image_size"),
        ("wings.lr=2", "no section 'wings'.*spade"),
        ("dmn.wings=2", "dmn has no 'wings'.*width"),
        ("name=paper", "no 'name'"),
        ("dmn.batch=1.5", r"dmn\.batch takes a value such as 4, not '1\.5'"),
        ("dmn.lr=fast", r"dmn\.lr .* 0\.0005, not 'fast'"),
    ],
)
def test_a_setting_that_there_is_not_is_refused(setting, said):
    with pytest.raises(ValueError, match=said):
        changed(LAPTOP, [setting])


def test_a_preset_of_ones_own_is_a_small_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "laptop"\nimage_size = 128\n[spade]\nlr = 1\n[stargan]\nattributes = ["Male"]\n')
    preset = preset_of(str(path))
    assert (preset.name, preset.image_size, preset.spade.lr) == ("mine", 128, 1.0)
    assert preset.stargan.attributes == ("Male",) and preset.spade.disc_lr == LAPTOP.spade.disc_lr
    assert preset_of("laptop") == LAPTOP


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spade", "cannot be read"),
        ("image_size = 128", "must name a base"),
        ('base = "laptop"\n[spade]\nwings = 2', "spade has no 'wings'"),
        ('base = "laptop"\n[dmn]\nbatch = 1.5', r"dmn\.batch .*1\.5"),
        ('base = "laptop"\n[dmn]\nstyle = 3', r"dmn\.style .*3"),
    ],
)
def test_a_file_that_is_no_preset_is_explained(text, said, tmp_path):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ValueError, match=said):
        preset_of(str(tmp_path / "mine.toml"))
    with pytest.raises(ValueError, match=r"no preset 'wings'.*laptop"):
        preset_of("wings")


def test_a_card_from_before_there_were_sections_is_read():
    card = read_card(PRETRAINED / "spade.safetensors")
    assert "spade_lr" in card["preset"]
    preset = read_preset(card)
    assert (preset["name"], preset["spade"]["lr"]) == (card["preset"]["name"], card["preset"]["spade_lr"])
    assert preset["adversary"]["feature_weight"] == 10.0 and preset["maskvae"]["kl_weight"] == 1e-5
    assert not any("_" in name for name, value in preset.items() if isinstance(value, dict))
    assert read_preset({"preset": preset}) == preset
