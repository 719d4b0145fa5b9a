"""Every picture that the course draws: tiles of faces and label maps, charts and diagrams. Each returns a Figure.

Pictures are uint8 ``[H, W, 3]``, float tensors ``[3, H, W]`` in [-1, 1], label maps (integer ``[H, W]``, drawn in the
colours of ``classes.py``) or bool maps ``[H, W]``; ``picture`` turns each into RGB. All files are PNG.
"""

from maskgan_lib.course.plots.charts import (
    bars,
    class_scatter,
    clouds,
    curves,
    dots,
    histogram,
    intervals,
    losses,
    vectors,
)
from maskgan_lib.course.plots.diagrams import course_map, diagram
from maskgan_lib.course.plots.tiles import (
    class_legend,
    difference,
    edit,
    grid,
    heat,
    picture,
    show_faces,
    strip,
    style_copy_grid,
)
