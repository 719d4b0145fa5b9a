"""What a lecturer hands out, made from the notebooks and their solutions: versions for nbgrader, minutes and slides."""

import ast
import math
import re
from collections.abc import Sequence
from copy import deepcopy

import nbformat

from maskgan_lib.course.chapter import CHAPTERS, NOTEBOOKS, CourseError, build_folder, from_project
from maskgan_lib.course.measured import read_json, time_key
from maskgan_lib.course.publishing import attach_pictures
from maskgan_lib.course.readme import write_between
from maskgan_lib.course.runner import find_notebooks

STUB = "    return None  # your turn"
STARS = {"one": 1, "two": 2, "three": 3}
"""How hard an exercise is, as its text says: also its points."""
WORDS, LINES, MINUTES_A_STAR = 150, 15, 8
"""Estimates: words of prose and lines of code that are read in a minute, and what a star of an exercise takes."""
PROMISE = re.compile(
    r",\s+and\s+never\s+stops\s+the\s+notebook\.(.*?)\s+Solutions\s+are\s+in\s+`solutions/\w+\.py`\.", re.S
)


def write_teaching(notebooks: Sequence[str] | None = None, slides: bool = False) -> None:
    """Write the student's and the instructor's version of the notebooks to ``build/teaching``.

    The table of minutes in ``notebooks/teaching/README.md`` is renewed too. ``slides`` writes reveal.js slides as well.
    """
    out = build_folder() / "teaching"
    for path in find_notebooks(notebooks):
        notebook = nbformat.read(path, as_version=4)
        attach_pictures(notebook, NOTEBOOKS)
        solutions = (NOTEBOOKS / "solutions" / f"{path.stem}.py").read_text(encoding="utf-8")
        for name, made in (("student", version(notebook)), ("instructor", version(notebook, solutions))):
            (out / name).mkdir(parents=True, exist_ok=True)
            nbformat.write(made, out / name / path.name)
        if slides:
            from maskgan_lib.course.slides import write_slides

            write_slides(notebook, out / "slides" / f"{path.stem}.html")
    table = minutes_table(read_json(NOTEBOOKS / "times.json"))
    write_between(NOTEBOOKS / "teaching" / "README.md", "<!-- minutes -->", "<!-- end of minutes -->", table)
    print(f"Written: student, instructor{', slides' * slides} in {from_project(out)}, and the table of minutes.")


def exercises(notebook: nbformat.NotebookNode) -> list[tuple[str, int, nbformat.NotebookNode, nbformat.NotebookNode]]:
    """Name ("2.1"), points, exercise cell and check cell of each exercise. ``CourseError`` if a text has no stars."""
    cells = {tag: [c for c in notebook.cells if tag in c.metadata.get("tags", ())] for tag in ("exercise", "check")}
    prose, found = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown"), []
    for exercise, check in zip(cells["exercise"], cells["check"], strict=True):
        name = re.search(r'check\(\s*"([\w.]+)"', check.source)[1]
        stars = re.search(rf"\*\*{re.escape(name)} \((one|two|three) stars?\)", prose)
        if not stars:
            raise CourseError(f"Exercise {name} needs points: its text must say **{name} (one star)**, two or three.")
        found.append((name, STARS[stars[1]], exercise, check))
    return found


def version(notebook: nbformat.NotebookNode, solutions: str = "") -> nbformat.NotebookNode:
    """A copy with nbgrader's metadata, in which a wrong answer fails: the instructor's, if ``solutions`` are given.

    The student's has no outputs. ``solutions`` is the source of a file in ``notebooks/solutions``.
    """
    made = deepcopy(notebook)
    graded = exercises(made)
    known = _bound(ast.parse(next(cell.source for cell in made.cells if cell.id == "imports")))
    for name, points, exercise, check in graded:
        number = name.replace(".", "-")
        exercise.metadata["nbgrader"] = _metadata(f"exercise-{number}", solution=True)
        check.metadata["nbgrader"] = _metadata(f"check-{number}", grade=True, locked=True, points=points)
        check.source += '\nassert _, "not right yet"'
        if solutions:
            exercise.source = solved(exercise.source, solutions, known)
    for cell in made.cells:
        if cell.cell_type == "markdown":
            cell.source = PROMISE.sub(r", and stops the notebook until it is.\1", cell.source)
        elif not solutions or "nbgrader" in cell.metadata:
            cell.outputs, cell.execution_count = [], None
    return made


def solved(source: str, solutions: str, known: set[str]) -> str:
    """An exercise cell with the body of its solution, and those of its imports that are not ``known``, for the stub."""
    *_, name = re.findall(r"^def (\w+)", source, re.MULTILINE)
    parts = ast.parse(solutions).body
    (function,) = (node for node in parts if isinstance(node, ast.FunctionDef) and node.name == name)
    first, *rest = function.body
    needed = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)} - known
    lines = solutions.splitlines()
    body = lines[first.lineno - 1 : first.end_lineno]
    body += [f"    {ast.unparse(node)}" for node in parts if _bound(node) & needed]
    body += lines[rest[0].lineno - 1 : function.end_lineno]
    if STUB not in source:
        raise CourseError(f"The exercise {name} needs the line {STUB.strip()!r}, which its solution replaces.")
    return source.replace(STUB, "\n".join(["    ### BEGIN SOLUTION", *body, "    ### END SOLUTION"]))


def _bound(tree: ast.AST) -> set[str]:
    """The names that the imports in ``tree`` bind."""
    found = (node.names for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return {alias.asname or alias.name for names in found for alias in names}


def _metadata(grade_id: str, **given: bool | int) -> dict[str, bool | int | str]:
    flags = {"grade": False, "locked": False, "solution": False, "task": False}
    return {"grade_id": grade_id, "schema_version": 3, **flags, **given}


def section_minutes(notebook: nbformat.NotebookNode) -> dict[str, float]:
    """Minutes of reading, prose and code, for each ``##`` section; what stands before the first is "opening"."""
    found, section = {"opening": 0.0}, "opening"
    for cell in notebook.cells:
        if cell.cell_type == "code":
            found[section] += len(cell.source.splitlines()) / LINES
            continue
        for part in re.split(r"^(?=## )", cell.source, flags=re.MULTILINE):
            if part.startswith("## "):
                section = part.splitlines()[0].removeprefix("## ")
            found[section] = found.get(section, 0) + len(part.split()) / WORDS
    return found


def minutes_table(times: dict[str, dict]) -> str:
    """Minutes of each chapter and of its sections, and how they are estimated; ``times`` as of a ``times.json``."""
    columns = ["chapter", "read", "run", "exercises", "points", "in all", "sections, with the minutes of reading"]
    rows = [columns, ["---"] * len(columns)]
    for chapter in CHAPTERS:
        (path,) = NOTEBOOKS.glob(f"{chapter.number}_*.ipynb")
        notebook = nbformat.read(path, as_version=4)
        sections, points = section_minutes(notebook), sum(stars for _, stars, *_ in exercises(notebook))
        read, exercise = round(sum(sections.values())), points * MINUTES_A_STAR
        time = times.get(time_key(chapter.number, "laptop", "cpu"))
        run = math.ceil(time["seconds"] / 60) if time else 0
        parts = " · ".join(f"{name} **{max(1, round(took))}**" for name, took in sections.items())
        link = f"[{chapter.number} {chapter.title}](../{path.name})"
        shown = [read, run or "not measured", exercise, points, read + run + exercise]
        rows.append([link, *map(str, shown), parts])
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""{table}

*Read*: {WORDS} words of prose or {LINES} lines of code in a minute. *Exercises*: {MINUTES_A_STAR} minutes a star.
*Run*: the whole chapter, measured on a CPU with the preset `laptop`."""
