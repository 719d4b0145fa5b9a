"""The paper's tables and orderings by hand-made judges, ``evaluate tables`` for weights in files, README's section."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from stub_judges import Counting, Judges, hopenet_layout, made_up, method, paint
from toy_faces import pack_toy_faces

from maskgan_lib.__main__ import main
from maskgan_lib.checkpoints import CheckpointError, save_weights
from maskgan_lib.course.chapter import ROOT
from maskgan_lib.course.readme import write_between
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation import judges as shipped_judges
from maskgan_lib.evaluation.estimates import Estimate
from maskgan_lib.evaluation.grades import TASK_MEASURES
from maskgan_lib.evaluation.methods import (
    COPY_OF_THE_SOURCE,
    COPY_OF_THE_TARGET,
    RECONSTRUCTION,
    STYLE_COPY,
    TRANSFER,
    MethodError,
    methods_of,
)
from maskgan_lib.evaluation.paper_columns import (
    FIXED,
    FRECHET,
    NOT_RANKED,
    VERIFICATION,
    Column,
    columns_of,
    make_table,
    people_cells,
    verification_columns,
)
from maskgan_lib.evaluation.paper_orderings import ORDERINGS, compare_orderings
from maskgan_lib.evaluation.paper_tables import README_BEGIN, README_END, evaluate_methods, readme_section
from maskgan_lib.evaluation.published import judges_of
from maskgan_lib.evaluation.run import Graded, Grader
from maskgan_lib.evaluation.shipped import SHIPPED_METHODS
from maskgan_lib.evaluation.verification import people_of
from maskgan_lib.evaluation.weights import named_weights
from maskgan_lib.judges.attributes import AttributeNet
from maskgan_lib.judges.identity import IdentityNet
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.judges.pose import PoseNet
from maskgan_lib.networks import DenseMappingNetwork
from maskgan_lib.training.stage import TrainingError

# ---- columns


def test_intervals_stay_where_values_can_be():
    features = np.random.default_rng(0).normal(size=(40, 3))
    *_, frechet, kernel = columns_of(RECONSTRUCTION, made_up(features=features))
    same = made_up(features=features)
    assert frechet.cell(same).low == 0 and frechet.cell(same).value == pytest.approx(0, abs=1e-6)
    assert kernel.cell(same).value < 0 and kernel.cell(same).low < kernel.cell(same).value


def test_differences_are_taken_pair_by_pair():
    base = np.random.default_rng(0).normal(0, 50, 30)
    measure = TASK_MEASURES[TRANSFER][0]
    ours, other = (made_up(**{measure.name: values}) for values in (base + 2, base))
    for statistic in (None, lambda graded, places: float(graded.values[measure.name][places].mean())):
        shifted = Column(measure, statistic).difference(ours, other)
        assert (shifted.value, shifted.low, shifted.high) == pytest.approx((2, 2, 2))


def test_columns_without_a_value_are_left_out_and_intervals_that_say_little_are_noted():
    columns = [Column(measure) for measure in TASK_MEASURES[STYLE_COPY]]
    values = {column.measure.name: np.full(9, np.nan) for column in columns} | {"Male": np.full(9, 100.0)}
    table = make_table("T", columns, {"DMN": made_up(**values)}, about=["first"])
    assert [measure.name for measure in table.columns] == ["Male"] and table.ranked == ("DMN",)
    assert [note[:20] for note in table.notes] == ["first", "Fewer than 10 pairs:", "An interval without "]
    copied = make_table("T", columns, {COPY_OF_THE_TARGET.name: made_up(**values)})
    assert [note[:20] for note in copied.notes] == ["Fewer than 10 pairs:"] and copied.ranked == ()


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
    assert [cell.value for cell in people_cells(people)] == pytest.approx([100, 100, 1])


# ---- orderings


def graded_as(attribute, segmentation, features=None, count=30) -> Graded:
    rng = np.random.default_rng(0)
    values = {measure.name: np.zeros(count) for measure in TASK_MEASURES[TRANSFER]}
    values["attribute accuracy"] = attribute + rng.normal(0, 1, count)
    values["segmentation accuracy"] = segmentation + rng.normal(0, 1, count)
    return Graded(values, rng.normal(size=(count, 3)) if features is None else features, None)


def verdicts(results: dict, columns=None) -> dict[tuple, str]:
    columns = {TRANSFER: columns_of(TRANSFER)} if columns is None else columns
    rows = compare_orderings({TRANSFER: results}, columns).rows
    return {(r.table, r.better, r.worse, r.measure): r.verdict for r in rows}


def test_orderings_only_name_what_the_tables_have():
    reference = made_up(features=np.zeros((20, 3)))
    measures = {task: {c.measure.name for c in columns_of(task, reference)} for task in (TRANSFER, STYLE_COPY)}
    measures[VERIFICATION] = {FIXED.name}
    assert all(ordering.measure in measures[ordering.table] for ordering in ORDERINGS)
    assert len(set(ORDERINGS)) == len(ORDERINGS)


def test_verdicts_on_orderings():
    rng = np.random.default_rng(2)
    near, far = (np.random.default_rng(1).normal(shift, 1, (30, 3)) for shift in (0, 3))
    results = {"DMN": graded_as(70, 90, far), "MaskGAN†": graded_as(75, 85, near), "SPADE": graded_as(70, 90, near)}
    seen = verdicts(results, {TRANSFER: columns_of(TRANSFER, made_up(features=rng.normal(size=(50, 3))))})
    assert seen[TRANSFER, "MaskGAN†", "DMN", "attribute accuracy"] == "agreeing"
    assert seen[TRANSFER, "MaskGAN†", "DMN", "segmentation accuracy"] == "not agreeing"
    assert seen[TRANSFER, "MaskGAN†", "DMN", FRECHET.name] == "agreeing"
    assert seen[TRANSFER, "SPADE", "DMN", "segmentation accuracy"] == "no difference seen"
    assert seen[TRANSFER, "StarGAN", "DMN", "attribute accuracy"] == "not trained here"
    assert seen[STYLE_COPY, "MaskGAN†", "DMN", "Male"] == "not measured here"
    assert verdicts(results)[TRANSFER, "MaskGAN†", "DMN", FRECHET.name] == "not measured here"
    few = {name: graded_as(70, 90, count=9) for name in ("DMN", "MaskGAN†")}
    assert verdicts(few)[TRANSFER, "MaskGAN†", "DMN", "attribute accuracy"] == "too few pairs"
    for features, photos in ((40, 50), (25, 20)):
        wide = {n: graded_as(70, 90, rng.normal(3 * k, 1, (30, features))) for k, n in enumerate(("MaskGAN†", "DMN"))}
        reference = made_up(features=rng.normal(size=(photos, features)))
        seen = verdicts(wide, {TRANSFER: columns_of(TRANSFER, reference)})
        assert seen[TRANSFER, "MaskGAN†", "DMN", FRECHET.name] == "too few pairs", "a set has fewer than features"


# ---- all tables by hand-made judges


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


def cannot(request):
    raise MethodError("It is not for such faces.")


METHODS = [
    COPY_OF_THE_TARGET,
    COPY_OF_THE_SOURCE,
    replace(method(), name="DMN"),
    replace(method(lambda request: torch.zeros_like(request.target), "grey"), name="MaskGAN†"),
    replace(method(cannot, "cannot"), name="SPADE"),
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


def cell(results, task, name, measure) -> Estimate:
    table = results.tables[task]
    (row,) = (row for row in table.rows if row.name == name)
    return row.cells[[column.name for column in table.columns].index(measure)]


def test_known_methods_get_what_they_must(run):
    _, results = run
    assert list(results.tables) == [TRANSFER, STYLE_COPY, VERIFICATION, RECONSTRUCTION] and not results.missing
    assert [row.name for row in results.tables[STYLE_COPY].rows] == ["photos", *(m.name for m in METHODS[:4])]
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
        assert re.search(r"^\d+ pairs for .*seed 0", notes) and "parser, made by hand" in notes
        assert ("no FID" in notes) == (task in (TRANSFER, STYLE_COPY))
        assert ("SPADE is left out: It is not for such faces." in notes) == (task != VERIFICATION)
    assert "22 pairs of photos of one person" in results.tables[VERIFICATION].markdown()
    assert "distances are to 22 photos of other faces" in results.tables[TRANSFER].markdown(), "those that smile"
    assert "distances are to 44 photos of other faces" in results.tables[STYLE_COPY].markdown()
    text = results.markdown()
    assert "| attribute transfer | EBST improves the table | MaskGAN† against DMN | segmentation accuracy |" in text
    assert text.split("Not trained here")[1].count("identity verification: MaskGAN keeps identity best") == 1


def test_a_second_run_makes_no_picture_and_the_same_tables(run, faces):
    out, results = run
    counting = Counting()
    methods = [replace(m, make=counting) if m.name != "SPADE" else m for m in METHODS]
    again = evaluate_methods(methods, faces, faces.indices("test"), Judges(), out, counts=COUNTS)
    assert counting.calls == 0 and (again.markdown(), again.csv()) == (results.markdown(), results.csv())
    assert again._repr_html_() == results._repr_html_()
    assert (out / "tables.md").read_text() == results.markdown() and (out / "tables.csv").read_text() == results.csv()


@pytest.mark.parametrize("error", [NameError("name 'typo'"), RuntimeError("out of memory"), CheckpointError("full")])
def test_what_is_no_fault_of_the_method_stops_the_run(faces, tmp_path, error):
    def breaks(request):
        raise error

    with pytest.raises(type(error), match=str(error)):
        evaluate_methods([method(breaks)], faces, faces.indices("test"), Judges(), tmp_path, counts=FEW)


@pytest.mark.parametrize(("some", "split"), [(METHODS[:1], "val"), (METHODS[4:5], "test")])
def test_where_nothing_can_be_compared_there_is_no_table(faces, tmp_path, some, split):
    with pytest.raises(DataError, match="nothing to compare"):
        evaluate_methods(some, faces, faces.indices(split), Judges(), tmp_path, counts=FEW)
    assert not (tmp_path / "tables.md").exists()


def test_a_photo_to_compare_with_is_looked_at_once(faces, tmp_path, monkeypatch):
    seen, of_set = [], Grader.of_set

    def counted(grader, indices):
        seen.extend(indices)
        return of_set(grader, indices)

    monkeypatch.setattr(Grader, "of_set", counted)
    results = evaluate_methods(METHODS[2:3], faces, faces.indices("test"), Judges(), tmp_path, counts=FEW)
    assert sorted(seen) == faces.indices("train").tolist()
    smiling = np.array([k for k in seen if faces.attribute("Smiling")[k] > 0])
    kernel = columns_of(TRANSFER, of_set(Grader(faces, Judges()), smiling))[-1]
    alone = kernel.cell(results.graded[TRANSFER]["DMN"])
    assert cell(results, TRANSFER, "DMN", kernel.measure.name).value == pytest.approx(alone.value, abs=1e-6)


def test_nine_photos_are_no_set_to_compare_with(faces, tmp_path):
    results = evaluate_methods(METHODS[2:3], faces, np.arange(79), Judges(), tmp_path, counts=FEW)
    assert len(results.graded[STYLE_COPY]["DMN"]) == 11
    assert not any(column.name == FRECHET.name for table in results.tables.values() for column in table.columns)


def test_four_faces_say_what_they_cannot_tell(tmp_path):
    faces = pack(tmp_path / "four", 4, lambda k, face: face.update(pose=None))
    results = evaluate_methods(METHODS[:4], faces, np.arange(4), Judges(), tmp_path / "out")
    assert list(results.tables) == [STYLE_COPY, RECONSTRUCTION]
    assert "pose" in results.missing[TRANSFER] and "pose" in results.missing[VERIFICATION]
    for table in results.tables.values():
        assert any("Fewer than 10 pairs" in note for note in table.notes) and FRECHET not in table.columns
    shown = results.markdown()
    assert shown.index("Attribute transfer") < shown.index("4 faces have no known pose") < shown.index("Style copy")
    assert "have no known pose" in results._repr_html_()
    assert "Fewer than" in readme_section(results) and "have no known pose" in readme_section(results)


def test_who_sets_the_threshold_of_the_identity_table(faces, tmp_path):
    nobody = evaluate_methods(
        METHODS[2:4], faces, faces.indices("test"), Judges(identity_net=None), tmp_path / "a", counts=FEW
    )
    assert "identity net" in nobody.missing[VERIFICATION] and len(nobody.tables) == 3
    assert "identity similarity" not in nobody.tables[TRANSFER].markdown()
    everybody = evaluate_methods(METHODS[:3], faces, np.arange(len(faces)), Judges(), tmp_path / "b", counts=FEW)
    halves, no_photo_left = everybody.tables[VERIFICATION], everybody.tables[TRANSFER]
    assert [row.name for row in halves.rows] == ["copy of the target", "copy of the source", "DMN"]
    assert "the fixed threshold is the other half of the pairs'" in halves.markdown()
    assert FRECHET not in no_photo_left.columns
    shared = pack(tmp_path / "toy", 44, lambda k, face: face.update(identity=k // 4))  # each twice in either split
    results = evaluate_methods(METHODS[2:3], shared, shared.indices("test"), Judges(), tmp_path / "c", counts=FEW)
    assert "No other person is known on two photos" in results.tables[VERIFICATION].markdown()


# ---- for weights in files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Untrained judges, and two DMNs."""
    folder, card = tmp_path_factory.mktemp("files"), {"image_size": 32, "data": "nothing", "preset": {}}
    torch.manual_seed(0)
    networks = {
        "parser": FaceParser(width=2),
        "attributes": AttributeNet(["Smiling", "Male"], width=2),
        "identity": IdentityNet(32, 4, width=2),
        "pose": PoseNet(width=2),
        "one": DenseMappingNetwork(width=2, blocks=1, style_width=2),
        "two": DenseMappingNetwork(width=2, blocks=1, style_width=2),
    }
    for name, network in networks.items():
        save_weights(folder / f"{name}.safetensors", network, card)
    return folder


def test_the_command_writes_the_tables_of_named_weights(files, tmp_path, capsys):
    packed = pack_toy_faces(tmp_path / "toy", 24, splits=("train", "test"))
    networks = [f"First={files / 'one.safetensors'}", f"Second={files / 'two.safetensors'}"]
    arguments = ["--data", str(packed.folder), "--judges", str(files), "--out", str(tmp_path / "out"), "--pairs", "6"]
    assert main(["evaluate", "tables", *arguments, "--networks", *networks]) == 0
    table = (tmp_path / "out" / "tables.md").read_text()
    assert table in capsys.readouterr().out and "| First |" in table and "| Second |" in table
    assert "trained here on nothing" in table and "| Second |" not in (ROOT / "README.md").read_text()
    lines = (tmp_path / "out" / "tables.csv").read_text().splitlines()
    assert {line.split(",")[8] for line in lines if "PSNR" in line} == {"6"}


def test_judges_can_be_replaced_by_other_and_published_weights(files, tmp_path):
    save_weights(tmp_path / "wide.safetensors", FaceParser(width=4), {"image_size": 64, "data": "more", "preset": {}})
    judges = judges_of(files, [f"parser={tmp_path / 'wide.safetensors'}"])
    assert judges.parser.size == 64 and judges.attribute_net.size == 32
    assert judges.origins["parser"] == "trained here on more"
    assert judges.fingerprint != shipped_judges.Judges.shipped(folder=files).fingerprint
    state = {name: torch.zeros(shape) for name, shape in hopenet_layout([1, 1, 1, 1]).items()}
    torch.save(state, tmp_path / "hopenet.pkl")
    judges = judges_of(files, [f"pose=hopenet:{tmp_path / 'hopenet.pkl'}"])
    assert judges.origins["pose"].startswith("published: HopeNet")
    with pytest.raises(CheckpointError, match="hopenet is no judge of identity, but of pose"):
        judges_of(files, [f"identity=hopenet:{tmp_path / 'hopenet.pkl'}"])
    for wrong in ("parser", "parser=", "nose=x.safetensors", "=x"):
        with pytest.raises(CheckpointError, match="names no judge: write ROLE=FILE"):
            judges_of(files, [wrong])


def test_only_what_makes_faces_is_compared_each_by_one_name(files):
    with pytest.raises(TrainingError, match="Parser is a FaceParser, which makes no faces: take one of Dense"):
        methods_of({"Parser": files / "parser.safetensors"})
    assert named_weights(["DMN, longer=a=b.safetensors"], fewest=1) == {"DMN, longer=a": "b.safetensors"}
    assert named_weights([]) == {}
    for wrong in (["DMN"], ["=x"], ["a=x", "a=y"]):
        with pytest.raises(TrainingError, match='as "NAME=FILE", each name once'):
            named_weights(wrong, fewest=1)
    with pytest.raises(TrainingError, match="Name two networks or more"):
        named_weights(["a=x"])


# ---- README


def test_readme_gets_the_tables_between_its_marks(run, tmp_path):
    path = tmp_path / "README.md"
    path.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    text = readme_section(run[1])
    for _ in range(2):
        write_between(path, README_BEGIN, README_END, readme_section(run[1]))
        assert path.read_text() == f"before\n<!-- results -->\n{text.strip()}\n<!-- end of results -->\nafter\n"
    assert "toy faces: nothing here compares with the paper's figures" in text
    assert "kernel distance" not in text and FRECHET.title in text


def test_readme_has_the_results_of_the_weights_that_ship():
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition(README_BEGIN)[2].partition(README_END)[0]
    for name in ("photos", *SHIPPED_METHODS):
        tables = 2 if name in NOT_RANKED else 4  # of attribute transfer and identity, all
        assert len(re.findall(rf"^\| \*?{re.escape(name)}\*? \|.*\d", section, re.M)) == tables, name
