"""Processes of their own for tests: they start without importing torch anew, may be killed, and end with a code."""

import contextlib
import io
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["maskgan_lib.__main__", "maskgan_lib.training.stages"])
"""A server that has imported the library, and computed nothing yet, is copied for every child."""


def start(work: Callable, *arguments) -> BaseProcess:
    """``work(*arguments)`` in a process of its own. Both must be picklable; ``work`` from a module of its own."""
    process = CONTEXT.Process(target=work, args=arguments)
    process.start()
    return process


def exit_code(work: Callable, *arguments) -> int:
    """That of a process that does ``work``: -9 when it was killed."""
    process = start(work, *arguments)
    process.join(300)
    assert process.exitcode is not None, "it hangs"
    return process.exitcode


def command(arguments: Sequence[object]) -> tuple[int, str]:
    """Exit code of ``python -m maskgan_lib`` with these arguments, and what it says."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = start(_command, [str(argument) for argument in arguments], theirs)
    theirs.close()
    said = ours.recv()
    process.join()
    return process.exitcode, said


def _command(arguments: list[str], connection) -> None:
    from maskgan_lib.__main__ import main

    with io.StringIO() as said:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main(arguments)
        connection.send(said.getvalue())
    sys.exit(code)


# ---- runs that are killed


@dataclass(frozen=True)
class Death:
    """When a run is killed, from within: at the ``count``-th ``event``, counted from the start of the process.

    ``step``: so many steps are done. ``write``: so many bytes of checkpoints and weights are written.
    ``rename``: before the so-many-th renaming of a file.
    """

    event: str
    count: int


def train_until(death: Death | None, name: str, packed: Path, folder: Path, settings: dict) -> None:
    """``tiny_runs.train_tiny`` on one thread, killed at ``death``."""
    import torch
    from tiny_runs import train_tiny

    from maskgan_lib.data.packed import PackedFaces

    torch.set_num_threads(1)
    if death:
        _arm(death)
    train_tiny(name, PackedFaces.open(packed), folder, **settings)


def _arm(death: Death) -> None:
    from maskgan_lib.training.dmn import DMNStage

    left = death.count

    def happened(amount: int = 1) -> None:
        nonlocal left
        left -= amount
        if left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if death.event == "step":
        one_step = DMNStage.step
        DMNStage.step = lambda *arguments: (one_step(*arguments), happened())[0]
    elif death.event == "rename":
        replace = Path.replace
        Path.replace = lambda path, target: (happened(), replace(path, target))[1]
    else:
        open_file = Path.open
        Path.open = lambda path, mode="r", *rest, **more: (
            _Watched(open_file(path, mode, *rest, **more), happened, lambda: left)
            if mode in ("wb", "w+b")
            else open_file(path, mode, *rest, **more)
        )


class _Watched:
    """A file whose last bytes before death reach the disk, and no others."""

    def __init__(self, file, happened, left):
        self.file, self.happened, self.left = file, happened, left

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.file.__exit__(*error)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data) -> int:
        data = memoryview(data).cast("B")
        if len(data) >= self.left():
            self.file.write(data[: self.left()])
            self.file.flush()
        self.happened(len(data))
        return self.file.write(data)
