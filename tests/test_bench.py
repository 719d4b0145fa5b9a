"""The quick bench leaves a figure for everything it promises."""

import json
import re
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from torch.optim.swa_utils import AveragedModel
from toy_faces import pack_toy_faces

from maskgan_lib.bench import run_bench, ways
from maskgan_lib.bench.memory import OPTIONS, count_kept, count_state, estimate, stage_without_numbers
from maskgan_lib.data.batches import Batches
from maskgan_lib.networks import MaskVAE, one_hot
from maskgan_lib.presets import PRESETS
from maskgan_lib.training import adversarial, dmn, ebst
from maskgan_lib.training.ebst import EBSTStage

PROMISED = (
    ("faces", r"64 x 64, one core", "faces/s"),
    ("faces", r"128 x 128, one core", "faces/s"),
    ("faces", r"512 x 512, one core", "faces/s"),
    ("preparation", r"1024 x 1024 JPEG and parts to 512 x 512, one core", "faces/s"),
    ("preparation", r"\d+ cores", "faces/s"),
    ("batches", r"256 x 256 in random order to uint8", "faces/s"),
    ("batches", r"256 x 256 in random order to float", "faces/s"),
    ("training", r"maskvae, 64 x 64, batch 8", "steps/s"),
    ("training", r"dmn, 64 x 64, batch 4", "steps/s"),
    ("training", r"ebst, 64 x 64, batch 4", "steps/s"),
    ("training", r"parser, 64 x 64, batch 8", "steps/s"),
    ("training", r"attributes, 64 x 64, batch 8", "steps/s"),
    ("training", r"judged in two passes over in one", "times"),
    ("edits", r"style kept", "ms"),
    ("edits", r"style encoded anew over kept", "times"),
    ("edits", r"64 x 64, editor, (float32|bfloat16)", "ms"),
    ("edits", r"encoded anew over the editor's", "times"),
    ("edits", r"a style for every region over one", "times"),
    ("training", r"ebst, a naive step over the library's", "times"),
    ("training", r"dmn, a step in channels_last over contiguous", "times"),
    *(
        ("memory", rf"ebst keeps, 64 x 64, batch 4, {option}: measured", "MB")
        for option in ("plain", "--accumulate 4", "--recompute", "both")
    ),
    *(
        ("memory", rf"ebst, {name}, batch 8, {option}: {how}", "GB")
        for name in ("colab, 256 x 256", "paper, 512 x 512")
        for option, how in (
            *(("plain", "estimated"), ("--accumulate 4", "estimated")),
            *(("--recompute", "estimated"), ("both", "estimated")),
        )
    ),
    ("memory", r"ebst, colab, 256 x 256, batch 8: state, counted", "GB"),
    ("memory", r"ebst, paper, 512 x 512, batch 8: state, counted", "GB"),
    ("memory", r"peak of this process", "MB"),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    lines: list[str] = []
    return run_bench(quick=True, json_path=path, out=lines.append), lines, json.loads(path.read_text())


@pytest.mark.parametrize(("part", "name", "unit"), PROMISED)
def test_every_figure_is_there_and_positive(part, name, unit, bench):
    found = [row for row in bench[0] if row.part == part and re.search(name, row.name) and row.unit == unit]
    assert len(found) == 1 and found[0].value > 0


def test_shares_of_a_step_make_up_the_step(bench):
    shares = {row.name.rpartition(": ")[2]: row.value for row in bench[0] if row.unit == "%"}
    assert shares.keys() == {"batch", "picture", "discriminator", "generator"}
    assert sum(shares.values()) == pytest.approx(100)


def test_table_and_json_say_the_same(bench):
    rows, lines, stored = bench
    assert lines[1:] == [str(row) for row in rows]
    assert [entry["value"] for entry in stored["rows"]] == [row.value for row in rows]
    assert stored["torch"] in lines[0] and stored["preset"] == "smoke"


# ---- what is timed and counted is the real thing

SMOKE = PRESETS["smoke"].replace(
    {"image_size": 32, "adversary.feature_weight": 10.0, "adversary.perceptual_weight": 10.0}
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A function that makes EBST always with the same weights, and a batch for it."""
    faces = pack_toy_faces(tmp_path_factory.mktemp("small") / "toy", 8, 32)

    def make(batch_size: int = SMOKE.ebst.batch):
        torch.manual_seed(0)
        maskvae = MaskVAE(32, width=SMOKE.maskvae.width, latent=SMOKE.maskvae.latent)
        maskvae.logits[-1].weight.data.mul_(20)  # masks of more than one class: a normalised plain is rounding errors
        stage = EBSTStage(SMOKE, faces, maskvae)
        return stage, Batches(faces, faces.indices("train"), batch_size, references=True).at(0)

    return make


def test_the_naive_step_learns_what_the_librarys_does(small, monkeypatch):
    """In float64 and by plain gradient descent: Adam makes whole steps of rounding errors."""
    for module in (adversarial, dmn, ebst, ways):
        monkeypatch.setattr(module, "one_hot", lambda ids, *rest: one_hot(ids, *rest, dtype=torch.float64))
    (ours, batch), (naive, _) = small(), small()
    batch = replace(batch, image=batch.image.double())
    for stage in (ours, naive):
        for module in stage.modules():
            module.double()
        stage.optimizers = {
            name: torch.optim.SGD(optimizer.param_groups[0]["params"], lr=1e-2)
            for name, optimizer in stage.optimizers.items()
        }
    losses = ours.step([batch], Accelerator()), ways.naive_step(naive, batch, Accelerator())
    assert losses[0].keys() == losses[1].keys()
    for name, loss in losses[0].items():
        torch.testing.assert_close(losses[1][name], loss, rtol=1e-9, atol=1e-12)
    for name, network in ours.networks.items():
        for mine, theirs in zip(network.parameters(), naive.networks[name].parameters(), strict=True):
            torch.testing.assert_close(theirs, mine, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("recompute", [False, True])
def test_without_numbers_as_much_is_kept_as_with_them(recompute, small, tmp_path):
    stage, batch = small()
    here = count_kept(stage, batch, recompute)
    there = count_kept(*stage_without_numbers(SMOKE, tmp_path), recompute)
    for part in ("picture", "discriminator", "generator", "again"):
        assert getattr(there, part) == pytest.approx(getattr(here, part), rel=0.01), part
    assert (here.again > 0) == recompute


def test_twice_the_faces_keep_twice_as_much(small):
    two, four = (count_kept(*small(faces)).most(in_parts=False) for faces in (2, 4))
    assert four == pytest.approx(2 * two, rel=0.02)


def test_the_state_counted_is_what_a_run_holds(small):
    stage, batch = small()
    averages = [AveragedModel(stage.networks[name]) for name in stage.averaged]
    stage.step([batch], Accelerator())
    held = [tensor for module in stage.modules() for tensor in module.state_dict().values()]
    held += [parameter.grad for network in stage.networks.values() for parameter in network.parameters()]
    held += [tensor for average in averages for tensor in average.module.state_dict().values()]
    for optimizer in stage.optimizers.values():
        held += [tensor for state in optimizer.state.values() for name, tensor in state.items() if name != "step"]
    assert count_state(stage, stage.maskvae) == sum(tensor.numel() * tensor.element_size() for tensor in held)


def test_every_option_needs_less_and_both_least(tmp_path):
    needs = {name: need.activations for name, need in estimate(PRESETS["colab"], tmp_path).items()}
    assert needs.keys() == OPTIONS.keys()
    assert needs["both"] < min(needs["--accumulate 4"], needs["--recompute"])
    assert max(needs["--accumulate 4"], needs["--recompute"]) < needs["plain"]
