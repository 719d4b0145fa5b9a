"""Tables: intervals and renderings against cases whose answers are known."""

import csv
import re
from dataclasses import replace

import numpy as np
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from stub_judges import made_up

from maskgan_lib.evaluation.comparison import Measure
from maskgan_lib.evaluation.distances import frechet_distance
from maskgan_lib.evaluation.tables import EMPTY, Cell, Column, Table, TableRow, jackknife_cell, make_table, mean_cell

UP, DOWN = Measure("up", "%", True), Measure("down", "", False)


# ---- intervals


def test_a_mean_leaves_out_what_does_not_apply():
    cell = mean_cell(np.array([1.0, np.nan, 3.0, 2.0]))
    assert (cell.value, cell.count) == (2, 3) and 1 <= cell.low < 2 < cell.high <= 3
    assert mean_cell(np.full(4, np.nan)) == EMPTY and str(EMPTY) == "" and not EMPTY
    assert str(Cell(93.4249, 91.11, 94.96, 20)) == "93.42 [91.1, 95]" and str(Cell(3, np.nan, np.nan, 2)) == "3"


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_the_jackknife_of_a_mean_is_its_standard_error(seed):
    values = np.random.default_rng(seed).normal(3, 2, 20)  # as many as there are groups
    cell = jackknife_cell(lambda places: values[places].mean(), 20)
    reach = 2.0930 * values.std(ddof=1) / np.sqrt(20)  # Student's t with 19 degrees of freedom, from its table
    assert (cell.value, cell.count) == (pytest.approx(values.mean()), 20)
    assert (cell.low, cell.high) == (
        pytest.approx(cell.value - reach, abs=1e-3),
        pytest.approx(cell.value + reach, abs=1e-3),
    )


def test_the_jackknife_tells_how_a_frechet_distance_scatters():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(500, 4))
    draws = rng.normal(0.4, 1.3, size=(60, 200, 4))
    scatter = np.std([frechet_distance(draw, reference) for draw in draws])
    cells = [jackknife_cell(lambda places, d=d: frechet_distance(d[places], reference), 200) for d in draws[:20]]
    errors = [(cell.high - cell.low) / 2 / 2.093 for cell in cells]
    assert np.mean(errors) == pytest.approx(scatter, rel=0.25)


def test_few_pairs_get_no_jackknife_interval():
    cell = jackknife_cell(lambda places: float(len(places)), 9)
    assert cell.value == 9 and np.isnan(cell.low) and np.isfinite(jackknife_cell(lambda p: float(len(p)), 10).low)


def test_differences_are_taken_pair_by_pair():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 50, 30)
    shifted = Column(UP).difference(made_up(up=base + 2), made_up(up=base))
    assert (shifted.value, shifted.low, shifted.high) == pytest.approx((2, 2, 2))
    distance = Column(DOWN, lambda graded, places: float(graded.values["down"][places].mean()))
    shifted = distance.difference(made_up(down=base + 2), made_up(down=base))
    assert (shifted.value, shifted.low, shifted.high) == pytest.approx((2, 2, 2))


# ---- renderings

CELLS = {
    "photos": (Cell(99.0, 98.0, 100.0, 20), EMPTY),
    "copy of the target": (Cell(98.0, 97.0, 99.0, 20), Cell(0.0, 0.0, 0.0, 20)),
    "copy of the source": (Cell(80.5, 70.0, 90.0, 20), Cell(0.51, 0.4, 0.6, 20)),  # as good as the best
    "DMN": (Cell(71.234, 65.4, 80.1, 20), Cell(0.51, 0.4, 0.6, 20)),
    "a <b> method": (Cell(80.5, 70.0, 90.0, 20), Cell(12.25, 11.0, 13.0, 19)),
    "StarGAN": (Cell(95.0, 90.0, 99.0, 20), Cell(0.1, np.nan, np.nan, 20)),
}
TABLE = Table("A title", (UP, DOWN), tuple(TableRow(n, c) for n, c in CELLS.items()), ("20 pairs.", "x < y"))


def test_the_best_mask_method_is_bold():
    bold = {(row.name, k) for row in TABLE.rows for k in range(2) if TABLE.is_best(row, k)}
    assert bold == {("a <b> method", 0), ("DMN", 1)}
    assert re.findall(r"\*\*(.*?)\*\*", TABLE.markdown()) == ["A title", "0.51 [0.4, 0.6]", "80.5 [70, 90]"]
    soup = BeautifulSoup(TABLE.html(), "html.parser")
    assert [b.text for b in soup.find("tbody").find_all("b")] == ["0.51", "80.5"]


def test_alone_nobody_is_best():
    alone = replace(TABLE, rows=TABLE.rows[:4])
    assert not any(alone.is_best(row, k) for row in alone.rows for k in range(2))


def test_all_renderings_say_the_same():
    lines = [line.strip("| ").split(" | ") for line in TABLE.markdown().replace("*", "").splitlines() if "|" in line]
    assert lines[0] == ["method", "up (%) ↑", "down ↓"]
    soup = BeautifulSoup(TABLE.html(), "html.parser")
    heads = [th.text.replace("\xa0", " ") for th in soup.find("thead").find_all("th")]
    assert heads == lines[0]
    shown = [
        [row.th.text, *(" ".join(s for s in td.stripped_strings) for td in row.find_all("td"))]
        for row in soup.find("tbody").find_all("tr")
    ]
    assert shown[1:] == lines[3:] and shown[0] == ["photos", "99 [98, 100]", ""]
    rows = list(csv.DictReader(TABLE.csv().splitlines()))
    assert len(rows) == 11 and {row["table"] for row in rows} == {"A title"}
    for row in rows:
        k = ("up", "down").index(row["measure"])
        cell = CELLS[row["method"]][k]
        numbers = [float(row[name]) for name in ("value", "low", "high")]
        assert numbers == pytest.approx([cell.value, cell.low, cell.high], rel=1e-5, nan_ok=True)
        assert int(row["pairs"]) == cell.count and row["better"] == ("higher", "lower")[k]
    assert all(note in TABLE.markdown() for note in TABLE.notes)
    assert [li.text for li in soup.find_all("li")] == list(TABLE.notes)


def test_bars_are_as_long_as_values():
    soup = BeautifulSoup(TABLE.html(), "html.parser")
    rows = {tr.th.text: tr.find_all("td") for tr in soup.find("tbody").find_all("tr")}
    widths = {name: [td.i["style"] if td.i else "" for td in cells] for name, cells in rows.items()}
    assert widths["photos"] == ["width:100%", ""] and widths["a <b> method"] == ["width:81%", "width:100%"]
    assert widths["copy of the target"][1] == "width:0%"


def test_columns_that_nobody_has_are_left_out_and_preferences_added():
    results = {"a": made_up(up=np.arange(12), down=np.full(12, np.nan)), "b": made_up(up=[1] * 12, down=[np.nan] * 12)}
    table = make_table("t", [Column(UP), Column(DOWN)], results, shares={"b": Cell(60.0, 50.0, 70.0, 30)})
    assert [measure.name for measure in table.columns] == ["up", "preferred by people"]
    assert table.rows[1].cells[1].value == 60 and not table.rows[0].cells[1]
    assert any("without width" in note for note in table.notes)
    assert not any("Fewer than" in note for note in table.notes)
    few = make_table("t", [Column(UP)], {"a": made_up(up=[1, 2, 3, 4])})
    assert few.notes == ("Fewer than 10 pairs: the intervals tell too little for a verdict.",)
