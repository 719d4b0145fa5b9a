"""Stage (b): the Dense Mapping Network alone, on real pairs: the picture of its own mask in its own style (Eq. 6)."""

from collections.abc import Sequence

import numpy as np
from accelerate import Accelerator
from torch import nn

from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.presets import Preset
from maskgan_lib.registry import STAGES
from maskgan_lib.training.adversarial import AdversarialStage, sheet
from maskgan_lib.training.stage import Terms


@STAGES.register
class DMNStage(AdversarialStage):
    """Updates the discriminator, then the Dense Mapping Network."""

    name, settings = "dmn", "dmn"
    averaged = ("dmn",)

    def __init__(self, preset: Preset, faces: PackedFaces):
        super().__init__(preset, faces.size, getattr(preset, self.settings).lr)
        self.expressions = bool(preset.dmn.other_expression)
        if self.expressions and "expressions" not in faces.made_by:
            raise ValueError(
                "Styles of other expressions (dmn.other_expression) need faces that were drawn with several: make a"
                " folder with python -m maskgan_lib faces OUT --count 20000 --expressions 2."
            )

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> Terms:
        """One update of the discriminator, then one of the DMN, the discriminator frozen."""
        self.autocast = accelerator.autocast
        return self.alternate(batches, self.reconstruct, ["dmn"], accelerator)

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Masks, photos, and what the DMN makes of them: see ``sheet``."""
        return sheet(networks["dmn"], batch)
