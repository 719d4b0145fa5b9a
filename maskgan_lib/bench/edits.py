"""How long an edit takes."""

from collections.abc import Iterator
from pathlib import Path

import torch

from maskgan_lib.bench.measuring import Effort, Row, in_turn
from maskgan_lib.classes import NUM_CLASSES
from maskgan_lib.data.batches import to_float_image, to_uint8_image
from maskgan_lib.editor.rendering import Renderer
from maskgan_lib.networks import one_hot
from maskgan_lib.presets import PRESETS
from maskgan_lib.training.adversarial import make_dmn
from maskgan_lib.training.execution import make_accelerator


@torch.no_grad()
def bench_edits(effort: Effort, folder: Path) -> Iterator[Row]:
    """One edited mask to one picture: by the plain network, with its style encoded anew or kept, and by the editor.

    And what a style for every region costs beside one for the whole picture, in the editor.
    """
    device = make_accelerator().device
    for name, size in effort.edited:
        network = make_dmn(PRESETS[name].replace({"dmn.style": "global"}), size).to(device).eval()
        labels = torch.randint(0, NUM_CLASSES, (size, size), dtype=torch.uint8).numpy()
        picture = torch.randint(0, 256, (size, size, 3), dtype=torch.uint8).numpy()
        mask = one_hot(torch.tensor(labels, device=device)[None])
        image = to_float_image(picture[None], device)
        style = network.encode_style(image, mask)
        renderer = Renderer(network, size, device)
        look = renderer.style(picture, labels)
        ways = [
            lambda n=network, m=mask, i=image: to_uint8_image(n.render(m, n.encode_style(i, m))),
            lambda n=network, m=mask, s=style: to_uint8_image(n.render(m, s)),
            lambda r=renderer, m=labels, s=look: r.render(m, s),
        ]
        anew, kept, edited = in_turn(ways, effort.seconds)
        what = f"{name} network, {size} x {size}"
        yield Row("edits", f"{what}, style kept", 1000 * kept, "ms")
        yield Row("edits", f"{what}, style encoded anew over kept", anew / kept, "times")
        yield Row("edits", f"{what}, editor, {renderer.way}", 1000 * edited, "ms")
        yield Row("edits", f"{what}, encoded anew over the editor's", anew / edited, "times")
        regional = Renderer(make_dmn(PRESETS[name].replace({"dmn.style": "regional"}), size), size, device)
        codes = regional.style(picture, labels)
        looks = ((renderer, look), (regional, codes))
        ways = [lambda m=labels, r=r, s=s: r.render(m, s) for r, s in looks]
        edited, by_region = in_turn(ways, effort.seconds)
        yield Row("edits", f"{what}, a style for every region over one", by_region / edited, "times")
