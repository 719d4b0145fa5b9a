"""The equations of adversarial training written down once more, plainly, to compare the stages with."""

import torch
from torch import Tensor


def discriminator_loss(judge, mask: Tensor, real: Tensor, made: Tensor, wrong=None, share: float = 0.0) -> Tensor:
    """Least squares (Eq. 7): real scores towards 1 and made ones towards 0, summed over scales, halved.

    Photos with the masks ``wrong`` are ``share`` of what should score 0.
    """

    def distance(mask: Tensor, image: Tensor, target: float) -> Tensor:
        return sum(((scale[-1] - target) ** 2).mean() for scale in judge(mask, image))

    fake = distance(mask, made, 0)
    if share:
        fake = (1 - share) * fake + share * distance(wrong, real, 0)
    return (distance(mask, real, 1) + fake) / 2


def gradient_penalty(judge, mask: Tensor, real: Tensor) -> Tensor:
    """R1, face by face: the squared slope of the mean score, summed over scales, by the pixels; their mean."""
    squares = []
    for m, image in zip(mask[:, None], real[:, None], strict=True):
        image = image.clone().requires_grad_()
        score = sum(scale[-1].mean() for scale in judge(m, image))
        (slope,) = torch.autograd.grad(score, image, create_graph=True)
        squares.append((slope**2).sum())
    return sum(squares) / len(squares)


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
