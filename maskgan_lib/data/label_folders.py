"""Label maps that are merged already: a folder of images and one of label PNGs, with our ids or another data set's.

Classes are mapped by name, never by index. What a data set does not annotate at all must not become background where
sets are mixed: in LaPa, ears, neck and clothes lie in class 0, so that class becomes ``IGNORE_ID``.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from maskgan_lib.classes import CLASS_ID, CLASS_NAMES, IGNORE_ID
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.filling import pack
from maskgan_lib.data.packed import SHARES, SPLITS, FaceRecord, PackedFaces
from maskgan_lib.data.pictures import decode_image, decode_labels, dimensions, read_file, resize_labels

IGNORED = "ignore"
IMAGE_ENDINGS, LABEL_ENDINGS = (".jpg", ".jpeg", ".png"), (".png",)
IMAGE_FOLDERS, LABEL_FOLDERS = {"image", "images"}, {"label", "labels", "mask", "masks"}
IMAGE_SUFFIX, LABEL_SUFFIXES = "_image", ("_seg", "_label")
FOLDER_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def _numbered(names: str) -> dict[int, str]:
    return dict(enumerate(names.split()))


# the left of LaPa and HELEN* is the viewer's: their "left" brow, id 2, is the subject's right one
_LAPA = _numbered("ignore skin r_brow l_brow r_eye l_eye nose u_lip mouth l_lip hair")
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
    "lapa": _LAPA,
    "helen": _LAPA,
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


def prepare_label_folder(
    images: str | Path,
    labels: str | Path,
    out: str | Path,
    size: int = 512,
    scheme: str = "celebamask-hq",
    **how: Any,
) -> PackedFaces:
    """Writes the packed folder ``out`` from images and the label maps of the same name, and opens it.

    Both folders are searched with all that is below; they may be the same one, if labels are told by ``_seg`` or
    ``_label`` in their names or by a folder called labels. Folders called train, val or test are the splits. Pictures
    that are not square are cropped to their middle. Bad files raise ``DataError``; with ``keep_going`` their faces are
    left out and named in ``left_out.json``. ``how`` goes to ``pack``: ``workers``, ``keep_going`` and ``progress``.
    """
    if scheme not in SCHEMES:
        raise DataError(f"There is no label scheme {scheme!r}: choose one of {', '.join(SCHEMES)}.")
    shared = Path(images).resolve() == Path(labels).resolve()
    image_of, labels_of = _find(Path(images), False, shared), _find(Path(labels), True, shared)
    if not image_of.keys() & labels_of.keys():
        names = f"{next(iter(labels_of.values())).name}, {next(iter(image_of.values())).name}"
        raise DataError(f"No label map in {labels} has the name of an image in {images} ({names}).")
    keys = sorted(image_of.keys() | labels_of.keys())
    _check_sides([labels_of[key] for key in keys[:: max(1, len(keys) // 32)] if key in labels_of], scheme)
    records = [FaceRecord("/".join(key), split) for key, split in zip(keys, _splits(keys), strict=True)]
    jobs = {
        record.id: partial(make_face, image_of.get(key), labels_of.get(key), scheme, size, record)
        for key, record in zip(keys, records, strict=True)
    }
    return pack(out, size, f"label folder ({scheme})", jobs, (), {"scheme": scheme}, **how)


def make_face(
    image: Path | None, labels: Path | None, scheme: str, size: int, record: FaceRecord
) -> tuple[np.ndarray, np.ndarray, FaceRecord]:
    """Image, label map and record of one pair; ``DataError`` if a file is missing or bad."""
    if image is None or labels is None:
        there, lacks = (labels, "image") if image is None else (image, "label map")
        raise DataError(f"{there} has no {lacks} of the same name: add it, or remove this file.")
    converted, data = _read_labels(labels, scheme), read_file(image)
    (width, height), (their_height, their_width) = dimensions(data, str(image)), converted.shape
    if abs(width * their_height - height * their_width) > max(width, height):  # less is rounding
        sizes = f"{width}x{height}, but its label map {labels.name} {their_width}x{their_height}"
        raise DataError(f"{image} is {sizes}: give both the same crop.")
    return decode_image(data, str(image), size), resize_labels(converted, size), record


def _read_labels(path: Path, scheme: str) -> np.ndarray:
    return convert_labels(decode_labels(read_file(path), str(path), list(SCHEMES[scheme])), scheme)


def _find(folder: Path, labels: bool, shared: bool) -> dict[tuple[str, ...], Path]:
    """Label maps or images in ``folder``, which may hold both, by the path below it without what tells one from other.

    Raises ``DataError`` if there are none.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: give the folder of the images and that of the label maps.")
    found = {}
    for path in sorted(folder.rglob("*")):
        *folders, _ = path.relative_to(folder).parts
        suffix = next((suffix for suffix in LABEL_SUFFIXES if path.stem.endswith(suffix)), "")
        is_label = bool(suffix) or any(part.lower() in LABEL_FOLDERS for part in folders)
        if path.suffix.lower() in (LABEL_ENDINGS if labels else IMAGE_ENDINGS) and (is_label == labels or not shared):
            kept = [part for part in folders if part.lower() not in IMAGE_FOLDERS | LABEL_FOLDERS]
            found[(*kept, path.stem.removesuffix(suffix if is_label else IMAGE_SUFFIX))] = path
    if not found:
        raise DataError(f"{folder} holds no {'label map (PNG)' if labels else 'image (JPEG or PNG)'}: give another.")
    return found


def _splits(keys: Sequence[tuple[str, ...]]) -> list[str]:
    known = [[FOLDER_SPLITS.get(part.lower(), "") for part in key[:-1]] for key in keys]
    named = [next(filter(None, splits), "") for splits in known]
    if all(named):
        return named
    borders = np.round(np.cumsum(SHARES) * len(keys))
    order = np.random.default_rng(0).permutation(len(keys))
    return [SPLITS[int(np.searchsorted(borders, place, side="right"))] for place in order]


def _check_sides(paths: Sequence[Path], scheme: str) -> None:
    """Refuses label maps whose left is the viewer's: a mistake that nothing later would notice."""
    shifts = []
    for path in paths:
        with suppress(DataError):  # told when its turn comes
            labels = _read_labels(path, scheme)
            eyes = [np.nonzero(labels == CLASS_ID[name])[1] for name in ("l_eye", "r_eye")]
            if all(map(len, eyes)):
                shifts.append(eyes[0].mean() - eyes[1].mean())
    wrong = sum(shift < 0 for shift in shifts)
    if wrong > sum(shift > 0 for shift in shifts):
        raise DataError(
            f"Left and right are swapped in {wrong} of {len(shifts)} label maps that were looked at (l_eye is the "
            f"subject's, on the viewer's right): they are not labelled as {scheme!r}, choose another scheme."
        )
