"""``evaluate tables``: which weights are compared, by which judges, on which faces; and README's section."""

import re

import pytest
import torch
from toy_faces import pack_toy_faces

from maskgan_lib.__main__ import main
from maskgan_lib.checkpoints import CheckpointError, save_weights
from maskgan_lib.course import ROOT
from maskgan_lib.evaluation import results
from maskgan_lib.evaluation.experiment import named_weights
from maskgan_lib.evaluation.judges import Judges
from maskgan_lib.evaluation.tables import README_BEGIN, README_END
from maskgan_lib.networks import AttributeNet, DenseMappingNetwork, FaceParser, IdentityNet, PoseNet
from maskgan_lib.networks.hopenet import HopeNet
from maskgan_lib.training.stage import TrainingError


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
def faces(tmp_path_factory):
    return pack_toy_faces(tmp_path_factory.mktemp("data") / "toy", 24, splits=("train", "test"))


def test_the_command_writes_the_tables_of_named_weights(files, faces, tmp_path, capsys):
    networks = [f"First={files / 'one.safetensors'}", f"Second={files / 'two.safetensors'}"]
    arguments = ["--data", str(faces.folder), "--judges", str(files), "--out", str(tmp_path / "out"), "--pairs", "6"]
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
    judges = results.judges_of(files, [f"parser={tmp_path / 'wide.safetensors'}"])
    assert judges.parser.size == 64 and judges.attribute_net.size == 32
    assert judges.origins["parser"] == "trained here on more"
    assert judges.fingerprint != Judges.shipped(folder=files).fingerprint


def test_published_weights_can_judge(files, tmp_path):
    torch.manual_seed(0)
    network = HopeNet(layers=(1, 1, 1, 1))
    torch.save(network.state_dict(), tmp_path / "hopenet.pkl")
    judges = results.judges_of(files, [f"pose=hopenet:{tmp_path / 'hopenet.pkl'}"])
    assert judges.origins["pose"].startswith("published: HopeNet")
    assert judges.pose(torch.rand(1, 3, 32, 32)).shape == (1, 3)
    with pytest.raises(CheckpointError, match="hopenet is no judge of identity, but of pose"):
        results.judges_of(files, [f"identity=hopenet:{tmp_path / 'hopenet.pkl'}"])


@pytest.mark.parametrize("entry", ["parser", "parser=", "nose=x.safetensors", "=x"])
def test_a_judge_that_is_not_named_right_is_refused(files, entry):
    with pytest.raises(CheckpointError, match="names no judge: write ROLE=FILE"):
        results.judges_of(files, [entry])


def test_only_a_dmn_is_compared(files):
    with pytest.raises(TrainingError, match="holds a FaceParser, where a DenseMappingNetwork is needed"):
        results.methods_of({"Parser": files / "parser.safetensors"})


def test_names_are_given_once():
    assert named_weights(["DMN, longer=a=b.safetensors"], fewest=1) == {"DMN, longer=a": "b.safetensors"}
    assert named_weights([]) == {}
    for wrong in (["DMN"], ["=x"], ["a=x", "a=y"]):
        with pytest.raises(TrainingError, match='as "NAME=FILE", each name once'):
            named_weights(wrong, fewest=1)
    with pytest.raises(TrainingError, match="Name two networks or more"):
        named_weights(["a=x"])


def test_readme_has_the_results_of_the_weights_that_ship():
    section = (ROOT / "README.md").read_text(encoding="utf-8").partition(README_BEGIN)[2].partition(README_END)[0]
    for name in ("photos", *results.SHIPPED_METHODS):
        assert len(re.findall(rf"^\| \*?{re.escape(name)}\*? \|.*\d", section, re.M)) >= 3, name
