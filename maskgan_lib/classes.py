"""The 19 classes of CelebAMask-HQ: ids, names, colours, merge order, left/right partners, groups, and 12 wider classes.

Ids follow the official order, which is also the order in which the part masks are merged: a later part overwrites an
earlier one. ``l_`` and ``r_`` are the subject's own sides, so ``l_eye`` lies on the viewer's right. ``l_lip`` is the
*lower* lip and ``ear_r`` the ear*ring*: neither is sided.
"""

import numpy as np

CLASS_NAMES = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip
NUM_CLASSES = len(CLASS_NAMES)
CLASS_ID = {name: i for i, name in enumerate(CLASS_NAMES)}
CLASS_TITLES = (
    "background", "skin", "nose", "eyeglasses", "left eye", "right eye", "left brow", "right brow", "left ear",
    "right ear", "inner mouth", "upper lip", "lower lip", "hair", "hat", "earring", "necklace", "neck", "cloth",
)  # fmt: skip

PART_NAMES = CLASS_NAMES[1:]
"""The parts that CelebAMask-HQ stores one PNG each for, in merge order (id 1 first)."""

IGNORE_ID = 255
"""Label of pixels whose class is unknown: where another data set does not annotate one of the 19 classes."""

COLORS = np.array(
    [
        (0, 0, 0), (204, 0, 0), (76, 153, 0), (204, 204, 0), (51, 51, 255), (204, 0, 204), (0, 255, 255),
        (51, 255, 255), (102, 51, 0), (255, 0, 0), (102, 204, 0), (255, 255, 0), (0, 0, 153), (0, 0, 204),
        (255, 51, 153), (0, 204, 204), (0, 51, 0), (255, 153, 51), (0, 204, 0),
    ],
    np.uint8,
)  # fmt: skip
COLORS.flags.writeable = False

SIDED_PAIRS = ((4, 5), (6, 7), (8, 9))
"""Classes that trade places when a face is mirrored: eyes, brows, ears."""

FLIPPED_ID = np.arange(NUM_CLASSES, dtype=np.uint8)
for _left, _right in SIDED_PAIRS:
    FLIPPED_ID[_left], FLIPPED_ID[_right] = _right, _left
FLIPPED_ID.flags.writeable = False

GROUPS = {
    "eyes": (4, 5),
    "brows": (6, 7),
    "ears": (8, 9),
    "mouth": (10, 11, 12),
    "face": (1, 2, 4, 5, 6, 7, 10, 11, 12),
    "worn": (3, 14, 15, 16),
}
"""Classes that are edited together, by a name a person would use."""

EVIDENCE = {
    "Smiling": GROUPS["mouth"],
    "Mouth_Slightly_Open": (CLASS_ID["mouth"],),
    "Big_Nose": (CLASS_ID["nose"],),
    "Chubby": (CLASS_ID["skin"],),
    "Bangs": (CLASS_ID["hair"],),
    "Wavy_Hair": (CLASS_ID["hair"],),
    "Eyeglasses": (CLASS_ID["eye_g"],),
    "Wearing_Hat": (CLASS_ID["hat"],),
    "Wearing_Earrings": (CLASS_ID["ear_r"],),
    "Wearing_Necklace": (CLASS_ID["neck_l"],),
}
"""Attributes that show in a mask, and the classes whose area says so: more of it, or less."""

MERGED_CLASSES = {
    "skin": (1,),
    "eyebrows": (6, 7),
    "eyes": (4, 5),
    "eyeglasses": (3,),
    "ears": (8, 9),
    "earrings": (15,),
    "nose": (2,),
    "mouth": (10,),
    "lips": (11, 12),
    "neck": (17,),
    "hair": (13,),
    "others": (0, 14, 16, 18),
}
"""The 12 classes of SeCGAN in the order of their ids, each with those of the 19 that it is made of."""

MERGED_ID = np.full(256, IGNORE_ID, np.uint8)
"""``MERGED_ID[labels]`` is a label map in the 12 classes, ``IGNORE_ID`` where it was that."""
for _id, _members in enumerate(MERGED_CLASSES.values()):
    MERGED_ID[list(_members)] = _id
MERGED_ID.flags.writeable = False

ATTRIBUTE_NAMES = tuple(
    "5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair Blond_Hair "
    "Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup High_Cheekbones Male "
    "Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose Receding_Hairline Rosy_Cheeks "
    "Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat Wearing_Lipstick Wearing_Necklace "
    "Wearing_Necktie Young".split()
)
"""The 40 attributes of CelebA, in the order of its annotation file."""


def colorize(labels: np.ndarray) -> np.ndarray:
    """Colours of a label map: integer ``[..., H, W]``, 0-18 or ``IGNORE_ID`` (grey), to uint8 ``[..., H, W, 3]``."""
    table = np.full((256, 3), 128, np.uint8)
    table[:NUM_CLASSES] = COLORS
    return table[np.asarray(labels, np.uint8)]


def colorize_merged(labels: np.ndarray) -> np.ndarray:
    """Colours of a label map in the 12 classes: each has that of the first of the 19 that it is made of."""
    table = np.full(256, IGNORE_ID, np.uint8)
    table[: len(MERGED_CLASSES)] = [members[0] for members in MERGED_CLASSES.values()]
    return colorize(table[np.asarray(labels, np.uint8)])
