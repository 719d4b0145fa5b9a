"""What one training of SeCGAN reaches, and what that costs: its edits as a classifier and other nets see them."""

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card
from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation.distances import frechet_distance, inception_features, inception_score
from maskgan_lib.evaluation.judges import Judge, Judges
from maskgan_lib.evaluation.metrics import bootstrap_interval, psnr
from maskgan_lib.evaluation.protocols import faces_mark
from maskgan_lib.evaluation.tables import Cell, jackknife_cell
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.methods.secgan import BACKBONES, SeCGANGenerator, frozen
from maskgan_lib.presets import read_preset
from maskgan_lib.progress import progress_bar
from maskgan_lib.training.ebst import fingerprint

VARIANTS = ("baseline", "concat", "secgan")
"""In the order of the paper's table."""
TITLES = {"baseline": "baseline", "concat": "concat", "secgan": "SeCGAN", "stargan": "StarGAN", "attgan": "AttGAN"}
WEIGHT = r"[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?"
"""How a weight of the consistency is written."""
BATCH = 16
VERSION = 1
"""Raised when something is measured in another way: what was graded before is then graded again."""


@dataclass(frozen=True)
class Arm:
    """What is trained from several seeds: a variant on a backbone.

    ``weight`` is lambda_sc where it is not the preset's, as it was written, since it names the folder.
    """

    backbone: str
    variant: str
    weight: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in (self.backbone, self.variant, self.weight) if part)

    @property
    def title(self) -> str:
        """The method's name in a table of its backbone."""
        return TITLES[self.variant] + (f", λ_sc = {self.weight}" if self.weight else "")

    @classmethod
    def parse(cls, name: str) -> "Arm | None":
        """The arm that a folder is named after; None for another folder."""
        parts = re.fullmatch(rf"({'|'.join(BACKBONES)})-(?:({'|'.join(VARIANTS)})|secgan-({WEIGHT}))", name)
        return parts and cls(parts[1], parts[2] or "secgan", parts[3] or "")


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


def found_runs(out: str | Path) -> list[Run]:
    """The finished trainings in ``out``: ``<backbone>-<variant>[-<weight>]/seed-<seed>/g_rgb.safetensors``."""
    runs = []
    for weights in Path(out).glob("*/seed-*/g_rgb.safetensors"):
        arm, seed = Arm.parse(weights.parent.parent.name), weights.parent.name.removeprefix("seed-")
        if arm and seed.isdigit():
            runs.append(Run(arm, int(seed), weights.parent))
    return sorted(runs, key=lambda run: (*order(run.arm), run.seed))


def order(arm: Arm) -> tuple:
    """Places an arm in the paper's table."""
    return BACKBONES.index(arm.backbone), VARIANTS.index(arm.variant), bool(arm.weight), float(arm.weight or 0)


# ---- grading one run


@dataclass(frozen=True, eq=False)
class GradedRun:
    """What was measured on one training.

    Args:
        reached: bool ``[A, F]``: whether the classifier sees the label that was asked for.
        kept: PSNR in dB of the faces given back when nothing is asked, to the photos.
        distance: the Fréchet distance of all edited pictures to the photos, with the jackknife's interval over faces;
            None without a net of features.
        inception: the Inception Score of all edited pictures; None without Inception.
    """

    arm: Arm
    seed: int
    reached: np.ndarray
    kept: Cell
    distance: Cell | None
    inception: float | None
    card: dict

    @property
    def tarr(self) -> float:
        """In per cent, the mean over attributes."""
        return 100 * float(self.reached.mean())

    def to_json(self) -> dict:
        """``reached`` as hexadecimal digits, four faces each."""
        return {
            "arm": str(self.arm),
            "seed": self.seed,
            "reached": packed(self.reached),
            "kept": _cell_to_json(self.kept),
            "distance": self.distance and _cell_to_json(self.distance),
            "inception": self.inception,
            "card": self.card,
        }

    @classmethod
    def from_json(cls, entry: Mapping, faces: int) -> "GradedRun":
        """What ``to_json`` gave, of so many faces; ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
        arm = Arm.parse(entry["arm"])
        if arm is None:
            raise ValueError(f"there is no arm {entry['arm']!r}")
        distance = entry["distance"]
        return cls(
            arm,
            entry["seed"],
            unpacked(entry["reached"], faces),
            _cell_from_json(entry["kept"]),
            distance and _cell_from_json(distance),
            entry["inception"],
            entry["card"],
        )


def packed(flags: np.ndarray) -> list[str]:
    """Bool ``[A, F]`` as hexadecimal digits, a string for each row."""
    return [np.packbits(row).tobytes().hex() for row in flags]


def unpacked(rows: Sequence[str], faces: int) -> np.ndarray:
    """What ``packed`` was given; ``ValueError`` if it was not of so many faces."""
    digits = np.stack([np.frombuffer(bytes.fromhex(row), np.uint8) for row in rows])
    if digits.shape[1] != -(-faces // 8):
        raise ValueError(f"there are not {faces} faces")
    return np.unpackbits(digits, axis=1, count=faces).astype(bool)


def _cell_to_json(cell: Cell) -> list:
    return [float(f"{number:.6g}") if np.isfinite(number) else None for number in (cell.value, cell.low, cell.high)] + [
        cell.count
    ]


def _cell_from_json(entry: Sequence) -> Cell:
    *numbers, count = entry
    return Cell(*(np.nan if number is None else number for number in numbers), count)


@dataclass(frozen=True, eq=False)
class Grader:
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

    def photos(self, places: slice, size: int) -> Tensor:
        """The photos at ``places`` of ``indices``, at the size of the network that edits them."""
        images = to_float_image(self.faces.read(self.indices[places])[0], self.device)
        return images if images.shape[-1] == size else F.interpolate(images, (size, size), mode="area")

    def batches(self) -> list[slice]:
        """Places of ``indices``, some at a time."""
        return [slice(start, start + BATCH) for start in range(0, len(self.indices), BATCH)]

    def labels(self, attributes: Sequence[str]) -> Tensor:
        """1 and 0, float32 ``[F, A]``; ``DataError`` if the faces or the classifier do not know an attribute."""
        unknown = [name for name in attributes if name not in self.judges.attribute_names]
        if unknown:
            raise DataError(f"The attribute net does not know {', '.join(unknown)}: nothing can be said of such edits.")
        known = np.stack([self.faces.attribute(name)[self.indices] > 0 for name in attributes], axis=1)
        return torch.from_numpy(known).float().to(self.device)

    def says(self, pictures: Tensor, attribute: str) -> Tensor:
        """Bool ``[B]``: whether the classifier sees the attribute."""
        return self.judges.attributes(pictures)[:, self.judges.attribute_names.index(attribute)] > 0

    def key(self, network: nn.Module) -> str:
        """What tells a run's grades from those of another network, other faces, or by other nets."""
        marks = [VERSION, fingerprint(network), self.judges.fingerprint, faces_mark(self.faces)]
        marks.append(hashlib.sha256(self.indices.astype("<i8").tobytes()).hexdigest())
        marks.append(self.features and fingerprint(self.features.network))
        marks.append(fingerprint(self.parser) if self.parser and network.config["concatenate"] else None)
        return hashlib.sha256(json.dumps([*marks, self.inception is not None]).encode()).hexdigest()[:20]


@torch.no_grad()
def unedited(grader: Grader, attributes: Sequence[str], size: int) -> np.ndarray:
    """Bool ``[A, F]``: whether the classifier sees the label that would be asked for in the photo: its mistakes."""
    labels, seen = grader.labels(attributes), []
    for places in grader.batches():
        said = grader.judges.attributes(grader.photos(places, size))
        columns = [grader.judges.attribute_names.index(name) for name in attributes]
        seen.append((said[:, columns] > 0) != (labels[places] > 0))
    return torch.cat(seen).T.cpu().numpy()


@torch.no_grad()
def grade_run(run: Run, grader: Grader) -> GradedRun:
    """Every attribute of every face changed by G_rgb of ``run``, and what the nets say of the pictures.

    Kept as ``graded.json`` in the run's folder; what is there of the same weights, faces and nets is not done again.
    """
    network, card = load_g_rgb(run, grader.device), read_card(run.weights)
    cache, key = run.folder / "graded.json", grader.key(network)
    stored = _read_graded(cache, key, len(grader.indices))
    if stored is not None:
        return replace(stored, arm=run.arm, seed=run.seed)
    about = {name: card[name] for name in ("steps", "faces", "data", "image_size", "seed", "seconds", "hardware")}
    about |= {"preset": card["preset"]["name"], "weights": fingerprint(network)}
    about["consistency weight"] = read_preset(card)["secgan"]["consistency_weight"]
    edited = edit_all(network, card["image_size"], grader, str(run.folder))
    graded = GradedRun(run.arm, run.seed, *edited, about)
    with atomic(cache) as file:
        file.write(json.dumps({"key": key, **graded.to_json()}).encode())
    return graded


def load_g_rgb(run: Run, device: str | torch.device = "cpu") -> SeCGANGenerator:
    """``CheckpointError`` if the weights are no G_rgb of the run's arm."""
    network, card = load_weights(run.weights, device), read_card(run.weights)
    if not isinstance(network, SeCGANGenerator) or network.config["branch"] != "rgb":
        raise CheckpointError(f"{run.weights} holds no G_rgb of SeCGAN: choose another folder.")
    known = read_preset(card).get("secgan", {})
    is_arm = known.get("backbone"), known.get("variant")
    if is_arm != (run.arm.backbone, run.arm.variant):
        raise CheckpointError(f"{run.folder} holds {'-'.join(map(str, is_arm))}, not {run.arm}: choose another folder.")
    if run.arm.weight and known["consistency_weight"] != float(run.arm.weight):
        weight = known["consistency_weight"]
        raise CheckpointError(f"{run.folder} learnt with lambda_sc = {weight:g}: name its folder after that.")
    return network


@torch.no_grad()
def edit_all(
    network: nn.Module, size: int, grader: Grader, title: str = "edits"
) -> tuple[np.ndarray, Cell, Cell | None, float | None]:
    """``reached``, ``kept``, ``distance`` and ``inception`` of a ``GradedRun``, for a network of this size."""
    attributes = network.config["attributes"]
    labels = grader.labels(attributes)
    wishes = torch.diag_embed(1 - 2 * labels)  # [F, A, A]: each attribute alone to its other label
    reached, back, features, photos, logits = [], [], [], [], []
    for places in progress_bar(grader.batches(), desc=title, unit="batch"):
        image = grader.photos(places, size)
        seen = with_mask(network, image, grader.parser)
        back.append(psnr(network(seen, torch.zeros_like(labels[places])), image))
        if grader.features:
            photos.append(_features(grader, image))
        of_batch = []
        for column, name in enumerate(attributes):
            made = network(seen, wishes[places, column])
            of_batch.append(grader.says(made, name) == (labels[places, column] == 0))
            if grader.features:
                features.append(_features(grader, made))
            if grader.inception:
                logits.append(inception_features(grader.inception, made)[1].cpu())
        reached.append(torch.stack(of_batch))
    kept = torch.cat(back).double().cpu().numpy()
    return (
        torch.cat(reached, dim=1).cpu().numpy(),
        Cell(float(kept.mean()), *bootstrap_interval(kept), len(kept)),
        _distance(features, torch.cat(photos), len(attributes)) if photos else None,
        inception_score(torch.cat(logits)) if logits else None,
    )


def with_mask(network: nn.Module, image: Tensor, parser: FaceParser | None) -> Tensor:
    """What G_rgb sees of photos: the variant ``concat`` also takes their soft mask, P's, at test time."""
    if not network.config["concatenate"]:
        return image
    return torch.cat([image, frozen(parser)(image).softmax(dim=1)], dim=1)


def _features(grader: Grader, pictures: Tensor) -> Tensor:
    return grader.features.ask(pictures, grader.features.network.features).float().cpu()


def _distance(features: Sequence[Tensor], photos: Tensor, attributes: int) -> Cell:
    """The distance with the jackknife's interval: a face leaves with all of its edits, the photos stay."""
    batches = [torch.stack(features[k : k + attributes], dim=1) for k in range(0, len(features), attributes)]
    of_faces = torch.cat(batches)  # [F, A, D]
    return jackknife_cell(lambda places: frechet_distance(of_faces[places].flatten(0, 1), photos), len(of_faces))


def _read_graded(path: Path, key: str, faces: int) -> GradedRun | None:
    """What was graded before under this key; None where it has to be done, a damaged file included."""
    if not path.is_file():
        return None
    try:
        stored = json.loads(path.read_text())
        return GradedRun.from_json(stored, faces) if stored["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"{path} is damaged ({error}): this run is graded again.", file=sys.stderr)
        return None
