"""The features that ssFID is measured in: do they know of attributes that nobody told the network about?"""

from pathlib import Path

import numpy as np
import torch

from maskgan_lib.data.packed import DataError, PackedFaces
from maskgan_lib.evaluation.estimates import Figure, mean_over_faces
from maskgan_lib.evaluation.judges import PRETRAINED, Judge, answers
from maskgan_lib.judges.selfsupervised import SelfSupervisedNet
from maskgan_lib.judges.stage import nearest

SSFID = "ssFID (our self-supervised net)"
"""What the Fréchet distance in these features is called: the paper's net is another, and not published."""

LOOKED_AT = ("Male", "Smiling", "Eyeglasses", "Blond_Hair")
"""Attributes that have a figure of their own."""


def feature_judge(path: str | Path | None = None, device: str | torch.device = "cpu") -> Judge:
    """The network in ``path``, by default the one that ships: ``judge.ask(images, judge.network.features)``."""
    return Judge.load(path or PRETRAINED / "selfsupervised.safetensors", SelfSupervisedNet, device)


@torch.no_grad()
def measure_selfsupervised(network: SelfSupervisedNet, faces: PackedFaces, indices: np.ndarray) -> list[Figure]:
    """How often the photo with the nearest features shows a face of the same label, and by chance, and untrained.

    By cosine, among the photos ``indices``. Over all attributes that some of the faces have and some have not, and for
    those of ``LOOKED_AT``. ``DataError`` if there is none. The untrained network is of the same sizes.
    """
    truth = {name: faces.attribute(name)[indices] > 0 for name in faces.attribute_names}
    truth = {name: labels for name, labels in truth.items() if 0 < labels.sum() < len(labels)}
    if not truth:
        raise DataError(f"{faces.folder} knows no attribute that some of its faces have and some have not.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        untrained = SelfSupervisedNet(**network.config).to(next(network.parameters()).device).eval()
    labels = np.stack(list(truth.values()), axis=1)
    agreed, of_untrained = (
        (labels[nearest(answers(net.features, net, faces, indices)).numpy()] == labels).astype(float)
        for net in (network, untrained)
    )
    chance, count = labels.mean(axis=0) ** 2 + (1 - labels.mean(axis=0)) ** 2, len(indices)
    what, blindly = "nearest photo by features has the same label", "the same of a photo chosen by chance"
    figures = [
        mean_over_faces(f"{what}, mean of {len(truth)} attributes", agreed.mean(axis=1), ""),
        mean_over_faces("the same of an untrained network", of_untrained.mean(axis=1), ""),
        Figure(blindly, float(chance.mean()), "", count),
    ]
    for name in filter(truth.__contains__, LOOKED_AT):
        column = list(truth).index(name)
        figures.append(mean_over_faces(f"{what}, {name}", agreed[:, column], ""))
        figures.append(Figure(f"{blindly}, {name}", float(chance[column]), "", count))
    return figures
