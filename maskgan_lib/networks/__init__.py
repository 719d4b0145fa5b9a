"""The networks of MaskGAN. Sizes are arguments whose defaults are the paper's; masks go in as one-hot planes."""

from maskgan_lib.networks.attgan import AttGANDiscriminator
from maskgan_lib.networks.attributes import AttributeNet
from maskgan_lib.networks.blender import AlphaBlender
from maskgan_lib.networks.blocks import AdaIN, one_hot
from maskgan_lib.networks.discriminator import MultiScaleDiscriminator
from maskgan_lib.networks.dmn import (
    DenseMappingNetwork,
    ImageGenerationBackbone,
    SFTLayer,
    SpatialAwareStyleEncoder,
)
from maskgan_lib.networks.elegant import Elegant, ElegantDiscriminator
from maskgan_lib.networks.identity import IdentityNet, PersonCentres
from maskgan_lib.networks.maskvae import MaskVAE
from maskgan_lib.networks.parser import FaceParser
from maskgan_lib.networks.pose import PoseNet
from maskgan_lib.networks.secgan import SeCGANGenerator
from maskgan_lib.networks.selfsupervised import SelfSupervisedNet
from maskgan_lib.networks.spade import SPADE, SPADEGenerator
from maskgan_lib.networks.stargan import StarGANDiscriminator, StarGANGenerator

NETWORKS = {
    network.__name__: network
    for network in (
        DenseMappingNetwork,
        SPADEGenerator,
        MaskVAE,
        AlphaBlender,
        MultiScaleDiscriminator,
        FaceParser,
        AttributeNet,
        IdentityNet,
        PersonCentres,
        PoseNet,
        SelfSupervisedNet,
        StarGANGenerator,
        StarGANDiscriminator,
        Elegant,
        ElegantDiscriminator,
        SeCGANGenerator,
        AttGANDiscriminator,
    )
}
"""The networks that a checkpoint can name; each keeps its constructor's arguments in ``.config``."""

__all__ = [
    "NETWORKS",
    "SPADE",
    "AdaIN",
    "AlphaBlender",
    "AttGANDiscriminator",
    "AttributeNet",
    "DenseMappingNetwork",
    "Elegant",
    "ElegantDiscriminator",
    "FaceParser",
    "IdentityNet",
    "ImageGenerationBackbone",
    "MaskVAE",
    "MultiScaleDiscriminator",
    "PersonCentres",
    "PoseNet",
    "SFTLayer",
    "SPADEGenerator",
    "SeCGANGenerator",
    "SelfSupervisedNet",
    "SpatialAwareStyleEncoder",
    "StarGANDiscriminator",
    "StarGANGenerator",
    "one_hot",
]
