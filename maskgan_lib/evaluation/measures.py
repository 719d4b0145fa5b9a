"""What is measured on the weights of every stage: the figures of the model cards."""

from maskgan_lib.evaluation.attribute_edits import measure_elegant, measure_stargan
from maskgan_lib.evaluation.judges import measure_attributes, measure_identity, measure_parser, measure_pose
from maskgan_lib.evaluation.reconstruction import measure_blender, measure_dmn, measure_maskvae

MEASURES = {
    "maskvae": measure_maskvae,
    "dmn": measure_dmn,
    "blender": measure_blender,
    "pix2pixhd-m": measure_dmn,
    "spade": measure_dmn,
    "stargan": measure_stargan,
    "elegant": measure_elegant,
    "parser": measure_parser,
    "attributes": measure_attributes,
    "identity": measure_identity,
    "pose": measure_pose,
}
"""By network: ``measure(network, faces, indices)``, which returns the figures; a blender also needs ``dmn`` and
``maskvae``."""
