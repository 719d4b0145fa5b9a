"""The attribute net: a ResNet-18 with one yes-or-no answer per attribute of a face."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.judges.imperfect import imperfect
from maskgan_lib.judges.resnet import ResNet18
from maskgan_lib.networks import NETWORKS
from maskgan_lib.presets import Preset
from maskgan_lib.training.stage import BETAS, STAGES, Stage, TrainingError, tile, update


@NETWORKS.register
class AttributeNet(ResNet18):
    """Image ``[B, 3, H, W]`` in [-1, 1] to logits ``[B, A]``: positive where the face has the attribute.

    ResNet-18 as in the paper's evaluation. One network answers for all attributes; the paper trains one network each.
    Faces of any size from 32 pixels up.

    Args:
        attributes: names of the A attributes, in the order of the logits.
    """

    def __init__(self, attributes: Sequence[str], width: int = 64):
        super().__init__(width)
        self.config = {"attributes": list(attributes), "width": width}
        self.answers = nn.Linear(self.channels, len(attributes))

    def forward(self, image: Tensor) -> Tensor:
        return self.answers(self.features(image))


@STAGES.register
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
