"""The one training loop. A stage supplies networks, optimisers and ``step(batches) -> losses``; the rest is here.

What a step sees depends on the seed and the step's number alone, so a run that is resumed goes on bit for bit (on the
CPU) as if it had never been interrupted.
"""

import dataclasses
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from maskgan_lib.checkpoints import save_weights
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.progress import progress_bar
from maskgan_lib.training.augmentation import augmented
from maskgan_lib.training.checkpointing import Run, newest_checkpoint
from maskgan_lib.training.execution import Execution, hardware, make_accelerator, set_recompute
from maskgan_lib.training.log import Log, load_log
from maskgan_lib.training.stage import Stage, TrainingError

__all__ = ["RunSettings", "load_log", "newest_checkpoint", "train"]


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """How long and how to run. Lengths are in steps."""

    steps: int
    batch_size: int
    seed: int = 0
    decay_from: float = 0.5
    ema_decay: float = 0.999
    checkpoint_every: int = 1000
    sample_every: int = 1000
    log_every: int = 50
    augment: float = 0.0

    def rate(self, step: int) -> float:
        """Learning rate at ``step`` as a share of the first: one, then linearly down to zero from ``decay_from`` on."""
        return min(1.0, (1 - step / self.steps) / max(1 - self.decay_from, 1 / self.steps))


def train(
    stage: Stage,
    faces: PackedFaces,
    indices: np.ndarray,
    folder: str | Path,
    settings: RunSettings,
    resume: bool,
    card: dict,
    execution: Execution,
) -> list[dict]:
    """Run ``stage`` on the faces ``indices`` for ``settings.steps`` steps; returns the log, one dict per entry.

    Writes to ``folder``: ``log.jsonl``, ``samples/step-*.png``, the last two checkpoints, and at the end
    ``<network>.safetensors`` for each averaged network with ``card`` in it. With ``resume`` goes on from the newest
    readable checkpoint, or starts if there is none; without, refuses a folder that holds one. Ctrl-C finishes the step,
    saves, and raises ``KeyboardInterrupt``. Raises ``TrainingError`` when a loss is not finite; the last checkpoint
    stays.

    Several processes share every batch and learn what one would from the whole, up to rounding. Batch normalisation is
    the exception on CPUs, where each process normalises by its own share: the weights stay the same in all processes,
    the running statistics are those of the first one's share. On GPUs it looks at the whole batch (``SyncBatchNorm``).
    """
    accelerator = make_accelerator(execution.precision)
    if settings.augment and not stage.augments:
        raise TrainingError(f"{stage.name} cannot learn from turned faces, of which it is told how they are turned.")
    refuse_parts(stage, settings.batch_size, execution.accumulate, accelerator.num_processes)
    agreed = {"stage": stage.name, **dataclasses.asdict(settings), **stage.config, **stage.sizes()}
    agreed |= {"data": faces.source, "size": faces.size, "faces": len(indices), "made_by": faces.made_by}
    run = Run(Path(folder), stage, accelerator, settings.ema_decay, agreed, card)
    prepare(stage, accelerator, execution.recompute)
    rates = {name: [group["lr"] for group in o.param_groups] for name, o in stage.optimizers.items()}
    where = (accelerator.device, accelerator.process_index, accelerator.num_processes)
    batches = Batches(faces, indices, settings.batch_size, settings.seed, *where, stage.references, stage.expressions)
    run.start(resume)
    log = Log(run, settings.batch_size, execution.tensorboard)

    def due(every: int) -> bool:
        return run.step % every == 0 or run.step == settings.steps

    shown = {"desc": stage.name, "unit": "step", "disable": not accelerator.is_main_process}
    bar = progress_bar(total=settings.steps, initial=run.step, **shown)
    with bar, ctrl_c() as pressed, closing(batches.stream(run.step, settings.steps)) as stream:
        for batch in stream:
            batch = augmented(batch, settings.augment) if settings.augment else batch
            for name, optimizer in stage.optimizers.items():
                for group, rate in zip(optimizer.param_groups, rates[name], strict=True):
                    group["lr"] = rate * settings.rate(run.step)
            run.advance(stage.step(batch.parts(execution.accumulate), accelerator))
            bar.update()
            if due(settings.log_every):
                bar.set_postfix_str(log.write(), refresh=False)
            if due(settings.sample_every):
                log.draw(batches.at(0))
            if due(settings.checkpoint_every):
                log.write()  # a checkpoint could keep the pending losses of one process only
                run.save()
            if must_stop(pressed, run):
                run.save()
                raise KeyboardInterrupt(
                    f"stopped after step {run.step}; go on with --resume (or resume=True) in {run.folder}"
                )

    if accelerator.is_main_process:
        card = {**run.card, "steps": run.step, "seconds": round(run.seconds), "hardware": hardware()}
        for name, average in run.averages.items():
            save_weights(run.folder / f"{name}.safetensors", average.module, card)
    log.close()
    accelerator.wait_for_everyone()
    return run.history


def refuse_parts(stage: Stage, batch_size: int, parts: int, processes: int) -> None:
    """``TrainingError`` for a batch that cannot be cut into so many parts on each process."""
    if parts > 1 and not stage.accumulates:
        raise TrainingError(
            f"{stage.name} has batch normalisation, which has to see a whole batch: leave --accumulate out and"
            " choose a preset with a smaller batch."
        )
    if parts < 1 or batch_size % (parts * processes):
        raise TrainingError(
            f"A batch of {batch_size} faces cannot be cut into {parts} equal parts on each of {processes} processes:"
            " choose --accumulate (or the number of processes) so that it divides."
        )


def prepare(stage: Stage, accelerator: Accelerator, recompute: bool = False) -> None:
    """Put all that a step computes with on the device, and the networks and optimisers into accelerate's hands."""
    for module in stage.modules():
        set_recompute(module.to(accelerator.device), recompute)
    for name, network in stage.networks.items():
        if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        stage.networks[name] = accelerator.prepare(network.train())
    for name, optimizer in stage.optimizers.items():
        stage.optimizers[name] = accelerator.prepare(optimizer)


def must_stop(pressed: threading.Event, run: Run) -> bool:
    """Whether Ctrl-C was pressed. Several processes agree on it, at log points: they have to stop at one step."""
    if run.accelerator.num_processes == 1:
        return pressed.is_set()
    if run.pending:
        return False
    votes = torch.tensor(float(pressed.is_set()), device=run.accelerator.device)
    return run.accelerator.reduce(votes).item() > 0


@contextmanager
def ctrl_c() -> Iterator[threading.Event]:
    """Ctrl-C sets the flag, so that the step under way is finished; a second one interrupts at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def on_interrupt(number, frame):
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
