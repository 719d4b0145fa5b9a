"""Executes the notebooks in order, says where it is, stops at the first error, and ends with what was measured."""

import base64
import io
import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from PIL import Image

from maskgan_lib.classes import COLORS
from maskgan_lib.course import (
    CHAPTERS,
    ROOT,
    CourseError,
    build_folder,
    describe_seconds,
    measured,
    read_run,
    read_times,
    time_key,
    write_json,
)
from maskgan_lib.progress import PLAIN_VARIABLE
from maskgan_lib.readme import write_between

NOTEBOOKS = ROOT / "notebooks"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
HEAVY_PICTURE, PALETTE = 30_000, 160
"""Bytes of a PNG that may have all its colours, and how many are left to a heavier one: dozens of faces in true colour
would make a notebook too heavy to be read online, and 160 colours chosen for them look the same."""

TRACEBACK_LINES = 12
"""How much of a traceback is shown: the innermost frames say what went wrong, the rest is in the executed copy."""


def run_course(notebooks: Sequence[str] | None = None, write_back: str = "") -> int:
    """Execute the course, or the notebooks named by number, name or path; returns the exit code (0: all went well).

    Executed copies go to ``build/notebooks``. ``write_back`` is for those who publish the course: "times" stores the
    measured times for the table in README.md, "notebooks" also replaces the notebooks by their executed copies.
    """
    try:
        paths = find_notebooks(notebooks)
        environment = _kernel_environment(write_back)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 2
    build, began = build_folder(), time.monotonic()
    for k, path in enumerate(paths):
        seconds = run_notebook(path, build / "notebooks" / path.name, environment, f"notebook {k + 1} of {len(paths)}")
        if seconds is None:
            return 1
        _keep_time(path, seconds, [build / "measured"] + ([NOTEBOOKS] if write_back else []))
        if write_back == "notebooks":
            path.write_bytes((build / "notebooks" / path.name).read_bytes())
    if write_back:
        update_readme()
    took = describe_seconds(time.monotonic() - began)
    print(f"\n{len(paths)} notebook{'s' * (len(paths) > 1)} in {took}. Measured:\n")
    print(measured_table(build, [path.name[:2] for path in paths]))
    print(f"\nExecuted copies: {_shown(build / 'notebooks')}. To work through the course: make lab")
    return 0


def find_notebooks(names: Sequence[str] | None = None) -> list[Path]:
    """The course's notebooks in order, or those whose number, name or path is in ``names``, in that order."""
    course = sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    if not names:
        return course
    found = []
    for name in names:
        matching = [path for path in course if Path(name).stem in (path.stem, path.name[:2])]
        if not matching:
            known = ", ".join(path.stem for path in course)
            raise CourseError(f"There is no notebook {name!r}: choose of {known}, or by number.")
        found += matching
    return found


def run_notebook(path: Path, copy: Path, environment: dict[str, str], where: str) -> float | None:
    """Execute one notebook into ``copy``; returns the seconds it took, or None if a cell failed (which is shown)."""
    notebook = nbformat.read(path, as_version=4)
    code = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        record_timing=False,
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
        self.interval = 1.0 if self.live else 30.0
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
        while not self._stop.wait(self.interval):
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


def clean(notebook: nbformat.NotebookNode) -> None:
    """Make an executed notebook fit to be kept: it must render anywhere, and differ only where a result does.

    The state of widgets goes, with the views that would look for it: GitHub does not render a notebook that has it.
    Pictures are packed tighter. Pieces of text are joined; where text overwrote itself, as a progress bar does, the
    last state stays.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = join_streams(cell.outputs)
            for output in cell.outputs:
                data = output.get("data", {})
                data.pop(WIDGET_VIEW, None)
                if "image/png" in data:
                    data["image/png"] = smaller_png(data["image/png"])
                    data.pop("image/jpeg", None)  # Pillow's pictures show themselves as both
                if output.output_type == "stream":
                    output.text = last_state(output.text)


def join_streams(outputs: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The same outputs with the pieces of stdout, and those of stderr, in one each; a picture begins new ones."""
    joined, streams = [], {}
    for output in outputs:
        if output.output_type != "stream":
            streams.clear()
        elif output.name in streams:
            streams[output.name].text += output.text
            continue
        else:
            streams[output.name] = output
        joined.append(output)
    return joined


def smaller_png(encoded: str) -> str:
    """The picture, base64 as before, without an opaque alpha channel and packed tighter: about an eighth less.

    Where that leaves more than ``HEAVY_PICTURE`` bytes, an opaque picture keeps ``PALETTE`` colours that suit it.
    """
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        opaque = picture.mode == "RGB" or (picture.mode == "RGBA" and picture.getextrema()[3][0] == 255)
        packed = _as_png(picture.convert("RGB") if opaque else picture)
        if opaque and len(packed) > HEAVY_PICTURE:
            packed = _as_png(in_few_colors(picture.convert("RGB")))
    return base64.b64encode(packed).decode("ascii")


def in_few_colors(picture: Image.Image) -> Image.Image:
    """``picture`` (RGB) with a palette fitted to it; white and the colours of the 19 classes stay exact."""
    exact = np.concatenate([COLORS, [[255, 255, 255]]]).astype(np.uint8)
    pixels = np.asarray(picture)
    cells = np.bincount((pixels >> 3).reshape(-1, 3) @ np.array([1024, 32, 1]), minlength=32**3)
    # The root, or the few pixels of a lip would get no colour of their own beside so much skin.
    sample = np.repeat(np.arange(32**3), np.ceil(np.sqrt(cells)).astype(int))
    sample = np.stack([sample >> 10, sample >> 5 & 31, sample & 31], axis=1).astype(np.uint8) * 8 + 4
    fitted = Image.fromarray(sample[None]).quantize(PALETTE - len(exact), kmeans=1)
    indices = np.array(picture.quantize(palette=fitted, dither=Image.Dither.NONE))
    for k, color in enumerate(exact):
        indices[(pixels == color).all(axis=2)] = PALETTE - len(exact) + k
    palette = np.resize(np.array(fitted.getpalette(), np.uint8), (PALETTE - len(exact), 3))
    result = Image.fromarray(indices)
    result.putpalette(np.concatenate([palette, exact]).tobytes())
    return result


def _as_png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def last_state(text: str) -> str:
    """``text`` as a terminal would show it after its carriage returns: of each line what was written last."""
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))


def measured_table(build: Path, chapters: Sequence[str]) -> str:
    """What ``chapters`` measured, as aligned text."""
    rows = [(number, str(m.name), str(m).split(": ", 1)[1]) for number, m in measured(build, chapters)]
    if not rows:
        return "(nothing was measured)"
    width = max(len(name) for _, name, _ in rows)
    return "\n".join(f"  {number}  {name:<{width}}  {value}" for number, name, value in rows)


def chapter_table(times: dict[str, dict]) -> str:
    """The table of chapters in README.md, as Markdown; ``times`` as of ``course.read_times``."""
    columns = (("smoke", "cpu"), ("laptop", "cpu"), ("colab", "cuda"))
    heads = []
    for preset, device in columns:
        machines = {t["machine"] for key, t in times.items() if key.endswith(f" {preset} {device}")}
        heads.append(f"`{preset}`, {' / '.join(sorted(machines)) or ('CPU' if device == 'cpu' else 'one GPU')}")
    lines = ["| chapter | what you have at its end | of the paper | " + " | ".join(heads) + " |"]
    lines.append("|---" * (3 + len(columns)) + "|")
    for chapter in CHAPTERS:
        files = list(NOTEBOOKS.glob(f"{chapter.number}_*.ipynb"))
        title = f"{chapter.number} {chapter.title}"
        link = f"[{title}](notebooks/{files[0].name})" if files else title
        taken = [times.get(time_key(chapter.number, *column)) for column in columns]
        cells = [describe_seconds(t["seconds"]) if t else "not measured" for t in taken]
        lines.append(f"| {link} | {chapter.builds} | {chapter.paper} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def update_readme() -> None:
    """Put the table of chapters, with the times in ``notebooks/times.json``, between its two marks in README.md."""
    write_between(
        ROOT / "README.md", "<!-- chapters -->", "<!-- end of chapters -->", chapter_table(read_times(NOTEBOOKS))
    )


def _keep_time(path: Path, seconds: float, folders: list[Path]) -> None:
    """Remember how long the notebook took, with the preset and on the device that it says it ran with."""
    about = read_run(build_folder(), path.name[:2])
    if about is None:
        return
    key = time_key(about["chapter"], about["preset"], about["device"])
    for folder in folders:
        entry = {"seconds": round(seconds, 1), "machine": about["machine"]}
        write_json(folder / "times.json", dict(sorted({**read_times(folder), key: entry}.items())))


def _kernel_environment(write_back: str) -> dict[str, str]:
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
