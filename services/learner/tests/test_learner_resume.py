"""A run that dies and goes on ends in the same weights as one that was left alone."""

import threading
import time
from types import SimpleNamespace
from unittest.mock import ANY

import msgspec
import pytest
from staging import LAZY, Killed, die, kinds, rows, unless_done
from toy_fleet import ToyClient

from websim.client import FleetRefused
from websim.programs.guard import evaluate_guarded
from websim.programs.sandbox import SandboxError
from websim.service.errors import UserError
from websim_learner import ledger as ledger_module
from websim_learner.checkpoint import FORMAT, checkpoint_paths
from websim_learner.control import (
    ResetEnv,
    SetKnobs,
    SetNumEnvs,
    SetReward,
    Stop,
    TakeCheckpoint,
    TakesEffectLater,
)
from websim_learner.fleet import Waiter
from websim_learner.records import EvaluationRecord, StateRecord, WarningRecord

BOLD = "def reward(state, action):\n    return np.sum(np.square(action), axis=1)\n"


def swap(source):
    return lambda harness: harness.send(SetReward(kind="set_reward", source=source))


def live(harness, directory, *kills, **options):
    """Let a run die after each of these updates, one life each, and then end; return that life."""
    for update in kills:
        life = harness(directory, **options)
        life.at.setdefault(update, []).append(die)
        with pytest.raises(Killed):
            life.go()
    last = harness(directory, **options)
    assert last.go() == "finished"
    return last


def records(harness, kind):
    return [r for r in harness.run.stream.after(0, 10**6) if isinstance(r, kind)]


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
@pytest.mark.parametrize("shuffle", [None, 3], ids=["in order", "shuffled"])
def test_lives_that_die_anywhere_end_like_the_undisturbed_one(harness, tmp_path, overlap, shuffle):
    options = {"ppo": {"overlap": overlap}}
    alone = live(harness, tmp_path / "alone", **options)
    kills = (1, 2, 4, 4, 5, 8, 9, 10)
    killed = live(harness, tmp_path / "killed", *kills, client={"shuffle": shuffle}, **options)
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert rows(killed) == rows(alone)
    for name in ("eval_return_mean", "eval_return_std", "eval_length_mean"):
        assert killed.result()[name] == alone.result()[name]
    assert [entry.kind for entry in killed.run_dir.journal()] == ["start"] + ["resume"] * 8


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
@pytest.mark.parametrize("results", [1, 5, 30, 333, 500])
def test_a_life_that_dies_within_a_rollout_is_no_other_case(harness, tmp_path, overlap, results):
    options = {"ppo": {"overlap": overlap}, "total_steps": 5 * 24 * 8}
    alone = live(harness, tmp_path / "alone", **options)
    first = harness(tmp_path / "killed", **options)
    client = first.clients[0]
    recv, received = client.recv, 0

    def recv_or_die(timeout_s):
        nonlocal received
        received += 1
        if received > results:
            raise Killed
        return recv(timeout_s)

    client.recv = recv_or_die
    try:
        first.go()
    except Killed:
        assert received == results + 1
    killed = live(harness, tmp_path / "killed", **options)
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_a_reset_of_an_env_is_done_again_where_it_was(harness, tmp_path, overlap):
    options = {"ppo": {"overlap": overlap}}
    reset = unless_done(ResetEnv(kind="reset_env", env_id=23))
    alone = harness(tmp_path / "alone", **options)
    alone.at = {5: [reset]}
    alone.go()
    killed = harness(tmp_path / "killed", **options)
    killed.at = {5: [reset], 6: [die]}
    with pytest.raises(Killed):
        killed.go()
    killed = live(harness, tmp_path / "killed", **options)
    assert rows(killed) == rows(alone)
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert kinds(killed) == ["start", "reset_env", "resume"]

    other = live(harness, tmp_path / "other", **options)
    assert other.result()["weights_sha256"] != alone.result()["weights_sha256"]


def test_a_run_that_diverges_and_dies_restores_what_the_envs_count(harness, tmp_path):
    options = {"client": {"broken": lambda step, env_id: step == 20 and env_id == 3}}
    alone = live(harness, tmp_path / "alone", **options)
    killed = live(harness, tmp_path / "killed", 2, 4, **options)
    assert rows(killed) == rows(alone)
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert alone.metrics()[-1]["invalid_transitions"] == 1


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
@pytest.mark.parametrize("update", [2, 5, 7])
def test_a_signal_ends_the_update_under_way_and_changes_nothing(harness, tmp_path, overlap, update):
    options = {"ppo": {"overlap": overlap}}
    alone = live(harness, tmp_path / "alone", **options)
    first = harness(tmp_path / "stopped", **options)
    client = first.clients[0]

    def stop_in_the_next_rollout(harness):
        send = client.send

        def send_and_stop(*command):
            harness.stopped = True
            send(*command)

        client.send = send_and_stop

    first.at[update] = [stop_in_the_next_rollout]
    assert first.go() == "stopped"
    assert first.branch.updates == update + 1
    assert checkpoint_paths(first.run_dir.checkpoints)[0].name == f"update-{update + 1:08d}"
    again = live(harness, tmp_path / "stopped", **options)
    assert rows(again) == rows(alone)
    assert again.result()["weights_sha256"] == alone.result()["weights_sha256"]


def test_a_signal_during_an_evaluation_has_it_repeated(harness, tmp_path):
    first = harness(tmp_path / "run")
    first.at[4] = [lambda h: setattr(h, "stopped", True)]
    assert first.go() == "stopped"
    assert records(first, EvaluationRecord) == []
    second = live(harness, tmp_path / "run")
    assert [record.update for record in records(second, EvaluationRecord)] == [4, 8, 10]


def test_a_silent_fleet_does_not_keep_a_run_from_stopping(harness, monkeypatch):
    """The rollout under way cannot be ended: the run goes on from the checkpoint before."""
    monkeypatch.setattr("websim_learner.collector.STOP_PATIENCE_S", 0.05)
    run = harness()

    def freeze(harness):
        harness.clients[0].silent = True
        threading.Timer(0.2, lambda: setattr(harness, "stopped", True)).start()

    run.at[5] = [freeze]
    assert run.go() == "stopped"
    assert checkpoint_paths(run.run_dir.checkpoints)[0].name == "update-00000003"


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
@pytest.mark.parametrize("kill", [4, 5, 6, 7])
def test_rewards_are_swapped_again_where_they_were(harness, tmp_path, overlap, kill):
    options = {"ppo": {"overlap": overlap}}
    alone = harness(tmp_path / "alone", **options)
    alone.at = {3: [swap(LAZY)], 4: [swap(BOLD)]}
    alone.go()
    first = harness(tmp_path / "killed", **options)
    first.at = {3: [swap(LAZY)], 4: [swap(BOLD)]}
    # After the next boundary, where the command takes effect, and its update.
    first.at.setdefault(kill + 1, []).append(die)
    with pytest.raises(Killed):
        first.go()
    killed = live(harness, tmp_path / "killed", 8, **options)
    assert rows(killed) == rows(alone)
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert len({row["reward_id"] for row in rows(killed)}) == 3


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_a_reward_that_failed_once_stays_out(harness, tmp_path, monkeypatch, overlap):
    """A deadline was missed because the machine was busy; the next life does not miss it."""
    options = {"ppo": {"overlap": overlap}}

    def fail_at_4(life):
        def fail(*_args):
            raise SandboxError("deadline", "it took too long")

        life.at[2] = [swap(LAZY)]
        life.at[4] = [
            lambda h: monkeypatch.setattr("websim_learner.rewards.evaluate_guarded", fail)
        ]
        return life

    alone = fail_at_4(harness(tmp_path / "alone", **options))
    alone.go()
    monkeypatch.undo()
    first = fail_at_4(harness(tmp_path / "killed", **options))
    first.at[5] = [die]
    with pytest.raises(Killed):
        first.go()
    monkeypatch.undo()
    killed = live(harness, tmp_path / "killed", **options)
    assert rows(killed) == rows(alone)
    assert {row["reward_id"] for row in rows(killed)[4:]} == {"task"}
    assert killed.result()["weights_sha256"] == alone.result()["weights_sha256"]


def test_a_run_that_was_told_to_stop_and_dies_is_brought_to_its_end(harness, tmp_path):
    first = harness(tmp_path / "run")
    first.at[4] = [lambda h: h.send(Stop(kind="stop"))]
    first.run._ledger.write_result = die
    with pytest.raises(Killed):
        first.go()
    assert not first.run_dir.finished
    second = live(harness, tmp_path / "run")
    assert second.result()["updates"] == 4
    # Who goes on with it now knows that it was stopped: the stop holds no longer.
    third = live(harness, tmp_path / "run", 7)
    assert third.result()["updates"] == 10
    alone = live(harness, tmp_path / "alone")
    assert third.result()["weights_sha256"] == alone.result()["weights_sha256"]


def lose(harness):
    harness.clients[-1].lost = True


def once(action):
    """Do it the first time only: a run that goes back comes by again."""
    left = [action]
    return lambda harness: left and left.pop()(harness)


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_a_run_whose_envs_are_lost_goes_back_by_itself(harness, tmp_path, overlap):
    options = {"ppo": {"overlap": overlap}, "eval_every_updates": 0}
    alone = live(harness, tmp_path / "alone", **options)
    run = harness(tmp_path / "lost", **options)
    run.at = {update: [once(lose)] for update in (2, 5, 9)}
    assert run.go() == "finished"
    assert rows(run) == rows(alone)
    assert run.result()["weights_sha256"] == alone.result()["weights_sha256"]
    assert [entry.update for entry in run.run_dir.journal()] == [0, 0, 3, 6]
    assert [r.reason for r in records(run, StateRecord) if r.state == "waiting"] == [
        "environments 0 to 6 are lost"
    ] * 3
    assert all(client.closed for client in run.clients)


def test_a_reward_that_fails_when_another_is_in_force_leaves_that_one_alone(
    harness, tmp_path, monkeypatch
):
    """With overlap a reward judges one rollout after it has given way."""
    failing = set()

    def guarded(program, fields, action):
        if program in failing:
            raise SandboxError("deadline", "it took too long")
        return evaluate_guarded(program, fields, action)

    monkeypatch.setattr("websim_learner.rewards.evaluate_guarded", guarded)

    def make(name, fails=lambda h: failing.add(h.branch._ahead.reward._program)):
        run = harness(tmp_path / name, ppo={"overlap": True})
        lazy, bold = (SetReward(kind="set_reward", source=source) for source in (LAZY, BOLD))
        run.at = {2: [unless_done(lazy)], 5: [fails, unless_done(bold)]}
        return run

    alone = make("alone")
    assert alone.go() == "finished"
    ids = [row["reward_id"] for row in alone.metrics()]
    lazy, bold = ids[3], ids[6]
    assert ids == ["task"] * 3 + [lazy] * 2 + ["task"] + [bold] * 4
    assert [e.outcome for e in alone.run.adaptation.rewards if e.id in (lazy, bold)] == [
        "failed",
        "in_force",
    ]
    # A life that does it again, where nothing fails, judges by the same rewards.
    killed = make("killed")
    killed.at[6] = [die]
    with pytest.raises(Killed):
        killed.go()
    again = make("killed", fails=lambda h: None)
    assert again.go() == "finished"
    assert rows(again) == rows(alone)
    assert again.result()["weights_sha256"] == alone.result()["weights_sha256"]


@pytest.mark.parametrize(
    "command",
    [SetKnobs(kind="set_knobs", knobs={"force": 0.5}), TakeCheckpoint(kind="checkpoint")],
    ids=lambda command: command.kind,
)
def test_a_command_in_whose_midst_the_envs_are_lost_takes_effect_all_the_same(
    harness, tmp_path, command
):
    alone, run = (harness(tmp_path / name, adapt="auto") for name in ("alone", "lost"))
    alone.at = {5: [lambda h: h.send(command)]}
    lose_them = once(lambda h: setattr(h.branch.client, "lost", True))
    run.at = {5: [once(lambda h: h.send(command)), lose_them]}
    assert alone.go() == run.go() == "finished"
    assert run.result()["weights_sha256"] == alone.result()["weights_sha256"]
    [answer] = run.answers
    assert isinstance(answer, TakesEffectLater)
    assert "environments 0 to 6 are lost" in str(answer)
    assert [kind for kind in kinds(run) if kind in ("knobs", "checkpoint")] == [
        kind for kind in kinds(alone) if kind in ("knobs", "checkpoint")
    ]


def test_a_command_that_the_fleet_refuses_before_it_is_journaled_is_answered(harness):
    run = harness()
    refusal = FleetRefused("too_many_envs", "the fleet has room for 100")

    def refuse(*_, **__):
        raise refusal

    run.run._stages.prepare = refuse
    run.at = {5: [lambda h: h.send(SetNumEnvs(kind="set_num_envs", num_envs=48))]}
    assert run.go() == "finished"
    assert run.answers == [refusal]


def test_envs_that_are_lost_again_and_again_fail_the_run(harness):
    run = harness()
    run.at[2] = [lose]
    with pytest.raises(UserError, match="are lost"):
        run.go()
    assert len(run.clients) == 5
    assert run.run.status.read().state == "failed"


def test_a_lost_evaluation_session_is_opened_again(harness, tmp_path):
    run = harness(tmp_path / "run")

    opened = run.run._adapter.examiner._open
    lost = []

    def lose_the_next_session(harness):
        def open_lost(*args):
            client = opened(*args)
            client.lost = not lost
            lost.append(client)
            return client

        harness.run._adapter.examiner._open = open_lost

    run.at[3] = [lose_the_next_session]
    assert run.go() == "finished"
    assert len(lost) == 2
    alone = live(harness, tmp_path / "alone")
    assert run.result()["weights_sha256"] == alone.result()["weights_sha256"]


def test_a_fleet_that_says_why_it_waits_is_waited_for(harness, monkeypatch):
    def impatient(stop):
        return Waiter(stop, patience_s=0.0)

    said = []

    def say(event, **facts):
        said.append((event, facts))

    monkeypatch.setattr("websim_learner.fleet.log", SimpleNamespace(warning=say, info=say))
    monkeypatch.setattr("websim_learner.run.Waiter", impatient)
    monkeypatch.setattr("websim_learner.status.QUIET_S", 0.0)
    run = harness()
    seen = []

    def lose_the_workers(harness):
        client = harness.clients[0]
        client.silent, client.waiting = True, "no sim worker is connected"

        def look_and_bring_them_back():
            while harness.run._waiter.quiet_since_s is None:
                time.sleep(0.001)
            seen.append((harness.run.status.read(), harness.run.status.unready_reason()))
            client.silent = False

        threading.Thread(target=look_and_bring_them_back).start()

    run.at[5] = [lose_the_workers]
    assert run.go() == "finished"
    [(status, unready)] = seen
    assert (status.state, status.reason) == ("waiting", "no sim worker is connected")
    assert unready == "no sim worker is connected"
    assert said == [
        ("waiting for the fleet", {"reason": "no sim worker is connected"}),
        ("the fleet answers again", {"after_s": ANY}),
    ]


def test_checkpoints_on_the_way_count_as_training_time(harness, monkeypatch):
    write = ledger_module.write_checkpoint

    def write_slowly(*args):
        time.sleep(0.1)
        return write(*args)

    monkeypatch.setattr(ledger_module, "write_checkpoint", write_slowly)
    run = harness(checkpoint_every_updates=1)
    run.go()
    updates = run.result()["updates"]
    # The last one is written when training is over.
    assert run.result()["wall_s"] >= 0.1 * (updates - 1)


def test_there_is_a_checkpoint_before_anything_is_learned(harness):
    run = harness(checkpoint_every_updates=0)
    run.at[1] = [die]
    with pytest.raises(Killed):
        run.go()
    assert [p.name for p in checkpoint_paths(run.run_dir.checkpoints)] == ["update-00000000"]


def test_checkpoints_of_another_format_are_refused_in_one_line(harness, tmp_path, monkeypatch):
    live(harness, tmp_path / "run")
    monkeypatch.setattr("websim_learner.checkpoint.FORMAT", FORMAT + 1)
    told = f"cannot go on.*format {FORMAT}, this version reads {FORMAT + 1}"
    with pytest.raises(UserError, match=told) as refusal:
        harness(tmp_path / "run")
    assert "\n" not in str(refusal.value)


def test_envs_that_come_back_changed_are_reported(harness, tmp_path):
    first = harness(tmp_path / "run")
    first.at[4] = [die]
    with pytest.raises(Killed):
        first.go()
    second = harness(tmp_path / "run")
    client = second.clients[0]
    restore = client.send_restore

    def restore_otherwise(shard, snapshot):
        restore(shard, {**snapshot, "x": snapshot["x"] + 1e-6})

    client.send_restore = restore_otherwise
    second.go()
    warnings = [record.message for record in records(second, WarningRecord)]
    assert len(warnings) == 1
    assert "not quite where they were" in warnings[0]


@pytest.mark.parametrize("overlap", [False, True], ids=["in turn", "overlap"])
def test_steps_that_the_fleet_skipped_mark_the_run(harness, tmp_path, overlap):
    options = {"ppo": {"overlap": overlap}}
    skips = {"skipped": lambda t, shard: (t, shard) == (27, 2)}
    first = harness(tmp_path / "run", client=skips, **options)
    first.at[7] = [die]
    with pytest.raises(Killed):
        first.go()
    [warning] = [record.message for record in records(first, WarningRecord)]
    assert "1 steps of a shard ended one worker after another" in warning
    [entry] = [entry for entry in first.run_dir.journal() if entry.kind == "steps_skipped"]
    assert (entry.update, entry.values) == (3, {"steps": 1, "where": "training"})
    assert live(harness, tmp_path / "run", **options).result()["skipped_steps"] == 1
    assert live(harness, tmp_path / "whole", **options).result()["skipped_steps"] == 0


def test_steps_that_an_evaluation_skipped_mark_the_run_too(harness):
    h = harness(total_steps=4 * 24 * 8)
    h.run._adapter.examiner._open = lambda num_envs, seed, _task: ToyClient(
        num_envs, seed, shard_envs=2, skipped=lambda t, shard: t in (5, 6) and shard == 0
    )
    assert h.go() == "finished"
    [entry] = [entry for entry in h.run_dir.journal() if entry.kind == "steps_skipped"]
    assert entry.values == {"steps": 2, "where": "an evaluation"}
    assert h.result()["skipped_steps"] == 2


def test_the_result_of_a_run_that_goes_on_is_taken_away(harness, tmp_path):
    live(harness, tmp_path / "run")
    longer = harness(tmp_path / "run", total_steps=12 * 24 * 8)
    longer.at[11] = [die]
    with pytest.raises(Killed):
        longer.go()
    assert not longer.run_dir.finished
    config, _ = longer.run_dir.read_config()
    assert config == msgspec.structs.replace(longer.config)
    assert live(harness, tmp_path / "run", total_steps=12 * 24 * 8).result()["updates"] == 12
