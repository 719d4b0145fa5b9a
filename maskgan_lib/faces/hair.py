"""Hair styles: a second, inflated loft with a face opening on it and the flow of the strands over it.

The whole shell is the back layer, painted before the head; the shell minus the opening is the front layer. Long hair is
a tube that goes on below the chin.
"""

from dataclasses import dataclass

import numpy as np

from .head import PROFILE_Y, Loft, View, solve
from .numerics import GRID, F, bump, coverage, smooth_max, smoothstep
from .people import Face, Identity

SIDE_LINE = 0.505  # |X| / face width of the hairline at the temples
CROWN_BELOW = 0.15  # the shell is stretched upwards from here
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


class HairShell:
    """The hair shell of one face on the coarse grid: surface, lower edge, face opening and flow."""

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
    def on(cls, face: Face, view: View, head: Loft) -> "HairShell | None":
        """The hair of a face; None for shaven heads."""
        if face.person.hair == "bald" and face.person.age < CLEAN_SHAVEN_AGE:
            return None
        return cls(face, view, head)

    def raise_depth(self, depth: np.ndarray) -> np.ndarray:
        """A depth map on the whole coarse grid, raised where the front layer lies."""
        below = np.maximum(self.shell.outline, self.hem - self.shell.Y)
        out = depth.copy()
        part = out[self.region.coarse]
        part[...] = np.where((below < 0) & (self.opening > 0), np.maximum(part, self.shell.depth), part)
        return out

    def front_coverage(self) -> np.ndarray:
        """Coverage of the front layer on the whole coarse grid."""
        edge = np.maximum(np.maximum(self.shell.outline, self.hem - self.shell.Y), -self.opening)
        out = np.zeros((GRID, GRID), F)
        out[self.region.coarse] = coverage(edge, self.view.step)
        return out

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
    kernel = np.exp(-(np.linspace(-2, 2, 25) ** 2))
    smooth = np.convolve(np.pad(profile, 12, mode="edge"), kernel / kernel.sum(), "valid")
    return np.where(PROFILE_Y < 0.45, smooth, profile)
