"""The orchestrator's telemetry: a thread that subscribes to what is watched, latest wins."""

import contextlib
import threading
from collections.abc import Callable, Mapping
from typing import Any

import zmq

from websim.service.logs import get_logger
from websim.wire.codec import Decoder, Envelope
from websim.wire.curve import PeerKeys
from websim.wire.errors import WireError
from websim.wire.messages import Figures, Pose, Telemetry
from websim.wire.sockets import make_socket
from websim_dashboard.frames import is_sound

log = get_logger(__name__)

QUEUE_MESSAGES = 256
"""Bound of what waits in the socket: a few pictures of all shards of some sessions."""

POLL_MS = 500
"""How often the thread looks whether it is to stop, at the latest."""

CONTROL = "inproc://telemetry-control"

Topic = bytes
Received = Mapping[Topic, Envelope[Figures | Pose]]


def figures_topic(session: int) -> Topic:
    """Return the prefix of all figures of a session."""
    return f"figures/{session}/".encode()


def pose_topic(session: int, env_id: int) -> Topic:
    """Return the topic of an environment's pose."""
    return f"pose/{session}/{env_id}/".encode()


class TelemetryReader:
    """A subscriber in a thread of its own. `watch` and `close` are for one other thread."""

    def __init__(
        self, address: str, keys: PeerKeys | None, deliver: Callable[[Received], None]
    ) -> None:
        """Start the thread; it subscribes to nothing yet.

        Args:
            address: the orchestrator's telemetry, as in `tcp://127.0.0.1:5557`.
            keys: a client's keys, where the orchestrator wants some.
            deliver: called in the thread with the newest message of each topic.
        """
        self.used = self.stale = self.broken = 0
        """Messages delivered, dropped for a newer one, and not understood."""
        self._context = zmq.Context()
        self._address, self._keys, self._deliver = address, keys, deliver
        self._topics: set[Topic] = set()
        self._control = self._context.socket(zmq.PAIR)
        self._control.set(zmq.LINGER, 0)
        self._control.bind(CONTROL)
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)
        self._thread.start()

    def watch(self, topics: set[Topic]) -> None:
        """Subscribe to these topics and to no others."""
        for topic in topics - self._topics:
            self._control.send(b"+" + topic)
        for topic in self._topics - topics:
            self._control.send(b"-" + topic)
        self._topics = set(topics)

    def close(self) -> None:
        """End the thread."""
        self._control.send(b"")
        self._thread.join()
        self._control.close()
        self._context.term()

    def _run(self) -> None:
        control = self._context.socket(zmq.PAIR)
        control.set(zmq.LINGER, 0)
        control.connect(CONTROL)
        subscriber = make_socket(self._context, zmq.SUB)
        subscriber.set(zmq.RCVHWM, QUEUE_MESSAGES)
        if self._keys is not None:
            self._keys.apply(subscriber)
        decoder: Decoder[Figures | Pose] = Decoder(Telemetry)
        with contextlib.closing(control), contextlib.closing(subscriber):
            subscriber.connect(self._address)
            poller = zmq.Poller()
            poller.register(control, zmq.POLLIN)
            poller.register(subscriber, zmq.POLLIN)
            while True:
                ready = dict(poller.poll(POLL_MS))
                if control in ready and not _obey(control, subscriber):
                    return
                if subscriber in ready:
                    self._drain(subscriber, decoder)

    def _drain(self, subscriber: "zmq.Socket[bytes]", decoder: Decoder[Figures | Pose]) -> None:
        """Take all that is there; deliver the newest of each topic."""
        newest: dict[Topic, list[bytes]] = {}
        for _ in range(QUEUE_MESSAGES):
            try:
                topic, *frames = subscriber.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            self.stale += topic in newest
            newest[topic] = frames
        received: dict[Topic, Envelope[Figures | Pose]] = {}
        for topic, frames in newest.items():
            try:
                envelope = decoder.decode(frames)
            except WireError as error:
                self._note_broken(str(error))
                continue
            if is_sound(envelope):
                received[topic] = envelope
            else:
                self._note_broken("its arrays do not fit")
        self.used += len(received)
        if received:
            self._deliver(received)

    def _note_broken(self, why: str) -> None:
        if self.broken == 0:
            log.warning("telemetry not understood", why=why)
        self.broken += 1


def _obey(control: "zmq.Socket[bytes]", subscriber: "zmq.Socket[Any]") -> bool:
    """Carry out what was asked for; return whether to go on."""
    with contextlib.suppress(zmq.Again):
        while order := control.recv(zmq.NOBLOCK):
            option = zmq.SUBSCRIBE if order[:1] == b"+" else zmq.UNSUBSCRIBE
            subscriber.setsockopt(option, order[1:])
        return False
    return True
