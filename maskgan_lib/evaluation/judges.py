"""The judges: nets that grade pictures, at a size of their own, and how often they are wrong themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card
from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation.metrics import confusion_matrix, mean_iou, pixel_accuracy
from maskgan_lib.evaluation.reconstruction import Figure, mean_over_faces, pairs
from maskgan_lib.networks import AttributeNet, FaceParser

SHIPPED = Path(__file__).resolve().parents[2] / "data" / "pretrained"
GRADED = ("Smiling", "Male", "Heavy_Makeup", "No_Beard", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair")
"""Attributes that have a figure of their own: those of the paper's tasks, and the hair that a style brings."""


@dataclass(frozen=True)
class Judge:
    """A network that grades pictures of ``size`` pixels a side, and its model card."""

    network: nn.Module
    size: int
    card: dict

    @classmethod
    def load(cls, path: str | Path, kind: type[nn.Module], device: str | torch.device = "cpu") -> Self:
        """From a weights file; ``CheckpointError`` if it is missing, no ``kind``, or does not tell its size."""
        network, card = load_weights(path, device), read_card(path)
        if not isinstance(network, kind):
            raise CheckpointError(f"{path} holds a {type(network).__name__}, no {kind.__name__}: name other weights.")
        if "image_size" not in card:
            raise CheckpointError(f"The card in {path} does not say which image_size was learnt: train again.")
        return cls(network.requires_grad_(False), card["image_size"], card)

    @torch.no_grad()
    def ask(self, images: Tensor, question: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """What the network, or ``question``, makes of pictures ``[B, 3, H, W]`` of any size, resized to its own."""
        device = next(self.network.parameters()).device
        images = images.to(device)
        if images.shape[-2:] != (self.size, self.size):
            images = F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)
        return (question or self.network)(images)


@dataclass(frozen=True)
class Judges:
    """The nets that grade renders. Pictures are ``[B, 3, H, W]`` in [-1, 1], of any size and on any device."""

    parser: Judge
    attribute_net: Judge

    @classmethod
    def load(cls, parser: str | Path, attributes: str | Path, device: str | torch.device = "cpu") -> Self:
        """From two weights files; ``CheckpointError`` if one is missing or holds another network."""
        return cls(Judge.load(parser, FaceParser, device), Judge.load(attributes, AttributeNet, device))

    @classmethod
    def shipped(cls, device: str | torch.device = "cpu", folder: str | Path = SHIPPED) -> Self:
        """``parser.safetensors`` and ``attributes.safetensors`` in ``folder``; by default those that ship."""
        return cls.load(Path(folder) / "parser.safetensors", Path(folder) / "attributes.safetensors", device)

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the columns of ``attributes``."""
        return tuple(self.attribute_net.network.config["attributes"])

    def parse(self, images: Tensor) -> Tensor:
        """Label maps uint8 ``[B, H, W]`` that the parser sees, brought to the pictures' size by nearest neighbour."""
        labels = self.parser.ask(images).argmax(dim=1, keepdim=True).byte()
        return F.interpolate(labels, images.shape[-2:], mode="nearest-exact")[:, 0]

    def attributes(self, images: Tensor) -> Tensor:
        """Logits ``[B, A]``: positive where a face has the attribute."""
        return self.attribute_net.ask(images)

    def features(self, images: Tensor) -> Tensor:
        """The attribute net's pooled features ``[B, 8 * width]``, for distances between sets of pictures."""
        return self.attribute_net.ask(images, self.attribute_net.network.features)


# ---- the rulers' errors


@torch.no_grad()
def measure_parser(network: FaceParser, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """Pixel accuracy and mean IoU over the classes present of the masks parsed from the photos ``indices``."""
    device = next(network.parameters()).device
    total = torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.int64)
    for images, masks in pairs(faces, indices):
        parsed = network(images.to(device)).argmax(dim=1).cpu()
        total += confusion_matrix(parsed, torch.as_tensor(masks))
    return [
        Figure("pixel accuracy", pixel_accuracy(total), "", len(indices)),
        Figure("mean IoU over the classes present", mean_iou(total), "", len(indices)),
    ]


@torch.no_grad()
def measure_attributes(network: AttributeNet, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """Share of right answers for each attribute of ``GRADED`` and over all, and what the commoner answer would get.

    Attributes that the network or the faces do not know are left out; ``DataError`` if none is left.
    """
    device = next(network.parameters()).device
    names = network.config["attributes"]
    known = [name for name in names if name in faces.attribute_names]
    if not known:
        raise DataError(f"{faces.folder} knows none of the attributes that the network answers for.")
    said = torch.cat([network(images.to(device)).cpu() for images, _ in pairs(faces, indices)]).numpy() > 0
    said = said[:, [names.index(name) for name in known]]
    truth = np.stack([faces.attribute(name)[indices] > 0 for name in known], axis=1)
    right = (said == truth).astype(float)
    graded = [mean_over_faces(f"accuracy {name}", right[:, known.index(name)], "") for name in GRADED if name in known]
    commoner = np.maximum(truth.mean(axis=0), 1 - truth.mean(axis=0)).mean()
    return [
        *graded,
        mean_over_faces(f"mean accuracy of all {len(known)} attributes", right.mean(axis=1), ""),
        Figure("the same of always giving the commoner answer", float(commoner), "", len(indices)),
    ]
