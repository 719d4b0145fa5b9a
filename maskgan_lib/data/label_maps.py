"""What a label map means: whose ids its numbers are, and whether they can be those of a face.

Classes are mapped by name, never by index. What a data set does not annotate at all must not become background where
sets are mixed: in LaPa, ears, neck and clothes lie in class 0, so that class becomes ``IGNORE_ID``.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

from maskgan_lib.classes import (
    CLASS_ID,
    CLASS_NAMES,
    COLORS,
    FLIPPED_ID,
    GROUPS,
    IGNORE_ID,
    NUM_CLASSES,
    SIDED_PAIRS,
    colorize,
)
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.packed import FaceRecord
from maskgan_lib.data.pictures import decode_labels, has_our_palette, is_hidden, read_file

IGNORED = "ignore"
OURS = "celebamask-hq"


def _numbered(names: str) -> dict[int, str]:
    return dict(enumerate(names.split()))


# the left of LaPa and HELEN* is the viewer's: their "left" brow, id 2, is the subject's right one
_LAPA = _numbered("ignore skin r_brow l_brow r_eye l_eye nose u_lip mouth l_lip hair")
SCHEMES: Mapping[str, Mapping[int, str]] = {
    OURS: dict(enumerate(CLASS_NAMES)),
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

SEAM = 0.1
"""Of the pixels where two classes meet, so many with an id between those of their neighbours are no map's own."""

MIDDLES = {"eyes": GROUPS["eyes"], "nose": (CLASS_ID["nose"],), "mouth": GROUPS["mouth"]}
"""What lies in this order, from above, in every face."""


def lacking(scheme: str) -> tuple[str, ...]:
    """The classes that label maps of ``scheme`` never mark."""
    return tuple(name for name in CLASS_NAMES if name not in SCHEMES[scheme].values())


def check_scheme(scheme: str) -> None:
    """``DataError`` unless there is such a scheme."""
    if scheme not in SCHEMES:
        raise DataError(f"There is no label scheme {scheme!r}: choose one of {', '.join(SCHEMES)}.")


def convert_labels(labels: np.ndarray, scheme: str) -> np.ndarray:
    """Label map with our 19 ids, or ``IGNORE_ID``, from one with the ids of ``scheme``; uint8 ``[H, W]`` both."""
    table = np.full(256, IGNORE_ID, np.uint8)
    for theirs, name in SCHEMES[scheme].items():
        table[theirs] = IGNORE_ID if name == IGNORED else CLASS_ID[name]
    return table[labels]


def read_labels(data: bytes, name: str, scheme: str = OURS) -> np.ndarray:
    """``decode_labels`` of a file: uint8 ``[H, W]``, ids of ``scheme``; ``DataError`` if its pixels were mixed."""
    labels = decode_labels(data, name, list(SCHEMES[scheme]), by_colour=scheme == OURS)
    if between(labels) > SEAM and not has_our_palette(data, name):
        raise DataError(
            f"{name} has seams of other ids between its classes, as after a resize that mixes pixels: resize the"
            " original label map by the nearest pixel."
        )
    return labels


def between(labels: np.ndarray) -> float:
    """Of the pixels with two different neighbours, left and right or above and below, how many have an id between."""
    maps = (labels.astype(int), labels.T.astype(int))
    steps = [(np.diff(one[:, :-1]), np.diff(one[:, 1:])) for one in maps]
    mixed = sum(int((first * second > 0).sum()) for first, second in steps)
    return mixed / max(1, sum(int((first + second != 0).sum()) for first, second in steps))


def fault(labels: np.ndarray) -> str:
    """Why a label map with our ids cannot be a face's, as a clause; "" if it can be."""
    if not np.isin(labels, CLASS_ID["skin"]).any():
        return "it has no skin"
    if not np.isin(labels, [one for ids in MIDDLES.values() for one in ids]).any():
        return "it has neither eyes, nose nor mouth"
    return ""


def misplaced(labels: np.ndarray) -> str:
    """What of a label map with our ids does not lie where it does in a face, as a clause; "" if all does."""
    middle = {name: _middle(labels, ids) for name, ids in MIDDLES.items()}
    order = [name for name, place in middle.items() if place is not None]
    for upper, lower in pairwise(order):
        if middle[upper][0] >= middle[lower][0]:
            return (
                f"the {upper} do not lie above the {lower}" if upper == "eyes" else f"its {upper} is below its {lower}"
            )
    for brow in GROUPS["brows"]:
        place = _middle(labels, (brow,))
        if place is not None and middle["eyes"] is not None and place[0] > middle["eyes"][0]:
            return "its brows do not lie above its eyes"
    face = [middle[name][0] for name in order]
    if face:
        for name, is_below in (("neck", True), ("cloth", True), ("hat", False)):
            place = _middle(labels, (CLASS_ID[name],))
            if place is not None and (place[0] < min(face) if is_below else place[0] > max(face)):
                return f"its {name} lies {'above' if is_below else 'below'} the face"
    return "left and right are swapped (l_eye is the subject's, on the viewer's right)" if is_swapped(labels) else ""


def is_swapped(labels: np.ndarray) -> bool:
    """Whether each left eye, brow and ear lies left of the right one in the picture.

    So it is where picture and label map were mirrored and the ids were not: in some copies of CelebAMask-HQ, in 6 % of
    the faces.
    """
    middles = [[_middle(labels, (one,)) for one in pair] for pair in SIDED_PAIRS]
    return bool(sides := [left[1] < right[1] for left, right in middles if left and right]) and all(sides)


def mended(labels: np.ndarray, record: FaceRecord) -> tuple[np.ndarray, FaceRecord]:
    """A label map with our ids, and its record; where left and right are swapped, in their right places, and noted."""
    if not is_swapped(labels):
        return labels, record
    return np.append(FLIPPED_ID, np.arange(NUM_CLASSES, 256, dtype=np.uint8))[labels], replace(record, mended=True)


def _middle(labels: np.ndarray, ids: Sequence[int]) -> tuple[float, float] | None:
    """Mean row and column of some classes; None if there are none."""
    places = np.nonzero(np.isin(labels, ids))
    return tuple(float(axis.mean()) for axis in places) if len(places[0]) else None


def check_layout(maps: Sequence[np.ndarray], scheme: str) -> None:
    """``DataError``, with the scheme that fits, if most label maps with the ids of ``scheme`` are not laid out so."""
    wrong = [clause for labels in maps if (clause := misplaced(convert_labels(labels, scheme)))]
    if 2 * len(wrong) > len(maps):
        others = fitting(maps)
        remedy = f"choose the scheme {' or '.join(others)}" if others else "choose another one, or mirror them back"
        what = f"{len(wrong)} of {len(maps)} label maps that were looked at"
        raise DataError(f"{what} cannot be labelled as {scheme!r}: {wrong[0]}; {remedy}.")


def fitting(maps: Sequence[np.ndarray]) -> list[str]:
    """The schemes in which most of the label maps are laid out as faces are."""

    def fits(scheme: str) -> bool:
        known = [labels for labels in maps if np.isin(labels, list(SCHEMES[scheme])).all()]
        converted = [convert_labels(labels, scheme) for labels in known]
        return 2 * sum(not (fault(labels) or misplaced(labels)) for labels in converted) > len(maps)

    return list(filter(fits, SCHEMES))


def read_whole(data: bytes, name: str, scheme: str = OURS) -> np.ndarray:
    """``read_labels`` with our 19 ids, of a map in which each pixel has one, as a mask to draw a face from.

    ``DataError`` if it is laid out as in another scheme, which is named, unless it has our palette: then it is ours,
    whatever it shows. A warning tells swapped sides.
    """
    check_scheme(scheme)
    theirs = read_labels(data, name, scheme)
    labels = convert_labels(theirs, scheme)
    if (labels == IGNORE_ID).any():
        raise DataError(
            f"{name} does not say where {', '.join(lacking(scheme))} are: no whole face can be drawn from it."
        )
    if is_swapped(labels):
        warnings.warn(f"{name} has left and right swapped: is it mirrored?", stacklevel=2)
    elif (clause := misplaced(labels)) and not has_our_palette(data, name) and (others := fitting([theirs])):
        raise DataError(f"{name} cannot be labelled as {scheme!r}: {clause}; choose the scheme {' or '.join(others)}.")
    return labels


def convert_files(source: Path, out: Path, scheme: str = OURS, to: str = "palette") -> int:
    """Writes the label maps in ``source``, a PNG or a folder of them, with other ids or colours; gives their number.

    Args:
        to: ``"palette"``, our ids in our colours, as the editor writes them; ``"colours"``, a picture in these;
            ``"parts"``, a PNG for every part, as CelebAMask-HQ has them; or a scheme, whose ids are written.

    ``DataError`` for what cannot be read, and for a class that the scheme ``to`` lacks.
    """
    if source.is_file():
        targets = {source: out / source.name if out.is_dir() else out}
    else:
        if out.resolve().is_relative_to(source.resolve()):
            raise DataError(f"{out} lies in {source}, whose label maps must stay as they are: choose another folder.")
        inside = [file.relative_to(source) for file in sorted(source.rglob("*")) if file.suffix.lower() == ".png"]
        targets = {source / file: (out / file).with_suffix(".png") for file in inside if not is_hidden(file.parts)}
    if not targets:
        raise DataError(f"{source} holds no PNG: give a label map, or a folder of them.")
    for file, target in targets.items():
        if target.suffix != ".png":
            raise DataError(f"{target} is no name for a label map: let it end in .png.")
        labels = convert_labels(read_labels(read_file(file), str(file), scheme), scheme)
        target.parent.mkdir(parents=True, exist_ok=True)
        for path, picture in _converted(labels, target, to):
            picture.save(path)
    return len(targets)


def _converted(labels: np.ndarray, target: Path, to: str) -> Iterator[tuple[Path, Image.Image]]:
    if (labels == IGNORE_ID).any() and IGNORED not in SCHEMES.get(to, {}).values() and to != "parts":
        raise DataError(f"{target.name} has pixels of which nobody says what they are, and {to} no id for them.")
    if to == "parts":
        for i in sorted(set(np.unique(labels)) - {0, IGNORE_ID}):
            part = np.where(labels == i, 255, 0).astype(np.uint8)
            name = f"{target.stem}_{CLASS_NAMES[i]}.png"
            yield target.with_name(name), Image.fromarray(np.repeat(part[..., None], 3, axis=2))
    elif to == "colours":
        yield target, Image.fromarray(colorize(labels))
    elif to == "palette":
        picture = Image.fromarray(labels)
        picture.putpalette(COLORS.tobytes())
        yield target, picture
    else:
        theirs = {CLASS_ID.get(name, IGNORE_ID): i for i, name in reversed(SCHEMES[to].items())}
        other = theirs.get(IGNORE_ID)
        lost = [CLASS_NAMES[i] for i in np.unique(labels) if i < NUM_CLASSES and i not in theirs]
        if lost and other != 0:  # LaPa's class 0 is whatever else there is
            raise DataError(f"{target.name} shows {', '.join(lost)}, which {to} lacks: choose another scheme.")
        table = [theirs.get(i, other or 0) for i in range(256)]
        yield target, Image.fromarray(np.array(table, np.uint8)[labels])
