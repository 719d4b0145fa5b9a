"""Boxes, pictures and arrows."""

import textwrap
from collections.abc import Collection, Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from maskgan_lib.course.plots.style import ACCENT, INK, LINE, MUTED, PAPER, canvas
from maskgan_lib.course.plots.tiles import Picture, resized


def course_map(chapters: Sequence[tuple[str, str, str]], current: str = "") -> Figure:
    """The way through the course: a box for each (number, title, what is built), the ``current`` one filled."""
    box, gap, columns = 216, 26, 4
    titles = [_wrapped(title, 26) for _, title, _ in chapters]
    height = 92 + LINE * max(title.count("\n") for title in titles)
    rows = -(-len(chapters) // columns)
    figure, axes = canvas(columns * (box + gap) - gap + 12, rows * (height + gap) - gap + 16)
    for k, ((number, _, builds), title) in enumerate(zip(chapters, titles, strict=True)):
        x, y = 6 + k % columns * (box + gap), 8 + k // columns * (height + gap)
        here = number == current
        shape = FancyBboxPatch((x, y), box, height, boxstyle="round,pad=0,rounding_size=8", linewidth=1.2)
        shape.set(facecolor=ACCENT if here else PAPER, edgecolor=ACCENT)
        axes.add_patch(shape)
        ink = "white" if here else INK
        axes.text(x + 12, y + 20, number, color=ink, weight="bold", fontsize=12, va="center")
        axes.text(x + 12, y + 34, title, color=ink, weight="bold", va="top")
        axes.text(x + 12, y + 58 + LINE * title.count("\n"), _wrapped(builds, 34), color=ink, fontsize=8, va="top")
        if k % columns:
            ends = (x - gap + 3, y + height / 2), (x - 3, y + height / 2)
            axes.add_patch(FancyArrowPatch(*ends, arrowstyle="-|>", mutation_scale=12, color=MUTED))
    return figure


def diagram(
    nodes: Mapping[str, tuple[float, float, Picture | str]],
    arrows: Sequence[tuple[str, str]],
    highlight: Collection[str] = (),
) -> Figure:
    """Pictures and boxes joined by arrows: ``nodes[name] = (column, row, picture or text)``; ``arrows`` join names.

    A picture has its name below it, a box its name above its text. Columns and rows count from 0; fractions are fine.
    The boxes in ``highlight`` are filled, its pictures framed. ``ValueError`` for a name there that no node has.
    """
    if unknown := [name for name in highlight if name not in nodes]:
        raise ValueError(f"The diagram has no {unknown[0]!r} to highlight, only {', '.join(nodes)}.")
    wide, high, tile = 158, 126, 96
    width, height = (round((max(node[k] for node in nodes.values()) + 1) * side) for k, side in ((0, wide), (1, high)))
    figure, axes = canvas(width, height + 6)  # a name below the last row has descenders
    shapes = {}
    for name, (column, row, content) in nodes.items():
        x, y = (column + 0.5) * wide, (row + 0.5) * high
        half = (76, 34) if isinstance(content, str) else (tile / 2, tile / 2)
        box = (x - half[0], y - half[1]), 2 * half[0], 2 * half[1]
        shapes[name] = FancyBboxPatch(*box, boxstyle="round,pad=0,rounding_size=6")
        here = name in highlight
        shapes[name].set(facecolor=ACCENT if here else PAPER, edgecolor=ACCENT, linewidth=4 if here else 1.2)
        axes.add_patch(shapes[name])
        if isinstance(content, str):
            ink = "white" if here else INK
            axes.text(x, y - 26, name, ha="center", va="top", weight="bold", color=ink)
            axes.text(x, y - 8, content, ha="center", va="top", fontsize=8, color=ink)
        else:
            extent = (x - half[0], x + half[0], y + half[1], y - half[1])
            axes.imshow(resized(content, 2 * tile), extent=extent, zorder=2)
            axes.text(x, y + half[1] + 3, name, ha="center", va="top")
    for start, end in arrows:
        ends = [shapes[name].get_bbox() for name in (start, end)]
        middles = [((b.x0 + b.x1) / 2, (b.y0 + b.y1) / 2) for b in ends]
        style = {"arrowstyle": "-|>", "mutation_scale": 12, "color": MUTED, "shrinkA": 4, "shrinkB": 4}
        axes.add_patch(FancyArrowPatch(*middles, patchA=shapes[start], patchB=shapes[end], **style))
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _wrapped(text: str, width: int) -> str:
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)
