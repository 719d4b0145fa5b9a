"""The commands around the course: course and bench."""

from pathlib import Path

from maskgan_lib.commands.adding import Command, given


def add(command: Command) -> None:
    course = command("course", _course, "Execute the notebooks in order and show what they measured.")
    course.add_argument("notebooks", nargs="*", help="numbers, names or paths; all of them if none is named")
    course.add_argument(
        "--write-back",
        choices=("", "times", "notebooks"),
        default="",
        help="for publishing: keep the measured times, or the executed notebooks too",
    )

    bench = command("bench", _bench, "Measure faces, data, training and edits on this machine, and memory.")
    bench.add_argument("--quick", action="store_true", help="a short run, for a first impression")
    bench.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to FILE")


def _course(options) -> int:
    from maskgan_lib.course.runner import run_course

    return run_course(**given(options))


def _bench(options) -> None:
    from maskgan_lib.bench import run_bench

    run_bench(**given(options))
