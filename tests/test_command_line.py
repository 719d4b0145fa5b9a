"""python -m maskgan_lib, from faces to a published network, and what it says when something is wrong."""

import json
import shutil
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from maskgan_lib import faces
from maskgan_lib.__main__ import main
from maskgan_lib.checkpoints import load_weights, read_card, save_weights
from maskgan_lib.classes import FLIPPED_ID
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.judges import PRETRAINED
from maskgan_lib.methods.secgan import SeCGANGenerator


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces") / "packed"
    assert main(["faces", str(folder), "--count", "60", "--size", "64", "--seed", "5", "--workers", "1"]) == 0
    return folder


def train(stage, packed, out, *options, steps=1):
    run = ["--data", packed, "--out", out, "--preset", "smoke", "--steps", steps]
    return main([*map(str, ["train", stage, *run, *options])])


def evaluate(what, weights, packed, *options):
    return main([*map(str, ["evaluate", what, "--weights", weights, "--data", packed, *options])])


@pytest.mark.parametrize(
    "stage", ["maskvae", "dmn", "pix2pixhd-m", "spade", "stargan", "elegant", "parser", "attributes", "selfsupervised"]
)
def test_train_evaluate_and_publish(packed, tmp_path, capsys, stage):
    run, out = tmp_path / "run", tmp_path / "published" / f"{stage}.safetensors"
    assert train(stage, packed, run, steps=2) == 0
    assert train(stage, packed, run, steps=2) == 1
    assert "resume" in capsys.readouterr().err
    (weights,) = run.glob("*.safetensors")
    assert evaluate(stage, weights, packed, "--publish", out) == 0

    printed, card = capsys.readouterr().out, read_card(out)
    assert weights.stem == ("dmn" if stage == "pix2pixhd-m" else stage)
    assert type(load_weights(out)) is type(load_weights(weights))
    assert card["steps"] == 2 and card["preset"]["name"] == "smoke"
    assert max(figure["faces"] for figure in card["figures"]) == len(PackedFaces.open(packed).indices("test"))
    assert out.stat().st_size < 0.6 * weights.stat().st_size
    for figure in card["figures"]:
        assert figure["name"] in printed and figure["name"] in out.with_suffix(".md").read_text()


@pytest.mark.parametrize(
    ("source", "said"),
    [("CelebAMask-HQ, 4 faces", "non-commercial"), ("label folder (bisenet)", "the terms of these hold for it")],
)
def test_what_has_seen_photographs_says_under_which_terms(packed, tmp_path, capsys, source, said):
    photos = tmp_path / "photos"
    shutil.copytree(packed, photos)
    about = json.loads((photos / "faces.json").read_text())
    (photos / "faces.json").write_text(json.dumps(about | {"source": source}))
    assert train("parser", photos, tmp_path / "run", "--set", "augment=1") == 0
    weights, out = tmp_path / "run" / "parser.safetensors", tmp_path / "published" / "parser.safetensors"
    assert evaluate("parser", weights, photos, "--publish", out) == 0
    assert said in out.with_suffix(".md").read_text() and "Apache" not in out.with_suffix(".md").read_text()
    for init in (tmp_path / "run", weights):  # what goes on from it on drawn faces has seen them, too
        again = tmp_path / f"from-{init.name}"
        assert train("parser", packed, again, "--init", init) == 0
        assert said in read_card(again / "parser.safetensors")["terms"]
    capsys.readouterr()
    load_weights(out)
    assert "parser.safetensors: " in (words := capsys.readouterr().err) and said in words
    load_weights(PRETRAINED / "parser.safetensors")
    assert capsys.readouterr().err == ""


def test_weights_of_another_network_are_named(packed, capsys):
    assert evaluate("spade", PRETRAINED / "maskvae.safetensors", packed) == 1
    said = capsys.readouterr().err
    assert "MaskVAE" in said and "SPADEGenerator" in said


def test_settings_of_a_preset_reach_the_network(packed, tmp_path, capsys):
    assert train("dmn", packed, tmp_path, "--set", "dmn.width=6", "--set", "dmn.style_mask=none") == 0
    network = load_weights(tmp_path / "dmn.safetensors")
    assert (network.config["width"], network.config["mask_branch"]) == (6, False)
    assert read_card(tmp_path / "dmn.safetensors")["preset"]["name"] == "smoke, dmn.width=6, dmn.style_mask=none"
    assert train("dmn", packed, tmp_path, "--set", "wings=2") == 1
    assert "wings" in capsys.readouterr().err


def test_a_parser_of_merged_classes_is_trained_and_measured(packed, tmp_path, capsys):
    assert train("parser", packed, tmp_path, "--set", "parser.classes=12") == 0
    weights = tmp_path / "parser.safetensors"
    assert load_weights(weights).config["num_classes"] == 12
    assert evaluate("parser", weights, packed) == 0
    assert "pixel accuracy" in capsys.readouterr().out


def test_backbone_of_secgan_is_chosen(packed, tmp_path, capsys):
    assert train("secgan", packed, tmp_path, "--backbone", "attgan", "--set", "secgan.variant=baseline") == 0
    assert load_weights(tmp_path / "g_rgb.safetensors").config["backbone"] == "attgan"
    assert train("parser", packed, tmp_path / "parser", "--backbone", "attgan") == 1
    assert "--backbone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "branch", "figure"),
    [("secgan-faces", "rgb", "Smiling given"), ("secgan-masks", "seg", "share of pixels given back")],
)
def test_secgan_is_measured_at_the_size_that_it_learnt_at(packed, tmp_path, what, branch, figure):
    weights, out = tmp_path / "weights.safetensors", tmp_path / "published.safetensors"
    card = {**read_card(PRETRAINED / "stargan.safetensors"), "image_size": 32}
    save_weights(weights, SeCGANGenerator(branch=branch, width=4, blocks=1), card)
    assert evaluate(what, weights, packed, "--publish", out) == 0
    text = out.with_suffix(".md").read_text()
    assert "resized to 32 x 32 pixels" in text and figure in text


def test_practice_layout_is_prepared(tmp_path):
    layout, out = tmp_path / "CelebAMask-HQ", tmp_path / "packed"
    command = ["faces", str(layout), "--layout", "celebamask-hq", "--count", "3", "--size", "256", "--workers", "1"]
    assert main(command) == 0
    assert main(["prepare", str(layout), "--size", "64", "--out", str(out), "--workers", "1"]) == 0
    assert len(PackedFaces.open(out)) == 3 and PackedFaces.open(out).size == 64


def test_expressions_that_the_layout_cannot_have_are_refused(tmp_path, capsys):
    assert main(["faces", str(tmp_path / "faces"), "--layout", "celebamask-hq", "--expressions", "2"]) == 1
    assert "--expressions" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_what_is_odd_is_a_note_of_one_line(tmp_path, capsys):
    """And warnings are as they were for whoever called."""
    face, before = faces.render(faces.sample(5, 3), 64), warnings.showwarning
    Image.fromarray(face.image).save(tmp_path / "face.png")
    Image.fromarray(FLIPPED_ID[face.labels]).save(tmp_path / "mask.png")
    files = ["--image", "face.png", "--mask", "mask.png", "--edited", "mask.png", "--out", "out.png"]
    assert main(["render", *(str(tmp_path / file) if "." in file else file for file in files)]) == 0
    notes = capsys.readouterr().err.strip().splitlines()
    assert len(notes) == 2 and all(note.startswith("note: ") and "swapped" in note for note in notes)
    assert warnings.showwarning is before


MISTAKES = [
    ("faces new --count 0", "--count"),
    ("faces new --size -64", "--size"),
    ("faces new --seed -1", "--seed"),
    ("faces new --identities 0", "--identities"),
    ("faces . --count 2", "already exists"),
    ("faces file/new --count 2", "file/new"),
    ("faces new --layout celebamask-hq --count 99999999", "99999999"),
    ("prepare nowhere --out new", "nowhere"),
    ("prepare official --out new --size 0", "--size"),
    ("prepare official --out new --limit -1", "--limit"),
    ("prepare official --out file/new", "file/new"),
    ("prepare official --out new --scheme lapa", "--scheme is for"),
    ("prepare photos --labels masks --out new --limit 2", "--limit is for"),
    ("prepare photos --labels masks --out new --exclude-known-bad", "--exclude-known-bad is for"),
    ("prepare photos --labels nowhere --out new", "nowhere"),
    ("prepare photos --labels theirs --out new", "choose the scheme bisenet"),
    ("prepare photos --labels blank --out new", "no skin"),
    ("prepare text.zip --out new", "text.zip"),
    ("train dmn --data nowhere --out new", "nowhere"),
    ("train dmn --data packed --out new --steps 0", "--steps"),
    ("train dmn --data packed --out new --seed -1", "--seed"),
    ("train dmn --data packed --out new --accumulate 3 --preset smoke", "3 equal parts"),
    ("train dmn --data packed --out file/new --preset smoke --steps 1", "file/new"),
    ("train dmn --data packed --out new --set dmn.wings=2", "wings"),
    ("train dmn --data packed --out new --set dmn.lr=fast", "dmn.lr"),
    ("train dmn --data packed --out new --set dmn.lr=-1 --preset smoke", "-1"),
    ("train dmn --data packed --out new --preset best", "best"),
    ("train ebst --data packed --out new --preset smoke", "MaskVAE"),
    ("train dmn --data packed --out new --preset smoke --init text.safetensors", "text.safetensors"),
    ("evaluate dmn --weights nowhere.safetensors --data packed", "nowhere.safetensors"),
    ("evaluate spade --weights text.safetensors --data packed", "text.safetensors"),
    ("evaluate tables --pairs 0", "--pairs"),
    ("evaluate tables --data untested --out new", "untested"),
    ("render --image photos/0.png --mask masks/0.png --edited nowhere.png --out out.png", "nowhere.png"),
    (
        "render --image photos/0.png --mask theirs/0.png --edited theirs/0.png --out out.png",
        "choose the scheme bisenet",
    ),
    ("render --image photos/0.png --mask masks/0.png --edited masks/0.png --out out.gif", "out.gif"),
    ("render --image photos/0.png --mask masks/0.png --edited masks/0.png --out file/o.png", "file/o.png"),
    ("render --image photos/0.png --mask masks/0.png --edited masks/0.png --out out.png --size 0", "--size"),
    ("render --image photos/0.png --mask masks/0.png --edited masks/0.png --out o.png --weights text.zip", "text.zip"),
    ("parse nowhere.jpg --out new", "nowhere.jpg"),
    ("parse blank/0.png --out new", "No face"),
    ("labels nowhere new", "nowhere"),
    ("labels theirs/0.png new.png --scheme lapa", "theirs/0.png"),
    ("doctor", "path"),
    ("course 99", "99"),
    ("teach 99", "99"),
]
"""What somebody may mistype, bring or mistake, and a word that the answer must hold."""


@pytest.fixture(scope="module")
def brought(tmp_path_factory, packed):
    """A folder in which the names above mean something."""
    root = tmp_path_factory.mktemp("brought")
    shutil.copytree(packed, root / "packed")
    shutil.copytree(packed, root / "untested")
    about = json.loads((root / "untested" / "faces.json").read_text())
    about["faces"] = [face | {"split": "train"} for face in about["faces"]]
    (root / "untested" / "faces.json").write_text(json.dumps(about))
    assert main(["faces", str(root / "official"), "--layout", "celebamask-hq", "--count", "2", "--size", "128"]) == 0
    face = faces.render(faces.sample(5, 3), 64)
    for folder in ("photos", "masks", "blank"):
        (root / folder).mkdir()
        picture = {"photos": face.image, "masks": face.labels, "blank": np.zeros_like(face.labels)}[folder]
        Image.fromarray(picture).save(root / folder / "0.png")
    assert main(["labels", str(root / "masks"), str(root / "theirs"), "--to", "bisenet"]) == 0
    for name in ("file", "text.zip", "text.safetensors"):
        (root / name).write_text("nothing")
    return root


@pytest.mark.parametrize(("command", "word"), MISTAKES)
def test_a_mistake_is_answered_in_one_sentence_and_nothing_is_left_behind(brought, monkeypatch, capsys, command, word):
    monkeypatch.chdir(brought)
    before = sorted(brought.rglob("*"))
    try:
        code = main(command.split())
    except SystemExit as left:  # argparse, which also prints the usage
        code = left.code
    said = capsys.readouterr().err
    assert code in (1, 2) and word in said, said
    assert "Traceback" not in said and word in said.strip().splitlines()[-1], said
    if word == "no skin":  # a bad face stops the work, which goes on when it is cured
        shutil.rmtree(brought / "new.partial")
    left_over = {path.name for path in set(brought.rglob("*")) - set(before)}
    assert not [name for name in left_over if name.endswith((".partial", ".safetensors"))], left_over


def test_a_python_without_the_packages_is_told_which_one_has_them(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "maskgan_lib.course.runner", raising=False)
    monkeypatch.setitem(sys.modules, "nbformat", None)
    assert main(["course"]) == 1
    said = capsys.readouterr().err
    assert "nbformat" in said and ".venv/bin/python" in said
    monkeypatch.setitem(sys.modules, "maskgan_lib.course.runner", None)
    with pytest.raises(ModuleNotFoundError):  # one of our own is a fault of ours
        main(["course"])
