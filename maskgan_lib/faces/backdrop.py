"""Backgrounds: soft gradients, bokeh discs, plaster, panels. They are smooth, so the coarse grid carries them."""

import numpy as np

from .light import Canvas
from .numerics import GRID, F, Region, coarse_axes, length, linear, noise, smoothstep
from .people import Face

BOKEH_DISCS = 14
PANEL_WIDTH = 0.55


def paint_background(canvas: Canvas, face: Face, region: Region) -> None:
    """Fill the canvas."""
    c = face.capture
    rng = np.random.default_rng(c.noise_seed)
    x, y = coarse_axes()
    colours = _palette(c.background_colours, c.background_light)
    lean = 1.0 if c.background_light > 0.5 else -1.0
    t = smoothstep(-1.2, 1.2, y + 0.5 * lean * x)
    image = colours[0] * (1 - t) + colours[1] * t
    if c.background in ("bokeh", "gradient"):
        image *= 1 + noise(rng, GRID, (4, 0.18))
    if c.background == "wall":
        image *= 1 + noise(rng, GRID, (18, 0.10), (6, 0.12))
    if c.background == "bokeh":
        _bokeh(image, colours, rng, x, y)
    if c.background == "panel":
        _panels(image, colours[2], rng, x, y)
    image = np.clip(image, 0, 1.1)
    for plane, coarse in zip(canvas.image, image, strict=True):
        plane[...] = region.upsample(coarse)


def _palette(colours, brightness: float) -> list[np.ndarray]:
    """Three linear colours ``[3, 1, 1]``; the brightest backgrounds are nearly white."""
    palette = [np.clip(linear(c) * F(0.42 + 0.83 * brightness), 0, F(0.9))[:, None, None] for c in colours]
    return [0.25 * c + F(0.62) for c in palette] if brightness > 0.72 else palette


def _bokeh(image, colours, rng, x, y) -> None:
    for _ in range(BOKEH_DISCS):
        x0, y0, radius = (float(rng.uniform(low, high)) for low, high in ((-1.1, 1.1), (-1.1, 1.1), (0.06, 0.22)))
        colour = colours[int(rng.integers(3))] * F(1.1) + F(0.06)
        d = length(x - x0, y - y0) - radius
        rows, cols = (np.flatnonzero((d < 0.03).any(axis)) for axis in (1, 0))
        if not len(rows):
            continue
        window = slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1)
        d = d[window]
        alpha = 0.30 * smoothstep(0.03, -0.03, d) * (1 + 0.5 * smoothstep(-0.06, 0, d))
        part = image[(slice(None), *window)]
        part += alpha * (colour - 0.3 * part)


def _panels(image, colour, rng, x, y) -> None:
    phase_x, phase_y = rng.uniform(0, 1, 2).tolist()
    column = x * (1 / PANEL_WIDTH) + phase_x
    whole = np.floor(column)
    row = y * (1.2 / PANEL_WIDTH) + phase_y + 0.5 * (whole - 2 * np.floor(whole / 2))
    outside = np.maximum(np.abs(column - whole - 0.5) - 0.30, np.abs(row - np.floor(row) - 0.5) - 0.10)
    image += 0.5 * smoothstep(0.05, -0.05, outside) * (colour - image)
