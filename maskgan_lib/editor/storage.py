"""Masks, pictures and whole sessions on the disk.

A mask is a PNG whose pixels are class ids, shown in the project's colours. A session is a folder: ``session.json`` says
what it is and names the PNG files in ``pictures``, which are called by their content and never change. They are written
first and ``session.json`` last, so that a reader finds the old session or the new one, whole.
"""

import hashlib
import io
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.classes import COLORS, NUM_CLASSES
from maskgan_lib.data.pictures import resize_labels
from maskgan_lib.editor.components import STYLE_REGIONS
from maskgan_lib.editor.rle import EditError

FORMAT = 2
"""Version of ``session.json``; raised when older code could not read it. Older ones are read: 1 had fewer regions."""
SESSION_FILE, PICTURES = "session.json", "pictures"
MOST_PIXELS = 64_000_000
"""Files with more pixels are not decoded."""
PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_FILE_NAME = re.compile(r"[0-9a-f]{32}\.png")


class _Pair:
    """A picture ``image``, uint8 ``[S, S, 3]``, and its ``mask``, uint8 ``[S, S]``."""

    image: np.ndarray
    mask: np.ndarray

    @cached_property
    def files(self) -> tuple[str, str]:
        """Names of the files that hold the picture and the mask; the same for the same content."""
        return _file_name(self.image), _file_name(self.mask)


@dataclass(frozen=True, eq=False)
class EditorFace(_Pair):
    """A face to edit or to take from: picture uint8 ``[S, S, 3]``, mask uint8 ``[S, S]`` with ids 0 to 18."""

    name: str
    image: np.ndarray
    mask: np.ndarray

    @property
    def key(self) -> tuple[str, str, str]:
        """Tells it from other faces, also in another process."""
        return (self.name, *self.files)


@dataclass(frozen=True, eq=False)
class HistoryItem(_Pair):
    """A picture that a session has made, uint8 ``[S, S, 3]``, its mask ``[S, S]``, and what was done last before it."""

    mask: np.ndarray
    image: np.ndarray
    note: str


@dataclass(frozen=True, eq=False)
class SessionState:
    """All that a session remembers. ``target`` and ``style`` are places in ``faces``; ``image`` None: none made yet.

    ``regions``: by name of a region, the place of the face whose style it has, and how much of it. ``method``: name of
    the renderer, empty if it has none.
    """

    faces: tuple[EditorFace, ...]
    target: int
    style: int
    mix: float
    keep: float | None
    mask: np.ndarray
    image: np.ndarray | None = None
    history: tuple[HistoryItem, ...] = ()
    note: str = "original"
    regions: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    method: str = ""


# ---- masks and pictures


def encode_mask(mask: np.ndarray) -> bytes:
    """The PNG file of a mask."""
    picture = Image.fromarray(np.ascontiguousarray(mask, np.uint8))
    picture.putpalette(COLORS.tobytes())
    return _png(picture)


def decode_mask(data: bytes, size: int, name: str = "The mask") -> np.ndarray:
    """uint8 ``[size, size]`` from a PNG file of class ids, with a palette or grey; ``EditError`` for all else.

    A square mask of another size is resized by the nearest pixel. ``name`` is what messages call the file.
    """
    labels = _decode(data, name, ("P", "L"), "a mask has one channel of class ids: save it with a palette or as grey")
    if labels.shape[0] != labels.shape[1]:
        raise EditError(
            f"{name} is {labels.shape[1]}x{labels.shape[0]} pixels, but a mask is square: crop it as its picture."
        )
    if labels.max() >= NUM_CLASSES:
        raise EditError(f"{name} holds the class {labels.max()}: use the ids 0 to {NUM_CLASSES - 1}.")
    return labels if len(labels) == size else resize_labels(labels, size)


def encode_picture(image: np.ndarray, kind: str = "PNG") -> bytes:
    """The file of a picture uint8 ``[H, W, 3]``: a PNG, which keeps every bit, or a ``"JPEG"``."""
    picture = Image.fromarray(image)
    if kind == "PNG":
        return _png(picture)
    file = io.BytesIO()
    picture.save(file, kind, quality=95)
    return file.getvalue()


def read_mask(path: str | Path, size: int) -> np.ndarray:
    """``decode_mask`` of a file."""
    return decode_mask(read_file(path), size, str(path))


def write_mask(path: str | Path, mask: np.ndarray) -> None:
    """Writes a mask as PNG; ``EditError`` for another ending, ``CheckpointError`` if it cannot be written."""
    if Path(path).suffix.lower() != ".png":
        raise EditError(f"{path} is no name for a mask: let it end in .png.")
    _write(path, encode_mask(mask))


def write_picture(path: str | Path, image: np.ndarray) -> None:
    """Writes a picture as PNG or JPEG by the ending; ``EditError`` for another, ``CheckpointError`` as above."""
    _write(path, encode_picture(image, picture_format(path)))


def picture_format(path: str | Path) -> str:
    """ "PNG" or "JPEG" by the ending of ``path``; ``EditError`` for another ending."""
    kind = PICTURE_FORMATS.get(Path(path).suffix.lower())
    if kind is None:
        raise EditError(f"{path} is no name for a picture: let it end in {', '.join(PICTURE_FORMATS)}.")
    return kind


def read_file(path: str | Path) -> bytes:
    """The bytes of a file; ``EditError`` if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise EditError(f"There is no file {path}: check the path.") from None
    except (OSError, ValueError) as error:
        raise EditError(f"{path} cannot be read ({error}): check the path.") from None


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)  # a tenth of the time of the default, and little more room
    return file.getvalue()


def _write(path: str | Path, data: bytes, wait: bool = True) -> None:
    """The file, whole or not at all. With ``wait`` it is on the disk then, which on a busy one may take a second.

    Without, it outlives the process all the same, but not a power cut.
    """
    if wait:
        with atomic(path) as file:
            file.write(data)
        return
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.write_bytes(data)
    partial.replace(path)


def _decode(data: bytes, name: str, modes: tuple[str, ...], otherwise: str) -> np.ndarray:
    """The pixels of a PNG file of one of ``modes``."""
    if data.startswith(b"\x89PNG") and b"IEND\xaeB`\x82" not in data:  # without its last chunk PIL would take it
        raise EditError(f"{name} is damaged or cut off: copy it again.")
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            warnings.simplefilter("ignore")  # of large pictures, whose size is looked at here
            if picture.width * picture.height > MOST_PIXELS:
                raise EditError(f"{name} has {picture.width}x{picture.height} pixels: make it smaller first.")
            if picture.mode not in modes:
                raise EditError(f"{name} has pixels of mode {picture.mode}, but {otherwise}.")
            return np.array(picture)
    except UnidentifiedImageError:
        raise EditError(f"{name} is no PNG file: save it as one.") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise EditError(f"{name} is damaged or cut off ({error}): copy it again.") from None


# ---- sessions


def write_session(folder: str | Path, state: SessionState, added: Sequence[EditorFace] = (), wait: bool = True) -> None:
    """Writes a session: target, style and ``added`` faces, mask, picture and history.

    What is in the folder already is not written again, and what is no longer in the session is removed.

    Args:
        wait: until all is on the disk, so that it outlives a power cut; that may take a second.

    ``CheckpointError``, or without ``wait`` an ``OSError``, if it cannot be written; the session that was there before
    is there still.
    """
    folder = Path(folder)
    lenders = [state.faces[place] for place, _ in state.regions.values()]
    used = [state.faces[state.target], state.faces[state.style], *lenders, *added]
    faces = list({face.key: face for face in used}.values())
    places = {face.key: place for place, face in enumerate(faces)}
    arrays = {_file_name(state.mask): state.mask}
    image_name = None
    if state.image is not None:
        arrays[image_name := _file_name(state.image)] = state.image
    for pair in (*faces, *state.history):
        arrays |= dict(zip(pair.files, (pair.image, pair.mask)))
    content = {
        "format": FORMAT,
        "size": len(state.mask),
        "faces": [{"name": face.name, "image": face.files[0], "mask": face.files[1]} for face in faces],
        "target": places[used[0].key],
        "style": places[used[1].key],
        "mix": state.mix,
        "keep": state.keep,
        "regions": {name: [places[state.faces[place].key], mix] for name, (place, mix) in state.regions.items()},
        "mask": _file_name(state.mask),
        "image": image_name,
        "history": [{"image": i.files[0], "mask": i.files[1], "note": i.note} for i in state.history],
        "note": state.note,
        "method": state.method,
    }
    pictures = folder / PICTURES
    there = {path.name for path in pictures.glob("*.png")}
    for name in arrays.keys() - there:
        array = arrays[name]
        _write(pictures / name, encode_mask(array) if array.ndim == 2 else encode_picture(array), wait)
    _write(folder / SESSION_FILE, json.dumps(content | {"sha256": _digest(content)}, indent=1).encode(), wait)
    for name in there - arrays.keys():
        if _FILE_NAME.fullmatch(name):
            (pictures / name).unlink(missing_ok=True)


def has_session(folder: str | Path) -> bool:
    """Whether there is a session in a folder."""
    return (Path(folder) / SESSION_FILE).is_file()


def read_session(folder: str | Path, size: int) -> SessionState:
    """What ``write_session`` wrote, with those faces; ``EditError`` if it is damaged or of another size."""
    path = Path(folder) / SESSION_FILE
    try:
        content = json.loads(read_file(path))
        stored = content.pop("sha256")
        whole = stored == _digest(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise _damaged(path)
    if content.get("format") not in range(1, FORMAT + 1):
        raise EditError(f"{path} has format {content.get('format')}: update the library, which reads up to {FORMAT}.")
    if content.get("size") != size:
        raise EditError(f"{path} is a session of {content.get('size')} pixels a side, not {size}: name another folder.")
    try:
        return _state(content, _Pictures(Path(folder) / PICTURES, size))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise _damaged(path) from error


def _state(content: dict[str, Any], pictures: "_Pictures") -> SessionState:
    image, mask = pictures.image, pictures.mask
    faces = tuple(EditorFace(str(f["name"]), image(f["image"]), mask(f["mask"])) for f in content["faces"])
    history = tuple(HistoryItem(mask(i["mask"]), image(i["image"]), str(i["note"])) for i in content["history"])
    target, style = int(content["target"]), int(content["style"])
    mix, keep = float(content["mix"]), None if content["keep"] is None else float(content["keep"])
    regions = {
        str(name): (int(place), float(share)) for name, (place, share) in dict(content.get("regions", {})).items()
    }
    used = [(target, 1.0), (style, mix), *regions.values()]
    if not (
        all(0 <= place < len(faces) and 0 <= share <= 1 for place, share in used)
        and (keep is None or 0 <= keep <= 1)
        and regions.keys() <= STYLE_REGIONS.keys()
    ):
        raise ValueError("a place, a share or a region that cannot be")
    drawn = None if content["image"] is None else image(content["image"])
    note, method = str(content["note"]), str(content.get("method", ""))
    return SessionState(faces, target, style, mix, keep, mask(content["mask"]), drawn, history, note, regions, method)


@dataclass(frozen=True)
class _Pictures:
    """The PNG files of a session, each checked against its name."""

    folder: Path
    size: int

    def image(self, name: str) -> np.ndarray:
        return self._checked(name, ("RGB",), (self.size, self.size, 3))

    def mask(self, name: str) -> np.ndarray:
        return self._checked(name, ("P",), (self.size, self.size))

    def _checked(self, name: str, modes: tuple[str, ...], shape: tuple[int, ...]) -> np.ndarray:
        if not _FILE_NAME.fullmatch(name):  # not a way out of the folder
            raise ValueError(name)
        path = self.folder / name
        array = _decode(read_file(path), str(path), modes, "a session has another kind there: copy it again")
        if array.shape != shape or _file_name(array) != name or (array.ndim == 2 and array.max() >= NUM_CLASSES):
            raise _damaged(path)
        array.flags.writeable = False
        return array


def _damaged(path: Path) -> EditError:
    return EditError(f"{path} is damaged or belongs to no session: copy it again, or remove the folder to begin anew.")


def _file_name(array: np.ndarray) -> str:
    digest = hashlib.sha256(repr(array.shape).encode())
    digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()[:32] + ".png"


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
