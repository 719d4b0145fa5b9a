"""How far apart two sets of pictures are, by the features of a network: FID and KID, and the same in other features.

A distance between sets depends on how many pictures there are, and on the network: only with Inception's published
weights it is called FID. In the features of any other network it has another name, and cannot be compared with it.
"""

import socket
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from maskgan_lib.checkpoints import CheckpointError
from maskgan_lib.checkpoints.files import READ_ERRORS, read_pickled
from maskgan_lib.data.batches import to_uint8_image
from maskgan_lib.evaluation.estimates import Figure

FALLBACK_NAME = "Fréchet distance (attribute net)"
"""What the distance in the features of the attribute net is called."""

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
"""What torch-fidelity calls the file of its weights, which ``torch.hub`` keeps."""

TIMEOUT = 30.0
"""Seconds after which a server that does not answer counts as not reached."""


class WeightsMissing(CheckpointError):
    """Published weights that a measure needs are not there: one sentence that says which, and what to do."""


# ---- distances between features


def frechet_distance(a: np.ndarray | Tensor, b: np.ndarray | Tensor) -> float:
    """Fréchet distance of the Gaussians with the means and covariances of ``a [N, F]`` and ``b [M, F]``, in float64.

    |mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), Heusel et al. 2017. With C = R^T R for each, from the QR
    decomposition of the centred features, the trace of the root is the sum of the singular values of R_a R_b^T: no
    root is taken of a matrix, and it does not matter if a covariance is singular. ``ValueError`` for sets of one.
    """
    a, b = _features(a, b)
    roots = [torch.linalg.qr((x - x.mean(dim=0)) / (len(x) - 1) ** 0.5, mode="r").R for x in (a, b)]
    traces = sum(root.square().sum() for root in roots)
    shared = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    return float((a.mean(dim=0) - b.mean(dim=0)).square().sum() + traces - 2 * shared)


def kernel_distance(a: np.ndarray | Tensor, b: np.ndarray | Tensor) -> float:
    """Squared maximum mean discrepancy of ``a [N, F]`` and ``b [M, F]`` with the kernel (x.y / F + 1)^3, in float64.

    The unbiased estimate over all samples (Binkowski et al. 2018): its mean does not depend on N and M, and it can be
    negative. KID if the features are Inception's. ``ValueError`` for sets of one.
    """
    a, b = _features(a, b)

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def among(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.diagonal().sum()) / (len(x) * (len(x) - 1))

    return float(among(a) + among(b) - 2 * kernel(a, b).mean())


def frechet_by_count(a: np.ndarray | Tensor, b: np.ndarray | Tensor, counts: Sequence[int]) -> dict[int, float]:
    """``frechet_distance`` by the number of pictures: the fewer there are, the larger it comes out.

    For each of ``counts`` both sets are shuffled and cut into blocks of so many pictures; the mean over the blocks.
    """
    a, b = _features(a, b)
    most = min(len(a), len(b))
    if not all(2 <= count <= most for count in counts):
        raise ValueError(f"Counts must be from 2 to {most}, the pictures that there are of each set, not {counts}.")
    rng = np.random.default_rng(0)
    a, b = (x[rng.permutation(len(x))] for x in (a, b))

    def over_blocks(count: int) -> float:
        starts = range(0, most - count + 1, count)
        return float(np.mean([frechet_distance(a[k : k + count], b[k : k + count]) for k in starts]))

    return {count: over_blocks(count) for count in counts}


def inception_score(logits: np.ndarray | Tensor) -> float:
    """exp of the mean Kullback-Leibler divergence of each picture's classes from the set's; ``logits [N, K]``.

    Salimans et al. 2016, over all pictures at once. From 1 (all alike, or no class is certain) to K.
    """
    log_p = torch.as_tensor(logits).detach().cpu().double().log_softmax(dim=1)
    p = log_p.exp()
    return float((p * (log_p - p.mean(dim=0).log())).sum(dim=1).mean().exp())


def _features(a: np.ndarray | Tensor, b: np.ndarray | Tensor) -> tuple[Tensor, Tensor]:
    """Both in float64 on the CPU."""
    a, b = (torch.as_tensor(x).detach().cpu().double() for x in (a, b))
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        shapes = f"{list(a.shape)} and {list(b.shape)}"
        raise ValueError(f"Two sets of at least two pictures with equally long features are needed, not {shapes}.")
    return a, b


# ---- in the features of published networks


def inception(weights: str | Path | None = None, device: str | torch.device = "cpu") -> nn.Module:
    """Inception-v3 of the FID, as torch-fidelity has it: uint8 ``[B, 3, H, W]`` to features and logits.

    ``weights`` is torch-fidelity's file of them; without, they are downloaded once (``torch.hub``, 95 MB). Raises
    ``WeightsMissing`` if torch-fidelity is not installed, or the weights cannot be had.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError:
        raise WeightsMissing("FID and KID need torch-fidelity: `pip install torch-fidelity`.") from None
    if weights is not None:
        read_pickled(weights, "name torch-fidelity's file of Inception's weights")  # torch-fidelity runs code in it
    asked, before = ["2048", "logits_unbiased"], socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        network = FeatureExtractorInceptionV3("inception-v3-compat", asked, weights and str(weights))
    except READ_ERRORS as error:
        short = str(error).partition("\n")[0].rstrip(":")
        why = f"which could not be downloaded ({short}): try again with a connection to the internet, or do without FID"
        if weights is not None:
            why = f"and {weights} does not hold them ({short}): name another file"
        raise WeightsMissing(f"FID and KID need Inception's weights, {why}.") from error
    finally:
        socket.setdefaulttimeout(before)
    return network.to(device)


@torch.no_grad()
def inception_features(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Features ``[B, 2048]`` and logits ``[B, 1008]`` of pictures ``[B, 3, H, W]`` in [-1, 1] of any size."""
    device = next(network.parameters()).device
    return network(torch.from_numpy(to_uint8_image(images)).movedim(-1, -3).contiguous().to(device))


def fid(
    made: Iterable[Tensor],
    real: Iterable[Tensor],
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
) -> list[Figure]:
    """FID and KID between two sets of pictures, and the Inception score of ``made``.

    Both are batches ``[B, 3, H, W]`` in [-1, 1]; raises what ``inception`` raises. FID has a bias that falls with the
    number of pictures: it stands beside every figure.
    """
    network = inception(weights, device)
    (ours, logits), (theirs, _) = (
        map(torch.cat, zip(*(inception_features(network, images) for images in pictures), strict=True))
        for pictures in (made, real)
    )
    count = min(len(ours), len(theirs))
    return [
        Figure("FID", frechet_distance(ours, theirs), "", count),
        Figure("KID", kernel_distance(ours, theirs), "", count),
        Figure("Inception score", inception_score(logits), "", len(ours)),
    ]
