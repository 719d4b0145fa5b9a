"""MaskGAN from the ground up: face editing by painting on a 19-class semantic mask (Lee, Liu, Wu, Luo, CVPR 2020)."""

__version__ = "0.1.0"
