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
from websim.wire.messages import Refused, Reset, WasReset, WorkerHeartbeat


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
