"""How much memory training takes: here, and on a GPU, where it is counted without one.

What a step needs follows from the networks' shapes, so it can be counted for any size without computing: tensors on
the "meta" device have shapes and no numbers.
"""

import resource
import sys
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from maskgan_lib.bench.data import noise_folder
from maskgan_lib.bench.measuring import Effort, Row, prepared
from maskgan_lib.data.batches import Batch, Batches
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
                self._enter(tensor.untyped_storage())
        return result

    def _enter(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        self.known.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)

        def leave() -> None:
            self.known.discard(place)
            self.now -= size

        weakref.finalize(storage, leave)


def need(stage: EBSTStage, batch: Batch, parts: int, recompute: bool, accelerator: Accelerator) -> tuple[int, int]:
    """Bytes that stay from step to step, and the most at once in a step, without what cuDNN and the allocator take.

    What stays are weights, the averaged ones, frozen networks, gradients and the optimisers' moments.
    """
    modules = stage.modules()
    for module in modules:
        set_recompute(module, recompute)
    held = _bytes(tensor for module in modules for tensor in module.state_dict().values())
    held += _bytes(tensor for name in stage.averaged for tensor in stage.networks[name].state_dict().values())
    with Tally() as tally:
        for optimizer in stage.optimizers.values():  # a step without a gradient makes the moments
            for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
                parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
        stage.step(batch.parts(parts), accelerator)
    gradients = _bytes(p.grad for network in stage.networks.values() for p in network.parameters())
    states = (state for optimizer in stage.optimizers.values() for state in optimizer.state.values())
    moments = _bytes(tensor for state in states for tensor in state.values())
    return held + gradients + moments, held + tally.peak


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


class _NoNumbers(Batch):
    """A batch on the meta device, which has no random numbers."""

    def noise(self, *shape: int) -> Tensor:
        return torch.empty(len(self.image), *shape, device=self.image.device)


def stage_without_numbers(preset: Preset, faces: PackedFaces) -> tuple[EBSTStage, Batch]:
    """EBST at the size of ``faces`` and one of its batches, on the meta device."""
    size, batch_size = faces.size, preset.ebst.batch
    # The stage takes the fingerprint of a MaskVAE's numbers: a slight one is made first.
    slight = MaskVAE(size, width=1, latent=1)
    with torch.device("meta"):
        stage = EBSTStage(preset.replace({"adversary.perceptual": "random-pyramid"}), faces, slight)
        maskvae = MaskVAE(size, width=preset.maskvae.width, latent=preset.maskvae.latent)
        stage.maskvae = maskvae.eval().requires_grad_(False)
        if preset.adversary.perceptual == "vgg19":
            stage.perceptual = PerceptualLoss(VGG19Features(trained=False))
        masks = [torch.empty(batch_size, size, size, dtype=torch.uint8) for _ in range(2)]
        image = torch.empty(batch_size, 3, size, size)
    # Step 1: one without R1, as most are.
    whole = (np.arange(batch_size), 1, 0, slice(0, batch_size), batch_size)
    return stage, _NoNumbers(image, masks[0], *whole, masks[1])


def bench_memory(effort: Effort, folder: Path) -> Iterator[Row]:
    """What a step of EBST needs here, what it would need on a GPU, and the most that this process has held so far."""
    preset = effort.preset
    size, batch_size = preset.image_size, preset.ebst.batch
    faces = noise_folder(folder / "kept", 2 * batch_size, size)
    stage = EBSTStage(preset, faces, MaskVAE(size, width=preset.maskvae.width, latent=preset.maskvae.latent))
    accelerator = prepared(stage)
    batch = Batches(faces, faces.indices("train"), batch_size, device=accelerator.device, references=True).at(1)
    for option, (parts, recompute) in OPTIONS.items():
        stays, most = need(stage, batch, parts, recompute, accelerator)
        what = f"ebst keeps, {size} x {size}, batch {batch_size}"
        yield Row("memory", f"{what}, {option}: measured", (most - stays) / 1e6, "MB")
    for name in effort.estimated:
        preset = PRESETS[name]
        size = preset.image_size
        faces = noise_folder(folder / f"sizes-{size}", 2, size)
        what = f"ebst, {name}, {size} x {size}, batch {preset.ebst.batch}"
        for option, way in OPTIONS.items():
            stays, most = need(*stage_without_numbers(preset, faces), *way, accelerator)
            if option == "plain":
                yield Row("memory", f"{what}: state, counted", stays / 1e9, "GB")
            yield Row("memory", f"{what}, {option}: estimated", most / 1e9, "GB")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    yield Row("memory", "peak of this process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, "MB")
    if torch.cuda.is_available():
        yield Row("memory", "peak on the GPU", torch.cuda.max_memory_allocated() / 1e6, "MB")
