"""The pictures of the editor in the README, taken of its real view with the weights that ship.

``.venv/bin/python tests/browser/pictures.py`` writes ``figures/editor.png`` and ``figures/editor.gif``, and the editor
in light, dark and narrow to ``build/pictures``, for looking at. All that happens in them a mouse does in a browser.
"""

import io
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from page import Mounted, NoBrowser, chromium, mount, new_page
from PIL import Image, ImageChops, ImageDraw

from maskgan_lib.checkpoints import load_weights, read_card
from maskgan_lib.classes import CLASS_ID, GROUPS
from maskgan_lib.classes import COLORS as CLASS_COLORS
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.data.procedural import render_packed
from maskgan_lib.editor import EditorFace, EditSession
from maskgan_lib.editor.latent import LatentEdits
from maskgan_lib.editor.rendering import PLAIN, Renderer
from maskgan_lib.editor.widget import MaskEditor
from maskgan_lib.progress import progress_bar

PROJECT = Path(__file__).resolve().parent.parent.parent
WEIGHTS = PROJECT / "data" / "pretrained"
FIGURES, BUILD = PROJECT / "figures", PROJECT / "build" / "pictures"

SEED, COUNT = 20, 168
"""The set of procedural faces: the shipped weights have seen none of it."""
TARGET, GLASSES, HAT = 161, 79, 25
"""The face that is edited, and those that lend glasses and the hat's style."""
FACES = (TARGET, GLASSES, HAT, 77, 20, 9, 5, 48, 7, 15)
BRUSH = 8

ROOT = ".editor-root"
WIDE, NARROW = 1200, 420
MOVING = 0.72  # size of the animation, as a share of the view's
COLORS, EXACT = 255, 40
"""Colours of a moving picture, less the one that says "as before", and how many are exact: of classes, and common."""
FRAME, SHORT, LONG, LAST = 40, 200, 650, 2000
"""Milliseconds that a frame is seen: while the mouse moves, after a step, after an important one, at the end."""

ARROW = ((0, 0), (0, 17), (4, 13.4), (6.8, 19.6), (9.6, 18.4), (6.9, 12.3), (12, 12))
FINER = 4
"""The pointer is drawn so many times larger and made smaller again, for smooth edges."""

Film = list[tuple[Image.Image, int]]


class Hand:
    """A mouse in the page of an editor. ``film`` gets what it does, pictures with their milliseconds, if it is one."""

    def __init__(self, mounted: Mounted, film: Film | None = None):
        self.mounted, self.page, self.film = mounted, mounted.page, film
        self._x, self._y, self._is_down = 620.0, 520.0, False
        self.page.mouse.move(self._x, self._y)

    def frame(self) -> dict[str, float]:
        """Where the editor is in the page; in a film without the closed panels at its end."""
        box = self.page.locator(ROOT).bounding_box()
        height = box["height"]
        if self.film is not None:
            panel = self.page.locator(".editor-copy-panel").bounding_box()
            height = panel["y"] + panel["height"] + 5 - box["y"]
        return {"x": box["x"] - 3, "y": box["y"] - 3, "width": box["width"] + 6, "height": height + 6}

    def look(self, milliseconds: int) -> None:
        """One picture more in the film."""
        if self.film is None:
            return
        frame = self.frame()
        image = picture_of(self.page.screenshot(clip=frame))
        scale = image.width / frame["width"]
        spot = (scale * (self._x - frame["x"]), scale * (self._y - frame["y"]))
        self.film.append((with_pointer(image, spot, self._is_down), milliseconds))

    def glide(self, x: float, y: float) -> None:
        """Moves there, slowly at first and at last."""
        start, far = (self._x, self._y), math.hypot(x - self._x, y - self._y)
        steps = max(2, min(7, round(far / 60)))
        for i in range(1, steps + 1):
            share = (1 - math.cos(math.pi * i / steps)) / 2
            self._move(start[0] + share * (x - start[0]), start[1] + share * (y - start[1]))
            self.look(FRAME)

    def click(self, selector: str, milliseconds: int = SHORT) -> None:
        box = self.page.locator(selector).bounding_box()
        self.glide(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self._press(True)
        self.look(2 * FRAME)
        self._press(False)
        self.settle()
        self.look(milliseconds)

    def choose(self, selector: str, value: str) -> None:
        """An option of a list; the list that opens belongs to the system and cannot be filmed."""
        box = self.page.locator(selector).bounding_box()
        self.glide(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.select_option(selector, value)
        self.settle()
        self.look(2 * SHORT)

    def stroke(self, points: Sequence[tuple[float, float]], milliseconds: int = SHORT) -> None:
        """A stroke through these pixels of the mask, and the picture that follows."""
        places = [self._at(*point) for point in points]
        self.glide(*places[0])
        self._press(True)
        for place in places[1:]:
            self._move(*place)
            self.look(FRAME)
        self._press(False)
        self.settle()
        self.look(milliseconds)

    def settle(self) -> None:
        """Until the view waits for nothing and has decoded the last picture."""
        for _ in range(20):
            self.page.wait_for_timeout(30)
            self.mounted.deliver()
            if self.page.get_attribute(ROOT, "data-pending") == "0":
                break
        self.page.wait_for_timeout(150)

    def _at(self, x: float, y: float) -> tuple[float, float]:
        box = self.page.locator(".editor-left canvas").first.bounding_box()
        size = self.mounted.widget.session.size
        return box["x"] + (x + 0.5) * box["width"] / size, box["y"] + (y + 0.5) * box["height"] / size

    def _move(self, x: float, y: float) -> None:
        self.page.mouse.move(x, y, steps=3)
        self._x, self._y = x, y

    def _press(self, down: bool) -> None:
        (self.page.mouse.down if down else self.page.mouse.up)()
        self._is_down = down


def picture_of(file: bytes) -> Image.Image:
    with Image.open(io.BytesIO(file)) as image:
        return image.convert("RGB")


def with_pointer(image: Image.Image, spot: tuple[float, float], is_down: bool) -> Image.Image:
    """An arrow whose point is at ``spot``, in a ring while the button is down."""
    side = 64
    middle = side / 2
    tile = Image.new("RGBA", (side * FINER, side * FINER))
    pen = ImageDraw.Draw(tile)
    if is_down:
        ring = [FINER * (middle + r) for r in (-13, -13, 13, 13)]
        pen.ellipse(ring, outline=(25, 118, 210, 255), width=3 * FINER)
    corners = [(FINER * (middle + x), FINER * (middle + y)) for x, y in ARROW]
    pen.polygon(corners, fill="black", outline="white", width=round(1.3 * FINER))
    tile = tile.resize((side, side), Image.Resampling.LANCZOS)
    image = image.copy()
    image.paste(tile, tuple(round(v - middle) for v in spot), tile)
    return image


def hat_strokes(mask: np.ndarray) -> list[list[tuple[float, float]]]:
    """Strokes of the brush, each a list of x and y in pixels of the mask: a hat from above the brows to the top."""
    brim = np.argwhere(np.isin(mask, GROUPS["brows"]))[:, 0].min() - 15
    head = np.argwhere(np.isin(mask[brim - 1 : brim + 5], (CLASS_ID["skin"], CLASS_ID["hair"])))[:, 1]
    middle, half = (head.min() + head.max()) / 2, (head.max() - head.min()) / 2
    height = brim - np.argwhere(mask == CLASS_ID["hair"])[:, 0].min()
    arcs = ((0, 1.05, 0.05), (0.3, 0.98, 0.3), (0.45, 0.8, 0.45), (0.3, 0.6, 0.15))  # lift, reach, bow
    strokes = []
    for i, (lift, reach, bow) in enumerate(arcs):
        way = np.linspace(-1, 1, 9) * (-1) ** i  # to and fro, as a hand does
        strokes.append([(middle + a * reach * half, brim - height * (lift + bow * (1 - a * a))) for a in way])
    return strokes


def edit(hand: Hand) -> Iterator[None]:
    """A hat and glasses, and in a film more, step by step."""
    hand.look(LONG)
    hand.click(f".editor-class[data-value='{CLASS_ID['hat']}']")
    yield
    strokes = hat_strokes(hand.mounted.widget.mask)
    for stroke in strokes:
        hand.stroke(stroke, LONG if stroke is strokes[-1] else SHORT)
        yield
    hand.click(f".editor-source [data-face='{FACES.index(GLASSES)}']")
    yield
    hand.click("[data-group='glasses']", LONG)
    yield
    if hand.film is not None:
        hand.click("button[title^='Undo']", 2 * SHORT)
        yield
        hand.click("button[title^='Redo']", 2 * SHORT)
        yield
        hand.choose(".editor-where", "hat")
        hand.click(f".editor-style [data-face='{FACES.index(HAT)}']", LAST)
    else:
        hand.stroke(strokes[0])
    yield


def write_gif(film: Film, path: Path) -> None:
    """Each picture holds only what has changed since the one before, in the best colours for that."""
    indexed: list[Image.Image] = []
    times: list[int] = []
    before: Image.Image | None = None
    for image, milliseconds in film:
        changed = np.ones(image.size[::-1], bool)
        if before is not None:
            changed = np.asarray(ImageChops.difference(image, before)).any(axis=2)
            if not changed.any():
                times[-1] += milliseconds
                continue
        palette = palette_of(np.asarray(image)[changed])
        drawn = np.asarray(image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG))
        frame = Image.fromarray(np.where(changed, drawn, COLORS).astype(np.uint8), "P")
        frame.putpalette(palette.getpalette())
        indexed.append(frame)
        times.append(milliseconds)
        before = image
    first, *others = indexed
    more = {"duration": times, "loop": 0, "transparency": COLORS, "disposal": 1, "optimize": False}
    first.save(path, save_all=True, append_images=others, **more)


def palette_of(pixels: np.ndarray) -> Image.Image:
    """Colours for pixels, uint8 ``[N, 3]``: buttons and paint come out flat, photos as near as the rest allows."""
    as_numbers = np.array([65536, 256, 1])
    numbers, counts = np.unique(pixels @ as_numbers, return_counts=True)
    is_class = np.isin(numbers, CLASS_COLORS @ as_numbers)
    order = np.lexsort((-counts, ~is_class))
    colors = np.stack([numbers >> 16, numbers >> 8 & 255, numbers & 255], axis=1).astype(np.uint8)
    common, rest = order[:EXACT], order[EXACT:]
    values = colors[common].ravel().tolist()
    if len(rest):
        photos = np.repeat(colors[rest], counts[rest], axis=0)
        values += Image.fromarray(photos[None]).quantize(COLORS - EXACT).getpalette()
    palette = Image.new("P", (1, 1))
    palette.putpalette((values + [0] * 3 * COLORS)[: 3 * COLORS])
    return palette


def main() -> None:
    BUILD.mkdir(parents=True, exist_ok=True)
    views = (  # the file, how the page is opened, whether the file moves
        (FIGURES / "editor.png", {}, False),
        (FIGURES / "editor.gif", {"device_scale_factor": MOVING}, True),
        (BUILD / "light.png", {}, False),
        (BUILD / "dark.png", {"color_scheme": "dark"}, False),
        (BUILD / "narrow.png", {"viewport": {"width": NARROW, "height": 2800}}, False),
    )
    with chromium() as browser:
        size = read_card(WEIGHTS / "regional.safetensors")["image_size"]
        folder = BUILD / f"faces-{SEED}-{COUNT}-{size}"
        packed = PackedFaces.open(folder) if folder.exists() else render_packed(folder, COUNT, size, SEED)
        faces = [EditorFace(f"face {i}", packed.images[i].copy(), packed.masks[i].copy()) for i in FACES]
        renderer = Renderer(load_weights(WEIGHTS / "regional.safetensors"), size, way=PLAIN)
        latent = LatentEdits(load_weights(WEIGHTS / "maskvae.safetensors"), packed, np.arange(COUNT))
        bar = progress_bar(total=sum(10 if moves else 8 for _, _, moves in views), desc="pictures", unit="step")
        with bar:
            for path, options, moves in views:
                session = EditSession(faces, renderer, latent)
                session.set_keep(1.0)
                with new_page(browser, **{"viewport": {"width": WIDE, "height": 1600}} | options) as page:
                    film: Film | None = [] if moves else None
                    hand = Hand(mount(page, MaskEditor(session, brush=BRUSH)), film)
                    hand.settle()
                    for _ in edit(hand):
                        bar.update()
                    if film:
                        write_gif(film, path)
                    else:
                        image = picture_of(page.screenshot(clip=hand.frame()))
                        image.point(lambda v: min(255, v + v % 2)).save(path, optimize=True)  # a fifth smaller
                    if page.errors:
                        raise RuntimeError(f"Something went wrong in the page: {page.errors}")
    for path, _, _ in views:
        print(f"{path.relative_to(PROJECT)}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    try:
        main()
    except NoBrowser as error:
        sys.exit(str(error))
