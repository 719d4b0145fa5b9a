"""What goes wrong with data, said in one sentence."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class DataError(Exception):
    """Bad or missing data, in one sentence: which file, what is wrong, what to do."""


@contextmanager
def full_disk_is_an_error(folder: str | Path) -> Iterator[None]:
    """Turns "no space left" while ``folder`` is made into a ``DataError``; other errors of the system pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sentence = f"No space left on the disk of {folder}: make room and run the same command again, it goes on."
        raise DataError(sentence) from None
