"""The face parser: a U-Net from an image to the logits of its mask."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.classes import MERGED_CLASSES, MERGED_ID, NUM_CLASSES, colorize, colorize_merged
from maskgan_lib.data.batches import Batch, merge, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.judges.stage import JudgeStage, imperfect
from maskgan_lib.losses import reconstruction_loss
from maskgan_lib.networks.blocks import check_size
from maskgan_lib.presets import Preset
from maskgan_lib.registry import NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.stage import Terms, tile

LEVELS = 4


def _double_conv(inputs: int, outputs: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for channels in (inputs, outputs):
        parts += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*parts)


@NETWORKS.register
class FaceParser(nn.Module):
    """Image ``[B, 3, H, W]`` in [-1, 1] to class logits ``[B, classes, H, W]``; sizes are multiples of 16.

    Four levels of two 3x3 convolutions with batch normalisation, 2x2 max pooling between them, a centre, and the way
    back with transposed convolutions and the level's own features beside them.
    """

    def __init__(self, num_classes: int = NUM_CLASSES, width: int = 16):
        super().__init__()
        self.config = {"num_classes": num_classes, "width": width}
        widths = [width * 2**i for i in range(LEVELS + 1)]
        self.down = nn.ModuleList(_double_conv(i, o) for i, o in zip([3, *widths[:-2]], widths[:-1], strict=True))
        self.center = _double_conv(widths[-2], widths[-1])
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, stride=2) for w in reversed(widths[:-1]))
        self.up = nn.ModuleList(_double_conv(2 * w, w) for w in reversed(widths[:-1]))
        self.final = nn.Conv2d(width, num_classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        check_size(image, 2**LEVELS, 2**LEVELS, type(self).__name__)
        skips = []
        x = image
        for level in self.down:
            x = level(x)
            skips.append(x)
            x = F.max_pool2d(x, 2)
        x = self.center(x)
        for enlarge, level, skip in zip(self.enlarge, self.up, reversed(skips), strict=True):
            x = level(torch.cat((skip, enlarge(x)), dim=1))
        return self.final(x)


def class_weights(faces: PackedFaces, balance: float, merged: bool = False) -> Tensor:
    """``[19]``, or of the ``merged`` classes ``[12]``: a class' share of the pixels to the power of ``-balance``.

    1 for the commonest class, and for one that is absent. Counted on at most 1000 faces, evenly spaced.
    """
    masks = faces.masks[:: -(-len(faces) // 1000)]
    count = np.bincount(masks.reshape(-1), minlength=256)[:NUM_CLASSES]
    share = torch.from_numpy(np.bincount(MERGED_ID[:NUM_CLASSES], count) if merged else count).float()
    return torch.where(share > 0, (share / share.max()) ** -balance, 1.0)


@SETTINGS.called("parser")
@dataclass(frozen=True)
class ParserSettings:
    """Of the parser and its training."""

    width: int = 16  # 16
    batch: int = 8  # 8
    steps: int = 1_000_000  # up to 1,000,000 in the authors' code
    lr: float = 2e-4  # 2e-4, betas (0.5, 0.999)
    # The power of ``class_weights``: 0 as in the authors' code; with 0.5 the parser finds necklaces and earrings too.
    balance: float = 0.0
    classes: int = 19  # 19; 12: the merged classes of SeCGAN, for its parser P


@STAGES.register
class ParserStage(JudgeStage):
    """Minimises the cross-entropy of a pixel's class, rare classes weighing more if the preset says so.

    With 12 classes it learns the merged ones, and is what SeCGAN calls P. ``ValueError`` for another number.
    """

    name = settings = "parser"

    def __init__(self, preset: Preset, faces: PackedFaces):
        own = preset.parser
        if own.classes not in (NUM_CLASSES, len(MERGED_CLASSES)):
            raise ValueError(f"parser.classes must be {NUM_CLASSES} or {len(MERGED_CLASSES)}, not {own.classes}.")
        super().__init__(preset, FaceParser(own.classes, own.width), {"class balance": own.balance})
        self.merged = own.classes == len(MERGED_CLASSES)
        self.weights = class_weights(faces, own.balance, self.merged)

    def loss(self, batch: Batch) -> tuple[Tensor, Terms]:
        """Cross-entropy of the masks, seen in photos made ``imperfect``."""
        image, mask, _ = imperfect(batch)
        self.weights = self.weights.to(image.device)  # once
        logits = self.networks["parser"](image)
        loss = reconstruction_loss(logits, merge(mask) if self.merged else mask, self.weights)
        return loss, {"loss": loss}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, their masks, the masks that the parser sees."""
        image, mask = batch.image[:8], batch.mask[:8]
        mask, colours = (merge(mask), colorize_merged) if self.merged else (mask, colorize)
        parsed = networks["parser"](image).argmax(dim=1)
        rows = [to_uint8_image(image), *(colours(labels.byte().cpu().numpy()) for labels in (mask, parsed))]
        return tile(np.concatenate(rows), len(image))
