"""What goes wrong with data, said in one sentence."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class DataError(Exception):
    """Bad or missing data, in one sentence: which file, what is wrong, what to do."""


@contextmanager
def full_disk_is_an_error(sentence: Callable[[], str]) -> Iterator[None]:
    """Turns "no space left" into a ``DataError`` of that sentence; other errors of the system pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DataError(sentence()) from None
