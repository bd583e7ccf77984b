"""The brain as a specification: events in, instructions out, no sockets and no sleeps."""

import numpy as np
import pytest
from scripted_fleet import (
    TASK,
    Fleet,
    answer_to,
    make_fleet,
    step,
    to_clients,
    to_workers,
)

from websim.wire import lifecycle
from websim.wire.codec import describe
from websim.wire.messages import (
    Applied,
    AssignShard,
    CloseSession,
    EnvState,
    GetState,
    OpenSession,
    Refused,
    ReleaseShard,
    Reset,
    SessionOpened,
    SessionWaiting,
    SetKnobs,
    ShardFailed,
    ShardSpan,
    Snapshot,
    Step,
    Stepped,
    TakeSnapshot,
    Welcome,
    WorkerGoodbye,
    WorkerHeartbeat,
)
from websim_orchestrator.events import (
    AnswerPerson,
    ClientUnreachable,
    EnvResetAsked,
    SendWorker,
    StateAsked,
    WorkerUnreachable,
)
from websim_orchestrator.fleet import default_shard_envs, split


def test_a_worker_is_welcomed_once_and_again_when_it_repeats_itself():
    fleet = Fleet()
    first = to_workers(fleet.join("a"))
    again = to_workers(fleet.join("a"))
    assert first == again == [("a", Welcome(worker_id=0, heartbeat_s=lifecycle.HEARTBEAT_S))]
    assert to_workers(fleet.join("b"))[0][1].worker_id == 1


def test_an_unknown_worker_is_told_so():
    fleet = Fleet()
    beat = WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=0)
    [(_, refusal)] = to_workers(fleet.worker("x", beat))
    assert isinstance(refusal, Refused)
    assert refusal.code == "unknown_worker"


def test_shards_spread_evenly_and_the_session_opens_when_all_are_ready():
    fleet = Fleet()
    fleet.join("a")
    fleet.join("b")
    said = fleet.client(OpenSession(request=7, task="T", num_envs=100, seed=0, shard_envs=32))
    placed = [(to, message.shard) for to, message in to_workers(said)]
    # spans of 32, 32, 32 and 4: the last goes where fewer environments are
    assert placed == [("a", 0), ("b", 1), ("a", 2), ("b", 3)]
    [opened] = to_clients(fleet.make_ready(said))
    assert opened == SessionOpened(
        request=7,
        session=1,
        task=TASK,
        shards=(ShardSpan(0, 32), ShardSpan(32, 32), ShardSpan(64, 32), ShardSpan(96, 4)),
    )


def test_a_session_without_workers_waits_and_says_so_once():
    fleet = Fleet()
    said = fleet.client(OpenSession(request=1, task="T", num_envs=32, seed=0))
    [waiting] = to_clients(said)
    assert isinstance(waiting, SessionWaiting)
    assert "no sim worker" in waiting.reason
    assert [type(message) for _, message in to_workers(fleet.join("a"))] == [Welcome, AssignShard]


def test_a_step_goes_to_the_shards_worker_and_its_answer_back():
    fleet = make_fleet()
    message, frames = step(shard=1, t=2)
    [(worker, forwarded)] = to_workers(fleet.client(message, frames))
    assert (worker, forwarded.seq, forwarded.epoch, forwarded.t) == ("b", 2, 1, 2)
    answer = answer_to(forwarded)
    assert to_clients(fleet.worker("b", answer)) == [answer]
    assert fleet.brain.fleet.sessions[1].env_steps == 32


def test_a_repeated_command_takes_effect_once_and_is_answered_again():
    fleet = make_fleet(workers=1)
    message, frames = step(0, 2)
    [(_, forwarded)] = to_workers(fleet.client(message, frames))
    assert fleet.client(message, frames) == []
    answer = answer_to(forwarded)
    fleet.worker("a", answer)
    repeated = fleet.client(message, frames)
    assert to_workers(repeated) == []
    assert to_clients(repeated) == [answer]


@pytest.mark.parametrize(
    ("t", "num_envs", "shard", "code"),
    [
        (3, 32, 0, "out_of_order"),
        (2, 31, 0, "bad_action"),
        (2, 32, 9, "unknown_shard"),
    ],
)
def test_a_wrong_command_is_refused_with_the_reason(t, num_envs, shard, code):
    fleet = make_fleet()
    message, frames = step(shard, t, num_envs)
    [refusal] = to_clients(fleet.client(message, frames))
    assert (refusal.code, refusal.t, refusal.shard) == (code, t, shard)
    assert refusal.remedy


def test_a_second_outstanding_command_of_a_shard_is_refused():
    fleet = make_fleet()
    fleet.client(*step(0, 2))
    [refusal] = to_clients(fleet.client(*step(0, 3)))
    assert refusal.code == "outstanding"


def test_a_strangers_session_is_unknown_to_it():
    fleet = make_fleet()
    message, frames = step(0, 2)
    [refusal] = to_clients(fleet.client(message, frames, name="stranger"))
    assert refusal.code == "unknown_session"


def test_a_lost_workers_shard_is_rebuilt_and_replays_to_the_outstanding_command():
    fleet = make_fleet(workers=2)
    [(_, done)] = to_workers(fleet.client(*step(0, 2)))
    fleet.worker("a", answer_to(done))
    fleet.client(*step(0, 3))

    said = fleet.brain.handle(WorkerUnreachable(fleet.now_s, b"a"))

    (_, assign), *replayed, (_, take) = to_workers(said)
    assert isinstance(assign, AssignShard)
    assert (assign.shard, assign.epoch, assign.seq) == (0, 2, 0)
    assert {to for to, _ in to_workers(said)} == {"b"}
    # reset and first step were answered: they replay in silence
    assert [(type(m), m.seq, m.epoch, m.replay) for _, m in replayed] == [
        (Reset, 1, 2, True),
        (Step, 2, 2, True),
    ]
    # the worker says when it has done them; then the outstanding step, which may be the culprit
    assert take == TakeSnapshot(session=1, shard=0, epoch=2)
    *_, (_, outstanding) = to_workers(fleet.settle(said))
    assert (outstanding.seq, outstanding.epoch, outstanding.replay) == (3, 2, False)
    assert to_clients(fleet.worker("b", answer_to(outstanding))) == [answer_to(outstanding)]


def test_the_voice_of_an_earlier_assignment_is_dropped():
    fleet = make_fleet(workers=2)
    [(_, forwarded)] = to_workers(fleet.client(*step(0, 2)))
    fleet.brain.handle(WorkerUnreachable(fleet.now_s, b"a"))
    fleet.join("a")
    assert to_clients(fleet.worker("a", answer_to(forwarded))) == []
    assert fleet.brain.fleet.counters["stale"] == 1


def test_a_snapshot_shortens_the_log_and_travels_with_the_next_assignment():
    fleet = make_fleet(workers=2)
    [(_, done)] = to_workers(fleet.client(*step(0, 2)))
    fleet.worker("a", answer_to(done))
    specs, frames = describe({"state": np.arange(4.0)})
    snapshot = Snapshot(session=1, shard=0, epoch=1, seq=2, t=2, arrays=specs)
    fleet.worker("a", snapshot, tuple(frames))
    fleet.client(*step(0, 3))
    said = fleet.brain.handle(WorkerUnreachable(fleet.now_s, b"a"))
    [assignment] = [s for s in said if isinstance(s, SendWorker) and s.message.arrays[0:1]][:1]
    assert assignment.message.arrays[0].name == "snapshot:state"
    assert np.array_equal(np.frombuffer(assignment.frames[0]), np.arange(4.0))
    assert (assignment.message.seq, assignment.message.t) == (2, 2)
    said = fleet.settle(said)
    assert [m.seq for _, m in to_workers(said) if isinstance(m, Step)] == [3]


def test_a_snapshot_that_overtook_an_answer_does_not_replace_what_leads_to_the_answer():
    fleet = make_fleet(workers=2)
    fleet.client(*step(0, 2))  # its answer is lost, the snapshot that follows it is not
    said = fleet.worker("a", Snapshot(session=1, shard=0, epoch=1, seq=2, t=2))
    assert fleet.brain.fleet.counters["answers_lost"] == 1
    assert ("a", ReleaseShard(session=1, shard=0, epoch=1)) in to_workers(said)
    [(to, again)] = [(to, m) for to, m in to_workers(fleet.settle(said)) if isinstance(m, Step)]
    assert (again.seq, again.epoch, again.replay) == (2, 2, False)
    assert to_clients(fleet.worker(to, answer_to(again))) == [answer_to(again)]


def test_the_longest_command_of_a_worker_is_none_that_waited_for_a_rebuild():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.client(*step(0, 2))
    fleet.kill("a")
    said = fleet.join("b")
    fleet.now_s += 5.0
    [(_, trial)] = [each for each in to_workers(fleet.settle(said)) if each[1].__class__ is Step]
    fleet.now_s += 0.25
    fleet.worker("b", answer_to(trial))
    fleet.kill("b")
    fleet.client(*step(0, 3))
    said = fleet.join("c")
    fleet.now_s += 5.0
    [(_, innocent)] = [
        each for each in to_workers(said) if each[1].__class__ is Step and not each[1].replay
    ]
    fleet.settle(said)
    fleet.now_s += 0.5
    fleet.worker("c", answer_to(innocent))
    assert [worker.longest_command_s for worker in fleet.brain.fleet.workers.values()] == [0.5]


def test_a_silent_worker_is_lost_after_a_second_but_not_while_it_builds():
    fleet = make_fleet(workers=2)
    beat = WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=1)
    fleet.now_s = 0.9
    fleet.worker("b", beat)
    fleet.tick(1.2)
    assert [worker.worker_id for worker in fleet.brain.fleet.workers.values()] == [1]
    # b has been given a's shard to build: it gets the time that takes
    fleet.tick(1.0 + lifecycle.BUILD_PATIENCE_S)
    assert b"b" in fleet.brain.fleet.workers
    fleet.tick(2.0 + lifecycle.BUILD_PATIENCE_S)
    assert not fleet.brain.fleet.workers


def test_a_worker_that_needs_long_for_a_command_is_given_longer():
    fleet = make_fleet(workers=1)
    [(_, forwarded)] = to_workers(fleet.client(*step(0, 2)))
    fleet.now_s = 0.9
    fleet.worker("a", answer_to(forwarded))  # a command of 0.9 s
    fleet.client(*step(0, 3))
    fleet.tick(0.9 + lifecycle.WORKER_SILENCE_S + 3.0)
    assert fleet.brain.fleet.workers
    fleet.tick(0.9 + lifecycle.WORKER_SILENCE_S + 4.0)
    assert not fleet.brain.fleet.workers


def test_progress_between_deaths_forgives_them():
    fleet = make_fleet(workers=4, num_envs=32)
    for t in range(2, 5):
        said = fleet.client(*step(0, t))
        [holder] = {w.identity for w in fleet.brain.fleet.workers.values() if w.shards}
        said = fleet.settle(fleet.brain.handle(WorkerUnreachable(fleet.now_s, holder)))
        to, command = to_workers(said)[-1]
        fleet.worker(to, answer_to(command))
    assert fleet.brain.fleet.sessions


def test_a_draining_worker_ships_its_shards_and_loses_none():
    fleet = make_fleet(workers=2)
    fleet.client(*step(0, 2))
    beat = WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=1, draining=True)
    [take] = [m for _, m in to_workers(fleet.worker("a", beat)) if isinstance(m, TakeSnapshot)]
    assert (take.shard, take.release) == (0, True)
    # the worker answers what it had before the TakeSnapshot, then ships
    answer = Stepped(session=1, shard=0, epoch=1, seq=2, t=2)
    assert to_clients(fleet.worker("a", answer)) == [answer]
    # the next step waits for the new place
    assert to_workers(fleet.client(*step(0, 3))) == []
    said = fleet.worker("a", Snapshot(session=1, shard=0, epoch=1, seq=2, t=2))
    messages = to_workers(said)
    assert [(to, type(m)) for to, m in messages] == [("b", AssignShard), ("b", Step)]
    assert fleet.worker("a", WorkerGoodbye()) is not None
    assert fleet.brain.fleet.counters["workers_lost"] == 1


def test_a_new_worker_takes_over_part_of_the_load():
    fleet = make_fleet(workers=1, num_envs=128)
    takes = [m for _, m in to_workers(fleet.join("b")) if isinstance(m, TakeSnapshot)]
    assert len(takes) == 2
    for take in takes:
        said = fleet.worker(
            "a", Snapshot(session=1, shard=take.shard, epoch=take.epoch, seq=1, t=1)
        )
        assert [(to, type(m)) for to, m in to_workers(said)] == [("b", AssignShard)]
    loads = {w.identity: len(w.shards) for w in fleet.brain.fleet.workers.values()}
    assert loads == {b"a": 2, b"b": 2}


def test_a_task_the_worker_refuses_closes_the_session_with_the_workers_words():
    fleet = Fleet()
    fleet.join("a")
    [(_, _)] = to_workers(fleet.client(OpenSession(request=3, task="Nope-v0", num_envs=8, seed=0)))
    failed = ShardFailed(session=1, shard=0, epoch=1, code="task_refused", message="unknown task")
    [refusal] = to_clients(fleet.worker("a", failed))
    assert (refusal.code, refusal.message, refusal.request) == ("task_refused", "unknown task", 3)
    assert not fleet.brain.fleet.sessions
    assert not fleet.brain.fleet.workers[b"a"].shards


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"num_envs": 0}, "num_envs"), ({"shard_envs": -1}, "shard_envs"), ({"seed": -1}, "seed")],
)
def test_a_session_with_a_wrong_number_is_refused(changes, word):
    facts = {"request": 1, "task": "T", "num_envs": 8, "seed": 0} | changes
    fleet = Fleet()
    [refusal] = to_clients(fleet.client(OpenSession(**facts)))
    assert word in refusal.message


def test_a_closed_sessions_shards_are_released():
    fleet = make_fleet()
    released = to_workers(fleet.client(CloseSession(session=1)))
    assert [(to, m.shard) for to, m in released] == [("a", 0), ("b", 1)]
    assert not fleet.brain.fleet.sessions


def test_a_client_that_stays_unreachable_loses_its_session_and_one_that_returns_does_not():
    fleet = make_fleet()
    fleet.brain.handle(ClientUnreachable(0.0, b"c"))
    fleet.brain.fleet.workers[b"a"].last_seen_s = fleet.brain.fleet.workers[b"b"].last_seen_s = 99.0
    fleet.tick(lifecycle.CLIENT_GRACE_S - 0.1)
    fleet.client(*step(0, 2))
    fleet.tick(lifecycle.CLIENT_GRACE_S + 0.1)
    assert fleet.brain.fleet.sessions
    fleet.brain.handle(ClientUnreachable(20.0, b"c"))
    fleet.tick(20.1 + lifecycle.CLIENT_GRACE_S)
    assert not fleet.brain.fleet.sessions


def test_a_persons_question_survives_the_worker():
    fleet = make_fleet()
    [(to, question)] = to_workers(fleet.brain.handle(StateAsked(0.0, 5, 1, 3)))
    assert (to, question.env_id, isinstance(question, GetState)) == ("a", 3, True)
    said = fleet.brain.handle(WorkerUnreachable(0.0, b"a"))
    [again] = [m for _, m in to_workers(said) if isinstance(m, GetState)]
    state = EnvState(
        session=1,
        shard=0,
        epoch=again.epoch,
        request=again.request,
        env_id=3,
        time_s=1.0,
        episode_return=2.0,
        episode_length=20,
    )
    [answer] = [each for each in fleet.worker("b", state) if isinstance(each, AnswerPerson)]
    assert (answer.token, answer.envelope.message) == (5, state)


def test_a_question_about_nothing_is_answered_at_once():
    fleet = make_fleet()
    [answer] = fleet.brain.handle(StateAsked(0.0, 5, 1, 64))
    assert answer == AnswerPerson(5, None, "there is no environment 64")
    [answer] = fleet.brain.handle(EnvResetAsked(0.0, 6, 9, 0))
    assert answer == AnswerPerson(6, None, "there is no session 9")


def test_a_persons_reset_is_a_logged_command_beside_the_clients():
    fleet = make_fleet()
    [(_, command)] = to_workers(fleet.brain.handle(EnvResetAsked(0.0, 8, 1, 33)))
    assert (command.shard, command.seq, command.t) == (1, 2, 0)
    # the client's step of the shard is not held up
    [(_, stepped)] = to_workers(fleet.client(*step(1, 2)))
    assert stepped.seq == 3
    [answer] = fleet.worker("b", answer_to(command, Applied))
    assert (answer.token, answer.problem) == (8, "")


def test_ended_episodes_are_counted_per_environment():
    fleet = make_fleet()
    [(_, forwarded)] = to_workers(fleet.client(*step(1, 2)))
    specs, frames = describe(
        {
            "ended": np.array([0, 31], np.int32),
            "episode": np.array([[10.0, 5, 0.1, 1.0], [20.0, 7, 0.2, 0.0]]),
        }
    )
    answer = Stepped(session=1, shard=1, epoch=1, seq=forwarded.seq, t=2, arrays=specs)
    fleet.worker("b", answer, tuple(frame.tobytes() for frame in frames))
    statistics = fleet.brain.fleet.sessions[1].statistics
    assert statistics.episodes[32] == statistics.episodes[63] == 1
    assert (statistics.last_return[32], statistics.last_length[63]) == (10.0, 7.0)
    assert statistics.episodes.sum() == 2
    assert statistics.successes.sum() == 1


@pytest.mark.parametrize(
    ("num_envs", "shard_envs"), [(1, 32), (64, 32), (512, 128), (1024, 256), (4096, 256)]
)
def test_the_default_shard_size_is_a_function_of_num_envs(num_envs, shard_envs):
    assert default_shard_envs(num_envs) == shard_envs


def test_spans_cover_all_environments_once():
    spans = split(100, 32)
    covered = [
        env for span in spans for env in range(span.first_env_id, span.first_env_id + span.num_envs)
    ]
    assert covered == list(range(100))


def test_knobs_are_forwarded_answered_and_replayed_like_any_command():
    fleet = make_fleet(workers=2, num_envs=32)
    turn = SetKnobs(session=1, shard=0, t=2, knobs={"gravity": (0.5, 1.0)})
    [(worker, forwarded)] = to_workers(fleet.client(turn))
    assert (forwarded.knobs, forwarded.seq, forwarded.epoch) == (turn.knobs, 2, 1)
    assert to_workers(fleet.client(turn)) == [], "asked again while it is being done"
    specs, frames = describe({"obs": np.zeros((32, 3), np.float32)})
    applied = answer_to(forwarded, Applied, arrays=specs)
    assert to_clients(fleet.worker(worker, applied, tuple(frames))) == [applied]
    assert to_clients(fleet.client(turn)) == [applied], "answered again"
    said = fleet.kill(worker)
    [_, reset, again, _] = [message for _, message in to_workers(said)]
    assert isinstance(reset, Reset)
    assert (again.knobs, again.seq, again.epoch, again.replay) == (turn.knobs, 2, 2, True)


def test_a_question_that_nobody_answers_is_given_up():
    fleet = make_fleet(workers=1, num_envs=32)
    [(_, dropped)] = to_workers(fleet.brain.handle(StateAsked(0.0, 5, 1, 3)))
    fleet.client(GetState(session=1, shard=0, env_id=3, request=9))
    fleet.now_s = lifecycle.FLEET_DEADLINE_S + 1.0
    beat = WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=1)
    fleet.worker("a", beat)
    said = fleet.tick(fleet.now_s)
    assert [each for each in said if isinstance(each, AnswerPerson)] == [
        AnswerPerson(5, None, "no worker answered", late=True)
    ]
    [shard] = fleet.brain.fleet.sessions[1].shards
    assert not shard.questions
    [(_, again)] = to_workers(fleet.client(GetState(session=1, shard=0, env_id=3, request=9)))
    assert again.request not in (dropped.request, dropped.request + 1)
