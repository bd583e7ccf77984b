"""Whole runs on the toy task: files, commands, ends, and going on."""

import errno
import json
import threading

import msgspec
import numpy as np
import pytest

from websim.service.adaptation_log import LOG_NAME
from websim.service.errors import UserError
from websim_learner import checkpoint
from websim_learner.checkpoint import checkpoint_paths
from websim_learner.control import (
    Pause,
    ResetEnv,
    Resume,
    RunOver,
    SetReward,
    Stop,
    TakeCheckpoint,
)
from websim_learner.records import EvaluationRecord, JournalEntry
from websim_learner.run_dir import RunDir

STEPS = 24 * 8
"""Env steps of an update of the toy's runs."""
LAZY = "def reward(state, action):\n    return -np.sum(np.square(action), axis=1)\n"


def test_a_run_leaves_its_files(harness):
    run = harness()
    assert run.go() == "finished"
    result = run.result()
    assert result["env_steps"] == 10 * STEPS
    assert result["updates"] == 10
    assert result["weights_sha256"] == run.digest()
    assert 0 < result["eval_return_mean"] <= 40
    assert result["steps_per_s"] == pytest.approx(result["env_steps"] / result["wall_s"])
    assert [row["update"] for row in run.metrics()] == list(range(1, 11))
    assert [row["env_steps"] for row in run.metrics()] == [STEPS * k for k in range(1, 11)]
    names = [path.name for path in checkpoint_paths(run.run_dir.checkpoints)]
    assert names == ["update-00000010", "update-00000009", "update-00000006"]
    config, task = run.run_dir.read_config()
    assert config == run.config
    assert task.id == "Toy-v0"
    assert [entry.kind for entry in run.run_dir.journal()] == ["start"]
    assert list(run.run_dir.tensorboard.iterdir())
    assert all(client.closed for client in run.clients)


def test_its_records_tell_the_story_in_order(harness):
    run = harness()
    run.go()
    records = run.run.stream.after(0, 10_000)
    assert [record.n for record in records] == list(range(1, len(records) + 1))
    states = [record.state for record in records if hasattr(record, "state")]
    assert states[0] == "running"
    assert states[-1] == "finished"
    assert states.count("evaluating") == 3  # after updates 4 and 8 and at the end
    assert run.run.stream.after(records[-3].n, 2) == records[-2:]
    assert run.run.stream.after(records[-1].n, 10) == []


def test_fitness_that_is_no_number_is_unknown_wherever_it_is_told(harness, monkeypatch):
    monkeypatch.setattr("toy_fleet.ToyShard.distance", np.nan)
    h = harness(total_steps=4 * STEPS)
    assert h.go() == "finished"
    assert h.result()["eval_fitness_mean"] is None
    assert h.run.status.read().evaluation.fitness_mean is None
    records = h.run.stream.after(0, 1000)
    told = [r.fitness_mean for r in records if isinstance(r, EvaluationRecord)]
    assert told == [None]
    assert not [r for r in h.run.reporter.readings() if r.name.endswith("_evaluation_fitness")]


def test_the_same_seed_gives_the_same_weights_in_any_order_of_arrival(harness):
    digests = set()
    for shuffle in (None, 1, 2):
        run = harness(client={"shuffle": shuffle})
        run.go()
        digests.add(run.digest())
    assert len(digests) == 1


@pytest.mark.parametrize("overlap", [False, True])
def test_evaluation_changes_nothing_that_is_learned(harness, overlap):
    digests = set()
    for every in (0, 1):
        run = harness(eval_every_updates=every, ppo={"overlap": overlap})
        run.go()
        digests.add(run.digest())
    assert len(digests) == 1


def test_overlap_lags_by_exactly_one_update_whatever_is_slow(harness):
    digests = []
    for shuffle in (None, 1, 2):
        run = harness(ppo={"overlap": True}, client={"shuffle": shuffle})
        assert run.go() == "finished"
        assert run.result()["env_steps"] == 10 * STEPS
        digests.append(run.digest())
    assert len(set(digests)) == 1
    in_turn = harness()
    in_turn.go()
    assert in_turn.digest() != digests[0]


def test_a_stop_command_ends_the_run_as_if_its_steps_were_over(harness):
    run = harness()
    run.at[4] = [lambda h: h.send(Stop(kind="stop"))]
    assert run.go() == "finished"
    assert run.result()["updates"] == 4
    assert run.answers[0].update == 4
    assert [entry.kind for entry in run.run_dir.journal()] == ["start", "stop"]


def test_a_signal_leaves_a_checkpoint_and_no_result(harness):
    run = harness()
    run.at[5] = [lambda h: setattr(h, "stopped", True)]
    assert run.go() == "stopped"
    assert not (run.run_dir.path / "result.json").exists()
    assert checkpoint_paths(run.run_dir.checkpoints)[0].name == "update-00000005"


def test_a_checkpoint_is_written_on_demand(harness):
    run = harness(checkpoint_every_updates=0)
    run.at[2] = [lambda h: h.send(TakeCheckpoint(kind="checkpoint"))]
    run.go()
    assert (run.answers[0].update, run.answers[0].detail) == (2, "update-00000002")


def test_a_pause_changes_only_the_time(harness):
    plain, paused = harness(), harness()
    plain.go()

    def pause(h):
        h.send(Pause(kind="pause"))
        threading.Timer(0.3, lambda: h.send(Resume(kind="resume"))).start()

    paused.at[3] = [pause]
    paused.go()
    assert paused.digest() == plain.digest()
    assert [answer.kind for answer in paused.answers] == ["pause", "resume"]
    assert {answer.update for answer in paused.answers} == {3}
    assert [entry.kind for entry in paused.run_dir.journal()] == ["start"]


def test_a_paused_run_can_be_stopped(harness):
    run = harness()
    run.at[3] = [lambda h: h.send(Pause(kind="pause")), lambda h: h.send(Stop(kind="stop"))]
    assert run.go() == "finished"
    assert run.result()["updates"] == 3


def test_a_reward_is_swapped_between_rollouts_and_journaled(harness):
    run, plain = harness(), harness()
    run.at[5] = [lambda h: h.send(SetReward(kind="set_reward", source=LAZY))]
    run.go()
    plain.go()
    ids = [row["reward_id"] for row in run.metrics()]
    assert ids[:5] == ["task"] * 5
    assert ids[5:] == [run.answers[0].detail] * 5
    assert ids[5].startswith("p_")
    assert run.digest() != plain.digest()
    entry = run.run_dir.journal()[1]
    assert (entry.kind, entry.update) == ("set_reward", 5)
    assert entry.values == {"branch": 0, "source": LAZY, "reward_id": ids[5]}


def test_a_refused_reward_changes_nothing(harness):
    run = harness()
    run.at[2] = [
        lambda h: h.send(SetReward(kind="set_reward", source="import os")),
        lambda h: h.send(SetReward(kind="set_reward", source=None, branch=3)),
    ]
    run.go()
    assert all(isinstance(answer, UserError) for answer in run.answers)
    assert [entry.kind for entry in run.run_dir.journal()] == ["start"]
    assert run.result()["reward_id"] == "task"


def test_an_env_is_reset_and_journaled(harness):
    run = harness()
    run.at[5] = [
        lambda h: h.send(ResetEnv(kind="reset_env", env_id=3)),
        lambda h: h.send(ResetEnv(kind="reset_env", env_id=24)),
    ]
    run.go()
    done, refused = sorted(run.answers, key=lambda answer: isinstance(answer, UserError))
    assert (done.update, done.detail) == (5, "environment 3")
    assert str(refused) == "there is no environment 24. They are 0 to 23."
    entries = [(entry.kind, entry.update, entry.values) for entry in run.run_dir.journal()[1:]]
    assert entries == [("reset_env", 5, {"env_id": 3})]


def test_a_run_may_begin_with_a_reward_program(harness):
    run = harness(reward_source=LAZY)
    run.go()
    assert {row["reward_id"] for row in run.metrics()} == {run.result()["reward_id"]}
    assert all(row["reward_mean"] < 0 for row in run.metrics())


def test_a_reward_that_fails_is_replaced_by_the_tasks_own(harness, monkeypatch):
    from websim.programs.sandbox import SandboxError

    run = harness()
    run.at[2] = [lambda h: h.send(SetReward(kind="set_reward", source=LAZY))]

    def fail(*_args):
        raise SandboxError("deadline", "it took too long")

    run.at[4] = [lambda h: monkeypatch.setattr("websim_learner.rewards.evaluate_guarded", fail)]
    assert run.go() == "finished"
    ids = [row["reward_id"] for row in run.metrics()]
    assert ids[:2] == ["task"] * 2
    assert ids[4:] == ["task"] * 6
    assert ids[2] == ids[3] != "task"
    entry = run.run_dir.journal()[2]
    assert (entry.kind, entry.update, entry.values["source"]) == ("set_reward", 4, None)


ROOT = "def reward(state, action):\n    return np.sqrt(state.x)\n"


def test_a_reward_without_numbers_is_out_of_force_after_three_rollouts(harness, tmp_path):
    """The root of x, which is negative half of the time; updates 3 and 4 learn from zeros."""

    def sets_the_root(h):
        if len(h.run_dir.journal()) < 2:
            h.send(SetReward(kind="set_reward", source=ROOT))

    def make(directory):
        run = harness(directory)
        run.at[2] = [sets_the_root]
        return run

    alone = make(tmp_path / "alone")
    assert alone.go() == "finished"
    ids = [row["reward_id"] for row in alone.metrics()]
    assert ids[2] == ids[3] != "task"
    assert ids[:2] + ids[4:] == ["task"] * 8
    entry = alone.run_dir.journal()[2]
    assert (entry.kind, entry.update, entry.values["source"]) == ("set_reward", 4, None)
    assert "in the last of 3 such rollouts in a row" in entry.values["why"]
    # A life that begins between the strikes counts those before it.
    killed = make(tmp_path / "killed")
    killed.at[4] = [lambda h: setattr(h, "stopped", True)]
    assert killed.go() == "stopped"
    again = make(tmp_path / "killed")
    again.go()
    assert again.digest() == alone.digest()
    assert [row["reward_id"] for row in again.metrics()] == ids


def test_a_run_goes_on_from_its_last_checkpoint(harness, tmp_path):
    first = harness(tmp_path / "run")
    first.at[5] = [lambda h: setattr(h, "stopped", True)]
    first.go()
    second = harness(tmp_path / "run")
    assert second.branch.updates == 5
    assert second.digest() == first.digest()
    assert second.go() == "finished"
    assert second.result()["env_steps"] == 10 * STEPS
    assert [row["update"] for row in second.metrics()] == list(range(1, 11))
    numbers = [row["n"] for row in second.metrics()]
    assert numbers == sorted(set(numbers))
    assert [entry.kind for entry in second.run_dir.journal()] == ["start", "resume"]
    assert second.metrics()[5]["wall_s"] > second.metrics()[4]["wall_s"]
    assert second.result()["wall_s"] >= second.metrics()[-1]["wall_s"]


def test_a_damaged_checkpoint_is_reported_and_the_one_before_is_used(harness, tmp_path):
    first = harness(tmp_path / "run")
    first.go()
    broken = checkpoint_paths(first.run_dir.checkpoints)[0] / "branch-0.weights.safetensors"
    data = bytearray(broken.read_bytes())
    data[-1] ^= 1
    broken.write_bytes(data)
    second = harness(tmp_path / "run")
    assert second.branch.updates == 9
    second.go()
    warnings = [r.message for r in second.run.stream.after(0, 10**6) if hasattr(r, "message")]
    assert len(warnings) == 1
    assert "update-00000010 cannot be used" in warnings[0]
    assert [row["update"] for row in second.metrics()] == list(range(1, 11))


def test_commands_after_the_checkpoint_are_applied_again_where_they_were(harness, tmp_path):
    """A life that died after a swap: the next one swaps at the same update without being told."""
    run = harness(tmp_path / "run")
    run.at[6] = [lambda h: setattr(h, "stopped", True)]
    run.go()
    entry = {"branch": 0, "source": LAZY, "reward_id": "p_0"}
    run.run_dir.append_journal(8, "set_reward", entry)
    again = harness(tmp_path / "run")
    again.go()
    ids = [row["reward_id"] for row in again.metrics()]
    assert ids[:8] == ["task"] * 8
    assert ids[8] == ids[9] != "task"


def test_a_swapped_reward_survives_the_checkpoint(harness, tmp_path):
    run = harness(tmp_path / "run")
    run.at[2] = [lambda h: h.send(SetReward(kind="set_reward", source=LAZY))]
    run.at[6] = [lambda h: setattr(h, "stopped", True)]
    run.go()
    again = harness(tmp_path / "run")
    assert again.branch.reward.id == run.answers[0].detail
    count = again.branch.algorithm.return_scale.moments.count
    assert count == 6 * STEPS  # what is known of returns follows the reward
    again.go()


def test_a_run_of_another_shape_does_not_take_the_checkpoint(harness, tmp_path):
    harness(tmp_path / "run").go()
    with pytest.raises(UserError, match="does not fit"):
        harness(tmp_path / "run", ppo={"hidden": (8,)})


def test_a_fleet_that_is_silent_fails_the_run_and_keeps_its_checkpoints(harness, monkeypatch):
    monkeypatch.setattr("websim_learner.run.Waiter", short_patience)
    run = harness()
    run.at[5] = [lambda h: setattr(h.clients[0], "silent", True)]
    with pytest.raises(UserError, match="answered in time"):
        run.go()
    assert run.run.status.read().state in ("failed", "waiting")
    assert checkpoint_paths(run.run_dir.checkpoints)[0].name == "update-00000003"


def short_patience(stop):
    from websim_learner.fleet import Waiter

    return Waiter(stop, patience_s=0.0)


@pytest.mark.parametrize("stops", [False, True], ids=["goes on", "is told to stop"])
def test_a_full_disk_fails_the_run_in_one_line_and_keeps_its_checkpoints(
    harness, monkeypatch, stops
):
    write = checkpoint._write_synced

    def full(path, data):
        if path.parent.name.endswith(("00000002", "00000003")):
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(checkpoint, "_write_synced", full)
    run = harness()
    if stops:
        run.at[2] = [lambda h: setattr(h, "stopped", True)]
    with pytest.raises(UserError, match=r"cannot write .*update-0+[23]: no space left on device"):
        run.go()
    assert run.run.status.read().state == "failed"
    assert "no space left" in run.run.status.read().reason
    assert [path.name for path in checkpoint_paths(run.run_dir.checkpoints)] == ["update-00000000"]
    monkeypatch.undo()
    assert harness(run.run_dir.path).go() == "finished"


def test_a_command_that_cannot_be_journaled_ends_the_run_and_is_told_so(harness, monkeypatch):
    run = harness()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    run.at[5] = [
        lambda h: h.send(ResetEnv(kind="reset_env", env_id=3)),
        lambda h: monkeypatch.setattr("websim_learner.run_dir.write_atomic", full),
    ]
    with pytest.raises(UserError, match=r"journal\.jsonl: no space left on device"):
        run.go()
    assert run.run.status.read().state == "failed"
    assert "cannot write" in str(run.answers[0])


def test_diverged_transitions_are_counted_and_left_out(harness):
    run = harness(client={"broken": lambda step, env_id: step == 20 and env_id == 3})
    run.go()
    assert run.metrics()[-1]["invalid_transitions"] == 1
    assert all(np.isfinite(row["reward_mean"]) for row in run.metrics())


def test_no_command_is_taken_once_the_run_is_over(harness):
    run = harness()
    run.go()
    with pytest.raises(RunOver):
        run.run.control.submit(Stop(kind="stop"), 1.0)


def test_two_learners_never_work_on_one_run(harness, tmp_path):
    first, second = (harness(tmp_path / "run", total_steps=4 * STEPS) for _ in range(2))
    first.run.begin()
    before = first.run_dir.journal()
    with pytest.raises(UserError, match=r"another learner works on .*run\. Wait for it"):
        second.go()
    second.run.close()
    assert first.run_dir.journal() == before
    assert first.run.train() == "finished"
    first.run.close()
    assert harness(tmp_path / "run", total_steps=6 * STEPS).go() == "finished"


def test_a_learner_that_is_refused_changes_no_file_of_the_one_at_work(harness, tmp_path):
    first = harness(tmp_path / "run", total_steps=4 * STEPS, adapt="auto")
    first.run.begin()
    first.run._log.append("round", 0, 0, 1, {"round": 1})
    with (tmp_path / "run" / LOG_NAME).open("ab") as log:
        log.write(b'{"a row that is being written')
    before = {path: path.read_bytes() for path in files_of(tmp_path / "run")}
    second = harness(tmp_path / "run", total_steps=4 * STEPS, adapt="auto")
    with pytest.raises(UserError, match="another learner works on"):
        second.go()
    assert {path: path.read_bytes() for path in files_of(tmp_path / "run")} == before
    first.run.close()


def files_of(directory):
    return [path for path in directory.rglob("*") if path.is_file()]


def test_a_line_cut_short_by_a_kill_is_dropped(tmp_path):
    run_dir = RunDir(tmp_path)
    run_dir.append_journal(0, "start", {})
    with (tmp_path / "journal.jsonl").open("ab") as file:
        file.write(b'{"n":2,"upda')
    run_dir.append_journal(3, "stop", {})
    assert [(e.n, e.kind) for e in run_dir.journal()] == [(1, "start"), (2, "stop")]
    assert run_dir.journal()[1] == JournalEntry(n=2, update=3, kind="stop")


def test_a_run_keeps_its_uuid_and_another_one_in_its_directory_has_another(
    tmp_path, toy_task, make_config
):
    def begin():
        """Write a run's configuration; return what the writer and a later life call the run."""
        run_dir = RunDir(tmp_path)
        run_dir.write_config(make_config(), toy_task)
        RunDir(tmp_path).write_config(make_config(total_steps=9999), toy_task)
        return run_dir.run_uuid, RunDir(tmp_path).run_uuid

    first, again = begin()
    assert first == again != ""
    (tmp_path / "config.json").unlink()
    another, again = begin()
    assert another == again != first


def test_a_run_begun_without_a_uuid_goes_on_without_one(tmp_path, toy_task, make_config):
    RunDir(tmp_path).write_config(make_config(), toy_task)
    path = tmp_path / "config.json"
    told = json.loads(path.read_text())
    del told["run_uuid"]
    path.write_text(json.dumps(told))
    RunDir(tmp_path).write_config(make_config(), toy_task)
    assert RunDir(tmp_path).run_uuid == ""
    assert RunDir(tmp_path).read_config()[0] == make_config()


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"config": {}, "task_info": {}}', "\x00"])
def test_a_damaged_configuration_is_one_clear_line(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match="damaged"):
        RunDir(tmp_path).read_config()


def test_a_configuration_comes_back_with_unbounded_actions(tmp_path, toy_task, make_config):
    unbounded = msgspec.structs.replace(toy_task, action_low=(-np.inf,), action_high=(np.inf,))
    RunDir(tmp_path).write_config(make_config(), unbounded)
    config, task = RunDir(tmp_path).read_config()
    assert (config, task) == (make_config(), unbounded)
