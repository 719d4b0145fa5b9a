"""python -m maskgan_lib, from faces to a published network, and what it says when something is wrong."""

import json
import sys

import pytest

from maskgan_lib.__main__ import main
from maskgan_lib.checkpoints import load_weights, read_card, save_weights
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.judges import PRETRAINED
from maskgan_lib.judges.attributes import AttributeNet
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.judges.selfsupervised import SelfSupervisedNet
from maskgan_lib.methods.elegant import Elegant
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.methods.spade import SPADEGenerator
from maskgan_lib.methods.stargan import StarGANGenerator
from maskgan_lib.networks import DenseMappingNetwork, MaskVAE


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces") / "packed"
    assert main(["faces", str(folder), "--count", "60", "--size", "64", "--seed", "5", "--workers", "1"]) == 0
    return folder


@pytest.mark.parametrize(
    ("stage", "kind"),
    [
        ("maskvae", MaskVAE),
        ("dmn", DenseMappingNetwork),
        ("pix2pixhd-m", DenseMappingNetwork),
        ("spade", SPADEGenerator),
        ("stargan", StarGANGenerator),
        ("elegant", Elegant),
        ("parser", FaceParser),
        ("attributes", AttributeNet),
        ("selfsupervised", SelfSupervisedNet),
    ],
)
def test_train_evaluate_and_publish(packed, tmp_path, capsys, stage, kind):
    run, out = tmp_path / "run", tmp_path / "published" / f"{stage}.safetensors"
    train = ["train", stage, "--data", str(packed), "--out", str(run), "--preset", "smoke", "--steps", "2"]
    assert main(train) == 0
    assert main(train) == 1
    assert "resume" in capsys.readouterr().err
    (weights,) = run.glob("*.safetensors")
    assert main(["evaluate", stage, "--weights", str(weights), "--data", str(packed), "--publish", str(out)]) == 0

    printed = capsys.readouterr().out
    card = read_card(out)
    tested = len(PackedFaces.open(packed).indices("test"))
    assert isinstance(load_weights(out), kind)
    assert card["steps"] == 2 and card["preset"]["name"] == "smoke"
    assert max(figure["faces"] for figure in card["figures"]) == tested
    assert out.stat().st_size < 0.6 * weights.stat().st_size
    for figure in card["figures"]:
        assert figure["name"] in printed and figure["name"] in out.with_suffix(".md").read_text()


def test_weights_of_another_network_are_named(packed, capsys):
    weights = PRETRAINED / "maskvae.safetensors"
    assert main(["evaluate", "spade", "--weights", str(weights), "--data", str(packed)]) == 1
    assert "holds a MaskVAE, where a SPADEGenerator is measured" in capsys.readouterr().err


def test_a_parser_of_merged_classes_is_trained_and_measured(packed, tmp_path, capsys):
    run = ["--data", str(packed), "--out", str(tmp_path), "--preset", "smoke", "--steps", "2"]
    assert main(["train", "parser", *run, "--set", "parser.classes=12"]) == 0
    weights = tmp_path / "parser.safetensors"
    assert load_weights(weights).config["num_classes"] == 12 and read_card(weights)["preset"]["parser"]["classes"] == 12
    assert main(["evaluate", "parser", "--weights", str(weights), "--data", str(packed)]) == 0
    assert "pixel accuracy" in capsys.readouterr().out


def test_backbone_of_secgan_is_chosen(packed, tmp_path, capsys):
    run = ["--data", str(packed), "--preset", "smoke", "--steps", "1", "--backbone", "attgan"]
    baseline = [*run, "--out", str(tmp_path), "--set", "secgan.variant=baseline"]
    assert main(["train", "secgan", *baseline]) == 0
    assert load_weights(tmp_path / "g_rgb.safetensors").config["backbone"] == "attgan"
    capsys.readouterr()
    assert main(["train", "parser", *run, "--out", str(tmp_path / "parser")]) == 1
    assert "--backbone is secgan's: leave it out with parser." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "branch", "figure"),
    [("secgan-faces", "rgb", "Smiling given"), ("secgan-masks", "seg", "share of pixels given back")],
)
def test_secgan_is_measured_at_the_size_that_it_learnt_at(packed, tmp_path, capsys, what, branch, figure):
    weights, out = tmp_path / "weights.safetensors", tmp_path / "published.safetensors"
    card = {**read_card(PRETRAINED / "stargan.safetensors"), "image_size": 32}
    save_weights(weights, SeCGANGenerator(branch=branch, width=4, blocks=1), card)
    assert main(["evaluate", what, "--weights", str(weights), "--data", str(packed), "--publish", str(out)]) == 0
    assert "resized to 32 x 32 pixels, at which the network learnt" in capsys.readouterr().out
    text = out.with_suffix(".md").read_text()
    assert "resized to 32 x 32 pixels" in text and figure in text


def test_practice_layout_is_prepared(tmp_path, capsys):
    layout, out = tmp_path / "CelebAMask-HQ", tmp_path / "packed"
    command = ["faces", str(layout), "--layout", "celebamask-hq", "--count", "3", "--size", "256", "--workers", "1"]
    assert main(command) == 0
    assert main(["prepare", str(layout), "--size", "64", "--out", str(out), "--workers", "1"]) == 0
    assert len(PackedFaces.open(out)) == 3
    assert json.loads((out / "faces.json").read_text())["size"] == 64


@pytest.mark.parametrize(
    "command",
    [
        ["train", "dmn", "--data", "nowhere", "--out", "run"],
        ["prepare", "nowhere", "--out", "packed"],
        ["evaluate", "dmn", "--weights", "nowhere.safetensors", "--data", "nowhere"],
    ],
)
def test_what_is_missing_is_said_in_one_line(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "nowhere" in said and said.count("\n") == 1


@pytest.mark.parametrize(("missing", "explained"), [("nbformat", True), ("maskgan_lib.course.runner", False)])
def test_a_python_without_the_packages_is_told_which_one_has_them(missing, explained, monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "maskgan_lib.course.runner", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)
    if explained:
        assert main(["course"]) == 1
        assert f"has no {missing}: use .venv/bin/python" in capsys.readouterr().err
    else:
        with pytest.raises(ModuleNotFoundError):
            main(["course"])


def test_a_setting_of_a_preset_reaches_the_network(packed, tmp_path, capsys):
    train = ["train", "dmn", "--data", str(packed), "--out", str(tmp_path), "--preset", "smoke", "--steps", "1"]
    assert main([*train, "--set", "dmn.width=6", "--set", "dmn.style_mask=none"]) == 0
    network = load_weights(tmp_path / "dmn.safetensors")
    assert (network.config["width"], network.config["mask_branch"]) == (6, False)
    assert read_card(tmp_path / "dmn.safetensors")["preset"]["name"] == "smoke, dmn.width=6, dmn.style_mask=none"
    assert main([*train, "--set", "wings=2"]) == 1
    assert "no 'wings'" in capsys.readouterr().err
