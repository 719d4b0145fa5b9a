"""What the tables measure: distances to photos, and whether a result shows the person of its target."""

import numpy as np
import pytest
from stub_judges import made_up

from maskgan_lib.evaluation.columns import columns_of, people_row, verification_columns, verification_table
from maskgan_lib.evaluation.methods import RECONSTRUCTION
from maskgan_lib.evaluation.verification import people_of


def test_intervals_stay_where_values_can_be():
    features = np.random.default_rng(0).normal(size=(40, 3))
    *_, frechet, kernel = columns_of(RECONSTRUCTION, made_up(features=features))
    same = made_up(features=features)
    assert frechet.cell(same).low == 0 and frechet.cell(same).value == pytest.approx(0, abs=1e-6)
    assert kernel.cell(same).value < 0 and kernel.cell(same).low < kernel.cell(same).value


def unit(rng, count, size=16):
    vectors = rng.normal(size=(count, size))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_verification_of_copies_is_perfect_and_of_constants_chance():
    photos = made_up(embeddings=unit(np.random.default_rng(0), 40))
    constant = made_up(embeddings=np.repeat(unit(np.random.default_rng(1), 1), 40, axis=0))
    strangers = unit(np.random.default_rng(2), 30)
    people = people_of(np.repeat(strangers, 2, axis=0), np.repeat(np.arange(30), 2))
    assert (people.same > 0.999).all() and len(people.same) == 30
    columns = verification_columns(photos, np.arange(40), people)
    copied = [column.cell(photos) for column in columns]
    assert [cell.value for cell in copied] == pytest.approx([100, 100, 1])
    assert all(cell.high - cell.low < 1e-6 for cell in copied)
    fixed, best, area = (column.cell(constant) for column in columns)
    assert fixed.value == 50 and 50 <= best.value < 56 and area.value == pytest.approx(0.5, abs=0.02)
    table = verification_table(columns, {"copy": photos, "one face": constant}, people, ["note"])
    assert [cell.value for cell in table.rows[0].cells] == pytest.approx([100, 100, 1])
    assert [row.name for row in table.rows] == ["photos", "copy", "one face"]
    assert "30 pairs of photos of one person" in table.markdown()


def test_people_are_compared_within_and_across():
    embeddings = unit(np.random.default_rng(0), 7)
    persons = np.array([3, 3, 3, 5, -1, -1, 5])
    people = people_of(embeddings, persons)
    assert len(people.same) == 4 and len(people.different) == 6
    brute = [embeddings[i] @ embeddings[j] for i, j in ((0, 1), (0, 2), (1, 2), (3, 6))]
    assert np.sort(people.same) == pytest.approx(np.sort(brute))
    assert people_of(embeddings, np.arange(7)) is None and people_of(embeddings, np.zeros(7, int)) is None
    assert people_row(people)[2].value == people.auc
