"""The networks that ship as methods of the tables: their files in ``data/pretrained``, and how each was trained."""

from collections.abc import Sequence
from dataclasses import dataclass

from maskgan_lib.evaluation.ebst import LONGER, MASKGAN, START, control_preset
from maskgan_lib.presets import REGIONAL, REGIONAL_HALF, SHIPPED, SHIPPED_FINISH, SHIPPED_HALF, Preset
from maskgan_lib.training.stages import STAGES

BY_REGION = "DMN, regional style"

SHIPPED_METHODS = {
    "StarGAN": "stargan",
    "ELEGANT": "elegant",
    "Pix2PixHD-m": "pix2pixhd-m",
    "SPADE": "spade",
    START: "dmn",
    LONGER: "dmn-longer",
    MASKGAN: "maskgan",
    BY_REGION: "regional",
}
"""The names that the tables give to the weights that ship, in the order of the paper's Table 2, by file; ours last."""


@dataclass(frozen=True)
class Phase:
    """A run of ``train``: a stage with a preset."""

    stage: str
    preset: Preset

    @property
    def steps(self) -> int:
        """Of the loop."""
        return getattr(self.preset, f"{STAGES[self.stage].settings}_steps")

    @property
    def updates(self) -> int:
        """Of the network that makes the pictures."""
        return STAGES[self.stage].updates_per_step(self.preset) * self.steps

    @property
    def faces(self) -> int:
        """Photos seen, one that is seen again counted again."""
        return STAGES[self.stage].faces_per_step(self.preset) * self.steps


def _phases(stage: str, *presets: Preset) -> tuple[Phase, ...]:
    return tuple(Phase(stage, preset) for preset in presets)


_DMN = _phases("dmn", SHIPPED_HALF, SHIPPED, SHIPPED_FINISH)

TRAININGS: dict[str, Sequence[Phase]] = {
    "StarGAN": _phases("stargan", SHIPPED_HALF, SHIPPED),
    "ELEGANT": _phases("elegant", SHIPPED_HALF, SHIPPED),
    "Pix2PixHD-m": _phases("pix2pixhd-m", SHIPPED_HALF, SHIPPED, SHIPPED_FINISH),
    "SPADE": _phases("spade", SHIPPED_HALF, SHIPPED, SHIPPED_FINISH),
    START: _DMN,
    LONGER: (*_DMN, Phase("dmn", control_preset(SHIPPED_FINISH))),
    MASKGAN: (*_DMN, Phase("ebst", SHIPPED_FINISH)),
    BY_REGION: _phases("dmn", REGIONAL_HALF, REGIONAL),
}
"""By method, the phases of its training in order, as in ``data/pretrained/make.sh``; for MaskGAN† without MaskVAE's."""
