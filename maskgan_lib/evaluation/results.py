"""``python -m maskgan_lib evaluate tables``: the paper's tables for the weights that ship, or for others by name."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from maskgan_lib.checkpoints import CheckpointError, load_weights
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.data.procedural import render_packed
from maskgan_lib.evaluation.experiment import LONGER, MASKGAN, START, named_weights
from maskgan_lib.evaluation.judges import SHIPPED, Judge, Judges
from maskgan_lib.evaluation.methods import RECONSTRUCTION, STYLE_COPY, TRANSFER, Method, mask_method
from maskgan_lib.evaluation.published import PUBLISHED, load_published
from maskgan_lib.evaluation.tables import COUNTS, Results, evaluate_methods
from maskgan_lib.networks import AttributeNet, DenseMappingNetwork, FaceParser, IdentityNet, PoseNet
from maskgan_lib.training.stage import TrainingError

SHIPPED_METHODS = {START: "dmn", LONGER: "dmn-longer", MASKGAN: "maskgan"}
"""The names that the tables give to the weights that ship, by file."""

FIELDS = {
    "parser": ("parser", FaceParser),
    "attributes": ("attribute_net", AttributeNet),
    "identity": ("identity_net", IdentityNet),
    "pose": ("pose_net", PoseNet),
}
"""The judges by role: their field of ``Judges``, and the network of this library."""

DRAWN, PEOPLE, SIZE, SEED = 1600, 800, 128, 5
SPLITS = (0.5, 0.0, 0.5)
"""The faces that are drawn where none are given: people whom no shipped network has seen. Half are measured on; sets of
pictures are compared with the others, and the judge of identities shows on them what it can."""


def methods_of(networks: Mapping[str, str | Path], device: str | torch.device = "cpu") -> list[Method]:
    """A method for each of the weights by name; ``TrainingError`` for a file that holds no Dense Mapping Network."""
    methods = []
    for name, path in networks.items():
        network = load_weights(path, device)
        if not isinstance(network, DenseMappingNetwork):
            raise TrainingError(f"{path} holds a {type(network).__name__}, where a DenseMappingNetwork is needed.")
        methods.append(mask_method(name, network))
    return methods


def judges_of(folder: str | Path, others: Sequence[str] = (), device: str | torch.device = "cpu") -> Judges:
    """The judges in ``folder``, some replaced by ``others``: ``ROLE=FILE`` each, or ``ROLE=NAME:FILE``.

    ``NAME`` is one of ``published.PUBLISHED``. ``CheckpointError`` for a role, name or file that there is not, or a
    file that holds something else.
    """
    judges = Judges.shipped(device, folder)
    for entry in others:
        role, _, chosen = entry.partition("=")
        if role not in FIELDS or not chosen:
            raise CheckpointError(f"{entry} names no judge: write ROLE=FILE, the role one of {', '.join(FIELDS)}.")
        field, kind = FIELDS[role]
        name, _, file = chosen.partition(":")
        if name in PUBLISHED and file:
            if PUBLISHED[name].role != role:
                raise CheckpointError(f"{name} is no judge of {role}, but of {PUBLISHED[name].role}: {entry}.")
            judge = load_published(name, Path(file), device=device)
        else:
            judge = Judge.load(chosen, kind, device)
        judges = replace(judges, **{field: judge})
    return judges


def evaluate_tables(
    out: str | Path,
    data: str | Path | None = None,
    networks: Sequence[str] = (),
    judges: str | Path | None = None,
    other_judges: Sequence[str] = (),
    pairs: int | None = None,
    seed: int = 0,
) -> Results:
    """The tables of ``networks`` (``NAME=FILE`` each; without any, those that ship) on the test split of ``data``.

    Without ``data``, procedural faces are drawn into ``out/faces``. ``judges`` is a folder of their weights, by default
    the one that ships, ``other_judges`` some that take a place among them (see ``judges_of``). ``pairs`` is how many
    pairs of each task at most; without it as many as in the paper.
    """
    out = Path(out)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    folder = out / "faces" if data is None else Path(data)
    if data is None and not folder.exists():
        render_packed(folder, DRAWN, SIZE, SEED, PEOPLE, splits=SPLITS)
    faces = PackedFaces.open(folder)
    files = named_weights(networks, fewest=1) or {n: SHIPPED / f"{f}.safetensors" for n, f in SHIPPED_METHODS.items()}
    counts = COUNTS if pairs is None else dict.fromkeys((TRANSFER, STYLE_COPY, RECONSTRUCTION), pairs)
    graders = judges_of(judges or SHIPPED, other_judges, device)
    return evaluate_methods(methods_of(files, device), faces, faces.indices("test"), graders, out, counts, seed, device)
