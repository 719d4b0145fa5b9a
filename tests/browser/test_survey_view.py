"""The survey's view in a real browser, before the real widget and without Jupyter."""

import numpy as np
import pytest

from browser.page import mount, new_page
from maskgan_lib.evaluation.survey import Survey, SurveyItem, read_answers

METHODS = {"Model <b>One</b>": (200, 30, 30), "Model Two": (30, 200, 30), "Model Three": (30, 30, 200)}
TARGET, SOURCE = (90, 90, 90), (160, 160, 160)


def make_survey(path, source=True):
    """Two items of plain pictures."""

    def plain(color):
        return np.full((48, 48, 3), color, np.uint8)

    results = {name: plain(color) for name, color in METHODS.items()}
    given = plain(TARGET), plain(SOURCE) if source else None
    items = [SurveyItem(f"pair {k}", *given, results, "Give the target <i>her</i> smile.") for k in range(2)]
    return Survey(items, path, "Ada")


@pytest.fixture(scope="module")
def window(browser):
    with new_page(browser) as page:
        yield page


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.csv"


@pytest.fixture
def survey(window, path):
    """A mounted survey, its first question on the screen; nothing may go wrong in the page."""
    window.errors.clear()
    mounted = mount(window, make_survey(path))
    on_screen(mounted, 0)
    yield mounted
    assert window.errors == []


def on_screen(mounted, turn):
    mounted.page.wait_for_selector(f".survey-root[data-turn='{turn}'][data-pending='0']")


def press(mounted, *keys):
    mounted.page.focus(".survey-root")
    for key in keys:
        mounted.page.keyboard.press(key)


def next_turn(mounted):
    """The kernel hears what was said, and what it makes of that comes on the screen."""
    turn = int(root_data(mounted.page, "turn")) + 1
    mounted.deliver()
    on_screen(mounted, turn)


def act(mounted, *keys):
    for key in keys:
        press(mounted, key)
        next_turn(mounted)


def said(mounted):
    """The answers and steps back that the kernel has not heard of."""
    return [message for message in mounted.waiting() if message["type"] in ("answer", "back")]


def positions(path):
    return [answer.position for answer in read_answers(path)]


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


@pytest.mark.parametrize("source", [True, False])
def test_pictures_are_the_sessions_and_in_its_order(window, path, source):
    mounted = mount(window, make_survey(path, source))
    on_screen(mounted, 0)
    shown = mounted.widget.session.question.shown
    assert colors(window, ".survey-given") == ([TARGET, SOURCE] if source else [TARGET])
    assert colors(window, ".survey-results") == [METHODS[name] for name in shown]
    assert window.locator(".survey-result .survey-title").all_inner_texts() == ["A", "B", "C"]
    assert window.evaluate("document.activeElement === document.body"), "it does not take the focus of others"


def test_nothing_in_the_page_tells_which_method_it_is_and_texts_are_no_html(survey):
    known = survey.page.content() + survey.page.evaluate("JSON.stringify(model.state)")
    assert "Ada" in known and not any(part in known for part in ("One", "Two", "Three"))
    assert survey.page.inner_text(".survey-task") == "Give the target <i>her</i> smile."


@pytest.mark.parametrize(("key", "place"), [("1", 0), ("3", 2), ("b", 1)])
def test_keys_choose(survey, path, key, place):
    shown = survey.widget.session.question.shown
    act(survey, key)
    assert [(a.method, a.position) for a in read_answers(path)] == [(shown[place], "ABC"[place])]


def test_other_keys_do_nothing_and_none_reaches_the_notebook(survey):
    survey.page.evaluate("window.leaked = []; document.addEventListener('keydown', e => leaked.push(e.key))")
    press(survey, "4", "0", "d", "d", "Enter", " ", "Control+1", "Alt+a", "Backspace", "Tab")
    assert said(survey) == [] and survey.page.is_disabled(".survey-back"), "at the first question there is no way back"
    assert survey.page.evaluate("leaked") == []
    assert root_data(survey.page, "lm-suppress-shortcuts") == "true"


def test_a_click_chooses_and_a_double_click_does_not_answer_the_next_question(survey, path):
    second = survey.page.locator(".survey-result").nth(1)
    second.click()
    next_turn(survey)
    second.dispatch_event("click", {"detail": 2})
    assert said(survey) == [] and positions(path) == ["B"]
    survey.page.keyboard.press("1")  # the keyboard stays with the survey
    next_turn(survey)
    for _ in range(2):
        survey.page.click(".survey-back")
        next_turn(survey)
    survey.page.keyboard.press("3")
    next_turn(survey)
    assert positions(path) == ["C"]


def test_a_button_can_be_pressed_by_enter_and_space(survey, path):
    for key in ("Enter", " "):
        survey.page.locator(".survey-result").nth(2).focus()
        survey.page.keyboard.press(key)
        next_turn(survey)
    assert positions(path) == ["C", "C"]


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
    assert positions(path) == []
    assert survey.page.locator(".survey-chosen .survey-title").inner_text() == "B"
    press(survey, "1", "Backspace")
    survey.page.locator(".survey-result").first.click(force=True)
    assert [message["choice"] for message in said(survey)] == [1]
    next_turn(survey)
    assert positions(path) == ["B"] and survey.page.locator(".survey-chosen").count() == 0


@pytest.mark.parametrize("key", ["Backspace", "ArrowLeft"])
def test_back_asks_the_last_question_again(survey, path, key):
    act(survey, "1", key)
    assert positions(path) == [] and survey.widget.session.question.number == 0
    act(survey, "3")
    assert positions(path) == ["C"]


def test_both_criteria_are_asked_about_each_item_and_the_end_says_where_the_answers_are(survey, path):
    for number in range(4):
        step = ("1 of 2 · quality", "2 of 2 · realism")[number % 2]
        assert survey.page.inner_text(".survey-step") == step
        assert survey.page.inner_text(".survey-count") == f"Question {number + 1} of 4"
        act(survey, "1")
    assert root_data(survey.page, "state") == "finished" and not survey.page.is_visible(".survey-body")
    assert str(path) in survey.page.inner_text(".survey-end") and "Ada" in survey.page.inner_text(".survey-end")
    press(survey, "1", "a")
    assert said(survey) == []
    act(survey, "Backspace")
    assert root_data(survey.page, "state") == "question" and len(read_answers(path)) == 3


def test_an_answer_that_cannot_be_stored_is_said_and_can_be_given_again(survey, path):
    act(survey, "1")
    moved = path.rename(path.with_name("moved.csv"))
    survey.deliver()
    survey.widget.session._asked_at -= 1000
    act(survey, "2")
    assert "cannot be written (the file is gone)" in survey.page.inner_text(".survey-error")
    moved.rename(path)
    act(survey, "3")
    assert survey.page.locator(".survey-error").count() == 0
    assert positions(path) == ["A", "C"]
    assert read_answers(path)[1].seconds > 1000, "the question was on the screen all the time"


def test_a_kernel_that_stops_is_noticed_before_an_answer_and_after(browser, path):
    with new_page(browser) as page:
        page.clock.install()
        mounted = mount(page, make_survey(path))
        on_screen(mounted, 0)
        page.evaluate("model.dead = true")
        press(mounted, "2")
        page.wait_for_selector("[data-kernel='gone'][data-pending='0'][data-turn='0']")
        assert "Run this cell again" in page.inner_text(".survey-error")
        page.evaluate("model.dead = false")
        press(mounted, "1")
        page.clock.run_for(4000)
        assert root_data(page, "kernel") == "waiting" and root_data(page, "pending") == "1"
        assert "it may be running a cell" in page.inner_text(".survey-status")
        page.evaluate("model.dead = true")
        page.clock.run_for(1000)
        assert root_data(page, "kernel") == "gone" and root_data(page, "pending") == "0"
        page.evaluate("model.dead = false")
        next_turn(mounted)  # it was only slow: what had been sent counts
        assert positions(path) == ["A"] and root_data(page, "kernel") == "alive"


def test_another_view_of_the_same_survey_follows(window, survey, path):
    window.evaluate("showView()")
    window.wait_for_function("document.querySelectorAll('[data-turn=\"0\"]').length === 2")
    for place in (0, 1):  # both are answered before the kernel hears of any
        window.locator(".survey-root").nth(place).focus()
        window.keyboard.press("12"[place])
    assert [message["choice"] for message in said(survey)] == [0, 1]
    survey.deliver()
    window.wait_for_function('document.querySelectorAll(\'[data-turn="1"][data-pending="0"]\').length === 2')
    assert positions(path) == ["A"]


def test_seconds_count_from_when_the_pictures_are_on_the_screen(survey, path):
    survey.widget.session._asked_at -= 1000
    survey.deliver()  # "shown" among the messages
    act(survey, "1")
    assert read_answers(path)[0].seconds < 500


@pytest.mark.parametrize(("width", "rows"), [(360, 2), (780, 1), (1200, 1)])
def test_it_fits_any_width_and_shows_small_pictures_large(survey, width, rows):
    survey.page.set_viewport_size({"width": width, "height": 900})
    boxes = "nodes => nodes.map(node => { const { right, top } = node.getBoundingClientRect(); return [right, top]; })"
    assert max(right for right, _ in survey.page.eval_on_selector_all(".survey-root, .survey-root *", boxes)) <= width
    assert len({top for _, top in survey.page.eval_on_selector_all(".survey-result", boxes)}) == rows
    sizes = survey.page.eval_on_selector_all(".survey-result img", "nodes => nodes.map(node => node.clientWidth)")
    assert min(sizes) >= 110 and max(sizes) - min(sizes) <= 1


def test_a_removed_view_leaves_nothing_behind(survey):
    survey.page.evaluate("cleanUp()")
    assert survey.page.evaluate("model.listeners()") == 0
