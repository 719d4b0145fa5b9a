"""Editing behaviour simulated training: the simulated edits, and Algorithm 1 against a plain second writing of it."""

import copy

import numpy as np
import plain
import pytest
import torch
from accelerate import Accelerator
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_runs import TINY, untrained_maskvae
from toy_networks import assert_same_gradients, numbers

from maskgan_lib.checkpoints import load_weights
from maskgan_lib.data.batches import Batches
from maskgan_lib.networks import one_hot
from maskgan_lib.training.ebst import simulate_edits
from maskgan_lib.training.stages import make_stage, train_all


@pytest.fixture(scope="module")
def maskvae(faces, tmp_path_factory):
    return load_weights(untrained_maskvae(tmp_path_factory.mktemp("vae")))


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


def test_soft_edits_are_the_decoders_probabilities_and_no_gradient_reaches_either(faces, maskvae):
    """So a straight-through estimator, whose values are the hard ones, would train the same networks."""
    batch = Batches(faces, np.arange(len(faces)), 3, references=True).at(0)
    mask, reference = one_hot(batch.mask), one_hot(batch.reference)
    hard, soft = (simulate_edits(maskvae, mask, reference, 2.5, hard=hard) for hard in (True, False))
    for sharp, smooth in zip(hard, soft, strict=True):
        torch.testing.assert_close(smooth.sum(dim=1), torch.ones_like(smooth[:, 0]))
        assert torch.equal(one_hot(smooth.argmax(dim=1)), sharp) and not (sharp.requires_grad or smooth.requires_grad)


# ---- Algorithm 1


def test_a_step_is_algorithm_1(in_double, faces, maskvae):
    """One step against the algorithm line by line: three renders with the style encoded three times, plain autograd."""
    torch.manual_seed(0)
    vae, accelerator = copy.deepcopy(maskvae).double(), Accelerator()
    stage = make_stage("ebst", TINY, faces, maskvae=vae)
    batch = Batches(faces, faces.indices("train"), 4, references=True).at(0)
    dmn, blender, judge = (copy.deepcopy(stage.networks[n]) for n in ("dmn", "blender", "discriminator"))
    image, mask, reference = batch.image, one_hot(batch.mask), one_hot(batch.reference)
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
    inter = one_hot(vae.decode(z + (z_reference - z) / 2.5).argmax(dim=1))
    outer = one_hot(vae.decode(z - (z_reference - z) / 2.5).argmax(dim=1))
    assert (inter != outer).any()
    made_inter, made_outer = dmn(inter, image, mask), dmn(outer, image, mask)
    alpha = blender(made_inter, made_outer)[1]
    blend = alpha * made_inter + (1 - alpha) * made_outer
    second = update_judge(blend) | update_generator(for_both, blend)
    expected |= {f"blend {name}": value for name, value in second.items()}

    for name, network in (("dmn", dmn), ("blender", blender)):
        assert_same_gradients(stage.networks[name], network, rtol=1e-5, atol=1e-9)
        for ours, theirs in zip(stage.networks[name].parameters(), network.parameters(), strict=True):
            # A bias before a normalisation has a gradient of rounding errors only, of which Adam makes whole steps.
            learns = theirs.grad.abs() > 1e-10
            torch.testing.assert_close(ours[learns], theirs[learns], rtol=1e-6, atol=1e-8)
    for ours, theirs in zip(stage.networks["discriminator"].parameters(), judge.parameters(), strict=True):
        learns = theirs.grad.abs() > 1e-10 if theirs.grad is not None else slice(None)
        torch.testing.assert_close(ours[learns], theirs[learns], rtol=1e-6, atol=1e-8)
    assert numbers(losses) == pytest.approx(numbers(expected), rel=1e-6)


def test_all_stages_in_order_from_each_other(faces, tmp_path):
    logs = train_all(TINY.replace({"maskvae.steps": 3, "dmn.steps": 3, "ebst.steps": 2}), faces, tmp_path)
    assert {name: log[-1]["step"] for name, log in logs.items()} == {"maskvae": 3, "dmn": 3, "ebst": 2}
    assert {path.parent.name for path in tmp_path.rglob("*.safetensors")} == {"maskvae", "dmn", "ebst"}
    again = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.pt")}
    train_all(TINY.replace({"maskvae.steps": 3, "dmn.steps": 3, "ebst.steps": 2}), faces, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("checkpoint.pt")} == again
