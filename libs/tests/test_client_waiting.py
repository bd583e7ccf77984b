"""A client that waits for a fleet: it is never deaf for long, and asks once for what it waits for.

The orchestrator is a socket whose answers the test gives.
"""

import msgspec
import numpy as np
import pytest
import zmq

from websim.client import FleetSession, FleetTimeout
from websim.wire.codec import Decoder, describe, encode
from websim.wire.messages import (
    FromClient,
    GetSnapshot,
    OpenSession,
    SessionOpened,
    ShardSpan,
    ShardState,
    TaskInfo,
    WasReset,
)
from websim.wire.sockets import make_socket, receive, send

TASK = TaskInfo(
    id="Point-v0",
    description="a point",
    obs_dim=1,
    action_low=(-1.0,),
    action_high=(1.0,),
    dt_s=0.1,
    max_episode_steps=10,
)


class Orchestrator:
    """What clients said is in `heard`; nothing is answered by itself."""

    def __init__(self, context):
        self.socket = make_socket(context, zmq.ROUTER)
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"tcp://127.0.0.1:{port}"
        self.heard = []
        self._decoder = Decoder(FromClient)
        self._client = b""

    def hear(self, wait_ms=0):
        """Take in what has arrived."""
        while self.socket.poll(wait_ms):
            client, *frames = receive(self.socket)
            self._client = client.bytes
            self.heard.append(self._decoder.decode(frames).message)
            wait_ms = 0

    def answer(self, message, **arrays):
        specs, frames = describe(arrays)
        told = encode(msgspec.structs.replace(message, arrays=specs), frames)
        send(self.socket, [self._client, *told])

    def open(self):
        """Open a session of a shard on the first request that has come."""
        self.hear()
        if asked := [m for m in self.heard if isinstance(m, OpenSession)]:
            request, spans = asked[0].request, (ShardSpan(0, 2), ShardSpan(2, 2))
            self.answer(SessionOpened(request=request, session=7, task=TASK, shards=spans))

    def asked(self):
        """Return shard and number of every question; into a silence they are sent again."""
        self.hear(1000)
        questions = [(m.shard, m.request) for m in self.heard if isinstance(m, GetSnapshot)]
        return list(dict.fromkeys(questions))

    def tell(self, shard, request, qpos):
        state = ShardState(session=7, shard=shard, epoch=1, request=request)
        self.answer(state, qpos=np.array([qpos]))


@pytest.fixture
def orchestrator():
    with zmq.Context() as context:
        made = Orchestrator(context)
        yield made
        made.socket.close()


def open_session(orchestrator, while_waiting):
    address = orchestrator.address
    return FleetSession(address, task=TASK.id, num_envs=4, seed=0, while_waiting=while_waiting)


@pytest.fixture
def session(orchestrator):
    opened = open_session(orchestrator, orchestrator.open)
    yield opened
    opened.close()


def ask(session, shard):
    with pytest.raises(FleetTimeout):
        session.snapshot(shard, timeout_s=0.01)


def test_who_waits_for_a_session_looks_up_again_and_again_and_may_give_up(orchestrator):
    looks = []

    class GivenUp(Exception):
        pass

    def look():
        looks.append(1)
        if len(looks) == 5:
            raise GivenUp

    with pytest.raises(GivenUp):
        open_session(orchestrator, look)
    assert len(looks) == 5


def test_a_snapshot_that_is_waited_for_in_short_turns_is_asked_for_once(orchestrator, session):
    ask(session, 0)
    ask(session, 0)
    [(shard, request)] = orchestrator.asked()
    assert shard == 0
    orchestrator.tell(0, request, 1.5)
    assert session.snapshot(0, timeout_s=60.0)["qpos"].tolist() == [1.5]


def test_another_shard_is_another_question_and_so_is_the_next_snapshot(orchestrator, session):
    ask(session, 0)
    ask(session, 1)
    (_, first), (_, second) = orchestrator.asked()
    orchestrator.tell(0, first, 1.0)
    orchestrator.tell(1, second, 2.0)
    assert session.snapshot(1, timeout_s=60.0)["qpos"].tolist() == [2.0]
    ask(session, 1)
    assert [shard for shard, _ in orchestrator.asked()] == [0, 1, 1]


def test_the_state_before_a_command_is_not_taken_for_the_one_after_it(orchestrator, session):
    ask(session, 0)
    [(_, before)] = orchestrator.asked()
    session.send_reset(0)
    orchestrator.answer(
        WasReset(session=7, shard=0, epoch=1, seq=1, t=1), obs=np.zeros((2, 1), "f4")
    )
    assert session.recv(60.0).kind == "reset"
    orchestrator.tell(0, before, 1.0)
    ask(session, 0)
    _, (_, after) = orchestrator.asked()
    orchestrator.tell(0, after, 2.0)
    assert session.snapshot(0, timeout_s=60.0)["qpos"].tolist() == [2.0]
