"""What became of a socket's handshakes: a peer that is refused learns it nowhere else.

ZeroMQ tells it on a monitor socket only, and a refused peer never tries again by itself. Used by
workers and clients, which must say why nobody answers, and by the orchestrator, which counts.
"""

from typing import Any, Literal

import zmq
from zmq.utils.monitor import recv_monitor_message

Failure = Literal["key", "protocol", "broken_off"]

FAILURES: dict[int, Failure] = {
    int(zmq.EVENT_HANDSHAKE_FAILED_AUTH): "key",
    int(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL): "protocol",
    int(zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL): "broken_off",
}
"""Why a handshake failed: a key that is not admitted, a peer that speaks otherwise (no keys, other
keys, no ZeroMQ), a connection that ended before it was done."""

MECHANISM_MISMATCH = int(zmq.PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
"""Value of a failed handshake where one side has keys and the other has none."""

DISCONNECTED = int(zmq.EVENT_DISCONNECTED)

EVENTS = sum(FAILURES) + DISCONNECTED
"""What to have a socket's monitor tell."""


class HandshakeWatch:
    """Says why a connecting socket is not let in. Belongs to the socket's thread.

    Failures wait in a bounded queue for being looked at; ZeroMQ stands still when it is full.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", keys: bool) -> None:
        """Watch a socket that is about to connect.

        Args:
            socket: the socket.
            keys: whether it has keys.
        """
        self._socket = socket
        self._keys = keys
        self._monitor: zmq.Socket[Any] = socket.get_monitor_socket(EVENTS)
        self._failure: Failure | None = None
        self._mismatch = False
        self._cut = False

    def cut(self) -> bool:
        """Return whether a connection has ended, with what it carried, since the last question."""
        self._look()
        cut, self._cut = self._cut, False
        return cut

    @property
    def final(self) -> bool:
        """Whether the socket was refused in a way after which ZeroMQ does not try again."""
        self._look()
        return self._failure in ("key", "protocol")

    def explain(self, address: str, otherwise: str) -> tuple[str, str]:
        """Return why nobody answers and what to do about it.

        Args:
            address: where the socket connects.
            otherwise: what to do where nobody is there at all.
        """
        self._look()
        refused = f"the orchestrator at {address} does not let us in"
        silent = f"no orchestrator answers at {address}"
        if self._failure is None:
            return silent, otherwise
        if self._failure == "key":
            return refused, "Put the public part of this key where the orchestrator admits it."
        if self._mismatch and self._keys:
            return refused, "It has no keys: leave ours out."
        if self._mismatch:
            return refused, "It wants keys: give --keys DIR, or keys=DIR in Python."
        # Whichever side sees first that they do not fit closes the connection, and may be all
        # that the other one sees.
        if self._keys:
            return silent, "It breaks off: server.key is not its public key, or it has no keys."
        return silent, "It breaks off: it wants keys (--keys DIR), or is something else."

    def settle(self) -> None:
        """Forget what failed: the other side answers. Call it each time it begins to."""
        self._look()
        self._failure, self._mismatch = None, False

    def close(self) -> None:
        """Stop watching."""
        if not self._monitor.closed:
            self._socket.disable_monitor()
            self._monitor.close()

    def _look(self) -> None:
        while not self._monitor.closed and self._monitor.poll(0):
            event = recv_monitor_message(self._monitor)
            if event["event"] == DISCONNECTED:
                self._cut = True
                continue
            self._failure = FAILURES.get(event["event"])
            self._mismatch = self._mismatch or event["value"] == MECHANISM_MISMATCH
