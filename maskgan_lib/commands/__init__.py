"""The commands of ``python -m maskgan_lib``: their options, and the calls of the library that they stand for.

The library is imported when a command runs, so that ``--help`` is quick.
"""

import argparse

from maskgan_lib.commands import course, data, evaluation, training
from maskgan_lib.commands.adding import adder


def parser() -> argparse.ArgumentParser:
    """All commands; what is parsed has ``run``, to be called with it."""
    made = argparse.ArgumentParser(prog="python -m maskgan_lib", description="MaskGAN from the ground up.")
    command = adder(made.add_subparsers(metavar="command", required=True))
    for group in (course, data, training, evaluation):
        group.add(command)
    return made
