"""The floors of the library: who may import whom, and what a bare import costs."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from importlib.util import resolve_name
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

FLOORS = (
    {"classes", "progress", "registry"},
    {"presets", "edits", "faces"},
    {"networks", "data"},
    {"losses"},
    {"checkpoints"},
    {"training"},
    {"judges"},
    {"methods"},
    {"attribute_masks"},
    {"evaluation"},
    {"editor"},
    {"bench", "course"},
    {"commands"},
    {"__main__"},
)
"""From the ground up. A module imports from its own package and from floors below, never from a neighbour."""

FLOOR_OF = {name: height for height, floor in enumerate(FLOORS) for name in floor}


def room(name: str) -> str:
    """The module or package right under maskgan_lib that a dotted name belongs to; "" for maskgan_lib itself."""
    return name.partition(".")[2].partition(".")[0]


MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "maskgan_lib").rglob("*.py"))
}


@cache
def imports_of(name: str) -> set[str]:
    """The modules that a module imports, also within functions, as absolute dotted names."""
    found, package = set(), name if MODULES[name].stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            # `from maskgan_lib import course` names a module, `from maskgan_lib.course import start` a function
            full = [f"{base}.{alias.name}" for alias in node.names]
            found |= {module if module in MODULES else base for module in full}
    return found


def test_imports_go_down_and_never_in_a_circle():
    assert {room(name) for name in MODULES} - {""} <= FLOOR_OF.keys(), "every module has a floor"
    graph = {name: imports_of(name) & MODULES.keys() for name in MODULES}
    assert not graph["maskgan_lib"] and "maskgan_lib.faces.people" in graph["maskgan_lib.faces.render"]
    wrong = [
        f"{name} imports {other}"
        for name, others in graph.items()
        for other in others
        if room(other) not in ("", room(name)) and FLOOR_OF[room(other)] >= FLOOR_OF[room(name)]
    ]
    assert not wrong
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("ipywidgets", {"editor", "course"}),
        ("anywidget", {"editor", "evaluation"}),  # evaluation: the survey
        ("matplotlib", {"course"}),
        ("torchmetrics", {"evaluation"}),
        ("accelerate", {"training", "judges", "methods", "bench"}),
    ],
)
def test_packages_stay_where_they_belong(package, allowed):
    users = {room(name) for name in MODULES if package in {other.partition(".")[0] for other in imports_of(name)}}
    assert users <= allowed


def loaded_after(statement: str) -> set[str]:
    """Packages in memory after ``statement`` in a fresh Python, and what it printed, if anything, as one more."""
    script = f"{statement}\nimport sys\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.count("\n") == 1 and not done.stderr
    return set(done.stdout.split())


HEAVY = {"torch", "matplotlib", "torchvision", "accelerate", "ipywidgets", "pandas", "scipy"}


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("import maskgan_lib", HEAVY | {"numpy", "PIL", "tqdm"}),
        ("import maskgan_lib.__main__", HEAVY | {"numpy"}),
        ("import maskgan_lib.faces, maskgan_lib.data.celebamask", HEAVY),
    ],
)
def test_imports_are_light(statement, missing):
    loaded = loaded_after(statement)
    assert "maskgan_lib" in loaded
    assert not loaded & missing


@pytest.mark.parametrize("given", [{}, {"GOMP_SPINCOUNT": "7"}, {"OMP_WAIT_POLICY": "PASSIVE"}])
def test_threads_that_wait_soon_sleep_unless_told_otherwise(given):
    """How often one looks again before it sleeps, as GNU's OpenMP says itself."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment |= {"OMP_DISPLAY_ENV": "verbose"} | given
    command = [sys.executable, "-c", "import maskgan_lib.networks"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    spins = re.search(r"GOMP_SPINCOUNT = '(\d+)'", done.stderr)
    if spins is None:
        pytest.skip("another OpenMP")
    assert int(spins[1]) == {"GOMP_SPINCOUNT": 7, "OMP_WAIT_POLICY": 0}.get(next(iter(given), ""), 20_000)
