"""Hair at full size: strands along the flow, curls, ragged edges, and a highlight across the strands."""

import numpy as np

from .hair import HairShell
from .light import Canvas, Light
from .numerics import F, coverage, linear, noise, sample_texture, shifted, smoothstep, texture

HAIR_WRAP = (0.40, 0.36, 0.33)
PARTING_JUMP = 3.0  # offset of the flow between the two sides of a parting: the strands are unrelated


class HairLayers:
    """Coverage, colour and labels of the back and the front layer of a hair shell."""

    def __init__(self, hair: HairShell, light: Light, shadow: np.ndarray, covered: np.ndarray):
        """``shadow``: key light that arrives, on the coarse grid; ``covered``: pixels deep inside the head."""
        self.hair, self.person, self.region = hair, hair.person, hair.region
        up = self.region.upsample
        rng = np.random.default_rng(self.person.hair_seed)
        self.X, self.Y = up(hair.shell.X), up(hair.shell.Y)
        self.outline, self.opening = up(hair.shell.outline), up(hair.opening)
        self.bottom = up(hair.hem) - self.Y
        self.wander = noise(rng, hair.view.size, (7, 1.0))[self.region.fine]
        flow = self._wave(up(hair.flow))
        seen = (self.outline < 0.07) & (self.bottom < 0.12) & ~(covered[self.region.fine] & (self.opening < -0.10))
        self.tone, self.edge, single = self._strands(seen, flow, rng)
        self._cover(single)
        self._shade(light, shadow)

    def _wave(self, flow: np.ndarray) -> np.ndarray:
        """Separate the two sides of a parting and let long hair wave, its outline and its opening with it."""
        p, X, Y = self.person, self.X, self.Y
        if self.hair.style.flow == "arch":
            flow = flow + PARTING_JUMP * np.sign(X - F(p.parting))
            if p.wave:
                low = smoothstep(0.2, -0.4, Y)
                phase = 11 * Y + self.wander
                flow = flow + 0.046 * p.wave * np.sin(13 * Y + 4 * np.abs(X) + 1.2 * self.wander) * (0.25 + 0.75 * low)
                self.outline = self.outline - 0.040 * p.wave * np.sin(phase + 2) * low
                self.opening = self.opening + 0.024 * p.wave * np.sin(phase + Y + 1) * low
        return flow + 0.012 * self.wander

    def _strands(self, seen: np.ndarray, flow: np.ndarray, rng: np.random.Generator):
        """Brightness, edge noise and single hairs, ``[h, w]`` each, about unit variance; zero outside ``seen``."""
        Y = self.Y[seen]
        if self.hair.style.flow == "curl":
            tone, edge, single = self._curls(seen, Y, rng)
        else:
            offset = self.person.hair_seed % 239
            tone, edge, single = _strand_values(flow[seen], Y, offset)
            if self.hair.flow2 is not None:  # blend the values, never the coordinates
                weight = self.region.upsample(self.hair.weight2)[seen]
                second = self.region.upsample(self.hair.flow2)[seen] + 0.012 * self.wander[seen]
                tone2, edge2, _ = _strand_values(second, Y, offset)
                tone += (tone2 - tone) * weight
                edge += (edge2 - edge) * weight
        out = np.zeros((3, *seen.shape), F)
        for plane, values in zip(out, (tone, edge, single), strict=True):
            plane[seen] = values
        return out

    def _curls(self, seen: np.ndarray, Y: np.ndarray, rng: np.random.Generator):
        """Afro: three noise octaves. Ringlets: one sine helix per lock."""
        size, fine = self.hair.view.size, self.region.fine
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

    def _cover(self, single: np.ndarray) -> None:
        """Coverage of both layers and their labels; labels follow the smooth outline, as annotators draw it."""
        p, style, edge, px = self.person, self.hair.style, self.edge, self.hair.view.pixel
        curl = style.flow == "curl"
        ragged, softness = style.ragged, style.softness
        if p.hair == "short" and p.hair_flow == "fringe":
            ragged, softness = 0.016, 0.012
        fade = smoothstep(-0.15, 0.15, self.Y) if p.hair == "curly" else 1.0
        outer = coverage(self.outline + 0.8 * ragged * fade * edge, px * 1.2 + 0.004)
        hairline = self.opening + (0.022 if curl else ragged * (2.0 if p.bangs else 1.1)) * edge
        if style.feathered:
            hairline = hairline + 0.010 * single - 0.006
        frayed, tip = (0.05, 0.03) if p.long_hair else (0.004 if p.hair == "curly" else 0.012, 0.012)
        self.back_alpha = outer * coverage(self.bottom + frayed * edge, px * 1.5 + tip)
        self.front_alpha = self.back_alpha * (1 - coverage(hairline, px * 1.3 + softness))
        lump = 0.5 * ragged * edge if curl else 0.0
        self.back_label = (self.outline + lump < 0) & (self.bottom < 0)
        self.front_label = self.back_label & (self.opening + lump > 0)
        if style.opacity < 1:
            stubble = sample_texture(texture(4), self.X * 160, self.Y * 160)
            self.front_alpha = self.front_alpha * np.clip(style.opacity + 0.25 * stubble, 0, 1)
        if self.hair.behind_shoulders:
            _, y = self.hair.view.fine(self.region)
            self.front_alpha = self.front_alpha * smoothstep(-0.70, -0.48, y + 0.03 * edge)
            self.front_label &= y > -0.59

    def _shade(self, light: Light, shadow: np.ndarray) -> None:
        """Colour ``[3, h, w]``: darker at the roots, low down and at the rim; a Kajiya-like band across the strands."""
        n, tone = self.hair.normal, self.tone
        lit = light.diffuse(n, HAIR_WRAP, 0.35 + 0.65 * shadow[self.region.coarse])
        along = light.cosine_halfway(self.hair.tangent)
        across2 = np.clip(1 - along * along, 0, 1)
        across4 = across2 * across2
        across8 = across4 * across4
        band = across8 * across4 * across2 * np.clip(0.6 * (n[2] + n[1]), 0, 1)  # sin^28 of the angle to the strand
        step = max(1, int(0.006 * self.hair.view.size))
        side = 1 if light.direction[0] > 0 else -1
        relief = tone - shifted(tone, -step * side, step)
        base = np.clip(0.74 + 0.30 * tone + 0.10 * np.clip(relief, -1.5, 1.5), 0.18, 1.9)
        base *= np.clip(0.62 + 0.9 * self.opening, 0.62, 0.98)
        base *= 0.72 + 0.28 * smoothstep(0, -0.10, self.outline)
        if self.person.long_hair:
            base *= 1 - 0.30 * smoothstep(-0.2, -0.9, self.Y)
        shine = (0.30 if self.hair.style.flow == "curl" else 0.55) * np.clip(0.55 + 0.75 * tone, 0, 2)
        shine *= self.region.upsample(band)
        hair = linear(self.person.hair_hex)
        self.colour = np.stack(
            [
                (base * (1.25 * h) + shine * (1.6 * h + F(0.035))) * self.region.upsample(e)
                for h, e in zip(hair, lit, strict=True)
            ]
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
