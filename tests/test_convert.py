"""Label maps that are merged already, ours and those of other data sets: mapped by name, sides checked."""

import io
import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskgan_lib import faces
from maskgan_lib.classes import CLASS_NAMES, COLORS, FLIPPED_ID, IGNORE_ID, NUM_CLASSES
from maskgan_lib.data import celebamask, label_folders, label_maps, pictures, procedural
from maskgan_lib.data.label_folders import prepare_label_folder
from maskgan_lib.data.label_maps import convert_labels
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
    assert IGNORE_ID in converted and set(label_maps.lacking(scheme)) == set(lacking.split())


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
    image = np.random.default_rng(colour).integers(0, 256, (*labels.shape, 3)).astype(np.uint8)
    image[0, 0] = colour
    Image.fromarray(image).save(image_path)
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
    """Of all: another scheme. Of a few: these were mirrored, and get their sides back."""
    write_pair(tmp_path / "a" / "1.png", tmp_path / "b" / "1.png", face_labels(left_eye=5, right_eye=4))
    with pytest.raises(DataError, match=r"1 of 1 .*left and right are swapped"):
        prepare(tmp_path / "a", tmp_path / "b", tmp_path / "wrong")
    assert not (tmp_path / "wrong").exists() and not (tmp_path / "wrong.partial").exists()
    for name in "23":
        write_pair(tmp_path / "a" / f"{name}.png", tmp_path / "b" / f"{name}.png", face_labels(), (int(name), 0, 0))
    faces = prepare(tmp_path / "a", tmp_path / "b", tmp_path / "right")
    assert [record.mended for record in faces.records] == [True, False, False]
    assert (faces.masks == face_labels()).all()


DRAWN = [faces.render(faces.sample(9, i), 64).labels for i in range(6)]
"""Whole faces, with the ids of this project."""


def in_scheme(labels, scheme):
    """With the ids of ``scheme``, what it lacks as its id 0."""
    theirs = {name: i for i, name in reversed(label_maps.SCHEMES[scheme].items())}
    return np.array([theirs.get(name, 0) for name in CLASS_NAMES], np.uint8)[labels]


@pytest.mark.parametrize("scheme", label_maps.SCHEMES)
@pytest.mark.parametrize("said", label_maps.SCHEMES)
def test_the_layout_tells_one_scheme_from_another(scheme, said):
    maps = [in_scheme(labels, scheme) for labels in DRAWN]
    if label_maps.SCHEMES[scheme] == label_maps.SCHEMES[said]:
        label_maps.check_layout(maps, said)
        return
    try:
        label_maps.check_layout(maps, said)
    except DataError as error:
        assert scheme in str(error).partition("choose the scheme")[2]
    else:
        raise AssertionError(f"{scheme} was taken for {said}")


def png(picture):
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def reordered(labels, order):
    """The same colours, by a palette in another order."""
    picture = Image.fromarray(np.argsort(order).astype(np.uint8)[labels])
    picture.putpalette(COLORS[order].tobytes())
    return picture


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 5), st.permutations(range(19)), st.sampled_from(["L", "P", "RGB", "colours", "greys", "RGBA"]))
def test_a_label_map_is_read_as_what_it_shows(face, order, kind):
    """By number, by its colours in whatever order a palette has them, or as a picture in these colours."""
    labels = DRAWN[face]
    picture = {
        "L": Image.fromarray(labels),
        "P": reordered(labels, np.array(order)),
        "RGB": Image.fromarray(np.repeat(labels[..., None], 3, 2)),
        "colours": Image.fromarray(COLORS[labels]),
        "greys": Image.fromarray(np.argsort(order).astype(np.uint8)[labels]),
        "RGBA": Image.fromarray(COLORS[labels]).convert("RGBA"),
    }[kind]
    if kind == "greys":
        picture.putpalette(np.repeat(np.array(order, np.uint8)[:, None], 3, 1).tobytes())
    assert np.array_equal(label_maps.read_labels(png(picture), "x.png"), labels)


def frequent_first(labels, table, stray=None):
    """A palette PNG whose palette has the commonest colour first, as optimisers write it."""
    values, counts = np.unique(labels, return_counts=True)
    order = values[np.argsort(-counts)]
    place = np.zeros(19, np.uint8)
    place[order] = np.arange(len(order))
    picture = place[labels]
    if stray is not None:
        picture[0, 0] = len(order)
    picture, colours = Image.fromarray(picture), [*table[order].tolist(), *([stray] if stray else [])]
    picture.putpalette(np.array(colours, np.uint8).tobytes())
    return picture


@pytest.mark.parametrize("face", range(6))
def test_palettes_that_were_rewritten_are_read_by_colour_or_refused(face):
    """Ours, the one of the authors' script, colours that a lossy program has moved; one stray colour is named."""
    labels = DRAWN[face]
    for table in (COLORS, pictures.SCRIPT_COLORS, np.clip(COLORS.astype(int) + 3, 0, 255).astype(np.uint8)):
        assert np.array_equal(label_maps.read_labels(png(frequent_first(labels, table)), "x.png"), labels)
    with pytest.raises(DataError, match=r"\(123, 45, 67\) in its palette"):
        label_maps.read_labels(png(frequent_first(labels, COLORS, [123, 45, 67])), "x.png")
    rgb = Image.fromarray(pictures.SCRIPT_COLORS[labels])
    assert np.array_equal(label_maps.read_labels(png(rgb), "x.png"), labels)


def test_an_index_beyond_the_palette_is_an_id_and_no_colour():
    labels = DRAWN[0].copy()
    labels[:4] = IGNORE_ID
    picture = Image.fromarray(labels)
    picture.putpalette(COLORS.tobytes())
    with pytest.raises(DataError, match="holds the id 255"):
        label_maps.read_labels(png(picture), "x.png")


@pytest.mark.parametrize("table", [np.zeros((19, 3), np.uint8), pictures.DEMO_COLORS, COLORS[::-1] // 2 + 60])
def test_other_palettes_are_read_by_index(table):
    picture = Image.fromarray(DRAWN[0])
    picture.putpalette(table.astype(np.uint8).tobytes())
    assert np.array_equal(label_maps.read_labels(png(picture), "x.png"), DRAWN[0])


@pytest.mark.parametrize("scheme", ["bisenet", "facesynthetics", "lapa"])
def test_label_maps_of_other_schemes_are_read_by_number_alone(scheme):
    theirs = in_scheme(DRAWN[1], scheme)
    assert np.array_equal(label_maps.read_labels(png(Image.fromarray(theirs)), "x.png", scheme), theirs)
    with pytest.raises(DataError, match="holds class ids"):
        label_maps.read_labels(png(Image.fromarray(COLORS[DRAWN[1]])), "x.png", scheme)


def test_pixels_that_a_resize_has_mixed_are_told():
    large = Image.fromarray(faces.render(faces.sample(9, 2), 256).labels)
    quarters = np.asarray(large).reshape(64, 4, 64, 4)[:, 1:3, :, 1:3].mean((1, 3)).round().astype(np.uint8)
    for mixed in (Image.fromarray(DRAWN[2]).resize((150, 150), Image.Resampling.BILINEAR), Image.fromarray(quarters)):
        with pytest.raises(DataError, match="nearest pixel"):
            label_maps.read_labels(png(mixed), "x.png")
    for size in (40, 64, 200):
        label_maps.read_labels(png(Image.fromarray(DRAWN[2]).resize((size, size), Image.Resampling.NEAREST)), "x.png")


def test_a_mask_to_draw_keeps_its_ids_and_mirrored_ones_are_told():
    mirrored, eyes = FLIPPED_ID[DRAWN[0]], DRAWN[0].copy()
    eyes[DRAWN[0] == 4], eyes[DRAWN[0] == 5] = 5, 4
    assert np.array_equal(label_maps.read_whole(png(Image.fromarray(eyes)), "x.png"), eyes)
    bare = np.where(np.isin(mirrored, (16, 17, 18)), 0, mirrored)  # Face Synthetics would have but one eye there
    for labels in (mirrored, bare):
        with pytest.warns(UserWarning, match="left and right swapped"):
            assert np.array_equal(label_maps.read_whole(png(Image.fromarray(labels)), "x.png"), labels)


def test_hidden_copies_are_passed_over_and_accents_are_compared_in_one_form(folders, tmp_path):
    images, masks = folders
    for place in (
        images / "._face0.png",
        masks / "._face0.png",
        images / "__MACOSX" / "._1.png",
        masks / ".x" / "1.png",
    ):
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(b"\0\5\x16\7")
    write_pair(images / "Zo\u00e9.png", masks / "Zoe\u0301.png", face_labels(), (20, 0, 0))
    faces = prepare(images, masks, tmp_path / "packed")
    assert len(faces) == 11 and "Zo\u00e9" in [record.id for record in faces.records]


def test_two_files_of_one_name_are_both_named(folders, tmp_path):
    Image.new("RGB", (24, 24)).save(folders[0] / "face0.jpg")
    with pytest.raises(DataError, match=r"face0\.jpg and .*face0\.png have one name"):
        prepare(*folders, tmp_path / "packed")


def test_beside_the_official_mapping_merged_maps_keep_split_attributes_and_pose(tmp_path, monkeypatch):
    root = tmp_path / "data set"
    procedural.render_celebamask_hq(root, 16, image_size=64, progress=False)
    official = celebamask.prepare(root, tmp_path / "official", 32, workers=1, progress=False)
    merged = root / "CelebAMask-HQ-mask"
    merged.mkdir()
    archive = celebamask.open_data_set(root)
    for i in range(16):
        Image.fromarray(celebamask.merge_parts(celebamask.read_parts(archive, i))).save(merged / f"{i}.png")
    shutil.rmtree(root / celebamask.MASK_FOLDER)
    with pytest.raises(DataError, match=r"--labels .*CelebAMask-HQ-mask"):
        celebamask.prepare(root, tmp_path / "none", 32, workers=1, progress=False)
    again = prepare(root / "CelebA-HQ-img", merged, tmp_path / "again", size=32)
    assert again.records == official.records and again.attribute_names == official.attribute_names
    assert np.array_equal(again.masks, official.masks)
    for i in range(16):  # as some write the numbers
        (merged / f"{i}.png").rename(merged / f"{i:05d}.png")
        (root / "CelebA-HQ-img" / f"{i}.jpg").rename(root / "CelebA-HQ-img" / f"{i:05d}.jpg")
    monkeypatch.setattr(label_folders, "KNOWN_DUPLICATES", {3})
    once = prepare(root / "CelebA-HQ-img", merged, tmp_path / "once", size=32)
    assert [int(record.id) for record in once.records] == [i for i in range(16) if i != 3]
    assert once.records[2] == replace(official.records[2], id="00002")
    (root / celebamask.ATTRIBUTE_FILE).unlink()  # then it is any folder
    assert prepare(root / "CelebA-HQ-img", merged, tmp_path / "any", size=32).attribute_names == ()


def test_one_photograph_lies_in_one_split(tmp_path):
    """Small, large, and saved as JPEG: the same face; its copies go where it goes, and other faces are none."""
    for i in range(30):
        face = faces.render(faces.sample(3, i % 20), 64)
        write_pair(tmp_path / "i" / f"{i}.png", tmp_path / "l" / f"{i}.png", face.labels)
        picture = Image.fromarray(face.image)
        if i < 20:
            picture.save(tmp_path / "i" / f"{i}.png")
        else:
            (tmp_path / "i" / f"{i}.png").unlink()
            picture.resize((96, 96), Image.Resampling.LANCZOS).save(tmp_path / "i" / f"{i}.jpg", quality=70)
    pictures_of = {i: tmp_path / "i" / f"{i}.{'png' if i < 20 else 'jpg'}" for i in range(30)}
    assert label_folders.same_photographs(pictures_of) == {i: i - 20 for i in range(20, 30)}
    with pytest.warns(UserWarning, match="10 photographs are there more than once"):
        packed = prepare(tmp_path / "i", tmp_path / "l", tmp_path / "packed")
    split = {record.id: record.split for record in packed.records}
    assert all(split[str(i)] == split[str(i + 20)] for i in range(10)) and len(set(split.values())) == 3


def test_a_photograph_in_two_given_splits_is_told(tmp_path):
    face = faces.render(faces.sample(3, 0), 64)
    for split in ("train", "test"):
        write_pair(tmp_path / "i" / split / "1.png", tmp_path / "l" / split / "1.png", face.labels)
        Image.fromarray(face.image).save(tmp_path / "i" / split / "1.png")
    with pytest.warns(UserWarning, match="1 photographs lie in two splits"):
        prepare(tmp_path / "i", tmp_path / "l", tmp_path / "packed")


def test_a_picture_that_lies_on_its_side_is_turned_as_its_mask_was(folders, tmp_path):
    images, masks = folders
    photo = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    exif = Image.Exif()
    exif[pictures.ORIENTATION] = 6
    Image.fromarray(photo).transpose(Image.Transpose.ROTATE_90).save(images / "face3.png", exif=exif)
    assert np.array_equal(prepare(images, masks, tmp_path / "packed").images[3], photo)


def label_map(labels, message):
    """Another label map for face 3, and what is said of it."""
    return (lambda images, masks: Image.fromarray(labels).save(masks / "face3.png"), message)


def folder_by_that_name(images, masks):
    (images / "face3.png").unlink()
    (images / "face3.png").mkdir()


BAD_FACES = {
    "id over 18": label_map(np.full((24, 24), 19, np.uint8), "face3.png holds the id 19"),
    "colours": label_map(np.arange(1728, dtype=np.uint8).reshape(24, 24, 3), "face3.png is a coloured picture"),
    "transparent": label_map(np.dstack([np.zeros((24, 24, 3), np.uint8), face_labels()]), "face3.png is transparent"),
    "blank": label_map(np.zeros((24, 24), np.uint8), "face3.png is no label map of a face"),
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
