"""The state of a run, and its checkpoints: written, kept two at a time, read back after a kill at any moment."""

from pathlib import Path
from typing import NoReturn

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from maskgan_lib.checkpoints import CheckpointError, load_into, load_state, save_state
from maskgan_lib.training.execution import say
from maskgan_lib.training.stage import Stage, TrainingError, differing

CHECKPOINT, PREVIOUS, COMING = "checkpoint.pt", "checkpoint.previous.pt", "checkpoint.coming.pt"


class Average(AveragedModel):
    """The moving average ``module`` of a network: ``a_1 = w_1``, then ``a_t = d_t a_(t-1) + (1 - d_t) w_t``.

    ``d_t = min(decay, (1 + t) / (10 + t))``: the average is short at first, or the random start would linger in it for
    ``1 / (1 - decay)`` steps.
    """

    def __init__(self, network: nn.Module, decay: float, device: torch.device):
        super().__init__(network, use_buffers=True)
        self.decay = decay
        self.module.to(device)  # the counter stays on the CPU, where reading it does not wait for the device
        self.requires_grad_(False).eval()

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        """One step further, all tensors at once; a counter of batches is taken as it is."""
        self.n_averaged += 1
        count = int(self.n_averaged)
        decay = 0.0 if count == 1 else min(self.decay, (1 + count) / (10 + count))
        pairs = list(zip(self.module.state_dict().values(), model.state_dict().values(), strict=True))
        averages, weights = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
        torch._foreach_copy_(averages, torch._foreach_lerp(weights, averages, decay))
        for average, counter in (pair for pair in pairs if not pair[0].is_floating_point()):
            average.copy_(counter)


class Run:
    """A run between two steps: all that a checkpoint holds and a resume brings back.

    ``agreed`` are the settings that a resumed run must share, ``card`` goes into the weights' model cards, ``history``
    is the log, and ``pending`` are the losses since its last entry, still on the device. To be made before the stage's
    networks are prepared: ``networks`` are the plain ones.
    """

    def __init__(
        self, folder: Path, stage: Stage, accelerator: Accelerator, ema_decay: float, agreed: dict, card: dict
    ):
        self.folder, self.stage, self.accelerator, self.agreed, self.card = folder, stage, accelerator, agreed, card
        self.networks = dict(stage.networks)
        self.averages = {name: Average(self.networks[name], ema_decay, accelerator.device) for name in stage.averaged}
        self.step = 0
        self.history: list[dict] = []
        self.pending: list[dict[str, Tensor]] = []

    @property
    def seconds(self) -> float:
        """That the run has taken up to the last entry of its log."""
        return self.history[-1]["seconds"] if self.history else 0.0

    def advance(self, losses: dict[str, Tensor]) -> None:
        """A step is made."""
        self.step += 1
        self.pending.append(losses)
        for name, average in self.averages.items():
            average.update_parameters(self.networks[name])

    # ---- what must be finite

    def pending_losses(self) -> tuple[list[str], Tensor]:
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

    def _give_up(self, what: str) -> NoReturn:
        start = "start again"
        if (self.folder / CHECKPOINT).exists():
            start = f"the last checkpoint in {self.folder} is from before that, start a new run from it (--init)"
        raise TrainingError(f"{what}: {start}, with a lower learning rate.")

    # ---- writing

    def save(self) -> None:
        """Write the state as the newest checkpoint. ``TrainingError`` if a loss or a weight in it is not finite."""
        if self.pending:
            self.pending_losses()
        networks = {name: network.state_dict() for name, network in self.networks.items()}
        for name, weights in networks.items():
            for key, value in weights.items():
                if not value.isfinite().all():
                    self._give_up(f"The weights {key!r} of {name} are not finite after step {self.step}")
        if self.accelerator.is_main_process:
            scaler = self.accelerator.scaler
            state = {name: getattr(self, name) for name in ("step", "agreed", "card", "history", "pending")}
            state["networks"] = networks
            state["averages"] = {name: average.state_dict() for name, average in self.averages.items()}
            state["optimizers"] = {name: optimizer.state_dict() for name, optimizer in self.stage.optimizers.items()}
            state["scaler"] = scaler.state_dict() if scaler else None
            # Complete before the others are touched: a full disk, or a damaged newest one, must not cost the last good.
            save_state(self.folder / COMING, state)
            promote(self.folder)
        self.accelerator.wait_for_everyone()

    # ---- reading

    def start(self, resume: bool) -> None:
        """Go on from the newest checkpoint with ``resume``; without, ``TrainingError`` where there is one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not resume:
            if any((self.folder / name).exists() for name in (CHECKPOINT, PREVIOUS, COMING)):
                raise TrainingError(
                    f"{self.folder} holds an earlier run: resume it (--resume) or choose another folder."
                )
            return
        if self.accelerator.is_main_process:
            promote(self.folder)
        self.accelerator.wait_for_everyone()
        state = newest_checkpoint(self.folder)
        if state is not None:
            self._restore(state)

    def _restore(self, state: dict) -> None:
        others = differing(state["agreed"], self.agreed)
        if others:
            if others.startswith("steps ") and ";" not in others:
                others += f"; to train on, start another run from it with --init {self.folder}"
            raise TrainingError(f"{self.folder} holds a run with other settings: {others}.")
        for name, network in self.networks.items():
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


def promote(folder: Path) -> None:
    """Make the coming checkpoint, which is complete, the newest one; a kill on the way is made good by a resume."""
    newest, coming = folder / CHECKPOINT, folder / COMING
    if coming.exists():
        if newest.exists():
            newest.replace(folder / PREVIOUS)
        coming.replace(newest)


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
