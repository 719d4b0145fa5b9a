"""Own photos: cropping a face as CelebA-HQ does, and putting an edited crop back.

Points are ``(x, y)`` in pixels from the top left corner of the picture, x to the right and y down: the first pixel
covers 0 to 1, so its centre is (0.5, 0.5). Left and right are the subject's own, as in the class names: ``left_eye``
lies on the viewer's right.
"""

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Self

import numpy as np
from PIL import Image

from maskgan_lib.data.errors import DataError

FEATHER = 1 / 16
"""Width of the border inside the square where an edited crop fades into the photo, as a share of its side."""

Point = tuple[float, float]


def _complex(points: Sequence) -> np.ndarray:
    """Points ``[..., 2]`` as complex numbers x + iy, in which a turn is a product: i turns the right to the bottom."""
    return np.asarray(points, np.float64) @ (1, 1j)


def _points(numbers: np.ndarray) -> np.ndarray:
    return np.stack([np.real(numbers), np.imag(numbers)], axis=-1)


@dataclass(frozen=True)
class FacePoints:
    """Centres of the eyes and corners of the mouth, ``(x, y)`` in pixels; left is the subject's own."""

    left_eye: Point
    right_eye: Point
    left_mouth: Point
    right_mouth: Point

    @classmethod
    def from_pairs(cls, eyes: Sequence[Point], mouth: Sequence[Point]) -> Self:
        """From two eyes and two corners of a mouth, each pair in any order: which is left follows from the geometry.

        The middle of the mouth alone will do: where its corners are does not change the crop.
        """
        if len(eyes) != 2 or len(mouth) not in (1, 2):
            raise DataError(f"A face has two eyes and two mouth corners, not {len(eyes)} and {len(mouth)}: give each.")
        try:
            eyes, mouth = _complex(eyes), _complex(mouth)
        except (TypeError, ValueError):
            raise DataError(f"The points of a face are pairs of numbers, not {eyes} and {mouth}.") from None
        down = mouth.mean() - eyes.mean()
        right, left = sorted(eyes, key=lambda eye: (eye.conjugate() * down).imag)
        mouth = mouth if len(mouth) == 2 else mouth + 0.4 * (left - right) * np.array([-1, 1])
        mouth = sorted(mouth, key=lambda corner: (corner.conjugate() * (left - right)).real, reverse=True)
        return cls(*map(tuple, _points([left, right, *mouth]).tolist()))

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
        return _points(complex(*self.center) + complex(*self.right) * np.array([-1 - 1j, 1 - 1j, 1 + 1j, -1 + 1j]))


def crop_square(points: FacePoints) -> Square:
    """The square of CelebA-HQ's crop around a face.

    With e the middle of the eyes, w the way from there to the middle of the mouth corners and v the way from the
    viewer's left eye to the right one: x = v - R(w), where R turns the right to the bottom, scaled to the length
    max(2 |v|, 1.8 |w|), and the centre e + 0.1 w. A smile or a turned head thus changes scale and direction little.
    Raises ``DataError`` for points that are no upright or turned face: one place, or sides swapped.
    """
    left_eye, right_eye, left_mouth, right_mouth = _complex(points.array())
    v = left_eye - right_eye  # the subject's left eye is the viewer's right one
    eyes = (left_eye + right_eye) / 2
    w = (left_mouth + right_mouth) / 2 - eyes
    if not np.isfinite(points.array()).all() or min(abs(v), abs(w)) < 1:
        raise DataError(f"{points} lie in one place or nowhere: give two eyes and the mouth corners below them.")
    if (v.conjugate() * w).imag <= 0:
        raise DataError(f"{points} have sides swapped: the left eye is the subject's, on the viewer's right.")
    x = v - 1j * w
    x *= max(2 * abs(v), 1.8 * abs(w)) / abs(x)
    return Square(*map(tuple, _points([eyes + 0.1 * w, x]).tolist()))


@dataclass(frozen=True)
class Origin:
    """Where a face comes from: the ``data`` of a photo's file, and the face's square in the photo, turned upright."""

    data: bytes
    square: Square


@dataclass(frozen=True)
class Alignment:
    """The maps between a photo and the crop of ``square`` with ``size`` pixels a side."""

    square: Square
    size: int

    @classmethod
    def of(cls, points: FacePoints, size: int) -> Self:
        """The alignment that CelebA-HQ would choose for a face with these points."""
        return cls(crop_square(points), size)

    @property
    def _map(self) -> tuple[complex, complex]:
        """(a, b): the point z of the crop, a complex number, is a z + b in the photo."""
        right = complex(*self.square.right)
        return 2 * right / self.size, complex(*self.square.center) - right * (1 + 1j)

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Points of the photo, ``[..., 2]``, as points of the crop."""
        turn, corner = self._map
        return _points((_complex(points) - corner) / turn)

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """Points of the crop, ``[..., 2]``, as points of the photo."""
        turn, corner = self._map
        return _points(_complex(points) * turn + corner)

    def crop(self, photo: np.ndarray) -> np.ndarray:
        """uint8 ``[size, size, 3]`` from a photo uint8 ``[H, W, 3]``: anti-aliased, mirrored beyond the photo's edges.

        CelebA-HQ also blurs what it mirrored; that is left out here.
        """
        return _resample(_checked(photo), *self._map, self.size, self.size)

    def paste_back(self, edited: np.ndarray, photo: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
        """A copy of ``photo`` with the edited crop uint8 ``[size, size, 3]`` in its place.

        In a border inside the square (``FEATHER``) the crop fades in, and outside the square no pixel changes. With a
        ``weight``, float ``[size, size, 1]`` in [0, 1], the photo's own pixels stay where it is 0, at their resolution.
        """
        if _checked(edited).shape[:2] != (self.size, self.size):
            raise DataError(f"The edited crop is {list(edited.shape)}, not {self.size} pixels a side: resize it first.")
        made = _checked(photo).copy()
        corners = self.square.corners
        limits = (photo.shape[1], photo.shape[0])
        left, top = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
        right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, limits).astype(int)
        if left == right or top == bottom:
            return made
        window = made[top:bottom, left:right]
        turn, corner = self._map
        way = (1 / turn, (complex(left, top) - corner) / turn, right - left, bottom - top)
        y, x = np.mgrid[top:bottom, left:right] + 0.5
        place = self.to_crop(np.stack([x, y], axis=-1)) / self.size
        inside = np.clip(np.minimum(place, 1 - place).min(axis=-1, keepdims=True) / FEATHER, 0, 1)
        share = inside * inside * (3 - 2 * inside)
        if weight is not None:
            share = share * _resample(np.rint(255 * weight).astype(np.uint8).repeat(3, axis=2), *way)[..., :1] / 255
        window[:] = np.rint(share * _resample(edited, *way) + (1 - share) * window)
        return made


def _checked(photo: np.ndarray) -> np.ndarray:
    if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8:
        raise DataError(f"A picture is uint8 [H, W, 3], but this one is {photo.dtype} {list(photo.shape)}: convert it.")
    return photo


def _resample(image: np.ndarray, turn: complex, shift: complex, width: int, height: int) -> np.ndarray:
    """uint8 ``[height, width, 3]``: at z what ``image`` shows at ``turn`` z + ``shift``, mirrored past its edges.

    Where ``turn`` shrinks, so many samples of a bicubic interpolation are averaged for a pixel that no pixel of
    ``image`` is left out.
    """
    finer = max(1, math.ceil(abs(turn) - 1e-6))
    corners = _points(turn * np.array([0, width, 1j * height, width + 1j * height]) + shift)
    low = np.floor(corners.min(axis=0)).astype(int) - 2  # the interpolation looks two pixels around
    high = np.ceil(corners.max(axis=0)).astype(int) + 2
    columns, rows = (_mirrored(*ends) for ends in zip(low, high, (image.shape[1], image.shape[0]), strict=True))
    window, (a, b) = Image.fromarray(image[rows[:, None], columns]), _points([turn / finer, shift - complex(*low)])
    data = (a[0], -a[1], b[0], a[1], a[0], b[1])
    size = (width * finer, height * finer)
    return np.array(window.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC).reduce(finer))


def _mirrored(low: int, high: int, length: int) -> np.ndarray:
    """Indices low .. high - 1 of a row that goes on beyond both its ends as its own mirror image."""
    index = np.arange(low, high) % (2 * length)
    return np.minimum(index, 2 * length - 1 - index)
