"""Presets, and presets with other values."""

import pytest

from maskgan_lib.presets import PRESETS, changed

LAPTOP = PRESETS["laptop"]


def test_settings_keep_their_kind_and_are_named():
    preset = changed(LAPTOP, ["dmn_lr=5e-5", "dmn_batch=16", "style_mask=concat", "stargan_attributes=Smiling,Male"])
    assert (preset.dmn_lr, preset.dmn_batch, preset.style_mask) == (5e-5, 16, "concat")
    assert preset.stargan_attributes == ("Smiling", "Male") and preset.dmn_width == LAPTOP.dmn_width
    assert preset.name.startswith("laptop, ") and "dmn_lr=5e-5" in preset.name
    assert changed(LAPTOP, []) == LAPTOP


@pytest.mark.parametrize("setting", ["dmn_lr", "wings=2", "name=paper", "=1"])
def test_an_unknown_field_is_named(setting):
    with pytest.raises(ValueError, match=r"field=value.*dmn_lr"):
        changed(LAPTOP, [setting])


@pytest.mark.parametrize("setting", ["dmn_batch=1.5", "dmn_lr=fast"])
def test_a_value_of_another_kind_is_refused(setting):
    field, value = setting.split("=")
    with pytest.raises(ValueError, match=f"{field} takes a number.*{value}"):
        changed(LAPTOP, [setting])
