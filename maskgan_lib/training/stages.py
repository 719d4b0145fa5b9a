"""The stages by name, and the one call that trains any of them from a preset and a packed folder."""

import dataclasses
from pathlib import Path

import numpy as np
import torch

from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.presets import Preset
from maskgan_lib.training.dmn import DMNStage
from maskgan_lib.training.loop import RunSettings, Stage, TrainingError, newest_checkpoint, train
from maskgan_lib.training.maskvae import MaskVAEStage

STAGES = ("maskvae", "dmn")


def make_stage(name: str, preset: Preset, image_size: int) -> Stage:
    """The stage ``name`` with freshly initialised networks for pictures of ``image_size`` pixels."""
    if name == "maskvae":
        return MaskVAEStage(preset, image_size)
    if name == "dmn":
        return DMNStage(preset)
    raise ValueError(f"There is no stage {name!r}; there are {', '.join(STAGES)}.")


def run_settings(name: str, preset: Preset, seed: int = 0, steps: int | None = None) -> RunSettings:
    """Steps (the preset's unless given), batch size and intervals of the stage ``name``."""
    by_default, batch_size = {
        "maskvae": (preset.vae_steps, preset.vae_batch),
        "dmn": (preset.dmn_steps, preset.dmn_batch),
    }[name]
    return RunSettings.of(preset, steps or by_default, batch_size, seed)


def train_stage(
    name: str,
    preset: Preset,
    faces: PackedFaces,
    folder: str | Path,
    indices: np.ndarray | None = None,
    steps: int | None = None,
    seed: int = 0,
    resume: bool = False,
    init: str | Path | None = None,
) -> list[dict]:
    """Train the stage ``name`` on ``faces`` (their train split unless ``indices`` are given) and return the log.

    ``init`` names the folder of another run whose networks are the start, for instance one at half the image size. The
    run is a function of the preset, the faces and ``seed``. See ``loop.train`` for what is written to ``folder``.
    """
    torch.manual_seed(seed)
    stage = make_stage(name, preset, faces.size)
    if init is not None:
        _start_from(stage, Path(init))
    indices = faces.indices("train") if indices is None else indices
    card = {
        "network": name,
        "data": faces.source,
        "faces": len(indices),
        "image_size": faces.size,
        "seed": seed,
        "started_from": Path(init).name if init else "random weights",
        "preset": dataclasses.asdict(preset),
        "perceptual": stage.perceptual.features.name if name == "dmn" else None,
    }
    return train(stage, faces, indices, folder, run_settings(name, preset, seed, steps), resume, card)


def _start_from(stage: Stage, folder: Path) -> None:
    state = newest_checkpoint(folder)
    if state is None:
        raise TrainingError(f"{folder} holds no checkpoint to start from.")
    try:
        for name, network in stage.networks.items():
            network.load_state_dict(state["networks"][name])
    except (RuntimeError, KeyError) as error:
        raise TrainingError(f"The networks in {folder} are not of this stage and preset: {error}") from error
