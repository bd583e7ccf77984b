"""Who looks gets to see, at a bounded rate; who trains, logs and replays notices nothing of it."""

import msgspec
import numpy as np
import pytest
from scripted_fleet import Fleet, answer_to, make_fleet, step, to_clients, to_workers

from websim.wire.codec import Envelope, describe
from websim.wire.messages import (
    CloseSession,
    Figures,
    GetScene,
    Look,
    Pose,
    Scene,
    Step,
    Watch,
    WorkerHeartbeat,
)
from websim_orchestrator.events import AnswerPerson, Publish, SceneAsked, Subscribed
from websim_orchestrator.watching import MAX_POSES, MAX_WATCHED

FIGURES = b"figures/1/"


def subscribe(fleet: Fleet, *topics: bytes, on: bool = True) -> None:
    for topic in topics:
        assert fleet.brain.handle(Subscribed(fleet.now_s, topic, on)) == []


def do_step(fleet: Fleet, shard: int, t: int) -> tuple[str, Step]:
    """Have the client step a shard; return who got it and what; it is answered."""
    command, frames = step(shard, t)
    [(worker, sent)] = to_workers(fleet.client(command, frames))
    fleet.worker(worker, answer_to(sent))
    return worker, sent


def make_figures(sent: Step, **changes: int) -> tuple[Figures, tuple]:
    specs, frames = describe({"points": np.zeros((32, 3, 2), np.int16)})
    facts = {"session": 1, "shard": sent.shard, "epoch": sent.epoch, "t": sent.t} | changes
    return Figures(**facts, first_env_id=0, scale_m=0.001, arrays=specs), tuple(frames)


def looks(fleet: Fleet, now_s: float) -> list[tuple[str, Look]]:
    """What workers, which are alive, are asked to show at that time."""
    fleet.now_s = now_s
    for worker in "ab":
        fleet.worker(worker, WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=1))
    sent = to_workers(fleet.tick(now_s))
    assert len(fleet.brain.fleet.workers) == 2
    return [(worker, message) for worker, message in sent if isinstance(message, Look)]


def published(said: list) -> list[Publish]:
    return [each for each in said if isinstance(each, Publish)]


def test_while_nobody_looks_steps_are_forwarded_as_they_are():
    fleet = make_fleet()
    _, sent = do_step(fleet, 0, 2)
    command, _ = step(0, 2)
    assert sent == msgspec.structs.replace(command, seq=2, epoch=1)
    assert looks(fleet, 100.0) == []


def test_a_step_says_that_somebody_looks_and_the_log_does_not():
    fleet = make_fleet()
    subscribe(fleet, FIGURES)
    worker, sent = do_step(fleet, 0, 2)
    assert sent.watch == Watch(figures=True)
    command, frames = step(0, 3)
    [(_, outstanding)] = to_workers(fleet.client(command, frames))
    assert outstanding.watch is None, "it was shown a moment ago"
    fleet.now_s = 1.0
    again = to_workers(fleet.settle(fleet.kill(worker)))
    steps = [message for _, message in again if isinstance(message, Step)]
    assert [(each.t, each.replay, each.watch) for each in steps] == [
        (2, True, None),
        (3, False, None),
    ]


def test_what_a_client_says_about_looking_does_not_count():
    fleet = make_fleet()
    command, frames = step(0, 2)
    forged = msgspec.structs.replace(command, watch=Watch(figures=True, env_ids=(1,)))
    [(_, sent)] = to_workers(fleet.client(forged, frames))
    assert sent.watch is None


@pytest.mark.parametrize(
    ("topic", "every_s", "most_per_s"),
    [(FIGURES, 0.004, 30), (FIGURES, 0.02, 30), (b"pose/1/5/", 0.004, 60)],
)
def test_it_is_shown_at_most_so_often_and_about_so_often(topic, every_s, most_per_s):
    fleet = make_fleet()
    subscribe(fleet, topic)
    shown = 0
    for t in range(2, 2 + int(4.0 / every_s)):
        fleet.now_s += every_s
        shown += do_step(fleet, 0, t)[1].watch is not None
    assert 0.95 * 4 * most_per_s <= shown <= 4 * most_per_s + 1


def test_each_shard_is_told_of_its_own_watched_environments():
    fleet = make_fleet()  # environments 0-31 and 32-63
    subscribe(fleet, b"pose/1/3/", b"pose/1/40/", b"pose/1/41/", b"pose/2/4/", b"pose/1/99/")
    assert do_step(fleet, 0, 2)[1].watch == Watch(env_ids=(3,))
    assert do_step(fleet, 1, 2)[1].watch == Watch(env_ids=(40, 41))
    subscribe(fleet, b"pose/1/40/", on=False)
    fleet.now_s = 1.0
    assert do_step(fleet, 1, 3)[1].watch == Watch(env_ids=(41,))


def test_who_looks_away_is_shown_nothing():
    fleet = make_fleet()
    subscribe(fleet, FIGURES, b"pose/1/3/")
    assert do_step(fleet, 0, 2)[1].watch is not None
    subscribe(fleet, FIGURES, b"pose/1/3/", on=False)
    fleet.now_s = 1.0
    assert do_step(fleet, 0, 3)[1].watch is None
    assert looks(fleet, 100.0) == []
    assert fleet.brain.watching.watched == 0


def test_what_a_worker_shows_is_published_and_no_client_sees_it():
    fleet = make_fleet()
    subscribe(fleet, FIGURES, b"pose/1/40/")
    worker, sent = do_step(fleet, 1, 2)
    figures, frames = make_figures(sent)
    said = fleet.worker(worker, figures, frames)
    assert published(said) == [Publish(b"figures/1/1/", figures, frames)]
    pose = Pose(session=1, shard=1, epoch=1, t=2, env_id=40, time_s=0.1)
    said += fleet.worker(worker, pose)
    assert published(said)[1].topic == b"pose/1/40/"
    assert to_clients(said) == []


def test_what_a_worker_shows_of_a_shard_that_it_lost_is_not_published():
    fleet = make_fleet()
    subscribe(fleet, FIGURES)
    worker, sent = do_step(fleet, 0, 2)
    other = "b" if worker == "a" else "a"
    figures, frames = make_figures(sent)
    assert fleet.worker(other, figures, frames) == []
    assert fleet.worker(worker, *make_figures(sent, epoch=9)) == []
    assert fleet.brain.fleet.counters["stale"] == 2


def test_a_shard_that_is_not_stepped_is_shown_once_a_second():
    fleet = make_fleet()
    subscribe(fleet, FIGURES, b"pose/1/3/")
    first = looks(fleet, 10.1)
    assert {(look.shard, look.watch) for _, look in first} == {
        (0, Watch(figures=True, env_ids=(3,))),
        (1, Watch(figures=True)),
    }
    assert looks(fleet, 10.2) == []
    # Of one that is being stepped the answer is awaited.
    command, frames = step(0, 2)
    fleet.client(command, frames)
    assert [look.shard for _, look in looks(fleet, 11.2)] == [1]


def test_a_newcomer_sees_a_shard_at_rest_at_once():
    fleet = make_fleet()
    subscribe(fleet, FIGURES)
    assert len(looks(fleet, 5.0)) == 2
    subscribe(fleet, FIGURES)
    assert len(looks(fleet, 5.1)) == 2


def test_one_who_looks_at_what_is_not_there_costs_nothing():
    fleet = make_fleet()
    subscribe(fleet, b"figures/7/", b"pose/7/1/")
    assert do_step(fleet, 0, 2)[1].watch is None
    assert looks(fleet, 100.0) == []
    fleet.client(CloseSession(session=1))
    assert looks(fleet, 200.0) == []


@pytest.mark.parametrize(
    "topic",
    [
        b"",
        b"figures/",
        b"figures/1",
        b"figures/1/0/",
        b"figures/x/",
        b"figures/%s/" % (b"1" * 100),
        b"pose/1/",
        b"pose/1/-1/",
        b"\xff" * 200,
    ],
)
def test_other_topics_make_nobody_show_anything(topic):
    fleet = make_fleet()
    subscribe(fleet, topic)
    assert fleet.brain.watching.watched == 0
    assert do_step(fleet, 0, 2)[1].watch is None
    subscribe(fleet, topic, on=False)


def test_the_number_of_watched_topics_is_bounded():
    fleet = make_fleet()
    subscribe(fleet, *(b"pose/1/%d/" % env_id for env_id in range(2 * MAX_WATCHED)))
    assert fleet.brain.watching.watched == MAX_WATCHED
    assert do_step(fleet, 0, 2)[1].watch == Watch(env_ids=tuple(range(MAX_POSES)))


def test_the_scene_is_asked_of_a_worker_and_answered():
    fleet = make_fleet()
    [(worker, question)] = to_workers(fleet.brain.handle(SceneAsked(0.0, 5, 1)))
    assert isinstance(question, GetScene)
    specs, frames = describe({"json": np.frombuffer(b"{}", np.uint8)})
    scene = Scene(
        session=1,
        shard=question.shard,
        epoch=question.epoch,
        request=question.request,
        arrays=specs,
    )
    [answer] = fleet.worker(worker, scene, tuple(frames))
    assert isinstance(answer, AnswerPerson)
    assert (answer.token, type(answer.envelope)) == (5, Envelope)
    [answer] = fleet.brain.handle(SceneAsked(0.0, 6, 9))
    assert answer.problem == "there is no session 9"
