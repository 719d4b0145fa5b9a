"""A few plain charts."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.sparse.csgraph import connected_components

from maskgan_lib.classes import CLASS_TITLES, COLORS
from maskgan_lib.course.plots.style import ACCENT, INK, MUTED, PAPER, SECOND, drawn

Interval = tuple[float, float, float]
"""A mean, and the ends of its interval."""


@drawn
def bars(
    values: Mapping[str, float],
    title: str = "",
    label: str = "",
    colors: Sequence | None = None,
    log: bool = False,
    form: str = "{:.3g}",
) -> Figure:
    """Horizontal bars, the first on top, each with its value printed after it in ``form``."""
    figure, axes = plt.subplots(figsize=(7.2, 0.7 + 0.24 * len(values)), layout="constrained")
    shown = axes.barh(list(values), list(values.values()), color=colors or ACCENT, edgecolor=MUTED, linewidth=0.4)
    axes.bar_label(shown, [form.format(v) for v in values.values()], padding=4, color=MUTED, fontsize=8)
    axes.invert_yaxis()
    axes.set(title=title, xlabel=label, xscale="log" if log else "linear")
    axes.margins(x=0.12, y=0.01)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    return figure


@drawn
def curves(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], title: str, x: str, y: str) -> Figure:
    """Lines ``{name: (xs, ys)}`` in one chart, each with its name in a legend."""
    figure, axes = plt.subplots(figsize=(7.2, 3.0), layout="constrained")
    for name, (xs, ys) in series.items():
        axes.plot(xs, ys, label=name, linewidth=1.6)
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.grid(axis="y", color=PAPER)
    if len(series) > 1:
        axes.legend(frameon=False)
    return figure


@drawn
def losses(log: Sequence[Mapping[str, float]], title: str = "", names: Sequence[str] | None = None) -> Figure:
    """A training log as the loop writes it, one small chart per loss: the entries, and a running mean over them."""
    names = names or [name for name in log[-1] if name not in ("step", "seconds")]
    steps = [entry["step"] for entry in log]
    figure, panels = _panels(names, 3, 3.3, 2.1, title)
    for axes, name in zip(panels, names, strict=True):
        values = np.array([entry[name] for entry in log])
        axes.plot(steps, values, color=ACCENT, alpha=0.35, linewidth=1)
        axes.plot(steps, running_mean(values), color=ACCENT, linewidth=1.8)
        axes.grid(axis="y", color=PAPER)
        axes.ticklabel_format(axis="y", scilimits=(-3, 4))
        if axes.get_subplotspec().is_last_row():
            axes.set_xlabel("step")
    return figure


@drawn
def histogram(values: Mapping[str, np.ndarray], title: str = "", label: str = "") -> Figure:
    """Histograms side by side, one small chart for each name."""
    figure, panels = _panels(values, len(values), 2.6, 1.8, title, sharey=True)
    for axes, numbers in zip(panels, values.values(), strict=True):
        axes.hist(numbers, bins=min(24, max(4, len(numbers) // 4)), color=ACCENT, edgecolor="white")
        axes.set_xlabel(label)
    panels[0].set_ylabel("faces")
    return figure


@drawn
def class_scatter(
    points: np.ndarray, classes: Sequence[int], title: str = "", axes_names: tuple[str, str] = ("", "")
) -> Figure:
    """One point ``[K, 2]`` for each of ``classes``, in its colour; the first axis is logarithmic.

    Points that touch share a line of names, from left to right.
    """
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    axes.scatter(*points.T, c=COLORS[list(classes)] / 255, s=44, edgecolors=MUTED, linewidths=0.6)
    axes.set(title=title, xlabel=axes_names[0], ylabel=axes_names[1], xscale="log")
    axes.margins(x=0.12)
    figure.draw_without_rendering()  # from here on it is known where on the paper a point lies
    x, y = axes.transData.transform(points).T
    count, groups = connected_components(np.hypot(x - x[:, None], y - y[:, None]) < 16)
    for group in range(count):
        touching = sorted(np.flatnonzero(groups == group), key=lambda k: x[k])
        last = touching[-1]
        beside = (abs(y - y[last]) < 12) & (x > x[last]) & (x < x[last] + 160)
        crowded = beside.any() or x[last] > 0.7 * figure.bbox.width
        place, shift, side = (touching[0], -7, "right") if crowded else (last, 7, "left")
        names = ", ".join(CLASS_TITLES[classes[k]] for k in touching)
        axes.annotate(names, points[place], (shift, -3), textcoords="offset points", ha=side, fontsize=8)
    return figure


@drawn
def clouds(
    panels: Mapping[str, Mapping[str, np.ndarray]],
    surfaces: Mapping[str, np.ndarray] | None = None,
    reach: float | None = None,
) -> Figure:
    """Points ``{title: {name: [N, 2]}}``, a square panel for each title, from ``-reach`` to ``reach`` if it is given.

    ``surfaces[title]``, values from 0 (dark) to 1 in an array ``[n, n]`` whose rows go upwards, lies behind them.
    """
    size = (max(3.8, 2.45 * len(panels)), 2.9 if len(panels) > 1 else 4.2)
    figure, axes = plt.subplots(1, len(panels), squeeze=False, figsize=size, layout="constrained")
    for place, (title, named) in zip(axes.flat, panels.items(), strict=True):
        if surfaces:
            extent = (-reach, reach, -reach, reach)
            place.imshow(surfaces[title], cmap="gray", vmin=-0.6, vmax=1, extent=extent, origin="lower")
        for color, (name, points) in zip((ACCENT, SECOND), named.items(), strict=False):
            look = {"s": 7, "alpha": 0.6} if len(points) > 100 else {"s": 26}  # a few would be lost among many
            place.scatter(*np.asarray(points).T, color=color, linewidths=0, label=name, **look)
        place.set(title=title, box_aspect=1)
        if reach:
            place.set(xlim=(-reach, reach), ylim=(-reach, reach))
    names = axes.flat[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=2, frameon=False, markerscale=2)
    return figure


@drawn
def vectors(
    points: np.ndarray,
    arrows: Mapping[str, tuple[np.ndarray, np.ndarray]],
    marks: Mapping[str, np.ndarray],
    title: str = "",
    axes_names: tuple[str, str] = ("first direction", "second direction"),
) -> Figure:
    """Arrows, named ``(start [2], end [2])``, and named ``marks`` over a cloud of ``points [N, 2]``, to one scale."""
    figure, axes = plt.subplots(figsize=(7.2, 4.4), layout="constrained")
    axes.scatter(*points.T, s=10, color=MUTED, alpha=0.35, linewidths=0)
    for color, (name, (start, end)) in zip((ACCENT, SECOND, INK), arrows.items(), strict=False):
        look = {"arrowstyle": "-|>", "color": color, "lw": 1.8, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 14}
        axes.annotate("", end, start, arrowprops=look)
        axes.plot([], [], color=color, label=name)
    for name, place in marks.items():
        axes.plot(*place, "o", color=INK, markersize=4)
        axes.annotate(name, place, xytext=(6, 6), textcoords="offset points", weight="bold")
    axes.set(title=title, xlabel=axes_names[0], ylabel=axes_names[1], aspect="equal")
    axes.margins(0.15)
    axes.legend(frameon=False)
    return figure


@drawn
def intervals(groups: Mapping[str, Mapping[str, Interval]], title: str = "") -> Figure:
    """One small chart for each group: its values ``{name: (mean, low, high)}`` as dots with bars, and a line at 0.

    Those whose bar does not reach the line are drawn stronger.
    """
    most = max(len(values) for values in groups.values())
    figure, panels = _panels(groups, 2, 4.9, 0.75 + 0.2 * most, title, sharey=True)
    for axes, values in zip(panels, groups.values(), strict=True):
        for row, (mean, low, high) in enumerate(values.values()):
            color = MUTED if low <= 0 <= high else ACCENT
            axes.plot([low, high], [row, row], color=color, linewidth=2)
            axes.plot(mean, row, "o", color=color, markersize=5)
        axes.axvline(0, color=INK, linewidth=0.8)
        _name_rows(axes, values)
    panels[0].invert_yaxis()
    return figure


@drawn
def dots(groups: Mapping[str, Mapping[str, Mapping[str, Interval]]], title: str = "", label: str = "") -> Figure:
    """One chart for each group: rows ``{row: {series: (mean, low, high)}}``, a dot with a bar for each series.

    A series has one colour in all charts; they share their rows and their scale.
    """
    names = list(dict.fromkeys(name for rows in groups.values() for values in rows.values() for name in values))
    labels = list(dict.fromkeys(row for rows in groups.values() for row in rows))
    tall = 0.8 + (0.1 + 0.09 * len(names)) * len(labels)
    figure, panels = _panels(groups, len(groups), 3.9, tall, title, sharex=True, sharey=True)
    colors = plt.rcParams["axes.prop_cycle"].by_key()["color"]
    shifts = np.linspace(-0.26, 0.26, len(names)) if len(names) > 1 else [0.0]
    for axes, rows in zip(panels, groups.values(), strict=True):
        for name, shift, color in zip(names, shifts, colors, strict=False):
            there = {labels.index(row) + shift: values[name] for row, values in rows.items() if name in values}
            mean, low, high = np.reshape([*there.values()], (-1, 3)).T
            axes.hlines([*there], low, high, color=color, linewidth=1.6, alpha=0.6)
            axes.plot(mean, [*there], "o", color=color, markersize=4, label=name)
        axes.set_xlabel(label)
        axes.grid(axis="x", color=PAPER)
        _name_rows(axes, [row.replace("_", " ") for row in labels])
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    return figure


def _panels(
    names: Sequence[str] | Mapping, columns: int, wide: float, high: float, title: str, **shared: bool
) -> tuple[Figure, list[Axes]]:
    """A small chart of so many inches for each name, its title, in rows of at most ``columns``."""
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    size = (wide * columns + 0.3, high * rows + 0.3)
    figure, axes = plt.subplots(rows, columns, squeeze=False, figsize=size, layout="constrained", **shared)
    for place, name in zip(axes.flat, names, strict=False):
        place.set_title(name)
    for place in axes.flat[len(names) :]:
        place.set_axis_off()
    if title:
        figure.suptitle(title, x=0.01, ha="left", weight="bold")
    return figure, list(axes.flat[: len(names)])


def _name_rows(axes: Axes, names: Sequence[str] | Mapping) -> None:
    axes.set_yticks(range(len(names)), list(names))
    axes.tick_params(axis="y", length=0, labelcolor=INK)


def running_mean(values: np.ndarray) -> np.ndarray:
    """Means over the last twentieth of the values ``[N]`` up to each; of the first ones over those there are."""
    width = max(1, len(values) // 20)
    return np.array([values[max(0, end - width) : end].mean() for end in range(1, len(values) + 1)])
