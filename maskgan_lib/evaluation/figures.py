"""What is measured on the weights of every kind of network: the figures of the model cards."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from maskgan_lib.attribute_masks import AttributeMasks
from maskgan_lib.classes import CLASS_ID, CLASS_TITLES, EVIDENCE, GROUPS, NUM_CLASSES
from maskgan_lib.data.batches import merge, to_float_image
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.edits import replace_parts
from maskgan_lib.evaluation.estimates import Figure, mean_over_faces
from maskgan_lib.evaluation.grades import sees
from maskgan_lib.evaluation.judges import (
    Judges,
    in_batches,
    measure_attributes,
    measure_identity,
    measure_masks,
    measure_parser,
    measure_pose,
)
from maskgan_lib.evaluation.metrics import confusion_matrix, locality, mean_iou, psnr
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

Values = dict[tuple[str, str], Tensor]
"""One number a face, ``[B]``, by the name of the figure that is their mean and its unit."""


@torch.no_grad()
def _over_faces(
    network: nn.Module,
    faces: PackedFaces,
    indices: np.ndarray,
    of_batch: Callable[[Tensor, Tensor, np.ndarray], Values],
) -> dict[tuple[str, str], np.ndarray]:
    """What ``of_batch(images, labels, places)`` says of the faces ``indices``, on the network's device."""
    device, parts, end = next(network.parameters()).device, [], 0
    for images, masks in in_batches(faces, indices):
        places = np.arange(end, end := end + len(masks))
        parts.append(of_batch(images.to(device), torch.as_tensor(masks, device=device), places))
    return {key: torch.cat([values[key] for values in parts]).cpu().numpy() for key in parts[0]}


def _means(*measured) -> list[Figure]:
    """The means of what ``_over_faces`` gives for these arguments."""
    return [mean_over_faces(name, values, unit) for (name, unit), values in _over_faces(*measured).items()]


def measure_maskvae(network: MaskVAE, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """``measure_masks`` of those that are decoded from the masks' mean codes."""
    return measure_masks(lambda _, labels: network(one_hot(labels))[0], network, faces, indices)


def measure_dmn(network: DenseMappingNetwork | SPADEGenerator, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """PSNR of the faces ``indices`` rendered from their own mask and style, and the locality of a swapped mouth.

    The mouth of the next face in the batch takes the place of each face's own; pairs that agree there are left out.
    """

    def of_batch(images, labels, places):
        style = network.encode_style(images, one_hot(labels))
        made = network.render(one_hot(labels), style)
        pairs = zip(labels.cpu().numpy(), labels.roll(-1, dims=0).cpu().numpy(), strict=True)
        swapped = np.stack([replace_parts(own, other, GROUPS["mouth"]) for own, other in pairs])
        edited = torch.as_tensor(swapped, device=labels.device)
        after = network.render(one_hot(edited), style)
        return {
            ("reconstruction PSNR", "dB"): psnr(made, images),
            ("change inside a swapped mouth over change far from it", "times"): locality(made, after, edited != labels),
        }

    return _means(network, faces, indices, of_batch)


def measure_blender(
    network: AlphaBlender, faces: PackedFaces, indices: np.ndarray, dmn: DenseMappingNetwork, maskvae: MaskVAE
) -> list[Figure]:
    """PSNR of the blends of two opposite edits of the faces ``indices``, and of the better one of the two renders.

    The next face in the batch gives each edit its direction. ``dmn`` paints, ``maskvae`` edits.
    """

    def of_batch(images, labels, places):
        mask = one_hot(labels)
        edits = torch.cat(simulate_edits(maskvae, mask, mask.roll(-1, dims=0)))
        inter, outer = dmn(edits, images, mask).chunk(2)
        return {
            ("blend of two opposite edits, PSNR to the photo", "dB"): psnr(network(inter, outer)[0], images),
            ("the better one of the two renders", "dB"): torch.maximum(psnr(inter, images), psnr(outer, images)),
        }

    return _means(network, faces, indices, of_batch)


# ---- attributes that are given and taken


def _by_label(network: StarGANGenerator, images: Tensor, own: Tensor, column: int, _) -> list[Tensor]:
    """The other label is asked for, and then the own one again."""
    asked = own.clone()
    asked[:, column] = 1 - own[:, column]
    made = network(images, asked)
    return [made, network(made, own)]


def _by_example(network: Elegant, images: Tensor, own: Tensor, column: int, others: Callable) -> list[Tensor]:
    """The next face with the other label lends it."""
    again, _, made, _ = network(images, others(), network.config["attributes"][column])
    return [made, again]


def _by_difference(network: SeCGANGenerator, images: Tensor, own: Tensor, column: int, _) -> list[Tensor]:
    difference = torch.zeros_like(own)
    difference[:, column] = 1 - 2 * own[:, column]
    return [network(images, difference)]


def _measure_edits(
    edit: Callable[[nn.Module, Tensor, Tensor, int, Callable[[], Tensor]], list[Tensor]],
    way_back: str,
    network: StarGANGenerator | Elegant | SeCGANGenerator,
    faces: PackedFaces,
    indices: np.ndarray,
    judges: Judges | None = None,
) -> list[Figure]:
    """By attribute: does a picture show the label asked for, how far is it from the photo, how well does that return.

    ``edit(network, images, own, column, others)`` gives pictures with the attribute ``column`` changed, and where there
    is a ``way_back`` the photos again; ``own`` are the faces' labels, float ``[B, A]``, ``others()`` photos with the
    other label. ``judges`` say which attributes a picture shows; by default those that ship. ``DataError`` if they, or
    the faces, do not know an attribute of the network, or if nobody can lend the other label.
    """
    names, device = network.config["attributes"], next(network.parameters()).device
    judges = judges or Judges.shipped(device)
    labels = np.stack([faces.attribute(name)[indices] > 0 for name in names], axis=1)
    judged = f"so judged by the attribute net {judges.origins['attributes']}"

    def of_batch(images, _, places):
        own, values = torch.tensor(labels[places], device=device).float(), {}
        before = sees(images, names, judges)
        for column, name in enumerate(names):

            def others(column=column):
                lenders = [_next_other(labels[:, column], place) for place in places]
                return to_float_image(faces.read(indices[lenders])[0], device)

            made, *again = edit(network, images, own, column, others)
            after = sees(made, [name], judges)[:, 0]
            for how, wish in (("given", 1), ("taken", 0)):
                for what, shown in ((judged, after), ("the same of the photos, unedited", before[:, column])):
                    right = (shown == wish).double()
                    values[f"{name} {how}: {what}", ""] = right.where(own[:, column] != wish, torch.nan)
            values[f"PSNR of the edited faces ({name}) to the photos", "dB"] = psnr(made, images)
            for returned in again:
                values[f"reconstruction PSNR, {way_back} ({name})", "dB"] = psnr(returned, images)
        return values

    found = _over_faces(network, faces, indices, of_batch).items()
    return [mean_over_faces(name, values, unit) for (name, unit), values in found if np.isfinite(values).any()]


def _next_other(labels: np.ndarray, place: int) -> int:
    others = np.flatnonzero(np.roll(labels, -place) != labels[place])
    if not len(others):
        raise DataError("All these faces have the same label: nobody can lend the other one.")
    return int((place + others[0]) % len(labels))


measure_stargan = partial(_measure_edits, _by_label, "there and back")
measure_elegant = partial(_measure_edits, _by_example, "from their own codes")


def measure_secgan(
    network: SeCGANGenerator, faces: PackedFaces, indices: np.ndarray, judges: Judges | None = None
) -> list[Figure]:
    """The same of G_rgb, and how it answers to no change; ``TrainingError`` for a generator that needs masks."""
    check_edits_faces("What is measured", network)

    def of_batch(images, labels, places):
        nothing = images.new_zeros(len(images), len(network.config["attributes"]))
        return {("reconstruction PSNR, asked for no change", "dB"): psnr(network(images, nothing), images)}

    edits = _measure_edits(_by_difference, "", network, faces, indices, judges)
    return edits + _means(network, faces, indices, of_batch)


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

    counts = torch.zeros(NUM_CLASSES, NUM_CLASSES, dtype=torch.int64)

    def of_batch(images, labels, places):
        merged = merge(labels)
        planes = one_hot(merged, network.config["num_classes"])
        again = network(planes, planes.new_zeros(len(planes), len(editor.attributes))).argmax(dim=1)
        counts.add_(confusion_matrix(again, merged).cpu())
        return {("share of pixels given back, asked for no change", ""): (again == merged).float().mean(dim=(1, 2))}

    figures, masks = _means(network, faces, indices, of_batch), faces.read(indices)[1]
    figures.append(Figure("mean IoU of these over the classes present", mean_iou(counts), "", len(indices)))
    shown = [name for name in SHOWN if name in editor.attributes and name in faces.attribute_names]
    for name in progress_bar(shown, desc="masks moved", unit="attribute"):
        figures += _areas(editor, masks, name, faces.attribute(name)[indices] > 0)
    return figures


def _areas(editor: AttributeMasks, masks: np.ndarray, name: str, has: np.ndarray) -> list[Figure]:
    """How the area that shows an attribute changes when those without get it, and those that ``has`` it lose it."""
    moved = np.stack([editor.move(mask, {name: -1 if h else 1}) for mask, h in zip(masks, has, strict=True)])
    own, after = (100 * np.isin(shown, SHOWN[name]).mean(axis=(1, 2)) for shown in (masks, moved))
    what, unit = " and ".join(CLASS_TITLES[label] for label in SHOWN[name]), "% of the picture"
    figures = [
        mean_over_faces(f"{name} {how}: change of the area of {what}", (after - own)[group], unit)
        for how, group in (("given", ~has), ("taken", has))
        if group.any()
    ]
    if has.any() and not has.all():
        difference = float(own[has].mean() - own[~has].mean())
        figures.append(Figure(f"{name}: this area, of faces with it less of faces without", difference, unit, len(has)))
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

    ``TrainingError`` for another network, ``DataError`` if nothing can be said of these faces.
    """
    kind, measure = FIGURES[name]
    if not isinstance(network, kind):
        raise TrainingError(f"The file holds a {type(network).__name__}, where a {kind.__name__} is measured.")
    return measure(network, faces, indices, **others)
