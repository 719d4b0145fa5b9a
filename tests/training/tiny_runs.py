"""Settings of tiny runs, and how they are stopped and compared."""

import signal
from pathlib import Path

import torch
from torch import nn

from maskgan_lib.checkpoints import load_state, load_weights, read_card, save_weights
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.networks import MaskVAE
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.loop import load_log
from maskgan_lib.training.stages import STAGES, train_stage

STEPS = 7
TINY = PRESETS["smoke"].replace(
    {
        "image_size": 32,
        "maskvae.latent": 8,
        "dmn.batch": 4,
        "dmn.lr": 2e-4,
        "ebst.batch": 4,
        "ebst.lr": 2e-4,
        "adversary.feature_weight": 10.0,
        "adversary.perceptual_weight": 10.0,
        "dmn.upsampling": "transposed",
        "adversary.mismatch_weight": 0.0,
        "adversary.r1_weight": 0.0,
        "log_every": 2,
        "checkpoint_every": 3,
        "sample_every": 5,
    }
)
"""The paper's network and weights of losses whatever the presets are tuned to."""
REGIONAL = TINY.replace(
    {
        "dmn.style": "regional",
        "dmn.other_expression": 0.5,
        "dmn.upsampling": "nearest",
        "adversary.mismatch_weight": 0.3,
        "adversary.r1_weight": 0.05,
    }
)
RUNS = {name: (name, TINY) for name in STAGES} | {"regional": ("dmn", REGIONAL)}
"""Stage and preset of the runs that are compared."""


def untrained_maskvae(folder: Path, size: int = 32) -> Path:
    """Weights of a small MaskVAE for EBST, always the same ones."""
    path = folder / f"untrained-maskvae-{size}.safetensors"
    if not path.exists():
        torch.manual_seed(5)
        network = MaskVAE(size, width=TINY.maskvae.width, latent=TINY.maskvae.latent)
        # Larger weights at the end: the decoded masks then differ between faces.
        network.logits[-1].weight.data.mul_(20)
        save_weights(path, network)
    return path


def untrained_parser(folder: Path) -> Path:
    """Weights of a small parser of 12 classes for SeCGAN, always the same ones."""
    path = folder / "untrained-parser.safetensors"
    if not path.exists():
        torch.manual_seed(6)
        network = FaceParser(12, width=TINY.parser.width)
        # Larger weights at the end: pixels of a face then have different classes.
        network.final.weight.data.mul_(20)
        save_weights(path, network)
    return path


def needed(folder: Path) -> dict[str, nn.Module]:
    """The trained networks that stages need, by the name of the argument."""
    return {"maskvae": load_weights(untrained_maskvae(folder)), "parser": load_weights(untrained_parser(folder))}


def train_tiny(name: str, faces: PackedFaces, folder: Path, preset=None, **settings) -> list[dict]:
    """A run of ``RUNS`` with what the stage needs beside the faces: EBST gets its MaskVAE, SeCGAN its parser."""
    name, own = RUNS[name]
    beside = faces.folder.parent
    if name == "ebst":
        settings.setdefault("maskvae", untrained_maskvae(beside, faces.size))
    if name == "secgan":
        settings.setdefault("parser", untrained_parser(beside))
    return train_stage(name, preset or own, faces, folder, **settings)


def flat(value, prefix: str = "") -> dict:
    """Nested dicts and lists as one dict of leaves."""
    if not isinstance(value, (dict, list, tuple)):
        return {prefix: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {name: leaf for key, inner in items for name, leaf in flat(inner, f"{prefix}/{key}").items()}


def assert_same_run(folder: Path, truth: Path) -> None:
    """Bit for bit the same networks, averages, optimisers, log and final weights; only the seconds may differ."""
    ours, theirs = (flat(load_state(f / "checkpoint.pt")) for f in (folder, truth))
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(ours[key], value), key
        elif not key.endswith("/seconds"):
            assert ours[key] == value, key
    logs = [[{**entry, "seconds": 0} for entry in load_log(f)] for f in (folder, truth)]
    assert logs[0] == logs[1]
    for path in truth.glob("*.safetensors"):
        ours, theirs = (load_weights(f / path.name).state_dict() for f in (folder, truth))
        assert all(torch.equal(ours[key], value) for key, value in theirs.items())
        cards = [{**read_card(f / path.name), "seconds": 0} for f in (folder, truth)]
        assert cards[0] == cards[1]


def after_step(monkeypatch, name: str, number: int, action) -> None:
    """Have ``action(stage, losses)`` run at the end of step ``number``, counted from here; it may return others."""
    stage_class = STAGES[RUNS[name][0]]
    step, count = stage_class.step, 0

    def patched(self, batches, accelerator):
        nonlocal count
        losses = step(self, batches, accelerator)
        count += 1
        return (action(self, losses) or losses) if count == number else losses

    monkeypatch.setattr(stage_class, "step", patched)


def press_ctrl_c(*_) -> None:
    signal.raise_signal(signal.SIGINT)
