"""Components of a face moved, scaled, turned, and copied from another face's mask.

Masks are uint8 ``[S, S]``. A pixel takes its class from the nearest pixel of where it comes from, so that no class
arises that no mask has; a hole is closed by the nearest other class.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from maskgan_lib.classes import CLASS_ID, CLASS_TITLES, GROUPS
from maskgan_lib.editor.checks import EditError
from maskgan_lib.edits import replace_parts
from maskgan_lib.evaluation.perturbations import BEHIND_HAIR, FACE

COMPONENTS = {
    "eyes": GROUPS["eyes"],
    "brows": GROUPS["brows"],
    "ears": GROUPS["ears"],
    "mouth": GROUPS["mouth"],
    "nose": (CLASS_ID["nose"],),
    "hair": (CLASS_ID["hair"],),
    "hat": (CLASS_ID["hat"],),
    "glasses": (CLASS_ID["eye_g"],),
    "earrings": (CLASS_ID["ear_r"],),
    "necklace": (CLASS_ID["neck_l"],),
    **{CLASS_TITLES[i]: (i,) for i in GROUPS["eyes"] + GROUPS["brows"] + GROUPS["ears"]},
}
"""Classes that are edited together, by a name a person would use. Left and right are the subject's own."""

STYLE_REGIONS = {
    "hair": (CLASS_ID["hair"],),
    "face": (*GROUPS["face"], *GROUPS["ears"], CLASS_ID["neck"]),
    "eyes": GROUPS["eyes"],
    "brows": GROUPS["brows"],
    "ears": GROUPS["ears"],
    "mouth": GROUPS["mouth"],
    "lips": (CLASS_ID["u_lip"], CLASS_ID["l_lip"]),
    "clothes": (*GROUPS["worn"], CLASS_ID["cloth"]),
    "background": (CLASS_ID["background"],),
    **{title: (i,) for i, title in enumerate(CLASS_TITLES)},
}
"""Classes that can have a style of their own: first what a person would choose, then every class that is left.

Two regions have no class in common, or one lies in the other. Then the inner one's style holds in it, whichever was
chosen first.
"""

SHOWING = {
    "Smiling": ("serious", "smiling"),
    "Mouth_Slightly_Open": ("mouth closed", "mouth open"),
    "Eyeglasses": ("no glasses", "glasses"),
    "Bangs": ("no bangs", "bangs"),
    "Bald": ("not bald", "bald"),
    "Receding_Hairline": ("full hairline", "receding hairline"),
    "Male": ("female", "male"),
    "Straight_Hair": ("not straight", "straight hair"),
    "Wavy_Hair": ("not wavy", "wavy hair"),
    "Bushy_Eyebrows": ("thin brows", "bushy brows"),
    "Big_Nose": ("small nose", "big nose"),
    "Pointy_Nose": ("round nose", "pointy nose"),
    "Wearing_Earrings": ("no earrings", "earrings"),
}
"""Attributes of CelebA that change the outlines of a class that SeCGAN's masks have, in the order of their controls,
and words for an attribute's absence and for itself.

Colours of hair and skin, age and beards leave none in a mask; a hat, a necklace and clothes are parts of its "others".
"""

ON_THE_SKIN = ("eyes", "brows", "mouth", "nose")
"""Components that are put where this face has its own; the others keep their place in the face they come from."""

SCALES = (0.2, 5.0)
_NOWHERE = 255


def ids_of(kind: str, name: str) -> tuple[int, ...]:
    """Class ids of a "component" or a "region" by its name; ``EditError`` if there is none of that name."""
    known = {"component": COMPONENTS, "region": STYLE_REGIONS}[kind]
    if not isinstance(name, str) or name not in known:
        raise EditError(f"There is no {kind} {name!r}: choose one of {', '.join(known)}.")
    return known[name]


def from_the_outside(regions: Iterable[str]) -> list[str]:
    """Names of regions, each one before those that lie in it."""
    return sorted(regions, key=lambda name: len(STYLE_REGIONS[name]), reverse=True)


def present_components(mask: np.ndarray) -> tuple[str, ...]:
    """Names of the components that a mask has."""
    present = np.bincount(mask.ravel(), minlength=256) > 0
    return tuple(name for name, ids in COMPONENTS.items() if present[list(ids)].any())


def transform_component(
    mask: np.ndarray, group: str, down: float = 0.0, right: float = 0.0, scale: float = 1.0, degrees: float = 0.0
) -> np.ndarray:
    """A component moved by ``down`` and ``right`` pixels, at ``scale`` times its size, turned by ``degrees``.

    Positive degrees turn it clockwise as seen in the picture. It is scaled and turned about the centre of the box that
    holds all of it. ``EditError`` if the mask does not have it, for a scale out of ``SCALES``, and if nothing of it
    would stay in the picture.
    """
    ids = ids_of("component", group)
    if not np.isfinite([down, right, scale, degrees]).all() or not SCALES[0] <= scale <= SCALES[1]:
        raise EditError(f"A component is scaled by {SCALES[0]} to {SCALES[1]} and moved by finite steps: choose such.")
    held = np.argwhere(np.isin(mask, ids))
    if not len(held):
        raise EditError(f"This face has no {group} to move: copy one from another face, or paint one.")
    down, right = np.clip([down, right], -2 * max(mask.shape), 2 * max(mask.shape))
    centre = (held.min(axis=0) + held.max(axis=0)) / 2
    drawn = _moved(mask, ids, centre, (down, right), scale, degrees)
    if (drawn == _NOWHERE).all():
        raise EditError(f"Nothing of the {group} would stay in the picture: move it less.")
    return replace_parts(mask, drawn, ids)


def copy_component(mask: np.ndarray, source: np.ndarray, group: str, align: bool = True) -> np.ndarray:
    """``mask`` with the component of ``source``, another mask of its size, in place of its own.

    With ``align`` eyes, brows, nose and mouth come to where this face has its own; all else moves as the features of
    the two faces lie to each other. Where hair was and is no more, what ``source`` has there shows. ``EditError`` if
    ``source`` does not have the component.
    """
    ids = ids_of("component", group)
    if not np.isin(source, ids).any():
        raise EditError(f"That face has no {group} to copy: choose another face or component.")
    on_the_skin = set(ids) <= {i for name in ON_THE_SKIN for i in COMPONENTS[name]}
    step = _step(mask, source, (ids, FACE) if on_the_skin else (FACE,)) if align else (0, 0)
    if group == "hair":  # a forehead, a neck or the backdrop beside it, which the nearest class alone would not tell
        behind = _moved(source, BEHIND_HAIR, (0, 0), step)
        mask = np.where((mask == ids[0]) & (behind != _NOWHERE), behind, mask)
    placed = _moved(source, ids, (0, 0), step)
    if (placed == _NOWHERE).all():
        raise EditError(f"The {group} of that face would lie outside the picture: choose another face.")
    return replace_parts(mask, placed, ids)


def _step(mask: np.ndarray, source: np.ndarray, anchors: Iterable[Sequence[int]]) -> tuple[int, int]:
    """Whole pixels down and right from ``source`` to ``mask``, by the first of ``anchors`` that both have; else 0."""
    for ids in anchors:
        here, there = (np.argwhere(np.isin(one, ids)) for one in (mask, source))
        if len(here) and len(there):
            down, right = np.rint(here.mean(axis=0) - there.mean(axis=0)).astype(int)
            return int(down), int(right)
    return 0, 0


def _moved(
    mask: np.ndarray,
    ids: Sequence[int],
    centre: Sequence[float],
    step: tuple[float, float],
    scale: float = 1.0,
    degrees: float = 0.0,
) -> np.ndarray:
    """Only the parts ``ids``, scaled and turned about ``centre`` (y, x) and moved; ``_NOWHERE`` elsewhere.

    Each pixel is looked up where the inverse map takes it, p = c + R(-a) (q - c - t) / s, at the nearest pixel.
    """
    height, width = mask.shape
    y = np.arange(height)[:, None] - centre[0] - step[0]
    x = np.arange(width)[None, :] - centre[1] - step[1]
    cos, sin = np.cos(np.radians(degrees)) / scale, np.sin(np.radians(degrees)) / scale
    # the margin sends a place half-way between two pixels to the same side whatever its last digit
    rows = np.floor(centre[0] + cos * y - sin * x + 0.5 + 1e-9).astype(np.int64)
    columns = np.floor(centre[1] + sin * y + cos * x + 0.5 + 1e-9).astype(np.int64)
    within = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    there = mask[rows.clip(0, height - 1), columns.clip(0, width - 1)]
    return np.where(within & np.isin(there, ids), there, _NOWHERE).astype(np.uint8)
