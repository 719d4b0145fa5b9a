"""``python -m maskgan_lib evaluate secgan``: SeCGAN's Table 1. Does semantic consistency raise TARR here?

TARR, the share of edits whose attribute is seen by a classifier that training never asked: every attribute of every
face is changed to the other label, the others are to stay. Beside it stands what reaching a label costs: how well a
network gives back a face of which nothing is asked, and how far the edited pictures lie from photos.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card
from maskgan_lib.classes import MERGED_CLASSES
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.data.resizing import resize_images
from maskgan_lib.evaluation.distances import frechet_distance, inception, inception_features, inception_score
from maskgan_lib.evaluation.estimates import jackknife, mean_estimate
from maskgan_lib.evaluation.grades import sees
from maskgan_lib.evaluation.judges import BATCH, Judge, Judges
from maskgan_lib.evaluation.metrics import psnr
from maskgan_lib.evaluation.run import in_parts, places_mark
from maskgan_lib.evaluation.secgan_table import VARIANTS, WEIGHT, Arm, GradedRun, SeCGANTable
from maskgan_lib.evaluation.selfsupervised import SSFID, feature_judge
from maskgan_lib.evaluation.tasks import held_out
from maskgan_lib.evaluation.weights import best_device, judges_for, loaded, shipped_for, trained
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.methods.secgan import BACKBONES, SeCGANGenerator, frozen
from maskgan_lib.presets import Preset, changed, read_preset
from maskgan_lib.training.ebst import fingerprint
from maskgan_lib.training.execution import Execution
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import train_stage

# ---- grading


@dataclass(frozen=True)
class Run:
    """One training of an arm: where its ``g_rgb.safetensors`` is."""

    arm: Arm
    seed: int
    folder: Path

    @property
    def weights(self) -> Path:
        """Of G_rgb; there when the training has finished."""
        return self.folder / "g_rgb.safetensors"

    def load(self, device: str | torch.device = "cpu") -> SeCGANGenerator:
        """``CheckpointError`` if the weights are no G_rgb of the run's arm."""
        network, known = load_weights(self.weights, device), read_preset(read_card(self.weights)).get("secgan", {})
        if not isinstance(network, SeCGANGenerator) or network.config["branch"] != "rgb":
            raise CheckpointError(f"{self.weights} holds no G_rgb of SeCGAN: choose another folder.")
        if (known.get("backbone"), known.get("variant")) != (self.arm.backbone, self.arm.variant):
            is_arm = f"{known.get('backbone')}-{known.get('variant')}"
            raise CheckpointError(f"{self.folder} holds {is_arm}, not {self.arm}: choose another folder.")
        weight = known["consistency_weight"]
        if self.arm.weight and weight != float(self.arm.weight):
            raise CheckpointError(f"{self.folder} learnt with lambda_sc = {weight:g}: name its folder after that.")
        return network


@dataclass(frozen=True, eq=False)
class SeCGANGrader:
    """The faces that are edited, and the nets that look at the results.

    Args:
        indices: places of the faces in ``faces``.
        judges: their attribute net says which labels a picture shows.
        features: the net of ``SSFID``; None leaves the distance out.
        parser: P, which the variant ``concat`` asks for the mask of a face.
        inception: as of ``distances.inception``; None leaves the Inception Score out.
    """

    faces: PackedFaces
    indices: np.ndarray
    judges: Judges
    features: Judge | None = None
    parser: FaceParser | None = None
    inception: nn.Module | None = None
    device: str | torch.device = "cpu"

    def batches(self, part: slice, size: int, attributes: Sequence[str]) -> Iterator[tuple[Tensor, Tensor]]:
        """Photos of ``indices[part]`` at the size of a network, and who has which of ``attributes``, bool ``[B, A]``.

        ``DataError`` if the faces do not know an attribute.
        """
        has = np.stack([self.faces.attribute(name) > 0 for name in attributes], axis=1)
        places = self.indices[part]
        for some in (places[start : start + BATCH] for start in range(0, len(places), BATCH)):
            photos = resize_images(to_float_image(self.faces.read(some)[0], self.device), size)
            yield photos, torch.from_numpy(has[some]).to(self.device)


@torch.no_grad()
def unedited(grader: SeCGANGrader, attributes: Sequence[str], size: int) -> np.ndarray:
    """Bool ``[A, F]``: whether the classifier sees the label that would be asked for in the photo: its mistakes."""
    batches = grader.batches(slice(None), size, attributes)
    return torch.cat([sees(photos, attributes, grader.judges) != has for photos, has in batches]).T.cpu().numpy()


def edit_all(
    network: nn.Module, size: int, grader: SeCGANGrader, title: str = "edits", cache: Path | None = None
) -> dict[str, np.ndarray]:
    """Every attribute of every face changed by a network of this size, and what the nets say of the pictures.

    ``reached``, bool ``[F, A]``; ``kept``, the PSNR of the faces given back, ``[F]``; and where there are such nets
    ``features [F, A, D]``, ``photos [F, D]`` and ``logits [F, A, K]``. Kept in ``cache``.
    """
    attributes, of_set = network.config["attributes"], grader.features

    def of_batch(image: Tensor, has: Tensor) -> dict[str, Tensor]:
        wishes = torch.diag_embed(1 - 2 * has.float()).unbind(1)  # each attribute alone to its other label
        shown = with_mask(network, image, grader.parser)
        found = {"kept": psnr(network(shown, torch.zeros_like(wishes[0])), image).double()}
        made = [network(shown, wish) for wish in wishes]
        seen = [sees(pictures, [name], grader.judges) for name, pictures in zip(attributes, made, strict=True)]
        found["reached"] = torch.cat(seen, dim=1) != has
        if of_set:
            photos, *edited = (of_set.ask(pictures, of_set.network.features).float() for pictures in (image, *made))
            found |= {"photos": photos, "features": torch.stack(edited, dim=1)}
        if grader.inception:
            scored = [inception_features(grader.inception, pictures)[1] for pictures in made]
            found["logits"] = torch.stack(scored, dim=1)
        return found

    def make(part: slice) -> dict[str, np.ndarray]:
        batches = [of_batch(*batch) for batch in grader.batches(part, size, attributes)]
        return {name: torch.cat([found[name] for found in batches]).cpu().numpy() for name in batches[0]}

    key = ["secgan", fingerprint(network), size, grader.judges.fingerprint, *places_mark(grader.faces, grader.indices)]
    key.append(of_set and fingerprint(of_set.network))
    key.append(fingerprint(grader.parser) if grader.parser and network.config["concatenate"] else None)
    return in_parts(title, [*key, grader.inception is not None], len(grader.indices), make, cache)


def with_mask(network: nn.Module, image: Tensor, parser: FaceParser | None) -> Tensor:
    """What G_rgb sees of photos: the variant ``concat`` also takes their soft mask, P's, at test time."""
    if not network.config["concatenate"]:
        return image
    return torch.cat([image, frozen(parser)(image).softmax(dim=1)], dim=1)


def grade_run(run: Run, grader: SeCGANGrader) -> GradedRun:
    """What was measured on a run; what the nets said is kept in its folder."""
    network, card = run.load(grader.device), read_card(run.weights)
    about = {name: card[name] for name in ("steps", "faces", "data", "image_size", "seed", "seconds", "hardware")}
    about |= {"preset": card["preset"]["name"], "weights": fingerprint(network)}
    about["consistency weight"] = read_preset(card)["secgan"]["consistency_weight"]
    found = edit_all(network, card["image_size"], grader, str(run.folder), run.folder / "graded")
    distance = score = None
    if "features" in found:  # a face leaves with all of its edits, the photos stay
        features, photos = found["features"], found["photos"]
        distance = jackknife(
            lambda places: frechet_distance(features[places].reshape(-1, features.shape[-1]), photos), len(features)
        )
    if "logits" in found:
        score = inception_score(found["logits"].reshape(-1, found["logits"].shape[-1]))
    return GradedRun(run.arm, run.seed, found["reached"].T, mean_estimate(found["kept"]), distance, score, about)


def graded_table(runs: Sequence[Run], grader: SeCGANGrader) -> SeCGANTable:
    """Grades ``runs`` on the faces of ``grader`` and makes the table.

    Raises ``TrainingError`` if they change other attributes or make pictures of other sizes.
    """
    cards, kinds = [read_card(run.weights) for run in runs], {}
    for run, card in zip(runs, cards, strict=True):
        kinds.setdefault((tuple(run.load().config["attributes"]), card["image_size"]), run.folder)
    if len(kinds) > 1:
        ((ours, _), first), ((theirs, _), second) = list(kinds.items())[:2]
        differing = "attributes" if ours != theirs else "sizes"
        raise TrainingError(f"{first} and {second} have other {differing}: compare runs of one kind.")
    ((attributes, size),) = kinds
    if grader.parser is None and any(run.arm.variant == "concat" for run in runs):
        raise TrainingError("The variant concat takes the mask of a face: name the parser that it learnt with.")
    judge, of_set = grader.features, "missing, for want of its net"
    if judge:
        of_set = f"features of {type(judge.network).__name__}, {judge.origin}"
    said = {
        "Faces": f"{len(grader.indices)} {grader.faces.source}, {size} x {size} pixels",
        "Trainings": _trainings(cards),
        "Classifier": f"the attribute net, {grader.judges.origins['attributes']}",
        SSFID: of_set,
    }
    if grader.inception is None:
        said["Inception Score"] = "missing, for want of Inception's published weights"
    before, graded = unedited(grader, attributes, size), tuple(grade_run(run, grader) for run in runs)
    return SeCGANTable(attributes, before, graded, said, judge.network.channels if judge else 0)


def _trainings(cards: Sequence[Mapping]) -> str:
    """How long the runs took, and in which settings they differ beside those that the table is about."""
    compared, settings = {"variant", "backbone", "consistency_weight"}, []
    for card in cards:
        preset = read_preset(card)
        own = preset["secgan"] | {name: preset.get(name) for name in ("decay_from", "ema_decay")}
        settings.append(own | {name: card[name] for name in ("steps", "faces", "data")})
    first, names = settings[0], set().union(*settings) - compared
    said = f"{first['steps']} steps on {first['faces']} {first['data']}"
    others = sorted(name for name in names if any(other.get(name) != first.get(name) for other in settings))
    if not others:
        return said
    return f"{said}, but some differ in {', '.join(others)}: the variant is not all that is compared"


# ---- the experiment


def evaluate_secgan(
    preset: Preset,
    faces: PackedFaces,
    out: str | Path,
    parser: str | Path | None = None,
    variants: Sequence[str] = VARIANTS,
    backbones: Sequence[str] = BACKBONES,
    seeds: int = 3,
    steps: int | None = None,
    consistency: Sequence[str] = (),
    consistency_seeds: int = 1,
    judges: str | Path | None = None,
    features: str | Path | None = None,
    inception_weights: str | Path | None = None,
    test: PackedFaces | None = None,
    count: int = 200,
    execution: Execution | None = None,
) -> SeCGANTable:
    """Train what is missing in ``out``, grade it, write ``table.md``, ``table.csv`` and ``table.json``.

    Each variant on each backbone from ``seeds`` seeds, and on the first backbone SeCGAN with each of ``consistency``
    for lambda_sc from ``consistency_seeds``, in ``out/<backbone>-<variant>[-<weight>]/seed-<seed>``. Finished runs
    there are measured as they are, and interrupted ones go on. The first ``count`` faces of the test split are edited,
    of ``test`` if given.

    Args:
        parser: weights of P; without them one is trained in ``out`` where a run needs it.
        steps: of each training, instead of the preset's.
        judges: as of ``judges_for``.
        features: weights of the net of ``SSFID``; without them that which ships, for faces of the kind that it learnt
            from, or one that is trained in ``out``.
        inception_weights: torch-fidelity's file; without it there is no Inception Score.
    """
    out, tested, device = Path(out), test or faces, best_device()
    indices = held_out(tested, count, fewest=2)
    runs = [
        Run(arm, seed, out / str(arm) / f"seed-{seed}")
        for arm in _arms(preset, variants, backbones, consistency)
        for seed in range(consistency_seeds if arm.weight else seeds)
    ]
    parser = _train(runs, preset, faces, out, parser, steps, execution)
    if features is None and not shipped_for(faces, "selfsupervised"):
        features = trained("selfsupervised", preset, faces, out)
    grader = SeCGANGrader(
        tested,
        indices,
        judges_for(preset, faces, out, judges),
        feature_judge(features, device),
        parser and frozen(loaded(parser, FaceParser)),
        inception_weights and inception(inception_weights, device),
        device,
    )
    table = graded_table(runs, grader)
    table.save(out / "table.json")
    table.write(out, "table")
    return table


def _train(
    runs: Sequence[Run],
    preset: Preset,
    faces: PackedFaces,
    out: Path,
    parser: str | Path | None,
    steps: int | None,
    execution: Execution | None,
) -> str | Path | None:
    """Those that are not finished, and P first where a run needs it and there is none. Returns P's weights."""
    missing = [run for run in runs if not run.weights.exists()]
    needing = [run for run in runs if run.arm.variant == "concat" or (run in missing and run.arm.variant == "secgan")]
    if parser is None and needing:
        of_p = preset.replace({"parser.classes": len(MERGED_CLASSES)})
        train_stage("parser", of_p, faces, out / "secgan-parser", resume=True)
        parser = out / "secgan-parser" / "parser.safetensors"
    for run in missing:
        wanted = [f"secgan.variant={run.arm.variant}", f"secgan.backbone={run.arm.backbone}"]
        wanted += [f"secgan.consistency_weight={run.arm.weight}"] * bool(run.arm.weight)
        settings = {"steps": steps, "seed": run.seed, "parser": parser if run in needing else None}
        train_stage("secgan", changed(preset, wanted), faces, run.folder, resume=True, execution=execution, **settings)
    return parser


def _arms(preset: Preset, variants: Sequence[str], backbones: Sequence[str], weights: Sequence[str]) -> list[Arm]:
    """In the table's order. The preset's own weight has no row of its own; ``TrainingError`` for what is no weight."""
    for weight in weights:
        if not re.fullmatch(WEIGHT, weight):
            raise TrainingError(f"A weight of the consistency is a number such as 0.1, not {weight!r}.")
    unknown = [name for name in (*variants, *backbones) if name not in (*VARIANTS, *BACKBONES)]
    if unknown or not variants or not backbones:
        raise TrainingError(f"Name variants of {', '.join(VARIANTS)} and backbones of {', '.join(BACKBONES)}.")
    others = [weight for weight in weights if float(weight) != preset.secgan.consistency_weight]
    arms = {Arm(backbone, variant) for backbone in backbones for variant in variants}
    arms |= {Arm(backbones[0], "secgan", weight) for weight in others}
    return sorted(arms, key=lambda arm: arm.order)
