"""What long training meets: kills at any moment, full disks, damaged, foreign and hostile checkpoints."""

import ast
import json
import os
import pickle
import random
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import children
import pytest
import torch
from children import Death
from tiny_runs import STEPS, TINY, after_step, assert_same_run, press_ctrl_c, train_tiny

import maskgan_lib
from maskgan_lib.checkpoints import CheckpointError, load_authors, load_state, load_weights, save_state
from maskgan_lib.training.loop import newest_checkpoint
from maskgan_lib.training.stage import TrainingError

# ---- kills

EVERY_STEP = TINY.replace(
    {"dmn.batch": 1, "adversary.width": 4, "log_every": 1, "checkpoint_every": 3, "sample_every": 14}
)
LONG = 42
"""Steps: more than ten lives of at most two checkpoints each are likely to reach."""


def plan(draw: random.Random, bytes_of_a_save: int) -> list[Death | int]:
    """Ten deaths: from outside some time after so many steps; after steps; amid a save; at a renaming that ends one."""
    deaths = [
        *(draw.randint(0, 2) for _ in range(3)),
        *(Death("step", draw.randint(1, 5)) for _ in range(2)),
        *(Death("write", draw.randint(1, int(1.5 * bytes_of_a_save))) for _ in range(3)),
        *(Death("rename", draw.randint(1, 6)) for _ in range(2)),
    ]
    draw.shuffle(deaths)
    return deaths


def logged(folder: Path) -> int:
    """The last step in a log whose last line may be torn."""
    log = folder / "log.jsonl"
    lines = log.read_text().split("\n")[:-1] if log.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def one_life(death: Death | int, draw: random.Random, faces, folder: Path, settings: dict) -> int:
    """Exit code of a run that goes on in ``folder`` until ``death``."""
    if isinstance(death, Death):
        return children.exit_code(children.train_until, death, "dmn", faces.folder, folder, settings)
    before = time.time()
    process = children.start(children.train_until, None, "dmn", faces.folder, folder, settings)
    log = folder / "log.jsonl"
    while process.is_alive() and not (log.exists() and log.stat().st_mtime >= before):
        time.sleep(0.005)
    first = logged(folder)
    while process.is_alive() and logged(folder) < first + death:
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 0.05))
    process.kill()
    process.join()
    return process.exitcode


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_killed_ten_times_it_ends_as_if_nothing_had_happened(faces, tmp_path):
    whole, folder, draw, kept = tmp_path / "whole", tmp_path / "run", random.Random(17), 0
    settings = {"preset": EVERY_STEP, "steps": LONG, "seed": 3, "resume": True}
    train_tiny("dmn", faces, whole, **settings)
    for number, death in enumerate(plan(draw, (whole / "checkpoint.pt").stat().st_size), start=1):
        story = f"kill {number}: {death}"
        assert one_life(death, draw, faces, folder, settings) == -9, story
        saved = (newest_checkpoint(folder) or {"step": 0})["step"]
        assert kept <= saved and logged(folder) - saved <= EVERY_STEP.checkpoint_every, story
        kept = saved
    train_tiny("dmn", faces, folder, **settings)
    assert_same_run(folder, whole)
    assert names(folder) == names(whole), "something was left behind"


@pytest.mark.parametrize(("renaming", "left"), [(1, 2), (2, 1), (3, 1), (4, 0), (5, 0)])
def test_a_checkpoint_counts_from_the_moment_it_is_complete(renaming, left, faces, tmp_path, monkeypatch):
    """Two steps, each with a checkpoint. Of the renamings 1, 2 and 3, 4, 5 the first each completes it."""
    settings = {"preset": replace(EVERY_STEP, checkpoint_every=1), "steps": 2, "resume": True}
    folder, truth, steps = tmp_path / "run", tmp_path / "whole", []
    train_tiny("dmn", faces, truth, **settings)
    code = children.exit_code(children.train_until, Death("rename", renaming), "dmn", faces.folder, folder, settings)
    assert code == -9
    for number in (1, 2):
        after_step(monkeypatch, "dmn", number, lambda stage, losses: steps.append(1))
    train_tiny("dmn", faces, folder, **settings)
    assert len(steps) == left
    assert_same_run(folder, truth)
    assert names(folder) == names(truth)


# ---- a full disk


@pytest.fixture(scope="module")
def stopped(faces, tmp_path_factory) -> Path:
    """The DMN's run, stopped after step 5: checkpoints at steps 3 and 5."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        after_step(patch, "dmn", 5, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            train_tiny("dmn", faces, folder, steps=STEPS, seed=3)
    return folder


@pytest.fixture
def run(stopped, tmp_path) -> Path:
    """A copy of the stopped run."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def go_on(faces, folder: Path, preset=TINY) -> None:
    train_tiny("dmn", faces, folder, preset, steps=STEPS, seed=3, resume=True)


@pytest.mark.parametrize(
    ("file", "kept"),
    [
        ("log.jsonl", [3, 5]),
        ("checkpoint.coming.pt.partial", [3, 5]),
        ("samples/step-000007.png", [5, 6]),
        ("dmn.safetensors.partial", [6, 7]),
    ],
)
def test_a_full_device_costs_the_steps_since_the_last_checkpoint(file, kept, faces, run, uninterrupted):
    """A file that lies on a device without space: the system's own error, wherever it comes."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (run / file).unlink(missing_ok=True)
    (run / file).symlink_to("/dev/full")
    with pytest.raises((TrainingError, CheckpointError)) as caught:
        go_on(faces, run)
    name = re.escape(file.removesuffix(".partial"))
    assert re.fullmatch(rf"\S*{name} could not be written \(.*No space left.*\): free space, .*", str(caught.value))
    assert [load_state(run / name)["step"] for name in ("checkpoint.previous.pt", "checkpoint.pt")] == kept
    (run / file).unlink(missing_ok=True)
    go_on(faces, run)
    assert_same_run(run, uninterrupted["dmn"])


# ---- damaged checkpoints, and those of something else


def flipped(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("damage", [flipped, lambda data: data[:-999], lambda data: b""])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(damage, faces, run, uninterrupted, capsys):
    (run / "checkpoint.pt").write_bytes(damage((run / "checkpoint.pt").read_bytes()))
    go_on(faces, run)
    said = capsys.readouterr().out
    assert re.search(r"run/checkpoint\.pt cannot be read .*\. Going on from checkpoint\.previous\.pt\.", said)
    assert_same_run(run, uninterrupted["dmn"])


def test_two_damaged_checkpoints_are_no_reason_to_start_anew(faces, run):
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        (run / name).write_bytes(flipped((run / name).read_bytes()))
    with pytest.raises(CheckpointError, match=r"checkpoint\.previous\.pt cannot be read .*delete it and start again"):
        go_on(faces, run)


def test_a_checkpoint_that_does_not_say_its_sizes_is_refused_by_its_shapes(faces, run):
    state = load_state(run / "checkpoint.pt")
    state["agreed"] = {name: value for name, value in state["agreed"].items() if not name.startswith(("dmn ", "disc"))}
    save_state(run / "checkpoint.pt", state)
    with pytest.raises(CheckpointError, match=r"The dmn in \S*run does not fit .*backbone\.first\.weight \["):
        go_on(faces, run, TINY.replace({"dmn.width": 8}))


# ---- hostile files


class Bomb:
    """Unpickled, it runs a command of the shell."""

    def __init__(self, crater: Path):
        self.crater = crater

    def __reduce__(self):
        return os.system, (f"touch '{self.crater}'",)


def make_bomb(form: str, folder: Path) -> tuple[bytes, Path]:
    """A file in this form of ``torch.save`` or of pickle, and what its command would leave."""
    crater, path = folder / "crater", folder / "bomb"
    content = {"step": 5, "agreed": Bomb(crater)}
    if form == "plain pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=form == "zipped")
    pickle.loads(pickle.dumps(Bomb(crater)))
    assert crater.exists(), "a dud"
    crater.unlink()
    return path.read_bytes(), crater


@pytest.mark.parametrize("form", ["zipped", "old format", "plain pickle"])
def test_a_bomb_in_place_of_a_checkpoint_or_of_weights_does_not_go_off(form, faces, run, tmp_path, capsys):
    bomb, crater = make_bomb(form, tmp_path)
    (run / "checkpoint.pt").write_bytes(bomb)
    go_on(faces, run)
    assert "Going on from checkpoint.previous.pt" in capsys.readouterr().out
    weights = tmp_path / "bomb.safetensors"
    for path in (weights, run / "checkpoint.pt", run / "checkpoint.previous.pt"):
        path.write_bytes(bomb)
    for use in (
        lambda: go_on(faces, run),
        lambda: train_tiny("dmn", faces, tmp_path / "a", steps=1, init=run),
        lambda: train_tiny("dmn", faces, tmp_path / "b", steps=1, init=weights),
        lambda: train_tiny("ebst", faces, tmp_path / "c", steps=1, maskvae=weights),
        lambda: load_weights(weights),
        lambda: load_authors(weights),
    ):
        with pytest.raises(CheckpointError, match=r"checkpoint\.previous\.pt cannot be read|bomb\.safetensors"):
            use()
    assert not crater.exists()


def test_nothing_in_the_library_unpickles_code():
    """torch.load only with weights_only=True, and no other door: pickle, shelve, numpy's allow_pickle ..."""
    doors = {f"{module}.{name}" for module in ("pickle", "joblib", "dill") for name in ("load", "loads", "Unpickler")}
    doors |= {"torch.hub.load", "torch.jit.load", "shelve.open", "eval", "exec", "load"}
    loads = 0
    for path in Path(maskgan_lib.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert called not in doors and "allow_pickle" not in keywords, f"{path}:{node.lineno}"
            if called == "torch.load":
                loads += 1
                assert keywords.get("weights_only") == "True", f"{path}:{node.lineno}"
    assert loads > 0
