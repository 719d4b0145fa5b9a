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
from maskgan_lib.training.stage import BETAS, Stage, TrainingError, tile, update


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

    name = settings = "parser"
    averaged = ("parser",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        network = FaceParser(width=preset.parser_width)
        self.networks = {"parser": network}
        self.optimizers = {"parser": torch.optim.Adam(network.parameters(), lr=preset.parser_lr, betas=BETAS)}
        self.config = {"lr": preset.parser_lr}

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on the photos and their masks."""
        return update(self.optimizers["parser"], [self.networks["parser"]], batches, self.parser_loss, accelerator)

    def parser_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of the masks, seen in photos made ``imperfect``."""
        image, mask = imperfect(batch)
        loss = reconstruction_loss(self.networks["parser"](image), mask)
        return loss, {"loss": loss}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, their masks, the masks that the parser sees."""
        image, mask = batch.image[:8], batch.mask[:8]
        parsed = networks["parser"](image).argmax(dim=1)
        rows = [to_uint8_image(image), *(colorize(labels.byte().cpu().numpy()) for labels in (mask, parsed))]
        return tile(np.concatenate(rows), len(image))


class AttributesStage(Stage):
    """Minimises the binary cross-entropy of all attributes that the faces have, with Adam.

    Raises ``TrainingError`` for faces of which no attribute is known.
    """

    name, settings = "attributes", "attribute"
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
        self.truth = torch.from_numpy(np.stack([faces.attribute(name) for name in names], axis=1) > 0)

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on the photos and what is known of those faces."""
        network = self.networks["attributes"]
        return update(self.optimizers["attributes"], [network], batches, self.attributes_loss, accelerator)

    def attributes_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy of all answers on photos made ``imperfect``; ``wrong`` is the share of wrong ones."""
        truth = self.truth[batch.index].to(batch.image.device)
        logits = self.networks["attributes"](imperfect(batch)[0])
        loss = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype))
        return loss, {"loss": loss, "wrong": ((logits > 0) != truth).float().mean()}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """The photos in rows of eight, from the surest no to the surest yes to "Smiling", or to the first attribute."""
        network = networks["attributes"]
        names = network.config["attributes"]
        answers = network(batch.image)[:, names.index("Smiling") if "Smiling" in names else 0]
        return tile(to_uint8_image(batch.image[answers.argsort()]), min(8, len(answers)))
