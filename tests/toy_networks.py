"""What tests of networks and stages share: masks, livelier weights, layers written once more, and plain descent."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.data.batches import Batch, Batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.networks import one_hot
from maskgan_lib.presets import Preset
from maskgan_lib.training.stage import Stage
from maskgan_lib.training.stages import make_stage, run_settings


def masks(count: int, height: int, width: int | None = None, seed: int = 0) -> Tensor:
    """One-hot planes of noise, ``[count, 19, height, width]``; square unless ``width`` is given."""
    generator = torch.Generator().manual_seed(seed)
    return one_hot(torch.randint(0, NUM_CLASSES, (count, height, width or height), generator=generator))


def livelier(network: nn.Module, gain: float = 1.5) -> nn.Module:
    """Weights large enough that the outputs, near zero with the authors' initialisation, vary from input to input."""
    generator = torch.Generator().manual_seed(7)
    for parameter in network.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 10
        drawn = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        parameter.data = drawn * gain / fan_in**0.5
    return network.eval()


def instance_norm(x: Tensor, layer: nn.InstanceNorm2d) -> Tensor:
    """``layer`` of ``x``, by its formula."""
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
    return (x - mean) / (variance + 1e-5).sqrt() * layer.weight[:, None, None] + layer.bias[:, None, None]


def descending(name: str, preset: Preset, faces: PackedFaces, rate: float = 1e-2, **trained) -> Stage:
    """A stage with always the same weights and gradient descent: Adam would make whole steps of rounding errors."""
    torch.manual_seed(0)
    stage = make_stage(name, preset, faces, **trained)
    for key, optimizer in stage.optimizers.items():
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        stage.optimizers[key] = torch.optim.SGD(parameters, lr=rate)
    return stage


def batches_of(name: str, preset: Preset, faces: PackedFaces) -> Callable[[int], Batch]:
    """The batches of the stage ``name`` by their steps."""
    size, several = run_settings(name, preset).batch_size, "expressions" in faces.made_by
    return Batches(faces, faces.indices("train"), size, 3, references=True, expressions=several).at


def numbers(losses: dict[str, Tensor]) -> dict[str, float]:
    """The losses as plain numbers."""
    return {name: torch.as_tensor(loss).item() for name, loss in losses.items()}


def assert_same_gradients(ours, theirs, rtol: float = 1e-3, atol: float = 1e-5) -> None:
    """Every parameter of two networks has the same gradient."""
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=rtol, atol=atol, msg=lambda text, name=name: f"{name}: {text}")
