"""Which weights take part in an experiment: named on the command line, shipped, or trained first."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from maskgan_lib.checkpoints import load_weights, read_card
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.judges import PRETRAINED, Judges
from maskgan_lib.presets import Preset
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import train_stage


def best_device() -> str:
    """The GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def named_weights(networks: Sequence[str], fewest: int = 2) -> dict[str, str]:
    """Files by name from ``NAME=FILE`` each; ``TrainingError`` unless there are none, or ``fewest`` different names."""
    named = dict(entry.rpartition("=")[::2] for entry in networks)
    if networks and (len(named) < max(fewest, len(networks)) or not all(named) or not all(named.values())):
        number = "two networks or more" if fewest > 1 else "each network"
        raise TrainingError(f'Name {number} as "NAME=FILE", each name once.')
    return named


def shipped_files(stems: Mapping[str, str]) -> dict[str, Path]:
    """The files that ship, by the names that ``stems`` gives them."""
    return {name: PRETRAINED / f"{stem}.safetensors" for name, stem in stems.items()}


def loaded(path: str | Path, kind: type[nn.Module]) -> nn.Module:
    """The network in a file; ``TrainingError`` if it is no ``kind``."""
    network = load_weights(path, best_device())
    if not isinstance(network, kind):
        raise TrainingError(f"{path} holds a {type(network).__name__}, where a {kind.__name__} is needed.")
    return network


def trained(stage: str, preset: Preset, faces: PackedFaces, out: Path) -> Path:
    """The weights of a stage of that name, from ``out/<stage>``; trained there if they are missing."""
    train_stage(stage, preset, faces, out / stage, resume=True)
    return out / stage / f"{stage}.safetensors"


def shipped_for(faces: PackedFaces, *names: str) -> bool:
    """Whether weights of these names ship that learnt from faces of this kind."""
    paths = [PRETRAINED / f"{name}.safetensors" for name in names]
    return all(path.exists() and read_card(path).get("data") == faces.source for path in paths)


def judges_for(preset: Preset, faces: PackedFaces, out: Path, folder: str | Path | None = None) -> Judges:
    """The judges in ``folder``; else the shipped ones, if they know such faces; else ones trained in ``out``."""
    if folder is not None or shipped_for(faces, "parser", "attributes"):
        return Judges.shipped(best_device(), folder or PRETRAINED)
    return Judges.load({name: trained(name, preset, faces, out) for name in ("parser", "attributes")}, best_device())
