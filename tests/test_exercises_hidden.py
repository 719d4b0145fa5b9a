"""Hidden tests find what is wrong: each slip in a solution is refused by the check of its exercise."""

import nbformat
import pytest

from maskgan_lib.course.chapter import NOTEBOOKS

MUTATIONS = [
    ("07_baselines", "7.5", "self.mix.sigmoid()[:, None, None]", "self.mix.sigmoid().mean()"),
    ("07_baselines", "7.5", "F.instance_norm(h)", "F.layer_norm(h, h.shape[1:])"),
    ("08_secgan", "8.5", "wish.abs().amax(dim=1)[:, None, None, None]", "wish.abs().max()"),
    ("08_secgan", "8.5", "wish.abs().amax(dim=1)", "wish.amax(dim=1)"),
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
