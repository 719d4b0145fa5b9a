"""Files of weights and of the state of a training run.

Every file is written under another name in the same folder and renamed when it is complete and on the disk, so that a
reader finds the old one or the new one, never half of one. Every file brings checksums: neither safetensors nor
``torch.load`` notices a changed byte among the numbers.
"""

import hashlib
import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

SEAL = b"sha256:"
"""Stands at the end of a training state, before the hash of all that comes before it: PyTorch does not look there."""
READ_ERRORS = (
    *(OSError, EOFError, RuntimeError, ValueError, KeyError, IndexError, pickle.UnpicklingError),
    SafetensorError,  # torch.load goes by the file's name
)


class CheckpointError(Exception):
    """A checkpoint cannot be written, read or used: one sentence that names the file, what is wrong and what to do."""


@contextmanager
def atomic(path: str | Path, wait: bool = True) -> Iterator[BinaryIO]:
    """An open file that becomes ``path`` when the block ends well, and is removed when it does not.

    With ``wait`` it is on the disk then, which on a busy one may take a second. Without, it outlives the process all
    the same, but not a power cut.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("w+b") as file:
            yield file
            if wait:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, RuntimeError) as error:
        # torch.save reports a full disk as a RuntimeError; the zip writer keeps the disk's own error as its context.
        reason = error.__context__ if isinstance(error.__context__, OSError) else error
        raise CheckpointError(f"{path} could not be written ({reason}): free space, or name another folder.") from error
    finally:
        with suppress(OSError):  # the reason why nothing could be written stays the error
            partial.unlink()


# ---- into a network


def check_keys(expected: Mapping[str, Tensor], found: Mapping[str, Tensor], what: str) -> None:
    """``CheckpointError`` that lists every missing, unexpected and wrong-shaped key, unless there is none."""
    troubles = {
        "missing": [key for key in expected if key not in found],
        "unexpected": [key for key in found if key not in expected],
        "wrong shape": [
            f"{key} {list(found[key].shape)} instead of {list(value.shape)}"
            for key, value in expected.items()
            if key in found and found[key].shape != value.shape
        ],
    }
    listed = "; ".join(f"{trouble}: {', '.join(keys)}" for trouble, keys in troubles.items() if keys)
    if listed:
        raise CheckpointError(f"{what} does not fit the network: use the sizes that it was trained with ({listed}).")


def load_into(network: nn.Module, state_dict: Mapping[str, Tensor], what: str) -> None:
    """Copy weights into a network, strictly.

    Args:
        what: name of the weights for the message, e.g. the file.

    Raises:
        CheckpointError: lists the missing, unexpected and wrong-shaped keys; the network is unchanged then.
    """
    own = network.state_dict()
    check_keys(own, state_dict, what)
    # A network on the meta device has no memory to copy into: it takes the tensors themselves.
    network.load_state_dict(state_dict, assign=any(tensor.is_meta for tensor in own.values()))


# ---- training states


def save_state(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write the state of a training run: tensors, numbers, strings, and dicts, lists and tuples of them."""
    with atomic(path) as file:
        torch.save(dict(state), file)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256")
        file.write(SEAL + digest.hexdigest().encode())


def load_state(path: str | Path) -> dict[str, Any]:
    """The state in a file of ``save_state``, on the CPU. No code in the file is run.

    Raises ``CheckpointError`` for a file that cannot be read, or of which any byte is not what was written.
    """
    advice = "delete it and start again, or go on from an older one"
    if existing(path).stat().st_size:
        data, length = np.memmap(path, mode="r"), len(SEAL) + 64
        seal = data[-length:].tobytes()  # a state from before there were seals has none
        if seal.startswith(SEAL) and seal != SEAL + hashlib.sha256(data[:-length]).hexdigest().encode():
            raise _unreadable(path, "its checksum is another", advice)
    return read_pickled(path, advice)


def read_pickled(path: str | Path, advice: str) -> Any:
    """What ``torch.save`` wrote, zipped or in the old format, on the CPU; only tensors and plain containers."""
    try:
        return torch.load(existing(path), map_location="cpu", weights_only=True)
    except READ_ERRORS as error:
        raise _unreadable(path, error, advice) from error


def read_state_dict(path: str | Path, advice: str, instead: str) -> dict[str, Tensor]:
    """A plain state dict that ``torch.save`` wrote, in float32, without a ``module.`` before all names.

    ``CheckpointError`` with what to do: ``advice`` for a file that cannot be read, ``instead`` for one that holds
    something else.
    """
    state = read_pickled(path, advice)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{path} is no plain dict of weights: {instead}.")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def _unreadable(path: str | Path, reason: object, advice: str) -> CheckpointError:
    short = str(reason).partition("\n")[0].partition(". ")[0] or type(reason).__name__
    return CheckpointError(f"{path} cannot be read as a PyTorch checkpoint ({short}): {advice}.")


def existing(path: str | Path) -> Path:
    """``path``; ``CheckpointError`` if there is no such file."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}: check the path, or train first.")
    return path
