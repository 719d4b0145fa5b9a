"""Own photos: the square around a face, the crop and the way back, and what becomes of files."""

import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskgan_lib.data import alignment, pictures
from maskgan_lib.data.alignment import Alignment, FacePoints, Square, crop_square
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.pictures import decode_image, open_photo

# By the rule: e = (0, 0), v = (2, 0), w = (0, 2), R(w) = (-2, 0), x = (4, 0) of length max(4, 3.6), centre (0, 0.2).
BY_HAND = FacePoints(left_eye=(1, 0), right_eye=(-1, 0), left_mouth=(0.8, 2), right_mouth=(-0.8, 2))
HALF, CENTER = 4.0, 0.2j
IN_CROP = np.array([(0.625, 0.475), (0.375, 0.475), (0.6, 0.725), (0.4, 0.725)])


def moved(turn: complex, shift: complex) -> FacePoints:
    """The face by hand, turned, scaled and shifted."""
    places = [complex(*point) * turn + shift for point in BY_HAND.array()]
    return FacePoints(*((place.real, place.imag) for place in places))


def painted(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """A smooth picture with neither mirror symmetry nor a period, at places in units of the face by hand."""
    return np.stack([128 + 60 * np.sin(u + 0.3 * v), 128 + 12 * u - 5 * v, 128 + 50 * np.cos(0.4 * u * v)], axis=-1)


def photo_of(turn: complex, shift: complex, height: int, width: int) -> np.ndarray:
    """A photo of the painted face, pixel by pixel."""
    y, x = np.mgrid[:height, :width] + 0.5
    place = (x + 1j * y - shift) / turn
    return np.clip(np.rint(painted(place.real, place.imag)), 0, 255).astype(np.uint8)


def expected_crop(size: int) -> np.ndarray:
    y, x = (np.mgrid[:size, :size] + 0.5) * 2 * HALF / size
    return np.clip(painted(x - HALF, y - HALF + CENTER.imag), 0, 255)


def test_the_square_by_hand():
    square = crop_square(BY_HAND)
    assert square.center == pytest.approx((0, 0.2)) and square.right == pytest.approx((4, 0))
    np.testing.assert_allclose(square.corners, [(-4, -3.8), (4, -3.8), (4, 4.2), (-4, 4.2)])
    longer = FacePoints((1, 0), (-1, 0), (1, 3), (-1, 3))  # now 1.8 |w| = 5.4 is more than 2 |v| = 4
    assert crop_square(longer).side == pytest.approx(2 * 5.4) and crop_square(longer).center == pytest.approx((0, 0.3))


similarities = st.tuples(st.floats(-math.pi, math.pi), st.floats(5, 40), st.floats(150, 250), st.floats(150, 250)).map(
    lambda s: (s[1] * np.exp(1j * s[0]), complex(s[2], s[3]))
)


@settings(max_examples=25, deadline=None)
@given(similarities)
def test_the_crop_does_not_depend_on_how_the_photo_was_taken(similarity):
    """Turned or upside down, small or large: the same face, upright and not mirrored, as far as the photo reaches."""
    turn, shift = similarity
    photo = photo_of(turn, shift, 400, 400)
    made = Alignment.of(moved(turn, shift), 32)
    corners = made.to_photo((np.mgrid[:32, :32] + 0.5).transpose(1, 2, 0)[..., ::-1])
    seen = ((corners > 8) & (corners < 392)).all(axis=-1)
    error = np.abs(made.crop(photo) - expected_crop(32))[seen]
    assert error.max() < 12 and error.mean() < 3  # a pixel of the smallest face is an eighth of its unit


@given(similarities, st.integers(16, 1024))
def test_the_square_goes_with_the_face_and_points_there_and_back(similarity, size):
    turn, shift = similarity
    points = moved(turn, shift)
    made = Alignment.of(points, size)
    assert complex(*made.square.center) == pytest.approx(CENTER * turn + shift)
    assert complex(*made.square.right) == pytest.approx(HALF * turn)
    np.testing.assert_allclose(made.to_crop(points.array()), IN_CROP * size, atol=1e-6)
    np.testing.assert_allclose(made.to_photo(made.to_crop(points.array())), points.array(), atol=1e-6)
    np.testing.assert_allclose(
        made.to_crop(made.square.corners), [(0, 0), (size, 0), (size, size), (0, size)], atol=1e-6
    )


def test_a_square_on_the_pixels_is_an_exact_crop_and_beyond_the_edges_lies_the_mirror_image():
    photo = np.random.default_rng(0).integers(0, 256, (100, 120, 3)).astype(np.uint8)
    inside, right, down = photo[18:82, 28:92], (32.0, 0.0), (0.0, 32.0)
    assert np.array_equal(Alignment(Square((60.0, 50.0), right), 64).crop(photo), inside)
    halved = inside.reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(Alignment(Square((60.0, 50.0), right), 32).crop(photo) - halved).max() <= 1
    turned = Alignment(Square((60.0, 50.0), down), 64).crop(photo)  # its right is the photo's bottom
    assert np.array_equal(turned, np.rot90(inside))
    corner = Alignment(Square((0.0, 0.0), right), 64).crop(photo)
    assert np.array_equal(corner[32:, 32:], photo[:32, :32])
    assert np.array_equal(corner[:32], corner[32:][::-1]) and np.array_equal(corner[:, :32], corner[:, 32:][:, ::-1])


def test_a_crop_is_anti_aliased():
    """Of stripes finer than a pixel nothing but their mean is left."""
    photo = np.zeros((512, 512, 3), np.uint8)
    photo[:, ::2] = 255
    made = Alignment(Square((256.0, 256.0), (200.0, 30.0)), 32).crop(photo)
    assert np.abs(made.astype(int) - 127).max() < 12


def test_real_faces_are_aligned_already(real_faces):
    """CelebA-HQ's own crops: the rule with the annotated eyes and lips gives nearly the whole picture."""
    for number in range(4):
        labels = np.array(Image.open(real_faces / "expected_labels" / f"{number}.png"))
        size = len(labels)
        eyes = [np.argwhere(labels == eye).mean(axis=0)[::-1] + 0.5 for eye in (4, 5)]
        y, x = np.nonzero(np.isin(labels, (10, 11, 12)))
        square = crop_square(FacePoints.from_pairs(eyes, [(x[k] + 0.5, y[k] + 0.5) for k in (x.argmin(), x.argmax())]))
        assert square.side == pytest.approx(size, rel=0.05)
        assert square.center == pytest.approx((size / 2, size / 2), abs=0.015 * size)
        assert abs(math.degrees(math.atan2(square.right[1], square.right[0]))) < 1


# ---- points


@given(similarities, st.booleans(), st.booleans())
def test_sides_follow_from_the_geometry(similarity, swap_eyes, swap_mouth):
    points = moved(*similarity)
    eyes, mouth = [points.left_eye, points.right_eye], [points.left_mouth, points.right_mouth]
    assert FacePoints.from_pairs(eyes[:: -1 if swap_eyes else 1], mouth[:: -1 if swap_mouth else 1]) == points


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (((-10, 0), (10, 0), (-8, 20), (8, 20)), "sides swapped"),
        (((10, 0), (10, 0), (8, 20), (-8, 20)), "in one place"),
        (((10, 0), (-10, 0), (8, 0), (-8, 0)), "in one place"),
        (((math.nan, 0), (-10, 0), (8, 20), (-8, 20)), "or nowhere"),
    ],
)
def test_points_of_no_face(points, message):
    with pytest.raises(DataError, match=message):
        crop_square(FacePoints(*points))


# ---- the way back


def test_pasting_back_changes_the_square_alone():
    rng = np.random.default_rng(2)
    photo, edited = (rng.integers(0, 256, (n, n, 3)).astype(np.uint8) for n in (160, 96))
    kept = photo.copy()
    made = Alignment(Square((80.0, 70.0), (48.0, 0.0)), 96).paste_back(edited, photo)
    assert np.array_equal(photo, kept)  # the argument
    outside = np.ones((160, 160), bool)
    outside[22:118, 32:128] = False
    assert np.array_equal(made[outside], photo[outside])
    feather = math.ceil(96 * alignment.FEATHER)
    inner = slice(feather, 96 - feather)
    assert np.array_equal(made[22:118, 32:128][inner, inner], edited[inner, inner])
    assert np.abs(made[22, 32:128].astype(int) - photo[22, 32:128]).max() < 10  # fades in
    assert np.array_equal(Alignment(Square((500.0, 40.0), (30.0, 3.0)), 96).paste_back(edited, photo), photo)


@settings(max_examples=15, deadline=None)
@given(similarities)
def test_an_unedited_crop_comes_back_as_it_was(similarity):
    """Also of a face at the edge, and of one turned: smooth pictures survive the way there and back."""
    turn, shift = similarity
    photo = photo_of(turn, shift, 300, 320)
    made = Alignment.of(moved(turn, shift), 192)
    back = made.paste_back(made.crop(photo), photo)
    assert np.abs(back.astype(int) - photo).mean() < 1.5
    y, x = np.mgrid[:300, :320] + 0.5
    place = made.to_crop(np.stack([x, y], axis=-1))
    outside = ((place < 0) | (place > 192)).any(axis=-1)
    assert np.array_equal(back[outside], photo[outside])


def test_where_the_weight_is_zero_the_photo_keeps_every_bit():
    rng = np.random.default_rng(3)
    photo, edited = (rng.integers(0, 256, (n, n, 3)).astype(np.uint8) for n in (300, 64))
    weight = np.zeros((64, 64, 1), np.float32)
    weight[24:40, 24:40] = 1
    made = Alignment(Square((150.0, 150.0), (128.0, 0.0)), 64)  # four pixels of the photo to one of the crop
    back = made.paste_back(edited, photo, weight)
    far = np.ones((300, 300), bool)
    far[22 + 4 * 22 : 22 + 4 * 42, 22 + 4 * 22 : 22 + 4 * 42] = False
    assert np.array_equal(back[far], photo[far])
    inner = slice(22 + 4 * 26, 22 + 4 * 38)
    assert np.array_equal(back[inner, inner], made.paste_back(edited, photo)[inner, inner])
    assert np.array_equal(made.paste_back(edited, photo, np.ones_like(weight)), made.paste_back(edited, photo))


def test_the_middle_of_a_mouth_is_enough():
    points = moved(5 + 1j, 100 + 100j)
    left_eye, right_eye, *corners = points.array()
    there = FacePoints.from_pairs([right_eye, left_eye], [np.mean(corners, axis=0)])
    assert there.left_eye == pytest.approx(left_eye)
    np.testing.assert_allclose(crop_square(there).right, crop_square(points).right)
    np.testing.assert_allclose(crop_square(there).center, crop_square(points).center)


def test_wrong_pictures_and_points_are_refused():
    made, photo = Alignment.of(moved(5, 100 + 100j), 64), np.zeros((200, 200, 3), np.uint8)
    with pytest.raises(DataError, match="64 pixels a side"):
        made.paste_back(np.zeros((32, 32, 3), np.uint8), photo)
    with pytest.raises(DataError, match=r"uint8 \[H, W, 3\]"):
        made.crop(photo[..., 0])
    with pytest.raises(DataError, match="not 1 and 2"):
        FacePoints.from_pairs([(0, 0)], [(0, 1), (1, 1)])


# ---- files


def corners_of(height: int = 80, width: int = 100) -> np.ndarray:
    """A picture whose four quarters have colours of their own."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (220, 30, 30)
    picture[: height // 2, width // 2 :] = (30, 220, 30)
    picture[height // 2 :, : width // 2] = (30, 30, 220)
    return picture


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_are_turned_upright(tmp_path, orientation):
    upright = corners_of()
    # what a camera stores that was held so, by the meaning of the EXIF tag
    stored = {
        1: upright, 2: upright[:, ::-1], 3: upright[::-1, ::-1], 4: upright[::-1], 5: upright.swapaxes(0, 1),
        6: np.rot90(upright), 7: upright[::-1, ::-1].swapaxes(0, 1), 8: np.rot90(upright, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(open_photo(tmp_path / "photo.png"), upright)
    data = (tmp_path / "photo.png").read_bytes()
    assert pictures.dimensions(data, "photo.png") == (100, 80)
    assert np.array_equal(decode_image(data, "photo.png", 80), upright[:, 10:90])


@pytest.mark.parametrize("read", [open_photo, lambda path: decode_image(path.read_bytes(), path.name, 80)])
def test_other_kinds_of_pictures_become_rgb(tmp_path, read):
    picture = Image.fromarray(corners_of(80, 80))
    for mode in ("L", "LA", "P", "RGBA", "CMYK", "1"):
        path = tmp_path / f"{mode}.{'tif' if mode == 'CMYK' else 'png'}"
        picture.convert(mode).save(path)
        assert np.abs(read(path).astype(int) - np.array(picture.convert(mode).convert("RGB"))).max() <= 1, mode
    deep = np.linspace(0, 65535, 80 * 80).reshape(80, 80).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    opened = read(tmp_path / "deep.png")
    assert opened.dtype == np.uint8 and np.abs(opened[..., 1] - deep / 257).max() < 1
    clear = np.dstack([corners_of(80, 80), np.zeros((80, 80), np.uint8)])
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert (read(tmp_path / "clear.png") == 255).all()


def test_bad_photos(tmp_path, monkeypatch):
    def assert_refused(name, message, content=None):
        if isinstance(content, bytes):
            (tmp_path / name).write_bytes(content)
        elif content is not None:
            Image.fromarray(content).save(tmp_path / name)
        with pytest.raises(DataError, match=rf"{name} .*{message}"):
            open_photo(tmp_path / name)

    assert_refused("none.jpg", "cannot be read")
    assert_refused("text.jpg", "no picture", b"no picture")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert_refused("phone.heic", "pip install pillow-heif", b"\0\0\0\x18ftypheic" + bytes(40))
    for name in ("whole.jpg", "whole.png"):
        Image.fromarray(corners_of()).save(tmp_path / name)
        assert_refused(f"cut-{name}", "is cut off", (tmp_path / name).read_bytes()[:-20])
    assert_refused("small.png", "200x63", corners_of(63, 200))
    assert_refused("floats.tif", "32 bits", np.full((80, 80), 0.5, np.float32))
    monkeypatch.setattr(pictures, "MOST_PIXELS", 7999)
    assert_refused("large.png", "smaller", corners_of(80, 100))
    monkeypatch.setattr(pictures, "MOST_PIXELS", 8000)
    assert open_photo(tmp_path / "large.png").shape == (80, 100, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)  # Pillow refuses twice as many before we can
    assert_refused("large.png", "smaller")
