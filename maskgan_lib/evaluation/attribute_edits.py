"""How well StarGAN, ELEGANT and SeCGAN give and take attributes of unseen faces, and what else they change."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.attribute_masks import AttributeMasks
from maskgan_lib.classes import CLASS_ID, CLASS_TITLES, EVIDENCE, GROUPS, NUM_CLASSES
from maskgan_lib.data.batches import merge, to_float_image
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.judges import Judges
from maskgan_lib.evaluation.metrics import confusion_matrix, mean_iou, psnr
from maskgan_lib.evaluation.reconstruction import Figure, mean_over_faces
from maskgan_lib.methods.elegant import Elegant
from maskgan_lib.methods.secgan import SeCGANGenerator, check_edits_faces
from maskgan_lib.methods.stargan import StarGANGenerator
from maskgan_lib.networks import one_hot
from maskgan_lib.progress import progress_bar
from maskgan_lib.training.stage import TrainingError

BATCH = 16

SHOWN = EVIDENCE | {"Bald": (CLASS_ID["hair"],), "Bushy_Eyebrows": GROUPS["brows"]}
"""``EVIDENCE``, and of two attributes more, for which MaskVAE has no direction."""


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


@torch.no_grad()
def measure_secgan(
    network: SeCGANGenerator, faces: PackedFaces, indices: np.ndarray, judges: Judges | None = None
) -> list[Figure]:
    """What G_rgb makes of the faces ``indices``, asked for the other label of each attribute, and for no change.

    ``judges`` and errors as in ``measure_stargan``; ``TrainingError`` for a generator that needs masks.
    """
    check_edits_faces("What is measured", network)
    judges, labels = _prepared(network, faces, indices, judges)

    def edit(images: Tensor, places: np.ndarray, column: int) -> tuple[Tensor, None]:
        difference = torch.zeros(len(images), labels.shape[1])
        difference[:, column] = 1 - 2 * labels[places, column].float()
        return network(images, difference.to(images.device)), None

    back = []
    for start in range(0, len(indices), BATCH):
        images = to_float_image(faces.read(indices[start : start + BATCH])[0], next(network.parameters()).device)
        back.append(psnr(network(images, images.new_zeros(len(images), labels.shape[1])), images).cpu())
    return [
        *_figures(network, faces, indices, judges, labels, edit),
        mean_over_faces("reconstruction PSNR, asked for no change", torch.cat(back).numpy(), "dB"),
    ]


@torch.no_grad()
def measure_secgan_masks(network: SeCGANGenerator, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """How G_seg gives back the masks ``indices``, of the size that it learnt at, and moves them as ``AttributeMasks``.

    What shows an attribute in masks should grow, or shrink, when a face gets it: the mean change of its area, and for
    comparison the difference between the mean areas of the faces with and without. ``TrainingError`` for a generator
    of pictures.
    """
    try:
        editor = AttributeMasks(network, faces.size, next(network.parameters()).device)
    except ValueError as error:
        raise TrainingError(str(error)) from error
    masks, device = faces.read(indices)[1], next(network.parameters()).device
    shares, total = [], torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.int64)
    for start in range(0, len(indices), BATCH):
        merged = merge(torch.as_tensor(masks[start : start + BATCH], device=device))
        planes = one_hot(merged, network.config["num_classes"])
        again = network(planes, planes.new_zeros(len(planes), len(editor.attributes))).argmax(dim=1)
        shares.append((again == merged).float().mean(dim=(1, 2)).cpu())
        total += confusion_matrix(again.cpu(), merged.cpu())
    figures = [
        mean_over_faces("share of pixels given back, asked for no change", torch.cat(shares).numpy(), ""),
        Figure("mean IoU of these over the classes present", mean_iou(total), "", len(indices)),
    ]
    shown = [name for name in SHOWN if name in editor.attributes and name in faces.attribute_names]
    for name in progress_bar(shown, desc="masks moved", unit="attribute"):
        figures += _areas(editor, masks, name, faces.attribute(name)[indices] > 0)
    return figures


def _areas(editor: AttributeMasks, masks: np.ndarray, name: str, has: np.ndarray) -> list[Figure]:
    """How the area that shows an attribute changes when those without get it, and those that ``has`` it lose it."""

    def area(mask: np.ndarray) -> float:
        return 100 * float(np.isin(mask, SHOWN[name]).mean())

    own = np.array([area(mask) for mask in masks])
    changes = np.array([area(editor.move(mask, {name: -1 if h else 1})) for mask, h in zip(masks, has, strict=True)])
    changes -= own
    what, unit = " and ".join(CLASS_TITLES[label] for label in SHOWN[name]), "% of the picture"
    groups = {"given": ~has, "taken": has}
    figures = [
        mean_over_faces(f"{name} {how}: change of the area of {what}", changes[group], unit)
        for how, group in groups.items()
        if group.any()
    ]
    if has.any() and not has.all():
        difference = float(own[has].mean() - own[~has].mean())
        figures.append(Figure(f"{name}: this area, of faces with it less of faces without", difference, unit, len(has)))
    return figures


def _prepared(
    network: StarGANGenerator | Elegant | SeCGANGenerator,
    faces: PackedFaces,
    indices: np.ndarray,
    judges: Judges | None,
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
    network: StarGANGenerator | Elegant | SeCGANGenerator,
    faces: PackedFaces,
    indices: np.ndarray,
    judges: Judges,
    labels: Tensor,
    edit: Callable[[Tensor, np.ndarray, int], tuple[Tensor, Tensor | None]],
    way_back: str = "",
) -> list[Figure]:
    """By attribute: does a picture show the label asked for, how far is it from the photo, how well does that return.

    ``edit(images, places, column)`` gives pictures with the attribute ``column`` changed, and the photos again, by the
    ``way_back``, or None where there is none.
    """
    device, figures, who = next(network.parameters()).device, [], judges.origins["attributes"]
    for column, name in enumerate(network.config["attributes"]):
        seen = judges.attribute_names.index(name)
        parts = []
        for places in np.array_split(np.arange(len(indices)), -(-len(indices) // BATCH)):
            images = to_float_image(faces.read(indices[places])[0], device)
            made, again = edit(images, places, column)
            said = [judges.attributes(pictures)[:, seen] > 0 for pictures in (images, made)]
            returned = [] if again is None else [psnr(again, images)]
            parts.append([values.cpu() for values in (*said, psnr(made, images), *returned)])
        before, after, distance, *back = (torch.cat(values).numpy() for values in zip(*parts, strict=True))
        had = labels[:, column].numpy()
        figures += [
            *_shares(f"{name} given", who, ~had, after, before, wanted=True),
            *_shares(f"{name} taken", who, had, after, before, wanted=False),
            mean_over_faces(f"PSNR of the edited faces ({name}) to the photos", distance, "dB"),
            *(mean_over_faces(f"reconstruction PSNR, {way_back} ({name})", values, "dB") for values in back),
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
