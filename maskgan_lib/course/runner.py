"""Executes the notebooks in order, says where it is, stops at the first error, and ends with what was measured."""

import asyncio
import os
import re
import signal
import sys
import textwrap
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from maskgan_lib.course.chapter import CHAPTERS, NOTEBOOKS, ROOT, CourseError, build_folder, from_project
from maskgan_lib.course.measured import describe_seconds, measured, read_json, time_key, write_json
from maskgan_lib.course.publishing import clean
from maskgan_lib.course.readme import write_between
from maskgan_lib.progress import PLAIN_VARIABLE, progress_bar

TRACEBACK_LINES = 12
"""How much of a traceback is shown: the innermost frames say what went wrong, the rest is in the executed copy."""


def run_course(notebooks: Sequence[str] | None = None, write_back: str = "") -> int:
    """Execute the course, or the notebooks named by number, name or path; returns the exit code (0: all went well).

    Executed copies go to ``build/notebooks``. ``write_back`` is for those who publish the course: "times" stores the
    measured times for the table in README.md, "notebooks" also replaces the notebooks by their executed copies.
    """
    try:
        paths = find_notebooks(notebooks)
        environment = kernel_environment(write_back)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    build, began = build_folder(), time.monotonic()
    for k, path in enumerate(paths, start=1):
        copy, notebook, started = build / "notebooks" / path.name, nbformat.read(path, as_version=4), time.monotonic()
        title = f"notebook {k} of {len(paths)}: {path.stem}"
        failure = asyncio.run(execute(notebook, path, environment, title))
        seconds = time.monotonic() - started
        clean(notebook)
        copy.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, copy)
        if failure:
            print(f"\n{failure}\n\nThe notebook up to there: {from_project(copy)}", file=sys.stderr)
            return 1
        keep_time(path.name[:2], seconds, [build / "measured"] + ([NOTEBOOKS] if write_back else []))
        if write_back == "notebooks":
            path.write_bytes(copy.read_bytes())
    if write_back:
        update_readme()
    took = describe_seconds(time.monotonic() - began)
    print(f"\n{len(paths)} notebook{'s' * (len(paths) > 1)} in {took}. Measured:\n")
    print(measured_table(build, [path.name[:2] for path in paths]))
    print(f"\nExecuted copies: {from_project(build / 'notebooks')}. To work through the course: make lab")
    return 0


def find_notebooks(names: Sequence[str] | None = None) -> list[Path]:
    """The course's notebooks in order, or those whose number, name or path is in ``names``, in that order."""
    course = sorted(NOTEBOOKS.glob("??_*.ipynb"))
    by_name = {name: path for path in course for name in (path.stem, path.name[:2])}
    for name in names or ():
        if Path(name).stem not in by_name:
            known = ", ".join(path.stem for path in course)
            raise CourseError(f"There is no notebook {name!r}: choose of {known}, or by number.")
    return [by_name[Path(name).stem] for name in names] if names else course


async def execute(notebook: nbformat.NotebookNode, path: Path, environment: dict[str, str], title: str) -> str:
    """Execute the notebook of ``path`` in its place; returns what failed, "" if nothing did.

    A line that begins with ``title`` says where it is: anew every second in a terminal, now and then in a log.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # a kernel warns about its transport, in the middle of the progress line
        resources={"metadata": {"path": str(path.parent)}},
        # nbclient's own handler of Ctrl-C shuts the kernel down, and takes it for one that died.
        on_notebook_start=lambda notebook: asyncio.get_running_loop().remove_signal_handler(signal.SIGINT),
        on_cell_execute=lambda cell, cell_index: bar.update(),
    )
    form, failure = "{desc}, cell {n} of {total}, {elapsed_s:.0f} s{postfix}", ""
    with progress_bar(total=len(code), desc=title, bar_format=form, file=sys.stdout) as bar:
        run = asyncio.ensure_future(client.async_execute(env=environment))
        while not (await asyncio.wait([run], timeout=1.0 if sys.stdout.isatty() else 30.0))[0]:
            bar.refresh()
        try:
            run.result()
        except CellExecutionError:
            failure = f"{path.name}, code cell {bar.n} failed:\n\n{describe_failure(code[bar.n - 1])}"
        except DeadKernelError:
            failure = f"{path.name}: the kernel died in cell {bar.n}; most often that is memory running out."
        except asyncio.CancelledError as error:  # Ctrl-C while the kernel starts
            raise KeyboardInterrupt from error
        bar.set_postfix_str("failed" if failure else "done")
    return failure


def describe_failure(cell: nbformat.NotebookNode) -> str:
    """The source of a cell that failed, the message, and the end of its traceback."""
    (error,) = (output for output in cell.outputs if output.output_type == "error")
    message = f"{error.ename}: {error.evalue}"
    trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback)).removesuffix(message).rstrip()
    return "\n\n".join(
        [textwrap.indent(cell.source, "    "), message, "\n".join(trace.splitlines()[-TRACEBACK_LINES:])]
    )


def measured_table(build: Path, chapters: Sequence[str]) -> str:
    """What ``chapters`` measured, as aligned text."""
    found = measured(build, chapters)
    width = max((len(m.name) for _, m in found), default=0)
    return "\n".join(f"  {number}  {m.name:<{width}}  {m.shown}" for number, m in found) or "(nothing was measured)"


def chapter_table(times: dict[str, dict]) -> str:
    """The table of chapters in README.md, as Markdown; ``times`` as of a ``times.json``."""
    columns = (("smoke", "cpu"), ("laptop", "cpu"), ("colab", "cuda"))
    lines = [["chapter", "what you have at its end", "of the paper"]]
    for preset, device in columns:
        machines = {t["machine"] for key, t in times.items() if key.endswith(f" {preset} {device}")}
        lines[0].append(f"`{preset}`, {' / '.join(sorted(machines)) or ('CPU' if device == 'cpu' else 'one GPU')}")
    for chapter in CHAPTERS:
        (file,) = NOTEBOOKS.glob(f"{chapter.number}_*.ipynb")
        taken = [times.get(time_key(chapter.number, *column)) for column in columns]
        shown = [describe_seconds(t["seconds"]) if t else "not measured" for t in taken]
        link = f"[{chapter.number} {chapter.title}](notebooks/{file.name})"
        lines.append([link, chapter.builds, chapter.paper, *shown])
    head, *rows = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|---" * len(lines[0]) + "|", *rows])


def update_readme() -> None:
    """Put the table of chapters, with the times in ``notebooks/times.json``, between its two marks in README.md."""
    table = chapter_table(read_json(NOTEBOOKS / "times.json"))
    write_between(ROOT / "README.md", "<!-- chapters -->", "<!-- end of chapters -->", table)


def keep_time(chapter: str, seconds: float, folders: Sequence[Path]) -> None:
    """Remember how long a chapter took, with the preset and on the device that it says it ran with."""
    about = read_json(build_folder() / "measured" / f"{chapter}.json")
    if about:
        entry = {"seconds": round(seconds, 1), "machine": about["machine"]}
        key = time_key(about["chapter"], about["preset"], about["device"])
        for file in (folder / "times.json" for folder in folders):
            write_json(file, dict(sorted({**read_json(file), key: entry}.items())))


def kernel_environment(write_back: str) -> dict[str, str]:
    """Variables for the kernels: text progress bars, and a data folder that is found from any working directory."""
    environment = {**os.environ, PLAIN_VARIABLE: "1", "JUPYTER_PREFER_ENV_PATH": "1"}
    named = os.environ.get("MASKGAN_DATA")
    if named and Path(named).expanduser().exists():
        environment["MASKGAN_DATA"] = str(Path(named).expanduser().resolve())
    if write_back:
        if named:
            raise CourseError("Notebooks are published with the embedded faces only: unset MASKGAN_DATA.")
        environment["MASKGAN_WRITE_BACK"] = "1"
    return environment
