"""What could not be answered once is asked for again; the run is made up."""

import pytest
from dashboard_samples import TASK
from live_page import wait_for
from test_clips import CLIPS, log_rows
from told_page import KNOB, tell_log, tell_page

pytestmark = pytest.mark.timeout(300)

AWAY = {"status": 502, "json": {"detail": "it does not answer"}}
NO_TASK = {"status": 409, "json": {"detail": "no task is being trained"}}
ACCEPTS = {"ok": True, "id": "p_1", "messages": [], "components": [], "judged_by": "gate"}


def is_away_at_first(page, path, answer, away, failures=2):
    """Refuse the first questions of a path, and answer those that follow."""
    asked = []

    def meet(route):
        asked.append(route.request.url)
        route.fulfill(**(away if len(asked) <= failures else {"json": answer}))

    page.route(path, meet)
    return asked


def test_of_another_task_nothing_is_taken_from_the_one_before(told):
    page = told.page
    page.keyboard.press("s")
    knobs = page.get_by_label("gravity, low")
    knobs.wait_for()
    # Another session of the same task leaves what is typed.
    knobs.fill("0.7")
    told.change(session=4)
    page.route("**/sessions/4/task", lambda route: route.fulfill(**AWAY))
    page.wait_for_timeout(300)
    assert knobs.input_value() == "0.7"
    other = TASK | {"id": "Ant-v5", "description": "an ant", "knobs": [KNOB | {"name": "mass"}]}
    asked = is_away_at_first(page, "**/sessions/5/task", other, AWAY)
    told.change(session=5, task="Ant-v5")
    wait_for(lambda: page.evaluate("1") and asked, "the task is not asked for")
    knobs.wait_for(state="detached")
    page.get_by_label("mass, low").wait_for()
    assert len(asked) == 3


@pytest.mark.parametrize("away", [AWAY, NO_TASK], ids=["no answer", "no task"])
def test_a_reward_that_nobody_could_check_is_checked_again(told, away):
    page = told.page
    told.change(learner_error=None, orchestrator_error=None)
    is_away_at_first(page, "**/api/v1/rewards/check", ACCEPTS, away)
    page.keyboard.press("r")
    page.get_by_role("tab", name="Editor").click()
    page.get_by_label("Reward program").fill("def reward(state, action):\n    return state.x\n")
    page.locator(".gate .bad", has_text=away["json"]["detail"]).wait_for()
    page.get_by_text("The gate accepts it").wait_for()
    assert page.locator(".gate .bad").count() == 0


def test_tasks_that_could_not_be_listed_are_asked_for_again(told):
    page = told.page
    tasks = [{"name": name, "description": ""} for name in (TASK["id"], "Ant-v5")]
    is_away_at_first(page, "**/api/v1/tasks", tasks, AWAY)
    page.keyboard.press("s")
    choice = page.locator(".drawer").get_by_label("Task", exact=True)
    wait_for(lambda: "Ant-v5" in choice.inner_text(), "the tasks are not listed")


def open_candidates(page, alone):
    tell_log(page, log_rows())
    told = tell_page(page, alone, "one")
    told.change(learner_error=None, orchestrator_error=None)
    page.keyboard.press("r")
    page.get_by_role("tab", name="Candidates").click()
    page.get_by_label("Candidate stiff", exact=True).wait_for()
    return told


def test_clips_that_nobody_could_give_are_asked_for_again(open_alone, alone):
    page = open_alone()
    is_away_at_first(page, "**/api/v1/adaptations/1/clips", CLIPS, AWAY)
    open_candidates(page, alone)
    page.locator(".clips").wait_for()


def test_clips_that_went_away_with_the_learner_come_back_with_it(open_alone, alone):
    """Without it the service answers that there are none."""
    page = open_alone()
    none = {"json": {"task": "", "figure": None, "clips": {}}}
    asked = is_away_at_first(page, "**/api/v1/adaptations/1/clips", CLIPS, none, failures=1)
    told = open_candidates(page, alone)
    wait_for(lambda: page.evaluate("1") and asked, "clips are not asked for")
    told.change(learner_error="it is away")
    told.change(learner_error=None)
    page.locator(".clips").wait_for()
