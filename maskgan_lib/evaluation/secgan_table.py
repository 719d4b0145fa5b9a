"""SeCGAN's Table 1: shares of reached labels, their differences, and the answer, with intervals over trainings."""

import json
import re
from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np

from maskgan_lib.checkpoints import CheckpointError
from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.evaluation.estimates import (
    BETTER,
    FEWEST_ITEMS,
    SAME,
    TOO_FEW,
    WORSE,
    Estimate,
    Measure,
    mean_estimate,
    mean_known,
    over_trainings,
    verdict,
)
from maskgan_lib.evaluation.records import ALL_TASKS, Records
from maskgan_lib.evaluation.report import PHOTOS, Report, Said, Table, TableRow
from maskgan_lib.evaluation.selfsupervised import SSFID
from maskgan_lib.methods.secgan import BACKBONES

VARIANTS = ("baseline", "concat", "secgan")
"""In the order of the paper's table."""
TITLES = {"baseline": "baseline", "concat": "concat", "secgan": "SeCGAN", "stargan": "StarGAN", "attgan": "AttGAN"}
WEIGHT = r"[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?"
"""How a weight of the consistency is written."""
TARR = Measure("TARR", "%", True)
UNEDITED = f"{PHOTOS}, unedited"
MEAN = "mean"
"""Over the attributes."""
RAISED = {
    BETTER: "yes",
    WORSE: "no, it lowers it",
    SAME: "not told apart",
    TOO_FEW: "not told apart: one training says nothing",
}
"""Does semantic consistency raise TARR?"""

VERSION = 1
"""Of the file."""


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

    @property
    def full_title(self) -> str:
        """In a table of all backbones."""
        return f"{TITLES[self.backbone]} {self.title}"

    @property
    def order(self) -> tuple:
        """Its place in the paper's table, the sweep of lambda_sc last in each backbone."""
        place = BACKBONES.index(self.backbone), VARIANTS.index(self.variant)
        return *place, bool(self.weight), float(self.weight or 0)

    @classmethod
    def parse(cls, name: str) -> Self:
        """The arm of that ``str``; ``ValueError`` if there is none."""
        parts = re.fullmatch(rf"({'|'.join(BACKBONES)})-(?:({'|'.join(VARIANTS)})|secgan-({WEIGHT}))", name)
        if parts is None:
            raise ValueError(f"there is no arm {name!r}")
        return cls(parts[1], parts[2] or "secgan", parts[3] or "")


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
    kept: Estimate
    distance: Estimate | None
    inception: float | None
    card: dict


@dataclass(frozen=True)
class Share:
    """A mean in per cent, or percentage points, with two intervals.

    The bootstrap's over ``faces``, of these trainings, and Student's over trainings, the ``seeds``; of one is none.
    """

    faces: Estimate
    seeds: Estimate

    @property
    def over_faces(self) -> Said:
        """The mean with the first."""
        return Said(self.faces, f"{self.faces.value:.1f} {_span(self.faces)}")

    @property
    def over_seeds(self) -> Said:
        """The mean with the second."""
        return Said(self.seeds, f"{self.seeds.value:.1f} {_span(self.seeds)}" if self.seeds.count > 1 else "one seed")

    @property
    def raised(self) -> str:
        """Is this difference, by its interval over trainings, above zero, below, or neither?"""
        return RAISED[verdict(self.seeds, TARR, fewest=2)]


def _span(found: Estimate) -> str:
    return f"[{found.low:.1f}, {found.high:.1f}]"


@dataclass(frozen=True, eq=False)
class SeCGANTable(Report):
    """SeCGAN's Table 1 with everything that it is computed from.

    Args:
        unedited: bool ``[A, F]``: the photos, unedited, as the classifier sees them: its mistakes reach a label too.
        about: what a reader has to know: the faces, the nets, why a column is missing.
        features: how many features the distance is measured in.
    """

    attributes: tuple[str, ...]
    unedited: np.ndarray
    runs: tuple[GradedRun, ...]
    about: dict[str, str]
    features: int = 0

    @property
    def faces(self) -> int:
        """How many were edited."""
        return self.unedited.shape[1]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """In the order of the paper's table."""
        return tuple(sorted({run.arm for run in self.runs}, key=lambda arm: arm.order))

    @property
    def backbones(self) -> tuple[str, ...]:
        """Those that were trained."""
        return tuple(dict.fromkeys(arm.backbone for arm in self.arms))

    def of_arm(self, arm: Arm) -> list[GradedRun]:
        """Its trainings by seed."""
        return sorted((run for run in self.runs if run.arm == arm), key=lambda run: run.seed)

    @cached_property
    def records(self) -> Records:
        """What was reached, 1 or 0, by seed, arm, attribute and face, the photos first; NaN without a training."""
        methods, seeds = (UNEDITED, *map(str, self.arms)), sorted({run.seed for run in self.runs})
        values = np.full((len(seeds), len(methods), 1, len(self.attributes), 1, self.faces), np.nan)
        values[0, 0, 0, :, 0] = self.unedited
        for run in self.runs:
            values[seeds.index(run.seed), methods.index(str(run.arm)), 0, :, 0] = run.reached
        return Records(methods, (TARR,), self.attributes, values)

    def _share(self, arm: Arm | str, attribute: str, minus: str | None = None) -> Share:
        values = self.records.of_items(str(arm), TARR, ALL_TASKS if attribute == MEAN else attribute, minus)
        seeds = over_trainings(100 * mean_known(values, axis=1))
        return Share(replace(mean_estimate(100 * mean_known(values, axis=0)), value=seeds.value), seeds)

    def tarr(self, arm: Arm | str, attribute: str = MEAN) -> Share:
        """In per cent; of the photos, which nobody has edited, for ``UNEDITED``."""
        found = self._share(arm, attribute)
        low, high = np.clip((found.seeds.low, found.seeds.high), 0, 100).tolist()
        return replace(found, seeds=replace(found.seeds, low=low, high=high))

    def differences(self, attribute: str = MEAN) -> dict[tuple[Arm, Arm], Share]:
        """SeCGAN, with each weight, minus the baseline and minus concat, backbone by backbone, in percentage points.

        Over the seeds that both have; pairs that share none are left out.
        """
        pairs = [(arm, Arm(arm.backbone, v)) for arm in self.arms for v in VARIANTS[:2] if arm.variant == "secgan"]
        found = {(arm, ref): self._share(arm, attribute, str(ref)) for arm, ref in pairs if ref in self.arms}
        return {pair: share for pair, share in found.items() if share.seeds}

    def by_attribute(self, backbone: str) -> dict[str, dict[str, tuple]]:
        """``{attribute: {method: (mean, low, high)}}``, the mean over attributes first; intervals over trainings."""
        arms = [arm for arm in self.arms if arm.backbone == backbone and not arm.weight]
        return {
            attribute: {arm.title: astuple(self.tarr(arm, attribute).seeds)[:3] for arm in arms}
            for attribute in (MEAN, *self.attributes)
        }

    # ---- for readers

    def sentences(self) -> list[str]:
        """Does semantic consistency raise TARR here? One sentence for each difference at the preset's lambda_sc."""
        said = []
        for (arm, reference), share in self._at_the_preset().items():
            trainings = "1 seed" if share.seeds.count == 1 else f"{share.seeds.count} seeds {_span(share.seeds)}"
            said.append(
                f"Does semantic consistency raise TARR here? {TITLES[arm.backbone]}, {arm.title} against "
                f"{reference.title}: **{share.raised}** ({share.seeds.value:+.1f} percentage points; 95 % interval "
                f"over {trainings}, over {self.faces} faces {_span(share.faces)})."
            )
        return said

    def _at_the_preset(self, attribute: str = MEAN) -> dict[tuple[Arm, Arm], Share]:
        return {pair: share for pair, share in self.differences(attribute).items() if not pair[0].weight}

    @property
    def parts(self) -> list[Table | str]:
        """The arms, their differences, the verdicts, the attributes of each backbone, and how to read them."""
        differences = [self._differences_table()] * bool(self.differences())
        *attributes, last = map(self._attributes_table, self.backbones)
        return [self._arms_table(), *differences, *self.sentences(), *attributes, replace(last, notes=self._notes())]

    def _arms_table(self) -> Table:
        heads = ("seeds", "TARR % ↑ [over faces]", "[over seeds]", "PSNR of a face given back (dB) ↑")
        rows = [TableRow(UNEDITED, ("", self.tarr(UNEDITED).over_faces, "", "", "", ""))]
        for arm in self.arms:
            runs, tarr = self.of_arm(arm), self.tarr(arm)
            of_sets = _over_runs([run.kept for run in runs]), _over_runs([run.distance for run in runs])
            scores = [run.inception for run in runs if run.inception is not None]
            cells = str(len(runs)), tarr.over_faces, tarr.over_seeds, *of_sets
            rows.append(TableRow(arm.full_title, (*cells, f"{np.mean(scores):.3f}" if scores else "")))
        return Table("", (*heads, f"{SSFID} ↓", "Inception Score ↑"), tuple(rows), corner="")

    def _differences_table(self) -> Table:
        rows = []
        for (arm, reference), share in self.differences().items():
            cells = str(share.seeds.count), share.over_faces, share.over_seeds, share.raised
            rows.append(TableRow(f"{arm.full_title} minus {reference.title}", cells))
        heads = "seeds", "[over faces]", "[over seeds]", "raised?"
        return Table("", heads, tuple(rows), corner="difference of TARR in percentage points")

    def _attributes_table(self, backbone: str) -> Table:
        arms = [arm for arm in self.arms if arm.backbone == backbone]
        pairs = [pair for pair in self._at_the_preset() if pair[0].backbone == backbone]
        rows = []
        for attribute in (*self.attributes, MEAN):
            cells = [self.tarr(arm, attribute).over_faces for arm in (UNEDITED, *arms)]
            for share in map(self._at_the_preset(attribute).get, pairs):
                without_0 = share.seeds.count > 1 and share.seeds.low * share.seeds.high > 0
                cells.append(Said(share.seeds, f"{share.over_seeds}{' ●' if without_0 else ''}"))
            rows.append(TableRow(attribute, tuple(cells)))
        minus = [f"{arm.title} minus {reference.title} [over seeds]" for arm, reference in pairs]
        heads = (UNEDITED, *(arm.title for arm in arms), *minus)
        return Table("", heads, tuple(rows), corner=f"TARR %, {TITLES[backbone]}")

    def _notes(self) -> tuple[str, ...]:
        marks = len(self._at_the_preset()) * len(self.attributes)
        by_chance = f" ● leaves 0 out: of {marks} such intervals, about {0.05 * marks:.0f} would by chance."
        notes = [f"{name}: {text}" for name, text in self.about.items()]
        notes += [
            "TARR: every attribute of every face is changed to its other label, alone; the share of these pictures in "
            "which the classifier sees the label asked for. Of photos that nobody edited it sees it by mistake.",
            "A label can be reached by destroying the face: look at the PSNR, and at pictures.",
            "Intervals over faces hold for these trainings, those over seeds for others like them; the verdicts are by "
            "the latter. PSNR and distance are means over seeds, in the brackets of their intervals over faces."
            + by_chance
            * bool(marks),
        ]
        if any(run.distance for run in self.runs):
            fewer = " There are fewer photos than features: it tells no networks apart here."
            notes.append(
                f"{SSFID}: all {len(self.attributes)} edits of the {self.faces} faces against their photos, in "
                f"{self.features} features. It compares with no other table. Faces that change as they are asked to "
                "lie further from the photos, too." + fewer * (self.faces < self.features)
            )
        if self.faces < FEWEST_ITEMS:
            notes.append(f"Fewer than {FEWEST_ITEMS} faces: the intervals over faces tell too little.")
        return tuple(notes)

    # ---- as a file

    def save(self, path: str | Path) -> None:
        """Everything as JSON: an eighth of a byte for each edit."""
        runs = [
            vars(run)
            | {"arm": str(run.arm), "reached": packed(run.reached)}
            | {"kept": _rounded(run.kept), "distance": run.distance and _rounded(run.distance)}
            for run in self.runs
        ]
        content = {"format": VERSION, "attributes": self.attributes, "faces": self.faces}
        content |= {"unedited": packed(self.unedited), "about": self.about, "features": self.features, "runs": runs}
        with atomic(path) as file:
            file.write(json.dumps(content, indent=1, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """What ``save`` wrote; ``CheckpointError`` for a file that is missing or holds something else."""
        try:
            stored = json.loads(Path(path).read_text(encoding="utf-8"))
            if stored["format"] != VERSION:
                raise ValueError(f"format {stored['format']}, where {VERSION} is read")
            faces, runs = stored["faces"], []
            for run in stored["runs"]:
                run |= {"arm": Arm.parse(run["arm"]), "reached": unpacked(run["reached"], faces)}
                run |= {"kept": _estimate(run["kept"]), "distance": run["distance"] and _estimate(run["distance"])}
                runs.append(GradedRun(**run))
            before = unpacked(stored["unedited"], faces)
            return cls(tuple(stored["attributes"]), before, tuple(runs), stored["about"], stored["features"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} holds no table of SeCGAN ({error}): make it again.") from error


def _over_runs(found: Sequence[Estimate | None]) -> Said | str:
    """The mean over seeds, and the mean of their intervals' ends: an interval over faces of a typical training."""
    if not found or any(one is None for one in found):
        return ""
    means = np.array([[one.value, one.low, one.high] for one in found]).mean(axis=0)
    shown = Estimate(*means.tolist(), found[0].count)
    return Said(shown, str(shown))


def packed(flags: np.ndarray) -> list[str]:
    """Bool ``[A, F]`` as hexadecimal digits, four faces each, a string for each row."""
    return [np.packbits(row).tobytes().hex() for row in flags]


def unpacked(rows: Sequence[str], faces: int) -> np.ndarray:
    """What ``packed`` was given; ``ValueError`` if it was not of so many faces."""
    digits = np.stack([np.frombuffer(bytes.fromhex(row), np.uint8) for row in rows])
    if digits.shape[1] != -(-faces // 8):
        raise ValueError(f"there are not {faces} faces")
    return np.unpackbits(digits, axis=1, count=faces).astype(bool)


def _rounded(found: Estimate) -> list:
    """Six digits; None for NaN."""
    return [float(f"{x:.6g}") if np.isfinite(x) else None for x in (found.value, found.low, found.high)] + [found.count]


def _estimate(stored: Sequence) -> Estimate:
    *parts, count = stored
    return Estimate(*(np.nan if part is None else part for part in parts), count)
