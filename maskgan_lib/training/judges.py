"""The nets that grade renders: the face parser, and one attribute net with several heads."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.classes import colorize
from maskgan_lib.data.batches import Batch, flip, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.losses import reconstruction_loss
from maskgan_lib.networks import AttributeNet, FaceParser
from maskgan_lib.presets import Preset
from maskgan_lib.training.loop import Stage, TrainingError, tile, update

BETAS = (0.5, 0.999)


def imperfect(batch: Batch) -> tuple[Tensor, Tensor]:
    """Photos and masks of ``batch``, some mirrored, each with a blur, a contrast, a colour cast and grain of its own.

    A judge that has seen clean photos only takes a render's grain or softness for something else than it is. What is
    drawn depends on seed and step alone.
    """
    size = batch.image.shape[-1]
    noise = batch.noise(3, size + 1, size)
    grain, shared = noise[:, :, :size], noise[:, :, size:]  # the last row: numbers that hold for a whole picture
    cast, (mirror, blur, contrast, strength) = shared[..., :1], shared[:, 0, 0, 1:5].T[..., None, None, None]
    flipped_image, flipped_mask = flip(batch.image, batch.mask)
    image = torch.where(mirror > 0, flipped_image, batch.image)
    mask = torch.where(mirror[:, 0] > 0, flipped_mask, batch.mask)
    soft = F.avg_pool2d(image, 3, stride=1, padding=1, count_include_pad=False)
    image = torch.lerp(image, soft, blur.abs().clamp(max=1))
    image = image * (1 + 0.1 * contrast) + 0.04 * cast + 0.03 * strength.abs() * grain
    return image.clamp(-1, 1), mask


class ParserStage(Stage):
    """Minimises the cross-entropy of a pixel's class, with Adam."""

    name = "parser"
    averaged = ("parser",)
    accumulates = False

    def __init__(self, preset: Preset):
        network = FaceParser(width=preset.parser_width)
        self.networks = {"parser": network}
        self.optimizers = {"parser": torch.optim.Adam(network.parameters(), lr=preset.parser_lr, betas=BETAS)}
        self.config = {"lr": preset.parser_lr}

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on the photos and masks of a batch."""

        def losses(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            image, mask = imperfect(batch)
            logits = self.networks["parser"](image)
            loss = reconstruction_loss(logits, mask)
            return loss, {"loss": loss}

        return update(self.optimizers["parser"], self.networks.values(), batches, losses, accelerator)

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, their masks, the masks that the parser sees."""
        image, mask = batch.image[:8], batch.mask[:8]
        parsed = networks["parser"](image).argmax(dim=1).to(mask.dtype)
        rows = [to_uint8_image(image), *(colorize(labels.cpu().numpy()) for labels in (mask, parsed))]
        return tile(np.concatenate(rows), len(image))


class AttributesStage(Stage):
    """Minimises the binary cross-entropy of all attributes that the faces have, with Adam.

    Raises ``TrainingError`` for faces of which no attribute is known.
    """

    name = "attributes"
    averaged = ("attributes",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        names = faces.attribute_names
        if not names:
            raise TrainingError(f"{faces.folder} knows no attributes of its faces: choose faces that have some.")
        network = AttributeNet(names, width=preset.attribute_width)
        self.networks = {"attributes": network}
        self.optimizers = {"attributes": torch.optim.Adam(network.parameters(), lr=preset.attribute_lr, betas=BETAS)}
        self.config = {"lr": preset.attribute_lr, "attributes": ", ".join(names)}
        self.truth = torch.from_numpy(np.stack([faces.attribute(name) for name in names], axis=1) > 0).float()

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on the photos of a batch and what is known of those faces; ``wrong`` is the share of errors."""

        def losses(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            truth = self.truth[batch.index].to(batch.image.device)
            logits = self.networks["attributes"](imperfect(batch)[0])
            loss = F.binary_cross_entropy_with_logits(logits.float(), truth)
            return loss, {"loss": loss, "wrong": ((logits > 0) != (truth > 0)).float().mean()}

        return update(self.optimizers["attributes"], self.networks.values(), batches, losses, accelerator)

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """The photos in rows of eight, from the surest no to the surest yes to "Smiling", or to the first attribute."""
        network = networks["attributes"]
        names = network.config["attributes"]
        shown = names.index("Smiling") if "Smiling" in names else 0
        order = network(batch.image)[:, shown].argsort()
        return tile(to_uint8_image(batch.image[order]), min(8, len(order)))
