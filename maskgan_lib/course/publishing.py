"""What makes an executed notebook fit to be kept and passed on: it must render anywhere, and be light."""

import base64
import io
import re
from pathlib import Path

import nbformat
import numpy as np
from PIL import Image

from maskgan_lib.classes import COLORS

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
HEAVY_PICTURE, PALETTE = 30_000, 144
"""Bytes of a PNG that may have all its colours, and how many are left to a heavier one: dozens of faces in true colour
would make a notebook too heavy to be read online, and 144 colours chosen for them look the same."""


def clean(notebook: nbformat.NotebookNode) -> None:
    """Drop what renders only where the notebook ran, and pack its pictures tighter.

    The state of widgets goes, with the views that would look for it: GitHub does not render a notebook that has it.
    """
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            data.pop(WIDGET_VIEW, None)
            if "image/png" in data:
                data["image/png"] = smaller_png(data["image/png"])
                data.pop("image/jpeg", None)  # Pillow's pictures show themselves as both


def attach_pictures(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """The pictures of ``../figures`` that its prose shows go into it, so that it may leave ``folder``, its own."""
    for cell in notebook.cells:
        for target in re.findall(r"!\[[^]]*\]\((\.\./figures/[\w.-]+)\)", cell.source):
            name, encoded = Path(target).name, base64.b64encode((folder / target).read_bytes()).decode("ascii")
            cell.setdefault("attachments", nbformat.NotebookNode())[name] = {"image/png": encoded}
            cell.source = cell.source.replace(target, f"attachment:{name}")


def smaller_png(encoded: str) -> str:
    """The picture, base64 as before, without an opaque alpha channel and packed tighter: about an eighth less.

    Where that leaves more than ``HEAVY_PICTURE`` bytes, an opaque picture keeps ``PALETTE`` colours that suit it.
    """
    with Image.open(io.BytesIO(base64.b64decode(encoded))) as picture:
        opaque = picture.mode == "RGB" or (picture.mode == "RGBA" and picture.getextrema()[3][0] == 255)
        packed = _as_png(picture.convert("RGB") if opaque else picture)
        if opaque and len(packed) > HEAVY_PICTURE:
            packed = _as_png(in_few_colors(picture.convert("RGB")))
    return base64.b64encode(packed).decode("ascii")


def in_few_colors(picture: Image.Image) -> Image.Image:
    """``picture`` (RGB) with a palette fitted to it; white and the colours of the 19 classes stay exact."""
    exact = np.append(COLORS, [[255, 255, 255]], axis=0).astype(np.uint8)
    pixels = np.asarray(picture)
    counts = np.bincount(np.ravel_multi_index((pixels >> 3).reshape(-1, 3).T, (32, 32, 32)), minlength=32**3)
    # The root, or the few pixels of a lip would get no colour of their own beside so much skin.
    sample = np.repeat(np.indices((32, 32, 32)).reshape(3, -1).T * 8 + 4, np.ceil(np.sqrt(counts)).astype(int), axis=0)
    sample = sample.astype(np.uint8)
    fitted = Image.fromarray(sample[None]).quantize(PALETTE - len(exact), kmeans=1)
    indices = np.array(picture.quantize(palette=fitted, dither=Image.Dither.NONE))
    for k, color in enumerate(exact):
        indices[(pixels == color).all(axis=2)] = PALETTE - len(exact) + k
    palette = np.resize(np.array(fitted.getpalette(), np.uint8), (PALETTE - len(exact), 3))
    result = Image.fromarray(indices)
    result.putpalette(np.concatenate([palette, exact]).tobytes())
    return result


def _as_png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
