"""The measures against torchmetrics, against brute force, and on made examples."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
from torchmetrics.functional.image import structural_similarity_index_measure

from maskgan_lib.classes import IGNORE_ID, NUM_CLASSES
from maskgan_lib.evaluation.metrics import (
    class_iou,
    confusion_matrix,
    locality,
    mean_iou,
    pixel_accuracy,
    psnr,
    ssim,
)


def two_batches(classes: int = NUM_CLASSES):
    """Labels and predictions that are right in about 70 % of the pixels, as two batches."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (2, 3, 16, 16), generator=generator)
    guesses = torch.randint(0, classes, labels.shape, generator=generator)
    return labels, torch.where(torch.rand(labels.shape, generator=generator) < 0.7, labels, guesses)


def total_confusion(labels, predicted):
    return sum(confusion_matrix(p, t) for t, p in zip(labels, predicted, strict=True))


def test_confusion_counts_known_pixels():
    labels, predicted = two_batches()
    labels[:, :, :4] = IGNORE_ID
    counts = np.zeros((NUM_CLASSES, NUM_CLASSES), int)
    for true, ours in zip(labels[:, :, 4:].flatten().tolist(), predicted[:, :, 4:].flatten().tolist(), strict=True):
        counts[true, ours] += 1
    np.testing.assert_array_equal(total_confusion(labels, predicted).numpy(), counts)


def test_accuracy_and_iou_are_torchmetrics_over_the_whole_data_set():
    labels, predicted = two_batches()
    accuracy = MulticlassAccuracy(NUM_CLASSES, average="micro")
    jaccard = MulticlassJaccardIndex(NUM_CLASSES, average=None)
    for true, ours in zip(labels, predicted, strict=True):
        accuracy.update(ours, true)
        jaccard.update(ours, true)
    confusion = total_confusion(labels, predicted)
    assert pixel_accuracy(confusion) == pytest.approx(accuracy.compute().item())
    torch.testing.assert_close(class_iou(confusion).float(), jaccard.compute())
    assert mean_iou(confusion) == pytest.approx(jaccard.compute().mean().item())


def test_iou_is_over_the_classes_present():
    labels, predicted = two_batches(classes=12)
    predicted[0, 0, 0, :3] = 17  # a class that no label has: wrong pixels, but no class of its own
    iou = class_iou(total_confusion(labels, predicted))
    pairs = [(labels == i, predicted == i) for i in range(12)]
    by_hand = [((a & b).sum() / (a | b).sum()).item() for a, b in pairs]
    assert iou[:12].tolist() == pytest.approx(by_hand) and iou[12:].isnan().all()
    assert mean_iou(total_confusion(labels, predicted)) == pytest.approx(np.mean(by_hand))


def test_psnr_is_that_of_each_picture():
    torch.manual_seed(0)
    real = torch.rand(3, 3, 8, 8) * 2 - 1
    made = (real + torch.randn_like(real) * torch.tensor([0.01, 0.1, 0.5])[:, None, None, None]).clamp(-1, 1)
    error = (made - real).double().square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(psnr(made, real).double(), 10 * torch.log10(4 / error), rtol=1e-5, atol=0)


@given(st.integers(0, 1000), st.integers(11, 40), st.integers(11, 40), st.sampled_from([0.0, 0.02, 0.3, 2.0]))
@settings(max_examples=25, deadline=None)
def test_ssim_is_torchmetrics_picture_by_picture(seed, height, width, noise):
    generator = torch.Generator().manual_seed(seed)
    real = torch.rand(4, 3, height, width, generator=generator) * 2 - 1
    real[1] = torch.nn.functional.avg_pool2d(real[1], 5, stride=1, padding=2)
    real[2, 1], real[3] = 0.3, -1.0  # one channel flat; all black
    made = (real + noise * torch.randn(real.shape, generator=generator)).clamp(-1, 1)
    made[2, 1], made[3, :2] = 0.1, real[3, :2]
    truth = structural_similarity_index_measure(
        *((image.double() + 1) / 2 for image in (made, real)), data_range=1.0, reduction="none"
    )
    torch.testing.assert_close(ssim(made, real), truth, rtol=0, atol=1e-6)
    assert ssim(real, real).tolist() == pytest.approx([1] * 4, abs=1e-12)


def edited_square(size: int = 40) -> torch.Tensor:
    edited = torch.zeros(1, size, size, dtype=torch.bool)
    edited[:, 10:20, 10:20] = True
    return edited


def test_locality_divides_inside_by_far():
    """Changed by 1.0 inside, by 0.5 within 10 % of the height around, by 0.1 beyond: 10 times."""
    before, edited = torch.zeros(1, 3, 40, 40), edited_square()
    after = torch.full_like(before, 0.1)
    after[..., 6:24, 6:24] = -0.5
    after[..., 10:20, 10:20] = 1.0
    assert locality(before, after, edited).item() == pytest.approx(10, rel=1e-5)
    assert locality(before, after, edited, margin=0.05).item() < 8  # now a part of the band is far


def test_locality_of_nothing_is_nan():
    before, after = torch.zeros(3, 3, 40, 40), torch.rand(3, 3, 40, 40)
    nowhere, everywhere = torch.zeros(1, 40, 40, dtype=torch.bool), torch.ones(1, 40, 40, dtype=torch.bool)
    values = locality(before, after, torch.cat([nowhere, everywhere, edited_square()]))
    assert values.isnan().tolist() == [True, True, False]
