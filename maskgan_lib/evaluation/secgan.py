"""``python -m maskgan_lib evaluate secgan``: SeCGAN's Table 1. Does semantic consistency raise TARR here?

TARR, the share of edits whose attribute is seen by a classifier that training never asked: every attribute of every
face is changed to the other label, the others are to stay. Beside it stands what reaching a label costs: how well a
network gives back a face of which nothing is asked, and how far the edited pictures lie from photos.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from maskgan_lib.checkpoints import load_weights, read_card
from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.classes import MERGED_CLASSES
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation.distances import inception
from maskgan_lib.evaluation.experiment import load_judges, trained
from maskgan_lib.evaluation.judges import SHIPPED, Judge
from maskgan_lib.evaluation.secgan_grading import (
    VARIANTS,
    WEIGHT,
    Arm,
    Grader,
    Run,
    grade_run,
    load_g_rgb,
    order,
    unedited,
)
from maskgan_lib.evaluation.secgan_table import SeCGANTable
from maskgan_lib.evaluation.selfsupervised import SSFID, feature_judge
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.methods.secgan import BACKBONES, frozen
from maskgan_lib.presets import Preset, changed, read_preset
from maskgan_lib.training.execution import Execution
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import train_stage


def graded_table(runs: Sequence[Run], grader: Grader, about: Mapping[str, str] | None = None) -> SeCGANTable:
    """Grades ``runs`` on the faces of ``grader`` and makes the table; ``about`` adds to what it says of itself.

    Raises ``TrainingError`` if there is no run, or they change other attributes or make pictures of other sizes.
    """
    if not runs:
        raise TrainingError("There is no finished run of SeCGAN to measure: train some first.")
    kinds = {}
    for run in runs:
        kind = tuple(load_g_rgb(run).config["attributes"]), read_card(run.weights)["image_size"]
        kinds.setdefault(kind, run)
    if len(kinds) > 1:
        (one, other), (first, second) = list(kinds)[:2], list(kinds.values())[:2]
        differing = "attributes" if one[0] != other[0] else "sizes"
        raise TrainingError(f"{first.folder} and {second.folder} have other {differing}: compare runs of one kind.")
    (attributes, size), _ = kinds.popitem()
    if grader.parser is None and any(run.arm.variant == "concat" for run in runs):
        raise TrainingError("The variant concat takes the mask of a face: name the parser that it learnt with.")
    said = {
        "Faces": f"{len(grader.indices)} {grader.faces.source}, {size} x {size} pixels",
        "Trainings": _trainings(runs),
        "Classifier": f"the attribute net, {grader.judges.origins['attributes']}",
        **({SSFID: f"features of {type(grader.features.network).__name__}, {grader.features.origin}"}
           if grader.features else {SSFID: "missing, for want of its net"}),
        **({} if grader.inception else {"Inception Score": "missing, for want of Inception's published weights"}),
        **(about or {}),
    }  # fmt: skip
    before = unedited(grader, attributes, size)
    graded = tuple(grade_run(run, grader) for run in runs)
    features = grader.features.network.channels if grader.features else 0
    return SeCGANTable(attributes, before, graded, said, features)


def _trainings(runs: Sequence[Run]) -> str:
    """How long the runs took, and in which settings they differ beside those that the table is about."""
    compared = ("variant", "backbone", "consistency_weight")
    settings = []
    for card in (read_card(run.weights) for run in runs):
        preset = read_preset(card)
        own = preset["secgan"] | {name: preset.get(name) for name in ("decay_from", "ema_decay")}
        own |= {name: card[name] for name in ("steps", "faces", "data")}
        settings.append({name: value for name, value in own.items() if name not in compared})
    first = settings[0]
    others = {name for other in settings for name in {**first, **other} if other.get(name) != first.get(name)}
    said = f"{first['steps']} steps on {first['faces']} {first['data']}"
    if not others:
        return said
    return f"{said}, but some differ in {', '.join(sorted(others))}: the variant is not all that is compared"


def evaluate_secgan(
    preset: Preset,
    faces: PackedFaces,
    out: str | Path,
    parser: str | Path | None = None,
    variants: Sequence[str] = VARIANTS,
    backbones: Sequence[str] = BACKBONES,
    seeds: int = 3,
    steps: int | None = None,
    weights: Sequence[str] = (),
    weight_seeds: int = 1,
    judges: str | Path | None = None,
    features: str | Path | None = None,
    inception_weights: str | Path | None = None,
    test: PackedFaces | None = None,
    count: int = 200,
    execution: Execution | None = None,
) -> SeCGANTable:
    """``python -m maskgan_lib evaluate secgan``: train what is missing in ``out``, grade it, write the table.

    Each variant on each backbone from ``seeds`` seeds, and on the first backbone SeCGAN with each of ``weights`` for
    lambda_sc from ``weight_seeds``, in ``out/<backbone>-<variant>[-<weight>]/seed-<seed>``. Finished runs there are
    measured as they are, and interrupted ones go on. The first ``count`` faces of the test split are edited, of
    ``test`` if given.

    Args:
        parser: weights of P; without them one is trained in ``out`` where a run needs it.
        steps: of each training, instead of the preset's.
        judges: a folder with ``parser.safetensors`` and ``attributes.safetensors``, as for ``ebst_ablation``.
        features: weights of the net of ``SSFID``; without them that which ships, for faces of the kind that it learnt
            from, or one that is trained in ``out``.
        inception_weights: torch-fidelity's file; without it there is no Inception Score.

    Writes ``table.md``, ``table.csv`` and ``table.json``, which ``SeCGANTable.load`` reads.
    """
    out, tested = Path(out), test or faces
    indices = tested.indices("test")[:count]
    if len(indices) < 2:
        raise DataError(f"{tested.folder} has {len(indices)} faces to test on: at least two are needed.")
    runs = [
        Run(arm, seed, out / str(arm) / f"seed-{seed}")
        for arm in _arms(preset, variants, backbones, weights)
        for seed in range(weight_seeds if arm.weight else seeds)
    ]
    needs = any(run.arm.variant == "concat" or not (run.weights.exists() or _alone(run)) for run in runs)
    if parser is None and needs:
        parser = out / "secgan-parser" / "parser.safetensors"
        of_p = preset.replace({"parser.classes": len(MERGED_CLASSES)})
        train_stage("parser", of_p, faces, parser.parent, resume=True)
    for run in runs:
        if not run.weights.exists():
            settings = {"steps": steps, "seed": run.seed, "parser": None if _alone(run) else parser}
            of_run = _preset_of(run.arm, preset)
            train_stage("secgan", of_run, faces, run.folder, resume=True, execution=execution, **settings)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    grader = Grader(
        tested,
        indices,
        load_judges(preset, faces, out, judges),
        load_features(preset, faces, out, features, device),
        None if parser is None else _loaded_parser(parser, device),
        None if inception_weights is None else inception(inception_weights, device),
        device,
    )
    table = graded_table(runs, grader)
    table.save(out / "table.json")
    for name, text in {"table.csv": table.csv(), "table.md": table.markdown()}.items():
        with atomic(out / name) as file:
            file.write(text.encode())
    return table


def load_features(
    preset: Preset, faces: PackedFaces, out: Path, path: str | Path | None = None, device: str = "cpu"
) -> Judge:
    """The net in ``path``; else the one that ships, if it knows such faces; else one trained in ``out``."""
    shipped = SHIPPED / "selfsupervised.safetensors"
    if path is None and shipped.exists() and read_card(shipped).get("data") == faces.source:
        path = shipped
    return feature_judge(path or trained("selfsupervised", preset, faces, out), device)


def _arms(preset: Preset, variants: Sequence[str], backbones: Sequence[str], weights: Sequence[str]) -> list[Arm]:
    """In the table's order. The preset's own weight has no row of its own; ``TrainingError`` for what is no weight."""
    others = []
    for weight in weights:
        if not re.fullmatch(WEIGHT, weight):
            raise TrainingError(f"A weight of the consistency is a number such as 0.1, not {weight!r}.")
        if float(weight) != preset.secgan.consistency_weight:
            others.append(weight)
    unknown = [name for name in (*variants, *backbones) if name not in (*VARIANTS, *BACKBONES)]
    if unknown or not variants or not backbones:
        raise TrainingError(f"Name variants of {', '.join(VARIANTS)} and backbones of {', '.join(BACKBONES)}.")
    arms = {Arm(backbone, variant) for backbone in backbones for variant in variants}
    arms |= {Arm(backbones[0], "secgan", weight) for weight in others}
    return sorted(arms, key=order)


def _preset_of(arm: Arm, preset: Preset) -> Preset:
    settings = [f"secgan.variant={arm.variant}", f"secgan.backbone={arm.backbone}"]
    return changed(preset, settings + [f"secgan.consistency_weight={arm.weight}"] * bool(arm.weight))


def _alone(run: Run) -> bool:
    """Whether it learns without a parser."""
    return run.arm.variant == "baseline"


def _loaded_parser(path: str | Path, device: str) -> FaceParser:
    network = load_weights(path, device)
    if not isinstance(network, FaceParser):
        raise TrainingError(f"{path} holds a {type(network).__name__}, where a FaceParser is needed.")
    return frozen(network)
