"""After a restart of the orchestrator sessions go on where their workers and clients are."""

from scripted_fleet import TASK, Fleet, answer_to, step, to_clients, to_workers

from websim.wire import lifecycle
from websim.wire.messages import (
    AssignShard,
    Held,
    KeepShard,
    OpenSession,
    Refused,
    ReleaseShard,
    SessionOpened,
    SessionWaiting,
    ShardReady,
    Snapshot,
    Step,
    Stepped,
    TakeSnapshot,
    WorkerHeartbeat,
    WorkerHello,
)

BACK = OpenSession(
    request=5, task="Test-v0", num_envs=64, seed=0, shard_envs=32, session=7, done=(40, 41)
)
"""The client has the answers to command 40 of shard 0 and to command 41 of shard 1."""


def hello(name: str, *held: Held) -> WorkerHello:
    return WorkerHello(instance=name, pid=1, host="h", held=held)


def keep_all(fleet: Fleet, said) -> list:
    """Answer KeepShard as a worker does: ready, snapshot."""
    answers = []
    for to, message in to_workers(said):
        if isinstance(message, KeepShard):
            facts = {"session": 7, "shard": message.shard, "epoch": message.new_epoch}
            answers += fleet.worker(to, ShardReady(task=TASK, **facts))
            answers += fleet.worker(to, Snapshot(seq=50, t=40, **facts))
    return answers


def reclaimed() -> Fleet:
    """Worker a holds shard 0, b shard 1; both had done command 41 when the orchestrator died."""
    fleet = Fleet()
    fleet.client(BACK)
    said = fleet.worker("a", hello("a", Held(7, 0, epoch=3, seq=50, t=41)))
    said += fleet.worker("b", hello("b", Held(7, 1, epoch=1, seq=41, t=41)))
    opened = to_clients(keep_all(fleet, said))
    assert [type(message) for message in opened] == [SessionOpened]
    assert opened[0].session == 7
    return fleet


def test_shards_are_kept_where_they_are_under_a_new_epoch():
    fleet = Fleet()
    [waiting] = to_clients(fleet.client(BACK))
    assert isinstance(waiting, SessionWaiting)
    assert "restarted" in waiting.reason
    said = to_workers(fleet.worker("a", hello("a", Held(7, 0, epoch=3, seq=50, t=41))))
    assert ("a", KeepShard(session=7, shard=0, epoch=3, new_epoch=4)) in said
    assert not any(isinstance(message, AssignShard) for _, message in said)


def test_workers_may_come_before_the_client():
    fleet = Fleet()
    fleet.worker("a", hello("a", Held(7, 0, epoch=3, seq=50, t=41)))
    said = to_workers(fleet.client(BACK))
    assert said == [("a", KeepShard(session=7, shard=0, epoch=3, new_epoch=4))]


def test_an_answer_that_was_lost_is_repeated_and_never_done_again():
    fleet = reclaimed()
    assert fleet.client(*_step(0, 41)) == []  # it is done, its answer is on the way
    repeated = Stepped(session=7, shard=0, epoch=4, seq=50, t=41)
    assert to_clients(fleet.worker("a", repeated)) == [repeated]
    assert to_clients(fleet.client(*_step(0, 41))) == [repeated]


def test_a_shard_that_owes_an_answer_stays_where_it_is():
    fleet = Fleet()
    fleet.client(BACK)
    held = (Held(7, 0, epoch=3, seq=50, t=41), Held(7, 1, epoch=1, seq=41, t=41))
    fleet.worker("a", hello("a", *held))
    for shard, epoch in ((0, 4), (1, 2)):
        fleet.worker("a", ShardReady(session=7, shard=shard, epoch=epoch, task=TASK))
    taken = [m.shard for _, m in to_workers(fleet.join("b")) if isinstance(m, TakeSnapshot)]
    assert taken == [1], "shard 0 has still to repeat the answer to command 41"


def test_a_command_that_was_never_done_is_done_now():
    fleet = reclaimed()
    [(to, command)] = to_workers(fleet.client(*_step(1, 42)))
    assert (to, command.seq, command.epoch) == ("b", 42, 2)
    [answer] = to_clients(fleet.worker("b", answer_to(command)))
    assert answer.t == 42


def test_the_snapshot_is_what_later_rebuilds_start_from():
    fleet = reclaimed()
    fleet.client(*_step(1, 42))
    said = to_workers(fleet.kill("b"))
    [assignment] = [message for _, message in said if isinstance(message, AssignShard)]
    assert (assignment.shard, assignment.seq) == (1, 50)


def test_a_worker_that_dies_before_its_snapshot_takes_the_session_with_it():
    fleet = Fleet()
    fleet.client(BACK)
    fleet.worker("a", hello("a", Held(7, 0, epoch=3, seq=50, t=41)))
    [refusal] = to_clients(fleet.kill("a"))
    assert refusal.code == "shard_lost"
    assert "checkpoint" in refusal.remedy


def test_a_shard_that_nobody_holds_is_lost_after_a_while():
    fleet = Fleet()
    fleet.client(BACK)
    keep_all(fleet, fleet.worker("a", hello("a", Held(7, 0, epoch=3, seq=50, t=40))))

    def later(now_s: float) -> list:
        fleet.now_s = now_s
        fleet.worker("a", WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=1))
        return fleet.tick(now_s)

    assert not any(isinstance(each, Refused) for each in to_clients(later(lifecycle.RECLAIM_S)))
    said = later(lifecycle.RECLAIM_S + 1)
    [refusal] = [each for each in to_clients(said) if isinstance(each, Refused)]
    assert (refusal.code, refusal.shard) == ("shard_lost", 1)
    assert any(isinstance(message, ReleaseShard) for _, message in to_workers(said))
    assert not fleet.brain.fleet.sessions


def test_a_shard_that_is_elsewhere_in_time_is_not_kept():
    fleet = Fleet()
    fleet.client(BACK)
    said = to_workers(fleet.worker("a", hello("a", Held(7, 0, epoch=3, seq=50, t=44))))
    assert ("a", ReleaseShard(session=7, shard=0, epoch=3)) in said


def test_what_nobody_asks_for_is_released():
    fleet = Fleet()
    held = Held(9, 0, epoch=2, seq=8, t=8)
    assert not any(
        isinstance(each, ReleaseShard)
        for _, each in to_workers(fleet.worker("a", hello("a", held)))
    )
    fleet.worker("a", hello("a", held))
    said = []
    for second in range(12):
        fleet.now_s = float(second)
        fleet.worker("a", hello("a", held))
        said += to_workers(fleet.tick(second + 0.5))
    assert ("a", ReleaseShard(session=9, shard=0, epoch=2)) in said


def test_a_late_voice_of_a_session_that_runs_is_told_to_let_go():
    fleet = reclaimed()
    said = to_workers(fleet.worker("z", hello("z", Held(7, 0, epoch=3, seq=50, t=41))))
    assert ("z", ReleaseShard(session=7, shard=0, epoch=3)) in said


def test_new_sessions_never_get_the_number_of_one_asked_back():
    fleet = reclaimed()
    said = fleet.client(OpenSession(request=1, task="Test-v0", num_envs=8, seed=0), name="d")
    assert {message.session for _, message in to_workers(said)} == {8}


def _step(shard: int, t: int) -> tuple[Step, tuple]:
    message, frames = step(shard, t)
    return Step(session=7, shard=shard, t=t, arrays=message.arrays), frames
