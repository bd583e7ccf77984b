"""Trials on the toy: contenders beside a control group, decided by fitness, whatever interrupts."""

import pytest
from adapting_toy import CENTRE, kinds, outcome_of, rows
from staging import STEPS, sends
from toy_fleet import ToyClient

from websim.client import FleetRefused
from websim.service.errors import UserError
from websim_learner import run as run_module
from websim_learner.adaptation import contest
from websim_learner.adaptation import examiner as examiner_module
from websim_learner.clock import RunClock
from websim_learner.control import (
    AdoptReward,
    Approve,
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
from websim_learner.records import EvaluationRecord, MetricsRecord, TrialRecord


def test_steps_that_a_trial_skipped_mark_the_run(adapting):
    """The eighth command to a shard, in the run's own session and in those of both contenders."""
    h = adapting(client={"shard_envs": 12, "skipped": lambda t, shard: (t, shard) == (8, 0)})
    h.at = {3: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    assert h.go() == "finished"
    skipped = [e.values for e in h.run_dir.journal() if e.kind == "steps_skipped"]
    assert [each["where"] for each in skipped] == ["training", "a trial", "a trial"]
    assert h.result()["skipped_steps"] == 3


def test_what_a_trial_evaluates_is_no_training_time(adapting, monkeypatch):
    """One examination of each contender in each of two rounds, besides those of the run."""
    stood = []
    examine = examiner_module.evaluate

    def watch(*args, **kwargs):
        stood.append(h.run._ledger.clock._running_since_s is None)
        return examine(*args, **kwargs)

    monkeypatch.setattr(examiner_module, "evaluate", watch)
    h = adapting()
    h.at = {3: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    assert h.go() == "finished"
    evaluations = [r for r in h.run.stream.after(0, 10**6) if isinstance(r, EvaluationRecord)]
    assert len(stood) >= len(evaluations) + 4
    assert all(stood)
    assert h.run._ledger.clock.phases["evaluation"] > 0.0


def test_what_a_trials_training_takes_is_in_the_split_of_the_time(adapting, monkeypatch):
    counted = []
    monkeypatch.setattr(RunClock, "note_phases", lambda _clock, advance: counted.append(advance))
    h = adapting()
    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    assert h.go() == "finished"
    updates = [r for r in h.run.stream.after(0, 10**6) if isinstance(r, MetricsRecord)]
    # Two rounds of two updates of each of two contenders, besides the run's own.
    assert len(counted) == len(updates) + 8


def test_a_trial_whose_envs_cannot_be_turned_gives_them_back(adapting):
    h = adapting()
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


def test_a_persons_reward_is_tried_beside_a_control_group_and_decided_by_fitness(adapting):
    h = adapting()
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


def test_how_contenders_do_is_told_after_each_of_their_updates(adapting):
    h = adapting()
    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    h.go()
    curves = curves_of(h)
    # Two rounds of two updates of 24 envs and 10 steps; in the first of all no episode ends.
    assert set(curves) == {"control", "centre"}
    for points in curves.values():
        assert [steps for steps, _ in points] == [480, 720, 960]
    assert curves["control"] != curves["centre"]


def test_a_long_round_is_told_in_few_points_the_last_among_them(adapting, monkeypatch):
    monkeypatch.setattr(contest, "TOLD_PER_ROUND", 1)
    h = adapting()
    h.at = {6: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    h.go()
    assert [steps for steps, _ in curves_of(h)["control"]] == [480, 960]


@pytest.mark.parametrize(("update", "held"), [(14, True), (15, False)])
def test_a_trial_is_held_only_where_all_its_updates_fit_into_the_run(adapting, update, held):
    # Two groups of 16 envs and rollouts of 10 steps: 400 steps are three updates, 480.
    h = adapting(total_steps=(14 * 192) + 2 * 2 * 480)
    h.at = {update: [sends(TryReward(kind="try_reward", source=CENTRE, name="centre"))]}
    h.go()
    assert ("round" in kinds(h)) == held
    assert h.result()["env_steps"] == h.config.total_steps
    if not held:
        # The log, and the page that is made from it, say that the adaptation has ended, and why.
        assert rows(h)[-1]["kind"] == "kept"
        assert "a trial takes 1,920 steps and 1,728 are left" in rows(h)[-1]["values"]["why"]


RIGHT = """
def reward(state, action):
    return 2.0 + 4.0 * state.x
"""


TO_THE_RIGHT = FitnessProgram(
    program="def fitness(state, action):\n    return state.x\n", accumulate="max", unit="m"
)


def run_with_a_winner(adapting, monkeypatch, mode, *later):
    """Run towards a goal for which RIGHT wins its trial; `later` is sent some updates after it."""
    monkeypatch.setattr(run_module, "ROUND_ENV_STEPS", (1_000, 1_000))
    # So large steps that the little there is to learn is learned within a round.
    fast = {"learning_rate": 1e-2}
    h = adapting(adapt=mode, total_steps=40 * STEPS, eval_episodes=12, ppo=fast)
    goal = SetGoal(kind="set_goal", description="go right", fitness=TO_THE_RIGHT)
    h.at = {
        2: [sends(goal)],
        6: [sends(TryReward(kind="try_reward", source=RIGHT, name="right"))],
        8: [sends(command) for command in later],
    }
    h.go()
    return h


def test_a_winner_is_adopted_by_itself_in_auto_mode(adapting, monkeypatch):
    h = run_with_a_winner(adapting, monkeypatch, "auto")
    assert "adopted" in kinds(h)
    [decision] = [row["values"] for row in rows(h) if row["kind"] == "decision"]
    assert decision["unit"] == TO_THE_RIGHT.unit


def test_an_adoption_by_hand_is_no_part_of_the_adaptation_before_it(adapting, monkeypatch):
    by_hand = AdoptReward(kind="adopt_reward", reward=CENTRE, force=True)
    h = run_with_a_winner(adapting, monkeypatch, "auto", by_hand)
    told = [(row["adaptation"], row["values"]["by"]) for row in rows(h) if row["kind"] == "adopted"]
    assert told == [(2, "trial"), (0, "person")]


def test_a_winner_waits_for_a_yes_in_approve_mode(adapting, monkeypatch):
    h = run_with_a_winner(adapting, monkeypatch, "approve")
    assert "waiting" in kinds(h)
    assert "adopted" not in kinds(h)
    assert outcome_of(h, "right") == "proposed"
    assert h.branch.reward.id == "task"


def test_a_yes_adopts_what_waits(adapting, monkeypatch):
    # The goal without candidates was adaptation 1, the trial is 2.
    h = run_with_a_winner(adapting, monkeypatch, "approve", Approve(kind="approve", adaptation=2))
    assert h.answers[-1].kind == "approve", h.answers
    assert "adopted" in kinds(h)


def test_a_no_leaves_the_reward_in_force(adapting, monkeypatch):
    h = run_with_a_winner(adapting, monkeypatch, "approve", Reject(kind="reject", adaptation=2))
    assert h.answers[-1].kind == "reject", h.answers
    assert "adopted" not in kinds(h)
    assert outcome_of(h, "right") == "lost"


def test_a_run_killed_after_its_trial_and_resumed_decides_the_same(adapting, tmp_path):
    command = TryReward(kind="try_reward", source=CENTRE, name="centre")
    alone = adapting()
    alone.at = {6: [sends(command)]}
    alone.go()

    class Killed(Exception):
        pass

    def die(h):
        raise Killed

    first = adapting(tmp_path / "killed")
    first.at = {6: [sends(command)], 13: [die]}
    with pytest.raises(Killed):
        first.go()
    again = adapting(tmp_path / "killed")
    again.go()
    assert again.digest() == alone.digest()
    assert again.result()["env_steps"] == alone.result()["env_steps"]


def test_a_run_stopped_during_a_trial_holds_it_anew(adapting, tmp_path):
    command = TryReward(kind="try_reward", source=CENTRE, name="centre")
    alone = adapting()
    alone.at = {6: [sends(command)]}
    alone.go()

    first = adapting(tmp_path / "stopped")
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
    again = adapting(tmp_path / "stopped")
    again.go()
    assert again.digest() == alone.digest()
    assert curves_of(again) == curves_of(alone) != {}


def test_a_run_is_ended_during_a_trial(adapting):
    h = adapting()
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
def test_commands_during_a_trial_are_answered_before_it_ends(adapting, command, says):
    h = adapting(total_steps=30 * STEPS)
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
