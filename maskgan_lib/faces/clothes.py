"""Clothes and necklaces: a flat layer in body coordinates, that does not turn with the head."""

import numpy as np

from .head import Neck, View
from .light import Canvas, Light
from .numerics import F, Region, bump, coverage, length, linear, noise, smoothstep
from .people import Face

Shape = tuple[np.ndarray, np.ndarray]  # signed distance and brightness


def paint_necklace(canvas: Canvas, face: Face, view: View, neck: Neck, region: Region, on_neck, light: Light) -> None:
    """Chain, pearls or pendant on the skin of the neck, with its shadow."""
    capture = face.capture
    x, y = view.body(region)
    x = x - F(neck.x)
    line = -0.945 + 1.9 * x * x + 0.9 * x**4
    distance = np.abs(y - line) / np.sqrt(1 + (3.8 * x) ** 2)
    along = x * (1 + 1.2 * np.abs(x))
    if capture.necklace == "pearls":
        outside, shade = _pearls(x, y - line, along, distance)
        colour = linear("#efe6da")
    else:
        outside = distance - 0.0155
        shade = 0.62 + 0.42 * np.sin(130 * along) * bump(distance, 0, 0.014)
        colour = linear(capture.metal)
        if capture.necklace == "pendant":
            outside, shade = _pendant(x, y, outside, shade)
    canvas.darken(0.28 * coverage(outside - 0.012, 0.02) * on_neck, (1, 1, 1), region.fine)
    alpha = coverage(outside, view.pixel * 1.1) * on_neck
    gain = F(0.5 + 0.65 * light.mean_key)
    canvas.paint(alpha, shade * (colour * gain)[:, None, None], region.fine)
    canvas.label(alpha >= 0.5, "neck_l", region.fine)


def _pearls(x, rise, along, distance) -> Shape:
    spacing = 0.066
    u = along * (1 / spacing)
    u = (u - np.floor(u) - 0.5) * spacing
    r = length(u / (1 + 0.6 * np.abs(x)), distance)
    shine = np.exp(-((u + 0.007) ** 2 + (rise - 0.010) ** 2) * (1 / 0.00018))
    return np.minimum(r - 0.029, distance - 0.017), 0.45 + 0.6 * shine - 0.15 * smoothstep(0.015, 0.030, r)


def _pendant(x, y, chain, shade) -> Shape:
    disc = length(x, 0.8 * (y + 0.975)) - 0.042
    shine = 0.55 + 0.7 * np.exp(-((x + 0.01) ** 2 + (y + 0.965) ** 2) * (1 / 0.0004))
    return np.minimum(chain, disc), np.where(disc < 0.004, shine, shade)


def paint_back_collar(canvas: Canvas, face: Face, view: View, neck: Neck, region: Region) -> None:
    """The dark inside of a garment behind the neck."""
    x, y = view.body(region)
    off = np.abs(x - neck.x)
    outside = np.maximum(y + 0.80 + 0.25 * off, off - neck.half_width(y) - 0.03)
    alpha = coverage(outside, view.pixel * 2) * smoothstep(-0.3, -0.5, y)
    canvas.paint(alpha, linear(face.capture.cloth_colour) * F(0.22) + F(0.004), region.fine)
    canvas.label(alpha >= 0.5, "cloth", region.fine)


class Garment:
    """Shading and coordinates of the clothes on one region; one method per kind of garment."""

    def __init__(self, canvas: Canvas, face: Face, view: View, neck: Neck, region: Region, light: Light):
        self.canvas, self.capture, self.view, self.region = canvas, face.capture, view, region
        x, y = view.body(region)
        self.x, self.y = x - F(neck.shoulder_x), y
        self.ax = np.abs(self.x)
        self.shoulder = neck.shoulder(self.ax)
        if self.capture.cloth in ("collar", "suit"):  # worn a little lower
            self.y = y + F(0.075)
            self.shoulder = self.shoulder + 0.03 + 0.15 * smoothstep(0.72, 0.36, self.ax)
        self.light = self._drape(light)
        self.cloth = linear(self.capture.cloth_colour)

    def _drape(self, light: Light) -> np.ndarray:
        """Light on the cloth ``[3, h, w]``: folds, and a gradient from the light's side."""
        rng = np.random.default_rng(self.capture.noise_seed + 2)
        size, fine, x, y = self.view.size, self.region.fine, self.x, self.y
        folds = 1 + noise(rng, size, (9, 0.10), (60, 0.03))[fine]
        folds += 0.08 * np.sin(9 * x + 14 * y + 2 * noise(rng, size, (5, 1.0))[fine])
        side = 0.72 + 0.35 * np.tanh(2.4 * light.direction[0] * x)
        base = np.clip(0.52 + 0.42 * light.mean_key * side + 0.25 * (y + 0.9), 0.25, 1.3)
        return light.flat(0.5, 0.8) * (base * folds)

    def paint(self) -> None:
        """Paint and label the garment."""
        getattr(self, f"_{self.capture.cloth}")()

    def _put(self, outside, colour, shade=1.0, soft: float = 1.3) -> np.ndarray:
        alpha = coverage(outside, self.view.pixel * soft)
        self.canvas.paint(alpha, self.light * (np.asarray(colour, F)[:, None, None] * shade), self.region.fine)
        self.canvas.label(alpha >= 0.5, "cloth", self.region.fine)
        return alpha

    def _bare(self) -> None:
        """No garment in the picture."""

    def _crew(self) -> None:
        ring = length(self.x * (1 / 0.390), (self.y + 0.85) * (1 / 0.285))
        ribs = 0.5 + 0.5 * np.sin(150 * np.arctan2(self.y + 0.79, self.x))
        self._put(np.maximum(self.y - self.shoulder, 1 - ring), self.cloth, 1 - 0.22 * ribs * bump(ring, 1.07, 0.05))

    def _vneck(self) -> None:
        opening = (self.y - (-1.25 + 1.48 * self.ax)) * (1 / 1.75)
        self._put(np.maximum(self.y - self.shoulder, opening), self.cloth)

    def _strap(self) -> None:
        strap = np.maximum(np.abs(self.ax - 0.47 - 0.22 * (self.y + 0.9)) - 0.030, self.y - self.shoulder + 0.045)
        top = self.y + 1.0 - 0.12 * self.ax**2 - 0.10 * bump(self.ax, 0.36, 0.16)
        self._put(np.minimum(strap, top), self.cloth)

    def _shirt_outline(self):
        opening = (self.y - (-1.20 + 1.48 * self.ax)) * (1 / 1.75)
        return np.maximum(self.y - self.shoulder - 0.03, opening)

    def _collar(self) -> None:
        self._put(self._shirt_outline(), self.cloth)
        self._flaps(self.cloth * 1.25 + 0.03)

    def _suit(self) -> None:
        """Shirt, jacket with lapels, striped tie, collar."""
        x, y, ax = self.x, self.y, self.ax
        shirt = linear("#aebfd4" if self.capture.blue_shirt else "#eceae6")
        on_shirt = self._put(self._shirt_outline(), shirt, 1 + 0.05 * np.sin(160 * x))
        jacket = np.maximum(y - self.shoulder - 0.03, (y - (-1.40 + 1.72 * ax)) * 0.5)
        self.canvas.darken(0.35 * coverage(jacket - 0.02, 0.04) * on_shirt, (1, 1, 1), self.region.fine)
        dark = self.cloth * 0.55 if self.cloth.mean() > 0.2 else self.cloth
        self._put(jacket, dark, 1 + 0.25 * bump(jacket, -0.012, 0.010))
        tie = np.maximum(ax - 0.055 - 0.03 * np.clip(-y - 0.95, 0, 1), y + 0.935 - 0.1 * ax)
        self._put(tie, linear(self.capture.tie_colour), 1 + 0.18 * np.sign(np.sin(70 * (x + y))), 1.2)
        self._flaps(linear("#f1efec"))

    def _flaps(self, colour) -> None:
        """The two flaps of a collar."""
        ax, y = self.ax, self.y
        band = np.abs(0.84 * ax - 0.57 * (y + 1.17)) - 0.055
        outside = np.maximum(band, np.maximum(y + 0.66 + 0.2 * (ax - 0.3), -1.06 - y))
        self._put(outside, colour, 1.02 - 0.35 * bump(outside, -0.004, 0.006))
