"""Commands that were outstanding when a worker died are tried alone, and skipped if they kill."""

import msgspec
import pytest
from scripted_fleet import (
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
    Refused,
    Reset,
    ShardFailed,
    Snapshot,
    Step,
    Stepped,
    TakeSnapshot,
    WorkerGoodbye,
    WorkerHeartbeat,
)


def test_suspects_are_retried_one_after_the_other():
    fleet = make_fleet(workers=1, num_envs=96)
    for shard in range(3):
        fleet.client(*step(shard, 2))
    fleet.join("b")
    for shard in (0, 1):  # shard 2 has moved to b
        assert fleet.brain.fleet.sessions[1].shards[shard].worker.identity == b"a"
    said = fleet.settle(fleet.kill("a"))
    [(to, first)] = [each for each in steps_of(said) if each[0] == "b"][-1:]
    assert (to, first.shard) == ("b", 0)
    said = fleet.worker("b", answer_to(first))
    [(_, second)] = steps_of(said)
    assert second.shard == 1


def test_nothing_else_goes_to_a_worker_while_it_tries_a_suspect():
    fleet = make_fleet(workers=2, num_envs=64)
    fleet.client(*step(0, 2))
    victim = fleet.brain.fleet.sessions[1].shards[0].worker.identity.decode()
    other = "b" if victim == "a" else "a"
    [(_, suspect)] = steps_of(fleet.settle(fleet.kill(victim)))
    assert to_workers(fleet.client(*step(1, 2))) == []
    said = fleet.worker(other, answer_to(suspect))
    [(_, held_back)] = steps_of(said)
    assert held_back.shard == 1


def test_a_suspect_waits_for_what_is_outstanding_on_its_new_worker():
    fleet = make_fleet(workers=2, num_envs=64)
    fleet.client(*step(0, 2))
    fleet.client(*step(1, 2))
    shards = fleet.brain.fleet.sessions[1].shards
    victim, other = (shards[i].worker.identity.decode() for i in (0, 1))
    assert steps_of(fleet.settle(fleet.kill(victim))) == []
    innocent = shards[1].log[shards[1].seq].command
    [(to, suspect)] = steps_of(fleet.worker(other, answer_to(innocent)))
    assert (to, suspect.shard) == (other, 0)


def test_a_suspect_waits_until_its_worker_has_repeated_the_log():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.client(*step(0, 2))
    fleet.kill("a")
    said = fleet.join("b")
    assert [type(each) for _, each in to_workers(said)][-2:] == [Reset, TakeSnapshot]
    said = fleet.make_ready(said)
    assert steps_of(said) == []
    snapshot = Snapshot(session=1, shard=0, epoch=2, seq=1, t=1)
    [(_, suspect)] = steps_of(fleet.worker("b", snapshot))
    assert suspect.t == 2


def test_a_suspect_waits_for_a_neighbour_that_is_being_rebuilt():
    fleet = make_fleet(workers=2, num_envs=64)
    fleet.client(*step(0, 2))
    for name in "ab":
        fleet.kill(name)  # with shard 1 nothing is outstanding
    said = fleet.join("c")
    snapshots = [to for to, each in to_workers(said) if isinstance(each, TakeSnapshot)]
    assert snapshots == ["c", "c"]
    assert steps_of(fleet.make_ready(said)) == []
    own, neighbour = (
        Snapshot(session=1, shard=shard.index, epoch=shard.epoch, seq=1, t=1)
        for shard in fleet.brain.fleet.sessions[1].shards
    )
    assert steps_of(fleet.worker("c", own)) == []
    [(_, suspect)] = steps_of(fleet.worker("c", neighbour))
    assert suspect.shard == 0


def test_an_innocent_command_follows_its_log_at_once():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.kill("a")
    fleet.client(*step(0, 2))
    kinds = [type(each) for _, each in to_workers(fleet.join("b"))]
    assert kinds[-3:] == [Reset, TakeSnapshot, Step]


def test_innocent_bystanders_of_a_death_are_never_skipped():
    fleet = make_fleet(workers=1, num_envs=64)
    shards = fleet.brain.fleet.sessions[1].shards
    fleet.client(*step(0, 2))
    fleet.client(*step(1, 2))
    fleet.kill("a")  # both are suspects
    for name in "bc":
        fleet.settle(fleet.join(name))
        fleet.kill(name)  # shard 0 is tried alone
    assert [len(shard.deaths) for shard in shards] == [0, 1]
    assert [skipped_steps(shard) for shard in shards] == [[2], []]


def test_a_step_that_ends_three_workers_in_a_row_is_skipped_with_the_evidence():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.client(*step(0, 2))
    for name in "abc":
        fleet.settle(fleet.join(name))
        said = fleet.kill(name)
        assert not any(isinstance(each, Refused) for each in to_clients(said))
    [(_, skipped)] = steps_of(fleet.settle(fleet.join("d")))
    assert skipped.skip
    [quarantine] = fleet.brain.fleet.sessions[1].quarantines
    assert quarantine.t == 2
    assert len(quarantine.evidence) == 3
    assert fleet.brain.fleet.counters["steps_skipped"] == 1
    answer = msgspec.structs.replace(answer_to(skipped), skipped=True)
    [told] = to_clients(fleet.worker("d", answer))
    assert isinstance(told, Stepped)
    assert told.skipped


def test_workers_that_die_while_they_repeat_the_log_prove_nothing_about_the_step():
    fleet = make_fleet(workers=1, num_envs=32)
    [shard] = fleet.brain.fleet.sessions[1].shards
    fleet.client(*step(0, 2))
    fleet.kill("a")
    for _ in range(5):
        fleet.make_ready(fleet.join("b"))
        fleet.kill("b")
    assert (len(shard.deaths), shard.deaths_building) == (1, 5)
    [(_, suspect)] = steps_of(fleet.settle(fleet.join("c")))
    assert not suspect.skip
    assert shard.deaths_building == 0


def test_a_step_that_ends_its_worker_before_the_log_is_known_to_be_repeated_is_found_out():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.kill("a")
    fleet.client(*step(0, 2))
    fleet.join("b")  # the step follows the log at once
    fleet.kill("b")
    [shard] = fleet.brain.fleet.sessions[1].shards
    for name in "cde":
        [(_, suspect)] = steps_of(fleet.settle(fleet.join(name)))
        assert not suspect.skip
        fleet.now_s += 60.0
        fleet.kill(name)
    assert skipped_steps(shard) == [2]


def test_while_other_workers_are_lost_three_deaths_prove_nothing():
    fleet = make_fleet(workers=1, num_envs=32)
    [shard] = fleet.brain.fleet.sessions[1].shards
    fleet.client(*step(0, 2))
    for deaths in range(1, lifecycle.MAX_DEATHS_IN_STORM):
        fleet.join("x")
        fleet.kill("x")  # has no shard
        fleet.kill("a")
        assert (len(shard.deaths), skipped_steps(shard)) == (deaths, [])
        fleet.settle(fleet.join("a"))
    fleet.kill("a")
    assert skipped_steps(shard) == [2]


def test_every_trial_of_a_suspect_is_given_longer_before_its_worker_counts_as_lost():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.client(*step(0, 2))
    fleet.kill("a")
    for name, patience_s in (("b", 2.0), ("c", 4.0), ("d", 8.0)):
        fleet.now_s += 60.0
        fleet.join("x")  # a loss that makes three deaths prove nothing
        fleet.kill("x")
        fleet.settle(fleet.join(name))
        began_s = fleet.now_s
        fleet.tick(began_s + lifecycle.WORKER_SILENCE_S + patience_s - 0.1)
        assert name.encode() in fleet.brain.fleet.workers
        fleet.tick(began_s + lifecycle.WORKER_SILENCE_S + patience_s + 0.1)
        assert name.encode() not in fleet.brain.fleet.workers


def test_losses_of_long_ago_do_not_matter():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.join("x")
    fleet.kill("x")
    fleet.now_s += lifecycle.CALM_S + 1.0
    fleet.client(*step(0, 2))
    for name in "abc":
        fleet.settle(fleet.join(name))
        fleet.kill(name)
    assert fleet.brain.fleet.counters["steps_skipped"] == 1


def test_two_steps_that_end_their_workers_are_both_skipped():
    fleet = make_fleet(workers=1, num_envs=64)
    for shard in (0, 1):
        fleet.client(*step(shard, 2))
    fleet.kill("a")
    for _ in range(4):
        fleet.settle(fleet.join("w"))
        for _ in range(2):  # what is skipped already is answered, what comes next is not
            for shard in fleet.brain.fleet.sessions[1].shards:
                if shard.in_flight and skipped_steps(shard):
                    command = shard.log[next(iter(shard.pending))].command
                    fleet.worker("w", answer_to(command, epoch=shard.epoch))
        fleet.kill("w")
    assert fleet.brain.fleet.counters["steps_skipped"] == 2


def test_a_worker_that_leaves_when_asked_to_is_no_death():
    fleet = make_fleet(workers=1, num_envs=32)
    [shard] = fleet.brain.fleet.sessions[1].shards
    fleet.client(*step(0, 2))
    fleet.worker("a", WorkerHeartbeat(commands=1, env_steps=0, busy_s=0.0, shards=1, draining=True))
    fleet.worker("a", WorkerGoodbye())
    assert (shard.deaths, fleet.brain.fleet.unexplained) == ([], {})


def test_a_worker_that_says_goodbye_unasked_is_a_death():
    fleet = make_fleet(workers=1, num_envs=32)
    [shard] = fleet.brain.fleet.sessions[1].shards
    fleet.client(*step(0, 2))
    fleet.worker("a", WorkerGoodbye())
    assert len(shard.deaths) == 1


def test_a_skipped_step_is_skipped_in_every_replay():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.client(*step(0, 2))
    for name in "abc":
        fleet.settle(fleet.join(name))
        fleet.kill(name)
    [(_, skipped)] = steps_of(fleet.settle(fleet.join("d")))
    fleet.worker("d", answer_to(skipped))
    fleet.kill("d")
    [again] = [each for _, each in to_workers(fleet.join("e")) if isinstance(each, Step)]
    assert again.skip
    assert again.replay


def test_a_reset_that_ends_three_workers_ends_the_session():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.client(Reset(session=1, shard=0, t=2))
    for name in "ab":
        fleet.settle(fleet.join(name))
        fleet.kill(name)
    fleet.settle(fleet.join("c"))
    [refusal] = to_clients(fleet.kill("c"))
    assert refusal.code == "shard_given_up"
    assert "3 workers in a row at the same step" in refusal.message
    assert not fleet.brain.fleet.sessions


def test_a_worker_that_fails_a_step_counts_like_one_that_dies():
    fleet = make_fleet(workers=1, num_envs=32)
    said = fleet.client(*step(0, 2))
    for _ in range(3):
        [(_, command)] = steps_of(said)
        failed = ShardFailed(
            session=1, shard=0, epoch=command.epoch, code="step_failed", message="out of memory"
        )
        said = fleet.settle(fleet.worker("a", failed))
    [(_, skipped)] = steps_of(said)
    assert skipped.skip


def test_a_shard_that_workers_say_cannot_be_rebuilt_ends_the_session():
    fleet = make_fleet(workers=1, num_envs=32)
    shard = fleet.brain.fleet.sessions[1].shards[0]
    fleet.kill("a")
    fleet.join("b")
    said = []
    for _ in range(lifecycle.MAX_DEATHS_AT_STEP):
        failed = ShardFailed(
            session=1, shard=0, epoch=shard.epoch, code="task_refused", message="no memory"
        )
        said = to_clients(fleet.worker("b", failed))
    [refusal] = said
    assert refusal.code == "shard_given_up"
    assert refusal.message.endswith("that were to rebuild them: no memory")


@pytest.mark.parametrize("pending", [False, True])
def test_a_shard_that_ends_every_worker_that_builds_it_ends_the_session(pending):
    fleet = make_fleet(workers=1, num_envs=32)
    if pending:
        fleet.client(*step(0, 2))
    fleet.kill("a")
    for _ in range(lifecycle.MAX_DEATHS_BUILDING):
        assert fleet.brain.fleet.sessions
        fleet.join("w")
        said = to_clients(fleet.kill("w"))
    refusal = said[-1]
    assert refusal.code == "shard_given_up"
    assert "20 workers in a row that were to rebuild them" in refusal.message
    assert fleet.brain.fleet.counters["steps_skipped"] == 0


def test_a_session_with_too_many_skipped_steps_is_given_up():
    fleet = make_fleet(workers=1, num_envs=32)
    said = []
    for t in range(2, 3 + lifecycle.MAX_QUARANTINES):
        fleet.now_s += 60.0
        fleet.settle(fleet.join("a"))
        fleet.client(*step(0, t))
        for _ in range(3):
            fleet.settle(fleet.join("a"))
            said = to_clients(fleet.kill("a"))
        if fleet.brain.fleet.sessions:
            *_, (_, skipped) = steps_of(fleet.settle(fleet.join("a")))
            fleet.worker("a", answer_to(skipped))
    assert said[-1].code == "shard_given_up"
