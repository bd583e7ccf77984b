"""What goes wrong is said, and passes by itself."""

import contextlib
import io
import json
import time
from fnmatch import fnmatch
from urllib.parse import parse_qs, urlsplit

import pytest
from live_page import (
    drawn,
    get,
    kill_dashboard,
    send,
    serve_dashboard,
    soonest,
    start_stack,
    stats,
    stop_stack,
    tell_status,
    until,
)
from PIL import Image

from websim_dashboard.history import History
from websim_dashboard.records import split_records

pytestmark = pytest.mark.timeout(300)


MAX_BANNER_S = 2.0


def test_a_killed_service_is_told_and_comes_back_without_a_reload(
    open_page, stack, record_property
):
    page = open_page()
    drawn(page, 1)
    page.evaluate("window.loadedOnce = true")

    def kill_until_it_is_back() -> float:
        """Return after how many seconds the page tells of it."""
        seq = stats(page)["seq"]
        began_s = time.monotonic()
        kill_dashboard(stack)
        page.locator(".banner").wait_for()
        took_s = time.monotonic() - began_s
        assert "no connection" in page.locator(".chip.state").inner_text()
        # The supervisor starts it again; the page comes back with curves and all.
        page.locator(".banner").wait_for(state="detached", timeout=60_000)
        until(page, f"window.__websim.stats().seq !== {seq}")
        return took_s

    took_s = soonest(MAX_BANNER_S, kill_until_it_is_back, tries=2)
    record_property("told_after_s", took_s)
    assert took_s < MAX_BANNER_S
    page.locator('[data-chart="loss"] .no-data').wait_for(state="detached")
    assert page.evaluate("window.loadedOnce") is True
    assert stats(page)["jsErrors"] == 0


def test_of_a_trial_too_what_was_seen_last_stays(open_page, stack):
    status = get(stack, "status")
    trained = next(s for s in status["sessions"] if s["session"] == status["session"])
    group = trained | {"label": f"trial of {status['run']}: control"}
    page = open_page(live=False)
    # What is trained stands still, and is not what is looked at.
    tell_status(page, state="trial", session=0, sessions=[trained | {"session": 0}, group])
    page.reload()
    drawn(page, 1)
    kill_dashboard(stack)
    page.locator(".banner").wait_for()
    seen = Image.open(io.BytesIO(page.locator(".grid canvas").screenshot()))
    assert len(seen.convert("RGB").getcolors(1 << 24)) > 40, "there is nothing to be seen"
    page.locator(".banner").wait_for(state="detached", timeout=60_000)


@pytest.mark.parametrize("end", ["finished", "stopped"])
def test_of_a_run_that_comes_to_its_end_the_last_picture_stays(open_alone, tmp_path, end):
    options = ("--task", "Hopper-v5", "--num-envs", "16", "--adapt", "off")
    short = ("--total-steps", "50000000", "--set", "ppo.rollout_length=32", "--set", "ppo.epochs=2")
    running = start_stack(tmp_path / "run", *options, *short)
    try:
        page = open_alone()
        page.goto(running.url)
        drawn(page, 16)
        if end == "stopped":
            stop_stack(running)
        else:
            # As if its steps were over.
            send(running, "stop")
        # Nothing is waited for, and no connection is missed: the service ends with the run.
        running.process.wait(120)
        page.locator(".banner.calm").wait_for()
        assert end in page.locator(".chip.state").inner_text()
        assert page.locator(".banner:not(.calm)").count() == 0
        assert page.get_by_role("heading", name="16 environments").is_visible()
        seen = Image.open(io.BytesIO(page.locator(".grid canvas").screenshot()))
        assert len(seen.convert("RGB").getcolors(1 << 24)) > 40, "there is nothing to be seen"
        assert stats(page)["jsErrors"] == 0
    finally:
        if running.process.poll() is None:
            stop_stack(running)


@pytest.mark.parametrize("asked", ["goal", "rewards"])
def test_an_error_of_a_request_leaves_the_page_as_it_is(open_page, asked):
    page = open_page(live=False)
    page.route(
        f"**/api/v1/{asked}",
        lambda route: route.fulfill(status=502, body=json.dumps({"detail": "it is away"})),
    )
    page.reload()
    drawn(page, 1)
    assert stats(page)["jsErrors"] == 0


def test_what_the_learner_did_not_answer_in_time_is_asked_for_again(open_page, stack):
    page = open_page(live=False)
    # Answers to what it asked so far are not to be taken for those to come.
    page.goto("about:blank")
    refused = []

    def be_late(route):
        refused.append(route.request.url)
        route.fulfill(status=502, body=json.dumps({"detail": "it does not answer in time"}))

    with contextlib.ExitStack() as answers:
        for asked in ("goal", "rewards", "adaptations"):
            page.route(f"**/api/v1/{asked}*", be_late, times=2)
            answers.enter_context(page.expect_response(AnswerTo(asked)))
        page.goto(stack.url)
        drawn(page, 1)
    assert len(refused) == 6


REWARDS = {
    "in_force": "p_1",
    "rewards": [
        {
            "id": "task",
            "name": "the task's own",
            "origin": "task",
            "outcome": "adopted",
            "source": None,
        }
        | {"hypothesis": "", "reason": "", "fitness_gain": None},
        {
            "id": "p_1",
            "name": "direct",
            "origin": "library",
            "outcome": "in_force",
            "source": "def p_1",
        }
        | {"hypothesis": "it is plain", "reason": "it gains", "fitness_gain": 2.5},
    ],
}
GOAL = {"description": "run backwards", "kind": "task", "unit": "m/s"}


@pytest.fixture(params=[True], ids=["kept"])
def ended(request, tmp_path):
    """The address of a dashboard that has the history of a run that is over, and nobody to ask.

    With a parameter of false it has the log of adaptations, and nothing of what the learner said.
    """
    history = History(tmp_path / "history.sqlite", keep_days=1.0, keep_points=1000)
    over = {"n": 1, "kind": "state", "update": 5, "env_steps": 5000, "branch": 0}
    _, events = split_records([over | {"state": "finished", "reason": ""}])
    history.add("/runs/r1", {"run_id": "r1"}, 1, [], events)
    row = {"update": 0, "env_steps": 0, "adaptation": 0}
    history.add_rows("/runs/r1", [
        row | {"n": 1, "kind": "goal", "values": {"description": "run backwards"}},
        row | {"n": 2, "kind": "adopted", "values": {"reward_id": "p_1", "why": "it gains"}},
    ])  # fmt: skip
    if request.param:
        history.set_answer("/runs/r1", "rewards", REWARDS)
        history.set_answer("/runs/r1", "task", {"reward_source": "def own"})
        state = {"reached": False, "pending": [], "adapting": "a trial", "banner": ""}
        history.set_answer("/runs/r1", "goal", state | {"goal": GOAL, "mode": "auto"})
    history.close()
    nobody = "127.0.0.1:9"
    options = ("--learner", f"http://{nobody}", "--orchestrator", f"http://{nobody}")
    with serve_dashboard(tmp_path, *options, "--telemetry", f"tcp://{nobody}") as url:
        yield url


def test_of_a_run_that_is_over_all_is_told_and_nothing_is_waited_for(open_page, ended):
    page = open_page(ended, live=False)
    page.locator(".timeline .card.step.good", has_text="direct is adopted").wait_for()
    assert page.locator(".goal-text").inner_text() == "run backwards"
    assert "finished" in page.locator(".chip.state").inner_text()
    assert page.locator(".banner, .timeline .empty").count() == 0


def test_the_rewards_of_a_run_that_is_over_are_there_to_be_read(open_page, ended, heard):
    page = open_page(ended, live=False)
    page.locator(".goal-card", has_text="the run is over").wait_for()
    page.keyboard.press("r")
    assert page.get_by_label("Reward program").input_value() == "def p_1"
    page.get_by_role("tab", name="All rewards").click()
    for name, source in (("the task's own", "def own"), ("direct", "def p_1")):
        reward = page.locator(".reward-list li", has=page.get_by_text(name, exact=True))
        reward.locator("header button").click()
        assert source in reward.locator(".code").first.inner_text()
    assert "it is plain" in page.locator(".reward-list .in-force").inner_text()
    assert page.get_by_role("button", name="Adopt it").count() == 0
    assert page.get_by_role("button", name="Take back").count() == 0
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    assert "run backwards" in page.locator(".drawer").inner_text()
    assert page.get_by_role("button", name="Set the goal").count() == 0
    assert heard.errors == []


@pytest.mark.parametrize("ended", [False], indirect=True, ids=["not kept"])
def test_of_rewards_that_were_not_kept_it_says_where_they_are(open_page, ended, heard):
    page = open_page(ended, live=False)
    page.locator(".chip.state", has_text="finished").wait_for()
    page.keyboard.press("r")
    for tab in ("Editor", "All rewards"):
        page.get_by_role("tab", name=tab).click()
        assert "websim adaptations runs/r1" in page.get_by_role("tabpanel").inner_text()
    assert heard.errors == []


@pytest.mark.parametrize("asked", ["status", "metrics"])
def test_a_catch_up_that_failed_is_made_good(open_page, stack, asked):
    page = open_page("about:blank", live=False)
    page.route(f"**/api/v1/{asked}*", lambda route: route.fulfill(status=502, body="{}"), times=1)
    with page.expect_response(AnswerTo("metrics")) as answer:
        page.goto(stack.url)
    # What came meanwhile is not taken for all there is.
    assert "after=0&" in answer.value.url
    asked_names = asked_for(answer.value.url)
    for name in answer.value.json()["branches"][0]["values"]:
        assert any(fnmatch(name, each) for each in asked_names), name
    page.locator('[data-chart="loss"] .no-data').wait_for(state="detached")
    page.locator(".chip.state", has_text="training").wait_for()


def asked_for(url):
    return parse_qs(urlsplit(url).query)["names"][0].split(",")


class AnswerTo:
    """Whether a response is an answer to what was asked."""

    def __init__(self, asked):
        self._path = f"/api/v1/{asked}"

    def __call__(self, response):
        return self._path in response.url and response.ok


def test_a_page_that_is_older_than_its_service_says_so_and_is_loaded_anew(told, heard):
    page = told.page
    newer = [0x57, 255, *[0] * 62]
    page.evaluate("(frame) => live.onmessage({data: Uint8Array.from(frame).buffer})", newer)
    banner = page.get_by_role("alert").locator(".banner", has_text="older than its service")
    banner.wait_for()
    assert not [error for error in heard.errors if "version" in error]
    with page.expect_navigation():
        banner.get_by_role("button", name="Reload").click()
    page.locator(".chip.state", has_text="training").wait_for()
    assert banner.count() == 0


def test_what_the_service_did_not_understand_is_told(told):
    told.tell(type="error", message="figures.max_hz: not a number")
    told.page.locator(".notice.failed", has_text="figures.max_hz: not a number").wait_for()
