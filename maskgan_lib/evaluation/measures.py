"""What is measured on the weights of every stage: the figures of the model cards."""

from maskgan_lib.evaluation.attribute_edits import (
    measure_elegant,
    measure_secgan,
    measure_secgan_masks,
    measure_stargan,
)
from maskgan_lib.evaluation.judges import measure_attributes, measure_identity, measure_parser, measure_pose
from maskgan_lib.evaluation.reconstruction import measure_blender, measure_dmn, measure_maskvae
from maskgan_lib.networks import (
    AlphaBlender,
    AttributeNet,
    DenseMappingNetwork,
    Elegant,
    FaceParser,
    IdentityNet,
    MaskVAE,
    PoseNet,
    SeCGANGenerator,
    SPADEGenerator,
    StarGANGenerator,
)

MEASURES = {
    "maskvae": (MaskVAE, measure_maskvae),
    "dmn": (DenseMappingNetwork, measure_dmn),
    "blender": (AlphaBlender, measure_blender),
    "pix2pixhd-m": (DenseMappingNetwork, measure_dmn),
    "spade": (SPADEGenerator, measure_dmn),
    "stargan": (StarGANGenerator, measure_stargan),
    "elegant": (Elegant, measure_elegant),
    "secgan-faces": (SeCGANGenerator, measure_secgan),
    "secgan-masks": (SeCGANGenerator, measure_secgan_masks),
    "parser": (FaceParser, measure_parser),
    "attributes": (AttributeNet, measure_attributes),
    "identity": (IdentityNet, measure_identity),
    "pose": (PoseNet, measure_pose),
}
"""By name: the network, and ``measure(network, faces, indices)``, which returns the figures; a blender also needs
``dmn`` and ``maskvae``."""
