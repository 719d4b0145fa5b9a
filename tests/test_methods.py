"""How networks of each kind answer a request, and what an answer costs."""

import importlib
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn
from toy_faces import pack_toy_faces
from toy_networks import livelier

from maskgan_lib import checkpoints
from maskgan_lib.__main__ import main
from maskgan_lib.bench.costs import costs_of
from maskgan_lib.editor import EditorFace, EditSession
from maskgan_lib.editor.rendering import renderers_of
from maskgan_lib.evaluation.methods import (
    EDITING,
    STYLE_COPY,
    TRANSFER,
    MethodError,
    Request,
    TrainedMethod,
    method_of,
    methods_of,
)
from maskgan_lib.methods.elegant import Elegant
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.methods.spade import SPADEGenerator
from maskgan_lib.methods.stargan import StarGANGenerator
from maskgan_lib.networks import DenseMappingNetwork, one_hot
from maskgan_lib.registry import METHODS, NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.stage import TrainingError

SIZE = 32


@pytest.fixture
def request_():
    generator = torch.Generator().manual_seed(0)
    target, source = torch.rand(2, 2, 3, SIZE, SIZE, generator=generator) * 2 - 1
    masks = torch.randint(0, 19, (3, 2, SIZE, SIZE), generator=generator, dtype=torch.uint8)
    labels = {"Young": torch.tensor([True, False]), "Smiling": torch.tensor([False, False])}
    return Request(TRANSFER, target, masks[0], source, masks[1], masks[2], "Smiling", labels=labels)


@pytest.mark.parametrize(
    ("kind", "asked", "told"),
    [
        (StarGANGenerator, "Smiling", [[1.0, 1.0], [0.0, 1.0]]),  # the label, and the others as they are
        (SeCGANGenerator, "Young", [[0.0, 0.0], [1.0, 0.0]]),  # the difference
    ],
)
@torch.no_grad()
def test_an_attribute_is_asked_for_and_the_others_stay(kind, asked, told, request_):
    network = livelier(kind(["Young", "Smiling"], width=2, blocks=1))
    method, request = method_of("any", network), replace(request_, attribute=asked)
    wanted = network(request.target, torch.tensor(told))
    assert torch.equal(method.make(request), wanted) and method.tasks == (TRANSFER, EDITING)
    assert torch.equal(method_of("any", network, SIZE).make(request), wanted)
    assert method.parameters == sum(parameter.numel() for parameter in network.parameters())
    with pytest.raises(MethodError, match="Nobody knows whether the targets have Young"):
        method.make(replace(request, labels={}))
    with pytest.raises(MethodError, match="was trained for Young, Smiling, not for Male"):
        method.make(replace(request, attribute="Male"))


@torch.no_grad()
def test_secgan_sees_faces_at_the_size_that_it_learnt_at(request_, tmp_path):
    torch.manual_seed(3)
    network = SeCGANGenerator(["Young", "Smiling"], width=4, blocks=1).eval()
    checkpoints.save_weights(tmp_path / "g_rgb.safetensors", network, {"image_size": 16})
    (method,) = methods_of({"SeCGAN": tmp_path / "g_rgb.safetensors"})
    flat = replace(request_, target=torch.full((2, 3, SIZE, SIZE), 0.3))
    small = network(torch.full((2, 3, 16, 16), 0.3), torch.tensor([[0.0, 1.0], [0.0, 1.0]]))
    made = method.make(flat)
    assert made.shape[-1] == SIZE and made.mean() == pytest.approx(small.mean().item(), abs=1e-3)
    assert not torch.allclose(made, method_of("SeCGAN", network).make(flat), atol=1e-3)
    assert method.fingerprint != method_of("SeCGAN", network).fingerprint


def test_a_secgan_that_takes_or_makes_masks_is_refused():
    with pytest.raises(TrainingError, match="A is a SeCGANGenerator that makes masks: take g_rgb"):
        method_of("A", SeCGANGenerator(branch="seg", width=4, blocks=1))
    with pytest.raises(TrainingError, match="B is a SeCGANGenerator that needs a parser's mask"):
        method_of("B", SeCGANGenerator(concatenate=True, width=4, blocks=1))


@torch.no_grad()
def test_every_kind_of_network_answers(request_):
    torch.manual_seed(4)
    networks = [
        DenseMappingNetwork(width=4, downsamplings=2, blocks=1, style_width=2),
        SPADEGenerator(width=1, mask_width=2, latent=3, bottom=1, style_size=8),
        StarGANGenerator(width=2, blocks=1),
        Elegant(width=2, latent=4),
        SeCGANGenerator(width=4, blocks=1),
    ]
    assert {type(network) for network in networks} == {method.network for method in METHODS.values()}
    for network in networks:
        made = method_of("any", network.eval()).make(request_)
        assert made.shape == request_.target.shape and made.abs().max() <= 1


@torch.no_grad()
def test_an_example_lends_its_attribute(request_):
    network = Elegant(["Smiling"], width=2, latent=4).eval()
    wanted = network.transfer(request_.target, request_.source, "Smiling")
    assert torch.equal(method_of("ELEGANT", network).make(request_), wanted)
    with pytest.raises(MethodError, match="not for None"):
        method_of("ELEGANT", network).make(replace(request_, attribute=None))


@torch.no_grad()
def test_spade_renders_the_edited_mask_in_the_style_of_the_task(request_):
    torch.manual_seed(1)
    network = livelier(SPADEGenerator(width=1, mask_width=2, latent=3, bottom=1, style_size=8))
    method, mask = method_of("SPADE", network), one_hot(request_.edited)
    own, other = (network.render(mask, network.encode_style(photo)) for photo in (request_.target, request_.source))
    assert not torch.equal(own, other)
    assert torch.equal(method.make(request_), own)
    assert torch.equal(method.make(replace(request_, task=STYLE_COPY)), other)


def test_costs_are_of_one_pair(request_):
    convolution = nn.Conv2d(3, 3, 3, padding=1, bias=False)
    method = TrainedMethod("one convolution", lambda request: convolution(request.target), "x", parameters=81)
    (cost,) = costs_of([method], request_, seconds=0.01)
    assert (cost.method, cost.parameters, cost.operations) == ("one convolution", 81, 2 * 81 * SIZE * SIZE)
    assert cost.milliseconds > 0


# ---- a method of one's own


@pytest.fixture
def toy(monkeypatch):
    """The method that the one file ``toy_method.py`` registers, for as long as the test lasts."""
    for registry in (NETWORKS, SETTINGS, STAGES, METHODS):
        len(registry)  # all other files are read
        monkeypatch.setattr(registry, "data", dict(registry.data))
    monkeypatch.delitem(sys.modules, "toy_method", raising=False)
    return importlib.import_module("toy_method")


@pytest.mark.usefixtures("one_thread")
def test_a_method_in_one_file_is_trained_stands_in_the_tables_and_in_the_editors_menu(toy, tmp_path, capsys):
    faces, run = pack_toy_faces(tmp_path / "faces", 24, size=64, splits=("train", "test")), tmp_path / "run"
    train = ["train", "toy", "--data", str(faces.folder), "--out", str(run), "--preset", "smoke"]
    assert main([*train, "--set", "toy.lr=0.05"]) == 0
    weights = run / "toy.safetensors"
    card, network = checkpoints.read_card(weights), checkpoints.load_weights(weights)
    assert (card["network"], card["steps"], card["preset"]["toy"]["lr"]) == ("toy", 30, 0.05)
    assert isinstance(network, toy.ToyNetwork) and network.backbone.gain > 0.6

    tables = ["evaluate", "tables", "--data", str(faces.folder), "--networks", f"Mine={weights}", "--pairs", "4"]
    assert main([*tables, "--out", str(tmp_path / "tables")]) == 0
    assert capsys.readouterr().out.count("| Mine |") >= 2, "attribute transfer and reconstruction"

    spade = SPADEGenerator(width=1, mask_width=2, latent=3, bottom=1, style_size=8).eval()
    menu = renderers_of({"SPADE": spade, "StarGAN": StarGANGenerator(width=2, blocks=1), "Mine": network}, 64)
    session = EditSession([EditorFace("one", faces.images[0].copy(), faces.masks[0].copy())], menu)
    assert session.methods == ("SPADE", "Mine")
    session.choose_method("Mine")
    assert session.render().shape == (64, 64, 3)


def test_a_name_is_given_once(toy):
    with pytest.raises(ValueError, match="two methods of the name 'Toy'"):
        METHODS.register(replace(METHODS["Toy"], tasks=(TRANSFER,)))
    with pytest.raises(KeyError, match=r"no 'Tay' among the methods; there are .*Toy"):
        METHODS["Tay"]
