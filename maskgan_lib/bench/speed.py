"""Faces drawn, prepared and read per second, steps of every stage, and how long an edit takes."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor

from maskgan_lib import faces
from maskgan_lib.bench.costs import Effort, Figure, at_work, in_turn, rate
from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.data import celebamask, procedural
from maskgan_lib.data.batches import Batch, Batches, to_float_image, to_uint8_image
from maskgan_lib.data.filling import available_cores, run_parallel
from maskgan_lib.data.packed import FaceRecord
from maskgan_lib.editor.rendering import Renderer
from maskgan_lib.losses import adversarial_loss
from maskgan_lib.networks import one_hot
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.adversarial import make_dmn
from maskgan_lib.training.execution import make_accelerator
from maskgan_lib.training.stage import Stage
from maskgan_lib.training.stages import STAGES


def bench_faces(effort: Effort, folder: Path) -> Iterator[Figure]:
    """Procedural faces drawn by one core."""
    for size in (64, 128, 512):
        drawn = rate(lambda i, size=size: faces.render(faces.sample(0, i), size), effort.seconds)
        yield f"drawn at {size} x {size}, one core", drawn, "faces/s"


def bench_preparation(effort: Effort, folder: Path) -> Iterator[Figure]:
    """CelebAMask-HQ's layout, here with procedural faces in it, to 512 x 512."""
    root, count = folder / "layout", effort.prepared
    procedural.render_celebamask_hq(root, count, progress=False)
    start = time.perf_counter()
    celebamask.prepare(root, folder / "prepared", 512, workers=1, progress=False)
    prepared = count / (time.perf_counter() - start)
    yield "1024 x 1024 JPEG and parts to 512 x 512, one core", prepared, "faces/s"

    cores, archive = available_cores(), celebamask.open_data_set(root)
    again = cores * max(4, round(prepared * effort.seconds))
    record = FaceRecord("0", "train")
    jobs = [partial(celebamask.make_face, archive, i % count, 512, record) for i in range(again)]
    results = run_parallel(jobs, cores)
    next(results)  # the processes have started
    start = time.perf_counter()
    left = sum(1 for _ in results)
    yield f"the same without writing, {cores} cores", left / (time.perf_counter() - start), "faces/s"


def bench_batches(effort: Effort, folder: Path) -> Iterator[Figure]:
    """Batches of 8 in random order from a packed folder whose pages are in memory."""
    size, everybody, rng = 256, np.arange(effort.packed), np.random.default_rng(0)
    packed = procedural.render_packed(folder / "to-read", effort.packed, size, progress=False)
    batches = Batches(packed, everybody, 8, device=make_accelerator().device)
    packed.read(everybody)
    for name, read in (
        ("uint8 in memory", lambda step: packed.read(rng.choice(everybody, 8, replace=False))),
        ("float on the device", batches.at),
    ):
        yield f"{size} x {size} in random order to {name}", 8 * rate(read, effort.seconds), "faces/s"


@torch.no_grad()
def bench_edits(effort: Effort, folder: Path) -> Iterator[Figure]:
    """One edited mask to one picture: by the plain network, with its style encoded anew or kept, and by the editor.

    And what a style for every region costs beside one for the whole picture, in the editor.
    """
    rng, device = np.random.default_rng(0), make_accelerator().device
    for name, size in ((name, size) for name, sizes in effort.edited.items() for size in sizes):
        labels = rng.integers(0, NUM_CLASSES, (size, size), np.uint8)
        picture = rng.integers(0, 256, (size, size, 3), np.uint8)
        mask, image = one_hot(torch.tensor(labels, device=device)[None]), to_float_image(picture[None], device)
        styles = [PRESETS[name].replace({"dmn.style": style}) for style in ("global", "regional")]
        network, regional = (make_dmn(preset, size).to(device).eval() for preset in styles)
        style = network.encode_style(image, mask)
        editors = [Renderer(network, size, device), Renderer(regional, size, device)]
        ways = [
            lambda n=network, m=mask, i=image: to_uint8_image(n(m, i, m)),
            lambda n=network, m=mask, s=style: to_uint8_image(n.render(m, s)),
            *(partial(editor.render, labels, editor.style(picture, labels)) for editor in editors),
        ]
        anew, kept, edited, by_region = in_turn(ways, effort.seconds)
        what = f"{name} network, {size} x {size}"
        yield f"{what}, style kept", 1000 * kept, "ms"
        yield f"{what}, style encoded anew over kept", anew / kept, "times"
        yield f"{what}, editor, {editors[0].way}", 1000 * edited, "ms"
        yield f"{what}, encoded anew over the editor's", anew / edited, "times"
        yield f"{what}, a style for every region over one", by_region / edited, "times"


def bench_training(effort: Effort, folder: Path) -> Iterator[Figure]:
    """Steps of each stage, without averages, checkpoints and samples; more of the DMN's and of EBST's."""
    size = effort.preset.image_size
    packed = procedural.render_packed(folder / "to-learn", 32, size, identities=16, progress=False)
    for name in STAGES:
        stage, accelerator, batches = at_work(name, effort.preset, packed)
        steps = rate(lambda i, s=stage, b=batches, a=accelerator: s.step([b.at(i)], a), effort.seconds)
        yield f"{name}, {size} x {size}, batch {batches.batch_size}", steps, "steps/s"
        if name in MORE:
            yield from MORE[name](stage, accelerator, batches, effort.seconds)


def more_of_dmn(stage: Stage, accelerator: Accelerator, batches: Batches, seconds: float) -> Iterator[Figure]:
    """What a step spends its time on, and two other ways of making one over the library's."""
    batch = batches.at(1)  # a step without R1, as most are
    mask, real, judge = one_hot(batch.mask), batch.image, stage.networks["discriminator"]
    made = torch.rand_like(real) * 2 - 1
    other, *_ = at_work("dmn", stage.preset, batches.faces)
    for module in other.modules():
        module.to(memory_format=torch.channels_last)

    def judge_twice() -> None:
        losses = adversarial_loss(judge(mask, real), True) + adversarial_loss(judge(mask, made), False)
        accelerator.backward(losses / 2)

    read, picture, judged, step, in_channels_last, once, twice = in_turn(
        [
            lambda: batches.at(1),
            lambda: stage.reconstruct(batch),
            lambda: stage.update_discriminator([batch], [made], accelerator),
            lambda: stage.step([batch], accelerator),
            lambda: other.step([batch], accelerator),
            lambda: accelerator.backward(stage.discriminator_loss(mask, real, made)[0]),
            judge_twice,
        ],
        seconds,
    )
    rest = step - picture - judged
    for part, taken in {"batch": read, "picture": picture, "discriminator": judged, "generator": rest}.items():
        yield f"dmn, share of a step: {part}", 100 * taken / (read + step), "%"
    yield "dmn, real and made judged in two passes over in one", twice / once, "times"
    yield "dmn, a step in channels_last over contiguous", in_channels_last / step, "times"


def more_of_ebst(stage: Stage, accelerator: Accelerator, batches: Batches, seconds: float) -> Iterator[Figure]:
    """``naive_step`` over the library's step."""
    batch = batches.at(1)  # a step without R1, as most are
    ways = [lambda: naive_step(stage, batch, accelerator), lambda: stage.step([batch], accelerator)]
    naive, ours = in_turn(ways, seconds)
    yield "ebst, a naive step over the library's", naive / ours, "times"


MORE = {"dmn": more_of_dmn, "ebst": more_of_ebst}
"""By stage: what else is measured of it."""


def naive_step(stage: Stage, batch: Batch, accelerator: Accelerator) -> dict[str, Tensor]:
    """A step of EBST without R1 as Algorithm 1 reads, line by line: it learns what ``stage.step`` does, more slowly.

    Every picture is the DMN's own call, the style encoded anew, and is made again for the discriminator's update; every
    mask is the MaskVAE's own call.
    """
    image, mask, reference, vae = batch.image, one_hot(batch.mask), one_hot(batch.reference), stage.maskvae
    dmn, blender, judge = (stage.networks[name] for name in ("dmn", "blender", "discriminator"))

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
