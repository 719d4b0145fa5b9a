"""Every notebook: what it must have to be read anywhere, and its exercises' checks against the solutions."""

import base64
import io
import re
import runpy
from pathlib import Path

import nbformat
import pytest
from PIL import Image

from maskgan_lib.course.chapter import CHAPTERS, NOTEBOOKS, ROOT
from maskgan_lib.course.measured import read_json
from maskgan_lib.course.publishing import WIDGET_VIEW
from maskgan_lib.course.runner import chapter_table, find_notebooks
from maskgan_lib.course.teaching import exercises

TAGS = ("planted", "exercise", "check")
PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:home|root|tmp|work|Users|usr|var|opt|mnt|private|scratch)/")


@pytest.fixture(scope="module", params=PATHS, ids=lambda path: path.stem)
def path(request) -> Path:
    return request.param


@pytest.fixture(scope="module")
def notebook(path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


@pytest.fixture
def code(notebook) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def by_id(notebook, cell_id: str):
    return next(cell for cell in notebook.cells if cell.id == cell_id)


def test_there_is_one_notebook_for_each_chapter_of_the_map():
    assert [path.name[:2] for path in PATHS] == [chapter.number for chapter in CHAPTERS]
    assert find_notebooks() == PATHS, "make course runs them all"


def test_it_is_valid_and_was_executed_from_top_to_bottom(notebook, code):
    nbformat.validate(notebook)
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(counts) + 1)), "execute it: python -m maskgan_lib course --write-back notebooks"
    for cell in code:
        assert not any(output.output_type == "error" for output in cell.outputs), cell.source
        marks = [line for line in cell.source.splitlines() if "NBVAL" in line]
        assert marks in ([], ["# NBVAL_CHECK_OUTPUT"]), "nbval ignores a marker with anything else on its line"


def test_it_renders_where_it_is_only_read(path, notebook, code):
    assert "widgets" not in notebook.metadata
    assert path.stat().st_size <= 1.5e6
    shown = [output.data for cell in code for output in cell.outputs if "data" in output]
    assert not any(WIDGET_VIEW in data for data in shown)
    assert {kind for data in shown for kind in data if kind.startswith("image/")} == {"image/png"}
    for data in shown:
        if "image/png" in data:
            with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as picture:
                picture.load()


def test_no_path_of_one_machine_is_in_it(notebook, code):
    texts = [cell.source for cell in notebook.cells]
    for output in (output for cell in code for output in cell.outputs):
        texts += [output.get("text", "")] + [str(v) for k, v in output.get("data", {}).items() if "image" not in k]
    for text in texts:
        assert not MACHINE_PATH.search(text), text[:400]


def test_the_setup_cell_is_the_same_everywhere(path, notebook):
    first = nbformat.read(PATHS[0], as_version=4)
    setup = by_id(notebook, "setup").source
    assert setup == by_id(first, "setup").source.replace('"00"', f'"{path.name[:2]}"')
    assert f'start("{path.name[:2]}")' in setup


def test_links_and_pictures_in_its_prose_exist(path, notebook):
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+)", cell.source):
                assert target.startswith("https://") or (path.parent / target).exists(), target
            assert not re.search(r"!\[[^]]*\]\(https?:", cell.source), "pictures come with the project"


def test_the_checks_of_exercises_pass_with_the_solutions_and_not_without(path, notebook, code, capsys):
    """A bug that is planted in ``wrong_f`` is one that the check of ``f`` finds."""
    solutions = NOTEBOOKS / "solutions" / f"{path.stem}.py"
    tagged = {tag: [cell for cell in code if tag in cell.metadata.get("tags", [])] for tag in TAGS}
    planted, answers, checks = tagged.values()
    assert checks and len(answers) == len(checks)
    names: dict = {"__name__": "exercises"}
    for cell in (by_id(notebook, "imports"), *planted, *answers):
        exec(cell.source, names)
    for cell in checks:
        exec(cell.source, names)
        assert names["_"] is False and "your turn" in capsys.readouterr().out
    exec(compile(solutions.read_text(encoding="utf-8"), str(solutions), "exec"), names)
    found = 0
    for answer, cell in zip(answers, checks, strict=True):
        exec(cell.source, names)
        assert names["_"] is True, capsys.readouterr().out
        *_, name = re.findall(r"^def (\w+)", answer.source, re.MULTILINE)
        if wrong := names.get(f"wrong_{name}"):
            exec(cell.source, {**names, name: wrong})
            assert "not yet" in capsys.readouterr().out, f"the check of {name} does not find the planted bug"
            found += 1
    assert found == len(planted) >= 1


def test_every_exercise_has_hints_that_lead_to_it(path, notebook):
    kept = runpy.run_path(str(NOTEBOOKS / "exercises" / f"{path.stem}.py"))
    listed = [name for name, *_ in exercises(notebook)]
    assert list(kept["HINTS"]) == listed and all(len(set(hints)) >= 2 for hints in kept["HINTS"].values())
    tests = [name for name in kept if name.startswith("test_")]
    assert all(
        kept[name].__doc__ and re.match(r"test_(\w?\d+_\d+)_", name)[1].replace("_", ".") in listed for name in tests
    )


def test_the_table_in_the_readme_is_the_measured_one():
    assert chapter_table(read_json(NOTEBOOKS / "times.json")) in (ROOT / "README.md").read_text(encoding="utf-8")
