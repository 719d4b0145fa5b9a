"""The editor with the shipped network in a front end of ipywidgets 7: the classic Jupyter Notebook.

Colab's own front end can be had in Colab only. This one shares its protocol and, in the environment that
`make test-colab` makes, its kernel. By hand, since the old page starts in an order that varies:
``build/venv-colab/bin/python -m pytest tests/colab/classic_notebook.py``
"""

import hashlib
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import numpy as np
import pytest
from browser.page import NoBrowser, chromium, new_page

notebook = pytest.importorskip("notebook", reason="the classic notebook comes with `make test-colab`")
if notebook.version_info[0] >= 7:
    pytest.skip("notebook 7 is no front end of ipywidgets 7", allow_module_level=True)

TESTS = Path(__file__).resolve().parent.parent
WEIGHTS = TESTS.parent / "data" / "pretrained" / "maskgan.safetensors"
START_SECONDS = 60
HAT = 14
ROOT = ".editor-root"

EDITOR = f"""
import sys, hashlib
sys.path[:0] = [{str(TESTS)!r}, {str(TESTS.parent)!r}]
import ipywidgets
from editor_faces import drawn_faces
from maskgan_lib.checkpoints import load_weights, read_card
from maskgan_lib.editor import EditSession
from maskgan_lib.editor.rendering import PLAIN, Renderer
from maskgan_lib.editor.widget import MaskEditor
size = read_card({str(WEIGHTS)!r})["image_size"]
editor = MaskEditor(EditSession(drawn_faces(3, size), Renderer(load_weights({str(WEIGHTS)!r}), size, way=PLAIN)))
editor
"""
KERNELS_MASK = "print(ipywidgets.__version__[0], hashlib.sha256(editor.mask.tobytes()).hexdigest())"


@pytest.fixture
def address(tmp_path) -> Iterator[str]:
    """A notebook of two cells on a server with nothing of the user's settings."""
    root = tmp_path / "root"
    root.mkdir()
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cells = [nbformat.v4.new_code_cell(source) for source in (EDITOR, KERNELS_MASK)]
    nbformat.write(nbformat.v4.new_notebook(metadata={"kernelspec": kernel}, cells=cells), root / "editor.ipynb")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = secrets.token_hex(16)
    folders = {f"JUPYTER_{name}_DIR": str(tmp_path / name) for name in ("RUNTIME", "CONFIG", "DATA")}
    command = [
        *(sys.executable, "-m", "notebook", "--no-browser", "--allow-root", f"--port={port}", "--ip=127.0.0.1"),
        *(f"--NotebookApp.token={token}", f"--notebook-dir={root}"),
    ]
    log = tmp_path / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=os.environ | folders, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_for(process, f"http://127.0.0.1:{port}/api?token={token}", log)
        yield f"http://127.0.0.1:{port}/notebooks/editor.ipynb?token={token}"
    finally:
        process.terminate()  # it shuts its kernels down
        process.wait(30)


def wait_for(process: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"The notebook server does not answer:\n{log.read_text()[-2000:]}")


@pytest.fixture
def page(address) -> Iterator:
    try:
        with chromium() as browser, new_page(browser, viewport={"width": 1400, "height": 1400}) as page:
            page.set_default_timeout(60_000)
            page.goto(address, wait_until="networkidle")
            page.wait_for_function("window.Jupyter?.notebook?.kernel?.is_connected()")
            page.wait_for_function("Jupyter.notebook.get_cells().length === 2 && !Jupyter.notebook.kernel_busy")
            page.wait_for_timeout(2000)
            page.evaluate("Jupyter.notebook.execute_cells([0])")
            page.wait_for_selector(f"{ROOT}[data-shown='1'][data-pending='0']")
            page.locator(ROOT).scroll_into_view_if_needed()
            yield page
            assert page.errors == []
            assert {urlsplit(url).hostname for url in page.requests if url.startswith("http")} == {"127.0.0.1"}
    except NoBrowser as error:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(str(error))


def runs(page) -> bytes:
    return bytes(page.evaluate(f"document.querySelector('{ROOT}').readMask()"))


def assert_one_mask(page) -> None:
    """Both sides hold it, and the kernel is one of ipywidgets 7."""
    page.wait_for_selector(f"{ROOT}[data-pending='0']")
    data = np.frombuffer(runs(page), np.uint8).reshape(-1, 3).astype(int)
    mask = np.repeat(data[:, 0], data[:, 1] + 256 * data[:, 2]).astype(np.uint8)
    page.evaluate("Jupyter.notebook.get_cell(1).clear_output(); Jupyter.notebook.execute_cells([1])")
    printed = page.locator(".code_cell").nth(1).locator(".output_stdout pre").inner_text()
    assert printed.split() == ["7", hashlib.sha256(mask.tobytes()).hexdigest()]


def drag(page, *points) -> None:
    """Points are in sides of the canvas."""
    box = page.locator(".editor-left canvas").first.bounding_box()
    spots = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*spots[0])
    page.mouse.down()
    for spot in spots[1:]:
        page.mouse.move(*spot, steps=3)
    page.mouse.up()


def press(page, key: str) -> None:
    page.focus(ROOT)
    page.keyboard.press(key)


def test_an_edit_from_the_mouse_to_the_picture_and_back(page):
    first = runs(page)
    page.click(f".editor-class[data-value='{HAT}']")
    drag(page, (0.2, 0.15), (0.5, 0.08), (0.8, 0.15))
    page.wait_for_selector(f"{ROOT}[data-shown='2']")
    hat = runs(page)
    assert hat != first
    assert_one_mask(page)
    press(page, "Control+z")
    assert runs(page) == first
    assert_one_mask(page)
    press(page, "Control+y")
    assert runs(page) == hat
    assert_one_mask(page)
    page.click(".editor-source [data-face='1']")
    page.click("[data-group='mouth']")
    assert_one_mask(page)
    assert runs(page) != hat
    for key in ("d", "d", "x", "b", "a"):
        press(page, key)
    assert page.evaluate("Jupyter.notebook.get_cells().length") == 2  # the notebook has not heard them
