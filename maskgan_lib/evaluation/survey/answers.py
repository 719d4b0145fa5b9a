"""The answers of all raters in one CSV, written line by line so that a kill costs none of them.

Nothing in the file is rewritten: an answer that is taken back is followed by a row without a method, and for each
rater, item and criterion the last row counts. A line without its end was cut off while it was written; nobody was told
that it counts, and it does not.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from maskgan_lib.data.errors import DataError
from maskgan_lib.data.journal import write_all

COLUMNS = ("rater", "item", "criterion", "method", "position", "shown", "seconds", "time")
TAKEN_BACK = ""
"""Stands for the method where an answer was taken back."""


@dataclass(frozen=True)
class Answer:
    """One row: which of the ``shown`` methods, in the order of the letters A, B, ..., a rater chose.

    ``position`` is the letter of ``method``; ``seconds`` passed between question and answer; ``time`` is when it was
    given, UTC, as ISO 8601.
    """

    rater: str
    item: str
    criterion: str
    method: str
    position: str
    shown: tuple[str, ...]
    seconds: float
    time: str


def read_answers(path: str | Path) -> list[Answer]:
    """The answers that count, oldest first; the file is not touched.

    Raises ``DataError`` for a file that is not there or that holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no file {path}: check the path, or answer a survey first.")
    return _that_count(path, _whole_lines(path))


def open_answers(path: Path) -> list[Answer]:
    """The answers that count, after making a file that is not there and removing a last line that was cut off."""
    with _failing_softly(path, "name another file, or make room"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        whole = _whole_lines(path)
        _append(path, b"" if whole else _line(COLUMNS))
    return _that_count(path, whole)


def append_answer(path: Path, answer: Answer) -> None:
    """Brings a row to the disk before it returns. Raises ``DataError`` if it cannot; the file is as before then."""
    with _failing_softly(path, "this answer does not count yet; put that right and answer again"):
        if not path.is_file():  # never begun anew in silence: the earlier answers would be missing
            raise OSError("the file is gone")
        _append(path, _line(astuple(replace(answer, shown=json.dumps(answer.shown, ensure_ascii=False)))))


@contextmanager
def _failing_softly(path: Path, advice: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror or error}): {advice}.") from error


def _append(path: Path, line: bytes) -> None:
    whole = len(_whole_lines(path))
    with path.open("ab", buffering=0) as file:
        file.truncate(whole)
        try:
            write_all(file, line)
            os.fsync(file.fileno())
        except OSError:
            file.truncate(whole)
            raise


def _line(fields: Iterable) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(fields)
    return text.getvalue().encode()


def _whole_lines(path: Path) -> bytes:
    """All of a file up to the end of its last whole line. A file that is no CSV of answers is refused, not cut."""
    content = path.read_bytes()
    header, _, _ = content.partition(b"\n")
    expected = _line(COLUMNS).rstrip(b"\n")
    if header.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r") != expected and not expected.startswith(content):
        raise DataError(f"{path} does not hold answers of this survey: name another file.")
    return content[: content.rfind(b"\n") + 1]


def _that_count(path: Path, whole: bytes) -> list[Answer]:
    latest: dict[tuple[str, str, str], Answer] = {}
    try:
        rows = csv.reader(io.StringIO(whole.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged ({error}): name another file.") from error
    next(rows, None)
    for number, fields in enumerate(rows, start=2):
        try:
            *names, shown, seconds, time = fields
            answer = Answer(*names, tuple(map(str, json.loads(shown))), float(seconds), time)
            taken_back = answer.method == TAKEN_BACK
            if not taken_back and answer.shown.index(answer.method) != ord(answer.position) - ord("A"):
                raise ValueError("method and position differ")
        except (ValueError, TypeError) as error:
            raise DataError(f"Line {number} of {path} is no answer ({error}): correct it or remove it.") from error
        question = (answer.rater, answer.item, answer.criterion)
        latest.pop(question, None)  # so that an answer given anew stands at the end
        if not taken_back:
            latest[question] = answer
    return list(latest.values())
