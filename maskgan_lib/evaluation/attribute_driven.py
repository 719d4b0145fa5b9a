"""Ways to give and take attributes, measured side by side on the same faces."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.attribute_masks import AttributeMasks
from maskgan_lib.checkpoints import load_weights, read_card
from maskgan_lib.checkpoints.files import atomic
from maskgan_lib.classes import CLASS_ID, CLASS_TITLES, GROUPS
from maskgan_lib.data.batches import to_float_image
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation.ablation import MARGIN
from maskgan_lib.evaluation.attribute_ways import PHOTO, Asked, Way, way_of
from maskgan_lib.evaluation.comparison import ALL_EDITS, Measure, Row, markdown_table, mean_known, over_faces
from maskgan_lib.evaluation.experiment import MASKGAN, named_weights
from maskgan_lib.evaluation.judges import SHIPPED, Judges
from maskgan_lib.evaluation.metrics import around
from maskgan_lib.evaluation.protocols import IDENTITY, TRANSFERRED
from maskgan_lib.progress import progress_bar

BATCH = 16

REGIONS = {
    **TRANSFERRED,
    "Eyeglasses": (*GROUPS["eyes"], *GROUPS["brows"], CLASS_ID["eye_g"]),
    "Bangs": (CLASS_ID["hair"], *GROUPS["brows"]),
}
"""Attributes that show in masks, and the classes of the face's own mask at which they do, with or without it.

Glasses lie about eyes and brows, and bangs fall from the hair to the brows. A face without hair does not tell where it
would grow, so baldness is not among them.
"""

REACHED = Measure("attribute reached", "%", True)
UNASKED = Measure("the same of the face as given back", "%", False)
FROM_PHOTO = Measure("change elsewhere, from the photo", "grey levels", False)
FROM_RETURNED = Measure("change elsewhere, from the face as given back", "grey levels", False)
MEASURES = (REACHED, UNASKED, IDENTITY, FROM_PHOTO, FROM_RETURNED)

SHIPPED_WAYS = {MASKGAN: "maskgan", "SeCGAN": "secgan", "StarGAN": "stargan"}
"""The weights in ``data/pretrained`` that are compared by default, by the name that they get."""


@dataclass(frozen=True)
class AttributeComparison:
    """Values by way, measure, edit and face, float ``[W, M, E, F]``; NaN where one does not apply.

    The edits are each attribute given, to the faces without it, and taken, from those with it.
    """

    ways: tuple[str, ...]
    edits: tuple[str, ...]
    values: np.ndarray
    notes: tuple[str, ...] = ()

    @property
    def common(self) -> tuple[str, ...]:
        """The edits that every way can do: means over other edits could not be compared."""
        done = np.isfinite(self.values[:, MEASURES.index(REACHED)]).any(axis=-1).all(axis=0)
        return tuple(edit for edit, by_all in zip(self.edits, done, strict=True) if by_all)

    def row(self, way: str, measure: Measure, edit: str = ALL_EDITS) -> Row:
        """Mean over faces with its 95 % interval; over all the ``common`` edits a face counts once."""
        edits = self.common if edit == ALL_EDITS else (edit,)
        values = self.values[self.ways.index(way), MEASURES.index(measure)][[self.edits.index(e) for e in edits]]
        return over_faces(way, measure, edit, mean_known(values, axis=0))

    def csv(self) -> str:
        """All means in the long form, with a header."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("way", "edit", "measure", "unit", "mean", "low", "high", "count"))
        for edit in (ALL_EDITS, *self.edits):
            for row in (self.row(way, measure, edit) for way in self.ways for measure in MEASURES):
                if row.count:
                    values = [f"{value:.6g}" for value in (row.mean, row.low, row.high)]
                    writer.writerow([row.what, edit, row.measure.name, row.measure.unit, *values, row.count])
        return text.getvalue()

    def markdown(self) -> str:
        """A table of all measures over the common edits, then one of each measure by edit, and the notes."""
        heads = [measure.title for measure in MEASURES]
        body = [[way, *(_cell(self.row(way, measure)) for measure in MEASURES)] for way in self.ways]
        parts = [markdown_table([f"mean over {', '.join(self.common) or 'no edit'}", *heads], body)]
        for measure in MEASURES:
            rows = [[self.row(way, measure, edit) for way in self.ways] for edit in self.edits]
            body = [
                [e, str(max(r.count for r in row)), *map(_cell, row)] for e, row in zip(self.edits, rows, strict=True)
            ]
            parts.append(markdown_table([measure.title, "faces", *self.ways], body))
        return "\n\n".join([*parts, "\n".join(f"- {note}" for note in self.notes)]) + "\n"

    def _repr_markdown_(self) -> str:
        return self.markdown()


def _cell(row: Row) -> str:
    return str(row) if row.count else ""


@torch.no_grad()
def compare_attribute_edits(
    ways: Sequence[Way],
    faces: PackedFaces,
    indices: np.ndarray,
    judges: Judges,
    attributes: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
) -> AttributeComparison:
    """Each of ``attributes`` given to the faces ``indices`` without it, and taken from those with it, in all ``ways``.

    ``attributes`` are by default those of ``REGIONS`` that the judges, the faces and at least one way know. Ways that
    do not know one are left out of it. The unedited photo stands first. On every picture is measured

    * whether the attribute net sees the label that was asked for, and whether it sees that in what the same way makes
      of the face when nothing is asked for: a way that cannot paint glasses takes them off all faces;
    * the cosine between the identities in it and in the photo, NaN without an identity net;
    * how much it changed farther than a tenth of the height away from where the attribute shows, ``REGIONS``, in the
      face's own mask: mean absolute difference in grey levels of 0 to 255, to the photo, and to the face as the same
      way gives it back, which leaves out what it cannot paint.

    ``DataError`` for attributes that are not to be measured.
    """
    ways = (PHOTO, *ways)
    names = _attributes(ways, faces, judges, attributes)
    edits = tuple(f"{name} {how}" for name in names for how in ("given", "taken"))
    labels = {name: faces.attribute(name)[indices] > 0 for name in faces.attribute_names}
    values = np.full((len(ways), len(MEASURES), len(edits), len(indices)), np.nan)
    starts = range(0, len(indices), BATCH)
    for start in progress_bar(starts, desc="attributes given and taken", unit="batch"):
        places = np.arange(start, min(start + BATCH, len(indices)))
        images, masks = faces.read(indices[places])
        own = {name: torch.as_tensor(has[places], device=device) for name, has in labels.items()}
        asked = Asked(to_float_image(images, device), masks, own)
        for w, way in enumerate(ways):
            returned = way.edit(asked)
            for k, name in enumerate(names):
                if way.knows(name):
                    wish = Asked(asked.images, masks, own, name)
                    rows = 2 * k + labels[name][places]
                    values[w, :, rows, places] = _grade(wish, way.edit(wish), returned, judges).T.cpu().numpy()
    return AttributeComparison(tuple(way.name for way in ways), edits, values, _notes(ways, names, faces, judges))


def _attributes(
    ways: Sequence[Way], faces: PackedFaces, judges: Judges, attributes: Sequence[str] | None
) -> tuple[str, ...]:
    known = [
        name
        for name in REGIONS
        if name in judges.attribute_names and name in faces.attribute_names and any(w.knows(name) for w in ways[1:])
    ]
    names = tuple(known if attributes is None else attributes)
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise DataError(
            f"Nothing can be measured of {', '.join(wrong) or 'these ways'}: masks show {', '.join(REGIONS)}, of which "
            f"the ways, the judges and the faces know {', '.join(known) or 'none'}."
        )
    return names


def _grade(asked: Asked, made: Tensor, returned: Tensor, judges: Judges) -> Tensor:
    """``MEASURES`` of pictures, ``[M, B]``."""
    name = asked.attribute
    column = list(judges.attribute_names).index(name)
    seen = torch.stack([judges.attributes(pictures)[:, column] > 0 for pictures in (made, returned)])
    reached, unasked = 100 * (seen != asked.labels[name].to(seen.device)).float()
    same = torch.full_like(reached, torch.nan)
    if judges.identity_net is not None:
        same = (judges.identity(made) * judges.identity(asked.images)).sum(dim=1)
    region = torch.as_tensor(np.isin(asked.masks, REGIONS[name]), device=made.device)
    far = ~around(region, MARGIN)
    changes = [(made - other).abs().mean(dim=1) * 127.5 for other in (asked.images, returned)]
    elsewhere = [(change * far).sum(dim=(1, 2)) / far.sum(dim=(1, 2)) for change in changes]
    return torch.stack([values.to(made.device) for values in (reached, unasked, same, *elsewhere)])


def _notes(ways: Sequence[Way], names: Sequence[str], faces: PackedFaces, judges: Judges) -> tuple[str, ...]:
    missing = [(way.name, [name for name in names if not way.knows(name)]) for way in ways]
    places = [f"{name}: {', '.join(CLASS_TITLES[label] for label in REGIONS[name])}" for name in names]
    return (
        f"Measured on {faces.source}, {faces.size} pixels a side, by an attribute net {judges.origins['attributes']}.",
        *(f"{way} does not know {', '.join(unknown)} and is left out there." for way, unknown in missing if unknown),
        f"Elsewhere: farther than {MARGIN:.0%} of the height from parts of the face's own mask. {'; '.join(places)}.",
    )


def evaluate_attribute_edits(
    out: str | Path,
    data: str | Path,
    networks: Sequence[str] = (),
    masks: str | Path | None = None,
    judges: str | Path | None = None,
    count: int = 100,
) -> AttributeComparison:
    """The comparison of ``networks`` (``NAME=FILE`` each) on the first ``count`` faces of the test split of ``data``.

    ``masks`` are the weights that move masks, ``judges`` a folder; whatever is not named is what ships. The tables go
    to ``out/attribute-edits.md`` and ``.csv``.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    files = named_weights(networks, fewest=1) or {n: SHIPPED / f"{f}.safetensors" for n, f in SHIPPED_WAYS.items()}
    faces, moving = PackedFaces.open(data), AttributeMasks.load(masks or SHIPPED / "secgan-masks.safetensors", device)
    sizes = {name: read_card(path).get("image_size", faces.size) for name, path in files.items()}
    ways = [way_of(name, load_weights(path, device), sizes[name], moving) for name, path in files.items()]
    graders = Judges.shipped(device, judges or SHIPPED)
    made = compare_attribute_edits(ways, faces, faces.indices("test")[:count], graders, device=device)
    for suffix, text in (("md", made.markdown()), ("csv", made.csv())):
        with atomic(Path(out) / f"attribute-edits.{suffix}") as file:
            file.write(text.encode())
    return made
