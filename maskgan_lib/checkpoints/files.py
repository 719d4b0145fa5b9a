"""Weights with their model card as safetensors, and the state of a training run.

Every file is written under another name in the same folder and renamed when it is complete and on the disk, so that a
reader finds the old one or the new one, never half of one. Every file brings checksums: neither safetensors nor
``torch.load`` notices a changed byte among the numbers.
"""

import hashlib
import json
import os
import pickle
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from maskgan_lib.networks import NETWORKS

FORMAT = 1
"""Version of the metadata in a weights file; raised when older code could not read it."""
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


# ---- weights


def save_weights(
    path: str | Path, network: nn.Module, card: Mapping[str, Any] | None = None, dtype: torch.dtype | None = None
) -> None:
    """Write a network's weights, its class and its ``config`` as safetensors.

    Args:
        card: what a reader of the weights should know (data, preset, steps, hardware, figures, command), as JSON.
        dtype: store floating-point numbers as this, e.g. ``torch.float16`` for half the size; ``load_weights`` gives
            float32 back. A tensor that would overflow in it is stored as it is.
    """
    name = type(network).__name__
    if NETWORKS.get(name) is not type(network):
        raise CheckpointError(f"{path} was not written: {name} is not one of {', '.join(NETWORKS)}.")
    tensors = {}
    for key, value in network.state_dict().items():
        tensors[key] = value.detach().cpu().contiguous()
        if dtype and value.is_floating_point() and torch.isfinite(smaller := tensors[key].to(dtype)).all():
            tensors[key] = smaller
    metadata = {"format": str(FORMAT), "network": name, "config": json.dumps(network.config)}
    metadata["card"] = json.dumps(dict(card or {}))
    metadata["sha256"] = _digest(metadata, tensors)
    with atomic(path) as file:
        file.write(save(tensors, metadata))


def _digest(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of all that a weights file says: what it is, and every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(json.dumps([metadata[key] for key in ("network", "config", "card")]).encode())
    for key, value in sorted(tensors.items()):
        digest.update(f"{key} {value.dtype} {list(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def load_weights(path: str | Path, device: str | torch.device = "cpu") -> nn.Module:
    """The network in a file of ``save_weights``, rebuilt from its metadata, in evaluation mode.

    Its numbers are of PyTorch's default type, float32 unless somebody says otherwise. Where the card has ``terms``,
    they are said on standard error.

    Raises ``CheckpointError`` for a file that cannot be read, does not fit, or is not what was written.
    """
    with _open_weights(path) as (metadata, file):
        stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        # Files from before there were checksums have none.
        if "sha256" in metadata and metadata["sha256"] != _digest(metadata, stored):
            raise CheckpointError(f"{path} is damaged (its checksum is another): fetch or write it again.")
        name = metadata["network"]
        if name not in NETWORKS:
            raise CheckpointError(f"{path} holds a {name}, which this version of the library lacks: update it.")
        try:
            with torch.device("meta"):  # no memory for its weights: nothing is drawn, nothing written twice
                network = NETWORKS[name](**json.loads(metadata["config"]))
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{path} does not fit this version's {name} ({error}): train again.") from error
        # Copied, so that nothing keeps the file mapped while a training run writes its successor.
        dtype = torch.get_default_dtype()
        tensors = {key: t.to(dtype if t.is_floating_point() else t.dtype, copy=True) for key, t in stored.items()}
        terms = json.loads(metadata["card"]).get("terms")
    load_into(network, tensors, str(path))
    if terms:
        print(f"{Path(path).name}: {terms}", file=sys.stderr)
    return network.to(device).eval()


def read_card(path: str | Path) -> dict[str, Any]:
    """The model card in a file of ``save_weights``; the weights themselves are not read."""
    with _open_weights(path) as (metadata, _):
        return json.loads(metadata["card"])


@contextmanager
def _open_weights(path: str | Path) -> Iterator[tuple[dict[str, str], safe_open]]:
    try:
        with safe_open(_existing(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if not {"format", "network", "config", "card"} <= metadata.keys():
                raise CheckpointError(f"{path} was not written by this library: train again or fetch a file that was.")
            if metadata["format"] != str(FORMAT):
                found = f"format {metadata['format']}"
                raise CheckpointError(f"{path} has {found}: update the library, which reads {FORMAT}.")
            yield metadata, file
    except SafetensorError as error:
        fault = f"damaged or no safetensors file ({error})"
        raise CheckpointError(f"{path} is {fault}: fetch or write it again.") from error


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
    if _existing(path).stat().st_size:
        data, length = np.memmap(path, mode="r"), len(SEAL) + 64
        seal = data[-length:].tobytes()  # a state from before there were seals has none
        if seal.startswith(SEAL) and seal != SEAL + hashlib.sha256(data[:-length]).hexdigest().encode():
            raise _unreadable(path, "its checksum is another", advice)
    return read_pickled(path, advice)


def read_pickled(path: str | Path, advice: str) -> Any:
    """What ``torch.save`` wrote, zipped or in the old format, on the CPU; only tensors and plain containers."""
    try:
        return torch.load(_existing(path), map_location="cpu", weights_only=True)
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


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no file {path}: check the path, or train first.")
    return path
