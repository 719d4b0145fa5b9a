"""Procedural faces on disk: as a packed folder, or in the layout of CelebAMask-HQ to practise its preparation on."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskgan_lib import faces
from maskgan_lib.classes import ATTRIBUTE_NAMES
from maskgan_lib.data import celebamask
from maskgan_lib.data.errors import DataError, full_disk_is_an_error
from maskgan_lib.data.filling import pack, run_rest
from maskgan_lib.data.journal import PartialFolder
from maskgan_lib.data.packed import SHARES, SPLITS, FaceRecord, PackedFaces

SOURCE = f"procedural faces v{faces.VERSION}"
OFFICIAL_SHARES = (24_183 / 30_000, 2_993 / 30_000, 2_824 / 30_000)
"""Shares of train, val and test in CelebAMask-HQ."""

MOST_FACES = 100_000
"""The names of part masks have five digits."""

README = (
    "Drawn pictures of nobody, laid out like CelebAMask-HQ so that its preparation can be practised without it.",
    "The numbers of CelebA files in the mapping are made up; they put each person into one split.",
    "Pose is known from the drawing: degrees, yaw positive towards the viewer's right.",
)


def render_packed(
    folder: str | Path,
    count: int,
    size: int,
    seed: int = 0,
    identities: int | None = None,
    expressions: int = 1,
    *,
    splits: Sequence[float] = SHARES,
    **how: Any,
) -> PackedFaces:
    """Draws faces 0 .. ``count`` - 1 of the set ``seed`` into the packed folder ``folder`` and opens it.

    With ``identities`` the pictures show so many persons, else each another one. Of ``expressions`` pictures in a row,
    each is the same but for the expression. ``splits`` are the shares of train, val and test: no person is in two of
    them. Face ``i`` and its split do not depend on ``count``. Killed, the same call goes on where it stopped. ``how``
    goes to ``pack``: ``workers`` and ``progress``.
    """
    shares = tuple(map(float, splits))
    if len(shares) != len(SPLITS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"splits {splits}: three shares of train, val and test that add up to 1")
    made_by = {"command": "faces", "seed": seed, "identities": identities, "splits": shares, "version": faces.VERSION}
    if expressions < 1 or count % expressions:
        raise DataError(f"{count} faces cannot show {expressions} expressions each: ask for a multiple of them.")
    if expressions > 1:
        made_by["expressions"] = expressions
    jobs = {str(k): partial(draw_face, seed, k, identities, size, shares, expressions) for k in range(count)}
    return pack(folder, size, SOURCE, jobs, faces.ATTRIBUTES, made_by, **how)


def draw_face(
    seed: int, index: int, identities: int | None, size: int, shares: Sequence[float], expressions: int = 1
) -> tuple[np.ndarray, np.ndarray, FaceRecord]:
    """Image, label map and record of one face."""
    scene, expression = divmod(index, expressions)
    rendering = faces.render(faces.sample(seed, scene, identities, expression), size)
    identity = rendering.face.identity
    attributes = {name: 1 if rendering.attributes[name] else -1 for name in faces.ATTRIBUTES}
    pose = tuple(map(float, rendering.pose))
    record = FaceRecord(str(index), split_of_person(identity, shares), identity, attributes, pose)
    return rendering.image, rendering.labels, record


def split_of_person(identity: int, shares: Sequence[float] = SHARES) -> str:
    """Split of a person: multiples of the golden ratio fill [0, 1) evenly, so any number of persons has the shares."""
    position = identity * 0.6180339887498949 % 1.0
    return SPLITS[int(np.searchsorted(np.cumsum(shares)[:-1], position, side="right"))]


def render_celebamask_hq(
    folder: str | Path,
    count: int,
    seed: int = 0,
    image_size: int = 1024,
    identities: int | None = None,
    *,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Draws faces into ``folder``, laid out like the unpacked CelebAMask-HQ, and returns its path.

    Photographs are JPEGs of ``image_size``, part masks PNGs of half of it, with skin under what lies in the face; the
    text files have the official forms and about the official shares of train, val and test, by person. The attribute
    file has all 40 names; those that these faces do not show (``Attractive``, ``Blurry``, ...) are -1 for everybody.
    Killed, the same call goes on where it stopped.
    """
    if not 1 <= count <= MOST_FACES:
        raise DataError(f"{count} faces do not fit the layout of CelebAMask-HQ: ask for 1 to {MOST_FACES}.")
    settings = {"count": count, "seed": seed, "image_size": image_size, "identities": identities, "source": SOURCE}
    with full_disk_is_an_error(folder):
        writer = PartialFolder(folder, settings)
        for path in (
            celebamask.IMAGE_FOLDER,
            *(Path(celebamask.part_path(index, "skin")).parent for index in range(0, count, 2000)),
        ):
            (writer.partial / path).mkdir(parents=True, exist_ok=True)
        jobs = [partial(save_face, writer.partial, seed, index, identities, image_size) for index in range(count)]
        entries = {entry["face"]: entry for entry in writer.entries}
        for index, entry in run_rest(jobs, entries, image_size, workers, progress):
            writer.append([entry])
            entries[index] = entry
        _write_text_files(writer.partial, [entries[index] for index in range(count)])
        writer.complete()
    return writer.folder


def save_face(folder: Path, seed: int, index: int, identities: int | None, size: int) -> dict[str, Any]:
    """Draws one face, writes its files, and returns what the text files will say of it."""
    rendering = faces.render(faces.sample(seed, index, identities), size)
    for name, mask in rendering.parts().items():
        half = mask[1::2, 1::2].astype(np.uint8) * 255  # every second pixel: merging and halving can be swapped
        if half.any():
            Image.fromarray(np.repeat(half[..., None], 3, 2)).save(folder / celebamask.part_path(index, name))
    Image.fromarray(rendering.image).save(folder / celebamask.IMAGE_FOLDER / f"{index}.jpg", quality=95)
    return {
        "face": index,
        "split": split_of_person(rendering.face.identity, OFFICIAL_SHARES),
        "attributes": [name for name, value in rendering.attributes.items() if value],
        "pose": [float(angle) for angle in rendering.pose],
    }


def _write_text_files(folder: Path, entries: list[dict]) -> None:
    mapping = ["     idx    orig_idx    orig_file"]
    used = {"train": 0, "val": celebamask.LAST_TRAIN, "test": celebamask.LAST_VAL}  # last file number given away
    attributes = [str(len(entries)), " ".join(ATTRIBUTE_NAMES)]
    poses = [str(len(entries)), "Yaw Pitch Raw"]
    for entry in entries:
        index = entry["face"]
        used[entry["split"]] += 1
        number = used[entry["split"]]
        mapping.append(f"{index:8d}{number - 1:12d}   {number:06d}.jpg")
        values = " ".join("1" if name in entry["attributes"] else "-1" for name in ATTRIBUTE_NAMES)
        attributes.append(f"{index}.jpg  {values}")
        poses.append("{}.jpg  {:.6f} {:.6f} {:.6f}".format(index, *entry["pose"]))
    unknown = [name for name in ATTRIBUTE_NAMES if name not in faces.ATTRIBUTES]
    readme = [SOURCE, "", *README, "", f"Attributes that are -1 for every face: {', '.join(unknown)}."]
    texts = {
        celebamask.MAPPING_FILE: mapping,
        celebamask.ATTRIBUTE_FILE: attributes,
        celebamask.POSE_FILE: poses,
        "README.txt": readme,
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
