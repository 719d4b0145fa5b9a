"""The floors of the library: who may import whom, and what a bare import costs."""

import ast
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "maskgan_lib"

FLOORS = (
    {"classes", "progress", "registry"},
    {"presets", "exercises"},
    {"faces"},
    {"edits"},
    {"networks", "data"},
    {"losses"},
    {"checkpoints"},
    {"training", "readme"},
    {"judges"},
    {"methods"},
    {"attribute_masks"},
    {"evaluation"},
    {"editor"},
    {"course", "plots", "bench"},
    {"runner"},
    {"commands"},
    {"__main__"},
)
"""From the ground up. A module imports from its own package and from floors below, never from a neighbour."""

FLOOR_OF = {name: height for height, floor in enumerate(FLOORS) for name in floor}
MODULES = sorted(path.relative_to(ROOT) for path in LIBRARY.rglob("*.py"))


def unit(parts: tuple[str, ...]) -> str:
    """The module or package right under maskgan_lib that a dotted name belongs to; "" for maskgan_lib itself."""
    return parts[1] if len(parts) > 1 else ""


@cache
def imported_names(path: Path) -> set[tuple[str, ...]]:
    """All that a file imports, also within functions, as absolute dotted names."""
    module = path.with_suffix("").parts
    package = module[:-1]
    names = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {tuple(alias.name.split(".")) for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base += tuple(node.module.split(".")) if node.module else ()
            # `from maskgan_lib import course` names a module, `from maskgan_lib.course import start` a function
            names |= {(*base, alias.name) for alias in node.names} if base == ("maskgan_lib",) else {base}
    return names


def test_every_module_has_a_floor():
    units = {unit(path.with_suffix("").parts) for path in MODULES} - {"__init__"}
    assert units <= FLOOR_OF.keys()


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_imports_go_down(path):
    own = unit(path.with_suffix("").parts)
    used = {unit(name) for name in imported_names(path) if name[0] == "maskgan_lib"} - {own}
    if own == "__init__":
        assert not used
    wrong = {other for other in used if other and FLOOR_OF[other] >= FLOOR_OF[own]}
    assert not wrong, f"{path} imports from its own floor or above: {wrong}"


@pytest.mark.parametrize(
    ("package", "allowed"),
    [
        ("ipywidgets", {"editor", "course"}),
        ("anywidget", {"editor", "evaluation"}),  # evaluation: the survey
        ("matplotlib", {"plots", "course"}),
        ("torchmetrics", {"evaluation"}),
        ("accelerate", {"training", "judges", "methods", "bench"}),
    ],
)
def test_packages_stay_where_they_belong(package, allowed):
    users = {
        unit(path.with_suffix("").parts) for path in MODULES if (package,) in {n[:1] for n in imported_names(path)}
    }
    assert users <= allowed


def test_relative_imports_are_understood():
    assert ("maskgan_lib", "faces", "people") in imported_names(Path("maskgan_lib/faces/render.py")) | imported_names(
        Path("maskgan_lib/faces/__init__.py")
    )


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
        ("import maskgan_lib.faces, maskgan_lib.edits", HEAVY),
        ("import maskgan_lib.data.packed, maskgan_lib.data.celebamask", HEAVY),
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
