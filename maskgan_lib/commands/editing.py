"""The command render."""

from pathlib import Path

from maskgan_lib.commands.adding import Command, given


def add(command: Command) -> None:
    render = command("render", _render, "One edit from files: a face, its mask and the edited mask to a picture.")
    render.add_argument("--image", type=Path, required=True, help="the face, cropped as in CelebA-HQ (see parse)")
    render.add_argument("--mask", type=Path, required=True, help="its label map, a PNG of class ids")
    render.add_argument("--edited", type=Path, required=True, help="the label map that the result should have")
    render.add_argument("--out", type=Path, required=True, help="picture to write, PNG or JPEG")
    render.add_argument("--weights", type=Path, help="of a DMN (default: the regional one, which ships)")
    render.add_argument("--style", type=Path, help="another face, whose looks the result should have")
    render.add_argument("--style-mask", type=Path, help="the label map of that face")
    render.add_argument("--keep", type=float, help="how strongly the photo stays where nothing was edited, 0 to 1")
    render.add_argument("--size", type=int, help="pixels a side (default: as the weights learnt)")


def _render(options) -> None:
    from maskgan_lib.editor.files import render_files

    print(render_files(**given(options)))
