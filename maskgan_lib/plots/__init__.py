"""Every picture that the course draws: tiles of faces and label maps, charts and diagrams. Each returns a Figure.

Pictures are uint8 ``[H, W, 3]``, float tensors ``[3, H, W]`` in [-1, 1], label maps (integer ``[H, W]``, drawn in the
colours of ``classes.py``) or bool maps ``[H, W]``; ``picture`` turns each into RGB. All files are PNG.
"""

from maskgan_lib.plots.charts import bars, class_scatter, curves, dots, histogram, intervals, losses, scatter, vectors
from maskgan_lib.plots.diagrams import course_map, diagram
from maskgan_lib.plots.tiles import (
    Picture,
    class_legend,
    difference,
    edit,
    grid,
    heat,
    overlay,
    picture,
    show_faces,
    strip,
    style_copy_grid,
)

__all__ = [
    "Picture",
    "bars",
    "class_legend",
    "class_scatter",
    "course_map",
    "curves",
    "diagram",
    "difference",
    "dots",
    "edit",
    "grid",
    "heat",
    "histogram",
    "intervals",
    "losses",
    "overlay",
    "picture",
    "scatter",
    "show_faces",
    "strip",
    "style_copy_grid",
    "vectors",
]
