"""Light and paint: key, ambient and rim light, shadows and occlusion on the coarse grid, and the canvas."""

import numpy as np

from ..classes import CLASS_ID
from .numerics import F, Window, box_blur, rgb, shifted, tone_curve
from .people import Capture

SKIN_WRAP = (0.42, 0.26, 0.20)  # per channel: the red terminator is cheap subsurface scattering
GRAIN = 0.006 * 255
VIGNETTE = 0.10
_SHADOW_STEPS, _SHADOW_REACH = 10, 0.34


class Light:
    """The light of one picture; directions in view coordinates."""

    def __init__(self, capture: Capture):
        azimuth, elevation = np.radians(capture.light_azimuth), np.radians(capture.light_elevation)
        flat = np.cos(elevation)
        self.direction = tuple(float(v) for v in (np.sin(azimuth) * flat, np.sin(elevation), np.cos(azimuth) * flat))
        halfway = np.array(self.direction) + (0, 0, 1)
        self.halfway = tuple(float(v) for v in halfway / np.linalg.norm(halfway))
        warm = 0.06 * capture.temperature
        self.key = tuple(1.02 * capture.key * c for c in (1 + warm, 1, 1 - warm))
        self.ambient = tuple(capture.ambient * c for c in (1 - warm * 0.5, 1, 1 + warm))
        self.rim, self.rim_side = capture.rim, -1.0 if azimuth > 0 else 1.0
        self.mean_key = sum(self.key) / 3

    def flat(self, key: float, ambient: float) -> np.ndarray:
        """Colour of the light without direction: shares of key and ambient, ``[3, 1, 1]``."""
        return rgb(*(k * key + a * ambient for k, a in zip(self.key, self.ambient, strict=True)))

    def diffuse(self, normal, wrap=SKIN_WRAP, shadow=1.0, occlusion=1.0) -> np.ndarray:
        """Irradiance ``[3, h, w]``: wrapped diffuse key light, front-biased hemisphere of ambient light, rim light."""
        facing = sum(n * d for n, d in zip(normal, self.direction, strict=True))
        hemisphere = (0.44 + 0.26 * normal[1] + 0.36 * normal[2]) * occlusion
        dimmed = 0.6 + 0.4 * occlusion
        out = np.empty((3, *facing.shape), F)
        for c in range(3):
            k = np.clip((facing + wrap[c]) * (1 / (1 + wrap[c])), 0, 1)
            lit = k * k * (0.72 + 0.28 * k)
            if not np.isscalar(shadow):  # scattered light softens the shadow, red most
                lit = lit * (shadow * (1 + 0.66 * wrap[c] * (1 - shadow)))
            out[c] = lit * dimmed * self.key[c] + hemisphere * self.ambient[c]
        if self.rim:
            edge = np.clip((self.rim_side * normal[0] * 0.9 + 0.1) * 1.4 - 0.5, 0, 1) * np.clip(1 - normal[2], 0, 1)
            out += self.rim * edge
        return out

    def cosine_halfway(self, vectors) -> np.ndarray:
        """Scalar product with the halfway vector."""
        return sum(v * h for v, h in zip(vectors, self.halfway, strict=True))

    def specular(self, normal) -> np.ndarray:
        """Two lobes with exponents 14 and 60."""
        h = np.clip(self.cosine_halfway(normal), 0, 1)
        h2 = h * h
        h4 = h2 * h2
        h14 = h4 * h4 * h4 * h2
        h28 = h14 * h14
        return 0.55 * h14 + 0.45 * (h28 * h28 * h4)


def cast_shadow(depth: np.ndarray, light: Light, step: float) -> np.ndarray:
    """Share of the key light that arrives: walks towards the light over the coarse depth map (``step`` = spacing)."""
    lx, ly, lz = light.direction
    lx, ly = lx / max(lz, 0.25), ly / max(lz, 0.25)
    shade = np.zeros_like(depth)
    for k in range(1, _SHADOW_STEPS + 1):
        distance = _SHADOW_REACH * (k / _SHADOW_STEPS) ** 1.5
        dx, dy = round(lx * distance / step), round(-ly * distance / step)
        if dx or dy:
            higher = shifted(depth, -dx, -dy) - depth
            np.maximum(shade, (higher - (distance + 0.012)) * (1 / (0.02 + 0.25 * distance)), out=shade)
    return np.clip(1 - box_blur(np.minimum(shade, 1), 1), 0, 1)


class Canvas:
    """The picture in linear light, planar float32 ``[3, size, size]``, and its label map."""

    def __init__(self, image: np.ndarray):
        self.image = image
        self.size = image.shape[-1]
        self.labels = np.zeros(image.shape[1:], np.uint8)

    def paint(self, alpha: np.ndarray, colour, window: Window) -> None:
        """Blend a colour (``[3]`` or ``[3, h, w]``) over the window."""
        for plane, c in zip(self.image, colour, strict=True):
            part = plane[window]
            part += alpha * (c - part)

    def darken(self, amount: np.ndarray, tint, window: Window) -> None:
        """Multiply the window by 1 - amount * tint (one factor per channel)."""
        for plane, t in zip(self.image, tint, strict=True):
            plane[window] *= 1 - amount * F(t)

    def label(self, mask: np.ndarray, name: str, window: Window) -> None:
        """Write a class where ``mask`` holds."""
        self.labels[window][mask] = CLASS_ID[name]

    def is_label(self, name: str, window: Window) -> np.ndarray:
        """Where the window shows a class."""
        return self.labels[window] == CLASS_ID[name]

    def develop(self, rng: np.random.Generator, axes) -> np.ndarray:
        """uint8 ``[size, size, 3]``: vignette, tone curve, sRGB and grain."""
        curve = tone_curve()
        x, y = axes
        gain = (1 - VIGNETTE * (x * x + y * y)) * F(1.02 / 1.25 * (len(curve) - 1))
        grain = rng.standard_normal(self.labels.shape, F) * F(GRAIN) + F(0.5)
        out = np.empty((*self.labels.shape, 3), np.uint8)
        for c in range(3):
            exposure = np.clip(self.image[c] * gain, 0, len(curve) - 1).astype(np.int32)
            out[..., c] = np.clip(curve.take(exposure) + grain, 0, 255)
        return out
