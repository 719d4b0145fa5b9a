"""All tables at once by hand-made judges, ``evaluate tables`` for weights in files, and README's section."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from stub_judges import Counting, Judges, method, paint
from toy_faces import pack_toy_faces

from maskgan_lib.__main__ import main
from maskgan_lib.checkpoints import CheckpointError, save_weights
from maskgan_lib.course import ROOT
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation import judges as shipped_judges
from maskgan_lib.evaluation import results as results_module
from maskgan_lib.evaluation.columns import FRECHET, columns_of
from maskgan_lib.evaluation.experiment import named_weights
from maskgan_lib.evaluation.methods import (
    COPY_OF_THE_SOURCE,
    COPY_OF_THE_TARGET,
    RECONSTRUCTION,
    STYLE_COPY,
    TRANSFER,
    methods_of,
)
from maskgan_lib.evaluation.published import judges_of
from maskgan_lib.evaluation.results import (
    README_BEGIN,
    README_END,
    evaluate_methods,
    readme_section,
    write_readme,
)
from maskgan_lib.evaluation.shipped import SHIPPED_METHODS
from maskgan_lib.evaluation.tables import NOT_RANKED, VERIFICATION, Cell
from maskgan_lib.judges.attributes import AttributeNet
from maskgan_lib.judges.identity import IdentityNet
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.judges.pose import PoseNet
from maskgan_lib.judges.published.hopenet import HopeNet
from maskgan_lib.networks import DenseMappingNetwork
from maskgan_lib.training.stage import TrainingError

# ---- by hand-made judges


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


def test_a_photo_to_compare_with_is_looked_at_once(faces, tmp_path, monkeypatch):
    seen = []
    grade_set = results_module.grade_set

    def counted(indices, *arguments, **settings):
        seen.extend(indices)
        return grade_set(indices, *arguments, **settings)

    monkeypatch.setattr(results_module, "grade_set", counted)
    results = evaluate_methods(METHODS[2:3], faces, faces.indices("test"), Judges(), tmp_path, counts=FEW)
    assert sorted(seen) == faces.indices("train").tolist()
    smiling = np.array([k for k in seen if faces.attribute("Smiling")[k] > 0])
    alone = columns_of(TRANSFER, grade_set(smiling, faces, Judges()))[-1]
    assert alone.measure.name.startswith("kernel distance")
    made = results.graded[TRANSFER]["DMN"]
    assert cell(results, TRANSFER, "DMN", alone.measure.name).value == pytest.approx(alone.cell(made).value, abs=1e-6)


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

    monkeypatch.setattr(results_module, "grade_method", full)
    with pytest.raises(CheckpointError, match="the disk is full"):
        evaluate_methods(METHODS[:2], faces, faces.indices("test"), Judges(), tmp_path, counts=FEW)


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


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return pack_toy_faces(tmp_path_factory.mktemp("data") / "toy", 24, splits=("train", "test"))


def test_the_command_writes_the_tables_of_named_weights(files, packed, tmp_path, capsys):
    networks = [f"First={files / 'one.safetensors'}", f"Second={files / 'two.safetensors'}"]
    arguments = ["--data", str(packed.folder), "--judges", str(files), "--out", str(tmp_path / "out"), "--pairs", "6"]
    assert main(["evaluate", "tables", *arguments, "--networks", *networks]) == 0
    shown = capsys.readouterr().out
    table = (tmp_path / "out" / "tables.md").read_text()
    assert table in shown and "| First |" in table and "| Second |" in table
    assert "trained here on nothing" in table
    assert "| Second |" not in (ROOT / "README.md").read_text()
    lines = (tmp_path / "out" / "tables.csv").read_text().splitlines()
    assert {line.split(",")[-1] for line in lines if "PSNR" in line} == {"6"}


def test_a_judge_can_be_replaced(files, tmp_path):
    save_weights(tmp_path / "wide.safetensors", FaceParser(width=4), {"image_size": 64, "data": "more", "preset": {}})
    judges = judges_of(files, [f"parser={tmp_path / 'wide.safetensors'}"])
    assert judges.parser.size == 64 and judges.attribute_net.size == 32
    assert judges.origins["parser"] == "trained here on more"
    assert judges.fingerprint != shipped_judges.Judges.shipped(folder=files).fingerprint


def test_published_weights_can_judge(files, tmp_path):
    torch.manual_seed(0)
    network = HopeNet(layers=(1, 1, 1, 1))
    torch.save(network.state_dict(), tmp_path / "hopenet.pkl")
    judges = judges_of(files, [f"pose=hopenet:{tmp_path / 'hopenet.pkl'}"])
    assert judges.origins["pose"].startswith("published: HopeNet")
    assert judges.pose(torch.rand(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(CheckpointError, match="hopenet is no judge of identity, but of pose"):
        judges_of(files, [f"identity=hopenet:{tmp_path / 'hopenet.pkl'}"])


@pytest.mark.parametrize("entry", ["parser", "parser=", "nose=x.safetensors", "=x"])
def test_a_judge_that_is_not_named_right_is_refused(files, entry):
    with pytest.raises(CheckpointError, match="names no judge: write ROLE=FILE"):
        judges_of(files, [entry])


def test_only_what_makes_faces_is_compared(files):
    with pytest.raises(TrainingError, match="Parser is a FaceParser, which makes no faces: take one of Dense"):
        methods_of({"Parser": files / "parser.safetensors"})


def test_names_are_given_once():
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
    write_readme(path, run[1])
    once = path.read_text()
    assert once == f"before\n<!-- results -->\n{text.strip()}\n<!-- end of results -->\nafter\n"
    write_readme(path, run[1])
    assert path.read_text() == once
    assert "procedural" not in text and "toy faces: nothing here compares with the paper's figures" in text
    assert "evaluate tables --write-back" in text and "kernel distance" not in text and FRECHET.title in text


def test_readme_has_the_results_of_the_weights_that_ship():
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition(README_BEGIN)[2].partition(README_END)[0]
    for name in ("photos", *SHIPPED_METHODS):
        tables = 2 if name in NOT_RANKED else 4  # of attribute transfer and identity, all
        assert len(re.findall(rf"^\| \*?{re.escape(name)}\*? \|.*\d", section, re.M)) == tables, name
