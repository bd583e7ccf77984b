"""A person has a reward tried, and says yes to a goal, in a run that nobody else steers."""

import pytest
from live_page import (
    COMMAND_S,
    EVALUATED_OFTEN,
    NUM_ENVS,
    get,
    outcome,
    start_stack,
    stop_stack,
    wait_for,
)

pytestmark = pytest.mark.timeout(600)

TRIAL_S = 300.0
"""A trial ends within."""

FASTER = "def reward(state, action):\n    return 2.0 * state.x_velocity\n"


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A run that asks before it adapts."""
    place = tmp_path_factory.mktemp("yes") / "run"
    options = ("--num-envs", str(NUM_ENVS), "--total-steps", "500000000", "--adapt", "approve")
    short = ("--set", "ppo.rollout_length=32", "--set", "ppo.epochs=2")
    running = start_stack(
        place, "--task", "Hopper-v5", *options, *short, environment=EVALUATED_OFTEN
    )
    yield running
    stop_stack(running)


def test_a_reward_is_tried_beside_the_one_in_force(open_page, own):
    page = open_page(own.url)
    page.keyboard.press("r")
    page.get_by_role("tab", name="Editor").click()
    page.get_by_label("Reward program").fill(FASTER)
    page.get_by_text("The gate accepts it").wait_for()
    page.get_by_label("Name").fill("faster")
    page.get_by_role("button", name="Try it beside the present one").click()
    assert "Its trial begins at update" in outcome(page)
    page.get_by_role("tab", name="Candidates").click()
    card = page.get_by_label("Candidate faster", exact=True)
    card.get_by_text("passed the gate").wait_for()
    assert "2.0 * state.x_velocity" in card.inner_text()
    page.locator(".trial-note", has_text="faster").wait_for()


def test_a_goal_that_is_approved_is_the_runs_goal(open_page, own):
    page = open_page(own.url)
    # While a trial is under way no other goal is taken.
    wait_for(lambda: get(own, "status")["adapting"] == "", "the trial does not end", TRIAL_S)
    page.keyboard.press("g")
    page.get_by_label("What should it learn?").fill("run backwards")
    page.get_by_role("button", name="Set the goal").click()
    page.locator(".outcome.done").wait_for(timeout=COMMAND_S * 1000)
    pending = page.locator(".drawer .pending", has_text="run backwards")
    pending.wait_for(timeout=TRIAL_S * 1000)
    assert get(own, "status")["goal"] != "run backwards"
    pending.get_by_role("button", name="Approve").click()
    pending.wait_for(state="detached", timeout=COMMAND_S * 1000)
    page.locator(".goal-card .goal-text", has_text="run backwards").wait_for()
    page.locator(".timeline .card.step", has_text="run backwards").wait_for()
    wait_for(lambda: get(own, "status")["goal"] == "run backwards", "the goal is not set")
