"""Stage (b): the Dense Mapping Network alone, on real pairs: the picture of its own mask in its own style (Eq. 6)."""

from collections.abc import Sequence

import numpy as np
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.classes import colorize
from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.networks import one_hot
from maskgan_lib.presets import Preset
from maskgan_lib.training.adversarial import AdversarialStage
from maskgan_lib.training.stage import STAGES, tile


@STAGES.register
class DMNStage(AdversarialStage):
    """Updates the discriminator, then the Dense Mapping Network."""

    name, settings = "dmn", "dmn"
    averaged = ("dmn",)

    def __init__(self, preset: Preset, faces: PackedFaces):
        super().__init__(preset, faces.size, preset.dmn_lr)

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update of each network."""
        return self.update_both("dmn", ["dmn"], self.reconstruct, batches, accelerator)

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: masks, photos, reconstructions, and every mask in the style of its neighbour."""
        dmn, image, mask = networks["dmn"], batch.image[:8], one_hot(batch.mask[:8])
        style = dmn.encode_style(image, mask)
        pictures = [image, dmn.render(mask, style), dmn.render(mask, style.roll(1, dims=0))]
        rows = [colorize(batch.mask[:8].cpu().numpy()), *map(to_uint8_image, pictures)]
        return tile(np.concatenate(rows), len(image))
