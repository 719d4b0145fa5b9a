"""What is said of a survey: shares and agreement against worked examples, brute force and simulated raters."""

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from maskgan_lib.data.packed import DataError
from maskgan_lib.evaluation.agreement import fleiss_kappa, report
from maskgan_lib.evaluation.survey import Answer, SurveyItem, SurveySession

METHODS = ("DMN", "MaskGAN", "copy")


def answer(rater, item, method, criterion="quality", shown=METHODS):
    position = "ABCDEFGHI"[shown.index(method)]
    return Answer(rater, item, criterion, method, position, shown, 1.0, "2026-01-01T00:00:00+00:00")


def simulated(rng, items, raters, prefer):
    """Answers of raters who agree: ``prefer(rng)`` draws for each item what all of them choose."""
    return [
        answer(f"rater {r}", f"item {i}", method)
        for i in range(items)
        for method in [prefer(rng)]
        for r in range(raters)
    ]


# ---- Fleiss' kappa

FLEISS = np.array(
    [
        *([0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1]),
        *([7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]),
    ]
)
"""14 raters, 10 items, 5 categories: the worked example of Wikipedia's article on the measure, kappa = 0.210."""


def test_kappa_of_a_published_example():
    assert fleiss_kappa(FLEISS) == pytest.approx(0.210, abs=5e-4)


@given(arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(2, 4)), elements=st.integers(0, 4)))
@settings(deadline=None)
def test_kappa_is_agreement_of_pairs_beyond_chance(counts):
    ratings = [np.repeat(np.arange(counts.shape[1]), row) for row in counts if row.sum() >= 2]
    everything = np.concatenate([*ratings, np.array([], int)])
    by_chance = sum(np.mean(everything == k) ** 2 for k in range(counts.shape[1])) if len(everything) else 1
    if by_chance == 1:
        assert np.isnan(fleiss_kappa(counts))
    else:
        agreeing = np.mean([np.mean([a == b for a, b in combinations(one, 2)]) for one in ratings])
        assert fleiss_kappa(counts) == pytest.approx((agreeing - by_chance) / (1 - by_chance))


def test_full_agreement_is_one_and_blind_choice_is_about_zero():
    rng = np.random.default_rng(0)
    alike = simulated(rng, 40, 5, lambda rng: rng.choice(METHODS))
    assert report(alike).kappas["quality"].value == pytest.approx(1)
    blind = [answer(f"{r}", f"{i}", rng.choice(METHODS)) for r in range(5) for i in range(200)]
    kappa = report(blind).kappas["quality"]
    assert kappa.low < 0 < kappa.high and abs(kappa.value) < 0.05 and kappa.count == 200


def test_with_one_rater_there_is_no_kappa_and_the_report_says_so():
    alone = [answer("Ada", f"{i}", METHODS[i % 2]) for i in range(12)]
    kappa = report(alone).kappas["quality"]
    assert np.isnan([kappa.value, kappa.low, kappa.high]).all() and kappa.count == 0
    text = report(alone).markdown()
    assert "not defined" in text and "With one rater there is no agreement to measure." in text and "nan" not in text


# ---- shares


def test_shares_are_counts_by_criterion():
    answers = [answer("Ada", "1", "DMN"), answer("Ada", "2", "copy"), answer("Bob", "1", "DMN")]
    answers += [answer("Ada", "1", "MaskGAN", "realism")]
    found = report(answers).preferences
    assert list(found) == ["quality", "realism"]
    assert {name: (s.share, s.chosen, s.asked) for name, s in found["quality"].items()} == {
        "DMN": (pytest.approx(2 / 3), 2, 3),
        "MaskGAN": (0, 0, 3),
        "copy": (pytest.approx(1 / 3), 1, 3),
    }
    assert found["realism"]["MaskGAN"].share == 1
    assert found["quality"]["DMN"].by_chance == pytest.approx(1 / 3)


def test_a_method_that_was_not_shown_could_not_be_chosen():
    answers = [answer("Ada", "1", "DMN"), answer("Ada", "2", "MaskGAN", shown=("DMN", "MaskGAN"))]
    found = report(answers).preferences["quality"]
    assert (found["copy"].asked, found["DMN"].asked) == (1, 2) and found["DMN"].share == 0.5
    assert found["DMN"].by_chance == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert report(answers).positions["C"].asked == 1


def test_raters_who_repeat_each_other_make_no_interval_narrower():
    choose = {"p": [0.5, 0.3, 0.2]}
    once = simulated(np.random.default_rng(1), 40, 1, lambda rng: rng.choice(METHODS, **choose))
    often = simulated(np.random.default_rng(1), 40, 20, lambda rng: rng.choice(METHODS, **choose))
    for name in METHODS:
        few, many = report(once).preferences["quality"][name], report(often).preferences["quality"][name]
        assert (few.share, few.low, few.high) == pytest.approx((many.share, many.low, many.high))


def test_intervals_come_from_drawing_items_with_all_their_answers():
    rng = np.random.default_rng(3)
    items = [[answer(f"{r}", f"{i}", rng.choice(METHODS)) for r in range(1 + 9 * (i == 0))] for i in range(10)]
    drawn = []
    for _ in range(3000):
        some = [a for k in rng.integers(0, 10, 10) for a in items[k]]
        drawn.append(np.mean([a.method == "DMN" for a in some]))
    share = report([a for one in items for a in one]).preferences["quality"]["DMN"]
    assert (share.low, share.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.03)


def test_a_rater_who_always_takes_the_first_is_seen():
    orders = [*permutations(METHODS)] * 10
    lazy = report([answer("Ada", f"{k}", shown[0], shown=shown) for k, shown in enumerate(orders)]).positions
    assert (lazy["A"].share, lazy["B"].share) == (1, 0) and lazy["A"].low > lazy["A"].by_chance
    blind = report([answer("Ada", f"{k}", METHODS[0], shown=shown) for k, shown in enumerate(orders)]).positions
    assert all(s.low <= s.by_chance <= s.high for s in blind.values())


# ---- from the file


def test_the_report_of_a_file(tmp_path):
    picture = np.zeros((8, 8, 3), np.uint8)
    items = [SurveyItem(f"{k}", picture, None, dict.fromkeys(METHODS, picture), "task") for k in range(3)]
    path = tmp_path / "answers.csv"
    for rater in ("Ada", "Bob"):
        session = SurveySession(items, path, rater)
        while question := session.question:
            session.answer(question.shown.index("DMN" if question.criterion == "quality" else "copy"))
    session.back()
    found = report(path)
    assert (found.answers, found.items, found.raters) == (11, 3, 2)
    assert found.preferences["quality"]["DMN"].share == 1 and found.preferences["realism"]["copy"].chosen == 5
    lines = found.markdown().splitlines()
    assert lines[0] == "| preferred in [95 % interval] | quality | realism |"
    assert lines[2] == "| DMN | 100 % [100, 100] | 0 % [0, 0] |"
    assert lines[4] == "| copy | 0 % [0, 0] | 100 % [100, 100] |"
    assert "11 answers about 3 items by 2 raters" in lines[-1] and "With fewer than 10 items" in lines[-1]


def test_a_survey_without_answers_reports_that(tmp_path):
    with pytest.raises(DataError, match="no file"):
        report(tmp_path / "answers.csv")
    assert "0 answers about 0 items" in report([]).markdown()
