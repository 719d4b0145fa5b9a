"""What networks make of a session's mask: MaskVAE, and SeCGAN's generator of masks by attributes."""

import reprlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from maskgan_lib.editor.checks import attempt, read_only, within
from maskgan_lib.editor.rle import EditError, check_mask
from maskgan_lib.editor.storage import EditorFace

if TYPE_CHECKING:
    from maskgan_lib.attribute_masks import AttributeMasks
    from maskgan_lib.editor.latent import LatentEdits

SHOWING = (
    *("Smiling", "Mouth_Slightly_Open", "Eyeglasses", "Bangs", "Bald", "Receding_Hairline", "Male"),
    *("Straight_Hair", "Wavy_Hair", "Bushy_Eyebrows", "Big_Nose", "Pointy_Nose", "Wearing_Earrings"),
)
"""Attributes of CelebA that change the outlines of a class that SeCGAN's masks have, in the order of their controls.

Colours of hair and skin, age and beards leave none in a mask; a hat, a necklace and clothes are parts of its "others".
"""

Moved = tuple[np.ndarray, str]
"""A mask that has been made, which nobody can write to, and a note that says how."""


@dataclass(frozen=True, eq=False)
class _Sliding:
    """Sliders that have been moved: of what kind, the mask before, their places by name, and the mask they made."""

    kind: str
    before: np.ndarray
    places: dict[str, float]
    after: np.ndarray


class MaskMoves:
    """Moves masks ``[size, size]``; which one is the session's is decided there.

    MaskVAE's sliders count from the mask as it was before they were first touched, as long as the mask that is given is
    the very one that they have made; for any other they start at 0. Attributes are counted from the mask that is given.
    """

    def __init__(self, size: int, latent: "LatentEdits | None" = None, attribute_masks: "AttributeMasks | None" = None):
        self._size, self._latent, self._attribute_masks = size, latent, attribute_masks
        self._sliding: _Sliding | None = None
        known = () if attribute_masks is None else attribute_masks.attributes
        self.attributes = tuple(name for name in SHOWING if name in known)

    @property
    def directions(self) -> tuple[str, ...]:
        """Names for ``along``; none without ``latent``."""
        return () if self._latent is None else tuple(self._latent.directions)

    def sliders(self, mask: np.ndarray) -> dict[str, float]:
        """Where ``along`` has put the directions."""
        return dict(self._places("directions", mask))

    def along(self, mask: np.ndarray, direction: str, amount: float) -> Moved:
        """The slider of one of ``directions`` at ``amount``, -1 to 1, and the others where they are."""
        latent = self._latent_edits()
        if direction not in self.directions:
            raise EditError(f"There is no direction {direction!r}: choose one of {', '.join(self.directions)}.")
        places = self.sliders(mask) | {direction: within(amount, -1, 1, "The amount of a direction")}

        def moved(mask: np.ndarray) -> np.ndarray:
            for name, place in places.items():
                mask = mask if place == 0 else latent.move(mask, name, place)
            return mask

        return self._slide(mask, "directions", places, moved, f"{direction} {amount:+.2f}")

    def towards(self, mask: np.ndarray, place: int, other: EditorFace, share: float) -> Moved:
        """The slider towards the mask of the face at ``place`` at ``share``, 0 to 1."""
        latent = self._latent_edits()
        share = within(share, 0, 1, "The share of a face")

        def between(mask: np.ndarray) -> np.ndarray:
            return mask if share == 0 else latent.towards(mask, other.mask.copy(), share)

        note = f"{share:.0%} towards {other.name}"
        return self._slide(mask, f"towards face {place}", {other.name: share}, between, note)

    def at_random(self, mask: np.ndarray, seed: int) -> Moved:
        """A random plausible edit."""
        latent = self._latent_edits()
        if not 0 <= seed < 2**63:
            raise EditError(f"{seed} is no seed: choose a whole number from 0 up.")
        return self._made(lambda: latent.random(mask.copy(), seed)), f"random edit {seed}"

    def by_attributes(self, mask: np.ndarray, amounts: Mapping[str, float]) -> Moved:
        """More of some of ``attributes``, or less, by what ``checked_amounts`` gives."""
        moved = self._made(lambda: self._attribute_masks.move(mask.copy(), amounts))
        return moved, ", ".join(f"{name} {amount:+.2f}" for name, amount in amounts.items())

    def checked_amounts(self, amounts: Mapping[str, float]) -> dict[str, float]:
        """Those of the amounts that are not 0, in the order of ``attributes``; ``EditError`` if one cannot be done."""
        if self._attribute_masks is None:
            raise EditError("This session cannot move attributes: give attribute_masks=AttributeMasks.load(...) to it.")
        if not isinstance(amounts, Mapping):
            raise EditError(f"Attributes come as amounts by name, not as {type(amounts).__name__}.")
        for name, amount in amounts.items():
            if name not in self.attributes:
                offered = f"choose from {', '.join(self.attributes)}" if self.attributes else "its network knows none"
                raise EditError(f"The attribute {reprlib.repr(name)} does not move masks here: {offered}.")
            if not isinstance(amount, Real) or isinstance(amount, bool):
                raise EditError(f"The amount of {name} is a number, not {reprlib.repr(amount)}.")
            within(amount, -1, 1, f"The amount of {name}")
        return {name: float(amounts[name]) for name in self.attributes if amounts.get(name)}

    def _latent_edits(self) -> "LatentEdits":
        if self._latent is None:
            raise EditError("This session has no MaskVAE: give latent=LatentEdits(...) when you make it.")
        return self._latent

    def _made(self, work: Callable[[], np.ndarray]) -> np.ndarray:
        return read_only(check_mask(attempt("The mask could not be changed", work), self._size))

    def _slide(
        self,
        mask: np.ndarray,
        kind: str,
        places: dict[str, float],
        work: Callable[[np.ndarray], np.ndarray],
        note: str,
    ) -> Moved:
        """Puts sliders to ``places``: what ``work`` makes of the mask as it was before they were first moved."""
        before = self._sliding.before if self._places(kind, mask) else mask
        after = self._made(lambda: work(before.copy()))
        self._sliding = _Sliding(kind, before, places, after)
        return after, note

    def _places(self, kind: str, mask: np.ndarray) -> dict[str, float]:
        """Where the sliders of a kind are; nowhere once the mask was changed in another way."""
        sliding = self._sliding
        return sliding.places if sliding and sliding.kind == kind and sliding.after is mask else {}
