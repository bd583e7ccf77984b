"""The worker's loop: one thread, one socket, the shards it holds.

Commands of a shard are carried out in the order of their `seq`, each once; what belongs to an older
assignment is dropped. Several shards per worker make double buffering: while one is stepped, the
commands of the others wait in the socket.
"""

import contextlib
import math
import os
import secrets
import socket as host_socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import mujoco
import zmq

from websim.service.errors import UserError
from websim.service.http import Pulse
from websim.service.logs import get_logger
from websim.service.shutdown import Shutdown
from websim.wire import lifecycle
from websim.wire.codec import Array, Decoder, Envelope, encode
from websim.wire.curve import PeerKeys
from websim.wire.errors import UnknownVersion, WireError
from websim.wire.handshakes import HandshakeWatch
from websim.wire.messages import (
    AssignShard,
    GetScene,
    GetSnapshot,
    GetState,
    KeepShard,
    Look,
    Message,
    OrchestratorHeartbeat,
    Refused,
    ReleaseShard,
    Reset,
    ResetEnv,
    RestoreShard,
    SetKnobs,
    SetState,
    Step,
    TakeSnapshot,
    ToWorker,
    Welcome,
    WorkerGoodbye,
    WorkerHeartbeat,
    WorkerHello,
)
from websim.wire.sockets import make_socket, receive, send
from websim_sim_worker.held import HeldShards
from websim_sim_worker.tasks import summaries

log = get_logger("websim_sim_worker")

GOODBYE_LINGER_MS = 300
"""How long the last messages may take to leave."""


class Runtime:
    """A worker's connection to the orchestrator and the shards it steps."""

    def __init__(self, orchestrator: str, nthread: int, keys: PeerKeys | None = None) -> None:
        self.orchestrator = orchestrator
        self.nthread = nthread
        self.http_url = ""
        self.pulse = Pulse()
        self.counters: Counter[str] = Counter()
        self.worker_id: int | None = None
        self.draining = False
        self.held = HeldShards(nthread, self.counters)
        self._instance = secrets.token_hex(8)
        self._decoder: Decoder[Any] = Decoder(ToWorker)
        self._context: zmq.Context[Any] = zmq.Context()
        self._heard_s = self._told_s = 0.0
        self._keys = keys
        self._connect()

    def unready_reason(self) -> str | None:
        """Why the worker cannot step anything just now, or None."""
        if self.draining:
            return "draining"
        if self.worker_id is not None:
            return None
        return self._refused.message if self._refused else "no orchestrator has registered it yet"

    def _connect(self) -> None:
        self._socket = make_socket(self._context, zmq.DEALER)
        self._socket.set(zmq.IDENTITY, b"worker-" + secrets.token_bytes(8))
        if self._keys is not None:
            self._keys.apply(self._socket)
        self._refused: Refused | None = None
        """The last answer to the hello, where it was no."""
        self._handshakes = HandshakeWatch(self._socket, self._keys is not None)
        self._dial()

    def _dial(self) -> None:
        self._hopeful_since_s = time.monotonic()
        try:
            self._socket.connect(self.orchestrator)
        except zmq.ZMQError as error:
            raise UserError(
                f"--orchestrator {self.orchestrator} is not an address: {str(error).lower()}",
                "Write tcp://HOST:PORT.",
            ) from None

    # --- the loop

    def run(
        self, shutdown: Shutdown, on_registered: Callable[[], None], connect_deadline_s: float
    ) -> None:
        """Serve the orchestrator until shutdown is requested and the shards have moved away.

        Args:
            shutdown: its request starts the drain.
            on_registered: called once, without arguments, at the first Welcome.
            connect_deadline_s: give up when no orchestrator answers within this time of the start.

        Raises:
            UserError: no orchestrator answers, none admits this worker, or it speaks another
                protocol version.
        """
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(shutdown.fileno(), zmq.POLLIN)
        started_s = time.monotonic()
        drain_until_s = math.inf
        registered = False
        try:
            while True:
                now_s = time.monotonic()
                self.pulse.beat()
                if shutdown.requested and not self.draining:
                    self.draining = True
                    poller.unregister(shutdown.fileno())
                    drain_until_s = now_s + lifecycle.DRAIN_DEADLINE_S
                    self._beat(now_s)
                if self.draining and (not len(self.held) or now_s > drain_until_s):
                    break
                self._keep_in_touch(now_s)
                if self.worker_id is not None and not registered:
                    registered = True
                    on_registered()
                if not registered and now_s - started_s > connect_deadline_s:
                    raise UserError(*self._why_nobody_answers())
                poller.poll(100 if self.worker_id is None else 50)
                self._receive()
        finally:
            self._send(WorkerGoodbye())
            self._handshakes.close()
            self._socket.close(linger=GOODBYE_LINGER_MS)
            self._context.term()

    def _keep_in_touch(self, now_s: float) -> None:
        """Say hello until welcomed, then heartbeat; say hello again after a long silence."""
        silence_s = now_s - self._heard_s
        if self.worker_id is not None and silence_s > lifecycle.ORCHESTRATOR_SILENCE_S:
            log.warning("orchestrator silent", seconds=round(silence_s, 1))
            self._lose_touch()
        if self._handshakes.cut() and self.worker_id is not None:
            # An orchestrator that still knows this worker would wait for ever for the answers to
            # commands that never came.
            log.warning("connection cut")
            self._lose_touch()
        if len(self.held) and silence_s > lifecycle.HELD_GRACE_S:
            log.warning("shards dropped: nobody asks for them", shards=len(self.held))
            self.held.clear()
        hopeful_s = now_s - self._hopeful_since_s
        if self.worker_id is None and hopeful_s > lifecycle.ORCHESTRATOR_SILENCE_S:
            self._dial_again()
        interval_s = lifecycle.HELLO_INTERVAL_S if self.worker_id is None else lifecycle.HEARTBEAT_S
        if now_s - self._told_s >= interval_s:
            self._beat(now_s)

    def _beat(self, now_s: float) -> None:
        self._told_s = now_s
        if self.worker_id is None:
            if not self.draining:
                self._send(
                    WorkerHello(
                        instance=self._instance,
                        pid=os.getpid(),
                        host=host_socket.gethostname(),
                        nthread=self.nthread,
                        http_url=self.http_url,
                        package_version=version("websim-sim-worker"),
                        held=self.held.announce(),
                        tasks=summaries(),
                        mujoco_version=mujoco.mj_versionString(),
                    )
                )
            return
        self._send(
            WorkerHeartbeat(
                commands=self.counters["commands"],
                env_steps=self.counters["env_steps"],
                busy_s=self.held.busy_s,
                shards=len(self.held),
                draining=self.draining,
            )
        )

    def _lose_touch(self) -> None:
        """Introduce itself anew, as another instance, with the shards that it still holds.

        An orchestrator that knows them assigns them afresh; one that was restarted keeps them. By
        the socket's identity it knows that the same process is back.
        """
        self._hopeful_since_s = time.monotonic()  # ZeroMQ by itself connects again first
        self.worker_id = None
        self._instance = secrets.token_hex(8)

    def _dial_again(self) -> None:
        """Connect anew: ZeroMQ by itself does not knock twice where it was refused."""
        if self._handshakes.final:
            message, remedy = self._why_nobody_answers()
            log.warning(message, remedy=remedy)
        with contextlib.suppress(zmq.ZMQError):  # there is nothing left to disconnect
            self._socket.disconnect(self.orchestrator)
        self._dial()

    def _why_nobody_answers(self) -> tuple[str, str]:
        if self._refused is not None:
            refusal = self._refused
            return f"{self.orchestrator} refuses: {refusal.message}", refusal.remedy
        return self._handshakes.explain(
            self.orchestrator,
            "Start one with `python -m websim_orchestrator`, or correct --orchestrator.",
        )

    def _receive(self) -> None:
        """Handle what has arrived, keeping in touch between commands.

        Not for long: under steady load more has always arrived, and the loop has to turn.
        """
        until_s = time.monotonic() + lifecycle.HEARTBEAT_S
        while time.monotonic() < until_s:
            frames = receive(self._socket)
            if frames is None:
                return
            self._heard_s = time.monotonic()
            try:
                envelope = self._decoder.decode(frames)
            except UnknownVersion as error:
                raise UserError(f"the orchestrator at {self.orchestrator}: {error}") from None
            except WireError as error:
                self.counters["broken"] += 1
                log.warning("broken message", detail=str(error)[:200])
                continue
            self._handle(envelope)
            self._keep_in_touch(time.monotonic())

    def _handle(self, envelope: Envelope[Any]) -> None:
        match envelope.message:
            case (
                Step() | Reset() | SetState() | ResetEnv() | SetKnobs() | RestoreShard()
            ) as command:
                for message, frames in self.held.command(command, envelope):
                    self._send(message, frames)
                if isinstance(command, Step) and command.watch is not None:
                    # After the answer: nobody who trains waits for who looks.
                    self._show(command)
            case OrchestratorHeartbeat():
                pass
            case Welcome() as welcome:
                self.worker_id = welcome.worker_id
                self._refused = None
                self._handshakes.settle()
            case AssignShard() as assignment:
                self._send(*self.held.assign(assignment, envelope))
            case KeepShard() as keep:
                for message, frames in self.held.keep(keep):
                    self._send(message, frames)
            case ReleaseShard() as release:
                self.held.release(release)
            case TakeSnapshot() as take:
                for message, frames in self.held.take_snapshot(take):
                    self._send(message, frames)
            case GetState() as question:
                for message, frames in self.held.state(question):
                    self._send(message, frames)
            case GetSnapshot() as question:
                for message, frames in self.held.whole_state(question):
                    self._send(message, frames)
            case GetScene() as question:
                for message, frames in self.held.scene(question):
                    self._send(message, frames)
            case Look() as look:
                self._show(look)
            case Refused(code="unknown_worker"):
                if self.worker_id is not None:
                    self._lose_touch()
            case Refused(code="broken_version", message=reason):
                raise UserError(f"the orchestrator at {self.orchestrator} refused: {reason}")
            case Refused() as refusal:
                self._note_refusal(refusal)

    def _note_refusal(self, refusal: Refused) -> None:
        """Say it once: a hello is repeated, and so is the answer, until the reason is gone."""
        if refusal != self._refused:
            log.warning(
                "refused", code=refusal.code, message=refusal.message, remedy=refusal.remedy
            )
        if self.worker_id is None:
            self._refused = refusal

    def _show(self, seen: Step | Look) -> None:
        for message, frames in self.held.show(seen):
            self._send(message, frames)

    def _send(self, message: Message, frames: Sequence[Array] = ()) -> None:
        """Send without waiting; what cannot go to an absent orchestrator is dropped and counted."""
        try:
            send(self._socket, encode(message, frames))
        except zmq.Again:
            self.counters["unsent"] += 1
