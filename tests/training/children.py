"""Processes of their own for tests: they start without importing torch anew, may be killed, and end with a code."""

import contextlib
import multiprocessing
import sys
from collections.abc import Callable
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


def command(arguments: list[str], said: Path) -> None:
    """``python -m maskgan_lib`` with these arguments; what it says goes to the file ``said``."""
    from maskgan_lib.__main__ import main

    with said.open("w") as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        code = main(arguments)
    sys.exit(code)
