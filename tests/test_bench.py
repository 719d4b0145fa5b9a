"""The quick bench leaves a figure for everything it promises, and what it times and counts is the real thing."""

import json
import re

import pytest
import torch
from accelerate import Accelerator
from torch.optim.swa_utils import AveragedModel
from toy_faces import pack_toy_faces

from maskgan_lib.bench import run_bench
from maskgan_lib.bench.data import noise_folder
from maskgan_lib.bench.memory import OPTIONS, need, stage_without_numbers
from maskgan_lib.bench.training import naive_step
from maskgan_lib.data.batches import Batches
from maskgan_lib.networks import MaskVAE
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.ebst import EBSTStage
from maskgan_lib.training.stages import STAGES

PROMISED = (
    *(("faces", rf"drawn at {size} x {size}, one core", "faces/s") for size in (64, 128, 512)),
    ("preparation", r"1024 x 1024 JPEG and parts to 512 x 512, one core", "faces/s"),
    ("preparation", r"the same without writing, \d+ cores", "faces/s"),
    ("batches", r"256 x 256 in random order to uint8 in memory", "faces/s"),
    ("batches", r"256 x 256 in random order to float on the device", "faces/s"),
    *(("training", rf"{name}, 64 x 64, batch \d+", "steps/s") for name in STAGES),
    *(
        ("training", rf"dmn, share of a step: {part}", "%")
        for part in ("batch", "picture", "discriminator", "generator")
    ),
    ("training", r"dmn, real and made judged in two passes over in one", "times"),
    ("training", r"dmn, a step in channels_last over contiguous", "times"),
    ("training", r"ebst, a naive step over the library's", "times"),
    ("edits", r"smoke network, 64 x 64, style kept", "ms"),
    ("edits", r"smoke network, 64 x 64, style encoded anew over kept", "times"),
    ("edits", r"smoke network, 64 x 64, editor, (float32|bfloat16).*", "ms"),
    ("edits", r"smoke network, 64 x 64, encoded anew over the editor's", "times"),
    ("edits", r"smoke network, 64 x 64, a style for every region over one", "times"),
    *(("memory", rf"ebst keeps, 64 x 64, batch 4, {option}: measured", "MB") for option in OPTIONS),
    *(
        ("memory", rf"ebst, {name}, batch 8{what}", "GB")
        for name in ("colab, 256 x 256", "paper, 512 x 512")
        for what in (": state, counted", *(f", {option}: estimated" for option in OPTIONS))
    ),
    ("memory", r"peak of this process", "MB"),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    lines: list[str] = []
    return run_bench(quick=True, json_path=path, out=lines.append), lines, json.loads(path.read_text())


def test_every_figure_is_there_once_and_positive(bench):
    rows = [row for row in bench[0] if row.name != "peak on the GPU"]
    assert all(row.value > 0 for row in rows) and len(rows) == len(PROMISED)
    for part, name, unit in PROMISED:
        found = [row for row in rows if row.part == part and re.fullmatch(name, row.name) and row.unit == unit]
        assert len(found) == 1, name
    assert sum(row.value for row in rows if row.unit == "%") == pytest.approx(100)


def test_table_and_json_say_the_same(bench):
    rows, lines, stored = bench
    assert lines[1:] == [str(row) for row in rows]
    assert [entry["value"] for entry in stored["rows"]] == [row.value for row in rows]
    assert stored["torch"] in lines[0] and stored["preset"] == "smoke"


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

    return make


@pytest.fixture
def in_double():
    """By plain gradient descent in float64: Adam makes whole steps of rounding errors."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_the_naive_step_learns_what_the_librarys_does(small, in_double):
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
def test_without_numbers_as_much_is_needed_as_with_them(option, small, tmp_path):
    faces = noise_folder(tmp_path / "noise", 2, SMOKE.image_size)
    here = need(*small(), *OPTIONS[option], Accelerator())
    there = need(*stage_without_numbers(SMOKE, faces), *OPTIONS[option], Accelerator())
    assert there == pytest.approx(here, rel=0.02)


def test_twice_the_faces_need_twice_as_much(small):
    (two_stays, two), (four_stays, four) = (need(*small(faces), *OPTIONS["plain"], Accelerator()) for faces in (2, 4))
    assert four_stays == pytest.approx(two_stays, rel=0.01)
    assert four - four_stays == pytest.approx(2 * (two - two_stays), rel=0.1)


def test_the_state_counted_is_what_a_run_holds(small):
    stage, batch = small()
    averages = [AveragedModel(stage.networks[name]) for name in stage.averaged]
    stays, _ = need(stage, batch, *OPTIONS["plain"], Accelerator())
    held = [tensor for module in stage.modules() for tensor in module.state_dict().values()]
    held += [parameter.grad for network in stage.networks.values() for parameter in network.parameters()]
    held += [tensor for average in averages for tensor in average.module.state_dict().values()]
    for optimizer in stage.optimizers.values():
        held += [tensor for state in optimizer.state.values() for tensor in state.values()]
    assert stays == pytest.approx(sum(tensor.numel() * tensor.element_size() for tensor in held), rel=0.005)
