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
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_runs import STEPS, TINY, after_step, assert_same_run, flat, press_ctrl_c, train_tiny

import maskgan_lib
from maskgan_lib.checkpoints import (
    CheckpointError,
    load_authors,
    load_state,
    load_weights,
    read_card,
    save_state,
    save_weights,
)
from maskgan_lib.networks import AlphaBlender
from maskgan_lib.training.loop import newest_checkpoint
from maskgan_lib.training.stage import TrainingError

# ---- kills

EVERY_STEP = TINY.replace(
    {"dmn.batch": 1, "adversary.width": 4, "log_every": 1, "checkpoint_every": 3, "sample_every": 14}
)
LONG = 42
"""Steps: more than ten lives of at most two checkpoints each are likely to reach."""


@pytest.fixture(scope="module")
def whole(faces, tmp_path_factory) -> Path:
    """A run of the DMN that nothing happens to."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train_tiny("dmn", faces, folder, EVERY_STEP, steps=LONG, seed=3)
    return folder


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


def test_killed_ten_times_it_ends_as_if_nothing_had_happened(faces, whole, tmp_path):
    seed = random.randrange(2**32)
    draw, folder, kept = random.Random(seed), tmp_path / "run", 0
    settings = {"preset": EVERY_STEP, "steps": LONG, "seed": 3, "resume": True}
    for number, death in enumerate(plan(draw, (whole / "checkpoint.pt").stat().st_size), start=1):
        story = f"seed {seed}, kill {number}: {death}"
        assert one_life(death, draw, faces, folder, settings) == -9, story
        saved = (newest_checkpoint(folder) or {"step": 0})["step"]
        assert kept <= saved and logged(folder) - saved <= EVERY_STEP.checkpoint_every, story
        kept = saved
    train_tiny("dmn", faces, folder, **settings)
    assert_same_run(folder, whole)
    assert names(folder) == names(whole), f"seed {seed}: something was left behind"


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


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
def done(faces, tmp_path_factory) -> Path:
    """A whole run of the DMN: checkpoints at steps 3, 6 and 7."""
    folder = tmp_path_factory.mktemp("done") / "run"
    train_tiny("dmn", faces, folder, steps=STEPS)
    return folder


@pytest.fixture(scope="module")
def stopped(faces, tmp_path_factory) -> Path:
    """The same run, stopped after step 5: checkpoints at steps 3 and 5."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        after_step(patch, "dmn", 5, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            train_tiny("dmn", faces, folder, steps=STEPS)
    return folder


@pytest.fixture
def run(stopped, tmp_path) -> Path:
    """A copy of the stopped run."""
    return Path(shutil.copytree(stopped, tmp_path / "run"))


def steps_kept(folder: Path) -> list[int]:
    return [load_state(folder / name)["step"] for name in ("checkpoint.previous.pt", "checkpoint.pt")]


@pytest.mark.parametrize(
    ("file", "kept"),
    [
        ("log.jsonl", [3, 5]),
        ("checkpoint.coming.pt.partial", [3, 5]),
        ("samples/step-000007.png", [5, 6]),
        ("dmn.safetensors.partial", [6, 7]),
    ],
)
def test_a_full_device_costs_the_steps_since_the_last_checkpoint(file, kept, faces, run, done):
    """A file that lies on a device without space: the system's own error, wherever it comes."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    (run / file).unlink(missing_ok=True)
    (run / file).symlink_to("/dev/full")
    with pytest.raises((TrainingError, CheckpointError)) as caught:
        train_tiny("dmn", faces, run, steps=STEPS, resume=True)
    name = file.removesuffix(".partial")
    sentence = rf"\S*{re.escape(name)} could not be written \(.*No space left on device.*\): free space, [^\n.]*\.?"
    assert re.fullmatch(sentence.replace("[^\\n.]*", ".*"), str(caught.value)), caught.value
    assert steps_kept(run) == kept
    (run / file).unlink(missing_ok=True)
    train_tiny("dmn", faces, run, steps=STEPS, resume=True)
    assert_same_run(run, done)


def test_a_command_on_a_full_disk_ends_in_one_line_and_goes_on_later(faces, tmp_path):
    """The system refuses files beyond a size that holds the log and no checkpoint."""
    arguments = ["train", "dmn", "--preset", "smoke", "--data", faces.folder, "--out", tmp_path / "run"]
    first, limited, again = [*arguments, "--steps", 11], 100_000, [*arguments, "--steps", 11, "--resume"]
    code, said = children.command(first, limited)
    assert (
        code == 1 and len(re.findall(r"^error: .*checkpoint\S* could not be written \(.*\): free .*$", said, re.M)) == 1
    )
    assert "Traceback" not in said and not list((tmp_path / "run").glob("checkpoint*"))
    assert children.command(again)[0] == 0
    assert newest_checkpoint(tmp_path / "run")["step"] == 11


# ---- damaged files


def flipped(data: bytes, position: int, bits: int = 1) -> bytes:
    return data[:position] + bytes([data[position] ^ bits]) + data[position + 1 :]


def same(ours: dict, theirs: dict) -> bool:
    ours, theirs = flat(ours), flat(theirs)
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[key], value) if isinstance(value, torch.Tensor) else ours[key] == value
        for key, value in theirs.items()
    )


def test_no_changed_byte_of_a_training_state_goes_unnoticed(tmp_path):
    """Those excepted that say that there is a checksum: without it the rest is read as it was written."""
    path, state = tmp_path / "state.pt", {"step": 7, "names": ["a", 0.5], "w": torch.arange(24.0), "i": torch.arange(3)}
    save_state(path, state)
    data = path.read_bytes()
    says_so = data.rfind(b"sha256:")
    for position in [*range(0, says_so, 3), *range(says_so, len(data))]:
        path.write_bytes(flipped(data, position, 1 << position % 8))
        if says_so <= position < says_so + len(b"sha256:"):
            assert same(load_state(path), state)
            continue
        with pytest.raises(
            CheckpointError, match=r"state\.pt cannot be read as a .* \(its checksum is another\): delete"
        ):
            load_state(path)


@pytest.mark.parametrize("left", range(0, 130, 3))
def test_a_torn_training_state_is_read_as_it_was_or_not_at_all(left, tmp_path):
    path, state = tmp_path / "state.pt", {"step": 7, "w": torch.arange(24.0)}
    save_state(path, state)
    path.write_bytes(path.read_bytes()[: -left or None])
    try:
        assert same(load_state(path), state)
    except CheckpointError as error:
        assert left > 0 and "state.pt cannot be read" in str(error)


def test_a_training_state_from_before_there_were_checksums_loads(tmp_path):
    state = {"step": 7, "w": torch.arange(24.0)}
    torch.save(state, tmp_path / "state.pt")
    assert same(load_state(tmp_path / "state.pt"), state)


def test_no_changed_byte_of_a_weights_file_goes_unnoticed(tmp_path):
    torch.manual_seed(0)
    path, network = tmp_path / "w.safetensors", AlphaBlender(width=1, downsamplings=1, blocks=1)
    save_weights(path, network, {"steps": 3})
    data, truth = path.read_bytes(), network.state_dict()
    header = 8 + int.from_bytes(data[:8], "little")
    for position in [*range(header), *range(header, len(data), 29)]:
        path.write_bytes(flipped(data, position, 1 << position % 8))
        try:
            loaded = load_weights(path)
            assert same(loaded.state_dict(), truth) and loaded.config == network.config, position
            assert position < header, "a number changed"
        except CheckpointError as error:
            assert "w.safetensors" in str(error)


def test_weights_from_before_there_were_checksums_load(tmp_path):
    network = AlphaBlender(width=2)
    save_weights(tmp_path / "new", network, {"steps": 3})
    with safe_open(tmp_path / "new", "pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != "sha256"}
    save_file(network.state_dict(), tmp_path / "old", metadata)
    assert same(load_weights(tmp_path / "old").state_dict(), network.state_dict())
    assert read_card(tmp_path / "old") == {"steps": 3}


@pytest.mark.parametrize(
    "damage", [lambda data: flipped(data, len(data) // 2), lambda data: data[:-999], lambda data: b""]
)
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(damage, faces, run, done, capsys):
    (run / "checkpoint.pt").write_bytes(damage((run / "checkpoint.pt").read_bytes()))
    train_tiny("dmn", faces, run, steps=STEPS, resume=True)
    said = capsys.readouterr().out
    assert re.search(r"run/checkpoint\.pt cannot be read .*\. Going on from checkpoint\.previous\.pt\.", said)
    assert_same_run(run, done)


def test_two_damaged_checkpoints_are_no_reason_to_start_anew(faces, run):
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        data = (run / name).read_bytes()
        (run / name).write_bytes(flipped(data, len(data) // 2))
    with pytest.raises(CheckpointError, match=r"checkpoint\.previous\.pt cannot be read .*delete it and start again"):
        train_tiny("dmn", faces, run, steps=STEPS, resume=True)


# ---- checkpoints of something else

OTHER = TINY.replace({"dmn.width": 8, "dmn.style_width": 8, "adversary.width": 4, "dmn.lr": 1e-3})


def test_other_networks_and_rates_are_refused_with_every_field(faces, run):
    before = {path: path.read_bytes() for path in run.rglob("*.*")}
    with pytest.raises(TrainingError) as caught:
        train_tiny("dmn", faces, run, OTHER, steps=STEPS, resume=True)
    assert str(caught.value) == (
        f"{run} holds a run with other settings: lr 0.0002 there, 0.001 here; dmn width 4 there, 8 here;"
        " dmn style_width 4 there, 8 here; discriminator width 8 there, 4 here."
    )
    assert {path: path.read_bytes() for path in run.rglob("*.*")} == before


def test_a_start_from_other_networks_is_refused_with_every_field(faces, run, tmp_path):
    with pytest.raises(TrainingError) as caught:
        train_tiny("ebst", faces, tmp_path / "new", OTHER, steps=1, init=run)
    assert str(caught.value) == (
        f"The run in {run} is not of this preset: dmn width 4 there, 8 here; dmn style_width 4 there, 8 here;"
        " discriminator width 8 there, 4 here."
    )
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_that_does_not_say_its_sizes_is_refused_by_its_shapes(faces, run):
    state = load_state(run / "checkpoint.pt")
    state["agreed"] = {name: value for name, value in state["agreed"].items() if not name.startswith(("dmn ", "disc"))}
    save_state(run / "checkpoint.pt", state)
    with pytest.raises(
        CheckpointError, match=r"The dmn in \S*run does not fit .*wrong shape: backbone\.first\.weight \["
    ):
        train_tiny("dmn", faces, run, TINY.replace({"dmn.width": 8}), steps=STEPS, resume=True)


# ---- hostile files


class Bomb:
    """Unpickled, it runs a command of the shell."""

    def __init__(self, crater: Path):
        self.crater = crater

    def __reduce__(self):
        return os.system, (f"touch '{self.crater}'",)


@pytest.fixture(params=["zipped", "old format", "plain pickle"])
def bomb(request, tmp_path) -> tuple[bytes, Path]:
    """A file that runs a command when it is unpickled carelessly, and what that command would leave."""
    crater, path = tmp_path / "crater", tmp_path / "bomb"
    content = {"step": 5, "agreed": Bomb(crater)}
    if request.param == "plain pickle":
        path.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=request.param == "zipped")
    pickle.loads(pickle.dumps(Bomb(crater)))
    assert crater.exists(), "a dud"
    crater.unlink()
    return path.read_bytes(), crater


def test_a_bomb_in_place_of_a_checkpoint_does_not_go_off(bomb, faces, run, done, tmp_path, capsys):
    content, crater = bomb
    (run / "checkpoint.pt").write_bytes(content)
    train_tiny("dmn", faces, run, steps=STEPS, resume=True)
    assert "Going on from checkpoint.previous.pt" in capsys.readouterr().out
    assert_same_run(run, done)
    for name in ("checkpoint.pt", "checkpoint.previous.pt"):
        (run / name).write_bytes(content)
    for settings in ({"folder": run, "resume": True}, {"folder": tmp_path / "new", "init": run}):
        with pytest.raises(CheckpointError, match=r"checkpoint\.previous\.pt cannot be read"):
            train_tiny("dmn", faces, steps=STEPS, **settings)
    assert not crater.exists()


def test_a_bomb_in_place_of_weights_does_not_go_off(bomb, faces, tmp_path):
    content, crater = bomb
    weights = tmp_path / "w.safetensors"
    weights.write_bytes(content)
    for use in (
        lambda: load_weights(weights),
        lambda: load_authors(weights),
        lambda: train_tiny("dmn", faces, tmp_path / "a", steps=1, init=weights),
        lambda: train_tiny("ebst", faces, tmp_path / "b", steps=1, maskvae=weights),
    ):
        with pytest.raises(CheckpointError, match=r"w\.safetensors"):
            use()
    assert not crater.exists()


def test_nothing_in_the_library_unpickles_code():
    """torch.load only with weights_only=True, and no other door: pickle, shelve, numpy's allow_pickle ..."""
    loads = 0
    for path in Path(maskgan_lib.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called, keywords = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            assert called not in DOORS and "allow_pickle" not in keywords, f"{path}:{node.lineno}"
            if called == "torch.load":
                loads += 1
                assert keywords.get("weights_only") == "True", f"{path}:{node.lineno}"
    assert loads > 0


DOORS = {f"{module}.{name}" for module in ("pickle", "joblib", "dill") for name in ("load", "loads", "Unpickler")}
DOORS |= {"torch.hub.load", "torch.jit.load", "shelve.open", "eval", "exec", "load"}
