"""The networks that ship as methods of the tables: their files in ``data/pretrained``, and how each was trained."""

from collections.abc import Sequence
from dataclasses import dataclass

from maskgan_lib.evaluation.ebst import LONGER, MASKGAN, START, control_preset
from maskgan_lib.presets import PRESETS, Preset
from maskgan_lib.registry import METHODS, STAGES

BY_REGION = "DMN, regional style"

_BASELINES = sorted((method for method in METHODS.values() if method.phases), key=lambda method: method.place)

SHIPPED_METHODS = {method.name: method.stage for method in _BASELINES} | {
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
        return getattr(self.preset, STAGES[self.stage].settings).steps

    @property
    def updates(self) -> int:
        """Of the network that makes the pictures."""
        return STAGES[self.stage].updates_per_step(self.preset) * self.steps

    @property
    def faces(self) -> int:
        """Photos seen, one that is seen again counted again."""
        return STAGES[self.stage].faces_per_step(self.preset) * self.steps


def _phases(stage: str, *presets: str) -> tuple[Phase, ...]:
    return tuple(Phase(stage, PRESETS[name]) for name in presets)


_DMN = _phases("dmn", "shipped-half", "shipped", "shipped-finish")

TRAININGS: dict[str, Sequence[Phase]] = {
    method.name: _phases(method.stage, *method.phases) for method in _BASELINES
} | {
    START: _DMN,
    LONGER: (*_DMN, Phase("dmn", control_preset(PRESETS["shipped-finish"]))),
    MASKGAN: (*_DMN, *_phases("ebst", "shipped-finish")),
    BY_REGION: _phases("dmn", "regional-half", "regional"),
}
"""By method, the phases of its training in order, as in ``data/pretrained/make.sh``; for MaskGAN† without MaskVAE's."""
