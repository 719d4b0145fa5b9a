"""One step of every stage on a GPU that is not there.

PyTorch's "meta" device stands for it: tensors on it have shapes and types and no numbers, so whoever asks for one, for
which a GPU would have to be waited for, is told off by PyTorch.
"""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from tiny_runs import RUNS, needed
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from maskgan_lib.data.batches import Batch, Batches
from maskgan_lib.training.stage import Stage
from maskgan_lib.training.stages import make_stage, run_settings

GPU = torch.device("meta")


class OneDevice(TorchDispatchMode):
    """Lets no operation but a copy have tensors of two devices. Numbers, which have no dimension, may be anywhere."""

    COPIES = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor) and leaf.dim()]
        if function not in self.COPIES and len({tensor.device for tensor in tensors}) > 1:
            raise AssertionError(f"{function} is given tensors on the CPU and on the GPU")
        return function(*args, **(kwargs or {}))


class OnGPU(Batch):
    """Noise, too, has no numbers."""

    def noise(self, *shape: int, device: torch.device | None = None) -> Tensor:
        return super().noise(*shape, device="cpu").to(device or GPU)


def move(stage: Stage) -> None:
    """All networks of the stage to the GPU, and the optimisers after them."""
    modules = {id(m): m for m in (*stage.modules(), *vars(stage).values()) if isinstance(m, nn.Module)}.values()
    before = [parameter for module in modules for parameter in module.parameters()]
    after = [parameter for module in modules for parameter in module.to(GPU).parameters()]
    moved = {id(old): new for old, new in zip(before, after, strict=True)}
    for optimizer in stage.optimizers.values():
        for group in optimizer.param_groups:
            group["params"] = [moved[id(parameter)] for parameter in group["params"]]


@pytest.fixture
def make(faces, tmp_path, monkeypatch):
    """A function that makes a stage of ``RUNS`` and a batch for it, both on the GPU."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # which this device does not have

    def make(name: str) -> tuple[Stage, Batch]:
        name, preset = RUNS[name]
        stage, size = make_stage(name, preset, faces, **needed(tmp_path)), run_settings(name, preset).batch_size
        move(stage)
        asked = {"references": stage.references, "expressions": stage.expressions}
        batch = vars(Batches(faces, faces.indices("train"), size, **asked).at(0))
        return stage, OnGPU(
            **{key: value.to(GPU) if isinstance(value, Tensor) else value for key, value in batch.items()}
        )

    return make


@pytest.mark.parametrize("name", RUNS)
def test_a_step_leaves_nothing_on_the_cpu_and_does_not_wait_for_the_gpu(name, make):
    stage, batch = make(name)
    with OneDevice():
        for _ in range(2):  # what a step uploads once is there in the second
            losses = stage.step([batch], Accelerator())
    assert losses and all(loss.device == GPU and loss.shape == () for loss in losses.values())
    for network in stage.networks.values():
        assert all(parameter.grad is None or parameter.grad.device == GPU for parameter in network.parameters())


@pytest.mark.parametrize("left", ["networks", "batch"])
def test_what_is_left_on_the_cpu_is_found(left, make):
    stage, batch = make("maskvae")
    if left == "networks":
        stage.networks["maskvae"].to_empty(device="cpu")
    else:
        batch = replace(batch, mask=torch.zeros(batch.mask.shape, dtype=torch.uint8))
    with OneDevice(), pytest.raises(AssertionError, match="on the CPU and on the GPU"):
        stage.step([batch], Accelerator())
