"""A reward that is typed is judged by the language and then by reward-gen's gate, if it answers."""

import pytest
from known_services import KnownServices
from running import open_client, serve_dashboard

GOOD = "def reward(state, action):\n    v = state.x_velocity\n    return v, {'speed': v}\n"
LOG = "def reward(state, action):\n    return np.log(state.x_velocity)\n"
REFUSED = {
    "accepted": False,
    "tier": "dry_run",
    "issues": [{"reason": "nonfinite", "message": "the total is NaN", "line": 2, "column": 5}],
    "program_id": "p_1",
    "elapsed_ms": 1.0,
}


@pytest.fixture
def services():
    known = KnownServices()
    known.start("reward-gen")
    yield known
    known.judges.set()
    known.close()


@pytest.fixture
def check(services, tmp_path):
    with (
        serve_dashboard(services, tmp_path, reward_gen=services.url("reward-gen")) as url,
        open_client(url) as client,
    ):
        yield lambda source: client.post("/api/v1/rewards/check", json={"source": source}).json()


def test_what_the_gate_says_of_a_trial_is_told_with_its_line(services, check):
    services.verdict = REFUSED
    answer = check(LOG)
    assert (answer["ok"], answer["judged_by"]) == (False, "gate")
    assert answer["messages"] == [
        {"line": 2, "column": 5, "reason": "nonfinite", "message": "the total is NaN",
         "tier": "dry_run"}
    ]  # fmt: skip
    [asked] = services.checks
    assert asked["program"] == LOG
    assert [(each["name"], each["columns"]) for each in asked["task"]["fields"]] == [
        ("x_velocity", 0),
        ("obs", 17),
    ]
    assert len(asked["task"]["action_low"]) == len(asked["task"]["action_high"]) == 6


def test_what_the_gate_accepts_is_accepted_by_the_gate(check):
    answer = check(GOOD)
    assert (answer["ok"], answer["judged_by"]) == (True, "gate")
    assert (answer["messages"], answer["components"]) == ([], ["speed"])


def test_what_the_language_refuses_is_not_passed_on(services, check):
    answer = check("import os")
    assert (answer["ok"], answer["judged_by"]) == (False, "language")
    assert [(each["reason"], each["tier"]) for each in answer["messages"]] == [
        ("import", "language")
    ]
    assert services.checks == []


def test_without_an_answer_of_the_gate_the_languages_word_stands(services, check, monkeypatch):
    monkeypatch.setattr("websim_dashboard.checks.GATE_DEADLINE_S", 0.2)
    services.judges.clear()
    assert (late := check(LOG))["ok"]
    services.judges.set()
    services.verdict = {"accepted": "perhaps"}
    assert (odd := check(LOG))["ok"]
    services.stop("reward-gen")
    assert (gone := check(LOG))["ok"]
    assert [each["judged_by"] for each in (late, odd, gone)] == ["language"] * 3
