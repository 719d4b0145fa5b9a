"""MaskGAN from the ground up: face editing by painting on a 19-class semantic mask (Lee, Liu, Wu, Luo, CVPR 2020)."""

import os

# Threads that wait for each other spin for a moment, then sleep. By default they spin for long, and on a computer whose
# cores do something else, too, a step can then take many times as long; sleeping at once would cost half of the speed
# on a quiet one. PyTorch's OpenMP reads this once, when it is first imported; OMP_WAIT_POLICY, if set, stays in charge.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")

__version__ = "0.1.0"
