"""The telemetry socket: who shows environments subscribes to what somebody looks at.

Topics are the first frame of what is published, the rest is a message (`Figures` or `Pose`).
Latest wins: the publisher drops what a subscriber does not take, and a subscriber takes all there
is and keeps the last of each topic.

Neither side has ZeroMQ's heartbeats: a subscriber whose queue is full does not hear them, would
connect anew, and libzmq (4.3.5) ends a process that then reads on ("Assertion failed:
_input_stopped"). TCP's keep-alive finds hosts that are gone.
"""

from typing import Any

import zmq

from websim.wire.codec import Decoder, Envelope
from websim.wire.curve import PeerKeys
from websim.wire.errors import WireError
from websim.wire.messages import Telemetry
from websim.wire.sockets import make_socket, receive, set_bounds

QUEUE_MESSAGES = 64
"""Bound of what waits for one subscriber: two rounds of a session of 32 shards."""
QUEUE_BYTES = 256 * 1024
"""Bound of what the system keeps for one subscriber besides."""
MAX_SUBSCRIPTION_BYTES = 4096
"""Bound of what a subscriber sends at a time: a CURVE handshake fits."""
MAX_TAKEN = 4096
"""Messages taken at a time."""


def figures_topic(session: int, shard: int | None = None) -> bytes:
    """The topic of a shard's figures, or what all those of a session begin with."""
    return f"figures/{session}/".encode() + (b"" if shard is None else f"{shard}/".encode())


def pose_topic(session: int, env_id: int) -> bytes:
    """The topic of an environment's poses."""
    return f"pose/{session}/{env_id}/".encode()


def make_publisher(context: "zmq.Context[Any]") -> "zmq.Socket[bytes]":
    """Make a socket that never waits for who does not read, and hears who subscribes."""
    socket: zmq.Socket[bytes] = context.socket(zmq.XPUB)
    set_bounds(socket)
    socket.set(zmq.SNDHWM, QUEUE_MESSAGES)
    socket.set(zmq.SNDBUF, QUEUE_BYTES)
    socket.set(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)
    # Each new subscriber is heard of, not only the first one of a topic.
    socket.set(zmq.XPUB_VERBOSE, 1)
    return socket


class Subscriber:
    """What somebody looks at, as it is now. Belongs to the thread that made it."""

    def __init__(
        self, context: "zmq.Context[Any]", address: str, keys: PeerKeys | None = None
    ) -> None:
        """Connect to an orchestrator's telemetry socket, which may come later or come again."""
        self.socket = make_socket(context, zmq.SUB)
        """To be polled for what can be taken."""
        self.stale = self.broken = 0
        """Messages dropped for a newer one of their topic, and those that could not be decoded."""
        self.problem = ""
        """What was wrong with the last one that could not."""
        self.socket.set(zmq.RCVHWM, QUEUE_MESSAGES)
        if keys is not None:
            keys.apply(self.socket)
        self.socket.connect(address)
        self._decoder: Decoder[Telemetry] = Decoder(Telemetry)

    def subscribe(self, topic: bytes) -> None:
        """Look at what has this topic, or one that begins with it."""
        self.socket.subscribe(topic)

    def unsubscribe(self, topic: bytes) -> None:
        """Look away."""
        self.socket.unsubscribe(topic)

    def take(self) -> dict[bytes, Envelope[Telemetry]]:
        """Take all there is without waiting; return the last message of each topic."""
        last: dict[bytes, list[zmq.Frame]] = {}
        for _ in range(MAX_TAKEN):
            frames = receive(self.socket)
            if frames is None:
                break
            topic = frames[0].bytes
            self.stale += topic in last
            last[topic] = frames[1:]
        taken = {}
        for topic, frames in last.items():
            try:
                taken[topic] = self._decoder.decode(frames)
            except WireError as error:
                self.broken += 1
                self.problem = str(error)
        return taken

    def close(self) -> None:
        """Look at nothing any more."""
        self.socket.close()
