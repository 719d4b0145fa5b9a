"""What judges say of a picture that was asked for: the measures of the paper's tasks."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from maskgan_lib.classes import IGNORE_ID
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
    values = _GRADES[request.task](request, made, judges)
    return _named(request, made, values)


@torch.no_grad()
def grade_looks(request: Request, made: Tensor, judges: Judges) -> dict[str, Tensor]:
    """Those of ``grade``'s values that the attribute net gives: empty in reconstruction."""
    return _named(request, made, _looks(request, made, judges))


def _named(request: Request, made: Tensor, values: list[Tensor]) -> dict[str, Tensor]:
    """The first of the task's measures by name, as many as there are ``values``."""
    measures = TASK_MEASURES[request.task][: len(values)]
    return {m.name: value.to(made.device).double() for m, value in zip(measures, values, strict=True)}


def _grade_transfer(request: Request, made: Tensor, judges: Judges) -> list[Tensor]:
    edit = request.edited != request.target_mask
    return [
        *_looks(request, made, judges),
        *_agreement(made, request.edited, judges, around(edit, BAND)),
        same_person(made, request.target, judges),
        mean_outside(around(edit, MARGIN), grey_levels(made, request.target)),
    ]


def _grade_style(request: Request, made: Tensor, judges: Judges) -> list[Tensor]:
    return [
        *_looks(request, made, judges),
        *_agreement(made, request.edited, judges),
        colour_distance(made, request.edited, request.source, request.source_mask),
    ]


def _grade_reconstruction(request: Request, made: Tensor, judges: Judges) -> list[Tensor]:
    return [
        psnr(made, request.target).clamp(max=HIGHEST_PSNR),
        ssim(made, request.target),
        *_agreement(made, request.edited, judges),
        same_person(made, request.target, judges),
    ]


_GRADES = {TRANSFER: _grade_transfer, STYLE_COPY: _grade_style, RECONSTRUCTION: _grade_reconstruction}


def _looks(request: Request, made: Tensor, judges: Judges) -> list[Tensor]:
    """What stands first among the measures of a task: whether the attribute net sees what was asked for."""
    if request.task == TRANSFER:
        return _right(made, (request.attribute,), {request.attribute: torch.ones(len(made), dtype=torch.bool)}, judges)
    return _right(made, COPIED, request.known, judges) if request.task == STYLE_COPY else []


def _right(made: Tensor, names: Sequence[str], truth: Mapping[str, Tensor], judges: Judges) -> list[Tensor]:
    """By name, 100 where the judge's answer is ``truth[name]``, else 0: ``[B]``; NaN if one is missing."""
    said = judges.attributes(made).cpu() > 0
    values = dict.fromkeys(names, torch.full((len(made),), torch.nan))
    for name in set(names) & set(truth) & set(judges.attribute_names):
        column = list(judges.attribute_names).index(name)
        values[name] = 100 * (said[:, column] == truth[name].cpu()).double()
    return list(values.values())


def _agreement(made: Tensor, labels: Tensor, judges: Judges, *regions: Tensor) -> list[Tensor]:
    """Per cent of the pixels where the parser sees ``labels``, ``[B]``: of all, and of each region ``[B, S, S]``."""
    known = labels != IGNORE_ID
    hit = (judges.parse(made).to(labels.device) == labels) & known
    return [100 * (hit & r).sum(dim=(1, 2)).double() / (known & r).sum(dim=(1, 2)) for r in (known, *regions)]


def same_person(made: Tensor, photo: Tensor, judges: Judges) -> Tensor:
    """Cosine between the identities in two pictures, ``[B]``; NaN without an identity net."""
    if judges.identity_net is None:
        return torch.full((len(made),), torch.nan)
    return (judges.identity(made) * judges.identity(photo)).sum(dim=1)
