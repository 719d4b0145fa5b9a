import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def real_faces() -> Path:
    """The four photographs that the authors of CelebAMask-HQ publish, laid out like the data set, or a skip.

    They may not be passed on, so they are not in this project. A run with MASKGAN_TEST_DATA set asks for them: there
    a missing folder is a failure.
    """
    asked_for = os.environ.get("MASKGAN_TEST_DATA")
    folder = Path(asked_for) if asked_for else ROOT.parent / "shared" / "celebamask_hq_mini"
    if not (folder / "CelebA-HQ-img").is_dir():
        message = f"the four real faces are not in {folder}; MASKGAN_TEST_DATA names their folder"
        (pytest.fail if asked_for else pytest.skip)(message)
    return folder


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> Path:
    """The folder of the book that `make book` makes, without a warning."""
    from test_project import make

    folder = tmp_path_factory.mktemp("book")
    made = make("book", "STAMP=", f"VENV={sys.prefix}", f"BOOK={folder}", "REPOSITORY=")
    assert made.returncode == 0 and not made.stderr, made.stderr
    return folder


@pytest.fixture
def one_thread(monkeypatch):
    """One thread of one CPU, on which the order of sums is always the same."""
    import torch

    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def in_double():
    """All that is made and read is in float64: Adam makes whole steps of rounding errors.

    Where a bias stands before a normalisation, it has no other gradient.
    """
    import torch

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)
