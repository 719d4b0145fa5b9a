"""The library's way of making a step over another way of making the same step, as ratios of their times."""

import statistics
from collections.abc import Callable
from functools import partial

import torch
from accelerate import Accelerator
from torch import Tensor

from maskgan_lib.bench.measuring import Row, in_turn
from maskgan_lib.data.batches import Batch
from maskgan_lib.losses import adversarial_loss
from maskgan_lib.networks import one_hot
from maskgan_lib.training.dmn import DMNStage
from maskgan_lib.training.ebst import EBSTStage
from maskgan_lib.training.stage import detached


def one_pass_or_two(stage: DMNStage, accelerator: Accelerator, batch: Batch, seconds: float) -> Row:
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


def channels_last_or_not(stage: DMNStage, accelerator: Accelerator, batch: Batch, seconds: float) -> Row:
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


def naive_or_not(stage: EBSTStage, accelerator: Accelerator, batch: Batch, seconds: float) -> Row:
    """``naive_step`` over the library's step."""
    ways = [lambda: naive_step(stage, batch, accelerator), lambda: stage.step([batch], accelerator)]
    naive, ours = in_turn(ways, seconds)
    return Row("training", "ebst, a naive step over the library's", naive / ours, "times")


def naive_step(stage: EBSTStage, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
    """A step of EBST as Algorithm 1 reads, line by line: it learns what ``stage.step`` does, and takes longer.

    Every picture is the DMN's own call, the style encoded anew, and is made again for the discriminator's update; every
    mask is the MaskVAE's own call.
    """
    stages = (("dmn", stage.reconstruct), ("dmn and blender", partial(_blend, stage)))
    first, second = (_update_both(stage, name, picture, batch, accelerator) for name, picture in stages)
    return first | {f"blend {name}": loss for name, loss in second.items()}


def _update_both(
    stage: EBSTStage, generator: str, picture: Callable[[Batch], Tensor], batch: Batch, accelerator: Accelerator
) -> dict[str, Tensor]:
    with torch.no_grad():
        made = picture(batch)
    losses = stage.update_discriminator([batch], [made], accelerator)
    judge = accelerator.unwrap_model(stage.networks["discriminator"]).requires_grad_(False)
    stage.optimizers[generator].zero_grad(set_to_none=True)
    loss, terms = stage.generator_loss(one_hot(batch.mask), batch.image, picture(batch), judge)
    accelerator.backward(loss)
    stage.optimizers[generator].step()
    judge.requires_grad_(True)
    return losses | detached(terms)


def _blend(stage: EBSTStage, batch: Batch) -> Tensor:
    mask, reference = one_hot(batch.mask), one_hot(batch.reference)
    vae, dmn = stage.maskvae.to(mask.device), stage.networks["dmn"]
    with torch.no_grad():
        z, z_reference = vae.encode(mask)[0], vae.encode(reference)[0]
        step = (z_reference - z) / stage.preset.ebst.lambda_inter
        inter, outer = (one_hot(vae.decode(moved).argmax(dim=1)) for moved in (z + step, z - step))
    return stage.networks["blender"](dmn(inter, batch.image, mask), dmn(outer, batch.image, mask))[0]
