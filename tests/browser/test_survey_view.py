"""The survey's view in a real browser, before the real widget and without Jupyter."""

import numpy as np
import pytest

from browser.page import mount, new_page
from maskgan_lib.evaluation.survey import Survey, SurveyItem, read_answers

METHODS = {"Model <b>One</b>": (200, 30, 30), "Model Two": (30, 200, 30), "Model Three": (30, 30, 200)}
TARGET, SOURCE = (90, 90, 90), (160, 160, 160)


def plain(color, size=48):
    return np.full((size, size, 3), color, np.uint8)


def make_items(count=2, source=True):
    results = {name: plain(color) for name, color in METHODS.items()}
    given = plain(TARGET), plain(SOURCE) if source else None
    return [SurveyItem(f"pair {k}", *given, results, "Give the target <i>her</i> smile.") for k in range(count)]


@pytest.fixture(scope="module")
def window(browser):
    with new_page(browser) as page:
        yield page


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.csv"


@pytest.fixture
def survey(window, path):
    """A mounted survey of two items, its first question on the screen; nothing may go wrong in the page."""
    window.errors.clear()
    mounted = mount(window, Survey(make_items(), path, "Ada"))
    on_screen(mounted, 0)
    yield mounted
    assert window.errors == []


def on_screen(mounted, turn):
    mounted.page.wait_for_selector(f".survey-root[data-turn='{turn}'][data-pending='0']")


def press(mounted, *keys):
    mounted.page.focus(".survey-root")
    for key in keys:
        mounted.page.keyboard.press(key)


def answer_all(mounted):
    for turn in range(mounted.widget.session.answered, mounted.widget.session.total):
        press(mounted, "1")
        mounted.deliver()
        on_screen(mounted, turn + 1)


def colors(page, selector):
    """The colour in the middle of each picture."""
    script = """images => images.map(image => {
        const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
        canvas.getContext("2d").drawImage(image, 20, 20, 1, 1, 0, 0, 1, 1);
        return Array.from(canvas.getContext("2d").getImageData(0, 0, 1, 1).data).slice(0, 3);
    })"""
    return [tuple(color) for color in page.eval_on_selector_all(f"{selector} img", script)]


def root_data(page, name):
    return page.get_attribute(".survey-root", f"data-{name}")


@pytest.mark.parametrize("colab", [False, True], ids=["JupyterLab", "Colab"])
def test_pictures_are_the_sessions_and_in_its_order(window, path, colab):
    mounted = mount(window, Survey(make_items(), path, "Ada"), colab)
    on_screen(mounted, 0)
    question = mounted.widget.session.question
    assert colors(window, ".survey-given") == [TARGET, SOURCE]
    assert colors(window, ".survey-results") == [METHODS[name] for name in question.shown]
    assert window.locator(".survey-result .survey-title").all_inner_texts() == ["A", "B", "C"]


def test_without_a_source_only_the_target_is_given(window, path):
    mounted = mount(window, Survey(make_items(source=False), path, "Ada"))
    on_screen(mounted, 0)
    assert colors(window, ".survey-given") == [TARGET]
    assert len(colors(window, ".survey-results")) == 3


def test_nothing_in_the_page_tells_which_method_it_is(survey):
    known = survey.page.content() + survey.page.evaluate("JSON.stringify(model.state)")
    assert "Ada" in known and not any(part in known for part in ("One", "Two", "Three"))


def test_names_and_tasks_are_text_not_html(survey):
    assert survey.page.inner_text(".survey-task") == "Give the target <i>her</i> smile."


@pytest.mark.parametrize(("key", "place"), [("1", 0), ("3", 2), ("b", 1), ("C", 2)])
def test_keys_choose(survey, path, key, place):
    shown = survey.widget.session.question.shown
    press(survey, key)
    survey.deliver()
    on_screen(survey, 1)
    assert [(a.method, a.position) for a in read_answers(path)] == [(shown[place], "ABC"[place])]


def test_other_keys_do_nothing(survey, path):
    press(survey, "4", "0", "9", "d", "Enter", " ", "Control+1", "Alt+a", "Tab")
    assert [m for m in survey.waiting() if m["type"] in ("answer", "back")] == []


def test_a_click_chooses_and_a_double_click_does_not_answer_the_next_question(survey, path):
    second = survey.page.locator(".survey-result").nth(1)
    second.click()
    survey.deliver()
    on_screen(survey, 1)
    second.dispatch_event("click", {"detail": 2})
    assert [m for m in survey.waiting() if m["type"] == "answer"] == []
    assert [a.position for a in read_answers(path)] == ["B"]


def test_a_button_can_be_pressed_by_enter_and_space(survey, path):
    for turn, key in enumerate(("Enter", " ")):
        survey.page.locator(".survey-result").nth(2).focus()
        survey.page.keyboard.press(key)
        survey.deliver()
        on_screen(survey, turn + 1)
    assert [a.position for a in read_answers(path)] == ["C", "C"]


def test_a_held_key_answers_once(survey, path):
    press(survey)
    for _ in range(3):  # Playwright marks the second and third as repeated
        survey.page.keyboard.down("1")
        survey.deliver()
    survey.page.keyboard.up("1")
    on_screen(survey, 1)
    assert len(read_answers(path)) == 1


def test_an_answer_waits_for_the_kernel_and_nothing_can_be_chosen_meanwhile(survey, path):
    press(survey, "2")
    assert root_data(survey.page, "pending") == "1" and root_data(survey.page, "turn") == "0"
    assert read_answers(path) == []
    assert survey.page.locator(".survey-chosen .survey-title").inner_text() == "B"
    press(survey, "1", "Backspace")
    survey.page.locator(".survey-result").first.click(force=True)
    assert [m["choice"] for m in survey.waiting() if m["type"] in ("answer", "back")] == [1]
    survey.deliver()
    on_screen(survey, 1)
    assert [a.position for a in read_answers(path)] == ["B"]
    assert survey.page.locator(".survey-chosen").count() == 0


@pytest.mark.parametrize("how", ["Backspace", "ArrowLeft", "button"])
def test_back_asks_the_last_question_again(survey, path, how):
    press(survey, "1")
    survey.deliver()
    on_screen(survey, 1)
    survey.page.click(".survey-back") if how == "button" else press(survey, how)
    survey.deliver()
    on_screen(survey, 2)
    assert read_answers(path) == [] and survey.widget.session.question.number == 0
    press(survey, "3")
    survey.deliver()
    on_screen(survey, 3)
    assert [a.position for a in read_answers(path)] == ["C"]


def test_at_the_first_question_there_is_no_way_back(survey):
    assert survey.page.is_disabled(".survey-back")
    press(survey, "Backspace")
    assert [m for m in survey.waiting() if m["type"] == "back"] == []


def test_both_criteria_are_asked_about_each_item_and_the_end_says_where_the_answers_are(survey, path):
    steps = []
    for turn in range(4):
        on_screen(survey, turn)
        steps.append((survey.page.inner_text(".survey-step"), survey.page.inner_text(".survey-count")))
        press(survey, "1")
        survey.deliver()
    on_screen(survey, 4)
    assert steps == [
        ("1 of 2 · quality", "Question 1 of 4"),
        ("2 of 2 · realism", "Question 2 of 4"),
        ("1 of 2 · quality", "Question 3 of 4"),
        ("2 of 2 · realism", "Question 4 of 4"),
    ]
    assert root_data(survey.page, "state") == "finished"
    assert str(path) in survey.page.inner_text(".survey-end") and "Ada" in survey.page.inner_text(".survey-end")
    press(survey, "1", "a")
    assert [m for m in survey.waiting() if m["type"] == "answer"] == []
    press(survey, "Backspace")
    survey.deliver()
    on_screen(survey, 5)
    assert root_data(survey.page, "state") == "question" and len(read_answers(path)) == 3


def test_an_answer_that_cannot_be_stored_is_said_and_can_be_given_again(survey, path):
    press(survey, "1")
    survey.deliver()
    on_screen(survey, 1)
    moved = path.rename(path.with_name("moved.csv"))
    press(survey, "2")
    survey.deliver()
    on_screen(survey, 1)
    assert "cannot be written (the file is gone)" in survey.page.inner_text(".survey-error")
    moved.rename(path)
    press(survey, "3")
    survey.deliver()
    on_screen(survey, 2)
    assert survey.page.locator(".survey-error").count() == 0
    assert [a.position for a in read_answers(path)] == ["A", "C"]


def test_a_stopped_kernel_is_said_and_nothing_counts(survey, path):
    survey.page.evaluate("model.dead = true")
    press(survey, "1")
    survey.page.wait_for_selector("[data-kernel='gone'][data-pending='0'][data-turn='0']")
    assert "Run this cell again" in survey.page.inner_text(".survey-error")
    assert read_answers(path) == []


def test_a_kernel_that_stops_with_an_answer_on_its_way_is_noticed(browser, path):
    with new_page(browser) as page:
        page.clock.install()
        mounted = mount(page, Survey(make_items(), path, "Ada"))
        on_screen(mounted, 0)
        press(mounted, "1")
        page.clock.run_for(4000)
        assert root_data(page, "kernel") == "waiting" and root_data(page, "pending") == "1"
        assert "it may be running a cell" in page.inner_text(".survey-status")
        page.evaluate("model.dead = true")
        page.clock.run_for(1000)
        assert root_data(page, "kernel") == "gone" and root_data(page, "pending") == "0"
        page.evaluate("model.dead = false")
        mounted.deliver()  # it was only slow: what had been sent counts
        on_screen(mounted, 1)
        assert [a.position for a in read_answers(path)] == ["A"]


def test_another_view_of_the_same_survey_follows(window, survey, path):
    window.evaluate("showView()")
    window.wait_for_function("document.querySelectorAll('[data-turn=\"0\"]').length === 2")
    for place in (0, 1):  # both are answered before the kernel hears of any
        window.locator(".survey-root").nth(place).focus()
        window.keyboard.press("12"[place])
    survey.deliver(len(survey.waiting()) - 1)
    window.wait_for_function("document.querySelectorAll('[data-turn=\"1\"]').length === 2")
    assert [root.get_attribute("data-pending") for root in window.locator(".survey-root").all()] == ["0", "1"]
    survey.deliver()
    window.wait_for_function('document.querySelectorAll(\'[data-turn="1"][data-pending="0"]\').length === 2')
    assert [a.position for a in read_answers(path)] == ["A"]


def test_keys_do_not_reach_the_notebook(survey):
    survey.page.evaluate("window.leaked = []; document.addEventListener('keydown', e => leaked.push(e.key))")
    press(survey, "d", "d", "1", "Backspace")
    assert survey.page.evaluate("leaked") == []
    assert root_data(survey.page, "lm-suppress-shortcuts") == "true"


def test_the_keyboard_stays_with_the_survey_after_a_click(survey):
    survey.page.locator(".survey-result").nth(1).click()
    survey.deliver()
    on_screen(survey, 1)
    survey.page.keyboard.press("1")  # no focusing in between
    survey.deliver()
    on_screen(survey, 2)
    for turn in (3, 4):
        survey.page.click(".survey-back")
        survey.deliver()
        on_screen(survey, turn)
    survey.page.keyboard.press("1")
    survey.deliver()
    on_screen(survey, 5)


def test_it_does_not_take_the_focus_of_others(window, path):
    mounted = mount(window, Survey(make_items(), path, "Ada"))
    on_screen(mounted, 0)
    assert window.evaluate("document.activeElement === document.body")


def test_seconds_count_from_when_the_pictures_are_on_the_screen(survey, path):
    survey.widget.session._asked_at -= 1000
    survey.deliver()  # "shown" among the messages
    press(survey, "1")
    survey.deliver()
    on_screen(survey, 1)
    assert read_answers(path)[0].seconds < 500


@pytest.mark.parametrize(("width", "rows"), [(360, 2), (780, 1), (1200, 1)])
def test_it_fits_any_width_and_shows_small_pictures_large(survey, width, rows):
    survey.page.set_viewport_size({"width": width, "height": 900})
    edges = survey.page.eval_on_selector_all(
        ".survey-root, .survey-root *", "nodes => nodes.map(node => node.getBoundingClientRect().right)"
    )
    assert max(edges) <= width
    tops = survey.page.eval_on_selector_all(
        ".survey-result", "nodes => nodes.map(node => node.getBoundingClientRect().top)"
    )
    assert len(set(tops)) == rows
    sizes = survey.page.eval_on_selector_all(".survey-result img", "nodes => nodes.map(node => node.clientWidth)")
    assert min(sizes) >= 110 and max(sizes) - min(sizes) <= 1


def test_a_removed_view_leaves_nothing_behind(survey):
    survey.page.evaluate("cleanUp()")
    assert survey.page.evaluate("model.listeners()") == 0
