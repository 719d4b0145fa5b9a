"""Preparation of CelebAMask-HQ: what it gives, and what it says of every kind of bad input."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from maskgan_lib.classes import ATTRIBUTE_NAMES, CLASS_ID, PART_NAMES
from maskgan_lib.data import celebamask, pictures
from maskgan_lib.data.errors import DataError

TEXT_FILES = celebamask.MAPPING_FILE, celebamask.ATTRIBUTE_FILE, celebamask.POSE_FILE
SIZE = 32
COUNT = 4
SKIN, NOSE, HAIR = (CLASS_ID[name] for name in ("skin", "nose", "hair"))


def save_part(path, mask):
    Image.fromarray(np.repeat(mask.astype(np.uint8)[..., None] * 255, 3, 2)).save(path)


def photograph(index):
    """A smooth picture, so that JPEG keeps it: its colour says which face it is."""
    y, x = np.mgrid[0 : 2 * SIZE, 0 : 2 * SIZE]
    return np.stack([x * 3, y * 3, np.full_like(x, index * 40)], -1).astype(np.uint8)


def labels_of(index):
    labels = np.zeros((SIZE, SIZE), np.uint8)
    labels[8:28, 6:26] = SKIN
    labels[16 : 20 + index, 14:18] = NOSE
    labels[2:9, 4:28] = HAIR
    return labels


@pytest.fixture
def data_set(tmp_path):
    """Four little faces in the layout of the data set: skin is amodal, hair lies over it."""
    root = tmp_path / "CelebAMask-HQ"
    for folder in ("CelebA-HQ-img", "CelebAMask-HQ-mask-anno/0"):
        (root / folder).mkdir(parents=True)
    skin = np.zeros((SIZE, SIZE), bool)
    skin[8:28, 6:26] = True
    for i in range(COUNT):
        Image.fromarray(photograph(i)).save(root / "CelebA-HQ-img" / f"{i}.jpg", quality=95)
        for name, mask in (("skin", skin), ("nose", labels_of(i) == NOSE), ("hair", labels_of(i) == HAIR)):
            save_part(root / celebamask.part_path(i, name), mask)
    numbers = 162770, 162771, 182637, 182638  # the last of train, first and last of val, the first of test
    mapping = [f"{i:8d}{number - 1:12d}   {number:06d}.jpg" for i, number in enumerate(numbers)]
    values = [" ".join("1" if (i + k) % 3 == 0 else "-1" for k in range(40)) for i in range(COUNT)]
    attributes = [f"{i}.jpg  {line}" for i, line in enumerate(values)]
    poses = [f"{i}.jpg  {i}.5 -2.000000 0.25" for i in range(COUNT)]
    headers = ["     idx    orig_idx    orig_file"], ["4", " ".join(ATTRIBUTE_NAMES)], ["4", "Yaw Pitch Raw"]
    for name, header, lines in zip(TEXT_FILES, headers, (mapping, attributes, poses)):
        (root / name).write_text("\n".join([*header, *lines, ""]))
    return root


def change_line(path, number, line):
    lines = path.read_text().splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines) + "\n")


def prepare(root, out, size=SIZE, **options):
    return celebamask.prepare(root, out, size, **{"workers": 1, "progress": False, **options})


def assert_is_the_data_set(faces, numbers=range(COUNT)):
    assert [record.id for record in faces.records] == [str(i) for i in numbers]
    for place, i in enumerate(numbers):
        assert np.array_equal(faces.masks[place], labels_of(i))
        shrunk = photograph(i).reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3))
        assert np.abs(faces.images[place] - shrunk).max() < 12


def test_the_data_set_becomes_a_packed_folder(data_set, tmp_path):
    faces = prepare(data_set, tmp_path / "packed")
    assert_is_the_data_set(faces)
    assert faces.source == "CelebAMask-HQ" and faces.attribute_names == ATTRIBUTE_NAMES
    assert [record.split for record in faces.records] == ["train", "val", "val", "test"]
    assert faces.attribute("Arched_Eyebrows").tolist() == [-1, -1, 1, -1]
    assert faces.pose.tolist() == [[i + 0.5, -2.0, 0.25] for i in range(COUNT)]


@pytest.mark.parametrize("prefix", ["", "CelebAMask-HQ/", "a/b/"])
def test_the_zip_is_read_in_place(data_set, tmp_path, prefix):
    file = tmp_path / "faces.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(data_set.rglob("*")):
            archive.write(path, prefix + str(path.relative_to(data_set)))
    before = sorted(tmp_path.iterdir())
    assert_is_the_data_set(prepare(file, tmp_path / "packed"))
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "packed"])


def test_several_processes_give_the_same(data_set, tmp_path, monkeypatch):
    monkeypatch.setattr("maskgan_lib.data.filling.WORTH_A_PROCESS", 1)
    one, two = prepare(data_set, tmp_path / "one"), prepare(data_set, tmp_path / "two", workers=2)
    assert np.array_equal(one.images, two.images) and np.array_equal(one.masks, two.masks)
    assert one.records == two.records


def test_the_four_real_faces_have_the_expected_labels(real_faces, tmp_path):
    faces = prepare(real_faces, tmp_path / "packed", 512)
    assert [record.split for record in faces.records] == ["train", "train", "val", "test"]
    for i in range(4):
        with Image.open(real_faces / "expected_labels" / f"{i}.png") as expected:
            assert np.array_equal(faces.masks[i], np.asarray(expected))
        with Image.open(real_faces / "CelebA-HQ-img" / f"{i}.jpg") as image:
            exact = np.asarray(image.convert("RGB").resize((512, 512), Image.Resampling.LANCZOS))
        assert np.abs(faces.images[i].astype(int) - exact).mean() < 2  # decoding at half size differs little
    smaller = prepare(real_faces, tmp_path / "smaller", 128)
    assert np.array_equal(smaller.masks, faces.masks[:, 2::4, 2::4])
    left, right = (np.nonzero(faces.masks[0] == CLASS_ID[name])[1].mean() for name in ("l_eye", "r_eye"))
    assert left > right + 100


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_later_parts_lie_over_earlier_ones(seed):
    rng = np.random.default_rng(seed)
    parts = {name: rng.random((6, 7)) < 0.4 for name in rng.permutation(PART_NAMES)[:9]}
    labels = celebamask.merge_parts(parts)
    for y, x in np.ndindex(6, 7):
        assert labels[y, x] == max([CLASS_ID[name] for name, mask in parts.items() if mask[y, x]], default=0)


def test_known_bad_faces_are_left_out_on_demand_and_duplicates_unless_they_are_wanted(data_set, tmp_path, monkeypatch):
    monkeypatch.setattr(celebamask, "KNOWN_BAD", {1})
    assert_is_the_data_set(prepare(data_set, tmp_path / "all"))
    assert_is_the_data_set(prepare(data_set, tmp_path / "good", exclude_known_bad=True), [0, 2, 3])
    assert_is_the_data_set(prepare(data_set, tmp_path / "few", exclude_known_bad=True, limit=2), [0, 2])
    monkeypatch.setattr(celebamask, "KNOWN_DUPLICATES", {2})
    assert_is_the_data_set(prepare(data_set, tmp_path / "once"), [0, 1, 3])
    assert_is_the_data_set(prepare(data_set, tmp_path / "twice", keep_duplicates=True))
    (data_set / "README.txt").write_text("procedural faces v1\n")  # its numbers are others
    assert_is_the_data_set(prepare(data_set, tmp_path / "drawn"))


def test_pairs_of_known_duplicates_lie_in_two_splits_in_the_real_mapping():
    """The file numbers in CelebA of those that cross splits, from the data set's own mapping."""
    pairs = {235: (80543, 187544), 12445: (141137, 180456), 19200: (40080, 176463), 20135: (183348, 61781)}
    pairs[24647] = 20328, 186880
    assert pairs.keys() <= celebamask.KNOWN_DUPLICATES
    for numbers in pairs.values():
        assert len({celebamask.split_of(number) for number in numbers}) == 2


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_mapping_without_its_header_is_read_too(data_set, tmp_path, coding):
    """Also as Windows' editors write it."""
    path = data_set / "CelebA-HQ-to-CelebA-mapping.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]), encoding=coding)
    assert_is_the_data_set(prepare(data_set, tmp_path / "packed"))


def test_mirrored_faces_get_their_sides_back(data_set, tmp_path):
    for name, columns in (("l_eye", slice(8, 11)), ("r_eye", slice(20, 23))):  # on the wrong sides
        part = np.zeros((SIZE, SIZE), bool)
        part[10:13, columns] = True
        save_part(data_set / celebamask.part_path(3, name), part)
    faces = prepare(data_set, tmp_path / "packed")
    assert [record.mended for record in faces.records] == [False, False, False, True]
    assert (faces.masks[3][10:13, 8:11] == CLASS_ID["r_eye"]).all()
    assert (faces.masks[3][10:13, 20:23] == CLASS_ID["l_eye"]).all()


def test_copies_that_a_mac_puts_into_a_zip_are_not_the_data_set(data_set, tmp_path):
    with zipfile.ZipFile(tmp_path / "mac.zip", "w") as archive:
        for path in sorted(data_set.rglob("*.*")):
            inside = path.relative_to(data_set)
            archive.writestr(f"__MACOSX/faces/{inside.parent}/._{inside.name}", b"\0\5\x16\7")
        for path in sorted(data_set.rglob("*.*")):
            archive.write(path, f"faces/{path.relative_to(data_set)}")
    assert_is_the_data_set(prepare(tmp_path / "mac.zip", tmp_path / "packed"))


# --- bad places ------------------------------------------------------------------------------------------------------


def assert_refused(message, root, out, **options):
    """Preparation raises one sentence with ``message`` in it, and leaves no folder that could be read."""
    with pytest.raises(DataError) as caught:
        prepare(root, out, **options)
    sentence = str(caught.value)
    assert message in sentence and "\n" not in sentence and sentence.endswith(".")
    assert not Path(out).exists()


def zip_of(path, name):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "nothing")


BAD_PLACES = {  # how to make it in a folder, and what is said of it there
    "nowhere": (lambda folder: None, "There is no folder or zip {}"),
    "empty": (lambda folder: (folder / "empty").mkdir(), "{} is empty"),
    "other": (lambda folder: (folder / "other" / "holidays").mkdir(parents=True), "{} has no CelebA-HQ-img"),
    "lost": (lambda folder: (folder / "lost" / "CelebA-HQ-img").mkdir(parents=True), "{} has no CelebAMask-HQ-mask"),
    "no.zip": (lambda folder: (folder / "no.zip").write_bytes(b"quota exceeded"), "{} cannot be read as a zip"),
    "else.zip": (lambda folder: zip_of(folder / "else.zip", "x/CelebA-HQ-img.txt"), "{} holds no CelebA-HQ-img"),
}


@pytest.mark.parametrize("name", BAD_PLACES)
def test_a_bad_place_is_named(tmp_path, name):
    prepare_place, message = BAD_PLACES[name]
    prepare_place(tmp_path)
    assert_refused(message.format(tmp_path / name), tmp_path / name, tmp_path / "packed")


@pytest.mark.parametrize("inner", ["..", "CelebA-HQ-img", "CelebAMask-HQ-mask-anno/0"])
def test_one_level_off(data_set, tmp_path, inner):
    root = tmp_path if inner == ".." else data_set / inner
    assert_refused(f"one level off, the data set is {data_set}", root, tmp_path / "packed")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]), st.integers(0, 999), st.integers(0, 7))
def test_a_changed_bit_of_a_zip_is_noticed(tmp_path, method, place, bit):
    content = b"CelebA-HQ " * 20 + bytes(range(256))
    with zipfile.ZipFile(tmp_path / "whole.zip", "w", method) as file:
        file.writestr("CelebA-HQ-img/2.jpg", content)
    data = bytearray((tmp_path / "whole.zip").read_bytes())
    data[place % len(data)] ^= 1 << bit
    path = tmp_path / f"{method}-{place}-{bit}.zip"
    path.write_bytes(data)
    try:
        assert celebamask.open_data_set(path).read("CelebA-HQ-img/2.jpg") in (content, None)
    except DataError as error:
        assert str(error).startswith(str(path)) and "\n" not in str(error)


# --- bad files of one face, each: (how to spoil face 2, what is said) ----------------------------------------------


IMAGE, NOSE_FILE, SKIN_FILE = "CelebA-HQ-img/2.jpg", *(celebamask.part_path(2, name) for name in ("nose", "skin"))


def cut(path, keep):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)] if keep < 1 else content[:-3])


def paint(path, *colour):
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[10:12, 3:9] = colour
    Image.fromarray(image).save(path)


def line(name, number, text):
    """A line of a text file that says something else, and how that is told."""
    return (lambda root: change_line(root / name, number, text), f"{name}, line {number}, is not")


BAD_FACES = {
    "missing image": (lambda root: (root / IMAGE).unlink(), "2.jpg is missing"),
    "empty image": (lambda root: (root / IMAGE).write_bytes(b""), "2.jpg is an empty file"),
    "text for an image": (lambda root: (root / IMAGE).write_text("<html>"), "2.jpg is damaged or no picture"),
    "half a JPEG": (lambda root: cut(root / IMAGE, 0.5), "2.jpg is cut off"),
    "JPEG without its end": (lambda root: cut(root / IMAGE, 1), "2.jpg is cut off"),
    "PNG without its end": (lambda root: cut(root / NOSE_FILE, 1), "00002_nose.png is cut off"),
    "part of another size": (
        lambda root: save_part(root / NOSE_FILE, np.ones((16, 24), bool)),
        "00002_nose.png is 24x16, the face's other parts 32x32",
    ),
    "nearly white": (lambda root: paint(root / NOSE_FILE, 254, 254, 254), "_nose.png has grey values or colours"),
    "ids for a part": (lambda root: paint(root / NOSE_FILE, 2, 2, 2), "_nose.png has grey values or colours"),
    "colours": (lambda root: paint(root / NOSE_FILE, 255, 0, 255), "_nose.png has grey values or colours"),
    "no skin": (lambda root: (root / SKIN_FILE).unlink(), "00002_skin.png is missing"),
    "blank skin": (lambda root: paint(root / SKIN_FILE, 0, 0, 0), "00002_skin.png is blank"),
    "blank nose": (lambda root: paint(root / NOSE_FILE, 0, 0, 0), "00002_nose.png is blank"),
    "no eyes, nose, mouth": (lambda root: (root / NOSE_FILE).unlink(), "face 2"),
    "attribute too few": line(celebamask.ATTRIBUTE_FILE, 5, "2.jpg " + "1 " * 39),
    "attribute of 0": line(celebamask.ATTRIBUTE_FILE, 5, "2.jpg " + "0 " * 40),
    "pose without roll": line(celebamask.POSE_FILE, 5, "2.jpg 1.0 2.0"),
    "pose of nan": line(celebamask.POSE_FILE, 5, "2.jpg 1.0 nan 2.0"),
    "pose without a face": (
        lambda root: change_line(root / celebamask.POSE_FILE, 5, "?.jpg 1.0 2.0 3.0"),
        celebamask.POSE_FILE,
    ),
    "mapping with a word": line(celebamask.MAPPING_FILE, 4, "2 170000 none.jpg"),
}


@pytest.mark.parametrize("name", BAD_FACES)
def test_a_bad_face_stops_with_one_sentence_or_is_left_out(data_set, tmp_path, name):
    spoil, message = BAD_FACES[name]
    spoil(data_set)
    assert_refused(message, data_set, tmp_path / "packed")
    shutil.rmtree(tmp_path / "packed.partial", ignore_errors=True)
    faces = prepare(data_set, tmp_path / "packed", keep_going=True)
    assert {record.id for record in faces.records} == {"0", "1", "3"}
    assert_is_the_data_set(faces, [int(record.id) for record in faces.records])
    (entry,) = faces.left_out
    assert entry["id"] == "2" and message in entry["reason"]


def test_the_rest_of_the_run_is_kept_while_a_face_is_repaired(data_set, tmp_path):
    content = (data_set / IMAGE).read_bytes()
    cut(data_set / IMAGE, 0.5)
    assert_refused("2.jpg is cut off", data_set, tmp_path / "packed")
    (data_set / IMAGE).write_bytes(content)
    (data_set / "CelebA-HQ-img" / "0.jpg").unlink()  # done before, not wanted again
    assert_is_the_data_set(prepare(data_set, tmp_path / "packed"))


def test_other_faces_than_before_are_not_mixed_in(data_set, tmp_path):
    cut((data_set / IMAGE), 0.5)
    assert_refused("2.jpg is cut off", data_set, tmp_path / "packed")
    for path in map(data_set.joinpath, TEXT_FILES):
        path.write_text(path.read_text().replace("\n0.jpg", "\n5.jpg").replace("       0 ", "       5 "))
    assert_refused("begun with other faces (0, not 1)", data_set, tmp_path / "packed")


@pytest.mark.parametrize("name", TEXT_FILES)
def test_a_text_file_without_any_line_stops_even_a_patient_run(data_set, tmp_path, name):
    (data_set / name).write_text("4\n")
    assert_refused(f"{name} has no line for any face", data_set, tmp_path / "packed", keep_going=True)
    (data_set / name).unlink()
    assert_refused(f"{name} is missing", data_set, tmp_path / "packed", keep_going=True)


def test_so_does_a_mapping_line_of_no_known_face(data_set, tmp_path):
    change_line(data_set / celebamask.MAPPING_FILE, 4, "two 170000 170001.jpg")
    assert_refused("mapping.txt, line 4, is not", data_set, tmp_path / "packed", keep_going=True)


def stored(form):
    buffer = io.BytesIO()
    Image.fromarray(photograph(3)[:24, :24]).save(buffer, form)
    return buffer.getvalue()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_damaged_pictures_raise_nothing_but_a_sentence(data):
    content = bytearray(stored(data.draw(st.sampled_from(["JPEG", "PNG"]))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(content[: data.draw(st.integers(0, len(content)))])
    for decode in (pictures.decode_part, pictures.decode_labels, lambda *file: pictures.decode_image(*file, 16)):
        try:
            assert decode(content, "x.png").dtype in (np.uint8, bool)
        except DataError as error:
            assert str(error).startswith("x.png ") and "\n" not in str(error)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(["JPEG", "PNG"]), st.data())
def test_a_cut_picture_is_never_taken_for_a_whole_one(form, data):
    content = stored(form)
    with pytest.raises(DataError, match=r"^x\.png is"):
        pictures.decode_image(content[: data.draw(st.integers(0, len(content) - 1))], "x.png", 16)
