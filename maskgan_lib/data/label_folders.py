"""Label maps that are merged already: a folder of images and one of label PNGs, with our ids or another data set's."""

import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
from PIL import Image

from maskgan_lib.data.celebamask import KNOWN_DUPLICATES, TEXT_FILES, Archive, read_annotations, record_of
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.filling import pack
from maskgan_lib.data.label_maps import OURS, check_layout, check_scheme, convert_labels, fault, mended, read_labels
from maskgan_lib.data.packed import SHARES, SPLITS, FaceRecord, PackedFaces
from maskgan_lib.data.pictures import decode_image, dimensions, is_hidden, read_file, resize_labels
from maskgan_lib.progress import progress_bar

IMAGE_ENDINGS, LABEL_ENDINGS = (".jpg", ".jpeg", ".png"), (".png",)
IMAGE_FOLDERS, LABEL_FOLDERS = {"image", "images"}, {"label", "labels", "mask", "masks"}
IMAGE_SUFFIX, LABEL_SUFFIXES = "_image", ("_seg", "_label")
NEAR = 3
"""Bits in which the hashes of one photograph may differ; those of other faces differ by four at least."""
FOLDER_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def prepare_label_folder(
    images: str | Path,
    labels: str | Path,
    out: str | Path,
    size: int = 512,
    scheme: str = OURS,
    source: str = "",
    **how: Any,
) -> PackedFaces:
    """Writes the packed folder ``out`` from images and the label maps of the same name, and opens it.

    Both folders are searched with all that is below, but for hidden files; they may be the same one, if labels are told
    by ``_seg`` or ``_label`` in their names or by a folder called labels. Folders called train, val or test are the
    splits. Where CelebAMask-HQ's text files lie beside the folder of images, its official splits, attributes and poses
    are taken, and its known duplicates once. ``source`` says what the faces are. Pictures that are not square are
    cropped to their middle. Bad files raise ``DataError``; with ``keep_going`` their faces are left out and named in
    ``left_out.json``. ``how`` goes to ``pack``: ``workers``, ``keep_going`` and ``progress``.
    """
    check_scheme(scheme)
    shared = Path(images).resolve() == Path(labels).resolve()
    image_of, labels_of = _find(Path(images), False, shared), _find(Path(labels), True, shared)
    if not image_of.keys() & labels_of.keys():
        names = f"{next(iter(labels_of.values())).name}, {next(iter(image_of.values())).name}"
        raise DataError(f"No label map in {labels} has the name of an image in {images} ({names}).")
    keys = sorted(image_of.keys() | labels_of.keys(), key=lambda key: (len(key[-1]) if key[-1].isdigit() else 0, key))
    looked_at = []
    for path in [labels_of[key] for key in keys[:: max(1, len(keys) // 32)] if key in labels_of]:
        with suppress(DataError):  # told when its turn comes
            looked_at.append(read_labels(read_file(path), str(path), scheme))
    check_layout(looked_at, scheme)
    official = Path(images).parent
    if all((official / name).is_file() for name in TEXT_FILES) and all(key[-1].isdigit() for key in keys):
        keys = [key for key in keys if int(key[-1]) not in KNOWN_DUPLICATES]
        records, names = _official_records(keys, official, how.get("keep_going", False))
    else:
        splits = _splits(keys, image_of, how.get("progress", True))
        records, names = [FaceRecord("/".join(key), split) for key, split in zip(keys, splits, strict=True)], ()
    jobs = {
        "/".join(key): partial(make_face, image_of.get(key), labels_of.get(key), scheme, size, record)
        for key, record in zip(keys, records, strict=True)
    }
    return pack(out, size, source or f"label folder ({scheme})", jobs, names, {"scheme": scheme}, **how)


def _official_records(
    keys: Sequence[tuple[str, ...]], root: Path, keep_going: bool
) -> tuple[list[FaceRecord | DataError], tuple[str, ...]]:
    """What CelebAMask-HQ's text files say of each face, and the names of the attributes."""
    tables = read_annotations(Archive(root), keep_going)
    records = [record_of(int(key[-1]), *tables) for key in keys]
    named = [r if isinstance(r, DataError) else replace(r, id="/".join(key)) for key, r in zip(keys, records)]
    return named, tables[1].columns


def make_face(
    image: Path | None, labels: Path | None, scheme: str, size: int, record: FaceRecord | DataError
) -> tuple[np.ndarray, np.ndarray, FaceRecord]:
    """Image, label map and record of one pair; ``DataError`` if a file is missing or bad, or if ``record`` is one."""
    if isinstance(record, DataError):
        raise record
    if image is None or labels is None:
        there, lacks = (labels, "image") if image is None else (image, "label map")
        raise DataError(f"{there} has no {lacks} of the same name: add it, or remove this file.")
    converted, data = convert_labels(read_labels(read_file(labels), str(labels), scheme), scheme), read_file(image)
    (width, height), (their_height, their_width) = dimensions(data, str(image)), converted.shape
    if abs(width * their_height - height * their_width) > max(width, height):  # less is rounding
        sizes = f"{width}x{height}, but its label map {labels.name} {their_width}x{their_height}"
        raise DataError(f"{image} is {sizes}: give both the same crop.")
    if clause := fault(converted):
        raise DataError(f"{labels} is no label map of a face, {clause}: label it again, or leave it out.")
    converted, record = mended(converted, record)
    return decode_image(data, str(image), size), resize_labels(converted, size), record


def _find(folder: Path, labels: bool, shared: bool) -> dict[tuple[str, ...], Path]:
    """Label maps or images in ``folder``, which may hold both, by the path below it without what tells one from other.

    Raises ``DataError`` if there are none.
    """
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder}: give the folder of the images and that of the label maps.")
    found = {}
    for path in sorted(folder.rglob("*")):
        *folders, _ = parts = path.relative_to(folder).parts
        if is_hidden(parts):
            continue
        suffix = next((suffix for suffix in LABEL_SUFFIXES if path.stem.endswith(suffix)), "")
        is_label = bool(suffix) or any(part.lower() in LABEL_FOLDERS for part in folders)
        if path.suffix.lower() in (LABEL_ENDINGS if labels else IMAGE_ENDINGS) and (is_label == labels or not shared):
            kept = [part for part in folders if part.lower() not in IMAGE_FOLDERS | LABEL_FOLDERS]
            names = (*kept, path.stem.removesuffix(suffix if is_label else IMAGE_SUFFIX))
            key = tuple(unicodedata.normalize("NFC", name) for name in names)  # Macs write accents apart
            if key in found:
                raise DataError(f"{found[key]} and {path} have one name, so which one is meant? Remove one.")
            found[key] = path
    if not found:
        raise DataError(f"{folder} holds no {'label map (PNG)' if labels else 'image (JPEG or PNG)'}: give another.")
    return found


def _splits(keys: Sequence[tuple[str, ...]], pictures: Mapping[tuple[str, ...], Path], progress: bool) -> list[str]:
    """Of each face: that of its folders, or drawn by lot, one lot for all pictures of the same photograph."""
    known = [[FOLDER_SPLITS.get(part.lower(), "") for part in key[:-1]] for key in keys]
    named = [next(filter(None, splits), "") for splits in known]
    twins = same_photographs({key: pictures[key] for key in keys if key in pictures}, progress)
    if all(named):
        across = sum(named[keys.index(one)] != named[keys.index(other)] for one, other in twins.items())
        if across:
            warnings.warn(f"{across} photographs lie in two splits, in different sizes or files.", stacklevel=3)
        return named
    borders = np.round(np.cumsum(SHARES) * len(keys))
    order = np.random.default_rng(0).permutation(len(keys))
    lots = {key: SPLITS[int(np.searchsorted(borders, place, side="right"))] for key, place in zip(keys, order)}
    if twins:
        warnings.warn(f"{len(twins)} photographs are there more than once: each lies in one split.", stacklevel=3)
    return [lots[twins.get(key, key)] for key in keys]


def same_photographs(pictures: Mapping[Any, Path], progress: bool = True) -> dict[Any, Any]:
    """Of pictures that show a photograph which an earlier one shows: the key of that one.

    By a perceptual hash of 64 bits, which a change of size or format alters by a few at most. A file that cannot be
    read is passed over.
    """
    found: dict[Any, Any] = {}
    keys, hashes = [], np.zeros((len(pictures), 64), bool)
    for key, path in progress_bar(pictures.items(), desc="the same twice?", unit="picture", disable=not progress):
        with suppress(OSError, ValueError, SyntaxError), Image.open(path) as image:
            image.draft("L", (64, 64))
            hashes[len(keys)] = imagehash.phash(image).hash.ravel()
            near = np.flatnonzero((hashes[: len(keys)] != hashes[len(keys)]).sum(axis=1) <= NEAR)
            if len(near):
                found[key] = found.get(keys[near[0]], keys[near[0]])
            keys.append(key)
    return found
