"""Writing what was measured or computed into the README files."""

from pathlib import Path

from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.data.errors import DataError


def write_between(path: str | Path, begin: str, end: str, text: str) -> None:
    """Put ``text`` between the marks ``begin`` and ``end`` in a text file, in the place of what is there.

    ``DataError`` unless the file has each mark once, in this order; it is unchanged then.
    """
    path = Path(path)
    content = path.read_text(encoding="utf-8")
    before, _, rest = content.partition(begin)
    _, _, after = rest.partition(end)
    if content.count(begin) != 1 or content.count(end) != 1 or end not in rest:
        raise DataError(f"{path} needs one line {begin} and below it one line {end}: put them there.")
    with atomic(path) as file:
        file.write(f"{before}{begin}\n{text.strip()}\n{end}{after}".encode())
