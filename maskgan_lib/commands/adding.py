"""How a command is added to the command line."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[..., argparse.ArgumentParser]
"""``command(name, run, summary, details="")``: adds a command that calls ``run(options)`` and returns its parser."""


SCHEMES = ("celebamask-hq", "bisenet", "facesynthetics", "lapa", "helen")
"""Those of ``label_maps.SCHEMES``, whose file is not imported for help."""


def at_least(least: int) -> Callable[[str], int]:
    """The type of an option that is a whole number from ``least`` up."""

    def number(text: str) -> int:
        value = int(text)  # a ValueError makes argparse name the option
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def place(text: str) -> Path:
    """A path; ~ is the home folder also where no shell has seen it, as in --out=~/x."""
    return Path(text).expanduser()


def given(options: argparse.Namespace) -> dict[str, Any]:
    """What was given to a command, by name: the arguments of the function that it stands for."""
    return {name: value for name, value in vars(options).items() if name != "run"}


class _Defaults(argparse.ArgumentDefaultsHelpFormatter):
    """Help that names a default where there is one."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, []) else super()._get_help_string(action)


def adder(commands: argparse._SubParsersAction) -> Command:
    """The ``Command`` that adds to ``commands``, made by ``add_subparsers``."""

    def command(name, run, summary, details=""):
        added = commands.add_parser(name, help=summary, description=summary + details, formatter_class=_Defaults)
        added.set_defaults(run=run)
        return added

    return command
