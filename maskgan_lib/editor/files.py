"""One edit from files: what ``python -m maskgan_lib render`` does."""

from pathlib import Path

from maskgan_lib.checkpoints import CheckpointError, load_weights, read_card
from maskgan_lib.data.label_maps import OURS
from maskgan_lib.data.pictures import decode_image, read_file
from maskgan_lib.editor.checks import EditError
from maskgan_lib.editor.rendering import PLAIN, Renderer
from maskgan_lib.editor.session import EditSession
from maskgan_lib.editor.steps import EditorFace
from maskgan_lib.editor.storage import picture_format, read_mask, write_picture
from maskgan_lib.evaluation.judges import PRETRAINED
from maskgan_lib.networks import DenseMappingNetwork


def render_files(
    image: Path,
    mask: Path,
    edited: Path,
    out: Path,
    weights: Path | None = None,
    style: Path | None = None,
    style_mask: Path | None = None,
    keep: float | None = None,
    size: int | None = None,
    scheme: str = OURS,
) -> Path:
    """Draws the face in ``image``, whose mask is ``mask``, with the mask ``edited``, and writes it to ``out``.

    Args:
        image: JPEG or PNG, cropped like the pictures that the network learnt from; cropped to its middle if not square.
        mask: PNG of the class ids of ``scheme``, as is ``edited``; resized by the nearest pixel.
        weights: of a ``DenseMappingNetwork``; by default the regional ones that ship.
        style: another picture to take the style from, with its mask ``style_mask``.
        keep: how strongly the photo is kept where nothing was edited, 0 to 1; None: not at all.
        size: pixels a side of the result; by default those that the network learnt.

    ``EditError`` or another one-sentence error for whatever cannot be read, does not fit or cannot be written.
    """
    picture_format(out)
    if (style is None) != (style_mask is None):
        raise EditError("A style needs its picture and the mask of that picture: give both or none.")
    weights = weights or PRETRAINED / "regional.safetensors"
    network = load_weights(weights)
    if not isinstance(network, DenseMappingNetwork):
        raise CheckpointError(
            f"{weights} holds a {type(network).__name__}, no DenseMappingNetwork: name other weights."
        )
    size = size or read_card(weights).get("image_size")
    if size is None:
        raise EditError(f"The card in {weights} does not say which image_size was learnt: give a size.")
    faces = [_face(image, mask, size, scheme)]
    if style is not None:
        faces.append(_face(style, style_mask, size, scheme))
    edited_mask = read_mask(edited, size, scheme)
    try:
        renderer = Renderer(network, size, way=PLAIN)  # the same file on every machine, as far as that goes
    except ValueError as error:
        raise EditError(f"Pictures of {size} pixels a side cannot be made ({error}).") from None
    session = EditSession(faces, renderer)
    if style is not None:
        session.choose_style(1)
    session.mask = edited_mask
    session.set_keep(keep)
    write_picture(out, session.render())
    return Path(out)


def _face(image: Path, mask: Path, size: int, scheme: str) -> EditorFace:
    return EditorFace(image.stem, decode_image(read_file(image), str(image), size), read_mask(mask, size, scheme))
