"""From words to a run that has changed: the toy's learner, a real reward-gen, and a fake API.

The Messages API is a server on loopback that fails as the real one can, one request in five.
"""

import itertools
import json
import sys
import time
from pathlib import Path

import pytest
from conftest import running_reward_gen

sys.path.insert(0, str(Path(__file__).parents[2] / "reward-gen" / "tests"))

from fake_messages_api import FakeMessagesApi, cut, error, hang, message
from reward_gen_samples import answer_text, written

from websim_learner import run as run_module
from websim_learner.adaptation.author import Author
from websim_learner.control import Approve, FitnessProgram, Reject, SetGoal, Stop

STEPS = 24 * 8
ADAPTATIONS = 20
DEADLINE_S = 120.0


def rows(h):
    path = h.run_dir.path / "adaptations.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def of_kind(h, *kinds):
    return [row for row in rows(h) if row["kind"] in kinds]


class AtEveryUpdate:
    """Does the same after every update, until the deadline."""

    def __init__(self, action):
        self._action, self._give_up_s = action, time.monotonic() + DEADLINE_S

    def get(self, update, _default):
        assert time.monotonic() < self._give_up_s
        return [self._action]


@pytest.fixture
def make(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def build(url, **overrides):
        defaults = {"total_steps": 10**8, "eval_every_updates": 0, "checkpoint_every_updates": 0}
        return harness(author=Author(url), **{**defaults, **overrides})

    return build


FITNESS = "def fitness(state, action):\n    return -np.abs(state.velocity[:, 0])\n"
MEASURED = {
    "kind": "program",
    "program": FITNESS,
    "accumulate": "sum",
    "per_horizon": True,
    "unit": "m/s",
    "description": "how still it holds",
    "not_understood": [],
}


@pytest.fixture
def claude(tmp_path):
    """The address of a reward-gen whose Claude measures a goal, then writes rewards."""
    api = FakeMessagesApi()
    api.then(message(json.dumps(MEASURED)), *map(good, range(3)))
    flags = ("--base-url", api.url, "--model", "claude-haiku-5-5")
    try:
        with running_reward_gen(tmp_path, *flags, ANTHROPIC_API_KEY="sk-of-a-test") as url:
            yield url
    finally:
        api.close()


def answers_a_goal(h, command):
    """Ask for a goal in words, answer what waits with a command, then end the run."""
    sent = []

    def act(h):
        state = h.run.adaptation
        if not sent:
            sent.append("goal")
            h.send(SetGoal(kind="set_goal", description="hold still", target=-0.1))
        elif state.waiting is not None and len(sent) == 1:
            sent.append(state.waiting)
            # Nothing is measured by it yet.
            assert state.goal.n == 0
            h.send(command(state.waiting.adaptation))
        elif len(sent) == 2 and state.waiting is None:
            sent.append("stop")
            h.send(Stop(kind="stop"))

    h.at = AtEveryUpdate(act)
    assert h.go() == "finished"
    return sent[1]


def test_in_approve_mode_a_goals_measure_waits_for_a_yes(make, claude):
    h = make(claude, adapt="approve")
    waiting = answers_a_goal(h, lambda n: Approve(kind="approve", adaptation=n))
    assert waiting.what == "goal"
    assert waiting.sentence == '"hold still" is measured by: how still it holds'
    goal = h.run.adaptation.goal
    assert (goal.n, goal.kind, goal.program, goal.target) == (1, "program", FITNESS, -0.1)
    assert [row["kind"] for row in rows(h)][:4] == ["prompt", "exchange", "waiting", "goal"]


def test_a_no_leaves_the_goal_as_it_was(make, claude):
    h = make(claude, adapt="approve")
    answers_a_goal(h, lambda n: Reject(kind="reject", adaptation=n, reason="not that"))
    assert h.run.adaptation.goal.n == 0
    assert of_kind(h, "goal") == []
    (rejected,) = of_kind(h, "rejected")
    why = "a person says no: not that"
    assert rejected["values"] == {"adaptation": 1, "what": "goal", "by": "person", "why": why}


def test_in_auto_mode_the_measure_holds_at_once_and_rewards_are_tried(make, claude):
    h = make(claude, adapt="auto")
    sent = []

    def act(h):
        if not sent:
            sent.append(h.send(SetGoal(kind="set_goal", description="hold still")))
        elif len(sent) == 1 and of_kind(h, "decision"):
            sent.append(h.send(Stop(kind="stop")))

    h.at = AtEveryUpdate(act)
    assert h.go() == "finished"
    assert [row["kind"] for row in rows(h)][:4] == [
        "prompt", "exchange", "goal", "question",
    ]  # fmt: skip
    (answer,) = of_kind(h, "answer")
    assert answer["values"]["candidates"]


def good(number):
    """An answer with a program that nobody has written before."""
    program = (
        "def reward(state, action):\n"
        f"    near_weight = {1.0 + number / 1000}\n"
        "    near = near_weight * (2.0 - np.abs(state.x))\n"
        "    return near, {'near': near}\n"
    )
    return message(answer_text(written(f"near {number}", program)))


FAULTS = (
    lambda: error(429, "rate_limit_error", retry_after="0"),
    lambda: error(529, "overloaded_error"),
    hang,
    lambda: message("{", stop_reason="max_tokens"),
    lambda: message("", stop_reason="refusal", content=[]),
    cut,
)
MEASURE = FitnessProgram(program="def fitness(state, action):\n    return state.x\n")


def test_adaptations_come_to_an_end_though_one_request_in_five_fails(make, tmp_path):
    api = FakeMessagesApi()
    faults = itertools.cycle(FAULTS)
    api.then(*(next(faults)() if n % 5 == 2 else good(n) for n in range(6 * ADAPTATIONS)))
    flags = ("--base-url", api.url, "--model", "claude-haiku-5-5", "--attempt-timeout-s", "1")
    updates_while_asked = []
    try:
        with running_reward_gen(tmp_path, *flags, ANTHROPIC_API_KEY="sk-of-a-test") as url:
            h = make(url, adapt="auto")

            def act(h):
                state = h.run.adaptation
                updates_while_asked.append(state.asked is not None)
                if state.asked is not None or state.proposal is not None:
                    return
                if state.goal.n == ADAPTATIONS:
                    h.send(Stop(kind="stop"))
                else:
                    # Every goal begins a memory of its own; the library knows what effort is.
                    goal = f"save energy, time {state.goal.n}"
                    h.send(SetGoal(kind="set_goal", description=goal, fitness=MEASURE))

            h.at = AtEveryUpdate(act)
            assert h.go() == "finished"
    finally:
        api.close()
    answers = of_kind(h, "answer")
    assert len(answers) == ADAPTATIONS
    written_by = [{each["origin"] for each in row["values"]["candidates"]} for row in answers]
    assert sum(map(bool, written_by)) >= 0.95 * ADAPTATIONS, [row["values"] for row in answers]
    assert {"claude"} in written_by
    # A refusal or a cut answer is not asked again: the library stands in.
    assert {"library"} in written_by
    kinds = {f["kind"] for row in of_kind(h, "exchange") for f in row["values"]["failures"]}
    assert {"truncated", "refusal"} <= kinds
    # Nobody waits for an answer.
    assert sum(updates_while_asked) > 2 * ADAPTATIONS
