"""Small numeric tools of the face renderer: ramps, colours, grids, resampling, noise, blur. float32 throughout.

Two grids are used. The *coarse* grid (``GRID`` x ``GRID`` whatever the picture size) carries geometry and light; the
*fine* grid is the picture. The frame spans [-1, 1] in both directions, x to the right, y up; the coarse grid reaches a
little further (``EXTENT``), so that resampling never lacks a neighbour. A ``Region`` is a rectangle of both grids.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np

F = np.float32
GRID = 112
EXTENT = 1.06
COARSE_STEP = 2 * EXTENT / (GRID - 1)
NOISE_SHIFTS = 32  # noise fields are shifted by multiples of 1/32 of the frame
TEXTURE_SIZE = 256  # side of the wrapped random texture; a power of two, so that wrapping is a bit mask

Window = tuple[slice, slice]


def smoothstep(a: float, b: float, x):
    """Smooth ramp from 0 at ``a`` to 1 at ``b`` (either may be the larger)."""
    t = np.clip((x - a) * (1.0 / (b - a)), 0, 1)
    return t * t * (3 - 2 * t)


def bump(x, centre: float, width: float):
    """exp(-((x - centre) / width)^2)."""
    t = (x - centre) * (1.0 / width)
    return np.exp(-t * t)


def smooth_max(a, b, k: float):
    """Maximum of two fields with its crease rounded over ``k``."""
    h = np.clip(0.5 + (0.5 / k) * (a - b), 0, 1)
    return b + (a - b) * h + k * h * (1 - h)


def coverage(distance, width: float):
    """Share of a pixel inside: ``distance`` < 0 is inside, ``width`` is the width of the soft edge."""
    return np.clip(0.5 - distance * (1.0 / width), 0, 1)


def segment_distance(x, y, ax: float, ay: float, bx: float, by: float):
    """Distance of points to the segment a-b."""
    vx, vy = bx - ax, by - ay
    t = np.clip(((x - ax) * vx + (y - ay) * vy) * (1.0 / (vx * vx + vy * vy + 1e-9)), 0, 1)
    return length(x - ax - t * vx, y - ay - t * vy)


def rounded_box(x, y, half_width: float, half_height: float, radius: float):
    """Signed distance to a box with round corners around the origin."""
    qx, qy = np.abs(x) - (half_width - radius), np.abs(y) - (half_height - radius)
    return length(np.maximum(qx, 0), np.maximum(qy, 0)) + np.minimum(np.maximum(qx, qy), 0) - radius


def length(x, y):
    """sqrt(x^2 + y^2); three times as fast as np.hypot."""
    return np.sqrt(x * x + y * y)


def monotone_cubic(knots, values, x) -> np.ndarray:
    """Monotone cubics (Fritsch-Carlson) through (knots ``[k]``, values ``[..., k]``) at ``x`` ``[n]``: ``[..., n]``."""
    knots, values = np.asarray(knots, float), np.asarray(values, float)
    h = np.diff(knots)
    d = np.diff(values) / h
    before, after = d[..., :-1], d[..., 1:]
    slope = np.zeros_like(values)
    w1, w2 = 2 * h[1:] + h[:-1], h[1:] + 2 * h[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope[..., 1:-1] = np.where(before * after > 0, (w1 + w2) / (w1 / before + w2 / after), 0)
    slope[..., 0], slope[..., -1] = d[..., 0], d[..., -1]
    i = np.clip(np.searchsorted(knots, x) - 1, 0, len(h) - 1)
    t = np.clip((x - knots[i]) / h[i], 0, 1)
    u = 1 - t
    left = (1 + 2 * t) * u * u * values[..., i] + t * u * u * h[i] * slope[..., i]
    return left + t * t * (3 - 2 * t) * values[..., i + 1] - t * t * u * h[i] * slope[..., i + 1]


# ------------------------------------------------------------------------------------------------------------ colour


def linear(colour) -> np.ndarray:
    """Linear light, float32 ``[3]``, of an sRGB colour: '#rrggbb' or three values in 0..255."""
    if isinstance(colour, str):
        colour = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    c = np.asarray(colour, F) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4).astype(F)


def rgb(r: float, g: float, b: float) -> np.ndarray:
    """float32 ``[3, 1, 1]``: a factor per channel of a planar picture."""
    return np.array([r, g, b], F)[:, None, None]


@cache
def tone_curve(entries: int = 8192) -> np.ndarray:
    """Table over linear light in [0, 1.25]: soft shoulder, then sRGB, values in 0..255."""
    x = np.linspace(0, 1.25, entries)
    x = np.clip(x * (1 + 0.10 * x) / (1 + 0.22 * x), 0, 1)
    return (255 * np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 1e-6) ** (1 / 2.4) - 0.055)).astype(F)


# ------------------------------------------------------------------------------------------------------------- grids


@cache
def coarse_axes() -> tuple[np.ndarray, np.ndarray]:
    """Frame coordinates of the coarse grid: x ``[1, GRID]`` and y ``[GRID, 1]``."""
    a = np.linspace(-EXTENT, EXTENT, GRID, dtype=F)
    return a[None, :], -a[:, None]


@cache
def fine_axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Frame coordinates of the pixel centres: x ``[1, size]`` and y ``[size, 1]``."""
    a = ((np.arange(size) + 0.5) / size * 2 - 1).astype(F)
    return a[None, :], -a[:, None]


@cache
def _taps(size: int, grid: int, extent: float) -> tuple[np.ndarray, np.ndarray]:
    """First tap ``[size]`` and Catmull-Rom weights ``[4, size]`` of every pixel on a grid over [-extent, extent]."""
    x = ((np.arange(size) + 0.5) / size * 2 - 1 + extent) / (2 * extent) * (grid - 1)
    i = np.floor(x).astype(np.int64)
    t = x - i
    weights = [
        -0.5 * t + t**2 - 0.5 * t**3,
        1 - 2.5 * t**2 + 1.5 * t**3,
        0.5 * t + 2 * t**2 - 1.5 * t**3,
        -0.5 * t**2 + 0.5 * t**3,
    ]
    return i - 1, np.array(weights, F)


def _resample_rows(field: np.ndarray, first: np.ndarray, weights: np.ndarray) -> np.ndarray:
    out = field.take(first, 0, mode="clip")
    out *= weights[0][:, None]
    for k in (1, 2, 3):
        part = field.take(first + k, 0, mode="clip")
        part *= weights[k][:, None]
        out += part
    return out


@dataclass(frozen=True)
class Region:
    """A rectangle of the picture (``fine``) and the rectangle of the coarse grid that feeds it (``coarse``)."""

    size: int
    coarse: Window
    fine: Window

    @classmethod
    def around(cls, size: int, x0: float, x1: float, y0: float, y1: float) -> "Region | None":
        """The region that covers x0..x1, y0..y1 of the frame; None if it lies outside."""
        fine = _span(x0, x1, size), _span(-y1, -y0, size)
        if any(s.stop - s.start < 2 for s in fine):
            return None
        return cls(size, (_feeding(fine[1], size), _feeding(fine[0], size)), (fine[1], fine[0]))

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.fine[0].stop - self.fine[0].start, self.fine[1].stop - self.fine[1].start

    def upsample(self, field: np.ndarray) -> np.ndarray:
        """Resample a field on ``coarse`` (``[h, w]`` or ``[c, h, w]``) to ``fine``, separably, by Catmull-Rom."""
        if field.ndim == 3:
            return np.stack([self.upsample(plane) for plane in field])
        first, weights = _taps(self.size, GRID, EXTENT)
        (rows, cols), (crows, ccols) = self.fine, self.coarse
        wide = _resample_rows(np.ascontiguousarray(field.T), first[cols] - ccols.start, weights[:, cols])
        return _resample_rows(np.ascontiguousarray(wide.T), first[rows] - crows.start, weights[:, rows])

    def where(self, mask: np.ndarray) -> "Region | None":
        """The same coarse rectangle with ``fine`` narrowed to the bounding box of a mask on it; None if empty."""
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            return None
        fine = []
        for hit, whole, limit in ((rows, self.coarse[0], self.fine[0]), (cols, self.coarse[1], self.fine[1])):
            lo, hi = (
                (whole.start + hit[0] - 1) * COARSE_STEP - EXTENT,
                (whole.start + hit[-1] + 1) * COARSE_STEP - EXTENT,
            )
            span = _span(lo, hi, self.size)
            fine.append(slice(max(span.start, limit.start), min(span.stop, limit.stop)))
        if any(s.stop - s.start < 1 for s in fine):
            return None
        return Region(self.size, self.coarse, (fine[0], fine[1]))

    def inside(self, outer: "Region") -> Window:
        """``fine`` as slices into an array on ``outer.fine``."""
        return tuple(slice(s.start - o.start, s.stop - o.start) for s, o in zip(self.fine, outer.fine, strict=True))


def _span(lo: float, hi: float, size: int) -> slice:
    """Pixels whose centres may lie in lo..hi of the frame."""
    return slice(max(int((lo + 1) * size / 2), 0), min(int((hi + 1) * size / 2) + 1, size))


def _feeding(fine: slice, size: int) -> slice:
    """Coarse samples that the resampling of ``fine`` reads."""
    first, _ = _taps(size, GRID, EXTENT)
    return slice(max(int(first[fine.start]), 0), min(int(first[fine.stop - 1]) + 4, GRID))


def copy_overlap(source: np.ndarray, source_window: Window, target: np.ndarray, target_window: Window) -> None:
    """Copy what two windows of one grid share from one window's array into the other's."""
    (sr, sc), (tr, tc) = source_window, target_window
    r0, r1 = max(sr.start, tr.start), min(sr.stop, tr.stop)
    c0, c1 = max(sc.start, tc.start), min(sc.stop, tc.stop)
    if r0 < r1 and c0 < c1:
        part = source[r0 - sr.start : r1 - sr.start, c0 - sc.start : c1 - sc.start]
        target[r0 - tr.start : r1 - tr.start, c0 - tc.start : c1 - tc.start] = part


@cache
def whole_frame(size: int) -> Region:
    """The region of the whole picture."""
    return Region.around(size, -1, 1, -1, 1)


# ------------------------------------------------------------------------------------------------------------- noise


@lru_cache(maxsize=64)
def _periodic_noise(size: int, octaves: tuple[tuple[int, float], ...]) -> np.ndarray:
    """Sum of smooth noises with ``cells`` cells across the frame and the given amplitudes; periodic, read-only."""
    total = np.zeros((size, size), F)
    for cells, amplitude in octaves:
        lattice = np.random.default_rng([41, cells]).standard_normal((cells, cells)).astype(F)
        x = (np.arange(size) + 0.5) / size * cells
        i = np.floor(x).astype(np.int64)
        t = (x - i).astype(F)
        weights = -0.5 * t + t**2 - 0.5 * t**3, 1 - 2.5 * t**2 + 1.5 * t**3
        weights += 0.5 * t + 2 * t**2 - 1.5 * t**3, -0.5 * t**2 + 0.5 * t**3
        for axis in (0, 1):
            taps = [np.take(lattice, (i + k - 1) % cells, axis) for k in range(4)]
            lattice = sum(tap * (w[:, None] if axis == 0 else w) for tap, w in zip(taps, weights, strict=True))
        total += F(amplitude) * lattice
    total.flags.writeable = False
    return total


def noise(rng: np.random.Generator, size: int, *octaves: tuple[int, float]) -> np.ndarray:
    """Smooth noise ``[size, size]``: for every (cells across, amplitude) one octave; one random shift for all."""
    dy, dx = (rng.integers(NOISE_SHIFTS, size=2) * size / NOISE_SHIFTS).round().astype(int)
    return np.roll(_periodic_noise(size, octaves), (dy, dx), (0, 1))


@lru_cache(maxsize=16)
def texture(seed: int) -> np.ndarray:
    """Random texture for ``sample_texture``: normal deviates, padded by one row and column for wrapping."""
    side = TEXTURE_SIZE
    t = np.random.default_rng([43, seed]).standard_normal((side, side)).astype(F)
    return np.pad(t, ((0, 1), (0, 1)), mode="wrap").ravel()


def sample_texture(tex: np.ndarray, u, v) -> np.ndarray:
    """Bilinear samples at texels (u, v) of a ``texture``, wrapped."""
    i, j = np.floor(u), np.floor(v)
    fu, fv = u - i, v - j
    mask, stride = TEXTURE_SIZE - 1, TEXTURE_SIZE + 1
    k = (j.astype(np.int32) & mask) * stride + (i.astype(np.int32) & mask)
    a, b, c, d = tex.take(k), tex.take(k + 1), tex.take(k + stride), tex.take(k + (stride + 1))
    b -= a
    d -= c
    a += b * fu
    c += d * fu
    c -= a
    a += c * fv
    return a


# -------------------------------------------------------------------------------------------------------------- blur


def box_blur(field: np.ndarray, radius: int, passes: int = 2) -> np.ndarray:
    """Running mean over 2 radius + 1 samples along both axes, edges repeated; ``[..., h, w]``."""
    for _ in range(passes):
        for _ in range(2):
            field = np.swapaxes(_running_mean(field, radius), -1, -2)
    return field


def _running_mean(field: np.ndarray, radius: int) -> np.ndarray:
    """Running mean along the last axis by taps (small radius) or by a prefix sum."""
    width = field.shape[-1]
    if radius <= 3:
        padded = field.take(np.arange(-radius, width + radius), -1, mode="clip")
        total = padded[..., :width] + padded[..., 1 : width + 1]
        for k in range(2, 2 * radius + 1):
            total += padded[..., k : width + k]
    else:
        sums = np.cumsum(field.take(np.arange(-radius - 1, width + radius), -1, mode="clip"), -1)
        total = sums[..., 2 * radius + 1 :] - sums[..., :width]
    total *= F(1 / (2 * radius + 1))
    return total


def shifted(field: np.ndarray, dx: int, dy: int) -> np.ndarray:
    """The field moved by dx samples to the right and dy down; edges repeated."""
    h, w = field.shape
    return field.take(np.arange(-dy, h - dy), 0, mode="clip").take(np.arange(-dx, w - dx), 1, mode="clip")
