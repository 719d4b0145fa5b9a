"""The training loop across processes: killed, interrupted, and two of them sharing a batch."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from tiny_runs import assert_same_run, flat

from maskgan_lib.checkpoints import load_state
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.loop import newest_checkpoint
from maskgan_lib.training.stages import train_stage

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
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
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
    # Both write to one pipe: their lines may end up as one.
    steps = re.findall(r"process \d: stopped after step (\d+);", done.stdout)
    assert len(steps) == 2 and steps[0] == steps[1]
