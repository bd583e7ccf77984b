"""Latest wins: what is not taken is dropped, and what is taken is the last there is."""

import time
from pathlib import Path

import numpy as np
import pytest
import zmq

from websim.wire.codec import describe, encode
from websim.wire.messages import Figures
from websim.wire.sockets import receive, send
from websim.wire.telemetry import (
    QUEUE_MESSAGES,
    Subscriber,
    figures_topic,
    make_publisher,
    pose_topic,
)

DEADLINE_S = 20.0
TOPIC = figures_topic(1, 0)


class Stage:
    """A publisher and its subscribers."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.publisher = make_publisher(self.context)
        self.publisher.bind("tcp://127.0.0.1:*")
        self.address = self.publisher.get_string(zmq.LAST_ENDPOINT).rstrip("\0")
        self.subscribers: list[Subscriber] = []
        self.t = 0

    def subscribe(self, topic: bytes) -> Subscriber:
        subscriber = Subscriber(self.context, self.address)
        subscriber.subscribe(topic)
        self.subscribers.append(subscriber)
        assert self.heard() == b"\1" + topic
        return subscriber

    def heard(self) -> bytes:
        """What a subscriber says, which must come."""
        assert self.publisher.poll(1000 * DEADLINE_S), "no subscription arrives"
        [frame] = receive(self.publisher)
        return frame.bytes

    def publish(self, topic: bytes = TOPIC, num_bytes: int = 8) -> int:
        self.t += 1
        specs, frames = describe({"points": np.full(num_bytes // 2, self.t % 9, np.int16)})
        facts = {"session": 1, "shard": 0, "epoch": 1, "first_env_id": 0, "scale_m": 1.0}
        figures = Figures(t=self.t, arrays=specs, **facts)
        send(self.publisher, [topic, *encode(figures, frames)], copy=False)
        return self.t

    def catch_up(self, subscriber: Subscriber) -> None:
        """Go on publishing until the subscriber has one of what is published from now on."""
        now, give_up_s = self.t, time.monotonic() + DEADLINE_S
        while max((each.message.t for each in subscriber.take().values()), default=0) <= now:
            assert time.monotonic() < give_up_s, "it does not catch up"
            self.publish()
            time.sleep(0.005)

    def close(self) -> None:
        for subscriber in self.subscribers:
            subscriber.close()
        self.publisher.close()
        self.context.term()


@pytest.fixture
def stage():
    stage = Stage()
    yield stage
    stage.close()


def take_until(subscriber: Subscriber, t: int, topic: bytes = TOPIC) -> None:
    give_up_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < give_up_s:
        envelope = subscriber.take().get(topic)
        if envelope is not None and envelope.message.t == t:
            return
        time.sleep(0.001)
    pytest.fail(f"message {t} does not arrive")


def test_a_subscriber_gets_what_begins_with_its_topic(stage):
    all_of_session, one_pose = stage.subscribe(figures_topic(1)), stage.subscribe(pose_topic(1, 2))
    for topic in (figures_topic(12, 0), pose_topic(1, 20), figures_topic(1, 3), pose_topic(1, 2)):
        last = stage.publish(topic)
    take_until(one_pose, last, pose_topic(1, 2))
    take_until(all_of_session, last - 1, figures_topic(1, 3))
    assert one_pose.take() == {}
    assert all_of_session.take() == {}


def test_taking_gives_the_last_of_each_topic(stage):
    subscriber = stage.subscribe(b"figures/")
    topics = [figures_topic(1, shard) for shard in range(3)]
    last = [stage.publish(topic) for _ in range(5) for topic in topics][-3:]
    time.sleep(0.2)
    taken = subscriber.take()
    assert {topic: each.message.t for topic, each in taken.items()} == dict(
        zip(topics, last, strict=True)
    )
    assert subscriber.stale == 12


def test_a_broken_message_is_counted_and_the_others_come(stage):
    subscriber = stage.subscribe(b"figures/")
    send(stage.publisher, [b"figures/9/", b"WS junk", b"more"])
    take_until(subscriber, stage.publish())
    assert subscriber.broken == 1
    assert subscriber.problem


def rss_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


def test_who_does_not_read_costs_bounded_memory_and_holds_up_nobody(stage):
    reader, *silent = (stage.subscribe(TOPIC) for _ in range(9))
    num_bytes, before = 100_000, rss_bytes()
    for _ in range(20):
        for _ in range(100):
            stage.publish(num_bytes=num_bytes)
            reader.take()
        # What comes while its queue is full is dropped for it, too; then it catches up.
        stage.catch_up(reader)
    grown = rss_bytes() - before
    in_queues = 2 * QUEUE_MESSAGES * num_bytes * len(silent)
    assert grown < in_queues < 20 * 100 * num_bytes, "200 MB were sent, to each of nine"
    taken = silent[0].take()[TOPIC].message.t
    assert taken < stage.t, "what it had room for, and not what came later"


def test_who_stops_reading_for_long_can_go_on(stage):
    """With ZeroMQ's heartbeats libzmq ends the subscriber's process here (see telemetry.py)."""
    subscriber = stage.subscribe(TOPIC)
    give_up_s = time.monotonic() + 4.5  # heartbeats would be missed after 3 s
    while time.monotonic() < give_up_s:
        stage.publish(num_bytes=100_000)
        time.sleep(0.001)
    stage.catch_up(subscriber)


def test_the_publisher_hears_of_every_newcomer_and_when_the_last_one_leaves(stage):
    one, other = stage.subscribe(TOPIC), stage.subscribe(TOPIC)
    one.unsubscribe(TOPIC)
    assert not stage.publisher.poll(300)
    other.close()
    assert stage.heard() == b"\0" + TOPIC


def test_a_huge_subscription_is_cut_off(stage):
    rogue = stage.context.socket(zmq.SUB)
    rogue.set(zmq.LINGER, 0)
    rogue.connect(stage.address)
    rogue.subscribe(b"x" * 10_000)
    assert not stage.publisher.poll(500)
    rogue.close()
    take_until(stage.subscribe(TOPIC), stage.publish())


def test_topics_are_what_the_protocol_says():
    assert figures_topic(7) == b"figures/7/"
    assert figures_topic(7, 0) == b"figures/7/0/"
    assert pose_topic(7, 12) == b"pose/7/12/"
