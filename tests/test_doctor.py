"""python -m maskgan_lib doctor: what something is, and what to do with it; and labels, which converts label maps."""

import numpy as np
import pytest
from editor_faces import drawn_session
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskgan_lib import faces
from maskgan_lib.__main__ import main
from maskgan_lib.checkpoints import export_authors, load_weights, read_card, save_weights
from maskgan_lib.classes import CLASS_ID, FLIPPED_ID, NUM_CLASSES
from maskgan_lib.data import celebamask, label_maps, procedural
from maskgan_lib.data.errors import DataError
from maskgan_lib.evaluation.judges import PRETRAINED
from maskgan_lib.networks import DenseMappingNetwork

FACE = faces.render(faces.sample(5, 3), 128)


def doctor(capsys, path):
    """The exit code, and what was said."""
    code = main(["doctor", str(path)])
    return code, capsys.readouterr().out


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """One of everything that somebody might bring."""
    root = tmp_path_factory.mktemp("brought")
    Image.fromarray(FACE.image).save(root / "face.jpg", quality=95)
    Image.fromarray(np.full((200, 300), 90, np.uint8)).save(root / "wall.jpg")
    Image.fromarray(FACE.labels).save(root / "mask.png")
    label_maps.convert_files(root / "mask.png", root / "theirs.png", to="bisenet")
    procedural.render_packed(root / "packed", 12, 32, workers=1, progress=False)
    procedural.render_celebamask_hq(root / "official", 4, image_size=128, workers=1, progress=False)
    (root / "labels").mkdir()
    for i in range(3):
        label_maps.convert_files(root / "mask.png", root / "labels" / f"{i}.png", to="bisenet")
    save_weights(root / "mine.safetensors", DenseMappingNetwork(width=4, style_width=2), {"data": "toys"})
    export_authors(load_weights(root / "mine.safetensors"), root / "latest_net_G.pth")
    (root / "empty").mkdir()
    copies = root / "copies"
    copies.mkdir()
    for i in range(3):
        Image.fromarray(FACE.labels).save(copies / f"{i}.png")
        (copies / f"._{i}.png").write_bytes(b"\0\5\x16\7")
    large = Image.fromarray(FACE.image).resize((1500, 1500))
    large.save(root / "large.png")
    Image.fromarray(FLIPPED_ID[FACE.labels]).save(root / "mirrored.png")
    session = drawn_session(size=64)
    session.save(root / "session")
    preset = ["--preset", "smoke", "--steps", "1"]
    assert main(["train", "maskvae", "--data", str(root / "packed"), "--out", str(root / "run"), *preset]) == 0
    (root / "begun").mkdir()
    (root / "begun" / "checkpoint.coming.pt").write_bytes(b"half")
    (root / "broken.safetensors").write_bytes(b"no weights")
    return root


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("face.jpg", 0, ["128x128", "eyes at", "parse"]),
        ("wall.jpg", 1, ["300x200", "No face"]),
        ("mask.png", 0, ["shows a face", "render"]),
        ("theirs.png", 0, ["fits the scheme bisenet", "--scheme bisenet"]),
        ("packed", 0, ["packed folder", "0 are odd", "train dmn"]),
        ("official", 0, ["procedural faces", "4 faces read, 0 are bad", "prepare"]),
        ("labels", 0, ["3 are label maps", "bisenet", "--labels"]),
        ("mine.safetensors", 0, ["DenseMappingNetwork", "toys", "render --weights"]),
        ("latest_net_G.pth", 0, ["DenseMappingNetwork", "its authors", "512"]),
        ("empty", 1, ["holds no picture"]),
        ("copies", 0, ["3 pictures; of 3 looked at, 3 are label maps", "celebamask-hq"]),
        ("large.png", 0, ["1500x1500", "eyes at"]),
        ("mirrored.png", 0, ["shows a face", "Left and right are swapped", "render"]),
        ("session", 0, ["session of the editor"]),
        ("run", 0, ["A run of maskvae, after 1 of 1 steps"]),
        ("begun", 1, ["not finished"]),
        ("broken.safetensors", 1, ["damaged"]),
        ("nowhere", 1, ["There is no"]),
    ],
)
def test_everything_is_told_with_the_command_to_use_it(places, capsys, name, code, words):
    found, said = doctor(capsys, places / name)
    assert found == code, said
    for word in words:
        assert word in said


def test_a_bad_face_is_named(places, capsys, tmp_path):
    procedural.render_celebamask_hq(tmp_path / "set", 3, image_size=64, workers=1, progress=False)
    (tmp_path / "set" / celebamask.part_path(1, "skin")).unlink()
    code, said = doctor(capsys, tmp_path / "set")
    assert code == 0 and "1 are bad" in said and "00001_skin.png is missing" in said and "--keep-going" in said


def test_the_authors_weights_say_their_terms(places, capsys):
    load_weights(places / "latest_net_G.pth")
    assert "latest_net_G.pth: learnt from photographs of CelebAMask-HQ" in capsys.readouterr().err
    assert "non-commercial" in read_card(places / "latest_net_G.pth")["terms"]


def test_weights_that_ship_say_what_was_measured(capsys):
    _, said = doctor(capsys, PRETRAINED / "parser.safetensors")
    assert "FaceParser" in said and "pixel accuracy" in said


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 7),
    st.sampled_from(["celebamask-hq", "bisenet"]),
    st.sampled_from(["palette", "colours", "celebamask-hq", "bisenet"]),
)
def test_a_label_map_comes_back_from_whatever_it_was_converted_to(tmp_path_factory, i, scheme, to):
    folder = tmp_path_factory.mktemp("labels")
    labels = faces.render(faces.sample(8, i), 64).labels
    Image.fromarray(labels).save(folder / "mine.png")
    label_maps.convert_files(folder / "mine.png", folder / "theirs.png", to=scheme)
    label_maps.convert_files(folder / "theirs.png", folder / "out.png", scheme, to)
    back = "celebamask-hq" if to in ("palette", "colours") else to
    label_maps.convert_files(folder / "out.png", folder / "again.png", back)
    assert np.array_equal(np.asarray(Image.open(folder / "again.png")), labels)


def test_parts_are_those_of_the_data_set_and_a_folder_is_converted_with_all_below(tmp_path, capsys):
    (tmp_path / "in" / "a").mkdir(parents=True)
    Image.fromarray(FACE.labels).save(tmp_path / "in" / "a" / "7.png")
    assert main(["labels", str(tmp_path / "in"), str(tmp_path / "out"), "--to", "parts"]) == 0
    assert "1 label maps" in capsys.readouterr().out
    for i in np.unique(FACE.labels[FACE.labels > 0]):
        name = next(name for name, number in CLASS_ID.items() if number == i)
        part = np.asarray(Image.open(tmp_path / "out" / "a" / f"7_{name}.png"))
        assert np.array_equal(part, np.repeat(np.where(FACE.labels == i, 255, 0)[..., None], 3, 2))


def test_no_label_map_is_overwritten_or_lost(tmp_path):
    folder, mask = tmp_path / "in", tmp_path / "in" / "A.PNG"
    folder.mkdir()
    Image.fromarray(FACE.labels).save(mask)
    for source, out, words in (
        (folder, folder, "must stay as they are"),
        (folder, folder / "below", "must stay as they are"),
        (mask, tmp_path / "out.jpg", "end in .png"),
        (mask, tmp_path / "new", "end in .png"),
    ):
        with pytest.raises(DataError, match=words):
            label_maps.convert_files(source, out, to="bisenet")
    assert np.array_equal(np.asarray(Image.open(mask)), FACE.labels)
    assert label_maps.convert_files(folder, tmp_path / "out", to="bisenet") == 1
    (tmp_path / "there").mkdir()
    label_maps.convert_files(tmp_path / "out" / "A.png", tmp_path / "there", "bisenet")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "there" / "A.png")), FACE.labels)
    Image.fromarray(np.where(FACE.labels == 0, 0, 1).astype(np.uint8)).save(tmp_path / "lapa.png")
    for to in ("palette", "celebamask-hq", "bisenet"):
        with pytest.raises(DataError, match="nobody says what they are"):
            label_maps.convert_files(tmp_path / "lapa.png", tmp_path / "out.png", "lapa", to)


def test_a_class_that_a_scheme_lacks_is_refused_unless_it_has_a_rest(tmp_path):
    labels = np.zeros((2 * NUM_CLASSES, 8), np.uint8)
    labels[::2] = np.arange(NUM_CLASSES)[:, None]
    Image.fromarray(labels).save(tmp_path / "all.png")
    with pytest.raises(DataError, match="ear_r, neck_l, which facesynthetics lacks"):
        label_maps.convert_files(tmp_path / "all.png", tmp_path / "out.png", to="facesynthetics")
    label_maps.convert_files(tmp_path / "all.png", tmp_path / "out.png", to="lapa")
    lapa = np.asarray(Image.open(tmp_path / "out.png"))[::2, 0]
    assert lapa[CLASS_ID["hat"]] == lapa[0] == 0 and lapa[CLASS_ID["hair"]] == 10
