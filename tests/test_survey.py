"""The human study: who is asked what, that no answer is lost, and what the widget lets out; the view: tests/browser."""

import base64
import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from itertools import permutations

import ipywidgets
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskgan_lib.data.packed import DataError
from maskgan_lib.evaluation.survey import CRITERIA, Survey, SurveyItem, SurveySession, answers, read_answers

METHODS = ("DMN", "MaskGAN, long", 'copy of "target"')
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name.strip() and name.isprintable())


def picture(number):
    return np.full((8, 8, 3), number, np.uint8)


def item(key, methods=METHODS):
    results = {method: picture(10 + k) for k, method in enumerate(methods)}
    return SurveyItem(key, picture(1), picture(2), results, "Give the target her smile.")


ITEMS = [item("pair 1"), item("pair 2"), item("pair 3")]


def judged(path):
    return [(a.rater, a.item, a.criterion, a.method) for a in read_answers(path)]


# ---- order


def test_every_item_is_asked_about_by_every_criterion_one_after_the_other(tmp_path):
    questions = SurveySession(ITEMS, tmp_path / "a.csv", "Ada").questions
    assert [(q.number, q.criterion) for q in questions] == list(enumerate([*CRITERIA] * 3))
    keys = [q.item.key for q in questions]
    assert keys[::2] == keys[1::2] and sorted(keys[::2]) == ["pair 1", "pair 2", "pair 3"]
    assert [q.shown for q in questions[::2]] == [q.shown for q in questions[1::2]]
    for question in questions:
        assert [p[0, 0, 0] for p in question.pictures] == [10 + METHODS.index(name) for name in question.shown]


def test_the_order_depends_on_seed_rater_and_item_only(tmp_path):
    def order(items, rater="Ada", seed=0):
        return [(q.item.key, q.shown) for q in SurveySession(items, tmp_path / "a.csv", rater, seed).questions]

    many = [item(f"pair {k}") for k in range(12)]
    turned = [SurveyItem(i.key, i.target, i.source, dict(reversed(i.results.items())), i.task) for i in many[::-1]]
    assert order(many) == order(turned)
    assert order(many) != order(many, rater="Bob") and order(many) != order(many, seed=1)
    shown = dict(order(many))
    assert all(shown[key] == methods for key, methods in order(many[:5]))  # nothing depends on the other items


def test_no_position_is_favoured(tmp_path):
    session = SurveySession([item(f"pair {k}") for k in range(1200)], tmp_path / "a.csv", "Ada")
    counts = Counter(question.shown for question in session.questions[::2])
    chi_square = sum((counts[order] - 200) ** 2 / 200 for order in permutations(METHODS))
    assert chi_square < 20.5  # 5 degrees of freedom: more in one of a thousand seeds


# ---- answers on the disk


def test_an_answer_is_one_row_with_all_that_was_seen(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    session = SurveySession(ITEMS, tmp_path / "new" / "a.csv", "Ada, the 1st")
    question = session.question
    now[0] += 2.5
    session.answer(1)
    now[0] += 50
    session.restart_clock()
    now[0] += 0.25
    session.answer(0)
    with session.path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert tuple(first) == answers.COLUMNS
    assert first.pop("time").endswith("+00:00") and second["seconds"] == "0.25"
    assert first == {
        "rater": "Ada, the 1st",
        "item": question.item.key,
        "criterion": "quality",
        "method": question.shown[1],
        "position": "B",
        "shown": json.dumps(question.shown),
        "seconds": "2.5",
    }


@given(st.lists(st.one_of(st.integers(0, 2), st.sampled_from(["back", "reopen"])), max_size=25))
@settings(max_examples=30, deadline=None)
def test_any_way_through_a_survey_can_be_left_and_taken_up_again(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("way") / "a.csv"
    session = SurveySession(ITEMS, path, "Ada")
    chosen = []  # what should count
    for step in steps:
        if step == "reopen":
            session = SurveySession(ITEMS, path, "Ada")
        elif step == "back":
            session.back()
            chosen = chosen[:-1]
        elif session.question:
            chosen.append(session.question.shown[step])
            session.answer(step)
        assert [method for *_, method in judged(path)] == chosen
        assert session.answered == len(chosen)
        assert session.question == (session.questions[len(chosen)] if len(chosen) < 6 else None)


WAY = (0, 1, "back", 2, 0, 1, 2, 0)
COUNTING = (0, 0, 1, 2, 1, 2, 3, 4, 5, 6)
"""How many answers count after each whole line of such a file, from no line at all."""


def finished_file(path):
    """A survey that Ada went through, with one answer taken back and given anew."""
    session = SurveySession(ITEMS, path, "Ada")
    for choice in WAY:
        session.back() if choice == "back" else session.answer(choice)
    return path.read_bytes()


def test_a_survey_goes_on_after_a_cut_at_any_byte(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda _: None)  # some thousand times it would take long
    path = tmp_path / "a.csv"
    whole = finished_file(path)
    header = whole[: whole.index(b"\n") + 1]
    assert whole.count(b"\n") == len(WAY) + 1
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        counting = COUNTING[whole[:cut].count(b"\n")]
        assert len(read_answers(path)) == counting
        assert path.read_bytes() == whole[:cut]  # reading repairs nothing
        session = SurveySession(ITEMS, path, "Ada")
        assert session.answered == counting
        assert path.read_bytes() == (whole[: whole[:cut].rfind(b"\n") + 1] or header)
        if session.question:
            session.answer(0)
            assert len(read_answers(path)) == counting + 1


@given(NAMES, NAMES, st.lists(NAMES, min_size=2, max_size=9, unique=True))
@settings(max_examples=40, deadline=None)
def test_any_printable_name_survives(tmp_path_factory, rater, key, methods):
    path = tmp_path_factory.mktemp("names") / "a.csv"
    session = SurveySession([item(key, methods)], path, rater)
    session.answer(1)
    assert judged(path) == [(rater, key, "quality", session.questions[0].shown[1])]
    assert SurveySession([item(key, methods)], path, rater).answered == 1


def test_raters_share_a_file_and_do_not_see_each_other(tmp_path):
    path = tmp_path / "a.csv"
    ada, bob = SurveySession(ITEMS, path, "Ada"), SurveySession(ITEMS, path, "Bob")
    ada.answer(0)
    bob.answer(1)
    ada.answer(2)
    bob.back()
    ada.answer(1)
    assert [SurveySession(ITEMS, path, name).answered for name in ("Ada", "Bob")] == [3, 0]
    assert [rater for rater, *_ in judged(path)] == ["Ada"] * 3


def test_a_file_saved_by_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "a.csv"
    whole = finished_file(path)
    path.write_bytes(b"\xef\xbb\xbf" + whole.replace(b"\n", b"\r\n"))
    assert SurveySession(ITEMS, path, "Ada").answered == 6


# ---- what is refused


@pytest.mark.parametrize(
    ("others", "trouble"),
    [
        ([item("pair 1"), item("pair 2"), item("pair 9")], "item 'pair 3'"),
        ([item(i.key, ("DMN", "SPADE", "Pix2PixHD")) for i in ITEMS], "with the methods DMN, MaskGAN"),
    ],
)
def test_answers_about_another_survey_are_refused(tmp_path, others, trouble):
    path = tmp_path / "a.csv"
    whole = finished_file(path)
    with pytest.raises(DataError, match=trouble):
        SurveySession(others, path, "Bob")
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"name,age\nAda,36\n", b"\x89PNG", b"rater,item\n"])
def test_a_file_of_something_else_is_refused_and_left_alone(tmp_path, content):
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    for read in (lambda: SurveySession(ITEMS, path, "Ada"), lambda: read_answers(path)):
        with pytest.raises(DataError, match="does not hold answers"):
            read()
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("old", "new"),
    [(b",quality,", b","), (b"[", b"("), (b",B,", b",C,"), (b",A,", b",,"), (b"[", b"\xff[")],
)
def test_a_damaged_line_is_named(tmp_path, old, new):
    path = tmp_path / "a.csv"
    path.write_bytes(finished_file(path).replace(old, new, 1))
    with pytest.raises(DataError, match=r"Line \d of .* is no answer|is damaged"):
        read_answers(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda path: SurveySession([], path, "Ada"),
        lambda path: SurveySession([item("pair"), item("pair")], path, "Ada"),
        lambda path: SurveySession(ITEMS, path, " "),
        lambda path: SurveySession(ITEMS, path, "Ada\nBob"),
        lambda path: item("pair", METHODS[:1]),
        lambda path: item("pair", [f"method {k}" for k in range(10)]),
        lambda path: item("a\u2028b"),
        lambda path: SurveyItem("pair", picture(0)[..., 0], None, ITEMS[0].results, "task"),
        lambda path: SurveyItem("pair", picture(0) / 255, None, ITEMS[0].results, "task"),
        lambda path: SurveyItem("pair", picture(0), None, {"a": picture(0), "b": None}, "task"),
        lambda path: SurveySession(ITEMS, path, "Ada").answer(3),
        lambda path: SurveySession(ITEMS, path, "Ada").answer(-1),
    ],
)
def test_wrong_arguments_are_refused_in_words(tmp_path, make):
    with pytest.raises(ValueError, match=r"^[A-Z'].* .*\.$"):
        make(tmp_path / "a.csv")


@pytest.mark.parametrize("fails", ["write", "sync"])
def test_a_full_disk_costs_one_answer_that_did_not_count(tmp_path, monkeypatch, fails):
    session = SurveySession(ITEMS, tmp_path / "a.csv", "Ada")
    session.answer(0)
    before = session.path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    def half(file, data):
        file.write(data[: len(data) // 2])
        full()

    with monkeypatch.context() as patch:
        patch.setattr(*((answers, "write_all", half) if fails == "write" else (os, "fsync", full)))
        for act in (lambda: session.answer(1), session.back):
            with pytest.raises(DataError, match=r"a\.csv cannot be written \(No space left on device\)"):
                act()
        assert session.path.read_bytes() == before and session.answered == 1
    session.answer(1)
    assert len(read_answers(session.path)) == 2
    session.path.unlink()
    with pytest.raises(DataError, match="the file is gone"):  # and is not begun anew in silence
        session.answer(1)
    assert not session.path.exists()


ANSWERING = """
import os, sys
sys.path.insert(0, sys.argv[2])
from test_survey import SurveySession, item
session = SurveySession([item(f"pair {k}") for k in range(2000)], sys.argv[1], "Ada")
while session.question:
    session.answer(session.answered % 3)
    os.write(1, b"%d\\n" % session.answered)
"""


def test_sigkill_loses_no_answer_that_was_confirmed(tmp_path):
    path, many = tmp_path / "a.csv", [item(f"pair {k}") for k in range(2000)]
    confirmed = 0
    for stop in (30, 61):
        command = [sys.executable, "-c", ANSWERING, str(path), os.path.dirname(__file__)]  # noqa: PTH120
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            for line in child.stdout:
                if int(line) >= stop:
                    break
            child.send_signal(signal.SIGKILL)
            confirmed = max([int(line), *map(int, child.stdout.read().split())])
        stored = SurveySession(many, path, "Ada").answered
        assert stored in (confirmed, confirmed + 1)  # the kill may come between the disk and the word that it is there
        assert [a.position for a in read_answers(path)] == ["ABC"[k % 3] for k in range(stored)]
    assert confirmed >= 61


# ---- the widget without its view


@pytest.fixture
def survey(tmp_path):
    widget = Survey(ITEMS, tmp_path / "a.csv", "Ada")
    widget.said = []
    widget.send = lambda content, buffers=None: widget.said.append(content)
    return widget


def tell(widget, kind, turn=None, **more):
    turn = widget.question["turn"] if turn is None else turn
    widget._handle_custom_msg({"type": kind, "turn": turn} | more, [])


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))))


def test_the_view_gets_exact_pictures_and_no_names(survey):
    pictures = [decoded(url.partition(",")[2]) for url in survey.pictures]
    shown = survey.session.question.shown
    assert np.array_equal(pictures, [picture(k) for k in (1, 2, *(10 + METHODS.index(name) for name in shown))])
    known = json.dumps(survey.question) + "".join(survey.pictures)
    assert not any(name in known for name in ("DMN", "MaskGAN", "copy of"))


@pytest.mark.skipif(ipywidgets.__version__ < "8", reason="version 7 sends only to a real kernel")
def test_an_answer_and_what_comes_next_are_one_message(survey):
    sent = []
    survey.send_state = lambda key=None: sent.append(set(key))
    tell(survey, "answer", choice=2)
    assert sent == [{"question"}]  # the same pictures are not sent again
    assert survey.question["number"] == 1 and len(judged(survey.session.path)) == 1
    tell(survey, "answer", choice=0)
    assert sent[-1] == {"question", "pictures"}


def test_what_is_said_of_an_earlier_turn_changes_nothing_whatever_the_thread(survey):
    """A second click, another view: of all that is said of a turn, one thing counts."""
    threads = [threading.Thread(target=tell, args=(survey, "answer", 0), kwargs={"choice": 2}) for _ in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    tell(survey, "back", turn=0)
    assert [answer.position for answer in read_answers(survey.session.path)] == ["C"]
    assert survey.question["turn"] == 1


@pytest.mark.parametrize("choice", [3, -1, "x", None, 1.5])
def test_a_wrong_choice_is_an_error_in_the_view(survey, choice):
    tell(survey, "answer", choice=choice)
    assert survey.question["error"] and survey.question["number"] == 0 and judged(survey.session.path) == []
    tell(survey, "answer", choice=0)
    assert survey.question["error"] == "" and survey.question["number"] == 1


def test_other_messages_are_ignored_and_hello_is_answered(survey):
    for content in ({}, {"type": "answer"}, {"type": "answer", "turn": "0"}, {"type": "else"}):
        survey._handle_custom_msg(content, [])
    assert survey.said == [] and survey.question["turn"] == 0
    survey._handle_custom_msg({"type": "hello"}, [])
    assert survey.said == [{"type": "hello"}]


def test_without_a_kernel_a_reader_sees_the_first_question(survey):
    before = survey._repr_mimebundle_()[0]
    tell(survey, "answer", choice=0)
    after = survey._repr_mimebundle_()[0]
    assert before == after and before["text/plain"] == repr(survey) == "Survey(3 items, 2 questions each)"
    still = decoded(before["image/png"])
    expected = [1, 2, *(10 + METHODS.index(name) for name in survey.session.questions[0].shown)]
    assert [still[80, 88 + 184 * k].tolist() for k in range(5)] == [[value] * 3 for value in expected]


def test_a_finished_survey_has_no_pictures_and_can_go_back(survey):
    for _ in range(6):
        tell(survey, "answer", choice=0)
    assert survey.question["finished"] and survey.pictures == [] and survey.question["file"].endswith("a.csv")
    tell(survey, "back")
    assert survey.question["number"] == 5 and survey.pictures
