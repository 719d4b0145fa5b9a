"""Stage (b): the Dense Mapping Network alone, on real pairs: the picture of its own mask in its own style (Eq. 6)."""

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from maskgan_lib.classes import colorize
from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.networks import one_hot
from maskgan_lib.presets import Preset
from maskgan_lib.registry import STAGES
from maskgan_lib.training.adversarial import AdversarialStage
from maskgan_lib.training.stage import Terms, tile


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
        # In one part, a picture serves both updates. In several, memory holds the graph of one at a time.
        judge, once = accelerator.unwrap_model(self.networks["discriminator"]), len(batches) == 1
        with torch.set_grad_enabled(once):
            made = [self.reconstruct(batch) for batch in batches]
        first = self.update_discriminator(batches, made, accelerator)

        judge.requires_grad_(False)
        pairs = zip(batches, made if once else map(self.reconstruct, batches), strict=True)
        losses = (self.generator_loss(one_hot(b.mask), b.image, picture, judge) for b, picture in pairs)
        second = self.update(["dmn"], losses, len(batches), accelerator)
        judge.requires_grad_(True)
        return first | second

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: masks, photos, reconstructions, and every mask in the style of its neighbour."""
        dmn, image, mask = networks["dmn"], batch.image[:8], one_hot(batch.mask[:8])
        style = dmn.encode_style(image, mask)
        pictures = [image, dmn.render(mask, style), dmn.render(mask, style.roll(1, dims=0))]
        rows = [colorize(batch.mask[:8].cpu().numpy()), *map(to_uint8_image, pictures)]
        return tile(np.concatenate(rows), len(image))
