"""Weights that ship: half the size, with what was measured in their metadata and a model card to read beside them."""

from dataclasses import asdict
from pathlib import Path

import torch

from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card, save_weights
from maskgan_lib.evaluation.estimates import Figure

DRAWN = """Procedural faces are a stand-in: nothing here compares with figures on CelebAMask-HQ, and the network knows
no photographs. Licence: Apache-2.0, like the code."""


def publish(weights: str | Path, out: str | Path, measured_on: str, figures: list[Figure]) -> None:
    """Copy ``weights`` to ``out`` in half precision, with ``figures`` in the card, and write the card as Markdown."""
    out = Path(out)
    network = load_weights(weights)
    if "preset" not in read_card(weights):
        raise CheckpointError(f"{weights} has no card of a training of this library, so none can be published.")
    card = {**read_card(weights), "measured_on": measured_on, "figures": [asdict(figure) for figure in figures]}
    save_weights(out, network, card, dtype=torch.float16)
    out.with_suffix(".md").write_text(card_text(out.stem, network, card, figures), encoding="utf-8")


def card_text(name: str, network: torch.nn.Module, card: dict, figures: list[Figure]) -> str:
    """The model card as Markdown."""
    count = sum(parameter.numel() for parameter in network.parameters())
    alone = card["started_from"] == "random weights"
    rows = [
        ("network", f"`{type(network).__name__}`, {count:,} parameters, stored in half precision"),
        ("trained on", f"{card['faces']:,} {card['data']}, {card['image_size']} x {card['image_size']} pixels"),
        ("started from", card["started_from"] + ("" if alone else ", the phase before in `make.sh`")),
        ("preset", f"`{card['preset']['name']}`, {card['steps']:,} steps, seed {card['seed']}"),
        ("perceptual loss", card["perceptual"]),
        ("took" if alone else "this phase took", f"{card['seconds'] / 60:.0f} minutes on {card['hardware']}"),
        ("commands", "`sh data/pretrained/make.sh`"),
    ]
    table = "\n".join(f"| {name} | {value} |" for name, value in rows if value)
    measured = "\n".join(f"- {figure}" for figure in figures)
    brackets = " (95 % intervals of the mean in brackets)" if any(figure.interval for figure in figures) else ""
    return f"""# {name}

| | |
|---|---|
{table}

Measured on {max(figure.faces for figure in figures)} unseen {card["measured_on"]}{brackets}:

{measured}

{DRAWN if not card.get("terms") else f"The weights were {card['terms']}."}
"""
