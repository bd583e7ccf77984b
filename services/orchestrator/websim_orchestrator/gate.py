"""Who is let in, and the count of those who are not: a thread beside the runtime's.

With keys it answers ZeroMQ's question about each peer's key (ZAP, RFC 27) from the lists of
admitted keys; with or without, it reads the sockets' monitors, where alone a failed handshake is
seen. It must never stop reading them: ZeroMQ's I/O thread waits for whoever does not.
"""

import threading
from collections import Counter
from typing import Any

import zmq
from zmq.utils.monitor import recv_monitor_message

from websim.service.logs import get_logger
from websim.wire.curve import DOMAINS, Domain, ServerKeys
from websim.wire.handshakes import EVENTS, FAILURES, Failure

log = get_logger("websim_orchestrator")

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_VERSION = b"1.0"
MAX_REFUSALS_LOGGED = 10
"""Refused peers that the log names, for each socket and reason; all are counted."""


class Gate:
    """Guards the sockets of one context until the context ends."""

    def __init__(self, context: "zmq.Context[Any]", keys: ServerKeys | None) -> None:
        self.refused: Counter[tuple[Domain, Failure]] = Counter()
        """Handshakes that failed, by socket and reason."""
        self._keys = keys
        self._monitors: dict[zmq.Socket[bytes], Domain] = {}
        self._zap: zmq.Socket[bytes] | None = None
        if keys is not None:
            # Before any socket is bound: the handshakes ask from then on.
            self._zap = context.socket(zmq.REP)
            self._zap.set(zmq.LINGER, 0)
            self._zap.bind(ZAP_ENDPOINT)
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)

    def guard(self, socket: "zmq.Socket[bytes]", domain: Domain) -> None:
        """Guard a socket that is not bound yet."""
        if self._keys is not None:
            self._keys.apply(socket, domain)
        self._monitors[socket.get_monitor_socket(EVENTS)] = domain

    def start(self) -> None:
        """Begin, once every socket is guarded; ends with the context."""
        self._thread.start()

    def _run(self) -> None:
        poller = zmq.Poller()
        for monitor in self._monitors:
            poller.register(monitor, zmq.POLLIN)
        if self._zap is not None:
            poller.register(self._zap, zmq.POLLIN)
        try:
            while True:
                for socket, _ in poller.poll():
                    if socket is self._zap:
                        self._judge(self._zap)
                    else:
                        self._count(self._monitors[socket], socket)
        except zmq.ContextTerminated:
            pass
        finally:
            for socket in self._monitors:
                socket.close(linger=0)
            if self._zap is not None:
                self._zap.close(linger=0)

    def _judge(self, zap: "zmq.Socket[bytes]") -> None:
        """Answer one question: may this key talk to that socket?"""
        _, request, domain, _, _, mechanism, *credentials = zap.recv_multipart()
        admitted = self._admitted(domain) if mechanism == b"CURVE" else frozenset()
        good = len(credentials) == 1 and credentials[0] in admitted
        status = [b"200", b"OK"] if good else [b"400", b"this key is not admitted here"]
        zap.send_multipart([ZAP_VERSION, request, *status, b"", b""])

    def _admitted(self, domain: bytes) -> frozenset[bytes]:
        for name in DOMAINS:
            if self._keys is not None and name.encode() == domain:
                return self._keys.admitted[name]
        return frozenset()

    def _count(self, domain: Domain, monitor: "zmq.Socket[bytes]") -> None:
        event = recv_monitor_message(monitor)
        reason = FAILURES.get(event["event"])
        if reason is None:
            return
        self.refused[domain, reason] += 1
        if self.refused[domain, reason] <= MAX_REFUSALS_LOGGED:
            log.warning("peer refused", socket=domain, reason=reason, endpoint=event["endpoint"])
