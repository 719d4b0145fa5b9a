"""Weights and training states: bit for bit back, atomic, and one sentence for every file that cannot be used."""

import errno
import json
import os
import re

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.utils._pytree import tree_flatten

from maskgan_lib.checkpoints import (
    CheckpointError,
    load_into,
    load_state,
    load_weights,
    read_card,
    save_state,
    save_weights,
)
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.networks import NETWORKS, MultiScaleDiscriminator

SMALL = {
    "DenseMappingNetwork": {"width": 2, "downsamplings": 2, "blocks": 1, "style_width": 2, "mask_branch": False},
    "SPADEGenerator": {"width": 1, "mask_width": 2, "latent": 3, "bottom": 1, "style_size": 8},
    "StarGANGenerator": {"attributes": ["Smiling", "Young"], "width": 2, "blocks": 1},
    "StarGANDiscriminator": {"attributes": ["Smiling"], "image_size": 32, "width": 2},
    "Elegant": {"attributes": ["Smiling", "Young"], "width": 2, "latent": 5},
    "ElegantDiscriminator": {"attributes": ["Smiling"], "image_size": 64, "width": 2},
    "SeCGANGenerator": {"attributes": ["Smiling", "Young"], "branch": "seg", "backbone": "attgan", "width": 2},
    "AttGANDiscriminator": {"attributes": ["Smiling"], "image_size": 32, "width": 2, "inputs": 12},
    "MaskVAE": {"image_size": 16, "width": 2, "latent": 3},
    "AlphaBlender": {"width": 2, "downsamplings": 1, "blocks": 1, "alpha_channels": 1},
    "MultiScaleDiscriminator": {"width": 2, "layers": 2, "scales": 3},
    "FaceParser": {"num_classes": 5, "width": 2},
    "AttributeNet": {"attributes": ["Smiling", "Young"], "width": 2},
    "IdentityNet": {"image_size": 32, "embedding": 3, "width": 2},
    "PersonCentres": {"persons": 4, "embedding": 3},
    "PoseNet": {"width": 2},
    "SelfSupervisedNet": {"width": 2, "projection": 3},
}


def small(name: str, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return NETWORKS[name](**SMALL[name])


def equal_weights(a: nn.Module, b: nn.Module) -> bool:
    ours, others = a.state_dict(), b.state_dict()
    return ours.keys() == others.keys() and all(torch.equal(value, others[key]) for key, value in ours.items())


# Weights


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back_bit_for_bit_with_its_sizes(tmp_path, name):
    network = small(name)
    save_weights(tmp_path / "weights.safetensors", network)
    before = torch.get_rng_state()
    again = load_weights(tmp_path / "weights.safetensors")
    assert torch.equal(torch.get_rng_state(), before), "random numbers were drawn"
    assert type(again) is type(network)
    assert again.config == network.config
    assert not again.training
    assert equal_weights(network, again)


@torch.no_grad()
def test_a_loaded_network_computes_what_the_saved_one_did_and_can_be_trained_on(tmp_path):
    vae, path = small("MaskVAE"), tmp_path / "vae"
    mask = torch.rand(4, 19, 16, 16)
    vae(mask)
    made = vae.eval()(mask)[0]
    save_weights(path, vae.to(memory_format=torch.channels_last))
    again = load_weights(path)
    assert torch.equal(again(mask)[0], made)
    with torch.enable_grad():
        again(mask)[0].sum().backward()
    torch.optim.SGD(again.parameters(), 1.0).step()
    assert not equal_weights(again, load_weights(path)), "the step must not reach into the file"
    assert equal_weights(vae, load_weights(path))


def test_half_precision_halves_the_file_and_comes_back_as_float32(tmp_path):
    network = FaceParser(width=8)
    network.center[4].running_var.fill_(1e6)  # beyond the range of half precision: kept, not turned into infinity
    save_weights(tmp_path / "full", network)
    save_weights(tmp_path / "half", network, dtype=torch.float16)
    assert (tmp_path / "half").stat().st_size < 0.55 * (tmp_path / "full").stat().st_size
    half = load_weights(tmp_path / "half").state_dict()
    for key, value in network.state_dict().items():
        fits = value.is_floating_point() and key != "center.4.running_var"
        assert half[key].dtype == value.dtype and torch.equal(half[key], value.half().float() if fits else value), key


def test_the_card_is_read_without_the_weights_and_any_reader_of_safetensors_finds_all(tmp_path):
    card = {"data": "procedural faces", "steps": 2000, "figures": {"psnr": 20.5}, "command": "train dmn"}
    network, path = small("AlphaBlender"), tmp_path / "a" / "b" / "w.safetensors"
    for given, read in ((card, card), (None, {})):
        save_weights(path, network, given)
        assert read_card(path) == read
    assert [file.name for file in path.parent.iterdir()] == ["w.safetensors"]
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        assert set(file.keys()) == set(network.state_dict())
    assert (metadata["network"], metadata["format"]) == ("AlphaBlender", "1")
    assert json.loads(metadata["config"]) == network.config
    with pytest.raises(CheckpointError, match=r"Linear is not one of .*DenseMappingNetwork"):
        save_weights(path, nn.Linear(2, 2))


# Writing is atomic


@pytest.mark.parametrize(
    "write", [lambda path: save_weights(path, small("FaceParser", 1)), lambda path: save_state(path, {"a": 1})]
)
@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, write, trouble):
    path = tmp_path / "w"
    save_weights(path, small("FaceParser"))
    old = path.read_bytes()

    def fail(_):
        raise trouble

    monkeypatch.setattr(os, "fsync", fail)
    expected = CheckpointError if isinstance(trouble, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as caught:
        write(path)
    assert path.read_bytes() == old
    assert [file.name for file in tmp_path.iterdir()] == ["w"]
    if expected is CheckpointError:
        assert re.fullmatch(r".*w could not be written \(.*No space left.*\): free space, .*", str(caught.value))


def test_places_that_cannot_be_are_named(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(CheckpointError, match=r"w could not be written \(.*file"):
        save_weights(tmp_path / "file" / "w", small("FaceParser"))
    for read in (load_weights, read_card, load_state):
        with pytest.raises(CheckpointError, match=r"nowhere\.safetensors"):
            read(tmp_path / "nowhere.safetensors")


# Files that cannot be used


def flipped(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 1 << position % 8]) + data[position + 1 :]


def test_no_changed_byte_of_a_training_state_goes_unnoticed(tmp_path):
    """Those excepted that say that there is a checksum: without it the rest is read as it was written."""
    path = tmp_path / "state.pt"
    save_state(path, {"step": 7, "names": ["a", 0.5], "w": torch.arange(24.0)})
    data = path.read_bytes()
    says_so = data.rfind(b"sha256:")
    for position in [*range(0, says_so, 3), *range(says_so, len(data))]:
        path.write_bytes(flipped(data, position))
        if says_so <= position < says_so + len(b"sha256:"):
            state = load_state(path)
            assert torch.equal(state.pop("w"), torch.arange(24.0)) and state == {"step": 7, "names": ["a", 0.5]}
            continue
        with pytest.raises(CheckpointError, match=r"state\.pt cannot be read .*: delete it and start again"):
            load_state(path)


def test_no_changed_byte_of_a_weights_file_goes_unnoticed(tmp_path):
    path, network = tmp_path / "w.safetensors", small("AlphaBlender")
    save_weights(path, network, {"steps": 3})
    data = path.read_bytes()
    header = 8 + int.from_bytes(data[:8], "little")
    for position in [*range(header), *range(header, len(data), 29)]:
        path.write_bytes(flipped(data, position))
        try:
            loaded = load_weights(path)
            assert equal_weights(loaded, network) and loaded.config == network.config, position
            assert position < header, "a number changed"
        except CheckpointError as error:
            assert "w.safetensors" in str(error)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.99, 0.999])
def test_torn_files_are_told(tmp_path, share):
    for path, write, read in ((tmp_path / "w", save_weights, load_weights), (tmp_path / "s", save_state, load_state)):
        network = small("FaceParser")
        write(path, network if write is save_weights else network.state_dict())
        data = path.read_bytes()
        path.write_bytes(data[: int(share * len(data))])
        with pytest.raises(CheckpointError, match=f"{path.name} (is damaged|cannot be read)"):
            read(path)


def test_files_from_before_there_were_checksums_load(tmp_path):
    torch.save({"step": 7}, tmp_path / "state.pt")
    assert load_state(tmp_path / "state.pt") == {"step": 7}
    network = small("AlphaBlender")
    save_weights(tmp_path / "new", network, {"steps": 3})
    with safe_open(tmp_path / "new", "pt") as file:
        metadata = {key: value for key, value in file.metadata().items() if key != "sha256"}
    save_file(network.state_dict(), tmp_path / "old", metadata)
    assert equal_weights(load_weights(tmp_path / "old"), network) and read_card(tmp_path / "old") == {"steps": 3}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "2"}, "has format 2: update the library"),
        ({"network": "StarGAN"}, "holds a StarGAN, which this version of the library lacks"),
        ({"config": '{"wings": 2}'}, r"does not fit this version's FaceParser \(.*wings"),
        ({"config": '{"width": 4}'}, r"wrong shape: .*final\.weight \[19, 2, 1, 1\] instead of \[19, 4, 1, 1\]"),
        ({"card": None}, "was not written by this library"),
    ],
)
def test_weights_of_another_making_are_refused(tmp_path, change, message):
    network = FaceParser(width=2)
    metadata = {"format": "1", "network": "FaceParser", "config": '{"width": 2}', "card": "{}"} | change
    path = tmp_path / "w.safetensors"
    save_file(network.state_dict(), path, {key: value for key, value in metadata.items() if value is not None})
    with pytest.raises(CheckpointError, match=rf"w\.safetensors.*{message}"):
        load_weights(path)


# Strict loading


def test_load_into_copies_or_lists_all_that_does_not_fit_and_changes_nothing():
    network, state = small("AlphaBlender"), small("AlphaBlender", 1).state_dict()
    spoilt = state | {"body.first.bias": torch.zeros(7), "body.extra": torch.zeros(1)}
    del spoilt["body.last.weight"]
    with pytest.raises(CheckpointError) as caught:
        load_into(network, spoilt, "run/latest")
    listed = "missing: body.last.weight; unexpected: body.extra; wrong shape: body.first.bias [7] instead of [2]"
    assert str(caught.value).startswith("run/latest ") and listed in str(caught.value)
    assert equal_weights(network, small("AlphaBlender"))
    load_into(network, state, "state")
    state["body.first.bias"] += 1
    assert equal_weights(network, small("AlphaBlender", 1))


# Training states


def test_a_training_state_comes_back_bit_for_bit(tmp_path):
    network = MultiScaleDiscriminator(num_classes=2, width=2)
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    network(torch.rand(1, 2, 32, 32), torch.rand(1, 3, 32, 32))[0][-1].sum().backward()
    optimiser.step()
    state = {"network": network.state_dict(), "adam": optimiser.state_dict(), "names": ("a", None, [0.1, True], 7)}
    save_state(tmp_path / "state.pt", state)
    (ours, form), (saved, its_form) = tree_flatten(load_state(tmp_path / "state.pt")), tree_flatten(state)
    assert form == its_form
    assert all(torch.equal(a, b) if isinstance(b, torch.Tensor) else a == b for a, b in zip(ours, saved, strict=True))
