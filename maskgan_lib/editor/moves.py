"""What networks make of a session's mask, and where that has put the sliders."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from maskgan_lib.editor.checks import attempt, read_only, within
from maskgan_lib.editor.rle import EditError, check_mask
from maskgan_lib.editor.storage import EditorFace

if TYPE_CHECKING:
    from maskgan_lib.editor.latent import LatentEdits

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
    """Moves masks ``[size, size]`` by MaskVAE. All that changes a session's mask or asks for one is the session's.

    Sliders count from the mask as it was before they were first touched, as long as the mask that is given is the very
    one that they have made; for any other they start at 0.
    """

    def __init__(self, size: int, latent: "LatentEdits | None" = None):
        self._size, self._latent = size, latent
        self._sliding: _Sliding | None = None

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
