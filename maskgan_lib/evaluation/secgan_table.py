"""SeCGAN's Table 1: shares of reached labels, their differences, and the answer, with intervals over trainings."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

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
    bootstrap_interval,
    over_trainings,
    verdict,
)
from maskgan_lib.evaluation.report import PHOTOS, Report, Table, TableRow, long_csv, numbers
from maskgan_lib.evaluation.secgan_runs import TITLES, VARIANTS, Arm, GradedRun, packed, unpacked
from maskgan_lib.evaluation.selfsupervised import SSFID

TARR = Measure("TARR", "%", True)
UNEDITED = f"{PHOTOS}, unedited"
MEAN = "mean"
"""Over the attributes."""
SAID = {
    BETTER: "yes",
    WORSE: "no, it lowers it",
    SAME: "not told apart",
    TOO_FEW: "not told apart: one training says nothing",
}
"""Does semantic consistency raise TARR?"""

VERSION = 1
"""Of the file."""


@dataclass(frozen=True)
class Share:
    """A mean in per cent, or percentage points, with two intervals.

    The bootstrap's over ``faces``, of these trainings, and Student's over trainings, the ``seeds``; of one is none.
    """

    faces: Estimate
    seeds: Estimate

    def __str__(self) -> str:
        return f"{self.faces.value:.1f} {_span(self.faces)}"

    @property
    def over_seeds(self) -> str:
        """The mean with the interval over trainings."""
        return f"{self.seeds.value:.1f} {_span(self.seeds)}" if self.seeds.count > 1 else "one seed"


def _span(found: Estimate) -> str:
    return f"[{found.low:.1f}, {found.high:.1f}]"


def share_of(values: np.ndarray) -> Share:
    """Of ``values [seeds, F]``, shares or differences of them; a face counts once, by its mean over seeds."""
    seeds = over_trainings(100 * values.mean(axis=1))
    interval = bootstrap_interval(100 * values.mean(axis=0))
    return Share(Estimate(seeds.value, *interval, values.shape[1]), seeds)


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

    def tarr(self, arm: Arm, attribute: str = MEAN) -> Share:
        """In per cent."""
        found = share_of(self._values(arm, attribute))
        low, high = np.clip((found.seeds.low, found.seeds.high), 0, 100).tolist()
        return replace(found, seeds=replace(found.seeds, low=low, high=high))

    def photos(self, attribute: str = MEAN) -> Share:
        """The same of photos that nobody has edited."""
        return share_of(self._of_attribute(self.unedited, attribute)[None])

    def difference(self, arm: Arm, reference: Arm, attribute: str = MEAN) -> Share | None:
        """``arm`` minus ``reference`` in percentage points, over the seeds that both have; None if they share none."""
        shared = {run.seed for run in self.of_arm(arm)} & {run.seed for run in self.of_arm(reference)}
        if not shared:
            return None
        return share_of(self._values(arm, attribute, shared) - self._values(reference, attribute, shared))

    def differences(self, attribute: str = MEAN) -> dict[tuple[Arm, Arm], Share]:
        """SeCGAN, with each weight, minus the baseline and minus concat, backbone by backbone."""
        pairs = [(arm, Arm(arm.backbone, v)) for arm in self.arms for v in VARIANTS[:2] if arm.variant == "secgan"]
        found = {pair: self.difference(*pair, attribute) for pair in pairs}
        return {pair: share for pair, share in found.items() if share is not None}

    def by_attribute(self, backbone: str) -> dict[str, dict[str, tuple]]:
        """``{attribute: {method: (mean, low, high)}}``, the mean over attributes first; intervals over trainings."""
        arms, rows = [arm for arm in self.arms if arm.backbone == backbone and not arm.weight], {}
        for attribute in (MEAN, *self.attributes):
            shares = {arm.title: self.tarr(arm, attribute).seeds for arm in arms}
            rows[attribute] = {name: (share.value, share.low, share.high) for name, share in shares.items()}
        return rows

    def _values(self, arm: Arm, attribute: str, seeds: Iterable[int] | None = None) -> np.ndarray:
        """Shares by training and face, ``[seeds, F]``: of one attribute 0 or 1, or the mean over all."""
        runs = [run for run in self.of_arm(arm) if seeds is None or run.seed in seeds]
        return np.stack([self._of_attribute(run.reached, attribute) for run in runs])

    def _of_attribute(self, reached: np.ndarray, attribute: str) -> np.ndarray:
        return reached.mean(axis=0) if attribute == MEAN else reached[self.attributes.index(attribute)].astype(float)

    # ---- for readers

    def sentences(self) -> list[str]:
        """Does semantic consistency raise TARR here? One sentence for each difference at the preset's lambda_sc."""
        said = []
        for (arm, reference), share in self.differences().items():
            trainings = "1 seed" if share.seeds.count == 1 else f"{share.seeds.count} seeds {_span(share.seeds)}"
            said += [
                f"Does semantic consistency raise TARR here? {TITLES[arm.backbone]}, {arm.title} against "
                f"{reference.title}: **{raised(share)}** ({share.seeds.value:+.1f} percentage points; 95 % interval "
                f"over {trainings}, over {self.faces} faces {_span(share.faces)})."
            ] * (not arm.weight)
        return said

    @property
    def parts(self) -> list[Table | str]:
        """The arms, their differences, the verdicts, the attributes of each backbone, and how to read them."""
        differences = [self._differences_table()] * bool(self.differences())
        *attributes, last = map(self._attributes_table, self.backbones)
        return [self._arms_table(), *differences, *self.sentences(), *attributes, replace(last, notes=self._notes())]

    def _arms_table(self) -> Table:
        heads = ("seeds", "TARR % ↑ [over faces]", "[over seeds]", "PSNR of a face given back (dB) ↑")
        rows = [TableRow(UNEDITED, ("", str(self.photos()), "", "", "", ""))]
        for arm in self.arms:
            runs, tarr = self.of_arm(arm), self.tarr(arm)
            of_sets = _over_runs([run.kept for run in runs]), _over_runs([run.distance for run in runs])
            scores = [run.inception for run in runs if run.inception is not None]
            score = f"{np.mean(scores):.3f}" if scores else ""
            cells = (str(len(runs)), str(tarr), tarr.over_seeds, *of_sets, score)
            rows.append(TableRow(f"{TITLES[arm.backbone]} {arm.title}", cells))
        return Table("", (*heads, f"{SSFID} ↓", "Inception Score ↑"), tuple(rows), corner="")

    def _differences_table(self) -> Table:
        rows = []
        for (arm, reference), share in self.differences().items():
            cells = str(share.seeds.count), str(share), share.over_seeds, raised(share)
            rows.append(TableRow(f"{TITLES[arm.backbone]} {arm.title} minus {reference.title}", cells))
        heads = "seeds", "[over faces]", "[over seeds]", "raised?"
        return Table("", heads, tuple(rows), corner="difference of TARR in percentage points")

    def _attributes_table(self, backbone: str) -> Table:
        arms = [arm for arm in self.arms if arm.backbone == backbone]
        pairs = [pair for pair in self.differences() if pair[0].backbone == backbone and not pair[0].weight]
        minus = [f"{arm.title} minus {reference.title} [over seeds]" for arm, reference in pairs]
        rows = []
        for attribute in (*self.attributes, MEAN):
            cells = [str(share) for share in (self.photos(attribute), *(self.tarr(arm, attribute) for arm in arms))]
            for share in (self.difference(*pair, attribute) for pair in pairs):
                without_0 = share.seeds.count > 1 and share.seeds.low * share.seeds.high > 0
                cells.append(share.over_seeds + " ●" * bool(without_0))
            rows.append(TableRow(attribute, tuple(cells)))
        heads = (UNEDITED, *(arm.title for arm in arms), *minus)
        return Table("", heads, tuple(rows), corner=f"TARR %, {TITLES[backbone]}")

    def _notes(self) -> tuple[str, ...]:
        marks = sum(not arm.weight for arm, _ in self.differences()) * len(self.attributes)
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
                f"{self.features} features. It compares with no other "
                "table. Faces that change as they are asked to lie further from the photos, too."
                + fewer
                * (self.faces < self.features)
            )
        if self.faces < FEWEST_ITEMS:
            notes.append(f"Fewer than {FEWEST_ITEMS} faces: the intervals over faces tell too little.")
        return tuple(notes)

    def csv(self) -> str:
        """A line for each arm, or difference of two, and attribute; then what was measured on sets, by training."""
        lines = []
        for attribute in (MEAN, *self.attributes):
            shares = {("", UNEDITED, ""): self.photos(attribute)}
            shares |= {(arm.backbone, arm.title, ""): self.tarr(arm, attribute) for arm in self.arms}
            differences = self.differences(attribute).items()
            shares |= {(arm.backbone, arm.title, reference.title): share for (arm, reference), share in differences}
            for names, share in shares.items():
                ends = numbers(share.faces, share.seeds)
                lines.append((*names, TARR.name, attribute, *ends, share.seeds.count, self.faces))
        for run in self.runs:
            for name, found in (("PSNR of a face given back", run.kept), (SSFID, run.distance)):
                about = run.arm.backbone, run.arm.title, "", f"{name}, seed {run.seed}", ""
                lines += [(*about, *numbers(found), "", "", 1, self.faces)] if found else []
        heads = ("backbone", "method", "minus", "measure", "attribute", "value", "low", "high", "low over seeds")
        return long_csv((*heads, "high over seeds", "seeds", "faces"), lines)

    # ---- as a file

    def save(self, path: str | Path) -> None:
        """Everything as JSON: an eighth of a byte for each edit."""
        content = {
            "format": VERSION,
            "attributes": self.attributes,
            "faces": self.faces,
            "unedited": packed(self.unedited),
            "about": self.about,
            "features": self.features,
            "runs": [run.to_json() for run in self.runs],
        }
        with atomic(path) as file:
            file.write(json.dumps(content, indent=1, ensure_ascii=False).encode())

    @classmethod
    def load(cls, path: str | Path) -> "SeCGANTable":
        """What ``save`` wrote; ``CheckpointError`` for a file that is missing or holds something else."""
        try:
            stored = json.loads(Path(path).read_text(encoding="utf-8"))
            if stored["format"] != VERSION:
                raise ValueError(f"format {stored['format']}, where {VERSION} is read")
            faces = stored["faces"]
            runs = tuple(GradedRun.from_json(entry, faces) for entry in stored["runs"])
            unedited = unpacked(stored["unedited"], faces)
            return cls(tuple(stored["attributes"]), unedited, runs, stored["about"], stored["features"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} holds no table of SeCGAN ({error}): make it again.") from error


def raised(share: Share) -> str:
    """Is the difference, by its interval over trainings, above zero, below, or neither?"""
    return SAID[verdict(share.seeds, TARR, fewest=2)]


def _over_runs(found: Sequence[Estimate | None]) -> str:
    """The mean over seeds, and the mean of their intervals' ends: an interval over faces of a typical training."""
    if not found or any(one is None for one in found):
        return ""
    means = np.array([[one.value, one.low, one.high] for one in found]).mean(axis=0)
    return str(Estimate(*means.tolist(), found[0].count))
