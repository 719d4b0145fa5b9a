"""What a session remembers: faces, and the steps that have led to the mask, its styles and its picture.

Nothing in here is ever changed: whatever happens to a state gives a new one.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from maskgan_lib.classes import CLASS_TITLES
from maskgan_lib.data.alignment import Origin
from maskgan_lib.editor.components import STYLE_REGIONS, from_the_outside, ids_of

DEPTH = 100
"""Steps that can be undone; then the oldest is forgotten."""
HISTORY = 24
"""Results, pictures with all that they were made of, that a session remembers."""

DIRECTIONS = "directions"
"""The kind of MaskVAE's sliders; others go towards the mask of a face."""

Style = tuple[int, float]
"""The place of a face among the session's, and how much of its style there is, from 0, the target's own, to 1."""


def file_name(array: np.ndarray) -> str:
    """A name for the PNG file of a mask or a picture: the same for the same content."""
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:32] + ".png"


@dataclass(frozen=True, eq=False)
class EditorFace:
    """A face to edit or to take from: picture uint8 ``[S, S, 3]``, mask uint8 ``[S, S]`` with ids 0 to 18.

    An own photo's also knows its ``origin``.
    """

    name: str
    image: np.ndarray
    mask: np.ndarray
    origin: Origin | None = None

    @cached_property
    def key(self) -> tuple[str, str, str]:
        """Tells it from other faces, also in another process."""
        return self.name, file_name(self.image), file_name(self.mask)


@dataclass(frozen=True, eq=False)
class Sliding:
    """Sliders that have been moved: of what kind, the mask before, and their places by name."""

    kind: str
    before: np.ndarray
    places: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Step:
    """An edit by its ``name``, e.g. "painted hat", and all that the session is after it.

    Args:
        target: place of the face that is edited.
        style: of the whole picture.
        regions: styles of regions that have one of their own, by name.
        keep: how strongly the photo is kept where nothing was edited, 0 to 1; None: not at all.
        method: name of the renderer; empty if it has none.
        mask: uint8 ``[S, S]``.
        image: the picture of all that, uint8 ``[S, S, 3]``; None: not made, or forgotten.
        sliding: the sliders that have made the mask.
        gesture: the stroke or drag that the edit is a part of.
    """

    name: str
    target: int
    style: Style
    keep: float | None
    method: str
    mask: np.ndarray
    regions: Mapping[str, Style] = field(default_factory=dict)
    image: np.ndarray | None = None
    sliding: Sliding | None = None
    gesture: str | None = None

    @cached_property
    def files(self) -> tuple[str, str | None]:
        """Names for the files of mask and picture."""
        return file_name(self.mask), None if self.image is None else file_name(self.image)

    @property
    def key(self) -> str:
        """The same for steps with the same mask and picture."""
        return "-".join(name.removesuffix(".png") for name in self.files if name)

    def is_as(self, other: "Step") -> bool:
        """Whether both have the same mask and look the same."""
        mine, theirs = ((s.target, s.style, s.keep, s.method, dict(s.regions)) for s in (self, other))
        return mine == theirs and np.array_equal(self.mask, other.mask)

    def style_around(self, region: str) -> Style:
        """The style that a region has without one of its own.

        It is that of the next larger region that has one, or the whole picture's.
        """
        ids = set(ids_of("region", region))
        larger = [name for name in from_the_outside(self.regions) if ids < set(STYLE_REGIONS[name])]
        return self.regions[larger[-1]] if larger else self.style

    def effect(self, style: Style) -> Style:
        """The same for styles that look the same: none of another face's is the target's own."""
        face, mix = style
        return style if face != self.target and mix > 0 else (self.target, 1.0)

    def placed(self, places: Mapping[int, int]) -> "Step":
        """With faces at other places."""
        style, *regions = ((places[face], mix) for face, mix in (self.style, *self.regions.values()))
        return replace(self, target=places[self.target], style=style, regions=dict(zip(self.regions, regions)))

    @property
    def faces(self) -> tuple[int, ...]:
        """Places of the faces that it needs."""
        return self.target, self.style[0], *(face for face, _ in self.regions.values())


@dataclass(frozen=True, eq=False)
class SessionState:
    """All that a session remembers.

    Args:
        steps: what was done, oldest first; those after the place ``at`` are undone. The first one is the beginning.
        results: steps with a picture, in the order in which these were made. They outlive their steps.
        image: the last picture, uint8 ``[S, S, 3]``; None before the first.
    """

    faces: tuple[EditorFace, ...]
    steps: tuple[Step, ...]
    at: int = 0
    results: tuple[Step, ...] = ()
    image: np.ndarray | None = None

    @property
    def now(self) -> Step:
        return self.steps[self.at]

    @property
    def before(self) -> tuple[Step, ...]:
        """The steps to what is now, oldest first."""
        return self.steps[: self.at + 1]

    @property
    def after(self) -> tuple[Step, ...]:
        """The steps that are undone, the next one first."""
        return self.steps[self.at + 1 :]

    def done(self, step: Step) -> "SessionState":
        """After one step more. What was undone is gone; what leaves all as it was is no step.

        Steps of one gesture are one: each takes the place of the one before, and of its result.
        """
        if step.is_as(self.now):
            return self._slid(self.at, step.sliding)
        if step.gesture is None or step.gesture != self.now.gesture or not self.at:
            before, results = self.before, self.results
        else:
            before, results = self.steps[: self.at], tuple(r for r in self.results if r.image is not self.now.image)
            if before[-1].is_as(step):
                return replace(self, steps=before, results=results)._slid(len(before) - 1, step.sliding)
        steps = (*before, step)[-DEPTH - 1 :]
        return replace(self, steps=steps, results=results).at_step(len(steps) - 1)

    def _slid(self, at: int, sliding: Sliding | None) -> "SessionState":
        """At a step whose mask is as it was, though sliders may have gone elsewhere."""
        steps = (*self.steps[:at], replace(self.steps[at], sliding=sliding), *self.steps[at + 1 :])
        return replace(self, steps=steps).at_step(at)

    def at_step(self, place: int) -> "SessionState":
        """After that step, with its picture where it is known; otherwise the last one is seen still."""
        place = min(max(place, 0), len(self.steps) - 1)
        image = self.steps[place].image
        return replace(self, at=place, image=self.image if image is None else image)

    def drawn(self, image: np.ndarray) -> "SessionState":
        """With a picture of what is now, which is the last result then. Pictures of results alone are remembered."""
        now = replace(self.now, image=image)
        others = [r for r in self.results if r.image is not self.now.image and r.key != now.key]
        results = (*others, now)[-HISTORY:]
        known = {id(result.image) for result in results}
        steps = (now if step is self.now else step for step in self.steps)
        steps = (step if id(step.image) in known else replace(step, image=None) for step in steps)
        return replace(self, steps=tuple(steps), results=results, image=image)

    def among(self, faces: tuple[EditorFace, ...], methods: Sequence[str]) -> "SessionState":
        """With ``faces`` before those of its own that are not among them, and the first method for those not there.

        Pictures by a method that is not there are forgotten, but as results.
        """
        keys = [face.key for face in faces]
        joining = tuple(face for face in self.faces if face.key not in keys)
        keys += [face.key for face in joining]
        places = {place: keys.index(face.key) for place, face in enumerate(self.faces)}

        def here(step: Step, is_result: bool) -> Step:
            step = step.placed(places)
            if step.method in methods:
                return step
            return replace(step, method=methods[0], image=step.image if is_result else None)

        return replace(
            self,
            faces=(*faces, *joining),
            steps=tuple(here(step, False) for step in self.steps),
            results=tuple(here(step, True) for step in self.results),
            image=self.image if self.now.method in methods else None,
        )


def painting(before: np.ndarray, after: np.ndarray, original: np.ndarray) -> str:
    """What a brush has done, by the classes that it left."""
    changed = before != after
    if np.array_equal(after[changed], original[changed]):
        return "restored"
    titles = [CLASS_TITLES[i] for i in np.unique(after[changed])]
    return f"painted {' and '.join(titles) if len(titles) < 3 else 'several classes'}"
