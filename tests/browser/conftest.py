"""One Chromium for all tests of this folder. Without one they are skipped; where CI is set, that is a failure."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

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
