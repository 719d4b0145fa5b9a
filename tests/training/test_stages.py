"""The stages: where they start, the updates themselves, and that they learn."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tiny_runs import TINY, after_step, flat, press_ctrl_c
from toy_faces import pack_toy_faces

from maskgan_lib.checkpoints import load_state, load_weights, read_card
from maskgan_lib.data.batches import Batches
from maskgan_lib.evaluation.metrics import confusion_matrix, pixel_accuracy, psnr
from maskgan_lib.networks import one_hot
from maskgan_lib.training.loop import TrainingError
from maskgan_lib.training.stages import make_stage, train_stage

# ---- starting from another run


def test_init_starts_from_another_runs_networks(uninterrupted, tmp_path, monkeypatch):
    bigger = pack_toy_faces(tmp_path / "bigger", 4, size=64)
    stage_class, first = type(make_stage("dmn", TINY, 64)), {}
    step = stage_class.step

    def keep_start(self, batch, accelerator):
        if not first:
            first.update({name: copy.deepcopy(network.state_dict()) for name, network in self.networks.items()})
        return step(self, batch, accelerator)

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
    with pytest.raises(TrainingError, match="holds no checkpoint"):
        train_stage("dmn", TINY, faces, tmp_path / "run", steps=1, init=tmp_path)
    with pytest.raises(TrainingError, match="not of this stage and preset"):
        train_stage("dmn", replace(TINY, dmn_width=8), faces, tmp_path / "run", steps=1, init=uninterrupted["dmn"])
    with pytest.raises(TrainingError, match="not of this stage and preset"):
        train_stage("maskvae", TINY, faces, tmp_path / "run", steps=1, init=uninterrupted["dmn"])


# ---- the step of the DMN


@pytest.fixture
def dmn_step(faces):
    torch.manual_seed(0)
    stage = make_stage("dmn", TINY, 32)
    batch = Batches(faces, faces.indices("train"), 4).at(0)
    mask = one_hot(batch.mask)
    return stage, batch, mask, stage.networks["dmn"](mask, batch.image, mask), Accelerator()


def snapshot(network) -> tuple[list[torch.Tensor], list[torch.Tensor | None]]:
    return [p.detach().clone() for p in network.parameters()], [
        None if p.grad is None else p.grad.clone() for p in network.parameters()
    ]


def unchanged(network, before) -> bool:
    now = snapshot(network)
    same = [torch.equal(a, b) for a, b in zip(now[0], before[0], strict=True)]
    return all(same) and all(a is b is None or torch.equal(a, b) for a, b in zip(now[1], before[1], strict=True))


def test_each_update_leaves_the_other_network_alone(dmn_step):
    stage, batch, mask, made, accelerator = dmn_step
    dmn, discriminator = stage.networks["dmn"], stage.networks["discriminator"]
    before = snapshot(dmn), snapshot(discriminator)
    stage.update_discriminator(mask, batch.image, made.detach(), accelerator)
    assert unchanged(dmn, before[0]) and not unchanged(discriminator, before[1])
    before = snapshot(dmn), snapshot(discriminator)
    stage.update_generator(mask, batch.image, made, accelerator)
    assert unchanged(discriminator, before[1]) and not unchanged(dmn, before[0])
    assert all(p.requires_grad for p in discriminator.parameters())


def test_a_step_is_the_papers(dmn_step):
    """Gradients of one step against plain autograd of the equations, with the authors' weights."""
    stage, batch, mask, _, accelerator = dmn_step
    dmn, judge = copy.deepcopy(stage.networks["dmn"]), copy.deepcopy(stage.networks["discriminator"])
    losses = stage.step(batch, accelerator)

    made = dmn(mask, batch.image, mask)
    real_scores = [scale[-1] for scale in judge(mask, batch.image)]
    made_scores = [scale[-1] for scale in judge(mask, made.detach())]
    on_real, on_made = sum(((s - 1) ** 2).mean() for s in real_scores), sum((s**2).mean() for s in made_scores)
    discriminator_loss = (on_real + on_made) / 2
    optimizer = torch.optim.Adam(judge.parameters(), lr=TINY.dmn_lr, betas=(0.5, 0.999))
    discriminator_loss.backward()
    for ours, theirs in zip(stage.networks["discriminator"].parameters(), judge.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-6)
    optimizer.step()

    judge.load_state_dict(stage.networks["discriminator"].state_dict())  # equal up to Adam's share of rounding errors
    real_maps, made_maps = judge(mask, batch.image), judge(mask, made)
    adversarial = sum(((scale[-1] - 1) ** 2).mean() for scale in made_maps)
    feature = sum(
        (a.detach() - b).abs().mean()
        for r, m in zip(real_maps, made_maps, strict=True)
        for a, b in zip(r[:-1], m[:-1], strict=True)
    )
    perceptual = stage.perceptual(made, batch.image)
    (adversarial + 5 * feature + 10 * perceptual).backward()
    for ours, theirs in zip(stage.networks["dmn"].parameters(), dmn.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5)
    expected = {
        "discriminator": discriminator_loss,
        "adversarial": adversarial,
        "feature": feature / 2,
        "perceptual": perceptual,
    }
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


def test_dmn_memorises_two_faces(tmp_path):
    faces = pack_toy_faces(tmp_path / "two", 2)
    preset = replace(TINY, dmn_width=8, dmn_batch=2, dmn_lr=2e-3, log_every=50, checkpoint_every=999, sample_every=999)
    start = make_stage("dmn", preset, 32).networks["dmn"]
    train_stage("dmn", preset, faces, tmp_path / "run", steps=120)
    batch = Batches(faces, np.arange(2), 2).at(0)
    mask = one_hot(batch.mask)
    with torch.no_grad():
        before, after = (
            psnr(network(mask, batch.image, mask), batch.image).min().item()
            for network in (start, load_weights(tmp_path / "run" / "dmn.safetensors"))
        )
    assert after > 20 > before + 5
