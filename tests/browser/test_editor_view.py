"""The editor's view in a real browser, before the real widget and session, with a renderer that shows colours."""

import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from editor_faces import Grins, drawn_mask, drawn_session
from PIL import Image

from browser.page import mount, new_page
from maskgan_lib.classes import CLASS_NAMES, CLASS_TITLES, COLORS, FLIPPED_ID
from maskgan_lib.data.label_maps import SCHEMES
from maskgan_lib.editor import EditorFace
from maskgan_lib.editor.components import STYLE_REGIONS
from maskgan_lib.editor.rle import decode_runs
from maskgan_lib.editor.widget import MaskEditor

SIZE, BRUSH = 64, 5
SKIN, HAIR, HAT, CLOTH = 1, 13, 14, 18
SHOWN = ("Smiling", "Bangs")
METHODS = "MaskGAN†", "SPADE <b>", "Pix2PixHD-m, with a name that is longer than a narrow page is wide"
ROOT, STAGE = ".editor-root", ".editor-left .editor-stage"


@pytest.fixture(scope="module")
def window(browser):
    with new_page(browser, has_touch=True, accept_downloads=True) as page:
        page.set_default_timeout(15_000)
        yield page


@pytest.fixture
def editor(window):
    """A mounted editor on which cloth is chosen; nothing may go wrong in the page."""
    yield from watched(window, drawn_session(size=SIZE))


@pytest.fixture
def full(window):
    """The same with all that a session can have."""
    yield from watched(window, drawn_session(size=SIZE, methods=METHODS, attributes=True, glasses=True))


def watched(window, session):
    window.set_viewport_size({"width": 1200, "height": 1400})
    window.errors.clear()
    yield start(window, session)
    assert window.errors == []


def start(page, session=None, **options):
    mounted = mount(page, MaskEditor(session or drawn_session(size=SIZE), brush=BRUSH, **options))
    mounted.deliver()
    page.wait_for_selector(f"{ROOT}[data-shown='1'][data-results='1']")
    page.click(f".editor-class[data-value='{CLOTH}']")
    return mounted


def data(mounted, name):
    return mounted.page.get_attribute(ROOT, f"data-{name}")


def labels(mounted):
    return decode_runs(bytes(mounted.page.evaluate(f"document.querySelector('{ROOT}').readMask()")), SIZE)


def settle(mounted):
    """Delivers until the view waits for nothing; both sides must then hold the same mask."""
    for _ in range(9):
        mounted.deliver()
        if data(mounted, "pending") == "0":
            break
    mounted.page.wait_for_selector(f"{ROOT}[data-pending='0']")
    assert (labels(mounted) == mounted.widget.mask).all()


def at(mounted, x, y):
    """Where a pixel of the mask has its centre in the page."""
    box = mounted.page.locator(".editor-left canvas").first.bounding_box()
    return box["x"] + (x + 0.5) * box["width"] / SIZE, box["y"] + (y + 0.5) * box["height"] / SIZE


def drag(mounted, *points, button="left", end=True):
    mouse = mounted.page.mouse
    mouse.move(*at(mounted, *points[0]))
    mouse.down(button=button)
    for point in points[1:]:
        mouse.move(*at(mounted, *point), steps=4)
    if end:
        mouse.up(button=button)


def press(mounted, *names):
    mounted.page.focus(ROOT)
    for name in names:
        mounted.page.keyboard.press(name)


# The same, and what follows of it.


def keys(mounted, *names):
    press(mounted, *names)
    settle(mounted)


def paint(mounted, *points, **options):
    drag(mounted, *points, **options)
    settle(mounted)


def click(mounted, selector):
    mounted.page.click(selector)
    settle(mounted)


def fill(mounted, selector, value):
    mounted.page.fill(selector, value)
    settle(mounted)


def tool(mounted, name, kind="shape"):
    mounted.page.click(f"[data-{kind}='{name}']:not({ROOT})")


def near(points, radius=BRUSH, size=SIZE):
    """Distance of each pixel to a segment, less the radius, float ``[S, S]``, by trying many points of it."""
    y, x = np.mgrid[:size, :size]
    (ax, ay), (bx, by) = points
    steps = [(ax + t * (bx - ax), ay + t * (by - ay)) for t in np.linspace(0, 1, 2000)]
    return np.sqrt(np.min([(x - px) ** 2 + (y - py) ** 2 for px, py in steps], axis=0)) - radius


def assert_painted(mask, before, points, radius=BRUSH, allowed=True, value=CLOTH):
    """Exactly a stroke has been added. The mouse is placed to a screen's pixel: the rim may be on either side."""
    distance = near(points, radius)
    expected = np.where((distance <= 0) & allowed, value, before)
    sure = np.abs(distance) > 0.15
    assert (mask == expected)[sure].all() and sure.mean() > 0.9


def strokes(mounted):
    """The masks that the view has sent and the kernel has not heard."""
    return [message for message in mounted.waiting() if message.get("name") == "paint"]


def steps(mounted):
    return data(mounted, "undo"), data(mounted, "redo")


# ---- the defects of the authors' demo, each the other way round


def test_each_class_has_one_colour_on_button_paint_and_loaded_mask(editor):
    page = editor.page
    for i, (red, green, blue) in enumerate(COLORS.tolist()):
        swatch = page.eval_on_selector(
            f".editor-class[data-value='{i}'] .editor-swatch", "node => getComputedStyle(node).backgroundColor"
        )
        assert swatch == f"rgb({red}, {green}, {blue})"
    mask = (np.arange(SIZE * SIZE).reshape(SIZE, SIZE) % 19).astype(np.uint8)
    editor.widget.mask = mask
    settle(editor)
    assert (canvas_colors(page) == COLORS[mask]).all()
    for key, i in (("0", 0), ("5", 5), ("h", HAIR), ("k", 17)):
        press(editor, key)
        paint(editor, (30, 30))
        assert labels(editor)[30, 30] == i and (canvas_colors(page)[30, 30] == COLORS[i]).all()


def canvas_colors(page):
    values = page.evaluate(
        "Array.from(document.querySelector('.editor-left canvas').getContext('2d').getImageData(0, 0, 64, 64).data)"
    )
    return np.array(values, np.uint8).reshape(SIZE, SIZE, 4)[..., :3]


def test_one_undo_is_one_stroke_also_when_strokes_and_undo_wait_for_the_kernel(editor):
    masks = [labels(editor)]
    for row, key in ((10, "c"), (30, "t"), (50, "h")):
        press(editor, key)
        drag(editor, (8, row), (20, row + 4), (50, row))
        masks.append(labels(editor))
    renders = editor.widget.session.renderer.renders
    press(editor, "3", "Control+z", "Control+z")
    assert len(strokes(editor)) == 1 and data(editor, "pending") == "1"
    settle(editor)
    assert "of which the kernel took" in editor.page.inner_text(".editor-status")
    assert (labels(editor) == masks[1]).all() and editor.widget.session.renderer.renders - renders == 1
    assert [step.name for step in editor.widget.session.done] == ["original", "painted cloth"]
    assert editor.page.get_attribute("[title^='Redo']", "title").startswith("Redo: painted hat")
    for key, there in (("Control+Shift+Z", 2), ("Control+y", 3), ("Control+y", 3), ("Control+z", 2), ("Control+z", 1)):
        keys(editor, key)
        assert (labels(editor) == masks[there]).all()
    editor.page.click("[title^='Undo: painted cloth']")
    drag(editor, (8, 20), (50, 20))  # at once: on what is seen, after the undo
    settle(editor)
    assert_painted(labels(editor), masks[0], [(8, 20), (50, 20)], value=3)
    assert steps(editor) == ("1", "0")


def png(array):
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def choose_file(editor, place, content, name="file.png"):
    editor.page.set_input_files(
        f".editor-file >> nth={place}", {"name": name, "mimeType": "image/png", "buffer": content}
    )
    editor.page.wait_for_selector(f"{ROOT}[data-pending='1']")
    settle(editor)


def downloaded(editor, text):
    editor.page.click(".editor-files-panel summary")
    with editor.page.expect_download() as event:
        editor.page.click(f"text={text}")
    return event.value.path().read_bytes()


def test_mask_and_picture_are_saved_and_the_mask_is_opened_again_bit_for_bit(editor):
    paint(editor, (10, 20), (50, 20))
    saved = downloaded(editor, "Download mask")
    painted = labels(editor)
    with Image.open(io.BytesIO(saved)) as file:
        assert file.mode == "P" and (np.asarray(file) == painted).all()
        assert (np.asarray(file.convert("RGB")) == COLORS[painted]).all()
    editor.page.click(".editor-files-panel summary")
    with Image.open(io.BytesIO(downloaded(editor, "Download picture"))) as file:
        assert file.size == (SIZE, SIZE)
        assert np.abs(np.asarray(file.convert("RGB")).astype(int) - editor.widget.session.image).mean() < 10  # JPEG
    click(editor, "text=Reset")
    choose_file(editor, 0, saved)
    assert (editor.widget.mask == painted).all()
    numbers = {name: i for i, name in SCHEMES["bisenet"].items()}
    theirs = np.array([numbers[name] for name in CLASS_NAMES], np.uint8)[painted]
    choose_file(editor, 0, png(theirs))
    assert "choose the scheme bisenet" in editor.page.inner_text(".editor-status")
    editor.page.select_option(".editor-scheme", "bisenet")
    choose_file(editor, 0, png(theirs))
    assert (editor.widget.mask == painted).all()
    choose_file(editor, 0, b"no picture")
    assert data(editor, "error") == "1" and (editor.widget.mask == painted).all()


def test_an_own_photo_travels_in_a_size_that_fits_and_is_edited(editor, monkeypatch):
    got, session = [], editor.widget.session

    def add_photo(data: bytes) -> int:
        got.append((Image.open(io.BytesIO(data)).size, len(data)))
        face = EditorFace("mine", session.faces[1].image, session.faces[1].mask)
        session._go(replace(session._state, faces=(*session.faces, face)))
        return len(session.faces) - 1

    monkeypatch.setattr(session, "add_photo", add_photo)
    large = np.random.default_rng(0).integers(0, 256, (700, 4600, 3), np.uint8)
    choose_file(editor, 1, png(large[:30]))
    choose_file(editor, 1, png(large))
    assert [size for size, _ in got] == [(4600, 30), (4096, 623)] and got[1][1] < 8e6
    assert session.target == 4 and (editor.widget.mask == session.faces[1].mask).all()
    assert editor.page.locator(".editor-style .editor-face").count() == 5


def test_where_no_face_is_found_one_clicks_at_it_and_the_whole_photo_comes_back(editor):
    class Blind:
        def parse(self, images):
            return torch.zeros(len(images), *images.shape[-2:], dtype=torch.uint8)

    page, session = editor.page, editor.widget.session
    session._judges = Blind()
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8))
    photo = np.asarray(coarse.resize((600, 400), Image.Resampling.BICUBIC))
    page.click(".editor-files-panel summary")
    clicks = page.locator(".editor-clicks")
    assert not clicks.is_visible() and not page.is_visible("text=Download whole photo")
    choose_file(editor, 1, png(photo))
    assert "No face found" in page.inner_text(".editor-status")
    scale = clicks.bounding_box()["width"] / 600
    for x, y, asked in ((330, 180, "one eye"), (270, 180, "the other eye"), (300, 240, "the middle of the mouth")):
        assert asked in page.inner_text(".editor-asking")
        clicks.click(position={"x": scale * x, "y": scale * y})
    settle(editor)
    assert session.target == 3 and not clicks.is_visible()
    assert session.faces[3].origin.square.center == pytest.approx((300, 186), abs=2)
    session.set_keep(1.0)
    page.click("text=Download whole photo", trial=True)
    with page.expect_download() as event:
        page.click("text=Download whole photo")
        editor.deliver()
    with Image.open(event.value.path()) as file:
        assert np.abs(np.asarray(file).astype(int) - photo).mean() < 2  # JPEG
    choose_file(editor, 1, png(photo))
    page.click(".editor-asking >> text=Cancel")
    assert not clicks.is_visible() and len(session.faces) == 4


def test_every_button_works_or_says_why_not_on_an_empty_mask(editor):
    page = editor.page
    page.evaluate("document.querySelectorAll('details').forEach(node => (node.open = true))")
    editor.widget.mask = np.zeros((SIZE, SIZE), np.uint8)
    settle(editor)
    for i in range(page.locator(f"{ROOT} button").count()):
        node = page.locator(f"{ROOT} button").nth(i)
        if node.is_visible() and node.is_enabled() and "Open a" not in node.inner_text():
            node.click()
            settle(editor)
    page.evaluate("document.querySelectorAll('details').forEach(node => (node.open = false))")


# ---- the other tools


def test_eraser_restore_and_back_to_the_class(editor):
    press(editor, "c")
    drag(editor, (10, 20), (50, 20))
    press(editor, "e")
    drag(editor, (20, 20))
    assert labels(editor)[20, 20] == 0 and labels(editor)[20, 30] == CLOTH
    press(editor, "r")
    drag(editor, (10, 20), (50, 20))
    assert (labels(editor) == drawn_mask(SIZE)).all()
    press(editor, "r")
    drag(editor, (20, 20))
    assert labels(editor)[20, 20] == CLOTH
    settle(editor)


def test_fill_lasso_and_polygon_fill_what_they_enclose(editor):
    before = labels(editor)
    inside = np.zeros((SIZE, SIZE), bool)
    inside[11:30, 11:50] = True  # between the corners' pixels
    corners = [(10.5, 10.5), (49.5, 10.5), (49.5, 29.5), (10.5, 29.5)]
    press(editor, "l")
    paint(editor, *corners, corners[0])
    assert (editor.widget.mask == np.where(inside, CLOTH, before)).all()
    keys(editor, "Control+z", "p")
    for corner in corners:
        drag(editor, corner)
    assert data(editor, "corners") == "4" and (labels(editor) == before).all()
    keys(editor, "Enter")
    assert (editor.widget.mask == np.where(inside, CLOTH, before)).all()
    for corner in corners:
        drag(editor, corner)
    press(editor, "Backspace")
    assert data(editor, "corners") == "3"
    press(editor, "Escape")
    assert data(editor, "corners") == "0" and not strokes(editor)
    keys(editor, "Control+z")
    for corner in corners[:3]:
        drag(editor, corner)
    editor.page.mouse.dblclick(*at(editor, *corners[3]))
    settle(editor)
    assert (editor.widget.mask == np.where(inside, CLOTH, before)).all() and data(editor, "corners") == "0"
    keys(editor, "Control+z", "3", "f")
    paint(editor, (39, 30))  # the left eye
    assert (editor.widget.mask == np.where(before == 4, 3, before)).all()
    keys(editor, "Control+z")
    keys(editor, "x")  # where the pointer is
    assert (editor.widget.mask == np.where(before == 4, 3, before)).all() and steps(editor) == ("1", "0")


def seen_line(editor, selector):
    """Where a line is seen: the screen's pixels that it changes, x and y in pixels of the mask, float ``[2, N]``."""
    stage = editor.page.locator(STAGE)
    shown = stage.screenshot()
    hiding = editor.page.add_style_tag(content=f"{selector} {{ visibility: hidden }}")
    hidden = stage.screenshot()
    hiding.evaluate("node => node.remove()")
    shown, hidden = (np.asarray(Image.open(io.BytesIO(file)).convert("RGB")).astype(int) for file in (shown, hidden))
    return (np.argwhere(abs(shown - hidden).max(-1) > 60).T[::-1] + 0.5) * SIZE / len(shown) - 0.5


def test_brush_mirror_and_a_line_that_is_drawn_are_seen(editor):
    press(editor, "m")
    editor.page.mouse.move(*at(editor, 40, 20))
    x, y = seen_line(editor, "[class*='editor-cursor']")
    assert abs(np.hypot(x - 40, y - 20) - BRUSH).max() < 0.6
    assert np.ptp(np.degrees(np.arctan2(y - 20, x - 40)).round(-1)) == 360, "all around"
    x, y = seen_line(editor, ".editor-axis")
    assert abs(x - (SIZE - 1) / 2).max() < 0.5 and np.ptp(y) > SIZE - 2
    press(editor, "l")
    drag(editor, (10, 10), (50, 10), (50, 30), end=False)
    x, y = seen_line(editor, ".editor-outline")
    assert np.minimum(abs(y - 10), abs(x - 50)).max() < 0.6
    assert np.allclose([x.min(), x.max(), y.min(), y.max()], [10, 50, 10, 30], atol=1)
    editor.page.mouse.up()
    settle(editor)


def test_shift_draws_straight_lines(editor):
    before = labels(editor)
    drag(editor, (10, 10))
    editor.page.keyboard.down("Shift")
    drag(editor, (50, 30))
    editor.page.keyboard.up("Shift")
    settle(editor)
    assert_painted(editor.widget.mask, before, [(10, 10), (50, 30)])
    keys(editor, "Control+z", "Control+z")
    editor.page.keyboard.down("Shift")
    drag(editor, (10, 50), (30, 5), (50, 50))
    editor.page.keyboard.up("Shift")
    settle(editor)
    assert_painted(editor.widget.mask, before, [(10, 50), (50, 50)])


@pytest.mark.parametrize("how", ["tool", "pen", "Alt"])
def test_a_class_is_picked_from_the_canvas(editor, how):
    if how == "Alt":
        editor.page.keyboard.down("Alt")
        drag(editor, (32, 36))
        editor.page.keyboard.up("Alt")
    else:
        press(editor, "i")
        point_at(editor, 32, 36)
        drag(editor, (32, 36)) if how == "tool" else press(editor, "x")
    assert (data(editor, "value"), data(editor, "shape")) == ("2", "brush") and not strokes(editor)


def test_only_the_wanted_classes_are_painted_over(editor):
    before = labels(editor)
    editor.page.select_option(".editor-over", str(SKIN))
    paint(editor, (5, 30), (60, 30))
    path = [(5, 30), (60, 30)]
    assert_painted(editor.widget.mask, before, path, allowed=before == SKIN)
    keys(editor, "Control+z")
    editor.page.select_option(".editor-over", "")
    editor.page.click(f".editor-lock >> nth={HAIR}")
    paint(editor, (5, 30), (60, 30))
    assert_painted(editor.widget.mask, before, path, allowed=before != HAIR)


def test_the_mirror_paints_the_other_side_with_its_partner(editor):
    editor.widget.mask = np.zeros((SIZE, SIZE), np.uint8)
    settle(editor)
    press(editor, "m", "4")
    paint(editor, (45, 20), (50, 30))
    mask = editor.widget.mask
    assert set(np.unique(mask)) == {0, 4, 5} and (mask[:, 32:] != 5).all()
    assert (mask[:, ::-1] == FLIPPED_ID[mask]).all()


def test_a_part_is_moved_scaled_and_turned(editor):
    nose = labels(editor) == 2
    press(editor, "v")
    editor.page.mouse.click(*at(editor, 32, 36))
    assert data(editor, "part") == "nose"
    paint(editor, (32, 36), (38, 40))
    assert ((editor.widget.mask == 2) == np.roll(nose, (4, 6), (0, 1))).all()
    keys(editor, "ArrowLeft", "Shift+ArrowUp")
    assert ((editor.widget.mask == 2) == np.roll(nose, (-1, 5), (0, 1))).all()
    for _ in range(3):
        keys(editor, "Control+z")
    assert (labels(editor) == drawn_mask(SIZE)).all()

    def handle(name):
        box = editor.page.locator(f"[data-handle='{name}']").bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    mouse = editor.page.mouse
    centre = at(editor, 31.5, 36)
    corner = handle(2)
    mouse.move(*corner)
    mouse.down()
    mouse.move(*(c + 1.5 * (p - c) for c, p in zip(centre, corner)), steps=3)
    mouse.up()
    settle(editor)
    grown = (editor.widget.mask == 2).sum() / nose.sum()
    assert 1.8 < grown < 2.7
    keys(editor, "Control+z")
    mouse.move(*handle("turn"))
    mouse.down()
    mouse.move(centre[0] + 200, centre[1], steps=3)  # a quarter turn
    mouse.up()
    settle(editor)
    rows, columns = np.nonzero(editor.widget.mask == 2)
    assert np.ptp(columns) > np.ptp(rows) + 2


def test_zoom_is_about_the_pointer_and_strokes_stay_exact(editor):
    before = labels(editor)
    spot = at(editor, 40, 20)
    editor.page.mouse.move(*spot)
    editor.page.evaluate("document.activeElement.blur()")
    editor.page.mouse.wheel(0, -300)
    editor.page.wait_for_timeout(100)
    assert data(editor, "zoom") == "1.00", "the page scrolls where nobody works in the editor"
    press(editor)
    editor.page.mouse.wheel(0, -600)
    editor.page.wait_for_function(f"+document.querySelector('{ROOT}').dataset.zoom > 2")
    assert math.dist(at(editor, 40, 20), spot) < 6  # a wheel event counts whole pixels, and they are enlarged
    paint(editor, (38, 18), (42, 22))
    assert_painted(editor.widget.mask, before, [(38, 18), (42, 22)])
    editor.page.keyboard.down("Space")
    drag(editor, (40, 20), (43, 22))
    editor.page.keyboard.up("Space")
    drag(editor, (40, 20), (41, 21), button="middle")
    drag(editor, (40, 20), (41, 21), button="right")
    assert math.dist(at(editor, 40, 20), spot) > 10 and not strokes(editor)
    press(editor, "z")
    assert data(editor, "zoom") == "1.00"


def test_keys_change_the_brush_between_its_limits(editor):
    press(editor, *["["] * 10)
    assert editor.page.input_value(".editor-brush") == "1"
    press(editor, *["]"] * 60)
    assert editor.page.input_value(".editor-brush") == "100"
    settle(editor)
    assert editor.widget.brush == 100


# ---- the keyboard's pen


def point_at(editor, x, y):
    """The pen starts where the pointer is."""
    editor.page.mouse.move(*at(editor, x + 4, y))
    editor.page.mouse.move(*at(editor, x, y))


def crosshair(editor):
    """Where its middle is in the page, and its style."""
    box = editor.page.locator(".editor-crosshair").bounding_box()
    style = "node => [getComputedStyle(node).opacity, getComputedStyle(node).stroke]"
    seen = editor.page.eval_on_selector(".editor-crosshair", style)
    return (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2), *seen


def test_arrows_move_a_cursor_that_is_seen_and_draws_when_it_is_down(editor):
    before = labels(editor)
    point_at(editor, 10, 20)
    assert data(editor, "pen") == "" and editor.page.locator(".editor-crosshair").get_attribute("d") is None
    press(editor, "ArrowRight", "Shift+ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft")
    place, opacity, white = crosshair(editor)
    assert math.dist(place, at(editor, 14, 20)) < 1 and opacity == "1" and data(editor, "pen") == "up"
    editor.page.mouse.move(*at(editor, 10, 20))  # where it is: as a browser reports it when the page moves
    assert data(editor, "pen") == "up"
    assert (labels(editor) == before).all() and editor.page.inner_text(".editor-under") == CLASS_TITLES[before[20, 14]]
    press(editor, "x", *["ArrowRight"] * 3, *["Shift+ArrowRight"] * 5)
    _, opacity, yellow = crosshair(editor)
    assert (data(editor, "pen"), data(editor, "pending"), opacity) == ("down", "1", "1") and yellow != white
    keys(editor, "x")
    assert_painted(editor.widget.mask, before, [(14, 20), (37, 20)])
    assert (data(editor, "undo"), data(editor, "pen")) == ("1", "up")
    press(editor, "Shift+ArrowDown", "x", "x", "Control+z")  # a disc
    settle(editor)
    assert_painted(labels(editor), before, [(14, 20), (37, 20)])
    editor.page.mouse.move(*at(editor, 50, 50))
    assert data(editor, "pen") == "" and crosshair(editor)[1] == "0"


def test_the_pen_starts_in_the_middle_of_what_is_seen_and_is_followed(editor):
    press(editor, "x", "x")
    assert labels(editor)[32, 32] == CLOTH and labels(editor)[32, 38] != CLOTH
    press(editor, "+", "+", "+", *["Shift+ArrowRight"] * 9)
    box = editor.page.locator(STAGE).bounding_box()
    place, _, _ = crosshair(editor)
    assert math.dist(place, at(editor, 63, 32)) < 1
    assert box["x"] < place[0] < box["x"] + box["width"] and box["y"] < place[1] < box["y"] + box["height"]
    settle(editor)


def test_the_pen_is_lifted_by_whatever_else_is_done(editor):
    before, count = labels(editor), 0
    for leave, kept in (
        (lambda: press(editor, "Escape"), False),
        (lambda: press(editor, "Control+z"), False),
        (lambda: press(editor, "f", "b"), True),
        (lambda: press(editor, "Enter"), True),
        (lambda: drag(editor, (50, 50)), True),
        (lambda: editor.page.evaluate("document.activeElement.blur()"), True),
    ):
        point_at(editor, 10, 10 + 8 * count)
        press(editor, "x", "Shift+ArrowRight")
        leave()
        assert data(editor, "pen") != "down"
        settle(editor)
        count += kept
        assert int(data(editor, "undo")) >= count and (kept or (labels(editor) == before).all())
    assert data(editor, "pen") == ""


def test_arrows_still_nudge_parts_and_move_sliders(editor):
    press(editor, "v")
    editor.page.mouse.click(*at(editor, 32, 36))
    keys(editor, "ArrowLeft", "x")
    assert data(editor, "pen") == "" and (editor.widget.mask != drawn_mask(SIZE)).any()
    press(editor, "b")
    editor.page.focus(".editor-brush")
    editor.page.keyboard.press("ArrowRight")
    assert editor.page.input_value(".editor-brush") == str(BRUSH + 1) and data(editor, "pen") == ""
    editor.page.focus(".editor-keys-panel summary")
    editor.page.keyboard.press("ArrowDown")
    assert data(editor, "pen") == ""


# ---- steps


def test_undo_redo_and_results_are_the_same_after_a_reload_and_in_another_view(window):
    mounted = start(window)
    masks = [labels(mounted)]
    for row in (10, 30, 50):
        paint(mounted, (10, row), (50, row))
        masks.append(labels(mounted))
    window.click(".editor-target-panel summary")
    click(mounted, ".editor-target [data-face='2']")
    keys(mounted, "Control+z", "Control+z")
    mounted.widget.mask = np.full((SIZE, SIZE), HAIR, np.uint8)  # and nobody tells the view
    mounted.widget.command("undo")
    again = mount(window, mounted.widget, colab=True)  # whose bytes are no DataViews
    window.evaluate("showView()")
    for _ in range(4):
        again.deliver()
    for view in window.locator(ROOT).all():
        shown = [view.get_attribute(f"data-{name}") for name in ("undo", "redo", "results")]
        assert shown == ["2", "1", "6"] and view.locator(".editor-results img[src]").count() == 6
    keys(again, "Control+z", "Control+z")
    assert (labels(again) == masks[0]).all()
    keys(again, "Control+y", "Control+y")
    assert (labels(again) == masks[2]).all() and steps(again) == ("2", "1")
    paint(again, (10, 10))
    two = window.eval_on_selector_all(ROOT, "nodes => nodes.map(node => node.readMask().join())")
    assert two[0] == two[1] and window.errors == []


# ---- faces, styles, shapes, results


def assert_shown(mounted):
    """All that the page shows is as the session has it."""
    page, session = mounted.page, mounted.widget.session
    shown = [int(data(mounted, name)) for name in ("undo", "redo", "results")]
    assert shown == [len(session.done) - 1, len(session.undone), len(session.history)]
    assert (seen(mounted) == (session.mask if session.preview is None else session.preview)).all()
    assert {name: value / 100 for name, value in places(mounted).items() if value} == session.preview_amounts
    region = page.input_value(".editor-where")
    style = session.region_styles.get(region) or (session.style_around(region) if region else None)
    face, mix = style or (session.style, session.style_mix)
    assert chosen_style(page) == (str(face), str(round(100 * mix)))
    assert page.input_value(".editor-method") == session.method
    assert page.is_checked(".editor-keep") == (session.keep is not None)
    assert float(page.input_value(".editor-direction >> nth=0")) == 100 * session.sliders.get("Lower", 0)
    assert page.get_attribute(f".editor-target [data-face='{session.target}']", "aria-pressed") == "true"


@pytest.mark.parametrize("seed", [0, 1])
def test_whatever_is_done_is_shown_and_undone(full, seed):
    page, session = full.page, full.widget.session
    page.evaluate("document.querySelectorAll('details').forEach(node => (node.open = true))")
    rng = np.random.default_rng(seed)

    def point():
        return tuple(rng.integers(4, SIZE - 4, 2))

    def one(*selectors):
        return str(rng.choice(selectors))

    acts = [
        lambda: drag(full, point(), point(), point()),
        lambda: press(full, *one("x x", "f x", "c", "h", "r", "m", "b").split()),
        lambda: press(full, one("Control+z", "Control+y", "Enter", "Escape")),
        lambda: page.click(f".editor-{one('style', 'target')} [data-face='{rng.integers(3)}']"),
        lambda: page.click(one("[data-group='mouth']", "[data-group='hair']", ".editor-keep", "text=Reset")),
        lambda: end(full, one("smiling", "serious", "bangs")),
        lambda: page.fill(one(".editor-mix", ".editor-share", ".editor-strength"), str(rng.integers(101))),
        lambda: page.fill(".editor-direction >> nth=0", str(10 * rng.integers(-9, 10))),
        lambda: page.select_option(".editor-where", one("", "hair", "face", "nose")),
        lambda: page.get_by_label("Method").select_option(one(*METHODS)),
    ]
    for _ in range(12):
        for act in rng.choice(acts, 4):
            act()
            full.deliver(int(rng.integers(3)))
        settle(full)
        assert_shown(full)
    keys(full, "Escape")
    last = (session.done + session.undone)[-1].mask
    keys(full, *["Control+z"] * 60)
    assert len(session.done) == 1 and (labels(full) == drawn_mask(SIZE)).all()
    keys(full, *["Control+y"] * 60)
    assert_shown(full)
    assert (labels(full) == last).all()


def chosen_style(page):
    face = page.locator(".editor-style [aria-pressed='true']").get_attribute("data-face")
    return face, page.input_value(".editor-mix")


def region_note(page):
    return page.locator(".editor-style-panel .editor-note").nth(1)


def test_a_region_gets_a_style_of_its_own(editor):
    session, page = editor.widget.session, editor.page
    options, own = page.locator(".editor-where option"), page.locator("text=No style of its own")
    assert [options.nth(i).get_attribute("value") for i in range(options.count())] == ["", *STYLE_REGIONS]
    page.select_option(".editor-where", "face")
    assert not own.is_visible() and not region_note(page).is_visible()
    click(editor, ".editor-style [data-face='2']")
    fill(editor, ".editor-mix", "40")
    assert session.region_styles == {"face": (2, 0.4)} and session.style == 0
    assert [text for text in options.all_inner_texts() if "•" in text] == ["only the face •"]
    assert "face (face 2, 40%)" in region_note(page).inner_text()
    page.select_option(".editor-where", "left eye")  # which lies in the face
    assert chosen_style(page) == ("2", "40") and not own.is_visible()
    page.select_option(".editor-where", "face")
    own.click()
    settle(editor)
    assert session.region_styles == {} and chosen_style(page) == ("0", "100")


def test_a_method_with_one_style_offers_no_regions(window):
    session = drawn_session(size=SIZE, methods=["DMN", "SPADE"], global_methods=["SPADE"])
    mounted = start(window, session=session)
    window.select_option(".editor-where", "hair")
    click(mounted, ".editor-style [data-face='2']")
    window.get_by_label("Method").select_option("SPADE")
    with pytest.warns(UserWarning, match="kept, but not drawn"):
        settle(mounted)
    where = window.locator(".editor-where")
    assert where.is_disabled() and where.input_value() == "" and chosen_style(window) == ("0", "100")
    assert "hair (face 2, 100%)" in region_note(window).inner_text()
    click(mounted, ".editor-style [data-face='1']")  # for the whole picture, as the chooser says
    assert data(mounted, "error") == "0" and session.style == 1 and session.region_styles == {"hair": (2, 1.0)}
    window.get_by_label("Method").select_option("DMN")
    settle(mounted)
    assert where.is_enabled() and window.errors == []


def test_a_method_is_chosen_by_key_while_the_kernel_is_busy(full):
    session, page = full.widget.session, full.page
    mask, method = labels(full), page.get_by_label("Method")
    assert method.locator("option").all_inner_texts() == list(METHODS)
    method.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    full.deliver(1 + [message["type"] for message in full.waiting()].index("command"))
    assert session.method == METHODS[1]
    assert method.input_value() == METHODS[2], "the second choice is still on its way"
    settle(full)
    assert session.method == method.input_value() == METHODS[2] and (full.widget.session.image == COLORS[mask]).all()
    page.keyboard.press("m")  # letters choose there, too
    settle(full)
    assert session.method == METHODS[0] and data(full, "mirror") == "0"
    full.widget.command("choose_method", name=METHODS[1])  # Python's choice is seen, too
    full.deliver()
    assert method.input_value() == METHODS[1]


# ---- attributes


@pytest.fixture
def faces_to_move(window):
    """An editor on which attributes can be moved."""
    yield from watched(window, drawn_session(size=SIZE, attributes=True))


def seen(mounted):
    """The classes of the pixels on the mask's canvas."""
    distances = (canvas_colors(mounted.page)[:, :, None] != COLORS).any(-1)
    assert (distances.sum(-1) == len(COLORS) - 1).all()
    return distances.argmin(-1)


def end(mounted, text):
    """Presses what the face should be."""
    mounted.page.click(f".editor-end:text-is('{text}')")


def choose(mounted, text):
    end(mounted, text)
    settle(mounted)


def places(mounted):
    script = "nodes => Object.fromEntries(nodes.map((node) => [node.dataset.attribute, Number(node.value)]))"
    return mounted.page.eval_on_selector_all(".editor-attribute", script)


def grown(mask, **amounts):
    return Grins().move(mask, amounts)


def test_smiling_is_previewed_cancelled_applied_undone_and_redone(faces_to_move, monkeypatch):
    mounted, page, session = faces_to_move, faces_to_move.page, faces_to_move.widget.session
    before, picture = labels(mounted), session.image
    smiling = grown(before, Smiling=1)
    for leave in (lambda: page.click(".editor-attributes >> text=Cancel"), lambda: press(mounted, "Escape")):
        assert page.is_disabled(".editor-apply") and page.is_disabled(".editor-attributes >> text=Cancel")
        choose(mounted, "smiling")
        assert (seen(mounted) == smiling).all() and (session.mask == before).all() and (session.image == picture).all()
        assert page.is_visible(".editor-previewing") and data(mounted, "preview") == "1"
        assert "100% smiling" in page.inner_text(".editor-status")
        leave()
        assert (seen(mounted) == before).all(), "at once"
        settle(mounted)
        assert session.preview is None and not page.is_visible(".editor-previewing")
        assert places(mounted) == {"Smiling": 0, "Bangs": 0} and steps(mounted) == ("0", "0")
    choose(mounted, "smiling")
    page.click(".editor-apply")
    assert (seen(mounted) == smiling).all()
    settle(mounted)
    assert (labels(mounted) == smiling).all() and places(mounted) == {"Smiling": 0, "Bangs": 0}
    assert data(mounted, "preview") == "0" and steps(mounted) == ("1", "0") and (session.image != picture).any()
    choose(mounted, "bangs")
    keys(mounted, "Control+z")  # the preview was last
    assert session.preview is None and (labels(mounted) == smiling).all() and steps(mounted) == ("1", "0")
    keys(mounted, "Control+z")
    assert (labels(mounted) == before).all() and (session.image == picture).all() and steps(mounted) == ("0", "1")
    keys(mounted, "Control+y")
    assert (labels(mounted) == smiling).all()
    monkeypatch.setattr(Grins, "error", "out of memory")
    choose(mounted, "bangs")
    assert "out of memory" in page.inner_text(".editor-error") and places(mounted) == {"Smiling": 0, "Bangs": 0}


def test_several_attributes_move_together_and_both_ways(faces_to_move):
    mounted, page, session = faces_to_move, faces_to_move.page, faces_to_move.widget.session
    before = labels(mounted)
    page.fill("[data-attribute='Bangs']", "60")
    fill(mounted, "[data-attribute='Smiling']", "-40")
    assert (seen(mounted) == grown(before, Smiling=-0.4, Bangs=0.6)).all()
    words = [page.get_attribute(f"[data-attribute='{name}']", "aria-valuetext") for name in SHOWN]
    assert words == ["40% serious", "60% bangs"]
    choose(mounted, "serious")
    assert session.preview_amounts == {"Smiling": -1.0, "Bangs": 0.6}
    choose(mounted, "serious")  # once more: as it is
    keys(mounted, "Enter")
    assert (labels(mounted) == grown(before, Bangs=0.6)).all() and steps(mounted) == ("1", "0")
    choose(mounted, "no bangs")
    assert "stays as it is" in page.inner_text(".editor-status")  # these bangs are hair to the stand-in


def test_a_stroke_on_a_preview_takes_it_over_or_brings_it_back(faces_to_move):
    mounted, page = faces_to_move, faces_to_move.page
    before = labels(mounted)
    smiling = grown(before, Smiling=1)
    choose(mounted, "smiling")
    drag(mounted, (10, 10), (50, 10), end=False)
    assert (labels(mounted) != before).any()
    page.keyboard.press("Escape")
    page.mouse.up()
    settle(mounted)
    assert (labels(mounted) == before).all() and (seen(mounted) == smiling).all()
    assert places(mounted) == {"Smiling": 100, "Bangs": 0} and steps(mounted) == ("0", "0")
    drag(mounted, (10, 10), (50, 10))
    assert places(mounted) == {"Smiling": 0, "Bangs": 0}
    settle(mounted)
    assert_painted(labels(mounted), smiling, [(10, 10), (50, 10)])
    assert (seen(mounted) == labels(mounted)).all() and steps(mounted) == ("2", "0")
    for there in (smiling, before):
        keys(mounted, "Control+z")
        assert (labels(mounted) == there).all()
    choose(mounted, "smiling")
    press(mounted, "p")
    for corner in ((5, 5), (25, 5), (25, 12)):
        drag(mounted, corner)
    assert (seen(mounted) == smiling).all()
    keys(mounted, "Enter")
    assert labels(mounted)[8, 24] == CLOTH and (labels(mounted)[30:] == smiling[30:]).all()
    assert steps(mounted) == ("2", "0")


def test_other_edits_go_on_from_the_preview(faces_to_move):
    mounted, page, session = faces_to_move, faces_to_move.page, faces_to_move.widget.session
    smiling = grown(labels(mounted), Smiling=1)
    end(mounted, "smiling")
    page.click("[data-group='nose']")  # before the preview has come
    settle(mounted)
    expected = drawn_session(size=SIZE)
    expected.mask = smiling
    expected.copy_component(1, "nose")
    assert (labels(mounted) == expected.mask).all() and steps(mounted) == ("2", "0")
    keys(mounted, "Control+z")
    page.click(".editor-shape-panel summary")
    choose(mounted, "bangs")
    both = grown(smiling, Bangs=1)
    for place in (20, 50):
        page.fill(".editor-direction >> nth=0", str(place))
    settle(mounted)
    assert (labels(mounted) == np.roll(both, 5, axis=0)).all() and session.sliders == {"Lower": 0.5}
    fill(mounted, ".editor-direction >> nth=0", "0")
    assert (labels(mounted) == both).all()
    choose(mounted, "smiling")
    keys(mounted, "v")
    paint(mounted, (32, 46), (32, 50))
    expected.mask = grown(both, Smiling=1)
    expected.transform_component(data(mounted, "part"), down=4)
    assert data(mounted, "part") == "mouth" and (labels(mounted) != expected.mask).mean() < 0.01


def test_a_preview_that_comes_during_a_stroke_is_not_shown_over_it(faces_to_move):
    mounted, session = faces_to_move, faces_to_move.widget.session
    before = labels(mounted)
    end(mounted, "smiling")
    drag(mounted, (10, 10), (50, 10), end=False)
    mounted.deliver()
    assert session.preview is not None and (seen(mounted) == labels(mounted)).all() and data(mounted, "preview") == "0"
    mounted.page.mouse.up()
    assert (seen(mounted) == labels(mounted)).all()
    settle(mounted)
    assert_painted(labels(mounted), before, [(10, 10), (50, 10)])
    assert (seen(mounted) == labels(mounted)).all() and session.preview is None
    assert places(mounted) == {"Smiling": 0, "Bangs": 0}


def test_what_python_previews_is_seen_and_a_page_that_is_loaded_again_shows_it(faces_to_move):
    mounted = faces_to_move
    before = labels(mounted)
    mounted.widget.command("preview_attributes", amounts={"Smiling": 1})
    settle(mounted)
    assert places(mounted) == {"Smiling": 100, "Bangs": 0} and (seen(mounted) == grown(before, Smiling=1)).all()
    again = mount(mounted.page, mounted.widget)
    again.deliver()
    assert (seen(again) == grown(before, Smiling=1)).all() and places(again)["Smiling"] == 100
    click(again, ".editor-apply")
    assert (labels(again) == grown(before, Smiling=1)).all()


def test_a_result_gives_back_itself_and_sliders_are_where_they_were(editor):
    page, session = editor.page, editor.widget.session
    click(editor, ".editor-style [data-face='2']")
    styled = editor.widget.session.image
    page.click(".editor-shape-panel summary")
    page.click(".editor-towards [data-face='1']")
    fill(editor, ".editor-share", "100")
    assert (labels(editor) == session.faces[1].mask).all()
    click(editor, "text=Random edit")
    assert (labels(editor) != session.faces[1].mask).any() and page.input_value(".editor-share") == "0"
    renders = session.renderer.renders
    click(editor, "[title='Back to: style of face 2']")
    assert (
        session.style == 2
        and (editor.widget.session.image == styled).all()
        and (labels(editor) == drawn_mask(SIZE)).all()
    )
    keys(editor, "Control+z", "Control+z")
    assert session.blend == {"1": 1.0} and page.input_value(".editor-share") == "100"
    assert session.renderer.renders == renders and data(editor, "results") == "4"


def test_a_drag_of_a_slider_is_one_step_and_one_result_and_so_are_arrow_keys(editor):
    page, session = editor.page, editor.widget.session
    page.click(".editor-shape-panel summary")
    slider = page.locator(".editor-direction >> nth=0")
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    for share in np.linspace(0.5, 0.9, 21):
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 3)
        editor.deliver()
    page.mouse.up()
    settle(editor)
    far, mask = session.sliders["Lower"], session.mask
    assert far > 0.5 and steps(editor) == ("1", "0") and data(editor, "results") == "2"
    page.focus(".editor-opacity")
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
        editor.deliver()
    settle(editor)
    assert far > session.sliders["Lower"] and steps(editor) == ("2", "0") and data(editor, "results") == "3"
    keys(editor, "Control+z")
    assert (labels(editor) == mask).all() and abs(float(slider.input_value()) - 100 * far) < 10


def test_pictures_before_after_and_difference(editor):
    paint(editor, (10, 10), (50, 10))
    page = editor.page
    page.click("text=Before | after")
    assert "50%" in page.eval_on_selector("img[alt='the picture of the mask']", "node => node.style.clipPath")
    box = page.locator(".editor-right .editor-stage").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4 + 1, box["y"] + 50)
    page.mouse.up()
    assert page.input_value(".editor-comparison") == "25"
    page.click("text=Difference")
    assert page.locator(".editor-right canvas").is_visible()
    shown = page.evaluate(
        "Array.from(document.querySelector('.editor-right canvas').getContext('2d').getImageData(0, 0, 64, 64).data)"
    )
    shown = np.array(shown).reshape(SIZE, SIZE, 4)[..., 0]
    expected = np.minimum(
        255, 3 * np.abs(editor.widget.session.image.astype(int) - editor.widget.session.photo).max(-1)
    )
    assert np.abs(shown - expected).mean() < 12  # JPEG on both sides
    page.fill(".editor-opacity", "0")
    assert page.eval_on_selector(".editor-left canvas", "node => node.style.opacity") == "0"


# ---- the talk with the kernel


def test_a_stroke_seen_while_drawing_is_one_result_and_one_autosave(window, tmp_path, monkeypatch):
    saved = []
    monkeypatch.setattr("maskgan_lib.editor.session_base.write_session", lambda *args, **options: saved.append(args))
    session = drawn_session(size=SIZE, autosave=tmp_path)
    mounted = start(window, session=session, live="drawing")
    before = len(saved)
    drag(mounted, (10, 50), (20, 10), end=False)
    assert len(strokes(mounted)) == 1  # the first touch; the moves wait for its answer
    mounted.deliver()
    assert len(session.history) == 2 and len(strokes(mounted)) == 1
    for x in range(21, 50):
        window.mouse.move(*at(mounted, x, 10))
        mounted.deliver()
    window.mouse.up()
    settle(mounted)
    assert len(session.history) == 2 and (session.history[-1].mask == session.mask).all()
    assert len(saved) - before == 1


def test_on_the_button_masks_travel_and_pictures_wait(window):
    mounted = start(window, live="button")
    renders = mounted.widget.session.renderer.renders
    paint(mounted, (10, 10), (30, 10))
    assert mounted.widget.session.renderer.renders == renders
    click(mounted, ".editor-render")
    assert mounted.widget.session.renderer.renders == renders + 1
    window.select_option(".editor-live", "stroke")
    settle(mounted)
    assert mounted.widget.live == "stroke" and not window.locator(".editor-render").is_visible()


def test_a_command_and_a_stroke_at_once_are_both_kept(editor):
    editor.page.click("[data-group='mouth']")  # on its way
    paint(editor, (5, 5), (20, 5))
    assert (editor.widget.mask[5, 5:21] == CLOTH).all()
    assert editor.widget.session.history[-1].mask[5, 10] == CLOTH
    without = drawn_session(size=SIZE)
    without.copy_component(1, "mouth")
    assert_painted(editor.widget.mask, without.mask, [(5, 5), (20, 5)])


def test_pythons_mask_before_a_stroke_that_is_on_its_way(editor):
    drag(editor, (5, 5), (20, 5))
    editor.widget.mask = np.full((SIZE, SIZE), HAIR, np.uint8)
    editor._answer()  # the view hears of it before the kernel hears of the stroke
    settle(editor)
    assert editor.widget.mask[5, 10] == CLOTH


def test_a_refused_mask_goes_back_and_painting_goes_on(editor, monkeypatch):
    good = labels(editor)
    drag(editor, (5, 5), (20, 5))
    editor.page.evaluate("model.buffers[model.messages.findIndex((m) => m.name === 'paint')][0] = [1, 2, 3]")
    settle(editor)
    assert data(editor, "error") == "1" and (editor.widget.mask == good).all()
    paint(editor, (5, 5), (20, 5))
    assert editor.widget.mask[5, 10] == CLOTH and data(editor, "error") == "0"


def test_a_stopped_kernel_is_said(editor):
    editor.page.evaluate("model.dead = true")
    drag(editor, (5, 5), (20, 5))
    editor.page.wait_for_selector(f"{ROOT}[data-kernel='gone'][data-pending='0']")
    assert "Run this cell again" in editor.page.inner_text(".editor-error")
    assert labels(editor)[5, 10] == CLOTH  # and the mask can be saved
    with Image.open(io.BytesIO(downloaded(editor, "Download mask"))) as file:
        assert (np.asarray(file) == labels(editor)).all()


def test_a_busy_kernel_is_said(browser):
    with new_page(browser) as page:
        page.clock.install()
        mounted = mount(page, MaskEditor(drawn_session(size=SIZE)))
        drag(mounted, (5, 5), (20, 5))
        page.clock.run_for(4000)
        assert data(mounted, "kernel") == "waiting"
        assert "a cell may be running" in page.inner_text(".editor-status")
        mounted.deliver()
        assert data(mounted, "kernel") == "alive" and page.errors == []


def test_keys_do_not_reach_the_notebook_and_go_on_after_a_click_on_a_button(editor):
    editor.page.click("text=Mirror")
    editor.page.evaluate("window.leaked = []; document.addEventListener('keydown', e => leaked.push(e.key))")
    editor.page.keyboard.press("h")
    assert (data(editor, "mirror"), data(editor, "value")) == ("1", str(HAIR))
    editor.page.focus(".editor-tool[title^=Mirror]")
    editor.page.keyboard.press("Space")
    assert data(editor, "mirror") == "0"
    press(editor, "d", "d", "x", "a", "Enter", "ArrowDown", "Escape")
    assert editor.page.evaluate("leaked") == []
    assert data(editor, "lm-suppress-shortcuts") == "true"
    assert editor.page.evaluate("document.activeElement === document.body")  # Escape leaves
    settle(editor)


def test_touch_paints_and_two_fingers_zoom(editor):
    devtools = editor.page.context.new_cdp_session(editor.page)

    def touch(kind, *points):
        spots = [dict(zip("xy", at(editor, *point)), id=i) for i, point in enumerate(points)]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": spots})

    before = labels(editor)
    touch("touchStart", (10, 20))
    for x in range(12, 40, 4):
        touch("touchMove", (x, 20))
    touch("touchEnd")
    settle(editor)
    assert data(editor, "pointer") == "touch" and (editor.widget.mask[20, 10:36] == CLOTH).all()
    painted = labels(editor)
    assert (painted != before).sum() > 50
    touch("touchStart", (28, 30))
    touch("touchMove", (28, 31))
    touch("touchStart", (28, 31), (36, 31))
    for spread in range(2, 10, 2):
        box = editor.page.locator(STAGE).bounding_box()
        spots = [
            {"x": box["x"] + box["width"] * (0.5 + side * (0.1 + spread / 40)), "y": box["y"] + 200, "id": i}
            for i, side in enumerate((-1, 1))
        ]
        devtools.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": spots})
    touch("touchEnd")
    assert float(data(editor, "zoom")) > 1.5
    assert (labels(editor) == painted).all()  # the finger that was there first has painted nothing
    settle(editor)


def test_pen_pressure_changes_the_width(editor):
    devtools = editor.page.context.new_cdp_session(editor.page)
    before = labels(editor)

    def pen(kind, x, force, buttons=1):
        spot = dict(zip("xy", at(editor, x, 20)))
        event = {"type": kind, **spot, "force": force, "buttons": buttons, "button": "left", "pointerType": "pen"}
        devtools.send("Input.dispatchMouseEvent", event | {"clickCount": 1})

    pen("mousePressed", 10, 0.1)
    for i in range(1, 9):
        pen("mouseMoved", 10 + 4 * i, 0.1 * (i + 1))
    pen("mouseReleased", 42, 0, buttons=0)
    settle(editor)
    changed = labels(editor) != before
    assert data(editor, "pointer") == "pen" and changed[:, 10].sum() < changed[:, 42].sum()


@pytest.mark.parametrize("width", [360, 700, 1200])
def test_it_fits_any_width(full, width):
    full.page.set_viewport_size({"width": width, "height": 900})
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert full.page.evaluate(overflow) <= 0
    assert "Smile <b>" in full.page.locator(".editor-directions").text_content(), "names are text, not markup"
    for text in ("serious", "smiling", "Apply"):
        box = full.page.locator(f".editor-attributes button:text-is('{text}')").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] < 40, text
    stage = full.page.locator(STAGE).bounding_box()
    assert stage["width"] >= 250 and abs(stage["width"] - stage["height"]) < 1
    before = labels(full)
    full.page.locator(STAGE).scroll_into_view_if_needed()
    drag(full, (30, 20))
    assert_painted(labels(full), before, [(30, 20)] * 2)
    settle(full)


def test_a_removed_view_leaves_nothing_behind_and_nothing_is_fetched(editor):
    paint(editor, (10, 10))
    editor.page.evaluate("cleanUp()")
    assert editor.page.evaluate("model.listeners()") == 0
    assert all(url.startswith(("about:", "blob:", "data:")) for url in editor.page.requests)
