"""What lecturers hand out: no solution in the student's version, every check passed in the instructor's, and slides."""

import ast
import re

import nbformat
import pytest
from bs4 import BeautifulSoup

from maskgan_lib.__main__ import main
from maskgan_lib.course import CourseError, teaching
from maskgan_lib.course.chapter import NOTEBOOKS
from maskgan_lib.course.measured import read_json
from maskgan_lib.course.runner import find_notebooks
from maskgan_lib.course.slides import PACKAGES, pages, write_slides
from maskgan_lib.course.teaching import STUB, exercises, minutes_table, section_minutes, version

PATHS = find_notebooks()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder that the command fills."""
    build, tables = tmp_path_factory.mktemp("build"), []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MASKGAN_BUILD", str(build))
        patch.setattr(teaching, "write_between", lambda *given: tables.append(given))  # a test leaves README.md alone
        assert main(["teach"]) == 0
    assert len(tables) == 1
    return build / "teaching"


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def path(request):
    return request.param


def solution_lines(path) -> dict[str, set[str]]:
    """The lines of the body of each function in the solutions, by its name."""
    text = (NOTEBOOKS / "solutions" / path.name).with_suffix(".py").read_text(encoding="utf-8")
    functions = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    return {f.name: set(text.splitlines()[f.lineno : f.end_lineno]) - {""} for f in functions}


def graded(notebook) -> dict[str, dict]:
    return {c.metadata.nbgrader.grade_id: dict(c.metadata.nbgrader) for c in notebook.cells if "nbgrader" in c.metadata}


def test_the_students_version_has_every_exercise_and_no_solution(path, made):
    notebook = nbformat.read(made / "student" / path.name, as_version=4)
    nbformat.validate(notebook)
    answers = set().union(*solution_lines(path).values())
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "solutions/" not in text and "SOLUTION" not in text and "](../figures/" not in text
    for cell in notebook.cells:
        assert set(re.findall(r"\]\(attachment:([\w.-]+)\)", cell.source)) == cell.get("attachments", {}).keys()
    found = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("solution")]
    assert found and all(STUB in cell.source for cell in found)
    for cell in found:
        assert not answers & set(cell.source.splitlines())
    assert not any(line.strip() in text for line in answers if re.match(r'\s+"""\w+\.\d+: ', line))


def test_the_instructors_version_passes_all_its_checks_and_a_wrong_answer_does_not(path, made, capsys):
    taught = nbformat.read(made / "instructor" / path.name, as_version=4)
    student = nbformat.read(made / "student" / path.name, as_version=4)
    assert graded(taught) == graded(student)
    first = next(cell.source for cell in taught.cells if cell.id == "imports")
    names: dict = {"__name__": "instructor"}
    exec(first, names)
    wrong: dict = dict(names)
    for cell, blank in zip(taught.cells, student.cells, strict=True):
        if "nbgrader" in cell.metadata:
            exec(cell.source, names)  # an exercise, or a check that fails if the answer does
            if blank.metadata.nbgrader.grade:
                assert "passed" in capsys.readouterr().out
                with pytest.raises(AssertionError, match="not right yet"):
                    exec(blank.source, wrong)
            else:
                assert cell.source.count("### BEGIN SOLUTION") == cell.source.count("### END SOLUTION") == 1
                exec(blank.source, wrong)


def test_every_exercise_has_a_solution_and_points_in_nbgraders_schema(path, made):
    notebook = nbformat.read(path, as_version=4)
    marks = graded(nbformat.read(made / "student" / path.name, as_version=4))
    listed = exercises(notebook)
    stars = re.findall(r"\*\*([\w.]+) \((\w+) stars?\)", "\n".join(cell.source for cell in notebook.cells))
    assert len(listed) >= 2 and len(marks) == 2 * len(listed) and {name for name, *_ in listed} <= dict(stars).keys()
    for name, points, exercise, _ in listed:
        *_, function = re.findall(r"def (\w+)", exercise.source)
        assert function in solution_lines(path)
        answer, check = (marks[f"{kind}-{name.replace('.', '-')}"] for kind in ("exercise", "check"))
        assert (answer["solution"], answer["grade"], answer["locked"]) == (True, False, False)
        assert (check["solution"], check["grade"], check["locked"], check["points"]) == (False, True, True, points)
        assert points in (1, 2, 3)
    for grade_id, mark in marks.items():  # nbgrader/nbgraderformat/v3.json: nothing else may stand there
        assert mark.keys() - {"points"} == {"schema_version", "grade", "locked", "solution", "task", "grade_id"}
        assert mark["schema_version"] == 3 and re.fullmatch(r"[a-zA-Z0-9_-]+", grade_id)
        assert ("points" in mark) == mark["grade"]


def test_an_exercise_without_stars_is_refused():
    notebook = nbformat.read(PATHS[0], as_version=4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("(two stars)", "")
    with pytest.raises(CourseError, match=r"Exercise 0\.2 needs points"):
        version(notebook)


def test_minutes_are_of_words_and_lines():
    cells = [("markdown", "# T\n" + "a " * 148), ("markdown", "## 1 One\n" + "a " * 297), ("code", "x\n" * 29 + "x")]
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    notebook = nbformat.v4.new_notebook(cells=[make[kind](text) for kind, text in cells])
    assert section_minutes(notebook) == {"opening": 1.0, "1 One": 4.0}


def test_the_table_of_minutes_is_the_computed_one():
    stored = (NOTEBOOKS / "teaching" / "README.md").read_text(encoding="utf-8")
    assert minutes_table(read_json(NOTEBOOKS / "times.json")) in stored, "run: python -m maskgan_lib teach"


def test_slides_have_all_prose_and_figures_and_each_section_is_one(tmp_path):
    notebook = nbformat.read(NOTEBOOKS / "A1_warm_up_vae_and_gan.ipynb", as_version=4)
    write_slides(notebook, tmp_path / "slides.html")
    page = BeautifulSoup((tmp_path / "slides.html").read_text(encoding="utf-8"), "html.parser")
    slides = page.select(".slides > section")
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert len(slides) == 1 + len(re.findall("^## ", prose, re.MULTILINE))
    assert len(page.select(".slides h3")) == len(re.findall("^### ", prose, re.MULTILINE))
    figures = [o for c in notebook.cells for o in c.get("outputs", ()) if "image/png" in o.get("data", {})]
    assert len(page.select(".slides img")) == len(figures)
    cut = "".join(cell.source for cell in pages(notebook).cells if cell.cell_type == "markdown")
    assert "".join(cut.split()) == "".join(prose.split())


def test_slides_beside_the_npm_packages_need_no_net(tmp_path):
    for name in PACKAGES:
        (tmp_path / "node_modules" / name).mkdir(parents=True)
    write_slides(nbformat.read(PATHS[0], as_version=4), tmp_path / "slides.html")
    page = BeautifulSoup((tmp_path / "slides.html").read_text(encoding="utf-8"), "html.parser")
    loaded = [tag.get("src") or tag.get("href") or "data:" for tag in page.find_all(["script", "link", "img"])]
    folders = {address.rpartition("/")[0] for address in loaded if not address.startswith("data:")}
    assert folders and all(folder.startswith("node_modules/") for folder in folders), folders
