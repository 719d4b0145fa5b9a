"""A JupyterLab server of its own on this machine, notebooks in it, and a second client on their kernels."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Page

NOT_OURS = ("Could not restore the debugger state", "WebSocket connection to", "Failed to load resource")
"""What JupyterLab itself logs when a kernel is killed; it comes and goes."""
START_SECONDS = 60
CURRENT = "window.jupyterapp?.shell?.currentWidget"
IDLE = f"{CURRENT}?.sessionContext?.session?.kernel?.status === 'idle'"


@dataclass(frozen=True)
class Lab:
    """A running server: where it listens, its token, the folder it serves and the one with its kernels' sockets."""

    address: str
    token: str
    root: Path
    runtime: Path


@contextmanager
def server(folder: Path) -> Iterator[Lab]:
    """JupyterLab with nothing of the user's settings; files in ``folder / "root"`` are served."""
    root, home = folder / "root", folder / "home"
    root.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    lab = Lab(f"http://127.0.0.1:{port}", secrets.token_hex(16), root, home / "runtime")
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *(f"--port={port}", "--port-retries=0", "--ServerApp.ip=127.0.0.1"),
        *(f"--IdentityProvider.token={lab.token}", f"--ServerApp.root_dir={root}"),
        "--LabApp.expose_app_in_browser=True",
    ]
    log = folder / "server.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=_environment(home), stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        _wait(process, f"{lab.address}/api?token={lab.token}", log)
        yield lab
    finally:
        process.terminate()  # it shuts its kernels down
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _environment(home: Path) -> dict[str, str]:
    notices = home / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    notices.parent.mkdir(parents=True)
    notices.write_text(json.dumps({"fetchNews": "false", "checkForUpdates": False}))
    folders = {
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTERLAB_SETTINGS_DIR": "settings",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {**os.environ, **{name: str(home / folder) for name, folder in folders.items()}, "PATH": path}


def _wait(process: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab does not answer:\n{log.read_text()[-2000:]}")


def open_notebook(page: Page, lab: Lab, name: str, cells: Sequence[str]) -> None:
    """Shows a new notebook of these cells in JupyterLab and waits for its kernel. Nothing is executed yet."""
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
    nbformat.write(notebook, lab.root / name)
    show_notebook(page, lab, name)


def show_notebook(page: Page, lab: Lab, name: str) -> None:
    """Shows a notebook that lies in the server's folder, as above."""
    page.goto(f"{lab.address}/lab/tree/{name}?token={lab.token}&reset", wait_until="domcontentloaded")
    page.wait_for_function(IDLE, timeout=60_000)


def run_all_cells(page: Page) -> None:
    """Returns when all cells have been executed."""
    page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")


def cell_sources(page: Page) -> list[list[str]]:
    """Kind and source of each cell as they are in the browser."""
    return page.evaluate(f"{CURRENT}.content.widgets.map(cell => [cell.model.type, cell.model.sharedModel.source])")


def show_cell(page: Page, number: int) -> None:
    """Scrolls to a cell, counted from 0: JupyterLab keeps in the page only what is on the screen."""
    page.evaluate(f"{CURRENT}.content.scrollToItem({number}, 'start')")


class Kernel:
    """A second client on the kernel of the notebook on the screen."""

    def __init__(self, page: Page, lab: Lab):
        number = page.evaluate(f"{CURRENT}.sessionContext.session.kernel.id")
        self._client = BlockingKernelClient(connection_file=str(lab.runtime / f"kernel-{number}.json"))
        self._client.load_connection_file()
        self._client.start_channels()
        self._client.wait_for_ready(30)

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *_) -> None:
        self._client.stop_channels()

    def run(self, code: str) -> str:
        """Executes code and returns what it printed; an error in it is raised here."""
        printed = []

        def collect(message: dict) -> None:
            content = message["content"]
            printed.append(content.get("text") or "\n".join(content.get("traceback", ())))

        reply = self._client.execute_interactive(code, timeout=60, output_hook=collect, store_history=False)
        if reply["content"]["status"] != "ok":
            raise RuntimeError("".join(printed))
        return "".join(printed).strip()

    def begin(self, code: str) -> None:
        """Executes code without waiting for it."""
        self._client.execute(code, store_history=False)


def kill_kernel(page: Page, lab: Lab) -> None:
    """SIGKILL to the notebook's kernel; returns when the server has started it anew and Lab's notice is dismissed."""
    with Kernel(page, lab) as kernel:
        process = int(kernel.run("import os; print(os.getpid())"))
    os.kill(process, signal.SIGKILL)
    page.locator(".jp-Dialog button.jp-mod-accept").click(timeout=30_000)
    page.wait_for_function(IDLE, timeout=30_000)
