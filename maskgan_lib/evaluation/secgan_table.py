"""SeCGAN's Table 1: shares of reached labels, their differences, and the answer, with intervals over trainings."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from maskgan_lib.checkpoints import CheckpointError
from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.evaluation.comparison import FEWEST_FACES, markdown_table, student_quantile
from maskgan_lib.evaluation.metrics import bootstrap_interval
from maskgan_lib.evaluation.secgan_grading import TITLES, VERSION, Arm, GradedRun, order, packed, unpacked
from maskgan_lib.evaluation.selfsupervised import SSFID
from maskgan_lib.evaluation.tables import Cell

MEAN = "mean"
"""Over the attributes."""
YES, NO, SAME, ONE_SEED = "yes", "no, it lowers it", "not told apart", "not told apart: one training says nothing"


@dataclass(frozen=True)
class Interval:
    """A mean over faces and seeds, in per cent or percentage points, with two 95 % intervals.

    ``faces`` is the bootstrap's over faces, of these trainings; ``seeds`` Student's over ``count`` trainings, NaN for
    one of them.
    """

    mean: float
    faces: tuple[float, float]
    seeds: tuple[float, float]
    count: int

    def __str__(self) -> str:
        return f"{self.mean:.1f} {_span(self.faces)}"

    @property
    def over_seeds(self) -> str:
        """The mean with the interval over trainings."""
        return f"{self.mean:.1f} {_span(self.seeds)}" if self.count > 1 else "one seed"


def _span(interval: tuple[float, float]) -> str:
    return f"[{interval[0]:.1f}, {interval[1]:.1f}]"


def interval_of(values: np.ndarray) -> Interval:
    """Of ``values [seeds, F]``, shares or differences of them; a face counts once, by its mean over seeds."""
    by_seed, by_face = 100 * values.mean(axis=1), 100 * values.mean(axis=0)
    mean, count = float(by_seed.mean()), len(by_seed)
    reach = student_quantile(count - 1) * by_seed.std(ddof=1) / np.sqrt(count) if count > 1 else np.nan
    return Interval(mean, bootstrap_interval(by_face), (mean - reach, mean + reach), count)


@dataclass(frozen=True, eq=False)
class SeCGANTable:
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
        """In the order of the paper's table, the sweep of lambda_sc last in each backbone."""
        return tuple(sorted({run.arm for run in self.runs}, key=order))

    @property
    def backbones(self) -> tuple[str, ...]:
        """Those that were trained."""
        return tuple(dict.fromkeys(arm.backbone for arm in self.arms))

    def of_arm(self, arm: Arm) -> list[GradedRun]:
        """Its trainings by seed."""
        return sorted((run for run in self.runs if run.arm == arm), key=lambda run: run.seed)

    def values(self, arm: Arm, attribute: str = MEAN, seeds: Iterable[int] | None = None) -> np.ndarray:
        """Shares by training and face, ``[seeds, F]``: of one attribute 0 or 1, or the mean over all."""
        runs = [run for run in self.of_arm(arm) if seeds is None or run.seed in set(seeds)]
        return np.stack([self._share(run.reached, attribute) for run in runs])

    def _share(self, reached: np.ndarray, attribute: str) -> np.ndarray:
        return reached.mean(axis=0) if attribute == MEAN else reached[self.attributes.index(attribute)].astype(float)

    def tarr(self, arm: Arm, attribute: str = MEAN) -> Interval:
        """In per cent."""
        found = interval_of(self.values(arm, attribute))
        low, high = np.clip(found.seeds, 0, 100).tolist()
        return replace(found, seeds=(low, high))

    def photos(self, attribute: str = MEAN) -> Interval:
        """The same of photos that nobody has edited."""
        return interval_of(self._share(self.unedited, attribute)[None])

    def difference(self, arm: Arm, reference: Arm, attribute: str = MEAN) -> Interval | None:
        """``arm`` minus ``reference`` in percentage points, over the seeds that both have; None if they share none."""
        shared = {run.seed for run in self.of_arm(arm)} & {run.seed for run in self.of_arm(reference)}
        if not shared:
            return None
        return interval_of(self.values(arm, attribute, shared) - self.values(reference, attribute, shared))

    def differences(self, attribute: str = MEAN) -> dict[tuple[Arm, Arm], Interval]:
        """SeCGAN, with each weight, minus the baseline and minus concat, backbone by backbone."""
        found = {}
        for arm in self.arms:
            for variant in ("baseline", "concat"):
                reference = Arm(arm.backbone, variant)
                if arm.variant == "secgan" and reference in self.arms:
                    found[arm, reference] = self.difference(arm, reference, attribute)
        return {pair: interval for pair, interval in found.items() if interval is not None}

    def by_attribute(self, backbone: str, arms: Sequence[Arm] | None = None) -> dict[str, dict[str, tuple]]:
        """``{attribute: {method: (mean, low, high)}}``, the mean over attributes first; intervals over trainings."""
        arms = arms or [arm for arm in self.arms if arm.backbone == backbone and not arm.weight]
        rows = {}
        for attribute in (MEAN, *self.attributes):
            shares = {arm.title: self.tarr(arm, attribute) for arm in arms}
            rows[attribute] = {name: (share.mean, *share.seeds) for name, share in shares.items()}
        return rows

    def sentences(self) -> list[str]:
        """Does semantic consistency raise TARR here? One sentence for each difference at the preset's lambda_sc."""
        said = []
        for (arm, reference), interval in self.differences().items():
            if arm.weight:
                continue
            trainings = "1 seed" if interval.count == 1 else f"{interval.count} seeds {_span(interval.seeds)}"
            said.append(
                f"Does semantic consistency raise TARR here? {TITLES[arm.backbone]}, {arm.title} against "
                f"{reference.title}: **{verdict(interval)}** ({interval.mean:+.1f} percentage points; 95 % interval "
                f"over {trainings}, over {self.faces} faces {_span(interval.faces)})."
            )
        return said

    def markdown(self) -> str:
        """The table, the differences, the verdicts, the attributes of each backbone and how to read them."""
        parts = [self._main_table(), *([self._differences_table()] * bool(self.differences())), *self.sentences()]
        parts += [self._attributes_table(backbone) for backbone in self.backbones]
        return "\n\n".join([*parts, "\n".join(f"- {note}" for note in self.notes())]) + "\n"

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _main_table(self) -> str:
        heads = ["", "seeds", "TARR % ↑ [over faces]", "[over seeds]", "PSNR of a face given back (dB) ↑"]
        heads += [f"{SSFID} ↓", "Inception Score ↑"]
        photos = ["*photos, unedited*", "", str(self.photos()), "", "", "", ""]
        body = [photos]
        for arm in self.arms:
            runs, tarr = self.of_arm(arm), self.tarr(arm)
            row = [f"{TITLES[arm.backbone]} {arm.title}", str(len(runs)), str(tarr), tarr.over_seeds]
            body.append([*row, _over_runs([run.kept for run in runs]), _over_runs([run.distance for run in runs])])
            scores = [run.inception for run in runs if run.inception is not None]
            body[-1].append(f"{np.mean(scores):.3f}" if scores else "")
        return markdown_table(heads, body)

    def _differences_table(self) -> str:
        heads = ["difference of TARR in percentage points", "seeds", "[over faces]", "[over seeds]", "raised?"]
        body = []
        for (arm, reference), found in self.differences().items():
            names = f"{TITLES[arm.backbone]} {arm.title} minus {reference.title}"
            body.append([names, str(found.count), str(found), found.over_seeds, verdict(found)])
        return markdown_table(heads, body)

    def _attributes_table(self, backbone: str) -> str:
        arms = [arm for arm in self.arms if arm.backbone == backbone]
        pairs = [pair for pair in self.differences() if pair[0].backbone == backbone and not pair[0].weight]
        heads = [f"TARR %, {TITLES[backbone]}", "photos, unedited", *(arm.title for arm in arms)]
        heads += [f"{arm.title} minus {reference.title} [over seeds]" for arm, reference in pairs]
        body = []
        for attribute in (*self.attributes, MEAN):
            differences = [self.difference(*pair, attribute) for pair in pairs]
            cells = [self.photos(attribute), *(self.tarr(arm, attribute) for arm in arms)]
            shown = [d.over_seeds + (" ●" if d.count > 1 and d.seeds[0] * d.seeds[1] > 0 else "") for d in differences]
            body.append([attribute, *map(str, cells), *shown])
        return markdown_table(heads, body)

    def notes(self) -> list[str]:
        """How to read the tables."""
        marks = sum(not arm.weight for arm, _ in self.differences()) * len(self.attributes)
        notes = [f"{name}: {text}" for name, text in self.about.items()]
        notes += [
            "TARR: every attribute of every face is changed to its other label, alone; the share of these pictures in "
            "which the classifier sees the label asked for. Of photos that nobody edited it sees it by mistake.",
            "A label can be reached by destroying the face: look at the PSNR, and at pictures.",
            "Intervals over faces hold for these trainings, those over seeds for others like them; the verdicts are by "
            "the latter. PSNR and distance are means over seeds, in the brackets of their intervals over faces."
            + (
                f" ● leaves 0 out: of {marks} such intervals, about {0.05 * marks:.0f} would by chance."
                if marks
                else ""
            ),
        ]
        if any(run.distance for run in self.runs):
            fewer = self.faces < self.features
            notes.append(
                f"{SSFID}: all {len(self.attributes)} edits of the {self.faces} faces against their photos, in "
                f"{self.features} features. It compares with no other "
                "table. Faces that change as they are asked to lie further from the photos, too."
                + (" There are fewer photos than features: it tells no networks apart here." if fewer else "")
            )
        if self.faces < FEWEST_FACES:
            notes.append(f"Fewer than {FEWEST_FACES} faces: the intervals over faces tell too little.")
        return notes

    def csv(self) -> str:
        """The long form: a line for each arm, or difference of two, and attribute."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        heads = ("backbone", "method", "minus", "measure", "attribute", "value", "low", "high", "low over seeds")
        writer.writerow([*heads, "high over seeds", "seeds", "faces"])

        def line(*names: str, interval: Interval) -> None:
            numbers = [f"{x:.6g}" for x in (interval.mean, *interval.faces, *interval.seeds)]
            writer.writerow([*names, *numbers, interval.count, self.faces])

        for attribute in (MEAN, *self.attributes):
            line("", "photos, unedited", "", "TARR", attribute, interval=self.photos(attribute))
            for arm in self.arms:
                line(arm.backbone, arm.title, "", "TARR", attribute, interval=self.tarr(arm, attribute))
            for (arm, reference), interval in self.differences(attribute).items():
                line(arm.backbone, arm.title, reference.title, "TARR", attribute, interval=interval)
        for run in self.runs:
            for name, cell in (("PSNR of a face given back", run.kept), (SSFID, run.distance)):
                if cell:
                    numbers = [f"{x:.6g}" for x in (cell.value, cell.low, cell.high)]
                    writer.writerow(
                        [run.arm.backbone, run.arm.title, "", f"{name}, seed {run.seed}", "", *numbers, "", "", 1]
                        + [self.faces]
                    )
        return text.getvalue()

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
            return cls(
                tuple(stored["attributes"]),
                unpacked(stored["unedited"], faces),
                tuple(GradedRun.from_json(entry, faces) for entry in stored["runs"]),
                stored["about"],
                stored["features"],
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} holds no table of SeCGAN ({error}): make it again.") from error


def verdict(interval: Interval) -> str:
    """Is the difference, by its interval over trainings, above zero, below, or neither?"""
    if interval.count < 2:
        return ONE_SEED
    low, high = interval.seeds
    return YES if low > 0 else NO if high < 0 else SAME


def _over_runs(cells: Sequence[Cell | None]) -> str:
    """The mean over seeds, and the mean of their intervals' ends: an interval over faces of a typical training."""
    if not cells or any(cell is None for cell in cells):
        return ""
    numbers = np.array([[cell.value, cell.low, cell.high] for cell in cells]).mean(axis=0)
    return str(Cell(*numbers.tolist(), cells[0].count))
