"""MaskGAN from the ground up: face editing by painting on a 19-class semantic mask (Lee, Liu, Wu, Luo, CVPR 2020)."""

import os

# Threads that wait for each other sleep. By default they spin, and on a computer whose cores do something else, too, a
# step then takes up to thirty times as long. PyTorch's OpenMP reads this once, when it is first imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
