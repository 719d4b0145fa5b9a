"""What judges say of a picture that was asked for: the measures of the paper's tasks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from maskgan_lib.classes import IGNORE_ID
from maskgan_lib.data.errors import DataError
from maskgan_lib.evaluation.appearance import colour_distance
from maskgan_lib.evaluation.estimates import Measure
from maskgan_lib.evaluation.judges import Judges
from maskgan_lib.evaluation.methods import RECONSTRUCTION, STYLE_COPY, TRANSFER, Request
from maskgan_lib.evaluation.metrics import around, grey_levels, mean_outside, psnr, ssim
from maskgan_lib.evaluation.tasks import COPIED

BAND, MARGIN = 0.03, 0.1
"""Shares of the height: how far the surroundings of an edit reach, and from where on a pixel is far from it."""

HIGHEST_PSNR = 100.0
"""dB. Of two equal pictures the PSNR is infinite, and no mean could be taken."""

ATTRIBUTE = Measure("attribute accuracy", "%", True)
SEGMENTATION = Measure("segmentation accuracy", "%", True)
IDENTITY = Measure("identity similarity", "cosine", True)
TASK_MEASURES = {
    TRANSFER: (
        ATTRIBUTE,
        SEGMENTATION,
        Measure("segmentation accuracy around the edit", "%", True),
        IDENTITY,
        Measure("change far from the edit", "grey levels", False),
    ),
    STYLE_COPY: (
        *(Measure(name, "%", True) for name in COPIED),
        SEGMENTATION,
        Measure("colour distance to the source", "Delta E", False),
    ),
    RECONSTRUCTION: (
        Measure("PSNR", "dB", True),
        Measure("SSIM", "", True),
        SEGMENTATION,
        IDENTITY,
    ),
}
"""By task, what ``grade`` tells of every picture."""


@torch.no_grad()
def grade(request: Request, made: Tensor, judges: Judges) -> dict[str, Tensor]:
    """``TASK_MEASURES`` of the task on the pictures ``made [B, 3, S, S]``, by name: float64 ``[B]``.

    NaN where a measure does not apply: the judge does not know the attribute, nobody knows whether the source has it,
    there is no identity net, or no pixel is near the edit, or none is far from it.

    * attribute transfer: whether the attribute net sees the attribute (100 or 0); the share of the pixels in which the
      parser agrees with the edited mask, everywhere and in and around the edit (a band of 3 % of the height); the
      cosine between the identities in the picture and in the target's photo; the mean absolute difference to this
      photo where the edit is farther away than 10 % of the height, in grey levels of 0 to 255.
    * style copy: for each of ``COPIED``, whether the attribute net's answer is what the source is annotated with; the
      parser's agreement with the target's mask; the distance of the colours, part by part, to those of the source.
    * reconstruction: PSNR (at most ``HIGHEST_PSNR``) and SSIM to the photo, the parser's agreement, the identity.
    """
    parsed, values = judges.parse(made), list(grade_looks(request, made, judges).values())
    if request.task == TRANSFER:
        edit = request.edited != request.target_mask
        values += [
            *agreement(parsed, request.edited, around(edit, BAND)),
            same_person(made, request.target, judges),
            mean_outside(around(edit, MARGIN), grey_levels(made, request.target)),
        ]
    elif request.task == STYLE_COPY:
        colours = colour_distance(made, request.edited, request.source, request.source_mask)
        values += [*agreement(parsed, request.edited), colours]
    else:
        values += [
            psnr(made, request.target).clamp(max=HIGHEST_PSNR),
            ssim(made, request.target),
            *agreement(parsed, request.edited),
            same_person(made, request.target, judges),
        ]
    measures = TASK_MEASURES[request.task]
    return {m.name: value.to(made.device).double() for m, value in zip(measures, values, strict=True)}


@torch.no_grad()
def grade_looks(request: Request, made: Tensor, judges: Judges) -> dict[str, Tensor]:
    """Those of ``grade``'s values that the attribute net gives, which stand first: none in reconstruction."""
    if request.task == TRANSFER:
        return {ATTRIBUTE.name: right(made, request.wish, judges)[request.attribute]}
    if request.task == STYLE_COPY:
        unknown = torch.full((len(made),), torch.nan, dtype=torch.float64, device=made.device)
        return dict.fromkeys(COPIED, unknown) | right(made, request.known, judges)
    return {}


def sees(pictures: Tensor, names: Sequence[str], judges: Judges) -> Tensor:
    """Which of the attributes ``names`` the attribute net sees, bool ``[B, N]``; ``DataError`` if it knows not all."""
    unknown = [name for name in names if name not in judges.attribute_names]
    if unknown:
        raise DataError(f"The attribute net does not know {', '.join(unknown)}: nothing can be said of such edits.")
    columns = [judges.attribute_names.index(name) for name in names]
    return judges.attributes(pictures)[:, columns].to(pictures.device) > 0


def right(made: Tensor, truth: Mapping[str, Tensor], judges: Judges) -> dict[str, Tensor]:
    """By name, 100 where the attribute net says ``truth[name]``, else 0, ``[B]``; NaN for names it does not know."""
    known = [name for name in truth if name in judges.attribute_names]
    said = dict(zip(known, sees(made, known, judges).T, strict=True))
    unknown = torch.full((len(made),), torch.nan, dtype=torch.float64, device=made.device)
    return {n: 100 * (said[n] == truth[n].to(made.device)).double() if n in said else unknown for n in truth}


def agreement(parsed: Tensor, labels: Tensor, *regions: Tensor) -> list[Tensor]:
    """Per cent of the pixels parsed as ``labels``, ``[B]``: of all that are known, and of each region ``[B, S, S]``."""
    known = labels != IGNORE_ID
    hit = (parsed.to(labels.device) == labels) & known
    return [100 * (hit & r).sum(dim=(1, 2)).double() / (known & r).sum(dim=(1, 2)) for r in (known, *regions)]


def same_person(made: Tensor, photo: Tensor, judges: Judges) -> Tensor:
    """Cosine between the identities in two pictures, ``[B]``; NaN without an identity net."""
    if judges.identity_net is None:
        return torch.full((len(made),), torch.nan)
    return (judges.identity(made) * judges.identity(photo)).sum(dim=1)
