"""Hidden tests find what is wrong: each slip in a solution is refused by the check of its exercise."""

import nbformat
import pytest

from maskgan_lib.course.chapter import NOTEBOOKS

MUTATIONS = [
    ("00_start_here", "0.3", "first.astype(float) - second.astype(float)", "first.astype('i2') - second.astype('i2')"),
    ("00_start_here", "0.3", "255**2 / error", "255 / error"),
    ("01_data_set_preparation", "1.5", "x_left < x_right", "x_left > x_right"),
    ("01_data_set_preparation", "1.5", "x_left < x_right", "x_left < labels.shape[1] / 2"),
    ("A1_warm_up_vae_and_gan", "A1.4", ".sum(dim=1)\n    return", ".mean(dim=1)\n    return"),
    ("A1_warm_up_vae_and_gan", "A1.4", "+ price).mean()", "+ price).sum()"),
    ("A1_warm_up_vae_and_gan", "A1.5", "variance + 1e-8", "variance"),
    ("A1_warm_up_vae_and_gan", "A1.5", "repeat_interleave(group)", "repeat(group)"),
]


@pytest.mark.parametrize(("stem", "name", "right", "slip"), MUTATIONS)
def test_a_slip_is_refused(stem, name, right, slip, capsys):
    notebook = nbformat.read(NOTEBOOKS / f"{stem}.ipynb", as_version=4)
    (check,) = (cell.source for cell in notebook.cells if f'check("{name}"' in cell.source)
    solution = (NOTEBOOKS / "solutions" / f"{stem}.py").read_text(encoding="utf-8")
    assert solution.count(right) == 1
    names: dict = {}
    exec(next(cell.source for cell in notebook.cells if cell.id == "imports"), names)
    for source, passes in ((solution, True), (solution.replace(right, slip), False)):
        exec(source, names)
        exec(check, names)
        assert names["_"] is passes, capsys.readouterr().out
