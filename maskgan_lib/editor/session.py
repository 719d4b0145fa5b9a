"""The state of an editor and all that can be done with it; no widget, no browser.

>>> session = EditSession(faces, renderer)
>>> session.copy_component(3, "glasses")
>>> picture = session.render()
>>> session.undo()
"""

import inspect
import reprlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from maskgan_lib.attribute_masks import AttributeMasks
from maskgan_lib.checkpoints import CheckpointError
from maskgan_lib.classes import CLASS_TITLES
from maskgan_lib.data.alignment import Alignment, FacePoints, Origin
from maskgan_lib.data.label_maps import OURS
from maskgan_lib.data.pictures import decode_photo, read_file
from maskgan_lib.editor import components
from maskgan_lib.editor.checks import EditError, attempt, check_mask, read_only, within
from maskgan_lib.editor.latent import LatentEdits
from maskgan_lib.editor.rendering import Renderer
from maskgan_lib.editor.rle import decode_runs
from maskgan_lib.editor.session_base import SessionBase, taking_turns
from maskgan_lib.editor.steps import DIRECTIONS, EditorFace, Sliding, painting
from maskgan_lib.editor.storage import (
    decode_mask,
    has_session,
    read_session,
    write_mask,
    write_picture,
    write_session,
)

if TYPE_CHECKING:
    from maskgan_lib.evaluation.judges import Judges


_WHOLE, _NUMBER, _TEXT, _FILE, _BY_NAME = (int,), (int, float), (str,), (bytes,), (dict,)
COMMANDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "paint": {"data": _FILE},
    "choose_target": {"face": _WHOLE},
    "choose_style": {"face": _WHOLE, "mix": _NUMBER, "region": (*_TEXT, type(None))},
    "choose_method": {"name": _TEXT},
    "set_keep": {"strength": (*_NUMBER, type(None))},
    "copy_component": {"face": _WHOLE, "group": _TEXT},
    "transform_component": {"group": _TEXT} | dict.fromkeys(("down", "right", "scale", "degrees"), _NUMBER),
    "move_latent": {"direction": _TEXT, "amount": _NUMBER},
    "interpolate": {"face": _WHOLE, "share": _NUMBER},
    "random_edit": {"seed": _WHOLE},
    "preview_attributes": {"amounts": _BY_NAME},
    "move_attributes": {"amounts": _BY_NAME},
    "add_photo": {"data": _FILE, "points": (list,)},
    "load_mask": {"data": _FILE, "scheme": _TEXT},
    "reset": {},
    "undo": {"count": _WHOLE},
    "redo": {"count": _WHOLE},
    "go_back": {"result": _TEXT},
}
"""The arguments of each command, and their types. None takes a path."""


@taking_turns
class EditSession(SessionBase):
    """A face that is edited, faces to take from, and the steps that were made.

    Methods change all that they should or, with an ``EditError`` of one sentence, nothing. What changes the mask or its
    looks is one step, which ``undo`` takes back; only ``render`` makes a picture. Whatever changes is saved in the
    folder ``autosave``, if one is given, before the method returns; ``restore`` brings it back. A session that is made
    anew replaces at its first change what lies there.

    Args:
        faces: the first one is edited at first. All have the renderer's size.
        renderer: makes the pictures. Several, by name and of one size, are methods to choose from; the first one makes
            them at first.
        latent: for ``move_latent``, ``interpolate`` and ``random_edit``.
        judges: the parser among them makes the mask of an own photo; by default those that ship.
        attribute_masks: for ``preview_attributes`` and ``move_attributes``.
    """

    def __init__(
        self,
        faces: Sequence[EditorFace],
        renderer: Renderer | Mapping[str, Renderer],
        latent: LatentEdits | None = None,
        autosave: str | Path | None = None,
        judges: "Judges | None" = None,
        attribute_masks: AttributeMasks | None = None,
    ):
        super().__init__(faces, renderer, autosave)
        self._latent, self._judges, self._attribute_masks = latent, judges, attribute_masks
        self.directions: tuple[str, ...] = () if latent is None else tuple(latent.directions)
        """Names for ``move_latent``; none without ``latent``."""
        known = () if attribute_masks is None else attribute_masks.attributes
        self.attributes: tuple[str, ...] = tuple(name for name in components.SHOWING if name in known)
        """Names for ``move_attributes``: what ``attribute_masks`` knows and masks show; none without it."""

    @classmethod
    def restore(cls, autosave: str | Path, *args: Any, **options: Any) -> Self:
        """The session in the folder ``autosave`` as it was after its last change, or a new one if there is none.

        The other arguments are those of a new session. It goes on saving there. Where its method is not here, it goes
        on with the first one, and a warning says so. ``EditError`` if the folder is damaged or of another size.
        """
        session = cls(*args, autosave=autosave, **options)
        if has_session(autosave):
            session.load(autosave)
        return session

    # ---- faces and styles

    def choose_target(self, face: int) -> None:
        """Edits another face, from its own mask. A style taken from another face stays, an own one follows."""
        face, now = self._place(face), self._now
        style, *regions = (
            (face if place == now.target else place, mix) for place, mix in (now.style, *now.regions.values())
        )
        mask, regions = self.faces[face].mask, dict(zip(now.regions, regions))
        self._change(self.faces[face].name, target=face, style=style, regions=regions, mask=mask)

    def choose_style(self, face: int, mix: float = 1.0, region: str | None = None) -> None:
        """Takes the style of another face, or of the target itself; ``mix`` 0 to 1 says how much of it.

        With ``region``, one of ``STYLE_REGIONS``, for that region only, if the method is ``regional``; its
        ``style_around`` ends that. Without, for all that has no style of its own. Another face's style then reaches the
        whole picture, so keeping the photo ends; ``set_keep`` asks for it again.
        """
        now, style = self._now, (self._place(face), within(mix, 0, 1, "The mix of two styles"))
        name = f"style of {self.faces[face].name}"
        if region is None:
            begins = now.effect(style)[0] not in (now.target, now.effect(now.style)[0])
            self._change(name, style=style, keep=None if begins else now.keep)
            return
        around = now.style_around(region)
        self._pictures.check_regional(now.method, region)
        regions = {other: own for other, own in now.regions.items() if other != region}
        if now.effect(style) != now.effect(around):
            regions[region] = style
        self._change(f"{name} on {region}", regions=regions)

    def choose_method(self, name: str) -> None:
        """Makes pictures with another one of ``methods`` from now on.

        Where it is not ``regional``, the styles of regions are kept but not drawn, and a warning says so.
        """
        if name not in self.methods:
            known = f"choose one of {', '.join(self.methods)}" if self.methods else "give renderers by name to have any"
            raise EditError(f"There is no method {name!r}: {known}.")
        self._change(f"drawn by {name}", method=name)
        self._warn_of_regions()

    def set_keep(self, strength: float | None) -> None:
        """Keeps the photo where the mask was not edited, with a strength of 0 to 1, or not at all (None)."""
        strength = None if strength is None else within(strength, 0, 1, "The strength of keeping")
        self._change("photo not kept" if strength is None else f"photo kept at {strength:.0%}", keep=strength)

    def add_photo(self, data: str | Path | bytes, points: Sequence[Sequence[float]] | None = None) -> int:
        """Cuts the face out of a photo, a file or its bytes, parses it, and gives its place among the faces.

        Args:
            points: both eyes and the middle of the mouth, ``(x, y)`` in pixels of the photo, turned upright; without,
                the parser looks for the face.

        ``EditError`` if it is no photo, if no face is found in it, or if the points are none of a face.
        """
        from maskgan_lib.editor.own_photos import prepare_photo  # brings many packages: loaded when used
        from maskgan_lib.evaluation.judges import Judges

        try:
            self._judges = self._judges or Judges.shipped()
            name, data = ("The photo", data) if isinstance(data, bytes) else (str(data), read_file(data))
            given = None if points is None else FacePoints.from_pairs(points[:2], points[2:])
            own = prepare_photo(decode_photo(data, name), self._judges, given, size=self.size)
        except CheckpointError as error:
            raise EditError(str(error)) from error
        number, origin = len(self.faces) - self._given + 1, Origin(data, own.alignment.square)
        face = self._checked_face(EditorFace(f"own photo {number}", own.image, own.labels, origin))
        self._go(replace(self._state, faces=(*self.faces, face)))
        return len(self.faces) - 1

    # ---- edits of the mask

    @SessionBase.mask.setter
    def mask(self, mask: np.ndarray) -> None:
        with self._lock:
            mask = check_mask(mask, self.size)
            self._preview = None
            if not np.array_equal(mask, self._now.mask):  # sliders stay where they are
                self._change(painting(self._now.mask, mask, self.original), mask=mask)

    def paint(self, data: bytes) -> None:
        """Another mask by its runs, as ``encode_runs`` writes them."""
        self.mask = decode_runs(data, self.size)

    def copy_component(self, face: int, group: str) -> None:
        """Takes a component, e.g. "mouth", from another face, or the target's own back: see ``components``.

        What the target's photo lacks, say glasses, nothing in it says the look of: with a ``regional`` method such a
        class takes the style of that face, too.
        """
        place, now = self._place(face), self._now
        source = self.faces[place]
        mask = components.copy_component(now.mask, source.mask, group, align=place != now.target)
        new = set(np.unique(source.mask)).intersection(components.COMPONENTS[group]) - set(np.unique(self.original))
        lent = {CLASS_TITLES[i]: (place, 1.0) for i in sorted(new)} if self.regional else {}
        self._change(f"{group} of {source.name}", mask=mask, regions={**now.regions, **lent})

    def transform_component(
        self, group: str, down: float = 0.0, right: float = 0.0, scale: float = 1.0, degrees: float = 0.0
    ) -> None:
        """Moves (in pixels), scales and turns (clockwise) a component as it is now: see ``components``."""
        mask = components.transform_component(self._now.mask, group, down, right, scale, degrees)
        does = "turned" if degrees else "scaled" if scale != 1 else "moved"
        self._change(f"{does} {group}", mask=mask)

    def move_latent(self, direction: str, amount: float) -> None:
        """Puts the slider of one of ``directions`` to ``amount``, -1 to 1; at 0 the mask is as it was before.

        Several sliders add up. When the mask is changed in another way, all start at 0 again.
        """
        latent = self._latent_edits()
        if direction not in self.directions:
            raise EditError(f"There is no direction {direction!r}: choose one of {', '.join(self.directions)}.")
        amount = within(amount, -1, 1, "The amount of a direction")

        def moved(mask: np.ndarray, places: Mapping[str, float]) -> np.ndarray:
            for name, place in places.items():
                mask = mask if place == 0 else latent.move(mask, name, place)
            return mask

        self._slide(DIRECTIONS, direction, amount, moved, f"{direction} {amount:+.2f}")

    def interpolate(self, face: int, share: float) -> None:
        """Puts the slider towards another face's mask to ``share``: 0 the mask as it was before, 1 all the way."""
        place, latent = self._place(face), self._latent_edits()
        other, share = self.faces[place], within(share, 0, 1, "The share of a face")

        def between(mask: np.ndarray, _: Mapping[str, float]) -> np.ndarray:
            return latent.towards(mask, other.mask.copy(), share)

        self._slide(f"face {place}", str(place), share, between, f"{share:.0%} towards {other.name}")

    def random_edit(self, seed: int) -> None:
        """A random plausible edit of the mask; the same one for the same mask and seed."""
        latent = self._latent_edits()
        if not 0 <= seed < 2**63:
            raise EditError(f"{seed} is no seed: choose a whole number from 0 up.")
        self._change(f"random edit {seed}", mask=self._made(lambda: latent.random(self.mask, seed)))

    def preview_attributes(self, amounts: Mapping[str, float]) -> None:
        """Makes ``preview``: the mask with more of some ``attributes``, or less. The mask itself stays as it is.

        ``amounts`` go from -1, take it away, to 1, give it, in the place of those of the last preview; all of them 0,
        or none, drop it. So does whatever else changes the mask.
        """
        amounts = self._checked_amounts(amounts)
        if not amounts:
            self._preview = None
        elif amounts != self.preview_amounts:
            name = ", ".join(f"{name} {amount:+.2f}" for name, amount in amounts.items())
            self._preview = amounts, name, self._made(lambda: self._attribute_masks.move(self.mask, amounts))

    def move_attributes(self, amounts: Mapping[str, float]) -> None:
        """Makes what ``preview_attributes`` shows for these amounts the mask."""
        self.preview_attributes(amounts)
        moved, self._preview = self._preview, None
        if moved and not np.array_equal(moved[2], self._now.mask):
            self._change(moved[1], mask=moved[2])

    def reset(self) -> None:
        """The target's own mask again. Keeping stays, and so do styles, but for those of what the photo lacks."""
        there = set(np.unique(self.original))
        regions = {n: s for n, s in self._now.regions.items() if there.intersection(components.STYLE_REGIONS[n])}
        self._change("original", mask=self.original, regions=regions)

    def load_mask(self, data: str | Path | bytes, scheme: str = OURS) -> None:
        """A mask from a PNG file, or its bytes, of the class ids of ``scheme``, resized by the nearest pixel."""
        name, data = ("The mask", data) if isinstance(data, bytes) else (str(data), read_file(data))
        mask = decode_mask(data, self.size, name, scheme)
        self._change("mask loaded", mask=mask)

    # ---- pictures and files

    def render(self) -> np.ndarray:
        """The picture of the mask, uint8 ``[S, S, 3]``, which is then the last one of ``history``.

        ``EditError`` if it cannot be made: mask and last picture stay as they are.
        """
        picture = attempt("The picture could not be made", lambda: self._pictures.draw(self._now, self.faces))
        if not self.is_drawn or not np.array_equal(picture, self.image):
            self._go(self._state.drawn(read_only(picture.copy())), self._preview)
        return picture.copy()

    def save(self, folder: str | Path) -> None:
        """Writes all of the session to a folder; ``CheckpointError`` if that cannot be done."""
        write_session(folder, self._state, self._given)

    def load(self, folder: str | Path) -> None:
        """Goes on from what ``save`` wrote. Its faces are found among those here, or join them.

        Where its method is not here, it goes on with the first one, without the last picture, and a warning says so;
        another one is as in ``choose_method``.
        """
        stored = read_session(folder, self.size)
        method, here = stored.now.method, tuple(self._pictures.renderers)
        if method and method not in here:  # older sessions have none
            now = here[0] or "the renderer that was given"
            warnings.warn(
                f"The method {method!r} of the session in {folder} is not here: it goes on with {now}.", stacklevel=3
            )
        self._go(stored.among(self.faces, here))
        self._warn_of_regions()

    def save_mask(self, path: str | Path) -> None:
        """Writes the mask as a PNG of class ids in the project's colours."""
        write_mask(path, self._now.mask)

    def save_image(self, path: str | Path) -> None:
        """Writes the last picture as PNG or JPEG, by the ending; ``EditError`` if there is none yet."""
        if self.image is None:
            raise EditError("There is no picture yet: render the mask first.")
        write_picture(path, self.image)

    def whole_photo(self) -> np.ndarray:
        """The own photo that is edited, uint8 ``[H, W, 3]`` in its full size, with the picture in its place.

        Where the photo is kept, its pixels stay as they are. ``EditError`` if the target is no own photo.
        """
        origin = self.faces[self.target].origin
        if origin is None:
            raise EditError(f"{self.faces[self.target].name!r} is no photo of your own: save its picture instead.")
        layer, weight = attempt("The picture could not be made", lambda: self._pictures.layer(self._now, self.faces))
        edited = np.rint(layer).astype(np.uint8)
        return Alignment(origin.square, self.size).paste_back(edited, decode_photo(origin.data, "The photo"), weight)

    def save_photo(self, path: str | Path) -> None:
        """Writes ``whole_photo`` as PNG or JPEG, by the ending."""
        write_picture(path, self.whole_photo())

    def command(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Calls one of ``COMMANDS``; ``EditError`` for another name, and for arguments that it does not take."""
        if not isinstance(name, str) or name not in COMMANDS:
            raise EditError(f"There is no command {reprlib.repr(name)}: choose one of {', '.join(COMMANDS)}.")
        if not isinstance(arguments, Mapping):
            raise EditError(f"The arguments of {name} come by name, not as {type(arguments).__name__}.")
        for key, value in arguments.items():
            known = isinstance(value, COMMANDS[name].get(key, ())) and not isinstance(value, bool)
            if not known or (isinstance(value, int) and abs(value) >= 2**63):
                raise EditError(f"{name} does not take {reprlib.repr(key)} = {reprlib.repr(value)}: correct it.")
        method = getattr(self, name)
        try:
            inspect.signature(method).bind(**arguments)
        except TypeError as error:
            raise EditError(f"{name} cannot be done ({error}): give all arguments.") from None
        method(**arguments)

    # ---- what networks make of the mask

    def _latent_edits(self) -> LatentEdits:
        if self._latent is None:
            raise EditError("This session has no MaskVAE: give latent=LatentEdits(...) when you make it.")
        return self._latent

    def _made(self, work: Callable[[], np.ndarray]) -> np.ndarray:
        return check_mask(attempt("The mask could not be changed", work), self.size)

    def _slide(self, kind: str, name: str, place: float, work: Callable, title: str) -> None:
        """Puts a slider to its place: what ``work`` makes of the mask before it, by the places of all of its kind.

        Sliders count from the mask as it was before they were first touched, as long as the mask is the one that they
        have made; for any other they start at 0.
        """
        sliding = self._now.sliding
        sliding = sliding if sliding and sliding.kind == kind else Sliding(kind, self._now.mask, {})
        sliding = replace(sliding, places={**sliding.places, name: place})
        mask = self._made(lambda: work(sliding.before.copy(), sliding.places))
        self._change(title, mask=mask, sliding=sliding)

    def _checked_amounts(self, amounts: Mapping[str, float]) -> dict[str, float]:
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
