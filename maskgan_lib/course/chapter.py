"""What a notebook's setup cell calls: seeds, preset, device, faces, shipped weights, and a record of what is measured.

Four variables of the environment steer it: ``MASKGAN_PRESET`` (a name of ``presets.PRESETS``), ``MASKGAN_DATA``
(CelebAMask-HQ as a folder or a zip, or a packed folder), ``MASKGAN_BUILD`` (where everything is written; ``build`` in
the project if not set) and ``MASKGAN_PRETRAINED`` (the weights that ship; ``data/pretrained``). Relative paths in them
start at the project's root, whatever folder a kernel runs in.
"""

import hashlib
import os
import platform
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn

from maskgan_lib import checkpoints, faces
from maskgan_lib.course.measured import Measurement, expected_time, time_key, write_json
from maskgan_lib.data import celebamask, procedural
from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.presets import PRESETS, Preset

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
SEED = 20
"""Seed of the course's own faces and runs. The shipped weights were trained on faces of another seed."""

FEWEST_TO_TRAIN, FEWEST_TO_SHOW = 16, 4
"""Splits smaller than this are not worth their name: all faces are then used, and a line says so."""


@dataclass(frozen=True)
class Chapter:
    """One notebook: its number, its title, what the reader has at its end, and what of the paper it covers."""

    number: str
    title: str
    builds: str
    paper: str


CHAPTERS = tuple(
    Chapter(*line.split(" | "))
    for line in """\
00 | Start here | a first edit, with weights that ship | the idea
01 | Data set preparation | label maps, a packed data set, batches | Table 1
02 | MaskVAE | a space of face layouts to walk in | Equations 3 to 5
03 | Dense Mapping Network | masks and styles turned into faces | Equations 1, 2 and 6 to 9
04 | Editing behaviour simulated training | training on simulated edits, and a test of it | Algorithm 1
05 | Evaluation | judges and their errors, the paper's two tasks, a survey | Tables 2 to 4
06 | The mask editor | a face editor in the notebook, and the same from Python | interactive editing
07 | The baselines | four other methods, trained and measured side by side | the baselines of Tables 2 to 4
08 | SeCGAN | edits by attribute, and masks that move by attribute | SeCGAN's Table 1
09 | A style for every region | hair, lips or background of another face, each alone | beyond the paper, after SEAN
A1 | Warm-up: a VAE and a GAN from zero | for those who have trained neither: read it before 02 | before the paper
""".splitlines()
)


class CourseError(Exception):
    """Something the reader can put right, in one sentence."""


def in_project(variable: str, default: str = "") -> Path:
    """The path that a variable of the environment names, or else ``default``; relative ones start at the project."""
    return ROOT / Path(os.environ.get(variable) or default).expanduser()


def build_folder() -> Path:
    """Where the course writes: ``$MASKGAN_BUILD``, or ``build`` in the project."""
    return in_project("MASKGAN_BUILD", "build")


def from_project(text: str | Path) -> str:
    """``text``, a path or a message, with paths relative to the project: what a shared notebook may print."""
    return str(text).replace(f"{ROOT}{os.sep}", "")


def data_path() -> Path | None:
    """``$MASKGAN_DATA`` as an absolute path; None if it is not set. ``CourseError`` if nothing is there."""
    named = os.environ.get("MASKGAN_DATA")
    path = in_project("MASKGAN_DATA").resolve()
    if named and not path.exists():
        raise CourseError(f"MASKGAN_DATA={named} names nothing that exists: give the folder or zip of CelebAMask-HQ.")
    return path if named else None


def start(chapter: str) -> "Course":
    """Prepare a chapter ("00", "01", ...): seed everything, pick preset and device, and print them in a short table."""
    by_number = {c.number: c for c in CHAPTERS}
    if chapter not in by_number:
        raise CourseError(f"There is no chapter {chapter!r}: choose one of {', '.join(by_number)}.")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu":  # the training loop's own choice would be a Mac's GPU, which nothing here was tried on
        os.environ["ACCELERATE_USE_CPU"] = "true"
    name = os.environ.get("MASKGAN_PRESET") or ("colab" if device.type == "cuda" else "laptop")
    if name not in PRESETS:
        raise CourseError(f"MASKGAN_PRESET={name} is no preset: choose one of {', '.join(PRESETS)}.")
    course = Course(by_number[chapter], PRESETS[name], device)
    random.seed(course.seed)
    torch.manual_seed(course.seed)
    course.write_measurements()
    course.print_table()
    return course


class Course:
    """What a chapter runs with. Everything that takes long is made once and kept in ``build``."""

    seed = SEED

    def __init__(self, chapter: Chapter, preset: Preset, device: torch.device):
        self.chapter = chapter
        self.device = device
        self.build = build_folder()
        self.pretrained_folder = in_project("MASKGAN_PRETRAINED", "data/pretrained")
        self.measurements: dict[str, Measurement] = {}
        self._data = data_path()
        self._said: set[str] = set()
        packed = self._data is not None and (self._data / "faces.json").is_file()
        self._packed = PackedFaces.open(self._data) if packed else None
        self.preset = replace(preset, image_size=self._packed.size) if self._packed else preset

    @property
    def is_embedded(self) -> bool:
        """Whether the faces are the embedded, procedural ones (and not those of ``MASKGAN_DATA``)."""
        return self._data is None

    @property
    def data_set(self) -> Path | None:
        """CelebAMask-HQ, its folder or zip, if ``MASKGAN_DATA`` names it; None for embedded or packed faces."""
        return None if self._packed else self._data

    @cached_property
    def data_name(self) -> str:
        """A short name of the data for folders: what was trained on other data must not be mistaken for this."""
        return f"{self._source}-{self.preset.faces}"

    @cached_property
    def _source(self) -> str:
        if self._data is None:
            return f"procedural-v{faces.VERSION}-seed{self.seed}"
        return f"{self._data.stem.lower()}-{hashlib.sha256(str(self._data).encode()).hexdigest()[:6]}"

    def faces(self, size: int | None = None, count: int | None = None) -> PackedFaces:
        """The course's faces at ``size`` (the preset's if None): drawn or prepared on the first call, then opened.

        ``count`` asks for fewer than the preset's number: the first so many. Of CelebAMask-HQ, bad faces are left out.
        """
        size, count = size or self.preset.image_size, count or self.preset.faces
        if self._data is None:
            return self.procedural_faces(size, count)
        if self._packed is None:
            settings = {"size": size, "limit": count, "keep_going": True, "exclude_known_bad": True}
            make = partial(celebamask.prepare, self._data, **settings)
            return self._prepared(f"{self._source}-{count}-{size}", size, make)
        if size != self._packed.size:
            remedy = "name CelebAMask-HQ itself, which is then prepared at any size"
            raise CourseError(f"MASKGAN_DATA is packed at {self._packed.size} pixels, but {size} are needed: {remedy}.")
        return self._packed

    def procedural_faces(self, size: int, count: int, identities: int | None = None) -> PackedFaces:
        """The embedded faces, whatever the course's own are: the shipped weights know no others.

        ``identities`` asks for so many people in several pictures each; without it every face is another person.
        """
        people = f"-of{identities}" if identities else ""
        name = f"procedural-v{faces.VERSION}-seed{self.seed}-{count}{people}-{size}"
        settings = {"count": count, "size": size, "seed": self.seed, "identities": identities}
        return self._prepared(name, size, partial(procedural.render_packed, **settings))

    def _prepared(self, name: str, size: int, make: Callable[[Path], PackedFaces]) -> PackedFaces:
        folder = self.build / "data" / name
        if not folder.exists():
            print(f"Preparing the faces at {size} x {size}, once, in {self.path(folder)}")
            make(folder)
        return PackedFaces.open(folder)

    def train_faces(self, packed: PackedFaces) -> np.ndarray:
        """int64 indices to train on: the "train" split, or all faces, said aloud, where that is too small."""
        return self._split_or_all(packed, "train", FEWEST_TO_TRAIN, "training uses all {} faces, val and test too.")

    def show_faces(self, packed: PackedFaces, count: int = 8) -> np.ndarray:
        """At most ``count`` int64 indices to look at: of "test", or of all faces, said aloud, if that is too small."""
        remark = (
            "pictures and figures use all {} faces, those of the training too, and so say nothing about unseen faces."
        )
        return self._split_or_all(packed, "test", min(count, FEWEST_TO_SHOW), remark)[:count]

    def _split_or_all(self, packed: PackedFaces, split: str, fewest: int, remark: str) -> np.ndarray:
        chosen = packed.indices(split)
        if len(chosen) >= fewest:
            return chosen
        if split not in self._said:
            print(f"Too few faces in {split} ({len(chosen)}):", remark.format(len(packed)))
            self._said.add(split)
        return np.arange(len(packed))

    def run_folder(self, stage: str, steps: int | None = None) -> Path:
        """Where the training of ``stage`` ("maskvae", "dmn", ...) keeps its checkpoints for this preset and data.

        With ``steps``, where a training of another length was finished in that folder, the folder is another one.
        """
        folder = self.build / "runs" / f"{self.preset.name}-{self.data_name}-{self.preset.image_size}" / stage
        if steps is None or all(checkpoints.read_card(path)["steps"] == steps for path in folder.glob("*.safetensors")):
            return folder
        return folder.with_name(f"{stage}-{steps}")

    def pretrained(self, name: str) -> nn.Module:
        """The network that ships as ``data/pretrained/<name>.safetensors``, on the device, ready for inference."""
        path = self.pretrained_folder / f"{name}.safetensors"
        if not path.is_file():
            raise CourseError(f"{self.path(path)} is missing: it comes with the project, so get all of that again.")
        return checkpoints.load_weights(path, self.device).eval()

    def record(self, name: str, value: float | int | str, unit: str = "", note: str = "") -> None:
        """Print a measured value and keep it for the table at the end of ``make course``. A repeated name replaces."""
        value = value.item() if hasattr(value, "item") else value
        self.measurements[name] = Measurement(name, value, unit, note)
        self.write_measurements()
        print(self.measurements[name])

    def write_measurements(self) -> None:
        """Store this chapter's measurements in ``build/measured/<chapter>.json``, whole or not at all."""
        run = {
            "chapter": self.chapter.number,
            "preset": self.preset.name,
            "device": self.device.type,
            "machine": torch.cuda.get_device_name() if self.device.type == "cuda" else f"{os.cpu_count()} CPU cores",
            "data": self.data_name,
            "values": [asdict(m) for m in self.measurements.values()],
        }
        write_json(self.build / "measured" / f"{self.chapter.number}.json", run)

    def save_figure(self, figure: Figure, name: str) -> None:
        """Store ``figure`` as ``figures/<name>.png`` if the notebooks are executed for publishing; else do nothing."""
        if os.environ.get("MASKGAN_WRITE_BACK") and self.is_embedded:
            figure.savefig(ROOT / "figures" / f"{name}.png", bbox_inches="tight")

    path = staticmethod(from_project)

    def print_table(self) -> None:
        """Print what this chapter runs with, and how long it takes."""
        preset, size, device = self.preset, self.preset.image_size, self.device.type
        cpu = f"CPU, {torch.get_num_threads()} threads. No GPU here: everything runs, training takes longer"
        embedded = f"{preset.faces:,} procedural faces, a stand-in for CelebAMask-HQ"
        key = time_key(self.chapter.number, preset.name, device)
        rows = {
            "chapter": f"{self.chapter.number} {self.chapter.title}",
            "preset": f"{preset.name}: {size} x {size} pixels",
            "data": embedded if self._data is None else f"{self._data.name} (MASKGAN_DATA)",
            "device": torch.cuda.get_device_name() if device == "cuda" else cpu,
            "versions": f"Python {platform.python_version()}, torch {torch.__version__}, numpy {np.__version__}",
            "time": expected_time(key, self.build, NOTEBOOKS),
        }
        print("\n".join(f"{name:<9}{text}" for name, text in rows.items()))
