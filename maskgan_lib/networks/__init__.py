"""The networks of MaskGAN. Sizes are arguments whose defaults are the paper's; masks go in as one-hot planes."""

from maskgan_lib.networks.blender import AlphaBlender
from maskgan_lib.networks.blocks import AdaIN, one_hot
from maskgan_lib.networks.discriminator import MultiScaleDiscriminator
from maskgan_lib.networks.dmn import DenseMappingNetwork, ImageGenerationBackbone, SFTLayer, SpatialAwareStyleEncoder
from maskgan_lib.networks.maskvae import MaskVAE
from maskgan_lib.registry import NETWORKS

for network in (DenseMappingNetwork, MaskVAE, AlphaBlender, MultiScaleDiscriminator):
    NETWORKS.register(network)
