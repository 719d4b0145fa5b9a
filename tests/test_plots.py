"""Pictures: what is drawn is what was given, pixel by pixel where that can be read back."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from maskgan_lib.classes import COLORS
from maskgan_lib.course import plots
from maskgan_lib.course.plots.charts import running_mean
from maskgan_lib.course.plots.style import ACCENT

RED = (250, 10, 20)


def drawn(figure) -> np.ndarray:
    """The figure's pixels, uint8 ``[H, W, 3]``."""
    file = io.BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    return np.asarray(Image.open(file).convert("RGB"))


def flat(color) -> np.ndarray:
    return np.full((8, 8, 3), color, np.uint8)


def places(pixels: np.ndarray, color) -> np.ndarray:
    return np.argwhere((pixels == np.array(color)).all(-1))


def test_picture_maps_networks_range_onto_bytes_gives_labels_their_colours_and_leaves_images_alone():
    image = torch.stack([torch.full((2, 2), v) for v in (-1.0, 0.0, 1.0)])
    np.testing.assert_array_equal(plots.picture(image)[0, 0], [0, 128, 255])
    labels = np.array([[0, 1], [13, 18]], np.uint8)
    np.testing.assert_array_equal(plots.picture(labels), COLORS[labels])
    np.testing.assert_array_equal(plots.picture(torch.from_numpy(labels)), COLORS[labels])
    photo = np.random.default_rng(0).integers(0, 256, (5, 5, 3), np.uint8)
    assert plots.picture(photo) is photo


@pytest.mark.parametrize(
    "bad", [np.zeros((4, 4, 3), np.float32), np.zeros((2, 4, 4, 3), np.uint8), torch.zeros(1, 4, 4)]
)
def test_picture_refuses_what_is_no_picture(bad):
    with pytest.raises(ValueError):
        plots.picture(bad)


def test_grid_shows_every_tile_at_its_size_and_in_its_place_beside_its_titles():
    colors = [[RED, (10, 250, 30)], [(20, 30, 250), (240, 240, 40)]]
    rows = [[flat(color) for color in row] for row in colors]
    pixels = drawn(plots.grid(rows, ("a", "MMMMMMMMMMMM"), ("i", "j"), "title", [["", "below"]], tile=32))
    (a, b), (c, d) = ([places(pixels, color) for color in row] for row in colors)
    assert all(len(tile) == 32 * 32 for tile in (a, b, c, d))
    assert a[:, 1].max() < b[:, 1].min() and a[:, 0].max() < c[:, 0].min()
    assert c.mean(0)[1] == a.mean(0)[1] and d.mean(0)[0] == c.mean(0)[0]


def test_grid_leaves_a_hole_for_none_and_keeps_the_form_of_a_wide_picture():
    pixels = drawn(plots.grid([[None, np.full((4, 16, 3), RED, np.uint8)]], tile=32))
    assert len(places(pixels, RED)) == 32 * 8


def test_label_maps_are_never_mixed_when_they_are_enlarged():
    labels = np.array([[1, 13], [13, 1]], np.uint8)
    inside = drawn(plots.strip([labels], tile=40)).reshape(-1, 3)
    assert {*map(tuple, inside.tolist())} == {*map(tuple, COLORS[[1, 13]].tolist()), (255, 255, 255)}


def test_difference_and_edit_show_where_a_picture_changed():
    before, after = flat(0), flat(0)
    after[2, 3] = (30, 60, 90)
    change = plots.difference(before, after)
    assert change[2, 3] == 60 and change.sum() == 60
    labels = np.zeros((8, 8), np.uint8)
    assert "60" in plots.edit(before, labels, labels, after).axes[0].texts[4].get_text()


def test_losses_draw_every_loss_of_the_log_and_nothing_else():
    log = [{"step": s, "seconds": s / 10, "kl": 1 / s, "reconstruction": 2 / s} for s in range(1, 40)]
    axes = plots.losses(log).axes
    assert [a.get_title(loc="left") for a in axes if a.get_visible() and a.lines] == ["kl", "reconstruction"]
    np.testing.assert_allclose(axes[0].lines[0].get_ydata(), [1 / s for s in range(1, 40)])


def test_running_mean_of_a_constant_is_the_constant_and_has_no_future():
    np.testing.assert_allclose(running_mean(np.full(60, 2.5)), 2.5)
    jump = running_mean(np.r_[np.zeros(40), np.ones(40)])
    assert (jump[:40] == 0).all() and jump[-1] == 1


def test_intervals_that_miss_zero_are_stronger():
    first, second, *_ = plots.intervals({"m": {"a": (1.0, 0.5, 1.5), "b": (0.1, -0.2, 0.4)}, "n": {}}).axes
    bars = [line for line in first.lines if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 2]
    assert [list(bar.get_xdata()) for bar in bars] == [[0.5, 1.5], [-0.2, 0.4]]
    assert bars[0].get_color() != bars[1].get_color()
    assert (first.get_title("left"), second.get_title("left")) == ("m", "n")


def test_a_legend_has_axes():
    """A notebook shows no figure without any."""
    assert len(plots.class_legend({0}).axes) == 1


def test_points_that_touch_share_their_names():
    points = np.array([[10.0, 0.9], [10.1, 0.9], [0.1, 0.1]])
    (axes,) = plots.class_scatter(points, [1, 13, 4]).axes
    assert sorted(text.get_text() for text in axes.texts) == ["left eye", "skin, hair"]


def test_figures_are_closed():
    """An open one is shown twice in a notebook."""
    before = plt.get_fignums()
    plots.class_legend({0}), plots.bars({"first": 3.0}), plots.course_map([("00", "Start", "an edit")], "00")
    assert plt.get_fignums() == before


def test_dots_show_every_series_with_its_interval_in_one_scale_and_colour():
    groups = {
        "first": {"Young": {"a": (1.0, 0.5, 1.5), "b": (2.0, 1.0, 3.0)}, "Pale_Skin": {"b": (4.0, 3.0, 9.0)}},
        "second": {"Young": {"a": (0.0, -1.0, 1.0)}},
    }
    first, second = plots.dots(groups, "title", "per cent").axes
    a, b = first.lines
    assert (list(a.get_xdata()), list(b.get_xdata())) == ([1.0], [2.0, 4.0])
    assert a.get_color() != b.get_color() and second.lines[0].get_color() == a.get_color()
    bars = [segment[:, 0].tolist() for lines in first.collections for segment in lines.get_segments()]
    assert bars == [[0.5, 1.5], [1.0, 3.0], [3.0, 9.0]]
    assert first.get_xlim() == second.get_xlim()


def test_diagram_fills_the_boxes_under_discussion_and_refuses_a_name_without_a_node():
    nodes = {"a": (0, 0, "text"), "b": (1.2, 0, "text"), "c": (2.4, 0, flat(RED))}
    accent = tuple(int(ACCENT[k : k + 2], 16) for k in (1, 3, 5))
    plain, filled = (drawn(plots.diagram(nodes, [("a", "b")], names)) for names in ((), ("b",)))
    assert len(places(filled, accent)) > len(places(plain, accent)) + 100 * 50
    with pytest.raises(ValueError, match="'d'"):
        plots.diagram(nodes, [("a", "b")], ("d",))
