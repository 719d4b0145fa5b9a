"""The command in processes of its own: interrupted, in other precisions, and two of them sharing a batch."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import children
import pytest
import torch
from tiny_runs import assert_same_run, flat, untrained_maskvae, untrained_parser

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


@pytest.fixture
def ebst_command(faces, tmp_path):
    """A function that runs ``train ebst`` for two steps with further options: its code, what it says, its folder."""

    def run(*options: str) -> tuple[int, str, Path]:
        folder = tmp_path / "-".join(["run", *options])
        arguments = ["train", "ebst", "--preset", "smoke", "--steps", "2", "--data", faces.folder, "--out", folder]
        code, said = children.command([*arguments, "--maskvae", untrained_maskvae(tmp_path), *options])
        return code, said, folder

    return run


def test_bf16_learns_what_float32_does_up_to_its_rounding(ebst_command):
    """bf16 rounds to 1 in 256; a loss passes some twenty layers, whose errors are random and largely average out."""
    plain, rounded = (ebst_command("--precision", precision) for precision in ("no", "bf16"))
    assert plain[0] == rounded[0] == 0, rounded[1]
    logs = load_log(plain[2]), load_log(rounded[2])
    assert all(math.isfinite(value) for entry in logs[1] for value in entry.values())
    first = [{name: value for name, value in log[0].items() if name != "seconds"} for log in logs]
    assert first[0] == pytest.approx(first[1], rel=0.05) and first[0] != first[1]


def test_fp16_without_a_gpu_is_refused_in_one_sentence(ebst_command):
    code, said, folder = ebst_command("--precision", "fp16")
    assert code == 1 and not folder.exists()
    assert re.fullmatch(r"PackedFaces.*\nerror: fp16 needs a GPU: leave --precision out, or choose bf16\.\n", said)


# ---- several processes

TWO_PROCESSES = """
import os, signal, sys, time
from dataclasses import replace
from functools import partial
import torch
from accelerate import PartialState, debug_launcher
from maskgan_lib.data import batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.presets import PRESETS
from maskgan_lib.training import adversarial, dmn, ebst, execution, maskvae, stages
from maskgan_lib.training.execution import Execution

# In float64, since Adam makes whole steps of rounding errors: a bias before a normalisation has no other gradient.
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
to_float_image, load_weights = batches.to_float_image, stages.load_weights
batches.to_float_image = lambda *arguments: to_float_image(*arguments).double()
stages.load_weights = lambda path: load_weights(path).double()
for module in (adversarial, dmn, ebst, maskvae):
    module.one_hot = partial(module.one_hot, dtype=torch.float64)
TINY = replace(PRESETS["smoke"], image_size=32, log_every=2, checkpoint_every=50, sample_every=50)

REGIONAL = TINY.replace({"dmn.style": "regional", "adversary.mismatch_weight": 0.3, "adversary.r1_weight": 0.05})

def train(name, out, parts=1, resume=False, preset=TINY, steps=3):
    faces, folder = PackedFaces.open(sys.argv[1]), sys.argv[2] + "/" + out
    others = {"ebst": {"maskvae": sys.argv[3]}, "secgan": {"parser": sys.argv[4]}}.get(name, {})
    how = Execution(accumulate=parts)
    stages.train_stage(name, preset, faces, folder, steps=steps, resume=resume, execution=how, **others)

def interrupted(name, out, parts):
    kind = stages.STAGES[name]
    step, done = kind.step, 0
    def patched(self, batches, accelerator):
        nonlocal done
        done += 1
        if done == 1 + accelerator.process_index:  # the processes notice Ctrl-C in different steps
            signal.raise_signal(signal.SIGINT)
        return step(self, batches, accelerator)
    kind.step = patched
    try:
        train(name, out, parts)
    except KeyboardInterrupt as stop:
        os.write(1, f"{name}: {stop}\\n".encode())
    kind.step = step
    train(name, out, parts, resume=True)

def both():
    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(torch.distributed.get_rank())  # as other launchers than this one for tests
    with execution.one_first():
        first = PartialState().is_main_process
        time.sleep(0.5 * first)
        os.write(1, b"the first is through\\n" if first else b"the other begins\\n")
    train("dmn", "dmn/two")
    train("ebst", "ebst/two")
    train("ebst", "ebst/parts", 2)
    train("dmn", "regional/parts", 2, preset=REGIONAL)
    for name in ("stargan", "elegant", "secgan"):
        train(name, name + "/two")
        train(name, name + "/parts", 2)
    interrupted("ebst", "ebst/stopped", 2)
    train("maskvae", "maskvae/two")
    interrupted("maskvae", "maskvae/stopped", 1)
    train("maskvae", "maskvae/still", preset=TINY.replace({"maskvae.lr": 0.0}), steps=1)

if __name__ == "__main__":
    debug_launcher(both, num_processes=2)
    train("dmn", "dmn/one")
    train("ebst", "ebst/one")
    train("dmn", "regional/one", preset=REGIONAL)
    train("stargan", "stargan/one")
    train("elegant", "elegant/one")
    train("secgan", "secgan/one")
"""


@pytest.fixture(scope="module")
def two_processes(faces, tmp_path_factory) -> tuple[Path, str]:
    """Runs by two processes that share every batch, by each of them in two parts, and by one; and what was said."""
    folder = tmp_path_factory.mktemp("two processes")
    script = folder / "two_processes.py"
    script.write_text(TWO_PROCESSES)
    done = subprocess.run(
        [sys.executable, script, faces.folder, folder, untrained_maskvae(folder), untrained_parser(folder)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, done.stdout


def state(folder: Path) -> dict:
    return load_state(folder / "checkpoint.pt")


@pytest.mark.parametrize(
    "run",
    [
        *("dmn/two", "ebst/two", "ebst/parts", "stargan/two", "stargan/parts", "elegant/two", "elegant/parts"),
        *("secgan/two", "secgan/parts", "regional/parts"),
    ],
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


def test_batch_normalisation_sees_the_share_of_its_process(faces, two_processes):
    """On CPUs; what is saved are the first process' statistics: a tenth of the way to its first batch's mean."""
    saved = state(two_processes[0] / "maskvae" / "still")["networks"]["maskvae"]
    network = make_stage("maskvae", replace(PRESETS["smoke"], image_size=32), faces).networks["maskvae"].double()
    network.load_state_dict(saved)  # the rate was zero: these weights are those that saw the batch
    batch = Batches(faces, faces.indices("train"), PRESETS["smoke"].maskvae.batch).at(0)
    half = len(batch.mask) // 2
    first, second = (
        0.1 * network.down[0][0](one_hot(batch.mask[share], dtype=torch.float64)).mean(dim=(0, 2, 3))
        for share in (slice(half), slice(half, None))
    )
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
