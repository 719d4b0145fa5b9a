"""Things worn on the head: earrings, glasses and hats."""

import numpy as np

from .head import EYE_Y, PROFILE_Y, Loft, View, solve
from .light import Canvas, Light
from .numerics import (
    F,
    Region,
    box_blur,
    bump,
    copy_overlap,
    coverage,
    length,
    linear,
    noise,
    rounded_box,
    segment_distance,
    shifted,
    smoothstep,
    whole_frame,
)
from .people import Face
from .skin import Head

LOBE_Y, LOBE_Z = -0.275, -0.10
EARRING_SIZE = 2.0
LENS_Z = 0.545
BESIDE_LENS = "l_eye", "r_eye", "l_brow", "r_brow"  # classes that stay visible through clear lenses


def paint_earrings(canvas: Canvas, face: Face, view: View, head: Head, light: Light) -> None:
    """Studs, hoops or drops on both lobes; the head hides the far one."""
    capture = face.capture
    for side in (1, -1):
        out = 0.985 * head.surface.loft.half_width(LOBE_Y) + 0.035 + 0.02 * max(0.0, -side * view.sin_yaw)
        x0, y0 = view.project(side * out, LOBE_Y, LOBE_Z)
        region = view.region(x0 - 0.24, x0 + 0.24, y0 - 0.40, y0 + 0.10)
        if region is None:
            continue
        x, y = view.fine(region)
        turned = max(0.0, -side * view.sin_yaw)
        distance, shade, tint = _EARRINGS[capture.earring]((x - x0) / EARRING_SIZE, (y - y0) / EARRING_SIZE, turned)
        visible = coverage(-head.outline_on(region) + 0.004, view.pixel)
        alpha = coverage(distance * EARRING_SIZE, view.pixel * 1.1) * visible
        colour = linear(capture.metal) * np.array(tint, F) * F(0.55 + 0.6 * light.mean_key)
        canvas.paint(alpha, shade * colour[:, None, None], region.fine)
        canvas.label(alpha >= 0.5, "ear_r", region.fine)


def _stud(x, y, turned):
    shine = np.exp(-((x + 0.006) ** 2 + (y - 0.007) ** 2) * (1 / 0.00012))
    return length(x, y) - 0.022, 0.55 + 0.9 * shine, (1, 1, 1)


def _hoop(x, y, turned):
    radius = 0.058
    narrow = 0.35 + 0.65 * min(1.0, 0.45 + 1.5 * turned)
    ring = length(x * (1 / narrow), y + radius)
    angle = np.arctan2(y + radius, x)
    shade = 0.6 + 0.8 * bump(angle, 2.1, 0.35) + 0.25 * np.sin(9 * angle)
    return np.abs(ring - radius) - 0.0105, shade, (1, 1, 1)


def _drop(x, y, turned):
    bead = np.minimum(length(x, y) - 0.012, length(x, (y + 0.075) * 0.62) - 0.028)
    chain = np.maximum(np.abs(x) - 0.006, np.abs(y + 0.03) - 0.03)
    shine = np.exp(-((x + 0.008) ** 2 + (y + 0.065) ** 2) * (1 / 0.00016))
    return np.minimum(bead, chain), 0.55 + 0.9 * shine, (0.8, 0.95, 1.1)


_EARRINGS = {"stud": _stud, "hoop": _hoop, "drop": _drop}


# ----------------------------------------------------------------------------------------------------------- glasses


def paint_glasses(canvas: Canvas, face: Face, view: View, head: Head, light: Light) -> None:
    """Lenses on a plane in front of the eyes, bridge, and temples as segments in 3-D."""
    capture = face.capture
    x_mid, y_mid = view.project(0.0, EYE_Y, LENS_Z)
    region = view.region(x_mid - 0.85, x_mid + 0.85, y_mid - 0.30, y_mid + 0.30)
    hx, hy = view.fine(region)
    x = (hx - LENS_Z * view.sin_yaw) * (1 / view.cos_yaw)
    y = (hy + LENS_Z * view.cos_yaw * view.sin_pitch) * (1 / view.cos_pitch) - (EYE_Y - 0.012)
    lens, reach = _lens(capture.glasses_shape, np.abs(x) - (face.person.eye_x + 0.008), y)
    sun = capture.glasses == "sun"
    thickness = (0.019 if capture.glasses_shape == "rect" else 0.013) * (1.2 if sun else 1)
    frame = _frame(face, view, x, y, hx, hy, np.abs(lens) - thickness, reach)
    below = shifted(frame, 0, int(0.02 * view.size))
    on_face = coverage(head.outline_on(region), view.pixel)
    canvas.darken(0.22 * coverage(below - 0.004, 0.03) * on_face, (1, 1, 1), region.fine)
    _paint_lenses(canvas, region, lens, x, y, sun, light, view.pixel)
    glint = 0.55 + 0.6 * bump(frame, -0.9 * thickness, 0.35 * thickness) * (0.3 + 0.6 * light.direction[1])
    alpha = coverage(frame, view.pixel * 1.1)
    colour = linear(capture.glasses_colour)
    canvas.paint(alpha, glint * (0.9 * colour)[:, None, None] + F(0.012), region.fine)
    canvas.label(alpha >= 0.5, "eye_g", region.fine)


def _lens(shape: str, u, y):
    """Signed distance to the lens outline (u outwards from its centre) and how far it reaches outwards."""
    if shape == "rect":
        return rounded_box(u, y, 0.196, 0.122, 0.045), 0.196
    if shape == "round":
        return length(u, y * 1.04) - 0.176, 0.176
    return length(u * (1 + 0.35 * y), (y + 0.02) * 1.12 + 0.10 * u) - 0.190, 0.175


def _frame(face: Face, view: View, x, y, hx, hy, rims, reach: float):
    """Distance to rims, bridge and temples."""
    ax, eye_x = np.abs(x), face.person.eye_x + 0.008
    bridge = np.maximum(np.abs(y - 0.045 + 0.75 * ax * ax) - 0.012, ax - eye_x + 0.12)
    frame = np.minimum(rims, bridge)
    for side in (1, -1):
        if -side * view.sin_yaw > -0.10:
            hinge = view.project(side * (eye_x + reach), EYE_Y + 0.03, LENS_Z)
            ear = view.project(side * 0.565, EYE_Y, -0.02)
            frame = np.minimum(frame, segment_distance(hx, hy, *hinge, *ear) - 0.014)
    return frame


def _paint_lenses(canvas: Canvas, region: Region, lens, x, y, sun: bool, light: Light, pixel: float) -> None:
    """Clear lenses keep eyes and brows in the label map, dark ones cover them."""
    side = np.sign(x)
    glare = bump(x * 0.8 + y - 0.33 * side, 0.1 * light.direction[0], 0.05)
    inside = coverage(lens, pixel * 1.2)
    if sun:
        sky = 0.09 * glare + 0.03 * smoothstep(0.0, 0.14, y)
        colour = np.stack([sky + c for c in (F(0.018), F(0.018), F(0.022))])
        canvas.paint(inside * np.clip(0.97 - 0.16 * smoothstep(0.02, -0.14, y), 0, 1), colour, region.fine)
        canvas.label(inside >= 0.5, "eye_g", region.fine)
        return
    canvas.paint(inside * (0.03 + 0.10 * glare), (0.80, 0.88, 1.0), region.fine)
    mask = lens < 0
    for name in BESIDE_LENS:
        mask &= ~canvas.is_label(name, region.fine)
    canvas.label(mask, "eye_g", region.fine)


# -------------------------------------------------------------------------------------------------------------- hats

HAT_SHAPES = {  # height over the crown, thickness, height of the rim
    "beanie": (0.13, 0.075, 0.33),
    "cap": (0.10, 0.055, 0.40),
    "fedora": (0.22, 0.05, 0.42),
}
HAT_STRETCH_FROM = 0.3


def _hat_loft(kind: str, head: Loft) -> Loft:
    """The head, inflated and stretched upwards; a fedora has straighter walls."""
    height, thickness, _ = HAT_SHAPES[kind]
    base, top, y = HAT_STRETCH_FROM, head.y_max, PROFILE_Y
    t = (y - base) / (top + height - base)
    if kind == "fedora":
        t = np.clip(t, 0, 1) ** 2.2
    below = np.where(y > base, base + t * (top - base), y)
    width, front, back = (np.interp(below, y, profile) for profile in (head.width, head.front, head.back))
    grown = thickness * np.sqrt(np.clip(width / 0.3, 0, 1))
    return Loft(width + grown, front + grown, back - grown, -1.5, top + height)


def paint_hat(canvas: Canvas, face: Face, view: View, head: Head, light: Light) -> None:
    """Beanie, cap or fedora with its drop shadow and brim."""
    kind, rng = face.capture.hat, np.random.default_rng(face.capture.noise_seed + 1)
    loft = _hat_loft(kind, head.surface.loft)
    region = view.region(-0.9, 0.9, 0.0, 1.4)
    shell = solve(loft, view, region, iterations=4)
    bend = 0.05 if kind != "beanie" else 0.04
    over_rim = HAT_SHAPES[kind][2] - bend * (shell.X * 2) ** 2 - shell.Y
    rim = region.upsample(over_rim)
    outside = np.maximum(region.upsample(shell.outline), rim)
    alpha = coverage(outside - (0.015 if kind == "fedora" else 0), view.pixel * 1.3)
    caster = np.zeros_like(head.surface.X)
    coarse = coverage(np.maximum(shell.outline, over_rim), view.step)
    copy_overlap(coarse, region.coarse, caster, head.region.coarse)
    head.drop_shadow(canvas, caster, light, 1.5)
    lit = light.diffuse(shell.normals(view), (0.3, 0.3, 0.3))
    fabric = _fabric(kind, region, shell, rim, noise(rng, view.size, (90, 0.05), (12, 0.06))[region.fine])
    colour = linear(face.capture.hat_colour)
    channels = zip(lit, colour, strict=True)
    canvas.paint(alpha, [region.upsample(e) * fabric * (1.1 * c) for e, c in channels], region.fine)
    canvas.label(alpha >= 0.5, "hat", region.fine)
    if kind != "beanie":
        crown = np.zeros((view.size, view.size), F)
        crown[region.fine] = alpha
        _paint_brim(canvas, face, view, head, light, rng, crown)


def _fabric(kind: str, region: Region, shell, rim, cloth):
    """Brightness of the fabric: knitted ribs and a turned-up hem, seams, or a crease and a ribbon."""
    X = region.upsample(shell.X)
    fabric = 1 + cloth
    if kind == "fedora":
        dent = bump(region.upsample(shell.Y), 0.92, 0.09) * bump(X, 0, 0.18)
        return fabric * (1 - 0.25 * dent) * (1 - 0.72 * smoothstep(-0.13, -0.12, rim))
    angle = np.arctan2(X, np.maximum(region.upsample(shell.Z), -0.4) + 0.7)
    if kind == "cap":
        return fabric * (1 - 0.18 * bump(np.sin(3 * angle), 0, 0.03))
    ribs = np.sin(60 * angle)
    hem = 0.97 + 0.09 * smoothstep(-0.20, -0.17, rim)
    return fabric * hem * (1 - 0.20 * ribs * ribs) * (1 - 0.30 * bump(rim, -0.185, 0.014))


def _paint_brim(canvas: Canvas, face: Face, view: View, head: Head, light: Light, rng, crown) -> None:
    """Visor of a cap or brim of a fedora (its far half lies behind the crown), with the shadow under it."""
    region = whole_frame(view.size)
    hx, hy = view.fine(region)
    if face.capture.hat == "cap":
        outside, shade = _visor(view, hx, hy)
        alpha = coverage(outside, view.pixel * 1.3)
    else:
        outside, shade, far = _round_brim(view, hx, hy)
        alpha = coverage(outside, view.pixel * 1.3) * (1 - crown * far)
    under = box_blur(shifted(alpha, 0, int(0.05 * view.size)), max(1, int(0.012 * view.size)))
    fine = head.region.fine
    canvas.darken(under[fine] * head.alpha * (1 - alpha[fine]), (0.34, 0.40, 0.42), fine)
    weave = 1 + noise(rng, view.size, (70, 0.04))
    colour = linear(face.capture.hat_colour)[:, None, None] * light.flat(0.45, 0.7)
    canvas.paint(alpha, shade * weave * colour, region.fine)
    canvas.label(alpha >= 0.5, "hat", region.fine)


def _visor(view: View, hx, hy):
    x0, y0 = view.project(0.0, 0.37, 0.62)
    half = 0.47 * view.cos_yaw
    u = (hx - x0) * (1 / half)
    uu = u * u
    top = y0 + 0.16 - 0.22 * uu
    bottom = y0 - 0.035 + 0.055 * (1 - uu) * (1 + 2 * view.sin_pitch) - 0.13 * uu
    au = np.clip(np.abs(u), 0, 1.2)
    bottom = bottom + (top - bottom) * au * au * au * au * au
    outside = np.maximum(np.maximum(hy - top, bottom - hy), (np.abs(u) - 1) * half)
    ramp = np.clip((hy - bottom) / np.where(np.abs(top - bottom) < 1e-3, 1e-3, top - bottom), 0, 1)
    return outside, 0.72 + 0.5 * ramp * ramp * (3 - 2 * ramp)


def _round_brim(view: View, hx, hy):
    half, depth = 0.98, 0.30 * abs(view.sin_pitch) + 0.105
    u = hx * (1 / half)
    v = (hy - 0.41 * view.cos_pitch + 0.10 - 0.14 * u * u + 0.25 * view.sin_pitch) * (1 / depth)
    return (length(u, v) - 1) * depth, 0.62 + 0.45 * smoothstep(-1, 1, v), smoothstep(-0.2, 0.1, v)
