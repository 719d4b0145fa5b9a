"""Procedural faces on disk: as a packed folder, or in the layout of CelebAMask-HQ to practise its preparation on."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskgan_lib import faces
from maskgan_lib.classes import ATTRIBUTE_NAMES
from maskgan_lib.data.annotations import ATTRIBUTE_FILE, LAST_TRAIN, LAST_VAL, MAPPING_FILE, POSE_FILE
from maskgan_lib.data.celebamask import IMAGE_FOLDER, part_path
from maskgan_lib.data.errors import DataError, full_disk_is_an_error
from maskgan_lib.data.filling import pack, run_parallel
from maskgan_lib.data.journal import Journal
from maskgan_lib.data.packed import SPLITS, FaceRecord, PackedFaces, PackedWriter
from maskgan_lib.progress import progress_bar

SOURCE = f"procedural faces v{faces.VERSION}"
SHARES = (0.8, 0.1, 0.1)
OFFICIAL_SHARES = (24_183 / 30_000, 2_993 / 30_000, 2_824 / 30_000)
"""Shares of train, val and test: ours, and those of CelebAMask-HQ."""

MOST_FACES = 100_000
"""The names of part masks have five digits."""

README = (
    "Drawn pictures of nobody, laid out like CelebAMask-HQ so that its preparation can be practised without it.",
    "The numbers of CelebA files in the mapping are made up; they put each person into one split.",
    "Pose is known from the drawing: degrees, yaw positive towards the viewer's right.",
)


@dataclass(frozen=True)
class RenderJob:
    """One picture to draw: which, how large, and where to (``None``: hand it back)."""

    seed: int
    index: int
    identities: int | None
    size: int
    shares: tuple[float, float, float]
    folder: Path | None = None
    expressions: int = 1

    def face(self) -> faces.Face:
        """Who is to be drawn: of ``expressions`` pictures in a row, each shows the same one with another expression."""
        scene, expression = divmod(self.index, self.expressions)
        return faces.sample(self.seed, scene, self.identities, expression)


def render_packed(
    folder: str | Path,
    count: int,
    size: int,
    seed: int = 0,
    identities: int | None = None,
    expressions: int = 1,
    *,
    workers: int | None = None,
    splits: Sequence[float] = SHARES,
    progress: bool = True,
) -> PackedFaces:
    """Draws faces 0 .. ``count`` - 1 of the set ``seed`` into the packed folder ``folder`` and opens it.

    With ``identities`` the pictures show so many persons, else each another one. Of ``expressions`` pictures in a row,
    each is the same but for the expression. ``splits`` are the shares of train,
    val and test: no person is in two of them. Face ``i`` and its split do not depend on ``count``. Killed, the same
    call goes on where it stopped.
    """
    shares = _checked_shares(splits)
    made_by = {"command": "faces", "seed": seed, "identities": identities, "splits": shares, "version": faces.VERSION}
    if expressions < 1 or count % expressions:
        raise DataError(f"{count} faces cannot show {expressions} expressions each: ask for a multiple of them.")
    if expressions > 1:
        made_by["expressions"] = expressions
    jobs = [RenderJob(seed, k, identities, size, shares, expressions=expressions) for k in range(count)]
    writer = PackedWriter(folder, size, count, SOURCE, faces.ATTRIBUTES, made_by)
    names = [str(index) for index in range(count)]
    return pack(writer, draw_face, jobs, names, workers=workers, progress=progress)


def draw_face(job: RenderJob) -> tuple[np.ndarray, np.ndarray, FaceRecord]:
    """Image, label map and record of one face."""
    rendering = faces.render(job.face(), job.size)
    identity = rendering.face.identity
    attributes = {name: 1 if rendering.attributes[name] else -1 for name in faces.ATTRIBUTES}
    pose = tuple(float(angle) for angle in rendering.pose)
    record = FaceRecord(str(job.index), split_of_person(identity, job.shares), identity, attributes, pose)
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
    folder = Path(folder)
    partial = folder.with_name(folder.name + ".partial")
    if folder.exists():
        raise DataError(f"{folder} already exists: delete it first, or choose another folder.")
    if not 1 <= count <= MOST_FACES:
        raise DataError(f"{count} faces do not fit the layout of CelebAMask-HQ: ask for 1 to {MOST_FACES}.")
    settings = {"count": count, "seed": seed, "image_size": image_size, "identities": identities, "source": SOURCE}
    jobs = [RenderJob(seed, index, identities, image_size, OFFICIAL_SHARES, partial) for index in range(count)]
    with full_disk_is_an_error(lambda: _no_space(folder)):
        for index in range(0, count, 2000):
            (partial / part_path(index, "skin")).parent.mkdir(parents=True, exist_ok=True)
        (partial / IMAGE_FOLDER).mkdir(exist_ok=True)
        journal = Journal(partial / "journal.jsonl", settings)
        try:
            entries = _save_faces(jobs, journal, workers, progress)
        finally:
            journal.close()
        _write_text_files(partial, entries)
    (partial / "journal.jsonl").unlink()
    partial.rename(folder)
    return folder


def _save_faces(jobs: list[RenderJob], journal: Journal, workers: int | None, progress: bool) -> list[dict[str, Any]]:
    """Draws the faces that the journal does not have yet; returns what the text files will say of all."""
    entries = {entry["face"]: entry for entry in journal.entries}
    todo = [(job.index, job) for job in jobs if job.index not in entries]
    title = f"faces {jobs[0].size}x{jobs[0].size}"
    with progress_bar(total=len(jobs), initial=len(entries), desc=title, unit="face", disable=not progress) as bar:
        for index, entry in run_parallel(save_face, todo, workers):
            if isinstance(entry, DataError):
                raise entry
            journal.append([entry])
            entries[index] = entry
            bar.update()
    return [entries[job.index] for job in jobs]


def save_face(job: RenderJob) -> dict[str, Any]:
    """Draws one face, writes its files, and returns what the text files will say of it."""
    rendering = faces.render(job.face(), job.size)
    with full_disk_is_an_error(lambda: _no_space(job.folder)):
        for name, mask in rendering.parts().items():
            half = mask[1::2, 1::2].astype(np.uint8) * 255  # every second pixel: merging and halving can be swapped
            if half.any():
                Image.fromarray(np.repeat(half[..., None], 3, 2)).save(job.folder / part_path(job.index, name))
        Image.fromarray(rendering.image).save(job.folder / IMAGE_FOLDER / f"{job.index}.jpg", quality=95)
    return {
        "face": job.index,
        "split": split_of_person(rendering.face.identity, job.shares),
        "attributes": [name for name, value in rendering.attributes.items() if value],
        "pose": [float(angle) for angle in rendering.pose],
    }


def _checked_shares(splits: Sequence[float]) -> tuple[float, float, float]:
    shares = tuple(float(share) for share in splits)
    if len(shares) != len(SPLITS) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"splits {splits}: three shares of train, val and test that add up to 1")
    return shares


def _no_space(folder: Path) -> str:
    return f"No space left on the disk of {folder}: make room and run the same command again, it goes on."


def _write_text_files(folder: Path, entries: list[dict]) -> None:
    mapping = ["     idx    orig_idx    orig_file"]
    used = dict(zip(SPLITS, (0, LAST_TRAIN, LAST_VAL), strict=True))  # last file number given away, per split
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
    for name, lines in (
        (MAPPING_FILE, mapping),
        (ATTRIBUTE_FILE, attributes),
        (POSE_FILE, poses),
        ("README.txt", [SOURCE, "", *README, "", f"Attributes that are -1 for every face: {', '.join(unknown)}."]),
    ):
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
