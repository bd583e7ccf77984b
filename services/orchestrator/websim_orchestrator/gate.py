"""Who is let in, and the count of those who are not: a thread beside the runtime's.

It answers ZeroMQ's question about each peer (ZAP, RFC 27): with keys, from the lists of admitted
ones; without, everybody is let in, but being asked makes ZeroMQ refuse peers without a handshake
(ZMTP 1), as which it would take any junk. It reads the sockets' monitors, where alone a failed
handshake is seen, and must never stop: ZeroMQ's I/O thread waits for whoever does not read them.
"""

import threading
from collections import Counter
from typing import Any

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from websim.service.logs import get_logger
from websim.wire.curve import Domain, ServerKeys
from websim.wire.handshakes import EVENTS, FAILURES, Failure

log = get_logger("websim_orchestrator")

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_VERSION = b"1.0"


class Gate:
    """Guards the sockets of one context until the context ends."""

    def __init__(self, context: "zmq.Context[Any]", keys: ServerKeys | None) -> None:
        self.refused: Counter[tuple[str, Failure]] = Counter()
        """Handshakes that failed, by socket and reason."""
        self._keys = keys
        self._admitted = {} if keys is None else {k.encode(): v for k, v in keys.admitted.items()}
        self._monitors: dict[zmq.Socket[bytes], Domain] = {}
        # Before any socket is bound: their handshakes ask here.
        self._zap: zmq.Socket[bytes] = context.socket(zmq.REP)
        self._zap.set(zmq.LINGER, 0)
        self._zap.bind(ZAP_ENDPOINT)
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)

    def guard(self, socket: "zmq.Socket[bytes]", domain: Domain) -> None:
        """Guard a socket that is not bound yet."""
        if self._keys is not None:
            self._keys.apply(socket)
        socket.set(zmq.ZAP_DOMAIN, domain.encode())
        # Without it, a socket whose peers nobody judges would let everybody in.
        socket.set(zmq.ZAP_ENFORCE_DOMAIN, 1)
        self._monitors[socket.get_monitor_socket(EVENTS)] = domain

    def start(self) -> None:
        """Begin, once every socket is guarded; ends with the context."""
        self._thread.start()

    def _run(self) -> None:
        poller = zmq.Poller()
        for monitor in self._monitors:
            poller.register(monitor, zmq.POLLIN)
        poller.register(self._zap, zmq.POLLIN)
        try:
            while True:
                for socket, _ in poller.poll():
                    if socket is self._zap:
                        self._judge()
                    else:
                        self._look(self._monitors[socket], socket)
        except zmq.ContextTerminated:
            pass
        finally:
            for socket in self._monitors:
                socket.close(linger=0)
            self._zap.close(linger=0)

    def _judge(self) -> None:
        """Answer one question: may this peer talk to that socket?"""
        _, request, domain, address, _, mechanism, *credentials = self._zap.recv_multipart()
        if self._keys is None:
            good = mechanism == b"NULL"
        else:
            good = mechanism == b"CURVE" and credentials[0] in self._admitted[domain]
        status = [b"200", b"OK"] if good else [b"400", b"this key is not admitted here"]
        self._zap.send_multipart([ZAP_VERSION, request, *status, b"", b""])
        if not good:
            key = z85.encode(b"".join(credentials)).decode()
            self._note(domain.decode(), "key", address=address.decode(), key=key)

    def _look(self, domain: str, monitor: "zmq.Socket[bytes]") -> None:
        """Count a failed handshake; those for a key's sake are counted where they are judged."""
        reason = FAILURES.get(recv_monitor_message(monitor)["event"])
        if reason is not None and reason != "key":
            self._note(domain, reason)

    def _note(self, domain: str, reason: Failure, **facts: str) -> None:
        count = self.refused[domain, reason] = self.refused[domain, reason] + 1
        if count & (count - 1) == 0:  # the first, second, fourth, eighth ...: never a flood
            log.warning("peer refused", socket=domain, reason=reason, times=count, **facts)
