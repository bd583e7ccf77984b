"""The adapter on the toy: when it asks for a change, what it measures, what it refuses."""

import json

import pytest
from adapting_toy import CENTRE, kinds, outcome_of, rows, spend
from staging import STEPS, Killed, die, sends

from websim_learner.adaptation.replay import replay_decisions
from websim_learner.control import (
    AdoptReward,
    Approve,
    Ask,
    FitnessProgram,
    Reject,
    Rollback,
    SetGoal,
    TryReward,
)
from websim_learner.records import EvaluationRecord


def test_a_run_that_does_not_adapt_has_no_log(adapting):
    off = adapting(adapt="off", total_steps=12 * STEPS)
    off.go()
    assert rows(off) == []
    assert off.result()["env_steps"] == 12 * STEPS


def test_each_update_tells_the_goals_fitness_apart_from_the_tasks(adapting, tmp_path):
    """The toy's own fitness, -|x| - distance, is below 0; the goal's, the greatest |x|, above.

    Evaluated after 4, 8 and 12 updates; a life that begins after 5 knows what was found after 4.
    """
    away = FitnessProgram(
        program="def fitness(state, action):\n    return np.abs(state.x)\n", accumulate="max"
    )
    h = adapting(tmp_path / "run", checkpoint_every_updates=1, total_steps=12 * STEPS)
    h.at = {2: [sends(SetGoal(kind="set_goal", description="go away", fitness=away))], 6: [die]}
    with pytest.raises(Killed):
        h.go()
    again = adapting(tmp_path / "run", checkpoint_every_updates=1, total_steps=12 * STEPS)
    again.go()
    path = again.run_dir.path / "metrics.jsonl"
    told = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["update"] for row in told] == list(range(1, 13))
    assert [row["goal_fitness_mean"] for row in told[:2]] == [None, None]
    records = [r for r in again.run.stream.after(0, 10**6) if isinstance(r, EvaluationRecord)]
    at_8 = next(record for record in records if record.update == 8)
    assert at_8.fitness_mean > 0
    assert told[5]["goal_fitness_mean"] == told[4]["goal_fitness_mean"] > 0
    assert {row["goal_fitness_mean"] for row in told[8:12]} == {at_8.fitness_mean}
    correlations = {row["reward_fitness_correlation"] for row in told[8:12]}
    assert correlations == {at_8.reward_fitness_correlation}
    assert -1 <= at_8.reward_fitness_correlation <= 1
    assert all(row["fitness_mean"] < 0 for row in told[8:12])
    status = again.run.status.read()
    assert status.fitness_mean < 0 < status.goal_fitness_mean
    assert status.goal_fitness_mean == status.evaluation.fitness_mean
    assert status.reward_fitness_correlation == status.evaluation.reward_fitness_correlation


def triggers_of(h):
    return [row["values"] for row in rows(h) if row["kind"] == "trigger"]


def test_a_run_asks_for_a_change_by_the_clock_where_it_is_told_to(adapting):
    """Evaluated after 4, 8, 12 ... updates of 192 steps: 1,536 are the first beyond 1,000."""
    h = adapting(adapt_every_steps=1_000)
    h.go()
    first = triggers_of(h)[0]
    assert (first["trigger"]["kind"], first["env_steps"]) == ("schedule", 1_536)
    assert "1,536 steps since the last adaptation" in first["trigger"]["sentence"]
    assert replay_decisions(h.run_dir.path) == 0


def test_a_guard_asks_for_nothing_once_the_cap_is_reached(adapting):
    h = adapting(ppo={"init_log_std": -4.0, "learning_rate": 1e-5})
    h.at = {1: [spend]}
    h.go()
    assert kinds(h) == []


@pytest.mark.parametrize(("log_std", "what"), [(-3.0, []), (-4.0, ["entropy"])])
def test_a_policy_that_explores_no_more_is_noticed(adapting, log_std, what):
    """Of one action, with log sigma + 1.42 nats: -1.58 and -2.58, on either side of -2."""
    h = adapting(ppo={"init_log_std": log_std, "learning_rate": 1e-5})
    h.go()
    assert [each["trigger"]["what"] for each in triggers_of(h)] == what
    assert {each["settings"]["entropy_floor_nats"] for each in triggers_of(h)} <= {-2.0}


def test_a_reward_that_pays_for_an_early_end_is_refused_before_any_training(adapting):
    h = adapting(total_steps=12 * STEPS)
    source = "def reward(state, action):\n    return -np.abs(state.x)\n"
    h.at = {6: [sends(TryReward(kind="try_reward", source=source, name="impatient"))]}
    h.go()
    verdict = next(row for row in rows(h) if row["kind"] == "verdict")
    assert verdict["values"]["refused_by"] == "preference"
    assert len(verdict["values"]["judged"]["ranked"]) >= 4
    assert replay_decisions(h.run_dir.path) == 0
    assert "round" not in kinds(h)
    assert outcome_of(h, "impatient") == "refused"


def test_decisions_are_reproduced_from_the_log_alone(adapting, capsys):
    h = adapting(total_steps=60 * STEPS)
    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    h.go()
    assert replay_decisions(h.run_dir.path) == 0
    assert "decisions reproduced" in capsys.readouterr().out


def test_another_goal_is_judged_by_no_fitness_of_the_one_before(adapting):
    """Evaluated after 4 updates by the one, after 8 by the other."""
    program = "def fitness(state, action):\n    return state.x\n"
    fitness = FitnessProgram(program=program, accumulate="last", unit="m")
    h = adapting(total_steps=9 * STEPS)
    told = {}

    def note(h):
        told[h.branch.updates] = h.run.status.read()

    goal = SetGoal(kind="set_goal", description="go right", fitness=fitness)
    h.at = {5: [note, sends(goal)], 6: [note], 8: [note]}
    h.go()
    assert told[5].evaluation.fitness_mean == told[5].goal_fitness_mean is not None
    assert told[6].evaluation.fitness_mean is told[6].goal_fitness_mean is None
    # What is no matter of the goal is known still.
    assert told[6].evaluation.return_mean == told[5].evaluation.return_mean
    assert [row["goal_fitness_mean"] for row in h.metrics() if row["update"] in (6, 7)] == [
        None
    ] * 2
    assert h.run.status.read().goal_fitness_mean is not None


def test_a_goal_of_a_persons_own_measure_opens_a_new_comparison(adapting):
    program = "def fitness(state, action):\n    return state.x\n"
    fitness = FitnessProgram(program=program, accumulate="last", unit="m")
    h = adapting(total_steps=16 * STEPS)
    h.at = {2: [sends(SetGoal(kind="set_goal", description="go right", fitness=fitness))]}
    h.go()
    goal = h.run.adaptation.goal
    assert (goal.n, goal.description, goal.accumulate) == (1, "go right", "last")
    assert kinds(h)[0] == "goal"
    # Without a reward-gen nobody writes candidates: the run goes on and says so.
    assert "no reward-gen" in json.dumps(rows(h))


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (Approve(kind="approve", adaptation=3), "waits for nothing"),
        (Reject(kind="reject", adaptation=3), "waits for nothing"),
        (Rollback(kind="rollback"), "nothing to take back"),
        (SetGoal(kind="set_goal", description="  "), "empty"),
        (SetGoal(kind="set_goal", description="run"), "no reward-gen"),
        (AdoptReward(kind="adopt_reward", reward="p_unknown"), "there is no reward"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_line(adapting, command, says):
    h = adapting(total_steps=6 * STEPS)
    h.at = {2: [sends(command)]}
    assert h.go() == "finished"
    assert says in str(h.answers[0])


def test_a_run_that_does_not_adapt_refuses_to_try(adapting):
    h = adapting(adapt="off", total_steps=6 * STEPS)
    h.at = {2: [sends(Ask(kind="ask"))]}
    h.go()
    assert "does not adapt" in str(h.answers[0])
