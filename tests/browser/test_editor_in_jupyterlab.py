"""The editor with the shipped network: a JupyterLab server, a notebook, a kernel that is real and is killed."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import ipykernel
import nbformat
import numpy as np
import pytest

from browser import lab
from browser.page import new_page

ROOT = ".editor-root"
TESTS = Path(__file__).resolve().parent.parent
WEIGHTS = TESTS.parent / "data" / "pretrained" / "regional.safetensors"
CHAPTER = TESTS.parent / "notebooks" / "06_mask_editor.ipynb"

SETUP = f"""
import sys, hashlib
sys.path.insert(0, {str(TESTS)!r})
from editor_faces import drawn_faces
from maskgan_lib.checkpoints import load_weights, read_card
from maskgan_lib.editor import EditSession
from maskgan_lib.editor.rendering import PLAIN, Renderer
from maskgan_lib.editor.widget import MaskEditor
size = read_card({str(WEIGHTS)!r})["image_size"]
renderer = Renderer(load_weights({str(WEIGHTS)!r}), size, way=PLAIN)
"""
SHOW = 'editor = MaskEditor(EditSession.restore("autosave", drawn_faces(3, size), renderer))\neditor'
KERNELS_MASK = "import hashlib; print(hashlib.sha256(editor.mask.tobytes()).hexdigest())"


ARROWS = [f"{far}Arrow{way}" for far in ("", "Shift+") for way in ("Left", "Right", "Up", "Down")]


@pytest.fixture
def page(browser, jupyter):
    with new_page(browser, viewport={"width": 1400, "height": 1300}) as page:
        page.set_default_timeout(60_000)
        lab.open_notebook(page, jupyter, "editor.ipynb", [SETUP, SHOW, "1 + 1"])
        lab.run_all_cells(page)
        page.wait_for_selector(f"{ROOT}[data-shown='1'][data-pending='0']")
        yield page
        assert [text for text in page.errors if not text.startswith(lab.NOT_OURS)] == []
        assert {urlsplit(url).hostname for url in page.requests if url.startswith("http")} == {"127.0.0.1"}


def settle(page):
    page.wait_for_selector(f"{ROOT}[data-pending='0']")


def runs(page):
    return bytes(page.evaluate(f"document.querySelector('{ROOT}').readMask()"))


def views_mask(page):
    """SHA-256 of the mask in the browser."""
    data = np.frombuffer(runs(page), np.uint8).reshape(-1, 3).astype(int)
    return hashlib.sha256(np.repeat(data[:, 0], data[:, 1] + 256 * data[:, 2]).astype(np.uint8).tobytes()).hexdigest()


def drag(page, *points):
    """Points are in sides of the canvas."""
    box = page.locator(".editor-left canvas").first.bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=2)
    page.mouse.up()


def press(page, *keys):
    page.focus(ROOT)
    for key in keys:
        page.keyboard.press(key)


def test_an_edit_from_the_mouse_to_a_killed_kernel_and_back(page, jupyter):
    with lab.Kernel(page, jupyter) as kernel:
        first, shown = runs(page), int(page.get_attribute(ROOT, "data-shown"))
        press(page, "t")
        drag(page, (0.2, 0.15), (0.5, 0.08), (0.8, 0.15))
        settle(page)
        page.wait_for_function(f"document.querySelector('{ROOT}').dataset.shown > {shown}")
        hat = runs(page)
        assert hat != first and kernel.run(KERNELS_MASK) == views_mask(page)
        press(page, "Control+z")
        settle(page)
        assert runs(page) == first and kernel.run(KERNELS_MASK) == views_mask(page)
        press(page, "Control+y")
        settle(page)
        assert runs(page) == hat
        page.click(".editor-files-panel summary")
        with page.expect_download() as saved:
            page.click("text=Download mask")
        assert saved.value.path().stat().st_size > 100
        page.wait_for_function("document.querySelectorAll('.editor-results img[src]').length === 2")

        if ipykernel.version_info[0] >= 7:  # before, a kernel hears of widgets only between cells
            page.wait_for_selector(f"{ROOT}[data-hellos='2']")
            kernel.begin("import pathlib, time\nwhile not pathlib.Path('painted').exists(): time.sleep(0.02)")
            page.wait_for_function(f"!({lab.IDLE})")
            drag(page, (0.3, 0.9), (0.7, 0.9))
            settle(page)
            (jupyter.root / "painted").touch()
            assert kernel.run(KERNELS_MASK) == views_mask(page)

    last, results = runs(page), page.get_attribute(ROOT, "data-results")
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_selector(f"{ROOT}[data-shown='1'][data-pending='0'][data-results='{results}']")
    assert runs(page) == last
    press(page, *["Control+z"] * int(page.get_attribute(ROOT, "data-undo")))
    settle(page)
    assert runs(page) == first
    press(page, *["Control+y"] * int(page.get_attribute(ROOT, "data-redo")))
    settle(page)
    assert runs(page) == last

    cells = lab.cell_sources(page)
    press(page, "d", "d", "x", "b", "m", "Shift+M", "1")
    assert lab.cell_sources(page) == cells
    settle(page)
    last = runs(page)  # with a dot of the keyboard's pen
    with lab.Kernel(page, jupyter) as kernel:
        results = kernel.run("print(len(editor.session.history))")
    assert page.locator(".jp-RenderedImage").count() == 0  # the still is for readers without a kernel

    lab.kill_kernel(page, jupyter)
    drag(page, (0.4, 0.5), (0.6, 0.5))
    page.wait_for_selector(f"{ROOT}[data-kernel='gone']")
    lab.run_all_cells(page)
    page.wait_for_selector(f"{ROOT}[data-shown='1'][data-pending='0'][data-results='{results}'][data-kernel='alive']")
    assert runs(page) == last


def test_after_two_hundred_strokes_both_sides_hold_one_mask(page, jupyter):
    generator = np.random.default_rng(0)
    for _ in range(200):
        kind = generator.choice(["stroke", "stroke", "pen", "fill", "lasso", "undo", "redo", "class"])
        points = generator.uniform(0.02, 0.98, (3, 2))
        if kind == "class":
            press(page, generator.choice(list("0123456789oujhtgnkcerm[]")))
        elif kind == "pen":
            press(page, "b", "x", *generator.choice(ARROWS, 4), "x")
        elif kind in ("undo", "redo"):
            press(page, "Control+z" if kind == "undo" else "Control+y")
        else:
            press(page, {"stroke": "b", "fill": "f", "lasso": "l"}[kind])
            drag(page, *(points[:1] if kind == "fill" else points))
    settle(page)
    with lab.Kernel(page, jupyter) as kernel:
        assert kernel.run(KERNELS_MASK) == views_mask(page)


@pytest.fixture
def chapter(browser, tmp_path, monkeypatch):
    """Chapter 06 as a reader opens it: the real notebook without its stored outputs, and nothing prepared."""
    monkeypatch.setenv("MASKGAN_PRESET", "smoke")
    monkeypatch.setenv("MASKGAN_BUILD", str(tmp_path / "build"))
    notebook = nbformat.read(CHAPTER, 4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    (place,) = [i for i, cell in enumerate(notebook.cells) if cell.source.startswith("editor = MaskEditor(")]
    with lab.server(tmp_path) as running, new_page(browser, viewport={"width": 1400, "height": 1500}) as page:
        page.set_default_timeout(120_000)
        nbformat.write(notebook, running.root / CHAPTER.name)
        lab.show_notebook(page, running, CHAPTER.name)
        yield page, running, place
        assert [text for text in page.errors if not text.startswith(lab.NOT_OURS)] == []


def test_chapter_06_from_run_all_to_a_reload(chapter):
    page, jupyter, place = chapter
    lab.run_all_cells(page)
    page.wait_for_function(lab.IDLE)
    with lab.Kernel(page, jupyter) as kernel:
        assert kernel.run("print(type(feathered).__name__)") == "function", "the last cells have run"
        lab.show_cell(page, place)
        page.wait_for_selector(f"{ROOT}[data-shown='1'][data-pending='0']")
        assert kernel.run("before_paint = session.image; print(before_paint.shape)") == "(128, 128, 3)"
        press(page, "t")
        drag(page, (0.2, 0.12), (0.5, 0.06), (0.8, 0.12))
        settle(page)
        changed = float(kernel.run("print(np.abs(session.image.astype(int) - before_paint).mean())"))
        assert changed > 1, "a hat in the mask is seen in the picture"
        lender = kernel.run("print(donor('mouth'))")
        page.click(f".editor-source [data-face='{lender}']")
        page.click("[data-group='mouth']")
        settle(page)
        mouth = runs(page)
        assert kernel.run(KERNELS_MASK) == views_mask(page)
        results = page.get_attribute(ROOT, "data-results")
    page.evaluate("jupyterapp.commands.execute('docmanager:save')")
    page.reload()
    page.wait_for_function(lab.IDLE)
    lab.show_cell(page, place)
    page.wait_for_selector(f"{ROOT}[data-pending='0'][data-results='{results}']")
    assert runs(page) == mouth
