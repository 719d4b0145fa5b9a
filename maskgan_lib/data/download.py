"""Downloads CelebAMask-HQ from the places where it is known, by packages that are made for each."""

import zipfile
from pathlib import Path

from maskgan_lib.data.celebamask import IMAGE_FOLDER, open_data_set
from maskgan_lib.data.errors import DataError

CELEBAMASK_HQ_FACES = 30_000
TERMS = (
    "CelebAMask-HQ (3.2 GB) is for non-commercial research and education only. Its pictures, and what is derived from "
    "them, may not be passed on. By going on you accept the terms of its authors, in the README.txt of the data set."
)


def celebamask_hq(folder: str | Path) -> Path:
    """Downloads CelebAMask-HQ into ``folder``; returns what ``prepare`` takes, the path of the zip or of the data set.

    Tries Hugging Face, the authors' Google Drive and Kaggle in turn, each if its package is installed. ``DataError``
    says why none worked and what to do. A zip that lies there already is taken.
    """
    print(TERMS)
    file = Path(folder) / "CelebAMask-HQ.zip"
    if file.exists():
        return _checked(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for name, get in SOURCES.items():
        try:
            return _checked(get(file))
        except ImportError as error:
            reasons.append(f"{name}: needs `pip install {error.name}`")
        except Exception as error:  # every one of these packages has exceptions of its own
            reasons.append(f"{name}: {' '.join(str(error).split())[:200] or type(error).__name__}")
    raise DataError(
        f"CelebAMask-HQ could not be downloaded ({'; '.join(reasons)}): download it in a browser from the page of its "
        f"authors and put it there as {file}, or practise on `python -m maskgan_lib faces --layout celebamask-hq`."
    )


def _from_hugging_face(file: Path) -> Path:
    import huggingface_hub

    repository = "liusq/CelebAMask-HQ"
    names = huggingface_hub.list_repo_files(repository, repo_type="dataset")
    name = min((name for name in names if name.endswith(".zip")), default=None)
    if name is None:
        raise DataError(f"{repository} holds no zip")
    path = huggingface_hub.hf_hub_download(repository, name, repo_type="dataset", local_dir=file.parent)
    return Path(path).replace(file)


def _from_google_drive(file: Path) -> Path:
    import gdown

    part = file.with_suffix(".zip.part")
    if gdown.download(id="1badu11NqxGf6qM3PTTooQDJvQbejgbTv", output=str(part), resume=True) is None:
        raise DataError("no access, probably over its quota for today")
    return part.replace(file)


def _from_kaggle(file: Path) -> Path:
    import kagglehub

    root = Path(kagglehub.dataset_download("ipythonx/celebamaskhq"))
    return next((path for path in (root, *sorted(root.rglob("*"))) if (path / IMAGE_FOLDER).is_dir()), root)


SOURCES = {"Hugging Face": _from_hugging_face, "Google Drive": _from_google_drive, "Kaggle": _from_kaggle}


def _checked(root: Path) -> Path:
    """``root`` if it is the whole data set."""
    archive = open_data_set(root)
    folder = (root if archive.prefix is None else zipfile.Path(root, archive.prefix)) / IMAGE_FOLDER
    images = sum(path.name.endswith(".jpg") for path in folder.iterdir())
    if images != CELEBAMASK_HQ_FACES:
        raise DataError(f"{root} holds {images} images, not {CELEBAMASK_HQ_FACES}: delete it and download again.")
    return root
