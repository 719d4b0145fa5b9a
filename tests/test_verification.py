"""Verification against brute force: every pair of scores for the AUC, every threshold for the accuracy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import binary_auroc, binary_roc
from toy_faces import pack_noise_faces, pack_toy_faces

from maskgan_lib.data.packed import DataError
from maskgan_lib.evaluation import verification
from maskgan_lib.evaluation.verification import (
    Verification,
    choose_threshold,
    hair_colours,
    verify_edits,
    verify_people,
)

SCORES = st.lists(st.integers(-5, 5).map(lambda k: k / 5), min_size=1, max_size=12).map(np.array)
"""Coarse, so that there are ties."""


def brute_auc(same: np.ndarray, different: np.ndarray) -> float:
    return float(np.mean([1.0 if s > d else 0.5 if s == d else 0.0 for s in same for d in different]))


def brute_best(same: np.ndarray, different: np.ndarray) -> float:
    cuts = [-2.0, 2.0, *same, *different, *(same + 1e-6), *(different + 1e-6)]
    return max((np.mean(same >= cut) + np.mean(different < cut)) / 2 for cut in cuts)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@given(SCORES, SCORES)
@settings(max_examples=60, deadline=None)
def test_curve_area_and_best_accuracy_by_brute_force_and_torchmetrics(same, different):
    found = Verification(same, different)
    assert found.auc == pytest.approx(brute_auc(same, different))
    assert found.best_accuracy == pytest.approx(brute_best(same, different))
    low, high = found.auc_interval()
    assert 0 <= low <= high <= 1 + 1e-6
    wrong, right, thresholds = found.roc()
    for x, y, threshold in zip(wrong, right, thresholds, strict=True):
        assert (x, y) == pytest.approx((np.mean(different >= threshold), np.mean(same >= threshold)))
    scores = torch.from_numpy(np.concatenate([same, different]) / 2 + 0.5)  # others would be taken for logits
    labels = (torch.arange(len(scores)) < len(same)).long()
    assert found.auc == pytest.approx(binary_auroc(scores, labels).item(), abs=1e-6)
    for ours, theirs in zip((wrong, right), binary_roc(scores, labels), strict=False):
        assert ours == pytest.approx(theirs.numpy(), abs=1e-6)


def test_a_threshold_is_half_way_between_the_kinds():
    same, different = np.array([0.6, 0.9]), np.array([-0.3, 0.2])
    assert choose_threshold(same, different) == pytest.approx(0.4)
    found = Verification(same, different)
    assert found.auc == found.best_accuracy == found.accuracy(0.4) == found.accuracy(0.6) == 1
    assert found.accuracy(0.7) == found.accuracy(0.0) == 0.75
    close = np.array([np.nextafter(0.5, 1)]), np.array([0.5])
    assert Verification(*close).best_accuracy == 1, "no number lies between the two"


def test_halves_take_their_threshold_from_each_other():
    same, different = np.array([0.5, 0.9, 0.5, 0.9]), np.array([0.1, 0.7, 0.1, 0.7])
    # the even half chooses 0.3, which takes the odd half's 0.7 for the same; the odd one 0.8, which refuses 0.5
    assert Verification(same, different).halves_accuracy == 0.5
    assert np.isnan(Verification(same[:1], different).halves_accuracy)


def test_interval_of_the_auc_is_that_of_resampled_pairs():
    rng = np.random.default_rng(0)
    same, different = rng.normal(1, 1, 40), rng.normal(0, 1, 60)
    brute = [(rng.choice(same, (40, 1)) > rng.choice(different, 60)).mean() for _ in range(2000)]
    interval = Verification(same, different).auc_interval()
    assert interval == pytest.approx(np.quantile(brute, [0.025, 0.975]), abs=0.015)
    assert Verification(same, different).auc_interval() == interval
    assert Verification(np.ones(4), np.ones(3)).auc_interval() == pytest.approx((0.5, 0.5)), "ties count half"


@pytest.mark.parametrize("bad", [([], [0.1]), ([0.1], []), ([np.nan], [0.1])])
def test_scores_that_tell_nothing_are_refused(bad):
    with pytest.raises(ValueError, match=r"pairs of both kinds|finite numbers"):
        Verification(*(np.array(x, float) for x in bad))


# ---- edits


def test_edits_that_keep_the_person_and_edits_that_lose_it():
    photos = unit(np.random.default_rng(2).normal(size=(50, 32)))
    kept = verify_edits(photos, photos)
    assert kept.same == pytest.approx(np.ones(50)) and kept.auc == 1
    assert kept.different == pytest.approx([photos[k] @ photos[(k + 1) % 50] for k in range(50)])
    constant = verify_edits(np.tile(photos[:1], (50, 1)), photos)
    assert constant.auc == pytest.approx(0.5), "the same scores in another order"
    assert verify_edits(np.roll(photos, -1, axis=0), photos).auc == 0


def test_the_next_photo_of_the_same_person_is_no_other_person():
    photos = unit(np.random.default_rng(3).normal(size=(5, 8)))
    found = verify_edits(photos, photos, np.array([7, 7, 3, -1, -1]))
    assert found.different == pytest.approx([photos[k] @ photos[(k + 1) % 5] for k in (1, 2, 3, 4)])
    assert len(found.same) == 5
    with pytest.raises(DataError, match="targets of two persons"):
        verify_edits(photos, photos, np.full(5, 2))
    with pytest.raises(DataError, match="at least two pairs"):
        verify_edits(photos[:1], photos[:1])
    with pytest.raises(ValueError, match="One embedding a picture"):
        verify_edits(photos, photos[:3])


# ---- people


def people(persons: int, photos: int, noise: float, size: int = 16):
    """Embeddings of so many photos of each person, and who they show."""
    rng = np.random.default_rng(0)
    identity = np.repeat(np.arange(persons), photos)
    centres = unit(rng.normal(size=(persons, size)))[identity]
    return unit(centres + noise * rng.normal(size=(len(identity), size))), identity


def test_people_by_brute_force(monkeypatch):
    embeddings, identity = people(8, 3, 0.3)
    auc, best, halves = verify_people(embeddings, identity)
    scores = {True: [], False: []}
    for i in range(24):
        for j in range(i + 1, 24):
            scores[bool(identity[i] == identity[j])].append(embeddings[i] @ embeddings[j])
    same, different = np.array(scores[True]), np.array(scores[False])
    assert auc.value == pytest.approx(brute_auc(same, different)) and 0.8 < auc.value < 1
    assert best.value == pytest.approx(brute_best(same, different))
    assert auc.faces == best.faces == halves.faces == 24 + 252
    assert auc.interval[0] < auc.value < auc.interval[1]
    assert 0.5 < halves.value <= best.value
    monkeypatch.setattr(verification, "PAIRS", 10)
    assert verify_people(embeddings, identity)[0].faces == 20


def test_photos_of_nobody_known_are_left_out():
    embeddings, identity = people(4, 3, 0.2)
    more = np.concatenate([embeddings, unit(np.ones((5, 16)))]), np.concatenate([identity, np.full(5, -1)])
    assert [f.value for f in verify_people(*more)] == [f.value for f in verify_people(embeddings, identity)]
    for persons, said in (
        (np.full(12, -1), "0 persons on 0 photos"),
        (np.arange(12), r"12 persons on 12 photos: .*on two photos"),
        (np.zeros(12), "1 persons"),
    ):
        with pytest.raises(DataError, match=said):
            verify_people(embeddings, persons)


def test_a_net_that_only_sees_hair_is_found_out():
    identity = np.repeat(np.arange(40), 4)
    hair = np.array(["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"])[identity % 4]
    embeddings = unit(np.eye(4)[identity % 4] + 0.05 * np.random.default_rng(4).normal(size=(160, 4)))
    figures = {figure.name: figure for figure in verify_people(embeddings, identity, hair)}
    assert figures["identity verification, AUC"].value > 0.8
    alike = figures["identity verification, same hair colour, AUC"]
    assert alike.interval[0] < 0.5 < alike.interval[1]


def test_pairs_of_the_same_hair_have_it_on_both_photos():
    embeddings, identity = people(4, 2, 0.1)
    hair = np.array(["a", "b", "a", "a", "a", "b", "", ""])  # person 0 dyed; nobody knows the hair of person 3
    figures = verify_people(embeddings, identity, hair)
    # one person: (2, 3); two: (0, 2), (0, 3), (0, 4), (2, 4), (3, 4) with a, (1, 5) with b
    assert figures[3].faces == 1 + 6
    assert len(verify_people(embeddings, identity, np.array(list("abcdefgh")))) == 3, "nothing, rather than NaN"


def test_hair_colours_are_those_of_one_attribute(tmp_path):
    labels = [(1, -1, 1), (-1, 1, -1), (1, 1, -1), (-1, -1, 1)]
    faces = pack_noise_faces(tmp_path / "packed", labels, names=("Black_Hair", "Gray_Hair", "Smiling"))
    assert hair_colours(faces).tolist() == ["Black_Hair", "Gray_Hair", "", ""]
    assert hair_colours(pack_toy_faces(tmp_path / "toy", 3)).tolist() == ["", "", ""]
