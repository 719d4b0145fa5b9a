"""The attributes of CelebA that a procedural face has, from its parameters and its visible pixels."""

import numpy as np

from ..classes import CLASS_ID
from .people import Face
from .sampling import HAIR_COLOURS

ATTRIBUTES = (
    "5_o_Clock_Shadow", "Arched_Eyebrows", "Bags_Under_Eyes", "Bald", "Bangs", "Big_Nose", "Black_Hair",
    "Blond_Hair", "Brown_Hair", "Bushy_Eyebrows", "Chubby", "Eyeglasses", "Goatee", "Gray_Hair", "Heavy_Makeup", "Male",
    "Mouth_Slightly_Open", "Mustache", "No_Beard", "Pale_Skin", "Pointy_Nose", "Receding_Hairline",
    "Rosy_Cheeks", "Smiling", "Straight_Hair", "Wavy_Hair", "Wearing_Earrings", "Wearing_Hat", "Wearing_Lipstick",
    "Wearing_Necklace", "Wearing_Necktie", "Young",
)  # fmt: skip
"""The published attributes, in CelebA's order: those of its 40 whose evidence is in the picture."""


def attributes(face: Face, labels: np.ndarray) -> dict[str, bool]:
    """CelebA attributes of a picture: of what was drawn, and for worn things and the mouth of what is visible."""
    p, c = face.person, face.capture
    seen = np.bincount(labels.ravel(), minlength=len(CLASS_ID)) > 0
    bare_headed = c.hat == "none"
    haired = bare_headed and p.hair != "bald"
    strands = p.hair in ("long", "bob")
    values = {
        "5_o_Clock_Shadow": p.beard in ("shadow", "stubble"),
        "Arched_Eyebrows": p.brow_arch > 0.042,
        "Bags_Under_Eyes": p.bags > 0.4,
        "Bald": bare_headed and p.hair == "bald",
        "Bangs": haired and p.bangs,
        "Big_Nose": p.nose_width > 1.2,
        "Chubby": p.chubby > 0.5,
        "Bushy_Eyebrows": p.bushy,
        "Eyeglasses": seen[CLASS_ID["eye_g"]],
        "Goatee": p.beard == "goatee",
        "Heavy_Makeup": c.makeup,
        "Male": p.male,
        "Mouth_Slightly_Open": seen[CLASS_ID["mouth"]],
        "Mustache": p.beard == "mustache",
        "No_Beard": p.beard == "none",
        "Pale_Skin": p.tone < 0.05,
        "Pointy_Nose": p.nose_width < 0.9,
        "Receding_Hairline": bare_headed and p.hair == "receding",
        "Rosy_Cheeks": c.makeup and p.tone < 0.38,
        "Smiling": c.smile > 0.35,
        "Straight_Hair": strands and p.wave == 0,
        "Wavy_Hair": p.hair == "curlylong" or (strands and p.wave > 0),
        "Wearing_Earrings": seen[CLASS_ID["ear_r"]],
        "Wearing_Hat": seen[CLASS_ID["hat"]],
        "Wearing_Lipstick": c.makeup,
        "Wearing_Necklace": seen[CLASS_ID["neck_l"]],
        "Wearing_Necktie": c.cloth == "suit",
        "Young": p.age < 42,
    }
    values |= {f"{colour}_Hair": haired and p.hair_colour == colour for colour in HAIR_COLOURS}
    return {name: bool(values[name]) for name in ATTRIBUTES}
