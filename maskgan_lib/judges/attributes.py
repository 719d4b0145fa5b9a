"""The attribute net: a ResNet-18 with one yes-or-no answer per attribute of a face."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.judges.resnet import ResNet18
from maskgan_lib.judges.stage import JudgeSettings, JudgeStage, imperfect, sheet
from maskgan_lib.presets import Preset
from maskgan_lib.registry import NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.stage import Terms, TrainingError

SETTINGS.register(JudgeSettings, "attributes")


@NETWORKS.register
class AttributeNet(ResNet18):
    """Image ``[B, 3, H, W]`` in [-1, 1] to logits ``[B, A]``: positive where the face has the attribute.

    ResNet-18 as in the paper's evaluation. One network answers for all ``attributes``, in their order; the paper trains
    one network each. Faces of any size from 32 pixels up.
    """

    def __init__(self, attributes: Sequence[str], width: int = 64):
        super().__init__(width)
        self.config = {"attributes": list(attributes), "width": width}
        self.answers = nn.Linear(self.channels, len(attributes))

    def forward(self, image: Tensor) -> Tensor:
        return self.answers(self.features(image))


@STAGES.register
class AttributesStage(JudgeStage):
    """Minimises the binary cross-entropy of all attributes that the faces have.

    Raises ``TrainingError`` for faces of which no attribute is known.
    """

    name = settings = "attributes"

    def __init__(self, preset: Preset, faces: PackedFaces):
        names = faces.attribute_names
        if not names:
            raise TrainingError(f"{faces.folder} knows no attributes of its faces: choose faces that have some.")
        super().__init__(preset, AttributeNet(names, preset.attributes.width), {"attributes": ", ".join(names)})
        self.truth = torch.from_numpy(np.stack([faces.attribute(name) for name in names], axis=1) > 0)

    def loss(self, batch: Batch) -> tuple[Tensor, Terms]:
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
        return sheet(batch.image[answers.argsort()])
