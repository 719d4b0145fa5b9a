"""Editing behaviour simulated training: the simulated edits, and Algorithm 1 against a plain second writing of it."""

import copy
from dataclasses import replace

import numpy as np
import plain
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import TINY, train_tiny, untrained_maskvae
from toy_faces import pack_toy_faces

from maskgan_lib.checkpoints import load_weights
from maskgan_lib.data.batches import Batches
from maskgan_lib.evaluation.metrics import psnr
from maskgan_lib.networks import AlphaBlender, DenseMappingNetwork, one_hot
from maskgan_lib.training import ebst
from maskgan_lib.training.ebst import fingerprint, simulate_edits
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import make_stage, train_all, train_stage


@pytest.fixture(scope="module")
def maskvae(faces, tmp_path_factory):
    return load_weights(untrained_maskvae(tmp_path_factory.mktemp("vae")))


@pytest.fixture
def double(monkeypatch, faces, maskvae):
    """A stage, a batch and the networks in float64: a step of Adam makes whole steps of rounding errors."""
    monkeypatch.setattr(ebst, "one_hot", lambda ids, *rest: one_hot(ids, *rest, dtype=torch.float64))
    monkeypatch.setattr("maskgan_lib.training.adversarial.one_hot", lambda ids: one_hot(ids, dtype=torch.float64))
    torch.manual_seed(0)
    stage = make_stage("ebst", TINY, faces, maskvae=copy.deepcopy(maskvae).double())
    for network in (*stage.networks.values(), stage.perceptual):
        network.double()
    batch = Batches(faces, faces.indices("train"), 4, references=True).at(0)
    return stage, replace(batch, image=batch.image.double()), Accelerator()


# ---- simulated edits


@settings(max_examples=10, deadline=None)
@given(divisor=st.floats(1.0, 10.0), seed=st.integers(0, 100))
def test_edits_are_decoded_from_antiparallel_steps(faces, maskvae, divisor, seed):
    batch = Batches(faces, np.arange(len(faces)), 3, seed, references=True).at(0)
    mask, reference = one_hot(batch.mask), one_hot(batch.reference)
    z, z_reference = maskvae.encode(mask)[0], maskvae.encode(reference)[0]
    for sign, made in zip((1, -1), simulate_edits(maskvae, mask, reference, divisor), strict=True):
        logits = maskvae.decode(z + sign * (z_reference - z) / divisor)
        best = logits.topk(2, dim=1).values
        clear = best[:, 0] - best[:, 1] > 1e-4  # else a rounding error decides
        assert (made.argmax(dim=1) == logits.argmax(dim=1))[clear].all() and clear.float().mean() > 0.9
        assert made.shape == mask.shape and (made.sum(dim=1) == 1).all() and made.unique().tolist() == [0, 1]


def test_soft_edits_are_the_decoders_probabilities(faces, maskvae):
    batch = Batches(faces, np.arange(len(faces)), 3, references=True).at(0)
    mask, reference = one_hot(batch.mask), one_hot(batch.reference)
    hard, soft = (simulate_edits(maskvae, mask, reference, 2.5, hard=hard) for hard in (True, False))
    for sharp, smooth in zip(hard, soft, strict=True):
        torch.testing.assert_close(smooth.sum(dim=1), torch.ones_like(smooth[:, 0]))
        assert torch.equal(one_hot(smooth.argmax(dim=1)), sharp)


def test_no_gradient_reaches_the_edits(faces, maskvae):
    """So a straight-through estimator, whose values are the hard ones, would train the same networks."""
    batch = Batches(faces, np.arange(len(faces)), 3, references=True).at(0)
    assert all(not e.requires_grad for e in simulate_edits(maskvae, one_hot(batch.mask), one_hot(batch.reference)))


# ---- Algorithm 1


def test_a_step_is_algorithm_1(double, maskvae):
    """One step against the algorithm line by line: three renders with the style encoded three times, plain autograd."""
    stage, batch, accelerator = double
    dmn, blender, judge = (copy.deepcopy(stage.networks[n]) for n in ("dmn", "blender", "discriminator"))
    vae, image = copy.deepcopy(maskvae).double(), batch.image
    mask, reference = (one_hot(m, dtype=torch.float64) for m in (batch.mask, batch.reference))
    losses = stage.step([batch], accelerator)

    adam = {"lr": TINY.ebst.lr, "betas": (0.5, 0.999)}
    for_dmn = torch.optim.Adam(dmn.parameters(), **adam)
    for_judge = torch.optim.Adam(judge.parameters(), **adam)
    for_both = torch.optim.Adam([*dmn.parameters(), *blender.parameters()], **adam)
    expected = {}

    def update_judge(made):
        for_judge.zero_grad()
        loss = plain.discriminator_loss(judge, mask, image, made.detach())
        loss.backward()
        for_judge.step()
        return {"discriminator": loss}

    def update_generator(optimizer, made):
        optimizer.zero_grad()
        loss, terms = plain.generator_loss(judge, stage.perceptual, mask, image, made)
        loss.backward()
        optimizer.step()
        return terms

    made = dmn(mask, image, mask)
    expected |= update_judge(made) | update_generator(for_dmn, made)

    z, z_reference = vae.encode(mask)[0], vae.encode(reference)[0]
    inter = one_hot(vae.decode(z + (z_reference - z) / 2.5).argmax(dim=1), dtype=torch.float64)
    outer = one_hot(vae.decode(z - (z_reference - z) / 2.5).argmax(dim=1), dtype=torch.float64)
    assert (inter != outer).any()
    made_inter, made_outer = dmn(inter, image, mask), dmn(outer, image, mask)
    alpha = blender(made_inter, made_outer)[1]
    blend = alpha * made_inter + (1 - alpha) * made_outer
    second = update_judge(blend) | update_generator(for_both, blend)
    expected |= {f"blend {name}": value for name, value in second.items()}

    for name, network in (("dmn", dmn), ("blender", blender)):
        plain.assert_same_gradients(stage.networks[name], network, rtol=1e-5, atol=1e-9)
        for ours, theirs in zip(stage.networks[name].parameters(), network.parameters(), strict=True):
            # A bias before a normalisation has a gradient of rounding errors only, of which Adam makes whole steps.
            learns = theirs.grad.abs() > 1e-10
            torch.testing.assert_close(ours[learns], theirs[learns], rtol=1e-6, atol=1e-8)
    for ours, theirs in zip(stage.networks["discriminator"].parameters(), judge.parameters(), strict=True):
        learns = theirs.grad.abs() > 1e-10 if theirs.grad is not None else slice(None)
        torch.testing.assert_close(ours[learns], theirs[learns], rtol=1e-6, atol=1e-8)
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(
        {k: v.item() for k, v in expected.items()}, rel=1e-6
    )


def test_the_maskvae_stays_as_it_is(faces, maskvae):
    vae = copy.deepcopy(maskvae)
    stage = make_stage("ebst", TINY, faces, maskvae=vae)
    batches = Batches(faces, faces.indices("train"), 4, references=True)
    for step in range(2):
        stage.step([batches.at(step)], Accelerator())
    assert all(p.grad is None and not p.requires_grad for p in vae.parameters()) and not vae.training
    learnt = {id(p) for o in stage.optimizers.values() for group in o.param_groups for p in group["params"]}
    assert learnt.isdisjoint(id(p) for p in vae.parameters())
    assert fingerprint(vae) == fingerprint(maskvae)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), spread=st.floats(0.1, 30))
def test_the_blend_is_exact_and_alpha_a_share(seed, spread):
    torch.manual_seed(seed)
    blender = AlphaBlender(4, blocks=1).double()
    blender.body.last.weight.data.mul_(spread)
    inter, outer = torch.rand(2, 2, 3, 32, 32, dtype=torch.float64) * 2 - 1
    blend, alpha = blender(inter, outer)
    assert alpha.min() >= 0 and alpha.max() <= 1
    torch.testing.assert_close(blend, alpha * inter + (1 - alpha) * outer, rtol=0, atol=1e-12)


def test_several_masks_share_a_style():
    torch.manual_seed(0)
    dmn = DenseMappingNetwork(width=4, blocks=2, style_width=4).double()
    image = torch.rand(2, 3, 32, 32, dtype=torch.float64) * 2 - 1
    own, first, second = (one_hot(torch.randint(0, 19, (2, 32, 32)), dtype=torch.float64) for _ in range(3))
    together = dmn(torch.cat([first, second]), image, own)
    apart = torch.cat([dmn(first, image, own), dmn(second, image, own)])
    torch.testing.assert_close(together, apart, rtol=1e-9, atol=1e-11)
    with pytest.raises(ValueError, match="3 masks and 2 styles"):
        dmn(torch.cat([first, second])[:3], image, own)


# ---- what it starts from


def test_it_needs_a_maskvae_of_its_size(faces, tmp_path, maskvae, uninterrupted):
    with pytest.raises(TrainingError, match=r"needs a trained MaskVAE.*--maskvae"):
        train_stage("ebst", TINY, faces, tmp_path / "run")
    with pytest.raises(TrainingError, match="holds a DenseMappingNetwork, where a MaskVAE is needed"):
        train_stage("ebst", TINY, faces, tmp_path / "run", maskvae=uninterrupted["dmn"] / "dmn.safetensors")
    with pytest.raises(TrainingError, match="masks of 32 pixels a side, the faces have 64"):
        make_stage("ebst", TINY, pack_toy_faces(tmp_path / "bigger", 4, size=64), maskvae=maskvae)


def test_another_maskvae_is_another_run(faces, uninterrupted, tmp_path):
    with pytest.raises(TrainingError, match=r"maskvae \w{12} there, \w{12} here"):
        train_stage(
            "ebst",
            TINY,
            faces,
            uninterrupted["ebst"],
            steps=7,
            seed=3,
            resume=True,
            maskvae=uninterrupted["maskvae"] / "maskvae.safetensors",
        )


def test_all_stages_in_order_from_each_other(faces, tmp_path):
    logs = train_all(TINY.replace({"maskvae.steps": 3, "dmn.steps": 3, "ebst.steps": 2}), faces, tmp_path)
    assert {name: log[-1]["step"] for name, log in logs.items()} == {"maskvae": 3, "dmn": 3, "ebst": 2}
    assert {path.parent.name for path in tmp_path.rglob("*.safetensors")} == {"maskvae", "dmn", "ebst"}
    again = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.pt")}
    train_all(TINY.replace({"maskvae.steps": 3, "dmn.steps": 3, "ebst.steps": 2}), faces, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.pt")} == again


def test_ebst_memorises_two_faces(tmp_path):
    """Blend and reconstruction both come close to the photographs."""
    faces = pack_toy_faces(tmp_path / "two", 2)
    preset = TINY.replace({"dmn.width": 8, "ebst.batch": 2, "ebst.lr": 2e-3, "log_every": 50, "checkpoint_every": 999})
    preset = replace(preset, sample_every=999)
    train_tiny("ebst", faces, tmp_path / "run", preset, steps=120)
    dmn, blender = (load_weights(tmp_path / "run" / f"{name}.safetensors") for name in ("dmn", "blender"))
    batch = Batches(faces, np.arange(2), 2, references=True).at(0)
    mask = one_hot(batch.mask)
    vae = load_weights(untrained_maskvae(tmp_path))
    with torch.no_grad():
        made = dmn(mask, batch.image, mask)
        edits = torch.cat(simulate_edits(vae, mask, one_hot(batch.reference)))
        blend, _ = blender(*dmn(edits, batch.image, mask).chunk(2))
    assert psnr(made, batch.image).min() > 19 and psnr(blend, batch.image).min() > 15
