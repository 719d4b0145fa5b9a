"""What this machine does: faces, preparation, batches, training steps and edits per second, and the memory they took.

Where one way of doing a thing is claimed to be faster than another, both are timed in turn in the same run and shown as
a ratio: rates change with what else the machine does, ratios hardly.
"""

import json
import platform
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator

from maskgan_lib import faces
from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.data import celebamask, procedural
from maskgan_lib.data.batches import Batch, Batches
from maskgan_lib.data.filling import available_cores, run_parallel
from maskgan_lib.data.packed import FaceRecord, PackedFaces, PackedWriter
from maskgan_lib.losses import adversarial_loss
from maskgan_lib.networks import DenseMappingNetwork, MaskVAE, one_hot
from maskgan_lib.presets import PRESETS, Preset
from maskgan_lib.progress import progress_bar
from maskgan_lib.training.dmn import DMNStage
from maskgan_lib.training.execution import best_precision, hardware, make_accelerator
from maskgan_lib.training.stage import Stage, update
from maskgan_lib.training.stages import STAGES, make_stage, run_settings


@dataclass(frozen=True)
class Row:
    """One measured figure: ``part`` of the work, what was measured, and the value in its unit."""

    part: str
    name: str
    value: float
    unit: str

    def __str__(self) -> str:
        return f"{self.part:<12} {self.name:<58} {self.value:>9.4g} {self.unit}"


@dataclass(frozen=True)
class Effort:
    """How much is measured. Sizes are pixels a side."""

    seconds: float  # for each figure
    face_sizes: tuple[int, ...]
    prepared: int  # faces drawn in the layout of CelebAMask-HQ
    photograph: int  # their size
    packed: int  # faces in the folder that batches are read from
    preset: Preset  # of training
    edited: tuple[tuple[str, int], ...]  # preset and size of the networks that make an edit


FULL = Effort(3.0, (64, 128, 512), 8, 1024, 400, PRESETS["laptop"], (("laptop", 64), ("shipped", 128), ("paper", 512)))
QUICK = Effort(0.1, (64, 128, 512), 1, 1024, 16, PRESETS["smoke"], (("smoke", 64),))


def run_bench(quick: bool = False, json_path: Path | None = None, out: Callable[[str], None] = print) -> list[Row]:
    """Measure everything, hand the table line by line to ``out``, and return its rows.

    ``quick`` takes seconds instead of minutes, with smaller networks, and its figures are rough. ``json_path`` names a
    file for the same figures as JSON.
    """
    effort = QUICK if quick else FULL
    parts = {
        "faces": bench_faces,
        "preparation": bench_preparation,
        "batches": bench_batches,
        "training": bench_training,
        "edits": bench_edits,
        "memory": bench_memory,
    }
    rows = []
    with tempfile.TemporaryDirectory() as folder, progress_bar(total=len(parts), desc="bench", unit="part") as bar:
        for name, measure in parts.items():
            bar.set_postfix_str(name)
            rows += measure(effort, Path(folder))
            bar.update()
    about = {"machine": f"{hardware()}, {available_cores()} cores", "python": platform.python_version()}
    about |= {"torch": str(torch.__version__), "preset": effort.preset.name, "precision": best_precision()}
    out(", ".join(f"{key}: {value}" for key, value in about.items()))
    for row in rows:
        out(str(row))
    if json_path:
        content = {**about, "rows": [asdict(row) for row in rows]}
        Path(json_path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return rows


# ---- stopwatches


def _rate(work: Callable[[int], object], seconds: float) -> float:
    """Calls of ``work(0)``, ``work(1)``, ... per second, after one that warms up."""
    work(0)
    _finish_queue()
    start, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - start < seconds:
        calls += 1
        work(calls)
    _finish_queue()
    return calls / (time.perf_counter() - start)


def _in_turn(ways: list[Callable[[], object]], seconds: float) -> list[float]:
    """Median seconds of each of ``ways``, called in turn so that a busy spell of the machine hits them all."""
    times: list[list[float]] = [[] for _ in ways]
    for way in ways:
        way()
    stop = time.perf_counter() + seconds
    while not times[-1] or time.perf_counter() < stop:
        for way, taken in zip(ways, times, strict=True):
            _finish_queue()
            start = time.perf_counter()
            way()
            _finish_queue()
            taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def _finish_queue() -> None:
    """A GPU works through a queue: a time is only one when the queue is empty."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


# ---- faces and data


def bench_faces(effort: Effort, folder: Path) -> Iterator[Row]:
    """Procedural faces drawn by one core."""
    for size in effort.face_sizes:
        rate = _rate(lambda i, size=size: faces.render(faces.sample(0, i), size), effort.seconds)
        yield Row("faces", f"drawn at {size} x {size}, one core", rate, "faces/s")


def bench_preparation(effort: Effort, folder: Path) -> Iterator[Row]:
    """CelebAMask-HQ's layout, here with procedural faces in it, to 512 x 512."""
    root, count = folder / "layout", effort.prepared
    procedural.render_celebamask_hq(root, count, image_size=effort.photograph, progress=False)
    start = time.perf_counter()
    celebamask.prepare(root, folder / "prepared", 512, workers=1, progress=False)
    rate = count / (time.perf_counter() - start)
    name = f"{effort.photograph} x {effort.photograph} JPEG and parts to 512 x 512"
    yield Row("preparation", f"{name}, one core", rate, "faces/s")

    cores, archive = available_cores(), celebamask.open_data_set(root)
    again = cores * max(4, round(rate * effort.seconds))
    jobs = [(i, celebamask.FaceJob(archive, i % count, 512, FaceRecord(str(i), "train"))) for i in range(again)]
    results = run_parallel(celebamask.make_face, jobs, cores)
    next(results)  # the processes have started
    start = time.perf_counter()
    left = sum(1 for _ in results)
    yield Row(
        "preparation", f"the same without writing, {cores} cores", left / (time.perf_counter() - start), "faces/s"
    )


def _noise_folder(folder: Path, count: int, size: int) -> PackedFaces:
    """A packed folder of noise: how fast it is read and learnt does not depend on what it shows."""
    rng = np.random.default_rng(0)
    with PackedWriter(folder, size, count, "noise", ("Smiling",)) as writer:
        for i in range(count):
            image = rng.integers(0, 256, (size, size, 3), np.uint8)
            mask = rng.integers(0, NUM_CLASSES, (size, size), np.uint8)
            writer.write(i, image, mask, FaceRecord(str(i), "train", attributes={"Smiling": 1}))
        return writer.finish()


def bench_batches(effort: Effort, folder: Path) -> Iterator[Row]:
    """Batches of 8 in random order from a packed folder whose pages are in memory."""
    size, batch_size = 256, 8
    packed = _noise_folder(folder / "noise-256", effort.packed, size)
    batches = Batches(packed, np.arange(len(packed)), batch_size, device=_device())
    packed.read(np.arange(len(packed)))
    for name, read in (
        ("uint8 in memory", lambda step: packed.read(batches.order(step))),
        ("float on the device", batches.at),
    ):
        rate = batch_size * _rate(read, effort.seconds)
        yield Row("batches", f"{size} x {size} in random order to {name}", rate, "faces/s")


# ---- training


def _device() -> torch.device:
    return make_accelerator().device


def _prepared(stage: Stage) -> Accelerator:
    accelerator = make_accelerator()
    for name, network in stage.networks.items():
        stage.networks[name] = accelerator.prepare(network.train())
    for name, optimizer in stage.optimizers.items():
        stage.optimizers[name] = accelerator.prepare(optimizer)
    return accelerator


def bench_training(effort: Effort, folder: Path) -> Iterator[Row]:
    """Steps of each stage, without averages, checkpoints and samples, and what a step of the DMN consists of."""
    preset = effort.preset
    packed = _noise_folder(folder / "noise", 64, preset.image_size)
    maskvae = MaskVAE(preset.image_size, width=preset.vae_width, latent=preset.vae_latent)
    for name in STAGES:
        stage, batch_size = make_stage(name, preset, packed, maskvae), run_settings(name, preset).batch_size
        accelerator = _prepared(stage)
        indices = packed.indices("train")
        batches = Batches(packed, indices, batch_size, device=accelerator.device, references=stage.references)
        rate = _rate(lambda i, s=stage, b=batches, a=accelerator: s.step([b.at(i)], a), effort.seconds)
        yield Row("training", f"{name}, {preset.image_size} x {preset.image_size}, batch {batch_size}", rate, "steps/s")
        if isinstance(stage, DMNStage):
            yield from _parts_of_a_step(stage, accelerator, batches, effort.seconds)


def _parts_of_a_step(stage: DMNStage, accelerator: Accelerator, batches: Batches, seconds: float) -> Iterator[Row]:
    parts = dict.fromkeys(("batch", "picture", "discriminator", "generator"), 0.0)
    dmn, discriminator = (stage.networks[name] for name in ("dmn", "discriminator"))
    clock = time.perf_counter()

    def lap(part: str) -> None:
        nonlocal clock
        _finish_queue()
        before, clock = clock, time.perf_counter()
        parts[part] += clock - before

    def step(number: int) -> None:
        nonlocal clock
        clock = time.perf_counter()
        batch = batches.at(number)
        mask = one_hot(batch.mask)
        lap("batch")
        made = dmn(mask, batch.image, mask)
        lap("picture")
        update(
            stage.optimizers["discriminator"],
            [discriminator],
            [batch],
            lambda b: stage.discriminator_loss(mask, b.image, made.detach()),
            accelerator,
        )
        lap("discriminator")
        judge = accelerator.unwrap_model(discriminator).requires_grad_(False)
        update(
            stage.optimizers["dmn"],
            [dmn],
            [batch],
            lambda b: stage.generator_loss(mask, b.image, made, judge),
            accelerator,
        )
        judge.requires_grad_(True)
        lap("generator")

    _rate(step, seconds)
    for name, taken in parts.items():
        yield Row("training", f"dmn, share of a step: {name}", 100 * taken / sum(parts.values()), "%")
    yield _one_pass_or_two(stage, accelerator, batches.at(0), seconds)


def _one_pass_or_two(stage: DMNStage, accelerator: Accelerator, batch: Batch, seconds: float) -> Row:
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

    twice, once = _in_turn([judge_twice, judge_once], seconds)
    return Row("training", "dmn, real and made judged in two passes over in one", twice / once, "times")


# ---- edits, memory


@torch.no_grad()
def bench_edits(effort: Effort, folder: Path) -> Iterator[Row]:
    """One edited mask to one picture, with the style encoded anew and with the style kept."""
    device = _device()
    for name, size in effort.edited:
        preset = PRESETS[name]
        network = DenseMappingNetwork(width=preset.dmn_width, blocks=preset.dmn_blocks, style_width=preset.style_width)
        network = network.to(device).eval()
        mask = one_hot(torch.randint(0, NUM_CLASSES, (1, size, size), device=device))
        image = torch.rand(1, 3, size, size, device=device) * 2 - 1
        style = network.encode_style(image, mask)
        ways = [
            lambda n=network, m=mask, i=image: n.render(m, n.encode_style(i, m)),
            lambda n=network, m=mask, s=style: n.render(m, s),
        ]
        anew, kept = _in_turn(ways, effort.seconds)
        what = f"{name} network, {size} x {size}"
        yield Row("edits", f"{what}, style kept", 1000 * kept, "ms")
        yield Row("edits", f"{what}, style encoded anew over kept", anew / kept, "times")


def bench_memory(effort: Effort, folder: Path) -> Iterator[Row]:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB on Linux
    yield Row("memory", "peak of this process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, "MB")
    if torch.cuda.is_available():
        yield Row("memory", "peak on the GPU", torch.cuda.max_memory_allocated() / 1e6, "MB")
