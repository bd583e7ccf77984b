"""What a worker does with commands on its shards, message by message, without a network."""

import json
from collections import Counter

import numpy as np
import pytest

from websim.wire.codec import Envelope, describe
from websim.wire.messages import (
    Applied,
    AssignShard,
    Figures,
    GetScene,
    GetSnapshot,
    GetState,
    Held,
    KeepShard,
    Look,
    Message,
    Pose,
    Rejected,
    Reset,
    ResetEnv,
    RestoreShard,
    Scene,
    SetKnobs,
    ShardFailed,
    ShardReady,
    ShardState,
    Snapshot,
    Step,
    Stepped,
    TakeSnapshot,
    WasReset,
    Watch,
)
from websim_sim_worker import held as held_module
from websim_sim_worker.compilation import compile_prepared, prepare
from websim_sim_worker.held import HeldShards

N = 8
ACTION = np.full((N, 3), 0.25, np.float32)


class Worker:
    """Held shards, and the numbering of their commands as the orchestrator does it."""

    def __init__(self, snapshot_every: int = 1000) -> None:
        self.held = HeldShards(1, Counter())
        self.seq = self.t = 0
        assignment = AssignShard(
            session=1,
            shard=0,
            epoch=1,
            task="Hopper-v5",
            seed=3,
            first_env_id=0,
            num_envs=N,
            obs_dtype="float32",
            snapshot_every=snapshot_every,
        )
        ready, _ = self.held.assign(assignment, Envelope(assignment, ()))
        assert isinstance(ready, ShardReady)
        self.epoch = 1

    def do(self, kind: type, arrays: dict | None = None, **facts) -> list[tuple[Message, dict]]:
        """Carry out the next command; return its answers with their arrays copied."""
        self.seq += 1
        self.t += 1
        specs, frames = describe(arrays or {})
        facts = {"t": self.t, "seq": self.seq, "epoch": self.epoch} | facts
        command = kind(session=1, shard=0, arrays=specs, **facts)
        frames = [frame.tobytes() for frame in frames]
        return [_read(*each) for each in self.held.command(command, Envelope(command, frames))]

    def step(self, **facts) -> tuple[Message, dict]:
        [answer] = self.do(Step, {"action": ACTION}, **facts)
        return answer


def _read(message: Message, frames: list) -> tuple[Message, dict]:
    arrays = Envelope(message, [np.ascontiguousarray(f).tobytes() for f in frames]).arrays()
    return message, {name: array.copy() for name, array in arrays.items()}


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def test_an_uploaded_task_is_compiled_once_for_all_its_shards_and_not_kept(
    make_bundle, monkeypatch
):
    bundle = make_bundle()
    files = {"task.yaml": bundle.task_yaml, **bundle.files}
    uploaded = {f"task:{name}": np.frombuffer(data, np.uint8) for name, data in files.items()}
    specs, frames = describe(uploaded)
    compiled = []

    def compile_once(bundle, overrides):
        compiled.append(overrides)
        return compile_prepared(prepare(bundle, overrides))

    monkeypatch.setattr(held_module, "compile_task", compile_once)
    held = HeldShards(1, Counter())
    for shard, overrides in enumerate([{}, {}, {"goal": 2.0}, {}]):
        assignment = AssignShard(
            session=1,
            shard=shard,
            epoch=1,
            task="custom",
            seed=3,
            first_env_id=4 * shard,
            num_envs=4,
            obs_dtype="float32",
            snapshot_every=64,
            overrides=overrides,
            arrays=specs,
        )
        ready, _ = held.assign(assignment, Envelope(assignment, [f.tobytes() for f in frames]))
        assert isinstance(ready, ShardReady)
    assert compiled == [{}, {"goal": 2.0}]
    assert [len(key) for key in held._compiled] == [32, 32]


def test_a_command_out_of_its_order_changes_nothing():
    worker = Worker()
    worker.do(Reset)
    worker.seq += 1
    assert worker.do(Step, {"action": ACTION}) == []
    assert worker.held.announce() == (Held(1, 0, epoch=1, seq=1, t=1),)


def test_a_command_that_cannot_be_carried_out_is_rejected_and_counts_as_done():
    worker, twin = Worker(), Worker()
    for each in (worker, twin):
        each.do(Reset)
    rejected, arrays = worker.step(fields=("no_such_field",))
    assert isinstance(rejected, Rejected)
    assert (rejected.seq, rejected.code, arrays) == (2, "bad_command", {})
    assert "no_such_field" in rejected.message
    assert same(worker.step()[1], twin.step()[1])


@pytest.mark.parametrize("shape", [(N, 2), (N - 1, 3)])
def test_an_action_of_another_shape_is_rejected(shape):
    worker = Worker()
    worker.do(Reset)
    [(rejected, _)] = worker.do(Step, {"action": np.zeros(shape, np.float32)})
    assert isinstance(rejected, Rejected)
    assert isinstance(worker.step()[0], Stepped)


def test_a_skipped_step_ends_all_episodes_as_invalid_without_simulating():
    worker = Worker()
    [(_, start)] = worker.do(Reset)
    skipped, arrays = worker.step(skip=True)
    assert skipped.skipped
    assert arrays["invalid"].all()
    assert arrays["truncated"].all()
    assert not arrays["terminated"].any()
    assert not arrays["reward"].any()
    assert np.array_equal(arrays["final_obs"], start["obs"])
    assert not np.array_equal(arrays["obs"], start["obs"]), "new episodes begin"
    after, arrays = worker.step()
    assert not after.skipped
    assert "invalid" not in arrays


def test_a_silent_replay_of_a_skipped_step_leads_to_the_same_state():
    loud, silent = Worker(), Worker()
    for each in (loud, silent):
        each.do(Reset)
    loud.step(skip=True)
    assert silent.do(Step, {"action": ACTION}, skip=True, replay=True) == []
    assert same(loud.step()[1], silent.step()[1])


def test_a_kept_shard_tells_its_state_and_repeats_its_last_answer():
    worker = Worker()
    worker.do(Reset)
    answer, arrays = worker.step(fields=("x_velocity",))
    keep = KeepShard(session=1, shard=0, epoch=1, new_epoch=2)
    told = [_read(*each) for each in worker.held.keep(keep)]
    assert [type(message) for message, _ in told] == [ShardReady, Snapshot, Stepped]
    assert {message.epoch for message, _ in told} == {2}
    repeated, again = told[2]
    assert (repeated.seq, repeated.t) == (answer.seq, answer.t) == (2, 2)
    assert same(arrays, again)
    assert worker.do(Step, {"action": ACTION}) == [], "the old epoch is over"


def test_the_last_answer_is_the_clients_even_if_a_person_came_after():
    worker = Worker()
    worker.do(Reset)
    answer, arrays = worker.step()
    [(applied, _)] = worker.do(ResetEnv, env_id=3, t=0)
    assert isinstance(applied, Applied)
    keep = KeepShard(session=1, shard=0, epoch=1, new_epoch=2)
    *_, (repeated, again) = [_read(*each) for each in worker.held.keep(keep)]
    assert (repeated.t, same(arrays, again)) == (answer.t, True)


def test_no_question_changes_the_last_answer():
    worker = Worker()
    worker.do(Reset)
    for _ in range(20):
        answer, arrays = worker.step(fields=("x_velocity",))
    worker.held.state(GetState(session=1, shard=0, env_id=3, request=8, epoch=1))
    worker.held.whole_state(GetSnapshot(session=1, shard=0, request=9, epoch=1))
    worker.held.take_snapshot(TakeSnapshot(session=1, shard=0, epoch=1))
    keep = KeepShard(session=1, shard=0, epoch=1, new_epoch=2)
    *_, (repeated, again) = [_read(*each) for each in worker.held.keep(keep)]
    assert (repeated.t, same(arrays, again)) == (answer.t, True)


def test_a_shard_that_was_dropped_cannot_be_kept():
    worker = Worker()
    worker.held.clear()
    [(failed, _)] = worker.held.keep(KeepShard(session=1, shard=0, epoch=1, new_epoch=2))
    assert isinstance(failed, ShardFailed)
    assert failed.epoch == 2


def test_a_shard_goes_on_from_the_state_it_told():
    worker = Worker()
    worker.do(Reset)
    worker.step()
    question = GetSnapshot(session=1, shard=0, request=9, epoch=1)
    [(state, snapshot)] = [_read(*each) for each in worker.held.whole_state(question)]
    assert isinstance(state, ShardState)
    assert state.request == 9
    expected = [worker.step()[1] for _ in range(30)]
    [(restored, arrays)] = worker.do(RestoreShard, snapshot)
    assert isinstance(restored, WasReset)
    assert np.array_equal(arrays["obs"], snapshot["obs"])
    assert all(same(one, worker.step()[1]) for one in expected)


def test_a_snapshot_of_another_shape_is_rejected_and_changes_nothing():
    worker, twin = Worker(), Worker()
    for each in (worker, twin):
        each.do(Reset)
    [(rejected, _)] = worker.do(RestoreShard, {"state": np.zeros((N, 3))})
    assert isinstance(rejected, Rejected)
    assert same(worker.step()[1], twin.step()[1])


@pytest.mark.parametrize("t", [-5, 1 << 62])
def test_a_snapshot_of_an_impossible_number_of_commands_is_rejected(t):
    worker, twin = Worker(), Worker()
    for each in (worker, twin):
        each.do(Reset)
    question = GetSnapshot(session=1, shard=0, request=9, epoch=1)
    [(_, snapshot)] = [_read(*each) for each in worker.held.whole_state(question)]
    snapshot["counters"][1] = t
    [(rejected, _)] = worker.do(RestoreShard, snapshot)
    assert isinstance(rejected, Rejected)
    assert same(worker.do(Reset)[0][1], twin.do(Reset)[0][1])


def test_a_command_that_nobody_foresaw_ends_its_shard_and_not_the_worker():
    worker = Worker()
    [(failed, _)] = worker.do(Reset, {"mask": np.ones(N + 1, np.uint8)})
    assert isinstance(failed, ShardFailed)
    assert not len(worker.held)


def test_knobs_are_turned_in_order_and_answered_with_the_present_observations():
    worker = Worker()
    [(_, before)] = worker.do(Reset)
    [(applied, arrays)] = worker.do(SetKnobs, knobs={"gravity": (0.8, 1.2)})
    assert isinstance(applied, Applied)
    assert (applied.seq, applied.t) == (2, 2)
    assert np.array_equal(arrays["obs"], before["obs"])
    assert worker.do(SetKnobs, knobs={}, seq=2) == [], "done already"
    worker.seq = 2
    assert worker.do(SetKnobs, knobs={"mass": (1.0, 1.5)}, replay=True) == [], "in silence"
    worker.do(Reset)
    question = GetSnapshot(session=1, shard=0, request=9, epoch=1)
    [(_, snapshot)] = [_read(*each) for each in worker.held.whole_state(question)]
    assert snapshot["knob_ranges"][:2].tolist() == [[0.8, 1.2], [1.0, 1.5]]
    assert len(set(snapshot["knob_values"][:, 0])) == N


def test_a_knob_out_of_bounds_is_rejected_and_changes_nothing():
    worker, twin = Worker(), Worker()
    [(rejected, _)] = worker.do(SetKnobs, knobs={"gravity": (0.8, 9.0)})
    assert isinstance(rejected, Rejected)
    assert "choose low and high from 0.3 to 2 x" in rejected.message
    for each in (worker, twin):
        each.do(Reset)
    assert same(worker.step()[1], twin.step()[1])


def test_a_kept_shard_repeats_its_answer_about_knobs():
    worker = Worker()
    worker.do(Reset)
    [(applied, arrays)] = worker.do(SetKnobs, knobs={"gravity": (0.8, 1.2)})
    told = worker.held.keep(KeepShard(session=1, shard=0, epoch=1, new_epoch=2))
    *_, (repeated, again) = [_read(*each) for each in told]
    assert isinstance(repeated, Applied)
    assert (repeated.t, repeated.epoch, same(arrays, again)) == (applied.t, 2, True)


def test_snapshots_come_by_themselves_every_so_many_commands():
    worker = Worker(snapshot_every=2)
    assert [type(message) for message, _ in worker.do(Reset)] == [WasReset]
    kinds = [type(message) for message, _ in worker.do(Step, {"action": ACTION})]
    assert kinds == [Stepped, Snapshot]


def test_what_is_watched_is_shown_after_the_step_and_the_answer_stays_the_same():
    worker, twin = Worker(), Worker()
    for each in (worker, twin):
        each.do(Reset)
    # Those of other shards are of no concern here.
    watch = Watch(figures=True, env_ids=(3, N, 1000))
    command = Step(session=1, shard=0, epoch=1, t=2, watch=watch)
    assert same(worker.step(watch=watch)[1], twin.step()[1])
    (figures, arrays), (pose, geoms) = [_read(*each) for each in worker.held.show(command)]
    assert isinstance(figures, Figures)
    assert (figures.session, figures.shard, figures.t, figures.first_env_id) == (1, 0, 2, 0)
    assert {name: array.dtype.str for name, array in arrays.items()} == {
        "points": "<i2",
        "root_x": "<f4",
        "episode_return": "<f4",
        "episode_length": "<i4",
        "outcome": "|u1",
    }
    assert arrays["points"].shape[::2] == (N, 2)
    assert arrays["episode_length"].tolist() == [1] * N
    assert isinstance(pose, Pose)
    assert (pose.env_id, pose.t) == (3, 2)
    assert geoms["geom_xpos"].dtype == geoms["geom_xquat"].dtype == np.float32
    assert sum(value for name, value in geoms.items() if ":" in name) == geoms["reward"]
    assert same(worker.step()[1], twin.step()[1])


def test_a_shard_at_rest_is_shown_when_asked_and_not_under_another_epoch():
    worker = Worker()
    worker.do(Reset)
    look = Look(session=1, shard=0, epoch=1, watch=Watch(figures=True))
    [(figures, frames)] = worker.held.show(look)
    assert isinstance(figures, Figures)
    assert len(_read(figures, frames)[1]["points"]) == N
    assert worker.held.show(Look(session=1, shard=0, epoch=2, watch=look.watch)) == []
    assert worker.held.show(Look(session=2, shard=0, epoch=1, watch=look.watch)) == []


def test_the_scene_is_told_as_json():
    worker = Worker()
    [answer] = worker.held.scene(GetScene(session=1, shard=0, request=7, epoch=1))
    scene, arrays = _read(*answer)
    assert (type(scene), scene.request) == (Scene, 7)
    assert json.loads(arrays["json"].tobytes())["task"] == "Hopper-v5"
