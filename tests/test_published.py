"""Published weights: their layouts, written here anew or taken from torchvision, against independent computations."""

import hashlib
import math
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from stub_judges import hopenet_layout
from torch import nn
from torchvision.models import resnet
from torchvision.transforms.v2.functional import normalize
from toy_faces import images

from maskgan_lib.checkpoints import CheckpointError, export_authors
from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.evaluation import published
from maskgan_lib.evaluation.judges import Judge, Judges
from maskgan_lib.evaluation.published import PUBLISHED, load_published
from maskgan_lib.faces.head import View
from maskgan_lib.judges.iresnet import IResNet
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.networks import MaskVAE

IR_50, IR_100 = (3, 4, 14, 3), (3, 13, 30, 3)
IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""Mean and deviation."""


def drawn(shapes, seed=0):
    """Random weights of these names and shapes: variances are positive, layers keep their input's size roughly."""
    generator = torch.Generator().manual_seed(seed)

    def values(name, shape):
        if name.endswith("num_batches_tracked"):
            return torch.tensor(7)
        if name.endswith("running_var"):
            return torch.rand(shape, generator=generator) + 0.5
        spread = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) > 1 else 0.3
        return torch.randn(shape, generator=generator) * spread + (name.endswith("weight") and len(shape) == 1)

    return {name: values(name, shape) for name, shape in shapes.items()}


def saved(path, state):
    torch.save(state, path)
    return path


def hash_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_is_checked_and_a_name_must_be_known(tmp_path, monkeypatch, capsys):
    path = tmp_path / "mine.pth"
    with pytest.raises(CheckpointError, match=r"There is no .*mine\.pth: .*deep-head-pose\. Then name the file\.$"):
        load_published("hopenet", path)
    with pytest.raises(CheckpointError, match=r"no published weights 'dlib': choose one of maskgan-parser, arcface"):
        load_published("dlib", path)
    path.write_bytes(b"some file")
    found = hash_of(path)
    monkeypatch.setitem(PUBLISHED, "arcface", replace(PUBLISHED["arcface"], load=lambda path: (nn.Linear(1, 1), "it")))
    assert load_published("arcface", path).card["sha256"] == found
    assert f"No checksum is known for the arcface weights. {path} has sha256 {found}" in capsys.readouterr().out
    load_published("arcface", path, sha256=found[:8].upper())
    assert capsys.readouterr().out == ""
    with pytest.raises(CheckpointError, match=f"is not the file of the arcface weights .* not {'0' * 64}"):
        load_published("arcface", path, sha256="0" * 64)


# ---- ArcFace


def arcface_layout(layers, width=64, embedding=512):
    """Names and shapes in a published ``backbone.pth``, by the layers of IResNet, in their order."""

    def norm(name, channels):
        shapes = dict.fromkeys(
            (f"{name}.{leaf}" for leaf in ("weight", "bias", "running_mean", "running_var")), (channels,)
        )
        return shapes | {f"{name}.num_batches_tracked": ()}

    shapes = {"conv1.weight": (width, 3, 3, 3)} | norm("bn1", width) | {"prelu.weight": (width,)}
    inputs = width
    for stage, blocks in enumerate(layers):
        outputs = width * 2**stage
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            shapes |= norm(f"{name}.bn1", inputs) | {f"{name}.conv1.weight": (outputs, inputs, 3, 3)}
            shapes |= norm(f"{name}.bn2", outputs) | {f"{name}.prelu.weight": (outputs,)}
            shapes |= {f"{name}.conv2.weight": (outputs, outputs, 3, 3)} | norm(f"{name}.bn3", outputs)
            if block == 0:
                shapes |= {f"{name}.downsample.0.weight": (outputs, inputs, 1, 1)} | norm(
                    f"{name}.downsample.1", outputs
                )
            inputs = outputs
    shapes |= norm("bn2", inputs) | {"fc.weight": (embedding, inputs * 49), "fc.bias": (embedding,)}
    return shapes | norm("features", embedding)


def arcface_by_hand(state, x, layers):
    """The embeddings, layer by layer from the state dict."""

    def norm(name, x):
        leaves = (state[f"{name}.{leaf}"] for leaf in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *leaves, eps=1e-5)

    x = F.prelu(norm("bn1", F.conv2d(x, state["conv1.weight"], padding=1)), state["prelu.weight"])
    for stage, blocks in enumerate(layers):
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            y = F.conv2d(norm(f"{name}.bn1", x), state[f"{name}.conv1.weight"], padding=1)
            y = F.prelu(norm(f"{name}.bn2", y), state[f"{name}.prelu.weight"])
            y = norm(f"{name}.bn3", F.conv2d(y, state[f"{name}.conv2.weight"], stride=1 + (block == 0), padding=1))
            if block == 0:
                x = norm(f"{name}.downsample.1", F.conv2d(x, state[f"{name}.downsample.0.weight"], stride=2))
            x = x + y
    return norm("features", F.linear(norm("bn2", x).flatten(1), state["fc.weight"], state["fc.bias"]))


@pytest.mark.parametrize(("layers", "millions"), [(IR_50, 43.59), (IR_100, 65.16)])
def test_arcface_networks_have_the_published_names_and_shapes(layers, millions):
    with torch.device("meta"):
        network = IResNet(layers)
    assert {name: tuple(value.shape) for name, value in network.state_dict().items()} == arcface_layout(layers)
    assert sum(value.numel() for value in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.01)


SMALL = (1, 2, 1, 1)


@pytest.fixture
def arcface_state():
    return drawn(arcface_layout(SMALL, width=4, embedding=6))


def test_arcface_gives_what_its_layers_give(tmp_path, arcface_state):
    file = saved(tmp_path / "backbone.pth", {f"module.{key}": value for key, value in arcface_state.items()})
    judge = load_published("arcface", file)
    photos, (size, top, left) = images(2, judge.size), published.arcface_window()
    expected = arcface_by_hand(arcface_state, photos[:, :, top : top + 112, left : left + 112], SMALL)
    torch.testing.assert_close(judge.ask(photos), expected, rtol=1e-5, atol=1e-5)
    assert expected.std(dim=0).min() > 1e-3  # the two pictures differ
    assert (judge.size, judge.origin) == (size, "published: ArcFace IR-12, non-commercial")
    assert judge.card["sha256"] == hash_of(file)
    assert not any(value.requires_grad for value in judge.network.parameters())
    with pytest.raises(ValueError, match="take 144 x 144 pixels"):
        judge.network(images(1, 112))


def test_wrong_keys_are_all_listed_in_one_sentence(tmp_path, arcface_state):
    del arcface_state["layer2.1.bn3.bias"]
    arcface_state["head.weight"] = torch.zeros(3)
    arcface_state["features.bias"] = torch.zeros(5)
    with pytest.raises(CheckpointError) as found:
        load_published("arcface", saved(tmp_path / "backbone.pth", arcface_state))
    for part in ("missing: layer2.1.bn3.bias", "unexpected: head.weight", "features.bias [5] instead of [6]"):
        assert part in str(found.value)
    assert str(found.value).count(". ") == 0


@pytest.mark.parametrize("name", ["arcface", "hopenet"])
def test_other_networks_are_told(tmp_path, name):
    file = saved(tmp_path / "other.pth", {"e1.weight": torch.zeros(2, 2)})
    with pytest.raises(CheckpointError, match=r"other\.pth holds no .* \(e1\.weight \.\.\.\): give another file"):
        load_published(name, file)
    with pytest.raises(CheckpointError, match="no plain dict of weights"):
        load_published(name, saved(tmp_path / "other.pth", {"epoch": 3}))
    (tmp_path / "other.pth").write_bytes(b"<html>")
    with pytest.raises(CheckpointError, match="cannot be read as a PyTorch checkpoint"):
        load_published(name, tmp_path / "other.pth")


# ---- alignment


class Seen(nn.Module):
    """Keeps the picture that a published network is given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        self.picture = x
        return x.flatten(1)


def dots(points, size=512, radius=5.0):
    """A picture, black but for white dots at (x, y)."""
    grid = torch.arange(size)
    squares = [(grid[None] - x) ** 2 + (grid[:, None] - y) ** 2 for x, y in points]
    return (torch.stack([torch.exp(-square / radius**2) for square in squares]).sum(0) * 2 - 1).expand(1, 3, -1, -1)


def centre(picture, left, right):
    """(x, y), the centre of the light between the columns ``left`` and ``right``."""
    light = (picture[0, 0] + 1)[:, left:right]
    rows, columns = torch.arange(float(len(light))), torch.arange(float(left), right)
    return (light.sum(0) @ columns / light.sum()).item(), (light.sum(1) @ rows / light.sum()).item()


@pytest.mark.parametrize("side", [112, 160])
def test_the_window_puts_the_eyes_where_arcface_wants_them(side):
    seen = Seen()
    judge = Judge(published.PublishedIdentity(seen, side), published.arcface_window(side)[0], {})
    judge.ask(dots([(193, 245), (319, 245)]))
    assert seen.picture.shape == (1, 3, side, side)
    for eye, half in (((38.2946, 51.6963), (0, side // 2)), ((73.5318, 51.5014), (side // 2, side))):
        expected = [(value + 0.5) * side / 112 - 0.5 for value in eye]
        assert centre(seen.picture, *half) == pytest.approx(expected, abs=0.75 * side / 112)


def test_the_window_fits_the_real_faces(real_faces):
    """Eyes within 2.5 pixels of ArcFace's template, the mouth within 6: these four look nearly straight ahead."""
    seen = Seen()
    judge = Judge(published.PublishedIdentity(seen), published.arcface_window()[0], {})
    template = {("r_eye",): (38.29, 51.70), ("l_eye",): (73.53, 51.50), ("u_lip", "l_lip"): (56.14, 92.29)}
    for face in range(4):
        for parts, (x, y) in template.items():
            files = [real_faces / "CelebAMask-HQ-mask-anno" / "0" / f"{face:05d}_{part}.png" for part in parts]
            mask = sum(np.asarray(Image.open(file).convert("L")) > 0 for file in files)
            judge.ask(torch.tensor(mask > 0).float().expand(1, 3, 512, 512) * 2 - 1)
            found = centre(seen.picture, 0, 112)
            assert math.dist(found, (x, y)) < (6 if len(parts) > 1 else 2.5), (face, parts, found)


# ---- FaceNet


def test_facenet_takes_pictures_as_it_was_trained(tmp_path, monkeypatch):
    """The package is stood in for by one whose network gives the mean colour of its picture."""

    class InceptionResnetV1(nn.Module):
        def __init__(self, pretrained):
            super().__init__()
            assert pretrained is None
            self.last_linear = nn.Linear(3, 3, bias=False)

        def forward(self, x):
            assert x.shape[-2:] == (160, 160)
            return self.last_linear(x.mean(dim=(2, 3)))

    package = types.SimpleNamespace(InceptionResnetV1=InceptionResnetV1)
    monkeypatch.setitem(sys.modules, "facenet_pytorch", package)
    state = {"last_linear.weight": torch.eye(3), "logits.weight": torch.zeros(5, 3), "logits.bias": torch.zeros(5)}
    file = saved(tmp_path / "facenet.pt", state)
    judge = load_published("facenet", file, sha256=hash_of(file))
    values = torch.tensor([0, 100, 255])
    said = judge.ask((values / 127.5 - 1)[None, :, None, None].expand(1, 3, 256, 256))
    torch.testing.assert_close(said, (values[None] - 127.5) / 128, atol=1e-5, rtol=0)
    with pytest.raises(CheckpointError, match="unexpected: other"):
        load_published("facenet", file, sha256=hash_of(saved(file, state | {"other": torch.zeros(1)})))


# ---- HopeNet


@pytest.fixture(scope="module")
def hopenet_state():
    return drawn(hopenet_layout([1, 1, 1, 1]))


def test_hopenet_gives_the_expected_angles_of_torchvisions_features(tmp_path, hopenet_state):
    judge = load_published("hopenet", saved(tmp_path / "hopenet.pkl", hopenet_state))
    assert judge.size == 224
    photos = images(2, 64)
    backbone = resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1])
    backbone.fc = nn.Identity()
    backbone.load_state_dict({k: v for k, v in hopenet_state.items() if not k.startswith("fc_")}, strict=False)
    with torch.no_grad():
        features = backbone.eval()(normalize((photos + 1) / 2, *IMAGENET)).double()
    expected = []
    for angle in ("yaw", "pitch", "roll"):
        logits = features @ hopenet_state[f"fc_{angle}.weight"].double().T + hopenet_state[f"fc_{angle}.bias"]
        shares = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
        expected.append(-(sum(i * shares[:, i] for i in range(66)) * 3 - 99))
    expected = torch.stack(expected, dim=1)
    assert expected.std(dim=1).min() > 0.1  # the angles differ
    # A unit in the last place of an angle near 99 degrees is 8e-6, and a sum of 66 such terms has more.
    torch.testing.assert_close(judge.network(photos).double(), expected, rtol=1e-5, atol=1e-4)
    headless = {key: value for key, value in hopenet_state.items() if key != "fc_roll.bias"}
    with pytest.raises(CheckpointError, match="holds no HopeNet"):
        load_published("hopenet", saved(tmp_path / "hopenet.pkl", headless))


def with_answers(state, bins):
    """The same weights, but sure of a bin for each angle whatever the picture."""
    state = dict(state)
    for angle, place in zip(("yaw", "pitch", "roll"), bins, strict=True):
        state[f"fc_{angle}.weight"] = torch.zeros(66, 2048)
        state[f"fc_{angle}.bias"] = torch.full((66,), -100.0).index_fill(0, torch.tensor(place), 100.0)
    return state


@pytest.mark.parametrize("bins", [(40, 30, 35), (26, 36, 31)])
def test_hopenet_turns_heads_as_our_faces_do(tmp_path, hopenet_state, bins):
    """The nose and the line through the eyes that HopeNet's authors draw point where those of our faces do."""
    judge = load_published("hopenet", saved(tmp_path / "hopenet.pkl", with_answers(hopenet_state, bins)))
    yaw, pitch, roll = (math.radians(3 * place - 99) for place in bins)
    # x to the right and y down, as in their draw_axis.
    nose = math.sin(-yaw), -math.cos(yaw) * math.sin(pitch)
    tilt = math.sin(roll)
    ours = np.radians(judge.ask(images(1, 32), judge.network.degrees)[0].numpy())
    view = View.__new__(View)
    view.cos_yaw, view.cos_pitch, _ = np.cos(ours)
    view.sin_yaw, view.sin_pitch, sin_roll = np.sin(ours)
    x, up = view.project(0.0, 0.0, 1.0)
    assert (x, -up) == pytest.approx(nose, abs=1e-5)
    # Our roll is counter-clockwise: a point to the right of the middle moves up by its sine (View.region).
    assert -sin_roll == pytest.approx(tilt, abs=1e-5)


# ---- attributes


@pytest.fixture(scope="module")
def attribute_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attributes")
    for seed, (name, answers) in enumerate((("Smiling", 2), ("5_o_Clock_Shadow", 1))):
        with torch.device("meta"):
            shapes = {n: tuple(v.shape) for n, v in resnet.resnet18(num_classes=answers).state_dict().items()}
        saved(folder / f"{name}.pth", drawn(shapes, seed))
    return folder


def test_a_resnet_for_each_attribute(attribute_folder):
    judge = load_published("attributes", attribute_folder)
    assert judge.network.config["attributes"] == ["5_o_Clock_Shadow", "Smiling"]
    photos = images(3, 48)
    expected, features = [], []
    for name, answers in (("5_o_Clock_Shadow", 1), ("Smiling", 2)):
        with torch.device("meta"):
            network = resnet.resnet18(num_classes=answers)
        network.load_state_dict(torch.load(attribute_folder / f"{name}.pth"), assign=True)
        with torch.no_grad():
            said = network.eval()(normalize((photos + 1) / 2, *IMAGENET))
            network.fc = nn.Identity()
            features.append(network(normalize((photos + 1) / 2, *IMAGENET)))
        expected.append(torch.logit(said.softmax(dim=1)[:, 1]) if answers == 2 else said[:, 0])
    torch.testing.assert_close(judge.network(photos), torch.stack(expected, dim=1), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(judge.network.features(photos), torch.cat(features, dim=1), rtol=1e-5, atol=1e-5)


def test_attribute_files_that_do_not_fit(attribute_folder, tmp_path):
    with pytest.raises(CheckpointError, match=r"is no folder of files <attribute>\.pth"):
        load_published("attributes", attribute_folder / "Smiling.pth")
    saved(tmp_path / "smile.pth", {"fc.bias": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"smile\.pth: name each file after an attribute"):
        load_published("attributes", tmp_path)
    (tmp_path / "smile.pth").rename(tmp_path / "Smiling.pth")
    with pytest.raises(CheckpointError, match=r"Smiling\.pth does not fit .*missing: conv1\.weight, bn1\.weight"):
        load_published("attributes", tmp_path)


# ---- the parser, and all together


def test_the_authors_parser(tmp_path):
    torch.manual_seed(0)
    parser = FaceParser(NUM_CLASSES, width=2).eval()
    export_authors(parser, tmp_path / "model.pth")
    judge = load_published("maskgan-parser", tmp_path / "model.pth")
    with torch.no_grad():
        torch.testing.assert_close(judge.network(images(1, 64)), parser(images(1, 64)))
    assert (judge.size, judge.origin) == (512, "published: the authors' U-Net, non-commercial")
    export_authors(MaskVAE(16, width=2, latent=2), tmp_path / "vae.pth")
    with pytest.raises(CheckpointError, match="holds no parser of 19 classes"):
        load_published("maskgan-parser", tmp_path / "vae.pth")


def test_they_take_the_places_of_our_judges(tmp_path, arcface_state, hopenet_state, attribute_folder):
    export_authors(FaceParser(width=1), tmp_path / "model.pth")
    judges = Judges(
        load_published("maskgan-parser", tmp_path / "model.pth"),
        load_published("attributes", attribute_folder),
        load_published("arcface", saved(tmp_path / "backbone.pth", arcface_state)),
        load_published("hopenet", saved(tmp_path / "hopenet.pkl", with_answers(hopenet_state, (43, 33, 33)))),
    )
    photo = images(1, 48)
    torch.testing.assert_close(judges.identity(photo).norm(dim=1), torch.ones(1))
    torch.testing.assert_close(judges.pose(photo), torch.tensor([[-30.0, 0.0, 0.0]]))
    assert judges.parse(photo).shape == (1, 48, 48)
    assert judges.attributes(photo).shape == (1, 2) and judges.features(photo).shape == (1, 1024)
    assert judges.attribute_names == ("5_o_Clock_Shadow", "Smiling")
    assert all(origin.startswith("published: ") for origin in judges.origins.values())
    assert len(judges.fingerprint) == 12
