"""The one place that decides how a progress bar looks: a widget in a live notebook, text everywhere else."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import auto, std

PLAIN_VARIABLE = "MASKGAN_PLAIN_PROGRESS"
"""Set to anything but "" or "0" to have text bars inside notebooks too.

A kernel cannot tell a browser from a notebook that is executed without anybody looking, and a widget bar leaves only
"0%" in the stored copy. Whoever executes notebooks therefore sets this variable; tqdm has none of its own for it.
"""


def progress_bar(iterable: Iterable[Any] | None = None, **options: Any) -> std.tqdm:
    """A tqdm bar over ``iterable``, or one to ``.update(n)`` by hand: one bar per long task.

    ``options`` are tqdm's own: ``total``, ``desc``, ``unit``, ``disable``, and ``initial``, which counts what an
    earlier, interrupted run had done. Where nobody watches live (a stored notebook, a log file) the bar is redrawn only
    every two seconds: hundreds of updates bury the output and stall notebook tests.
    """
    plain = os.environ.get(PLAIN_VARIABLE, "") not in ("", "0")
    watched = not plain and ("ipykernel" in sys.modules or sys.stderr.isatty())
    bar = std.tqdm if plain else auto.tqdm
    return bar(
        iterable, mininterval=0.2 if watched else 2.0, maxinterval=10.0, ncols=None if watched else 78, **options
    )
