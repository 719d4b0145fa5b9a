"""The survey from the keyboard to the disk: a JupyterLab server, a notebook, a kernel that is killed in the middle."""

from urllib.parse import urlsplit

import ipykernel
import pytest

from browser import lab
from browser.page import new_page
from maskgan_lib.evaluation.survey import read_answers

ITEMS = """
import numpy as np
from maskgan_lib.evaluation.survey import Survey, SurveyItem
draw = np.random.default_rng(0).integers(0, 255, (4, 5, 32, 32, 3), dtype=np.uint8)
items = [
    SurveyItem(f"pair {k}", target, source, dict(zip(("one", "two", "three"), results)), "Give the target her smile.")
    for k, (target, source, *results) in enumerate(draw)
]
"""
SHOW = 'survey = Survey(items, "answers.csv", "Ada")\nsurvey'


@pytest.fixture
def page(browser, jupyter):
    with new_page(browser) as page:
        lab.open_notebook(page, jupyter, "survey.ipynb", [ITEMS, SHOW, "1 + 1"])
        lab.run_all_cells(page)
        yield page
        assert [text for text in page.errors if not text.startswith(lab.NOT_OURS)] == []
        assert {urlsplit(url).hostname for url in page.requests if url.startswith("http")} == {"127.0.0.1"}


@pytest.fixture
def path(jupyter):
    """The CSV that the notebook writes."""
    return jupyter.root / "answers.csv"


def on_screen(page, number):
    """Waits for a question, counted from 1 over the whole survey."""
    page.wait_for_selector(f".survey-root[data-number='{number}'][data-pending='0']", timeout=30_000)


def positions(path):
    return [answer.position for answer in read_answers(path)]


def answer_during_a_cell(page, jupyter, path):
    """Gives an answer and takes it back while the kernel runs a cell that ends only afterwards."""
    number, before = int(page.get_attribute(".survey-root", "data-number")), positions(path)
    with lab.Kernel(page, jupyter) as kernel:
        kernel.begin("import pathlib, time\nwhile not pathlib.Path('answered').exists(): time.sleep(0.02)")
        page.wait_for_function(f"!({lab.IDLE})")
        page.keyboard.press("2")
        on_screen(page, number + 1)
        assert positions(path) == [*before, "B"]
        page.keyboard.press("Backspace")
        on_screen(page, number)
        (jupyter.root / "answered").touch()
        assert kernel.run("print('free')") == "free"


def test_a_killed_kernel_loses_no_answer(path, page, jupyter):
    on_screen(page, 1)
    page.locator(".survey-result").nth(1).click()
    on_screen(page, 2)
    for number, key in enumerate(("3", "a", "Backspace", "2"), start=2):
        page.keyboard.press(key)
        on_screen(page, {2: 3, 3: 4, 4: 3, 5: 4}[number])
    assert positions(path) == ["B", "C", "B"]

    if ipykernel.version_info[0] >= 7:  # before, a kernel hears of widgets only between cells
        page.wait_for_selector(".survey-root[data-hellos='2']")
        answer_during_a_cell(page, jupyter, path)

    lab.kill_kernel(page, jupyter)
    page.focus(".survey-root")
    page.keyboard.press("1")
    page.wait_for_selector(".survey-root[data-kernel='gone']")
    assert positions(path) == ["B", "C", "B"]

    lab.run_all_cells(page)
    on_screen(page, 4)
    page.focus(".survey-root")
    for number in range(4, 9):
        on_screen(page, number)
        page.keyboard.press("1")
    page.wait_for_selector(".survey-root[data-state='finished']")
    assert positions(path) == ["B", "C", "B", *"AAAAA"]
    assert {(a.item, a.criterion) for a in read_answers(path)} == {
        (f"pair {k}", criterion) for k in range(4) for criterion in ("quality", "realism")
    }

    cells = lab.cell_sources(page)
    for key in ("d", "d", "x", "1", "m", "b", "Shift+M"):  # in JupyterLab they delete cells and change their kind
        page.keyboard.press(key)
    assert lab.cell_sources(page) == cells
    assert page.locator(".jp-RenderedImage").count() == 0  # the still is for readers without a kernel
