"""Pictures of steps: their mask in their styles, by their method, and the photo where nothing was edited."""

from collections.abc import Mapping, Sequence

import numpy as np

from maskgan_lib.editor.checks import EditError
from maskgan_lib.editor.components import STYLE_REGIONS, from_the_outside
from maskgan_lib.editor.compositing import edit_layer, lay_over
from maskgan_lib.editor.rendering import Renderer, StyleCode
from maskgan_lib.editor.steps import EditorFace, Step, Style


class Pictures:
    """Draws with renderers of one size, by name; a single one may come without a name."""

    def __init__(self, renderer: Renderer | Mapping[str, Renderer]):
        self.renderers = dict(renderer) if isinstance(renderer, Mapping) else {"": renderer}
        if isinstance(renderer, Mapping) and not (renderer and all(renderer)):
            raise EditError("Methods are renderers by name: give one at least, and no empty name.")
        self.size, *others = dict.fromkeys(one.size for one in self.renderers.values())
        if others:
            sizes = ", ".join(f"{name} {one.size}" for name, one in self.renderers.items())
            raise EditError(f"The methods make pictures of different sizes ({sizes}): give renderers of one size.")
        self.first = next(iter(self.renderers))
        self._reconstruction: tuple[tuple, np.ndarray] | None = None

    @property
    def methods(self) -> tuple[str, ...]:
        return tuple(filter(None, self.renderers))

    def check_regional(self, method: str, region: str) -> None:
        """``EditError``, with the way out, if the method cannot draw a region in a style of its own."""
        if self.renderers[method].regional:
            return
        able = ", ".join(name for name, one in self.renderers.items() if one.regional)
        raise EditError(
            f"{method or 'The network'} has one style for the whole picture, none for the {region}: "
            + (f"choose a method that draws regions ({able})." if able else "give one with style='regional'.")
        )

    def draw(self, step: Step, faces: Sequence[EditorFace]) -> np.ndarray:
        """The picture, as it comes from the renderer or laid over the photo."""
        return lay_over(faces[step.target].image, *self.layer(step, faces))

    def layer(self, step: Step, faces: Sequence[EditorFace]) -> tuple[np.ndarray, np.ndarray]:
        """What lies over the photo, and its weight: see ``edit_layer``; 1 where the photo is not kept."""
        renderer, target = self.renderers[step.method], faces[step.target]
        whole = self._style(step, faces, step.style)
        style, restyled = self._with_regions(step, faces, whole)
        picture = np.asarray(renderer.render(step.mask.copy(), style))
        if picture.shape != target.image.shape or picture.dtype != np.uint8:
            came = f"{picture.dtype} {list(picture.shape)}"
            raise EditError(f"The picture could not be made: it came as {came}.")
        if step.keep is None:
            return picture, np.ones((*step.mask.shape, 1), np.float32)
        key = step.method, target.key, faces[step.style[0]].key, step.style[1]
        if self._reconstruction is None or self._reconstruction[0] != key:
            self._reconstruction = key, np.asarray(renderer.render(target.mask.copy(), whole))
        before, edited = self._reconstruction[1].copy(), np.isin(step.mask, list(restyled))
        photo, original = target.image.copy(), target.mask.copy()
        return edit_layer(picture, photo, original, step.mask.copy(), before, step.keep, edited)

    def _with_regions(self, step: Step, faces: Sequence[EditorFace], whole: StyleCode) -> tuple[StyleCode, set[int]]:
        """The picture's style with those of regions in their places, and the classes whose style is not the picture's.

        The outer ones first, so that an inner one stays.
        """
        style, restyled = whole, set()
        for name in from_the_outside(step.regions) if self.renderers[step.method].regional else []:
            own, ids = step.regions[name], set(STYLE_REGIONS[name])
            style = style.put(self._style(step, faces, own), ids)
            is_new = step.effect(own) != step.effect(step.style)
            restyled = restyled | ids if is_new else restyled - ids
        return style, restyled

    def _style(self, step: Step, faces: Sequence[EditorFace], style: Style) -> StyleCode:
        own, other = faces[step.target], faces[style[0]]
        codes = [self.renderers[step.method].style(face.image.copy(), face.mask.copy()) for face in (own, other)]
        return codes[0] if own is other else codes[0].mix(codes[1], style[1])
