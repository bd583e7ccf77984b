"""A goal that is reached where nothing harder is left: some of the envs get the next task."""

import json

import pytest
from staging import STEPS, Killed, die, envs, kinds, sends, task

from websim_learner.adaptation import environment
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.control import Approve, FitnessProgram, SetGoal

REACHED = FitnessProgram(program="def fitness(state, action):\n    return 0.0 * state.x\n")


def reached(target=0.0):
    """A goal whose fitness is 0 in every task."""
    return SetGoal(kind="set_goal", description="be", fitness=REACHED, target=target)


def told(h, kind):
    lines = (h.run_dir.path / "adaptations.jsonl").read_text().splitlines()
    return [row["values"] for row in map(json.loads, lines) if row["kind"] == kind]


def said(h):
    return [each.message for each in h.run.stream.after(0, 10_000) if hasattr(each, "event")]


@pytest.fixture
def make(harness):
    def build(directory=None, *, goal=None, next_tasks=("Toy-v0", "Heavy-v0"), **overrides):
        own = {"task": "Knobless-v0", "adapt": "auto", "eval_every_updates": 2}
        own |= {"total_steps": 18 * STEPS, "next_tasks": next_tasks}
        h = harness(directory, **{**own, **overrides})
        if goal is not None:
            h.at = {2: [lambda h: "goal" in kinds(h) or h.send(goal)]}
        return h

    return build


def test_each_task_is_given_to_a_quarter_in_turn(make):
    h = make(goal=reached())
    assert h.go() == "finished"
    assert [row["others"] for row in told(h, "tasks")] == [
        {"Toy-v0": 6},
        {"Toy-v0": 6, "Heavy-v0": 6},
    ]
    measured = told(h, "environment")
    assert [row["levels"][0]["task"] for row in measured] == ["Toy-v0", "Heavy-v0"]
    assert [row["kept"] for row in measured] == [1, 1]
    assert [each.num_envs for each in h.run.status.read().others] == [6, 6]
    # The second one for what was reached since the first: 0 of the 0 that is asked, twice.
    assert {"values": [0.0, 0.0], "asked": 0.0, "advice": "harder"} in told(h, "difficulty")
    assert replay_decisions(h.run_dir.path) == 0


def test_harder_comes_before_different(make):
    h = make(goal=reached(), task="Toy-v0", next_tasks=("Heavy-v0",))
    h.go()
    order = [row["kind"] for row in map(json.loads, (
        h.run_dir.path / "adaptations.jsonl").read_text().splitlines()
    ) if row["kind"] in ("knobs", "tasks")]  # fmt: skip
    assert order == ["knobs", "tasks"]
    assert h.run.adaptation.difficulty == 1.0
    # What has another task has the difficulty of the others too.
    other = next(c for c in h.clients if c.task.id == "Heavy-v0" and len(c._rows) == 1)
    assert tuple(other._rows[0].force_range) == (0.5, 1.0)


def test_a_task_that_the_policy_cannot_follow_is_not_given(make):
    # Of -1 it keeps 80 % down to -1.2; in Far-v0 all is 9 worse.
    h = make(target=-1.0, next_tasks=("Far-v0",))
    h.go()
    assert told(h, "tasks") == []
    measured = told(h, "environment")
    assert len(measured) > 1, "it is tried again"
    assert {row["kept"] for row in measured} == {0}
    assert replay_decisions(h.run_dir.path) == 0


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("Pair-v0", "cannot act in Pair-v0: it is seen otherwise"),
        ("Paces-v0", "the fitness of Paces-v0 is in paces, that of Knobless-v0 in m"),
        ("Nowhere-v0", "there is no task Nowhere-v0"),
    ],
)
def test_a_task_that_does_not_fit_is_told_and_training_goes_on(make, name, says):
    h = make(target=-1.0, next_tasks=(name,))
    assert h.go() == "finished"
    assert told(h, "tasks") == []
    assert any(says in text for text in said(h))


def test_a_task_that_is_too_much_is_taken_back(make, monkeypatch):
    h = make(goal=reached(), next_tasks=("Heavy-v0",))
    advice = environment.advice
    monkeypatch.setattr(
        environment,
        "advice",
        lambda values, asked: "easier" if h.branch.updates == 12 else advice(values, asked),
    )
    h.go()
    given = [row["others"] for row in told(h, "tasks")]
    assert given[:2] == [{"Heavy-v0": 6}, {}]


def test_in_approve_mode_it_waits_for_a_yes(make):
    h = make(goal=reached(), adapt="approve", next_tasks=("Heavy-v0",))

    def say_yes(h):
        waiting = h.run.adaptation.waiting
        assert waiting.sentence.startswith("25% of the environments get Heavy-v0: ")
        assert not h.run.status.read().others
        h.send(Approve(kind="approve", adaptation=waiting.adaptation))

    h.at[12] = [say_yes]
    h.go()
    assert h.answers[-1].detail == "18 of Knobless-v0, 6 of Heavy-v0"
    assert h.run.status.read().others[0].num_envs == 6


def test_without_next_tasks_a_task_without_knobs_stays_as_it_is(make):
    h = make(goal=reached(), next_tasks=())
    h.go()
    assert told(h, "environment") == told(h, "tasks") == []


def test_a_run_whose_own_task_is_another_by_now_is_given_none(make):
    h = make(goal=reached())
    h.at[3] = [sends(task("Toy-v0"))]
    h.go()
    assert told(h, "tasks") == []


def test_a_killed_run_is_given_the_same_at_the_same_update(make, tmp_path):
    def build(directory, kill=None):
        h = make(directory, goal=reached())
        h.at[12] = [lambda h: "set_num_envs" in kinds(h) or h.send(envs(48))]
        if kill is not None:
            h.at.setdefault(kill, []).append(die)
        return h

    alone = build(tmp_path / "alone")
    alone.go()
    for kill in (5, 7, 13):
        with pytest.raises(Killed):
            build(tmp_path / "killed", kill).go()
    killed = build(tmp_path / "killed")
    killed.go()
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert kinds(alone).count("set_task") == 0
    assert killed.run.status.read().others == alone.run.status.read().others
    assert replay_decisions(killed.run_dir.path) == 0
