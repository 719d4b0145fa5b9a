"""Whatever makes pictures or masks learns two faces by heart."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_runs import TINY, train_tiny
from torch import nn
from toy_faces import pack_toy_faces

from maskgan_lib.checkpoints import load_weights
from maskgan_lib.data.batches import Batch, Batches, merge
from maskgan_lib.evaluation.metrics import confusion_matrix, pixel_accuracy, psnr
from maskgan_lib.methods.elegant import Elegant
from maskgan_lib.networks import one_hot
from maskgan_lib.networks.blocks import SpectralConv2d
from maskgan_lib.training.ebst import simulate_edits
from maskgan_lib.training.stages import train_stage

Learn = Callable[[str, int, dict], tuple[dict[str, nn.Module], list[dict]]]
"""Trains a stage for so many steps with these settings; its networks by name, and the log."""


@pytest.fixture
def faces(tmp_path):
    return pack_toy_faces(tmp_path / "two", 2)


@pytest.fixture
def learn(faces, tmp_path) -> Learn:
    def learn(name: str, steps: int, settings: dict, **trained):
        preset = TINY.replace({f"{section}.{key}": v for section, own in settings.items() for key, v in own.items()})
        preset = replace(preset, log_every=10, checkpoint_every=999, sample_every=999)
        log = train_tiny(name, faces, tmp_path / name, preset, steps=steps, **trained)
        return {path.stem: load_weights(path) for path in (tmp_path / name).glob("*.safetensors")}, log

    return learn


@pytest.fixture
def batch(faces) -> Batch:
    return Batches(faces, np.arange(2), 2, references=True).at(0)


@torch.no_grad()
def close(made: torch.Tensor, batch: Batch) -> float:
    """PSNR of the worse one."""
    return psnr(made, batch.image).min().item()


def test_maskvae(learn: Learn, batch):
    networks, _ = learn("maskvae", 150, {"maskvae": {"batch": 2, "latent": 16, "lr": 3e-3}})
    with torch.no_grad():
        logits, _, _ = networks["maskvae"](one_hot(batch.mask))
    assert pixel_accuracy(confusion_matrix(logits.argmax(dim=1), batch.mask)) >= 0.97


@pytest.mark.parametrize("name", ["dmn", "pix2pixhd-m"])
def test_dmn(name, learn: Learn, batch):
    networks, _ = learn(name, 160, {"dmn": {"width": 8, "batch": 2, "lr": 2e-3}})
    mask = one_hot(batch.mask)
    assert close(networks["dmn"](mask, batch.image, mask), batch) > 20


def test_ebst(learn: Learn, batch, tmp_path):
    """Blend and reconstruction both come close to the photographs."""
    networks, _ = learn("ebst", 120, {"dmn": {"width": 8}, "ebst": {"batch": 2, "lr": 2e-3}})
    dmn, mask = networks["dmn"], one_hot(batch.mask)
    vae = load_weights(next(tmp_path.glob("untrained-maskvae*")))
    edits = torch.cat(simulate_edits(vae, mask, one_hot(batch.reference)))
    blend, _ = networks["blender"](*dmn(edits, batch.image, mask).chunk(2))
    assert close(dmn(mask, batch.image, mask), batch) > 19 and close(blend, batch) > 15


def test_spade(learn: Learn, batch):
    """The other face's style makes another face, and averaged kernels have norm one."""
    # Each face twice in a batch: over two values, running statistics are far from a batch's own.
    networks, _ = learn("spade", 64, {"spade": {"mask_width": 8, "lr": 5e-3, "disc_lr": 5e-3, "kl_weight": 0.05}})
    spade, mask = networks["spade"], one_hot(batch.mask)
    assert close(spade(mask, batch.image), batch) > 17
    assert psnr(spade(mask, batch.image.flip(0)), batch.image).max() < 13
    kernels = [module.kernel() for module in spade.modules() if isinstance(module, SpectralConv2d)]
    assert len(kernels) == 21
    for kernel in kernels:
        assert torch.linalg.svdvals(kernel.detach().flatten(1))[0].item() == pytest.approx(1, abs=0.02)


def test_stargan(learn: Learn, batch):
    weights = {"penalty_weight": 10.0, "disc_class_weight": 1.0, "class_weight": 1.0, "cycle_weight": 10.0}
    sizes = {"width": 8, "blocks": 1, "critic_updates": 1, "batch": 2, "lr": 3e-3, "identity_weight": 0.0}
    networks, log = learn("stargan", 80, {"stargan": weights | sizes})
    labels, network = torch.from_numpy(batch.index % 2).float()[:, None], networks["stargan"]
    assert close(network(network(batch.image, 1 - labels), labels), batch) > 15
    assert log[-1]["cycle"] < 0.4 * log[0]["cycle"] and log[-1]["real classes"] < 0.3 < 0.5 < log[0]["real classes"]


def test_elegant(learn: Learn, batch, monkeypatch):
    """From a decoder that spoils every face at first."""
    init = Elegant.__init__

    def spoiled(self, *arguments, **settings):
        init(self, *arguments, **settings)
        self.last.weight.data.mul_(25)

    monkeypatch.setattr(Elegant, "__init__", spoiled)
    networks, log = learn("elegant", 70, {"elegant": {"width": 8, "batch": 2, "lr": 2e-3, "disc_lr": 2e-4}})
    assert close(networks["elegant"].transfer(batch.image, batch.image, "Smiling"), batch) > 20
    assert log[-1]["reconstruction"] < 0.1 * log[0]["reconstruction"]


def test_secgan(learn: Learn, batch, faces, tmp_path):
    """Unchanged faces come back, their masks too, and the parser sees in pictures what the masks say."""
    own = TINY.replace({"parser.classes": 12, "parser.width": 8, "parser.batch": 2, "parser.lr": 1e-2})
    train_stage("parser", own, faces, tmp_path / "parser", steps=50)
    weights = {"penalty_weight": 10.0, "disc_class_weight": 1.0, "class_weight": 1.0, "reconstruction_weight": 10.0}
    sizes = {"width": 6, "blocks": 1, "critic_updates": 1, "batch": 2, "lr": 5e-3}
    parser = tmp_path / "parser" / "parser.safetensors"
    networks, log = learn("secgan", 60, {"secgan": weights | sizes}, parser=parser)
    unchanged = torch.zeros(2, 1)
    with torch.no_grad():
        mask = load_weights(parser)(batch.image).softmax(dim=1)
        assert (mask.argmax(dim=1) == merge(batch.mask)).float().mean() > 0.8
        assert close(networks["g_rgb"](batch.image, unchanged), batch) > 16
        assert (networks["g_seg"](mask, unchanged).argmax(dim=1) == mask.argmax(dim=1)).float().mean() > 0.9
    entropy = -(mask * mask.log()).sum(dim=1).mean().item()  # what is left of the reconstruction of a soft mask
    first, last = log[0], log[-1]
    assert last["reconstruction"] < 0.6 * first["reconstruction"]
    assert last["seg reconstruction"] - entropy < 0.3 * (first["seg reconstruction"] - entropy)
    for branch in ("", "seg "):
        assert last[f"{branch}consistency"] < 0.5 * first[f"{branch}consistency"]
        assert last[f"{branch}real classes"] < 0.3 < 0.5 < first[f"{branch}real classes"]
        assert last[f"{branch}made classes"] < 0.4 < 0.5 < first[f"{branch}made classes"]
