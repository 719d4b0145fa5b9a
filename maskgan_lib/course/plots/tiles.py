"""Tiles of faces and label maps."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor

from maskgan_lib.classes import CLASS_TITLES, COLORS, NUM_CLASSES, colorize
from maskgan_lib.course.plots.style import GAP, LINE, MUTED, canvas, text_width
from maskgan_lib.data.batches import to_uint8_image

Picture = np.ndarray | Tensor


def picture(source: Picture) -> np.ndarray:
    """Any picture of the course as uint8 ``[H, W, 3]``."""
    if isinstance(source, Tensor) and source.is_floating_point():
        if source.ndim != 3 or source.shape[0] != 3:
            raise ValueError(f"A float picture is [3, H, W], not {list(source.shape)}.")
        return to_uint8_image(source)
    array = source.cpu().numpy() if isinstance(source, Tensor) else np.asarray(source)
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
    left = max((text_width(text) + 14 for text in row_titles), default=GAP)
    tile = tile or int(min(128, (980 - left) / columns - GAP))
    under = LINE * max((c.count("\n") + 1 for row in captions for c in row if c), default=0)
    heads = LINE * max((t.count("\n") + 1 for t in column_titles), default=0)
    top = heads + (LINE + 8 if title else 0) + 4
    width = left + columns * (tile + GAP)
    width = max(width, left + text_width(title, "bold") + GAP)
    height = top + len(rows) * (tile + GAP + under)
    sheet = np.full((height, width, 3), 255, np.uint8)
    figure, axes = canvas(width, height)
    for i, row in enumerate(rows):
        y = top + i * (tile + GAP + under)
        if i < len(row_titles):
            axes.text(left - 8, y + tile / 2, row_titles[i], ha="right", va="center")
        for j, source in enumerate(row):
            x = left + j * (tile + GAP)
            if source is not None:
                sheet[y : y + tile, x : x + tile] = resized(source, tile)
            if captions and j < len(captions[i]):
                axes.text(x + tile / 2, y + tile + 2, captions[i][j], ha="center", va="top", color=MUTED, fontsize=8)
    for j, text in enumerate(column_titles):
        axes.text(left + j * (tile + GAP) + tile / 2, top - 4, text, ha="center", va="bottom")
    if title:
        axes.text(left, 2, title, va="top", fontsize=10, weight="bold")
    axes.imshow(sheet, interpolation="nearest", extent=(0, width, height, 0))
    return figure


def strip(pictures: Sequence[Picture], titles: Sequence[str] = (), title: str = "", tile: int | None = None) -> Figure:
    """One row of pictures with a title above each."""
    return grid([pictures], column_titles=titles, title=title, tile=tile)


def show_faces(
    images: Sequence[Picture],
    masks: Sequence[Picture] | None = None,
    titles: Sequence[str] = (),
    title: str = "",
    tile: int | None = None,
) -> Figure:
    """Faces in a row and, if given, their label maps below them."""
    if masks is None:
        return strip(images, titles, title, tile)
    return grid([images, masks], ("image", "label map"), titles, title, tile=tile)


def edit(before: Picture, mask: np.ndarray, edited_mask: np.ndarray, after: Picture, title: str = "") -> Figure:
    """An edit from left to right: picture, mask, edited mask, new picture, and how much each pixel changed."""
    change = difference(before, after)
    titles = ("before", "its mask", "edited mask", "after", f"change, 0 to {change.max():.0f}")
    return strip([before, mask, edited_mask, after, heat(change)], titles, title)


def style_copy_grid(
    pictures: Sequence[Sequence[Picture]],
    masks: Sequence[Picture],
    styles: Sequence[Picture],
    title: str = "",
    tile: int | None = None,
) -> Figure:
    """``pictures[i][j]`` = mask ``i`` rendered in style ``j``; masks stand at the left, style images on top."""
    rows = [[None, *styles], *([mask, *row] for mask, row in zip(masks, pictures, strict=True))]
    return grid(rows, title=title, tile=tile)


def class_legend(present: Sequence[int] | None = None, values: Mapping[int, str] | None = None) -> Figure:
    """The 19 classes with id, colour and name; those not in ``present`` are pale; ``values`` adds a text to a class."""
    rows, column = 7, 190
    figure, axes = canvas(3 * column + 10, rows * 24 + 8)
    for i in range(NUM_CLASSES):
        x, y = 6 + i // rows * column, 6 + i % rows * 24
        alpha = 1.0 if present is None or i in present else 0.25
        axes.add_patch(
            Rectangle((x, y), 30, 18, facecolor=COLORS[i] / 255, edgecolor=MUTED, linewidth=0.5, alpha=alpha)
        )
        text = f"{i:>2}  {CLASS_TITLES[i]}" + (f"  {values[i]}" if values and i in values else "")
        axes.text(x + 37, y + 9, text, va="center", alpha=alpha)
    return figure


def resized(source: Picture, side: int) -> np.ndarray:
    """A square tile: colours of labels are never mixed, images are filtered."""
    rgb = picture(source)
    method = Image.Resampling.NEAREST if source.ndim == 2 else Image.Resampling.LANCZOS
    scale = side / max(rgb.shape[:2])
    fitted = Image.fromarray(rgb).resize(
        (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))), method
    )
    tile = np.full((side, side, 3), 255, np.uint8)
    y, x = (side - fitted.height) // 2, (side - fitted.width) // 2
    tile[y : y + fitted.height, x : x + fitted.width] = np.asarray(fitted)
    return tile
