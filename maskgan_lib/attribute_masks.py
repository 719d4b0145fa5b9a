"""Masks that give and take attributes: the generator of masks of SeCGAN, G_seg, moves the outlines of a face."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F

from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card
from maskgan_lib.classes import CLASS_ID, GROUPS, MERGED_CLASSES, MERGED_ID, NUM_CLASSES, SIDED_PAIRS
from maskgan_lib.edits import fill_nearest, take_over
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.networks import one_hot

KEPT = (CLASS_ID["hat"], CLASS_ID["neck_l"], CLASS_ID["cloth"])
"""Classes that G_seg cannot tell from the background: their pixels stay as they are."""
FACE = (*GROUPS["face"], CLASS_ID["eye_g"])
"""Classes whose pixels say where the middle of a face is."""


class AttributeMasks:
    """Edits of label maps, uint8 ``[S, S]``, by a copy of G_seg that nobody else can change; several threads may edit.

    G_seg's own errors stay out: an edit takes over the pixels whose class differs between two of its outputs, the one
    for no difference of the attributes and the one for the difference asked for. S need not be the size that it learnt
    at. A hat, a necklace and clothes stay as they are: G_seg sees them as part of the background.

    Args:
        network: a generator of the branch ``seg``, for the 12 merged classes. ``self.network`` is a copy.
        size: pixels a side of the masks that it learnt from.

    Raises ``ValueError`` for another generator.
    """

    def __init__(self, network: SeCGANGenerator, size: int, device: torch.device | str = "cpu"):
        if network.config["branch"] != "seg" or network.config["num_classes"] != len(MERGED_CLASSES):
            raise ValueError(
                f"This SeCGANGenerator changes {'pictures' if network.config['branch'] == 'rgb' else 'other masks'}: "
                f"take the generator of masks of {len(MERGED_CLASSES)} classes (g_seg, secgan-masks)."
            )
        self.network = copy.deepcopy(network).to(device, torch.float32).eval().requires_grad_(False)
        self.device, self.size, self.attributes = torch.device(device), size, tuple(network.config["attributes"])

    @classmethod
    def load(cls, path: str | Path, device: torch.device | str = "cpu") -> Self:
        """Of a weights file whose model card says at which size it learnt; ``CheckpointError`` for another file."""
        network, card = load_weights(path), read_card(path)
        if not isinstance(network, SeCGANGenerator):
            raise CheckpointError(f"{path} holds a {type(network).__name__}: take SeCGAN's generator of masks (g_seg).")
        if "image_size" not in card:
            raise CheckpointError(f"{path} does not say at which size it learnt: take weights that a training wrote.")
        try:
            return cls(network, card["image_size"], device)
        except ValueError as error:
            raise CheckpointError(f"{path} cannot edit masks. {error}") from error

    def __repr__(self) -> str:
        return f"AttributeMasks({', '.join(self.attributes)})"

    def move(self, mask: np.ndarray, amounts: Mapping[str, float]) -> np.ndarray:
        """``mask``, ids 0 to 18, with more of some attributes, or less: amounts from -1 to 1, 0 for those not named.

        All of them zero give an equal mask. ``ValueError`` for attributes that G_seg does not know, for other amounts,
        and for something else than such a mask.
        """
        unknown = [name for name in amounts if name not in self.attributes]
        if unknown:
            raise ValueError(f"Masks cannot be given {', '.join(unknown)}: choose from {', '.join(self.attributes)}.")
        wrong = [f"{name}: {amount}" for name, amount in amounts.items() if not -1 <= amount <= 1]
        if wrong:
            raise ValueError(f"An amount must be from -1 to 1, not {', '.join(wrong)}.")
        if mask.ndim != 2 or mask.shape[0] != mask.shape[1] or mask.max() >= NUM_CLASSES:
            raise ValueError(f"A mask must be ids 0 to {NUM_CLASSES - 1} [S, S], not up to {mask.max()} {mask.shape}.")
        if not any(amounts.values()):
            return mask.copy()
        difference = [float(amounts.get(name, 0)) for name in self.attributes]
        with torch.inference_mode(), torch.autocast(self.device.type, enabled=False):
            planes = one_hot(torch.tensor(MERGED_ID[mask][None], device=self.device), len(MERGED_CLASSES))
            # Shares of an area: where parts meet, they are as soft as the masks of the parser that G_seg learnt from.
            soft = F.interpolate(planes, (self.size, self.size), mode="area").expand(2, -1, -1, -1)
            wishes = torch.tensor([[0.0] * len(difference), difference], device=self.device)
            made = F.interpolate(self.network(soft, wishes), mask.shape, mode="bilinear", align_corners=False)
            before, after = made.argmax(1).byte().cpu().numpy()
        return unmerge(mask, take_over(MERGED_ID[mask], before, after))


def unmerge(mask: np.ndarray, merged: np.ndarray) -> np.ndarray:
    """``mask``, uint8 ``[S, S]`` of 19 classes, changed as little as gives the 12 classes ``merged [S, S]``.

    A pixel whose merged class stays keeps its label, and so does one of a hat, a necklace or clothes. Others get the
    label of the nearest pixel of their new merged class in ``mask``. Of the "others" only background and clothes are
    looked at: hair that goes may show these, but not a necklace or a hat. Where ``mask`` has no pixel of the class, an
    eye, a brow or an ear is the left one (on the viewer's right) on that side of the face's middle column, and a lip is
    the upper one above the middle row of the new mouth; "others" are background.
    """
    changed = (MERGED_ID[mask] != merged) & ~np.isin(mask, KEPT)
    moved = mask.copy()
    for number in np.unique(merged[changed]):
        new = changed & (merged == number)
        members = [label for label in tuple(MERGED_CLASSES.values())[number] if label not in KEPT[:2]]
        known = np.isin(mask, members)
        labels = fill_nearest(mask, new, known) if known.any() else _by_side(mask, merged, tuple(members))
        moved[new] = labels[new]
    return moved


def _by_side(mask: np.ndarray, merged: np.ndarray, members: tuple[int, ...]) -> np.ndarray:
    """Integer ``[S, S]``: which of the labels ``members`` a pixel gets where ``mask`` has none of them yet."""
    rows, columns = np.indices(mask.shape)
    if members in SIDED_PAIRS:
        return np.where(columns > _middle(columns, np.isin(mask, FACE)), *members)
    if members == MERGED_CLASSES["lips"]:
        mouth = [list(MERGED_CLASSES).index(name) for name in ("mouth", "lips")]
        return np.where(rows < _middle(rows, np.isin(merged, mouth)), *members)
    return np.full(mask.shape, members[0])


def _middle(places: np.ndarray, region: np.ndarray) -> float:
    """Mean of ``places`` in the ``region``, or of all of them if it is empty."""
    return float(places[region].mean() if region.any() else places.mean())
