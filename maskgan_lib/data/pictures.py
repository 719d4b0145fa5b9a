"""The one reader of pictures and label maps; whatever is wrong with a file becomes one sentence."""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from maskgan_lib.classes import COLORS, NUM_CLASSES
from maskgan_lib.data.errors import DataError

SMALLEST_SIDE = 64
MOST_PIXELS = 100_000_000
"""Photos of one's own have sides of at least so many pixels, and no more pixels in all."""

HIDDEN = {"__MACOSX", "@eaDir", "Thumbs.db", "desktop.ini"}

DEMO_COLORS = COLORS[[0, 1, 2, 3, 5, 4, 6, 7, 9, 8, *range(10, NUM_CLASSES)]]
"""The palette of the authors' demo, in which the sides of eyes and ears have traded colours."""
SCRIPT_COLORS = COLORS.copy()
SCRIPT_COLORS[7] = 255, 204, 204
"""That of their script which colours label maps: the right brow has a colour of its own."""
PALETTES = COLORS, SCRIPT_COLORS, DEMO_COLORS
SAMPLE = 4096
"""Pixels that are looked at first."""
ORIENTATION = 0x0112
"""Where EXIF data says how the camera was held; above 4, width and height have traded places."""
HEIF_KINDS = {b"heic", b"heix", b"hevc", b"mif1", b"msf1"}
"""The first brand in the files of phones."""
NEAR_COLOUR = 8
"""How far each channel of a pixel may be from a class' colour."""


def is_hidden(parts: Sequence[str]) -> bool:
    """Whether a path is one of the copies and notes that systems put beside files."""
    return any(part.startswith(".") or part in HIDDEN for part in parts)


def read_file(path: str | Path) -> bytes:
    """The bytes of a file; ``DataError`` if it cannot be read."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}): check the path, or copy it again.") from None


def dimensions(data: bytes, name: str) -> tuple[int, int]:
    """Width and height of a picture, upright."""
    with _opened(data, name) as image:
        return image.size[::-1] if image.getexif().get(ORIENTATION, 1) > 4 else image.size


def decode_image(data: bytes, name: str, size: int) -> np.ndarray:
    """uint8 ``[S, S, 3]`` from a JPEG or PNG; a picture that is not square is cropped to its middle.

    A JPEG is decoded at the smallest of 1/1, 1/2, 1/4, 1/8 that is large enough, which its cosine transform gives
    almost for free, and then resized by Lanczos. It is turned upright, and becomes RGB, as ``decode_photo`` says.
    """
    with _opened(data, name) as image:
        image.draft("RGB", (size, size))
        upright = _rgb(ImageOps.exif_transpose(image), name)
        return np.array(_square(upright).resize((size, size), Image.Resampling.LANCZOS))


def decode_part(data: bytes, name: str) -> np.ndarray:
    """Bool ``[H, W]`` from the mask of one part: a picture of 0 and 255."""
    with _opened(data, name) as image:
        grey = np.asarray(image.convert("L"))
    # the grey of a colour whose channels are 0 or 255 is neither, so one test finds grey values and colours
    if (grey + np.uint8(1) > 1).any():
        raise DataError(f"{name} has grey values or colours, but a part mask holds 0 and 255 only: unpack it again.")
    return grey > 0


def decode_labels(
    data: bytes, name: str, ids: Sequence[int] = range(NUM_CLASSES), by_colour: bool = True
) -> np.ndarray:
    """uint8 ``[H, W]`` from a label map: one channel, or three equal ones, with no other values than ``ids``.

    With ``by_colour``, a picture in the project's colours is read by these. So is a palette whose order a program has
    changed, which paint programs and optimisers do; palettes of other colours are read by index.
    """
    with _opened(data, name) as image:
        if image.mode not in ("L", "P", "RGB", "RGBA"):
            raise DataError(f"{name} has pixels of mode {image.mode}, but a label map has 8 bits: save it so.")
        if image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255:
            raise DataError(f"{name} is transparent in places, which says nothing of classes: save a label map.")
        palette = image.getpalette("RGB") if image.mode == "P" else None
        channels = np.atleast_3d(image.convert("RGB") if image.mode.startswith("RGB") else image)
    labels = channels[..., 0].copy()
    if palette is not None and by_colour:
        labels = _by_palette(labels, np.array(palette, np.uint8).reshape(-1, 3), name)
    elif (channels != labels[..., None]).any():
        if not by_colour:
            raise DataError(f"{name} is a coloured picture, but a label map of this scheme holds class ids.")
        labels = _by_colour(channels, name)
    wrong = set(np.flatnonzero(np.bincount(labels.ravel()))) - set(ids)
    if wrong:
        fault = f"holds the id {max(wrong)}, which its labels do not have"
        raise DataError(f"{name} {fault}: check the data set or its scheme.")
    return labels


def has_our_palette(data: bytes, name: str) -> bool:
    """Whether a picture is a palette PNG with the project's colours in their order, as its own label maps are."""
    with _opened(data, name) as image:
        return image.mode == "P" and image.getpalette("RGB")[: COLORS.size] == COLORS.ravel().tolist()


def _by_palette(index: np.ndarray, palette: np.ndarray, name: str) -> np.ndarray:
    """Ids by the colours of the palette where these are known ones in another order; else the indices."""
    used = np.unique(index)
    if used[-1] >= len(palette):
        return index
    colours = palette[used]
    in_order = used[-1] < NUM_CLASSES and any(_near(colours, table[used]).all() for table in PALETTES)
    if in_order or len(np.unique(colours, axis=0)) < len(used):
        return index
    if (colours == colours[:, :1]).all() and (colours < NUM_CLASSES).all():
        ids = colours[:, 0]
    else:
        ids, known = _ids_of(colours)
        if known.sum() * 2 <= len(used):
            return index
        if not known.all():
            raise _unknown(name, colours[~known][0], "in its palette")
    table = np.zeros(256, np.uint8)
    table[used] = ids
    return table[index]


def _by_colour(pixels: np.ndarray, name: str) -> np.ndarray:
    """Ids of pixels ``[H, W, 3]`` near to the project's colours; ``DataError`` that names one that is not."""
    flat = pixels.reshape(-1, 3)
    for looked_at in (flat[:: 1 + len(flat) // SAMPLE], flat):  # a photo is told at once
        colours, place = np.unique(looked_at, axis=0, return_inverse=True)
        ids, known = _ids_of(colours)
        if not known.all():
            raise _unknown(name, colours[~known][0], "in it")
    return ids[place.ravel()].reshape(pixels.shape[:2])


def _near(colours: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether colours ``[..., 3]`` differ by no more than a lossy program makes of them."""
    return np.abs(colours.astype(int) - others).max(axis=-1) <= NEAR_COLOUR


def _ids_of(colours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes ``[N]`` of colours ``[N, 3]``, and whether these are known ones."""
    near = _near(colours[:, None], np.concatenate((COLORS, SCRIPT_COLORS[7:8])))
    return np.append(np.arange(NUM_CLASSES, dtype=np.uint8), np.uint8(7))[near.argmax(axis=1)], near.any(axis=1)


def _unknown(name: str, colour: np.ndarray, where: str) -> DataError:
    found = tuple(colour.tolist())
    what = "is none of the project's colours. A label map holds class ids"
    return DataError(f"{name} is a coloured picture: {found} {where} {what}.")


def resize_labels(labels: np.ndarray, size: int) -> np.ndarray:
    """``[S, S]`` from ``[H, W]`` by the nearest pixel, so that no id arises; cropped to its middle if not square."""
    return np.array(_square(Image.fromarray(labels)).resize((size, size), Image.Resampling.NEAREST))


def decode_photo(data: bytes, name: str) -> np.ndarray:
    """RGB uint8 ``[H, W, 3]`` from a photo's file, turned upright as its EXIF data says; ``DataError`` if that fails.

    Grey, 16-bit and CMYK pictures become RGB, and transparent ones lie on white.
    """
    with _opened(data, name) as image:
        width, height = image.size
        if min(width, height) < SMALLEST_SIDE:
            raise DataError(f"{name} is {width}x{height} pixels, too small for a face: {SMALLEST_SIDE} a side will do.")
        if width * height > MOST_PIXELS:
            raise DataError(f"{name} has more than {MOST_PIXELS // 10**6} million pixels: make it smaller first.")
        return np.array(_rgb(ImageOps.exif_transpose(image), name))


def open_photo(path: str | Path) -> np.ndarray:
    """``decode_photo`` of a file."""
    return decode_photo(read_file(path), str(path))


def _rgb(image: Image.Image, name: str) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image)
        if image.mode == "F" or values.min() < 0 or values.max() > 65535:
            raise DataError(f"{name} has pixels of 32 bits: save it with 8 or 16 bits a channel.")
        image = Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image if image.width == image.height else image.crop((left, top, left + side, top + side))


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """The picture in ``data``. Errors while it is decoded become ``DataError`` too: PIL decodes late."""
    if not data:
        raise DataError(f"{name} is an empty file: copy or unpack it again.")
    if _is_cut_off(data):
        raise DataError(f"{name} is cut off: copy or unpack it again.")
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_KINDS:
        try:
            import pillow_heif  # not a requirement: most people's photos are JPEGs
        except ImportError:
            raise DataError(f"{name} is a HEIC photo: save it as JPEG, or pip install pillow-heif.") from None
        pillow_heif.register_heif_opener()
    try:
        with warnings.catch_warnings(), Image.open(io.BytesIO(data)) as image:
            warnings.simplefilter("ignore")
            yield image
    except Image.DecompressionBombError:
        raise DataError(f"{name} has far too many pixels: make it smaller first.") from None
    except (OSError, SyntaxError, ValueError) as error:
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else error
        raise DataError(f"{name} is damaged or no picture ({reason}): copy it again, or save it as PNG.") from None


def _is_cut_off(data: bytes) -> bool:
    """Whether the end marker is missing: decoders, PIL's among them, may accept a file that lacks its last rows."""
    if data.startswith(b"\xff\xd8"):
        return b"\xff\xd9" not in data[data.rfind(b"\xff\xda") :]  # nothing between scan start and end marker looks so
    return data.startswith(b"\x89PNG") and b"IEND\xaeB`\x82" not in data  # its last chunk, checksum included
