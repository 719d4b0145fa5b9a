"""Boxes, pictures and arrows."""

import textwrap
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from maskgan_lib.course.plots.style import ACCENT, INK, LINE, MUTED, PAPER, canvas, drawn
from maskgan_lib.course.plots.tiles import Picture, resized


def course_map(chapters: Sequence[tuple[str, str, str]], current: str = "") -> Figure:
    """The way through the course: a box for each (number, title, what is built), the ``current`` one filled."""
    names = {number: textwrap.fill(f"{number} {title}", 18) for number, title, _ in chapters}
    nodes = {
        names[number]: (1.12 * (k % 4), 0.85 * (k // 4), textwrap.fill(builds, 24))
        for k, (number, _, builds) in enumerate(chapters)
    }
    arrows = [pair for k, pair in enumerate(pairwise(nodes), start=1) if k % 4]
    return diagram(nodes, arrows, [names[current]] if current else [])


@drawn
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
        half = (tile / 2, tile / 2)
        if isinstance(content, str):
            half = 76, max(34, 24 + 8 * name.count("\n") + 6 * content.count("\n"))
        box = (x - half[0], y - half[1]), 2 * half[0], 2 * half[1]
        shapes[name] = FancyBboxPatch(*box, boxstyle="round,pad=0,rounding_size=6")
        here = name in highlight
        shapes[name].set(facecolor=ACCENT if here else PAPER, edgecolor=ACCENT, linewidth=4 if here else 1.2)
        axes.add_patch(shapes[name])
        if isinstance(content, str):
            style = {"ha": "center", "va": "top", "color": "white" if here else INK}
            axes.text(x, y - half[1] + 8, name, weight="bold", **style)
            axes.text(x, y - half[1] + 26 + LINE * name.count("\n"), content, fontsize=8, **style)
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
