"""Edits of masks in MaskVAE's latent space: along named directions, towards another mask, at random."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskgan_lib.classes import EVIDENCE, NUM_CLASSES
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.editor.rendering import Frozen
from maskgan_lib.edits import take_over, without_slivers
from maskgan_lib.networks import MaskVAE, one_hot
from maskgan_lib.progress import progress_bar

ORDINARY, EXAMPLES = 64, 12
"""Faces that directions are computed from: the first so many, and the first so many with each attribute."""
FEWEST = 4
"""A direction needs so many faces with its attribute, and as many without."""
REACH = 1.5
"""How far an amount of 1 goes, in differences between the mean codes of the faces with and without an attribute."""
TRIED = 4
"""Faces on which a direction has to work to be offered ..."""
EFFECT = 0.25
"""... and the least change from -1 to 1, as a share of the difference between faces with and without the attribute."""
BATCH = 16


class LatentEdits(Frozen):
    """Edits of label maps, uint8 ``[S, S]``, by a copy of ``vae`` that nobody else can change.

    A direction is the difference of the mean latent codes of the faces with and without an attribute that shows in
    masks. Those that work are offered: on a few of the faces, more of it makes more of the attribute's evidence.
    MaskVAE's own errors stay out: an edit takes over the pixels whose class changes between two of its outputs, the
    one for the mask as it is and the one for the moved code. S need not be MaskVAE's own size.

    Args:
        faces, indices: what directions are computed from, about 120 of them: with the attributes of CelebA, at any
            size. Without faces there are no directions.
    """

    def __init__(
        self,
        vae: MaskVAE,
        faces: PackedFaces | None = None,
        indices: Sequence[int] | np.ndarray = (),
        device: torch.device | str = "cpu",
    ):
        super().__init__(vae, device)
        self._directions: dict[str, Tensor] = {}
        self._codes = torch.zeros(0, vae.config["latent"])
        if faces is not None and len(indices):
            with self._computing():
                self._find_directions(faces, np.asarray(indices, np.int64))

    def __repr__(self) -> str:
        return f"LatentEdits({', '.join(self.directions) or 'no directions'})"

    @property
    def directions(self) -> tuple[str, ...]:
        """Names for ``move``, which are CelebA's names of attributes."""
        return tuple(self._directions)

    def move(self, mask: np.ndarray, direction: str, amount: float) -> np.ndarray:
        """``mask`` with more of an attribute, or less: ``amount`` from -1 to 1."""
        if direction not in self._directions:
            raise ValueError(f"There is no direction {direction!r}: choose one of {', '.join(self._directions)}.")
        return self._moved(mask, amount * self._directions[direction])

    def random(self, mask: np.ndarray, seed: int, amount: float = 0.4) -> np.ndarray:
        """``mask`` with a change that depends on ``seed`` only: ``amount`` of the way between two random faces.

        Without faces, of a code drawn from N(0, I).
        """
        rng = np.random.default_rng(seed)
        if len(self._codes) > 1:
            start, end = rng.choice(len(self._codes), 2, replace=False)
            step = self._codes[end] - self._codes[start]
        else:
            step = torch.from_numpy(rng.standard_normal(self._codes.shape[1], np.float32))
        return self._moved(mask, amount * step)

    def towards(self, mask: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
        """A mask between two: ``share`` 0 is ``mask`` and 1 is ``other``, exactly.

        A pixel has the label of the mask whose class MaskVAE puts there on the way, and that class if it is neither's.
        Where both ends decode to the same class, the label changes over halfway.
        """
        if mask.shape != other.shape:
            raise ValueError(f"The masks have two sizes: {mask.shape} and {other.shape}.")
        if share in (0, 1):
            return (mask, other)[int(share)].copy()
        with self._computing():
            codes = self._encode(np.stack([mask, other]))
            between = codes[:1].lerp(codes[1:], share)
            here, there, way = self._decode(torch.cat([codes, between]), mask.shape)
        nearer = mask if share < 0.5 else other
        between = np.select([here == there, way == here, way == there], [nearer, mask, other], way)
        return without_slivers(between, between != nearer)

    def _moved(self, mask: np.ndarray, step: Tensor) -> np.ndarray:
        with self._computing():
            code = self._encode(mask[None])
            before, after = self._decode(torch.cat([code, code + step.to(self.device)]), mask.shape)
        return take_over(mask, before, after)

    def _encode(self, masks: np.ndarray) -> Tensor:
        """Codes ``[B, latent]`` of masks ``[B, S, S]``, sampled at MaskVAE's size."""
        side = self._network.config["image_size"]
        rows, columns = ((np.arange(side) + 0.5) * length // side for length in masks.shape[1:])
        sampled = masks[:, rows.astype(int)[:, None], columns.astype(int)]
        return self._network.encode(one_hot(torch.tensor(sampled, device=self.device), NUM_CLASSES))[0]

    def _decode(self, codes: Tensor, shape: tuple[int, ...]) -> np.ndarray:
        """Most likely classes, uint8 ``[B, *shape]``; edges between MaskVAE's pixels are smooth, not steps."""
        logits = self._network.decode(codes)
        if logits.shape[-2:] != shape:
            logits = F.interpolate(logits, shape, mode="bilinear", align_corners=False)
        return logits.argmax(1).byte().cpu().numpy()

    def _find_directions(self, faces: PackedFaces, indices: np.ndarray) -> None:
        known = {name: faces.attribute(name)[indices] > 0 for name in EVIDENCE if name in faces.attribute_names}
        chosen = np.arange(len(indices)) < ORDINARY
        for has in known.values():
            chosen[np.flatnonzero(has)[:EXAMPLES]] = True
        masks = faces.masks[indices[chosen]]
        starts = range(0, len(masks), BATCH)
        title = "directions of MaskVAE"
        codes = [self._encode(masks[i : i + BATCH]) for i in progress_bar(starts, desc=title, unit="batch")]
        self._codes = torch.cat(codes).cpu()
        tried = np.linspace(0, min(ORDINARY, len(masks)) - 1, TRIED).astype(int)
        before = self._decode(self._codes[tried].to(self.device), masks.shape[1:])
        for name, has in known.items():
            group = torch.from_numpy(has[chosen])
            if min(group.sum(), (~group).sum()) < FEWEST:
                continue
            step = REACH * (self._codes[group].mean(0) - self._codes[~group].mean(0))
            shares = np.isin(masks, EVIDENCE[name]).mean((1, 2))
            difference = float(shares[has[chosen]].mean() - shares[~has[chosen]].mean())
            ends = [
                self._decode((self._codes[tried] + amount * step).to(self.device), masks.shape[1:])
                for amount in (-1, 1)
            ]
            if _works(masks[tried], before, ends, EVIDENCE[name], difference):
                self._directions[name] = step


def _works(
    masks: np.ndarray, before: np.ndarray, ends: Sequence[np.ndarray], ids: tuple[int, ...], difference: float
) -> bool:
    """Whether the share of pixels of the classes ``ids`` in the edited masks goes the way it should."""
    less, more = (
        np.mean([np.isin(take_over(*three), ids) for three in zip(masks, before, after, strict=True)]) for after in ends
    )
    less, same, more = np.sign(difference) * np.array([less, np.isin(masks, ids).mean(), more])
    return bool(less <= same <= more and more - less > EFFECT * abs(difference))
