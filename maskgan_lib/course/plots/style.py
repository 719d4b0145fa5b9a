"""How every picture of the course looks, and the canvas it is drawn on."""

from collections.abc import Callable
from functools import wraps

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

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


def drawn(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """The function ``draw`` in the course's look, its figure closed.

    A notebook would show an open one twice: when the cell ends, and as the cell's value.
    """

    @wraps(draw)
    def in_our_look(*arguments, **options) -> Figure:
        with plt.rc_context(LOOK):
            figure = draw(*arguments, **options)
        plt.close(figure)
        return figure

    return in_our_look


def canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure of so many pixels whose one axes counts them from the upper left corner, as an array does.

    What is drawn beyond it, such as titles, is there when the figure is shown or saved with a tight box, as notebooks
    show it.
    """
    figure = plt.figure(figsize=(width / DPI, height / DPI))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes
