"""The experiment on EBST from end to end: train both arms from the same DMN, measure them on the same edits."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from maskgan_lib.checkpoints import load_weights, read_card
from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation.ablation import compare_on_edits
from maskgan_lib.evaluation.comparison import Comparison
from maskgan_lib.evaluation.judges import SHIPPED, Judges
from maskgan_lib.networks import DenseMappingNetwork, MaskVAE
from maskgan_lib.presets import Preset
from maskgan_lib.training.ebst import fingerprint
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import train_stage

START, LONGER, MASKGAN = "DMN", "DMN, trained longer", "MaskGAN†"
"""The DMN that both arms start from, the control, and the DMN after EBST."""


def control_preset(preset: Preset) -> Preset:
    """The DMN's training with EBST's rate, batch and number of updates.

    A step of EBST updates the generator and the discriminator twice on the same faces. The control takes twice the
    steps instead, so it sees twice as many faces, and its average forgets half as much at each.
    """
    return preset.replace(
        {
            "dmn.lr": preset.ebst.lr,
            "dmn.batch": preset.ebst.batch,
            "dmn.steps": 2 * preset.ebst.steps,
            "ema_decay": math.sqrt(preset.ema_decay),
        }
    )


def train_arms(
    preset: Preset,
    faces: PackedFaces,
    folder: str | Path,
    dmn_run: str | Path,
    maskvae: str | Path,
    seed: int = 0,
    indices: np.ndarray | None = None,
) -> dict[str, Path]:
    """Go on from ``dmn_run`` (a run's folder or weights) with EBST, and without; the weights of both arms, by name.

    Finished arms are kept and interrupted ones go on. ``TrainingError`` if ``folder`` holds arms of another start.
    """
    folder = Path(folder)
    _claim(folder / "start.txt", fingerprint(load_weights(_weights(dmn_run))))
    shared = {"indices": indices, "seed": seed, "resume": True, "init": dmn_run}
    train_stage("dmn", control_preset(preset), faces, folder / "longer", **shared)
    train_stage("ebst", preset, faces, folder / "ebst", maskvae=maskvae, **shared)
    return {LONGER: folder / "longer" / "dmn.safetensors", MASKGAN: folder / "ebst" / "dmn.safetensors"}


def run_ablation(
    preset: Preset,
    faces: PackedFaces,
    folder: str | Path,
    dmn_run: str | Path,
    maskvae: str | Path,
    judges: Judges,
    seeds: Sequence[int] = (0, 1, 2),
    train: np.ndarray | None = None,
    test: np.ndarray | None = None,
) -> Comparison:
    """Train both arms from each of ``seeds`` in ``folder/seed-<seed>``, then compare all of them on the same edits.

    ``train`` and ``test`` are places in ``faces``, their splits of that name unless given; the edits are drawn once
    for each of ``seeds``. See ``train_arms`` and ``compare_on_edits``.
    """
    test = faces.indices("test") if test is None else test
    arms = [train_arms(preset, faces, Path(folder) / f"seed-{s}", dmn_run, maskvae, s, train) for s in seeds]
    start = _network(_weights(dmn_run))
    runs = [{START: start, **{name: _network(path) for name, path in arm.items()}} for arm in arms]
    return compare_on_edits(runs, faces, test, _vae(maskvae, faces), judges, seeds)


def ebst_ablation(
    preset: Preset,
    faces: PackedFaces,
    out: str | Path,
    dmn: str | Path | None = None,
    maskvae: str | Path | None = None,
    judges: str | Path | None = None,
    networks: Sequence[str] = (),
    seeds: int = 3,
    count: int = 40,
) -> Comparison:
    """``python -m maskgan_lib evaluate ebst-ablation``: train what is missing in ``out``, compare, write the tables.

    ``networks`` are ``NAME=FILE``: these weights are compared as they are, the last with each of the others, and no arm
    is trained. ``judges`` is a folder with ``parser.safetensors`` and ``attributes.safetensors``; without one the
    shipped ones are taken for faces of the kind that they learnt from, and others are trained. The first ``count``
    faces of the test split are measured. Writes ``table.csv`` and ``table.md``.
    """
    out = Path(out)
    test = faces.indices("test")[:count]
    if len(test) < 2:
        raise DataError(f"{faces.folder} has {len(test)} faces to test on: parts are taken from another, so give two.")
    chosen = named_weights(networks)
    maskvae = maskvae or trained("maskvae", preset, faces, out)
    graders = load_judges(preset, faces, out, judges)
    if chosen:
        run = {name: _network(path) for name, path in chosen.items()}
        comparison = compare_on_edits([run], faces, test, _vae(maskvae, faces), graders, range(seeds))
    else:
        if dmn is None:
            trained("dmn", preset, faces, out)
        comparison = run_ablation(preset, faces, out, dmn or out / "dmn", maskvae, graders, range(seeds), test=test)
    for name, text in {"table.csv": comparison.csv(), "table.md": comparison.markdown()}.items():
        with atomic(out / name) as file:
            file.write(text.encode())
    return comparison


def load_judges(preset: Preset, faces: PackedFaces, out: Path, folder: str | Path | None = None) -> Judges:
    """The judges in ``folder``; else the shipped ones, if they know such faces; else ones trained in ``out``."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if folder is not None:
        return Judges.shipped(device, folder)
    shipped = [SHIPPED / f"{name}.safetensors" for name in ("parser", "attributes")]
    if all(path.exists() and read_card(path).get("data") == faces.source for path in shipped):
        return Judges.shipped(device)
    return Judges.load(*(trained(name, preset, faces, out) for name in ("parser", "attributes")), device=device)


def trained(stage: str, preset: Preset, faces: PackedFaces, out: Path) -> Path:
    """The weights of a stage of that name, from ``out/<stage>``; trained there if they are missing."""
    train_stage(stage, preset, faces, out / stage, resume=True)
    return out / stage / f"{stage}.safetensors"


def _claim(path: Path, mark: str) -> None:
    """Have ``path`` say ``mark``; ``TrainingError`` if it says something else."""
    if path.exists() and path.read_text() != mark:
        raise TrainingError(f"{path.parent} holds arms that started from another DMN: choose another folder.")
    with atomic(path) as file:
        file.write(mark.encode())


def _weights(run: str | Path) -> Path:
    return Path(run) if Path(run).is_file() else Path(run) / "dmn.safetensors"


def _network(path: str | Path) -> DenseMappingNetwork:
    return _loaded(path, DenseMappingNetwork)


def _vae(path: str | Path, faces: PackedFaces) -> MaskVAE:
    vae = _loaded(path, MaskVAE)
    if vae.config["image_size"] != faces.size:
        size = vae.config["image_size"]
        raise TrainingError(f"{path} takes masks of {size} pixels a side, the faces have {faces.size}: name another.")
    return vae


def _loaded(path: str | Path, kind: type[torch.nn.Module]) -> torch.nn.Module:
    network = load_weights(path, "cuda" if torch.cuda.is_available() else "cpu")
    if not isinstance(network, kind):
        raise TrainingError(f"{path} holds a {type(network).__name__}, where a {kind.__name__} is needed.")
    return network


def named_weights(networks: Sequence[str], fewest: int = 2) -> dict[str, str]:
    """Files by name from ``NAME=FILE`` each; ``TrainingError`` unless there are none, or ``fewest`` different names."""
    named = dict(entry.rpartition("=")[::2] for entry in networks)
    if networks and (len(named) < max(fewest, len(networks)) or not all(named) or not all(named.values())):
        number = "two networks or more" if fewest > 1 else "each network"
        raise TrainingError(f'Name {number} as "NAME=FILE", each name once.')
    return named
