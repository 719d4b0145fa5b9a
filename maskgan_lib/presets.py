"""Presets: every size, width, count and rate of a run.

The same code runs in all of them; only these numbers differ. ``smoke`` is for tests, ``laptop`` for two CPU cores,
``colab`` for one small GPU, ``paper`` is the paper's setting; ``laptop-long`` trains MaskGAN's networks ten times as
long as ``laptop``. Those called ``shipped`` and ``regional`` made the weights in ``data/pretrained``, whose ``make.sh``
says how.

What a method, a judge or a stage can be set to stands beside it, in a dataclass whose defaults are the paper's; a
preset holds what differs from them. So ``preset.spade.lr`` is SPADE's rate, with every preset.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from maskgan_lib.registry import SETTINGS

SMALLEST_SIZE = 32
"""Pixels a side: the style encoder halves five times."""


@dataclass(frozen=True)
class Proportions:
    """How often the networks halve a picture: the DMN, the blender, and each of the discriminator's scales."""

    downsamplings: int
    blender_downsamplings: int
    disc_layers: int


def proportions(size: int) -> Proportions:
    """The paper's proportions at ``size`` pixels: where it has them at 512, this is the paper.

    The blocks of the DMN see 32 to 63 places a side, and a quarter of the side below 128 pixels; those of the blender
    twice as many. A patch of the discriminator covers an eighth to a quarter of the picture's side from 128 pixels up,
    half of it at 64, where smaller patches were no better. ``ValueError`` for a size below 32 pixels, or one that
    cannot be halved so often: it names the next one that works.
    """
    downsamplings = _halvings(size)
    if size < SMALLEST_SIZE or size % 2**downsamplings:
        works = next(n for n in range(max(size, SMALLEST_SIZE), 2 * size + SMALLEST_SIZE) if n % 2 ** _halvings(n) == 0)
        raise ValueError(f"No network has the paper's proportions at {size} pixels a side: the next size is {works}.")
    return Proportions(downsamplings, downsamplings - 1, max(2, downsamplings - 1))


def _halvings(size: int) -> int:
    return max(2, int(math.log2(max(size, SMALLEST_SIZE) / 32)))


@dataclass(frozen=True)
class Preset:
    """What all stages share, and by section what the settings of each have other than the defaults.

    A section is read as an attribute: ``preset.dmn`` is a ``DMNSettings``.
    """

    name: str
    image_size: int = 512  # 512: the data set's images are 1024, its masks 512
    faces: int = 30_000  # 30,000 faces in CelebAMask-HQ; here: how many procedural faces the course renders
    # Constant rate, then linear decay to zero from this share of the steps on (100 + 100 epochs).
    decay_from: float = 0.5
    augment: float = 0.0  # never; ours, for few photos: how strongly framing and light are varied
    ema_decay: float = 0.999  # ours: weights for inference are averaged over about 1,000 steps
    checkpoint_every: int = 1000
    sample_every: int = 1000
    log_every: int = 50
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in SETTINGS:
            raise AttributeError(f"A preset has no {name!r}; its sections are {', '.join(SETTINGS)}.")
        return SETTINGS[name](**self.sections.get(name, {}))

    def replace(self, values: Mapping[str, Any]) -> "Preset":
        """The same with other values, by names such as ``"spade.lr"`` or ``"log_every"``.

        ``KeyError`` or ``TypeError`` for a name that there is not.
        """
        changed = _merged(self, values)
        for section in {name.partition(".")[0] for name in values if "." in name}:
            SETTINGS[section](**changed.sections[section])
        return changed

    def proportions(self, size: int) -> Proportions:
        """Those of ``proportions``, but for what this preset sets itself."""
        own = {
            "downsamplings": self.dmn.downsamplings,
            "blender_downsamplings": self.ebst.blender_downsamplings,
            "disc_layers": self.adversary.layers,
        }
        return replace(proportions(size), **{name: number for name, number in own.items() if number})

    def asdict(self) -> dict[str, Any]:
        """All values, those of a section in a dict of its name: for model cards."""
        shared = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "sections"}
        return shared | {section: asdict(getattr(self, section)) for section in SETTINGS}


def _merged(preset: Preset, values: Mapping[str, Any]) -> Preset:
    sections = {section: dict(own) for section, own in preset.sections.items()}
    shared = {}
    for name, value in values.items():
        section, _, setting = name.rpartition(".")
        (sections.setdefault(section, {}) if section else shared)[setting] = value
    return replace(preset, **shared, sections=sections)


def _derived(base: Preset, name: str, **values: Any) -> Preset:
    """``base`` with other values: of a section as a dict."""
    flat = {"name": name}
    for key, value in values.items():
        flat |= {f"{key}.{setting}": v for setting, v in value.items()} if isinstance(value, dict) else {key: value}
    return _merged(base, flat)


PAPER = Preset("paper")

COLAB = _derived(
    PAPER,
    "colab",
    image_size=256,
    faces=20_000,
    maskvae=dict(latent=512, steps=20_000),
    # Ours, for the adversary too: norm, upsampling and its two weights, data/pretrained/TUNING.md.
    dmn=dict(width=32, steps=40_000, norm="positional", upsampling="nearest"),
    adversary=dict(mismatch_weight=0.2, r1_weight=0.1),
    ebst=dict(steps=10_000),
    spade=dict(width=32, mask_width=64, latent=128, bottom=8, steps=40_000),
    parser=dict(steps=20_000),
    attributes=dict(steps=10_000),
    identity=dict(steps=20_000),
    pose=dict(steps=5_000),
    selfsupervised=dict(projection=2048, steps=10_000),
    stargan=dict(width=32, steps=40_000),
    elegant=dict(width=32, latent=256, steps=40_000),
    secgan=dict(width=32, steps=40_000),
)

LAPTOP = _derived(
    PAPER,
    "laptop",
    image_size=64,
    faces=2000,
    maskvae=dict(width=24, latent=256, batch=8, steps=1000, lr=1e-3),
    # Rate, norm, upsampling and the adversary's weights are ours, for short runs: data/pretrained/TUNING.md.
    dmn=dict(width=16, batch=4, steps=1500, lr=5e-4, norm="positional", upsampling="nearest"),
    adversary=dict(
        width=16,
        mismatch_weight=0.2,
        r1_weight=0.1,
        perceptual_weight=30.0,  # for the stand-in; 10 was tried, too
        perceptual="random-pyramid",
    ),
    ebst=dict(batch=4, steps=150, lr=1e-4, blender_width=8),  # the rate is ours: lowered too, but these runs are short
    spade=dict(
        **dict(width=16, mask_width=32, latent=64, bottom=2, style_size=64, batch=4, steps=1500),
        **dict(lr=4e-4, disc_lr=4e-4, kl_weight=0.005),  # ours, for short runs: TUNING.md says what else was tried
    ),
    parser=dict(steps=1500, lr=2e-3),
    attributes=dict(width=16, steps=1000),
    identity=dict(width=16, embedding=128, margin=0.3, scale=30.0, steps=2000),
    pose=dict(width=16, steps=1000),
    selfsupervised=dict(width=16, projection=256, batch=64, steps=1000),
    stargan=dict(
        **dict(width=16, disc_width=16, batch=20, steps=1500),
        lr=1e-3,  # ours, for short runs, as all below: data/pretrained/TUNING.md says what else was tried
        disc_class_weight=10.0,  # with 1 the label is not learnt by then
        class_weight=2.0,  # with 10 the label is met by a pattern, not by a smile
        cycle_weight=50.0,
        identity_weight=50.0,  # with 0 colours are still lost by then
    ),
    elegant=dict(
        **dict(width=16, latent=128, disc_width=16, batch=8, steps=1500),
        **dict(lr=1e-4, disc_lr=1e-3),  # ours, for short runs: TUNING.md says what else was tried
    ),
    secgan=dict(
        attributes=(
            *("Bald", "Bangs", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Eyeglasses", "Male"),
            *("Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Young"),
            "Smiling",  # ours too: the attribute of the paper's Table 2
        ),
        **dict(width=16, disc_width=16, steps=400),
        # Ours, for short runs, as all below: data/pretrained/TUNING.md.
        **dict(critic_updates=2, batch=16, lr=1e-3, attgan_lr=1e-3, disc_class_weight=3.0),
        **dict(attgan_disc_class_weight=30.0, attgan_class_weight=20.0, reconstruction_weight=100.0),
    ),
    ema_decay=0.99,
    checkpoint_every=250,
    sample_every=250,
    log_every=10,
)

LAPTOP_LONG = _derived(
    LAPTOP,
    "laptop-long",
    faces=10_000,
    maskvae=dict(steps=10_000),
    dmn=dict(steps=15_000),
    ebst=dict(steps=1500),
    ema_decay=0.998,
    checkpoint_every=1000,
    sample_every=1000,
    log_every=50,
)

SMOKE = _derived(
    LAPTOP,
    "smoke",
    faces=64,
    maskvae=dict(width=8, latent=32, steps=30),
    dmn=dict(width=4, blocks=2, style_width=4, steps=16),
    adversary=dict(width=8),
    ebst=dict(steps=8, blender_width=4, blender_blocks=1),
    spade=dict(width=4, mask_width=4, latent=8, bottom=1, style_size=32, steps=16),
    parser=dict(width=4, steps=16),
    attributes=dict(width=4, batch=8, steps=16),
    identity=dict(width=4, embedding=8, batch=8, steps=16),
    pose=dict(width=4, batch=8, steps=16),
    selfsupervised=dict(width=4, projection=16, batch=8, steps=16),
    stargan=dict(width=4, blocks=2, disc_width=4, steps=16),
    elegant=dict(width=4, latent=32, disc_width=4, steps=16),
    secgan=dict(attributes=("Smiling",), width=4, blocks=2, disc_width=4, steps=16),
    ema_decay=0.9,
    checkpoint_every=10,
    sample_every=10,
    log_every=2,
)

# ---- what ships: these made the weights in data/pretrained, by its make.sh

# The paper's mask methods in these three are older than the rule of proportions, as what ships of them.
SHIPPED = _derived(
    LAPTOP,
    "shipped",
    image_size=128,
    faces=6000,
    maskvae=dict(steps=4000),
    dmn=dict(downsamplings=4, norm="instance", upsampling="transposed", lr=2e-4, steps=2000),
    adversary=dict(layers=3, mismatch_weight=0.0, r1_weight=0.0, perceptual_weight=30.0),
    ebst=dict(steps=1000, blender_width=16, blender_downsamplings=3),
    spade=dict(steps=2000),
    parser=dict(batch=4, steps=2400),
    attributes=dict(steps=3000),
    identity=dict(steps=6000),
    pose=dict(steps=3000),
    stargan=dict(steps=1000),
    elegant=dict(steps=800),
    ema_decay=0.998,
    checkpoint_every=500,
    sample_every=500,
    log_every=25,
)
# First phases: at half the size a step costs a quarter.
SHIPPED_HALF = _derived(
    SHIPPED,
    "shipped-half",
    image_size=64,
    dmn=dict(steps=7000),
    adversary=dict(perceptual_weight=10.0),
    spade=dict(steps=7000),
    stargan=dict(steps=3000),
    elegant=dict(steps=3000),
    secgan=dict(steps=1500),
    selfsupervised=dict(steps=2500),
)
# Last phases. The mask methods': less of the discriminator, whose texture is grain at this size. The parser's: more of
# the small parts.
SHIPPED_FINISH = _derived(
    SHIPPED,
    "shipped-finish",
    dmn=dict(steps=1000),
    adversary=dict(perceptual_weight=100.0),
    spade=dict(steps=1000),
    parser=dict(steps=4000, balance=0.5),
)
# The network with a style for every region, from the first step with styles of other expressions: TUNING.md has what
# that is worth to an edited mask.
_PROPORTIONS = dict(downsamplings=0, norm="positional", upsampling="nearest")  # as in LAPTOP
REGIONAL_HALF = _derived(
    SHIPPED_HALF,
    "regional-half",
    dmn=dict(**_PROPORTIONS, style="regional", other_expression=0.75, lr=1e-3, steps=4000),
    adversary=dict(layers=0, mismatch_weight=0.2, r1_weight=0.1, perceptual="edge-vgg16", perceptual_weight=4.0),
    ebst=dict(blender_downsamplings=0),
)
REGIONAL = _derived(REGIONAL_HALF, "regional", image_size=128, dmn=dict(steps=15000))

_FOR_READERS = (SMOKE, LAPTOP, LAPTOP_LONG, COLAB, PAPER)
_OF_WHAT_SHIPS = (SHIPPED_HALF, SHIPPED, SHIPPED_FINISH, REGIONAL_HALF, REGIONAL)
PRESETS = {preset.name: preset for preset in _FOR_READERS + _OF_WHAT_SHIPS}


# ---- presets of one's own


def preset_of(name: str) -> Preset:
    """One of ``PRESETS``, or what a TOML file changes in one of them; ``ValueError`` for what is neither.

    The file names the preset that it starts from and other values, those of a section in a table of its name::

        base = "laptop"
        image_size = 128
        [spade]
        lr = 1e-4
    """
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    if path.suffix != ".toml":
        raise ValueError(f"There is no preset {name!r}: choose one of {', '.join(PRESETS)}, or a .toml file.")
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as a preset ({error}).") from error
    base = values.pop("base", None)
    if base not in PRESETS:
        raise ValueError(f'{path} must name a base, one of {", ".join(PRESETS)}: base = "laptop".')
    given = {}
    for key, value in values.items():
        given |= {f"{key}.{setting}": v for setting, v in value.items()} if isinstance(value, dict) else {key: value}
    return replace(_checked(PRESETS[base], given), name=path.stem)


def changed(preset: Preset, settings: Sequence[str]) -> Preset:
    """``preset`` with other values, each written ``spade.lr=1e-4`` or ``log_every=5``; commas part those of a tuple.

    The name says what was changed. ``ValueError`` for a field that there is not, or a value that is none of its kind.
    """
    given = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"Write a setting as section.field=value, for instance dmn.lr=1e-4; not {setting!r}.")
        given[name] = text
    return replace(_checked(preset, given), name=", ".join([preset.name, *settings]))


def _checked(preset: Preset, given: Mapping[str, Any]) -> Preset:
    """``preset`` with the values ``given``, each as the kind of what it replaces; ``ValueError`` if it cannot be."""
    values = {}
    for name, value in given.items():
        name = todays_name(name)
        section, _, setting = name.rpartition(".")
        if section and section not in SETTINGS:
            raise ValueError(f"There is no section {section!r} in a preset; there are {', '.join(SETTINGS)}.")
        known = {f.name for f in fields(SETTINGS[section] if section else Preset)} - {"name", "sections"}
        if setting not in known:
            where = f"{section} has" if section else "A preset has"
            raise ValueError(f"{where} no {setting!r}; there are {', '.join(sorted(known))}.")
        values[name] = _as(getattr(getattr(preset, section) if section else preset, setting), value, name)
    return preset.replace(values)


def _as(like: Any, value: Any, name: str) -> Any:
    kind = type(like)
    try:
        if kind is tuple:
            return tuple(value.split(",") if isinstance(value, str) else value)
        if isinstance(value, str) or type(value) is kind or (kind is float and type(value) is int):
            return kind(value)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{name} takes a value such as {like!r}, not {value!r}.")


# ---- cards from before there were sections

_MOVED = {
    "kl_weight": "maskvae",
    **dict.fromkeys(("style_width", "style_mask", "style", "downsamplings", "upsampling"), "dmn"),
    **dict.fromkeys(("mismatch_weight", "r1_weight", "feature_weight", "perceptual_weight"), "adversary"),
    **dict.fromkeys(("perceptual", "gan_loss"), "adversary"),
    **dict.fromkeys(("lambda_inter", "blender_width", "blender_downsamplings", "blender_blocks"), "ebst"),
}
_PREFIXES = {"vae": "maskvae", "attribute": "attributes", "disc": "adversary"}
_PREFIXES |= {name: name for name in ("dmn", "ebst", "spade", "parser", "identity", "pose", "selfsupervised")}
_PREFIXES |= {name: name for name in ("stargan", "elegant", "secgan")}


def todays_name(field: str) -> str:
    """What ``dmn_lr``, as older cards and commands write it, is called today: ``dmn.lr``. Other names stay."""
    if field in _MOVED:
        return f"{_MOVED[field]}.{field}"
    prefix, _, setting = field.partition("_")
    return f"{_PREFIXES[prefix]}.{setting}" if prefix in _PREFIXES and setting else field


def read_preset(card: Mapping[str, Any]) -> dict[str, Any]:
    """The preset in a model card, with its sections, also where the card is older than these."""
    preset: dict[str, Any] = {}
    for name, value in card.get("preset", {}).items():
        section, _, setting = todays_name(name).rpartition(".")
        (preset.setdefault(section, {}) if section else preset)[setting] = value
    return preset
