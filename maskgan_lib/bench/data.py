"""Faces drawn, prepared and read per second."""

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from maskgan_lib import faces
from maskgan_lib.bench.measuring import Effort, Row, rate
from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.data import celebamask, procedural
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.filling import available_cores, run_parallel
from maskgan_lib.data.packed import FaceRecord, PackedFaces, PackedWriter
from maskgan_lib.training.execution import make_accelerator


def bench_faces(effort: Effort, folder: Path) -> Iterator[Row]:
    """Procedural faces drawn by one core."""
    for size in effort.face_sizes:
        drawn = rate(lambda i, size=size: faces.render(faces.sample(0, i), size), effort.seconds)
        yield Row("faces", f"drawn at {size} x {size}, one core", drawn, "faces/s")


def bench_preparation(effort: Effort, folder: Path) -> Iterator[Row]:
    """CelebAMask-HQ's layout, here with procedural faces in it, to 512 x 512."""
    root, count = folder / "layout", effort.prepared
    procedural.render_celebamask_hq(root, count, image_size=effort.photograph, progress=False)
    start = time.perf_counter()
    celebamask.prepare(root, folder / "prepared", 512, workers=1, progress=False)
    prepared = count / (time.perf_counter() - start)
    name = f"{effort.photograph} x {effort.photograph} JPEG and parts to 512 x 512"
    yield Row("preparation", f"{name}, one core", prepared, "faces/s")

    cores, archive = available_cores(), celebamask.open_data_set(root)
    again = cores * max(4, round(prepared * effort.seconds))
    record = FaceRecord("0", "train")
    jobs = [partial(celebamask.make_face, archive, i % count, 512, record) for i in range(again)]
    results = run_parallel(jobs, cores)
    next(results)  # the processes have started
    start = time.perf_counter()
    left = sum(1 for _ in results)
    yield Row(
        "preparation", f"the same without writing, {cores} cores", left / (time.perf_counter() - start), "faces/s"
    )


def noise_folder(folder: Path, count: int, size: int) -> PackedFaces:
    """A packed folder of noise: how fast it is read and learnt does not depend on what it shows."""
    rng = np.random.default_rng(0)
    with PackedWriter(folder, size, count, "noise", ("Smiling",)) as writer:
        for i in range(count):
            image = rng.integers(0, 256, (size, size, 3), np.uint8)
            mask = rng.integers(0, NUM_CLASSES, (size, size), np.uint8)
            attributes = {"Smiling": 1 if i % 2 else -1}
            writer.write(i, image, mask, FaceRecord(str(i), "train", i // 2, attributes, (0.0, 0.0, 0.0)))
        return writer.finish()


def bench_batches(effort: Effort, folder: Path) -> Iterator[Row]:
    """Batches of 8 in random order from a packed folder whose pages are in memory."""
    size, batch_size = 256, 8
    packed = noise_folder(folder / "noise-256", effort.packed, size)
    batches = Batches(packed, np.arange(len(packed)), batch_size, device=make_accelerator().device)
    packed.read(np.arange(len(packed)))
    for name, read in (
        ("uint8 in memory", lambda step: packed.read(batches.draw(step)[:, 0])),
        ("float on the device", batches.at),
    ):
        read_rate = batch_size * rate(read, effort.seconds)
        yield Row("batches", f"{size} x {size} in random order to {name}", read_rate, "faces/s")
