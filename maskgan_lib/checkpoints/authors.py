"""The authors' own checkpoints, by the key names of their classes: read into our networks, and written back.

Which network a file holds, and its widths and depths, follow from the names and shapes in it. Only names are mapped:
the numbers are the same, those of the AdaIN head in the same order.
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskgan_lib.checkpoints.files import CheckpointError, atomic, check_keys, load_into, read_state_dict
from maskgan_lib.networks import NETWORKS

ADVICE = "download it again"
ADAIN_BUFFER = re.compile(r"model\.\d+\.conv_block\.\d+\.norm\.running_(mean|var)")
"""Buffers that the authors' AdaIN registers, never updates and never uses."""

Config = Mapping[str, Any]
State = Mapping[str, Tensor]
Names = dict[str, str]


def load_authors(path: str | Path) -> nn.Module:
    """Our network, in evaluation mode, with the weights of one of the authors' checkpoints, e.g. ``latest_net_G.pth``.

    Reads their generator, blender, discriminator, VAE and parser, at any width and depth. A ``module.`` before all
    names is removed, the AdaIN buffers are ignored, counters of batch normalisation may be missing.

    Raises:
        CheckpointError: unreadable, not one of the five, or with missing, unexpected or wrong-shaped keys (listed).
    """
    state = read_state_dict(path, ADVICE, "give one of the authors' .pth files")
    state = {key: value for key, value in state.items() if not ADAIN_BUFFER.fullmatch(key)}
    name = next((name for name, (telling, _, _) in KINDS.items() if telling in state), None)
    if name is None:
        some = ", ".join(list(state)[:3]) or "nothing"
        raise CheckpointError(f"{path} holds none of the authors' networks ({some} ...): give one of their .pth files.")
    try:
        with torch.device("meta"):
            network = NETWORKS[name](**KINDS[name][1](state))
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"{path} is not a whole {name} (at {error}): {ADVICE}.") from error
    names, own = _their_keys(network), network.state_dict()
    for ours, theirs in names.items():
        if ours.endswith("num_batches_tracked"):
            state.setdefault(theirs, torch.tensor(0))
    check_keys({theirs: own[ours] for ours, theirs in names.items()}, state, str(path))
    load_into(network, {ours: state[theirs] for ours, theirs in names.items()}, str(path))
    return network.eval()


def authors_state(network: nn.Module) -> OrderedDict[str, Tensor]:
    """The state dict of a network under the authors' key names, the dummy buffers of their AdaIN included."""
    own, state = network.state_dict(), OrderedDict()
    for ours, theirs in _their_keys(network).items():
        state[theirs] = own[ours].detach()
        norm = theirs.removesuffix("conv.bias") + "norm.running_"
        if type(network).__name__ == "DenseMappingNetwork" and ADAIN_BUFFER.fullmatch(f"{norm}mean"):
            state[f"{norm}mean"], state[f"{norm}var"] = torch.zeros_like(own[ours]), torch.ones_like(own[ours])
    return state


def export_authors(network: nn.Module, path: str | Path) -> None:
    """Write ``authors_state(network)`` in PyTorch's old file format, for the authors' code to load."""
    state = OrderedDict((key, value.cpu().contiguous()) for key, value in authors_state(network).items())
    with atomic(path) as file:
        torch.save(state, file, _use_new_zipfile_serialization=False)


def _their_keys(network: nn.Module) -> Names:
    """Our state dict's keys to theirs: the layer's name changes, ``weight``, ``bias`` ... stay."""
    if type(network).__name__ not in KINDS:
        raise CheckpointError(f"The authors have no {type(network).__name__}: give one of the five networks.")
    known = {"style": "global", "upsampling": "transposed"}
    others = [f"{k}={network.config[k]}" for k, value in known.items() if network.config.get(k, value) != value]
    if others:
        raise CheckpointError(f"The authors' code knows no {' and no '.join(others)}: keep it here.")
    layers = KINDS[type(network).__name__][2](network.config)
    split = {key: key.rpartition(".") for key in network.state_dict()}
    return {key: f"{layers[layer]}.{leaf}" for key, (layer, _, leaf) in split.items()}


def _encoder_decoder_config(state: State) -> dict[str, Any]:
    width = state["model.1.weight"].shape[0]
    blocks = {int(key.split(".")[1]) for key in state if ".conv_block." in key}
    if not blocks or (min(blocks) - 4) % 3:
        raise ValueError("the residual blocks")
    return {"width": width, "downsamplings": (min(blocks) - 4) // 3, "blocks": len(blocks)}


def _encoder_decoder_names(prefix: str, config: Config) -> Names:
    """Their ``model`` is one sequence in which a convolution is followed by its normalisation and its activation."""
    downs, blocks = config["downsamplings"], config["blocks"]
    first_block = 4 + 3 * downs
    first_up = first_block + blocks
    names = {f"{prefix}.first": "model.1"}
    names |= {f"{prefix}.down.{i}": f"model.{4 + 3 * i}" for i in range(downs)}
    for i in range(blocks):
        block = f"model.{first_block + i}.conv_block"
        names |= {f"{prefix}.blocks.{i}.conv1": f"{block}.0.conv", f"{prefix}.blocks.{i}.conv2": f"{block}.1.conv"}
    names |= {f"{prefix}.up.{i}": f"model.{first_up + 3 * i}" for i in range(downs)}
    return names | {f"{prefix}.last": f"model.{first_up + 3 * downs + 1}"}


def _dmn_config(state: State) -> dict[str, Any]:
    return {
        "num_classes": state["model.1.weight"].shape[1],
        **_encoder_decoder_config(state),
        "style_width": state["enc_style.model.0.conv.weight"].shape[0],
        "mask_branch": any(key.startswith("enc_label.") for key in state),
    }


def _dmn_names(config: Config) -> Names:
    names = _encoder_decoder_names("backbone", config)
    names["style_to_adain"] = "enc_style.model_last.1"
    for i in range(3):
        # In our sequences an activation stands between two convolutions; the second mask one begins with an activation.
        names |= {
            f"style_encoder.image_first.{2 * i}": f"enc_style.model.{i}.conv",
            f"style_encoder.image_second.{2 * i}": f"enc_style.model_middle.{i}.conv",
            f"style_encoder.mask_first.{2 * i}": f"enc_label.model.{i}.conv",
            f"style_encoder.mask_second.{2 * i + 1}": f"enc_label.model_last.{i + 1}.conv",
        }
    for layer, (ours, theirs), i in product(("sft1", "sft2"), (("gamma", "scale"), ("beta", "shift")), (1, 2)):
        names[f"style_encoder.{layer}.{ours}.{2 * i - 2}"] = f"enc_style.{layer}.SFT_{theirs}_conv{i}"
    return names


def _blender_config(state: State) -> dict[str, Any]:
    config = _encoder_decoder_config(state)
    last = _encoder_decoder_names("body", config)["body.last"]
    return {**config, "alpha_channels": state[f"{last}.weight"].shape[0]}


def _discriminator_config(state: State) -> dict[str, Any]:
    width, inputs = state["scale0_layer0.0.weight"].shape[:2]
    layers = [key for key in state if re.fullmatch(r"scale0_layer\d+\.0\.weight", key)]
    scales = [key for key in state if re.fullmatch(r"scale\d+_layer0\.0\.weight", key)]
    return {"num_classes": inputs - 3, "width": width, "layers": len(layers) - 2, "scales": len(scales)}


def _discriminator_names(config: Config) -> Names:
    """They number the scales from the smallest image to the full one, we the other way round."""
    last = config["scales"] - 1
    layers = range(config["layers"] + 2)
    return {f"scales.{s}.{i}.0": f"scale{last - s}_layer{i}.0" for s in range(last + 1) for i in layers}


def _vae_config(state: State) -> dict[str, Any]:
    width, num_classes = state["e1.weight"].shape[:2]
    stages = sum(re.fullmatch(r"e\d+\.weight", key) is not None for key in state)
    latent = state["fc1.weight"].shape[0]
    return {"image_size": 4 * 2**stages, "num_classes": num_classes, "width": width, "latent": latent}


def _vae_names(config: Config) -> Names:
    stages = config["image_size"].bit_length() - 3
    names = {"mu": "fc1", "logvar": "fc2", "expand": "d1", "logits.1": f"d{stages + 1}"}
    for i in range(stages):
        names |= {f"down.{i}.0": f"e{i + 1}", f"down.{i}.1": f"bn{i + 1}"}
    for i in range(stages - 1):
        names |= {f"up.{i}.1": f"d{i + 2}", f"up.{i}.2": f"bn{stages + i + 1}"}
    return names


def _parser_config(state: State) -> dict[str, Any]:
    num_classes, width = state["final.weight"].shape[:2]
    return {"num_classes": num_classes, "width": width}


def _parser_names(config: Config) -> Names:
    names = {"final": "final"} | {f"enlarge.{i}": f"up_concat{4 - i}.up" for i in range(4)}
    double = {"center": "center"} | {f"down.{i}": f"conv{i + 1}" for i in range(4)}
    double |= {f"up.{i}": f"up_concat{4 - i}.conv" for i in range(4)}
    for (ours, theirs), i, part in product(double.items(), (0, 1), (0, 1)):
        names[f"{ours}.{3 * i + part}"] = f"{theirs}.conv{i + 1}.{part}"
    return names


KINDS = {
    "DenseMappingNetwork": ("enc_style.model.0.conv.weight", _dmn_config, _dmn_names),
    "AlphaBlender": ("model.1.weight", _blender_config, lambda config: _encoder_decoder_names("body", config)),
    "MultiScaleDiscriminator": ("scale0_layer0.0.weight", _discriminator_config, _discriminator_names),
    "MaskVAE": ("fc1.weight", _vae_config, _vae_names),
    "FaceParser": ("final.weight", _parser_config, _parser_names),
}
"""By network: the key that tells it, its arguments by its shapes, its layers' names by its arguments.

In the order of the test: the generator, too, has the key that tells the blender.
"""
