"""How well StarGAN and ELEGANT give and take attributes of faces they have not seen, and what else they change."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.judges import Judges
from maskgan_lib.evaluation.metrics import psnr
from maskgan_lib.evaluation.reconstruction import Figure, mean_over_faces
from maskgan_lib.networks import Elegant, StarGANGenerator

BATCH = 16


@torch.no_grad()
def measure_stargan(
    network: StarGANGenerator, faces: PackedFaces, indices: np.ndarray, judges: Judges | None = None
) -> list[Figure]:
    """What becomes of the faces ``indices`` that are asked for the other label of each attribute, and back.

    ``judges`` say which attributes a picture shows; by default those that ship. ``DataError`` if they, or the faces,
    do not know an attribute of the network.
    """
    judges, labels = _prepared(network, faces, indices, judges)

    def edit(images: Tensor, places: np.ndarray, column: int) -> tuple[Tensor, Tensor]:
        own = labels[places].float().to(images.device)
        other = own.clone()
        other[:, column] = 1 - own[:, column]
        made = network(images, other)
        return made, network(made, own)

    return _figures(network, faces, indices, judges, labels, edit, "there and back")


@torch.no_grad()
def measure_elegant(
    network: Elegant, faces: PackedFaces, indices: np.ndarray, judges: Judges | None = None
) -> list[Figure]:
    """What becomes of the faces ``indices`` that take each attribute from the next face with the other label.

    ``judges`` and errors as in ``measure_stargan``; ``DataError`` too if all the faces have, or lack, an attribute.
    """
    judges, labels = _prepared(network, faces, indices, judges)

    def edit(images: Tensor, places: np.ndarray, column: int) -> tuple[Tensor, Tensor]:
        partners = [_next_other(labels[:, column].numpy(), place) for place in places]
        theirs = to_float_image(faces.read(indices[partners])[0], images.device)
        again, _, made, _ = network(images, theirs, network.config["attributes"][column])
        return made, again

    return _figures(network, faces, indices, judges, labels, edit, "from their own codes")


def _prepared(
    network: StarGANGenerator | Elegant, faces: PackedFaces, indices: np.ndarray, judges: Judges | None
) -> tuple[Judges, Tensor]:
    """The judges, and the faces' labels ``[N, A]``."""
    names = network.config["attributes"]
    judges = judges or Judges.shipped(next(network.parameters()).device)
    unknown = [name for name in names if name not in judges.attribute_names]
    if unknown:
        raise DataError(f"The attribute net does not know {', '.join(unknown)}: nothing can be said of such edits.")
    return judges, torch.tensor(np.stack([faces.attribute(name)[indices] > 0 for name in names], axis=1))


def _next_other(labels: np.ndarray, place: int) -> int:
    others = np.flatnonzero(np.roll(labels, -place) != labels[place])
    if not len(others):
        raise DataError("All these faces have the same label: nobody can lend the other one.")
    return int((place + others[0]) % len(labels))


def _figures(
    network: StarGANGenerator | Elegant,
    faces: PackedFaces,
    indices: np.ndarray,
    judges: Judges,
    labels: Tensor,
    edit: Callable[[Tensor, np.ndarray, int], tuple[Tensor, Tensor]],
    way_back: str,
) -> list[Figure]:
    """By attribute: does a picture show the label asked for, how far is it from the photo, how well does that return.

    ``edit(images, places, column)`` gives pictures with the attribute ``column`` changed, and the photos again.
    """
    device, figures, who = next(network.parameters()).device, [], judges.origins["attributes"]
    for column, name in enumerate(network.config["attributes"]):
        seen = judges.attribute_names.index(name)
        parts = []
        for places in np.array_split(np.arange(len(indices)), -(-len(indices) // BATCH)):
            images = to_float_image(faces.read(indices[places])[0], device)
            made, again = edit(images, places, column)
            said = [judges.attributes(pictures)[:, seen] > 0 for pictures in (images, made)]
            parts.append([values.cpu() for values in (*said, psnr(made, images), psnr(again, images))])
        before, after, distance, back = (torch.cat(values).numpy() for values in zip(*parts, strict=True))
        had = labels[:, column].numpy()
        figures += [
            *_shares(f"{name} given", who, ~had, after, before, wanted=True),
            *_shares(f"{name} taken", who, had, after, before, wanted=False),
            mean_over_faces(f"PSNR of the edited faces ({name}) to the photos", distance, "dB"),
            mean_over_faces(f"reconstruction PSNR, {way_back} ({name})", back, "dB"),
        ]
    return figures


def _shares(
    what: str, who: str, asked: np.ndarray, after: np.ndarray, before: np.ndarray, wanted: bool
) -> Sequence[Figure]:
    """Share of the faces ``asked`` that show what was ``wanted`` after the edit, and before it; none of no faces.

    ``who`` says where the attribute net that judges comes from.
    """
    if not asked.any():
        return ()
    return (
        mean_over_faces(f"{what}: so judged by the attribute net {who}", (after[asked] == wanted).astype(float), ""),
        mean_over_faces(f"{what}: the same of the photos, unedited", (before[asked] == wanted).astype(float), ""),
    )
