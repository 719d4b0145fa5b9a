"""The stages: where they start, the updates themselves, and that they learn."""

import copy
from dataclasses import replace

import numpy as np
import plain
import pytest
import torch
from accelerate import Accelerator
from tiny_runs import TINY, after_step, flat, press_ctrl_c
from toy_faces import pack_toy_faces

from maskgan_lib.checkpoints import load_state, load_weights, read_card
from maskgan_lib.data.batches import Batches
from maskgan_lib.evaluation.metrics import confusion_matrix, pixel_accuracy, psnr
from maskgan_lib.networks import one_hot
from maskgan_lib.training import stages
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

    wide = replace(TINY, dmn_width=8)
    with pytest.raises(TrainingError, match="holds no checkpoint"):
        start("dmn", tmp_path)
    with pytest.raises(TrainingError, match="not of this preset: dmn width 4 there, 8 here"):
        start("dmn", uninterrupted["dmn"], wide)
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


# ---- the step of the DMN


@pytest.fixture
def dmn_step(faces):
    torch.manual_seed(0)
    return make_stage("dmn", TINY, faces), Batches(faces, faces.indices("train"), 4).at(0), Accelerator()


def test_a_step_is_the_papers(dmn_step):
    """Gradients of one step against plain autograd of the equations, with the authors' weights."""
    stage, batch, accelerator = dmn_step
    mask = one_hot(batch.mask)
    dmn, judge = copy.deepcopy(stage.networks["dmn"]), copy.deepcopy(stage.networks["discriminator"])
    losses = stage.step([batch], accelerator)

    made = dmn(mask, batch.image, mask)
    discriminator_loss = plain.discriminator_loss(judge, mask, batch.image, made.detach())
    optimizer = torch.optim.Adam(judge.parameters(), lr=TINY.dmn_lr, betas=(0.5, 0.999))
    discriminator_loss.backward()
    plain.assert_same_gradients(stage.networks["discriminator"], judge)
    optimizer.step()

    judge.load_state_dict(stage.networks["discriminator"].state_dict())  # equal up to Adam's share of rounding errors
    loss, terms = plain.generator_loss(judge, stage.perceptual, mask, batch.image, made)
    loss.backward()
    plain.assert_same_gradients(stage.networks["dmn"], dmn)
    assert all(p.requires_grad for p in stage.networks["discriminator"].parameters())
    expected = {"discriminator": discriminator_loss, **terms}
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(
        {k: v.item() for k, v in expected.items()}, rel=1e-4
    )


# ---- they learn


def test_maskvae_memorises_two_masks(tmp_path):
    faces = pack_toy_faces(tmp_path / "two", 2)
    preset = replace(
        TINY, vae_batch=2, vae_latent=16, vae_lr=3e-3, log_every=50, checkpoint_every=999, sample_every=999
    )
    train_stage("maskvae", preset, faces, tmp_path / "run", steps=150)
    network = load_weights(tmp_path / "run" / "maskvae.safetensors")
    mask = torch.as_tensor(np.array(faces.masks))
    with torch.no_grad():
        logits, _, _ = network(one_hot(mask))
    assert pixel_accuracy(confusion_matrix(logits.argmax(dim=1), mask)) >= 0.97


@pytest.mark.parametrize("stage", ["dmn", "pix2pixhd-m"])
def test_dmn_memorises_two_faces(tmp_path, stage):
    faces = pack_toy_faces(tmp_path / "two", 2)
    preset = replace(TINY, dmn_width=8, dmn_batch=2, dmn_lr=2e-3, log_every=50, checkpoint_every=999, sample_every=999)
    start = make_stage(stage, preset, faces).networks["dmn"]
    train_stage(stage, preset, faces, tmp_path / "run", steps=120)
    batch = Batches(faces, np.arange(2), 2).at(0)
    mask = one_hot(batch.mask)
    with torch.no_grad():
        before, after = (
            psnr(network(mask, batch.image, mask), batch.image).min().item()
            for network in (start, load_weights(tmp_path / "run" / "dmn.safetensors"))
        )
    assert after > 20 > before + 5


def test_a_preset_says_how_the_style_encoder_sees_the_mask(faces):
    def encoder(style_mask):
        return make_stage("dmn", replace(TINY, style_mask=style_mask), faces).networks["dmn"].config

    assert [encoder(way)["mask_branch"] for way in ("sft", "concat", "none")] == [True, False, False]
    assert [encoder(way)["concatenate"] for way in ("sft", "concat", "none")] == [False, True, False]
    with pytest.raises(ValueError, match="style_mask must be one of sft, concat, none, not 'mask'"):
        encoder("mask")
