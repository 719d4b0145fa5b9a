"""The training loop: what a run leaves behind, exact resume, refusals, safe stops, averages and rates."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import RUNS, STEPS, TINY, after_step, assert_same_run, press_ctrl_c, train_tiny
from toy_faces import pack_toy_faces

from maskgan_lib.checkpoints import load_state, load_weights, read_card
from maskgan_lib.training.loop import RunSettings, load_log, newest_checkpoint
from maskgan_lib.training.stage import TrainingError, tile
from maskgan_lib.training.stages import STAGES, make_stage, train_stage

# ---- what a run leaves behind


@pytest.mark.parametrize("name", STAGES)
def test_run_leaves_log_samples_and_weights(name, uninterrupted):
    folder = uninterrupted[name]
    log = load_log(folder)
    assert [entry["step"] for entry in log] == [2, 3, 4, 6, 7]
    assert all(np.isfinite(list(entry.values())).all() and entry.keys() == log[0].keys() for entry in log)
    assert len(log[0]) > 2, "no loss"
    assert sorted(path.name for path in (folder / "samples").iterdir()) == ["step-000005.png", "step-000007.png"]
    picture = np.asarray(Image.open(folder / "samples" / "step-000007.png"))
    assert picture.shape[0] % 32 == picture.shape[1] % 32 == 0 and picture.std() > 0
    averages = load_state(folder / "checkpoint.pt")["averages"]
    assert {path.stem for path in folder.glob("*.safetensors")} == averages.keys()
    for network, average in averages.items():
        card, weights = read_card(folder / f"{network}.safetensors"), load_weights(folder / f"{network}.safetensors")
        assert (card["steps"], card["data"], card["faces"], card["image_size"]) == (STEPS, "toy faces", 8, 32)
        assert all(torch.equal(value, average[f"module.{key}"]) for key, value in weights.state_dict().items())
    assert not list(folder.glob("*.partial")) and not list(folder.glob("*.coming*"))


def test_only_the_train_split_is_seen(faces, tmp_path, monkeypatch):
    seen, step = set(), STAGES["maskvae"].step
    monkeypatch.setattr(
        STAGES["maskvae"], "step", lambda self, batches, how: seen.update(batches[0].index) or step(self, batches, how)
    )
    train_stage("maskvae", TINY, faces, tmp_path / "run", steps=2)
    assert seen == set(faces.indices("train"))


def test_entries_of_the_log_are_means_since_the_last(faces, tmp_path, uninterrupted):
    train_stage("dmn", replace(TINY, log_every=1), faces, tmp_path / "run", steps=STEPS, seed=3)
    single = {entry["step"]: entry for entry in load_log(tmp_path / "run")}
    for entry, steps in zip(load_log(uninterrupted["dmn"]), [(1, 2), (3,), (4,), (5, 6), (7,)], strict=True):
        for key in ("discriminator", "perceptual"):
            assert entry[key] == pytest.approx(np.mean([single[step][key] for step in steps]), rel=1e-6)


def test_tile_fills_rows():
    numbered = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 3, 3), np.uint8)
    sheet = tile(numbered, 2)
    assert sheet.shape == (6, 6, 3)
    assert sheet[::2, ::3, 0].tolist() == [[0, 1], [2, 3], [4, 255]]


# ---- resume: a stage may hide state, wherever it is stopped; where the loop stops does not depend on the stage


@pytest.mark.parametrize(("name", "stop"), [*((name, 4) for name in RUNS), *(("maskvae", k) for k in (1, 2, 3, 5, 6))])
def test_resumed_after_any_step_is_as_uninterrupted(name, stop, faces, uninterrupted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        after_step(patch, name, stop, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt, match=f"stopped after step {stop}; go on with --resume"):
            train_tiny(name, faces, tmp_path / "run", steps=STEPS, seed=3)
    assert newest_checkpoint(tmp_path / "run")["step"] == stop
    torch.manual_seed(1234)
    train_tiny(name, faces, tmp_path / "run", steps=STEPS, seed=3, resume=True)
    assert_same_run(tmp_path / "run", uninterrupted[name])


def test_a_finished_run_resumes_to_itself(faces, tmp_path):
    truth, folder = (tmp_path / name for name in ("truth", "run"))
    for where in (truth, folder):
        log = train_stage("maskvae", TINY, faces, where, steps=STEPS)
    assert train_stage("maskvae", TINY, faces, folder, steps=STEPS, resume=True) == log
    assert_same_run(folder, truth)


# ---- refusals


def test_a_folder_that_holds_a_run_is_refused(faces, uninterrupted):
    before = (uninterrupted["dmn"] / "log.jsonl").read_text()
    with pytest.raises(TrainingError, match="holds an earlier run"):
        train_stage("dmn", TINY, faces, uninterrupted["dmn"], steps=STEPS, seed=3)
    assert (uninterrupted["dmn"] / "log.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4, "steps": 9}, "steps 7 there, 9 here; seed 3 there, 4 here"),
        ({"steps": 9}, "steps 7 there, 9 here; to train on, start another run from it with --init {}"),
        ({"preset": TINY.replace({"dmn.batch": 2})}, "batch_size 4 there, 2 here"),
        ({"preset": TINY.replace({"adversary.perceptual_weight": 1.0})}, "perceptual_weight 10.0 there, 1.0 here"),
        ({"indices": np.arange(3)}, "faces 8 there, 3 here"),
        (
            {"preset": TINY.replace({"dmn.width": 8, "adversary.width": 4, "dmn.lr": 1e-3})},
            "lr 0.0002 there, 0.001 here; dmn width 4 there, 8 here; discriminator width 8 there, 4 here",
        ),
    ],
)
def test_other_settings_are_refused_by_name(changes, named, faces, uninterrupted):
    folder, settings = uninterrupted["dmn"], {"preset": TINY, "steps": STEPS, "seed": 3, **changes}
    before = {path: path.read_bytes() for path in folder.rglob("*.*")}
    with pytest.raises(TrainingError) as error:
        train_stage("dmn", settings.pop("preset"), faces, folder, resume=True, **settings)
    assert str(error.value) == f"{folder} holds a run with other settings: {named.format(folder)}."
    assert {path: path.read_bytes() for path in folder.rglob("*.*")} == before


def test_another_stage_and_other_faces_are_refused(faces, uninterrupted, tmp_path):
    with pytest.raises(TrainingError, match="stage dmn there, maskvae here"):
        train_stage("maskvae", TINY, faces, uninterrupted["dmn"], steps=STEPS, seed=3, resume=True)
    others = pack_toy_faces(tmp_path / "others", 8)
    with pytest.raises(TrainingError, match=r"made_by .*'count': 12.* there, .*'count': 8.* here"):
        train_stage("dmn", TINY, others, uninterrupted["dmn"], steps=STEPS, seed=3, resume=True)


def test_unknown_stage(faces):
    with pytest.raises(KeyError, match="dmn, ebst, elegant"):
        make_stage("sketch", TINY, faces)


# ---- losses and weights that are not finite


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_broken_loss_is_named_with_its_step(bad, faces, tmp_path, monkeypatch):
    after_step(monkeypatch, "maskvae", 7, lambda stage, losses: {**losses, "kl": torch.tensor(bad)})
    preset = replace(TINY, log_every=8, checkpoint_every=6)
    with pytest.raises(TrainingError, match=rf"The loss 'kl' became {bad} at step 7: the last checkpoint"):
        train_stage("maskvae", preset, faces, tmp_path / "run", steps=20)
    assert newest_checkpoint(tmp_path / "run")["step"] == 6
    assert load_log(tmp_path / "run")[-1]["step"] == 6


def test_a_broken_update_is_not_saved(faces, tmp_path, monkeypatch):
    """The loss of the step was finite still; saved, it would break every resume."""

    def poison(stage, losses):
        with torch.no_grad():
            stage.networks["maskvae"].mu.weight[0, 0] = torch.nan

    after_step(monkeypatch, "maskvae", 6, poison)
    with pytest.raises(TrainingError, match=r"'mu\.weight' of maskvae are not finite after step 6"):
        train_stage("maskvae", TINY, faces, tmp_path / "run", steps=STEPS)
    state = newest_checkpoint(tmp_path / "run")
    assert state["step"] == 3 and all(value.isfinite().all() for value in state["networks"]["maskvae"].values())


# ---- averages and rates


def test_weights_for_inference_are_the_moving_average(faces, tmp_path, monkeypatch):
    """avg_1 = w_1; avg_t = d_t avg_(t-1) + (1 - d_t) w_t with d_t = min(decay, (1 + t) / (10 + t))."""
    preset, seen = replace(TINY, ema_decay=0.3), []
    for number in range(1, 7):
        after_step(
            monkeypatch,
            "maskvae",
            number,
            lambda stage, losses: seen.append(
                {key: value.detach().clone() for key, value in stage.networks["maskvae"].state_dict().items()}
            ),
        )
    train_stage("maskvae", preset, faces, tmp_path / "run", steps=6)
    assert len(seen) == 6
    average = {key: value.double() for key, value in seen[0].items()}
    for t, weights in enumerate(seen[1:], start=2):
        decay = min(0.3, (1 + t) / (10 + t))
        average = {key: decay * average[key] + (1 - decay) * value.double() for key, value in weights.items()}
    for key, value in load_weights(tmp_path / "run" / "maskvae.safetensors").state_dict().items():
        truth = seen[-1][key] if key.endswith("num_batches_tracked") else average[key].to(value.dtype)
        torch.testing.assert_close(value, truth, rtol=1e-5, atol=1e-6)


def test_rate_is_constant_then_falls_to_zero(faces, tmp_path, monkeypatch):
    rates = []
    for number in range(1, 9):
        after_step(
            monkeypatch,
            "dmn",
            number,
            lambda stage, losses: rates.append(
                [group["lr"] for optimizer in stage.optimizers.values() for group in optimizer.param_groups]
            ),
        )
    train_stage("dmn", TINY.replace({"decay_from": 0.5, "dmn.lr": 0.01}), faces, tmp_path / "run", steps=8)
    truth = [0.01] * 5 + [0.0075, 0.005, 0.0025]
    assert rates == [pytest.approx([rate] * 2) for rate in truth]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 1.0])
def test_rate_never_rises_and_never_ends_before_the_run(share):
    settings = RunSettings(steps=40, batch_size=1, decay_from=share)
    rates = [settings.rate(step) for step in range(40)]
    assert rates == sorted(rates, reverse=True)
    assert all(rate == 1 for rate in rates[: int(share * 40) + 1]) and 0 < rates[-1] <= 1
    if share < 1:
        assert settings.rate(40) == 0
