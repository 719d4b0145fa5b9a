"""The identity net: a face to a direction that pictures of one person share (ArcFace, as in the paper's evaluation)."""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.judges.resnet import ResNet18
from maskgan_lib.judges.stage import JudgeSettings, JudgeStage, imperfect, nearest, sheet
from maskgan_lib.presets import Preset
from maskgan_lib.registry import NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.stage import Terms, TrainingError


@NETWORKS.register
class IdentityNet(ResNet18):
    """Image ``[B, 3, S, S]`` in [-1, 1], S = ``image_size``, to an embedding ``[B, embedding]`` of any length.

    The last maps are not averaged over the picture, since where things lie tells people apart: as in ArcFace (Deng et
    al., CVPR 2019), they are normalised, flattened, mapped and normalised again. Pictures show the same person where
    the cosine of their embeddings is large.
    """

    def __init__(self, image_size: int = 112, embedding: int = 512, width: int = 64):
        super().__init__(width)
        self.config = {"image_size": image_size, "embedding": embedding, "width": width}
        self.maps_norm = nn.BatchNorm2d(self.channels)
        self.project = nn.Linear(self.channels * math.ceil(image_size / 32) ** 2, embedding, bias=False)
        self.embedding_norm = nn.BatchNorm1d(embedding)

    def forward(self, image: Tensor) -> Tensor:
        size = self.config["image_size"]
        if image.shape[-2:] != (size, size):
            raise ValueError(f"The identity net takes {size} x {size} pixels, not {tuple(image.shape[-2:])}.")
        return self.embedding_norm(self.project(self.maps_norm(self.maps(image)).flatten(1)))


@NETWORKS.register
class PersonCentres(nn.Module):
    """A direction for each person of the training set: embeddings ``[B, E]`` to cosines ``[B, persons]``.

    Only training needs it: nobody of the test set is among them.
    """

    def __init__(self, persons: int, embedding: int = 512):
        super().__init__()
        self.config = {"persons": persons, "embedding": embedding}
        self.directions = nn.Parameter(torch.randn(persons, embedding) * 0.01)

    def forward(self, embeddings: Tensor) -> Tensor:
        return F.linear(F.normalize(embeddings), F.normalize(self.directions))


def angular_margin_loss(cosines: Tensor, persons: Tensor, margin: float = 0.5, scale: float = 64.0) -> Tensor:
    """ArcFace (Deng et al., CVPR 2019, Eq. 3): softmax of ``scale * cosines`` with ``margin`` more on the right angle.

    ``cosines [B, P]`` are those between embeddings and the persons' centres, ``persons [B]`` the right columns, the
    margin in radians. Where the angle and the margin exceed 180 degrees the cosine goes on falling in a straight line,
    as in the authors' code.
    """
    right = persons.long()[:, None]
    cosine = cosines.gather(1, right)
    # The slope of a square root at zero is infinite.
    sine = (1 - cosine.square()).clamp(min=1e-7).sqrt()
    wider = cosine * math.cos(margin) - sine * math.sin(margin)
    wider = torch.where(cosine > math.cos(math.pi - margin), wider, cosine - margin * math.sin(margin))
    return F.cross_entropy(scale * cosines.scatter(1, right, wider), right[:, 0])


@SETTINGS.called("identity")
@dataclass(frozen=True)
class IdentitySettings(JudgeSettings):
    """Of the identity net and its training; the paper's ArcFace is larger than a ResNet-18."""

    embedding: int = 512  # 512 in ArcFace
    margin: float = 0.5  # 0.5 radians in ArcFace
    scale: float = 64.0  # 64 in ArcFace
    batch: int = 64  # 512 in ArcFace


@STAGES.register
class IdentityStage(JudgeStage):
    """Minimises the angular margin loss over the persons of the faces (ArcFace).

    Raises ``TrainingError`` for faces whose persons are not known, or of whom there is one picture only.
    """

    name = settings = "identity"

    def __init__(self, preset: Preset, faces: PackedFaces):
        known, own = faces.identity, preset.identity
        persons, self.person = np.unique(known, return_inverse=True)
        if (known < 0).any() or len(persons) == len(known):
            raise TrainingError(
                f"{faces.folder} does not show persons several times by name: the identity net learns from such faces,"
                " for instance those of `python -m maskgan_lib faces --identities 2000`."
            )
        network = IdentityNet(faces.size, own.embedding, own.width)
        self.penalty = {"margin": own.margin, "scale": own.scale}
        super().__init__(preset, network, self.penalty, centres=PersonCentres(len(persons), own.embedding))

    def loss(self, batch: Batch) -> tuple[Tensor, Terms]:
        """Margin loss on photos made ``imperfect``; ``wrong`` is the share whose nearest centre is another person's."""
        person = torch.as_tensor(self.person[batch.index], device=batch.image.device)
        cosines = self.networks["centres"](self.networks["identity"](imperfect(batch)[0]))
        loss = angular_margin_loss(cosines, person, **self.penalty)
        return loss, {"loss": loss, "wrong": (cosines.argmax(dim=1) != person).float().mean()}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, and for each the most similar other photo of the batch."""
        similar = nearest(networks["identity"](batch.image))[:8]
        return sheet(batch.image[:8], batch.image[similar])
