"""The paper's orderings beside results whose differences are known."""

import re

import numpy as np
from bs4 import BeautifulSoup
from stub_judges import made_up

from maskgan_lib.evaluation.columns import FIXED, FRECHET, columns_of
from maskgan_lib.evaluation.grading import Graded
from maskgan_lib.evaluation.methods import STYLE_COPY, TRANSFER
from maskgan_lib.evaluation.orderings import ORDERINGS, compare_orderings
from maskgan_lib.evaluation.protocols import MEASURES
from maskgan_lib.evaluation.tables import VERIFICATION


def graded_as(attribute, segmentation, features=None, count=30) -> Graded:
    rng = np.random.default_rng(0)
    values = {measure.name: np.zeros(count) for measure in MEASURES[TRANSFER]}
    values["attribute accuracy"] = attribute + rng.normal(0, 1, count)
    values["segmentation accuracy"] = segmentation + rng.normal(0, 1, count)
    return Graded(values, rng.normal(size=(count, 3)) if features is None else features, None)


def verdicts(results: dict, columns=None) -> dict[tuple, str]:
    columns = {TRANSFER: columns_of(TRANSFER)} if columns is None else columns
    rows = compare_orderings({TRANSFER: results}, columns).rows
    return {(r.ordering.table, r.ordering.better, r.ordering.worse, r.ordering.measure): r.verdict for r in rows}


def test_orderings_only_name_what_the_tables_have():
    reference = made_up(features=np.zeros((20, 3)))
    measures = {task: {c.measure.name for c in columns_of(task, reference)} for task in (TRANSFER, STYLE_COPY)}
    measures[VERIFICATION] = {FIXED.name}
    assert all(ordering.measure in measures[ordering.table] for ordering in ORDERINGS)
    assert len(set(ORDERINGS)) == len(ORDERINGS)
    assert not any(re.search(r"\d", ordering.statement.replace("Pix2PixHD-m", "")) for ordering in ORDERINGS)


def test_verdicts_on_orderings():
    near, far = (np.random.default_rng(1).normal(shift, 1, (30, 3)) for shift in (0, 3))
    reference = made_up(features=np.random.default_rng(2).normal(size=(50, 3)))
    columns = {TRANSFER: columns_of(TRANSFER, reference)}
    results = {"DMN": graded_as(70, 90, far), "MaskGAN†": graded_as(75, 85, near), "SPADE": graded_as(70, 90, near)}
    seen = verdicts(results, columns)
    assert seen[TRANSFER, "MaskGAN†", "DMN", "attribute accuracy"] == "agreeing"
    assert seen[TRANSFER, "MaskGAN†", "DMN", "segmentation accuracy"] == "not agreeing"
    assert seen[TRANSFER, "MaskGAN†", "DMN", FRECHET.name] == "agreeing"
    assert seen[TRANSFER, "SPADE", "DMN", "segmentation accuracy"] == "no difference seen"
    assert seen[TRANSFER, "StarGAN", "DMN", "attribute accuracy"] == "not trained here"
    assert seen[STYLE_COPY, "MaskGAN†", "DMN", "Male"] == "not measured here"
    assert verdicts(results)[TRANSFER, "MaskGAN†", "DMN", FRECHET.name] == "not measured here"
    few = {name: graded_as(70, 90, count=9) for name in ("DMN", "MaskGAN†")}
    assert verdicts(few)[TRANSFER, "MaskGAN†", "DMN", "attribute accuracy"] == "too few pairs"


def test_fewer_pictures_than_features_give_no_verdict_on_a_frechet_distance():
    wide = {name: np.random.default_rng(k).normal(3 * k, 1, (30, 40)) for k, name in enumerate(("MaskGAN†", "DMN"))}
    reference = made_up(features=np.random.default_rng(2).normal(size=(50, 40)))
    results = {name: graded_as(70, 90, features) for name, features in wide.items()}
    seen = verdicts(results, {TRANSFER: columns_of(TRANSFER, reference)})
    assert seen[TRANSFER, "MaskGAN†", "DMN", FRECHET.name] == "too few pairs"


def test_orderings_are_shown_with_the_untrained_once():
    shown = compare_orderings(
        {TRANSFER: {"DMN": graded_as(70, 90), "MaskGAN†": graded_as(75, 85)}}, {TRANSFER: columns_of(TRANSFER)}
    )
    text, soup = shown.markdown(), BeautifulSoup(shown.html(), "html.parser")
    assert text.count("StarGAN classifies best of all") == 1 and "Not trained here" in text
    table = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [td.text for td in soup.tbody.tr.find_all("td")] == table[2]
    assert table[2][2] == "MaskGAN† against DMN" and table[2][4].endswith(" points") and table[2][5] == "agreeing"
