"""The orchestrator's I/O: one thread that owns the sockets, feeds the brain and does what it says.

Other threads (HTTP) reach the brain only through `read` and `ask`, which run in this one.
"""

import math
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import zmq

from websim.service.errors import UserError
from websim.service.http import Pulse
from websim.service.logs import get_logger
from websim.service.shutdown import Shutdown
from websim.wire import lifecycle
from websim.wire.codec import Decoder, Envelope, encode
from websim.wire.curve import Domain, ServerKeys
from websim.wire.errors import WireError
from websim.wire.messages import FromClient, FromWorker, Message, Refused
from websim.wire.sockets import make_socket, receive, send
from websim.wire.telemetry import make_publisher
from websim_orchestrator.brain import Brain
from websim_orchestrator.events import (
    AnswerPerson,
    ClientMessage,
    ClientUnreachable,
    EnvResetAsked,
    Event,
    Frames,
    Publish,
    SceneAsked,
    SendClient,
    SendWorker,
    StateAsked,
    Subscribed,
    Ticked,
    WorkerMessage,
    WorkerUnreachable,
    WriteLog,
)
from websim_orchestrator.gate import Gate

T = TypeVar("T")
log = get_logger("websim_orchestrator")

BURST = 64
"""Messages taken from one socket before the other gets its turn."""
MAX_STRIKES = 10
"""Broken messages a peer is answered for; then it is ignored."""
MAX_QUESTIONS = 256
"""Bound of the HTTP questions that wait for a worker."""


class TooManyQuestions(Exception):
    """More HTTP questions wait than the runtime takes: ask again later."""


class Runtime:
    """Sockets, clock and questions around a Brain."""

    def __init__(
        self,
        brain: Brain,
        host: str,
        worker_port: int,
        client_port: int,
        telemetry_port: int,
        keys: ServerKeys | None = None,
    ) -> None:
        self.brain = brain
        self.pulse = Pulse()
        self.counters: Counter[str] = Counter()
        self._context: zmq.Context[Any] = zmq.Context()
        self.gate = Gate(self._context, keys)
        self._workers = make_socket(self._context, zmq.ROUTER)
        self._clients = make_socket(self._context, zmq.ROUTER)
        self._telemetry = make_publisher(self._context)
        self.worker_address = self._bind(self._workers, "workers", host, worker_port, "worker")
        self.client_address = self._bind(self._clients, "clients", host, client_port, "client")
        self.telemetry_address = self._bind(
            self._telemetry, "clients", host, telemetry_port, "telemetry"
        )
        self.gate.start()
        self._worker_decoder: Decoder[Any] = Decoder(FromWorker)
        self._client_decoder: Decoder[Any] = Decoder(FromClient)
        self._strikes: Counter[bytes] = Counter()
        self._calls: deque[Callable[[], None]] = deque()
        self._questions: dict[int, Future[Envelope[Message]]] = {}
        self._next_token = 1
        self._wake_lock = threading.Lock()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)

    def _bind(
        self, socket: "zmq.Socket[bytes]", domain: Domain, host: str, port: int, name: str
    ) -> str:
        """Listen, and return where; peers of `domain` are admitted."""
        self.gate.guard(socket, domain)
        try:
            socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            raise UserError(
                f"cannot listen on {host}:{port}: {str(error).lower()}",
                f"Stop what uses it, or choose another port with --{name}-port (0: a free one).",
            ) from None
        return socket.get_string(zmq.LAST_ENDPOINT).rstrip("\0")

    # --- from other threads

    def read(self, look: Callable[[Brain], T]) -> "Future[T]":
        """Run `look` on the brain in the runtime's thread; it must only look."""
        future: Future[T] = Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(look(self.brain))
                except (KeyError, ValueError, LookupError) as error:
                    future.set_exception(error)

        self._call(call)
        return future

    def ask(
        self, make: Callable[[float, int], StateAsked | EnvResetAsked | SceneAsked]
    ) -> "Future[Envelope[Message]]":
        """Put a person's question; the future holds a worker's answer.

        Args:
            make: Makes the question from the time and its token.

        Raises (in the future):
            LookupError: the session or environment does not exist; its text says which.
            TimeoutError: no worker answered in time; its text says what follows.
            TooManyQuestions: ask again later.
        """
        future: Future[Envelope[Message]] = Future()

        def call() -> None:
            if not future.set_running_or_notify_cancel():
                return
            if len(self._questions) >= MAX_QUESTIONS:
                future.set_exception(TooManyQuestions())
                return
            token = self._next_token
            self._next_token += 1
            self._questions[token] = future
            self._handle(make(time.monotonic(), token))

        self._call(call)
        return future

    def _call(self, call: Callable[[], None]) -> None:
        self._calls.append(call)
        with self._wake_lock:
            try:
                os.write(self._wake_in, b"x")
            except BlockingIOError:
                return  # the pipe is full of wake-ups: the thread will wake

    # --- the loop

    def run(self, shutdown: Shutdown) -> None:
        """Serve until shutdown is requested."""
        poller = zmq.Poller()
        poller.register(self._workers, zmq.POLLIN)
        poller.register(self._clients, zmq.POLLIN)
        poller.register(self._telemetry, zmq.POLLIN)
        poller.register(self._wake_out, zmq.POLLIN)
        poller.register(shutdown.fileno(), zmq.POLLIN)
        next_tick_s = time.monotonic()
        try:
            while not shutdown.requested:
                now_s = time.monotonic()
                if now_s >= next_tick_s:
                    next_tick_s = now_s + lifecycle.TICK_S
                    self.pulse.beat()
                    self._handle(Ticked(now_s))
                ready = dict(poller.poll(math.ceil(max(0.0, next_tick_s - now_s) * 1000)))
                if self._workers in ready:
                    self._receive(self._workers, self._worker_decoder, WorkerMessage)
                if self._clients in ready:
                    self._receive(self._clients, self._client_decoder, ClientMessage)
                if self._telemetry in ready:
                    self._receive_subscriptions()
                if self._wake_out in ready:
                    os.read(self._wake_out, 4096)
                while self._calls:
                    self._calls.popleft()()
        finally:
            self._workers.close()
            self._clients.close()
            self._telemetry.close()
            self._context.term()

    def _receive(
        self,
        socket: "zmq.Socket[bytes]",
        decoder: Decoder[Any],
        event: type[WorkerMessage] | type[ClientMessage],
    ) -> None:
        for _ in range(BURST):
            frames = receive(socket)
            if frames is None:
                return
            peer = frames[0].bytes
            try:
                envelope = decoder.decode(frames[1:])
            except WireError as error:
                self._strike(socket, peer, error)
                continue
            self._handle(event(time.monotonic(), peer, envelope))

    def _receive_subscriptions(self) -> None:
        for _ in range(BURST):
            frames = receive(self._telemetry)
            if frames is None:
                return
            said = frames[0].bytes
            if len(frames) == 1 and said[:1] in (b"\0", b"\1"):
                self._handle(Subscribed(time.monotonic(), said[1:], said[:1] == b"\1"))

    def _strike(self, socket: "zmq.Socket[bytes]", peer: bytes, error: WireError) -> None:
        """Count a broken message; tell the peer, but not for ever."""
        self.counters[f"broken_{error.reason}"] += 1
        if len(self._strikes) > 4096:
            self._strikes.clear()
        self._strikes[peer] += 1
        if self._strikes[peer] > MAX_STRIKES:
            return
        log.warning("broken message", reason=error.reason, detail=str(error)[:200])
        refusal = Refused(
            code=f"broken_{error.reason}",
            message=str(error)[:500],
            remedy="docs/protocol.md is the specification",
        )
        self._send(socket, peer, refusal, ())

    def _handle(self, event: Event) -> None:
        todo = deque(self.brain.handle(event))
        while todo:
            instruction = todo.popleft()
            match instruction:
                case SendWorker(identity=identity, message=message, frames=frames):
                    if not self._send(self._workers, identity, message, frames):
                        todo.extend(
                            self.brain.handle(WorkerUnreachable(time.monotonic(), identity))
                        )
                case SendClient(identity=identity, message=message, frames=frames):
                    if not self._send(self._clients, identity, message, frames):
                        todo.extend(
                            self.brain.handle(ClientUnreachable(time.monotonic(), identity))
                        )
                case Publish(topic=topic, message=message, frames=frames):
                    self.counters[f"published_{message.__struct_config__.tag}"] += 1
                    send(self._telemetry, [topic, *encode(message, frames)], copy=False)
                case AnswerPerson():
                    self._answer(instruction)
                case WriteLog(level=level, event=name, facts=facts):
                    getattr(log, level)(name, **facts)

    def _answer(self, answer: AnswerPerson) -> None:
        future = self._questions.pop(answer.token, None)
        if future is None:
            return
        if answer.envelope is not None:
            future.set_result(answer.envelope)
        else:
            problem = TimeoutError if answer.late else LookupError
            future.set_exception(problem(answer.problem))

    def _send(
        self, socket: "zmq.Socket[bytes]", peer: bytes, message: Message, frames: Frames
    ) -> bool:
        """Send without waiting; False when the peer is gone."""
        try:
            send(socket, [peer, *encode(message, frames)], copy=False)
        except zmq.Again:
            # The peer does not read. A worker is as good as gone; a client will ask again.
            self.counters["queue_full"] += 1
            return socket is self._clients
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return False
        return True
