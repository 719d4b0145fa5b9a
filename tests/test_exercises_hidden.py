"""Hidden tests find what is wrong: each slip in a solution is refused by the check of its exercise."""

import nbformat
import pytest

from maskgan_lib.course.chapter import NOTEBOOKS

MUTATIONS = [
    ("05_evaluation", "5.4", "len(x) * (len(x) - 1)", "len(x) ** 2"),
    ("05_evaluation", "5.4", "/ x.shape[1] + 1", "+ 1"),
    ("05_evaluation", "5.5", "softmax(dim=2)", "softmax(dim=1)"),
    ("05_evaluation", "5.5", "self.look(maps).flatten(2)", "self.look(maps).mean(dim=1, keepdim=True).flatten(2)"),
    ("06_mask_editor", "6.4", "original.astype(float) - reconstruction", "(original - reconstruction).astype(np.int8)"),
    ("06_mask_editor", "6.4", "mean(axis=(0, 1))", "mean()"),
    ("06_mask_editor", "6.5", "mean(known * (original - reconstruction))", "mean(original - reconstruction)"),
    ("06_mask_editor", "6.5", ".clamp(min=1e-6)", ""),
    ("09_regional_style", "9.4", ".clamp(min=1e-4)[..., None])", "[..., None]).nan_to_num(0)"),
    ("09_regional_style", "9.4", "off.sum() / (area > 0).sum()", "off.mean()"),
    ("09_regional_style", "9.5", "total.clamp(min=1)", "total.clamp(min=1e-4)"),
    ("09_regional_style", "9.5", "bias, weight = rows", "weight, bias = rows"),
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
