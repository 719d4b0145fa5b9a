"""Attributes of faces as 0 and 1, and draws from a batch's own noise, for the methods that learn from attributes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from maskgan_lib.data.batches import Batch
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.training.stage import TrainingError


def face_labels(faces: PackedFaces, attributes: Sequence[str]) -> Tensor:
    """float32 ``[N, A]``: 1 where a face has an attribute, 0 where it has not.

    Raises ``TrainingError`` where there is nothing to learn from: no attribute is named, the faces do not know it, or
    the train split does not show it both ways.
    """
    if not attributes:
        raise TrainingError("No attribute is named: name one at least, for instance Smiling.")
    try:
        known = torch.tensor([faces.attribute(name).tolist() for name in attributes]).T > 0
    except DataError as error:
        raise TrainingError(f"{error} Name others, or choose other faces.") from error
    shares = known[faces.indices("train")].float().mean(dim=0)
    for name, share in zip(attributes, shares.tolist(), strict=True):
        if not 0 < share < 1:
            which = "without" if share else "with"
            raise TrainingError(
                f"{faces.folder} has no face {which} {name} in its train split: what it looks like cannot be learnt."
                " Name another attribute, or choose other faces."
            )
    return known.float()


def uniform(batch: Batch, count: int, device: torch.device | str | None = None) -> Tensor:
    """Numbers in [0, 1], ``[B, count]``, that depend on seed, step and the place in the whole batch only.

    They are on ``device``, the batch's unless given.
    """
    return torch.special.ndtr(batch.noise(count, device=device))


def pick(share: Tensor, size: int) -> Tensor:
    """Numbers in [0, 1] as places in a list of ``size``, int64."""
    return (share * size).long().clamp(max=size - 1)
