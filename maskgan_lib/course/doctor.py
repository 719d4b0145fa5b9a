"""What a folder, a zip or a file is, whether all is well with it, and the command that uses it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card
from maskgan_lib.classes import CLASS_TITLES, IGNORE_ID, NUM_CLASSES
from maskgan_lib.data import celebamask, label_folders, label_maps
from maskgan_lib.data.errors import DataError
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.data.pictures import decode_labels, dimensions, is_hidden, open_photo, read_file
from maskgan_lib.editor.own_photos import find_points
from maskgan_lib.editor.storage import SESSION_FILE
from maskgan_lib.evaluation.judges import Judges
from maskgan_lib.training.loop import newest_checkpoint

COMMAND = "python -m maskgan_lib"
LOOKED_AT = 24
"""Faces of a data set that are read, evenly spaced."""
WEIGHTS = (".safetensors", ".pth", ".pt")


def examine(path: str | Path) -> Iterator[str]:
    """Lines about ``path``: what it is, what is wrong, the command to use it with.

    ``DataError`` or ``CheckpointError`` for what cannot be used, in one sentence.
    """
    path = Path(path)
    if not path.exists():
        raise DataError(f"There is no {path}: check the path.")
    if path.is_dir() or path.suffix.lower() == ".zip":
        yield from _folder(path)
    elif path.suffix.lower() in WEIGHTS:
        yield from _weights(path)
    else:
        yield from _picture(path)


def _folder(path: Path) -> Iterator[str]:
    if (path / "faces.json").is_file():
        faces = PackedFaces.open(path)
        yield f"A packed folder: {faces}, made with {faces.made_by}."
        clauses = [clause for mask in _spread(faces.masks) if (clause := label_maps.misplaced(mask))]
        yield f"Of {len(_spread(faces.masks))} label maps looked at, {len(clauses)} are odd." + _first(clauses)
        yield f"Use it: {COMMAND} train dmn --data {path} --out RUN"
    elif (path / SESSION_FILE).is_file():
        yield "A session of the editor. Use it: EditSession.restore(FOLDER, faces, renderer), as in chapter 06."
    elif any(path.glob("checkpoint*.pt")):
        state = newest_checkpoint(path)
        if state is None:
            raise DataError(f"{path} holds a checkpoint that was not finished, and no other: begin the run again.")
        agreed = state["agreed"]
        yield f"A run of {agreed['stage']}, after {state['step']:,} of {agreed['steps']:,} steps, on {agreed['data']}."
        if state["step"] < agreed["steps"]:
            yield "Go on: the command that began it, with --resume."
    elif path.is_file() or any((place / celebamask.IMAGE_FOLDER).exists() for place in (path, *path.iterdir())):
        yield from _data_set(path)
    else:
        yield from _pictures(path)


def _data_set(path: Path) -> Iterator[str]:
    archive = celebamask.open_data_set(path)
    tables = celebamask.read_annotations(archive, keep_going=True)
    known = sorted(tables[0].values)
    yield f"{celebamask.source_name(archive)}, as its authors lay it out, with {len(known):,} faces in its mapping."
    faults = []
    for index in _spread(known):
        try:
            celebamask.make_face(archive, index, 64, celebamask.record_of(index, *tables))
        except DataError as error:
            faults.append(str(error))
    yield f"Of {len(_spread(known))} faces read, {len(faults)} are bad." + _first(faults)
    yield f"Use it: {COMMAND} prepare {path} --size 256 --out DIR" + (" --keep-going" if faults else "")


def _pictures(path: Path) -> Iterator[str]:
    inside = [file.relative_to(path) for file in sorted(path.rglob("*"))]
    endings = label_folders.IMAGE_ENDINGS
    files = [path / file for file in inside if file.suffix.lower() in endings and not is_hidden(file.parts)]
    if not files:
        raise DataError(f"{path} holds no picture, and nothing that this library has made: give another place.")
    maps = []
    for file in _spread(files):
        with suppress(DataError):
            labels = decode_labels(read_file(file), str(file), range(256))
            if np.isin(labels, (*range(NUM_CLASSES), IGNORE_ID)).all():  # others are grey photos
                maps.append(labels)
    yield f"{len(files):,} pictures; of {len(_spread(files))} looked at, {len(maps)} are label maps."
    if 2 * len(maps) > len(_spread(files)):
        fitting = label_maps.fitting(maps)
        yield f"They are laid out as in {' or '.join(fitting)}." if fitting else "Their ids are of no known scheme."
        scheme = f" --scheme {fitting[0]}" if fitting and label_maps.OURS not in fitting else ""
        yield f"Use them: {COMMAND} prepare IMAGES --labels {path}{scheme} --size 256 --out DIR"
    else:
        yield f"Use them with a folder of label maps: {COMMAND} prepare {path} --labels LABELS --size 256 --out DIR"


def _weights(path: Path) -> Iterator[str]:
    network, card = load_weights(path), read_card(path)
    count, name = sum(p.numel() for p in network.parameters()), type(network).__name__
    yield f"Weights of a {name}, {count:,} parameters: {', '.join(f'{k} {v}' for k, v in network.config.items())}."
    yield f"Learnt from {card.get('data', 'faces that its card does not name')}, {card.get('image_size', '?')} pixels."
    for figure in card.get("figures", ()):
        yield f"{figure['name']}: {figure['value']:.4g} {figure['unit']}".rstrip()
    if name == "DenseMappingNetwork":
        yield f"Use it: {COMMAND} render --weights {path} --image FACE --mask MASK --edited MASK --out PICTURE"


def _picture(path: Path) -> Iterator[str]:
    data = read_file(path)
    try:
        labels = decode_labels(data, str(path), range(256))
    except DataError:
        yield from _photo(path)
        return
    sizes, fitting = "x".join(map(str, labels.shape[::-1])), label_maps.fitting([labels])
    if not fitting and labels.max() >= NUM_CLASSES:  # a grey photo
        yield from _photo(path)
        return
    yield f"A label map of {sizes} pixels with the ids {', '.join(map(str, np.unique(labels)))}."
    swapped = label_maps.is_swapped(labels)
    if swapped or label_maps.OURS in fitting:
        there = [CLASS_TITLES[i] for i in np.unique(labels)]
        yield f"It shows a face: {', '.join(there)}."
        if swapped:
            yield "Left and right are swapped: is it mirrored?"
    else:
        as_ours = label_maps.fault(labels) or label_maps.misplaced(labels)
        fits = f"it fits the scheme {' or '.join(fitting)}" if fitting else "it fits no known scheme"
        yield f"With our ids, {as_ours}; {fits}."
    scheme = f" --scheme {fitting[0]}" if fitting and not swapped and label_maps.OURS not in fitting else ""
    yield f"Use it: {COMMAND} render --image FACE --mask {path} --edited {path} --out PICTURE{scheme}"


def _photo(path: Path) -> Iterator[str]:
    width, height = dimensions(read_file(path), str(path))
    yield f"A picture of {width}x{height} pixels."
    points = find_points(open_photo(path), Judges.shipped())
    eyes = " and ".join(f"({x:.0f}, {y:.0f})" for x, y in (points.right_eye, points.left_eye))
    yield f"It shows a face, with eyes at {eyes}."
    yield f"Use it: {COMMAND} parse {path} --out DIR"


def _spread(things):
    """At most ``LOOKED_AT`` of them, evenly spaced."""
    return things[:: -(-len(things) // LOOKED_AT)]


def _first(troubles: list[str]) -> str:
    return f" The first: {troubles[0]}" if troubles else ""


def report(path: str | Path) -> int:
    """Prints what ``examine`` says; 1 where it ends with an error, else 0."""
    try:
        for line in examine(path):
            print(line)
    except (CheckpointError, DataError) as error:
        print(f"Not to be used as it is. {error}")
        return 1
    return 0
