"""The equations of adversarial training written down once more, plainly, to compare the stages with."""

import torch
from torch import Tensor


def discriminator_loss(judge, mask: Tensor, real: Tensor, made: Tensor) -> Tensor:
    """Least squares (Eq. 7): real scores towards 1 and made ones towards 0, summed over scales, halved."""
    on_real, on_made = ([scale[-1] for scale in judge(mask, image)] for image in (real, made))
    return (sum(((s - 1) ** 2).mean() for s in on_real) + sum((s**2).mean() for s in on_made)) / 2


def generator_loss(judge, perceptual, mask: Tensor, real: Tensor, made: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Eq. 6 with the weights 10 and 10, and its terms; the authors average L_feat over the two scales.

    They also weigh it by 4 over the number of inner maps of a scale.
    """
    real_maps, made_maps = judge(mask, real), judge(mask, made)
    adversarial = sum(((scale[-1] - 1) ** 2).mean() for scale in made_maps)
    feature = sum(
        (a.detach() - b).abs().mean()
        for r, m in zip(real_maps, made_maps, strict=True)
        for a, b in zip(r[:-1], m[:-1], strict=True)
    )
    feature = feature / 2 * 4 / (len(real_maps[0]) - 1)
    closeness = perceptual(made, real)
    terms = {"adversarial": adversarial, "feature": feature, "perceptual": closeness}
    return adversarial + 10 * feature + 10 * closeness, terms


def assert_same_gradients(ours, theirs, rtol: float = 1e-3, atol: float = 1e-5) -> None:
    """Every parameter of two networks has the same gradient."""
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=rtol, atol=atol, msg=lambda text, name=name: f"{name}: {text}")
