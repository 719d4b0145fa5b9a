"""The paper's tables: intervals, renderings, orderings and verification against cases whose answers are known."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from test_grading import Counting, Judges, method, paint
from toy_faces import pack_toy_faces

from maskgan_lib.checkpoints import CheckpointError
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation import tables
from maskgan_lib.evaluation.comparison import Measure
from maskgan_lib.evaluation.distances import frechet_distance
from maskgan_lib.evaluation.grading import Graded
from maskgan_lib.evaluation.methods import COPY_OF_THE_SOURCE, COPY_OF_THE_TARGET, RECONSTRUCTION, STYLE_COPY, TRANSFER
from maskgan_lib.evaluation.protocols import MEASURES
from maskgan_lib.evaluation.tables import (
    EMPTY,
    FIXED,
    FRECHET,
    ORDERINGS,
    VERIFICATION,
    Cell,
    Column,
    Table,
    TableRow,
    columns_of,
    compare_orderings,
    evaluate_methods,
    jackknife_cell,
    make_table,
    mean_cell,
    people_of,
    people_row,
    readme_section,
    verification_columns,
    verification_table,
    write_readme,
)

UP, DOWN = Measure("up", "%", True), Measure("down", "", False)


def made_up(embeddings=None, features=None, **values) -> Graded:
    values = {name: np.asarray(column, float) for name, column in values.items()}
    count = len(next(iter(values.values()))) if values else len(embeddings if features is None else features)
    return Graded(values, np.zeros((count, 3)) if features is None else features, embeddings)


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


def test_intervals_stay_where_values_can_be():
    features = np.random.default_rng(0).normal(size=(40, 3))
    *_, frechet, kernel = columns_of(RECONSTRUCTION, made_up(features=features))
    same = made_up(features=features)
    assert frechet.cell(same).low == 0 and frechet.cell(same).value == pytest.approx(0, abs=1e-6)
    assert kernel.cell(same).value < 0 and kernel.cell(same).low < kernel.cell(same).value


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


# ---- who is it


def unit(rng, count, size=16):
    vectors = rng.normal(size=(count, size))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_verification_of_copies_is_perfect_and_of_constants_chance():
    photos = made_up(embeddings=unit(np.random.default_rng(0), 40))
    constant = made_up(embeddings=np.repeat(unit(np.random.default_rng(1), 1), 40, axis=0))
    strangers = unit(np.random.default_rng(2), 30)
    people = people_of(np.repeat(strangers, 2, axis=0), np.repeat(np.arange(30), 2))
    assert (people.same > 0.999).all() and len(people.same) == 30
    columns = verification_columns(photos, np.arange(40), people)
    copied = [column.cell(photos) for column in columns]
    assert [cell.value for cell in copied] == pytest.approx([100, 100, 1])
    assert all(cell.high - cell.low < 1e-6 for cell in copied)
    fixed, best, area = (column.cell(constant) for column in columns)
    assert fixed.value == 50 and 50 <= best.value < 56 and area.value == pytest.approx(0.5, abs=0.02)
    table = verification_table(columns, {"copy": photos, "one face": constant}, people, ["note"])
    assert [cell.value for cell in table.rows[0].cells] == pytest.approx([100, 100, 1])
    assert [row.name for row in table.rows] == ["photos", "copy", "one face"]
    assert "30 pairs of photos of one person" in table.markdown()


def test_people_are_compared_within_and_across():
    embeddings = unit(np.random.default_rng(0), 7)
    persons = np.array([3, 3, 3, 5, -1, -1, 5])
    people = people_of(embeddings, persons)
    assert len(people.same) == 4 and len(people.different) == 6
    brute = [embeddings[i] @ embeddings[j] for i, j in ((0, 1), (0, 2), (1, 2), (3, 6))]
    assert np.sort(people.same) == pytest.approx(np.sort(brute))
    assert people_of(embeddings, np.arange(7)) is None and people_of(embeddings, np.zeros(7, int)) is None
    assert people_row(people)[2].value == people.auc


# ---- orderings


def graded_as(attribute, segmentation, features=None, count=30) -> Graded:
    rng = np.random.default_rng(0)
    values = {measure.name: np.zeros(count) for measure in MEASURES[TRANSFER]}
    values["attribute accuracy"] = attribute + rng.normal(0, 1, count)
    values["segmentation accuracy"] = segmentation + rng.normal(0, 1, count)
    return Graded(values, rng.normal(size=(count, 3)) if features is None else features, None)


def verdicts(results: dict, columns=None) -> dict[tuple, str]:
    columns = {TRANSFER: columns_of(TRANSFER)} if columns is None else columns
    rows = compare_orderings({TRANSFER: results}, columns).rows
    return {(r.ordering.table, r.ordering.better, r.ordering.worse, r.ordering.measure): r.verdict for r in rows}


def test_orderings_only_name_what_the_tables_have():
    reference = made_up(features=np.zeros((20, 3)))
    measures = {task: {c.measure.name for c in columns_of(task, reference)} for task in (TRANSFER, STYLE_COPY)}
    measures[VERIFICATION] = {FIXED.name}
    assert all(ordering.measure in measures[ordering.table] for ordering in ORDERINGS)
    assert len(set(ORDERINGS)) == len(ORDERINGS)
    assert not any(re.search(r"\d", ordering.statement.replace("Pix2PixHD-m", "")) for ordering in ORDERINGS)


def test_verdicts_on_orderings():
    near, far = (np.random.default_rng(1).normal(shift, 1, (30, 3)) for shift in (0, 3))
    reference = made_up(features=np.random.default_rng(2).normal(size=(50, 3)))
    columns = {TRANSFER: columns_of(TRANSFER, reference)}
    results = {"DMN": graded_as(70, 90, far), "MaskGAN†": graded_as(75, 85, near), "SPADE": graded_as(70, 90, near)}
    seen = verdicts(results, columns)
    assert seen[TRANSFER, "MaskGAN†", "DMN", "attribute accuracy"] == "agreeing"
    assert seen[TRANSFER, "MaskGAN†", "DMN", "segmentation accuracy"] == "not agreeing"
    assert seen[TRANSFER, "MaskGAN†", "DMN", FRECHET.name] == "agreeing"
    assert seen[TRANSFER, "SPADE", "DMN", "segmentation accuracy"] == "no difference seen"
    assert seen[TRANSFER, "StarGAN", "DMN", "attribute accuracy"] == "not trained here"
    assert seen[STYLE_COPY, "MaskGAN†", "DMN", "Male"] == "not measured here"
    assert verdicts(results)[TRANSFER, "MaskGAN†", "DMN", FRECHET.name] == "not measured here"
    few = {name: graded_as(70, 90, count=9) for name in ("DMN", "MaskGAN†")}
    assert verdicts(few)[TRANSFER, "MaskGAN†", "DMN", "attribute accuracy"] == "too few pairs"


def test_fewer_pictures_than_features_give_no_verdict_on_a_frechet_distance():
    wide = {name: np.random.default_rng(k).normal(3 * k, 1, (30, 40)) for k, name in enumerate(("MaskGAN†", "DMN"))}
    reference = made_up(features=np.random.default_rng(2).normal(size=(50, 40)))
    results = {name: graded_as(70, 90, features) for name, features in wide.items()}
    seen = verdicts(results, {TRANSFER: columns_of(TRANSFER, reference)})
    assert seen[TRANSFER, "MaskGAN†", "DMN", FRECHET.name] == "too few pairs"


def test_orderings_are_shown_with_the_untrained_once():
    shown = compare_orderings(
        {TRANSFER: {"DMN": graded_as(70, 90), "MaskGAN†": graded_as(75, 85)}}, {TRANSFER: columns_of(TRANSFER)}
    )
    text, soup = shown.markdown(), BeautifulSoup(shown.html(), "html.parser")
    assert text.count("StarGAN classifies best of all") == 1 and "Not trained here" in text
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [td.text for td in soup.tbody.tr.find_all("td")] == table[2]
    assert table[2][2] == "MaskGAN† against DMN" and table[2][4].endswith(" points") and table[2][5] == "agreeing"


# ---- everything at once


def pack(folder, count, change=None) -> PackedFaces:
    """Toy faces, every second pair of them in the test split, after ``change`` of each record's JSON."""
    faces = pack_toy_faces(folder, count, splits=("train", "train", "test", "test"))
    if change:
        about = json.loads((folder / "faces.json").read_text())
        for k, face in enumerate(about["faces"]):
            change(k, face)
        (folder / "faces.json").write_text(json.dumps(about))
        faces = PackedFaces.open(folder)
    return faces


COUNTS = {TRANSFER: 400, STYLE_COPY: 1000, RECONSTRUCTION: 12}
FEW = {TRANSFER: 12, STYLE_COPY: 11, RECONSTRUCTION: 3}


def breaks(request):
    raise RuntimeError("out of everything")


def grey(request):
    return torch.zeros_like(request.target)


METHODS = [
    COPY_OF_THE_TARGET,
    COPY_OF_THE_SOURCE,
    replace(method(), name="DMN"),
    replace(method(grey, "grey"), name="MaskGAN†"),
    replace(method(breaks, "breaks"), name="SPADE"),
    replace(method(paint, "star", (TRANSFER,)), name="StarGAN"),
]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """88 faces, two of each person in one split."""
    return pack(tmp_path_factory.mktemp("faces") / "toy", 88, lambda k, face: face.update(identity=k // 2))


@pytest.fixture(scope="module")
def run(faces, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, evaluate_methods(METHODS, faces, faces.indices("test"), Judges(), out, counts=COUNTS)


def cell(results, task, name, measure) -> Cell:
    table = results.tables[task]
    row = next(row for row in table.rows if row.name == name)
    return row.cells[[m.name for m in table.columns].index(measure)]


def test_all_tables_are_made(run):
    out, results = run
    assert list(results.tables) == [TRANSFER, STYLE_COPY, VERIFICATION, RECONSTRUCTION] and not results.missing
    names = ["photos", "copy of the target", "copy of the source", "DMN", "MaskGAN†"]
    assert [row.name for row in results.tables[TRANSFER].rows] == [*names, "StarGAN"]
    assert [row.name for row in results.tables[STYLE_COPY].rows] == names
    assert (out / "tables.md").read_text() == results.markdown() and (out / "tables.csv").read_text() == results.csv()
    assert sorted(path.name for path in (out / "pairs").iterdir()) == [
        *("attribute-transfer.json", "reconstruction.json", "style-copy.json"),
    ]
    rows = list(csv.DictReader(results.csv().splitlines()))
    assert {row["table"] for row in rows} == {table.title for table in results.tables.values()}


def test_known_methods_get_what_they_must(run):
    _, results = run
    assert cell(results, TRANSFER, "DMN", "segmentation accuracy").value == 100
    assert cell(results, RECONSTRUCTION, "copy of the target", "SSIM").value == pytest.approx(1)
    assert cell(results, RECONSTRUCTION, "copy of the target", "PSNR").value == 100
    assert cell(results, TRANSFER, "copy of the target", "identity similarity").value == pytest.approx(1)
    assert cell(results, TRANSFER, "copy of the target", "change far from the edit").value == 0
    assert cell(results, VERIFICATION, "copy of the target", "area under the ROC curve").value == pytest.approx(1)
    source, photos = (cell(results, TRANSFER, name, "attribute accuracy") for name in ("copy of the source", "photos"))
    assert source == photos and source.count >= 10
    assert cell(results, TRANSFER, "copy of the source", FRECHET.name) == cell(
        results, TRANSFER, "photos", FRECHET.name
    )
    assert cell(results, TRANSFER, "MaskGAN†", "attribute accuracy").value == 0, "a grey face is not bright"


def test_every_table_says_what_it_rests_on(run):
    _, results = run
    for task, table in results.tables.items():
        notes = " ".join(table.notes)
        assert (
            re.search(r"^\d+ pairs for .*seed 0", notes) and "parser, made by hand" in notes and "own errors" in notes
        )
        assert ("no FID" in notes) == (task in (TRANSFER, STYLE_COPY))
        assert ("SPADE failed (RuntimeError: out of everything)" in notes) == (task != VERIFICATION)
    assert "22 pairs of photos of one person" in results.tables[VERIFICATION].markdown()
    assert "distances are to 22 photos of other faces" in results.tables[TRANSFER].markdown(), "those that smile"
    assert "distances are to 44 photos of other faces" in results.tables[STYLE_COPY].markdown()
    assert "pose tolerance in degrees 5" in results.tables[TRANSFER].markdown()


def test_a_second_run_makes_no_picture_and_the_same_tables(run, faces):
    out, results = run
    counting = Counting()
    methods = [replace(m, make=counting) if m.name != "SPADE" else m for m in METHODS]
    again = evaluate_methods(methods, faces, faces.indices("test"), Judges(), out, counts=COUNTS)
    assert counting.calls == 0
    assert (again.markdown(), again.csv(), again._repr_html_()) == (
        results.markdown(),
        results.csv(),
        results._repr_html_(),
    )


def test_orderings_of_a_run(run):
    text = run[1].markdown()
    assert "| attribute transfer | EBST improves the table | MaskGAN† against DMN | segmentation accuracy |" in text
    assert "identity verification: MaskGAN keeps identity best" in text.split("Not trained here")[1]


def test_four_faces_say_what_they_cannot_tell(tmp_path):
    faces = pack(tmp_path / "four", 4, lambda k, face: face.update(pose=None))
    results = evaluate_methods(METHODS[:4], faces, np.arange(4), Judges(), tmp_path / "out")
    assert list(results.tables) == [STYLE_COPY, RECONSTRUCTION]
    assert "pose" in results.missing[TRANSFER] and "pose" in results.missing[VERIFICATION]
    for table in results.tables.values():
        assert "Fewer than 10 pairs: the intervals tell too little for a verdict." in table.notes
        assert FRECHET not in table.columns
    shown = results.markdown()
    assert shown.index("Attribute transfer") < shown.index("4 faces have no known pose") < shown.index("Style copy")
    assert "have no known pose" in results._repr_html_()
    assert "Fewer than" in readme_section(results) and "have no known pose" in readme_section(results)


def test_without_an_identity_net_the_others_are_made(faces, tmp_path):
    judges = Judges(identity_net=None)
    results = evaluate_methods(METHODS[2:4], faces, faces.indices("test"), judges, tmp_path, counts=FEW)
    assert "identity net" in results.missing[VERIFICATION] and len(results.tables) == 3
    assert "identity similarity" not in results.tables[TRANSFER].markdown()


def test_without_other_persons_each_half_sets_the_threshold(faces, tmp_path):
    results = evaluate_methods(METHODS[:3], faces, np.arange(len(faces)), Judges(), tmp_path, counts=FEW)
    table = results.tables[VERIFICATION]
    assert [row.name for row in table.rows] == ["copy of the target", "copy of the source", "DMN"]
    assert "the fixed threshold is the other half of the pairs'" in table.markdown()
    assert FRECHET not in results.tables[TRANSFER].columns, "no photo is left to compare with"
    assert {len(graded) for graded in results.graded[STYLE_COPY].values()} == {FEW[STYLE_COPY]}


def test_persons_of_the_table_do_not_set_its_threshold(tmp_path):
    faces = pack(tmp_path / "toy", 44, lambda k, face: face.update(identity=k // 4))  # each twice in either split
    results = evaluate_methods(METHODS[2:3], faces, faces.indices("test"), Judges(), tmp_path / "out", counts=FEW)
    assert "No other person is known on two photos" in results.tables[VERIFICATION].markdown()


def test_a_cache_that_cannot_be_written_stops_the_run(faces, tmp_path, monkeypatch):
    def full(*arguments, **settings):
        raise CheckpointError("the disk is full")

    monkeypatch.setattr(tables, "grade_method", full)
    with pytest.raises(CheckpointError, match="the disk is full"):
        evaluate_methods(METHODS[:2], faces, faces.indices("test"), Judges(), tmp_path, counts=FEW)


# ---- README


def test_readme_gets_the_tables_between_its_marks(run, tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    text = readme_section(run[1])
    write_readme(path, text)
    once = path.read_text()
    assert once == f"before\n<!-- results -->\n{text.strip()}\n<!-- end of results -->\nafter\n"
    write_readme(path, text)
    assert path.read_text() == once
    assert "procedural" not in text and "toy faces: nothing here compares with the paper's figures" in text
    assert "evaluate tables --write-back" in text and "kernel distance" not in text and FRECHET.title in text


@pytest.mark.parametrize("content", ["", "<!-- results -->", "<!-- end of results --> <!-- results -->"])
def test_a_readme_without_marks_is_left_alone(tmp_path, content):
    path = tmp_path / "README.md"
    path.write_text(content)
    with pytest.raises(DataError, match="needs one line"):
        write_readme(path, "text")
    assert path.read_text() == content
