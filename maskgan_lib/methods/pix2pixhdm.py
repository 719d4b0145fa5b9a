"""Pix2PixHD-m, the paper's own baseline: a Dense Mapping Network whose style encoder sees the photo and no mask."""

from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.methods.method import Method, by_mask
from maskgan_lib.networks import DenseMappingNetwork
from maskgan_lib.presets import Preset
from maskgan_lib.registry import METHODS, STAGES
from maskgan_lib.training.dmn import DMNStage


@STAGES.register
class Pix2PixHDmStage(DMNStage):
    """Trains as the DMN does, with the DMN's settings."""

    name = "pix2pixhd-m"

    def __init__(self, preset: Preset, faces: PackedFaces):
        super().__init__(preset.replace({"dmn.style_mask": "none"}), faces)


PHASES = ("shipped-half", "shipped", "shipped-finish")
METHODS.register(Method("Pix2PixHD-m", DenseMappingNetwork, "pix2pixhd-m", by_mask, place=2, phases=PHASES))
