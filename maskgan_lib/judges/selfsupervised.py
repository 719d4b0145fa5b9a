"""Features for ssFID: a network learns without labels (VICReg) that two views of one picture are alike.

And that no two features say the same.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.judges.resnet import ResNet18
from maskgan_lib.judges.stage import JudgeSettings, JudgeStage, nearest, sheet
from maskgan_lib.presets import Preset
from maskgan_lib.registry import NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.labels import uniform
from maskgan_lib.training.stage import Terms


@NETWORKS.register
class SelfSupervisedNet(ResNet18):
    """Image ``[B, 3, H, W]`` in [-1, 1] to an embedding ``[B, projection]``, which training alone looks at.

    What it has learnt are its ``features``, ``[B, 8 * width]``. A ResNet-18 and, as in VICReg (Bardes et al., ICLR
    2022), an expander of three linear layers, the first two with batch normalisation. Faces of any size from 32 pixels
    up.
    """

    def __init__(self, width: int = 64, projection: int = 8192):
        super().__init__(width)
        self.config = {"width": width, "projection": projection}
        layers = [nn.Linear(self.channels, projection, bias=False)]
        for _ in range(2):
            layers += [nn.BatchNorm1d(projection), nn.ReLU(inplace=True), nn.Linear(projection, projection, bias=False)]
        self.expander = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        return self.expander(self.features(image))


SMALLEST_AREA = 0.4
"""Of a crop, as a share of the picture's: ours, so that a crop shows most of a face; 0.08 in VICReg."""
BRIGHTNESS, CONTRAST, SATURATION, TURN = 0.4, 0.4, 0.2, 0.2 * math.pi
"""The furthest change of light: the first three are factors about one, the last an angle by which hues turn."""
GREY = 0.2
"""How many of the views have no colours. Without such a change of light two views are told by their colours alone."""
NUMBERS = 9
"""That a view is made from."""
TO_LUMA = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))
"""From RGB to luma and two chroma axes (NTSC's YIQ), in which hues turn and saturation is a length."""


def two_views(batch: Batch) -> tuple[Tensor, Tensor]:
    """Two views of each photo of ``batch``, ``[B, 3, S, S]`` each; what is drawn depends on seed and step alone."""
    first, second = uniform(batch, 2 * NUMBERS).chunk(2, dim=1)
    return view(batch.image, first), view(batch.image, second)


def view(image: Tensor, numbers: Tensor) -> Tensor:
    """A crop of each image at the old size, perhaps mirrored, in other light: ``[B, 3, S, S]`` in [-1, 1].

    ``numbers [B, 9]`` in [0, 1] say how: area, left edge, top edge, mirrored above 1/2, then what ``relit`` takes. As
    in VICReg but for its blur and its solarised views: a picture's sharpness is what a distance has to see.
    """
    area, left, top, mirrored = numbers[:, :4].T
    side = (SMALLEST_AREA + (1 - SMALLEST_AREA) * area).sqrt()
    # The picture lies in [-1, 1]: a crop's centre can move by what its side leaves free.
    theta = torch.zeros(len(image), 2, 3, device=image.device)
    theta[:, 0, 0], theta[:, 1, 1] = torch.where(mirrored > 0.5, -side, side), side
    theta[:, 0, 2], theta[:, 1, 2] = ((1 - side) * (2 * place - 1) for place in (left, top))
    grid = F.affine_grid(theta, image.shape, align_corners=False)
    crop = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return relit(crop, numbers[:, 4:])


def relit(image: Tensor, numbers: Tensor) -> Tensor:
    """Each image in other light: ``numbers [B, 5]`` in [0, 1] are brightness, contrast, saturation, hue, grey or not.

    One half changes nothing, but that views below ``GREY`` in the last number lose their colours.
    """
    brightness, contrast, saturation, turn, grey = (2 * numbers - 1).T[..., None, None]
    to_luma, to_rgb = _luma(image.device, image.dtype)
    shown = (image + 1) / 2 * (1 + BRIGHTNESS * brightness[..., None])
    luma, *chroma = torch.einsum("ij,bjhw->ibhw", to_luma, shown)
    mean = luma.mean(dim=(1, 2), keepdim=True)
    luma = mean + (1 + CONTRAST * contrast) * (luma - mean)
    strength = torch.where(grey < 2 * GREY - 1, 0, (1 + CONTRAST * contrast) * (1 + SATURATION * saturation))
    cosine, sine = strength * (TURN * turn).cos(), strength * (TURN * turn).sin()
    axes = torch.stack([luma, cosine * chroma[0] - sine * chroma[1], sine * chroma[0] + cosine * chroma[1]])
    changed = torch.einsum("ij,jbhw->bihw", to_rgb, axes)
    return (2 * changed - 1).clamp(-1, 1)


@cache
def _luma(device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """``TO_LUMA`` and its inverse, uploaded once: a GPU would have to be waited for at every step."""
    to_luma = torch.tensor(TO_LUMA, dtype=dtype)
    return to_luma.to(device), torch.linalg.inv(to_luma).to(device)


def variance_loss(embeddings: Tensor, epsilon: float = 1e-4) -> Tensor:
    """VICReg (Bardes et al., ICLR 2022, Eq. 1): how far the dimensions of ``[B, D]`` fall short of deviation 1, mean.

    ``epsilon`` is added to the variances: without it the slope of a dimension without any would be infinite.
    """
    return F.relu(1 - (embeddings.var(dim=0) + epsilon).sqrt()).mean()


def covariance_loss(embeddings: Tensor) -> Tensor:
    """VICReg (Eq. 4): the squared covariances of different dimensions of ``[B, D]``, summed and divided by D."""
    count, dimensions = embeddings.shape
    centred = embeddings - embeddings.mean(dim=0)
    covariance = centred.T @ centred / (count - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / dimensions


@SETTINGS.called("selfsupervised")
@dataclass(frozen=True)
class SelfSupervisedSettings(JudgeSettings):
    """Of the net whose features ssFID is measured in, and its training: VICReg's values, but for ResNet-50 and LARS.

    SeCGAN's authors do not say which theirs was.
    """

    projection: int = 8192  # 8192
    invariance_weight: float = 25.0  # 25
    variance_weight: float = 25.0  # 25
    covariance_weight: float = 1.0  # 1
    batch: int = 256  # 2048


@STAGES.register
class SelfSupervisedStage(JudgeStage):
    """Minimises VICReg's three terms (Bardes et al., ICLR 2022, Eq. 6): no labels, negatives or teacher.

    With several processes variance and covariance are those of a process' own share of the batch.
    """

    name = settings = "selfsupervised"

    def __init__(self, preset: Preset, faces: PackedFaces):
        own = preset.selfsupervised
        self.weights = {
            "invariance": own.invariance_weight,
            "variance": own.variance_weight,
            "covariance": own.covariance_weight,
        }
        config = {f"{name} weight": weight for name, weight in self.weights.items()}
        super().__init__(preset, SelfSupervisedNet(own.width, own.projection), config)

    def loss(self, batch: Batch) -> tuple[Tensor, Terms]:
        """The weighted sum, and its terms. Both views go through in one pass, so batch normalisation sees both."""
        first, second = self.networks["selfsupervised"](torch.cat(two_views(batch))).float().chunk(2)
        terms = {
            "invariance": F.mse_loss(first, second),
            "variance": variance_loss(first) + variance_loss(second),
            "covariance": covariance_loss(first) + covariance_loss(second),
        }
        loss = sum(self.weights[name] * term for name, term in terms.items())
        return loss, {"loss": loss, **terms}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        """Rows: photos, their two views, and for each the most similar other photo of the batch."""
        similar = batch.image[nearest(networks["selfsupervised"].features(batch.image))]
        return sheet(*(row[:8] for row in (batch.image, *two_views(batch), similar)))
