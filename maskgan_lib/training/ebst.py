"""Stage (c), editing behaviour simulated training (Algorithm 1): the DMN meets masks as a user would edit them.

A frozen MaskVAE moves every mask towards another face's mask and, as far, away from it. Both are rendered, and a
blender has to put the photograph together from the two renders.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.classes import colorize
from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.networks import AlphaBlender, MaskVAE, one_hot
from maskgan_lib.networks.blocks import check_choice
from maskgan_lib.presets import Preset
from maskgan_lib.registry import SETTINGS, STAGES
from maskgan_lib.training.dmn import DMNStage
from maskgan_lib.training.stage import BETAS, Terms, TrainingError, tile


@SETTINGS.called("ebst")
@dataclass(frozen=True)
class EBSTSettings:
    """Of editing behaviour simulated training and its blender."""

    batch: int = 8  # 8
    steps: int = 600_000  # 100 + 100 epochs in the authors' code; each updates the DMN twice
    lr: float = 5e-5  # 5e-5 in the authors' code; the paper says it is lowered
    lambda_inter: float = 2.5  # lambda_inter = 2.5: 40 % of the way to another mask, and 40 % away from it
    # "hard": the decoded masks' most likely classes, as in the authors' code; "soft": softmax. Over three seeds they
    # differed in what stays far from an edit only, in favour of hard ones.
    masks: str = "hard"
    blender_width: int = 32  # 32
    blender_downsamplings: int = 0  # 3; 0: those that fit the size of the faces, 3 at 512
    blender_blocks: int = 3  # 3


@torch.no_grad()
def simulate_edits(
    vae: MaskVAE, mask: Tensor, reference: Tensor, lambda_inter: float = 2.5, hard: bool = True
) -> tuple[Tensor, Tensor]:
    """``M_inter`` and ``M_outer``, decoded from ``z_t + (z_ref - z_t) / lambda_inter`` and from ``z_t - ...``.

    ``mask`` and ``reference`` are one-hot ``[B, 19, S, S]``, and so are the results. ``hard=False`` gives the decoder's
    softmax instead of one-hot planes of the most likely class. z is the mean of the posterior, nothing is sampled. No
    gradient is kept: nothing that learns stands before the masks, so there is nothing for one to reach.
    """
    z, z_reference = vae.encode(torch.cat([mask, reference]))[0].chunk(2)
    step = (z_reference - z) / lambda_inter
    logits = vae.decode(torch.cat([z + step, z - step]))
    masks = one_hot(logits.argmax(dim=1), logits.shape[1]) if hard else logits.softmax(dim=1)
    inter, outer = masks.chunk(2)
    return inter, outer


@STAGES.register
class EBSTStage(DMNStage):
    """Stage I of Algorithm 1 on the DMN, then stage II on DMN and blender, each after an update of the discriminator.

    Three optimisers, as in the authors' code: of the DMN, of the discriminator, and of DMN and blender together.
    """

    name, settings = "ebst", "ebst"
    averaged = ("dmn", "blender")
    references = True
    fresh = ("blender",)
    needs = (("maskvae", "MaskVAE"),)

    @classmethod
    def updates_per_step(cls, preset: Preset) -> int:
        """One in stage I, one in stage II."""
        return 2

    def __init__(self, preset: Preset, faces: PackedFaces, maskvae: MaskVAE | None):
        if maskvae is None:
            raise TrainingError("EBST needs a trained MaskVAE: name its weights (--maskvae FILE).")
        super().__init__(preset, faces)
        size = maskvae.config["image_size"]
        if size != faces.size:
            what = f"The MaskVAE takes masks of {size} pixels a side, the faces have {faces.size}"
            raise TrainingError(f"{what}: train one at that size.")
        check_choice("ebst.masks", preset.ebst.masks, ("hard", "soft"))
        self.maskvae = maskvae.eval().requires_grad_(False)
        halvings = preset.proportions(faces.size).blender_downsamplings
        blender = AlphaBlender(preset.ebst.blender_width, halvings, preset.ebst.blender_blocks)
        self.networks["blender"] = blender
        both = [*self.networks["dmn"].parameters(), *blender.parameters()]
        self.optimizers["dmn and blender"] = torch.optim.Adam(both, lr=preset.ebst.lr, betas=BETAS)
        self.config |= {"lambda_inter": preset.ebst.lambda_inter, "ebst_masks": preset.ebst.masks}
        self.config["maskvae"] = fingerprint(maskvae)

    def modules(self) -> list[nn.Module]:
        """The networks, those of the perceptual loss, and the MaskVAE."""
        return [*super().modules(), self.maskvae]

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> Terms:
        """Discriminator, DMN, discriminator again, DMN and blender: the order that the authors give."""
        first = super().step(batches, accelerator)
        second = self.alternate(batches, self.blend, ["dmn", "blender"], accelerator, "dmn and blender")
        return first | {f"blend {name}": loss for name, loss in second.items()}

    def blend(self, batch: Batch) -> Tensor:
        """Stage II: the blend of the two renders of every face, its style encoded once, both rendered in one batch."""
        mask = one_hot(batch.mask)
        edits = torch.cat(self.edit(mask, one_hot(batch.reference)))
        inter, outer = self.networks["dmn"](edits, batch.image, mask).chunk(2)
        return self.networks["blender"](inter, outer)[0]

    def edit(self, mask: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
        """``M_inter`` and ``M_outer`` with the preset's lambda."""
        own = self.preset.ebst
        with self.autocast():
            return simulate_edits(self.maskvae, mask, reference, own.lambda_inter, own.masks == "hard")

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, reconstructions, M_t, M_inter, M_outer, the renders of these two, alpha, and the blend."""
        image, mask, reference = batch.image[:8], one_hot(batch.mask[:8]), one_hot(batch.reference[:8])
        dmn, edits = networks["dmn"], self.edit(mask, reference)
        style = dmn.encode_style(image, mask)
        inter, outer = (dmn.render(edit, style) for edit in edits)
        blend, alpha = networks["blender"](inter, outer)
        masks = [colorize(m.argmax(dim=1).byte().cpu().numpy()) for m in (mask, *edits)]
        renders = [to_uint8_image(picture) for picture in (inter, outer, 2 * alpha.expand_as(blend) - 1, blend)]
        rows = [to_uint8_image(image), to_uint8_image(dmn.render(mask, style)), *masks, *renders]
        return tile(np.concatenate(rows), len(image))


def fingerprint(network: nn.Module) -> str:
    """Twelve hexadecimal digits that tell a network's weights from others."""
    digest = hashlib.sha256()
    for name, value in network.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
