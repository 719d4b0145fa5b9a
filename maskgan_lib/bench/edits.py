"""How long an edit takes."""

from collections.abc import Iterator
from pathlib import Path

import torch

from maskgan_lib.bench.measuring import Effort, Row, in_turn
from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.networks import DenseMappingNetwork, one_hot
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.execution import make_accelerator


@torch.no_grad()
def bench_edits(effort: Effort, folder: Path) -> Iterator[Row]:
    """One edited mask to one picture, with the style encoded anew and with the style kept."""
    device = make_accelerator().device
    for name, size in effort.edited:
        preset = PRESETS[name]
        network = DenseMappingNetwork(width=preset.dmn_width, blocks=preset.dmn_blocks, style_width=preset.style_width)
        network = network.to(device).eval()
        mask = one_hot(torch.randint(0, NUM_CLASSES, (1, size, size), device=device))
        image = torch.rand(1, 3, size, size, device=device) * 2 - 1
        style = network.encode_style(image, mask)
        ways = [
            lambda n=network, m=mask, i=image: n.render(m, n.encode_style(i, m)),
            lambda n=network, m=mask, s=style: n.render(m, s),
        ]
        anew, kept = in_turn(ways, effort.seconds)
        what = f"{name} network, {size} x {size}"
        yield Row("edits", f"{what}, style kept", 1000 * kept, "ms")
        yield Row("edits", f"{what}, style encoded anew over kept", anew / kept, "times")
