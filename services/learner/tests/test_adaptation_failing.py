"""Groups and rewards that fail in an adaptation, and what is in force then. On the toy."""

import pytest
from judging import OFF, in_the_trial, said, tries
from staging import CENTRE, STEPS, Killed, die, kinds, logged, sends
from toy_fleet import ToyClient

from websim.client import FleetRefused
from websim.programs.sandbox import SandboxError
from websim_learner import rewards
from websim_learner.control import AdoptReward, SetReward

LAZY = "def reward(state, action):\n    return 1.0 - 0.01 * np.sum(np.square(action), axis=1)\n"


def fails_on_demand(monkeypatch, *sources):
    """Return a list: while there is anything in it, LAZY, or such programs, miss deadlines."""
    evaluate, failing = rewards.evaluate_guarded, []

    def miss(program, *args):
        if failing and program.source in (sources or (LAZY,)):
            raise SandboxError("deadline", "it took too long")
        return evaluate(program, *args)

    monkeypatch.setattr(rewards, "evaluate_guarded", miss)
    return failing


def test_a_control_group_that_fails_ends_the_adaptation_not_the_run(learning, monkeypatch):
    h = learning(total_steps=40 * STEPS, reward_source=LAZY)
    h.at = {6: [tries(CENTRE, "centre")]}
    failing = fails_on_demand(monkeypatch)
    in_the_trial(h, 2, lambda h: failing.append(1))
    assert h.go() == "finished"
    (kept,) = logged(h, "kept")
    assert kept["why"].startswith("nothing is changed: the control group failed: ")
    assert kept["why"] in said(h)
    assert h.run.adaptation.proposal is None
    # No further round is held, and the steps of the first one count.
    (held,) = logged(h, "round")
    assert held["results"]["control"] is None
    assert h.result()["env_steps"] > h.branch.updates * STEPS
    # The run itself goes on by the task's own reward.
    assert h.branch.reward.id == "task"


def test_groups_that_cannot_be_had_end_the_adaptation_not_the_run(learning):
    h = learning()

    def refuse(*_args, **_options):
        raise FleetRefused("too_many_envs", "there is no room for 16 environments")

    h.at = {6: [tries(CENTRE, "centre"), lambda h: setattr(h, "make_client", refuse)]}
    h.at[7] = [lambda h: setattr(h, "make_client", ToyClient)]
    assert h.go() == "finished"
    (kept,) = logged(h, "kept")
    assert kept["why"] == "nothing is changed: there is no room for 16 environments"
    assert h.branch.updates == 24


def test_the_first_point_after_a_trial_is_in_the_units_of_those_that_follow(learning):
    # Whoever wins, nothing is adopted without a yes.
    h = learning(adapt="approve", total_steps=40 * STEPS, reward_source=LAZY)
    points = []
    conclude = h.run._adapter._conclude

    def concluded(*args):
        conclude(*args)
        points.extend(h.run.adaptation.points)

    h.run._adapter._conclude = concluded
    h.at = {6: [tries(CENTRE, "centre")]}
    h.go()
    assert logged(h, "adopted") == []
    (point,) = points
    assert point.reward_id == h.branch.reward.id
    # LAZY pays 1 a step at most.
    assert all(r <= n for r, n in zip(point.reward_return, point.length, strict=True))
    assert point.reward_return != point.task_return
    assert point.value_loss > 0.0


def adopts_what_fails(learning, monkeypatch, directory, kill=None):
    """A run that adopts LAZY, which fails at its eighth update."""
    h = learning(directory, checkpoint_every_updates=6)
    failing = fails_on_demand(monkeypatch)
    adopts = AdoptReward(kind="adopt_reward", reward=LAZY, force=True)
    h.at = {
        4: [lambda h: "adopt" in kinds(h) or h.send(adopts)],
        7: [lambda h: "set_reward" in kinds(h) or failing.append(1)],
        8: [lambda h: failing.clear()],
    }
    if kill is not None:
        h.at[kill] = [*h.at.get(kill, []), die]
    return h


@pytest.mark.parametrize("kill", [10, 13], ids=["before the checkpoint", "after it"])
def test_a_reward_that_fails_is_out_of_force_in_the_books_too(
    learning, monkeypatch, tmp_path, kill
):
    alone = adopts_what_fails(learning, monkeypatch, tmp_path / "alone")
    alone.go()
    with pytest.raises(Killed):
        adopts_what_fails(learning, monkeypatch, tmp_path / "killed", kill).go()
    killed = adopts_what_fails(learning, monkeypatch, tmp_path / "killed")
    killed.go()
    assert killed.digest() == alone.digest()
    for h in (alone, killed):
        assert h.branch.reward.id == h.run.adaptation_view.rewards().in_force == "task"
        failed = next(e for e in h.run.adaptation.rewards if e.source == LAZY)
        assert (failed.outcome, failed.reason) == ("failed", "it took too long")
        assert h.run.adaptation.baseline is None
        assert logged(h, "failed")[-1]["undone"] == failed.id
    assert killed.run.adaptation.rewards == alone.run.adaptation.rewards
    assert killed.run.adaptation.triggers == alone.run.adaptation.triggers


def adopts_twice(learning, monkeypatch, directory, failing=(LAZY,), kill=None, **overrides):
    """A run that adopts CENTRE, which reads x, then LAZY, which reads nothing and fails."""
    h = learning(directory, checkpoint_every_updates=6, **overrides)
    missing = fails_on_demand(monkeypatch, *failing)
    once = [AdoptReward(kind="adopt_reward", reward=s, force=True) for s in (CENTRE, LAZY)]
    h.at = {
        3: [lambda h: kinds(h).count("adopt") > 0 or h.send(once[0])],
        4: [lambda h: kinds(h).count("adopt") > 1 or h.send(once[1])],
        7: [lambda h: "set_reward" in kinds(h) or missing.append(1)],
        9: [lambda h: missing.clear()],
    }
    if kill is not None:
        h.at[kill] = [*h.at.get(kill, []), die]
    return h


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlapping"])
@pytest.mark.parametrize("kill", [10, 13], ids=["before the checkpoint", "after it"])
def test_a_reward_that_fails_gives_way_to_the_one_before_it(
    learning, monkeypatch, tmp_path, kill, overlap
):
    options = {"ppo": {"learning_rate": 1e-2, "overlap": overlap}}
    alone = adopts_twice(learning, monkeypatch, tmp_path / "alone", **options)
    alone.go()
    with pytest.raises(Killed):
        adopts_twice(learning, monkeypatch, tmp_path / "killed", kill=kill, **options).go()
    killed = adopts_twice(learning, monkeypatch, tmp_path / "killed", **options)
    killed.go()
    assert killed.digest() == alone.digest()
    for h in (alone, killed):
        centre = next(e for e in h.run.adaptation.rewards if e.source == CENTRE)
        lazy = next(e for e in h.run.adaptation.rewards if e.source == LAZY)
        assert (centre.outcome, lazy.outcome) == ("in_force", "failed")
        assert h.branch.reward.id == h.run.adaptation_view.rewards().in_force == centre.id
        (entry,) = [e for e in h.run_dir.journal() if e.kind == "set_reward"]
        assert (entry.update, entry.values["source"]) == (7, CENTRE)
        # The rollout that LAZY fails at is judged by CENTRE already.
        judged_by = [row["reward_id"] for row in h.metrics()]
        assert judged_by[6:8] == [lazy.id, centre.id]
        assert set(judged_by[7:]) == {centre.id}
        assert logged(h, "failed")[-1]["reward_id"] == centre.id


def test_where_the_one_before_fails_too_the_tasks_own_reward_takes_over(
    learning, monkeypatch, tmp_path
):
    h = adopts_twice(learning, monkeypatch, tmp_path / "run", failing=(LAZY, CENTRE))
    h.go()
    (entry,) = [e for e in h.run_dir.journal() if e.kind == "set_reward"]
    assert (entry.update, entry.values["source"]) == (7, None)
    assert h.branch.reward.id == h.run.adaptation_view.rewards().in_force == "task"


SET = SetReward(kind="set_reward", source=CENTRE)


def test_a_run_that_adapts_refuses_a_reward_that_goes_round_its_gate(learning):
    h = learning(total_steps=6 * STEPS)
    h.at = {2: [sends(SET)]}
    h.go()
    (refusal,) = h.answers
    assert "Use `websim rewards adopt FILE`" in str(refusal)
    assert "set_reward" not in kinds(h)
    assert h.branch.reward.id == "task"


def sets_while_off(learning, directory, kill=None):
    """A run that adopts LAZY, is told not to adapt any more, and is given CENTRE."""
    h = learning(directory, total_steps=12 * STEPS, checkpoint_every_updates=3)
    adopts = AdoptReward(kind="adopt_reward", reward=LAZY, force=True)
    h.at = {
        2: [lambda h: "adopt" in kinds(h) or h.send(adopts)],
        4: [lambda h: "adapt_mode" in kinds(h) or h.send(OFF)],
        5: [lambda h: "set_reward" in kinds(h) or h.send(SET)],
    }
    if kill is not None:
        h.at[kill] = [die]
    return h


@pytest.mark.parametrize("kill", [6, 8], ids=["before the checkpoint", "after it"])
def test_the_books_of_a_run_that_does_not_adapt_know_what_a_person_sets(learning, tmp_path, kill):
    alone = sets_while_off(learning, tmp_path / "alone")
    on_probation = []
    alone.at[5].insert(0, lambda h: on_probation.append(h.run.adaptation.baseline is not None))
    alone.go()
    assert on_probation == [True]
    with pytest.raises(Killed):
        sets_while_off(learning, tmp_path / "killed", kill).go()
    killed = sets_while_off(learning, tmp_path / "killed")
    killed.go()
    assert killed.digest() == alone.digest()
    for h in (alone, killed):
        in_force = h.run.adaptation_view.rewards().in_force
        assert in_force == h.branch.reward.id
        entry = h.run.adaptation.entry(in_force)
        assert (entry.source, entry.outcome, entry.update) == (CENTRE, "in_force", 5)
        assert [e.outcome for e in h.run.adaptation.rewards if e.source == LAZY] == ["adopted"]
        # The loss of fitness under LAZY is not held against it.
        assert h.run.adaptation.baseline is None
    assert killed.run.adaptation.rewards == alone.run.adaptation.rewards
