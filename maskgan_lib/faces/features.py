"""Nose, eyes, brows and mouth, painted in coordinates of the head's surface, so that they turn with it."""

import numpy as np

from .head import EYE_Y
from .light import Canvas, Light
from .numerics import F, bump, coverage, length, linear, rgb, sample_texture, smoothstep, texture
from .people import Face
from .relief import Mouth, along_nose
from .skin import SOFT_TINT, Head, Patch, tone_colour

MIN_OPEN = 0.12  # below this the mouth counts as closed
BROW_START, BROW_LENGTH = 0.092, 0.325


def paint_nose(canvas: Canvas, head: Head) -> None:
    """Nostrils, the groove around the wings and the shade under the tip; the label of the nose."""
    p = head.face.person
    patch = head.part(0, -0.12, 0.24, 0.28)
    if patch is None:
        return
    Y, ax = patch.Y, np.abs(patch.X)
    bottom = along_nose(p, -0.315)
    t = np.clip((0.10 - Y) * (1 / (0.10 - bottom)), 0, 1.3)
    half = 0.046 + 0.020 * t + 0.086 * p.nose_width * smoothstep(0.45, 0.88, t)
    half *= np.sqrt(np.clip((1.06 - t) * (1 / 0.16), 0, 1))
    canvas.label((np.maximum(ax - half, Y - 0.10) < 0) & (patch.alpha > 0.5), "nose", patch.window)
    y, x = along_nose(p, -0.296), 0.052 * p.nose_width
    hole = length((ax - x - 0.25 * (Y - y)) * (1 / (0.030 * p.nose_width)), (Y - y + 0.15 * (ax - x)) * (1 / 0.0135))
    hole = 0.80 * smoothstep(1.25, 0.55, hole)
    groove = length(ax - 0.092 * p.nose_width, 0.95 * (Y - (y + 0.045))) - 0.052 * p.nose_width
    groove = 0.34 * bump(groove, 0, 0.010) * smoothstep(0.095 * p.nose_width, 0.125 * p.nose_width, ax)
    groove *= smoothstep(y + 0.085, y + 0.04, Y)
    under = 0.16 * bump(Y, y - 0.018, 0.012) * smoothstep(0.12, 0.05, ax)
    canvas.darken(hole * patch.alpha, (1, 1, 1), patch.window)
    canvas.darken((groove + under) * patch.alpha, (0.7, 0.9, 0.95), patch.window)


class Eye:
    """One eye in its own coordinates: u outwards and v up from its centre, q = u / half width."""

    def __init__(self, face: Face, patch: Patch, side: int, pixel: float):
        p, c = face.person, face.capture
        self.face, self.patch, self.side, self.pixel = face, patch, side, pixel
        self.width = p.eye_width
        self.u = (patch.X - side * p.eye_x) * side
        self.q = self.u * (1 / self.width)
        self.aq = np.abs(self.q)
        self.v = patch.Y - EYE_Y - p.eye_tilt * self.q
        upper = 1.10 * p.eye_height * (1 + 0.18 * c.brow_raise) * (1 - 0.25 * max(c.squint, 0))
        lower = 0.84 * p.eye_height * (1 - 0.30 * c.squint)
        self.over = self.v - upper * (1 - self.aq**2.2) * (1 - 0.10 * self.q)  # height over the upper lid line
        self.under = self.v + lower * (1 - self.q * self.q) * (1 + 0.18 * self.q)  # height over the lower one
        self.inside = np.maximum(self.over, -self.under)
        self.light = patch.light


def paint_eyes(canvas: Canvas, head: Head, light: Light) -> None:
    """Both eyes and brows."""
    p, pixel = head.face.person, head.view.pixel
    for side, eye_name, brow_name in ((1, "l_eye", "l_brow"), (-1, "r_eye", "r_brow")):
        patch = head.part(side * p.eye_x, EYE_Y - 0.005, 0.165, 0.105)
        if patch is not None:
            eye = Eye(head.face, patch, side, pixel)
            _paint_lid(canvas, eye)
            _paint_eyeball(canvas, eye, light)
            canvas.label((eye.inside < 0) & (patch.alpha > 0.5), eye_name, patch.window)
            _paint_lashes(canvas, eye)
        patch = head.part(side * 0.26, EYE_Y + 0.13, 0.22, 0.12)
        if patch is not None:
            _paint_brow(canvas, head.face, patch, side, pixel, brow_name)


def _paint_lid(canvas: Canvas, eye: Eye) -> None:
    """Lid, crease, inner socket, and eye shadow."""
    p, c = eye.face.person, eye.face.capture
    over, q, aq, alpha = eye.over, eye.q, eye.aq, eye.patch.alpha
    lid = smoothstep(0.0, 0.012, over) * smoothstep(0.085, 0.02, over) * smoothstep(1.45, 0.9, aq)
    crease = bump(over, 0.026 + 0.012 * p.eye_fold, 0.0075) * smoothstep(1.35, 0.85, aq) * (0.25 + 0.38 * p.eye_fold)
    socket = 0.12 * bump(eye.v, 0.06, 0.03) * bump(q, -0.7, 0.5) + 0.10 * lid
    canvas.darken((crease + socket) * alpha, SOFT_TINT, eye.patch.window)
    if c.makeup:
        cover = 0.62 * lid * smoothstep(-1.3, 0.2, q) + 0.22 * bump(over, 0.04, 0.03) * smoothstep(1.5, 0.6, aq)
        colour = 1.1 * linear(c.eye_shadow)[:, None, None] * eye.light
        canvas.paint(np.clip(cover * alpha, 0, 0.8), colour, eye.patch.window)


def _paint_eyeball(canvas: Canvas, eye: Eye, light: Light) -> None:
    """Sclera with caruncle, iris with streaks and limbal ring, pupil, lid shade and catchlight."""
    c, radius, px = eye.face.capture, eye.face.person.iris_radius, eye.pixel
    u, v = eye.u, eye.v
    ix, iy = eye.side * c.gaze_x * 0.030, c.gaze_y * 0.016 + 0.004
    r = length(u - ix, v - iy)
    angle = np.arctan2(v - iy, u - ix)
    streaks = 0.75 + 0.25 * sample_texture(texture(2), angle * 30 + 200, r * 120)
    tissue = smoothstep(-0.7, -1.02, eye.q)
    white = 1 - 0.28 * np.minimum(eye.aq, 1.2) ** 2
    iris = (
        1.35
        * streaks
        * (0.55 + 1.25 * smoothstep(-radius, radius, iy - v))
        * (1 - 0.75 * smoothstep(radius * 0.78, radius, r))
    )
    in_iris = smoothstep(radius + px * 0.7, radius - px * 0.7, r)
    pupil = 1 - 0.96 * smoothstep(0.42 * radius + px, 0.42 * radius - px, r)
    shade = 0.82 * (1 - 0.62 * smoothstep(0.024, -0.002, -eye.over) - 0.12 * smoothstep(0.012, 0, eye.under))
    lx, ly, _ = light.direction
    spark = length(u - ix - eye.side * lx * 0.020, v - iy - 0.006 - ly * 0.020)
    second = length(u - ix + eye.side * 0.016 * (1 if lx >= 0 else -1), v - iy + 0.02)
    spark = 0.81 * smoothstep(0.0105, 0.0065, spark) + 0.21 * smoothstep(0.010, 0.004, second)
    colour = []
    for sclera, flesh, hue, lit in zip(
        linear("#efe9e4"), (0.12, 0.45, 0.45), linear(eye.face.person.iris), eye.light, strict=True
    ):
        ball = sclera * white * (1 - F(flesh) * tissue)
        ball = (ball + in_iris * (hue * iris - ball)) * pupil
        colour.append(ball * (0.35 * lit + 0.65 * lit.mean()) * shade + spark)
    canvas.paint(coverage(eye.inside, px) * eye.patch.alpha, colour, eye.patch.window)


def _paint_lashes(canvas: Canvas, eye: Eye) -> None:
    """Lash lines, lashes, and the bag under the eye."""
    p, c = eye.face.person, eye.face.capture
    q, aq, over, alpha = eye.q, eye.aq, eye.over, eye.patch.alpha
    thickness = 0.0070 + (0.0065 if c.makeup else 0.0 if p.male else 0.0022)
    line = thickness * (0.55 + 0.45 * smoothstep(-1, 0.9, q))
    lash = coverage(np.abs(over - 0.35 * line) - line, eye.pixel) * smoothstep(1.06, 1.0, aq)
    if c.makeup or not p.male:
        reach = (0.034 if c.makeup else 0.020) * (0.4 + 0.6 * smoothstep(-0.8, 1, q))
        phase = q * (9 if c.makeup else 7) - over * 16 * (0.4 + q)
        comb = smoothstep(0.55, 0.95, np.abs((phase - np.floor(phase)) * 2 - 1))
        t = over / reach
        comb *= (0.85 if c.makeup else 0.5) * smoothstep(1, 0.55, t) * smoothstep(-0.05, 0.05, t)
        u, width = eye.u, eye.width
        wing = bump(eye.v - 0.25 * (u - width), 0.004, 0.009 if c.makeup else 0.005) * (0.9 if c.makeup else 0.35)
        wing *= smoothstep(width * 0.92, width, u) * smoothstep(width * 1.25, width * 1.02, u)
        lash = np.maximum(np.maximum(lash, comb * smoothstep(1.12, 1.0, aq)), wing)
    lower = bump(eye.under, -0.002, 0.0035) * smoothstep(1.02, 0.9, aq) * (0.55 if c.makeup else 0.28)
    ink = np.array([0.012, 0.009, 0.008], F) + F(0.04) * linear(p.hair_hex)
    canvas.paint(np.minimum(np.maximum(lash, lower) * 0.93, 1) * alpha, ink, eye.patch.window)
    fold = bump(eye.under, -0.020, 0.006) * (0.08 + 0.12 * max(c.squint, 0) + 0.10 * p.wrinkles)
    fold += p.bags * (0.42 * bump(eye.under, -0.046, 0.010) + 0.10 * bump(eye.under, -0.024, 0.02))
    canvas.darken(fold * smoothstep(1.2, 0.6, aq) * alpha, (0.6, 0.8, 0.85), eye.patch.window)


def _paint_brow(canvas: Canvas, face: Face, patch: Patch, side: int, pixel: float, name: str) -> None:
    """Hairs along a curve; the inner end is lifted a little, else everyone looks angry."""
    p = face.person
    t = (patch.X * side - BROW_START) * (1 / (BROW_LENGTH * p.brow_length))
    tc = np.clip(t, 0, 1.2)
    arch = 1.10 * np.sin((0.95 * np.pi) * tc * np.sqrt(tc))
    curve = EYE_Y + 0.112 + p.brow_y + 0.016 * face.capture.brow_raise
    curve = curve + 0.020 * bump(t, 0, 0.3) + p.brow_arch * arch - 0.028 * tc * tc * tc
    thick = p.brow_thickness * (1 - 0.15 * bump(t, 0, 0.1))
    thick *= np.sqrt(np.clip((1.04 - t) * (1 / 0.55), 0, 1) * np.clip((t + 0.06) * (1 / 0.12), 0, 1))
    v = patch.Y - curve
    outside = np.maximum(np.abs(v) - thick, 0.3 * np.maximum(-t - 0.06, t - 1.04))
    lean = v * (1 - 0.75 * smoothstep(0.1, 0.8, t))
    offset = p.hair_seed % 241
    coarse = sample_texture(texture(3), t * 62 - lean * 210 + offset, v * 22 + 30)
    fine = sample_texture(texture(3), t * 120 - lean * 420 + offset, v * 30 + 10)
    alpha = coverage(outside + 0.003 * coarse, 0.014 + pixel * 0.5)
    alpha *= np.clip(0.80 + 0.13 * coarse + 0.10 * fine, 0.3, 0.97) * patch.alpha
    alpha *= (0.93 if face.capture.makeup or p.bushy else 0.85) * (0.8 if p.hair_colour == "Blond" else 1)
    share = {"Gray": 0.5, "Blond": 0.38}.get(p.hair_colour, 0.60)
    colour = (linear(p.hair_hex) * share + (0.02 if p.hair_colour == "Gray" else 0))[:, None, None]
    canvas.paint(alpha, colour * (0.7 * patch.light + 0.12), patch.window)
    canvas.label((outside < 0.005) & (patch.alpha > 0.5), name, patch.window)


class _Lips:
    """The mouth's fields on its patch, shared by the painters below."""

    def __init__(self, head: Head, mouth: Mouth, patch: Patch):
        self.patch, self.light = patch, patch.light
        self.capture, self.person = head.face.capture, head.face.person
        self.pixel, self.width = head.view.pixel, mouth.half_width
        self.u = patch.X * (1 / mouth.half_width)
        self.au = np.abs(self.u)
        self.v = patch.Y - mouth.y
        self.top, self.upper, self.lower, self.bottom = mouth.edges(np.clip(self.u, -1, 1))
        sides = (self.au - 1) * mouth.half_width
        self.in_upper = np.maximum(np.maximum(self.v - self.top, self.upper - self.v), sides)
        self.in_lower = np.maximum(np.maximum(self.v - self.lower, self.bottom - self.v), sides)
        self.inner = np.maximum(np.maximum(self.v - self.upper, self.lower - self.v), sides)
        self.middle = self.v - (self.upper + self.lower) / 2
        self.gap = self.upper - self.lower
        if self.capture.makeup:
            self.colour = linear(self.capture.lipstick)
        else:
            redness = (0.84, 0.60, 0.56) if self.person.male else (0.86, 0.52, 0.50)
            self.colour = tone_colour(self.person.tone) * np.array(redness, F)


def paint_mouth(canvas: Canvas, head: Head, mouth: Mouth, light: Light) -> None:
    """Lips, seam or cavity with teeth, corners, and the shade under the lower lip."""
    patch = head.part(0, mouth.y - 0.03, mouth.half_width + 0.06, 0.21)
    if patch is None:
        return
    lips = _Lips(head, mouth, patch)
    window, alpha = patch.window, patch.alpha
    corner = bump((lips.au - 1) * lips.width, 0, 0.016) * bump(lips.middle, 0, 0.012)
    canvas.darken(0.35 * corner * alpha, (0.7, 0.85, 0.9), window)
    _paint_lips(canvas, lips, light)
    is_open = lips.capture.mouth_open > MIN_OPEN
    cavity = _mouth_cavity(lips) if is_open else np.array([0.060, 0.012, 0.012], F)
    canvas.paint(coverage(lips.inner, lips.pixel) * alpha * (1 if is_open else 0.6), cavity, window)
    seam = bump(lips.middle, 0, 0.0055 + 0.35 * lips.pixel) * smoothstep(1.04, 0.9, lips.au)
    seam *= smoothstep(0.03, 0.012, lips.gap)
    canvas.paint(0.80 * seam * alpha, np.array([0.05, 0.012, 0.012], F) + F(0.10) * lips.colour, window)
    under = 0.18 * bump(lips.v - lips.bottom, -0.020, 0.014) * smoothstep(0.75, 0.3, lips.au)
    canvas.darken(under * alpha, (0.6, 0.8, 0.85), window)
    on_face, inner = alpha > 0.5, lips.inner < 0
    canvas.label((lips.in_upper < 0) & on_face, "u_lip", window)
    canvas.label((lips.in_lower < 0) & on_face, "l_lip", window)
    if is_open:
        canvas.label(inner & on_face, "mouth", window)
    else:
        canvas.label(inner & on_face & (lips.middle > 0), "u_lip", window)
        canvas.label(inner & on_face & (lips.middle <= 0), "l_lip", window)


def _paint_lips(canvas: Canvas, lips: _Lips, light: Light) -> None:
    makeup = lips.capture.makeup
    soft = lips.pixel * (1.2 if makeup else 2.2) + (0.005 if makeup else 0.008)
    ridges = 1 + 0.05 * sample_texture(texture(2), lips.u * 40 + 300, lips.v * 20 + 5)
    rise = np.clip((lips.v - lips.upper) / (lips.top - lips.upper + 1e-4), 0, 1)
    fall = np.clip((lips.v - lips.bottom) / (lips.lower - lips.bottom + 1e-4), 0, 1)
    upper = (0.66 + 0.26 * rise) * ridges
    lower = (0.84 + 0.28 * bump(fall, 0.6, 0.3) - 0.10 * smoothstep(0.85, 0.95, fall)) * ridges
    gloss = (0.17 if makeup else 0.06) * bump(fall, 0.58, 0.17) * bump(lips.u, 0.25 * light.direction[0], 0.38)
    tinted = lips.colour[:, None, None] * lips.light
    alpha, window = lips.patch.alpha, lips.patch.window
    canvas.paint(coverage(lips.in_upper, soft) * alpha * (1 if makeup else 0.9), tinted * upper, window)
    shiny = tinted * lower + gloss * rgb(1, 0.95, 0.93)
    canvas.paint(coverage(lips.in_lower, soft) * alpha * (1 if makeup else 0.88), shiny, window)


def _mouth_cavity(lips: _Lips) -> np.ndarray:
    """Colour of the open mouth: dark, upper teeth with gaps fading into the corners, tongue."""
    u, v, px = lips.u, lips.v, lips.pixel
    edge = v - lips.upper + np.minimum(0.058, lips.gap * 0.93 + 0.002)
    t = u * (lips.width / 0.034) * (1 + 0.25 * u * u) + 0.5
    gap = np.abs(t - np.floor(t) - 0.5)
    tooth = smoothstep(-0.002 - px, 0.001 + px, edge + 0.005 * smoothstep(0.36, 0.5, gap))
    tooth *= smoothstep(0.99, 0.74, lips.au)
    shade = 0.82 * (1 - 0.45 * u * u - 0.16 * smoothstep(0.40, 0.49, gap))
    shade *= 1 - 0.45 * smoothstep(0.014, -0.004, lips.upper - v)
    tongue = 0.8 * bump(v - lips.lower, 0, 0.018) * smoothstep(0.75, 0.3, lips.au) * (1 - tooth)
    tongue *= smoothstep(0.055, 0.085, lips.gap)
    colour = []
    for dark, white, red, lit in zip(
        (0.060, 0.012, 0.012), linear("#f1ece2"), (0.30, 0.07, 0.07), lips.light, strict=True
    ):
        plane = dark + tooth * (white * shade * lit - dark)
        colour.append(plane + tongue * (F(red) * lit - plane))
    return np.stack(colour)
