"""The relief of the face: nose, sockets, cheekbones, lips and folds as one height texture over (X, Y) of the head.

Everything in it is symmetric, so the right half is computed and mirrored.
"""

import numpy as np

from .head import EYE_Y
from .numerics import F, box_blur, bump, monotone_cubic, smoothstep
from .people import Face

HALF_WIDTH, HALF_HEIGHT = 0.72, 1.05  # extent of the texture
COLUMNS, ROWS = 121, 181
_X = np.linspace(0, HALF_WIDTH, COLUMNS // 2 + 1, dtype=F)
_Y = np.linspace(-HALF_HEIGHT, HALF_HEIGHT, ROWS, dtype=F)
_STEP_X, _STEP_Y = float(_X[1] - _X[0]), float(_Y[1] - _Y[0])
NOSE_TOP = 0.1  # the nose is stretched downwards from here

# fmt: off
_RIDGE_Y = np.array([-0.40, -0.335, -0.31, -0.285, -0.26, -0.225, -0.17, -0.10, 0, 0.09, 0.16, 0.24])
_RIDGE_HEIGHT = np.array([0, 0.010, 0.040, 0.085, 0.122, 0.138, 0.128, 0.100, 0.064, 0.032, 0.011, 0])
_RIDGE_WIDTH = np.array([0.06, 0.06, 0.06, 0.070, 0.082, 0.085, 0.080, 0.074, 0.068, 0.066, 0.07, 0.08])
# fmt: on


def along_nose(person, y: float) -> float:
    """Height on this person's nose of a point at y on the nose of length 1."""
    return NOSE_TOP + (y - NOSE_TOP) * person.nose_length


class Mouth:
    """Lip curves of a face: half width, height of the centre, and four edges over u = X / half width."""

    def __init__(self, face: Face):
        person, capture = face.person, face.capture
        self._person, self._open, self._smile = person, capture.mouth_open, capture.smile
        grin = max(capture.smile, 0.0)
        self.half_width = person.lip_width * (1 + 0.20 * grin - 0.06 * capture.mouth_open)
        self.y = -0.475 + person.mouth_y + 0.012 * grin

    def edges(self, u):
        """Top and bottom of the upper lip, top and bottom of the lower lip, relative to ``y``; -1 <= u <= 1."""
        p, smile, opened = self._person, self._smile, self._open
        grin = max(smile, 0.0)
        q = np.maximum(1 - u * u, 0)
        root = np.sqrt(q)
        arc = root * np.sqrt(root)  # q^0.75
        bend = 0.034 * (smile + 0.40) * (u * u - 0.45) + (0.0025 * (1 - abs(smile))) * np.cos(3 * np.pi * u)
        bow = 1 - p.cupid_bow * (0.30 * bump(u, 0, 0.13) - 0.10 * bump(np.abs(u), 0.27, 0.16))
        upper = bend + 0.014 * opened * q + 0.003 * q
        lower = bend - opened * (0.062 + 0.018 * grin) * (0.85 * arc + 0.15 * q) - 0.004 * q
        top = upper + p.upper_lip * (1 - 0.18 * grin) * arc * bow
        bottom = lower - p.lower_lip * (1 - 0.10 * grin) * (0.5 * root + 0.5 * arc)
        return top, upper, lower, bottom


class Relief:
    """Height, slopes and crease occlusion of one face as textures."""

    def __init__(self, face: Face, mouth: Mouth):
        half = _bumps(face, mouth)
        half += _nose_ridge(face)
        half += _folds(face)
        _add_lips(half, face, mouth)
        # Fade out over a wide band, so that the silhouette stays the loft's and no edge shows on cheek and jaw.
        half *= smoothstep(0.60, 0.32, _X) * smoothstep(-0.92, -0.76, _Y)[:, None]
        height = np.concatenate([half[:, :0:-1], half], 1)
        slope_y, slope_x = np.gradient(height, _STEP_Y, _STEP_X)
        occlusion = np.clip(1 - 9.0 * (box_blur(height, 4) - height), 0.55, 1.15)
        self._height = height.ravel()
        self._shading = np.stack([slope_x.ravel(), slope_y.ravel(), occlusion.ravel()])

    def height(self, X, Y) -> np.ndarray:
        """Height over the loft at (X, Y)."""
        return _bilinear(self._height, *_texels(X, Y))

    def shading(self, X, Y) -> np.ndarray:
        """Slope along X, slope along Y and crease occlusion at (X, Y): ``[3, h, w]``."""
        return _bilinear(self._shading, *_texels(X, Y))


def _texels(X, Y):
    u = np.clip((X + HALF_WIDTH) * (1 / _STEP_X), 0, COLUMNS - 1.01)
    v = np.clip((Y + HALF_HEIGHT) * (1 / _STEP_Y), 0, ROWS - 1.01)
    i, j = np.floor(u), np.floor(v)
    return j.astype(np.int32) * COLUMNS + i.astype(np.int32), u - i, v - j


def _bilinear(table, k, fu, fv):
    a, b = table.take(k, -1), table.take(k + 1, -1)
    c, d = table.take(k + COLUMNS, -1), table.take(k + (COLUMNS + 1), -1)
    a += (b - a) * fu
    c += (d - c) * fu
    a += (c - a) * fv
    return a


def _bumps(face: Face, mouth: Mouth) -> np.ndarray:
    """Sum of the separable Gaussian bumps, right half."""
    p, smile = face.person, max(face.capture.smile, 0.0)
    eye_x, nose, wrinkles, chubby = p.eye_x, p.nose_width, p.wrinkles, p.chubby
    wing_y = nose_wing_y(p)
    table = (  # x, y, width, height of the bump, its height; mirrored where x is not 0
        (0.20, 0.150, 0.16, 0.065, 0.022 * p.brow_ridge),
        (0, 0.16, 0.08, 0.06, 0.012 * p.brow_ridge),
        (eye_x, EYE_Y + 0.012, 0.125, 0.075, -0.052),  # eye socket
        (0.125, 0.045, 0.045, 0.06, -0.014),
        (eye_x, EYE_Y - 0.002, 0.092, 0.052, 0.045),  # eyeball
        (eye_x + 0.01, EYE_Y - 0.085, 0.10, 0.03, -0.012 - 0.010 * wrinkles - 0.012 * p.bags),
        (0.34, -0.11, 0.13, 0.10, 0.034 * p.cheekbone + 0.02 * smile),
        (0.27, -0.22 + 0.03 * smile, 0.12, 0.10, 0.012 + 0.032 * smile + 0.03 * chubby),
        (0.36, -0.42, 0.12, 0.14, -0.020 + 0.05 * chubby + 0.01 * smile),
        (0, -0.45, 0.20, 0.13, 0.038),  # muzzle
        (0, mouth.y - 0.135, 0.13, 0.032, -0.026),  # groove over the chin
        (0, -0.74, 0.12, 0.075, 0.040 * p.chin_width),
        (0.06, -0.75, 0.06, 0.06, 0.008),
        (0, 0.45, 0.26, 0.18, 0.012),  # forehead
        (0.088 * nose, wing_y + 0.004, 0.047 * nose, 0.047, 0.066 * (0.6 + 0.4 * p.nose_height)),
        (0, -0.222 * p.nose_length, 0.052 * nose, 0.045, 0.030 * p.nose_tip * p.nose_height),
        (0, mouth.y + 0.10, 0.022, 0.045, -0.011),  # philtrum
    )
    out = np.zeros((ROWS, len(_X)), F)
    for x, y, width, height, amount in table:
        across = bump(_X, x, width) + (bump(_X, -x, width) if x else 0)
        out += (amount * bump(_Y, y, height))[:, None] * across
    return out


def nose_wing_y(person) -> float:
    """Height of the wings of the nose."""
    return -0.25 * person.nose_length + 0.03 * (1 - person.nose_length)


def _nose_ridge(face: Face) -> np.ndarray:
    p = face.person
    y = np.where(_RIDGE_Y < NOSE_TOP, NOSE_TOP + (_RIDGE_Y - NOSE_TOP) * p.nose_length, _RIDGE_Y)
    height, width = monotone_cubic(y, np.stack([_RIDGE_HEIGHT, _RIDGE_WIDTH]), _Y)
    height = height * p.nose_height + p.nose_hump * bump(_Y, -0.03, 0.05)
    t = _X / (width[:, None] * (0.6 + 0.4 * p.nose_width)).astype(F)
    return height[:, None].astype(F) * np.exp(-(t**1.9))


def _folds(face: Face) -> np.ndarray:
    """Nasolabial fold and the cheek above it."""
    p, smile = face.person, max(face.capture.smile, 0.0)
    wing_y, Y = nose_wing_y(p), _Y[:, None]
    distance = _X - (0.115 * p.nose_width + 0.02 + (wing_y - Y) * (0.42 + 0.25 * smile))
    lower = smoothstep(wing_y - 0.30, wing_y - 0.15, Y)
    fold = (0.002 + 0.012 * smile + 0.012 * p.wrinkles) * bump(distance, 0, 0.028)
    cheek = (0.020 * smile + 0.012 * p.wrinkles) * bump(distance, 0.055, 0.05)
    return lower * (
        cheek * smoothstep(wing_y + 0.08, wing_y - 0.02, Y) - fold * smoothstep(wing_y + 0.05, wing_y - 0.02, Y)
    )


def _add_lips(height: np.ndarray, face: Face, mouth: Mouth) -> None:
    """Two rolls for the lips, a trench between them and a dimple at each corner, added in place."""
    first, last = np.searchsorted(_Y, (mouth.y - 0.30, mouth.y + 0.20))
    v = _Y[first:last, None] - F(mouth.y)
    u = np.minimum(_X / F(mouth.half_width), 1.2)
    top, upper, lower, bottom = mouth.edges(u)
    q = np.maximum(1 - u * u, 0)
    rows = height[first:last]

    def roll(a, b, share, extra):
        t = (v - (a + b) / 2) / (share * (a - b) + extra)
        return np.exp(-t * t)

    rows += 0.026 * q**0.6 * roll(top, upper, 0.55, 0.010)
    rows += 0.034 * q**0.6 * roll(lower, bottom, 0.55, 0.010)
    rows -= 0.014 * q**0.3 * roll(upper, lower, 0.5, 0.007)
    rows -= 0.014 * bump(_X, mouth.half_width + 0.012, 0.022) * bump(v, 0.034 * face.capture.smile * 0.55, 0.028)
