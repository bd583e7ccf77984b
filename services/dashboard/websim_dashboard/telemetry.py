"""The orchestrator's telemetry: a thread that subscribes to what is watched, latest wins."""

import contextlib
import threading
from collections.abc import Callable, Mapping

import zmq

from websim.service.logs import get_logger
from websim.wire.codec import Envelope
from websim.wire.curve import PeerKeys
from websim.wire.messages import Telemetry
from websim.wire.telemetry import Subscriber
from websim_dashboard.frames import is_sound

log = get_logger(__name__)

POLL_MS = 500
"""How often the thread looks whether it is to stop, at the latest."""

CONTROL = "inproc://telemetry-control"

Topic = bytes
Received = Mapping[Topic, Envelope[Telemetry]]


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
        subscriber = Subscriber(self._context, self._address, self._keys)
        with contextlib.closing(control), contextlib.closing(subscriber):
            poller = zmq.Poller()
            poller.register(control, zmq.POLLIN)
            poller.register(subscriber.socket, zmq.POLLIN)
            while True:
                ready = dict(poller.poll(POLL_MS))
                if control in ready and not _obey(control, subscriber):
                    return
                if subscriber.socket in ready:
                    self._drain(subscriber)

    def _drain(self, subscriber: Subscriber) -> None:
        """Take all that is there; deliver the newest of each topic."""
        undecoded = subscriber.broken
        taken = subscriber.take()
        if subscriber.broken > undecoded:
            self._note_broken(subscriber.broken - undecoded, subscriber.problem)
        received = {topic: each for topic, each in taken.items() if is_sound(each)}
        if len(received) < len(taken):
            self._note_broken(len(taken) - len(received), "its arrays do not fit")
        self.stale = subscriber.stale
        self.used += len(received)
        if received:
            self._deliver(received)

    def _note_broken(self, count: int, why: str) -> None:
        if self.broken == 0:
            log.warning("telemetry not understood", why=why)
        self.broken += count


def _obey(control: "zmq.Socket[bytes]", subscriber: Subscriber) -> bool:
    """Carry out what was asked for; return whether to go on."""
    with contextlib.suppress(zmq.Again):
        while order := control.recv(zmq.NOBLOCK):
            (subscriber.subscribe if order[:1] == b"+" else subscriber.unsubscribe)(order[1:])
        return False
    return True
