"""The editor's view without a page, in the node that Playwright brings: pure functions, and what files import."""

import io
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import playwright
import pytest
from PIL import Image

from maskgan_lib import editor
from maskgan_lib.classes import COLORS
from maskgan_lib.editor.rle import encode_runs
from maskgan_lib.editor.widget import MODULES

NODE = Path(playwright.__file__).parent / "driver" / "node"
FOLDER = Path(editor.__file__).parent
TESTS = Path(__file__).parent / "editor_js" / "core.test.mjs"


@pytest.fixture
def view(tmp_path):
    """A folder with the view's files, each of which node takes for a module."""
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return tmp_path


def node(folder, *arguments, **environment):
    command = [NODE, *arguments]
    run = subprocess.run(command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stdout + run.stderr


def test_pure_functions(view):
    node(view, "--test", TESTS, EDITOR_CORE=(view / "core.js").as_uri())


def test_each_file_imports_what_is_there_from_those_before_it(view):
    assert sorted(MODULES) == sorted(path.stem for path in FOLDER.glob("*.js"))
    for place, name in enumerate(MODULES):
        used = re.findall(r'from "\./(\w+)\.js"', (FOLDER / f"{name}.js").read_text())
        assert set(used) <= set(MODULES[:place]), name
    node(view, "-e", "import('./view.js')")


def test_python_and_javascript_write_the_same_bytes_and_files(view):
    mask = np.kron(np.random.default_rng(0).integers(0, 19, (16, 16), np.uint8), np.ones((32, 32), np.uint8))
    (view / "mask.rle").write_bytes(encode_runs(mask))
    script = f"""
    import {{ readFileSync, writeFileSync }} from "node:fs";
    import {{ maskPng, rle, unrle }} from "./core.js";
    const labels = unrle(readFileSync("mask.rle"), 512 * 512, 19);
    writeFileSync("again.rle", rle(labels));
    const png = await maskPng(labels, 512, {COLORS.tolist()});
    writeFileSync("mask.png", new Uint8Array(await png.arrayBuffer()));
    """
    node(view, "--input-type=module", "-e", script)
    assert (view / "again.rle").read_bytes() == encode_runs(mask)
    with Image.open(io.BytesIO((view / "mask.png").read_bytes())) as file:
        assert file.mode == "P" and (np.asarray(file) == mask).all()
        assert (np.asarray(file.convert("RGB")) == COLORS[mask]).all()
