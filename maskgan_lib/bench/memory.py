"""How much memory training takes: here, and on a GPU, where it is counted without one.

What a step needs follows from the networks' shapes, so it can be counted for any size without computing: tensors on
the "meta" device have shapes and no numbers.
"""

import resource
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from maskgan_lib.bench.costs import Effort, Figure, at_work
from maskgan_lib.data import procedural
from maskgan_lib.data.batches import Batch
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.losses import PerceptualLoss, VGG19Features
from maskgan_lib.networks import MaskVAE
from maskgan_lib.presets import PRESETS, Preset
from maskgan_lib.training.ebst import EBSTStage
from maskgan_lib.training.execution import set_recompute

OPTIONS = {"plain": (1, False), "--accumulate 4": (4, False), "--recompute": (1, True), "both": (4, True)}
"""Parts of a batch and whether activations are computed again."""


class Tally(TorchDispatchMode):
    """Bytes of the tensors that are made within: those that live ``now``, and the most at once, the ``peak``."""

    def __init__(self):
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in self.known:
                storage = tensor.untyped_storage()
                self.known.add(storage._cdata)
                weakref.finalize(storage, self._leave, storage._cdata, storage.nbytes())
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
        return result

    def _leave(self, place: int, size: int) -> None:
        self.known.discard(place)
        self.now -= size


def need(stage: EBSTStage, batch: Batch, parts: int, recompute: bool, accelerator: Accelerator) -> tuple[int, int]:
    """Bytes that stay from step to step, and the most at once in a step, without what cuDNN and the allocator take.

    What stays are weights, the averaged ones, frozen networks, gradients and the optimisers' moments.
    """
    modules, trained = stage.modules(), stage.networks.values()
    for module in modules:
        set_recompute(module, recompute)
    networks = [*modules, *(stage.networks[name] for name in stage.averaged)]
    held = sum(tensor.nbytes for network in networks for tensor in network.state_dict().values())
    with Tally() as tally:
        for optimizer in stage.optimizers.values():  # a step without a gradient makes the moments
            for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
        stage.step(batch.parts(parts), accelerator)
    gradients = sum(parameter.grad.nbytes for network in trained for parameter in network.parameters())
    states = (state for optimizer in stage.optimizers.values() for state in optimizer.state.values())
    moments = sum(tensor.nbytes for state in states for tensor in state.values())
    return held + gradients + moments, held + tally.peak


def stage_without_numbers(preset: Preset, faces: PackedFaces) -> tuple[EBSTStage, Batch]:
    """EBST at the size of ``faces`` and one of its batches, on the meta device."""
    size, count = faces.size, preset.ebst.batch
    slight = MaskVAE(size, width=1, latent=1)  # the stage takes the fingerprint of its numbers
    with torch.device("meta"):
        stage = EBSTStage(preset.replace({"adversary.perceptual": "random-pyramid"}), faces, slight)
        maskvae = MaskVAE(size, width=preset.maskvae.width, latent=preset.maskvae.latent)
        stage.maskvae = maskvae.eval().requires_grad_(False)
        if preset.adversary.perceptual == "vgg19":
            stage.perceptual = PerceptualLoss(VGG19Features(trained=False))
        image = torch.empty(count, 3, size, size)
        mask, reference = torch.empty(2, count, size, size, dtype=torch.uint8)
    # Step 1: one without R1, as most are.
    return stage, Batch(image, mask, np.arange(count), 1, 0, slice(0, count), count, reference)


def bench_memory(effort: Effort, folder: Path) -> Iterator[Figure]:
    """What a step of EBST needs here, what it would need on a GPU, and the most that this process has held so far."""
    size, count = effort.preset.image_size, effort.preset.ebst.batch
    faces = procedural.render_packed(folder / "to-keep", 2 * count, size, progress=False)
    for option, way in OPTIONS.items():
        stage, accelerator, batches = at_work("ebst", effort.preset, faces)
        stays, most = need(stage, batches.at(1), *way, accelerator)
        yield f"ebst keeps, {size} x {size}, batch {count}, {option}: measured", (most - stays) / 1e6, "MB"
    for name in ("colab", "paper"):
        preset = PRESETS[name]
        size = preset.image_size
        faces = procedural.render_packed(folder / f"of-{size}", 1, size, progress=False)
        what = f"ebst, {name}, {size} x {size}, batch {preset.ebst.batch}"
        for option, way in OPTIONS.items():
            stays, most = need(*stage_without_numbers(preset, faces), *way, accelerator)
            if option == "plain":
                yield f"{what}: state, counted", stays / 1e9, "GB"
            yield f"{what}, {option}: estimated", most / 1e9, "GB"
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    yield "peak of this process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, "MB"
    if torch.cuda.is_available():
        yield "peak on the GPU", torch.cuda.max_memory_allocated() / 1e6, "MB"
