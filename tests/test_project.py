"""The project's own files: what README promises exists, and no requirement would replace what Colab runs on."""

import argparse
import ast
import os
import re
import subprocess
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from maskgan_lib.commands import parser

ROOT = Path(__file__).resolve().parent.parent
READMES = ("README.md", "data/README.md", "notebooks/teaching/README.md", "notebooks/teaching/projects.md")
COLAB = {
    "torch": "2.11.0",
    "torchvision": "0.26.0",
    "numpy": "2.1.3",
    "scipy": "1.16.3",
    "pillow": "11.3.0",
    "matplotlib": "3.10.0",
    "ipywidgets": "7.7.1",
    "accelerate": "1.14.0",
    "safetensors": "0.8.0",
    "tqdm": "4.67.3",
    "anywidget": "0.9.21",
}
"""What a Colab runtime of August 2026 has installed (googlecolab/backend-info)."""


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_a_lower_bound_with_a_reason_that_colabs_own_packages_meet(name):
    for line in (ROOT / name).read_text().splitlines():
        if line and not line.startswith(("#", "-r")):
            wanted, _, comment = line.partition("#")
            requirement = Requirement(wanted.strip())
            operators = {specifier.operator for specifier in requirement.specifier}
            assert ">=" in operators and operators <= {">=", "!="}, f"{requirement}: a pin breaks the next runtime"
            assert comment.strip().startswith("why: "), requirement
            assert requirement.name not in COLAB or requirement.specifier.contains(COLAB[requirement.name]), requirement


@pytest.mark.parametrize("name", READMES)
def test_links_of_the_readmes_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)#]+)", (ROOT / name).read_text(encoding="utf-8")):
        assert target.startswith("https://") or ((ROOT / name).parent / target).exists(), target


def test_every_command_that_the_readmes_name_exists():
    commands = commands_of(parser())
    for name in READMES:
        for command, rest in re.findall(r"-m maskgan_lib (\w+)([^`\n]*)", (ROOT / name).read_text(encoding="utf-8")):
            assert command in commands, f"{name} names {command!r}"
            known = commands[command].format_help() + "".join(
                kind.format_help() for kind in commands_of(commands[command]).values()
            )
            for option in re.findall(r"--[\w-]+", rest.partition("#")[0]):
                assert re.search(rf"{option}(?![\w-])", known), f"{name}: {command}{rest}"


def commands_of(made: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser, by name."""
    (below,) = [a.choices for a in made._actions if isinstance(a, argparse._SubParsersAction)] or [{}]
    return below


def make(*arguments: str) -> subprocess.CompletedProcess:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, env=environment)


def test_make_names_the_remedy_for_a_missing_or_old_python(tmp_path):
    missing = make("course", "PYTHON=no-such-python", f"VENV={tmp_path / 'venv'}")
    assert missing.returncode and "Install Python 3.11" in missing.stdout
    old = tmp_path / "old-python"
    old.write_text('#!/bin/sh\ncase "$*" in --version) echo Python 3.9.1;; *version_info*) exit 1;; esac\n')
    old.chmod(0o755)
    refused = make("course", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}")
    assert refused.returncode and "Python 3.9.1 is too old" in refused.stdout
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(("needed", "short"), [(10**9, True), (0, False)])
def test_make_says_beforehand_that_the_disk_may_be_too_small(tmp_path, needed, short):
    stops = tmp_path / "python-without-venv"
    stops.write_text('#!/bin/sh\ncase "$*" in *--clear*) exit 1;; esac\n')
    stops.chmod(0o755)
    shown = make("course", f"PYTHON={stops}", f"VENV={tmp_path / 'venv'}", f"FREE={needed}")
    assert shown.returncode and "Setting up" in shown.stdout
    assert (f"free about {needed} GB and repeat" in shown.stdout) == short


def test_no_file_and_no_function_is_too_long():
    room, too_long = ROOT / "maskgan_lib", set()
    for path in (path for path in room.rglob("*.*") if path.suffix in (".py", ".js")):
        name, text = path.relative_to(room).as_posix(), path.read_text(encoding="utf-8")
        too_long |= {name} if len(text.splitlines()) > 400 else set()
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 60:
                too_long.add(f"{name}:{node.name}")
    assert too_long == {"training/loop.py:train"}
