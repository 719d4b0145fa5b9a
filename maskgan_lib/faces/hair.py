"""Hair: a second, inflated loft with a face opening on it, strands in a flow field, and a highlight along them.

The whole shell is the back layer, painted before the head; the shell minus the opening is the front layer. Long hair is
a tube that goes on below the chin.
"""

from dataclasses import dataclass

import numpy as np

from .head import PROFILE_Y, Loft, Surface, View, solve
from .light import Canvas, Light
from .numerics import F, bump, coverage, linear, noise, sample_texture, shifted, smooth_max, smoothstep, texture
from .people import Face, Identity

HAIR_WRAP = (0.40, 0.36, 0.33)
SIDE_LINE = 0.505  # |X| / face width of the hairline at the temples
CROWN_BELOW = 0.15  # the shell is stretched upwards from here
PARTING_JUMP = 3.0  # offset of the flow between the two sides of a parting: the strands are unrelated
TUBE_FROM = -0.05  # long hair leaves the head here and hangs as a tube
HAT_TOP, HAT_SIDE = 0.03, 0.06  # thickness that fits under a hat


@dataclass(frozen=True)
class Style:
    """Thickness of the shell over the bare head and the character of its edges."""

    side: float
    top: float
    front: float
    back: float
    flow: str  # radial, arch or curl
    ragged: float  # amplitude of the noise on the edges
    softness: float  # width of the hairline
    opacity: float = 1.0
    feathered: bool = False  # single hairs cross the hairline


STYLES = {
    "short": Style(0.112, 0.160, 0.062, 0.08, "radial", 0.006, 0.030, feathered=True),
    "quiff": Style(0.096, 0.190, 0.075, 0.07, "radial", 0.009, 0.032, feathered=True),
    "buzz": Style(0.022, 0.032, 0.012, 0.02, "radial", 0.004, 0.050, 0.85, feathered=True),
    "receding": Style(0.080, 0.080, 0.020, 0.06, "radial", 0.008, 0.045, feathered=True),
    "curly": Style(0.155, 0.190, 0.100, 0.12, "curl", 0.040, 0.012),
    "bald": Style(0.006, -0.30, 0.000, 0.01, "radial", 0.004, 0.060, 0.55),
    "long": Style(0.175, 0.120, 0.055, 0.10, "arch", 0.012, 0.012),
    "bob": Style(0.180, 0.115, 0.060, 0.10, "arch", 0.012, 0.012),
    "updo": Style(0.100, 0.160, 0.030, 0.08, "radial", 0.006, 0.030, feathered=True),
    "curlylong": Style(0.200, 0.160, 0.080, 0.12, "curl", 0.045, 0.012),
}
CLEAN_SHAVEN_AGE = 40  # younger bald men have no hair at all


@dataclass(frozen=True)
class _Cut:
    """The random choices of one haircut, drawn from the person's hair seed."""

    flare: float
    length: float
    curtain_slope: float
    curtain_right: float  # |X| that the curtain of hair reaches on the side of negative X
    curtain_left: float
    behind_shoulders: bool

    @classmethod
    def of(cls, person: Identity) -> "_Cut":
        rng = np.random.default_rng(person.hair_seed)
        a, b, c, d, e, f, g, h = rng.random(8).tolist()
        flare = {"long": 0.14 + 0.38 * a, "bob": 0.08, "curlylong": 0.25}.get(person.hair, 0.0)
        length = {
            "long": -0.55 - 0.9 * person.hair_length,
            "bob": -0.42 - 0.22 * b,
            "curlylong": -0.5 - 0.4 * person.hair_length,
        }.get(person.hair, -0.45)
        sides = (0.62 if f < 0.25 else 0.42 + 0.14 * d), (0.62 if g < 0.25 else 0.42 + 0.14 * e)
        return cls(flare, length, 0.55 + 0.5 * c, *sides, h < 0.65)


class Hair:
    """The hair shell of one face: coarse fields now, pixels in ``paint_back`` and ``paint_front``."""

    def __init__(self, face: Face, view: View, head: Loft):
        self.face, self.view, self.person = face, view, face.person
        self.style, self.cut = STYLES[face.person.hair], _Cut.of(face.person)
        bares_neck = self.cut.behind_shoulders or face.capture.necklace != "none"
        self.behind_shoulders = face.person.long_hair and bares_neck
        loft = _shell(face, head, self.style, self.cut)
        self.region = loft.region(view)
        self.shell = solve(loft, view, self.region, iterations=3)
        self.normal = self.shell.normals(view)
        self._hem(loft)
        self._open()
        self._comb()

    @classmethod
    def on(cls, face: Face, view: View, head: Loft) -> "Hair | None":
        """The hair of a face; None for shaven heads."""
        if face.person.hair == "bald" and face.person.age < CLEAN_SHAVEN_AGE:
            return None
        return cls(face, view, head)

    @property
    def casts(self) -> np.ndarray:
        """Where the front layer raises the depth map."""
        return (np.maximum(self.shell.outline, self.hem - self.shell.Y) < 0) & (self.opening > 0)

    def _hem(self, loft: Loft) -> None:
        """Height of the lower edge: the tips of long hair, the nape and sideburns of short hair."""
        self.hem = np.full_like(self.shell.Y, loft.y_min)
        if not self.person.long_hair:
            self.hem = np.maximum(self.hem, -0.16 - 0.09 * smoothstep(0.02, -0.30, self.shell.Z))

    def _open(self) -> None:
        """The face opening: positive on hair, negative on the face, about a distance."""
        p, shell = self.person, self.shell
        X, Y, ax = shell.X, shell.Y, np.abs(shell.X)
        self.hairline = _hairline(p, self.cut, X, ax)
        across = ax * (1 / p.face_width)  # side hairlines follow the width of the face
        if p.long_hair:
            curtain = np.where(X < 0, F(self.cut.curtain_right), F(self.cut.curtain_left))
            edge = 0.50 + (curtain - 0.50) * smoothstep(0.32, -0.10, Y) + 0.10 * smoothstep(-0.45, -0.95, Y)
            sides = across - edge
        else:
            sideburn = (0.045 if p.male else 0.015) * smoothstep(0.02, -0.14, Y)
            sides = across - SIDE_LINE - sideburn + 0.012
            if p.hair != "updo":
                lowest = -0.22 if p.beard in ("beard", "stubble") else -0.16
                sides = np.where(lowest > Y, -0.05, sides)
        opening = smooth_max(Y - self.hairline, sides, 0.02 if p.hair == "bald" else 0.10)
        self.opening = np.where(shell.Z < -0.25, np.maximum(opening, 0.05), opening).astype(F)

    def _comb(self) -> None:
        """Flow coordinate (constant along a strand), a second flow where strands cross, and the strands' direction."""
        p, X, Y = self.person, self.shell.X, self.shell.Y
        ax, part = np.abs(X), p.parting
        radial = 0.55 * np.arctan2(X, Y - 0.02 + (0.15 if p.hair == "updo" else 0))
        self.flow, self.flow2, self.weight2 = radial, None, None
        if self.style.flow == "arch":
            self.flow = smooth_max(Y - self.hairline, ax - 0.5, 0.35)
            if p.bangs:
                self.flow2 = 0.9 * X + 0.25 * (X - part) * np.abs(Y - 0.7)
                self.weight2 = smoothstep(0.52, 0.42, ax)
        elif p.hair == "short" and p.hair_flow == "comb":
            self.flow = 0.8 * Y - (0.55 if part >= 0 else -0.55) * X + 0.3 * X * X
            self.flow2, self.weight2 = radial, smoothstep(0.42, 0.52, ax)
        elif p.hair == "short" and p.hair_flow == "fringe":
            self.flow = 0.95 * X + 0.22 * (X - part) * (Y - 0.9) + 0.03 * np.sin(9 * X + p.hair_seed % 9)
        elif p.hair in ("short", "quiff") and abs(part) > 0.02:
            self.flow = radial + (0.55 if part > 0 else -0.55) * (Y - 0.55) * smoothstep(0.35, 0.7, Y)
        gy, gx = np.gradient(self.flow)
        n = self.normal
        along = gy * n[0] + gx * n[1]
        tangent = np.stack([gy - n[0] * along, gx - n[1] * along, -n[2] * along])
        self.tangent = tangent / np.sqrt((tangent * tangent).sum(0) + F(1e-9))

    # --------------------------------------------------------------------------------------------------- full size

    def comb_out(self, light: Light, shadow: np.ndarray, covered: np.ndarray) -> None:
        """Compute coverage, colour and labels of both layers at full size. ``covered``: pixels deep inside the head."""
        up, p, px = self.region.upsample, self.person, self.view.pixel
        rng = np.random.default_rng(p.hair_seed)
        self.X, self.Y = up(self.shell.X), up(self.shell.Y)
        self.outline, self.open_fine = up(self.shell.outline), up(self.opening)
        self.bottom = up(self.hem) - self.Y
        flow = self._wave(up(self.flow), rng)
        seen = (self.outline < 0.07) & (self.bottom < 0.12) & ~(covered[self.region.fine] & (self.open_fine < -0.10))
        self.tone, self.edge, single = self._strands(seen, flow, rng)
        self._cover(single, px)
        self._shade(light, shadow)

    def _wave(self, flow: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Separate the two sides of a parting and let long hair wave, its outline and its opening with it."""
        p, X, Y = self.person, self.X, self.Y
        self.wander = noise(rng, self.view.size, (7, 1.0))[self.region.fine]
        if self.style.flow == "arch":
            flow = flow + PARTING_JUMP * np.sign(X - F(p.parting))
            if p.wave:
                low = smoothstep(0.2, -0.4, Y)
                phase = 11 * Y + self.wander
                flow = flow + 0.046 * p.wave * np.sin(13 * Y + 4 * np.abs(X) + 1.2 * self.wander) * (0.25 + 0.75 * low)
                self.outline = self.outline - 0.040 * p.wave * np.sin(phase + 2) * low
                self.open_fine = self.open_fine + 0.024 * p.wave * np.sin(phase + Y + 1) * low
        return flow + 0.012 * self.wander

    def _strands(self, seen: np.ndarray, flow: np.ndarray, rng: np.random.Generator):
        """Brightness, edge noise and single hairs, ``[h, w]`` each, about unit variance; zero outside ``seen``."""
        Y = self.Y[seen]
        if self.style.flow == "curl":
            tone, edge, single = self._curls(seen, Y, rng)
        else:
            offset = self.person.hair_seed % 239
            tone, edge, single = _strand_values(flow[seen], Y, offset)
            if self.flow2 is not None:  # blend the values, never the coordinates
                weight = self.region.upsample(self.weight2)[seen]
                second = self.region.upsample(self.flow2)[seen] + 0.012 * self.wander[seen]
                tone2, edge2, _ = _strand_values(second, Y, offset)
                tone += (tone2 - tone) * weight
                edge += (edge2 - edge) * weight
        out = np.zeros((3, *seen.shape), F)
        for plane, values in zip(out, (tone, edge, single), strict=True):
            plane[seen] = values
        return out

    def _curls(self, seen: np.ndarray, Y: np.ndarray, rng: np.random.Generator):
        """Afro: three noise octaves. Ringlets: one sine helix per lock."""
        size, fine = self.view.size, self.region.fine
        if self.person.hair == "curly":
            n1, n2, n3 = (noise(rng, size, (cells, 1.0))[fine][seen] for cells in (64, 120, 20))
            contrast = 1 if self.person.hair_colour in ("Black", "Brown") else 0.6
            return contrast * (0.55 * n1 + 0.40 * n2 + 0.45 * n3), 0.40 * n3 + 0.30 * n1, n1
        X = self.X[seen]
        broad, ragged = (noise(rng, size, (cells, 1.0))[fine][seen] for cells in (10, 24))
        lock = np.arctan2(X, 0.55 - 0.2 * np.abs(X)) * 7.5 + 0.35 * broad
        cell = np.floor(lock)
        u = lock - cell - 0.5
        phase = 3 * texture(4).take((cell.astype(np.int32) + 40 + self.person.hair_seed % 97) % 200)
        helix = np.sin(30 * Y * (1 + 0.12 * phase) + 4 * phase + 3.2 * u * np.sign(X))
        strands = sample_texture(texture(4), lock * 9, Y * 8 + 30 * u)
        tone = 0.55 * helix + 0.9 * (0.25 - 2.2 * u * u) + 0.3 * strands + 0.2 * broad
        return tone, 0.35 * helix + 0.3 * ragged, strands

    def _cover(self, single: np.ndarray, px: float) -> None:
        """Coverage of both layers and their labels; labels follow the smooth outline, as annotators draw it."""
        p, style, edge = self.person, self.style, self.edge
        curl = style.flow == "curl"
        ragged, softness = style.ragged, style.softness
        if p.hair == "short" and p.hair_flow == "fringe":
            ragged, softness = 0.016, 0.012
        fade = smoothstep(-0.15, 0.15, self.Y) if p.hair == "curly" else 1.0
        outer = coverage(self.outline + 0.8 * ragged * fade * edge, px * 1.2 + 0.004)
        hairline = self.open_fine + (0.022 if curl else ragged * (2.0 if p.bangs else 1.1)) * edge
        if style.feathered:
            hairline = hairline + 0.010 * single - 0.006
        frayed, tip = (0.05, 0.03) if p.long_hair else (0.004 if p.hair == "curly" else 0.012, 0.012)
        self.back_alpha = outer * coverage(self.bottom + frayed * edge, px * 1.5 + tip)
        self.front_alpha = self.back_alpha * (1 - coverage(hairline, px * 1.3 + softness))
        lump = 0.5 * ragged * edge if curl else 0.0
        self.back_label = (self.outline + lump < 0) & (self.bottom < 0)
        self.front_label = self.back_label & (self.open_fine + lump > 0)
        if style.opacity < 1:
            stubble = sample_texture(texture(4), self.X * 160, self.Y * 160)
            self.front_alpha = self.front_alpha * np.clip(style.opacity + 0.25 * stubble, 0, 1)
        if self.behind_shoulders:
            _, y = self.view.fine(self.region)
            self.front_alpha = self.front_alpha * smoothstep(-0.70, -0.48, y + 0.03 * edge)
            self.front_label &= y > -0.59

    def _shade(self, light: Light, shadow: np.ndarray) -> None:
        """Colour ``[3, h, w]``: darker at the roots, low down and at the rim; a Kajiya-style band across the strands."""
        n, tone = self.normal, self.tone
        lit = light.diffuse(n, HAIR_WRAP, 0.35 + 0.65 * shadow[self.region.coarse])
        along = light.cosine_halfway(self.tangent)
        across2 = np.clip(1 - along * along, 0, 1)
        across4 = across2 * across2
        across8 = across4 * across4
        band = across8 * across4 * across2 * np.clip(0.6 * (n[2] + n[1]), 0, 1)  # sin^28 of the angle to the strand
        step = max(1, int(0.006 * self.view.size))
        side = 1 if light.direction[0] > 0 else -1
        relief = tone - shifted(tone, -step * side, step)
        base = np.clip(0.74 + 0.30 * tone + 0.10 * np.clip(relief, -1.5, 1.5), 0.18, 1.9)
        base *= np.clip(0.62 + 0.9 * self.open_fine, 0.62, 0.98)
        base *= 0.72 + 0.28 * smoothstep(0, -0.10, self.outline)
        if self.person.long_hair:
            base *= 1 - 0.30 * smoothstep(-0.2, -0.9, self.Y)
        shine = (0.30 if self.style.flow == "curl" else 0.55) * np.clip(0.55 + 0.75 * tone, 0, 2)
        shine *= self.region.upsample(band)
        hair = linear(self.person.hair_hex)
        self.colour = np.stack(
            [(base * (1.25 * h) + shine * (1.6 * h + F(0.035))) * self.region.upsample(e) for h, e in zip(hair, lit)]
        )

    def paint_back(self, canvas: Canvas) -> None:
        """The layer behind head and neck: dark inside, lighter towards the outline."""
        if self.person.hair == "bald":
            return
        dim = 0.42 + 0.40 * smoothstep(-0.16, -0.02, self.outline) if self.person.long_hair else F(0.8)
        canvas.paint(self.back_alpha, self.colour * dim, self.region.fine)
        canvas.label(self.back_label, "hair", self.region.fine)

    def paint_front(self, canvas: Canvas) -> None:
        """The layer over the face."""
        canvas.paint(self.front_alpha, self.colour, self.region.fine)
        canvas.label(self.front_label, "hair", self.region.fine)


def _strand_values(flow: np.ndarray, Y: np.ndarray, offset: int):
    """Brightness, edge noise and single hairs: three octaves of a random texture, long along the strands."""
    tex = texture(4)
    low = sample_texture(tex, flow * 34 + offset, Y * 1.6)
    middle = sample_texture(tex, flow * 95 + (offset + 22), Y * 3 + 7)
    high = sample_texture(tex, flow * 230 + offset, Y * 5 + 3)
    return 0.55 * low + 0.42 * middle + 0.34 * high, 0.6 * low + 0.6 * middle, high


def _hairline(p: Identity, cut: _Cut, X, ax):
    """Height of the hairline over the forehead."""
    line, part = 0.605 + p.hairline + 0.5 * p.forehead, p.parting
    lean = 1.0 if part >= 0 else -1.0
    if p.long_hair:
        if p.bangs:
            return 0.255 + 0.10 * ax * ax + (0.12 * (X - part) if abs(part) > 0.15 else 0)
        return line + 0.04 - cut.curtain_slope * np.abs(X - part) ** 1.35
    t = ax * (1 / 0.42)
    if p.hair == "bald":
        return np.full_like(X, 0.9)
    if p.bangs:
        return 0.30 + 0.036 * np.sin(6 * X + 2) + 0.16 * lean * (X - part)
    if p.hair == "receding":
        return line + 0.07 + 0.10 * bump(ax, 0.27, 0.10) - 0.16 * (ax * (1 / 0.46)) ** 4
    if p.hair == "quiff":
        return line - 0.13 * t**4 + 0.02 * bump(ax, 0.3, 0.08)
    if p.hair == "updo":
        return line - 0.05 - 0.20 * (ax * (1 / 0.45)) ** 2.6
    cube = t * t * t
    if p.hair == "short" and p.hair_flow == "fringe":
        return line - 0.10 - 0.06 * cube + 0.03 * np.sin(7 * X + p.hair_seed % 5)
    if p.hair == "short" and p.hair_flow == "comb":
        return line - 0.05 - 0.10 * cube - 0.10 * lean * X
    return line - 0.16 * cube


def _shell(face: Face, head: Loft, style: Style, cut: _Cut) -> Loft:
    """The inflated head, for long hair continued downwards as a tube."""
    p, y = face.person, PROFILE_Y
    side, front, back = (t * p.volume for t in (style.side, style.front, style.back))
    top = style.top * p.volume if style.top > 0 else 0.0
    if face.capture.hat != "none":
        top, side = min(top, HAT_TOP), min(side, HAT_SIDE)
    stretch = (head.y_max - CROWN_BELOW) / (head.y_max + top - CROWN_BELOW)
    below = np.where(y > CROWN_BELOW, CROWN_BELOW + (y - CROWN_BELOW) * stretch, y)
    width, ahead, behind = (np.interp(below, y, profile) for profile in (head.width, head.front, head.back))
    grown = smoothstep(-0.05, 0.28, y)
    if p.long_hair:
        drop = np.clip(-y, 0, 1.2)
        at_ear = [np.interp(TUBE_FROM, y, profile) for profile in (head.width, head.front, head.back)]
        width = np.where(y < 0, at_ear[0] + cut.flare * smoothstep(0, 0.9, drop), width)
        ahead = np.where(y < TUBE_FROM, at_ear[1] - 0.10 * smoothstep(0.05, 0.8, drop), ahead)
        behind = np.where(y < TUBE_FROM, at_ear[2] + 0.12 * smoothstep(0, 0.6, drop), behind)
        grown = 1.0
    else:
        width = np.where(y < 0, np.interp(np.maximum(y, -0.35), y, head.width), width)
    dome = np.sqrt(np.clip(width / 0.3, 0, 1))
    width = width + (side * grown + 0.002) * dome
    ahead, behind = ahead + front * grown * dome, behind - back * dome
    if p.hair == "quiff":
        ahead = ahead + 0.06 * bump(y, 0.78, 0.16)
    return Loft(*(_smoothed(profile) for profile in (width, ahead, behind)), cut.length, head.y_max + top)


def _smoothed(profile: np.ndarray) -> np.ndarray:
    """Below the crown, without kinks: they would show as lines in the shading."""
    kernel = np.exp(-np.linspace(-2, 2, 25) ** 2)
    smooth = np.convolve(np.pad(profile, 12, mode="edge"), kernel / kernel.sum(), "valid")
    return np.where(PROFILE_Y < 0.45, smooth, profile)


def front_depth(hair: Hair, depth: np.ndarray) -> np.ndarray:
    """A depth map on the whole coarse grid, raised where the front layer lies."""
    part = depth[hair.region.coarse]
    raised = np.where(hair.casts, np.maximum(part, hair.shell.depth), part)
    out = depth.copy()
    out[hair.region.coarse] = raised
    return out


__all__ = ["STYLES", "Hair", "Surface", "front_depth"]
