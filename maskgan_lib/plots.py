"""Every picture that the course draws: tiles of faces and label maps, and a few plain charts. Each returns a Figure.

Pictures are uint8 ``[H, W, 3]``, float tensors ``[3, H, W]`` in [-1, 1], label maps (integer ``[H, W]``, drawn in the
colours of ``classes.py``) or bool maps ``[H, W]``; ``picture`` turns each into RGB. All files are PNG.
"""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from PIL import Image
from torch import Tensor

from maskgan_lib.classes import CLASS_TITLES, COLORS, NUM_CLASSES, colorize
from maskgan_lib.data.batches import to_uint8_image

Picture = np.ndarray | Tensor

DPI = 100
INK, MUTED, ACCENT, SECOND, PAPER = "#22272e", "#6b7683", "#2563a8", "#c2571a", "#eef1f4"
LOOK = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": plt.cycler(color=[ACCENT, SECOND, "#3f8f5b", "#8a5aa8", "#b8860b", "#5f6b77"]),
    "figure.dpi": DPI,
}
GAP, LETTER, LINE = 4, 6.4, 15
"""Pixels between tiles, of an average letter, and of a line of text."""


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


def overlay(image: Picture, labels: np.ndarray, strength: float = 0.5) -> np.ndarray:
    """The colours of a label map laid over its image."""
    blend = (1 - strength) * picture(image) + strength * picture(labels)
    return blend.round().astype(np.uint8)


# ---- tiles


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
    left = (
        round(max(len(line) for text in row_titles for line in text.split("\n")) * LETTER) + 12 if row_titles else GAP
    )
    tile = tile or int(min(128, (980 - left) / columns - GAP))
    under = LINE * max((c.count("\n") + 1 for row in captions for c in row if c), default=0)
    heads = LINE * max((t.count("\n") + 1 for t in column_titles), default=0)
    top = heads + (LINE + 8 if title else 0) + 4
    width = left + columns * (tile + GAP)
    width = max(width, round(len(title) * LETTER * 1.2))
    height = top + len(rows) * (tile + GAP + under)
    canvas = np.full((height, width, 3), 255, np.uint8)
    figure, axes = _canvas(width, height)
    for i, row in enumerate(rows):
        y = top + i * (tile + GAP + under)
        if i < len(row_titles):
            axes.text(left - 8, y + tile / 2, row_titles[i], ha="right", va="center")
        for j, source in enumerate(row):
            x = left + j * (tile + GAP)
            if source is not None:
                canvas[y : y + tile, x : x + tile] = _resized(source, tile)
            if captions and j < len(captions[i]):
                axes.text(x + tile / 2, y + tile + 2, captions[i][j], ha="center", va="top", color=MUTED, fontsize=8)
    for j, text in enumerate(column_titles):
        axes.text(left + j * (tile + GAP) + tile / 2, top - 4, text, ha="center", va="bottom")
    if title:
        axes.text(left, 2, title, va="top", fontsize=10, weight="bold")
    axes.imshow(canvas, interpolation="nearest", extent=(0, width, height, 0))
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


# ---- charts


def class_legend(present: Sequence[int] | None = None, values: Mapping[int, str] | None = None) -> Figure:
    """The 19 classes with id, colour and name; those not in ``present`` are pale; ``values`` adds a text to a class."""
    rows, column = 7, 190
    figure, axes = _canvas(3 * column + 10, rows * 24 + 8)
    for i in range(NUM_CLASSES):
        x, y = 6 + i // rows * column, 6 + i % rows * 24
        alpha = 1.0 if present is None or i in present else 0.25
        axes.add_patch(
            Rectangle((x, y), 30, 18, facecolor=COLORS[i] / 255, edgecolor=MUTED, linewidth=0.5, alpha=alpha)
        )
        text = f"{i:>2}  {CLASS_TITLES[i]}" + (f"  {values[i]}" if values and i in values else "")
        axes.text(x + 37, y + 9, text, va="center", alpha=alpha)
    return figure


def bars(
    values: Mapping[str, float],
    title: str = "",
    label: str = "",
    colors: Sequence | None = None,
    log: bool = False,
    form: str = "{:.3g}",
) -> Figure:
    """Horizontal bars, the first on top, each with its value printed after it in ``form``."""
    with plt.rc_context(LOOK):
        figure, axes = plt.subplots(figsize=(7.2, 0.7 + 0.24 * len(values)), layout="constrained")
        drawn = axes.barh(list(values), list(values.values()), color=colors or ACCENT, edgecolor=MUTED, linewidth=0.4)
        axes.bar_label(drawn, [form.format(v) for v in values.values()], padding=4, color=MUTED, fontsize=8)
        axes.invert_yaxis()
        axes.set(title=title, xlabel=label, xscale="log" if log else "linear")
        axes.margins(x=0.12, y=0.01)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
    return _closed(figure)


def curves(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, x: str, y: str) -> Figure:
    """Lines ``{name: (xs, ys)}`` in one chart, each with its name in a legend."""
    with plt.rc_context(LOOK):
        figure, axes = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
        for name, (xs, ys) in series.items():
            axes.plot(xs, ys, label=name, linewidth=1.6)
        axes.set(title=title, xlabel=x, ylabel=y)
        axes.grid(axis="y", color=PAPER)
        if len(series) > 1:
            axes.legend(frameon=False)
    return _closed(figure)


def losses(log: Sequence[Mapping[str, float]], title: str = "", names: Sequence[str] | None = None) -> Figure:
    """A training log as the loop writes it, one small chart per loss: the entries, and a running mean over them."""
    names = names or [name for name in log[-1] if name not in ("step", "seconds")]
    steps = [entry["step"] for entry in log]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with plt.rc_context(LOOK):
        figure, axes = plt.subplots(
            rows, columns, figsize=(3.3 * columns + 0.3, 2.1 * rows + 0.3), layout="constrained", squeeze=False
        )
        for place, name in zip(axes.flat, names, strict=False):
            values = np.array([entry[name] for entry in log])
            place.plot(steps, values, color=ACCENT, alpha=0.35, linewidth=1)
            place.plot(steps, _running_mean(values), color=ACCENT, linewidth=1.8)
            place.set_title(name)
            place.grid(axis="y", color=PAPER)
            place.ticklabel_format(axis="y", scilimits=(-3, 4))
        for place in axes.flat[len(names) :]:
            place.set_axis_off()
        for place in axes[-1]:
            place.set_xlabel("step")
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold")
    return _closed(figure)


def scatter(
    points: np.ndarray,
    groups: np.ndarray,
    names: Mapping[int, str] | None = None,
    title: str = "",
    axes_names: tuple[str, str] = ("first component", "second component"),
) -> Figure:
    """Points ``[N, 2]``, coloured by group (``names`` says what each is) or, without ``names``, by a number each."""
    with plt.rc_context(LOOK):
        figure, axes = plt.subplots(figsize=(5.6, 4.2), layout="constrained")
        if names is None:
            drawn = axes.scatter(*points.T, c=groups, cmap="coolwarm", s=16, edgecolors="white", linewidths=0.3)
            figure.colorbar(drawn, shrink=0.8)
        else:
            for value, name in names.items():
                chosen = points[np.asarray(groups) == value]
                axes.scatter(*chosen.T, s=16, label=f"{name} ({len(chosen)})", edgecolors="white", linewidths=0.3)
            axes.legend(frameon=False)
        axes.set(title=title, xlabel=axes_names[0], ylabel=axes_names[1])
    return _closed(figure)


def histogram(values: Mapping[str, np.ndarray], title: str = "", label: str = "") -> Figure:
    """Histograms side by side, one small chart for each name."""
    with plt.rc_context(LOOK):
        figure, axes = plt.subplots(
            1, len(values), figsize=(2.6 * len(values) + 0.4, 2.1), layout="constrained", squeeze=False, sharey=True
        )
        for place, (name, numbers) in zip(axes.flat, values.items(), strict=True):
            place.hist(numbers, bins=min(24, max(4, len(numbers) // 4)), color=ACCENT, edgecolor="white")
            place.set(title=name, xlabel=label)
        axes[0, 0].set_ylabel("faces")
        if title:
            figure.suptitle(title, x=0.01, ha="left", weight="bold")
    return _closed(figure)


def course_map(chapters: Sequence[tuple[str, str, str]], current: str = "") -> Figure:
    """The way through the course: a box for each (number, title, what is built), the ``current`` one filled."""
    box, gap, height, columns = 216, 26, 92, 4
    rows = -(-len(chapters) // columns)
    figure, axes = _canvas(columns * (box + gap) - gap + 12, rows * (height + gap) - gap + 16)
    for k, (number, title, builds) in enumerate(chapters):
        x, y = 6 + k % columns * (box + gap), 8 + k // columns * (height + gap)
        here = number == current
        shape = FancyBboxPatch((x, y), box, height, boxstyle="round,pad=0,rounding_size=8", linewidth=1.2)
        shape.set(facecolor=ACCENT if here else PAPER, edgecolor=ACCENT)
        axes.add_patch(shape)
        ink = "white" if here else INK
        axes.text(x + 12, y + 20, number, color=ink, weight="bold", fontsize=12, va="center")
        axes.text(x + 12, y + 42, title, color=ink, weight="bold", va="center")
        axes.text(x + 12, y + 58, _wrapped(builds, 34), color=ink, fontsize=8, va="top")
        if k % columns:
            axes.add_patch(
                FancyArrowPatch(
                    (x - gap + 3, y + 46), (x - 3, y + 46), arrowstyle="-|>", mutation_scale=12, color=MUTED
                )
            )
    return figure


# ---- helpers


def _canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure of so many pixels whose one axes counts them from the upper left corner, as an array does."""
    with plt.rc_context(LOOK):
        figure = plt.figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
    return _closed(figure), axes


def _closed(figure: Figure) -> Figure:
    """Without this a notebook would show the figure twice: when the cell ends, and as the cell's value."""
    plt.close(figure)
    return figure


def _resized(source: Picture, side: int) -> np.ndarray:
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


def _running_mean(values: np.ndarray) -> np.ndarray:
    width = max(1, len(values) // 20)
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    return (sums[ends] - sums[starts]) / (ends - starts)


def _wrapped(text: str, width: int) -> str:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


def diagram(nodes: Mapping[str, tuple[float, float, Picture | str]], arrows: Sequence[tuple[str, str]]) -> Figure:
    """Pictures and boxes joined by arrows: ``nodes[name] = (column, row, picture or text)``; ``arrows`` join names.

    A picture has its name below it, a box its name above its text. Columns and rows count from 0; fractions are fine.
    """
    wide, high, tile = 158, 126, 96
    width, height = (round((max(node[k] for node in nodes.values()) + 1) * side) for k, side in ((0, wide), (1, high)))
    figure, axes = _canvas(width, height)
    shapes = {}
    for name, (column, row, content) in nodes.items():
        x, y = (column + 0.5) * wide, (row + 0.5) * high
        half = (76, 34) if isinstance(content, str) else (tile / 2, tile / 2)
        shapes[name] = FancyBboxPatch(
            (x - half[0], y - half[1]), 2 * half[0], 2 * half[1], boxstyle="round,pad=0,rounding_size=6"
        )
        shapes[name].set(facecolor=PAPER, edgecolor=ACCENT, linewidth=1.2)
        axes.add_patch(shapes[name])
        if isinstance(content, str):
            axes.text(x, y - 26, name, ha="center", va="top", weight="bold")
            axes.text(x, y - 8, content, ha="center", va="top", fontsize=8)
        else:
            extent = (x - half[0], x + half[0], y + half[1], y - half[1])
            axes.imshow(_resized(content, 2 * tile), extent=extent, zorder=2)
            axes.text(x, y + half[1] + 3, name, ha="center", va="top")
    for start, end in arrows:
        ends = [shapes[name].get_bbox() for name in (start, end)]
        middles = [((b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2) for b in ends]
        style = {"arrowstyle": "-|>", "mutation_scale": 12, "color": MUTED, "shrinkA": 4, "shrinkB": 4}
        axes.add_patch(FancyArrowPatch(*middles, patchA=shapes[start], patchB=shapes[end], **style))
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def class_scatter(
    points: np.ndarray, classes: Sequence[int], title: str = "", axes_names: tuple[str, str] = ("", "")
) -> Figure:
    """One point ``[K, 2]`` for each of ``classes``, in its colour and with its name; the first axis is logarithmic."""
    with plt.rc_context(LOOK):
        figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
        axes.scatter(*points.T, c=COLORS[list(classes)] / 255, s=44, edgecolors=MUTED, linewidths=0.6)
        for rank, k in enumerate(np.argsort(points[:, 1])):  # names left and right in turn, or neighbours collide
            side = {"xytext": (-7, -3), "ha": "right"} if rank % 2 else {"xytext": (7, -3), "ha": "left"}
            axes.annotate(CLASS_TITLES[classes[k]], points[k], textcoords="offset points", fontsize=8, **side)
        axes.set(title=title, xlabel=axes_names[0], ylabel=axes_names[1], xscale="log")
        axes.margins(x=0.12)
    return _closed(figure)
