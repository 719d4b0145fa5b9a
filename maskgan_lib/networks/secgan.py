"""SeCGAN (Sun et al., 2021): generators of pictures and of masks that are told by how much attributes change."""

from collections.abc import Sequence

from torch import Tensor, nn

from maskgan_lib.classes import MERGED_CLASSES
from maskgan_lib.networks.attgan import AttGANBackbone
from maskgan_lib.networks.stargan import StarGANBackbone, check_labels

BACKBONES = ("stargan", "attgan")
BRANCHES = ("rgb", "seg")


class SeCGANGenerator(nn.Module):
    """G_rgb, from an image to an image (tanh), or G_seg, from the probabilities of classes to such (softmax).

    Both are told the difference of the attributes, ``y_trg - y_src``: 1 to give one, -1 to take it away, 0 to leave it.

    Args:
        attributes: names of the A attributes, in the order of the differences.
        branch: ``rgb`` or ``seg``.
        backbone: ``stargan`` or ``attgan``, whose layers these are.
        num_classes: the K classes of masks.
        concatenate: whether G_rgb sees the mask of its image too, as in the paper's baseline "Concat".
        width: channels of the first layer.
        blocks: residual blocks of the backbone ``stargan``; the other has none.

    Sizes: heights and widths that the backbone takes: multiples of 4, or of 32 with ``attgan``.
    """

    def __init__(
        self,
        attributes: Sequence[str] = ("Smiling",),
        branch: str = "rgb",
        backbone: str = "stargan",
        num_classes: int = len(MERGED_CLASSES),
        concatenate: bool = False,
        width: int = 64,
        blocks: int = 6,
    ):
        super().__init__()
        if branch not in BRANCHES or backbone not in BACKBONES:
            raise ValueError(
                f"branch must be one of {', '.join(BRANCHES)} and backbone one of {', '.join(BACKBONES)}, "
                f"not {branch!r} and {backbone!r}."
            )
        self.config = {
            "attributes": list(attributes),
            "branch": branch,
            "backbone": backbone,
            "num_classes": num_classes,
            "concatenate": concatenate,
            "width": width,
            "blocks": blocks,
        }
        self.inputs = num_classes if branch == "seg" else 3 + concatenate * num_classes
        outputs = num_classes if branch == "seg" else 3
        if backbone == "stargan":
            self.backbone = StarGANBackbone(self.inputs, outputs, len(attributes), width, blocks)
        else:
            self.backbone = AttGANBackbone(self.inputs, outputs, len(attributes), width)

    def forward(self, x: Tensor, difference: Tensor) -> Tensor:
        """``x`` with the attributes changed by ``difference [B, A]``, -1, 0 or 1 each.

        ``x`` is an image ``[B, 3, H, W]`` in [-1, 1], with ``concatenate`` the K planes of its mask after it; in the
        branch ``seg`` it is ``[B, K, H, W]``, probabilities. The result is such an image, or such probabilities.
        """
        check_labels(difference, x, self.config["attributes"])
        if x.shape[1] != self.inputs:
            raise ValueError(f"This generator takes {self.inputs} planes, not {x.shape[1]}.")
        made = self.backbone(x, difference)
        return made.softmax(dim=1) if self.config["branch"] == "seg" else made.tanh()
