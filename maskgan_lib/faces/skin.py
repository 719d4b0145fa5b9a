"""Skin: the shaded head, its complexion and lines, neck, ears and beards."""

import numpy as np

from .head import EYE_Y, Neck, Surface, View
from .light import Canvas, Light
from .numerics import (
    COARSE_STEP,
    F,
    Region,
    box_blur,
    bump,
    copy_overlap,
    coverage,
    length,
    linear,
    noise,
    rgb,
    sample_texture,
    shifted,
    smoothstep,
    texture,
)
from .people import Face, Identity
from .relief import Mouth, Relief, nose_wing_y

SKIN_TONES = (
    (248, 214, 196), (242, 202, 176), (232, 184, 152), (206, 150, 112), (164, 110, 78), (118, 76, 54), (80, 52, 40),
)  # fmt: skip
LINE_TINT = 0.62, 0.80, 0.85  # lines darken blue most: they stay brown
SOFT_TINT = 0.62, 0.78, 0.82
SHINE_TINT = 1, 0.97, 0.93
SHADOW_TINT = 0.34, 0.46, 0.50
MOTTLING = (9, 0.016), (40, 0.014), (150, 0.012)


def tone_colour(tone: float) -> np.ndarray:
    """Linear colour ``[3]`` between the skin tones."""
    x = tone * (len(SKIN_TONES) - 1)
    i = min(int(x), len(SKIN_TONES) - 2)
    low, high = (np.array(c) for c in SKIN_TONES[i : i + 2])
    return linear(low + (high - low) * (x - i))


def skin_colour(person: Identity) -> np.ndarray:
    """Linear base albedo ``[3, 1, 1]``, slightly more saturated than the tone."""
    warm = np.array([1 + 0.03 * person.warmth, 1, 1 - 0.05 * person.warmth], F)
    return (0.98 * tone_colour(person.tone) ** np.array([1.05, 1.16, 1.22], F) * warm)[:, None, None].astype(F)


def complexion(face: Face, X, Y) -> np.ndarray:
    """Factor on the base albedo ``[3, h, w]``: red cheeks, nose, chin, yellow forehead, darker sockets and temples."""
    p = face.person
    ax = np.abs(X)
    red = 0.55 * bump(ax, 0.33, 0.13) * bump(Y, -0.20, 0.11) + 0.45 * bump(ax, 0, 0.08) * bump(Y, -0.22, 0.07)
    red += 0.3 * bump(Y, -0.74, 0.1) * bump(ax, 0, 0.15) + 0.10
    if face.capture.makeup:
        slanted = (ax - 0.36) + 0.5 * (Y + 0.17)
        red += (0.75 if p.tone < 0.5 else 0.5) * bump(slanted, 0, 0.10) * bump(Y, -0.17, 0.10)
    dark = (0.10 + 0.08 * p.wrinkles + 0.14 * p.bags) * bump(ax, p.eye_x, 0.11) * bump(Y, -0.035, 0.035)
    dark += 0.05 * bump(ax, 0.14, 0.05) * bump(Y, 0.05, 0.06) + 0.16 * smoothstep(0.36, 0.56, ax)
    yellow = 0.5 * bump(Y, 0.5, 0.25)
    blood = (1.06, 0.80, 0.74) if p.tone < 0.5 else (1.02, 0.86, 0.82)
    red = np.clip(red, 0, 1.2)
    channels = zip(blood, LINE_TINT, (0.02, 0.01, -0.05), strict=True)
    return np.stack([(1 + red * F((b - 1) * 0.62)) * (1 - dark * F(d)) * (1 + yellow * F(y)) for b, d, y in channels])


class Head:
    """The lit head: coarse fields of its region and their full-resolution counterparts."""

    def __init__(self, face: Face, view: View, surface: Surface, relief: Relief, light: Light, shadow, open_sky):
        self.face, self.view, self.region, self.surface = face, view, surface.region, surface
        slope_x, slope_y, creases = relief.shading(surface.X, surface.Y)
        normal = surface.normals(view, (slope_x, slope_y))
        irradiance = light.diffuse(normal, shadow=shadow, occlusion=creases * np.clip(open_sky, 0.75, 1.05))
        self._scatter(irradiance)
        self.irradiance = irradiance
        self.skin = skin_colour(face.person)
        self._shine = light.specular(normal) * shadow * self._gloss()
        facing = 1 - np.clip(normal[2], 0, 1)
        fresnel = 0.05 * facing * facing * facing
        self._radiance = (complexion(face, surface.X, surface.Y) * self.skin + fresnel) * irradiance
        self.X, self.Y = self.region.upsample(surface.X), self.region.upsample(surface.Y)
        self.outline = self.region.upsample(surface.outline)
        self.alpha = coverage(self.outline, view.pixel * 1.15)

    def _gloss(self) -> np.ndarray:
        """Strength of the highlights: T-zone and cheekbones; the darkest skin shines less, else a doll."""
        p, Y, ax = self.face.person, self.surface.Y, np.abs(self.surface.X)
        zones = 0.55 + 0.45 * bump(ax, 0, 0.14) * smoothstep(-0.3, -0.1, Y)
        zones += 0.35 * bump(ax, 0.32, 0.12) * bump(Y, -0.1, 0.1)
        by_tone = 1 + 0.20 * float(smoothstep(0.40, 0.46, p.tone)) - 0.45 * float(smoothstep(0.5, 0.95, p.tone))
        return zones * (0.13 * (1 - 0.25 * p.wrinkles) * by_tone)

    def _scatter(self, irradiance: np.ndarray) -> None:
        """Subsurface scattering: red light spreads furthest, green less, blue not; never across the outline."""
        inner = smoothstep(0.0, -0.08, self.surface.outline)
        for channel, radius, share in ((0, 2, 0.80), (1, 1, 0.65)):
            irradiance[channel] += share * inner * (box_blur(irradiance[channel], radius) - irradiance[channel])

    def part(self, x: float, y: float, half_width: float, half_height: float) -> "Patch | None":
        """The patch of the head around a point of its surface; None if it is out of sight."""
        hit = (np.abs(self.surface.X - x) < half_width) & (np.abs(self.surface.Y - y) < half_height)
        region = self.region.where(hit)
        return None if region is None else Patch(self, region)

    def outline_on(self, region: Region) -> np.ndarray:
        """Distance to the outline on the pixels of another region; 1 where the head is not computed."""
        out = np.full(region.shape, F(1.0))
        copy_overlap(self.outline, self.region.fine, out, region.fine)
        return out

    def drop_shadow(self, canvas: Canvas, caster: np.ndarray, light: Light, strength: float) -> None:
        """Warm soft shadow on the head of something close to it: its coarse coverage on the head's region."""
        dx, dy = round(-light.direction[0] * 0.035 / COARSE_STEP), round(light.direction[1] * 0.05 / COARSE_STEP)
        shade = self.region.upsample(box_blur(shifted(caster, dx, dy), 1)) * self.alpha
        canvas.darken(shade, [t * strength for t in SHADOW_TINT], self.region.fine)

    def paint(self, canvas: Canvas, mottling: np.ndarray) -> None:
        """Paint the skin of the head and label it."""
        fine = self.region.fine
        grain = 1 + mottling[fine]
        shine = self.region.upsample(self._shine)
        tints = zip(self._radiance, SHINE_TINT, strict=True)
        colour = [self.region.upsample(radiance) * grain + shine * F(tint) for radiance, tint in tints]
        canvas.paint(self.alpha, colour, fine)
        canvas.label(self.alpha >= 0.5, "skin", fine)


class Patch:
    """A small window of the head at full resolution."""

    def __init__(self, head: Head, region: Region):
        inner = region.inside(head.region)
        self._head, self._region = head, region
        self.window = region.fine
        self.X, self.Y, self.alpha = head.X[inner], head.Y[inner], head.alpha[inner]

    @property
    def light(self) -> np.ndarray:
        """Irradiance ``[3, h, w]``."""
        return self._region.upsample(self._head.irradiance)


def paint_lines(canvas: Canvas, head: Head) -> None:
    """Nasolabial crease, wrinkles, freckles and mole."""
    p, grin = head.face.person, max(head.face.capture.smile, 0.0)
    wing_y, old = nose_wing_y(p), p.wrinkles
    patch = head.part(0, wing_y - 0.11, 0.40, 0.18)
    if patch:
        ax, Y = np.abs(patch.X), patch.Y
        distance = ax - (0.118 * p.nose_width + 0.02 + (wing_y - Y) * (0.42 + 0.25 * grin))
        crease = (0.02 + 0.12 * grin + 0.24 * old) * bump(distance, 0, 0.013)
        crease *= smoothstep(wing_y - 0.27, wing_y - 0.12, Y) * smoothstep(wing_y + 0.04, wing_y - 0.03, Y)
        canvas.darken(crease * patch.alpha, LINE_TINT, patch.window)
    if old > 0.05:
        _paint_wrinkles(canvas, head, old)
    if p.freckles and (patch := head.part(0, -0.10, 0.55, 0.36)):
        speckle = noise(np.random.default_rng(p.hair_seed), canvas.size, (90, 1.0))[patch.window]
        ax = np.abs(patch.X)
        spots = 0.7 * p.freckles * smoothstep(1.0, 1.9, speckle) * bump(ax, 0.2, 0.22) * bump(patch.Y, -0.10, 0.16)
        canvas.darken(spots * patch.alpha, (0.30, 0.45, 0.55), patch.window)
    if p.mole and (patch := head.part(*p.mole, 0.05, 0.05)):
        spot = smoothstep(0.013, 0.008, length(patch.X - p.mole[0], patch.Y - p.mole[1]))
        canvas.darken(spot * patch.alpha, (0.6, 0.7, 0.75), patch.window)


def _paint_wrinkles(canvas: Canvas, head: Head, old: float) -> None:
    """Lines on the forehead, crow's feet, and a fold under each eye."""
    eye_x = head.face.person.eye_x
    if patch := head.part(0, 0.43, 0.44, 0.16):
        X, Y = patch.X, patch.Y
        wave = 0.012 * np.sin(9 * X + head.face.person.hair_seed % 7)
        bent = Y + 0.03 * X * X
        lines = sum(bump(bent - 0.6 * (k + 1) * wave, y, 0.010) for k, y in enumerate((0.34, 0.43, 0.52)))
        lines *= 0.34 * old * smoothstep(0.40, 0.2, np.abs(X))
        canvas.darken(lines * patch.alpha, LINE_TINT, patch.window)
    for side in (1, -1):
        if not (patch := head.part(side * (eye_x + 0.06), EYE_Y - 0.04, 0.20, 0.13)):
            continue
        ax, Y = patch.X * side, patch.Y
        t = ax - eye_x - 0.12
        feet = sum(bump(Y - k * (0.8 * t + 0.02), EYE_Y - 0.015, 0.007) for k in (-0.5, 0, 0.5))
        lines = 0.36 * old * feet * smoothstep(0, 0.03, t) * smoothstep(0.11, 0.05, t)
        d = ax - eye_x
        lines += 0.36 * old * bump(Y - 0.96 * d * d, EYE_Y - 0.085, 0.009) * smoothstep(0.11, 0.05, np.abs(d))
        canvas.darken(lines * patch.alpha, LINE_TINT, patch.window)


def paint_neck(canvas: Canvas, face: Face, view: View, neck: Neck, region: Region, irradiance, mottling) -> np.ndarray:
    """Paint neck and shoulders over ``region``; returns their coverage."""
    x, y = view.body(region)
    off = np.abs(x - neck.x)
    pillar = coverage(off - neck.half_width(y), view.pixel * 1.3) * smoothstep(-0.30, -0.34, y)
    shoulders = coverage(y - neck.shoulder(np.abs(x - neck.shoulder_x)) + 0.05, view.pixel * 1.3)
    alpha = np.maximum(pillar, shoulders)
    tendon = 0.07 * bump(off - 0.10 + 0.28 * (y + 0.95), 0, 0.03) * smoothstep(-0.6, -0.8, y)
    shade = (1 - tendon) * (1 + mottling[region.fine])
    if face.capture.cloth in ("strap", "bare", "vneck"):
        bone = y + 0.93 + 0.12 * off - 0.06 * bump(np.abs(x), 0.25, 0.1)
        shade -= 0.10 * bump(bone, 0, 0.018) * smoothstep(0.05, 0.12, off) * smoothstep(0.6, 0.3, np.abs(x))
    skin = 0.93 * skin_colour(face.person)
    lit = zip(irradiance, skin.ravel(), strict=True)
    canvas.paint(alpha, [region.upsample(e) * shade * albedo for e, albedo in lit], region.fine)
    canvas.label(alpha >= 0.5, "neck", region.fine)
    return alpha


EAR_Y, EAR_Z = -0.075, -0.12


def paint_ears(canvas: Canvas, head: Head, light: Light) -> None:
    """Both ears at their anchors on the loft; the head is painted over them."""
    view, p = head.view, head.face.person
    for side, name in ((1, "l_ear"), (-1, "r_ear")):
        x0, y0 = view.project(side * 0.985 * head.surface.loft.half_width(EAR_Y), EAR_Y, EAR_Z)
        region = view.region(x0 - 0.30, x0 + 0.30, y0 - 0.33, y0 + 0.33)
        if region is None:
            continue
        x, y = view.fine(region)
        width = 0.090 * p.ear_size * (0.72 + 0.35 * p.ear_out)
        width *= view.cos_yaw * 0.95 + 1.2 * max(0.0, -side * view.sin_yaw)
        height = 0.180 * p.ear_size
        u, v = (x - x0) * side - width * 0.35, y - y0
        v = v - 0.10 * u
        u = u - 0.16 * v * (0.6 + 0.4 * p.ear_out)
        alpha, shade, radius = _ear_relief(u, v, width, height, view.pixel)
        normal = np.stack([side * (0.305 + 0.35 * radius), 0.05 + (0.3 / height) * v, np.full_like(u, 0.75)])
        normal /= np.sqrt((normal * normal).sum(0))
        skin = 0.95 * head.skin * rgb(1.0, 0.90, 0.87)
        canvas.paint(alpha, light.diffuse(normal) * shade * skin, region.fine)
        canvas.label(alpha >= 0.5, name, region.fine)


def _ear_relief(u, v, width: float, height: float, pixel: float):
    """Coverage, shading and normalised radius of an ear; u outwards, v up."""
    t = v * (1 / height)
    w = width * (1 - 0.34 * smoothstep(0.02, -1.0, t)) * (1 + 0.05 * smoothstep(0, 1, t))
    radius = np.sqrt((u / w) ** 2 + t * t)
    alpha = coverage((radius - 1) * np.minimum(w, height), pixel * 1.3)
    inner = np.sqrt((u / (w * 0.62)) ** 2 + ((v - 0.01) * (1 / (height * 0.66))) ** 2)
    shade = 0.80 + 0.30 * bump(radius, 0.83, 0.10) + 0.16 * bump(inner, 1, 0.13) * smoothstep(-0.8, 0.1, t)
    shade -= 0.55 * bump(u, -0.22 * width, 0.38 * width) * bump(v, -0.02, 0.42 * height)
    shade -= 0.34 * bump(radius, 0.66, 0.08) * smoothstep(-0.3, 0.3, t)
    return alpha, shade * (0.70 + 0.30 * smoothstep(-0.9, 0.4, u * (1 / width))), radius


BEARD_DENSITY = {"shadow": 0.40, "stubble": 0.56, "beard": 0.92, "goatee": 0.90, "mustache": 0.94}


def paint_beard(canvas: Canvas, head: Head, mouth: Mouth) -> None:
    """Shadow, stubble, beard, goatee or moustache. Beards are skin in the label map."""
    p = head.face.person
    top = mouth.y + 0.16 if p.beard in ("goatee", "mustache") else 0.08
    patch = head.part(0, (top - 1.1) / 2, 0.75, (top + 1.1) / 2)
    if patch is None:
        return
    ax, Y = np.abs(patch.X), patch.Y
    region = _beard_region(p.beard, ax, Y, patch.X, mouth) * patch.alpha
    density, tex, offset = BEARD_DENSITY[p.beard], texture(1), p.hair_seed % 251
    hair = linear(p.hair_hex) * F(0.75 if p.hair_colour != "Gray" else 0.9)
    light = patch.light
    if p.beard in ("shadow", "stubble"):
        grain = 0.6 * sample_texture(tex, patch.X * 190 + 17 * Y + offset, Y * 150)
        grain += 0.5 * sample_texture(tex, patch.X * 110 + offset, Y * 80)
        alpha = np.clip(density * region * (0.72 + 0.38 * grain), 0, 0.8)
        gain = 0.9 if p.beard == "stubble" else 1.05
        below = canvas.image[(slice(None), *patch.window)]
        colour = (below * F(0.30) + light * (0.30 * hair)[:, None, None]) * (gain * rgb(0.92, 0.98, 1.08))
    else:
        strands = 0.7 * sample_texture(tex, ax * 150 + 40 * (Y + 0.4) * (0.5 - ax) + offset, Y * 34)
        strands += 0.5 * sample_texture(tex, ax * 260 + 30 * Y + offset, Y * 50 + 9)
        ragged = region + 0.17 * strands * smoothstep(0.02, 0.25, region)
        alpha = np.clip(smoothstep(0.10, 0.85, ragged) * density, 0, 0.94) * patch.alpha
        colour = (light * F(0.85) + F(0.05)) * np.clip(0.50 + 0.26 * strands, 0.18, 1.3) * hair[:, None, None]
    canvas.paint(alpha, colour, patch.window)


def _beard_region(kind: str, ax, Y, X, mouth: Mouth) -> np.ndarray:
    """Where hair grows, 0 .. 1."""
    width, y = mouth.half_width, mouth.y
    middle = y + 0.074 - 0.30 * np.maximum(ax - 0.05, 0)
    thickness = 0.046 * np.sqrt(np.clip(1.06 - ax * (1 / (width + 0.035)), 0, 1)) + 1e-3
    t = np.abs((Y - middle) / thickness)
    moustache = np.exp(-t * t * t) * smoothstep(width + 0.04, width - 0.02, ax) * (1 - 0.35 * bump(X, 0, 0.016))
    lips = smoothstep(1.12, 0.98, ax * (1 / width)) * smoothstep(-0.075, -0.06, Y - y) * smoothstep(0.05, 0.035, Y - y)
    if kind == "mustache":
        return moustache * (1 - lips)
    lower = Y - 0.10 * np.clip(ax - 0.08, 0, 0.2)
    chin = smoothstep(0.25, 0.12, ax) * smoothstep(y - 0.095, y - 0.17, lower)
    soul_patch = smoothstep(0.05, 0.025, ax) * smoothstep(y - 0.07, y - 0.09, Y)
    reach = np.abs(Y - y + 0.03)
    frame = bump(ax - width - 0.022 + 0.45 * reach * np.sqrt(reach), 0, 0.026)
    frame *= smoothstep(y + 0.06, y, Y) * smoothstep(y - 0.26, y - 0.18, Y)
    region = np.maximum(np.maximum(chin, soul_patch), np.maximum(moustache, frame))
    if kind != "goatee":
        border = -0.30 - 0.26 * smoothstep(0.50, 0.16, ax)
        cheek = smoothstep(0.02, -0.08, Y - border) * smoothstep(0.09, 0.17, ax)
        side = 0.8 * smoothstep(0.43, 0.49, ax) * smoothstep(0.05, -0.2, Y)
        region = np.maximum(region, np.maximum(cheek, side))
    return np.clip(region, 0, 1) * (1 - lips)
