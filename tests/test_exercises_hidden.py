"""Hidden tests find what is wrong: each slip in a solution is refused by the check of its exercise."""

import nbformat
import pytest

from maskgan_lib.course.chapter import NOTEBOOKS

MUTATIONS = [
    ("00_start_here", "0.3", "first.astype(float) - second.astype(float)", "abs(first - second).astype(float)"),
    ("00_start_here", "0.3", "255**2 / error", "255 / error"),
    ("01_data_set_preparation", "1.5", "x_left < x_right", "x_left > x_right"),
    ("01_data_set_preparation", "1.5", "x_left < x_right", "x_left < labels.shape[1] / 2"),
    ("A1_warm_up_vae_and_gan", "A1.4", ".sum(dim=1)\n    return", ".mean(dim=1)\n    return"),
    ("A1_warm_up_vae_and_gan", "A1.4", "+ price).mean()", "+ price).sum()"),
    ("A1_warm_up_vae_and_gan", "A1.5", "variance + 1e-8", "variance"),
    ("A1_warm_up_vae_and_gan", "A1.5", "repeat_interleave(group)", "repeat(group)"),
    ("02_maskvae", "2.5", "cross_entropy(scores, ", "cross_entropy(scores.softmax(dim=1), "),
    ("02_maskvae", "2.5", "labels.long())", 'labels.long(), reduction="sum")'),
    ("02_maskvae", "2.6", "adaptive_avg_pool2d", "adaptive_max_pool2d"),
    ("02_maskvae", "2.6", "self.down(onehot)", "self.down(nn.functional.interpolate(onehot, size=4 * 2**stages))"),
    ("03_dense_mapping_network", "3.4", "slope.square().sum(dim=(1, 2, 3)).mean()", "slope.square().mean()"),
    ("03_dense_mapping_network", "3.4", "real.detach().requires_grad_()", "real.requires_grad_()"),
    ("03_dense_mapping_network", "3.5", "bias, weight = parameters[:", "weight, bias = parameters[:"),
    ("03_dense_mapping_network", "3.5", "z.mean(dim=1, keepdim=True)", "z.mean(dim=(2, 3), keepdim=True)"),
    ("04_ebst", "4.3", "/ len(by_face) ** 0.5", "/ values.size**0.5"),
    ("04_ebst", "4.3", "values.mean(axis=1)", "values.mean(axis=0)"),
    ("04_ebst", "4.4", "    network.zero_grad()\n", ""),
    ("04_ebst", "4.4", "in batch.chunk(parts)", "in [batch]"),
    ("04_ebst", "4.5", "softmax(dim=1)", "softmax(dim=2)"),
    ("04_ebst", "4.5", "self.body = body", 'self.__dict__["body"] = body'),
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
