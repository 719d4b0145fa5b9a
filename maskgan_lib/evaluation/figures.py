"""What is measured on the weights of every kind of network: the figures of the model cards."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from maskgan_lib.attribute_masks import AttributeMasks
from maskgan_lib.classes import CLASS_ID, CLASS_TITLES, EVIDENCE, GROUPS, NUM_CLASSES
from maskgan_lib.data.batches import merge, to_float_image
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.edits import changed, replace_parts
from maskgan_lib.evaluation.estimates import Figure, mean_over_faces
from maskgan_lib.evaluation.judges import (
    BATCH,
    Judges,
    in_batches,
    measure_attributes,
    measure_identity,
    measure_parser,
    measure_pose,
)
from maskgan_lib.evaluation.metrics import confusion_matrix, locality, mean_iou, pixel_accuracy, psnr
from maskgan_lib.evaluation.selfsupervised import measure_selfsupervised
from maskgan_lib.judges.attributes import AttributeNet
from maskgan_lib.judges.identity import IdentityNet
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.judges.pose import PoseNet
from maskgan_lib.judges.selfsupervised import SelfSupervisedNet
from maskgan_lib.methods.elegant import Elegant
from maskgan_lib.methods.secgan import SeCGANGenerator, check_edits_faces
from maskgan_lib.methods.spade import SPADEGenerator
from maskgan_lib.methods.stargan import StarGANGenerator
from maskgan_lib.networks import AlphaBlender, DenseMappingNetwork, MaskVAE, one_hot
from maskgan_lib.progress import progress_bar
from maskgan_lib.registry import METHODS
from maskgan_lib.training.ebst import simulate_edits
from maskgan_lib.training.stage import TrainingError

SHOWN = EVIDENCE | {"Bald": (CLASS_ID["hair"],), "Bushy_Eyebrows": GROUPS["brows"]}
"""``EVIDENCE``, and of two attributes more, for which MaskVAE has no direction."""


@torch.no_grad()
def measure_maskvae(network: MaskVAE, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """Pixel accuracy and mean IoU over the classes present of the masks ``indices``, decoded from their mean code."""
    device = next(network.parameters()).device
    total = torch.zeros(19, 19, dtype=torch.int64)
    for _, masks in in_batches(faces, indices):
        labels = torch.as_tensor(masks, device=device)
        logits, _, _ = network(one_hot(labels))
        total += confusion_matrix(logits.argmax(dim=1), labels).cpu()
    return [
        Figure("pixel accuracy", pixel_accuracy(total), "", len(indices)),
        Figure("mean IoU over the classes present", mean_iou(total), "", len(indices)),
    ]


@torch.no_grad()
def measure_dmn(network: DenseMappingNetwork | SPADEGenerator, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """PSNR of the faces ``indices`` rendered from their own mask and style, and the locality of a swapped mouth.

    The mouth of the next face in the list takes the place of each face's own; pairs that agree there are left out.
    """
    device = next(network.parameters()).device
    quality, ratio = [], []
    for image, masks in in_batches(faces, indices):
        image, mask = image.to(device), one_hot(torch.as_tensor(masks, device=device))
        style = network.encode_style(image, mask)
        made = network.render(mask, style)
        quality.append(psnr(made, image).cpu())
        swapped = [replace_parts(a, b, GROUPS["mouth"]) for a, b in zip(masks, np.roll(masks, -1, axis=0), strict=True)]
        edited = torch.as_tensor(np.stack([changed(a, b) for a, b in zip(masks, swapped, strict=True)]), device=device)
        after = network.render(one_hot(torch.as_tensor(np.stack(swapped), device=device)), style)
        ratio.append(locality(made, after, edited).cpu())
    return [
        mean_over_faces("reconstruction PSNR", torch.cat(quality).numpy(), "dB"),
        mean_over_faces("change inside a swapped mouth over change far from it", torch.cat(ratio).numpy(), "times"),
    ]


@torch.no_grad()
def measure_blender(
    network: AlphaBlender, faces: PackedFaces, indices: np.ndarray, dmn: DenseMappingNetwork, maskvae: MaskVAE
) -> list[Figure]:
    """PSNR of the blends of two opposite edits of the faces ``indices``, and of the better one of the two renders.

    The next face in the list gives each edit its direction. ``dmn`` paints, ``maskvae`` edits.
    """
    device = next(network.parameters()).device
    blends, better = [], []
    for image, masks in in_batches(faces, indices):
        image, mask = image.to(device), one_hot(torch.as_tensor(masks, device=device))
        edits = torch.cat(simulate_edits(maskvae, mask, mask.roll(-1, dims=0)))
        inter, outer = dmn(edits, image, mask).chunk(2)
        blends.append(psnr(network(inter, outer)[0], image).cpu())
        better.append(torch.maximum(psnr(inter, image), psnr(outer, image)).cpu())
    return [
        mean_over_faces("blend of two opposite edits, PSNR to the photo", torch.cat(blends).numpy(), "dB"),
        mean_over_faces("the better one of the two renders", torch.cat(better).numpy(), "dB"),
    ]


@torch.no_grad()
def measure_stargan(
    network: StarGANGenerator, faces: PackedFaces, indices: np.ndarray, judges: Judges | None = None
) -> list[Figure]:
    """What becomes of the faces ``indices`` that are asked for the other label of each attribute, and back.

    ``judges`` say which attributes a picture shows; by default those that ship. ``DataError`` if they, or the faces,
    do not know an attribute of the network.
    """

    def edit(images: Tensor, own: Tensor, column: int, places: np.ndarray) -> tuple[Tensor, Tensor]:
        other = own.clone()
        other[:, column] = 1 - own[:, column]
        made = network(images, other)
        return made, network(made, own)

    return _figures(network, faces, indices, judges, edit, "there and back")


@torch.no_grad()
def measure_elegant(
    network: Elegant, faces: PackedFaces, indices: np.ndarray, judges: Judges | None = None
) -> list[Figure]:
    """What becomes of the faces ``indices`` that take each attribute from the next face with the other label.

    ``judges`` and errors as in ``measure_stargan``; ``DataError`` too if all the faces have, or lack, an attribute.
    """
    names = network.config["attributes"]

    def edit(images: Tensor, own: Tensor, column: int, places: np.ndarray) -> tuple[Tensor, Tensor]:
        has = faces.attribute(names[column])[indices] > 0
        partners = [_next_other(has, place) for place in places]
        theirs = to_float_image(faces.read(indices[partners])[0], images.device)
        again, _, made, _ = network(images, theirs, names[column])
        return made, again

    return _figures(network, faces, indices, judges, edit, "from their own codes")


@torch.no_grad()
def measure_secgan(
    network: SeCGANGenerator, faces: PackedFaces, indices: np.ndarray, judges: Judges | None = None
) -> list[Figure]:
    """What G_rgb makes of the faces ``indices``, asked for the other label of each attribute, and for no change.

    ``judges`` and errors as in ``measure_stargan``; ``TrainingError`` for a generator that needs masks.
    """
    check_edits_faces("What is measured", network)

    def edit(images: Tensor, own: Tensor, column: int, places: np.ndarray) -> tuple[Tensor, None]:
        difference = torch.zeros_like(own)
        difference[:, column] = 1 - 2 * own[:, column]
        return network(images, difference), None

    figures, device = _figures(network, faces, indices, judges, edit), next(network.parameters()).device
    nothing, back = len(network.config["attributes"]), []
    for images, _ in in_batches(faces, indices):
        images = images.to(device)
        back.append(psnr(network(images, images.new_zeros(len(images), nothing)), images).cpu())
    return [*figures, mean_over_faces("reconstruction PSNR, asked for no change", torch.cat(back).numpy(), "dB")]


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


def _next_other(labels: np.ndarray, place: int) -> int:
    others = np.flatnonzero(np.roll(labels, -place) != labels[place])
    if not len(others):
        raise DataError("All these faces have the same label: nobody can lend the other one.")
    return int((place + others[0]) % len(labels))


def _figures(
    network: StarGANGenerator | Elegant | SeCGANGenerator,
    faces: PackedFaces,
    indices: np.ndarray,
    judges: Judges | None,
    edit: Callable[[Tensor, Tensor, int, np.ndarray], tuple[Tensor, Tensor | None]],
    way_back: str = "",
) -> list[Figure]:
    """By attribute: does a picture show the label asked for, how far is it from the photo, how well does that return.

    ``edit(images, own, column, places)`` gives pictures with the attribute ``column`` changed, and the photos again, by
    the ``way_back``, or None where there is none; ``own`` are the faces' labels, float ``[B, A]``.
    """
    names, device, figures = network.config["attributes"], next(network.parameters()).device, []
    judges = judges or Judges.shipped(device)
    unknown = [name for name in names if name not in judges.attribute_names]
    if unknown:
        raise DataError(f"The attribute net does not know {', '.join(unknown)}: nothing can be said of such edits.")
    labels = np.stack([faces.attribute(name)[indices] > 0 for name in names], axis=1)
    for column, name in enumerate(names):
        seen, parts = judges.attribute_names.index(name), []
        for places in np.array_split(np.arange(len(indices)), -(-len(indices) // BATCH)):
            images = to_float_image(faces.read(indices[places])[0], device)
            made, again = edit(images, torch.tensor(labels[places], device=device).float(), column, places)
            said = [judges.attributes(pictures)[:, seen] > 0 for pictures in (images, made)]
            returned = [] if again is None else [psnr(again, images)]
            parts.append([values.cpu() for values in (*said, psnr(made, images), *returned)])
        before, after, distance, *back = (torch.cat(values).numpy() for values in zip(*parts, strict=True))
        for how, asked in (("given", ~labels[:, column]), ("taken", labels[:, column])):
            if asked.any():
                figures += [
                    mean_over_faces(f"{name} {how}: {what}", (shown[asked] == (how == "given")).astype(float), "")
                    for what, shown in (
                        (f"so judged by the attribute net {judges.origins['attributes']}", after),
                        ("the same of the photos, unedited", before),
                    )
                ]
        figures += [
            mean_over_faces(f"PSNR of the edited faces ({name}) to the photos", distance, "dB"),
            *(mean_over_faces(f"reconstruction PSNR, {way_back} ({name})", values, "dB") for values in back),
        ]
    return figures


FIGURES = {
    "maskvae": (MaskVAE, measure_maskvae),
    "blender": (AlphaBlender, measure_blender),
    **{method.stage: (method.network, measure_dmn) for method in METHODS.values() if method.renders},
    "stargan": (StarGANGenerator, measure_stargan),
    "elegant": (Elegant, measure_elegant),
    "secgan-faces": (SeCGANGenerator, measure_secgan),
    "secgan-masks": (SeCGANGenerator, measure_secgan_masks),
    "parser": (FaceParser, measure_parser),
    "attributes": (AttributeNet, measure_attributes),
    "identity": (IdentityNet, measure_identity),
    "pose": (PoseNet, measure_pose),
    "selfsupervised": (SelfSupervisedNet, measure_selfsupervised),
}
"""By name: the kind of network, and what measures it; a blender also needs ``dmn`` and ``maskvae``."""


def figures_of(name: str, network: nn.Module, faces: PackedFaces, indices: np.ndarray, **others) -> list[Figure]:
    """The figures of a network of ``FIGURES`` on unseen faces; ``others`` are the networks that it works with.

    ``TrainingError`` for another network, ``DataError`` if there is no face, or nothing can be said of these.
    """
    kind, measure = FIGURES[name]
    if not isinstance(network, kind):
        raise TrainingError(f"The file holds a {type(network).__name__}, where a {kind.__name__} is measured.")
    if not len(indices):
        raise DataError(f"{faces.folder} has no faces to measure on: take a folder with a test split.")
    return measure(network, faces, indices, **others)
