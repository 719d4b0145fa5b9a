"""The one training loop: batches, precision, several processes, checkpoints, resume, averages, log, pictures, progress.

A stage supplies networks, optimisers and ``step(batches) -> losses``; everything else is here. What a step sees depends
on the seed and the step's number alone, so a run that is resumed goes on bit for bit (on the CPU) as if it had never
been interrupted.
"""

import dataclasses
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from maskgan_lib.checkpoints import CheckpointError, load_into, load_state, save_state, save_weights
from maskgan_lib.data.batches import Batches
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.presets import Preset
from maskgan_lib.progress import progress_bar
from maskgan_lib.training.execution import Execution, hardware, make_accelerator, open_board, say, set_recompute
from maskgan_lib.training.stage import Stage, TrainingError, differing

CHECKPOINT, PREVIOUS, COMING = "checkpoint.pt", "checkpoint.previous.pt", "checkpoint.coming.pt"


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

    @classmethod
    def of(cls, preset: Preset, steps: int, batch_size: int, seed: int = 0) -> "RunSettings":
        """The loop's share of a preset."""
        shared = {f.name for f in dataclasses.fields(cls)} & {f.name for f in dataclasses.fields(preset)}
        return cls(steps, batch_size, seed, **{name: getattr(preset, name) for name in shared})

    def rate(self, step: int) -> float:
        """Learning rate at ``step`` as a share of the first: one, then linearly down to zero from ``decay_from`` on."""
        return min(1.0, (1 - step / self.steps) / max(1 - self.decay_from, 1 / self.steps))


def train(
    stage: Stage,
    faces: PackedFaces,
    indices: np.ndarray,
    folder: str | Path,
    settings: RunSettings,
    resume: bool = False,
    card: dict | None = None,
    execution: Execution | None = None,
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
    return _Run(stage, faces, indices, Path(folder), settings, card or {}, execution or Execution()).go(resume)


class _Run:
    def __init__(self, stage, faces, indices, folder, settings, card, execution):
        self.stage, self.folder, self.settings, self.card = stage, folder, settings, card
        self.execution = execution
        self.agreed = {"stage": stage.name, **dataclasses.asdict(settings), **stage.config, **stage.sizes()}
        self.agreed |= {"data": faces.source, "size": faces.size, "faces": len(indices), "made_by": faces.made_by}
        self.accelerator = make_accelerator(execution.precision)
        self._check_parts()
        self.main = self.accelerator.is_main_process
        self.averages = {
            name: AveragedModel(stage.networks[name], avg_fn=self._average, use_buffers=True)
            .to(self.accelerator.device)
            .requires_grad_(False)
            .eval()
            for name in stage.averaged
        }
        self._prepare()
        self.batches = Batches(
            faces,
            indices,
            settings.batch_size,
            settings.seed,
            self.accelerator.device,
            self.accelerator.process_index,
            self.accelerator.num_processes,
            stage.references,
        )
        self.step, self.history, self.pending = 0, [], []
        self.board = None

    def _check_parts(self) -> None:
        parts, processes, size = self.execution.accumulate, self.accelerator.num_processes, self.settings.batch_size
        if parts > 1 and not self.stage.accumulates:
            raise TrainingError(
                f"{self.stage.name} has batch normalisation, which has to see a whole batch: leave --accumulate out and"
                " choose a preset with a smaller batch."
            )
        if parts < 1 or size % (parts * processes):
            raise TrainingError(
                f"A batch of {size} faces cannot be cut into {parts} equal parts on each of {processes} processes:"
                " choose --accumulate (or the number of processes) so that it divides."
            )

    def _prepare(self) -> None:
        stage, accelerator = self.stage, self.accelerator
        for module in stage.modules():
            set_recompute(module, self.execution.recompute)
        for name, network in stage.networks.items():
            if accelerator.num_processes > 1 and accelerator.device.type == "cuda":
                network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
            stage.networks[name] = accelerator.prepare(network.train())
        for name, optimizer in stage.optimizers.items():
            stage.optimizers[name] = accelerator.prepare(optimizer)
        self.base_rates = {name: [g["lr"] for g in o.param_groups] for name, o in stage.optimizers.items()}

    def _average(self, average: Tensor, current: Tensor, updates: Tensor) -> Tensor:
        if not average.is_floating_point():
            return current
        # The average is short at first, or the random start would linger in it for 1 / (1 - decay) steps.
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        return torch.lerp(current, average, decay)

    def go(self, resume: bool) -> list[dict]:
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume:
            self._load()
        elif any((self.folder / name).exists() for name in (CHECKPOINT, PREVIOUS, COMING)):
            raise TrainingError(f"{self.folder} holds an earlier run: resume it (--resume) or choose another folder.")
        self._open_log()
        bar = progress_bar(
            total=self.settings.steps,
            initial=self.step,
            desc=self.stage.name,
            unit="step",
            disable=not self.main,
        )
        self.stopwatch, self.seconds_before, self.first_step = time.perf_counter(), self._seconds(), self.step
        with bar, _interrupt_flag() as interrupted:
            while self.step < self.settings.steps:
                self._one_step()
                bar.update()
                self._housekeeping(bar)
                if self._must_stop(interrupted):
                    self._save()
                    raise KeyboardInterrupt(
                        f"stopped after step {self.step}; go on with --resume (or resume=True) in {self.folder}"
                    )
        self._finish()
        return self.history

    def _one_step(self) -> None:
        factor = self.settings.rate(self.step)
        for name, optimizer in self.stage.optimizers.items():
            for group, base in zip(optimizer.param_groups, self.base_rates[name], strict=True):
                group["lr"] = base * factor
        batch = self.batches.at(self.step)
        losses = self.stage.step(batch.parts(self.execution.accumulate), self.accelerator)
        self.step += 1
        self.pending.append(losses)
        for name, average in self.averages.items():
            average.update_parameters(self.accelerator.unwrap_model(self.stage.networks[name]))

    def _housekeeping(self, bar) -> None:
        every = self.settings
        last = self.step == every.steps
        if self.step % every.log_every == 0 or last:
            losses = self._flush_log()
            speed = every.batch_size * (self.step - self.first_step) / (time.perf_counter() - self.stopwatch)
            shown = [f"{speed:.3g} images/s", *(f"{name} {value:.3g}" for name, value in losses.items())]
            bar.set_postfix_str("  ".join(shown), refresh=False)
        if self.step % every.sample_every == 0 or last:
            self._draw()
        if self.step % every.checkpoint_every == 0 or last:
            self._flush_log()  # a checkpoint could keep the pending losses of one process only
            self._save()

    def _must_stop(self, interrupted: threading.Event) -> bool:
        """Whether Ctrl-C was pressed. Several processes agree on it, at log points: they have to stop at one step."""
        if self.accelerator.num_processes == 1:
            return interrupted.is_set()
        if self.pending:
            return False
        votes = torch.tensor(float(interrupted.is_set()), device=self.accelerator.device)
        return self.accelerator.reduce(votes).item() > 0

    # ---- log

    def _seconds(self) -> float:
        return self.history[-1]["seconds"] if self.history else 0.0

    def _open_log(self) -> None:
        """Drop entries after the step that was resumed from: their steps are run again."""
        if self.main:
            lines = [json.dumps(entry) + "\n" for entry in self.history]
            with _writing(self.folder / "log.jsonl") as path:
                (self.folder / "samples").mkdir(exist_ok=True)
                path.write_text("".join(lines))
            if self.execution.tensorboard:
                self.board = open_board(self.folder / "tensorboard", self.step)

    def _flush_log(self) -> dict[str, float]:
        """Move the losses since the last entry off the device, check them, average over steps and processes, write."""
        if not self.pending:
            return {k: v for k, v in self.history[-1].items() if k not in ("step", "seconds")} if self.history else {}
        names, table = self._pending_losses()
        self.pending = []
        losses = dict(zip(names, table.mean(dim=0).tolist(), strict=True))
        seconds = self.seconds_before + time.perf_counter() - self.stopwatch
        self.history.append({"step": self.step, "seconds": round(seconds, 3), **losses})
        if self.main:
            with _writing(self.folder / "log.jsonl") as path, path.open("a") as log:
                log.write(json.dumps(self.history[-1]) + "\n")
            if self.board:
                for name, value in losses.items():
                    self.board.add_scalar(name, value, self.step)
        return losses

    def _pending_losses(self) -> tuple[list[str], Tensor]:
        """Names ``[L]`` and values ``[steps, L]`` of the losses since the last entry, all found finite."""
        names = list(self.pending[0])
        table = torch.stack([torch.stack([losses[name].float() for name in names]) for losses in self.pending])
        table = self.accelerator.reduce(table, reduction="mean")
        broken = (~table.isfinite()).nonzero()
        if len(broken):
            row, column = broken[0].tolist()
            step = self.step - len(self.pending) + row + 1
            self._give_up(f"The loss {names[column]!r} became {table[row, column].item()} at step {step}")
        return names, table

    def _check_weights(self) -> None:
        for name, network in self.stage.networks.items():
            for key, value in self.accelerator.unwrap_model(network).state_dict().items():
                if not value.isfinite().all():
                    self._give_up(f"The weights {key!r} of {name} are not finite after step {self.step}")

    def _give_up(self, what: str) -> NoReturn:
        start = "start again"
        if (self.folder / CHECKPOINT).exists():
            start = f"the last checkpoint in {self.folder} is from before that, start a new run from it (--init)"
        raise TrainingError(f"{what}: {start}, with a lower learning rate.")

    # ---- pictures, checkpoints, weights

    def _inference(self) -> dict[str, nn.Module]:
        plain = {name: self.accelerator.unwrap_model(net) for name, net in self.stage.networks.items()}
        return plain | {name: average.module for name, average in self.averages.items()}

    def _draw(self) -> None:
        if not self.main:
            return
        with torch.no_grad():
            picture = self.stage.sample(self._inference(), self.batches.at(0))
        with _writing(self.folder / "samples" / f"step-{self.step:06d}.png") as path:
            Image.fromarray(picture).save(path)
        if self.board:
            self.board.add_image("samples", picture, self.step, dataformats="HWC")

    def _state(self) -> dict:
        unwrap = self.accelerator.unwrap_model
        return {
            "step": self.step,
            "agreed": self.agreed,
            "card": self.card,
            "history": self.history,
            "pending": self.pending,
            "networks": {name: unwrap(net).state_dict() for name, net in self.stage.networks.items()},
            "averages": {name: average.state_dict() for name, average in self.averages.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.stage.optimizers.items()},
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler else None,
        }

    def _save(self) -> None:
        if self.pending:
            self._pending_losses()
        self._check_weights()
        if self.main:
            # Complete before the others are touched: a full disk, or a damaged newest one, must not cost the last good.
            save_state(self.folder / COMING, self._state())
            self._promote()
        self.accelerator.wait_for_everyone()

    def _promote(self) -> None:
        """Make the coming checkpoint, which is complete, the newest one; a kill on the way is made good by a resume."""
        newest, coming = self.folder / CHECKPOINT, self.folder / COMING
        if coming.exists():
            if newest.exists():
                newest.replace(self.folder / PREVIOUS)
            coming.replace(newest)

    def _load(self) -> None:
        if self.main:
            self._promote()
        self.accelerator.wait_for_everyone()
        state = newest_checkpoint(self.folder)
        if state is None:
            return
        others = differing(state["agreed"], self.agreed)
        if others:
            raise TrainingError(f"{self.folder} holds a run with other settings: {others}.")
        for name, network in self.stage.networks.items():
            network = self.accelerator.unwrap_model(network)
            load_into(network, state["networks"][name], f"The {name} in {self.folder}")
        for name, average in self.averages.items():
            load_into(average, state["averages"][name], f"The averaged {name} in {self.folder}")
        for name, optimizer in self.stage.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self.accelerator.scaler and state["scaler"]:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        self.step, self.history, self.card = state["step"], state["history"], state["card"]
        device = self.accelerator.device
        self.pending = [{name: loss.to(device) for name, loss in losses.items()} for losses in state["pending"]]

    def _finish(self) -> None:
        if self.main:
            card = {**self.card, "steps": self.step, "seconds": round(self._seconds()), "hardware": hardware()}
            for name, network in self._inference().items():
                if name in self.averages:
                    save_weights(self.folder / f"{name}.safetensors", network, card)
        if self.board:
            self.board.close()
        self.accelerator.wait_for_everyone()


def newest_checkpoint(folder: Path) -> dict | None:
    """The newest readable training state in ``folder``; ``None`` when there is none at all."""
    paths = [path for name in (CHECKPOINT, PREVIOUS) if (path := folder / name).exists()]
    for path in paths:
        try:
            return load_state(path)
        except CheckpointError as error:
            if path == paths[-1]:
                raise
            say(f"{error} Going on from {paths[-1].name}.")
    return None


def load_log(folder: str | Path) -> list[dict]:
    """The log of a run, one dict per entry: step, seconds and the mean losses since the entry before."""
    return [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    try:
        yield path
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(f"{path} could not be written ({reason}): free space, then go on with --resume.") from error


@contextmanager
def _interrupt_flag() -> Iterator[threading.Event]:
    """Ctrl-C sets the flag, so that the step under way is finished; a second one interrupts at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    before = signal.getsignal(signal.SIGINT)

    def on_interrupt(number, frame):
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, before)
