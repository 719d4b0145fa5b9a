"""The identity net: a face to a direction that pictures of one person share (ArcFace, as in the paper's evaluation)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.networks.resnet import ResNet18


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
