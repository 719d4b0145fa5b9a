"""Edits of label maps as a person would make them, each a function of the face, another face and a seeded generator.

Lengths are shares of the picture's width, so the same edit at 64 and at 512 pixels looks alike. No edit brings in a
class that neither face has, and none changes the size.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from maskgan_lib.classes import CLASS_ID, GROUPS
from maskgan_lib.edits import changed, replace_parts

Perturbation = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
"""``(labels, other, rng)`` to the edited labels: label maps uint8 ``[H, W]`` of one size."""

MOVABLE = {
    "eyes": GROUPS["eyes"],
    "brows": GROUPS["brows"],
    "nose": (CLASS_ID["nose"],),
    "mouth": GROUPS["mouth"],
    "hair": (CLASS_ID["hair"],),
}
ON_SKIN = ("eyes", "brows", "nose", "mouth")
"""Those that lie on the skin, which closes behind them when they move."""
FACE = tuple(i for name in ON_SKIN for i in MOVABLE[name])
BEHIND_HAIR = tuple(CLASS_ID[name] for name in ("background", "skin", "l_ear", "r_ear", "neck", "cloth"))

PAINTED = tuple(CLASS_ID[name] for name in ("background", "skin", "hair", "hat", "neck", "cloth"))
"""Classes large enough to be painted with a round brush."""

KEPT = (CLASS_ID["eye_g"], *FACE)
"""Classes a brush goes around, unless it paints hair, which may fall over them."""

SMALLEST_EDIT = 5e-4
"""Share of the picture that an edit changes at least."""

_NOWHERE = 255


def perturb(name: str, labels: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """``PERTURBATIONS[name]`` of ``labels``, drawn again while it changes too little to see; None if ten times it does.

    For instance no mouth can be moved in a face without one.
    """
    for _ in range(10):
        edited = PERTURBATIONS[name](labels, other, rng)
        if changed(labels, edited).mean() >= SMALLEST_EDIT:
            return edited
    return None


def swap_component(labels: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The eyes, nose, mouth or hair of ``other``, put where this face has its own; hair with what it leaves bare."""
    ids = _draw_component(("eyes", "nose", "mouth", "hair"), (labels, other), rng)
    if not ids:
        return labels
    hair = ids == MOVABLE["hair"]
    held = FACE if hair else ids
    step = np.rint(_centroid(labels, held) - _centroid(other, held)).astype(int)
    grid = [np.arange(n) - s for n, s in zip(labels.shape, step, strict=True)]
    if hair:  # a forehead, a neck or the backdrop beside it, which the nearest label alone would not tell
        placed = _redrawn(other, BEHIND_HAIR, *grid)
        labels = np.where(np.isin(labels, ids) & (placed != _NOWHERE), placed, labels)
    return replace_parts(labels, _redrawn(other, ids, *grid), ids)


def shift_component(labels: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Eyes, brows, nose or mouth moved by 2 to 6 % of the width in any direction."""
    ids = _draw_component(ON_SKIN, (labels,), rng)
    length, angle = rng.uniform(0.02, 0.06) * labels.shape[1], rng.uniform(0, 2 * np.pi)
    return shift_parts(labels, ids, round(length * np.sin(angle)), round(length * np.cos(angle)))


def scale_component(labels: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Eyes, brows, nose or mouth at 0.6 to 0.8 or 1.2 to 1.5 times their size; of a pair, each where it is."""
    ids = _draw_component(ON_SKIN, (labels,), rng)
    factor = rng.uniform(0.6, 0.8) if rng.random() < 0.5 else rng.uniform(1.2, 1.5)
    for part in (ids,) if ids == MOVABLE["mouth"] else [(i,) for i in ids if (labels == i).any()]:
        labels = scale_parts(labels, part, factor)
    return labels


def brush_strokes(labels: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One to three strokes of a round brush from one of the large classes into its neighbour: hair into the forehead.

    A stroke is 10 to 25 % of the width long, 3 to 8 % thick and bent. It starts within its own class.
    """
    edited = labels
    for _ in range(rng.integers(1, 4)):
        borders = _borders(edited)
        if not len(borders):
            return labels
        y, x, own, neighbour = borders[rng.integers(len(borders))]
        width, outward = labels.shape[1], _outward(edited, y, x, own, neighbour)
        path = _bent_path((y, x), outward, rng.uniform(0.1, 0.25) * width, rng)
        around = () if own == CLASS_ID["hair"] else KEPT
        edited = paint_stroke(edited, path, rng.uniform(0.015, 0.04) * width, own, around)
    return edited


def shift_parts(labels: np.ndarray, ids: Sequence[int], down: int, right: int) -> np.ndarray:
    """The parts ``ids`` moved by whole pixels; the nearest other class fills the hole.

    What would leave the picture is lost.
    """
    height, width = labels.shape
    return replace_parts(labels, _redrawn(labels, ids, np.arange(height) - down, np.arange(width) - right), ids)


def scale_parts(labels: np.ndarray, ids: Sequence[int], factor: float) -> np.ndarray:
    """The parts ``ids``, present in ``labels``, at ``factor`` times their size about their common centroid."""
    centre = _centroid(labels, ids)
    grid = [np.rint(c + (np.arange(n) - c) / factor).astype(int) for n, c in zip(labels.shape, centre, strict=True)]
    return replace_parts(labels, _redrawn(labels, ids, *grid), ids)


def paint_stroke(
    labels: np.ndarray, path: np.ndarray, radius: float, label: int, around: Iterable[int] = ()
) -> np.ndarray:
    """``label`` on all pixels within ``radius`` pixels of the points ``path [N, 2]`` (y, x), but none of ``around``."""
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    touched = np.zeros(labels.shape, bool)
    for row, column in path:
        touched |= (y - row) ** 2 + (x - column) ** 2 <= radius**2
    edited = labels.copy()
    edited[touched & ~np.isin(labels, list(around))] = label
    return edited


PERTURBATIONS: dict[str, Perturbation] = {
    "component swap": swap_component,
    "shift": shift_component,
    "scale": scale_component,
    "brush strokes": brush_strokes,
}


def _draw_component(names: Sequence[str], faces: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[int, ...]:
    """The classes of one of ``names`` that all ``faces`` have in a size that can be seen; () if there is none."""
    sizeable = [i for i in map(MOVABLE.get, names) if all(np.isin(face, i).mean() >= SMALLEST_EDIT for face in faces)]
    return sizeable[rng.integers(len(sizeable))] if sizeable else ()


def _centroid(labels: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    return np.argwhere(np.isin(labels, ids)).mean(axis=0)


def _redrawn(labels: np.ndarray, ids: Sequence[int], rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Only the parts ``ids``: at (y, x) what ``labels`` has at (rows[y], columns[x]), and ``_NOWHERE`` elsewhere."""
    height, width = labels.shape
    there = labels[np.clip(rows, 0, height - 1)[:, None], np.clip(columns, 0, width - 1)]
    within = ((rows >= 0) & (rows < height))[:, None] & (columns >= 0) & (columns < width)
    return np.where(within & np.isin(there, ids), there, _NOWHERE).astype(np.uint8)


def _borders(labels: np.ndarray) -> np.ndarray:
    """Pixels of a large class beside another one, int ``[N, 4]``: y, x, its label, its neighbour's."""
    borders = []
    for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0)):
        beside = _redrawn(labels, PAINTED, np.arange(labels.shape[0]) + down, np.arange(labels.shape[1]) + right)
        y, x = np.nonzero(np.isin(labels, PAINTED) & (beside != _NOWHERE) & (beside != labels))
        borders.append(np.stack([y, x, labels[y, x], beside[y, x]], axis=1))
    return np.concatenate(borders)


def _outward(labels: np.ndarray, y: int, x: int, own: int, neighbour: int) -> float:
    """Angle in radians, from x towards y, in which ``neighbour`` lies from ``own`` around a pixel."""
    reach = max(2, labels.shape[1] // 16)
    window = labels[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    down, right = _centroid(window, (neighbour,)) - _centroid(window, (own,))
    return float(np.arctan2(down, right))


def _bent_path(point: tuple[int, int], angle: float, length: float, rng: np.random.Generator) -> np.ndarray:
    """A parabola about ``length`` pixels long through ``point`` (y, x), within 60 degrees of ``angle``: ``[N, 2]``."""
    angle += rng.uniform(-np.pi / 3, np.pi / 3)
    along = np.array([np.sin(angle), np.cos(angle)])
    across = np.array([along[1], -along[0]])
    t = np.linspace(-0.5, 0.5, 2 * int(length) + 2)[:, None]
    return point + length * (t * along + rng.uniform(-1, 1) * t**2 * across)
