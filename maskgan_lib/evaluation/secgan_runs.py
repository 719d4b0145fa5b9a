"""The trainings that SeCGAN's table compares, and what was measured on each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card
from maskgan_lib.evaluation.estimates import Estimate
from maskgan_lib.methods.secgan import BACKBONES, SeCGANGenerator
from maskgan_lib.presets import read_preset

VARIANTS = ("baseline", "concat", "secgan")
"""In the order of the paper's table."""
TITLES = {"baseline": "baseline", "concat": "concat", "secgan": "SeCGAN", "stargan": "StarGAN", "attgan": "AttGAN"}
WEIGHT = r"[0-9]*\.?[0-9]+(?:e[+-]?[0-9]+)?"
"""How a weight of the consistency is written."""


@dataclass(frozen=True)
class Arm:
    """What is trained from several seeds: a variant on a backbone.

    ``weight`` is lambda_sc where it is not the preset's, as it was written, since it names the folder.
    """

    backbone: str
    variant: str
    weight: str = ""

    def __str__(self) -> str:
        return "-".join(part for part in (self.backbone, self.variant, self.weight) if part)

    @property
    def title(self) -> str:
        """The method's name in a table of its backbone."""
        return TITLES[self.variant] + (f", λ_sc = {self.weight}" if self.weight else "")

    @property
    def order(self) -> tuple:
        """Its place in the paper's table, the sweep of lambda_sc last in each backbone."""
        place = BACKBONES.index(self.backbone), VARIANTS.index(self.variant)
        return *place, bool(self.weight), float(self.weight or 0)

    @classmethod
    def parse(cls, name: str) -> "Arm | None":
        """The arm that a folder is named after; None for another folder."""
        parts = re.fullmatch(rf"({'|'.join(BACKBONES)})-(?:({'|'.join(VARIANTS)})|secgan-({WEIGHT}))", name)
        return parts and cls(parts[1], parts[2] or "secgan", parts[3] or "")


@dataclass(frozen=True)
class Run:
    """One training of an arm: where its ``g_rgb.safetensors`` is."""

    arm: Arm
    seed: int
    folder: Path

    @property
    def weights(self) -> Path:
        """Of G_rgb; there when the training has finished."""
        return self.folder / "g_rgb.safetensors"

    def load(self, device: str | torch.device = "cpu") -> SeCGANGenerator:
        """``CheckpointError`` if the weights are no G_rgb of the run's arm."""
        network, card = load_weights(self.weights, device), read_card(self.weights)
        if not isinstance(network, SeCGANGenerator) or network.config["branch"] != "rgb":
            raise CheckpointError(f"{self.weights} holds no G_rgb of SeCGAN: choose another folder.")
        known = read_preset(card).get("secgan", {})
        is_arm = known.get("backbone"), known.get("variant")
        if is_arm != (self.arm.backbone, self.arm.variant):
            is_arm = "-".join(map(str, is_arm))
            raise CheckpointError(f"{self.folder} holds {is_arm}, not {self.arm}: choose another folder.")
        if self.arm.weight and known["consistency_weight"] != float(self.arm.weight):
            weight = known["consistency_weight"]
            raise CheckpointError(f"{self.folder} learnt with lambda_sc = {weight:g}: name its folder after that.")
        return network


@dataclass(frozen=True, eq=False)
class GradedRun:
    """What was measured on one training.

    Args:
        reached: bool ``[A, F]``: whether the classifier sees the label that was asked for.
        kept: PSNR in dB of the faces given back when nothing is asked, to the photos.
        distance: the Fréchet distance of all edited pictures to the photos, with the jackknife's interval over faces;
            None without a net of features.
        inception: the Inception Score of all edited pictures; None without Inception.
    """

    arm: Arm
    seed: int
    reached: np.ndarray
    kept: Estimate
    distance: Estimate | None
    inception: float | None
    card: dict

    def to_json(self) -> dict:
        """``reached`` as hexadecimal digits, four faces each."""
        return {
            "arm": str(self.arm),
            "seed": self.seed,
            "reached": packed(self.reached),
            "kept": _estimate_to_json(self.kept),
            "distance": self.distance and _estimate_to_json(self.distance),
            "inception": self.inception,
            "card": self.card,
        }

    @classmethod
    def from_json(cls, entry: Mapping, faces: int) -> "GradedRun":
        """What ``to_json`` gave, of so many faces; ``KeyError``, ``TypeError`` or ``ValueError`` for anything else."""
        arm, distance = Arm.parse(entry["arm"]), entry["distance"]
        if arm is None:
            raise ValueError(f"there is no arm {entry['arm']!r}")
        return cls(
            arm,
            entry["seed"],
            unpacked(entry["reached"], faces),
            _estimate_from_json(entry["kept"]),
            distance and _estimate_from_json(distance),
            entry["inception"],
            entry["card"],
        )


def packed(flags: np.ndarray) -> list[str]:
    """Bool ``[A, F]`` as hexadecimal digits, a string for each row."""
    return [np.packbits(row).tobytes().hex() for row in flags]


def unpacked(rows: Sequence[str], faces: int) -> np.ndarray:
    """What ``packed`` was given; ``ValueError`` if it was not of so many faces."""
    digits = np.stack([np.frombuffer(bytes.fromhex(row), np.uint8) for row in rows])
    if digits.shape[1] != -(-faces // 8):
        raise ValueError(f"there are not {faces} faces")
    return np.unpackbits(digits, axis=1, count=faces).astype(bool)


def _estimate_to_json(found: Estimate) -> list:
    """Six digits; None for NaN."""
    return [float(f"{x:.6g}") if np.isfinite(x) else None for x in (found.value, found.low, found.high)] + [found.count]


def _estimate_from_json(entry: Sequence) -> Estimate:
    *parts, count = entry
    return Estimate(*(np.nan if part is None else part for part in parts), count)
