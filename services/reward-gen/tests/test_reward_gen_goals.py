"""How a goal is measured: by the task, by a program, or by nobody's invented number."""

import asyncio
import json
from dataclasses import replace

import pytest
from fake_messages_api import error, message
from reward_gen_samples import make_client, make_task

from websim.programs.sandbox import SandboxError
from websim_reward_gen.bodies import GoalRequest
from websim_reward_gen.claude import client as claude_client
from websim_reward_gen.claude.provider import ClaudeProvider
from websim_reward_gen.counts import Counts
from websim_reward_gen.goals import Goals
from websim_reward_gen.library.provider import LibraryProvider

FITNESS = "def fitness(state, action):\n    return state.x_velocity * (state.torso_height < 0.5)\n"


def said(**overrides):
    """What a model says of a goal."""
    body = {
        "kind": "program",
        "program": FITNESS,
        "accumulate": "sum",
        "per_horizon": True,
        "unit": "m/s",
        "description": "net displacement made while the torso is below 0.5 m",
        "not_understood": [],
    }
    return message(json.dumps(body | overrides))


def gone(*_):
    raise SandboxError("unavailable", "the sandbox is gone")


@pytest.fixture
def measure(api, gate, open_ledger):
    """Return a function that asks for the measure of a goal in words."""
    providers = {
        "library": LibraryProvider(),
        "claude": ClaudeProvider(make_client(api, open_ledger())),
    }
    goals = Goals(gate, providers, "claude", Counts())

    def ask(words, **more):
        body = {"task": make_task(), "description": words} | more
        return asyncio.run(goals.measure(GoalRequest.model_validate(body)))

    return ask


def test_words_that_the_library_understands_are_not_sent_anywhere(api, measure):
    forward, backward = measure("run forward"), measure("run backwards")

    assert (forward.kind, forward.program, forward.provider) == ("task", None, "library")
    assert (backward.kind, backward.accumulate, backward.per_horizon) == ("program", "sum", True)
    assert backward.program_id.startswith("p_")
    assert api.requests == []


def test_words_that_it_leaves_out_are_asked_of_claude(api, measure):
    api.then(said())

    answer = measure("limbo forward")

    assert (answer.provider, answer.kind, answer.program) == ("claude", "program", FITNESS)
    assert answer.program_id.startswith("p_")
    assert answer.usage.output_tokens == 900
    sent = json.loads(api.requests[0]["messages"][0]["content"])["request"]
    assert sent["measure_goal"] == "limbo forward"


def test_where_no_measure_says_it_there_is_none(api, measure):
    api.then(said(kind="none", description="no field tells a zombie from a runner"))

    by_claude = measure("walk like a zombie")
    by_library = measure("walk like a zombie", provider="library")

    assert (by_claude.kind, by_claude.program, by_claude.unit) == ("none", None, "")
    assert (by_library.kind, by_library.program) == ("none", None)
    assert "like a zombie" in by_library.description


def test_a_fitness_that_is_refused_goes_back_once(api, measure):
    api.then(said(program=FITNESS.replace("x_velocity", "speed")), said())

    answer = measure("limbo forward")

    assert (answer.provider, answer.program) == ("claude", FITNESS)
    assert answer.usage.attempts == 2
    [refused] = json.loads(api.requests[1]["messages"][0]["content"])["request"]["refused"]
    assert "state has no field speed" in refused["gate"]


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([said(program="x = 1")] * 2, "invalid"),
        ([said(program="x = 1"), error(401, "authentication_error")], "auth"),
        ([error(401, "authentication_error")], "auth"),
        ([said(kind="perhaps")], "invalid"),
    ],
    ids=["refused twice", "fails then", "no key", "no form"],
)
def test_when_claude_fails_the_library_answers_and_says_so(api, measure, steps, kind):
    api.then(*steps)

    answer = measure("limbo forward")

    assert (answer.provider, answer.kind) == ("library", "task")
    assert answer.not_understood == ("limbo",)
    assert [failure.kind for failure in answer.failures] == [kind]
    assert answer.usage.attempts == len(steps)
    # Whatever was answered is told with its question, though nothing came of it.
    assert len(answer.exchanges) == sum(step.status == 200 for step in steps)


def test_without_time_left_a_fitness_is_not_corrected(api, measure, monkeypatch):
    monkeypatch.setattr(claude_client, "MIN_ATTEMPT_S", 19.0)
    api.then(replace(said(program="x = 1"), after_s=1.1))

    answer = measure("limbo forward")

    assert (answer.provider, len(api.requests)) == ("library", 1)
    [failure] = answer.failures
    assert failure.kind == "timeout"
    assert "its fitness was refused: " in failure.message


def test_claude_is_not_asked_while_nothing_can_be_tried(api, measure, gate, monkeypatch):
    monkeypatch.setattr(gate, "require_ready", gone)

    with pytest.raises(SandboxError, match="the sandbox is gone"):
        measure("limbo forward")

    assert api.requests == []


def test_what_was_paid_for_is_answered_though_it_cannot_be_tried(api, measure, gate, monkeypatch):
    api.then(said())
    monkeypatch.setattr(gate, "judge", gone)

    answer = measure("limbo backwards")

    # Nobody can correct what was not tried: it does not go back.
    assert (answer.provider, answer.kind) == ("library", "none")
    assert (answer.usage.attempts, len(answer.exchanges), len(api.requests)) == (1, 1, 1)
    assert [failure.kind for failure in answer.failures] == ["invalid"]
    assert "the sandbox is gone" in answer.failures[0].message


def test_what_cost_nothing_may_be_asked_again_when_it_can_be_tried(measure, gate, monkeypatch):
    monkeypatch.setattr(gate, "judge", gone)

    with pytest.raises(SandboxError, match="the sandbox is gone"):
        measure("run backwards")


def test_a_provider_that_is_not_there_is_named(measure):
    with pytest.raises(LookupError, match="replay is not set up here"):
        measure("run", provider="replay")
