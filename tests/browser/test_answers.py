"""What a person asks for, and what the page says has become of it; the run is made up."""

import pytest
from dashboard_samples import TASK, make_goal
from live_page import wait_for
from reach import scrolls_sideways
from told_page import log_row, tell_log, tell_page

pytestmark = pytest.mark.timeout(300)

PROGRAM = "def fitness(state, action):\n    return -state.x_velocity\n"
LONG = '"run backwards" is measured by: the way back' + ", very carefully" * 120
ACCEPTS = {"ok": True, "id": "p_1", "messages": [], "components": [], "judged_by": "gate"}


def waits_for_a_yes(what="goal", sentence=LONG, names=(), adaptation=1):
    return {"adaptation": adaptation, "what": what, "sentence": sentence, "names": list(names)}


class Held:
    """A command on its way: it is answered when a test says so."""

    def __init__(self, page):
        self._page, self._routes = page, []
        page.route("**/api/v1/run/commands", lambda route: self._routes.append(route))

    def answer(self, **values):
        """Answer the command; with a status other than 200 it is refused."""
        wait_for(lambda: self._page.evaluate("1") and self._routes, "no command is sent")
        told = {"kind": "approve", "update": 7, "env_steps": 7000, "detail": ""}
        self._routes.pop().fulfill(**({"json": told} | values))


@pytest.fixture
def told(open_alone, alone):
    told = tell_page(open_alone(), alone, "one")
    told.change(learner_error=None, orchestrator_error=None)
    return told


def open_editor(page):
    page.route("**/api/v1/rewards/check", lambda route: route.fulfill(json=ACCEPTS))
    page.route("**/api/v1/rewards", lambda route: route.fulfill(json=None))
    page.keyboard.press("r")
    page.get_by_role("tab", name="Editor").click()
    return page.get_by_label("Reward program")


def active(page, selector):
    """Whether what has the focus is a part of an element, or the element itself."""
    return page.evaluate(f"document.activeElement.closest({selector!r}) !== null")


REFUSAL = {"status": 409, "json": {"detail": "it prefers worse behaviour"}}


@pytest.mark.parametrize(
    ("answer", "said"),
    [({}, "In force at update 7"), (REFUSAL, "it prefers worse behaviour")],
    ids=["done", "refused"],
)
def test_an_answer_that_comes_after_its_place_was_left_is_told_at_the_edge(told, answer, said):
    page = told.page
    held = Held(page)
    open_editor(page).fill("def reward(state, action):\n    return state.x_velocity\n")
    page.get_by_text("The gate accepts it").wait_for()
    page.get_by_role("button", name="Adopt now").click()
    page.keyboard.press("Escape")
    page.locator(".drawer").wait_for(state="detached")
    region = page.get_by_role("status", name="What came of earlier actions")
    assert region.inner_text() == ""
    held.answer(**answer)
    notice = region.locator(".notice", has_text=said)
    notice.wait_for()
    assert "Rewards" in notice.inner_text()
    notice.get_by_role("button", name="Dismiss").press("Enter")
    notice.wait_for(state="detached")
    assert active(page, ".grid")


@pytest.mark.parametrize("place", [".pending-card", ".drawer"])
def test_after_a_yes_by_keyboard_it_is_told_and_the_focus_is_nearby(told, place):
    page = told.page
    held = Held(page)
    told.change(pending=waits_for_a_yes())
    if place == ".drawer":
        page.keyboard.press("g")
    approve = page.locator(place).get_by_role("button", name="Approve")
    approve.press("Enter")
    held.answer()
    told.change(pending=None)
    approve.wait_for(state="detached")
    page.locator(".notice", has_text="Approved at update 7").wait_for()
    assert active(page, ".cards" if place == ".pending-card" else ".drawer")


def test_the_card_of_a_question_shows_its_buttons_whatever_it_asks(told):
    page = told.page
    held = Held(page)
    names = ["direct", "smooth and slow"]
    told.change(pending=waits_for_a_yes("reward", LONG, names))
    card = page.locator(".pending-card")
    assert card.locator(".asked").get_attribute("title") == LONG

    def assert_all_is_seen():
        outer = card.bounding_box()
        parts = card.locator("button, select, input, .outcome:not(.idle)").all()
        for box in (part.bounding_box() for part in parts):
            assert box["x"] >= outer["x"]
            assert box["x"] + box["width"] <= outer["x"] + outer["width"]
            assert box["y"] + box["height"] <= outer["y"] + outer["height"]

    assert_all_is_seen()
    approve = card.get_by_role("button", name="Approve")
    approve.click()
    card.get_by_text("waits for the update under way").wait_for()
    assert approve.get_attribute("aria-disabled") == "true"
    assert_all_is_seen()
    held.answer(status=409, json={"detail": "nothing can be adopted just now, " * 20})
    card.locator(".outcome.failed").wait_for()
    assert_all_is_seen()
    card.get_by_role("button", name="Details").click()
    assert page.get_by_role("tab", name="Candidates").get_attribute("aria-selected") == "true"


def test_before_a_yes_to_a_goal_its_program_and_target_are_shown(told):
    page = told.page
    asked = waits_for_a_yes()
    measure = {"program": PROGRAM, "target": 2.5, "unit": "m/s"}
    goal = make_goal(pending=[asked | {"goal": measure}])
    page.route("**/api/v1/goal", lambda route: route.fulfill(json=goal))
    told.change(pending=asked)
    told.tell(type="event", run_key="one", event=NEWS)
    page.locator(".pending-card").get_by_role("button", name="Details").click()
    question = page.locator(".drawer .pending")
    question.locator(".tok-keyword", has_text="def").wait_for()
    assert "-state.x_velocity" in question.inner_text()
    assert "2.50 m/s" in question.inner_text()
    assert LONG in question.inner_text()


NEWS = {"number": 90, "kind": "adaptation", "update": 2, "env_steps": 2000, "time_unix_s": 1.7e9,
        "title": "", "detail": "", "adaptation": 1, "values": {"event": "waiting"}}  # fmt: skip


@pytest.mark.parametrize("target", ["1e400", "fast"])
@pytest.mark.parametrize("how", ["button", "Enter"])
def test_a_goal_whose_target_is_no_number_is_not_set(told, target, how):
    page = told.page
    page.keyboard.press("g")
    words, field = page.get_by_label("What should it learn?"), page.get_by_label("Reached at")
    words.fill("run backwards")
    field.fill(target)
    if how == "button":
        page.get_by_role("button", name="Set the goal").click()
    else:
        field.press("Enter")
    page.get_by_text(f"“{target}” is no target").wait_for()
    assert (words.input_value(), field.input_value()) == ("run backwards", target)
    assert told.commanded() == []
    field.fill("\u22122.5")
    page.get_by_role("button", name="Set the goal").click()
    wait_for(told.commanded, "the goal is not set")
    assert told.commands[0]["target"] == -2.5


def test_a_reward_is_adopted_under_the_name_that_was_typed(told):
    page = told.page
    open_editor(page).fill("def reward(state, action):\n    return state.x_velocity\n")
    page.get_by_text("The gate accepts it").wait_for()
    page.get_by_label("Name").fill("faster")
    page.get_by_role("button", name="Adopt now").click()
    wait_for(told.commanded, "it is not adopted")
    assert told.commands[0]["name"] == "faster"


def test_what_enter_wrote_in_the_editor_can_be_undone(told):
    page = told.page
    editor = open_editor(page)
    editor.fill("")
    editor.press_sequentially("def reward(state, action):")
    editor.press("Enter")
    editor.press_sequentially("return 1.0")
    assert editor.input_value() == "def reward(state, action):\n    return 1.0"
    for _ in range(4):
        editor.press("Control+z")
    assert "\n" not in editor.input_value()
    for _ in range(4):
        editor.press("Control+Shift+z")
    assert editor.input_value() == "def reward(state, action):\n    return 1.0"


def test_what_is_empty_or_not_yet_checked_is_neither_tried_nor_adopted(told):
    page = told.page
    editor = open_editor(page)
    buttons = [page.get_by_role("button", name=name) for name in ("Try it", "Adopt now")]

    def reasons():
        return {
            each.get_attribute("title") if each.get_attribute("aria-disabled") else ""
            for each in buttons
        }

    editor.fill(" ")
    assert reasons() == {"There is no program."}
    page.locator(".gate", has_text="There is no program").wait_for()
    checks = []
    page.route("**/api/v1/rewards/check", lambda route: checks.append(route))
    editor.fill("def reward(state, action):\n    return 1.0\n")
    assert reasons() == {"It is being checked."}
    wait_for(lambda: page.evaluate("1") and checks, "nothing is checked")
    checks[0].fulfill(json=ACCEPTS)
    page.get_by_text("The gate accepts it").wait_for()
    assert "It is being checked." not in reasons()


def test_the_set_up_says_in_words_what_cannot_be_and_enter_sends_what_can(told):
    page = told.page
    page.keyboard.press("s")
    number = page.get_by_label("Number", exact=True)
    number.fill("2.5")
    number.press("Enter")
    page.get_by_text("A number of environments is a whole one").wait_for()
    low = page.get_by_label("gravity, low")
    low.fill("2")
    page.get_by_label("gravity, high").fill("0.5")
    low.press("Enter")
    page.get_by_text("gravity: its low end, 2, is above its high end, 0.5.").wait_for()
    assert told.commanded() == []
    held = Held(page)
    number.fill("128")
    number.press("Enter")
    held.answer(**REFUSAL)
    refusal = page.locator(".drawer .outcome.failed", has_text="it prefers worse behaviour")
    refusal.wait_for()
    # Of another number nothing is said yet.
    number.fill("256")
    refusal.wait_for(state="detached")


def test_a_task_of_ones_own_is_described(told):
    page = told.page
    page.route("**/api/v1/tasks", lambda route: route.fulfill(json=[]))
    page.keyboard.press("s")
    task = page.locator(".drawer .block", has=page.get_by_role("heading", name="Task"))
    task.get_by_text(TASK["description"], exact=True).wait_for()


@pytest.mark.parametrize(
    ("state", "text"), [("finished", "The run is over"), ("stopped", "The run was stopped")]
)
def test_a_run_that_is_over_is_no_lost_connection(told, state, text):
    page = told.page
    told.change(state=state)
    page.locator(".chip.state", has_text=state).wait_for()
    # Its service ends with it.
    page.route("**/api/v1/**", lambda route: route.abort())
    page.evaluate("window.live.onclose({code: 1006, reason: ''})")
    page.locator(".banner.calm", has_text=text).wait_for()
    assert page.locator(".banner:not(.calm)").count() == 0
    assert state in page.locator(".chip.state").inner_text()
    assert text.lower() in page.locator(".goal-card").inner_text()


def test_a_drawer_leaves_the_top_bar_free_below_what_is_wrong(told):
    page = told.page
    page.keyboard.press("s")
    told.change(orchestrator_error="nobody listens")
    page.locator(".banner").wait_for()

    def is_free():
        bar, drawer = (page.locator(each).bounding_box() for each in (".topbar", ".drawer"))
        return drawer["y"] >= bar["y"] + bar["height"] - 1

    wait_for(is_free, "the drawer covers the top bar")


def test_r_shows_the_candidates_that_wait_for_a_yes(told):
    page = told.page
    told.change(pending=waits_for_a_yes("reward", "adopt it?", ["direct"]))
    page.keyboard.press("r")
    assert page.get_by_role("tab", name="Candidates").get_attribute("aria-selected") == "true"


def test_what_gave_way_to_another_goal_was_not_answered(open_alone, alone):
    page = open_alone()
    tell_log(page, [
        log_row(1, "waiting", 1, what="goal", sentence='"jump" is measured by: height'),
        log_row(2, "waiting", 2, what="goal", sentence='"run" is measured by: way'),
        log_row(3, "goal", 0, description="run", by="person"),
    ])  # fmt: skip
    tell_page(page, alone, "one")
    cards = page.locator(".timeline .card:not(.step) .chip")
    wait_for(lambda: cards.count() == 2, "the questions are not told")
    assert [each.split()[-1] for each in cards.all_inner_texts()] == ["answered", "replaced"]


def test_a_trial_says_that_contenders_take_turns(told):
    groups = [
        {"session": n, "label": f"trial of r1: {name}", "task": TASK["id"], "num_envs": 16}
        for n, name in enumerate(("control", "direct"), 2)
    ]
    told.change(state="trial", adapting="trial, round 1 of 2", sessions=groups)
    assert "take turns" in told.page.locator(".trial-note").inner_text()


def test_the_only_point_of_a_trials_chart_is_drawn(open_alone, alone):
    page = open_alone()
    tell_log(page, [
        log_row(1, "answer", candidates=[{"name": "direct", "source": "", "origin": "library"}])
    ])  # fmt: skip
    point = {"number": 1, "adaptation": 1, "contender": "direct", "trial_env_steps": 100}
    point |= {"return_mean": 1.0, "fitness_mean": 1.0}
    page.route("**/api/v1/adaptations/1/curves", lambda route: route.fulfill(json=[point]))
    told = tell_page(page, alone, "one")
    told.change(learner_error=None, orchestrator_error=None)
    page.keyboard.press("r")
    page.get_by_role("tab", name="Candidates").click()
    page.locator('figure.trial g[data-contender="direct"] circle').wait_for()


@pytest.mark.parametrize(("width", "role"), [(390, "control"), (1024, "view"), (1440, "control")])
def test_the_task_and_all_words_are_whole_on_every_screen(open_alone, alone, width, role):
    task = "InvertedDoublePendulum-v5" if width != 1024 else "HalfCheetah-v5"
    told = tell_page(open_alone(width=width, height=844), alone, "one")
    told.change(task=task, role=role, fitness_mean=0.3, fitness_unit="m/s", env_steps=221_000)
    page = told.page
    named = page.locator(".brand .task")
    assert named.is_visible()
    assert named.get_attribute("title") == task
    page.get_by_label("Show", exact=True).select_option("1")
    whole = "each => each.scrollWidth <= each.clientWidth"
    assert named.evaluate(whole)
    for select in page.locator(".grid .toolbar select").all():
        assert select.evaluate(whole)
    looks = page.locator(".speed .only-looks")
    if role == "view":
        line = looks.evaluate("each => parseFloat(getComputedStyle(each).lineHeight)")
        assert looks.bounding_box()["height"] < 2.5 * line
    page.keyboard.press("s")
    page.locator(".knobs").wait_for()
    assert scrolls_sideways(page, ".drawer") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
