"""``python -m maskgan_lib evaluate attribute-edits``: attributes given and taken in several ways."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from maskgan_lib.attribute_masks import AttributeMasks
from maskgan_lib.classes import CLASS_ID, CLASS_TITLES, GROUPS
from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation.ebst import MASKGAN
from maskgan_lib.evaluation.estimates import Measure
from maskgan_lib.evaluation.grades import IDENTITY, MARGIN, right, same_person
from maskgan_lib.evaluation.judges import PRETRAINED, Judges
from maskgan_lib.evaluation.methods import COPY_OF_THE_TARGET, EDITING, STYLE_COPY, Request, TrainedMethod, methods_of
from maskgan_lib.evaluation.metrics import around, grey_levels, mean_outside
from maskgan_lib.evaluation.records import Records
from maskgan_lib.evaluation.report import Report, Table, TableRow
from maskgan_lib.evaluation.run import in_parts, made_by, places_mark
from maskgan_lib.evaluation.tasks import TRANSFERRED, held_out, to_change, to_give_back
from maskgan_lib.evaluation.weights import best_device, named_weights, shipped_files
from maskgan_lib.training.ebst import fingerprint
from maskgan_lib.training.stage import TrainingError

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
EDIT_MEASURES = (REACHED, UNASKED, IDENTITY, FROM_PHOTO, FROM_RETURNED)

PHOTO = replace(COPY_OF_THE_TARGET, name="photo, unedited", tasks=(EDITING,))

SHIPPED_EDITORS = {MASKGAN: "maskgan", "SeCGAN": "secgan", "StarGAN": "stargan"}
"""The weights in ``data/pretrained`` that are compared by default, by the name that they get."""


@dataclass(frozen=True)
class AttributeComparison(Report):
    """Methods on each attribute given, to the faces without it, and taken, from those with it."""

    records: Records
    notes: tuple[str, ...] = ()

    @property
    def common(self) -> tuple[str, ...]:
        """The edits that every method can do: means over other edits could not be compared."""
        edits, methods = self.records.tasks, self.records.methods
        return tuple(edit for edit in edits if all(self.records.mean(name, REACHED, edit) for name in methods))

    @property
    def parts(self) -> list[Table]:
        """All measures over the common edits, then each measure by edit; the notes below the last."""
        mean, methods, common = self.records.mean, self.records.methods, self.common
        rows = [TableRow(name, tuple(mean(name, m, common) for m in EDIT_MEASURES)) for name in methods]
        tables = [Table("", EDIT_MEASURES, tuple(rows), corner=f"mean over {', '.join(common) or 'no edit'}")]
        for measure in EDIT_MEASURES:
            rows = []
            for edit in self.records.tasks:
                cells = [mean(name, measure, edit) for name in methods]
                rows.append(TableRow(edit, (str(max(cell.count for cell in cells)), *cells)))
            tables.append(Table("", ("faces", *methods), tuple(rows), corner=measure.title))
        return [*tables[:-1], replace(tables[-1], notes=self.notes)]


def compare_attribute_edits(
    methods: Sequence[TrainedMethod],
    faces: PackedFaces,
    indices: np.ndarray,
    judges: Judges,
    masks: AttributeMasks | None = None,
    attributes: Sequence[str] | None = None,
    device: str | torch.device = "cpu",
    cache: Path | None = None,
) -> AttributeComparison:
    """Each of ``attributes`` given to the faces ``indices`` without it, and taken from those with it, by all methods.

    ``masks`` moves the masks for methods that render one. ``attributes`` are by default those of ``REGIONS`` that the
    judges, the faces and at least one method know. Methods that do not know one are left out of it. The unedited photo
    stands first. On every picture is measured

    * whether the attribute net sees the label that was asked for, and whether it sees that in what the same method
      makes of the face when nothing is asked for: one that cannot paint glasses takes them off all faces;
    * the cosine between the identities in it and in the photo, NaN without an identity net;
    * how much it changed farther than a tenth of the height away from where the attribute shows, ``REGIONS``, in the
      face's own mask: mean absolute difference in grey levels of 0 to 255, to the photo, and to the face as the same
      method gives it back, which leaves out what it cannot paint.

    What was measured is kept in the folder ``cache``. ``DataError`` for attributes that are not to be measured,
    ``TrainingError`` for methods that cannot be asked for one.
    """
    methods = [PHOTO, *(_asked(method, masks) for method in methods)]
    names = _attributes(methods, faces, judges, attributes)
    edits = tuple(f"{name} {how}" for name in names for how in ("given", "taken"))

    def measured(method: TrainedMethod) -> np.ndarray:
        moving = masks if STYLE_COPY in method.tasks else None

        def make(part: slice) -> dict[str, np.ndarray]:
            batches = []
            for request in to_give_back(faces, indices[part], device):
                values = np.full((len(request.target), len(EDIT_MEASURES), len(names), 2), np.nan)
                returned = made_by(method, request)
                for k, name in enumerate(names):
                    if _knows(method, name):
                        wish = to_change(request, name, moving)
                        taken = wish.labels[name].int().cpu().numpy()
                        graded = _graded(wish, made_by(method, wish), returned, judges)
                        values[np.arange(len(values)), :, k, taken] = graded.T.cpu().numpy()
                batches.append(values.reshape(*values.shape[:2], len(edits)))
            return {"values": np.concatenate(batches)}

        key = ["attribute edits", method.fingerprint, moving and fingerprint(moving.network), names, judges.fingerprint]
        title = f"attributes given and taken, {method.name}"
        arrays = in_parts(title, [*key, *places_mark(faces, indices)], len(indices), make, cache)
        return np.moveaxis(arrays["values"], 0, -1)[:, :, None]

    values = np.stack([measured(method) for method in methods])[None]
    records = Records(tuple(method.name for method in methods), EDIT_MEASURES, edits, values)
    return AttributeComparison(records, _notes(methods, names, faces, judges))


def _asked(method: TrainedMethod, masks: AttributeMasks | None) -> TrainedMethod:
    """The method as it is asked for attributes: one that renders masks knows those that ``masks`` can move."""
    if EDITING not in method.tasks:
        raise TrainingError(f"{method.name} cannot be asked to give or take an attribute of one face alone.")
    if STYLE_COPY not in method.tasks:
        return method
    if masks is None:
        raise TrainingError(f"{method.name} renders masks: name the weights that move them (--masks).")
    return replace(method, name=f"moved mask, {method.name}", attributes=masks.attributes)


def _knows(method: TrainedMethod, attribute: str) -> bool:
    return method.attributes is None or attribute in method.attributes


def _attributes(
    methods: Sequence[TrainedMethod], faces: PackedFaces, judges: Judges, attributes: Sequence[str] | None
) -> tuple[str, ...]:
    annotated = set(judges.attribute_names) & set(faces.attribute_names)
    known = [name for name in REGIONS if name in annotated and any(_knows(method, name) for method in methods[1:])]
    names = tuple(known if attributes is None else attributes)
    wrong = [name for name in names if name not in known]
    if wrong or not names:
        raise DataError(
            f"Nothing can be measured of {', '.join(wrong) or 'these methods'}: masks show {', '.join(REGIONS)}, of "
            f"which the methods, the judges and the faces know {', '.join(known) or 'none'}."
        )
    return names


def _graded(wish: Request, made: Tensor, returned: Tensor, judges: Judges) -> Tensor:
    """``EDIT_MEASURES`` of pictures, ``[M, B]``."""
    shown = torch.isin(wish.target_mask, torch.tensor(REGIONS[wish.attribute], device=wish.target_mask.device))
    columns = [
        *(right(pictures, wish.wish, judges)[wish.attribute] for pictures in (made, returned)),
        same_person(made, wish.target, judges),
        *(mean_outside(around(shown, MARGIN), grey_levels(made, other)) for other in (wish.target, returned)),
    ]
    return torch.stack([values.to(made.device).double() for values in columns])


def _notes(
    methods: Sequence[TrainedMethod], names: Sequence[str], faces: PackedFaces, judges: Judges
) -> tuple[str, ...]:
    missing = [(method.name, [name for name in names if not _knows(method, name)]) for method in methods]
    places = [f"{name}: {', '.join(CLASS_TITLES[label] for label in REGIONS[name])}" for name in names]
    return (
        f"Measured on {faces.source}, {faces.size} pixels a side, by an attribute net {judges.origins['attributes']}.",
        *(f"{name} does not know {', '.join(unknown)} and is left out there." for name, unknown in missing if unknown),
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
    device, faces = best_device(), PackedFaces.open(data)
    methods = methods_of(named_weights(networks, fewest=1) or shipped_files(SHIPPED_EDITORS), device)
    moving = AttributeMasks.load(masks or PRETRAINED / "secgan-masks.safetensors", device)
    graders, cache = Judges.shipped(device, judges or PRETRAINED), Path(out) / "graded"
    made = compare_attribute_edits(methods, faces, held_out(faces, count), graders, moving, device=device, cache=cache)
    made.write(out, "attribute-edits")
    return made
