"""What is measured on the weights of every stage: the figures of the model cards."""

from maskgan_lib.evaluation.attribute_edits import (
    measure_elegant,
    measure_secgan,
    measure_secgan_masks,
    measure_stargan,
)
from maskgan_lib.evaluation.judges import measure_attributes, measure_identity, measure_parser, measure_pose
from maskgan_lib.evaluation.reconstruction import measure_blender, measure_dmn, measure_maskvae
from maskgan_lib.evaluation.selfsupervised import measure_selfsupervised
from maskgan_lib.judges.attributes import AttributeNet
from maskgan_lib.judges.identity import IdentityNet
from maskgan_lib.judges.parser import FaceParser
from maskgan_lib.judges.pose import PoseNet
from maskgan_lib.judges.selfsupervised import SelfSupervisedNet
from maskgan_lib.methods.elegant import Elegant
from maskgan_lib.methods.secgan import SeCGANGenerator
from maskgan_lib.methods.stargan import StarGANGenerator
from maskgan_lib.networks import AlphaBlender, MaskVAE
from maskgan_lib.registry import METHODS

MEASURES = {
    "maskvae": (MaskVAE, measure_maskvae),
    "blender": (AlphaBlender, measure_blender),
    **{method.stage: (method.network, measure_dmn) for method in METHODS.values() if method.renders},
    "stargan": (StarGANGenerator, measure_stargan),
    "elegant": (Elegant, measure_elegant),
    "secgan-faces": (SeCGANGenerator, measure_secgan),
    "secgan-masks": (SeCGANGenerator, measure_secgan_masks),
    "parser": (FaceParser, measure_parser),
    "attributes": (AttributeNet, measure_attributes),
    "identity": (IdentityNet, measure_identity),
    "pose": (PoseNet, measure_pose),
    "selfsupervised": (SelfSupervisedNet, measure_selfsupervised),
}
"""By name: the network, and ``measure(network, faces, indices)``, which returns the figures; a blender also needs
``dmn`` and ``maskvae``."""
