"""The editor's pure functions: with node where it is there, else in the browser."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from browser.page import NoBrowser, chromium, new_page
from PIL import Image

from maskgan_lib import editor
from maskgan_lib.classes import COLORS
from maskgan_lib.editor.rle import decode_runs, encode_runs
from maskgan_lib.editor.widget import MODULES

FOLDER = Path(editor.__file__).parent
CORE = FOLDER / "core.js"
TESTS = Path(__file__).parent / "editor_js" / "core.test.mjs"

TEST = "export default (name, run) => window.tests.push([name, run]);"
ASSERT = """
const plain = (value) => JSON.stringify(value, (_, part) => (ArrayBuffer.isView(part) ? Array.from(part) : part));
const ok = (truth, message = "not true") => { if (!truth) throw new Error(message); };
const equal = (a, b, message) => ok(Object.is(a, b), `${message ?? ""} ${a} is not ${b}`);
const deepEqual = (a, b) => equal(plain(a).replaceAll("-0", "0"), plain(b));
const throws = (run, _, message) => {
  try { run(); } catch { return; }
  throw new Error(`nothing was thrown: ${message}`);
};
export default { ok, equal, deepEqual, throws };
"""


def in_browser(page, core: str, tests: str) -> dict[str, str]:
    """Error or "" by name of test, with small stand-ins for node's own modules."""
    modules = {"node:test": TEST, "node:assert/strict": ASSERT, "core": core}
    addresses = {
        name: "data:text/javascript;base64," + base64.b64encode(text.encode()).decode()
        for name, text in modules.items()
    }
    page.set_content(f'<script type="importmap">{json.dumps({"imports": addresses})}</script>')
    page.evaluate("window.tests = []; window.process = { env: { EDITOR_CORE: 'core' } }")
    return page.evaluate(
        """async (source) => {
          await import(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
          const results = {};
          for (const [name, run] of tests) {
            try { await run(); results[name] = ""; } catch (error) { results[name] = String(error); }
          }
          return results;
        }""",
        tests,
    )


def test_pure_functions(tmp_path):
    core, tests = CORE.read_text(), TESTS.read_text()
    names = re.findall(r'^test\("([^"]+)"', tests, re.M)
    assert len(names) >= 15
    if node := shutil.which("node"):
        copy = tmp_path / "core.mjs"
        copy.write_text(core)
        environment = os.environ | {"EDITOR_CORE": copy.as_uri()}
        run = subprocess.run([node, "--test", TESTS], env=environment, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stdout + run.stderr
        return
    try:
        with chromium() as browser, new_page(browser) as page:
            results = in_browser(page, core, tests)
    except NoBrowser as error:
        pytest.skip(f"There is no node here, and {error}")
    assert results == dict.fromkeys(names, "")


def test_each_file_imports_what_is_there_from_those_before_it():
    assert sorted(MODULES) == sorted(path.stem for path in FOLDER.glob("*.js"))
    for place, name in enumerate(MODULES):
        used = re.findall(r'from "\./(\w+)\.js"', (FOLDER / f"{name}.js").read_text())
        assert set(used) <= set(MODULES[:place]), name


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_every_import_is_exported(tmp_path):
    shutil.copytree(FOLDER, tmp_path, dirs_exist_ok=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    subprocess.run(
        ["node", "--input-type=module", "-e", "await import('./view.js')"], cwd=tmp_path, check=True, timeout=60
    )


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node here")
def test_python_and_javascript_write_the_same_bytes_and_files(tmp_path):
    mask = np.kron(np.random.default_rng(0).integers(0, 19, (16, 16), np.uint8), np.ones((32, 32), np.uint8))
    copy = tmp_path / "core.mjs"
    copy.write_text(CORE.read_text())
    (tmp_path / "mask.rle").write_bytes(encode_runs(mask))
    script = f"""
    import {{ readFileSync, writeFileSync }} from "node:fs";
    import {{ maskPng, rle, unrle }} from "{copy.as_uri()}";
    const labels = unrle(readFileSync("mask.rle"), 512 * 512, 19);
    writeFileSync("again.rle", rle(labels));
    const png = await maskPng(labels, 512, {COLORS.tolist()});
    writeFileSync("mask.png", new Uint8Array(await png.arrayBuffer()));
    """
    subprocess.run(["node", "--input-type=module", "-e", script], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "again.rle").read_bytes() == encode_runs(mask)
    assert (decode_runs((tmp_path / "again.rle").read_bytes(), 512) == mask).all()
    with Image.open(io.BytesIO((tmp_path / "mask.png").read_bytes())) as file:
        assert file.mode == "P" and (np.asarray(file) == mask).all()
        assert (np.asarray(file.convert("RGB")) == COLORS[mask]).all()
