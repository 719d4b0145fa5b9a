"""Weights with their model card, as safetensors."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from maskgan_lib.checkpoints.authors import load_authors
from maskgan_lib.checkpoints.files import CheckpointError, atomic, existing, load_into
from maskgan_lib.data.celebamask import SOURCE, terms_of
from maskgan_lib.networks import NETWORKS

FORMAT = 1
"""Version of the metadata in a weights file; raised when older code could not read it."""
AUTHORS_CARD = {"data": "CelebAMask-HQ, by its authors", "image_size": 512, "terms": terms_of(SOURCE)}
"""Of the authors' checkpoints, which have none."""


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
    they are said on standard error. One of the authors' PyTorch files is read, too: see ``load_authors``.

    Raises ``CheckpointError`` for a file that cannot be read, does not fit, or is not what was written.
    """
    if _is_of_pytorch(path):
        network = load_authors(path)
        _say_terms(path, AUTHORS_CARD)
        return network.to(device)
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
    load_into(network, tensors, str(path))
    _say_terms(path, json.loads(metadata["card"]))
    return network.to(device).eval()


def _say_terms(path: str | Path, card: Mapping[str, Any]) -> None:
    if card.get("terms"):
        print(f"{Path(path).name}: {card['terms']}", file=sys.stderr)


def read_card(path: str | Path) -> dict[str, Any]:
    """The model card in a file of ``save_weights``; the weights themselves are not read."""
    if _is_of_pytorch(path):
        return dict(AUTHORS_CARD)
    with _open_weights(path) as (metadata, _):
        return json.loads(metadata["card"])


def _is_of_pytorch(path: str | Path) -> bool:
    """Whether a file begins as ``torch.save`` begins, in its zipped or its old format."""
    with suppress(OSError), Path(path).open("rb") as file:
        return file.read(4).startswith((b"PK\x03\x04", b"\x80\x02\x8a\n"))
    return False


@contextmanager
def _open_weights(path: str | Path) -> Iterator[tuple[dict[str, str], safe_open]]:
    try:
        with safe_open(existing(path), framework="pt") as file:
            metadata = file.metadata() or {}
            if not {"format", "network", "config", "card"} <= metadata.keys():
                raise CheckpointError(f"{path} was not written by this library: train again or fetch a file that was.")
            if metadata["format"] != str(FORMAT):
                found = f"format {metadata['format']}"
                raise CheckpointError(f"{path} has {found}: update the library, which reads {FORMAT}.")
            yield metadata, file
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: check its permissions.") from error
    except SafetensorError as error:
        fault = f"damaged or no safetensors file ({error})"
        raise CheckpointError(f"{path} is {fault}: fetch or write it again.") from error
