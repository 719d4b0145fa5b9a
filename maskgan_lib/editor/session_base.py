"""A session without its edits: what there is, the steps and where one stands among them, and saving by itself."""

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from inspect import isfunction
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np

from maskgan_lib.checkpoints import CheckpointError
from maskgan_lib.editor.checks import EditError, check_mask, read_only, reason
from maskgan_lib.editor.components import present_components
from maskgan_lib.editor.pictures import Pictures
from maskgan_lib.editor.rendering import Renderer
from maskgan_lib.editor.steps import DIRECTIONS, EditorFace, SessionState, Step, Style
from maskgan_lib.editor.storage import write_session


def taking_turns(kind: type) -> type:
    """A class whose public methods let one thread in at a time: messages may arrive beside a running cell."""

    def alone(method: Callable) -> Callable:
        @wraps(method)
        def call(self: "SessionBase", *args: Any, **kwargs: Any) -> Any:
            with self._lock:
                return method(self, *args, **kwargs)

        return call

    for name, value in list(vars(kind).items()):
        if isfunction(value) and not name.startswith("_"):
            setattr(kind, name, alone(value))
    return kind


def reading(path: str, what: str) -> property:
    """A property, described by ``what``, that reads an attribute of an attribute."""
    return property(attrgetter(path), doc=what)


@taking_turns
class SessionBase:
    """Faces, steps and renderers; see ``EditSession``."""

    def __init__(
        self,
        faces: Sequence[EditorFace],
        renderer: Renderer | Mapping[str, Renderer],
        autosave: str | Path | None = None,
    ):
        if not faces:
            raise EditError("There is no face to edit: give one at least.")
        self._pictures = Pictures(renderer)
        self.size = self._pictures.size
        self.autosave = None if autosave is None else Path(autosave)
        self.autosave_trouble, self._is_saved = "", False
        self._lock = threading.RLock()
        self._in_gesture, self._gesture, self._is_unsaved = False, None, False
        self._preview: tuple[dict[str, float], str, np.ndarray] | None = None  # amounts, name and mask of a step
        checked = tuple(self._checked_face(face) for face in faces)
        self._given = len(checked)
        start = Step("original", 0, (0, 1.0), None, self._pictures.first, checked[0].mask)
        self._state = SessionState(checked, (start,))

    # ---- what there is

    faces: tuple[EditorFace, ...] = reading("_state.faces", "The faces that were given, then own photos.")
    target: int = reading("_now.target", "Place of the face that is edited.")
    keep: float | None = reading(
        "_now.keep",
        "How strongly the photo is kept where nothing was edited, 0 to 1; None: the picture is all the network's.",
    )
    methods: tuple[str, ...] = reading(
        "_pictures.methods", "Names for ``choose_method``; none where a single renderer without a name was given."
    )
    method: str = reading("_now.method", "The one of ``methods`` that makes the pictures; empty if there are none.")
    regional: bool = reading(
        "renderer.regional", "Whether the method can draw regions in styles of their own; else a picture has one style."
    )
    image: np.ndarray | None = reading("_state.image", "The last picture, uint8 ``[S, S, 3]``; None before the first.")
    history: tuple[Step, ...] = reading(
        "_state.results",
        "The last ``HISTORY`` results: each picture once, with what it was made of, the last one made at the end.",
    )
    done: tuple[Step, ...] = reading(
        "_state.before",
        "The steps to what is now, oldest first: the beginning, and up to ``DEPTH`` that can be undone.",
    )
    undone: tuple[Step, ...] = reading("_state.after", "The steps that can be done again, the next one first.")
    _now: Step = reading("_state.now", "The step that all of it is at.")

    @property
    def mask(self) -> np.ndarray:
        """A copy of the mask, uint8 ``[S, S]``. Setting it checks it: ``EditError`` for any other than such a mask."""
        return self._now.mask.copy()

    @property
    def style(self) -> int:
        """Place of the face whose style is taken; the target's own if it is ``target``."""
        return self._now.style[0]

    @property
    def style_mix(self) -> float:
        """How much of that style: from 0, the target's own, to 1."""
        return self._now.style[1]

    @property
    def region_styles(self) -> dict[str, Style]:
        """Regions with a style of their own, by name: the place of the face that lends it, and how much of it.

        They wait, undrawn, while the method is not ``regional``.
        """
        return dict(self._now.regions)

    @property
    def renderer(self) -> Renderer:
        """What makes the pictures."""
        return self._pictures.renderers[self.method]

    @property
    def photo(self) -> np.ndarray:
        """The target's own picture, uint8 ``[S, S, 3]``."""
        return self.faces[self.target].image

    @property
    def original(self) -> np.ndarray:
        """The target's own mask, uint8 ``[S, S]``."""
        return self.faces[self.target].mask

    @property
    def is_drawn(self) -> bool:
        """Whether ``image`` is of the mask and its looks as they are now."""
        return self._now.image is not None

    @property
    def sliders(self) -> dict[str, float]:
        """Where ``move_latent`` has put the directions since the mask was last changed in another way."""
        return self._places(directions=True)

    @property
    def blend(self) -> dict[str, float]:
        """How far ``interpolate`` has gone towards the face at a place, written as text; empty in the same way."""
        return self._places(directions=False)

    @property
    def preview(self) -> np.ndarray | None:
        """The mask that ``preview_attributes`` has made, uint8 ``[S, S]``; None once it was applied or dropped."""
        preview = self._preview
        return None if preview is None else preview[2].copy()

    @property
    def preview_amounts(self) -> dict[str, float]:
        """The amounts of ``preview`` that are not 0."""
        preview = self._preview
        return {} if preview is None else dict(preview[0])

    @property
    def autosaved(self) -> str:
        """The folder from which ``restore`` brings this back, but not a gesture that goes on; else empty."""
        return str(self.autosave) if self._is_saved else ""

    def groups(self) -> tuple[str, ...]:
        """Names of the components that the mask has."""
        return present_components(self._now.mask)

    def style_around(self, region: str) -> Style:
        """The style that a region has without one of its own, as in ``region_styles``."""
        return self._now.style_around(region)

    # ---- steps

    @contextmanager
    def gesture(self, name: str | None, ended: bool = True) -> Iterator[None]:
        """What is done inside is one step, and one result, with what was done before in the gesture of that name.

        It is saved at the end of the block, or later if the gesture has not ``ended`` with it.
        """
        with self._lock:
            self._in_gesture, self._gesture = True, name
            try:
                yield
            finally:
                self._in_gesture, self._gesture = False, None
                if ended and self._is_unsaved:
                    self._save_automatically()

    def undo(self, count: int = 1) -> None:
        """Takes steps back, or as many as there are."""
        self._go(self._state.at_step(self._state.at - max(0, count)))

    def redo(self, count: int = 1) -> None:
        """Does steps again that were taken back, or as many as there are."""
        self._go(self._state.at_step(self._state.at + max(0, count)))

    def go_back(self, result: Step | str) -> None:
        """A step to one of ``history``, or its ``key``: to its mask, all its looks and its picture."""
        key = result.key if isinstance(result, Step) else result
        found = [step for step in self.history if step.key == key]
        if not found:
            raise EditError("That result is not remembered any more: choose one that is.")
        self._go(self._state.done(replace(found[-1], gesture=None)))

    # ---- inside

    def _places(self, directions: bool) -> dict[str, float]:
        sliding = self._now.sliding
        return dict(sliding.places) if sliding and (sliding.kind == DIRECTIONS) == directions else {}

    def _change(self, name: str, **changes: Any) -> None:
        """A step, if anything changes: the mask or its looks."""
        if "mask" in changes:
            changes = {"sliding": None, **changes, "mask": read_only(changes["mask"])}
        step = replace(self._now, name=name, image=None, gesture=self._gesture, **changes)
        self._go(self._state.done(step), None if "mask" in changes else self._preview)

    def _go(self, state: SessionState, preview: tuple | None = None) -> None:
        before, self._state, self._preview = self._state, state, preview
        remembered = attrgetter("faces", "steps", "at", "results")
        self._is_unsaved |= remembered(state) != remembered(before)
        if self._is_unsaved and not self._in_gesture:
            self._save_automatically()

    def _save_automatically(self) -> None:
        """A full disk must not end the editing: what went wrong is kept in ``autosave_trouble``."""
        self._is_unsaved = False
        if self.autosave is None:
            return
        try:
            write_session(self.autosave, self._state, self._given, wait=False)
        except (CheckpointError, OSError) as error:
            why = reason(error.__cause__ or error)  # the disk's own words
            self.autosave_trouble, self._is_saved = f"The session could not be saved ({why}).", False
        else:
            self.autosave_trouble, self._is_saved = "", True

    def _warn_of_regions(self) -> None:
        if self._now.regions and not self.regional:
            warnings.warn(
                f"{self.method or 'The network'} has one style for the whole picture: "
                f"the styles of {', '.join(self._now.regions)} are kept, but not drawn.",
                stacklevel=4,
            )

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
        return replace(face, image=read_only(image.copy()), mask=read_only(check_mask(face.mask, self.size)))
