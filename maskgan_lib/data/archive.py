"""Files of a data set by their path within it, from its folder or straight from its zip."""

import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Self

from maskgan_lib.data.errors import DataError

ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What ``zipfile`` raises for a damaged file: a ``RuntimeError`` if that looks encrypted or compressed in a new way."""


@dataclass(frozen=True)
class Archive:
    """A folder, or a zip, that holds the folders and files of a data set; ``prefix`` is the folder within the zip."""

    root: Path
    zipped: bool = False
    prefix: str = ""

    @classmethod
    def open(cls, root: str | Path, landmark: str) -> Self:
        """Opens ``root``, in which the path ``landmark`` must exist; says where it is if it is one level off."""
        root = Path(root).expanduser()
        if root.is_file():
            return cls._open_zip(root, landmark)
        if not root.is_dir():
            raise DataError(f"There is no folder or zip {root}: give the path of the unpacked data set or of its zip.")
        inside = sorted(root.iterdir())
        for folder in (root, *root.resolve().parents[:2], *inside):
            if (folder / landmark).exists():
                if folder == root:
                    return cls(root)
                raise DataError(f"{root} is one level off, the data set is {folder}: give that path.")
        fault = f"has no {landmark}" if inside else "is empty"
        raise DataError(f"{root} {fault}: give the folder that holds it or its zip, or unpack the data set again.")

    @classmethod
    def _open_zip(cls, root: Path, landmark: str) -> Self:
        try:
            names = _zip_file(root, root.stat().st_mtime_ns).namelist()
        except (*ZIP_ERRORS, OSError) as error:
            raise DataError(f"{root} cannot be read as a zip ({error}): download it again, or give a folder.") from None
        for name in names:
            before, found, after = f"/{name}".partition(f"/{landmark}")
            if found and after[:1] in ("", "/"):
                return cls(root, True, f"{before}/".lstrip("/"))
        raise DataError(f"{root} holds no {landmark}: give the zip that does.")

    def read(self, path: str) -> bytes | None:
        """The bytes of a file, None if there is no such file."""
        try:
            if self.zipped:
                return _zip_file(self.root, self.root.stat().st_mtime_ns).read(self.prefix + path)
            return (self.root / path).read_bytes()
        except (FileNotFoundError, KeyError):
            return None
        except (*ZIP_ERRORS, OSError) as error:
            raise DataError(f"{self.name(path)} cannot be read ({error}): copy or download it again.") from None

    def existing(self, path: str) -> bytes:
        """The bytes of a file that must be there."""
        data = self.read(path)
        if data is None:
            raise DataError(f"{self.name(path)} is missing: unpack the data set again.")
        return data

    def name(self, path: str) -> str:
        """How messages name a file."""
        return f"{self.root}: {path}" if self.zipped else str(self.root / PurePosixPath(path))


@lru_cache(maxsize=2)
def _zip_file(path: Path, changed_at: int) -> zipfile.ZipFile:
    """One open zip per process: reading the directory of 400,000 files takes seconds."""
    return zipfile.ZipFile(path)
