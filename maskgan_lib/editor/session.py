"""The state of an editor and all that can be done with it; no widget, no browser.

>>> session = EditSession(faces, renderer)
>>> session.copy_component(3, "glasses")
>>> picture = session.render()
"""

import inspect
import reprlib
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np

from maskgan_lib.checkpoints import CheckpointError
from maskgan_lib.classes import CLASS_TITLES
from maskgan_lib.data.errors import DataError
from maskgan_lib.editor.checks import attempt, read_only, reason, within
from maskgan_lib.editor.components import (
    STYLE_REGIONS,
    component_ids,
    copy_component,
    from_the_outside,
    present_components,
    region_ids,
    transform_component,
)
from maskgan_lib.editor.compositing import keep_unedited
from maskgan_lib.editor.moves import MaskMoves
from maskgan_lib.editor.rle import EditError, check_mask
from maskgan_lib.editor.storage import (
    EditorFace,
    HistoryItem,
    SessionState,
    decode_mask,
    has_session,
    read_mask,
    read_session,
    write_mask,
    write_picture,
    write_session,
)

if TYPE_CHECKING:
    from maskgan_lib.attribute_masks import AttributeMasks
    from maskgan_lib.editor.latent import LatentEdits
    from maskgan_lib.editor.rendering import Renderer, StyleCode
    from maskgan_lib.evaluation.judges import Judges

HISTORY = 24
"""Pictures that a session remembers; then the oldest is forgotten."""

_WHOLE, _NUMBER, _TEXT, _FILE, _BY_NAME = (int,), (int, float), (str,), (bytes,), (dict,)
COMMANDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "choose_target": {"face": _WHOLE},
    "choose_style": {"face": _WHOLE, "mix": _NUMBER, "region": (*_TEXT, type(None))},
    "choose_method": {"name": _TEXT},
    "set_keep": {"strength": (*_NUMBER, type(None))},
    "copy_component": {"face": _WHOLE, "group": _TEXT},
    "transform_component": {
        "group": _TEXT,
        "down": _NUMBER,
        "right": _NUMBER,
        "scale": _NUMBER,
        "degrees": _NUMBER,
    },
    "move_latent": {"direction": _TEXT, "amount": _NUMBER},
    "interpolate": {"face": _WHOLE, "share": _NUMBER},
    "random_edit": {"seed": _WHOLE},
    "preview_attributes": {"amounts": _BY_NAME},
    "move_attributes": {"amounts": _BY_NAME},
    "add_photo": {"data": _FILE},
    "load_mask": {"data": _FILE},
    "reset": {},
}
"""What a front end may call, and the types of the arguments. No command takes a path."""

P, R = ParamSpec("P"), TypeVar("R")


def _locked(
    method: Callable[Concatenate["EditSession", P], R],
) -> Callable[Concatenate["EditSession", P], R]:
    """One thread at a time: a front end's messages may arrive beside a running cell."""

    @wraps(method)
    def alone(self: "EditSession", *args: P.args, **kwargs: P.kwargs) -> R:
        with self._lock:
            return method(self, *args, **kwargs)

    return alone


@dataclass(frozen=True, eq=False)
class _Preview:
    """A mask that is shown and not the session's yet: the amounts that were asked for, what was made, and its note."""

    amounts: dict[str, float]
    mask: np.ndarray
    note: str


class EditSession:
    """A face that is edited, faces to take from, and the pictures made so far.

    Methods change all that they should or, with an ``EditError`` of one sentence, nothing. Only ``render`` makes a
    picture. Whatever changes is saved in the folder ``autosave``, if one is given, before the method returns;
    ``restore`` brings it back. A session that is made anew replaces at its first change what lies there.

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
        renderer: "Renderer | Mapping[str, Renderer]",
        latent: "LatentEdits | None" = None,
        autosave: str | Path | None = None,
        judges: "Judges | None" = None,
        attribute_masks: "AttributeMasks | None" = None,
    ):
        if not faces:
            raise EditError("There is no face to edit: give one at least.")
        self._renderers = dict(renderer) if isinstance(renderer, Mapping) else {"": renderer}
        if isinstance(renderer, Mapping) and not (renderer and all(renderer)):
            raise EditError("Methods are renderers by name: give one at least, and no empty name.")
        self.size, *others = dict.fromkeys(one.size for one in self._renderers.values())
        if others:
            sizes = ", ".join(f"{name} {one.size}" for name, one in self._renderers.items())
            raise EditError(f"The methods make pictures of different sizes ({sizes}): give renderers of one size.")
        self.autosave = None if autosave is None else Path(autosave)
        self.autosave_trouble = ""
        self._saved: SessionState | None = None
        self._moves, self._judges = MaskMoves(self.size, latent, attribute_masks), judges
        self._lock = threading.RLock()
        self._preview: _Preview | None = None
        self._reconstruction: tuple[tuple, np.ndarray] | None = None
        checked = tuple(self._checked_face(face) for face in faces)
        self._given = len(checked)
        self._state = SessionState(checked, 0, 0, 1.0, None, checked[0].mask, method=next(iter(self._renderers)))

    @classmethod
    def restore(
        cls,
        autosave: str | Path,
        faces: Sequence[EditorFace],
        renderer: "Renderer | Mapping[str, Renderer]",
        latent: "LatentEdits | None" = None,
        judges: "Judges | None" = None,
        attribute_masks: "AttributeMasks | None" = None,
    ) -> Self:
        """The session in the folder ``autosave`` as it was after its last change, or a new one if there is none.

        It goes on saving there. Where its method is not here, it goes on with the first one, and a warning says so.
        ``EditError`` if the folder is damaged or its session is of another size.
        """
        session = cls(faces, renderer, latent, autosave, judges, attribute_masks)
        if has_session(autosave):
            session.load(autosave)
        return session

    # ---- what there is

    @property
    def mask(self) -> np.ndarray:
        """A copy of the mask, uint8 ``[S, S]``. Setting it checks it: ``EditError`` for any other than such a mask."""
        return self._state.mask.copy()

    @mask.setter
    def mask(self, mask: np.ndarray) -> None:
        with self._lock:
            mask = check_mask(mask, self.size)
            self._preview = None
            if not np.array_equal(mask, self._state.mask):  # sliders stay where they are
                self._change("painted", mask=mask)

    @property
    def faces(self) -> tuple[EditorFace, ...]:
        """The faces that were given, then own photos."""
        return self._state.faces

    @property
    def target(self) -> int:
        """Place of the face that is edited."""
        return self._state.target

    @property
    def style(self) -> int:
        """Place of the face whose style is taken; the target's own if it is ``target``."""
        return self._state.style

    @property
    def style_mix(self) -> float:
        """How much of that style: from 0, the target's own, to 1."""
        return self._state.mix

    @property
    def region_styles(self) -> dict[str, tuple[int, float]]:
        """Regions with a style of their own, by name: the place of the face that lends it, and how much of it.

        They wait, undrawn, while the method is not ``regional``.
        """
        return dict(self._state.regions)

    @property
    def regional(self) -> bool:
        """Whether the method can draw regions in styles of their own; else one style is all a picture has."""
        return self._renderer.regional

    @property
    def methods(self) -> tuple[str, ...]:
        """Names for ``choose_method``; none where a single renderer without a name was given."""
        return tuple(filter(None, self._renderers))

    @property
    def method(self) -> str:
        """The one of ``methods`` that makes the pictures; empty if there are none."""
        return self._state.method

    @property
    def keep(self) -> float | None:
        """How strongly the photo is kept where nothing was edited, 0 to 1; None: the picture is all the network's."""
        return self._state.keep

    @property
    def photo(self) -> np.ndarray:
        """The target's own picture, uint8 ``[S, S, 3]``."""
        return self.faces[self.target].image

    @property
    def original(self) -> np.ndarray:
        """The target's own mask, uint8 ``[S, S]``."""
        return self.faces[self.target].mask

    @property
    def image(self) -> np.ndarray | None:
        """The last picture, uint8 ``[S, S, 3]``; None before the first."""
        return self._state.image

    @property
    def history(self) -> tuple[HistoryItem, ...]:
        """The last ``HISTORY`` pictures that differ from the one before, oldest first."""
        return self._state.history

    @property
    def directions(self) -> tuple[str, ...]:
        """Names for ``move_latent``; none without ``latent``."""
        return self._moves.directions

    @property
    def sliders(self) -> dict[str, float]:
        """Where ``move_latent`` has put the directions since the mask was last changed in another way."""
        return self._moves.sliders(self._state.mask)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names for ``move_attributes``: what ``attribute_masks`` knows and masks show; none without it."""
        return self._moves.attributes

    @property
    def preview(self) -> np.ndarray | None:
        """The mask that ``preview_attributes`` has made, uint8 ``[S, S]``; None once it was applied or dropped."""
        preview = self._preview
        return None if preview is None else preview.mask.copy()

    @property
    def preview_amounts(self) -> dict[str, float]:
        """The amounts of ``preview`` that are not 0."""
        preview = self._preview
        return {} if preview is None else dict(preview.amounts)

    @property
    def autosaved(self) -> str:
        """The folder from which ``restore`` brings back just this; empty if there is none, or saving failed."""
        return str(self.autosave) if self._saved is self._state else ""

    def groups(self) -> tuple[str, ...]:
        """Names of the components that the mask has."""
        return present_components(self._state.mask)

    # ---- faces and styles

    @_locked
    def choose_target(self, face: int) -> None:
        """Edits another face, from its own mask. A style taken from another face stays, an own one follows."""
        face = self._place(face)
        style, *lenders = (
            face if place == self.target else place
            for place in (self.style, *(lender for lender, _ in self._state.regions.values()))
        )
        regions = {name: (place, mix) for place, (name, (_, mix)) in zip(lenders, self._state.regions.items())}
        self._change(self.faces[face].name, target=face, style=style, regions=regions, mask=self.faces[face].mask)

    @_locked
    def choose_style(self, face: int, mix: float = 1.0, region: str | None = None) -> None:
        """Takes the style of another face, or of the target itself; ``mix`` 0 to 1 says how much of it.

        With ``region``, one of ``STYLE_REGIONS``, for that region only, if the method is ``regional``; its
        ``style_around`` ends that. Without, for all that has no style of its own. Another face's style then reaches the
        whole picture, so keeping the photo ends; ``set_keep`` asks for it again.
        """
        face, mix = self._place(face), within(mix, 0, 1, "The mix of two styles")
        if region is not None:
            self._choose_region_style(region, face, mix)
            return
        begins = face != self.target and mix > 0 and not (face == self.style and self.style_mix > 0)
        keep = None if begins else self.keep
        self._change(f"style of {self.faces[face].name}", style=face, mix=mix, keep=keep)

    def _choose_region_style(self, region: str, face: int, mix: float) -> None:
        around = self.style_around(region)
        if not self.regional:
            able = ", ".join(name for name, one in self._renderers.items() if one.regional)
            raise EditError(
                f"{self.method or 'The network'} has one style for the whole picture, none for the {region}: "
                + (f"choose a method that draws regions ({able})." if able else "give one with style='regional'.")
            )
        regions = {name: style for name, style in self._state.regions.items() if name != region}
        if self._mixture(face, mix) != self._mixture(*around):
            regions[region] = face, mix
        self._change(f"{region} in the style of {self.faces[face].name}", regions=regions)

    def style_around(self, region: str) -> tuple[int, float]:
        """The style that a region has without one of its own, as in ``region_styles``.

        It is that of the next larger region that has one, or the whole picture's.
        """
        ids = set(region_ids(region))
        larger = [name for name in from_the_outside(self._state.regions) if ids < set(STYLE_REGIONS[name])]
        return self._state.regions[larger[-1]] if larger else (self.style, self.style_mix)

    def _mixture(self, face: int, mix: float) -> tuple[int, float]:
        """The same for styles that are the same: none of another face's is the target's own."""
        return (face, mix) if face != self.target and mix > 0 else (self.target, 1.0)

    @_locked
    def choose_method(self, name: str) -> None:
        """Makes pictures with another one of ``methods`` from now on.

        Where it is not ``regional``, the styles of regions are kept but not drawn, and a warning says so.
        """
        if name not in self.methods:
            known = f"choose one of {', '.join(self.methods)}" if self.methods else "give renderers by name to have any"
            raise EditError(f"There is no method {name!r}: {known}.")
        self._change(self._state.note, method=name)
        self._warn_of_regions()

    @_locked
    def set_keep(self, strength: float | None) -> None:
        """Keeps the photo where the mask was not edited, with a strength of 0 to 1, or not at all (None)."""
        strength = None if strength is None else within(strength, 0, 1, "The strength of keeping")
        self._change(self._state.note, keep=strength)

    @_locked
    def add_photo(self, data: str | Path | bytes) -> int:
        """Cuts the face out of a photo, a file or its bytes, parses it, and gives its place among the faces.

        ``EditError`` if it is no photo or no face is found in it.
        """
        from maskgan_lib.editor.own_photos import prepare_photo  # brings many packages: loaded when used

        with TemporaryDirectory() as folder:
            path = Path(folder) / "photo"
            try:
                if isinstance(data, bytes):
                    path.write_bytes(data)
                own = prepare_photo(path if isinstance(data, bytes) else data, self._parser(), size=self.size)
            except (DataError, CheckpointError) as error:
                raise EditError(str(error).replace(str(path), "The photo")) from error
        number = len(self.faces) - self._given + 1
        face = self._checked_face(EditorFace(f"own photo {number}", own.image, own.labels))
        self._change(self._state.note, faces=(*self.faces, face))
        return len(self.faces) - 1

    def _parser(self) -> "Judges":
        if self._judges is None:
            from maskgan_lib.evaluation.judges import Judges

            self._judges = Judges.shipped()
        return self._judges

    # ---- edits of the mask

    @_locked
    def copy_component(self, face: int, group: str) -> None:
        """Takes a component, e.g. "mouth", from another face, or the target's own back: see ``components``.

        What the target's photo lacks, say glasses, nothing in it says the look of: with a ``regional`` method such a
        class takes the style of that face, too.
        """
        place = self._place(face)
        source = self.faces[place]
        mask = copy_component(self._state.mask, source.mask, group, align=place != self.target)
        new = set(np.unique(source.mask)).intersection(component_ids(group)) - set(np.unique(self.original))
        lent = {CLASS_TITLES[i]: (place, 1.0) for i in sorted(new)} if self.regional else {}
        self._change(f"{group} of {source.name}", mask=mask, regions=dict(self._state.regions) | lent)

    @_locked
    def transform_component(
        self, group: str, down: float = 0.0, right: float = 0.0, scale: float = 1.0, degrees: float = 0.0
    ) -> None:
        """Moves (in pixels), scales and turns (clockwise) a component as it is now: see ``components``."""
        mask = transform_component(self._state.mask, group, down, right, scale, degrees)
        self._change(f"{group} moved", mask=mask)

    @_locked
    def move_latent(self, direction: str, amount: float) -> None:
        """Puts the slider of one of ``directions`` to ``amount``, -1 to 1; at 0 the mask is as it was before.

        Several sliders add up. When the mask is changed in another way, all start at 0 again.
        """
        mask, note = self._moves.along(self._state.mask, direction, amount)
        self._change(note, mask=mask)

    @_locked
    def interpolate(self, face: int, share: float) -> None:
        """Puts the slider towards another face's mask to ``share``: 0 the mask as it was before, 1 all the way."""
        place = self._place(face)
        mask, note = self._moves.towards(self._state.mask, place, self.faces[place], share)
        self._change(note, mask=mask)

    @_locked
    def random_edit(self, seed: int) -> None:
        """A random plausible edit of the mask; the same one for the same mask and seed."""
        mask, note = self._moves.at_random(self._state.mask, seed)
        self._change(note, mask=mask)

    @_locked
    def preview_attributes(self, amounts: Mapping[str, float]) -> None:
        """Makes ``preview``: the mask with more of some ``attributes``, or less. The mask itself stays as it is.

        ``amounts`` go from -1, take it away, to 1, give it, in the place of those of the last preview; all of them 0,
        or none, drop it. So does whatever else changes the mask.
        """
        self._preview = self._previewed(amounts)

    @_locked
    def move_attributes(self, amounts: Mapping[str, float]) -> None:
        """Makes what ``preview_attributes`` shows for these amounts the mask."""
        moved, self._preview = self._previewed(amounts), None
        if moved and not np.array_equal(moved.mask, self._state.mask):
            self._change(moved.note, mask=moved.mask)

    def _previewed(self, amounts: Mapping[str, float]) -> _Preview | None:
        amounts = self._moves.checked_amounts(amounts)
        if not amounts:
            return None
        if amounts == self.preview_amounts:
            return self._preview
        return _Preview(amounts, *self._moves.by_attributes(self._state.mask, amounts))

    @_locked
    def reset(self) -> None:
        """The target's own mask again. Keeping stays, and so do styles, but for those of what the photo lacks."""
        regions = {n: style for n, style in self._state.regions.items() if np.isin(region_ids(n), self.original).any()}
        self._change("original", mask=self.original, regions=regions)

    @_locked
    def load_mask(self, data: str | Path | bytes) -> None:
        """A mask from a PNG file of class ids, or its bytes, resized by the nearest pixel; ``EditError`` otherwise."""
        mask = decode_mask(data, self.size) if isinstance(data, bytes) else read_mask(data, self.size)
        self._change("mask loaded", mask=mask)

    # ---- pictures

    @_locked
    def render(self) -> np.ndarray:
        """The picture of the mask, uint8 ``[S, S, 3]``; it joins the history if it or the mask is new.

        ``EditError`` if it cannot be made: mask and last picture stay as they are.
        """
        picture = attempt("The picture could not be made", self._draw)
        if picture.shape != (self.size, self.size, 3) or picture.dtype != np.uint8:
            raise EditError(f"The picture could not be made: it came as {picture.dtype} {list(picture.shape)}.")
        state, picture = self._state, read_only(picture.copy())
        last = state.history[-1] if state.history else None
        if last is None or not (np.array_equal(last.image, picture) and np.array_equal(last.mask, state.mask)):
            note = f"{state.note} ({state.method})" if len(self.methods) > 1 else state.note
            history = (*state.history, HistoryItem(state.mask, picture, note))[-HISTORY:]
            self._change(state.note, image=picture, history=history)
        return picture.copy()

    @property
    def _renderer(self) -> "Renderer":
        return self._renderers[self.method]

    def _draw(self) -> np.ndarray:
        whole = self._style_code(self.style, self.style_mix)
        style, restyled = self._with_regions(whole)
        picture = np.asarray(self._renderer.render(self.mask, style))
        if self.keep is None:
            return picture
        before = self._reconstruct(whole)
        photo, original = self.photo.copy(), self.original.copy()
        edited = np.isin(self._state.mask, list(restyled))
        return np.asarray(keep_unedited(picture, photo, original, self.mask, before, self.keep, edited))

    def _with_regions(self, whole: "StyleCode") -> tuple["StyleCode", set[int]]:
        """The picture's style with those of regions in their places, and the classes whose style is not the picture's.

        The outer ones first, so that an inner one stays.
        """
        style, restyled = whole, set()
        for name in from_the_outside(self._state.regions) if self.regional else []:
            own, ids = self._state.regions[name], set(STYLE_REGIONS[name])
            style = style.put(self._style_code(*own), ids)
            is_new = self._mixture(*own) != self._mixture(self.style, self.style_mix)
            restyled = restyled | ids if is_new else restyled - ids
        return style, restyled

    def _style_code(self, place: int, mix: float) -> "StyleCode":
        own, other = self.faces[self.target], self.faces[place]
        codes = [self._renderer.style(face.image.copy(), face.mask.copy()) for face in (own, other)]
        return codes[0] if own is other else codes[0].mix(codes[1], mix)

    def _reconstruct(self, style: "StyleCode") -> np.ndarray:
        """The picture of the original mask in this style, kept until target, style or method change."""
        key = self.method, self.target, self.style, self.style_mix
        if self._reconstruction is None or self._reconstruction[0] != key:
            self._reconstruction = key, np.asarray(self._renderer.render(self.original.copy(), style))
        return self._reconstruction[1].copy()

    # ---- files

    @_locked
    def save(self, folder: str | Path) -> None:
        """Writes all of the session to a folder; ``CheckpointError`` if that cannot be done."""
        write_session(folder, self._state, self.faces[self._given :])

    @_locked
    def load(self, folder: str | Path) -> None:
        """Goes on from what ``save`` wrote. Its faces are found among those here, or join them.

        Where its method is not here, it goes on with the first one, without the last picture, and a warning says so;
        another one is as in ``choose_method``.
        """
        stored = read_session(folder, self.size)
        keys = [face.key for face in self.faces]
        joining = [self._checked_face(face) for face in stored.faces if face.key not in keys]
        keys += [face.key for face in joining]
        places = [keys.index(face.key) for face in stored.faces]
        target, style = places[stored.target], places[stored.style]
        regions = {name: (places[place], mix) for name, (place, mix) in stored.regions.items()}
        method, image = stored.method, stored.image
        if method not in self._renderers:
            method, image = next(iter(self._renderers)), None
            if stored.method:  # older sessions have none
                now = method or "the renderer that was given"
                warnings.warn(
                    f"The method {stored.method!r} of the session in {folder} is not here: it goes on with {now}.",
                    stacklevel=3,
                )
        self._preview = None
        self._state = replace(
            stored,
            faces=(*self.faces, *joining),
            target=target,
            style=style,
            regions=regions,
            method=method,
            image=image,
        )
        self._save_automatically()
        self._warn_of_regions()

    @_locked
    def save_mask(self, path: str | Path) -> None:
        """Writes the mask as a PNG of class ids in the project's colours."""
        write_mask(path, self._state.mask)

    @_locked
    def save_image(self, path: str | Path) -> None:
        """Writes the last picture as PNG or JPEG, by the ending; ``EditError`` if there is none yet."""
        if self.image is None:
            raise EditError("There is no picture yet: render the mask first.")
        write_picture(path, self.image)

    # ---- for front ends

    @_locked
    def command(self, name: str, arguments: Mapping[str, Any]) -> None:
        """Calls one of ``COMMANDS``; ``EditError`` for another name, and for arguments that it does not take."""
        if not isinstance(name, str) or name not in COMMANDS:
            raise EditError(f"There is no command {reprlib.repr(name)}: choose one of {', '.join(COMMANDS)}.")
        types = COMMANDS[name]
        if not isinstance(arguments, Mapping):
            raise EditError(f"The arguments of {name} come by name, not as {type(arguments).__name__}.")
        for key, value in arguments.items():
            known = key in types and isinstance(value, types[key]) and not isinstance(value, bool)
            if not known or (isinstance(value, int) and abs(value) >= 2**63):
                raise EditError(f"{name} does not take {reprlib.repr(key)} = {reprlib.repr(value)}: correct it.")
        try:
            inspect.signature(getattr(self, name)).bind(**arguments)
        except TypeError as error:
            raise EditError(f"{name} cannot be done ({error}): give all arguments.") from None
        getattr(self, name)(**arguments)

    # ---- inside

    def _warn_of_regions(self) -> None:
        if self._state.regions and not self.regional:
            names = ", ".join(self._state.regions)
            warnings.warn(
                f"{self.method or 'The network'} has one style for the whole picture: "
                f"the styles of {names} are kept, but not drawn.",
                stacklevel=4,
            )

    def _change(self, note: str, **changes: Any) -> None:
        if "mask" in changes:
            self._preview = None
            changes["mask"] = read_only(changes["mask"])
        self._state = replace(self._state, note=note, **changes)
        self._save_automatically()

    def _save_automatically(self) -> None:
        """A full disk must not end the editing: what went wrong is kept in ``autosave_trouble``."""
        if self.autosave is None:
            return
        try:
            write_session(self.autosave, self._state, self.faces[self._given :], wait=False)
        except (CheckpointError, OSError) as error:
            self.autosave_trouble = f"The session could not be saved ({reason(error)})."
        else:
            self.autosave_trouble, self._saved = "", self._state

    def _place(self, face: int) -> int:
        if not 0 <= face < len(self.faces):
            raise EditError(f"There is no face {face}: choose one from 0 to {len(self.faces) - 1}.")
        return int(face)

    def _checked_face(self, face: EditorFace) -> EditorFace:
        image = np.asarray(face.image)
        if image.dtype != np.uint8 or image.shape != (self.size, self.size, 3):
            raise EditError(
                f"The picture of {face.name!r} is {image.dtype} {list(image.shape)}, not uint8 "
                f"{[self.size, self.size, 3]}: resize it."
            )
        return EditorFace(face.name, read_only(image.copy()), read_only(check_mask(face.mask, self.size)))
