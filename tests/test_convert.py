"""Label maps that are merged already, ours and those of other data sets: mapped by name, sides checked."""

import numpy as np
import pytest
from PIL import Image

from maskgan_lib.classes import CLASS_NAMES, IGNORE_ID, NUM_CLASSES
from maskgan_lib.data import label_folders
from maskgan_lib.data.label_folders import convert_labels, prepare_label_folder
from maskgan_lib.data.packed import DataError

# their ids, by the names that the data sets themselves give; sides as the data sets mean them
FACE_SYNTHETICS = (
    "background skin nose right_eye left_eye right_brow left_brow right_ear left_ear mouth_interior top_lip bottom_lip "
    "neck hair beard clothing glasses headwear facewear"
).split()
LAPA = (
    "background skin viewer_left_brow viewer_right_brow viewer_left_eye viewer_right_eye nose upper_lip inner_mouth "
    "lower_lip hair"
).split()
SAME_THING = {
    "right_eye": "r_eye", "left_eye": "l_eye", "right_brow": "r_brow", "left_brow": "l_brow", "right_ear": "r_ear",
    "left_ear": "l_ear", "mouth_interior": "mouth", "inner_mouth": "mouth", "top_lip": "u_lip", "upper_lip": "u_lip",
    "bottom_lip": "l_lip", "lower_lip": "l_lip", "beard": "skin", "clothing": "cloth", "glasses": "eye_g",
    "headwear": "hat", "facewear": "background", "viewer_left_brow": "r_brow", "viewer_right_brow": "l_brow",
    "viewer_left_eye": "r_eye", "viewer_right_eye": "l_eye",
}  # fmt: skip


@pytest.mark.parametrize(
    ("scheme", "theirs", "lacking"),
    [
        ("facesynthetics", FACE_SYNTHETICS, "ear_r neck_l"),
        ("lapa", LAPA, "background eye_g l_ear r_ear hat ear_r neck_l neck cloth"),
        ("helen", LAPA, "background eye_g l_ear r_ear hat ear_r neck_l neck cloth"),
    ],
)
def test_classes_are_mapped_by_name(scheme, theirs, lacking):
    converted = convert_labels(np.append(np.arange(len(theirs), dtype=np.uint8), np.uint8(255)), scheme)
    expected = [SAME_THING.get(name, name) for name in theirs] + ["unknown"]
    if scheme != "facesynthetics":
        expected[0] = "unknown"  # ears, neck, clothes, hats and glasses are in it
    assert [dict(enumerate(CLASS_NAMES)).get(i, "unknown") for i in converted.tolist()] == expected
    assert IGNORE_ID in converted and set(label_folders.lacking(scheme)) == set(lacking.split())


def test_the_order_of_the_bisenet_has_nose_10_and_hair_17():
    converted = convert_labels(np.arange(19, dtype=np.uint8), "bisenet")
    assert sorted(converted) == list(range(NUM_CLASSES))
    known = {1: "skin", 2: "l_brow", 6: "eye_g", 10: "nose", 13: "l_lip", 17: "hair", 18: "hat"}
    assert {theirs: CLASS_NAMES[converted[theirs]] for theirs in known} == known


def face_labels(left_eye=4, right_eye=5, shape=(24, 24)):
    """A label map in which the subject's left eye, on the viewer's right, has the id ``left_eye``."""
    labels = np.zeros(shape, np.uint8)
    labels[4:20, 4:20] = 1
    labels[8:10, 6:9] = right_eye
    labels[8:10, 14:18] = left_eye
    return labels


def write_pair(image_path, label_path, labels, colour=(10, 200, 30)):
    for path in (image_path, label_path):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*labels.shape, 3), colour, np.uint8)).save(image_path)
    Image.fromarray(labels).save(label_path)


def prepare(images, labels, out, scheme="celebamask-hq", size=24, **options):
    return prepare_label_folder(images, labels, out, size, scheme, **{"workers": 1, "progress": False, **options})


@pytest.fixture
def folders(tmp_path):
    """Ten faces in two folders, by the same names."""
    for i in range(10):
        write_pair(tmp_path / "images" / f"face{i}.png", tmp_path / "masks" / f"face{i}.png", face_labels(), (i, 0, 0))
    return tmp_path / "images", tmp_path / "masks"


def test_two_folders_become_a_packed_folder(folders, tmp_path):
    faces = prepare(*folders, tmp_path / "packed")
    assert [record.id for record in faces.records] == [f"face{i}" for i in range(10)]
    assert (faces.masks == face_labels()).all()
    assert faces.images[:, 0, 0, 0].tolist() == list(range(10))
    assert [len(faces.indices(split)) for split in ("train", "val", "test")] == [8, 1, 1]
    assert np.isnan(faces.pose).all() and (faces.identity == -1).all() and faces.attribute_names == ()


def test_another_size_three_equal_channels_and_a_wide_picture_give_the_label_map_asked_for(folders, tmp_path):
    images, masks = folders
    Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(images / "face3.png")
    Image.fromarray(np.repeat(face_labels()[..., None], 3, 2)).save(masks / "face4.png")
    write_pair(images / "face5.png", masks / "face5.png", np.pad(face_labels(), ((0, 0), (6, 6))))
    faces = prepare(images, masks, tmp_path / "packed", size=12)
    assert (faces.masks == face_labels()[1::2, 1::2]).all()


@pytest.mark.parametrize(
    ("scheme", "image", "labels", "left", "right", "name", "split"),
    [
        ("facesynthetics", "0001.png", "0001_seg.png", 4, 3, "0001", "train"),
        ("lapa", "VAL/images/1_0.jpg", "VAL/labels/1_0.png", 5, 4, "VAL/1_0", "val"),
        ("helen", "1_image.jpg", "1_label.png", 5, 4, "1", "train"),
    ],
)
def test_each_data_set_has_its_own_layout_in_one_folder(tmp_path, scheme, image, labels, left, right, name, split):
    root = tmp_path / scheme
    marked = face_labels(left, right)
    marked[0, 0] = 255 if scheme == "facesynthetics" else 0
    write_pair(root / image, root / labels, marked)
    (root / "0001_ldmks.txt").write_text("0 0\n")
    faces = prepare(root, root, tmp_path / "packed", scheme)
    assert [(record.id, record.split) for record in faces.records] == [(name, split)]
    expected, unknown = face_labels(), marked == (255 if scheme == "facesynthetics" else 0)
    assert np.array_equal(faces.masks[0], np.where(unknown, IGNORE_ID, expected))


def test_swapped_sides_are_noticed(tmp_path):
    write_pair(tmp_path / "a" / "1.png", tmp_path / "b" / "1.png", face_labels(left_eye=5, right_eye=4))
    with pytest.raises(DataError, match=r"Left and right .* 1 of 1 "):
        prepare(tmp_path / "a", tmp_path / "b", tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists() and not (tmp_path / "wrong.partial").exists()


def label_map(labels, message):
    """Another label map for face 3, and what is said of it."""
    return (lambda images, masks: Image.fromarray(labels).save(masks / "face3.png"), message)


def folder_by_that_name(images, masks):
    (images / "face3.png").unlink()
    (images / "face3.png").mkdir()


BAD_FACES = {
    "id over 18": label_map(np.full((24, 24), 19, np.uint8), "face3.png holds the id 19"),
    "colours": label_map(np.arange(1728, dtype=np.uint8).reshape(24, 24, 3), "face3.png is a coloured picture"),
    "16 bits": label_map(face_labels().astype(np.uint16), "face3.png has pixels of mode I;16"),
    "another shape": label_map(np.zeros((24, 30), np.uint8), "is 24x24, but its label map face3.png 30x24"),
    "no label map": (lambda images, masks: (masks / "face3.png").unlink(), "face3.png has no label map"),
    "no image": (lambda images, masks: (images / "face3.png").unlink(), "face3.png has no image"),
    "cut image": (
        lambda images, masks: (images / "face3.png").write_bytes((images / "face3.png").read_bytes()[:60]),
        "face3.png is cut off",
    ),
    "a folder by that name": (folder_by_that_name, "face3.png cannot be read (Is a directory)"),
}


@pytest.mark.parametrize("name", BAD_FACES)
def test_a_bad_pair_stops_with_one_sentence_or_is_left_out(folders, tmp_path, name):
    spoil, message = BAD_FACES[name]
    spoil(*folders)
    with pytest.raises(DataError) as caught:
        prepare(*folders, tmp_path / "packed")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    faces = prepare(*folders, tmp_path / "packed", keep_going=True)
    assert {record.id for record in faces.records} == {f"face{i}" for i in range(10)} - {"face3"}
    assert [entry["id"] for entry in faces.left_out] == ["face3"] and message in faces.left_out[0]["reason"]


@pytest.mark.parametrize(
    ("images", "masks", "scheme", "message"),
    [
        ("nowhere", "masks", "lapa", "no folder .*nowhere"),
        ("images", "empty", "lapa", "empty holds no label map"),
        ("empty", "masks", "lapa", "empty holds no image"),
        ("images", "others", "lapa", r"another\.png, face0\.png"),
        ("images", "masks", "coco", "'coco'.*celebamask-hq, bisenet"),
    ],
)
def test_bad_places_and_schemes_are_named(folders, tmp_path, images, masks, scheme, message):
    (tmp_path / "empty").mkdir()
    write_pair(tmp_path / "more" / "other.png", tmp_path / "others" / "another.png", face_labels())
    with pytest.raises(DataError, match=message):
        prepare(tmp_path / images, tmp_path / masks, tmp_path / "packed", scheme)
