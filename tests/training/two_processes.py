"""Runs by two processes on CPUs that share every batch, and by one: ``two_processes.py FACES OUT``.

In float64, since Adam makes whole steps of rounding errors: a bias before a normalisation has no other gradient.
"""

import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import PartialState, debug_launcher
from tiny_runs import REGIONAL, TINY, press_ctrl_c, train_tiny, untrained_maskvae, untrained_parser

from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.training.execution import Execution, one_first
from maskgan_lib.training.stages import STAGES

HERE = replace(TINY, log_every=2, checkpoint_every=50, sample_every=50)
WHOLE = replace(REGIONAL, log_every=2, checkpoint_every=50, sample_every=50)


def train(name: str, out: str, parts: int = 1, preset=HERE, steps: int = 3, resume: bool = False) -> None:
    faces, folder = PackedFaces.open(sys.argv[1]), Path(sys.argv[2], out)
    train_tiny(name, faces, folder, preset, steps=steps, resume=resume, execution=Execution(accumulate=parts))


def interrupted(name: str, out: str, parts: int) -> None:
    """As ``train``, interrupted in a step and resumed; the processes notice Ctrl-C in different steps."""
    step, done = STAGES[name].step, 0

    def patched(self, batches, accelerator):
        nonlocal done
        done += 1
        if done == 1 + accelerator.process_index:
            press_ctrl_c()
        return step(self, batches, accelerator)

    STAGES[name].step = patched
    try:
        train(name, out, parts)
    except KeyboardInterrupt as stop:
        os.write(1, f"{name}: {stop}\n".encode())
    STAGES[name].step = step
    train(name, out, parts, resume=True)


def both() -> None:
    torch.set_num_threads(1)
    os.environ["LOCAL_RANK"] = str(torch.distributed.get_rank())  # as other launchers than this one for tests
    with one_first():
        first = PartialState().is_main_process
        time.sleep(0.5 * first)
        os.write(1, b"the first is through\n" if first else b"the other begins\n")
    train("dmn", "dmn/two")
    train("ebst", "ebst/two")
    train("dmn", "regional/parts", 2, WHOLE)
    for name in ("ebst", "stargan", "elegant", "secgan"):
        train(name, f"{name}/parts", 2)
    interrupted("ebst", "ebst/stopped", 2)
    train("maskvae", "maskvae/two")
    interrupted("maskvae", "maskvae/stopped", 1)
    train("maskvae", "maskvae/still", preset=HERE.replace({"maskvae.lr": 0.0}), steps=1)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    beside = Path(sys.argv[1]).parent  # where train_tiny looks: two processes must not write one file
    untrained_maskvae(beside), untrained_parser(beside)
    debug_launcher(both, num_processes=2)
    for name in ("dmn", "ebst", "stargan", "elegant", "secgan"):
        train(name, f"{name}/one")
    train("dmn", "regional/one", preset=WHOLE)
