"""A network learns without labels (VICReg): two views of one picture are alike, and no two features say the same."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.losses import covariance_loss, variance_loss
from maskgan_lib.networks import SelfSupervisedNet
from maskgan_lib.presets import Preset
from maskgan_lib.training.stage import BETAS, Stage, tile, update

SMALLEST_AREA = 0.4
"""Of a crop, as a share of the picture's."""
BRIGHTNESS, CONTRAST, SATURATION = 0.2, 0.2, 0.2
"""The furthest change: brightness is added, the other two are factors about one."""
NUMBERS = 7
"""That a view is made from."""


def two_views(batch: Batch) -> tuple[Tensor, Tensor]:
    """Two views of each photo of ``batch``, ``[B, 3, S, S]`` each; what is drawn depends on seed and step alone."""
    # From the normal distribution to the uniform one on [0, 1].
    draws = torch.special.ndtr(batch.noise(2, NUMBERS))
    first, second = (view(batch.image, numbers) for numbers in draws.unbind(dim=1))
    return first, second


def view(image: Tensor, numbers: Tensor) -> Tensor:
    """A crop of each image at the old size, perhaps mirrored, in other light: ``[B, 3, S, S]`` in [-1, 1].

    ``numbers [B, 7]`` in [0, 1] say how: area, left edge, top edge, mirrored above 1/2, brightness, contrast,
    saturation. Hues stay, and nothing is blurred or grey, unlike in VICReg: hair and skin by their colour, and a
    picture's sharpness, are what a distance between pictures has to see.
    """
    area, left, top, mirrored, *light = numbers.T
    side = (SMALLEST_AREA + (1 - SMALLEST_AREA) * area).sqrt()
    # The picture lies in [-1, 1]: a crop's centre can move by what its side leaves free.
    theta = torch.zeros(len(image), 2, 3, device=image.device)
    theta[:, 0, 0], theta[:, 1, 1] = torch.where(mirrored > 0.5, -side, side), side
    theta[:, 0, 2], theta[:, 1, 2] = ((1 - side) * (2 * place - 1) for place in (left, top))
    grid = F.affine_grid(theta, image.shape, align_corners=False)
    crop = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    brightness, contrast, saturation = (
        (most * (2 * number - 1))[:, None, None, None]
        for most, number in zip((BRIGHTNESS, CONTRAST, SATURATION), light, strict=True)
    )
    mean = crop.mean(dim=(1, 2, 3), keepdim=True)
    crop = mean + (1 + contrast) * (crop - mean) + brightness
    grey = crop.mean(dim=1, keepdim=True)
    return (grey + (1 + saturation) * (crop - grey)).clamp(-1, 1)


class SelfSupervisedStage(Stage):
    """Minimises VICReg's three terms (Bardes et al., ICLR 2022, Eq. 6) with Adam: no labels, negatives or teacher.

    With several processes variance and covariance are those of a process' own share of the batch.
    """

    name = settings = "selfsupervised"
    averaged = ("selfsupervised",)
    accumulates = False

    def __init__(self, preset: Preset, faces: PackedFaces):
        network = SelfSupervisedNet(preset.selfsupervised_width, preset.selfsupervised_projection)
        self.networks = {"selfsupervised": network}
        lr = preset.selfsupervised_lr
        self.optimizers = {"selfsupervised": torch.optim.Adam(network.parameters(), lr=lr, betas=BETAS)}
        self.weights = {
            "invariance": preset.selfsupervised_invariance_weight,
            "variance": preset.selfsupervised_variance_weight,
            "covariance": preset.selfsupervised_covariance_weight,
        }
        self.config = {"lr": lr, **{f"{name} weight": weight for name, weight in self.weights.items()}}

    def step(self, batches: Sequence[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
        """One update on two views of the photos; nothing else of the faces is looked at."""
        network = self.networks["selfsupervised"]
        return update(self.optimizers["selfsupervised"], [network], batches, self.loss, accelerator)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
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
        unit = F.normalize(networks["selfsupervised"].features(batch.image))
        nearest = (unit @ unit.T - 2 * torch.eye(len(unit), device=unit.device)).argmax(dim=1)
        rows = (batch.image, *two_views(batch), batch.image[nearest])
        return tile(to_uint8_image(torch.cat([row[:8] for row in rows])), min(8, len(unit)))
