"""Commands that were outstanding when a worker died are tried alone, and skipped if they kill."""

import msgspec
from scripted_fleet import answer_to, make_fleet, step, to_clients, to_workers

from websim.wire import lifecycle
from websim.wire.messages import Refused, Reset, ShardFailed, Step, Stepped


def steps_of(said) -> list[tuple[str, Step]]:
    return [(to, message) for to, message in to_workers(said) if isinstance(message, Step)]


def test_suspects_are_retried_one_after_the_other():
    fleet = make_fleet(workers=1, num_envs=96)
    for shard in range(3):
        fleet.client(*step(shard, 2))
    fleet.join("b")
    for shard in (0, 1):  # shard 2 has moved to b
        assert fleet.brain.fleet.sessions[1].shards[shard].worker.identity == b"a"
    said = fleet.kill("a")
    [(to, first)] = [each for each in steps_of(said) if each[0] == "b"][-1:]
    assert (to, first.shard, first.replay) == ("b", 0, False)
    said = fleet.worker("b", answer_to(first))
    [(_, second)] = steps_of(said)
    assert second.shard == 1


def test_nothing_else_goes_to_a_worker_while_it_tries_a_suspect():
    fleet = make_fleet(workers=2, num_envs=64)
    fleet.client(*step(0, 2))
    victim = fleet.brain.fleet.sessions[1].shards[0].worker.identity.decode()
    other = "b" if victim == "a" else "a"
    [(_, suspect)] = steps_of(fleet.kill(victim))
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
    assert steps_of(fleet.kill(victim)) == []
    innocent = shards[1].log[shards[1].seq].command
    [(to, suspect)] = steps_of(fleet.worker(other, answer_to(innocent)))
    assert (to, suspect.shard) == (other, 0)


def test_innocent_bystanders_of_a_death_are_never_skipped():
    fleet = make_fleet(workers=1, num_envs=64)
    shards = fleet.brain.fleet.sessions[1].shards
    fleet.client(*step(0, 2))
    fleet.client(*step(1, 2))
    fleet.kill("a")  # both are suspects
    for name in "bc":
        fleet.join(name)
        fleet.kill(name)  # shard 0 is tried alone
    assert (shards[0].deaths, shards[1].deaths) == (0, 1)
    [skipped] = [each for each in shards[0].log.values() if getattr(each.command, "skip", False)]
    assert skipped.command.t == 2
    assert not any(getattr(each.command, "skip", False) for each in shards[1].log.values())


def test_a_step_that_ends_three_workers_in_a_row_is_skipped_with_the_evidence():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.client(*step(0, 2))
    for name in "abc":
        fleet.join(name)
        said = fleet.kill(name)
        assert not any(isinstance(each, Refused) for each in to_clients(said))
    [(_, skipped)] = steps_of(fleet.join("d"))
    assert skipped.skip
    [quarantine] = fleet.brain.fleet.sessions[1].quarantines
    assert quarantine.t == 2
    assert len(quarantine.evidence) == 3
    assert fleet.brain.fleet.counters["steps_skipped"] == 1
    answer = msgspec.structs.replace(answer_to(skipped), skipped=True)
    [told] = to_clients(fleet.worker("d", answer))
    assert isinstance(told, Stepped)
    assert told.skipped


def test_a_skipped_step_is_skipped_in_every_replay():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.client(*step(0, 2))
    for name in "abc":
        fleet.join(name)
        fleet.kill(name)
    [(_, skipped)] = steps_of(fleet.join("d"))
    fleet.worker("d", answer_to(skipped))
    fleet.kill("d")
    [(_, again)] = steps_of(fleet.join("e"))
    assert again.skip
    assert again.replay


def test_a_reset_that_ends_three_workers_ends_the_session():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.client(Reset(session=1, shard=0, t=2))
    for name in "ab":
        fleet.join(name)
        fleet.kill(name)
    fleet.join("c")
    [refusal] = to_clients(fleet.kill("c"))
    assert refusal.code == "shard_given_up"
    assert not fleet.brain.fleet.sessions


def test_a_worker_that_fails_a_step_counts_like_one_that_dies():
    fleet = make_fleet(workers=1, num_envs=32)
    said = fleet.client(*step(0, 2))
    for _ in range(3):
        [(_, command)] = steps_of(said)
        failed = ShardFailed(
            session=1, shard=0, epoch=command.epoch, code="step_failed", message="out of memory"
        )
        said = fleet.worker("a", failed)
    [(_, skipped)] = steps_of(said)
    assert skipped.skip


def test_a_shard_that_cannot_even_be_rebuilt_ends_the_session():
    fleet = make_fleet(workers=1, num_envs=32)
    shard = fleet.brain.fleet.sessions[1].shards[0]
    said = []
    for _ in range(lifecycle.MAX_DEATHS_AT_STEP):
        failed = ShardFailed(
            session=1, shard=0, epoch=shard.epoch, code="task_refused", message="no memory"
        )
        said = to_clients(fleet.worker("a", failed))
    [refusal] = said
    assert refusal.code == "shard_given_up"


def test_a_session_with_too_many_skipped_steps_is_given_up():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.kill("a")
    said = []
    for t in range(2, 3 + lifecycle.MAX_QUARANTINES):
        fleet.client(*step(0, t))
        for _ in range(3):
            fleet.join("w")
            said = to_clients(fleet.kill("w"))
        if fleet.brain.fleet.sessions:
            *_, (_, skipped) = steps_of(fleet.join("w"))
            fleet.worker("w", answer_to(skipped))
            fleet.kill("w")
    assert said[-1].code == "shard_given_up"
