"""What networks make of a session's mask: MaskVAE, and SeCGAN's generator of masks by attributes."""

import reprlib
from collections.abc import Callable, Mapping
from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from maskgan_lib.editor.checks import attempt, read_only, within
from maskgan_lib.editor.rle import EditError, check_mask
from maskgan_lib.editor.steps import DIRECTIONS, EditorFace, Sliding, Step

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

Moved = tuple[str, np.ndarray, Sliding | None]
"""What was done, the mask that it made, which nobody can write to, and where sliders are then."""


class MaskMoves:
    """Moves masks ``[size, size]``.

    MaskVAE's sliders count from the mask as it was before they were first touched, as long as a step's mask is the one
    that they have made; for any other they start at 0. Attributes are counted from the mask that is given.
    """

    def __init__(self, size: int, latent: "LatentEdits | None" = None, attribute_masks: "AttributeMasks | None" = None):
        self._size, self._latent, self._attribute_masks = size, latent, attribute_masks
        self.directions = () if latent is None else tuple(latent.directions)
        known = () if attribute_masks is None else attribute_masks.attributes
        self.attributes = tuple(name for name in SHOWING if name in known)

    def along(self, step: Step, direction: str, amount: float) -> Moved:
        """The slider of one of ``directions`` at ``amount``, -1 to 1, and the others where they are."""
        latent = self._latent_edits()
        if direction not in self.directions:
            raise EditError(f"There is no direction {direction!r}: choose one of {', '.join(self.directions)}.")
        amount = within(amount, -1, 1, "The amount of a direction")

        def moved(mask: np.ndarray, places: Mapping[str, float]) -> np.ndarray:
            for name, place in places.items():
                mask = mask if place == 0 else latent.move(mask, name, place)
            return mask

        return self._slide(step, DIRECTIONS, direction, amount, moved, f"{direction} {amount:+.2f}")

    def towards(self, step: Step, place: int, other: EditorFace, share: float) -> Moved:
        """The slider towards the mask of the face at ``place`` at ``share``, 0 to 1."""
        latent = self._latent_edits()
        share = within(share, 0, 1, "The share of a face")

        def between(mask: np.ndarray, _places: Mapping[str, float]) -> np.ndarray:
            return mask if share == 0 else latent.towards(mask, other.mask.copy(), share)

        return self._slide(step, f"face {place}", str(place), share, between, f"{share:.0%} towards {other.name}")

    def at_random(self, mask: np.ndarray, seed: int) -> Moved:
        """A random plausible edit."""
        latent = self._latent_edits()
        if not 0 <= seed < 2**63:
            raise EditError(f"{seed} is no seed: choose a whole number from 0 up.")
        return f"random edit {seed}", self._made(lambda: latent.random(mask.copy(), seed)), None

    def by_attributes(self, mask: np.ndarray, amounts: Mapping[str, float]) -> Moved:
        """More of some of ``attributes``, or less, by what ``checked_amounts`` gives."""
        name = ", ".join(f"{name} {amount:+.2f}" for name, amount in amounts.items())
        return name, self._made(lambda: self._attribute_masks.move(mask.copy(), amounts)), None

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

    def _slide(self, step: Step, kind: str, name: str, place: float, work: Callable, title: str) -> Moved:
        """Puts a slider to its place: what ``work`` makes of the mask before it, by the places of all of its kind."""
        sliding = step.sliding if step.sliding and step.sliding.kind == kind else Sliding(kind, step.mask, {})
        sliding = Sliding(kind, sliding.before, {**sliding.places, name: place})
        return title, self._made(lambda: work(sliding.before.copy(), sliding.places)), sliding
