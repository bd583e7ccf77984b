"""What people ask over HTTP has an end, whatever the workers do."""

from scripted_fleet import answer_to, make_fleet, step, to_workers

from websim.wire import lifecycle
from websim.wire.messages import Applied, CloseSession, GetScene, ResetEnv, WorkerHeartbeat
from websim_orchestrator.events import AnswerPerson, EnvResetAsked, SceneAsked, StateAsked

LATE_S = lifecycle.PERSON_DEADLINE_S + 0.1


def asks_reset(fleet, token, env_id=3):
    return fleet.brain.handle(EnvResetAsked(fleet.now_s, token, 1, env_id))


def resets(said):
    return [(to, message) for to, message in to_workers(said) if isinstance(message, ResetEnv)]


def answers(said):
    return [each for each in said if isinstance(each, AnswerPerson)]


def wait(fleet, seconds, *workers):
    """Let time pass in which these workers show that they live."""
    fleet.now_s += seconds
    for worker in workers:
        beat = WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=1)
        fleet.worker(worker, beat)
    return fleet.tick(fleet.now_s)


def test_a_reset_without_any_worker_is_given_up_in_time_and_never_done():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.kill("a")
    assert asks_reset(fleet, 5) == []
    assert answers(wait(fleet, 1.0)) == []

    said = answers(wait(fleet, LATE_S))

    problem = "no sim worker has environment 3 just now: it is not reset"
    assert said == [AnswerPerson(5, None, problem, late=True)]
    assert answers(wait(fleet, LATE_S)) == []
    assert fleet.brain.fleet.counters["questions_given_up"] == 1
    assert resets(fleet.settle(fleet.join("a"))) == []
    assert resets(wait(fleet, 0.1, "a")) == []


def test_a_reset_waits_for_the_next_worker():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.kill("a")
    asks_reset(fleet, 5)
    fleet.settle(fleet.join("b"))

    [(to, command)] = resets(wait(fleet, 0.1, "b"))

    assert (to, command.env_id) == ("b", 3)
    [answer] = answers(fleet.worker("b", answer_to(command, Applied)))
    assert (answer.token, answer.problem) == (5, "")
    assert answers(wait(fleet, LATE_S, "b")) == []


def test_resets_without_any_worker_leave_nothing_behind():
    fleet = make_fleet(workers=1, num_envs=32)
    [shard] = fleet.brain.fleet.sessions[1].shards
    fleet.kill("a")
    before = len(shard.log), shard.seq
    for token in range(1000):
        asks_reset(fleet, token)

    assert len(answers(wait(fleet, LATE_S))) == 1000
    assert (len(shard.log), shard.seq, shard.pending) == (*before, {})


def test_a_reset_that_a_worker_keeps_is_given_up_and_done_when_it_answers():
    fleet = make_fleet(workers=1, num_envs=32)
    [(_, command)] = resets(asks_reset(fleet, 5))

    said = answers(wait(fleet, LATE_S, "a"))

    problem = "no worker has reset environment 3 yet: it is reset as soon as one answers again"
    assert said == [AnswerPerson(5, None, problem, late=True)]
    assert answers(wait(fleet, LATE_S, "a")) == []
    assert answers(fleet.worker("a", answer_to(command, Applied))) == []
    # Nobody waits, and the command is one of the shard's all the same.
    [(_, forwarded)] = to_workers(fleet.client(*step(0, 2)))
    assert forwarded.seq == command.seq + 1


def test_a_reset_ends_with_its_session():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.kill("a")
    asks_reset(fleet, 5)
    fleet.client(CloseSession(session=1))

    assert answers(wait(fleet, 0.1)) == [AnswerPerson(5, None, "the session was closed")]


def test_a_persons_question_is_given_up_when_nobody_waits_for_it_any_more():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.brain.handle(StateAsked(0.0, 5, 1, 3))
    [(_, scene)] = to_workers(fleet.brain.handle(SceneAsked(0.0, 6, 1)))
    assert isinstance(scene, GetScene)

    assert answers(wait(fleet, LATE_S, "a")) == [
        AnswerPerson(token, None, "no worker answered", late=True) for token in (5, 6)
    ]
    [shard] = fleet.brain.fleet.sessions[1].shards
    assert not shard.questions
