"""A method in one file: every class of the mask in the mean colour that it has in the photo, times a learnt gain."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.data.batches import Batch, to_uint8_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.methods.method import Method, by_mask
from maskgan_lib.networks import one_hot
from maskgan_lib.presets import Preset
from maskgan_lib.registry import METHODS, NETWORKS, SETTINGS, STAGES
from maskgan_lib.training.stage import OneLossStage, Terms, tile


class Fill(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(0.5))

    def forward(self, mask: Tensor, colours: Tensor) -> Tensor:
        return (self.gain * torch.einsum("bkhw,bkc->bchw", mask, colours)).tanh()


@NETWORKS.register
class ToyNetwork(nn.Module):
    def __init__(self, num_classes: int = NUM_CLASSES):
        super().__init__()
        self.config = {"num_classes": num_classes}
        self.backbone = Fill()

    def encode_style(self, image: Tensor, mask: Tensor) -> Tensor:
        return torch.einsum("bkhw,bchw->bkc", mask, image) / mask.sum(dim=(2, 3)).clamp(min=1)[..., None]

    def condition(self, style: Tensor) -> Tensor:
        return style

    def check(self, mask: Tensor) -> None:
        """Any size will do."""

    def render(self, mask: Tensor, style: Tensor) -> Tensor:
        return self.backbone(mask, self.condition(style))

    def forward(self, mask: Tensor, image: Tensor) -> Tensor:
        return self.render(mask, self.encode_style(image, mask))


@SETTINGS.called("toy")
@dataclass(frozen=True)
class ToySettings:
    batch: int = 4
    steps: int = 30
    lr: float = 1e-2


@STAGES.register
class ToyStage(OneLossStage):
    name = settings = "toy"
    averaged = ("toy",)

    def __init__(self, preset: Preset, faces: PackedFaces):
        self.networks = {"toy": ToyNetwork()}
        self.optimizers = {"toy": torch.optim.Adam(self.networks["toy"].parameters(), lr=preset.toy.lr)}
        self.config = {"lr": preset.toy.lr}

    def loss(self, batch: Batch) -> tuple[Tensor, Terms]:
        loss = F.l1_loss(self.networks["toy"](one_hot(batch.mask), batch.image), batch.image)
        return loss, {"loss": loss}

    def sample(self, networks: dict[str, nn.Module], batch: Batch) -> np.ndarray:
        made = networks["toy"](one_hot(batch.mask), batch.image)
        return tile(to_uint8_image(torch.cat([batch.image, made])), len(made))


METHODS.register(Method("Toy", ToyNetwork, "toy", by_mask))
