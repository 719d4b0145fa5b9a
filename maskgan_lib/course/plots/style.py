"""How every picture of the course looks, and the canvas it is drawn on."""

import math
from collections.abc import Callable
from functools import wraps

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

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
GAP, LINE = 4, 17
"""Pixels between tiles, and of a line of text."""


def canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure of so many pixels whose one axes counts them from the upper left corner, as an array does."""
    with plt.rc_context(LOOK):
        figure = plt.figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, width), ylim=(height, 0))
        axes.set_axis_off()
    plt.close(figure)  # or a notebook would show it twice: when the cell ends, and as the cell's value
    return figure, axes


def text_width(text: str, weight: str = "normal") -> int:
    """Pixels that the longest line of a text on a canvas takes."""
    font = FontProperties(weight=weight, size=plt.rcParams["font.size"])
    measure = RendererAgg(1, 1, DPI).get_text_width_height_descent
    return math.ceil(max(measure(line, font, ismath=False)[0] for line in text.split("\n")))


def drawn(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """The function ``draw`` in the course's look, its figure closed."""

    @wraps(draw)
    def in_our_look(*arguments, **options) -> Figure:
        with plt.rc_context(LOOK):
            figure = draw(*arguments, **options)
        plt.close(figure)
        return figure

    return in_our_look
