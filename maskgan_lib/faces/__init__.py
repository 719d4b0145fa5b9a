"""Procedural faces: picture, label map, attributes, pose and identity from seeds alone; numpy only, no assets.

>>> from maskgan_lib import faces
>>> picture = faces.render(faces.sample(seed=0, index=7, smile=0.9), size=256)
"""

from .attributes import ATTRIBUTES
from .people import Capture, Face, Identity
from .render import Rendering, render
from .sampling import sample

VERSION = 1
"""Raised whenever the same (seed, index) draws another picture."""

__all__ = ["ATTRIBUTES", "VERSION", "Capture", "Face", "Identity", "Rendering", "render", "sample"]
