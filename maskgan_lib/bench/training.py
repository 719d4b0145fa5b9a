"""Steps of every stage per second, what a step consists of, and what the library's way of making one gains."""

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor

from maskgan_lib.bench.data import noise_folder
from maskgan_lib.bench.measuring import Effort, Row, finish_queue, in_turn, prepared, rate
from maskgan_lib.classes import MERGED_CLASSES
from maskgan_lib.data.batches import Batch, Batches
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.losses import adversarial_loss
from maskgan_lib.networks import MaskVAE, one_hot
from maskgan_lib.training.stage import Stage
from maskgan_lib.training.stages import STAGES, make_stage, run_settings


def bench_training(effort: Effort, folder: Path) -> Iterator[Row]:
    """Steps of each stage, without averages, checkpoints and samples, and what a step of the DMN consists of."""
    preset = effort.preset
    packed = noise_folder(folder / "noise", 64, preset.image_size)
    maskvae = MaskVAE(preset.image_size, width=preset.maskvae.width, latent=preset.maskvae.latent)
    parser = FaceParser(len(MERGED_CLASSES), preset.parser.width)
    for name in STAGES:
        stage = make_stage(name, preset, packed, maskvae=maskvae, parser=parser)
        batch_size = run_settings(name, preset).batch_size
        shares = Shares(stage) if name == "dmn" else None
        accelerator, indices = prepared(stage), packed.indices("train")
        batches = Batches(packed, indices, batch_size, device=accelerator.device, references=stage.references)
        steps = rate(lambda i, s=stage, b=batches, a=accelerator: s.step([b.at(i)], a), effort.seconds)
        what = f"{name}, {preset.image_size} x {preset.image_size}, batch {batch_size}"
        yield Row("training", what, steps, "steps/s")
        if shares:
            yield from shares.measure(stage, accelerator, batches, effort.seconds)
        for ratio in RATIOS.get(name, ()):
            yield ratio(stage, accelerator, batches.at(1), effort.seconds)  # a step without R1, as most are


class Shares:
    """What a step of the DMN's stage, not yet prepared, consists of, by a stopwatch that PyTorch's hooks press."""

    def __init__(self, stage: Stage):
        self.taken = dict.fromkeys(("batch", "picture", "discriminator", "generator"), 0.0)
        self.clock = time.perf_counter()
        stage.networks["dmn"].register_forward_hook(lambda *_: self.lap("picture"))
        stage.optimizers["discriminator"].register_step_post_hook(lambda *_: self.lap("discriminator"))

    def lap(self, part: str) -> None:
        finish_queue()
        before, self.clock = self.clock, time.perf_counter()
        self.taken[part] += self.clock - before

    def measure(self, stage: Stage, accelerator: Accelerator, batches: Batches, seconds: float) -> Iterator[Row]:
        def step(number: int) -> None:
            self.clock = time.perf_counter()
            batch = batches.at(number)
            self.lap("batch")
            stage.step([batch], accelerator)
            self.lap("generator")

        self.taken = dict.fromkeys(self.taken, 0.0)
        rate(step, seconds)
        for part, taken in self.taken.items():
            yield Row("training", f"dmn, share of a step: {part}", 100 * taken / sum(self.taken.values()), "%")


# ---- ratios of times: another way of making a step, over the library's


def one_pass_or_two(stage: Stage, accelerator: Accelerator, batch: Batch, seconds: float) -> Row:
    """The discriminator's update sees real and made pictures in one batch; the other way is one after the other."""
    mask, judge = one_hot(batch.mask), stage.networks["discriminator"]
    made = torch.rand_like(batch.image) * 2 - 1

    def judge_twice() -> None:
        losses = adversarial_loss(judge(mask, batch.image), True) + adversarial_loss(judge(mask, made), False)
        accelerator.backward(losses / 2)

    def judge_once() -> None:
        scores = judge(torch.cat([mask, mask]), torch.cat([batch.image, made]))
        on_real, on_made = ([[scale[-1].chunk(2)[half]] for scale in scores] for half in (0, 1))
        accelerator.backward((adversarial_loss(on_real, True) + adversarial_loss(on_made, False)) / 2)

    twice, once = in_turn([judge_twice, judge_once], seconds)
    return Row("training", "dmn, real and made judged in two passes over in one", twice / once, "times")


def channels_last_or_not(stage: Stage, accelerator: Accelerator, batch: Batch, seconds: float) -> Row:
    """A step with the channels of a pixel side by side in memory, over one with the planes one after the other."""
    rounds = 3
    times: dict[torch.memory_format, list[float]] = {torch.channels_last: [], torch.contiguous_format: []}
    for _ in range(rounds):
        for memory_format, taken in times.items():
            for module in stage.modules():
                module.to(memory_format=memory_format)
            taken += in_turn([lambda: stage.step([batch], accelerator)], seconds / rounds)
    last, contiguous = (statistics.median(taken) for taken in times.values())
    return Row("training", "dmn, a step in channels_last over contiguous", last / contiguous, "times")


def naive_or_not(stage: Stage, accelerator: Accelerator, batch: Batch, seconds: float) -> Row:
    """``naive_step`` over the library's step."""
    ways = [lambda: naive_step(stage, batch, accelerator), lambda: stage.step([batch], accelerator)]
    naive, ours = in_turn(ways, seconds)
    return Row("training", "ebst, a naive step over the library's", naive / ours, "times")


RATIOS = {"dmn": (one_pass_or_two, channels_last_or_not), "ebst": (naive_or_not,)}
"""By stage: what is timed against another way."""


def naive_step(stage: Stage, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
    """A step of EBST without R1 as Algorithm 1 reads, line by line: it learns what ``stage.step`` does, more slowly.

    Every picture is the DMN's own call, the style encoded anew, and is made again for the discriminator's update; every
    mask is the MaskVAE's own call.
    """
    image, mask, reference = batch.image, one_hot(batch.mask), one_hot(batch.reference)
    dmn, blender, vae = stage.networks["dmn"], stage.networks["blender"], stage.maskvae

    def blend() -> Tensor:
        with torch.no_grad():
            z, z_reference = vae.encode(mask)[0], vae.encode(reference)[0]
            step = (z_reference - z) / stage.preset.ebst.lambda_inter
            inter, outer = (one_hot(vae.decode(moved).argmax(dim=1)) for moved in (z + step, z - step))
        return blender(dmn(inter, image, mask), dmn(outer, image, mask))[0]

    def update(name: str, loss: Tensor) -> None:
        stage.optimizers[name].zero_grad()
        accelerator.backward(loss)
        stage.optimizers[name].step()

    def update_both(generator: str, picture: Callable[[], Tensor]) -> dict[str, Tensor]:
        judge = stage.networks["discriminator"]
        with torch.no_grad():
            made = picture()
        wrong = reference if stage.preset.adversary.mismatch_weight else None
        loss, losses = stage.discriminator_loss(mask, image, made, wrong)
        update("discriminator", loss)
        judge.requires_grad_(False)
        loss, terms = stage.generator_loss(mask, image, picture(), judge)
        update(generator, loss)
        judge.requires_grad_(True)
        return losses | terms

    losses = update_both("dmn", lambda: dmn(mask, image, mask))
    return losses | {f"blend {name}": loss for name, loss in update_both("dmn and blender", blend).items()}
