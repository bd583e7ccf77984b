"""The adapter on the toy: rewards are tried, adopted and taken back; kills leave no trace."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from staging import Killed, die
from toy_fleet import ToyClient

from websim.client import FleetRefused
from websim.service.errors import UserError
from websim_learner import run as run_module
from websim_learner.adaptation import contest
from websim_learner.adaptation import examiner as examiner_module
from websim_learner.adaptation.replay import replay_decisions
from websim_learner.control import (
    AdoptReward,
    Approve,
    Ask,
    FitnessProgram,
    Reject,
    Rollback,
    SetAdapt,
    SetGoal,
    SetKnobs,
    Stop,
    TakeCheckpoint,
    TryReward,
)
from websim_learner.fleet import RunStopped
from websim_learner.records import EvaluationRecord, TrialRecord

CENTRE = """
def reward(state, action):
    near = 2.0 - np.abs(state.x)
    return near, {"near": near}
"""

FAR = """
def reward(state, action):
    return np.abs(state.x)
"""

STEPS = 24 * 8


@pytest.fixture
def make(harness, monkeypatch):
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (400, 400))

    def build(directory=None, **overrides):
        defaults = {"adapt": "auto", "total_steps": 24 * STEPS, "eval_every_updates": 4}
        defaults["client"] = {"shard_envs": 12}
        return harness(directory, **{**defaults, **overrides})

    return build


def sends(command):
    return lambda h: h.send(command)


def rows(h):
    path = h.run_dir.path / "adaptations.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def kinds(h):
    return [row["kind"] for row in rows(h)]


def outcome_of(h, name):
    return next(each for each in h.run.adaptation.rewards if each.name == name).outcome


def test_a_run_that_does_not_adapt_has_no_log(make):
    off = make(adapt="off", total_steps=12 * STEPS)
    off.go()
    assert rows(off) == []
    assert off.result()["env_steps"] == 12 * STEPS


def test_each_update_tells_the_goals_fitness_apart_from_the_tasks(make, tmp_path):
    """The toy's own fitness, -|x| - distance, is below 0; the goal's, the greatest |x|, above.

    Evaluated after 4, 8 and 12 updates; a life that begins after 5 knows what was found after 4.
    """
    away = FitnessProgram(
        program="def fitness(state, action):\n    return np.abs(state.x)\n", accumulate="max"
    )
    h = make(tmp_path / "run", checkpoint_every_updates=1, total_steps=12 * STEPS)
    h.at = {2: [sends(SetGoal(kind="set_goal", description="go away", fitness=away))], 6: [die]}
    with pytest.raises(Killed):
        h.go()
    again = make(tmp_path / "run", checkpoint_every_updates=1, total_steps=12 * STEPS)
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


def test_a_run_asks_for_a_change_by_the_clock_where_it_is_told_to(make):
    """Evaluated after 4, 8, 12 ... updates of 192 steps: 1,536 are the first beyond 1,000."""
    h = make(adapt_every_steps=1_000)
    h.go()
    first = triggers_of(h)[0]
    assert (first["trigger"]["kind"], first["env_steps"]) == ("schedule", 1_536)
    assert "1,536 steps since the last adaptation" in first["trigger"]["sentence"]
    assert replay_decisions(h.run_dir.path) == 0


def spend(h):
    """Let a run have had all the adaptations that it may have."""
    state = h.run.adaptation
    state.triggers = msgspec.structs.replace(state.triggers, adaptations=8)


def test_a_guard_asks_for_nothing_once_the_cap_is_reached(make):
    h = make(ppo={"init_log_std": -4.0, "learning_rate": 1e-5})
    h.at = {1: [spend]}
    h.go()
    assert kinds(h) == []


@pytest.mark.parametrize(("log_std", "what"), [(-3.0, []), (-4.0, ["entropy"])])
def test_a_policy_that_explores_no_more_is_noticed(make, log_std, what):
    """Of one action, with log sigma + 1.42 nats: -1.58 and -2.58, on either side of -2."""
    h = make(ppo={"init_log_std": log_std, "learning_rate": 1e-5})
    h.go()
    assert [each["trigger"]["what"] for each in triggers_of(h)] == what
    assert {each["settings"]["entropy_floor_nats"] for each in triggers_of(h)} <= {-2.0}


def test_a_reward_that_pays_for_an_early_end_is_refused_before_any_training(make):
    h = make(total_steps=12 * STEPS)
    source = "def reward(state, action):\n    return -np.abs(state.x)\n"
    h.at = {6: [sends(TryReward(kind="try_reward", source=source, name="impatient"))]}
    h.go()
    verdict = next(row for row in rows(h) if row["kind"] == "verdict")
    assert verdict["values"]["refused_by"] == "preference"
    assert len(verdict["values"]["judged"]["ranked"]) >= 4
    assert replay_decisions(h.run_dir.path) == 0
    assert "round" not in kinds(h)
    assert outcome_of(h, "impatient") == "refused"


def test_steps_that_a_trial_skipped_mark_the_run(make):
    """The eighth command to a shard, in the run's own session and in those of both contenders."""
    h = make(client={"shard_envs": 12, "skipped": lambda t, shard: (t, shard) == (8, 0)})
    h.at = {3: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    assert h.go() == "finished"
    skipped = [e.values for e in h.run_dir.journal() if e.kind == "steps_skipped"]
    assert [each["where"] for each in skipped] == ["training", "a trial", "a trial"]
    assert h.result()["skipped_steps"] == 3


def test_what_a_trial_evaluates_is_no_training_time(make, monkeypatch):
    """One examination of each contender in each of two rounds, besides those of the run."""
    stood = []
    examine = examiner_module.evaluate

    def watch(*args, **kwargs):
        stood.append(h.run._ledger.clock._running_since_s is None)
        return examine(*args, **kwargs)

    monkeypatch.setattr(examiner_module, "evaluate", watch)
    h = make()
    h.at = {3: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    assert h.go() == "finished"
    evaluations = [r for r in h.run.stream.after(0, 10**6) if isinstance(r, EvaluationRecord)]
    assert len(stood) >= len(evaluations) + 4
    assert all(stood)
    assert h.run._ledger.clock.phases["evaluation"] > 0.0


def test_a_trial_whose_envs_cannot_be_turned_gives_them_back(make):
    h = make()
    opened = []

    def refuse(*_):
        raise FleetRefused("no_knob", "there is no knob force")

    def open_group(num_envs, seed, _name):
        opened.append(ToyClient(num_envs, seed))
        opened[-1].send_knobs = refuse
        return opened[-1]

    h.run._adapter._trials._open_group = open_group
    h.at = {
        2: [sends(SetKnobs(kind="set_knobs", knobs={"force": 0.5}))],
        3: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))],
    }
    assert h.go() == "finished"
    assert [client.closed for client in opened] == [True]


def test_a_persons_reward_is_tried_beside_a_control_group_and_decided_by_fitness(make):
    h = make()
    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    assert h.go() == "finished"
    assert h.answers[0].kind == "try_reward"
    assert kinds(h)[:4] == ["answer", "verdict", "round", "round"]
    decision = next(row for row in rows(h) if row["kind"] == "decision")
    adopted = decision["values"]["decision"]["promote"]
    assert outcome_of(h, "centre") in (("in_force", "rolled_back") if adopted else ("lost",))
    # Steps of the trial are steps of the run.
    assert h.result()["env_steps"] >= 24 * STEPS
    assert h.branch.updates < 24


def curves_of(h):
    """Training steps and returns of each contender of the first trial, as they were told."""
    curves = {}
    for record in h.run.stream.after(0, 10**6):
        if isinstance(record, TrialRecord):
            assert record.adaptation == 1
            point = (record.trial_env_steps, record.return_mean)
            curves.setdefault(record.contender, []).append(point)
    return curves


def test_how_contenders_do_is_told_after_each_of_their_updates(make):
    h = make()
    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    h.go()
    curves = curves_of(h)
    # Two rounds of two updates of 24 envs and 10 steps; in the first of all no episode ends.
    assert set(curves) == {"control", "centre"}
    for points in curves.values():
        assert [steps for steps, _ in points] == [480, 720, 960]
    assert curves["control"] != curves["centre"]


def test_a_long_round_is_told_in_few_points_the_last_among_them(make, monkeypatch):
    monkeypatch.setattr(contest, "TOLD_PER_ROUND", 1)
    h = make()
    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    h.go()
    assert [steps for steps, _ in curves_of(h)["control"]] == [480, 960]


@pytest.mark.parametrize(("update", "held"), [(14, True), (15, False)])
def test_a_trial_is_held_only_where_all_its_updates_fit_into_the_run(make, update, held):
    # Two groups of 16 envs and rollouts of 10 steps: 400 steps are three updates, 480.
    h = make(total_steps=(14 * 192) + 2 * 2 * 480)
    h.at = {update: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    h.go()
    assert ("round" in kinds(h)) == held
    assert h.result()["env_steps"] == h.config.total_steps
    if not held:
        # The log, and the page that is made from it, say that the adaptation has ended, and why.
        assert rows(h)[-1]["kind"] == "kept"
        assert "a trial takes 1,920 steps and 1,728 are left" in rows(h)[-1]["values"]["why"]


def test_decisions_are_reproduced_from_the_log_alone(make, capsys):
    h = make(total_steps=60 * STEPS)
    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    h.go()
    assert replay_decisions(h.run_dir.path) == 0
    assert "decisions reproduced" in capsys.readouterr().out


def test_a_reward_outside_the_language_is_refused_and_nothing_changes(make):
    h = make(total_steps=12 * STEPS)
    h.at = {2: [sends(TryReward(kind="try_reward", source="import os", name="evil"))]}
    h.go()
    assert isinstance(h.answers[0], UserError)
    assert "refused" in str(h.answers[0])
    assert h.branch.reward.id == "task"


def test_an_adoption_is_taken_back_with_reward_policy_and_optimiser_in_one_step(make):
    h = make(total_steps=12 * STEPS)
    digests = {}

    def note(name):
        return lambda h: digests.setdefault(name, h.digest())

    h.at = {
        4: [note("before"), sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))],
        7: [note("learned"), sends(Rollback(kind="rollback"))],
    }
    original = h.run._trainer._between_updates

    def watched():
        original()
        if h.branch.updates == 7:
            note("after")(h)

    h.run._trainer._between_updates = watched
    h.go()
    assert digests["learned"] != digests["before"]
    assert digests["after"] == digests["before"]
    assert h.branch.reward.id == "task"
    decided = [(row["kind"], row["values"]["by"]) for row in rows(h) if row["kind"] != "trigger"]
    assert decided == [("adopted", "person"), ("rolled_back", "person")]


def test_who_takes_back_what_is_taken_back_already_is_told_so(make):
    h = make(total_steps=12 * STEPS)
    back = sends(Rollback(kind="rollback"))
    h.at = {
        2: [back],
        4: [sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))],
        5: [back],
        6: [back],
    }
    h.go()
    assert "No reward was adopted so far." in str(h.answers[0])
    assert "has been taken back" in str(h.answers[3])


def test_a_person_takes_back_what_they_saw_in_force_or_nothing(make):
    h = make(total_steps=12 * STEPS)
    h.at = {
        4: [sends(AdoptReward(kind="adopt_reward", reward=CENTRE, force=True))],
        5: [sends(Rollback(kind="rollback", reward="p_another"))],
        6: [lambda h: h.send(Rollback(kind="rollback", reward=h.branch.reward.id))],
    }
    h.go()
    adopted, refused, back = h.answers
    assert str(refused).startswith(f"p_another is not in force, {adopted.detail} is")
    assert back.detail == h.branch.reward.id == "task"


def test_a_reward_that_prefers_worse_behaviour_loses_fitness_and_is_taken_back(make):
    fast = {"learning_rate": 1e-2}
    h = make(total_steps=50 * STEPS, eval_every_updates=2, ppo=fast)
    h.at = {20: [sends(AdoptReward(kind="adopt_reward", reward=FAR, force=True))]}
    h.go()
    back = next(row for row in rows(h) if row["kind"] == "rolled_back")
    assert (back["values"]["reward_id"], back["values"]["by"]) == ("task", "guard")
    assert back["values"]["why"].startswith("Since the adoption fitness changed by -")
    assert back["env_steps"] - 20 * STEPS <= 300_000
    assert h.branch.reward.id == "task"
    # It was known for suspect, and is no longer.
    triggers = [row["values"] for row in rows(h) if row["kind"] == "trigger"]
    (lost,) = [each for each in triggers if each["trigger"]["what"] == "fitness_lost"]
    assert lost["state"]["overruled"]
    assert not h.run.adaptation.triggers.overruled


def test_a_run_that_has_only_begun_to_adapt_judges_a_reward_by_how_it_moves_now(make):
    h = make(adapt="off", total_steps=24 * STEPS, eval_every_updates_adapting=100)
    ends_early = "def reward(state, action):\n    return np.abs(state.x) - 3.0\n"
    adopt = AdoptReward(kind="adopt_reward", reward=ends_early, force=False)
    h.at = {20: [sends(SetAdapt(kind="set_adapt", mode="auto")), sends(adopt)]}
    h.go()
    assert "Ranks" in str(h.answers[1])
    assert '"best of' in str(h.answers[1])
    # What was looked at for that is no part of the run: only what is adopted is.
    assert not h.run._adapter.bank.has_own


def test_a_reward_adopted_by_force_stays_while_no_fitness_is_lost(make, tmp_path):
    # So small steps that nothing changes, and too few evaluations for a trend.
    options = {"total_steps": 36 * STEPS, "ppo": {"learning_rate": 1e-9}}

    def run(directory, force, later=None):
        h = make(directory, **options)
        h.at = {20: [sends(AdoptReward(kind="adopt_reward", reward=FAR, force=force))]}
        if later is not None:
            h.at[20] = [lambda h: h.run._adapter.replay("adopt", later)]
        h.go()
        return h

    refused = run(tmp_path / "refused", force=False)
    assert "Ranks" in str(refused.answers[0])
    forced = run(tmp_path / "forced", force=True)
    assert forced.branch.reward.id == forced.answers[0].detail
    (adopt,) = [entry.values for entry in forced.run_dir.journal() if entry.kind == "adopt"]
    assert adopt == {"source": FAR, "forced": True}
    # A later life does the same; in an older journal what was overruled speaks once more.
    again = run(tmp_path / "again", force=True, later=adopt)
    assert again.digest() == forced.digest()
    assert again.branch.reward.id == forced.branch.reward.id
    # All its looks are whole ones.
    assert forced.run.adaptation.triggers.overruled
    assert forced.run._adapter.look_episodes is None
    older = run(tmp_path / "older", force=True, later={"source": FAR})
    assert older.branch.reward.id == "task"


RIGHT = """
def reward(state, action):
    return 2.0 + 4.0 * state.x
"""

TO_THE_RIGHT = FitnessProgram(
    program="def fitness(state, action):\n    return state.x\n", accumulate="max", unit="m"
)


def run_with_a_winner(make, monkeypatch, mode, *later):
    """Run towards a goal for which RIGHT wins its trial; `later` is sent some updates after it."""
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    # So large steps that the little there is to learn is learned within a round.
    fast = {"learning_rate": 1e-2}
    h = make(adapt=mode, total_steps=40 * STEPS, eval_episodes=12, ppo=fast)
    goal = SetGoal(kind="set_goal", description="go right", fitness=TO_THE_RIGHT)
    h.at = {
        2: [sends(goal)],
        6: [sends(TryReward(kind="try_reward", source=RIGHT, name="right"))],
        8: [sends(command) for command in later],
    }
    h.go()
    return h


def test_a_winner_is_adopted_by_itself_in_auto_mode(make, monkeypatch):
    h = run_with_a_winner(make, monkeypatch, "auto")
    assert "adopted" in kinds(h)


def test_a_winner_waits_for_a_yes_in_approve_mode(make, monkeypatch):
    h = run_with_a_winner(make, monkeypatch, "approve")
    assert "waiting" in kinds(h)
    assert "adopted" not in kinds(h)
    assert outcome_of(h, "right") == "proposed"
    assert h.branch.reward.id == "task"


def test_a_yes_adopts_what_waits(make, monkeypatch):
    # The goal without candidates was adaptation 1, the trial is 2.
    h = run_with_a_winner(make, monkeypatch, "approve", Approve(kind="approve", adaptation=2))
    assert h.answers[-1].kind == "approve", h.answers
    assert "adopted" in kinds(h)


def test_a_no_leaves_the_reward_in_force(make, monkeypatch):
    h = run_with_a_winner(make, monkeypatch, "approve", Reject(kind="reject", adaptation=2))
    assert h.answers[-1].kind == "reject", h.answers
    assert "adopted" not in kinds(h)
    assert outcome_of(h, "right") == "lost"


def test_a_goal_of_a_persons_own_measure_opens_a_new_comparison(make):
    program = "def fitness(state, action):\n    return state.x\n"
    fitness = FitnessProgram(program=program, accumulate="last", unit="m")
    h = make(total_steps=16 * STEPS)
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
def test_what_cannot_be_done_is_refused_in_a_line(make, command, says):
    h = make(total_steps=6 * STEPS)
    h.at = {2: [sends(command)]}
    assert h.go() == "finished"
    assert says in str(h.answers[0])


def test_a_run_that_does_not_adapt_refuses_to_try(make):
    h = make(adapt="off", total_steps=6 * STEPS)
    h.at = {2: [sends(Ask(kind="ask"))]}
    h.go()
    assert "does not adapt" in str(h.answers[0])


def test_a_run_killed_after_its_trial_and_resumed_decides_the_same(make, tmp_path):
    command = TryReward(kind="try_reward", source=CENTRE, name="centre")
    alone = make()
    alone.at = {6: [sends(command)]}
    alone.go()

    class Killed(Exception):
        pass

    def die(h):
        raise Killed

    first = make(tmp_path / "killed")
    first.at = {6: [sends(command)], 13: [die]}
    with pytest.raises(Killed):
        first.go()
    again = make(tmp_path / "killed")
    again.go()
    assert again.digest() == alone.digest()
    assert again.result()["env_steps"] == alone.result()["env_steps"]


def test_a_run_stopped_during_a_trial_holds_it_anew(make, tmp_path):
    command = TryReward(kind="try_reward", source=CENTRE, name="centre")
    alone = make()
    alone.at = {6: [sends(command)]}
    alone.go()

    first = make(tmp_path / "stopped")
    first.at = {6: [sends(command)]}
    original = first.run._trainer.orders.during_trial
    calls = []

    def stop_in_the_middle():
        calls.append(1)
        if len(calls) == 4:
            raise RunStopped
        original()

    first.run._trainer.orders.during_trial = stop_in_the_middle
    first.go()
    again = make(tmp_path / "stopped")
    again.go()
    assert again.digest() == alone.digest()
    assert curves_of(again) == curves_of(alone) != {}


def test_a_run_is_ended_during_a_trial(make):
    h = make()
    command = TryReward(kind="try_reward", source=CENTRE, name="centre")
    h.at = {6: [sends(command)]}
    original = h.run._trainer.orders.during_trial
    calls = []

    def stop_soon():
        calls.append(1)
        if len(calls) == 3:
            h.send(Stop(kind="stop"))
        original()

    h.run._trainer.orders.during_trial = stop_soon
    assert h.go() == "finished"
    assert h.branch.updates == 6


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (SetAdapt(kind="set_adapt", mode="approve"), "approve"),
        (TakeCheckpoint(kind="checkpoint"), "update-00000006"),
        (Rollback(kind="rollback"), "a trial is under way (trial, round 1 of 2"),
        (SetGoal(kind="set_goal", description="run"), "a trial is under way"),
    ],
)
def test_commands_during_a_trial_are_answered_before_it_ends(make, command, says):
    h = make(total_steps=30 * STEPS)
    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    original = h.run._trainer.orders.during_trial
    calls = []

    def send_soon():
        calls.append(len(h.answers))
        if len(calls) == 3:
            h.send(command)
        original()

    h.run._trainer.orders.during_trial = send_soon
    assert h.go() == "finished"
    assert calls[-1] >= 2, "answered within the trial"
    answer = h.answers[1]
    assert says in (str(answer) if isinstance(answer, UserError) else answer.detail)


def ruin(h):
    """Let the policy push as hard as it can, always to the same side."""
    state = h.branch.policy_state()
    weights = {
        name: 4.0 * np.abs(array) if name.startswith("actor") else array
        for name, array in state.parts["weights"].items()
    }
    h.branch.take_over(replace(state, parts={**state.parts, "weights": weights}))


def test_a_policy_that_collapses_is_put_back_as_it_was_at_its_best(make):
    h = make(total_steps=32 * STEPS, eval_episodes=40)
    digests = {}

    def note(h):
        digests[h.branch.updates * STEPS] = h.digest()

    h.at = {update: [note] for update in range(1, 33)}
    h.at |= {update: [ruin] for update in range(17, 21)}
    original = h.run._trainer._between_updates
    after = []

    def watched():
        original()
        if h.branch.updates == 20:
            after.append(h.digest())

    h.run._trainer._between_updates = watched
    h.go()
    (restored,) = (row for row in rows(h) if row["kind"] == "restored")
    assert restored["env_steps"] == 20 * STEPS
    assert after == [digests[restored["values"]["peak_env_steps"]]]
    assert restored["values"]["why"].startswith("Fitness fell to ")
    assert replay_decisions(h.run_dir.path) == 0


def test_a_policy_to_put_back_survives_a_kill(make):
    def build(directory=None):
        h = make(directory, total_steps=32 * STEPS, checkpoint_every_updates=5, eval_episodes=40)
        h.at = {update: [ruin] for update in range(17, 21)}
        return h

    whole = build()
    whole.go()
    assert "restored" in kinds(whole)
    # After 15 updates the peak of 12 is in a checkpoint, and after 16 there is a better one.
    killed = build()
    killed.at[19] = [die]
    with pytest.raises(Killed):
        killed.go()
    again = build(killed.run_dir.path)
    again.go()
    assert again.digest() == whole.digest()


def test_what_the_control_group_learned_in_a_trial_can_be_put_back_too(make):
    h = make(adapt="approve", eval_episodes=40)
    seen = []

    def look(h):
        adapter = h.run._trainer._adapter
        seen.append((adapter.policies.peak_env_steps, adapter.state.points[0].env_steps))

    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))], 7: [look]}
    h.go()
    (waiting,) = (row for row in rows(h) if row["kind"] == "waiting")
    assert seen == [(waiting["env_steps"], waiting["env_steps"])]


def test_a_reward_that_leads_away_from_the_best_policy_twice_gives_way(make):
    """Nobody writes another one here: it is asked for, and nothing comes of it."""
    h = make(total_steps=40 * STEPS, eval_episodes=40)
    h.at = {update: [ruin] for update in range(17, 33)}
    h.go()
    told = [row["kind"] for row in rows(h) if row["kind"] in ("restored", "answer")]
    assert told[:3] == ["restored", "restored", "answer"]


def test_it_is_put_back_again_and_again_where_no_adaptation_is_left(make):
    h = make(total_steps=40 * STEPS, eval_episodes=40)
    h.at = {update: [ruin] for update in range(17, 33)} | {1: [spend]}
    h.go()
    told = [row["kind"] for row in rows(h) if row["kind"] in ("restored", "answer")]
    assert told[:2] == ["restored", "restored"]
    assert "answer" not in told
