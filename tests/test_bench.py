"""The quick bench leaves a figure for everything it promises."""

import json
import re

import pytest

from maskgan_lib.bench import run_bench

PROMISED = (
    ("faces", r"64 x 64, one core", "faces/s"),
    ("faces", r"128 x 128, one core", "faces/s"),
    ("faces", r"512 x 512, one core", "faces/s"),
    ("preparation", r"1024 x 1024 JPEG and parts to 512 x 512, one core", "faces/s"),
    ("preparation", r"\d+ cores", "faces/s"),
    ("batches", r"256 x 256 in random order to uint8", "faces/s"),
    ("batches", r"256 x 256 in random order to float", "faces/s"),
    ("training", r"maskvae, 64 x 64, batch 8", "steps/s"),
    ("training", r"dmn, 64 x 64, batch 4", "steps/s"),
    ("training", r"ebst, 64 x 64, batch 4", "steps/s"),
    ("training", r"parser, 64 x 64, batch 8", "steps/s"),
    ("training", r"attributes, 64 x 64, batch 8", "steps/s"),
    ("training", r"judged in two passes over in one", "times"),
    ("edits", r"style kept", "ms"),
    ("edits", r"style encoded anew over kept", "times"),
    ("memory", r"peak of this process", "MB"),
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "bench.json"
    lines: list[str] = []
    return run_bench(quick=True, json_path=path, out=lines.append), lines, json.loads(path.read_text())


@pytest.mark.parametrize(("part", "name", "unit"), PROMISED)
def test_every_figure_is_there_and_positive(part, name, unit, bench):
    found = [row for row in bench[0] if row.part == part and re.search(name, row.name) and row.unit == unit]
    assert len(found) == 1 and found[0].value > 0


def test_shares_of_a_step_make_up_the_step(bench):
    shares = {row.name.rpartition(": ")[2]: row.value for row in bench[0] if row.unit == "%"}
    assert shares.keys() == {"batch", "picture", "discriminator", "generator"}
    assert sum(shares.values()) == pytest.approx(100)


def test_table_and_json_say_the_same(bench):
    rows, lines, stored = bench
    assert lines[1:] == [str(row) for row in rows]
    assert [entry["value"] for entry in stored["rows"]] == [row.value for row in rows]
    assert stored["torch"] in lines[0] and stored["preset"] == "smoke"
