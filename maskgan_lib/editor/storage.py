"""Masks, pictures and whole sessions on the disk.

A mask is a PNG whose pixels are class ids, shown in the project's colours. A session is a folder: ``session.json`` says
what it is and names the PNG files in ``pictures``, which are called by their content and never change. They are written
first and ``session.json`` last, so that a reader finds the old session or the new one, whole.
"""

import hashlib
import io
import json
import re
from collections.abc import Callable
from dataclasses import astuple
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.classes import COLORS
from maskgan_lib.data.alignment import Origin, Square
from maskgan_lib.data.label_maps import OURS, read_whole
from maskgan_lib.data.pictures import decode_image, decode_labels, read_file, resize_labels
from maskgan_lib.editor.checks import EditError, read_only
from maskgan_lib.editor.components import STYLE_REGIONS
from maskgan_lib.editor.steps import DEPTH, HISTORY, EditorFace, SessionState, Step, Style, file_name

FORMAT = 3
"""Version of ``session.json``; raised when older code could not read it. Older ones are read: they had no steps."""
SESSION_FILE, PICTURES = "session.json", "pictures"
PICTURE_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_FILE_NAME = re.compile(r"[0-9a-f]{32}\.(png|photo)")


# ---- masks and pictures


def encode_mask(mask: np.ndarray) -> bytes:
    """The PNG file of a mask."""
    picture = Image.fromarray(np.ascontiguousarray(mask, np.uint8))
    picture.putpalette(COLORS.tobytes())
    return _encoded(picture)


def decode_mask(data: bytes, size: int, name: str = "The mask", scheme: str = OURS) -> np.ndarray:
    """uint8 ``[size, size]`` from a PNG file of the class ids of ``scheme``; ``EditError`` for all else.

    A square mask of another size is resized by the nearest pixel. ``name`` is what messages call the file.
    """
    if not data.startswith(b"\x89PNG"):
        raise EditError(f"{name} is no PNG file: save it as one.")
    labels = read_whole(data, name, scheme)
    height, width = labels.shape
    if height != width:
        raise EditError(f"{name} is {width}x{height} pixels, but a mask is square: crop it as its picture.")
    return labels if len(labels) == size else resize_labels(labels, size)


def encode_picture(image: np.ndarray, kind: str = "PNG", quality: int = 95) -> bytes:
    """The file of a picture uint8 ``[H, W, 3]``: a PNG, which keeps every bit, or a ``"JPEG"``."""
    return _encoded(Image.fromarray(image), kind, quality)


def read_mask(path: str | Path, size: int, scheme: str = OURS) -> np.ndarray:
    """``decode_mask`` of a file."""
    return decode_mask(read_file(path), size, str(path), scheme)


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


def _encoded(picture: Image.Image, kind: str = "PNG", quality: int = 95) -> bytes:
    file = io.BytesIO()
    # For a PNG a tenth of the time of the default, and little more room; for a JPEG how good it is.
    picture.save(file, kind, compress_level=1, quality=quality)
    return file.getvalue()


def _write(path: str | Path, data: bytes, wait: bool = True) -> None:
    with atomic(path, wait) as file:
        file.write(data)


# ---- sessions


def write_session(folder: str | Path, state: SessionState, given: int, wait: bool = True) -> None:
    """Writes a session: steps, results, the last picture, and the faces that these need or that joined it.

    What is in the folder already is not written again, and what is no longer in the session is removed.

    Args:
        given: how many of the faces come with the session each time that it is made.
        wait: until all is on the disk, so that it outlives a power cut; that may take a second.

    ``CheckpointError`` if it cannot be written; the session that was there before is there still.
    """
    folder = Path(folder)
    steps = (*state.steps, *state.results)
    used = sorted({face for step in steps for face in step.faces}.union(range(given, len(state.faces))))
    places = {face: place for place, face in enumerate(used)}
    arrays: dict[str, np.ndarray] = {}
    photos: dict[str, bytes] = {}

    def stored(step: Step) -> dict[str, Any]:
        mask, image = step.files
        arrays.update({mask: step.mask} | ({} if image is None else {image: step.image}))
        placed = step.placed(places)
        looks = {name: getattr(placed, name) for name in ("name", "target", "style", "keep", "method", "regions")}
        return looks | {"mask": mask, "image": image}

    def named(face: EditorFace) -> dict[str, Any]:
        name, image, mask = face.key
        arrays.update({image: face.image, mask: face.mask})
        if face.origin is None:
            return {"name": name, "image": image, "mask": mask}
        photo = _photo_name(face.origin.data)
        photos[photo] = face.origin.data
        return {"name": name, "image": image, "mask": mask, "photo": photo, "square": astuple(face.origin.square)}

    image = None if state.image is None else file_name(state.image)
    arrays |= {} if image is None else {image: state.image}
    content = {
        "format": FORMAT,
        "size": len(state.now.mask),
        "faces": [named(state.faces[face]) for face in used],
        "steps": [stored(step) for step in state.steps],
        "at": state.at,
        "results": [stored(step) for step in state.results],
        "image": image,
    }
    pictures = folder / PICTURES
    there = {path.name for path in pictures.glob("*")}
    for name in arrays.keys() - there:
        array = arrays[name]
        _write(pictures / name, encode_mask(array) if array.ndim == 2 else encode_picture(array), wait)
    for name in photos.keys() - there:
        _write(pictures / name, photos[name], wait)
    _write(folder / SESSION_FILE, json.dumps(content | {"sha256": _digest(content)}, indent=1).encode(), wait)
    for name in there - arrays.keys() - photos.keys():
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
        return _state(content if content["format"] > 2 else _of_before_steps(content), Path(folder) / PICTURES, size)
    except (KeyError, TypeError, ValueError, IndexError, ArithmeticError) as error:
        raise _damaged(path) from error


def _of_before_steps(content: dict[str, Any]) -> dict[str, Any]:
    """A session of format 1 or 2 in that of today: one step, and results that look as it does but for their picture."""
    now = {name: content[name] for name in ("target", "keep", "mask")} | {"image": None, "name": content["note"]}
    now |= {"style": [content["style"], content["mix"]]}
    now |= {"regions": content.get("regions", {}), "method": content.get("method", "")}
    results = [now | {"name": i["note"], "image": i["image"], "mask": i["mask"]} for i in content["history"]]
    return content | {"steps": [now], "at": 0, "results": results}


def _state(content: dict[str, Any], folder: Path, size: int) -> SessionState:
    """``ValueError`` and the like for what no session has."""

    @cache
    def picture(name: str | None) -> np.ndarray | None:
        exact = partial(decode_image, size=size)
        return None if name is None else _checked(folder, name, exact, (size, size, 3))

    @cache
    def mask(name: str) -> np.ndarray:
        return _checked(folder, name, decode_labels, (size, size))

    def style(pair: Any) -> Style:
        face, mix = pair
        if not (0 <= int(face) < len(faces) and 0 <= mix <= 1):
            raise ValueError(f"a style {pair}")
        return int(face), float(mix)

    def step(stored: dict[str, Any]) -> Step:
        regions = {str(name): style(pair) for name, pair in dict(stored["regions"]).items()}
        target, _ = style((stored["target"], 1))
        keep, method = stored["keep"], str(stored["method"])
        if not (regions.keys() <= STYLE_REGIONS.keys() and (keep is None or 0 <= keep <= 1)):
            raise ValueError("a region or a strength that cannot be")
        looks = target, style(stored["style"]), keep if keep is None else float(keep), method
        return Step(str(stored["name"]), *looks, mask(stored["mask"]), regions, picture(stored["image"]))

    def origin(stored: dict[str, Any]) -> Origin | None:
        if "photo" not in stored:
            return None
        name = str(stored["photo"])
        data = read_file(folder / name) if _FILE_NAME.fullmatch(name) else b""
        if _photo_name(data) != name:
            raise _damaged(folder / name)
        center, right = ((float(x), float(y)) for x, y in stored["square"])
        return Origin(data, Square(center, right))

    def face(stored: dict[str, Any]) -> EditorFace:
        return EditorFace(str(stored["name"]), picture(stored["image"]), mask(stored["mask"]), origin(stored))

    faces = tuple(map(face, content["faces"]))
    if any(face.image is None for face in faces):
        raise ValueError("a face without a picture")
    steps = tuple(step(one) for one in list(content["steps"])[-DEPTH - 1 :])
    at = int(content["at"]) - max(0, len(content["steps"]) - DEPTH - 1)
    if not 0 <= at < len(steps):
        raise ValueError(f"no step {at}")
    results = tuple(step(one) for one in list(content["results"])[-HISTORY:])
    return SessionState(faces, steps, at, results, picture(content["image"]))


def _checked(folder: Path, name: str, decode: Callable[[bytes, str], np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """A mask or a picture of a session, checked against its name."""
    if not _FILE_NAME.fullmatch(name):  # not a way out of the folder
        raise ValueError(name)
    path = folder / name
    array = decode(read_file(path), str(path))
    if array.shape != shape or file_name(array) != name:
        raise _damaged(path)
    return read_only(array)


def _photo_name(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32] + ".photo"


def _damaged(path: Path) -> EditError:
    return EditError(f"{path} is damaged or belongs to no session: copy it again, or remove the folder to begin anew.")


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
