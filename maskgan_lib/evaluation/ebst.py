"""``python -m maskgan_lib evaluate ebst-ablation``: does EBST help?

Both arms are trained from the same DMN, and measured on the same edited masks of the same faces, in each face's own
style. A network that keeps the photo's unedited regions by ignoring the mask would do well on half of these measures,
one that paints clean parts in any colour on the other half: only together they say something.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from maskgan_lib.checkpoints import load_weights
from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.evaluation.appearance import colour_distance
from maskgan_lib.evaluation.estimates import BETTER, WORSE, Estimate, Measure, mean_estimate, verdict
from maskgan_lib.evaluation.grades import BAND, MARGIN, agreement, right
from maskgan_lib.evaluation.judges import BATCH, Judges
from maskgan_lib.evaluation.metrics import around, confusion_matrix, mean_iou, mean_outside
from maskgan_lib.evaluation.perturbations import PERTURBATIONS, SMALLEST_EDIT, perturb
from maskgan_lib.evaluation.records import ALL_TASKS, Records
from maskgan_lib.evaluation.report import PHOTOS, Report, Said, Table, TableRow
from maskgan_lib.evaluation.run import in_parts, places_mark
from maskgan_lib.evaluation.tasks import held_out
from maskgan_lib.evaluation.weights import judges_for, loaded, named_weights, trained
from maskgan_lib.networks import DenseMappingNetwork, MaskVAE, one_hot
from maskgan_lib.presets import Preset
from maskgan_lib.training.ebst import fingerprint
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import train_stage

START, LONGER, MASKGAN = "DMN", "DMN, trained longer", "MaskGAN†"
"""The DMN that both arms start from, the control, and the DMN after EBST."""

LATENT_WALK = "MaskVAE"
EDITS = (*PERTURBATIONS, LATENT_WALK)
"""The edits by name; the last one walks in MaskVAE's latent space, as EBST itself does."""

FARTHEST_WALK = 0.4
"""Share of the way to another mask, or away from it: 1 / lambda_inter, the paper's step."""

STYLE_ATTRIBUTES = (
    "5_o_Clock_Shadow", "Bags_Under_Eyes", "Black_Hair", "Blond_Hair", "Brown_Hair", "Goatee", "Gray_Hair",
    "Heavy_Makeup", "Male", "Mustache", "No_Beard", "Pale_Skin", "Rosy_Cheeks", "Wearing_Lipstick", "Young",
)  # fmt: skip
"""What no edit of a mask is meant to change: beards have no class, and colours have none either."""

EBST_MEASURES = (
    Measure("segmentation agreement", "%", True),
    Measure("segmentation agreement around the edit", "%", True),
    Measure("mean IoU", "%", True),
    Measure("style attributes kept", "%", True),
    Measure("colour distance to the photo", "Delta E", False),
    Measure("feature distance to the photo", "1 - cosine", False),
    Measure("change far from the edit", "grey levels", False),
    Measure("PSNR to the photo far from the edit", "dB", True),
)


# ---- edits


@torch.no_grad()
def walk(vae: MaskVAE, labels: np.ndarray, other: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """``labels`` (uint8 ``[S, S]``) decoded at ``z + share * (z_other - z)``, one for each of ``shares``."""
    device = next(vae.parameters()).device
    z, z_other = vae.encode(one_hot(torch.as_tensor(np.stack([labels, other]), device=device)))[0]
    steps = torch.as_tensor(np.asarray(shares), dtype=z.dtype, device=device)[:, None]
    return vae.decode(z + steps * (z_other - z)).argmax(dim=1).byte().cpu().numpy()


def edits_of_face(
    faces: PackedFaces, indices: np.ndarray, place: int, vae: MaskVAE, seeds: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Every one of ``EDITS`` on the face ``indices[place]``, once for each of ``seeds``.

    Returns the masks, uint8 ``[E, K, S, S]``, and bool ``[E, K]``: whether the edit applies to this face; where it does
    not, the mask is the face's own. What is drawn, the other face of ``indices`` that parts are taken from included,
    depends on the edit, the seed and the face's number in the packed folder.
    """
    labels = np.array(faces.masks[indices[place]])
    masks = np.tile(labels, (len(EDITS), len(seeds), 1, 1))
    others = np.delete(indices, place)
    for k, seed in enumerate(seeds):
        for e, name in enumerate(EDITS):
            rng = np.random.default_rng([seed, int(indices[place]), e])
            other = np.array(faces.masks[rng.choice(others)])
            if name == LATENT_WALK:
                edited = walk(vae, labels, other, [rng.uniform(-FARTHEST_WALK, FARTHEST_WALK)])[0]
            else:
                edited = perturb(name, labels, other, rng)
            masks[e, k] = labels if edited is None else edited
    return masks, (masks != labels).mean(axis=(2, 3)) >= SMALLEST_EDIT


# ---- what is measured


@dataclass(frozen=True)
class _EditedFace:
    """One face, its own mask and the edited ones, and the attributes that the judges should see in its photo.

    ``photo`` is ``[1, 3, S, S]``, ``labels`` uint8 ``[1 + n, S, S]``, the own mask first; ``truth`` is bool ``[1]`` by
    attribute.
    """

    photo: Tensor
    labels: Tensor
    judges: Judges
    truth: dict[str, Tensor]

    def of_photo(self) -> np.ndarray:
        """What applies to the photo itself of ``EBST_MEASURES``, ``[M]``."""
        seen = [column.item() for column in self._seen(self.photo, slice(0, 1))]
        return np.array(seen + [np.nan] * (len(EBST_MEASURES) - len(seen)))

    def of_renders(self, network: DenseMappingNetwork, batch: int) -> np.ndarray:
        """``EBST_MEASURES`` of ``network`` on the edited masks, ``[M, n]``."""
        style = network.encode_style(self.photo, one_hot(self.labels[:1]))
        made = torch.cat([network.render(one_hot(part), style) for part in self.labels.split(batch)])
        before, after = made[:1], made[1:]
        not_far = around(self.labels != self.labels[:1], MARGIN)[1:]
        error = mean_outside(not_far, (after - self.photo).square().mean(dim=1))
        columns = [
            *self._seen(after, slice(1, None)),
            colour_distance(after, self.labels[1:], self.photo, self.labels[:1]),
            1 - F.cosine_similarity(self.judges.features(after), self.judges.features(self.photo)),
            127.5 * mean_outside(not_far, (after - before).abs().mean(dim=1)),
            10 * torch.log10(4 / error),
        ]
        return torch.stack([column.double() for column in columns]).cpu().numpy()

    def _seen(self, image: Tensor, which: slice) -> list[Tensor]:
        """In per cent, ``[B]`` each: the parser's agreement with the labels, the same about the edits, mean IoU, and
        attributes kept.
        """
        labels, near = self.labels[which], around(self.labels != self.labels[:1], BAND)[which]
        parsed = self.judges.parse(image).to(labels.device)
        iou = [100 * mean_iou(confusion_matrix(a, b)) for a, b in zip(parsed, labels, strict=True)]
        columns = [*agreement(parsed, labels, near), torch.tensor(iou, device=image.device)]
        kept = right(image, self.truth, self.judges).values()
        return [*columns, torch.stack([columns[0] * torch.nan, *kept]).nanmean(dim=0)]


def compare_on_edits(
    runs: Sequence[Mapping[str, DenseMappingNetwork]],
    faces: PackedFaces,
    indices: np.ndarray,
    vae: MaskVAE,
    judges: Judges,
    seeds: Sequence[int] = (0, 1, 2),
    batch: int = BATCH,
    cache: Path | None = None,
) -> "Comparison":
    """``EBST_MEASURES`` of networks by name on ``EDITS`` of the faces ``indices``; the last network is what is asked
    about.

    Each of ``runs`` names the same networks, trained from another seed; one that is in several of them is measured
    once. Every network renders the same masks in the style of the face's own photo, ``batch`` at a time. What was
    measured is kept in the folder ``cache``.
    """
    if len(indices) < 2:
        raise ValueError("Edits take parts from another face: at least two faces are needed.")
    names = [name for name in STYLE_ATTRIBUTES if name in faces.attribute_names and name in judges.attribute_names]
    shared = [fingerprint(vae), *places_mark(faces, indices), list(seeds), judges.fingerprint]
    device = next(vae.parameters()).device

    def edited(place: int) -> tuple[_EditedFace, np.ndarray]:
        masks, applies = edits_of_face(faces, indices, place, vae, seeds)
        image, own = faces.read(indices[place : place + 1])
        labels = torch.as_tensor(np.concatenate([own, masks[applies]]), device=device)
        truth = {name: torch.from_numpy(faces.attribute(name)[indices[[place]]] > 0) for name in names}
        return _EditedFace(to_float_image(image, device), labels, judges, truth), applies

    def measured(name: str, network: DenseMappingNetwork) -> np.ndarray:
        def make(part: slice) -> dict[str, np.ndarray]:
            values = np.full((part.stop - part.start, len(EBST_MEASURES), len(EDITS), len(seeds)), np.nan)
            for k, place in enumerate(range(part.start, part.stop)):
                face, applies = edited(place)
                if applies.any():
                    values[k][:, applies] = face.of_renders(network, batch)
            return {"values": values}

        key = ["edits", fingerprint(network), *shared]
        return np.moveaxis(in_parts(f"edits, {name}", key, len(indices), make, cache)["values"], 0, -1)

    def photos(part: slice) -> dict[str, np.ndarray]:
        return {"values": np.stack([edited(place)[0].of_photo() for place in range(part.start, part.stop)])}

    distinct = {id(network): (name, network) for run in runs for name, network in run.items()}
    of_network = {key: measured(*named) for key, named in distinct.items()}
    methods = tuple(runs[0])
    values = np.stack([np.stack([of_network[id(run[name])] for name in methods]) for run in runs])
    of_photos = in_parts("photos", ["photos", *shared], len(indices), photos, cache)["values"].T
    return Comparison(Records(methods, EBST_MEASURES, EDITS, values), of_photos)


# ---- tables


@dataclass(frozen=True)
class Comparison(Report):
    """Networks on the same edits, and ``photos [M, F]``: what the same judges say of the photos with their own masks.

    The last network is compared with each of the others, the references.
    """

    records: Records
    photos: np.ndarray

    def difference(self, reference: str, measure: Measure, edit: str = ALL_TASKS) -> tuple[Estimate, str]:
        """The last network minus ``reference``, face by face, with a verdict."""
        found = self.records.mean(self.records.methods[-1], measure, edit, minus=reference)
        return found, verdict(found, measure)

    def over_seeds(self, reference: str, measure: Measure) -> tuple[Estimate, str]:
        """The same difference over all edits with trainings for the sample."""
        found = self.records.over_trainings(self.records.methods[-1], measure, minus=reference)
        return found, verdict(found, measure, fewest=2)

    @property
    def parts(self) -> list[Table | str]:
        """Means, differences with verdicts, differences edit by edit, and how to read them."""
        records, references = self.records, self.records.methods[:-1]
        photos = dict(zip(records.measures, map(mean_estimate, self.photos), strict=True))
        means = {m: (photos[m], *(records.mean(name, m) for name in records.methods)) for m in records.measures}
        tables = [_table("mean over faces [95 % interval]", (PHOTOS, *records.methods), means)]
        for name in references:
            heads, cells = ("over faces", "verdict"), {m: self.difference(name, m) for m in records.measures}
            if records.trainings > 1:
                heads += (f"over {records.trainings} training seeds", "verdict")
                cells = {m: (*found, *self.over_seeds(name, m)) for m, found in cells.items()}
            tables.append(_table(self._title(name), heads, cells))
        marks = {BETTER: " ✓", WORSE: " ✗"}
        for name in references:
            found = {m: [self.difference(name, m, edit) for edit in EDITS] for m in records.measures}
            cells = {m: [Said(value, f"{value}{marks.get(v, '')}") for value, v in row] for m, row in found.items()}
            tables.append(_table(f"{self._title(name)}, by edit", EDITS, cells))
        verdicts = len(records.measures) * len(references) * (1 + len(EDITS))
        note = (
            f"{self.photos.shape[1]} faces, {records.values.shape[-2]} drawings of each edit. Intervals are "
            f"bootstrap intervals over faces. ✓ better, ✗ worse than the reference. Of {verdicts} differences over "
            f"faces, about {0.05 * verdicts:.0f} would leave their 95 % interval by chance alone."
        )
        return [*tables, note]

    def _title(self, reference: str) -> str:
        return f"{self.records.methods[-1]} minus {reference}"


def _table(corner: str, heads: Sequence[str], cells: Mapping[Measure, Sequence[Estimate | Said | str]]) -> Table:
    rows = tuple(TableRow(measure.title, tuple(row)) for measure, row in cells.items())
    return Table("", tuple(heads), rows, corner=corner)


# ---- the experiment


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
    preset: Preset, faces: PackedFaces, folder: Path, dmn: str | Path, maskvae: str | Path, seed: int = 0
) -> dict[str, Path]:
    """Go on from ``dmn`` (a run's folder or weights) with EBST, and without; the weights of both arms, by name.

    Finished arms are kept and interrupted ones go on. ``TrainingError`` if ``folder`` holds arms of another start.
    """
    claim, mark = folder / "start.txt", fingerprint(load_weights(_weights(dmn)))
    if claim.exists() and claim.read_text() != mark:
        raise TrainingError(f"{folder} holds arms that started from another DMN: choose another folder.")
    with atomic(claim) as file:
        file.write(mark.encode())
    shared = {"seed": seed, "resume": True, "init": dmn}
    train_stage("dmn", control_preset(preset), faces, folder / "longer", **shared)
    train_stage("ebst", preset, faces, folder / "ebst", maskvae=maskvae, **shared)
    return {LONGER: folder / "longer" / "dmn.safetensors", MASKGAN: folder / "ebst" / "dmn.safetensors"}


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
    """Train what is missing in ``out``, compare, write ``table.csv`` and ``table.md``.

    Both arms are trained from ``seeds`` seeds in ``out/seed-<seed>``, and each edit is drawn as often. ``networks`` are
    ``NAME=FILE``: these weights are compared as they are, the last with each of the others, and no arm is trained.
    ``judges`` is as of ``judges_for``. The first ``count`` faces of the test split are measured.
    """
    out, test, chosen = Path(out), held_out(faces, count, fewest=2), named_weights(networks)
    maskvae = maskvae or trained("maskvae", preset, faces, out)
    graders = judges_for(preset, faces, out, judges)
    if chosen:
        runs = [{name: loaded(path, DenseMappingNetwork) for name, path in chosen.items()}]
    else:
        dmn = dmn or trained("dmn", preset, faces, out).parent
        arms = [train_arms(preset, faces, out / f"seed-{seed}", dmn, maskvae, seed) for seed in range(seeds)]
        start = loaded(_weights(dmn), DenseMappingNetwork)
        runs = [{START: start, **{n: loaded(path, DenseMappingNetwork) for n, path in arm.items()}} for arm in arms]
    vae = loaded(maskvae, MaskVAE)
    if (size := vae.config["image_size"]) != faces.size:
        raise TrainingError(f"{maskvae} takes masks of {size} pixels, the faces have {faces.size}: name another.")
    comparison = compare_on_edits(runs, faces, test, vae, graders, range(seeds), cache=out / "graded")
    comparison.write(out, "table")
    return comparison


def _weights(run: str | Path) -> Path:
    return Path(run) if Path(run).is_file() else Path(run) / "dmn.safetensors"
