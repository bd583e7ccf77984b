"""Contenders of trials are told apart, and compared with what was in force; the log is made up."""

import pytest
from dashboard_samples import TASK
from live_page import wait_for
from told_page import log_row, tell_log, tell_page

pytestmark = pytest.mark.timeout(300)

NAMES = ["direct", "bounded", "smooth", "bold", "stiff", "loose", "calm"]
SETTINGS = {"round_env_steps": [1000, 1000]}
CONTRASTS = """() => {
    const parts = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((each) => each / 255);
    const linear = (each) => each <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4;
    const light = (colour) => {
        const [r, g, b] = parts(colour).map(linear);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
    };
    const contrast = (...colours) => {
        const [low, high] = colours.map(light).sort((a, b) => a - b);
        return high / low;
    };
    const style = (element) => getComputedStyle(element);
    const below = (element) => {
        const ground = style(element.parentElement).backgroundColor;
        return ground === 'rgba(0, 0, 0, 0)' ? below(element.parentElement) : ground;
    };
    const all = (selector) => [...document.querySelectorAll(selector)];
    return [
        ...all('.candidate .dot').map((dot) => contrast(style(dot).backgroundColor, below(dot))),
        ...all('.trial polyline').map((line) => contrast(style(line).stroke, below(line))),
        ...all('.trial circle').map((dot) => contrast(style(dot).fill, below(dot))),
    ];
}"""
"""The contrast of each dot and line of a contender against what is behind it."""


def open_candidates(page, url, rows, **status):
    tell_log(page, rows)
    told = tell_page(page, url, "one")
    told.change(learner_error=None, orchestrator_error=None, **status)
    page.keyboard.press("r")
    page.get_by_role("tab", name="Candidates").click()
    page.locator(".candidate").first.wait_for()
    return told


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_contender_is_seen_on_its_ground(open_alone, alone, scheme):
    candidates = [{"name": name, "source": "", "origin": "library"} for name in NAMES]
    fitness = {name: {"fitness": [float(n)]} for n, name in enumerate(["control", *NAMES])}
    rounds = (
        log_row(n + 1, "round", round=n, results=fitness, stay=NAMES, settings=SETTINGS)
        for n in (1, 2)
    )
    page = open_alone(color_scheme=scheme)
    open_candidates(page, alone, [log_row(1, "answer", candidates=candidates), *rounds])
    # Of each candidate a dot, of each contender a line and two dots.
    wait_for(lambda: len(page.evaluate(CONTRASTS)) == 7 + 8 + 16, "not all is drawn")
    assert min(page.evaluate(CONTRASTS)) >= 3
    page.keyboard.press("d")
    wait_for(lambda: page.evaluate("document.documentElement.dataset.theme") != scheme, "no switch")
    assert min(page.evaluate(CONTRASTS)) >= 3


def program(name):
    return f"def reward(state, action):\n    return state.{name}\n"


def trial(first, adaptation, name, promote=True):
    """Rows of an adaptation whose one candidate passes the gate as p_<name> and is tried."""
    candidate = {"name": name, "source": program(name), "origin": "library"}
    decision = {"promote": promote, "winner": name, "sentence": "", "gain_mean": 1.0}
    return [
        log_row(first, "answer", adaptation, candidates=[candidate]),
        log_row(first + 1, "verdict", adaptation, name=name, accepted=True, program_id=f"p_{name}"),
        log_row(first + 2, "decision", adaptation, decision=decision),
    ]


def adoption(n, adaptation, after, before):
    return log_row(n, "adopted", adaptation, reward_id=after, before=before, why="", by="person")


def test_a_decided_candidate_is_compared_with_the_reward_that_was_in_force_then(open_alone, alone):
    page = open_alone()
    own = dict.fromkeys(("hypothesis", "reason"), "") | {"adaptation": 0, "update": 0, "goal": 0}
    own |= {"fitness_gain": None, "fitness_gain_low": None, "outcome": "adopted"}
    known = [
        own | {"id": "task", "name": "", "origin": "task", "source": None},
        own | {"id": "p_hand", "name": "", "origin": "person", "source": program("hand")},
        own | {"id": "p_second", "name": "", "origin": "library", "source": program("second")},
    ]
    told = {"in_force": "p_second", "rewards": known}
    page.route("**/api/v1/rewards", lambda route: route.fulfill(json=told))
    task = TASK | {"reward_source": program("own")}
    rows = [
        *trial(1, 1, "first"),
        adoption(4, 1, "p_first", "task"),
        adoption(5, 0, "p_hand", "p_first"),
        *trial(6, 2, "second"),
        adoption(9, 2, "p_second", "p_hand"),
        *trial(10, 3, "third", promote=False),
        log_row(13, "answer", 4, candidates=[{"name": "fourth", "source": program("fourth")}]),
    ]
    page.route("**/sessions/9/task", lambda route: route.fulfill(json=task))
    open_candidates(page, alone, rows, session=9)
    compared = {1: ("own", "first"), 2: ("hand", "second"), 3: ("second", "third")}
    for number, (before, after) in compared.items():
        page.locator(".of-which select").select_option(str(number))
        page.get_by_role("button", name="Difference to the reward then in force").click()
        difference = page.get_by_role("region", name=f"Difference of {after} to the reward then")
        assert f"state.{before}" in difference.locator(".removed").inner_text()
        assert f"state.{after}" in difference.locator(".added").inner_text()
    page.locator(".of-which select").select_option("4")
    page.get_by_role("button", name="Difference to the reward in force").click()
    difference = page.get_by_role("region", name="Difference of fourth to the reward in force")
    assert "state.second" in difference.locator(".removed").inner_text()


def test_what_another_task_rewarded_is_not_compared_with_this_ones(open_alone, alone):
    page = open_alone()
    rows = [
        *trial(1, 1, "first"),
        adoption(4, 1, "p_first", "task"),
        log_row(5, "goal", 0, description="", task="Ant-v5"),
    ]
    open_candidates(page, alone, rows)
    button = page.get_by_role("button", name="Difference to the reward then in force")
    assert button.get_attribute("aria-disabled") == "true"
