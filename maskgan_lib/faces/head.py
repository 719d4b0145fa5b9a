"""Camera, lofts and the closed-form ray hit: where each coarse sample lands on the head, on hair or on a hat.

Frames. *Head*: X to the viewer's right, Y up, Z forwards, head half width about 0.53. *View*: the head frame turned by
yaw and pitch. *Frame*: the picture, [-1, 1], after the alignment rule of CelebA-HQ (eyes and mouth fix the crop). The
*body* frame is the view without roll: neck and clothes do not turn with the head.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .numerics import COARSE_STEP, F, Region, bump, coarse_axes, fine_axes, monotone_cubic, smoothstep
from .people import Face, Identity

EYE_Y = 0.045
EYE_Z, MOUTH_Z = 0.44, 0.53  # depths of the anchors that fix the crop
CROP_TOWARDS_MOUTH = 0.1  # centre of the crop: from the eyes this share of the way to the mouth
CROP_PER_EYES, CROP_PER_MOUTH = 2.0, 1.8  # half size: the larger of these multiples of eye-eye and eye-mouth distance

PROFILE_Y = np.linspace(-1.6, 1.4, 601)
_PROFILE_STEPS = len(PROFILE_Y) - 1
_PROFILE_SCALE = _PROFILE_STEPS / (PROFILE_Y[-1] - PROFILE_Y[0])
OUTSIDE = -0.6  # depth written where there is no surface


class View:
    """Pose of the head and placement of the crop."""

    def __init__(self, face: Face, size: int, mouth_y: float):
        capture = face.capture
        yaw, pitch, roll = (np.radians(a) for a in (capture.yaw, capture.pitch, capture.roll))
        self.size = size
        self.cos_yaw, self.sin_yaw = float(np.cos(yaw)), float(np.sin(yaw))
        self.cos_pitch, self.sin_pitch = float(np.cos(pitch)), float(np.sin(pitch))
        self.cos_roll, self.sin_roll = float(np.cos(roll)), float(np.sin(roll))
        eye_x = face.person.eye_x
        right, left = (np.array(self.project(x, EYE_Y, EYE_Z)) for x in (-eye_x, eye_x))
        mouth = np.array(self.project(0.0, mouth_y, MOUTH_Z))
        eyes = (left + right) / 2
        half = max(CROP_PER_EYES * np.linalg.norm(left - right), CROP_PER_MOUTH * np.linalg.norm(mouth - eyes))
        self.scale = float(capture.scale / half)
        self.centre = tuple(float(c) for c in eyes + CROP_TOWARDS_MOUTH * (mouth - eyes))
        self.shift = capture.shift_x, capture.shift_y
        self.body_shift = capture.shoulder_y
        self.pixel = 2.0 / size / self.scale  # one pixel in view units
        self.step = COARSE_STEP / self.scale  # one coarse sample in view units

    def project(self, X: float, Y: float, Z: float) -> tuple[float, float]:
        """View position of a point of the head."""
        depth = self.depth(X, Z)
        return X * self.cos_yaw + Z * self.sin_yaw, Y * self.cos_pitch - depth * self.sin_pitch

    def depth(self, X: float, Z: float) -> float:
        """Depth towards the viewer after yaw."""
        return -X * self.sin_yaw + Z * self.cos_yaw

    def head_coordinates(self, fx, fy):
        """View coordinates of frame positions."""
        x, y = (fx - self.shift[0]) / self.scale, (fy - self.shift[1]) / self.scale
        c, s = self.cos_roll, self.sin_roll
        return (x * c + self.centre[0]) + y * s, (y * c + self.centre[1]) - x * s

    def body_coordinates(self, fx, fy):
        """Body coordinates of frame positions (no roll, shifted with the shoulders); x and y stay separable."""
        x = (fx - self.shift[0]) / self.scale + self.centre[0]
        return x, (fy - self.shift[1]) / self.scale + (self.centre[1] - self.body_shift)

    def coarse(self, region: Region):
        """Head coordinates of the region's coarse samples."""
        return self._of(coarse_axes(), region.coarse, self.head_coordinates)

    def fine(self, region: Region):
        """Head coordinates of the region's pixels."""
        return self._of(fine_axes(self.size), region.fine, self.head_coordinates)

    def body(self, region: Region, coarse: bool = False):
        """Body coordinates x ``[1, w]``, y ``[h, 1]`` of the region's pixels or coarse samples."""
        axes, window = (coarse_axes(), region.coarse) if coarse else (fine_axes(self.size), region.fine)
        return self._of(axes, window, self.body_coordinates)

    @staticmethod
    def _of(axes, window, transform):
        rows, cols = window
        return transform(axes[0][:, cols], axes[1][rows])

    def region(self, x0: float, x1: float, y0: float, y1: float) -> Region | None:
        """The region that covers a box of head coordinates."""
        x, y = np.array([x0, x0, x1, x1]) - self.centre[0], np.array([y0, y1, y0, y1]) - self.centre[1]
        fx = (x * self.cos_roll - y * self.sin_roll) * self.scale + self.shift[0]
        fy = (x * self.sin_roll + y * self.cos_roll) * self.scale + self.shift[1]
        return Region.around(self.size, float(fx.min()), float(fx.max()), float(fy.min()), float(fy.max()))

    def body_rows(self, top: float) -> Region:
        """The region of all rows below ``top`` (body coordinates)."""
        fy = (top - self.centre[1] + self.body_shift) * self.scale + self.shift[1]
        return Region.around(self.size, -1, 1, -1, min(fy, 1.0))


class Loft:
    """A stack of ellipses along Y: half width, half depth and centre, as tables over ``PROFILE_Y``."""

    def __init__(self, width, front, back, y_min: float, y_max: float):
        self.y_min, self.y_max = float(y_min), float(y_max)
        self.width, self.front, self.back = width, front, back
        depth, centre = np.maximum((front - back) / 2, 0.02), (front + back) / 2
        rows = [width, depth, centre]
        rows += [np.gradient(row, PROFILE_Y) for row in rows]
        self._table = np.array(rows, F)
        self._slope = np.diff(self._table, axis=1, append=self._table[:, -1:])

    @classmethod
    def through(cls, y, width, front, back) -> "Loft":
        """Through knots. The square of the width is interpolated: crown and chin then close roundly."""
        squared, ahead, behind = monotone_cubic(y, np.stack([np.square(width), front, back]), PROFILE_Y)
        return cls(np.sqrt(np.maximum(squared, 1e-4)), ahead, behind, y[0], y[-1])

    def look(self, Y, rows: slice) -> np.ndarray:
        """Interpolated rows of the table: 0..2 half width, half depth, centre; 3..5 their slopes."""
        t = np.clip((Y - F(PROFILE_Y[0])) * F(_PROFILE_SCALE), 0, _PROFILE_STEPS - 0.01)
        whole = np.floor(t)
        i = whole.astype(np.int32)
        out = self._slope[rows].take(i, 1)
        out *= t - whole
        out += self._table[rows].take(i, 1)
        return out

    def nearest(self, Y) -> np.ndarray:
        """Half width, half depth and centre without interpolation: enough for the early iterations."""
        t = np.clip((Y - F(PROFILE_Y[0])) * F(_PROFILE_SCALE) + F(0.5), 0, _PROFILE_STEPS)
        return self._table[:3].take(t.astype(np.int32), 1)

    def half_width(self, Y: float) -> float:
        """Half width at one height."""
        return float(np.interp(Y, PROFILE_Y, self.width))

    def region(self, view: View, margin: float = 0.10) -> Region | None:
        """The region that the turned loft covers, with a margin (view units)."""
        inside = (self.y_min <= PROFILE_Y) & (self.y_max >= PROFILE_Y)
        width, front, back = self.width[inside], self.front[inside], self.back[inside]
        centre = (front + back) / 2 * view.sin_yaw
        half = np.hypot(width * view.cos_yaw, (front - back) / 2 * view.sin_yaw)
        lift = abs(view.sin_pitch) * 0.7
        y0, y1 = self.y_min * view.cos_pitch - lift - margin, self.y_max * view.cos_pitch + lift + margin
        return view.region(float((centre - half).min()) - margin, float((centre + half).max()) + margin, y0, y1)


@dataclass
class Surface:
    """Where the rays of a region's coarse samples hit a loft; every field is float32 ``[h, w]``."""

    loft: Loft
    region: Region
    X: np.ndarray
    Y: np.ndarray
    Z: np.ndarray  # relative to the centre of the ellipse
    depth: np.ndarray  # towards the viewer
    outline: np.ndarray  # distance to the silhouette in view units, negative inside

    @cached_property
    def profile(self) -> np.ndarray:
        """Half width, half depth, centre and their slopes at ``Y``."""
        return self.loft.look(self.Y, slice(0, 6))

    def normals(self, view: View, slopes=None) -> np.ndarray:
        """Analytic unit normals ``[3, h, w]`` in view coordinates; ``slopes`` = gradient of a relief along (X, Y)."""
        W, D, _, dW, dD, dZ = self.profile
        inv_w2, inv_d2 = 1 / (W * W), 1 / (D * D)
        nx, nz = self.X * inv_w2, self.Z * inv_d2
        ny = -self.X * nx * dW / W - nz * dZ - self.Z * nz * dD / D
        if slopes is not None:
            forwards = np.maximum(nz, 0)
            nx = nx - forwards * slopes[0]
            ny = ny - forwards * slopes[1]
        turned = -nx * view.sin_yaw + nz * view.cos_yaw
        out = np.stack(
            [
                nx * view.cos_yaw + nz * view.sin_yaw,
                ny * view.cos_pitch - turned * view.sin_pitch,
                ny * view.sin_pitch + turned * view.cos_pitch,
            ]
        )
        out *= 1 / np.sqrt(out[0] * out[0] + out[1] * out[1] + out[2] * out[2] + F(1e-9))
        return out


def solve(loft: Loft, view: View, region: Region, relief=None, iterations: int = 4) -> Surface:
    """First hit of the orthographic rays through a region's coarse samples.

    Yaw about Y keeps Y fixed, so the hit is a quadratic in 2-D; pitch (an update of Y) and the relief (a parallax
    along head Z, ``relief(X, Y)`` gives its height) are fixed points, found in ``iterations`` damped steps.
    """
    c, s, ct, st = view.cos_yaw, view.sin_yaw, view.cos_pitch, view.sin_pitch
    x, y = view.coarse(region)
    height = 0.0 if relief is None else np.full_like(x, 0.05)
    z = np.full_like(x, 0.35)
    xa, ya = x, y
    for k in range(iterations):
        last = k == iterations - 1
        if relief is not None:
            xa, ya = x - height * s, y + height * (c * st)
        Y = ya * (1 / ct) + z * (st / ct)
        W, D, centre = loft.look(Y, slice(0, 3)) if last else loft.nearest(Y)
        along = xa * s - centre
        inv_w2, inv_d2 = 1 / (W * W), 1 / (D * D)
        A = (s * s) * inv_w2 + (c * c) * inv_d2
        half_b = along * inv_d2 * c - xa * inv_w2 * (c * s)
        C = xa * xa * inv_w2 * (c * c) + along * along * inv_d2
        root = np.sqrt(np.maximum(half_b * half_b - A * (C - 1), 0))
        hit = (root - half_b) / A
        z = hit if k == 0 else 0.7 * hit + 0.3 * z
        X = xa * c - z * s
        if relief is not None and not last:
            height = 0.65 * relief(X, Y) + 0.35 * height
    Z = xa * s + z * c - centre
    radius = np.sqrt(np.maximum(C - half_b * half_b / A, 1e-6))
    effective = np.sqrt(W * W * (c * c) + D * D * (s * s))
    outline = np.maximum((radius - 1) * effective, np.maximum(loft.y_min - Y, Y - loft.y_max))
    depth = Y * st + z * ct + height * (c * ct)
    return Surface(loft, region, X, Y, Z, depth, outline)


# fmt: off
_KNOT_Y = np.array([-0.86, -0.845, -0.79, -0.69, -0.55, -0.40, -0.20, 0.0, 0.20, 0.40, 0.60, 0.74, 0.83, 0.88])
_WIDTH = np.array([0, 0.112, 0.215, 0.331, 0.429, 0.489, 0.522, 0.532, 0.536, 0.522, 0.468, 0.362, 0.230, 0])
_FRONT = np.array([0.42, 0.46, 0.50, 0.51, 0.50, 0.50, 0.50, 0.51, 0.53, 0.515, 0.43, 0.29, 0.13, -0.05])
_BACK = np.array([0.36, 0.28, 0.08, -0.05, -0.14, -0.26, -0.50, -0.62, -0.68, -0.68, -0.60, -0.46, -0.30, -0.12])
# fmt: on
JAW_DROP = 0.05  # lengthening of the lower face by a wide open mouth


def head_loft(person: Identity, mouth_open: float) -> Loft:
    """The bald head of a person."""
    p, y = person, _KNOT_Y
    jaw_line = [p.chin_width, (p.chin_width + p.jaw_width) / 2, p.jaw_width, (1 + p.jaw_width) / 2, 1]
    width = _WIDTH * p.face_width * 1.015 * np.interp(y, [-0.86, -0.69, -0.5, -0.2, 0.1], jaw_line)
    width *= 1 + 0.08 * p.chubby * bump(y, -0.5, 0.25)
    width *= 1 + (p.cheek_width - 1) * bump(y, -0.15, 0.25)
    width *= 1 + (p.temple_width - 1) * bump(y, 0.35, 0.2)
    stretch = p.chin_length * (1 + JAW_DROP * mouth_open)
    y = np.where(y < -0.3, -0.3 + (y + 0.3) * stretch, y)
    y = np.where(y > 0.4, 0.4 + (y - 0.4) * (1 + p.forehead), y)
    return Loft.through(y, width, _FRONT, _BACK)


class Neck:
    """The neck: a vertical cylinder that widens into the shoulders, in body coordinates."""

    def __init__(self, face: Face, view: View):
        person = face.person
        self.base = (0.365 if person.male else 0.318) * (0.9 + 0.1 * person.jaw_width)
        self.x = 0.06 * view.sin_yaw
        self.shoulder_x = 0.6 * self.x
        self.male = person.male

    def half_width(self, y):
        """Half width at height y."""
        below, above = np.maximum(-(y + 0.75), 0), np.maximum(y + 0.75, 0)
        return self.base + 0.02 * above + 1.5 * below**1.35 + 0.03 * smoothstep(-0.62, -0.9, y)

    def shoulder(self, distance):
        """Height of the shoulder line at a distance from the middle."""
        drop = (0.16 if self.male else 0.256) * smoothstep(0.25, 1.0, distance) * (distance - 0.25) / 0.75
        return -0.925 - drop - (0.0 if self.male else 0.03)

    def surface(self, view: View, region: Region) -> tuple[np.ndarray, np.ndarray]:
        """Depth ``[h, w]`` and unit normals ``[3, h, w]`` on a region's coarse samples."""
        x, y = view.body(region, coarse=True)
        u = np.clip((x - self.x) / np.maximum(self.half_width(y), 0.05), -1, 1)
        depth = 0.18 * np.sqrt(1 - u * u) + 0.06 - 0.25 * np.maximum(-y - 0.85, 0)
        normal = np.stack([0.95 * u, np.full_like(u, -0.12), np.sqrt(1 - (0.95 * u) ** 2)])
        normal /= np.sqrt((normal * normal).sum(0))
        return np.where(y < -0.2, depth, OUTSIDE).astype(F), normal.astype(F)
