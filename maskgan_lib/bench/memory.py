"""How much memory training takes: what autograd keeps, counted; what a GPU needs, estimated from that.

What is kept follows from the networks' shapes, so it can be counted for any size without computing: tensors on the
"meta" device have shapes and no numbers.
"""

import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.bench.data import noise_folder
from maskgan_lib.bench.measuring import Effort, Row
from maskgan_lib.data.batches import Batch, Batches
from maskgan_lib.losses import PerceptualLoss, VGG19Features
from maskgan_lib.networks import MaskVAE, one_hot
from maskgan_lib.networks.blocks import Recomputing
from maskgan_lib.presets import PRESETS, Preset
from maskgan_lib.training.ebst import EBSTStage
from maskgan_lib.training.execution import make_accelerator, set_recompute

OPTIONS = {
    "plain": (1, False),
    "--accumulate 4": (4, False),
    "--recompute": (1, True),
    "both": (4, True),
}
"""Parts of a batch and whether activations are computed again."""


# ---- what autograd keeps


@dataclass(frozen=True)
class Kept:
    """Bytes that stage II of EBST keeps for the way back: of the blended picture, of the two losses on it.

    ``again`` is what the largest segment keeps while it is computed again, zero where nothing is.
    """

    picture: int
    discriminator: int
    generator: int
    again: int

    def most(self, in_parts: bool) -> int:
        """The most at once. In one part, the picture's own are kept while the discriminator is updated."""
        if in_parts:
            return max(self.discriminator, self.picture + self.generator) + self.again
        return self.picture + max(self.discriminator, self.generator) + self.again


def count_kept(stage: EBSTStage, batch: Batch, recompute: bool = False) -> Kept:
    """What stage II keeps of ``batch``, weights not counted; every update is done from a part as large as that."""
    for module in stage.modules():
        set_recompute(module, recompute)
    mask, judge = one_hot(batch.mask), stage.networks["discriminator"]
    weights = [tensor for module in stage.modules() for tensor in module.state_dict().values()]
    made, picture = _kept(lambda: stage.blend(batch), weights)
    leaf = made.detach().requires_grad_()
    _, discriminator = _kept(lambda: stage.penalised_loss(batch, made.detach(), judge)[0], weights)
    judge.requires_grad_(False)
    _, generator = _kept(lambda: stage.generator_loss(mask, batch.image, leaf, judge)[0], [*weights, leaf])
    judge.requires_grad_(True)
    again = _largest_segment(stage, batch, weights) if recompute else 0
    return Kept(picture, discriminator, generator, again)


def _kept(work: Callable[[], Tensor], known: list[Tensor]) -> tuple[Tensor, int]:
    """The result of ``work`` and the bytes that autograd keeps of it, each memory counted once, ``known`` ones not."""
    known_storages = {tensor.untyped_storage()._cdata for tensor in known}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in known_storages:
            kept[storage._cdata] = storage  # held, so that no other memory gets its address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = work()
    return result, sum(storage.nbytes() for storage in kept.values())


def _largest_segment(stage: EBSTStage, batch: Batch, weights: list[Tensor]) -> int:
    largest = 0

    def measure(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        nonlocal largest
        result, kept = _kept(lambda: function(*inputs), weights)
        largest = max(largest, kept)
        return result

    parts = [part for module in stage.modules() for part in module.modules() if isinstance(part, Recomputing)]
    for part in parts:
        part.segment = measure
    made = stage.blend(batch).detach().requires_grad_()
    stage.perceptual(made, batch.image)
    for part in parts:
        del part.segment
    return largest


# ---- what a GPU needs


@dataclass(frozen=True)
class Need:
    """Bytes of EBST in float32: of all that stays from step to step, and of the activations at their most."""

    state: int
    activations: int


def stage_without_numbers(preset: Preset, folder: Path) -> tuple[EBSTStage, Batch]:
    """EBST at the sizes of ``preset`` and one of its batches, on the meta device; ``folder`` may be written to."""
    size, batch_size = preset.image_size, preset.ebst.batch
    faces = noise_folder(folder / f"sizes-{size}", 2, size)
    # The stage takes the fingerprint of a MaskVAE's numbers: a slight one is made, and the real one counted apart.
    slight = MaskVAE(size, width=1, latent=1)
    with torch.device("meta"):
        stage = EBSTStage(preset.replace({"adversary.perceptual": "random-pyramid"}), faces, slight)
        if preset.adversary.perceptual == "vgg19":
            stage.perceptual = PerceptualLoss(VGG19Features(trained=False))
        masks = [torch.empty(batch_size, size, size, dtype=torch.uint8) for _ in range(2)]
        image = torch.empty(batch_size, 3, size, size)
    share = slice(0, batch_size)
    return stage, Batch(image, masks[0], np.arange(batch_size), 0, 0, share, batch_size, masks[1])


def count_state(stage: EBSTStage, maskvae: MaskVAE) -> int:
    """Bytes of weights, gradients, the moments of the three Adams, the averaged weights, and the frozen networks."""
    learning = {name: _bytes(network.parameters()) for name, network in stage.networks.items()}
    moments = [
        parameter for o in stage.optimizers.values() for group in o.param_groups for parameter in group["params"]
    ]
    averaged = sum(learning[name] for name in stage.averaged)
    frozen = _bytes(maskvae.state_dict().values()) + _bytes(stage.perceptual.state_dict().values())
    return 2 * sum(learning.values()) + 2 * _bytes(moments) + averaged + frozen


def _bytes(tensors) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def estimate(preset: Preset, folder: Path) -> dict[str, Need]:
    """What EBST needs at the sizes of ``preset`` in float32, by ``OPTIONS``.

    Counted, not measured: memory that a backward pass, cuDNN and the allocator take for a moment comes on top.
    """
    stage, batch = stage_without_numbers(preset, folder)
    with torch.device("meta"):
        state = count_state(stage, MaskVAE(preset.image_size, width=preset.maskvae.width, latent=preset.maskvae.latent))
    return {
        name: Need(state, count_kept(stage, batch.parts(parts)[0], recompute).most(parts > 1))
        for name, (parts, recompute) in OPTIONS.items()
    }


# ---- rows


def bench_memory(effort: Effort, folder: Path) -> Iterator[Row]:
    """What a step of EBST keeps here, what it would need on a GPU, and the most that this process has held so far."""
    yield from _kept_here(effort, folder)
    for name in effort.estimated:
        preset = PRESETS[name]
        what = f"ebst, {name}, {preset.image_size} x {preset.image_size}, batch {preset.ebst.batch}"
        needs = estimate(preset, folder)
        yield Row("memory", f"{what}: state, counted", needs["plain"].state / 1e9, "GB")
        for option, need in needs.items():
            yield Row("memory", f"{what}, {option}: estimated", (need.state + need.activations) / 1e9, "GB")
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    yield Row("memory", "peak of this process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, "MB")
    if torch.cuda.is_available():
        yield Row("memory", "peak on the GPU", torch.cuda.max_memory_allocated() / 1e6, "MB")


def _kept_here(effort: Effort, folder: Path) -> Iterator[Row]:
    preset, device = effort.preset, make_accelerator().device
    size, batch_size = preset.image_size, preset.ebst.batch
    faces = noise_folder(folder / "kept", 2 * batch_size, size)
    stage = EBSTStage(preset, faces, MaskVAE(size, width=preset.maskvae.width, latent=preset.maskvae.latent))
    for module in stage.modules():
        module.to(device)
    batch = Batches(faces, faces.indices("train"), batch_size, device=device, references=True).at(0)
    for option, (parts, recompute) in OPTIONS.items():
        kept = count_kept(stage, batch.parts(parts)[0], recompute).most(parts > 1)
        what = f"ebst keeps, {size} x {size}, batch {batch_size}"
        yield Row("memory", f"{what}, {option}: measured", kept / 1e6, "MB")
