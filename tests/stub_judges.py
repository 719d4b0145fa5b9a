"""Hand-made judges whose answers are known, methods for them, made-up answers, and what HopeNet's file holds."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.models import resnet

from maskgan_lib.evaluation.methods import TASKS, TrainedMethod
from maskgan_lib.evaluation.run import Graded

GREYS = torch.linspace(-0.9, 0.9, 19)


@dataclass
class Judges:
    """Reads the class of a pixel off its grey, takes the bright for smiling, and knows people by a thumbnail."""

    fingerprint: str = "judges"
    identity_net: object | None = "thumbnails"
    attribute_names: tuple[str, ...] = ("Young", "Smiling")
    origins: dict = field(default_factory=lambda: {"parser": "made by hand", "attributes": "made by hand"})

    def parse(self, images):
        return (images.mean(dim=1)[:, None] - GREYS[:, None, None]).abs().argmin(dim=1).byte()

    def attributes(self, images):
        brightness = images.mean(dim=(1, 2, 3))
        return torch.stack([-brightness, brightness], dim=1)

    def features(self, images):
        return F.adaptive_avg_pool2d(images, 1).flatten(1)

    def identity(self, images):
        return F.normalize(F.adaptive_avg_pool2d(images, 4).flatten(1))


def paint(request):
    """Every class of the edited mask in its grey."""
    return GREYS[request.edited.long()][:, None].expand(-1, 3, -1, -1).contiguous()


class Counting:
    """A painter that counts the pictures it makes, and fails at call ``dies_at``."""

    def __init__(self, dies_at: int | None = None):
        self.calls, self.pictures, self.dies_at = 0, 0, dies_at

    def __call__(self, request):
        self.calls += 1
        if self.calls == self.dies_at:
            raise KeyboardInterrupt
        self.pictures += len(request.target)
        return paint(request)


def method(make=paint, fingerprint="painter", tasks=TASKS) -> TrainedMethod:
    return TrainedMethod("painter", make, fingerprint, tasks)


def made_up(embeddings=None, features=None, **values) -> Graded:
    values = {name: np.asarray(column, float) for name, column in values.items()}
    count = len(next(iter(values.values()))) if values else len(embeddings if features is None else features)
    return Graded(values, np.zeros((count, 3)) if features is None else features, embeddings)


def hopenet_layout(layers: list[int]) -> dict[str, tuple[int, ...]]:
    """Names and shapes in a published snapshot, which is from before batch normalisation counted its batches."""
    with torch.device("meta"):
        network = resnet.ResNet(resnet.Bottleneck, layers)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    shapes = {n: s for n, s in shapes.items() if not n.startswith("fc.") and not n.endswith("num_batches_tracked")}
    for angle in ("yaw", "pitch", "roll"):
        shapes |= {f"fc_{angle}.weight": (66, 2048), f"fc_{angle}.bias": (66,)}
    return shapes | {"fc_finetune.weight": (3, 2051), "fc_finetune.bias": (3,)}


def within(region: np.ndarray, reach: int) -> np.ndarray:
    """The pixels that are at most ``reach`` rows and columns from one of ``region``, by brute force."""
    near = np.zeros_like(region)
    for y, x in np.argwhere(region):
        near[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1] = True
    return near
