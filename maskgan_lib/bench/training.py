"""Steps of every stage per second, and what the library's way of making a step gains over the plain one."""

import time
from collections.abc import Iterator
from pathlib import Path

from accelerate import Accelerator

from maskgan_lib.bench.data import noise_folder
from maskgan_lib.bench.measuring import Effort, Row, finish_queue, rate
from maskgan_lib.bench.ways import channels_last_or_not, naive_or_not, one_pass_or_two
from maskgan_lib.classes import MERGED_CLASSES
from maskgan_lib.data.batches import Batches
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.networks import MaskVAE, one_hot
from maskgan_lib.training.dmn import DMNStage
from maskgan_lib.training.execution import make_accelerator
from maskgan_lib.training.stage import Stage
from maskgan_lib.training.stages import STAGES, make_stage, run_settings

RATIOS = {"dmn": (one_pass_or_two, channels_last_or_not), "ebst": (naive_or_not,)}
"""By stage: ways of making a step that are timed against each other."""


def prepared(stage: Stage) -> Accelerator:
    accelerator = make_accelerator()
    for name, network in stage.networks.items():
        stage.networks[name] = accelerator.prepare(network.train())
    for name, optimizer in stage.optimizers.items():
        stage.optimizers[name] = accelerator.prepare(optimizer)
    return accelerator


def bench_training(effort: Effort, folder: Path) -> Iterator[Row]:
    """Steps of each stage, without averages, checkpoints and samples, and what a step of the DMN consists of."""
    preset = effort.preset
    packed = noise_folder(folder / "noise", 64, preset.image_size)
    maskvae = MaskVAE(preset.image_size, width=preset.maskvae.width, latent=preset.maskvae.latent)
    parser = FaceParser(len(MERGED_CLASSES), preset.parser.width)
    for name in STAGES:
        stage, batch_size = (
            make_stage(name, preset, packed, maskvae=maskvae, parser=parser),
            run_settings(name, preset).batch_size,
        )
        accelerator = prepared(stage)
        indices = packed.indices("train")
        batches = Batches(packed, indices, batch_size, device=accelerator.device, references=stage.references)
        steps = rate(lambda i, s=stage, b=batches, a=accelerator: s.step([b.at(i)], a), effort.seconds)
        yield Row(
            "training", f"{name}, {preset.image_size} x {preset.image_size}, batch {batch_size}", steps, "steps/s"
        )
        if name == "dmn":
            yield from _parts_of_a_step(stage, accelerator, batches, effort.seconds)
        for ratio in RATIOS.get(name, ()):
            yield ratio(stage, accelerator, batches.at(1), effort.seconds)  # a step without R1, as most are


def _parts_of_a_step(stage: DMNStage, accelerator: Accelerator, batches: Batches, seconds: float) -> Iterator[Row]:
    parts = dict.fromkeys(("batch", "picture", "discriminator", "generator"), 0.0)
    clock = time.perf_counter()

    def lap(part: str) -> None:
        nonlocal clock
        finish_queue()
        before, clock = clock, time.perf_counter()
        parts[part] += clock - before

    def step(number: int) -> None:
        nonlocal clock
        clock = time.perf_counter()
        batch = batches.at(number)
        mask = one_hot(batch.mask)
        lap("batch")
        made = stage.networks["dmn"](mask, batch.image, mask)
        lap("picture")
        stage.update_discriminator([batch], [made], accelerator)
        lap("discriminator")
        judge = accelerator.unwrap_model(stage.networks["discriminator"]).requires_grad_(False)
        stage.optimizers["dmn"].zero_grad(set_to_none=True)
        accelerator.backward(stage.generator_loss(mask, batch.image, made, judge)[0])
        stage.optimizers["dmn"].step()
        judge.requires_grad_(True)
        lap("generator")

    rate(step, seconds)
    for name, taken in parts.items():
        yield Row("training", f"dmn, share of a step: {name}", 100 * taken / sum(parts.values()), "%")
