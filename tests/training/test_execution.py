"""How a run is executed must not change what is learnt: parts of a batch, recomputed activations, TensorBoard."""

import pytest
import torch
from accelerate import Accelerator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import RUNS, TINY, needed, train_tiny
from toy_networks import batches_of, descending

from maskgan_lib.data.batches import Batches
from maskgan_lib.losses import PerceptualLoss, VGG19Features
from maskgan_lib.networks.blocks import Recomputing
from maskgan_lib.training.execution import Execution, make_accelerator, set_recompute
from maskgan_lib.training.loop import load_log
from maskgan_lib.training.stage import TrainingError
from maskgan_lib.training.stages import STAGES, make_stage

IN_PARTS = [name for name, (stage, _) in RUNS.items() if STAGES[stage].accumulates]


@pytest.fixture
def make(in_double, faces, tmp_path):
    """A function that makes a stage, always with the same weights and with plain gradient descent, and its batches."""

    def make(name):
        name, preset = RUNS[name]
        return descending(name, preset, faces, **needed(tmp_path)), batches_of(name, preset, faces)

    return make


@pytest.mark.parametrize("way", ["parts", "recomputed activations"])
@pytest.mark.parametrize("name", IN_PARTS)
def test_how_a_step_is_executed_does_not_change_what_it_teaches(name, way, make):
    (plain, at), (other, _) = make(name), make(name)
    start = {key: [p.detach().clone() for p in n.parameters()] for key, n in plain.networks.items()}
    parts = 4 if way == "parts" else 1
    for module in other.modules():
        set_recompute(module, way != "parts")
    inner = [m for network in other.networks.values() for m in network.modules() if isinstance(m, Recomputing)]
    assert inner and all(m.recompute == (way != "parts") for m in inner)
    for step in range(2):
        losses = plain.step([at(step)], Accelerator()), other.step(at(step).parts(parts), Accelerator())
        for key, value in losses[0].items():
            # A regional style, and so its rate, has single precision.
            torch.testing.assert_close(losses[1][key], value, rtol=1e-6 if key == "style rate" else 1e-9, atol=1e-12)
    for key, network in plain.networks.items():
        moved, others = 0.0, other.networks[key].parameters()
        for theirs, ours, before in zip(network.parameters(), others, start[key], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-10)
            moved = max(moved, (theirs - before).abs().max().item())
        assert moved > 1e-6


def saved_bytes(work) -> int:
    """Bytes of the distinct activations that ``work`` keeps for the way back."""
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        assert work().requires_grad
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in kept}.values())


def test_parts_and_recomputing_keep_less(make):
    stage, at = make("ebst")
    batch = at(0)
    whole, part = saved_bytes(lambda: stage.blend(batch)), saved_bytes(lambda: stage.blend(batch.parts(4)[0]))
    for module in stage.modules():
        set_recompute(module, True)
    less = saved_bytes(lambda: stage.blend(batch))
    assert part < 0.4 * whole and less < 0.5 * whole


def test_vgg_recomputes_too():
    torch.manual_seed(0)
    loss = PerceptualLoss(VGG19Features(trained=False))
    real, made = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    gradients = []
    for recompute in (False, True):
        set_recompute(loss, recompute)
        leaf = made.clone().requires_grad_()
        loss(leaf, real).backward()
        gradients.append(leaf.grad)
    assert gradients[0].any() and torch.equal(*gradients)


def test_batch_normalisation_takes_no_parts(faces, tmp_path):
    with pytest.raises(TrainingError, match="maskvae has batch normalisation"):
        train_tiny("maskvae", faces, tmp_path / "run", execution=Execution(accumulate=2))


@pytest.mark.parametrize("parts", [0, 3, 8])
def test_parts_that_do_not_divide_are_refused(parts, faces, tmp_path):
    with pytest.raises(TrainingError, match=f"4 faces cannot be cut into {parts} equal parts on each of 1 processes"):
        train_tiny("dmn", faces, tmp_path / "run", steps=1, execution=Execution(accumulate=parts))


def test_a_run_may_be_resumed_in_other_parts(faces, tmp_path):
    """Memory that ran out is no reason to start anew."""
    train_tiny("ebst", faces, tmp_path / "run", steps=4)
    (tmp_path / "run" / "checkpoint.pt").unlink()
    train_tiny("ebst", faces, tmp_path / "run", steps=4, resume=True, execution=Execution(accumulate=2, recompute=True))
    assert load_log(tmp_path / "run")[-1]["step"] == 4


def test_a_precision_that_cannot_be_had_is_explained():
    with pytest.raises(TrainingError, match="no precision 'fp8': choose one of no, bf16, fp16"):
        make_accelerator("fp8")
    with pytest.raises(TrainingError, match="fp16 needs a GPU: leave --precision out"):
        make_accelerator("fp16")
    make_accelerator("no")
    with pytest.raises(TrainingError, match=r"bf16 cannot be used here .*leave --precision out, or restart"):
        make_accelerator("bf16")


@pytest.mark.parametrize("name", ["dmn", "ebst", "spade", "secgan"])
def test_frozen_networks_compute_in_the_precision_of_the_run(name, faces, monkeypatch):
    stage, accelerator = make_stage(name, TINY, faces, **needed(faces.folder.parent)), Accelerator()
    monkeypatch.setattr(accelerator, "autocast", lambda: torch.autocast("cpu", torch.bfloat16))
    seen = {}
    for frozen in (module for module in stage.modules() if not any(p.requires_grad for p in module.parameters())):
        for place, layer in (("first", next(frozen.children())), ("last", list(frozen.children())[-1])):
            kind = f"{type(frozen).__name__} {place}"
            layer.register_forward_hook(lambda _, __, made, kind=kind: seen.setdefault(kind, made))
    stage.step([Batches(faces, faces.indices("train"), 8, references=True, expressions=True).at(0)], accelerator)
    made = {kind: maps[-1] if isinstance(maps, list) else maps for kind, maps in seen.items()}
    expected = {"dmn": {"PerceptualLoss"}, "spade": {"PerceptualLoss"}, "secgan": {"FaceParser"}}
    assert {kind.split()[0] for kind in made} == expected.get(name, {"PerceptualLoss", "MaskVAE"})
    assert {maps.dtype for maps in made.values()} == {torch.bfloat16}


def test_tensorboard_holds_the_log(faces, tmp_path):
    train_tiny("dmn", faces, tmp_path / "run", steps=4, execution=Execution(tensorboard=True))
    board = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    board.Reload()
    for name in ("adversarial", "discriminator", "feature", "perceptual"):
        written = [(event.step, event.value) for event in board.Scalars(name)]
        assert written == [(e["step"], pytest.approx(e[name], rel=1e-6)) for e in load_log(tmp_path / "run")]
    assert [event.step for event in board.Images("samples")] == [4]


def test_without_tensorboard_it_says_what_to_install(faces, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(TrainingError, match="pip install tensorboard"):
        train_tiny("dmn", faces, tmp_path / "run", steps=1, execution=Execution(tensorboard=True))
