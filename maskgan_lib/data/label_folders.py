"""Label maps that are merged already: a folder of images and one of label PNGs, with our ids or another data set's.

Classes are mapped by name, never by index. What a data set does not annotate at all must not become background where
sets are mixed: in LaPa, ears, neck and clothes lie in class 0, so that class becomes ``IGNORE_ID``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskgan_lib.classes import CLASS_ID, CLASS_NAMES, IGNORE_ID
from maskgan_lib.data.filling import pack
from maskgan_lib.data.packed import SPLITS, DataError, FaceRecord, PackedFaces, PackedWriter
from maskgan_lib.data.pictures import decode_image, decode_labels, dimensions, read_file, resize_labels

IGNORED = "ignore"
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png")
IMAGE_FOLDERS, LABEL_FOLDERS = {"image", "images"}, {"label", "labels", "mask", "masks"}
IMAGE_SUFFIX, LABEL_SUFFIXES = "_image", ("_seg", "_label")
FOLDER_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
SHARES = (0.8, 0.1, 0.1)
"""Shares of train, val and test where no folder is called so."""


def _numbered(names: str) -> dict[int, str]:
    return dict(enumerate(names.split()))


SCHEMES: Mapping[str, Mapping[int, str]] = {
    "celebamask-hq": dict(enumerate(CLASS_NAMES)),
    "bisenet": _numbered(
        "background skin l_brow r_brow l_eye r_eye eye_g l_ear r_ear ear_r nose mouth u_lip l_lip "
        "neck neck_l cloth hair hat"
    ),
    "facesynthetics": _numbered(  # id 14 is the beard, 18 whatever hides the face
        "background skin nose r_eye l_eye r_brow l_brow r_ear l_ear mouth u_lip l_lip "
        "neck hair skin cloth eye_g hat background"
    )
    | {255: IGNORED},
    # the left of LaPa and HELEN* is the viewer's: their "left" brow, id 2, is the subject's right one
    "lapa": _numbered("ignore skin r_brow l_brow r_eye l_eye nose u_lip mouth l_lip hair"),
    "helen": _numbered("ignore skin r_brow l_brow r_eye l_eye nose u_lip mouth l_lip hair"),
}
"""Our class name, or ``IGNORED``, for each id of a data set; ``"bisenet"`` is the order of face-parsing.PyTorch."""


def lacking(scheme: str) -> tuple[str, ...]:
    """The classes that label maps of ``scheme`` never mark."""
    return tuple(name for name in CLASS_NAMES if name not in SCHEMES[scheme].values())


def convert_labels(labels: np.ndarray, scheme: str) -> np.ndarray:
    """Label map with our 19 ids, or ``IGNORE_ID``, from one with the ids of ``scheme``; uint8 ``[H, W]`` both."""
    table = np.full(256, IGNORE_ID, np.uint8)
    for theirs, name in SCHEMES[scheme].items():
        table[theirs] = IGNORE_ID if name == IGNORED else CLASS_ID[name]
    return table[labels]


@dataclass(frozen=True)
class PairJob:
    """An image and its label map, either of which may be missing, and the size they are wanted at."""

    image: Path | None
    labels: Path | None
    scheme: str
    size: int
    record: FaceRecord


def prepare_label_folder(
    images: str | Path,
    labels: str | Path,
    out: str | Path,
    size: int = 512,
    scheme: str = "celebamask-hq",
    *,
    workers: int | None = None,
    keep_going: bool = False,
    progress: bool = True,
) -> PackedFaces:
    """Writes the packed folder ``out`` from images and the label maps of the same name, and opens it.

    Both folders are searched with all that is below; they may be the same one, if labels are told by ``_seg`` or
    ``_label`` in their names or by a folder called labels. Folders called train, val or test are the splits. Pictures
    that are not square are cropped to their middle. Bad files raise ``DataError``; with ``keep_going`` their faces are
    left out and named in ``left_out.json``.
    """
    if scheme not in SCHEMES:
        raise DataError(f"There is no label scheme {scheme!r}: choose one of {', '.join(SCHEMES)}.")
    image_of, labels_of = _find(Path(images), Path(labels))
    keys = sorted(image_of.keys() | labels_of.keys())
    splits = _splits(keys)
    jobs = [
        PairJob(image_of.get(key), labels_of.get(key), scheme, size, FaceRecord("/".join(key), split))
        for key, split in zip(keys, splits, strict=True)
    ]
    _check_sides(jobs[:: max(1, len(jobs) // 32)])
    writer = PackedWriter(out, size, len(jobs), f"label folder ({scheme})", (), {"scheme": scheme})
    ids = [job.record.id for job in jobs]
    return pack(writer, make_face, jobs, ids, workers=workers, keep_going=keep_going, progress=progress)


def make_face(job: PairJob) -> tuple[np.ndarray, np.ndarray, FaceRecord]:
    """Image, label map and record of one pair; ``DataError`` if a file is missing or bad."""
    if job.image is None:
        raise DataError(f"{job.labels} has no image of the same name: add it, or remove the label map.")
    labels = _read_labels(job)
    data = read_file(job.image)
    (width, height), (label_width, label_height) = dimensions(data, str(job.image)), labels.shape[::-1]
    if abs(width * label_height - height * label_width) > max(width, height):  # less is rounding
        raise DataError(
            f"{job.image} is {width}x{height}, but its label map {job.labels.name} {label_width}x{label_height}: "
            "give both the same crop."
        )
    return decode_image(data, str(job.image), job.size), resize_labels(labels, job.size), job.record


def _read_labels(job: PairJob) -> np.ndarray:
    if job.labels is None:
        raise DataError(f"{job.image} has no label map of the same name: add it, or remove the image.")
    allowed = np.zeros(256, bool)
    allowed[list(SCHEMES[job.scheme])] = True
    return convert_labels(decode_labels(read_file(job.labels), str(job.labels), allowed), job.scheme)


def _find(images: Path, labels: Path) -> tuple[dict[tuple, Path], dict[tuple, Path]]:
    """Files by key: the path below their folder, without what tells images from labels."""
    for folder in (images, labels):
        if not folder.is_dir():
            raise DataError(f"There is no folder {folder}: give the folder of the images and that of the label maps.")
    shared = images.resolve() == labels.resolve()
    image_of = {key: path for path, key, is_label in _walk(images) if not (shared and is_label)}
    labels_of = {
        key: path for path, key, is_label in _walk(labels) if path.suffix.lower() == ".png" and (is_label or not shared)
    }
    for folder, found, kind in ((images, image_of, "image (JPEG or PNG)"), (labels, labels_of, "label map (PNG)")):
        if not found:
            raise DataError(f"{folder} holds no {kind}: give the folder that does.")
    if not image_of.keys() & labels_of.keys():
        image, label = next(iter(image_of.values())), next(iter(labels_of.values()))
        raise DataError(f"No label map in {labels} has the name of an image in {images} ({label.name}, {image.name}).")
    return image_of, labels_of


def _walk(folder: Path) -> list[tuple[Path, tuple[str, ...], bool]]:
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_ENDINGS):
        *folders, _ = path.relative_to(folder).parts
        label_suffix = next((suffix for suffix in LABEL_SUFFIXES if path.stem.endswith(suffix)), "")
        is_label = bool(label_suffix) or any(part.lower() in LABEL_FOLDERS for part in folders)
        kept = [part for part in folders if part.lower() not in IMAGE_FOLDERS | LABEL_FOLDERS]
        stem = path.stem.removesuffix(label_suffix) if is_label else path.stem.removesuffix(IMAGE_SUFFIX)
        found.append((path, (*kept, stem), is_label))
    return found


def _splits(keys: list[tuple[str, ...]]) -> list[str]:
    named = [
        next((FOLDER_SPLITS[part.lower()] for part in key[:-1] if part.lower() in FOLDER_SPLITS), None) for key in keys
    ]
    if all(named):
        return named
    order = np.random.default_rng(0).permutation(len(keys))
    borders = np.round(np.cumsum(SHARES) * len(keys)).astype(int)
    return [SPLITS[int(np.searchsorted(borders, place, side="right"))] for place in order]


def _check_sides(jobs: list[PairJob]) -> None:
    """Refuses label maps whose left is the viewer's: a mistake that nothing later would notice."""
    right = wrong = 0
    for job in jobs:
        try:
            labels = _read_labels(job)
        except DataError:
            continue  # told when its turn comes
        left_eye, right_eye = (np.nonzero(labels == CLASS_ID[name])[1] for name in ("l_eye", "r_eye"))
        if len(left_eye) and len(right_eye):
            right += left_eye.mean() > right_eye.mean()
            wrong += left_eye.mean() < right_eye.mean()
    if wrong > right:
        raise DataError(
            f"Left and right are swapped in {wrong} of {wrong + right} label maps that were looked at (l_eye is the "
            f"subject's, on the viewer's right): they are not labelled as {jobs[0].scheme!r}, choose another scheme."
        )
