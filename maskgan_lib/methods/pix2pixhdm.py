"""Pix2PixHD-m, the paper's own baseline: a Dense Mapping Network whose style encoder sees the photo and no mask."""

from dataclasses import replace

from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.presets import Preset
from maskgan_lib.training.dmn import DMNStage
from maskgan_lib.training.stage import STAGES


@STAGES.register
class Pix2PixHDmStage(DMNStage):
    """Trains as the DMN does, with the DMN's settings."""

    name = "pix2pixhd-m"

    def __init__(self, preset: Preset, faces: PackedFaces):
        super().__init__(replace(preset, style_mask="none"), faces)
