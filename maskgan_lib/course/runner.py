"""Executes the notebooks in order, says where it is, stops at the first error, and ends with what was measured."""

import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from maskgan_lib.course.chapter import CHAPTERS, NOTEBOOKS, ROOT, CourseError, build_folder
from maskgan_lib.course.measured import describe_seconds, measured, read_run, read_times, time_key, write_json
from maskgan_lib.course.publishing import clean
from maskgan_lib.course.readme import write_between
from maskgan_lib.progress import PLAIN_VARIABLE

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
    for k, path in enumerate(paths):
        copy = build / "notebooks" / path.name
        seconds = run_notebook(path, copy, environment, f"notebook {k + 1} of {len(paths)}")
        if seconds is None:
            return 1
        keep_time(path.name[:2], seconds, [build / "measured"] + ([NOTEBOOKS] if write_back else []))
        if write_back == "notebooks":
            path.write_bytes(copy.read_bytes())
    if write_back:
        update_readme()
    took = describe_seconds(time.monotonic() - began)
    print(f"\n{len(paths)} notebook{'s' * (len(paths) > 1)} in {took}. Measured:\n")
    print(measured_table(build, [path.name[:2] for path in paths]))
    print(f"\nExecuted copies: {_shown(build / 'notebooks')}. To work through the course: make lab")
    return 0


def find_notebooks(names: Sequence[str] | None = None) -> list[Path]:
    """The course's notebooks in order, or those whose number, name or path is in ``names``, in that order."""
    course = sorted(NOTEBOOKS.glob("[0-9A][0-9]_*.ipynb"))
    by_name = {name: path for path in course for name in (path.stem, path.name[:2])}
    for name in names or ():
        if Path(name).stem not in by_name:
            known = ", ".join(path.stem for path in course)
            raise CourseError(f"There is no notebook {name!r}: choose of {known}, or by number.")
    return [by_name[Path(name).stem] for name in names] if names else course


def run_notebook(path: Path, copy: Path, environment: dict[str, str], where: str) -> float | None:
    """Execute one notebook into ``copy``; returns the seconds it took, or None if a cell failed (which is shown)."""
    notebook = nbformat.read(path, as_version=4)
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # a kernel warns about its transport, in the middle of the progress line
        resources={"metadata": {"path": str(path.parent)}},
    )
    with ProgressLine(f"{where}: {path.stem}", len(code)) as line:
        client.on_cell_start = lambda cell, cell_index: line.at(code.index(cell_index)) if cell_index in code else None
        failure = None
        try:
            client.execute(env=environment)
        except CellExecutionError:
            failure = describe_failure(notebook, path.name)
        except DeadKernelError:
            failure = f"{path.name}: the kernel died in cell {line.cell + 1}; most often that is memory running out."
        seconds = line.seconds
        line.end("failed" if failure else "done")
    clean(notebook)
    copy.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, copy)
    if failure:
        print(f"\n{failure}\n\nThe notebook up to there: {_shown(copy)}", file=sys.stderr)
    return None if failure else seconds


class ProgressLine:
    """One line of a terminal that is kept up to date while a notebook runs; in a log, a new line now and then."""

    def __init__(self, title: str, cells: int):
        self.title, self.cells, self.cell = title, cells, 0
        self.live = sys.stdout.isatty()
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep_up, daemon=True)

    @property
    def seconds(self) -> float:
        """Since the line was made."""
        return time.monotonic() - self._began

    def at(self, cell: int) -> None:
        """Code cell ``cell``, counted from 0, begins."""
        self.cell = cell
        if self.live:
            self._show()

    def end(self, word: str) -> None:
        """Close the line with a last word."""
        self._stop.set()
        self._thread.join()
        self._show(f", {word}", end="\n")

    def _keep_up(self) -> None:
        while not self._stop.wait(1.0 if self.live else 30.0):
            self._show()

    def _show(self, word: str = "", end: str | None = None) -> None:
        text = f"{self.title}, cell {self.cell + 1} of {self.cells}, {self.seconds:.0f} s{word}"
        start = "\r\x1b[K" if self.live else ""  # back to the margin, and clear what a longer line left
        print(start + text, end=("" if self.live else "\n") if end is None else end, flush=True)

    def __enter__(self) -> "ProgressLine":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()


def describe_failure(notebook: nbformat.NotebookNode, name: str) -> str:
    """The first cell that failed: its number, its source, the message and the end of its traceback."""
    number = 0
    for cell in notebook.cells:
        number += cell.cell_type == "code"
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                source = "\n".join(f"    {line}" for line in cell.source.splitlines())
                message = f"{output.ename}: {output.evalue}"
                trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback)).removesuffix(message).rstrip()
                trace = "\n".join(trace.splitlines()[-TRACEBACK_LINES:])
                return f"{name}, code cell {number} failed:\n\n{source}\n\n{message}\n\n{trace}"
    return f"{name} failed, but no cell holds an error."


def measured_table(build: Path, chapters: Sequence[str]) -> str:
    """What ``chapters`` measured, as aligned text."""
    found = measured(build, chapters)
    width = max((len(m.name) for _, m in found), default=0)
    return "\n".join(f"  {number}  {m.name:<{width}}  {m.shown}" for number, m in found) or "(nothing was measured)"


def chapter_table(times: dict[str, dict]) -> str:
    """The table of chapters in README.md, as Markdown; ``times`` as of ``measured.read_times``."""
    columns = (("smoke", "cpu"), ("laptop", "cpu"), ("colab", "cuda"))
    heads = []
    for preset, device in columns:
        machines = {t["machine"] for key, t in times.items() if key.endswith(f" {preset} {device}")}
        heads.append(f"`{preset}`, {' / '.join(sorted(machines)) or ('CPU' if device == 'cpu' else 'one GPU')}")
    lines = ["| chapter | what you have at its end | of the paper | " + " | ".join(heads) + " |"]
    lines.append("|---" * (3 + len(columns)) + "|")
    for chapter in CHAPTERS:
        (file,) = NOTEBOOKS.glob(f"{chapter.number}_*.ipynb")
        link = f"[{chapter.number} {chapter.title}](notebooks/{file.name})"
        taken = [times.get(time_key(chapter.number, *column)) for column in columns]
        cells = [describe_seconds(t["seconds"]) if t else "not measured" for t in taken]
        lines.append(f"| {link} | {chapter.builds} | {chapter.paper} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def update_readme() -> None:
    """Put the table of chapters, with the times in ``notebooks/times.json``, between its two marks in README.md."""
    table = chapter_table(read_times(NOTEBOOKS))
    write_between(ROOT / "README.md", "<!-- chapters -->", "<!-- end of chapters -->", table)


def keep_time(chapter: str, seconds: float, folders: Sequence[Path]) -> None:
    """Remember how long a chapter took, with the preset and on the device that it says it ran with."""
    about = read_run(build_folder(), chapter)
    if about:
        entry = {"seconds": round(seconds, 1), "machine": about["machine"]}
        key = time_key(about["chapter"], about["preset"], about["device"])
        for folder in folders:
            write_json(folder / "times.json", dict(sorted({**read_times(folder), key: entry}.items())))


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


def _shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
