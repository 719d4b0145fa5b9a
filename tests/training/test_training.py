"""The training loop: what a run leaves behind, exact resume, safe stops, refusals, averages and rates."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_runs import RUNS, STEPS, TINY, after_step, assert_same_run, press_ctrl_c, train_tiny
from toy_faces import pack_toy_faces

from maskgan_lib.checkpoints import CheckpointError, load_state, load_weights, read_card
from maskgan_lib.data.batches import Batches
from maskgan_lib.training import loop
from maskgan_lib.training.loop import RunSettings, load_log, newest_checkpoint
from maskgan_lib.training.stage import TrainingError, tile
from maskgan_lib.training.stages import STAGES, make_stage, train_stage

# ---- what a run leaves behind

ADVERSARIAL = {"discriminator", "adversarial", "feature", "perceptual"}
SECGAN = {"critic", "penalty", "real classes", "adversarial", "made classes", "reconstruction"}


@pytest.mark.parametrize("name", STAGES)
def test_run_leaves_log_samples_and_weights(name, uninterrupted, faces):
    folder = uninterrupted[name]
    log = load_log(folder)
    assert [entry["step"] for entry in log] == [2, 3, 4, 6, 7]
    assert all(np.isfinite(list(entry.values())).all() for entry in log)
    expected = {
        "maskvae": {"loss", "reconstruction", "kl"},
        "dmn": ADVERSARIAL,
        "ebst": ADVERSARIAL | {f"blend {loss}" for loss in ADVERSARIAL},
        "pix2pixhd-m": ADVERSARIAL,
        "spade": ADVERSARIAL | {"kl"},
        "stargan": {"critic", "penalty", "real classes", "adversarial", "made classes", "cycle", "identity"},
        "elegant": {"discriminator", "adversarial", "reconstruction"},
        "secgan": SECGAN | {"consistency", "seg consistency"} | {f"seg {loss}" for loss in SECGAN},
        "parser": {"loss"},
        "attributes": {"loss", "wrong"},
        "identity": {"loss", "wrong"},
        "pose": {"loss", "degrees"},
        "selfsupervised": {"loss", "invariance", "variance", "covariance"},
    }[name]
    assert set(log[0]) == {"step", "seconds"} | expected
    assert sorted(path.name for path in (folder / "samples").iterdir()) == ["step-000005.png", "step-000007.png"]
    rows, columns = {
        "maskvae": (2, 8),
        "dmn": (4, 4),
        "ebst": (9, 4),
        "pix2pixhd-m": (4, 4),
        "spade": (4, 4),
        "stargan": (3, 8),
        "elegant": (4, 8),
        "secgan": (6, 8),
        "parser": (3, 8),
        "attributes": (1, 8),
        "identity": (2, 8),
        "pose": (1, 8),
        "selfsupervised": (4, 8),
    }[name]
    assert Image.open(folder / "samples" / "step-000007.png").size == (columns * 32, rows * 32)
    networks = {
        "maskvae": {"maskvae": "MaskVAE"},
        "dmn": {"dmn": "DenseMappingNetwork"},
        "ebst": {"dmn": "DenseMappingNetwork", "blender": "AlphaBlender"},
        "pix2pixhd-m": {"dmn": "DenseMappingNetwork"},
        "spade": {"spade": "SPADEGenerator"},
        "stargan": {"stargan": "StarGANGenerator"},
        "elegant": {"elegant": "Elegant"},
        "secgan": {"g_rgb": "SeCGANGenerator", "g_seg": "SeCGANGenerator"},
        "parser": {"parser": "FaceParser"},
        "attributes": {"attributes": "AttributeNet"},
        "identity": {"identity": "IdentityNet"},
        "pose": {"pose": "PoseNet"},
        "selfsupervised": {"selfsupervised": "SelfSupervisedNet"},
    }[name]
    assert {path.stem: type(load_weights(path)).__name__ for path in folder.glob("*.safetensors")} == networks
    if name == "pix2pixhd-m":
        assert not load_weights(folder / "dmn.safetensors").config["mask_branch"], "its style encoder sees no mask"
    for network in networks:
        card = read_card(folder / f"{network}.safetensors")
        assert (card["steps"], card["data"], card["faces"], card["image_size"]) == (STEPS, "toy faces", 8, 32)
    assert not list(folder.glob("*.partial")) and not list(folder.glob("*.coming*"))


def test_only_the_train_split_is_seen(faces, tmp_path, monkeypatch):
    seen = set()
    at = Batches.at
    monkeypatch.setattr(Batches, "at", lambda self, step: seen.update(self.order(step)) or at(self, step))
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


# ---- resume


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.parametrize("stop", range(1, STEPS))
def test_resumed_after_any_step_is_as_uninterrupted(name, stop, faces, uninterrupted, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        after_step(patch, name, stop, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt, match=f"stopped after step {stop}; go on with --resume"):
            train_tiny(name, faces, tmp_path / "run", steps=STEPS, seed=3)
    assert newest_checkpoint(tmp_path / "run")["step"] == stop
    torch.manual_seed(1234)
    train_tiny(name, faces, tmp_path / "run", steps=STEPS, seed=3, resume=True)
    assert_same_run(tmp_path / "run", uninterrupted[name])


def test_a_finished_run_resumes_to_itself(faces, uninterrupted, tmp_path):
    train_stage("dmn", TINY, faces, tmp_path / "run", steps=STEPS, seed=3, resume=True)
    assert_same_run(tmp_path / "run", uninterrupted["dmn"])
    assert len(train_stage("dmn", TINY, faces, tmp_path / "run", steps=STEPS, seed=3, resume=True)) == 5
    assert_same_run(tmp_path / "run", uninterrupted["dmn"])


@pytest.mark.parametrize("left", [0.0, 0.5, 0.99])
def test_a_truncated_checkpoint_costs_only_the_steps_since_the_one_before(
    left, faces, uninterrupted, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        after_step(patch, "maskvae", 5, press_ctrl_c)
        with pytest.raises(KeyboardInterrupt):
            train_stage("maskvae", TINY, faces, folder, steps=STEPS, seed=3)
    data = (folder / "checkpoint.pt").read_bytes()
    (folder / "checkpoint.pt").write_bytes(data[: int(left * len(data))])
    train_stage("maskvae", TINY, faces, folder, steps=STEPS, seed=3, resume=True)
    assert "Going on from checkpoint.previous.pt" in capsys.readouterr().out
    assert_same_run(folder, uninterrupted["maskvae"])


def test_damaged_checkpoints_are_no_reason_to_start_anew(faces, uninterrupted, tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"")
    (tmp_path / "checkpoint.previous.pt").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match=r"checkpoint\.previous\.pt cannot be read"):
        train_stage("maskvae", TINY, faces, tmp_path, steps=STEPS, seed=3, resume=True)


def test_a_disk_that_fills_up_leaves_both_checkpoints(faces, tmp_path, monkeypatch):
    save_state, calls = loop.save_state, []

    def third_fails(path, state):
        calls.append(path)
        if len(calls) == 3:
            raise CheckpointError("no space left")
        save_state(path, state)

    monkeypatch.setattr(loop, "save_state", third_fails)
    with pytest.raises(CheckpointError, match="no space left"):
        train_stage("maskvae", TINY, faces, tmp_path / "run", steps=12)
    kept = [load_state(tmp_path / "run" / name)["step"] for name in ("checkpoint.previous.pt", "checkpoint.pt")]
    assert kept == [3, 6]


# ---- refusals


def test_a_folder_that_holds_a_run_is_refused(faces, uninterrupted):
    before = (uninterrupted["dmn"] / "log.jsonl").read_text()
    with pytest.raises(TrainingError, match="holds an earlier run"):
        train_stage("dmn", TINY, faces, uninterrupted["dmn"], steps=STEPS, seed=3)
    assert (uninterrupted["dmn"] / "log.jsonl").read_text() == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4}, ["seed 3 there, 4 here"]),
        ({"steps": 9}, ["steps 7 there, 9 here"]),
        (
            {"preset": TINY.replace({"dmn.batch": 2, "dmn.lr": 0.1})},
            ["batch_size 4 there, 2 here", "lr 0.0002 there, 0.1 here"],
        ),
        ({"preset": TINY.replace({"adversary.perceptual_weight": 1.0})}, ["perceptual_weight 10.0 there, 1.0 here"]),
        ({"indices": np.arange(3)}, ["faces 8 there, 3 here"]),
        ({"preset": TINY.replace({"dmn.width": 8})}, ["dmn width 4 there, 8 here"]),
    ],
)
def test_other_settings_are_refused_by_name(changes, named, faces, uninterrupted):
    settings = {"preset": TINY, "steps": STEPS, "seed": 3, **changes}
    with pytest.raises(TrainingError) as error:
        train_stage("dmn", settings.pop("preset"), faces, uninterrupted["dmn"], resume=True, **settings)
    assert all(text in str(error.value) for text in named)


def test_another_stage_and_other_faces_are_refused(faces, uninterrupted, tmp_path):
    with pytest.raises(TrainingError, match="stage dmn there, maskvae here"):
        train_stage("maskvae", TINY, faces, uninterrupted["dmn"], steps=STEPS, seed=3, resume=True)
    others = pack_toy_faces(tmp_path / "others", 8)
    with pytest.raises(TrainingError, match=r"made_by \{'count': 12\} there, \{'count': 8\} here"):
        train_stage("dmn", TINY, others, uninterrupted["dmn"], steps=STEPS, seed=3, resume=True)


def test_unknown_stage(faces):
    with pytest.raises(ValueError, match="dmn, ebst, elegant"):
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


def test_a_rate_that_is_too_high_blows_up_with_a_finite_checkpoint(faces, tmp_path):
    preset = TINY.replace({"maskvae.lr": 1e12, "checkpoint_every": 1})
    with pytest.raises(TrainingError, match=r"not finite|became"):
        train_stage("maskvae", preset, faces, tmp_path / "run", steps=200)
    for path in (tmp_path / "run").glob("checkpoint*.pt"):
        assert all(v.isfinite().all() for v in load_state(path)["networks"]["maskvae"].values())


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
