"""What a run says while it goes on: losses as JSON lines and for TensorBoard, pictures, the line beside the bar."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from PIL import Image

from maskgan_lib.data.batches import Batch
from maskgan_lib.training.checkpointing import Run
from maskgan_lib.training.execution import open_board
from maskgan_lib.training.stage import TrainingError


class Log:
    """Of a run that begins, or goes on: entries after the step that it goes on from are dropped, to come again."""

    def __init__(self, run: Run, batch_size: int, tensorboard: bool):
        self.run, self.batch_size, self.board = run, batch_size, None
        self.main, self.path = run.accelerator.is_main_process, run.folder / "log.jsonl"
        if self.main:
            with writing(self.path) as path:
                (run.folder / "samples").mkdir(exist_ok=True)
                path.write_text("".join(json.dumps(entry) + "\n" for entry in run.history))
            self.board = open_board(run.folder / "tensorboard", run.step) if tensorboard else None
        self.first_step, self.start, self.before = run.step, time.perf_counter(), run.seconds

    def write(self) -> str:
        """Write the means of the pending losses over steps and processes, if there are any; the last ones in words.

        This is where the host waits for the device. ``TrainingError`` for a loss that is not finite.
        """
        run = self.run
        if run.pending:
            names, table = run.pending_losses()
            losses = dict(zip(names, table.mean(dim=0).tolist(), strict=True))
            run.pending = []
            seconds = self.before + time.perf_counter() - self.start
            run.history.append({"step": run.step, "seconds": round(seconds, 3), **losses})
            if self.main:
                with writing(self.path) as path, path.open("a") as file:
                    file.write(json.dumps(run.history[-1]) + "\n")
            if self.board:
                for name, value in losses.items():
                    self.board.add_scalar(name, value, run.step)
        speed = self.batch_size * (run.step - self.first_step) / (time.perf_counter() - self.start)
        last = {name: value for name, value in run.history[-1].items() if name not in ("step", "seconds")}
        return "  ".join([f"{speed:.3g} images/s", *(f"{name} {value:.3g}" for name, value in last.items())])

    def draw(self, batch: Batch) -> None:
        """Write the stage's picture of what its averaged networks do with ``batch``."""
        if not self.main:
            return
        run = self.run
        averaged = {name: average.module for name, average in run.averages.items()}
        with torch.no_grad():
            picture = run.stage.sample(run.networks | averaged, batch)
        with writing(run.folder / "samples" / f"step-{run.step:06d}.png") as path:
            Image.fromarray(picture).save(path)
        if self.board:
            self.board.add_image("samples", picture, run.step, dataformats="HWC")

    def close(self) -> None:
        """Nothing more will come."""
        if self.board:
            self.board.close()


def load_log(folder: str | Path) -> list[dict]:
    """The log of a run, one dict per entry: step, seconds and the mean losses since the entry before."""
    return [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """``path``, to be written to; a disk's refusal becomes a ``TrainingError``."""
    try:
        yield path
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(f"{path} could not be written ({reason}): free space, then go on with --resume.") from error
