"""The command in processes of its own: interrupted, in other precisions, and two of them sharing a batch."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import children
import pytest
import torch
from tiny_runs import TINY, assert_same_run, flat, untrained_maskvae

from maskgan_lib.checkpoints import load_state, read_card
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.networks import one_hot
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.loop import load_log, newest_checkpoint
from maskgan_lib.training.stages import make_stage, train_stage

ROOT = Path(__file__).resolve().parents[2]


def command(faces: PackedFaces, folder: Path, name: str, steps: int, *more: str) -> subprocess.Popen:
    """``python -m maskgan_lib train`` with the smoke preset."""
    arguments = ["train", name, "--preset", "smoke", "--data", faces.folder, "--out", folder, "--steps", steps, *more]
    return subprocess.Popen(
        [sys.executable, "-m", "maskgan_lib", *map(str, arguments)],
        cwd=ROOT,
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


def test_interrupted_it_says_how_to_go_on_and_ends_as_uninterrupted(faces, tmp_path):
    steps, folder = 60, tmp_path / "run"
    process = command(faces, folder, "maskvae", steps)
    wait_for(folder / "checkpoint.pt", process)
    process.send_signal(signal.SIGINT)
    message = process.communicate(timeout=300)[1]
    assert process.returncode == 130 and "go on with --resume" in message
    assert newest_checkpoint(folder)["step"] < steps
    train_stage("maskvae", PRESETS["smoke"], faces, folder, steps=steps, resume=True)
    train_stage("maskvae", PRESETS["smoke"], faces, tmp_path / "whole", steps=steps)
    assert_same_run(folder, tmp_path / "whole")


# ---- precision


def test_bf16_learns_what_float32_does_up_to_its_rounding(faces, tmp_path):
    """bf16 rounds to 1 in 256; a loss passes some twenty layers, whose errors are random and largely average out."""
    first = []
    for precision in ("no", "bf16"):
        arguments = ["train", "ebst", "--preset", "smoke", "--steps", 2, "--precision", precision]
        more = ["--data", faces.folder, "--out", tmp_path / precision, "--maskvae", untrained_maskvae(tmp_path)]
        code, said = children.command([*arguments, *more])
        assert code == 0, said
        log = load_log(tmp_path / precision)
        assert all(math.isfinite(value) for entry in log for value in entry.values())
        first.append({name: value for name, value in log[0].items() if name != "seconds"})
    assert first[0] == pytest.approx(first[1], rel=0.05) and first[0] != first[1]


# ---- several processes


@pytest.fixture(scope="module")
def two_processes(faces, tmp_path_factory) -> tuple[Path, str]:
    """Runs by two processes that share every batch, by each of them in two parts, and by one; and what was said."""
    folder, here = tmp_path_factory.mktemp("two processes"), Path(__file__).parent
    done = subprocess.run(
        [sys.executable, here / "two_processes.py", faces.folder, folder],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": os.pathsep.join(map(str, (ROOT, here.parent)))},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


def state(folder: Path) -> dict:
    return load_state(folder / "checkpoint.pt")


@pytest.mark.parametrize(
    "run", ["dmn/two", "ebst/two", "ebst/parts", "regional/parts", "stargan/parts", "elegant/parts", "secgan/parts"]
)
def test_two_processes_are_one_with_the_whole_batch(run, two_processes):
    ours, theirs = state(two_processes[0] / run), state(two_processes[0] / run.partition("/")[0] / "one")
    for networks in ("networks", "averages"):
        for key, value in flat(theirs[networks]).items():
            torch.testing.assert_close(flat(ours[networks])[key], value, rtol=1e-6, atol=1e-8)
    assert len(ours["history"]) == 2
    for mine, expected in zip(ours["history"], theirs["history"], strict=True):
        assert mine == pytest.approx({**expected, "seconds": mine["seconds"]}, rel=1e-6)


def test_one_process_goes_first(two_processes):
    assert two_processes[1].index("the first is through") < two_processes[1].index("the other begins")


@pytest.mark.parametrize(("name", "whole"), [("ebst", "parts"), ("maskvae", "two")])
def test_two_processes_stop_together_and_resume_as_uninterrupted(name, whole, two_processes):
    folder, said = two_processes
    steps = re.findall(rf"{name}: stopped after step (\d+);", said)
    assert len(steps) == 2 and steps[0] == steps[1]
    assert_same_run(folder / name / "stopped", folder / name / whole)


def test_batch_normalisation_sees_the_share_of_its_process(faces, two_processes, in_double):
    """On CPUs; what is saved are the first process' statistics: a tenth of the way to its first batch's mean."""
    saved = state(two_processes[0] / "maskvae" / "still")["networks"]["maskvae"]
    network = make_stage("maskvae", TINY, faces).networks["maskvae"]
    network.load_state_dict(saved)  # the rate was zero: these weights are those that saw the batch
    mask = one_hot(Batches(faces, faces.indices("train"), TINY.maskvae.batch).at(0).mask)
    first, second = (0.1 * network.down[0][0](half).mean(dim=(0, 2, 3)) for half in mask.chunk(2))
    torch.testing.assert_close(saved["down.0.1.running_mean"], first)
    assert not torch.allclose(first, second)


def test_the_command_on_two_processes(faces, tmp_path):
    """All that is said and written is said and written once."""
    arguments = ["train", "all", "--preset", "smoke", "--data", faces.folder, "--out", tmp_path / "runs"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("ACCELERATE_USE_CPU")  # a machine without a GPU needs not be told
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*map(str, [*launch, "-m", "maskgan_lib", *arguments, "--accumulate", "2"])],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("8 train") == 1 and "2 x a CPU" in done.stdout and done.stdout.count("weights: ") == 1
    preset = PRESETS["smoke"]
    for name, steps in (("maskvae", preset.maskvae.steps), ("dmn", preset.dmn.steps), ("ebst", preset.ebst.steps)):
        folder = tmp_path / "runs" / name
        assert [entry["step"] for entry in load_log(folder)] == list(range(2, steps + 1, 2))
        assert not list(folder.glob("*.partial")) and not list(folder.glob("*.coming*"))
        for path in folder.glob("*.safetensors"):
            assert read_card(path)["steps"] == steps
