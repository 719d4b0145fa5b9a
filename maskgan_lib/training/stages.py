"""The stages by name, and the calls that train one of them, or all in order, from a preset and a packed folder."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from maskgan_lib.checkpoints import load_into, load_weights, read_card
from maskgan_lib.data.celebamask import terms_of
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.networks import NETWORKS
from maskgan_lib.presets import Preset
from maskgan_lib.registry import STAGES
from maskgan_lib.training.execution import Execution, say
from maskgan_lib.training.loop import RunSettings, newest_checkpoint, train
from maskgan_lib.training.stage import Stage, TrainingError, differing

MASKGAN = ("maskvae", "dmn", "ebst")
"""The stages of MaskGAN in the order in which they are trained."""


def make_stage(name: str, preset: Preset, faces: PackedFaces, **trained: nn.Module | None) -> Stage:
    """The stage ``name`` with freshly initialised networks; ``trained`` are those that it ``needs``, others are left.

    So ``ebst`` takes the ``maskvae`` in whose latent space it walks, ``secgan`` the ``parser`` that reads its masks.
    """
    unknown = trained.keys() - {need for stage in STAGES.values() for need, _ in stage.needs}
    if unknown:
        raise TypeError(f"No stage needs {', '.join(sorted(unknown))}.")
    stage = STAGES[name]
    return stage(preset, faces, **{need: trained.get(need) for need, _ in stage.needs})


def run_settings(name: str, preset: Preset, seed: int = 0, steps: int | None = None) -> RunSettings:
    """Steps (the preset's unless given), batch size and intervals of the stage ``name``."""
    own = getattr(preset, STAGES[name].settings)
    intervals = (preset.checkpoint_every, preset.sample_every, preset.log_every)
    return RunSettings(
        steps or own.steps, own.batch, seed, preset.decay_from, preset.ema_decay, *intervals, preset.augment
    )


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
    execution: Execution | None = None,
    **trained: str | Path | None,
) -> list[dict]:
    """Train the stage ``name`` on ``faces`` (their train split unless ``indices`` are given) and return the log.

    ``init`` names where the networks start: the folder of another run, for instance one at half the image size, or a
    weights file, for one of the networks. ``trained`` names the weights that a stage ``needs``: ``maskvae`` for EBST,
    ``parser`` for SeCGAN. The run is a function of the preset, the faces, these and ``seed``. See ``loop.train`` for
    what is written to ``folder``.
    """
    torch.manual_seed(seed)
    needs = ((need, kind) for need, kind in STAGES[name].needs if trained.get(need) is not None)
    loaded = {need: _load(trained[need], kind) for need, kind in needs}
    try:
        stage = make_stage(name, preset, faces, **trained | loaded)
    except ValueError as error:  # a setting that there is not
        raise TrainingError(str(error)) from error
    before = {} if init is None else _start_from(stage, Path(init))
    indices = faces.indices("train") if indices is None else indices
    how = execution or Execution()
    card = {
        "network": name,
        "data": faces.source,
        "faces": len(indices),
        "image_size": faces.size,
        "seed": seed,
        "started_from": Path(init).name if init else "random weights",
        "preset": preset.asdict(),
        "perceptual": stage.config.get("perceptual"),
        "terms": terms_of(faces.source) or before.get("terms", ""),
    }
    return train(stage, faces, indices, folder, run_settings(name, preset, seed, steps), resume, card, how)


def train_all(
    preset: Preset,
    faces: PackedFaces,
    folder: str | Path,
    indices: np.ndarray | None = None,
    seed: int = 0,
    execution: Execution | None = None,
) -> dict[str, list[dict]]:
    """Train MaskVAE, the DMN and EBST, each in a folder of its name in ``folder``, and return their logs by stage.

    What is trained already is kept, and an interrupted stage goes on from its checkpoint.
    """
    folder, logs, execution = Path(folder), {}, execution or Execution()
    whole = replace(execution, accumulate=1)  # batch normalisation takes no parts
    for name in MASKGAN:
        sources = {"init": folder / "dmn", "maskvae": folder / "maskvae" / "maskvae.safetensors"}
        how = {"seed": seed, "resume": True, "execution": execution if STAGES[name].accumulates else whole}
        how |= sources if name == "ebst" else {}
        logs[name] = train_stage(name, preset, faces, folder / name, indices, **how)
    return logs


def _load(path: str | Path, kind: str) -> nn.Module:
    network = load_weights(path)
    if type(network) is not NETWORKS[kind]:
        raise TrainingError(f"{path} holds a {type(network).__name__}, where a {kind} is needed.")
    return network


def _start_from(stage: Stage, source: Path) -> dict:
    """Gives the networks the weights of another run or file; returns its model card."""
    if source.is_file():
        _start_from_weights(stage, source)
        return read_card(source)
    state = newest_checkpoint(source)
    if state is None:
        raise TrainingError(f"{source} holds no checkpoint to start from.")
    sizes, networks = stage.grown(state["agreed"], state["networks"])
    others = differing(sizes, stage.sizes())
    if others:
        raise TrainingError(f"The run in {source} is not of this preset: {others}.")
    for name, network in stage.networks.items():
        if name in stage.fresh and name not in networks:
            continue
        if name not in networks:
            raise TrainingError(f"The run in {source} trained {', '.join(networks)}, and no {name}.")
        load_into(network, networks[name], f"The {name} in {source}")
    return state["card"]


def _start_from_weights(stage: Stage, source: Path) -> None:
    loaded = load_weights(source)
    fitting = [network for network in stage.networks.values() if type(network) is type(loaded)]
    if not fitting:
        raise TrainingError(f"{source} holds a {type(loaded).__name__}, which {stage.name} does not train.")
    fitting.sort(key=lambda network: network.config != loaded.config)  # SeCGAN has two of a kind
    if fitting[0].config != loaded.config:
        others = differing(loaded.config, fitting[0].config)
        raise TrainingError(f"The network in {source} is not of this preset: {others}.")
    load_into(fitting[0], loaded.state_dict(), str(source))
    others = [name for name, network in stage.networks.items() if network is not fitting[0]]
    if others:
        say(f"{source.name} holds one network: {' and '.join(others)} start from random weights.")
