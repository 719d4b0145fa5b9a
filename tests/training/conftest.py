"""One CPU thread, toy faces, and whole runs to compare with."""

from pathlib import Path

import pytest
import torch
from tiny_runs import STEPS, train_tiny
from toy_faces import pack_toy_faces

from maskgan_lib.data.packed import PackedFaces
from maskgan_lib.training.stages import MASKGAN

CPU = {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "MASKGAN_PLAIN_PROGRESS": "1"}


@pytest.fixture(scope="module", autouse=True)
def on_one_cpu_thread():
    """As the subprocesses, so that bits may be compared; on the CPU even where there is a GPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CPU.items():
            patch.setenv(name, value)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def faces(tmp_path_factory) -> PackedFaces:
    return pack_toy_faces(tmp_path_factory.mktemp("training") / "toy", 12, splits=("train", "train", "test"))


@pytest.fixture(scope="module")
def uninterrupted(faces, tmp_path_factory) -> dict[str, Path]:
    """By name, one whole run of each of ``RUNS``: MaskGAN's, and the others when they are asked for."""

    class Folders(dict):
        def __missing__(self, name: str) -> Path:
            self[name] = tmp_path_factory.mktemp(name) / "run"
            train_tiny(name, faces, self[name], steps=STEPS, seed=3)
            return self[name]

    folders = Folders()
    for name in MASKGAN:  # before a test patches their steps
        folders[name]
    return folders
