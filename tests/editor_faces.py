"""Drawn faces, and a renderer that shows the mask in its colours, for tests of the editor's front end."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from maskgan_lib.classes import CLASS_ID, NUM_CLASSES, colorize
from maskgan_lib.editor import EditorFace, EditSession

ELLIPSES = (  # class, centre x, centre y, radii, in sides of the picture; painted in this order
    ("hair", 0.5, 0.4, 0.37, 0.37), ("neck", 0.5, 0.86, 0.18, 0.25), ("cloth", 0.5, 1.05, 0.45, 0.18),
    ("l_ear", 0.77, 0.53, 0.05, 0.09), ("r_ear", 0.23, 0.53, 0.05, 0.09), ("skin", 0.5, 0.53, 0.27, 0.35),
    ("l_eye", 0.61, 0.47, 0.06, 0.03), ("r_eye", 0.39, 0.47, 0.06, 0.03), ("l_brow", 0.61, 0.4, 0.08, 0.02),
    ("r_brow", 0.39, 0.4, 0.08, 0.02), ("nose", 0.5, 0.57, 0.05, 0.09), ("u_lip", 0.5, 0.7, 0.1, 0.02),
    ("l_lip", 0.5, 0.745, 0.1, 0.028), ("mouth", 0.5, 0.723, 0.07, 0.012),
)  # fmt: skip


def drawn_mask(size: int = 64, shift: float = 0.0, glasses: bool = False) -> np.ndarray:
    """A face, uint8 ``[size, size]``; ``shift`` moves its features down by that share of the picture."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    mask = np.zeros((size, size), np.uint8)
    for name, cx, cy, rx, ry in ELLIPSES:
        inner = name not in ("hair", "neck", "cloth", "skin")
        mask[((x - cx) / rx) ** 2 + ((y - cy - shift * inner) / ry) ** 2 <= 1] = CLASS_ID[name]
    if glasses:
        mask[(abs(y - 0.47 - shift) < 0.04) & (abs(x - 0.5) < 0.2)] = CLASS_ID["eye_g"]
    return mask


def drawn_faces(count: int = 3, size: int = 64, glasses: bool = False) -> list[EditorFace]:
    """Faces whose pictures are their masks' colours under a tint. Odd ones may wear glasses."""
    faces = []
    for i in range(count):
        mask = drawn_mask(size, 0.03 * i, glasses and i % 2 == 1)
        tint = np.array([(255, 225, 205), (205, 255, 205), (205, 205, 255)][i % 3])
        image = (0.6 * colorize(mask) + 0.4 * tint).astype(np.uint8)
        faces.append(EditorFace(f"face {i}", image, mask))
    return faces


@dataclass(frozen=True)
class Tint:
    """A colour for every class, ``[19, 3]``."""

    rgb: np.ndarray

    def mix(self, other: "Tint", share: float) -> "Tint":
        return Tint((1 - share) * self.rgb + share * other.rgb)

    def put(self, other: "Tint", classes: Iterable[int]) -> "Tint":
        chosen = np.isin(np.arange(NUM_CLASSES), list(classes))
        return Tint(np.where(chosen[:, None], other.rgb, self.rgb))


class ColourRenderer:
    """``share`` of the mask's colours, and the mean colour of the style's picture for the rest."""

    def __init__(self, size: int = 64, share: float = 0.5, regional: bool = True):
        self.size, self.share, self.regional, self.renders, self.error = size, share, regional, 0, None

    def style(self, image: np.ndarray, mask: np.ndarray) -> Tint:
        return Tint(np.tile(image.reshape(-1, 3).mean(0), (NUM_CLASSES, 1)))

    def render(self, mask: np.ndarray, style: Tint) -> np.ndarray:
        self.renders += 1
        if self.error:
            raise RuntimeError(self.error)
        picture = (self.share * colorize(mask) + (1 - self.share) * style.rgb[mask]).astype(np.uint8)
        mask[:] = 0  # it may do what it likes with what it gets
        return picture


class Shifts:
    """Stands in for the MaskVAE: directions that move the mask down or to the right, and blends that take rows."""

    directions = ("Lower", "Smile <b>")
    error = ""

    def move(self, mask: np.ndarray, direction: str, amount: float) -> np.ndarray:
        if self.error:
            raise RuntimeError(self.error)
        return np.roll(mask, round(amount * 10), axis=self.directions.index(direction))

    def towards(self, mask: np.ndarray, other: np.ndarray, share: float) -> np.ndarray:
        rows = round(share * len(mask))
        return np.concatenate([other[:rows], mask[rows:]])

    def random(self, mask: np.ndarray, seed: int) -> np.ndarray:
        return np.roll(mask, 1 + seed % 5, axis=1)


class Grins:
    """Stands in for ``AttributeMasks``: smiles on drawn faces are open mouths, bangs are rows of hair."""

    attributes = ("Black_Hair", "Bangs", "Smiling")
    error = ""

    def move(self, mask: np.ndarray, amounts: Mapping[str, float]) -> np.ndarray:
        if self.error:
            raise RuntimeError(self.error)
        y, x = (np.mgrid[: len(mask), : len(mask)] + 0.5) / len(mask)
        smile, bangs = amounts.get("Smiling", 0), amounts.get("Bangs", 0)
        moved = mask.copy()
        if smile > 0:
            moved[((x - 0.5) / 0.1) ** 2 + ((y - 0.72) / (0.06 * smile)) ** 2 <= 1] = CLASS_ID["mouth"]
        elif smile < 0:
            moved[mask == CLASS_ID["mouth"]] = CLASS_ID["l_lip"]
        moved[(mask == CLASS_ID["skin"]) & (y < 0.18 + 0.17 * bangs)] = CLASS_ID["hair"]
        return moved


def drawn_session(
    count: int = 3,
    size: int = 64,
    latent: bool = True,
    methods: Sequence[str] = (),
    attributes: bool = False,
    global_methods: Collection[str] = (),
    glasses: bool = False,
    **options,
) -> EditSession:
    """Of ``methods``, each one shows more of the mask's colours than the one before; some have one style only."""
    shares = np.linspace(0.2, 1, len(methods))
    named = {name: ColourRenderer(size, share, name not in global_methods) for name, share in zip(methods, shares)}
    options |= {"latent": Shifts() if latent else None, "attribute_masks": Grins() if attributes else None}
    return EditSession(drawn_faces(count, size, glasses), named or ColourRenderer(size), **options)
