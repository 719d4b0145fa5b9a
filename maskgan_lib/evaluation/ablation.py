"""Does EBST help? Networks on the same edited masks of the same faces, in each face's own style.

A network that keeps the photo's unedited regions by ignoring the mask would do well on half of these measures, one
that paints clean parts in any colour on the other half: only together they say something.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskgan_lib.classes import IGNORE_ID
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.appearance import colour_distance
from maskgan_lib.evaluation.comparison import Comparison, Measure
from maskgan_lib.evaluation.metrics import around, confusion_matrix, mean_iou
from maskgan_lib.evaluation.perturbations import PERTURBATIONS, SMALLEST_EDIT, perturb
from maskgan_lib.networks import DenseMappingNetwork, MaskVAE, one_hot
from maskgan_lib.progress import progress_bar

LATENT_WALK = "MaskVAE"
EDITS = (*PERTURBATIONS, LATENT_WALK)
"""The edits by name; the last one walks in MaskVAE's latent space, as EBST itself does."""

FARTHEST_WALK = 0.4
"""Share of the way to another mask, or away from it: 1 / lambda_inter, the paper's step."""

BAND, MARGIN = 0.03, 0.1
"""Shares of the height: how far the surroundings of an edit reach, and from where on a pixel is far from it."""

STYLE_ATTRIBUTES = (
    "5_o_Clock_Shadow", "Bags_Under_Eyes", "Black_Hair", "Blond_Hair", "Brown_Hair", "Goatee", "Gray_Hair",
    "Heavy_Makeup", "Male", "Mustache", "No_Beard", "Pale_Skin", "Rosy_Cheeks", "Wearing_Lipstick", "Young",
)  # fmt: skip
"""What no edit of a mask is meant to change: beards have no class, and colours have none either."""

MEASURES = (
    Measure("segmentation agreement", "%", True),
    Measure("segmentation agreement around the edit", "%", True),
    Measure("mean IoU", "%", True),
    Measure("style attributes kept", "%", True),
    Measure("colour distance to the photo", "Delta E", False),
    Measure("feature distance to the photo", "1 - cosine", False),
    Measure("change far from the edit", "grey levels", False),
    Measure("PSNR to the photo far from the edit", "dB", True),
)


class Grader(Protocol):
    """The nets that grade renders, float ``[B, 3, H, W]`` in [-1, 1] on the device of the networks."""

    attribute_names: Sequence[str]

    def parse(self, images: Tensor) -> Tensor:
        """Label maps, integer ``[B, H, W]``."""

    def attributes(self, images: Tensor) -> Tensor:
        """Logits ``[B, A]``."""

    def features(self, images: Tensor) -> Tensor:
        """A vector of what the picture looks like, ``[B, F]``."""


@torch.no_grad()
def walk(vae: MaskVAE, labels: np.ndarray, other: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """``labels`` (uint8 ``[S, S]``) decoded at ``z + share * (z_other - z)``, one for each of ``shares``."""
    device = next(vae.parameters()).device
    z, z_other = vae.encode(one_hot(torch.as_tensor(np.stack([labels, other]), device=device)))[0]
    steps = torch.as_tensor(np.asarray(shares), dtype=z.dtype, device=device)[:, None]
    return vae.decode(z + steps * (z_other - z)).argmax(dim=1).byte().cpu().numpy()


def edits_of_face(
    faces: PackedFaces, indices: np.ndarray, place: int, vae: MaskVAE, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Every one of ``EDITS`` on the face ``indices[place]``, once for each of ``seeds``.

    Returns the masks, uint8 ``[E, K, S, S]``, and bool ``[E, K]``: whether the edit applies to this face; where it does
    not, the mask is the face's own. What is drawn, the other face of ``indices`` that parts are taken from included,
    depends on the edit, the seed and the face's number in the packed folder.
    """
    labels = np.array(faces.masks[indices[place]])
    masks = np.tile(labels, (len(EDITS), len(seeds), 1, 1))
    for k, seed in enumerate(seeds):
        others = np.delete(indices, place)
        for e, name in enumerate(EDITS):
            rng = np.random.default_rng([seed, int(indices[place]), e])
            other = np.array(faces.masks[rng.choice(others)])
            if name == LATENT_WALK:
                edited = walk(vae, labels, other, [rng.uniform(-FARTHEST_WALK, FARTHEST_WALK)])[0]
            else:
                edited = perturb(name, labels, other, rng)
            masks[e, k] = labels if edited is None else edited
    return masks, (masks != labels).mean(axis=(2, 3)) >= SMALLEST_EDIT


@torch.no_grad()
def compare_on_edits(
    runs: Sequence[Mapping[str, DenseMappingNetwork]],
    faces: PackedFaces,
    indices: np.ndarray,
    vae: MaskVAE,
    judges: Grader,
    seeds: Sequence[int] = (0, 1, 2),
    batch: int = 16,
) -> Comparison:
    """``MEASURES`` of networks by name on ``EDITS`` of the faces ``indices``; the last network is what is asked about.

    Each of ``runs`` names the same networks, trained from another seed; one that is in several of them is measured
    once. Every network renders the same masks in the style of the face's own photo, ``batch`` at a time.
    """
    if len(indices) < 2:
        raise ValueError("Edits take parts from another face: at least two faces are needed.")
    names = tuple(runs[0])
    distinct = {id(network): network for run in runs for network in run.values()}
    measured = {key: np.full((len(MEASURES), len(EDITS), len(seeds), len(indices)), np.nan) for key in distinct}
    photos = np.full((len(MEASURES), len(indices)), np.nan)
    truth, asked = _known_attributes(faces, judges)
    device = next(next(iter(distinct.values())).parameters()).device
    for place in progress_bar(range(len(indices)), desc="edits", unit="face"):
        masks, applies = edits_of_face(faces, indices, place, vae, seeds)
        image, own = faces.read(indices[place : place + 1])
        labels = torch.as_tensor(np.concatenate([own, masks[applies]]), device=device)
        grade = _Grading(to_float_image(image, device), labels, judges, asked, truth[indices[place]])
        photos[:, place] = grade.photo()
        for key, network in distinct.items() if applies.any() else ():
            measured[key][:, applies, place] = grade.renders(network, batch)
    values = np.stack([np.stack([measured[id(run[name])] for name in names]) for run in runs])
    return Comparison(names, MEASURES, EDITS, values, photos)


def _known_attributes(faces: PackedFaces, judges: Grader) -> tuple[np.ndarray, list[int]]:
    """bool ``[N, A]``: which style attributes the faces have, and their places among the judge's answers."""
    names = [name for name in STYLE_ATTRIBUTES if name in faces.attribute_names and name in judges.attribute_names]
    truth = [faces.attribute(name) > 0 for name in names]
    return np.array(truth, bool).reshape(len(names), len(faces)).T, [judges.attribute_names.index(n) for n in names]


class _Grading:
    """One face, its own mask and the edited ones, and what the judges see in its photo.

    ``photo`` is ``[1, 3, S, S]``, ``labels`` uint8 ``[1 + n, S, S]``, the own mask first; ``asked`` are the judge's
    answers that count, ``truth`` is what they should be.
    """

    def __init__(self, photo: Tensor, labels: Tensor, judges: Grader, asked: list[int], truth: np.ndarray):
        self.image, self.labels, self.judges, self.asked = photo, labels, judges, asked
        self.truth = torch.as_tensor(truth, device=photo.device)
        self.features = judges.features(photo)
        edited = labels != labels[:1]
        self.near, self.far = around(edited, BAND) & (labels != IGNORE_ID), ~around(edited, MARGIN)

    def photo(self) -> np.ndarray:
        """What applies to the photo itself of ``MEASURES``, ``[M]``."""
        agreement, about, iou, kept = self._seen(self.image, slice(0, 1))
        columns = [agreement, about, iou, kept, *[torch.full_like(agreement, torch.nan)] * 4]
        return torch.stack([column.double() for column in columns])[:, 0].cpu().numpy()

    def renders(self, network: DenseMappingNetwork, batch: int) -> np.ndarray:
        """``MEASURES`` of ``network`` on the edited masks, ``[M, n]``."""
        style = network.encode_style(self.image, one_hot(self.labels[:1]))
        made = torch.cat([network.render(one_hot(part), style) for part in self.labels.split(batch)])
        before, after, edits = made[:1], made[1:], slice(1, None)
        drift = self._far_mean((after - before).abs()) * 127.5
        error = self._far_mean((after - self.image).square())
        similar = F.cosine_similarity(self.judges.features(after), self.features)
        columns = [
            *self._seen(after, edits),
            colour_distance(after, self.labels[edits], self.image, self.labels[:1]),
            1 - similar,
            drift,
            10 * torch.log10(4 / error),
        ]
        return torch.stack([column.double() for column in columns]).cpu().numpy()

    def _far_mean(self, error: Tensor) -> Tensor:
        """Mean of ``error [n, 3, S, S]`` far from each edit, ``[n]``; NaN where nothing is far."""
        far = self.far[1:]
        return (error.mean(dim=1) * far).sum(dim=(1, 2)) / far.sum(dim=(1, 2))

    def _seen(self, image: Tensor, which: slice) -> list[Tensor]:
        """In per cent, ``[B]`` each: the parser's agreement with the labels, the same about the edits, mean IoU, and
        attributes kept.
        """
        labels, near = self.labels[which], self.near[which]
        parsed = self.judges.parse(image).to(labels.dtype)
        known = labels != IGNORE_ID
        hit = (parsed == labels) & known
        iou = [mean_iou(confusion_matrix(a, b)) for a, b in zip(parsed, labels, strict=True)]
        kept = (self.judges.attributes(image)[:, self.asked] > 0) == self.truth
        columns = [
            hit.sum(dim=(1, 2)) / known.sum(dim=(1, 2)),
            (hit & near).sum(dim=(1, 2)) / near.sum(dim=(1, 2)),
            torch.tensor(iou, device=image.device),
            kept.double().mean(dim=1),
        ]
        return [100 * column for column in columns]
