"""The training loop and its two stages: exact resume, safe stops, the updates themselves, and that they learn."""

import copy
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from toy_faces import pack_toy_faces

from maskgan_lib.checkpoints import CheckpointError, load_state, load_weights, read_card
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.metrics import confusion_matrix, pixel_accuracy, psnr
from maskgan_lib.networks import one_hot
from maskgan_lib.presets import PRESETS
from maskgan_lib.training import loop
from maskgan_lib.training.loop import RunSettings, TrainingError, load_log, newest_checkpoint, tile
from maskgan_lib.training.stages import STAGES, make_stage, train_stage

STEPS = 7
TINY = replace(PRESETS["smoke"], image_size=32, vae_latent=8, log_every=2, checkpoint_every=3, sample_every=5)
CPU = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "MASKGAN_PLAIN_PROGRESS": "1"}


@pytest.fixture(scope="module", autouse=True)
def on_one_cpu_thread():
    """As the subprocesses, so that bits may be compared; on the CPU even where there is a GPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CPU.items():
            patch.setenv(name, value)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> PackedFaces:
    return pack_toy_faces(tmp_path_factory.mktemp("training") / "toy", 12, splits=("train", "train", "test"))


@pytest.fixture(scope="module")
def uninterrupted(faces, tmp_path_factory) -> dict[str, Path]:
    """One whole run of each stage, to compare with."""
    folders = {name: tmp_path_factory.mktemp(name) / "run" for name in STAGES}
    for name, folder in folders.items():
        train_stage(name, TINY, faces, folder, steps=STEPS, seed=3)
    return folders


def flat(value, prefix: str = "") -> dict:
    """Nested dicts and lists as one dict of leaves."""
    if not isinstance(value, (dict, list, tuple)):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {name: leaf for key, inner in items for name, leaf in flat(inner, f"{prefix}/{key}").items()}


def assert_same_run(folder: Path, truth: Path) -> None:
    """Bit for bit the same networks, averages, optimisers, log and final weights; only the seconds may differ."""
    ours, theirs = (flat(load_state(f / "checkpoint.pt")) for f in (folder, truth))
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(ours[key], value), key
        elif not key.endswith("/seconds"):
            assert ours[key] == value, key
    logs = [[{**entry, "seconds": 0} for entry in load_log(f)] for f in (folder, truth)]
    assert logs[0] == logs[1]
    for path in truth.glob("*.safetensors"):
        ours, theirs = (load_weights(f / path.name).state_dict() for f in (folder, truth))
        assert all(torch.equal(ours[key], value) for key, value in theirs.items())
        cards = [{**read_card(f / path.name), "seconds": 0} for f in (folder, truth)]
        assert cards[0] == cards[1]


def after_step(monkeypatch, name: str, number: int, action) -> None:
    """Have ``action(stage, losses)`` run at the end of step ``number``, counted from here; it may return others."""
    stage_class = type(make_stage(name, TINY, 32))
    step, count = stage_class.step, 0

    def patched(self, batch, accelerator):
        nonlocal count
        losses = step(self, batch, accelerator)
        count += 1
        return (action(self, losses) or losses) if count == number else losses

    monkeypatch.setattr(stage_class, "step", patched)


def press_ctrl_c(stage, losses) -> None:
    signal.raise_signal(signal.SIGINT)


# ---- what a run leaves behind


@pytest.mark.parametrize("name", STAGES)
def test_run_leaves_log_samples_and_weights(name, uninterrupted, faces):
    folder = uninterrupted[name]
    log = load_log(folder)
    assert [entry["step"] for entry in log] == [2, 3, 4, 6, 7]
    assert all(np.isfinite(list(entry.values())).all() for entry in log)
    expected = {
        "maskvae": {"loss", "reconstruction", "kl"},
        "dmn": {"discriminator", "adversarial", "feature", "perceptual"},
    }[name]
    assert set(log[0]) == {"step", "seconds"} | expected
    assert sorted(path.name for path in (folder / "samples").iterdir()) == ["step-000005.png", "step-000007.png"]
    rows, columns = {"maskvae": (2, 8), "dmn": (4, 4)}[name]
    assert Image.open(folder / "samples" / "step-000007.png").size == (columns * 32, rows * 32)
    network = load_weights(folder / f"{name}.safetensors")
    assert type(network).__name__ == {"maskvae": "MaskVAE", "dmn": "DenseMappingNetwork"}[name]
    card = read_card(folder / f"{name}.safetensors")
    assert (card["steps"], card["data"], card["faces"], card["image_size"]) == (STEPS, "toy faces", 8, 32)
    assert not list(folder.glob("*.partial")) and not list(folder.glob("*.coming*"))


def test_only_the_train_split_is_seen(faces, tmp_path, monkeypatch):
    seen = set()
    at = Batches.at
    monkeypatch.setattr(Batches, "at", lambda self, step: seen.update(self.order(step)) or at(self, step))
    train_stage("maskvae", TINY, faces, tmp_path / "run", steps=2)
    assert seen == set(faces.indices("train"))


def test_entries_of_the_log_are_means_since_the_last(faces, tmp_path, uninterrupted):
    train_stage("dmn", replace(TINY, log_every=1), faces, tmp_path / "run", steps=STEPS, seed=3)
    single = {entry["step"]: entry for entry in load_log(tmp_path / "run")}
    for entry, steps in zip(load_log(uninterrupted["dmn"]), [(1, 2), (3,), (4,), (5, 6), (7,)], strict=True):
        for key in ("discriminator", "perceptual"):
            assert entry[key] == pytest.approx(np.mean([single[step][key] for step in steps]), rel=1e-6)


def test_tile_fills_rows():
    numbered = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    sheet = tile(numbered, 2)
    assert sheet.shape == (6, 6, 3)
    assert sheet[::2, ::3, 0].tolist() == [[0, 1], [2, 3], [4, 255]]


# ---- resume


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("stop", range(1, STEPS))
def test_resumed_after_any_step_is_as_uninterrupted(name, stop, faces, uninterrupted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        after_step(patch, name, stop, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt, match=f"stopped after step {stop}; go on with --resume"):
            train_stage(name, TINY, faces, tmp_path / "run", steps=STEPS, seed=3)
    assert newest_checkpoint(tmp_path / "run")["step"] == stop
    torch.manual_seed(1234)
    train_stage(name, TINY, faces, tmp_path / "run", steps=STEPS, seed=3, resume=True)
    assert_same_run(tmp_path / "run", uninterrupted[name])


def test_a_finished_run_resumes_to_itself(faces, uninterrupted, tmp_path):
    train_stage("dmn", TINY, faces, tmp_path / "run", steps=STEPS, seed=3, resume=True)
    assert_same_run(tmp_path / "run", uninterrupted["dmn"])
    assert len(train_stage("dmn", TINY, faces, tmp_path / "run", steps=STEPS, seed=3, resume=True)) == 5
    assert_same_run(tmp_path / "run", uninterrupted["dmn"])


def command(faces: PackedFaces, folder: Path, name: str, steps: int, *more: str) -> subprocess.Popen:
    """``python -m maskgan_lib train`` with the smoke preset."""
    arguments = ["train", name, "--preset", "smoke", "--data", faces.folder, "--out", folder, "--steps", steps, *more]
    return subprocess.Popen(
        [sys.executable, "-m", "maskgan_lib", *map(str, arguments)],
        cwd=Path(__file__).resolve().parent.parent,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 300
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, f"{path.name} did not come"
        time.sleep(0.01)


def test_killed_at_any_moment_then_interrupted_then_as_uninterrupted(faces, tmp_path):
    steps, folder = 150, tmp_path / "run"
    process = command(faces, folder, "maskvae", steps)
    wait_for(folder / "checkpoint.pt", process)
    time.sleep(random.uniform(0, 0.3))
    process.kill()
    process.communicate()
    reached = newest_checkpoint(folder)["step"]
    assert reached < steps

    process = command(faces, folder, "maskvae", steps, "--resume")
    wait_for(folder / "samples" / f"step-{reached + 10:06d}.png", process)
    process.send_signal(signal.SIGINT)
    message = process.communicate(timeout=300)[1]
    assert process.returncode == 130 and "go on with --resume" in message
    assert reached < newest_checkpoint(folder)["step"] < steps

    train_stage("maskvae", PRESETS["smoke"], faces, folder, steps=steps, resume=True)
    train_stage("maskvae", PRESETS["smoke"], faces, tmp_path / "whole", steps=steps)
    assert_same_run(folder, tmp_path / "whole")


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_costs_only_the_steps_since_the_one_before(
    left, faces, uninterrupted, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        after_step(patch, "maskvae", 5, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            train_stage("maskvae", TINY, faces, folder, steps=STEPS, seed=3)
    data = (folder / "checkpoint.pt").read_bytes()
    (folder / "checkpoint.pt").write_bytes(data[: int(left * len(data))])
    train_stage("maskvae", TINY, faces, folder, steps=STEPS, seed=3, resume=True)
    assert "Going on from checkpoint.previous.pt" in capsys.readouterr().out
    assert_same_run(folder, uninterrupted["maskvae"])


def test_damaged_checkpoints_are_no_reason_to_start_anew(faces, uninterrupted, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    (tmp_path / "checkpoint.previous.pt").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"checkpoint\.previous\.pt cannot be read"):
        train_stage("maskvae", TINY, faces, tmp_path, steps=STEPS, seed=3, resume=True)


def test_a_disk_that_fills_up_leaves_both_checkpoints(faces, tmp_path, monkeypatch):
    save_state, calls = loop.save_state, []

    def third_fails(path, state):
        calls.append(path)
        if len(calls) == 3:
            raise CheckpointError("no space left")
        save_state(path, state)

    monkeypatch.setattr(loop, "save_state", third_fails)
    with pytest.raises(CheckpointError, match="no space left"):
        train_stage("maskvae", TINY, faces, tmp_path / "run", steps=12)
    kept = [load_state(tmp_path / "run" / name)["step"] for name in ("checkpoint.previous.pt", "checkpoint.pt")]
    assert kept == [3, 6]


# ---- refusals


def test_a_folder_that_holds_a_run_is_refused(faces, uninterrupted):
    before = (uninterrupted["dmn"] / "log.jsonl").read_text()
    with pytest.raises(TrainingError, match="holds an earlier run"):
        train_stage("dmn", TINY, faces, uninterrupted["dmn"], steps=STEPS, seed=3)
    assert (uninterrupted["dmn"] / "log.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4}, ["seed 3 there, 4 here"]),
        ({"steps": 9}, ["steps 7 there, 9 here"]),
        (
            {"preset": replace(TINY, dmn_batch=2, dmn_lr=0.1)},
            ["batch_size 4 there, 2 here", "lr 0.0002 there, 0.1 here"],
        ),
        ({"preset": replace(TINY, perceptual_weight=1.0)}, ["perceptual_weight 10.0 there, 1.0 here"]),
        ({"indices": np.arange(3)}, ["faces 8 there, 3 here"]),
        ({"preset": replace(TINY, dmn_width=8)}, ["other networks"]),
    ],
)
def test_other_settings_are_refused_by_name(changes, named, faces, uninterrupted):
    settings = {"preset": TINY, "steps": STEPS, "seed": 3, **changes}
    with pytest.raises(TrainingError) as error:
        train_stage("dmn", settings.pop("preset"), faces, uninterrupted["dmn"], resume=True, **settings)
    assert all(text in str(error.value) for text in named)


def test_another_stage_and_other_faces_are_refused(faces, uninterrupted, tmp_path):
    with pytest.raises(TrainingError, match="stage dmn there, maskvae here"):
        train_stage("maskvae", TINY, faces, uninterrupted["dmn"], steps=STEPS, seed=3, resume=True)
    others = pack_toy_faces(tmp_path / "others", 8)
    with pytest.raises(TrainingError, match=r"made_by \{'count': 12\} there, \{'count': 8\} here"):
        train_stage("dmn", TINY, others, uninterrupted["dmn"], steps=STEPS, seed=3, resume=True)


def test_unknown_stage():
    with pytest.raises(ValueError, match="maskvae, dmn"):
        make_stage("ebst", TINY, 32)


# ---- losses and weights that are not finite


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_broken_loss_is_named_with_its_step(bad, faces, tmp_path, monkeypatch):
    after_step(monkeypatch, "maskvae", 7, lambda stage, losses: {**losses, "kl": torch.tensor(bad)})
    preset = replace(TINY, log_every=8, checkpoint_every=6)
    with pytest.raises(TrainingError, match=rf"The loss 'kl' became {bad} at step 7: the last checkpoint"):
        train_stage("maskvae", preset, faces, tmp_path / "run", steps=20)
    assert newest_checkpoint(tmp_path / "run")["step"] == 6
    assert load_log(tmp_path / "run")[-1]["step"] == 6


def test_a_broken_update_is_not_saved(faces, tmp_path, monkeypatch):
    """The loss of the step was finite still; saved, it would break every resume."""

    def poison(stage, losses):
        with torch.no_grad():
            stage.networks["maskvae"].mu.weight[0, 0] = torch.nan

    after_step(monkeypatch, "maskvae", 6, poison)
    with pytest.raises(TrainingError, match=r"'mu\.weight' of maskvae are not finite after step 6"):
        train_stage("maskvae", TINY, faces, tmp_path / "run", steps=STEPS)
    state = newest_checkpoint(tmp_path / "run")
    assert state["step"] == 3 and all(value.isfinite().all() for value in state["networks"]["maskvae"].values())


def test_a_rate_that_is_too_high_blows_up_with_a_finite_checkpoint(faces, tmp_path):
    preset = replace(TINY, vae_lr=1e12, checkpoint_every=1)
    with pytest.raises(TrainingError, match=r"not finite|became"):
        train_stage("maskvae", preset, faces, tmp_path / "run", steps=200)
    for path in (tmp_path / "run").glob("checkpoint*.pt"):
        assert all(v.isfinite().all() for v in load_state(path)["networks"]["maskvae"].values())


# ---- several processes

TWO_PROCESSES = """
import json, signal, sys
from dataclasses import replace
from functools import partial
import torch
from accelerate import debug_launcher
from maskgan_lib.data import batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.presets import PRESETS
from maskgan_lib.training import dmn, stages

# In float64, since Adam makes whole steps of rounding errors: a bias before a normalisation has no other gradient.
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
to_float_image = batches.to_float_image
batches.to_float_image = lambda *arguments: to_float_image(*arguments).double()
dmn.one_hot = partial(dmn.one_hot, dtype=torch.float64)
TINY = replace(PRESETS["smoke"], log_every=2, checkpoint_every=50, sample_every=50)

def whole(rank, faces, out):
    stages.train_stage("dmn", TINY, faces, out, steps=4)

def interrupted(rank, faces, out):
    step, done = dmn.DMNStage.step, 0
    def patched(self, batch, accelerator):
        nonlocal done
        done += 1
        if done == 2 + accelerator.process_index:  # the processes notice Ctrl-C in different steps
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, accelerator)
    dmn.DMNStage.step = patched
    try:
        stages.train_stage("dmn", TINY, faces, out, steps=4)
    except KeyboardInterrupt as stop:
        print(f"process {rank}: {stop}", flush=True)
    dmn.DMNStage.step = step

def run(packed, folder):
    torch.set_num_threads(1)
    faces, rank = PackedFaces.open(packed), torch.distributed.get_rank()
    whole(rank, faces, folder + "/two")
    interrupted(rank, faces, folder + "/stopped")
    stages.train_stage("dmn", TINY, faces, folder + "/stopped", steps=4, resume=True)

if __name__ == "__main__":
    debug_launcher(run, tuple(sys.argv[1:]), num_processes=2)
    whole(0, PackedFaces.open(sys.argv[1]), sys.argv[2] + "/one")
"""


def test_two_processes_are_one_with_the_whole_batch(faces, tmp_path):
    script = tmp_path / "two_processes.py"
    script.write_text(TWO_PROCESSES)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(Path(__file__).parent.parent)}
    done = subprocess.run(
        [sys.executable, script, faces.folder, tmp_path], env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    one, two, stopped = (load_state(tmp_path / name / "checkpoint.pt") for name in ("one", "two", "stopped"))
    for key, value in flat(one["networks"]).items():
        torch.testing.assert_close(flat(two["networks"])[key], value, rtol=1e-6, atol=1e-8)
        assert torch.equal(flat(stopped["networks"])[key], flat(two["networks"])[key])
    for ours, theirs in zip(two["history"], one["history"], strict=True):
        assert ours == pytest.approx({**theirs, "seconds": ours["seconds"]}, rel=1e-6)
    messages = sorted(line for line in done.stdout.splitlines() if line.startswith("process"))
    assert len(messages) == 2
    assert len({line.partition("stopped after step ")[2][0] for line in messages}) == 1


# ---- averages and rates


def test_weights_for_inference_are_the_moving_average(faces, tmp_path, monkeypatch):
    """avg_1 = w_1; avg_t = d_t avg_(t-1) + (1 - d_t) w_t with d_t = min(decay, (1 + t) / (10 + t))."""
    preset, seen = replace(TINY, ema_decay=0.3), []
    for number in range(1, 7):
        after_step(
            monkeypatch,
            "maskvae",
            number,
            lambda stage, losses: seen.append(
                {key: value.detach().clone() for key, value in stage.networks["maskvae"].state_dict().items()}
            ),
        )
    train_stage("maskvae", preset, faces, tmp_path / "run", steps=6)
    assert len(seen) == 6
    average = {key: value.double() for key, value in seen[0].items()}
    for t, weights in enumerate(seen[1:], start=2):
        decay = min(0.3, (1 + t) / (10 + t))
        average = {key: decay * average[key] + (1 - decay) * value.double() for key, value in weights.items()}
    for key, value in load_weights(tmp_path / "run" / "maskvae.safetensors").state_dict().items():
        truth = seen[-1][key] if key.endswith("num_batches_tracked") else average[key].to(value.dtype)
        torch.testing.assert_close(value, truth, rtol=1e-5, atol=1e-6)


def test_rate_is_constant_then_falls_to_zero(faces, tmp_path, monkeypatch):
    rates = []
    for number in range(1, 9):
        after_step(
            monkeypatch,
            "dmn",
            number,
            lambda stage, losses: rates.append(
                [group["lr"] for optimizer in stage.optimizers.values() for group in optimizer.param_groups]
            ),
        )
    train_stage("dmn", replace(TINY, decay_from=0.5, dmn_lr=0.01), faces, tmp_path / "run", steps=8)
    truth = [0.01] * 5 + [0.0075, 0.005, 0.0025]
    assert rates == [pytest.approx([rate] * 2) for rate in truth]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_rate_never_rises_and_never_ends_before_the_run(share):
    settings = RunSettings(steps=40, batch_size=1, decay_from=share)
    rates = [settings.rate(step) for step in range(40)]
    assert rates == sorted(rates, reverse=True)
    assert all(rate == 1 for rate in rates[: int(share * 40) + 1]) and 0 < rates[-1] <= 1
    if share < 1:
        assert settings.rate(40) == 0


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
    train_stage("dmn", preset, faces, tmp_path / "run", steps=200)
    batch = Batches(faces, np.arange(2), 2).at(0)
    mask = one_hot(batch.mask)
    with torch.no_grad():
        before, after = (
            psnr(network(mask, batch.image, mask), batch.image).min().item()
            for network in (start, load_weights(tmp_path / "run" / "dmn.safetensors"))
        )
    assert after > 20 > before + 5
