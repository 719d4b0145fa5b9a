"""Estimates, records and tables: intervals, verdicts and renderings against cases whose answers are known."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from maskgan_lib.data.packed import DataError
from maskgan_lib.evaluation.distances import frechet_distance
from maskgan_lib.evaluation.estimates import (
    BETTER,
    EMPTY,
    SAME,
    TOO_FEW,
    WORSE,
    Estimate,
    Measure,
    bootstrap_interval,
    jackknife,
    mean_estimate,
    mean_over_faces,
    over_trainings,
    verdict,
)
from maskgan_lib.evaluation.records import Records
from maskgan_lib.evaluation.report import Report, Said, Table, TableRow

UP, DOWN = Measure("up", "%", True), Measure("down", "", False)


# ---- estimates


def test_bootstrap_interval_covers_the_mean_as_often_as_it_says():
    """200 samples of 40 from a skewed distribution of mean 1; the mean of a binomial(200, .95) is 190, sd 3."""
    samples = np.random.default_rng(0).exponential(1.0, (200, 40))
    covered = sum(low <= 1.0 <= high for low, high in map(bootstrap_interval, samples))
    assert 170 <= covered <= 200


def test_bootstrap_interval_has_the_width_of_the_standard_error():
    values = np.random.default_rng(1).normal(5.0, 2.0, 400)
    low, high = bootstrap_interval(np.append(values, np.nan))
    assert (low + high) / 2 == pytest.approx(values.mean(), abs=0.05)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.1)
    assert bootstrap_interval(values) == bootstrap_interval(values)


def test_a_mean_leaves_out_what_does_not_apply():
    found = mean_estimate(np.array([1.0, np.nan, 3.0, 2.0]))
    assert (found.value, found.count) == (2, 3) and 1 <= found.low < 2 < found.high <= 3
    assert mean_estimate(np.full(4, np.nan)) == EMPTY and str(EMPTY) == "" and not EMPTY
    assert str(Estimate(93.4249, 91.11, 94.96, 20)) == "93.42 [91.1, 95]"
    assert str(Estimate(3, np.nan, np.nan, 2)) == "3"
    assert mean_over_faces("x", np.array([1.0, np.inf, 3.0]), "dB").faces == 2
    with pytest.raises(DataError, match="None of 4 faces tells the locality"):
        mean_over_faces("locality", np.full(4, np.nan), "")


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_jackknife_of_a_mean_is_its_standard_error(seed):
    values = np.random.default_rng(seed).normal(3, 2, 20)  # as many as there are groups
    found = jackknife(lambda places: values[places].mean(), 20)
    reach = 2.0930 * values.std(ddof=1) / np.sqrt(20)  # Student's t with 19 degrees of freedom, from its table
    assert (found.value, found.count) == (pytest.approx(values.mean()), 20)
    assert (found.low, found.high) == pytest.approx((found.value - reach, found.value + reach), abs=1e-3)


def test_the_jackknife_tells_how_a_frechet_distance_scatters():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(500, 4))
    draws = rng.normal(0.4, 1.3, size=(60, 200, 4))
    scatter = np.std([frechet_distance(draw, reference) for draw in draws])
    found = [jackknife(lambda places, d=d: frechet_distance(d[places], reference), 200) for d in draws[:20]]
    assert np.mean([(f.high - f.low) / 2 / 2.093 for f in found]) == pytest.approx(scatter, rel=0.25)


def test_few_items_get_no_jackknife_interval():
    few, enough = (jackknife(lambda places: float(len(places)), count) for count in (9, 10))
    assert few.value == 9 and np.isnan(few.low) and np.isfinite(enough.low)


def test_over_trainings_the_sample_is_the_trainings():
    found = over_trainings(np.array([0.5, 1.0, np.nan, 3.0]))
    reach = 4.302653 * np.std([0.5, 1, 3], ddof=1) / np.sqrt(3)  # t with 2 degrees of freedom, from its table
    assert (found.value, found.count) == (1.5, 3)
    assert (found.low, found.high) == pytest.approx((1.5 - reach, 1.5 + reach), rel=1e-4)
    one = over_trainings(np.array([2.0]))
    assert (one.value, one.count) == (2, 1) and np.isnan(one.low) and not over_trainings(np.array([np.nan]))


@pytest.mark.parametrize(
    ("estimate", "up", "down"),
    [
        (Estimate(1, 0.5, 1.5, 10), BETTER, WORSE),
        (Estimate(-1, -1.5, -0.5, 10), WORSE, BETTER),
        (Estimate(1, -0.5, 1.5, 10), SAME, SAME),
        (Estimate(1, 0.5, 1.5, 9), TOO_FEW, TOO_FEW),
        (EMPTY, TOO_FEW, TOO_FEW),
    ],
)
def test_verdicts_know_which_way_is_better(estimate, up, down):
    assert (verdict(estimate, UP), verdict(estimate, DOWN)) == (up, down)


# ---- records


def recorded(*methods: np.ndarray) -> Records:
    """Methods by the values ``[T, K, D, I]`` that they have on both measures."""
    values = np.stack([np.stack([v, v], axis=1) for v in methods], axis=1)
    tasks = tuple(f"edit {k}" for k in range(values.shape[3]))
    return Records(tuple("abcdef"[: len(methods)]), (UP, DOWN), tasks, values)


@given(st.integers(0, 1000), st.integers(10, 40))
@settings(max_examples=10, deadline=None)
def test_intervals_resample_items_with_all_that_is_theirs(seed, count):
    rng = np.random.default_rng(seed)
    difference = rng.normal(size=count) + 0.1 * rng.normal(size=(1, 4, 3, count))  # the edits of one face are alike
    found = recorded(np.zeros_like(difference), difference).mean("b", UP, minus="a")
    brute = [difference[..., rng.integers(count, size=count)].mean() for _ in range(4000)]
    spread = np.std(brute)
    assert found.value == pytest.approx(difference.mean()) and found.count == count
    assert np.abs(np.quantile(brute, [0.025, 0.975]) - [found.low, found.high]).max() < 0.35 * spread
    as_if_independent = difference.std() / np.sqrt(difference.size)
    assert found.high - found.low > 2 * 3.92 * as_if_independent


def test_what_does_not_apply_is_left_out_and_an_item_counts_once():
    base = np.zeros((1, 2, 2, 12))
    base[0, 1, :, :6] = np.nan
    base[0, 0, 0, 3] = np.nan
    base[..., 11] = np.nan
    records = recorded(base, base + 2)
    assert [records.mean("b", DOWN, task, "a").count for task in ("all edits", *records.tasks)] == [11, 11, 5]
    assert records.mean("b", UP, ("edit 1",), "a").value == 2 and records.mean("b", UP, ()) == EMPTY
    faces = recorded(np.array([[100.0, 0.0], [100.0, np.nan]])[None, :, None])
    assert (faces.mean("a", UP).value, faces.mean("a", UP).count) == (50, 2)


def test_trainings_are_paired():
    base = np.random.default_rng(1).normal(size=(3, 2, 2, 15))
    records = recorded(base, base + np.array([0.5, 1.0, 3.0])[:, None, None, None])
    found, by_hand = records.over_trainings("b", UP, minus="a"), over_trainings(np.array([0.5, 1.0, 3.0]))
    assert (found.value, found.low, found.high) == pytest.approx((by_hand.value, by_hand.low, by_hand.high))
    assert records.mean("b", UP, minus="a").value == pytest.approx(1.5)


# ---- tables

CELLS = {
    "photos": (Estimate(99.0, 98.0, 100.0, 20), EMPTY),
    "copy of the source": (Estimate(80.5, 70.0, 90.0, 20), Estimate(0.51, 0.4, 0.6, 20)),  # as good as the best
    "DMN": (Estimate(71.234, 65.4, 80.1, 20), Estimate(0.51, 0.4, 0.6, 20)),
    "a <b> method": (Estimate(80.5, 70.0, 90.0, 20), Estimate(12.25, 11.0, 13.0, 19)),
    "StarGAN": (Estimate(95.0, 90.0, 99.0, 20), Estimate(0.1, np.nan, np.nan, 20)),
}
ROWS = tuple(TableRow(name, cells) for name, cells in CELLS.items())
TABLE = Table("A title", (UP, DOWN), ROWS, ("20 pairs.", "x < y"), ("DMN", "a <b> method"))


def test_the_best_ranked_method_is_bold():
    bold = {(row.name, k) for row in TABLE.rows for k in range(2) if TABLE.is_best(row, k)}
    assert bold == {("a <b> method", 0), ("DMN", 1)}
    assert re.findall(r"\*\*(.*?)\*\*", TABLE.markdown()) == ["A title", "0.51 [0.4, 0.6]", "80.5 [70, 90]"]
    assert [b.text for b in BeautifulSoup(TABLE.html(), "html.parser").table.find_all("b")] == ["0.51", "80.5"]
    assert not any(replace(TABLE, ranked=("DMN",)).is_best(row, 0) for row in ROWS), "nothing to be better than"


def test_markdown_and_html_say_the_same():
    lines = [line.strip("| ").split(" | ") for line in TABLE.markdown().splitlines() if line.startswith("| ")]
    table = BeautifulSoup(TABLE.html(), "html.parser").table
    assert [th.text.replace("\xa0", " ") for th in table.thead.find_all("th")] == lines[0]
    rows = table.tbody.find_all("tr")
    assert [row.th.text for row in rows] == list(CELLS) and rows[0]["class"] == ["photos"]
    for row, line in zip(rows, lines[2:], strict=True):
        numbers = [re.sub(r"(\d)\[", r"\1 [", td.text) for td in row.find_all("td")]
        assert numbers == [cell.strip("* ") for cell in (*line[1:], "")[:2]]
    widths = [td.i["style"] if td.i else None for td in rows[3].find_all("td")]
    assert widths == ["width:81%", "width:100%"], "of the longest in each column"
    notes = [li.text for li in BeautifulSoup(TABLE.html(), "html.parser").find_all("li")]
    assert notes == list(TABLE.notes) and "- x < y" in TABLE.markdown()


def test_columns_are_chosen_and_an_empty_table_has_its_notes():
    only = TABLE.only(["down", "none"])
    assert only.columns == (DOWN,) and [len(row.cells) for row in only.rows] == [1] * 5
    missing = Table("Gone", (), (), ("because",))
    assert missing.markdown() == "**Gone**\n\n- because" and "<table" not in missing.html()
    words = Table("", ("said",), (TableRow("x", ("<y>",)),), corner="who")
    assert words.markdown() == "| who | said |\n| --- | --- |\n| x | <y> |"
    assert "&lt;y&gt;" in words.html() and 'class="maskgan-table words"' in words.html()


SAID = Said(Estimate(1 / 3, 0, 1, 4), "a, b")


class Found(Report):
    words = tuple(TableRow(name, (cell,)) for name, cell in (("x", SAID), ("y", "no"), ("z", "")))
    parts = replace(TABLE, rows=ROWS[:2]), "x is **not** < y", Table("", ("said",), words, corner="who")


def test_a_report_shows_its_parts_in_order_in_a_notebook_and_as_text():
    first, words, last = Found.parts
    assert Found()._repr_html_() == f"{first.html()}<p>x is <b>not</b> &lt; y</p>{last.html()}"
    assert Found().markdown() == f"{first.markdown()}\n\n{words}\n\n{last.markdown()}\n"


def test_csv_has_a_line_for_every_cell_and_six_digits():
    heads, *rows = csv.reader(Found().csv().splitlines())
    assert heads == ["table", "row", "column", "unit", "better", "value", "low", "high", "count", "shown"]
    assert rows[0] == ["A title", "photos", "up", "%", "higher", "99", "98", "100", "20", "99 [98, 100]"]
    assert [row[2] for row in rows[1:3]] == ["up", "down"] and rows[2][3:5] == ["", "lower"], "no line for EMPTY"
    assert rows[3:] == [
        ["who", "x", "said", "", "", "0.333333", "0", "1", "4", "a, b"],
        ["who", "y", "said", "", "", "", "", "", "", "no"],
    ]
