"""Who is in the picture (``Identity``) and how (``Capture``). Lengths are in units of half the frame."""

from dataclasses import dataclass

LONG_STYLES = "long", "bob", "curlylong"


@dataclass(frozen=True)
class Identity:
    """One person: what does not change between captures. Factors are relative to 1, offsets to 0."""

    male: bool
    age: float  # years
    tone: float  # 0 the lightest skin .. 1 the darkest
    warmth: float
    # head
    face_width: float
    jaw_width: float
    cheek_width: float
    temple_width: float
    chin_length: float
    chin_width: float
    forehead: float
    cheekbone: float
    chubby: float  # 0 .. 1.2
    ear_size: float
    ear_out: float
    # eyes and brows
    eye_x: float
    eye_width: float
    eye_height: float
    eye_tilt: float
    eye_fold: float
    bags: float  # 0 .. 1
    iris: str
    iris_radius: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    brow_length: float
    brow_ridge: float
    bushy: bool
    # nose and mouth
    nose_length: float
    nose_width: float
    nose_height: float
    nose_tip: float
    nose_hump: float
    lip_width: float
    upper_lip: float
    lower_lip: float
    cupid_bow: float
    mouth_y: float
    freckles: float
    mole: tuple[float, float] | None
    # hair
    hair: str  # short quiff buzz curly bald receding updo long bob curlylong
    hair_colour: str  # a key of HAIR_COLOURS
    hair_hex: str
    parting: float
    bangs: bool
    wave: float  # 0 straight, else 0.4 .. 1
    volume: float
    hair_length: float
    hairline: float
    hair_flow: str  # of short hair: radial comb fringe
    hair_seed: int
    beard: str  # none shadow stubble beard goatee mustache

    @property
    def wrinkles(self) -> float:
        """Strength of the marks of age, 0 .. 1."""
        return min(max((self.age - 35) / 30, 0.0), 1.0)

    @property
    def long_hair(self) -> bool:
        """Hair that goes on below the chin line."""
        return self.hair in LONG_STYLES


@dataclass(frozen=True)
class Capture:
    """One picture of a person: pose, expression, what is worn, light, background. Angles in degrees."""

    yaw: float  # positive: the face turns to the viewer's right
    pitch: float  # positive: the face looks down
    roll: float  # positive: counter-clockwise on the picture
    smile: float  # -0.1 .. 1
    mouth_open: float  # 0 closed, else 0.3 .. 1
    brow_raise: float
    squint: float
    gaze_x: float
    gaze_y: float
    makeup: bool
    lipstick: str
    eye_shadow: str
    glasses: str  # none clear sun
    glasses_shape: str  # rect round aviator
    glasses_colour: str
    hat: str  # none beanie cap fedora
    hat_colour: str
    earring: str  # none stud hoop drop
    necklace: str  # none chain pearls pendant
    metal: str
    cloth: str  # suit collar crew vneck strap bare
    cloth_colour: str
    tie_colour: str
    blue_shirt: bool
    shoulder_y: float
    light_azimuth: float
    light_elevation: float
    key: float
    ambient: float
    temperature: float
    rim: float
    background: str  # gradient bokeh wall panel
    background_colours: tuple[tuple[float, float, float], ...]
    background_light: float
    scale: float
    shift_x: float
    shift_y: float
    noise_seed: int


@dataclass(frozen=True)
class Face:
    """All parameters of one picture."""

    seed: int
    index: int
    identity: int
    person: Identity
    capture: Capture
