"""The net of ssFID: its loss against naive loops, its views, that it learns without labels, and what is said of it."""

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_faces import images, pack_pictures, pack_toy_faces

from maskgan_lib.checkpoints import CheckpointError, load_weights, save_weights
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.packed import DataError
from maskgan_lib.evaluation.judges import Judge
from maskgan_lib.evaluation.selfsupervised import feature_judge, measure_selfsupervised
from maskgan_lib.judges.attributes import AttributeNet
from maskgan_lib.judges.selfsupervised import (
    NUMBERS,
    SelfSupervisedNet,
    covariance_loss,
    relit,
    two_views,
    variance_loss,
    view,
)
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.stages import make_stage, train_stage

pytestmark = pytest.mark.usefixtures("one_thread")

SMOKE = replace(PRESETS["smoke"], ema_decay=0.8, log_every=1, checkpoint_every=999, sample_every=999)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return pack_toy_faces(tmp_path_factory.mktemp("selfsupervised") / "toy", 12)


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    """Twelve pictures: stripes of six widths, lying and standing, of any colour."""
    waves = [np.sign(np.sin(np.arange(32) * 2 * np.pi / width)) for width in (2, 3, 5, 8, 12, 18) for _ in range(2)]
    pictures = [127 + 60 * np.broadcast_to(wave[:, None, None], (32, 32, 3)) for wave in waves]
    pictures = [(x if i % 2 else x.swapaxes(0, 1)) + 30 * np.eye(3)[i % 3] for i, x in enumerate(pictures)]
    return pack_pictures(tmp_path_factory.mktemp("stripes") / "p", np.array(pictures).astype(np.uint8))


def numbers(**changed: float) -> Tensor:
    names = ("area", "left", "top", "mirrored", "brightness", "contrast", "saturation", "hue", "grey")
    values = dict.fromkeys(names, 0.5) | {"area": 1.0} | changed
    return torch.tensor([[values[name] for name in names]])


# ---- the loss


def test_variance_and_covariance_are_those_of_naive_loops():
    z = torch.randn(7, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    z = z * torch.tensor([0.1, 0.5, 1.0, 2.0, 0.0]) + 3
    rows = z.tolist()
    means = [sum(row[d] for row in rows) / 7 for d in range(5)]

    def covariance(d: int, e: int) -> float:
        return sum((row[d] - means[d]) * (row[e] - means[e]) for row in rows) / 6

    short = [max(0.0, 1 - (covariance(d, d) + 1e-4) ** 0.5) for d in range(5)]
    assert sum(value == 0 for value in short) in (1, 2), "dimensions that vary enough cost nothing"
    assert variance_loss(z).item() == pytest.approx(sum(short) / 5)
    squares = sum(covariance(d, e) ** 2 for d in range(5) for e in range(5) if d != e)
    assert covariance_loss(z).item() == pytest.approx(squares / 5)
    collapsed = torch.ones(4, 3, requires_grad=True)
    (variance_loss(collapsed) + covariance_loss(collapsed)).backward()
    assert collapsed.grad.isfinite().all(), "a collapsed embedding still has a slope"


def test_the_stage_weighs_the_three_terms_of_both_views(faces):
    weights = {"invariance": 2.0, "variance": 3.0, "covariance": 5.0}
    preset = SMOKE.replace({f"selfsupervised.{name}_weight": weight for name, weight in weights.items()})
    stage, batch = make_stage("selfsupervised", preset, faces), Batches(faces, np.arange(12), 8).at(0)
    loss, terms = stage.loss(batch)
    network = stage.networks["selfsupervised"]
    a, b = network(torch.cat(two_views(batch))).chunk(2)
    torch.testing.assert_close(terms["invariance"], ((a - b) ** 2).sum() / a.numel())
    torch.testing.assert_close(terms["variance"], variance_loss(a) + variance_loss(b))
    torch.testing.assert_close(terms["covariance"], covariance_loss(a) + covariance_loss(b))
    torch.testing.assert_close(loss, 2 * terms["invariance"] + 3 * terms["variance"] + 5 * terms["covariance"])


# ---- the views


def test_views_depend_on_seed_and_step_alone(faces):
    torch.manual_seed(1)
    first = two_views(Batches(faces, np.arange(12), 8, seed=3).at(2))
    state = torch.manual_seed(2).get_state()
    again = two_views(Batches(faces, np.arange(12), 8, seed=3).at(2))
    assert torch.equal(torch.get_rng_state(), state), "no number is drawn from the global generator"
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(*first)
    halves = [two_views(part) for part in Batches(faces, np.arange(12), 8, seed=3).at(2).parts(2)]
    for whole, parts in zip(first, zip(*halves, strict=True), strict=True):
        torch.testing.assert_close(torch.cat(parts), whole)
    for seed, step in ((3, 3), (4, 2)):
        assert not torch.allclose(first[0], two_views(Batches(faces, np.arange(12), 8, seed=seed).at(step))[0])


def test_a_view_of_the_whole_in_the_same_light_is_the_picture_or_its_mirror_image():
    image = images(1)
    torch.testing.assert_close(view(image, numbers()), image, atol=1e-5, rtol=0)
    torch.testing.assert_close(view(image, numbers(mirrored=0.9)), image.flip(-1), atol=1e-5, rtol=0)
    seen = view(images(64), torch.rand(64, NUMBERS, generator=torch.Generator().manual_seed(0)))
    assert seen.shape == (64, 3, 32, 32) and seen.abs().max() <= 1 and seen.isfinite().all()


def test_a_crop_lies_where_its_numbers_say():
    """On a ramp a crop's pixels tell where they come from."""
    ramp = torch.linspace(-0.4, 0.4, 64).expand(1, 3, 64, 64)
    side = 0.4**0.5
    for left, start in ((0.0, -0.4), (1.0, 0.4 - 0.8 * side)):
        seen = view(ramp, numbers(area=0.0, left=left))[0, 0, 32, 1:-1]
        expected = start + 0.8 * side * (torch.arange(64) + 0.5)[1:-1] / 64
        torch.testing.assert_close(seen, expected, atol=0.01, rtol=0)
    down = ramp.transpose(-1, -2)
    assert view(down, numbers(area=0.0, top=0.0)).mean() < 0 < view(down, numbers(area=0.0, top=1.0)).mean()


def test_light_changes_as_it_is_called():
    image = images(2) * 0.4
    middle = torch.full((2, 5), 0.5)
    torch.testing.assert_close(relit(image, middle), image, atol=1e-5, rtol=0)

    def lit(place: int, value: float) -> Tensor:
        changed = middle.clone()
        changed[:, place] = value
        return relit(image, changed)

    torch.testing.assert_close(lit(0, 1.0) + 1, 1.4 * (image + 1), atol=1e-5, rtol=0)
    grey = lit(4, 0.0)
    assert (grey.amax(dim=1) - grey.amin(dim=1)).max() < 1e-2 < (image.amax(dim=1) - image.amin(dim=1)).max()
    assert lit(1, 0.0).std() < image.std() < lit(1, 1.0).std()
    spread = [(x.amax(dim=1) - x.amin(dim=1)).mean() for x in (lit(2, 0.0), image, lit(2, 1.0))]
    assert spread[0] < spread[1] < spread[2]
    hues = [colorsys.rgb_to_hsv(*((x[0, :, 0, 0] + 1) / 2).tolist())[0] for x in (image, lit(3, 1.0), lit(3, 0.0))]
    turned = [abs((hue - hues[0] + 0.5) % 1 - 0.5) for hue in hues[1:]]
    assert all(0.03 < turn < 0.2 for turn in turned), "about a tenth of the circle"


# ---- training


def test_it_learns_without_looking_at_labels_or_masks(stripes, tmp_path, monkeypatch):
    monkeypatch.setattr(type(stripes), "attribute", None)
    preset = SMOKE.replace({"selfsupervised.batch": 12, "selfsupervised.width": 8, "selfsupervised.lr": 3e-3})
    log = train_stage("selfsupervised", preset, stripes, tmp_path, steps=60)
    assert np.mean([entry["loss"] for entry in log[-5:]]) < 0.8 * np.mean([entry["loss"] for entry in log[:3]])
    torch.manual_seed(0)
    networks = [load_weights(tmp_path / "selfsupervised.safetensors"), SelfSupervisedNet(8, 16).eval()]
    unseen = [Batches(stripes, np.arange(12), 12, seed=5).at(k) for k in range(8)]
    learnt, untrained = (np.mean([found(network, batch) for batch in unseen]) for network in networks)
    assert learnt > 1.5 * untrained and learnt > 3 / 12


@torch.no_grad()
def found(network: SelfSupervisedNet, batch) -> float:
    """How often one view of a face has its nearest features in the other view of that face."""
    a, b = (torch.nn.functional.normalize(x - x.mean(dim=0)) for x in map(network.features, two_views(batch)))
    return ((a @ b.T).argmax(dim=1) == torch.arange(len(a))).float().mean().item()


# ---- what is said of the features


def test_figures_of_faces_that_colour_tells_apart(tmp_path):
    """Bright and dark pictures: any network finds the alike. The other label is drawn: none can."""
    rng, males = np.random.default_rng(0), np.arange(40) % 2
    pictures = rng.normal(60 + 130 * males[:, None, None, None], 3, (40, 32, 32, 3)).clip(0, 255).astype(np.uint8)
    known = [{"Male": 2 * int(m) - 1, "Smiling": 1 if rng.random() < 0.3 else -1, "Young": 1} for m in males]
    patches = pack_pictures(tmp_path / "p", pictures, attributes=known)
    torch.manual_seed(0)
    network = SelfSupervisedNet(4, 8).eval()
    state = torch.get_rng_state()
    figures = {figure.name: figure for figure in measure_selfsupervised(network, patches, np.arange(40))}
    assert torch.equal(torch.get_rng_state(), state)
    what = "nearest photo by features has the same label"
    assert figures[f"{what}, Male"].value == 1
    assert figures["the same of a photo chosen by chance, Male"].value == pytest.approx(0.5)
    share = (patches.attribute("Smiling") > 0).mean()
    by_chance = figures["the same of a photo chosen by chance, Smiling"].value
    assert by_chance == pytest.approx(share**2 + (1 - share) ** 2)
    assert figures[f"{what}, mean of 2 attributes"].value == pytest.approx(
        (1 + figures[f"{what}, Smiling"].value) / 2
    ), "an attribute that all have says nothing"
    assert figures["the same of an untrained network"].faces == 40
    with pytest.raises(DataError, match="no attribute that some of its faces have"):
        measure_selfsupervised(network, patches, np.flatnonzero(males == 1)[:2][[0, 0]])


def test_the_judge_of_features_answers_at_its_size(tmp_path):
    network = SelfSupervisedNet(2, 3).eval()
    save_weights(tmp_path / "net.safetensors", network, {"image_size": 32})
    judge = feature_judge(tmp_path / "net.safetensors")
    assert isinstance(judge, Judge) and judge.size == 32
    assert judge.ask(images(2, 48), judge.network.features).shape == (2, 16)
    save_weights(tmp_path / "other.safetensors", AttributeNet(["Male"], 2), {"image_size": 32})
    with pytest.raises(CheckpointError, match="AttributeNet, no SelfSupervisedNet"):
        feature_judge(tmp_path / "other.safetensors")
