"""Own photos: cropping a face as CelebA-HQ does, and putting an edited crop back.

Points are ``(x, y)`` in pixels from the top left corner of the picture, x to the right and y down: the first pixel
covers 0 to 1, so its centre is (0.5, 0.5). Left and right are the subject's own, as in the class names: ``left_eye``
lies on the viewer's right.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import cached_property
from typing import Self

import numpy as np
from PIL import Image

from maskgan_lib.data.errors import DataError

FEATHER = 1 / 16
"""Width of the border inside the square where an edited crop fades into the photo, as a share of its side."""

Point = tuple[float, float]


@dataclass(frozen=True)
class FacePoints:
    """Centres of the eyes and corners of the mouth, ``(x, y)`` in pixels; left is the subject's own."""

    left_eye: Point
    right_eye: Point
    left_mouth: Point
    right_mouth: Point

    @classmethod
    def from_pairs(cls, eyes: Sequence[Point], mouth: Sequence[Point]) -> Self:
        """From two eyes and two corners of a mouth, each pair in any order: which is left follows from the geometry."""
        eyes, mouth = ([tuple(map(float, point)) for point in pair] for pair in (eyes, mouth))
        if len(eyes) != 2 or len(mouth) != 2:
            raise DataError(f"A face has two eyes and two mouth corners, not {len(eyes)} and {len(mouth)}: give each.")
        down = np.mean(mouth, axis=0) - np.mean(eyes, axis=0)
        left, right = sorted(eyes, key=_turned(down).dot)
        return cls(left, right, *sorted(mouth, key=np.subtract(right, left).dot))

    def array(self) -> np.ndarray:
        """Float64 ``[4, 2]`` in the order of the fields."""
        return np.array(astuple(self), np.float64)


@dataclass(frozen=True)
class Square:
    """A turned square in a photo: its ``center``, and ``right``, the way from there to the middle of its right side."""

    center: Point
    right: Point

    @property
    def side(self) -> float:
        """Length of a side in pixels of the photo."""
        return 2 * math.hypot(*self.right)

    @property
    def corners(self) -> np.ndarray:
        """Float64 ``[4, 2]``: top left, top right, bottom right, bottom left as seen in the crop."""
        center, right = np.array(self.center), np.array(self.right)
        down = _turned(right)
        return np.stack([center - right - down, center + right - down, center + right + down, center - right + down])


def _turned(vector: np.ndarray) -> np.ndarray:
    """R(a, b) = (-b, a): a quarter turn, which takes the right to the bottom."""
    return np.array([-vector[1], vector[0]])


def crop_square(points: FacePoints) -> Square:
    """The square of CelebA-HQ's crop around a face.

    With e the middle of the eyes, w the way from there to the middle of the mouth corners and v the way from the
    viewer's left eye to the right one: x = v - R(w), scaled to the length max(2 |v|, 1.8 |w|), and the centre
    e + 0.1 w. A smile or a turned head thus changes scale and direction little. Raises ``DataError`` for points that
    are no upright or turned face: one place, or sides swapped.
    """
    left_eye, right_eye, left_mouth, right_mouth = points.array()
    v = left_eye - right_eye  # the subject's left eye is the viewer's right one
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    w = mouth - eyes
    if not np.isfinite(points.array()).all() or min(np.hypot(*v), np.hypot(*w)) < 1:
        raise DataError(f"{points} lie in one place or nowhere: give two eyes and the mouth corners below them.")
    if v @ _turned(w) >= 0:
        raise DataError(f"{points} have sides swapped: the left eye is the subject's, on the viewer's right.")
    x = v - _turned(w)
    x *= max(2 * np.hypot(*v), 1.8 * np.hypot(*w)) / np.hypot(*x)
    return Square(tuple((eyes + 0.1 * w).tolist()), tuple(x.tolist()))


@dataclass(frozen=True)
class Alignment:
    """The affine maps between a photo and the crop of ``square`` with ``size`` pixels a side."""

    square: Square
    size: int

    @classmethod
    def of(cls, points: FacePoints, size: int) -> Self:
        """The alignment that CelebA-HQ would choose for a face with these points."""
        return cls(crop_square(points), size)

    @cached_property
    def matrix(self) -> np.ndarray:
        """Float64 ``[2, 3]``: takes ``(x, y, 1)`` in the photo to ``(x, y)`` in the crop."""
        return np.linalg.inv(np.vstack([self.inverse, [0, 0, 1]]))[:2]

    @cached_property
    def inverse(self) -> np.ndarray:
        """Float64 ``[2, 3]``: takes ``(x, y, 1)`` in the crop to ``(x, y)`` in the photo."""
        right = np.array(self.square.right) * 2 / self.size
        return np.column_stack([right, _turned(right), self.square.corners[0]])

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Points of the photo, ``[..., 2]``, as points of the crop."""
        return _mapped(self.matrix, points)

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Points of the crop, ``[..., 2]``, as points of the photo."""
        return _mapped(self.inverse, points)

    def crop(self, photo: np.ndarray) -> np.ndarray:
        """uint8 ``[size, size, 3]`` from a photo uint8 ``[H, W, 3]``: anti-aliased, mirrored beyond the photo's edges.

        CelebA-HQ also blurs what it mirrored; that is left out here.
        """
        return _resample(_checked(photo), self.inverse, self.size, self.size)

    def paste_back(self, edited: np.ndarray, photo: np.ndarray) -> np.ndarray:
        """A copy of ``photo`` with the edited crop uint8 ``[size, size, 3]`` in its place.

        In a border inside the square (``FEATHER``) the crop fades in, and outside the square no pixel changes.
        """
        if edited.shape != (self.size, self.size, 3) or edited.dtype != np.uint8:
            raise DataError(
                f"The edited crop is {edited.dtype} {list(edited.shape)}, but this crop has uint8 "
                f"[{self.size}, {self.size}, 3]: resize it first."
            )
        made = _checked(photo).copy()
        corners = self.square.corners
        limits = (photo.shape[1], photo.shape[0])
        left, top = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
        right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, limits).astype(int)
        if left == right or top == bottom:
            return made
        window = made[top:bottom, left:right]
        from_window = self.matrix.copy()
        from_window[:, 2] = self.to_crop(np.array([left, top]))
        pasted = _resample(edited, from_window, right - left, bottom - top)
        y, x = np.mgrid[: bottom - top, : right - left] + 0.5
        place = _mapped(from_window, np.stack([x, y], axis=-1)) / self.size
        inside = np.clip(np.minimum(place, 1 - place).min(axis=-1, keepdims=True) / FEATHER, 0, 1)
        weight = inside * inside * (3 - 2 * inside)
        window[:] = np.rint(weight * pasted + (1 - weight) * window)
        return made


def _mapped(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def _checked(photo: np.ndarray) -> np.ndarray:
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise DataError(f"A photo is uint8 [H, W, 3], but this one is {photo.dtype} {list(photo.shape)}: convert it.")
    return photo


def _resample(image: np.ndarray, matrix: np.ndarray, width: int, height: int) -> np.ndarray:
    """uint8 ``[height, width, 3]``: at (x, y) what ``image`` shows at ``matrix @ (x, y, 1)``, mirrored past its edges.

    ``matrix`` turns and scales alike in all directions. Where it shrinks, so many samples of a bicubic interpolation
    are averaged for a pixel that no pixel of ``image`` is left out.
    """
    finer = max(1, math.ceil(np.hypot(*matrix[:, 0]) - 1e-6))
    corners = _mapped(matrix, np.array([(0, 0), (width, 0), (0, height), (width, height)]))
    low = np.floor(corners.min(axis=0)).astype(int) - 2  # the interpolation looks two pixels around
    high = np.ceil(corners.max(axis=0)).astype(int) + 2
    columns, rows = (_mirrored(*ends) for ends in zip(low, high, (image.shape[1], image.shape[0]), strict=True))
    window = Image.fromarray(image[rows[:, None], columns])
    data = np.column_stack([matrix[:, :2] / finer, matrix[:, 2] - low]).ravel().tolist()
    made = window.transform(
        (width * finer, height * finer), Image.Transform.AFFINE, data, resample=Image.Resampling.BICUBIC
    )
    return np.array(made.reduce(finer))


def _mirrored(low: int, high: int, length: int) -> np.ndarray:
    """Indices low .. high - 1 of a row that goes on beyond both its ends as its own mirror image."""
    index = np.arange(low, high) % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)
