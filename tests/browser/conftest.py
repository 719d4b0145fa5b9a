"""One Chromium for all tests of this folder. Without one they are skipped; where CI is set, that is a failure."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from browser import lab
from browser.page import NoBrowser, chromium


@pytest.fixture(scope="package")
def browser() -> Iterator:
    """A running browser. It is closed with this folder's last test: Playwright's event loop disturbs other tests."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(chromium())
        except NoBrowser as error:
            if os.environ.get("CI"):
                pytest.fail(str(error), pytrace=False)
            pytest.skip(str(error))
        yield running


@pytest.fixture(scope="module")
def jupyter(browser, tmp_path_factory) -> Iterator[lab.Lab]:
    """A JupyterLab server for the tests of one file."""
    with lab.server(tmp_path_factory.mktemp("jupyter")) as running:
        yield running
