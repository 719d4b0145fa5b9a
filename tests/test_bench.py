"""The quick bench leaves a figure for everything it promises, and what it times and counts is the real thing."""

import io
import json
from collections import Counter
from contextlib import redirect_stdout

import pytest
import torch
from accelerate import Accelerator
from toy_faces import pack_toy_faces

from maskgan_lib.bench import run_bench
from maskgan_lib.bench.memory import OPTIONS, need, stage_without_numbers
from maskgan_lib.bench.speed import naive_step
from maskgan_lib.data.batches import Batches
from maskgan_lib.networks import MaskVAE
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.ebst import EBSTStage
from maskgan_lib.training.stages import STAGES

PROMISED = {
    ("faces", "faces/s"): 3,
    ("preparation", "faces/s"): 2,
    ("batches", "faces/s"): 2,
    ("training", "steps/s"): len(STAGES),
    ("training", "%"): 4,
    ("training", "times"): 3,
    ("edits", "ms"): 2,
    ("edits", "times"): 3,
    ("memory", "MB"): len(OPTIONS) + 1,
    ("memory", "GB"): 2 * (len(OPTIONS) + 1),
}


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    with redirect_stdout(io.StringIO()) as printed:
        rows = run_bench(quick=True, json=path)
    return rows, printed.getvalue(), json.loads(path.read_text())


def test_every_figure_is_there_once_positive_printed_and_stored(bench):
    rows, printed, stored = bench
    assert [tuple(entry.values()) for entry in stored["rows"]] == rows
    assert printed.count("\n") == 1 + len(rows) and stored["torch"] in printed
    for row in rows:
        assert row.value > 0 and f"{row.name:<58} {row.value:>9.4g} {row.unit}\n" in printed
    rows = [row for row in rows if row.name != "peak on the GPU"]
    assert Counter((row.part, row.unit) for row in rows) == PROMISED and len({row.name for row in rows}) == len(rows)
    assert sum(row.value for row in rows if row.unit == "%") == pytest.approx(100)


def test_every_option_needs_less_and_both_least(bench):
    for name in ("colab", "paper"):
        row = {row.name.rpartition(", ")[2]: row.value for row in bench[0] if row.name.startswith(f"ebst, {name}")}
        plain, parts, again, both = (row[f"{option}: estimated"] for option in OPTIONS)
        assert row["counted"] < both < min(parts, again) and max(parts, again) < plain


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
        return stage, Batches(faces, faces.indices("train"), batch_size, references=True).at(1)

    make.faces = faces
    return make


def test_the_naive_step_learns_what_the_librarys_does(small, in_double):
    """By plain gradient descent: Adam makes whole steps of rounding errors."""
    (ours, batch), (naive, _) = small(), small()
    for stage in (ours, naive):
        stage.optimizers = {
            name: torch.optim.SGD(optimizer.param_groups[0]["params"], lr=1e-2)
            for name, optimizer in stage.optimizers.items()
        }
    losses = ours.step([batch], Accelerator()), naive_step(naive, batch, Accelerator())
    assert losses[0].keys() == losses[1].keys()
    for name, loss in losses[0].items():
        torch.testing.assert_close(losses[1][name], loss, rtol=1e-9, atol=1e-12)
    for name, network in ours.networks.items():
        for mine, theirs in zip(network.parameters(), naive.networks[name].parameters(), strict=True):
            torch.testing.assert_close(theirs, mine, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("option", OPTIONS)
def test_without_numbers_as_much_is_needed_as_with_them(option, small):
    stage, batch = small()
    there = need(*stage_without_numbers(SMOKE, small.faces), *OPTIONS[option], Accelerator())
    here = need(stage, batch, *OPTIONS[option], Accelerator())
    assert there == pytest.approx(here, rel=0.02)


def test_twice_the_faces_need_twice_as_much(small):
    (two_stays, two), (four_stays, four) = (need(*small(faces), *OPTIONS["plain"], Accelerator()) for faces in (2, 4))
    assert four_stays == pytest.approx(two_stays, rel=0.01)
    assert four - four_stays == pytest.approx(2 * (two - two_stays), rel=0.1)
