"""How a command is added to the command line."""

import argparse
from collections.abc import Callable
from typing import Any

Command = Callable[..., argparse.ArgumentParser]
"""``command(name, run, summary, details="")``: adds a command that calls ``run(options)`` and returns its parser."""


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
