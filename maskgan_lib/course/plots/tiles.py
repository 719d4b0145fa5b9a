"""Tiles of faces and label maps."""

from collections.abc import Collection, Iterable, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image, ImageOps
from torch import Tensor

from maskgan_lib.classes import CLASS_TITLES, COLORS, NUM_CLASSES, colorize
from maskgan_lib.course.plots.style import GAP, LINE, MUTED, canvas, drawn
from maskgan_lib.data.batches import to_uint8_image

Picture = np.ndarray | Tensor


def picture(source: Picture) -> np.ndarray:
    """Any picture of the course as uint8 ``[H, W, 3]``; ``ValueError`` for what is none."""
    array = source.detach().cpu().numpy() if isinstance(source, Tensor) else np.asarray(source)
    if isinstance(source, Tensor) and source.is_floating_point() and source.ndim == 3 and len(source) == 3:
        return to_uint8_image(source)
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8:
        return array
    if array.ndim == 2 and array.dtype == bool:
        return np.repeat(np.where(array, 255, 40).astype(np.uint8)[..., None], 3, axis=2)
    if array.ndim == 2 and np.issubdtype(array.dtype, np.integer):
        return colorize(array)
    raise ValueError(f"Neither a picture nor a label map: {array.dtype} {list(array.shape)}.")


def difference(before: Picture, after: Picture) -> np.ndarray:
    """Mean absolute difference of two pictures over the channels, 0 to 255, as float32 ``[H, W]``."""
    return np.abs(picture(after).astype(np.float32) - picture(before)).mean(axis=2)


def heat(values: np.ndarray, top: float | None = None) -> np.ndarray:
    """A map ``[H, W]`` of values from 0 to ``top`` (its maximum if None) as an RGB picture, black to bright."""
    top = float(values.max()) if top is None else top
    return (plt.get_cmap("inferno")(values / max(top, 1e-6))[..., :3] * 255).astype(np.uint8)


@drawn
def grid(
    rows: Sequence[Sequence[Picture | None]],
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    title: str = "",
    captions: Sequence[Sequence[str]] = (),
    tile: int | None = None,
) -> Figure:
    """Rows of pictures. ``None`` leaves a tile empty; ``captions`` go under the tiles; ``tile`` is a side in pixels."""
    columns = max(len(row) for row in rows)
    tile = tile or int(min(128, 940 / columns - GAP))
    wide, high = tile + GAP, tile + GAP + _height(text for row in captions for text in row)
    sheet = np.full((len(rows) * high, columns * wide, 3), 255, np.uint8)
    figure, axes = canvas(*sheet.shape[1::-1])
    for i, row in enumerate(rows):
        for j, source in enumerate(row):
            if source is not None:
                sheet[i * high : i * high + tile, j * wide : j * wide + tile] = resized(source, tile)
    axes.imshow(sheet, interpolation="nearest", extent=(0, columns * wide, len(rows) * high, 0))
    for i, text in enumerate(row_titles):
        axes.text(-8, i * high + tile / 2, text, ha="right", va="center")
    for j, text in enumerate(column_titles):
        axes.text(j * wide + tile / 2, -4, text, ha="center", va="bottom")
    for i, row in enumerate(captions):
        for j, text in enumerate(row):
            place = j * wide + tile / 2, i * high + tile + 2
            axes.text(*place, text, ha="center", va="top", color=MUTED, fontsize=8)
    if title:
        axes.text(0, -_height(column_titles) - 8, title, va="bottom", fontsize=10, weight="bold")
    return figure


def _height(texts: Iterable[str]) -> int:
    """Pixels of the tallest of some texts."""
    return LINE * max((text.count("\n") + 1 for text in texts if text), default=0)


def strip(pictures: Sequence[Picture], titles: Sequence[str] = (), title: str = "", tile: int | None = None) -> Figure:
    """One row of pictures with a title above each."""
    return grid([pictures], column_titles=titles, title=title, tile=tile)


def show_faces(
    images: Sequence[Picture], masks: Sequence[Picture] | None = None, title: str = "", tile: int | None = None
) -> Figure:
    """Faces in a row and, if given, their label maps below them."""
    if masks is None:
        return strip(images, title=title, tile=tile)
    return grid([images, masks], ("image", "label map"), title=title, tile=tile)


def edit(before: Picture, mask: np.ndarray, edited_mask: np.ndarray, after: Picture) -> Figure:
    """An edit from left to right: picture, mask, edited mask, new picture, and how much each pixel changed."""
    change = difference(before, after)
    titles = ("before", "its mask", "edited mask", "after", f"change, 0 to {change.max():.0f}")
    return strip([before, mask, edited_mask, after, heat(change)], titles)


def style_copy_grid(
    pictures: Sequence[Sequence[Picture]], masks: Sequence[Picture], styles: Sequence[Picture], tile: int | None = None
) -> Figure:
    """``pictures[i][j]`` = mask ``i`` rendered in style ``j``; masks stand at the left, style images on top."""
    return grid([[None, *styles], *([mask, *row] for mask, row in zip(masks, pictures, strict=True))], tile=tile)


@drawn
def class_legend(present: Collection[int]) -> Figure:
    """The 19 classes with id, colour and name; those not in ``present`` are pale."""
    patches = [
        Patch(facecolor=COLORS[i] / 255, edgecolor=MUTED, linewidth=0.5, label=f"{i:>2}  {CLASS_TITLES[i]}")
        for i in range(NUM_CLASSES)
    ]
    figure, _ = canvas(580, 180)  # a notebook shows no figure without axes
    legend = figure.legend(handles=patches, ncols=3, loc="center", mode="expand", handleheight=1.4, frameon=False)
    for i, shown in enumerate(zip(legend.get_patches(), legend.get_texts(), strict=True)):
        plt.setp(shown, alpha=1.0 if i in present else 0.25)
    return figure


def resized(source: Picture, side: int) -> np.ndarray:
    """A square tile: colours of labels are never mixed, images are filtered."""
    method = Image.Resampling.NEAREST if source.ndim == 2 else Image.Resampling.LANCZOS
    return np.asarray(ImageOps.pad(Image.fromarray(picture(source)), (side, side), method, "white"))
