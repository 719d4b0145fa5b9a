"""Distances between sets of pictures against closed forms, double loops and torchmetrics; and the weights that lack."""

import socket
import sys
import time
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from maskgan_lib.checkpoints import CheckpointError
from maskgan_lib.evaluation import distances
from maskgan_lib.evaluation.distances import (
    WeightsMissing,
    fid,
    frechet_by_count,
    frechet_distance,
    inception,
    inception_score,
    kernel_distance,
)


class Given(nn.Module):
    """A feature net whose pictures are the features themselves."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, x):
        return x


def with_moments(mean: np.ndarray, covariance: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Samples ``[count, F]`` that have exactly this mean and covariance."""
    x = np.random.default_rng(seed).normal(size=(count, len(mean)))
    x -= x.mean(axis=0)
    whiten = np.linalg.inv(np.linalg.cholesky(np.atleast_2d(np.cov(x.T))))
    return x @ whiten.T @ np.linalg.cholesky(covariance).T + mean


def some_features(seed: int, a: int, b: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    mix = rng.normal(size=(size, size))
    return rng.normal(size=(a, size)) @ mix, 1.5 * rng.normal(size=(b, size)) + rng.normal(size=size)


@given(st.integers(0, 10_000), st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_frechet_distance_of_equal_covariances_is_that_of_the_means(seed, size):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(size, size)) + 2 * np.eye(size)
    one, other = rng.normal(size=(2, size))
    a, b = (with_moments(mean, root @ root.T, 40, seed + k) for k, mean in enumerate((one, other)))
    assert frechet_distance(a, b) == pytest.approx(((one - other) ** 2).sum(), abs=1e-8)


@pytest.mark.parametrize(("a", "b", "size"), [(200, 150, 12), (9, 14, 20)], ids=["many", "fewer than features"])
def test_frechet_distance_is_that_of_torchmetrics(a, b, size):
    one, other = some_features(0, a, b, size)
    metric = FrechetInceptionDistance(Given(size)).set_dtype(torch.float64)
    metric.update(torch.as_tensor(one), real=True)
    metric.update(torch.as_tensor(other), real=False)
    assert frechet_distance(one, other) == pytest.approx(metric.compute().item(), rel=1e-5)
    assert frechet_distance(other, one) == pytest.approx(frechet_distance(one, other))


def test_frechet_distance_of_singular_covariances():
    x = some_features(1, 60, 60, 8)[0]
    assert abs(frechet_distance(x, x[::-1].copy())) < 1e-9
    constant = np.ones((5, 3))
    assert frechet_distance(constant, constant + 1) == pytest.approx(3)


@given(st.integers(0, 10_000), st.integers(2, 7), st.integers(2, 7), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_kernel_distance_by_a_double_loop(seed, n, m, size):
    a, b = some_features(seed, n, m, size)

    def k(x, y):
        return (float(np.dot(x, y)) / size + 1) ** 3

    among_a = np.mean([k(a[i], a[j]) for i in range(n) for j in range(n) if i != j])
    among_b = np.mean([k(b[i], b[j]) for i in range(m) for j in range(m) if i != j])
    between = np.mean([k(x, y) for x in a for y in b])
    assert kernel_distance(a, b) == pytest.approx(among_a + among_b - 2 * between, rel=1e-9, abs=1e-9)


def test_kernel_distance_has_no_bias_and_frechet_distance_has():
    rng = np.random.default_rng(0)
    small = [rng.normal(size=(2, 10, 5)) for _ in range(300)]
    kernel = [kernel_distance(*pair) for pair in small]
    assert abs(np.mean(kernel)) < 3 * np.std(kernel) / np.sqrt(300)
    assert min(kernel) < 0
    assert np.mean([frechet_distance(*pair) for pair in small]) > 1


def test_frechet_by_count_shows_the_bias():
    a, b = np.random.default_rng(3).normal(size=(2, 600, 10))
    by_count = frechet_by_count(a, b, [20, 100, 600])
    assert list(by_count) == [20, 100, 600]
    assert by_count[20] > 2 * by_count[100] > 4 * by_count[600] > 0
    assert by_count[600] == pytest.approx(frechet_distance(a, b))
    assert frechet_by_count(a, b, [20]) == {20: by_count[20]}
    constant = np.tile([[1.0, 2.0]], (7, 1))
    assert frechet_by_count(constant, constant - [[1, 0]], [2, 3, 7]) == pytest.approx({2: 1, 3: 1, 7: 1})


@pytest.mark.parametrize("distance", [frechet_distance, kernel_distance])
@pytest.mark.parametrize("shapes", [((1, 3), (5, 3)), ((5, 3), (5, 4)), ((5,), (5,))])
def test_sets_without_a_distance_are_refused(distance, shapes):
    with pytest.raises(ValueError, match="at least two pictures with equally long features"):
        distance(*(np.zeros(shape) for shape in shapes))


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore`", "ignore:std")
def test_inception_score():
    assert inception_score(np.eye(4) * 1000) == pytest.approx(4)
    assert inception_score(np.zeros((5, 3))) == pytest.approx(1)
    assert inception_score(np.tile([[9.0, 0, 0]], (5, 1))) == pytest.approx(1)
    logits = torch.randn(40, 7, generator=torch.Generator().manual_seed(0)) * 3
    metric = InceptionScore(Given(7), splits=1)
    metric.update(logits)
    assert inception_score(logits) == pytest.approx(metric.compute()[0].item(), rel=1e-5)


# ---- published weights


def unreachable(*_args, **_options):
    raise URLError("no such host")


def test_without_weights_fid_says_so_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", unreachable)
    pictures = [torch.zeros(2, 3, 32, 32)]
    with pytest.raises(CheckpointError, match=r"^FID and KID need Inception's weights, which could not be downloaded"):
        fid(pictures, pictures)
    assert not list(tmp_path.rglob("*.pth"))
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(WeightsMissing, match="pip install torch-fidelity"):
        inception()


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(distances, "TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.pth"
        monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.URL_INCEPTION_V3", address)
        before, start = socket.getdefaulttimeout(), time.monotonic()
        with pytest.raises(WeightsMissing, match="timed out"):
            inception()
        assert time.monotonic() - start < 10
        assert socket.getdefaulttimeout() == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, r"There is no file .*file\.pth"),
        (b"not weights", r"file\.pth cannot be read"),
        ({"fc.weight": torch.zeros(3)}, r"file\.pth does not hold them .*: name another file\.$"),
        (nn.Linear(1, 1), r"file\.pth cannot be read"),  # a pickled module: reading it would run code
    ],
)
def test_files_that_hold_no_inception_are_refused(tmp_path, content, said):
    path = tmp_path / "file.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        torch.save(content, path)
    with pytest.raises(CheckpointError, match=said):
        inception(path)


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory):
    """A file of torch-fidelity's Inception with random weights."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path_factory.mktemp("inception") / "inception.pth"
    torch.save({}, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        torch.manual_seed(0)
        network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
    torch.save(network.state_dict(), path)
    return path


def test_fid_and_kid_are_those_of_torchmetrics(random_inception, monkeypatch):
    inception_class = "torch_fidelity.feature_extractor_inceptionv3.FeatureExtractorInceptionV3"
    monkeypatch.setattr(f"{inception_class}.INPUT_IMAGE_SIZE", 80)  # instead of 299, to save time
    generator = torch.Generator().manual_seed(0)
    made, real = (torch.rand(count, 3, 20, 20, generator=generator) * 2 - 1 for count in (3, 2))
    figures = fid(made.split(2), real.split(2), random_inception)
    assert [(figure.name, figure.faces) for figure in figures] == [("FID", 2), ("KID", 2), ("Inception score", 3)]
    metric = FrechetInceptionDistance(feature_extractor_weights_path=str(random_inception), antialias=False)
    metric.update(((real + 1) * 127.5).round().byte(), real=True)
    metric.update(((made + 1) * 127.5).round().byte(), real=False)
    assert figures[0].value == pytest.approx(metric.compute().item(), rel=1e-3)
    assert figures[0].value > 0 and figures[2].value >= 1
