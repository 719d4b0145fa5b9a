"""The judges: nets that grade pictures, at a size of their own, and how often they are wrong themselves."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card
from maskgan_lib.classes import MERGED_CLASSES, NUM_CLASSES
from maskgan_lib.data.batches import merge, to_float_image
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.data.resizing import resize_images
from maskgan_lib.evaluation.estimates import Figure, mean_over_faces
from maskgan_lib.evaluation.metrics import confusion_matrix, mean_iou, pixel_accuracy
from maskgan_lib.evaluation.verification import HAIR_COLOURS, hair_colours, verify_people
from maskgan_lib.judges.attributes import AttributeNet
from maskgan_lib.judges.identity import IdentityNet
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.judges.pose import PoseNet
from maskgan_lib.training.ebst import fingerprint

BATCH = 16
"""Pictures that are looked at in one go."""

PRETRAINED = Path(__file__).resolve().parents[2] / "data" / "pretrained"
"""The folder of the weights that ship."""

GRADED = ("Smiling", "Male", "Heavy_Makeup", "No_Beard", *HAIR_COLOURS)
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
        if network.config.get("num_classes", NUM_CLASSES) != NUM_CLASSES:
            known = network.config["num_classes"]
            raise CheckpointError(f"{path} knows {known} classes, a judge {NUM_CLASSES}: train another parser.")
        if "image_size" not in card:
            raise CheckpointError(f"The card in {path} does not say which image_size was learnt: train again.")
        return cls(network.requires_grad_(False), card["image_size"], card)

    @torch.no_grad()
    def ask(self, images: Tensor, question: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """What the network, or ``question``, makes of pictures ``[B, 3, H, W]`` of any size, resized to its own."""
        device = next(self.network.parameters()).device
        return (question or self.network)(resize_images(images.to(device), self.size))

    @property
    def origin(self) -> str:
        """A short phrase of where its weights come from."""
        source = self.card.get("data", "a source that its card does not name")
        return f"trained here on {source}" if "preset" in self.card else source


ROLES = {
    "parser": ("parser", FaceParser),
    "attributes": ("attribute_net", AttributeNet),
    "identity": ("identity_net", IdentityNet),
    "pose": ("pose_net", PoseNet),
}
"""The judges by role: their field of ``Judges``, and the network of this library."""


@dataclass(frozen=True)
class Judges:
    """The nets that grade renders. Pictures are ``[B, 3, H, W]`` in [-1, 1], of any size and on any device.

    Who is in a picture and how the head is turned can only be asked where ``identity_net`` and ``pose_net`` are there.
    """

    parser: Judge
    attribute_net: Judge
    identity_net: Judge | None = None
    pose_net: Judge | None = None

    @classmethod
    def load(cls, files: Mapping[str, str | Path], device: str | torch.device = "cpu") -> Self:
        """From weights files by role; ``CheckpointError`` if one is missing or holds another network."""
        return cls(**{ROLES[role][0]: Judge.load(path, ROLES[role][1], device) for role, path in files.items()})

    @classmethod
    def shipped(cls, device: str | torch.device = "cpu", folder: str | Path = PRETRAINED) -> Self:
        """Those in ``folder``, by default the ones that ship: ``parser``, ``attributes``, and if there ``identity`` and
        ``pose``, each ``.safetensors``.
        """
        paths = {role: Path(folder) / f"{role}.safetensors" for role in ROLES}
        needed = "parser", "attributes"
        return cls.load({role: path for role, path in paths.items() if path.exists() or role in needed}, device)

    @property
    def by_role(self) -> dict[str, Judge]:
        """The judges that are there, by what they judge."""
        judges = {role: getattr(self, field) for role, (field, _) in ROLES.items()}
        return {role: judge for role, judge in judges.items() if judge is not None}

    @property
    def origins(self) -> dict[str, str]:
        """Where each judge's weights come from, in a short phrase."""
        return {role: judge.origin for role, judge in self.by_role.items()}

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that tell these judges from others."""
        marks = [f"{role} {fingerprint(judge.network)}" for role, judge in self.by_role.items()]
        return hashlib.sha256("\n".join(marks).encode()).hexdigest()[:12]

    @property
    def attribute_names(self) -> tuple[str, ...]:
        """Names of the columns of ``attributes``."""
        return tuple(self.attribute_net.network.config["attributes"])

    def parse(self, images: Tensor) -> Tensor:
        """Label maps uint8 ``[B, H, W]`` that the parser sees; its logits are brought to the pictures' size."""
        logits = self.parser.ask(images)
        if logits.shape[-2:] != images.shape[-2:]:
            logits = F.interpolate(logits, images.shape[-2:], mode="bilinear", antialias=True)
        return logits.argmax(dim=1).byte()

    def attributes(self, images: Tensor) -> Tensor:
        """Logits ``[B, A]``: positive where a face has the attribute."""
        return self.attribute_net.ask(images)

    def features(self, images: Tensor) -> Tensor:
        """The attribute net's pooled features ``[B, 8 * width]``, for distances between sets of pictures."""
        return self.attribute_net.ask(images, self.attribute_net.network.features)

    def identity(self, images: Tensor) -> Tensor:
        """Embeddings of length 1, ``[B, E]``: pictures of one person have a large cosine."""
        return F.normalize(self._needed("identity").ask(images))

    def pose(self, images: Tensor) -> Tensor:
        """Yaw, pitch and roll in degrees, ``[B, 3]``, with the signs of the faces that the net learnt from."""
        judge = self._needed("pose")
        return judge.ask(images, judge.network.degrees)

    def _needed(self, role: str) -> Judge:
        if role not in self.by_role:
            raise CheckpointError(f"There is no {role} net among these judges: give its weights.")
        return self.by_role[role]


# ---- the judges' own errors


def in_batches(faces: PackedFaces, indices: np.ndarray, size: int = BATCH) -> Iterator[tuple[Tensor, np.ndarray]]:
    """Images ``[B, 3, S, S]`` in [-1, 1] and masks, uint8 ``[B, S, S]``, of the faces ``indices`` in order."""
    for start in range(0, len(indices), size):
        images, masks = faces.read(indices[start : start + size])
        yield to_float_image(images), masks


@torch.no_grad()
def answers(question: Callable[[Tensor], Tensor], network: nn.Module, faces: PackedFaces, indices) -> Tensor:
    """What ``question`` makes of the photos ``indices``, on the network's device, brought to the CPU."""
    device = next(network.parameters()).device
    return torch.cat([question(images.to(device)).cpu() for images, _ in in_batches(faces, indices)])


@torch.no_grad()
def measure_masks(
    logits: Callable[[Tensor, Tensor], Tensor], network: nn.Module, faces: PackedFaces, indices: np.ndarray
) -> list[Figure]:
    """Pixel accuracy and mean IoU over the classes present of ``logits(images, labels)`` of the faces ``indices``.

    Logits of the merged classes are compared with the masks merged.
    """
    device = next(network.parameters()).device
    total = torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.int64)
    for images, masks in in_batches(faces, indices):
        labels = torch.as_tensor(masks, device=device)
        made = logits(images.to(device), labels)
        labels = merge(labels) if made.shape[1] == len(MERGED_CLASSES) else labels
        total += confusion_matrix(made.argmax(dim=1), labels).cpu()
    return [
        Figure("pixel accuracy", pixel_accuracy(total), "", len(indices)),
        Figure("mean IoU over the classes present", mean_iou(total), "", len(indices)),
    ]


def measure_parser(network: FaceParser, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """``measure_masks`` of those that are parsed from the photos."""
    return measure_masks(lambda images, _: network(images), network, faces, indices)


def measure_attributes(network: AttributeNet, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """Share of right answers for each attribute of ``GRADED`` and over all, and what the commoner answer would get.

    Attributes that the network or the faces do not know are left out; ``DataError`` if none is left.
    """
    names = network.config["attributes"]
    known = [name for name in names if name in faces.attribute_names]
    if not known:
        raise DataError(f"{faces.folder} knows none of the attributes that the network answers for.")
    said = answers(network, network, faces, indices).numpy()[:, [names.index(name) for name in known]] > 0
    truth = np.stack([faces.attribute(name)[indices] > 0 for name in known], axis=1)
    right, often = (said == truth).astype(float), truth.mean(axis=0)
    commoner = float(np.maximum(often, 1 - often).mean())
    return [
        *(mean_over_faces(f"accuracy {name}", right[:, known.index(name)], "") for name in GRADED if name in known),
        mean_over_faces(f"mean accuracy of all {len(known)} attributes", right.mean(axis=1), ""),
        Figure("the same of always giving the commoner answer", commoner, "", len(indices)),
    ]


def measure_identity(network: IdentityNet, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """How well pictures of one person are told from those of two, over all and among people of one hair colour.

    ``DataError`` for faces whose persons are not known or are shown once only.
    """
    persons = faces.identity[indices]
    if (persons < 0).any() or len(np.unique(persons)) == len(persons):
        raise DataError(f"{faces.folder} does not show persons several times by name: identity cannot be measured.")
    embeddings = F.normalize(answers(network, network, faces, indices))
    return verify_people(embeddings, persons, hair_colours(faces)[indices])


def measure_pose(network: PoseNet, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """Mean absolute error of yaw, pitch and roll in degrees, and what always looking straight ahead would get."""
    truth = faces.pose[indices]
    if not np.isfinite(truth).all():
        raise DataError(f"{faces.folder} does not know the pose of every face: its error cannot be measured.")
    error = abs(answers(network.degrees, network, faces, indices).numpy() - truth).astype(float)
    angles = zip(("yaw", "pitch", "roll"), error.T, strict=True)
    return [
        *(mean_over_faces(f"mean error of {angle}", values, "degrees") for angle, values in angles),
        mean_over_faces("the same of always saying straight ahead, all angles", abs(truth).mean(axis=1), "degrees"),
    ]
