"""A fleet is of one release at a time: whom it refuses, and how it is upgraded."""

import msgspec
import pytest
from scripted_fleet import (
    TASK,
    Fleet,
    answer_to,
    make_fleet,
    step,
    steps_of,
    to_clients,
    to_workers,
)

from websim.wire.messages import (
    AssignShard,
    OpenSession,
    Refused,
    ReleaseShard,
    ShardReady,
    Snapshot,
    Stepped,
    TakeSnapshot,
    Welcome,
    WorkerGoodbye,
    WorkerHeartbeat,
)

OLD = {"package_version": "0.1.0", "mujoco_version": "3.3.0"}
OTHER = msgspec.structs.replace(TASK, content_sha256="1" * 64)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"package_version": "0.2.0"}, "release 0.2.0 with MuJoCo 3.3.0"),
        ({"mujoco_version": "3.4.0"}, "release 0.1.0 with MuJoCo 3.4.0"),
        ({"mujoco_version": ""}, "release 0.1.0 with MuJoCo unknown"),
    ],
)
def test_a_worker_of_another_release_is_refused_in_words_while_others_are_there(changes, named):
    fleet = Fleet()
    fleet.join("a", **OLD)
    [(to, refused)] = to_workers(fleet.join("b", **OLD | changes))
    assert (to, refused) == (
        "b",
        Refused(
            code="other_release",
            message=f"this worker is of {named}, and the fleet has workers of "
            "release 0.1.0 with MuJoCo 3.3.0",
            remedy="stop those; it joins when they are gone",
        ),
    )
    assert len(fleet.brain.fleet.workers) == 1
    assert fleet.brain.fleet.counters["refused_workers"] == 1


def test_workers_of_the_same_release_join():
    fleet = Fleet()
    fleet.join("a", **OLD)
    assert isinstance(to_workers(fleet.join("b", **OLD))[0][1], Welcome)


def test_a_session_goes_on_with_the_next_release_when_the_last_old_worker_has_drained():
    fleet = make_fleet(workers=1, num_envs=32)
    new = {"package_version": "0.2.0"}
    assert isinstance(to_workers(fleet.join("b", **new))[0][1], Refused)

    beat = WorkerHeartbeat(commands=1, env_steps=0, busy_s=0.0, shards=1, draining=True)
    [take] = [each for _, each in to_workers(fleet.worker("a", beat)) if type(each) is TakeSnapshot]
    fleet.worker("a", Snapshot(session=1, shard=0, epoch=take.epoch, seq=1, t=1))
    fleet.worker("a", WorkerGoodbye())
    fleet.client(*step(0, 2))

    joined = fleet.join("b", **new)
    [assignment] = [each for _, each in to_workers(joined) if type(each) is AssignShard]
    assert (assignment.seq, assignment.t) == (1, 1)
    [(to, repeated)] = steps_of(fleet.settle(joined))
    assert (to, repeated.t) == ("b", 2)
    [answer] = to_clients(fleet.worker("b", answer_to(repeated, Stepped)))
    assert answer.t == 2


def test_a_worker_with_another_task_of_that_name_ends_the_session_in_words():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.kill("a")
    [assignment] = [each for _, each in to_workers(fleet.join("b")) if type(each) is AssignShard]
    said = fleet.worker("b", ShardReady(session=1, shard=0, epoch=assignment.epoch, task=OTHER))
    [refused] = to_clients(said)
    assert (refused.code, refused.session, refused.shard) == ("other_task", 1, 0)
    assert refused.message == (
        "worker 1 (pid 1 on h) has another Test-v0 than the environments began with"
    )
    assert [type(each) for _, each in to_workers(said)] == [ReleaseShard]
    assert not fleet.brain.fleet.sessions


def test_workers_that_disagree_on_a_task_open_no_session():
    fleet = Fleet()
    fleet.join("a")
    fleet.join("b")
    request = OpenSession(request=7, task="Test-v0", num_envs=64, seed=0, shard_envs=32)
    said = []
    for task, (to, each) in zip((TASK, OTHER), to_workers(fleet.client(request)), strict=True):
        ready = ShardReady(session=1, shard=each.shard, epoch=each.epoch, task=task)
        said += to_clients(fleet.worker(to, ready))
    assert [(each.code, each.request) for each in said] == [("other_task", 7)]
