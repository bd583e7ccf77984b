"""Other envs and other tasks beside the adaptation: knobs, trials, goals."""

import json

import pytest
from judging import AskedAuthor
from staging import CENTRE, FAST, RIGHT, STEPS, Killed, die, envs, kinds, sends, task, unless_done

from websim.service.errors import UserError
from websim_learner import run as run_module
from websim_learner.adaptation.author import AuthorFailed
from websim_learner.control import (
    AdoptReward,
    Ask,
    FitnessProgram,
    SetGoal,
    SetKnobs,
    TryReward,
)


def test_knobs_stay_turned_in_other_envs_and_go_with_the_task(harness, tmp_path):
    def make(directory, kill=None):
        run = harness(directory, total_steps=12 * STEPS)
        run.at = {
            2: [unless_done(SetKnobs(kind="set_knobs", knobs={"force": 0.5}))],
            4: [unless_done(envs(48))],
            7: [unless_done(task("Heavy-v0"))],
        }
        if kill is not None:
            run.at.setdefault(kill, []).insert(0, die)
        return run

    alone = make(tmp_path / "alone")
    forces = []
    look = [lambda h: forces.append({x for rows in h.clients[-1]._rows for x in rows.force})]
    alone.at |= {5: look, 8: look}
    alone.go()
    assert forces == [{0.5}, {1.0}]
    state = alone.run.adaptation
    assert (state.ranges, state.difficulty) == ({}, 0.0)
    for kill in (5, 6, 8):
        with pytest.raises(Killed):
            make(tmp_path / "killed", kill).go()
    killed = make(tmp_path / "killed")
    killed.go()
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]


@pytest.fixture
def adapting(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def make(directory=None, **overrides):
        defaults = {"adapt": "auto", "total_steps": 60 * STEPS, "eval_every_updates": 4}
        return harness(directory, **{**defaults, **overrides})

    return make


TRY = TryReward(kind="try_reward", source=CENTRE, name="centre")


def try_unless_done(harness):
    if "candidates" not in kinds(harness):
        harness.send(TRY)


@pytest.mark.parametrize("command", [envs(48), task("Heavy-v0")], ids=["envs", "task"])
def test_a_change_during_a_trial_is_refused_in_a_line(adapting, command):
    run = adapting(total_steps=40 * STEPS, reward_source=FAST)
    run.at = {6: [sends(TRY)]}
    original, calls, during = run.run._trainer.orders.during_trial, [], []

    def send_in_the_middle():
        calls.append(1)
        if len(calls) == 5:
            run.send(command)
        during.append((run.branch.num_envs, run.branch.client.task.id))
        original()

    run.run._trainer.orders.during_trial = send_in_the_middle
    assert run.go() == "finished"
    assert len(calls) > 5
    assert set(during) == {(24, "Toy-v0")}
    assert isinstance(run.answers[-1], UserError)
    assert str(run.answers[-1]).startswith("a trial is under way (trial, round 1 of 2")
    assert command.kind not in kinds(run)


def test_a_trial_after_a_change_is_held_on_groups_of_the_present_envs(adapting):
    run = adapting(total_steps=40 * STEPS)
    run.at = {4: [sends(envs(96))], 5: [sends(task("Heavy-v0"))], 6: [sends(TRY)]}
    original, groups = run.run._trainer.orders.during_trial, set()

    def watched():
        original()
        groups.add((run.clients[-1].shards[-1].first_env_id, run.clients[-1].task.id))

    run.run._trainer.orders.during_trial = watched
    assert run.go() == "finished"
    assert "decision" in {row["kind"] for row in run.run.adaptation_view.rows(0, 1000)}
    # The evaluation session has five envs in shards of two, a group 96 in shards of seven.
    assert groups == {(4, "Heavy-v0"), (91, "Heavy-v0")}


def test_another_task_has_another_goal_and_old_results_stay_with_theirs(adapting):
    program = "def fitness(state, action):\n    return state.x\n"
    fitness = FitnessProgram(program=program, accumulate="last", unit="m")
    run = adapting(total_steps=24 * STEPS)
    run.at = {
        2: [sends(SetGoal(kind="set_goal", description="right", fitness=fitness, target=1.0))],
        6: [sends(AdoptReward(kind="adopt_reward", reward=RIGHT, force=True))],
        9: [sends(task("Pair-v0"))],
    }
    run.go()
    state = run.run.adaptation
    assert (state.goal.n, state.goal.kind, state.goal.target) == (2, "task", None)
    assert state.goal.fitness_description == "the own fitness of Pair-v0"
    assert all(point.update > 9 for point in state.points)
    assert (state.baseline, state.waiting, state.proposal, state.undo) == (None, None, None, [])
    assert run.run._adapter.policies.undo == []
    outcomes = {entry.id: (entry.outcome, entry.goal) for entry in state.rewards}
    assert outcomes["task"][0] == "in_force"
    [right] = [each for name, each in outcomes.items() if name != "task"]
    assert right == ("adopted", 1)
    # What is kept to judge rewards by is of this task alone.
    assert {tuple(kept.fields) for kept in run.run._adapter.bank.trajectories} == {("x",)}
    log = (run.run_dir.path / "adaptations.jsonl").read_text().splitlines()
    goals = [row["values"] for row in map(json.loads, log) if row["kind"] == "goal"]
    assert [goal.get("task") for goal in goals] == [None, "Pair-v0"]


def test_an_answer_for_the_task_before_comes_too_late(adapting):
    run = adapting(total_steps=20 * STEPS)
    author = run.run._adapter.questions._author = AskedAuthor()

    def answer(_harness):
        author.outcome = AuthorFailed("refused", "for the task before")

    run.at = {
        2: [sends(Ask(kind="ask"))],
        5: [sends(task("Heavy-v0"))],
        6: [sends(Ask(kind="ask"))],
        8: [answer],
        12: [answer],
    }
    assert run.go() == "finished"
    # The second question is asked when the answer to the first has come, and gets its own.
    assert [body["task"]["id"] for _, body in author.asked] == ["Toy-v0", "Heavy-v0"]
    told = [r.message for r in run.run.stream.after(0, 10**6) if getattr(r, "event", "") == "ended"]
    assert told == ["nothing is changed: for the task before"]
    answers = [row for row in run.run.adaptation_view.rows(0, 1000) if row["kind"] == "answer"]
    assert [row["update"] for row in answers] == [12]


def test_an_adapting_run_killed_around_changes_decides_the_same(adapting, tmp_path):
    def make(directory, kill=None):
        run = adapting(directory, total_steps=40 * STEPS)
        run.at = {
            3: [unless_done(envs(48))],
            6: [try_unless_done],
            8: [unless_done(task("Heavy-v0"))],
        }
        if kill is not None:
            run.at.setdefault(kill, []).insert(0, die)
        return run

    alone = make(tmp_path / "alone")
    alone.go()
    for kill in (4, 7, 9):
        with pytest.raises(Killed):
            make(tmp_path / "killed", kill).go()
    again = make(tmp_path / "killed")
    again.go()
    assert again.digest() == alone.digest()
    assert again.result()["env_steps"] == alone.result()["env_steps"]
