"""How a run is executed: device, precision, parts of a batch, memory, TensorBoard."""

from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import parse_flag_from_env
from torch import nn

from maskgan_lib.networks.blocks import Recomputing
from maskgan_lib.training.stage import TrainingError

PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class Execution:
    """How a run is executed: changes its speed and memory, and its figures by no more than rounding.

    Args:
        precision: ``no`` (float32), ``bf16`` or ``fp16`` (a GPU's); None takes bf16 where the GPU computes in it, else
            float32.
        accumulate: equal parts in which a batch is done one by one, for less memory.
        recompute: keep few of the generators' activations and compute them again on the way back, for less memory.
        tensorboard: also write losses and samples to the folder ``tensorboard`` in the run's.
    """

    precision: str | None = None
    accumulate: int = 1
    recompute: bool = False
    tensorboard: bool = False


def make_accelerator(precision: str | None = None) -> Accelerator:
    """Device, precision and processes; ``TrainingError`` for a precision that this machine cannot do."""
    precision = precision or best_precision()
    if precision not in PRECISIONS:
        raise TrainingError(f"There is no precision {precision!r}: choose one of {', '.join(PRECISIONS)}.")
    # accelerate takes fp16 on a CPU without a word, and computes in float32.
    if precision == "fp16" and _on_cpu():
        raise TrainingError("fp16 needs a GPU: leave --precision out, or choose bf16.")
    try:
        return Accelerator(cpu=_on_cpu(), mixed_precision=precision)
    except ValueError as error:
        raise TrainingError(f"{precision} cannot be used here ({error}): leave --precision out, or restart.") from error


def best_precision() -> str:
    """``bf16`` on a GPU that computes in it, else ``no``: an emulated one is not used, and a CPU keeps float32."""
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    return "no"


def hardware() -> str:
    """The device in words, for model cards."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"a CPU ({torch.get_num_threads()} of its cores)"


def _on_cpu() -> bool:
    """Whether this process computes on the CPU. Unless told so, accelerate lets each of several work on its own."""
    return parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()


def processes() -> int:
    """How many processes share this run."""
    return PartialState(cpu=_on_cpu()).num_processes


def say(text: object) -> None:
    """Print once, however many processes share this run."""
    PartialState(cpu=_on_cpu()).print(text)


def one_first():
    """A context that one process of each machine goes through before the others, to fetch what all need."""
    return PartialState(cpu=_on_cpu()).local_main_process_first()


def set_recompute(network: nn.Module, recompute: bool) -> None:
    """Have those parts of ``network`` that can do so keep few activations, or all of them."""
    for module in network.modules():
        if isinstance(module, Recomputing):
            module.recompute = recompute


def open_board(folder: Path, step: int):
    """TensorBoard's writer into ``folder``, going on after ``step``: what an interrupted run wrote later is hidden."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TrainingError("TensorBoard is not installed: pip install tensorboard, or leave it out.") from error
    return SummaryWriter(str(folder), purge_step=step + 1)
