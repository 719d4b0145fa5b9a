"""People and their pictures drawn from seeds.

An identity depends on (seed, identity) alone and a capture on (seed, index), so one person can be shown many times and
picture ``index`` does not depend on how many others were drawn.
"""

from dataclasses import fields, replace

import numpy as np

from .people import Capture, Face, Identity

IDENTITY_STREAM, CAPTURE_STREAM, ASSIGNMENT_STREAM = 7, 11, 3  # second word of the random seeds
EXPRESSION_STREAM = 76  # of expression 0; those of the others follow

HAIR_COLOURS = {
    "Black": ("#14100e", "#1a1513", "#1d1817"),
    "Brown": ("#54301c", "#653a20", "#744526", "#6a3a1f"),
    "Blond": ("#cfb07a", "#dcc38f", "#e3cd9f", "#c8a66e"),
    "Gray": ("#8d8b89", "#b9b7b4", "#767474", "#d0ceca"),
    "Red": ("#7c2f16", "#96431d", "#6a2416"),
}
IRIS_COLOURS = (
    "#3a2212", "#4a2d17", "#5b3a1e", "#2a1a10", "#6d5a2c", "#5b6b3a", "#587a86", "#5d86ad", "#7d98a8",
)  # fmt: skip
DARK_IRISES = 4  # the first four suit every skin tone
CLOTH_COLOURS = (
    "#1c1d22", "#23304a", "#7a1f28", "#e8e6e0", "#35553f", "#b88a3a", "#5a3b6b", "#c9c4ba", "#2f6f8f", "#d46a5a",
    "#111114", "#8a8f98", "#e6c9c4",
)  # fmt: skip
LIPSTICKS = "#b3202e", "#c2475a", "#8e1f3b", "#d4686e", "#c9504a", "#a83a52", "#7a1830"
EYE_SHADOWS = "#5a3a2e", "#4a3550", "#2e2a30", "#7a5a48", "#3f4a5a", "#6a3f4a"
FRAME_COLOURS = "#121212", "#3a2414", "#7a6a4a", "#55565a", "#5a1a20"
METALS = "#d8b25a", "#cfd2d6", "#b87a4a"

MAX_YAW, MAX_PITCH, MAX_ROLL = 32.0, 14.0, 8.5
_IDENTITY_FIELDS = frozenset(f.name for f in fields(Identity))
_CAPTURE_FIELDS = frozenset(f.name for f in fields(Capture))


def sample(seed: int, index: int, identities: int | None = None, expression: int = 0, **overrides) -> Face:
    """Draw picture ``index`` of the set ``seed``.

    With ``identities`` = N the person is one of N (drawn from the index), without it every index is another person.
    ``identity=k`` asks for person k. ``expression`` 1, 2, ... draws the same picture with another face: smile, mouth,
    brows and squint are drawn anew; who it is, pose, gaze, what is worn, light and background stay. Any
    other field of ``Identity`` or ``Capture`` may be given and replaces the drawn value; the other draws stay as they
    are. Raises TypeError for an unknown name.
    """
    if identities is None:
        number = index
    else:
        number = int(np.random.default_rng([seed, ASSIGNMENT_STREAM, index]).integers(identities))
    number = overrides.pop("identity", number)
    unknown = sorted(set(overrides) - _IDENTITY_FIELDS - _CAPTURE_FIELDS)
    if unknown:
        raise TypeError(f"a face has no parameter {', '.join(unknown)}")
    person = sample_identity(seed, number)
    person = replace(person, **{k: v for k, v in overrides.items() if k in _IDENTITY_FIELDS})
    capture = sample_capture(seed, index, person)
    if expression:
        dice = _Dice(seed, EXPRESSION_STREAM + expression, index)
        drawn = _sample_expression(dice, person.male, capture.yaw)
        capture = replace(capture, **{name: drawn[name] for name in ("smile", "mouth_open", "brow_raise", "squint")})
    capture = replace(capture, **{k: v for k, v in overrides.items() if k in _CAPTURE_FIELDS})
    return Face(seed, index, number, person, capture)


class _Dice:
    """Draws as plain Python numbers from one random stream."""

    def __init__(self, *seed: int):
        self.rng = np.random.default_rng(seed)

    def normal(self, sd: float, limit: float = 2.0) -> float:
        return float(np.clip(self.rng.standard_normal(), -limit, limit)) * sd

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def chance(self, rate: float) -> bool:
        return bool(self.rng.random() < rate)

    def either(self, rate: float, rare: tuple[float, float], usual: tuple[float, float]) -> float:
        """Uniform in ``rare`` at the given rate, else in ``usual``: two modes with a margin between them."""
        is_rare, position = self.chance(rate), self.uniform(0, 1)
        low, high = rare if is_rare else usual
        return low + (high - low) * position

    def pick(self, options, weights=None):
        return options[int(self.rng.choice(len(options), p=weights))]

    def weighted(self, **rates: float) -> str:
        names, p = list(rates), np.array(list(rates.values()), float)
        return names[int(self.rng.choice(len(names), p=p / p.sum()))]

    def seed(self) -> int:
        return int(self.rng.integers(1 << 30))


def sample_identity(seed: int, number: int) -> Identity:
    """The person ``number`` of the set ``seed``."""
    dice = _Dice(seed, IDENTITY_STREAM, number)
    male = dice.chance(0.40)
    age = dice.either(0.27, (52, 76), (18, 36))
    tone = dice.either(0.25, (0.42, 0.95), (0.08, 0.34)) if dice.chance(0.90) else dice.uniform(0.0, 0.02)
    basics = dict(male=male, age=age, tone=tone, warmth=dice.normal(0.5))
    return Identity(
        **basics,
        **_sample_head(dice, male),
        **_sample_eyes(dice, male, age, tone),
        **_sample_nose_and_mouth(dice, male, tone),
        **_sample_hair(dice, male, age, tone),
    )


def _sample_head(dice: _Dice, male: bool) -> dict:
    m = float(male)
    chubby = dice.either(0.12, (0.85, 1.2), (0.0, 0.15))
    return dict(
        face_width=1 + dice.normal(0.030) + 0.015 * m,
        jaw_width=0.955 + dice.normal(0.022) + 0.045 * m + 0.045 * chubby,
        cheek_width=1 + dice.normal(0.028) + 0.02 * chubby,
        temple_width=1 + dice.normal(0.03),
        chin_length=0.985 + dice.normal(0.020) + 0.020 * m,
        chin_width=0.95 + dice.normal(0.05) + 0.09 * m + 0.05 * chubby,
        forehead=dice.normal(0.03),
        cheekbone=1 + dice.normal(0.35),
        chubby=chubby,
        ear_size=1.22 + dice.normal(0.12),
        ear_out=0.75 + dice.normal(0.25),
    )


def _sample_eyes(dice: _Dice, male: bool, age: float, tone: float) -> dict:
    m = float(male)
    bushy = dice.chance(0.24 if male else 0.06)
    return dict(
        eye_x=0.252 + dice.normal(0.009),
        eye_width=0.103 + dice.normal(0.006),
        eye_height=0.041 + dice.normal(0.0038) - 0.004 * m,
        eye_tilt=0.010 + dice.normal(0.011),
        eye_fold=float(np.clip(0.5 + dice.normal(0.35), 0, 1)),
        bags=dice.either(0.62 if age > 42 else 0.06, (0.75, 1.0), (0.0, 0.08)),
        iris=dice.pick(IRIS_COLOURS[:DARK_IRISES] if tone > 0.38 else IRIS_COLOURS),
        iris_radius=0.0495 + dice.normal(0.002),
        brow_y=dice.normal(0.008) - 0.010 * m,
        brow_thickness=0.024 + dice.normal(0.003) + 0.007 * m + (0.017 if bushy else 0),
        brow_arch=dice.either(0.08 if male else 0.38, (0.056, 0.068), (0.012, 0.028)),
        brow_length=1 + dice.normal(0.07),
        brow_ridge=0.5 + dice.normal(0.2) + m,
        bushy=bushy,
    )


def _sample_nose_and_mouth(dice: _Dice, male: bool, tone: float) -> dict:
    m, dark = float(male), max(tone - 0.4, 0.0)
    nose = dice.weighted(usual=0.68, big=0.16, pointy=0.16)
    width = {"usual": 1.0, "big": 1.32, "pointy": 0.70}[nose]
    height = {"usual": 0.92, "big": 1.05, "pointy": 1.20}[nose]
    lips = 1.04 + dice.normal(0.11)
    return dict(
        nose_length=1 + dice.normal(0.05) + 0.03 * m + (0.05 if nose == "big" else 0),
        nose_width=width + dice.normal(0.035) + 0.05 * m,
        nose_height=height + dice.normal(0.08) + 0.08 * m,
        nose_tip=(1.7 if nose == "pointy" else 1) + dice.normal(0.15),
        nose_hump=dice.normal(0.010),
        lip_width=0.200 + dice.normal(0.012),
        upper_lip=lips * (0.056 + dice.normal(0.003) - 0.008 * m + 0.010 * dark),
        lower_lip=lips * (0.077 + dice.normal(0.004) - 0.009 * m + 0.012 * dark),
        cupid_bow=0.7 + dice.normal(0.3),
        mouth_y=dice.normal(0.014),
        freckles=dice.uniform(0.3, 1) if dice.chance(0.12) and tone < 0.4 else 0.0,
        mole=(dice.uniform(-0.35, 0.35), dice.uniform(-0.65, -0.2)) if dice.chance(0.15) else None,
    )


def _sample_hair(dice: _Dice, male: bool, age: float, tone: float) -> dict:
    old = age > 42
    if old and dice.chance(0.55):
        colour = "Gray"
    elif tone > 0.38:
        colour = dice.weighted(Black=0.72, Brown=0.28)
    else:
        colour = dice.weighted(Black=0.22, Brown=0.41, Blond=0.32, Red=0.05)
    if male:
        bald, receding = (0.12, 0.14) if old else (0.04, 0.05)
        style = dice.weighted(short=0.40, quiff=0.24, buzz=0.07, curly=0.12, long=0.06, bald=bald, receding=receding)
    else:
        style = dice.weighted(long=0.57, bob=0.17, curlylong=0.10, updo=0.09, short=0.05, curly=0.02)
    flow = dice.weighted(radial=0.35, comb=0.35, fringe=0.30)
    beards = dict(none=0.50, shadow=0.08, stubble=0.14, beard=0.14, goatee=0.07, mustache=0.07)
    bangs = dice.chance(0.10 if male else 0.22)
    return dict(
        hair=style,
        hair_colour=colour,
        hair_hex=dice.pick(HAIR_COLOURS[colour][: 2 if tone > 0.38 and colour == "Brown" else None]),
        parting=dice.uniform(-0.3, 0.3) if dice.chance(0.6) else 0.0,
        bangs=bangs and style in ("long", "bob", "short", "curlylong"),
        wave=dice.uniform(0.5, 1) if dice.chance(0.5) else 0.0,
        volume=1.25 + dice.normal(0.22),
        hair_length=dice.uniform(0.6, 1.8),
        hairline=dice.normal(0.03),
        hair_flow=flow if style == "short" else "radial",
        hair_seed=dice.seed(),
        beard=dice.weighted(**beards) if male else "none",
    )


def sample_capture(seed: int, index: int, person: Identity) -> Capture:
    """The circumstances of picture ``index`` of the set ``seed``, showing ``person``."""
    dice = _Dice(seed, CAPTURE_STREAM, index)
    pose = _sample_pose(dice)
    return Capture(
        **pose,
        **_sample_expression(dice, person.male, pose["yaw"]),
        **_sample_worn(dice, person.male),
        **_sample_light(dice),
        **_sample_picture(dice),
    )


def _sample_pose(dice: _Dice) -> dict:
    return dict(
        yaw=float(np.clip(dice.rng.normal(0, 13), -MAX_YAW, MAX_YAW)),
        pitch=float(np.clip(dice.rng.normal(0, 5.5), -MAX_PITCH, MAX_PITCH)),
        roll=float(np.clip(dice.rng.normal(0, 3.2), -MAX_ROLL, MAX_ROLL)),
    )


def _sample_expression(dice: _Dice, male: bool, yaw: float) -> dict:
    smiles = dice.chance(0.44 if male else 0.56)
    smile = dice.uniform(0.55, 1.0) if smiles else dice.uniform(-0.10, 0.15)
    is_open = dice.chance(0.84 if smiles else 0.40)
    return dict(
        smile=smile,
        mouth_open=dice.uniform(0.35, 1.0) if is_open else 0.0,
        brow_raise=dice.normal(0.4),
        squint=float(np.clip(0.30 * max(smile, 0) + dice.normal(0.12), -0.3, 0.6)),
        gaze_x=dice.normal(0.25) - yaw / 60,
        gaze_y=dice.normal(0.12),
    )


def _sample_worn(dice: _Dice, male: bool) -> dict:
    if male:
        earrings = dict(none=0.96, stud=0.02, hoop=0.02)
        necklaces = dict(none=0.99, chain=0.006, pendant=0.004)
        clothes = dict(suit=0.28, collar=0.14, crew=0.46, vneck=0.12)
    else:
        earrings = dict(none=0.56, stud=0.11, hoop=0.15, drop=0.18)
        necklaces = dict(none=0.87, chain=0.045, pearls=0.045, pendant=0.04)
        clothes = dict(strap=0.25, crew=0.30, vneck=0.27, collar=0.08, bare=0.10)
    necklace, cloth = dice.weighted(**necklaces), dice.weighted(**clothes)
    if necklace != "none" and cloth not in ("vneck", "bare"):
        cloth = "vneck"  # a collar would hide it
    return dict(
        makeup=dice.chance(0.62) and not male,
        lipstick=dice.pick(LIPSTICKS),
        eye_shadow=dice.pick(EYE_SHADOWS),
        glasses=dice.weighted(none=0.925, clear=0.052, sun=0.023),
        glasses_shape=dice.pick(("rect", "round", "aviator")),
        glasses_colour=dice.pick(FRAME_COLOURS),
        hat=dice.weighted(none=0.945, beanie=0.019, cap=0.021, fedora=0.015),
        hat_colour=dice.pick(CLOTH_COLOURS),
        earring=dice.weighted(**earrings),
        necklace=necklace,
        metal=dice.pick(METALS),
        cloth=cloth,
        cloth_colour=dice.pick(CLOTH_COLOURS),
        tie_colour=dice.pick(CLOTH_COLOURS),
        blue_shirt=dice.chance(0.33),
        shoulder_y=0.045 + dice.normal(0.045),
    )


def _sample_light(dice: _Dice) -> dict:
    return dict(
        light_azimuth=float(np.clip(dice.rng.normal(0, 38), -65, 65)),
        light_elevation=float(np.clip(dice.rng.normal(32, 12), 5, 60)),
        key=dice.uniform(0.75, 1.15),
        ambient=dice.uniform(0.20, 0.36),
        temperature=dice.normal(0.5),
        rim=dice.uniform(0.2, 0.7) if dice.chance(0.3) else 0.0,
    )


def _sample_picture(dice: _Dice) -> dict:
    saturation = dice.uniform(0.1, 0.75)
    colours = dice.rng.uniform(15, 225, (3, 3))
    colours = colours * saturation + colours.mean(1, keepdims=True) * (1 - saturation)
    return dict(
        background=dice.weighted(gradient=0.30, bokeh=0.30, wall=0.25, panel=0.15),
        background_colours=tuple(tuple(row) for row in colours.tolist()),
        background_light=dice.uniform(0, 1),
        scale=1 + dice.normal(0.015),
        shift_x=dice.normal(0.012),
        shift_y=dice.normal(0.012),
        noise_seed=dice.seed(),
    )
