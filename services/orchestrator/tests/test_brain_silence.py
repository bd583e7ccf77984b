"""A worker that is silent may be slow: what its silence proves, and what it does not."""

from scripted_fleet import (
    Fleet,
    answer_to,
    make_fleet,
    skipped_steps,
    step,
    steps_of,
    to_clients,
    to_workers,
)

from websim.wire import lifecycle
from websim.wire.messages import (
    ClientHeartbeat,
    OpenSession,
    OrchestratorHeartbeat,
    Refused,
    Reset,
    SessionWaiting,
    Snapshot,
    TakeSnapshot,
    WasReset,
    WorkerHeartbeat,
)
from websim_orchestrator.placement import BUILDING, BUSY, LEAVING, NO_WORKER, SILENT


def make_stepping(workers: int = 1) -> Fleet:
    """A fleet whose only shard has step 2 outstanding."""
    fleet = make_fleet(workers=workers, num_envs=32)
    fleet.client(*step(0, 2))
    return fleet


def wait_until_lost(fleet: Fleet) -> str:
    """Let the worker that has the shard be silent until it counts as lost; return its name."""
    [shard] = fleet.brain.fleet.sessions[1].shards
    silent = shard.worker.identity
    beat = WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=0)
    while silent in fleet.brain.fleet.workers:
        for other in fleet.brain.fleet.workers.keys() - {silent}:
            fleet.worker(other.decode(), beat)
        fleet.settle(fleet.tick(fleet.now_s + lifecycle.TICK_S))
    return silent.decode()


def come_back(fleet: Fleet, name: str) -> list:
    """Register a silent worker anew, as another instance of the process that it is."""
    fleet.cuts[name] += 1
    return fleet.settle(fleet.join(name))


def reasons(said: list) -> list[str]:
    """Why the client waits, as it is told."""
    return [each.reason for each in to_clients(said) if isinstance(each, SessionWaiting)]


def asks(fleet: Fleet) -> list:
    """Let the client, which hears nothing, show that it waits."""
    return fleet.client(ClientHeartbeat(session=1))


def fall_silent(fleet: Fleet) -> list:
    """Let the only worker be silent until it counts as lost; return what is said meanwhile."""
    said = []
    while fleet.brain.fleet.workers:
        said += fleet.tick(fleet.now_s + lifecycle.TICK_S)
    return said


def test_a_client_is_told_that_the_only_worker_is_slow_not_that_there_is_none():
    fleet = make_stepping()
    assert reasons(asks(fleet)) == []

    assert reasons(fall_silent(fleet)) == [SILENT]
    assert reasons(asks(fleet)) == []

    back = come_back(fleet, "a")
    assert reasons(back) == [BUSY]
    assert reasons(asks(fleet)) == []
    [(_, again)] = steps_of(back)
    [answer] = to_clients(fleet.worker("a", answer_to(again)))
    assert answer.t == 2
    assert reasons(asks(fleet)) == []


def test_a_client_is_told_that_there_is_no_worker_once_the_silent_ones_connection_closes():
    fleet = make_stepping()
    fall_silent(fleet)
    fleet.now_s += lifecycle.CLIENT_PROBE_S

    probes = to_workers(fleet.tick(fleet.now_s + 0.1))

    assert probes == [("a", OrchestratorHeartbeat(workers=0))]
    fleet.kill("a")
    assert reasons(asks(fleet)) == [NO_WORKER]
    assert to_workers(fleet.tick(fleet.now_s + 1.0)) == []


def test_workers_that_leave_are_not_said_to_be_gone():
    fleet = make_fleet(workers=1, num_envs=32)
    leaving = WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=1, draining=True)
    [take] = [m for _, m in to_workers(fleet.worker("a", leaving)) if isinstance(m, TakeSnapshot)]
    assert take.release
    snapshot = Snapshot(session=1, shard=0, epoch=take.epoch, seq=1, t=1)

    assert reasons(fleet.worker("a", snapshot)) == [LEAVING]


def test_a_client_that_opens_a_session_is_told_that_a_worker_is_at_it():
    fleet = Fleet()
    request = OpenSession(request=1, task="T", num_envs=32, seed=0)
    assert reasons(fleet.client(request)) == [NO_WORKER]
    said = fleet.join("a")
    assert reasons(said) == [BUILDING]
    assert reasons(fleet.client(request)) == [BUILDING]
    assert reasons(fleet.make_ready(said)) == []


def test_a_session_that_has_all_it_needs_again_and_is_not_stepped_waits_for_nothing():
    fleet = make_fleet(workers=1, num_envs=32)
    assert reasons(fleet.kill("a")) == [NO_WORKER]

    assert reasons(fleet.settle(fleet.join("b"))) == [""]
    assert reasons(asks(fleet)) == []


def test_a_worker_that_was_only_silent_is_no_evidence_against_its_step():
    fleet = make_stepping()
    shard = fleet.brain.fleet.sessions[1].shards[0]
    fleet.kill("a")
    fleet.settle(fleet.join("b"))
    fleet.cut("b")
    fleet.join("b")
    fleet.kill("b")
    fleet.now_s += lifecycle.CALM_S + 1  # what was lost before is no storm
    fleet.settle(fleet.join("c"))
    fleet.kill("c")
    assert [death.back_after_s is None for death in shard.deaths] == [True, False, True]
    assert skipped_steps(shard) == []
    fleet.settle(fleet.join("d"))
    fleet.kill("d")
    assert skipped_steps(shard) == [2]


def test_the_only_worker_may_take_longer_for_a_step_than_it_may_be_silent():
    fleet = make_stepping()
    [shard] = fleet.brain.fleet.sessions[1].shards
    began_s = fleet.now_s
    assert wait_until_lost(fleet) == "a"
    fleet.now_s = began_s + 27.0
    [(_, again)] = steps_of(come_back(fleet, "a"))
    assert not again.skip
    # It is given twice the time that it was silent for, whatever the first trial is given.
    fleet.tick(fleet.now_s + 50.0)
    [answer] = to_clients(fleet.worker("a", answer_to(again)))
    assert answer.t == 2
    assert skipped_steps(shard) == []


def test_workers_that_are_slow_one_after_the_other_do_not_have_their_step_skipped():
    fleet = make_stepping(workers=4)
    [shard] = fleet.brain.fleet.sessions[1].shards
    began_s = fleet.now_s
    first = wait_until_lost(fleet)
    for _ in range(3):
        wait_until_lost(fleet)
    assert (len(shard.deaths), skipped_steps(shard)) == (4, [])
    assert fleet.now_s - began_s < lifecycle.SILENCE_PROVES_S
    [*_, (_, again)] = steps_of(come_back(fleet, first))
    assert not again.skip


def test_workers_that_stay_silent_for_long_are_evidence():
    fleet = make_stepping(workers=5)
    [shard] = fleet.brain.fleet.sessions[1].shards
    for _ in range(5):
        wait_until_lost(fleet)
    assert skipped_steps(shard) == [2]


def test_who_has_never_done_a_slow_step_is_given_the_time_that_others_needed():
    fleet = make_fleet(workers=1, num_envs=32)
    [shard] = fleet.brain.fleet.sessions[1].shards
    [(_, slow)] = to_workers(fleet.client(Reset(session=1, shard=0, t=2)))
    fleet.now_s += 0.7
    fleet.worker("a", answer_to(slow, WasReset))
    fleet.kill("a")
    fleet.settle(fleet.join("b"))
    [(_, command)] = steps_of(fleet.client(*step(0, 3)))
    fleet.tick(fleet.now_s + lifecycle.WORKER_SILENCE_S + 2.0)
    assert not shard.deaths
    [answer] = to_clients(fleet.worker("b", answer_to(command)))
    assert answer.t == 3


def test_a_step_that_silences_every_worker_for_good_ends_the_session():
    fleet = make_stepping()
    fleet.kill("a")
    said = []
    for _ in range(lifecycle.MAX_DEATHS_AT_ALL):
        fleet.now_s += lifecycle.CALM_S + 1
        fleet.settle(fleet.join("b"))
        said += to_clients(fleet.cut("b"))
        fleet.join("b")
        fleet.cut("b")
        if any(isinstance(each, Refused) for each in said):
            break
    [refusal] = [each for each in said if isinstance(each, Refused)]
    assert refusal.code == "shard_given_up"
    assert "workers in a row at the same step" in refusal.message
