"""Verification against brute force: every pair of scores for the AUC, every threshold for the accuracy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_faces import pack_toy_faces

from maskgan_lib.data.packed import DataError, FaceRecord, PackedWriter
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
def test_auc_and_best_accuracy_by_brute_force(same, different):
    verification = Verification(same, different)
    assert verification.auc == pytest.approx(brute_auc(same, different), abs=1e-6)
    assert verification.best_accuracy == pytest.approx(brute_best(same, different))
    low, high = verification.auc_interval()
    assert 0 <= low <= high <= 1 + 1e-6


@given(SCORES, SCORES)
@settings(max_examples=30, deadline=None)
def test_points_of_the_roc_curve_are_what_the_thresholds_give(same, different):
    wrong, right, thresholds = Verification(same, different).roc()
    assert (wrong[0], right[0], wrong[-1], right[-1]) == (0, 0, 1, 1)
    assert (np.diff(wrong) >= 0).all() and (np.diff(right) >= 0).all() and (np.diff(thresholds) < 0).all()
    for x, y, threshold in zip(wrong, right, thresholds - 1e-9):
        assert (x, y) == pytest.approx((np.mean(different >= threshold), np.mean(same >= threshold)), abs=1e-6)


def test_a_threshold_is_half_way_between_the_kinds():
    same, different = np.array([0.6, 0.9]), np.array([-0.3, 0.2])
    assert choose_threshold(same, different) == pytest.approx(0.4)
    verification = Verification(same, different)
    assert verification.auc == verification.best_accuracy == verification.accuracy(0.4) == 1
    assert verification.accuracy(0.7) == verification.accuracy(0.0) == 0.75
    assert verification.accuracy(0.6) == 1, "from the threshold on"
    ones = np.ones(3)
    assert Verification(ones, ones).accuracy(choose_threshold(ones, ones)) == 0.5
    close = np.array([np.nextafter(0.5, 1)]), np.array([0.5])
    assert Verification(*close).best_accuracy == 1, "no number lies between the two"


def test_halves_take_their_threshold_from_each_other():
    same, different = np.array([0.5, 0.9, 0.5, 0.9]), np.array([0.1, 0.7, 0.1, 0.7])
    verification = Verification(same, different)
    # the even half chooses 0.3, which takes the odd half's 0.7 for the same; the odd one 0.8, which refuses 0.5
    assert verification.halves_accuracy == 0.5
    assert np.isnan(Verification(same[:1], different).halves_accuracy)


def test_interval_of_the_auc_is_that_of_resampled_pairs():
    rng = np.random.default_rng(0)
    same, different = rng.normal(1, 1, 40), rng.normal(0, 1, 60)
    brute = [brute_fast(rng.choice(same, 40), rng.choice(different, 60)) for _ in range(2000)]
    expected = np.quantile(brute, [0.025, 0.975])
    interval = Verification(same, different).auc_interval()
    assert interval == pytest.approx(expected, abs=0.015)
    assert Verification(same, different).auc_interval() == interval
    assert Verification(np.ones(4), np.ones(3)).auc_interval() == pytest.approx((0.5, 0.5)), "ties count half"
    wide = Verification(same, different).auc_interval(level=0.99)
    assert wide[0] < interval[0] < interval[1] < wide[1]


def brute_fast(same, different):
    return (same[:, None] > different).mean()


@pytest.mark.parametrize("bad", [([], [0.1]), ([0.1], []), ([np.nan], [0.1])])
def test_scores_that_tell_nothing_are_refused(bad):
    with pytest.raises(ValueError, match=r"pairs of both kinds|not finite|finite numbers"):
        Verification(*(np.array(x, float) for x in bad))


# ---- edits


def test_edits_that_keep_the_person_and_edits_that_lose_it():
    photos = unit(np.random.default_rng(2).normal(size=(50, 32)))
    kept = verify_edits(photos, photos)
    assert len(kept.same) == len(kept.different) == 50
    assert kept.same == pytest.approx(np.ones(50)) and kept.auc == 1
    assert kept.different == pytest.approx([photos[k] @ photos[(k + 1) % 50] for k in range(50)])
    constant = verify_edits(np.tile(photos[:1], (50, 1)), photos)
    assert constant.auc == pytest.approx(0.5), "the same scores in another order"
    swapped = verify_edits(np.roll(photos, -1, axis=0), photos)
    assert swapped.auc == 0


def test_the_next_photo_of_the_same_person_is_no_other_person():
    photos = unit(np.random.default_rng(3).normal(size=(5, 8)))
    identity = np.array([7, 7, 3, -1, -1])
    verification = verify_edits(photos, photos, identity)
    assert verification.different == pytest.approx([photos[k] @ photos[(k + 1) % 5] for k in (1, 2, 3, 4)])
    assert len(verification.same) == 5
    with pytest.raises(DataError, match="targets of two persons"):
        verify_edits(photos, photos, np.full(5, 2))
    with pytest.raises(DataError, match="at least two pairs"):
        verify_edits(photos[:1], photos[:1])
    with pytest.raises(ValueError, match="One embedding a picture"):
        verify_edits(photos, photos[:3])


# ---- people


def people(persons: int, photos: int, noise: float, seed: int = 0, size: int = 16):
    """Embeddings of so many photos of each person, and who they show."""
    rng = np.random.default_rng(seed)
    identity = np.repeat(np.arange(persons), photos)
    return unit(
        unit(rng.normal(size=(persons, size)))[identity] + noise * rng.normal(size=(len(identity), size))
    ), identity


def test_people_by_brute_force():
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
    assert auc.name == "identity verification, AUC"


def test_photos_of_nobody_known_are_left_out():
    embeddings, identity = people(4, 3, 0.2)
    more = np.concatenate([embeddings, unit(np.ones((5, 16)))]), np.concatenate([identity, np.full(5, -1)])
    assert [f.value for f in verify_people(*more)] == [f.value for f in verify_people(embeddings, identity)]
    with pytest.raises(DataError, match="0 persons on 0 photos"):
        verify_people(embeddings, np.full(12, -1))
    with pytest.raises(DataError, match=r"12 persons on 12 photos: .*on two photos"):
        verify_people(embeddings, np.arange(12))
    with pytest.raises(DataError, match="1 persons"):
        verify_people(embeddings, np.zeros(12))


def test_a_net_that_only_sees_hair_is_found_out():
    identity = np.repeat(np.arange(40), 4)
    colours = np.array(["Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"])
    hair = colours[identity % 4]
    embeddings = unit(np.eye(4)[identity % 4] + 0.05 * np.random.default_rng(4).normal(size=(160, 4)))
    figures = {figure.name: figure for figure in verify_people(embeddings, identity, hair, pairs=500)}
    assert figures["identity verification, AUC"].value > 0.8
    alike = figures["identity verification, same hair colour, AUC"]
    assert alike.interval[0] < 0.5 < alike.interval[1]
    assert len(figures) == 6 and len(verify_people(embeddings, identity)) == 3


def test_pairs_of_the_same_hair_have_it_on_both_photos():
    embeddings, identity = people(4, 2, 0.1)
    hair = np.array(["a", "b", "a", "a", "a", "b", "", ""])  # person 0 dyed; nobody knows the hair of person 3
    figures = verify_people(embeddings, identity, hair)
    # one person: (2, 3); two: (0, 2), (0, 3), (0, 4), (2, 4), (3, 4) with a, (1, 5) with b
    assert figures[3].faces == 1 + 6
    assert len(verify_people(embeddings, identity, np.array(list("abcdefgh")))) == 3, "nothing, rather than NaN"


def test_hair_colours_are_those_of_one_attribute(tmp_path):
    names = ("Black_Hair", "Gray_Hair", "Smiling")
    picture = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    with PackedWriter(tmp_path / "packed", 32, 4, "test", names) as writer:
        for i, values in enumerate([(1, -1, 1), (-1, 1, -1), (1, 1, -1), (-1, -1, 1)]):
            writer.write(i, *picture, FaceRecord(str(i), "test", i, dict(zip(names, values))))
        faces = writer.finish()
    assert hair_colours(faces).tolist() == ["Black_Hair", "Gray_Hair", "", ""]
    assert hair_colours(pack_toy_faces(tmp_path / "toy", 3)).tolist() == ["", "", ""]
