"""A user's own photo as a pair of picture and label map, framed as CelebA-HQ frames a face.

The parser is the judges' own; ``judges.origins["parser"]`` says where it comes from. The one that ships
has seen procedural faces only: on photographs of people it finds most of a face, but hair, beards, ears and clothes
often go wrong, so look at its label map before you use it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from maskgan_lib.classes import CLASS_ID, GROUPS
from maskgan_lib.data.alignment import Alignment, FacePoints, Point, Square
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.pictures import open_photo
from maskgan_lib.editor.storage import write_mask, write_picture
from maskgan_lib.evaluation.judges import Judge, Judges
from maskgan_lib.judges.parser import FaceParser

GIVEN, FOUND = "points given", "found by the parser"
SIZES = (32, 4096)
"""Smallest and largest side of a crop in pixels."""

SEARCH_SIDE = 768
"""A photo is searched for a face at so many pixels of its longer side at most."""
CROP = 128
"""Side in pixels of the crops that are looked at in the search."""
ROUNDS = 6
"""Crops that a search looks at from one start before it gives up."""
TRIED = 3
"""Starts of a kind that a search goes on from: those whose first label map is most like a face."""

TYPICAL = np.array([(0.625, 0.475), (0.375, 0.475), (0.605, 0.735), (0.395, 0.735)])
"""Where eyes and mouth corners lie in a crop of side 1, in the order of ``FacePoints``."""
ASTRAY = 0.3
"""A start where one of them lies farther from there, in sides of the crop, is no use."""
NEAR_EYE, NEAR_MOUTH = 0.1, 0.2
"""Pixels of a part that are farther from its median, in sides of the crop, are specks."""
LEAST = {"l_eye": 0.0005, "r_eye": 0.0005, "nose": 0.004, "mouth": 0.002}
"""Least shares of a crop's pixels that the parts of a face have; a quarter of the mean in CelebAMask-HQ or less."""


@dataclass(frozen=True)
class OwnPhoto:
    """A face cut out of a photo, its label map, and how to get back."""

    image: np.ndarray  # uint8 [S, S, 3]
    labels: np.ndarray  # uint8 [S, S], ids 0-18
    photo: np.ndarray  # uint8 [H, W, 3], the whole picture, upright
    alignment: Alignment  # between photo and image
    points: FacePoints  # in the photo
    how: str  # GIVEN or FOUND

    def save(self, folder: str | Path) -> None:
        """Writes ``image.png`` and ``labels.png``, whose pixels are class ids shown in the project's colours."""
        write_picture(Path(folder) / "image.png", self.image)
        write_mask(Path(folder) / "labels.png", self.labels)


def prepare_photo(
    photo: str | Path | np.ndarray, judges: Judges, points: FacePoints | None = None, size: int = 512
) -> OwnPhoto:
    """Crops the face in ``photo``, a file or RGB uint8 ``[H, W, 3]``, to ``size`` pixels a side and parses it.

    Without ``points`` the parser looks for the face. ``DataError`` for a bad file, for points that are no face or lie
    outside the photo, for a size out of ``SIZES``, and if no face is found.
    """
    if not SIZES[0] <= size <= SIZES[1]:
        raise DataError(f"A crop of {size} pixels a side is not made: choose a size from {SIZES[0]} to {SIZES[1]}.")
    name = "The picture" if isinstance(photo, np.ndarray) else str(photo)
    if not isinstance(photo, np.ndarray):
        photo = open_photo(photo)
    height, width = photo.shape[:2]
    how = FOUND if points is None else GIVEN
    if points is None:
        points = find_points(photo, judges)
    elif ((points.array() < 0) | (points.array() > (width, height))).any():
        raise DataError(f"{name} is {width}x{height} pixels, and some of the points lie outside it: {points}.")
    alignment = Alignment.of(points, size)
    image = alignment.crop(photo)
    return OwnPhoto(image, _parse([image], judges)[0], photo, alignment, points, how)


def parse_photo(
    photo: Path, out: Path, size: int, points: Sequence[Point] | None = None, parser: Path | None = None
) -> OwnPhoto:
    """What ``python -m maskgan_lib parse`` does: ``prepare_photo`` of a file, saved in the folder ``out``.

    Args:
        points: two eyes, then two corners of the mouth, each pair in any order.
        parser: weights of a ``FaceParser``; by default the one that ships.
    """
    judges = Judges.shipped()
    if parser is not None:
        judges = replace(judges, parser=Judge.load(parser, FaceParser))
    prepared = prepare_photo(photo, judges, points and FacePoints.from_pairs(points[:2], points[2:]), size)
    prepared.save(out)
    return prepared


# ---- the search


def find_points(photo: np.ndarray, judges: Judges) -> FacePoints:
    """Eyes and mouth corners of a face in ``photo`` (uint8 ``[H, W, 3]``), found by nothing but the parser.

    A crop is parsed, aligned by the eyes and the mouth that were seen in it, and parsed again until they stay where
    they are. It starts from large squares and tries closer, turned and smaller ones as long as no face is found, so of
    several faces a large one is found, and none whose square is much smaller than half of the photo's shorter side.
    ``DataError`` if there is none, or none that the parser knows as one.
    """
    height, width = photo.shape[:2]
    smaller = Image.fromarray(photo)
    smaller.thumbnail((SEARCH_SIDE, SEARCH_SIDE), Image.Resampling.LANCZOS)
    picture = np.array(smaller)
    for squares in _starts(smaller.width, smaller.height):
        starts = [Alignment(square, CROP) for square in squares]
        maps = _parse([start.crop(picture) for start in starts], judges)
        for start, seen in _most_like_a_face(starts, maps)[:TRIED]:
            points = _settle(picture, start.to_photo(seen * CROP), judges)
            if points is not None:
                return _face_points(points * (width / smaller.width, height / smaller.height))
    raise DataError("No face found in the picture: give the places of both eyes and of both mouth corners by hand.")


def _starts(width: int, height: int) -> Iterator[list[Square]]:
    """Squares to look for a face in, kind by kind: large, closer, turned, small."""
    for share, turns in ((1.0, (0,)), (0.75, (0,)), (1.35, (0,)), (1.0, (-30, 30)), (0.5, (0,))):
        side = share * min(width, height)
        places = product(_centers(height, side), _centers(width, side))
        ways = [(np.cos(angle) * side / 2, np.sin(angle) * side / 2) for angle in np.radians(turns)]
        yield [Square((float(x), float(y)), tuple(map(float, way))) for (y, x), way in product(places, ways)]


def _centers(length: int, side: float) -> np.ndarray:
    """Centres of squares that cover a line, each overlapping half of the next."""
    free = max(0.0, length - side)
    return length / 2 + free * (np.linspace(-0.5, 0.5, 1 + round(free / (0.45 * side) + 0.4)) if free else np.zeros(1))


def _most_like_a_face(starts: Sequence[Alignment], maps: np.ndarray) -> list[tuple[Alignment, np.ndarray]]:
    """The starts whose label maps have eyes and a mouth, and these points, those first that look most like a face."""
    ranked = []
    for start, labels in zip(starts, maps, strict=True):
        seen = _seen(labels)
        if seen is not None and (astray := np.abs(seen - TYPICAL).max()) < ASTRAY:
            ranked.append((astray + 1 - _face_share(labels), start, seen))
    return [(start, seen) for _, start, seen in sorted(ranked, key=lambda entry: entry[0])]


def _settle(picture: np.ndarray, points: np.ndarray, judges: Judges) -> np.ndarray | None:
    """``points`` (``[4, 2]``) after they were looked for in a crop around themselves until they stay; None if no face.

    They stay when they move by less than a pixel of the crop on average.
    """
    for _ in range(ROUNDS):
        try:
            alignment = Alignment.of(_face_points(points), CROP)
        except DataError:  # no arrangement of a face
            return None
        if alignment.square.side > 4 * max(picture.shape):
            return None
        labels = _parse([alignment.crop(picture)], judges)[0]
        seen = _seen(labels)
        if seen is None:
            return None
        moved = np.hypot(*(seen * CROP - alignment.to_crop(points)).T).mean()
        points = alignment.to_photo(seen * CROP)
        if moved < 1:
            return points if _is_face(labels, seen) else None
    return None


def _seen(labels: np.ndarray) -> np.ndarray | None:
    """Eyes and mouth corners in a label map ``[S, S]``, ``[4, 2]`` in the order of ``FacePoints``, in sides of it."""
    eyes = [_pixels(labels, (CLASS_ID[name],), NEAR_EYE, LEAST[name]) for name in ("l_eye", "r_eye")]
    mouth = _pixels(labels, GROUPS["mouth"], NEAR_MOUTH, LEAST["mouth"])
    if mouth is None or eyes[0] is None or eyes[1] is None:
        return None
    left, right = (pixels.mean(axis=0) for pixels in eyes)
    along = mouth @ (left - right)
    low, high = np.quantile(along, (0.02, 0.98))
    corners = mouth[along >= high].mean(axis=0), mouth[along <= low].mean(axis=0)
    return np.stack([left, right, *corners])


def _pixels(labels: np.ndarray, ids: Sequence[int], near: float, least: float) -> np.ndarray | None:
    """Places ``[N, 2]`` of the pixels of a part, without specks far from its middle; None if they are too few."""
    y, x = np.nonzero(np.isin(labels, ids))
    if len(x) == 0:
        return None
    places = (np.stack([x, y], axis=1) + 0.5) / len(labels)
    places = places[np.hypot(*(places - np.median(places, axis=0)).T) < near]
    return places if len(places) >= least * labels.size else None


def _is_face(labels: np.ndarray, seen: np.ndarray) -> bool:
    """Whether an aligned label map shows a face: its parts in their places, in a size that they have, on skin."""
    nose = _pixels(labels, (CLASS_ID["nose"],), NEAR_MOUTH, LEAST["nose"])
    if nose is None:
        return False
    eyes, mouth = seen[:2].mean(axis=0), seen[2:].mean(axis=0)
    across, down = seen[0] - seen[1], mouth - eyes
    _, nose_y = nose.mean(axis=0)
    upright = abs(across @ down) < 0.4 * np.hypot(*across) * np.hypot(*down)
    apart = min(np.hypot(*across), np.hypot(*down)) > 0.13  # 0.25 and 0.28 at most in an aligned crop
    lips = seen[2] - seen[3]
    level = abs(across[0] * lips[1] - across[1] * lips[0]) < 0.3 * np.hypot(*across) * np.hypot(*lips)
    wide = 0.08 < np.hypot(*lips) < 0.36
    between = eyes[1] < nose_y < mouth[1] and np.abs(nose.mean(axis=0) - (eyes + mouth) / 2).max() < 0.15
    return bool(upright and apart and level and wide and between and _face_share(labels) > 0.8)


def _face_share(labels: np.ndarray) -> float:
    """How much of the middle of a crop, where eyes, nose and mouth belong, is face."""
    y, x = (np.mgrid[: len(labels), : len(labels)] + 0.5) / len(labels)
    middle = np.hypot(x - 0.5, y - 0.58) < 0.18
    return float(np.isin(labels[middle], (*GROUPS["face"], CLASS_ID["eye_g"])).mean())


def _face_points(points: np.ndarray) -> FacePoints:
    return FacePoints(*map(tuple, points.tolist()))


def _parse(crops: Sequence[np.ndarray], judges: Judges) -> np.ndarray:
    """Label maps uint8 ``[B, S, S]`` of crops uint8 ``[S, S, 3]``."""
    return judges.parse(to_float_image(torch.from_numpy(np.stack(crops)))).cpu().numpy()
