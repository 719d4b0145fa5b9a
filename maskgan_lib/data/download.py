"""Downloads: one function for files, which resumes and checks, and the places where CelebAMask-HQ is known from."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

from maskgan_lib.data.celebamask import IMAGE_FOLDER, open_data_set
from maskgan_lib.data.errors import DataError, full_disk_is_an_error
from maskgan_lib.progress import progress_bar

CHUNK = 1 << 20
ATTEMPTS, FIRST_WAIT, TIMEOUT = 5, 1.0, 30.0  # waits of 1, 2, 4, 8 seconds between attempts

CELEBAMASK_HQ_FACES = 30_000
TERMS = (
    "CelebAMask-HQ (3.2 GB) is for non-commercial research and education only. Its pictures, and what is derived from "
    "them, may not be passed on. By going on you accept the terms of its authors, in the README.txt of the data set."
)


def fetch(
    url: str, path: str | Path, sha256: str | None = None, size: int | None = None, *, progress: bool = True
) -> Path:
    """Downloads ``url`` to ``path``, which exists only when it is complete and right.

    A download that broke off goes on where it stopped, now or in a later call (``path`` + ".part" keeps what came).
    ``size`` in bytes and ``sha256`` are checked if given. Raises ``DataError`` with what to do.
    """
    path = Path(path)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    for attempt in range(ATTEMPTS):
        try:
            with full_disk_is_an_error(lambda: f"No space left for {path}: make room and try again, it goes on."):
                _fetch_rest(url, part, size, progress)
            break
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise DataError(f"{url} answers {error.code} {error.reason}: get the file by hand as {path}.") from None
            reason: Exception = error
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = error
        if attempt + 1 == ATTEMPTS:
            raise DataError(
                f"{url} cannot be reached ({reason}): check the network or VPN and try again, it goes on, or get the "
                f"file by hand as {path}."
            )
        time.sleep(FIRST_WAIT * 2**attempt)
    _check(part, url, sha256, size)
    part.replace(path)
    return path


def _fetch_rest(url: str, part: Path, size: int | None, progress: bool) -> None:
    """Appends to ``part`` what is still missing; starts anew if the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    if size is not None and have >= size:
        return
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        return  # nothing beyond what we have; the checks decide whether that is the file
    with answer:
        if answer.headers.get_content_type() == "text/html":
            raise DataError(f"{url} sends a web page, not the file (a quota, a login?): try later or get it by hand.")
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if goes_on else 0
        length = answer.headers.get("Content-Length")
        total = have + int(length) if length else None
        with (
            part.open("ab" if goes_on else "wb") as file,
            progress_bar(total=total, initial=have, desc=part.stem, unit="B", disable=not progress) as bar,
        ):
            while block := answer.read(CHUNK):
                file.write(block)
                bar.update(len(block))
        if total is not None and part.stat().st_size < total:
            raise ConnectionError(f"the connection broke off after {part.stat().st_size} of {total} bytes")


def _check(part: Path, url: str, sha256: str | None, size: int | None) -> None:
    found = part.stat().st_size
    wrong = f"it has {found} bytes, not {size}" if size is not None and found != size else None
    if wrong is None and sha256 is not None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        wrong = f"its sha256 is {digest}, not {sha256}" if digest != sha256 else None
    if wrong:
        part.unlink()
        raise DataError(f"What {url} sent is not the file that was expected ({wrong}): try again or get it by hand.")


def celebamask_hq(folder: str | Path) -> Path:
    """Downloads CelebAMask-HQ into ``folder``; returns what ``prepare`` takes, the path of the zip or of the data set.

    Tries Hugging Face, the authors' Google Drive and Kaggle in turn, each if its package is installed. ``DataError``
    says why none worked and what to do. A zip that lies there already is taken.
    """
    folder = Path(folder)
    print(TERMS)
    file = folder / "CelebAMask-HQ.zip"
    reasons = []
    for name, get in SOURCES.items():
        if file.exists():
            break
        folder.mkdir(parents=True, exist_ok=True)
        try:
            root = get(folder)
            return _checked(root)
        except ImportError as error:
            reasons.append(f"{name}: needs `pip install {error.name}`")
        except Exception as error:  # every one of these packages has exceptions of its own
            reasons.append(f"{name}: {' '.join(str(error).split())[:200] or type(error).__name__}")
    if file.exists():
        return _checked(file)
    raise DataError(
        f"CelebAMask-HQ could not be downloaded ({'; '.join(reasons)}): download it in a browser from the page of its "
        f"authors and put it there as {file}, or practise on `python -m maskgan_lib faces --layout celebamask-hq`."
    )


def _from_hugging_face(folder: Path) -> Path:
    import huggingface_hub

    repository = "liusq/CelebAMask-HQ"
    names = huggingface_hub.list_repo_files(repository, repo_type="dataset")
    name = next((name for name in sorted(names) if name.endswith(".zip")), None)
    if name is None:
        raise DataError(f"{repository} holds no zip")
    path = huggingface_hub.hf_hub_download(repository, name, repo_type="dataset", local_dir=folder)
    return Path(path).replace(folder / "CelebAMask-HQ.zip")


def _from_google_drive(folder: Path) -> Path:
    import gdown

    part = folder / "CelebAMask-HQ.zip.part"
    if gdown.download(id="1badu11NqxGf6qM3PTTooQDJvQbejgbTv", output=str(part), resume=True) is None:
        raise DataError("no access, probably over its quota for today")
    return part.replace(folder / "CelebAMask-HQ.zip")


def _from_kaggle(folder: Path) -> Path:
    import kagglehub

    root = Path(kagglehub.dataset_download("ipythonx/celebamaskhq"))
    return next((path for path in (root, *sorted(root.rglob("*"))) if (path / IMAGE_FOLDER).is_dir()), root)


SOURCES: dict[str, Callable[[Path], Path]] = {
    "Hugging Face": _from_hugging_face,
    "Google Drive": _from_google_drive,
    "Kaggle": _from_kaggle,
}


def _checked(root: Path) -> Path:
    """``root`` if it is the whole data set."""
    archive = open_data_set(root)
    if archive.zipped:
        with zipfile.ZipFile(root) as file:
            images = [name for name in file.namelist() if f"{IMAGE_FOLDER}/" in name and name.endswith(".jpg")]
    else:
        images = list((root / IMAGE_FOLDER).glob("*.jpg"))
    if len(images) != CELEBAMASK_HQ_FACES:
        raise DataError(f"{root} holds {len(images)} images, not {CELEBAMASK_HQ_FACES}: delete it and download again.")
    return root
