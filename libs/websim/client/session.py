"""A client's session on a fleet: its shards, what is outstanding on them, and what comes back.

Used by FleetVectorEnv and by learners. One thread at a time; it owns the socket. What the network
loses is asked for again: a command is named by (session, shard, t) and takes effect once.
"""

import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import zmq
from numpy.typing import NDArray

from websim.client.errors import FleetError, FleetRefused, FleetTimeout, FleetUnavailable
from websim.client.knobs import Knobs, as_ranges
from websim.client.results import EnvironmentState, ShardResult, read_result
from websim.service.hosts import leaves_machine
from websim.wire import lifecycle
from websim.wire.codec import Array, Decoder, Envelope, describe, encode
from websim.wire.curve import load_peer_keys
from websim.wire.errors import UnknownVersion, WireError
from websim.wire.handshakes import HandshakeWatch
from websim.wire.messages import (
    Applied,
    ClientHeartbeat,
    CloseSession,
    EnvState,
    GetSnapshot,
    GetState,
    Message,
    ObsDtype,
    OpenSession,
    Refused,
    Reset,
    ResetEnv,
    RestoreShard,
    SessionOpened,
    SessionWaiting,
    SetKnobs,
    SetState,
    ShardSpan,
    ShardState,
    Step,
    Stepped,
    TaskInfo,
    ToClient,
    Value,
    WasReset,
)
from websim.wire.sockets import make_socket, receive, send

log = logging.getLogger("websim.client")

Socket = zmq.Socket[Any]

CLOSE_LINGER_MS = 300
"""How long the last message of a session may take to leave."""


@dataclass(slots=True)
class _ShardSide:
    """The client's view of a shard."""

    span: ShardSpan
    t: int = 0
    outstanding: list[Any] | None = None
    """Frames of the command without an answer, to send again."""
    turns_knobs: bool = False
    """The outstanding command is a SetKnobs: `recv` returns its answer."""


class FleetSession:
    """Environments on a fleet, by shard."""

    def __init__(
        self,
        address: str,
        *,
        task: str,
        num_envs: int,
        seed: int,
        obs_dtype: ObsDtype = "float32",
        shard_envs: int = 0,
        label: str = "",
        overrides: Mapping[str, Value] | None = None,
        files: Mapping[str, bytes] | None = None,
        keys: str | Path | None = None,
        deadline_s: float = lifecycle.FLEET_DEADLINE_S,
        while_waiting: Callable[[], object] = lambda: None,
    ) -> None:
        """Open a session.

        Args:
            address: the orchestrator's client address, tcp://HOST:PORT.
            task: a bundled task's id, or the id of the custom task in `files`.
            num_envs: environments of the session.
            seed: keys all randomness of the session's environments.
            obs_dtype: dtype of obs and final_obs.
            shard_envs: environments per shard; 0 takes the default for num_envs.
            label: shown to people beside the session.
            overrides: values of the task's parameters.
            files: a custom task's files by name, task.yaml among them.
            keys: directory with server.key and client.key_secret of a key set (`websim keys`),
                where the orchestrator wants keys.
            deadline_s: how long to wait for workers to build the environments.
            while_waiting: called several times a second until they have; what it raises ends the
                waiting.

        Raises:
            FleetUnavailable: no orchestrator answers at the address, or it does not let us in.
            FleetTimeout: no worker built the environments in time.
            FleetRefused: the fleet refuses the task, an override or a number.
            UserError: a key cannot be read.
        """
        peer_keys = None if keys is None else load_peer_keys(Path(keys), "client")
        if peer_keys is None and leaves_machine(address):
            log.warning("no keys for %s: an orchestrator that has keys refuses us", address)
        self.address = address
        self.obs_dtype = obs_dtype
        self.waiting = ""
        """Why nothing happens just now, for a person; empty while all is well."""
        self._session = 0
        self._sides: list[_ShardSide] = []
        self._asking_back: list[Any] | None = None
        """Frames that ask a restarted orchestrator for the session, until it answers."""
        self._arrived: deque[ShardResult] = deque()
        self._requests = 1
        self._unanswered: GetSnapshot | None = None
        """The question for a snapshot whose answer `snapshot` has not waited for."""
        self._heard_s = self._asked_s = self._waited_s = 0.0
        self._decoder: Decoder[Any] = Decoder(ToClient)
        self._context: zmq.Context[Any] = zmq.Context()
        self._socket = make_socket(self._context, zmq.DEALER)
        self._socket.set(zmq.IDENTITY, b"client-" + secrets.token_bytes(8))
        if peer_keys is not None:
            peer_keys.apply(self._socket)
        self._handshakes = HandshakeWatch(self._socket, peer_keys is not None)
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self._disconnect()
            raise FleetUnavailable(
                f"{address!r} is not a fleet's address: {str(error).lower()}",
                "Write tcp://HOST:PORT.",
            ) from None
        specs, frames = describe(
            {
                f"task:{name}": np.frombuffer(content, np.uint8)
                for name, content in (files or {}).items()
            }
        )
        self._opening = OpenSession(
            request=self._requests,
            task=task,
            num_envs=num_envs,
            seed=seed,
            obs_dtype=obs_dtype,
            shard_envs=shard_envs,
            label=label,
            overrides=dict(overrides or {}),
            arrays=specs,
        )
        self._task_files = frames
        try:
            opened = self._open(encode(self._opening, frames), deadline_s, while_waiting)
        except BaseException:
            self._disconnect()
            raise
        self._handshakes.close()
        self.task: TaskInfo = opened.task
        self.shards: tuple[ShardSpan, ...] = opened.shards
        self._session = opened.session
        self._sides = [_ShardSide(span) for span in opened.shards]

    @property
    def session_id(self) -> int:
        """The fleet's number for the session."""
        return self._session

    @property
    def num_envs(self) -> int:
        """Environments of the session."""
        return sum(span.num_envs for span in self.shards)

    @property
    def sockets(self) -> tuple[Socket, ...]:
        """Where results arrive, for `wait_for_any`; only `recv` may take them."""
        return (self._socket,)

    # --- commands

    def send_reset(
        self, shard: int, seed: int | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Reset a shard's environments.

        Args:
            shard: index into `shards`.
            seed: re-keys the shard's randomness; None goes on with it.
            mask: (n,) which ones; None: all.
        """
        side = self._free(shard)
        message = Reset(session=self._session, shard=shard, t=side.t + 1, seed=seed)
        self._command(side, message, {} if mask is None else {"mask": mask})

    def send(self, shard: int, action: NDArray[np.float32], fields: Sequence[str] = ()) -> None:
        """Act in a shard's environments.

        Args:
            shard: index into `shards`.
            action: (n, action_dim) float32, as it reaches the environment.
            fields: names of the task's fields wanted with the answer.
        """
        side = self._free(shard)
        message = Step(session=self._session, shard=shard, t=side.t + 1, fields=tuple(fields))
        self._command(side, message, {"action": action})

    def send_knobs(self, shard: int, knobs: Knobs) -> None:
        """Draw knobs of a shard's environments from ranges, from each one's next episode on.

        `recv` returns a result of kind "knobs" with the observations as they are.

        Args:
            shard: index into `shards`.
            knobs: knob -> (low, high), or one number for both, in the knob's unit. Those not named
                keep their range; `task.knobs` lists them all.

        Raises:
            FleetError: the task has no such knob, or a range is wider than it allows.
        """
        side = self._free(shard)
        ranges = as_ranges(self.task.knobs, knobs)
        message = SetKnobs(session=self._session, shard=shard, t=side.t + 1, knobs=ranges)
        self._command(side, message, {})
        side.turns_knobs = True

    def send_restore(self, shard: int, snapshot: Mapping[str, Array]) -> None:
        """Continue a shard from a snapshot; `recv` returns its present observations as a reset's.

        Args:
            shard: index into `shards`.
            snapshot: what `snapshot` returned for a shard of the same task, envs and dtype, in
                this session or in another one.
        """
        side = self._free(shard)
        message = RestoreShard(session=self._session, shard=shard, t=side.t + 1)
        self._command(side, message, snapshot)

    def snapshot(
        self, shard: int, timeout_s: float = lifecycle.FLEET_DEADLINE_S
    ) -> dict[str, Array]:
        """Return a shard's whole state by name, as copies; nothing is outstanding on it.

        Args:
            shard: index into `shards`.
            timeout_s: how long to wait.

        Raises:
            FleetTimeout: no worker answered within timeout_s; called again, it goes on waiting
                for the same answer.
            FleetUnavailable: the orchestrator is silent.
            FleetRefused: the fleet refused to, or closed the session.
        """
        self._free(shard)
        question = self._unanswered
        known = question is not None and question.shard == shard
        if question is None or not known:
            self._requests += 1
            question = GetSnapshot(session=self._session, shard=shard, request=self._requests)
        self._unanswered = question
        arrays = self._question(question, timeout_s, asked=known).arrays()
        self._unanswered = None
        return {name: array.copy() for name, array in arrays.items()}

    def recv(self, timeout_s: float = lifecycle.FLEET_DEADLINE_S) -> ShardResult:
        """Wait for the next shard that has an answer, in order of arrival.

        Args:
            timeout_s: how long to wait; 0 takes only what has arrived.

        Raises:
            FleetTimeout: none came within timeout_s; it may still come.
            FleetUnavailable: the orchestrator is silent.
            FleetRefused: the fleet refused a command or closed the session.
        """
        until_s = time.monotonic() + timeout_s
        while not self._arrived:
            if self.idle:
                raise FleetError(
                    "recv without anything outstanding", "Call send or send_reset first."
                )
            self._take(until_s)
        return self._arrived.popleft()

    @property
    def idle(self) -> bool:
        """Whether nothing is outstanding, and nothing has come that `recv` has not returned."""
        return not self._arrived and all(side.outstanding is None for side in self._sides)

    def discard(self, timeout_s: float = lifecycle.FLEET_DEADLINE_S) -> None:
        """Wait for the answers to all that is outstanding, and forget them: nobody wants them.

        Raises:
            FleetTimeout, FleetUnavailable, FleetRefused: as `recv`.
        """
        until_s = time.monotonic() + timeout_s
        while any(side.outstanding is not None for side in self._sides):
            self._take(until_s)
        self._arrived.clear()

    def set_state(self, env_id: int, qpos: NDArray[np.float64], qvel: NDArray[np.float64]) -> Array:
        """Put one environment somewhere and start an episode there.

        Args:
            env_id: which environment.
            qpos: (nq,) positions.
            qvel: (nv,) velocities.

        Returns:
            (obs_dim,) the observation there.
        """
        shard, side = self._side_of(env_id)
        self._free(shard)
        message = SetState(session=self._session, shard=shard, t=side.t + 1, env_id=env_id)
        arrays = {"qpos": np.asarray(qpos, np.float64), "qvel": np.asarray(qvel, np.float64)}
        obs = self._apply(side, message, arrays).array("obs")
        if obs is None:
            raise FleetError("the worker answered without an observation", "Upgrade the fleet.")
        row: Array = obs[0].copy()
        return row

    def reset_env(self, env_id: int) -> None:
        """Truncate one environment at its next step, where it is reset."""
        shard, side = self._side_of(env_id)
        self._free(shard)
        message = ResetEnv(session=self._session, shard=shard, t=side.t + 1, env_id=env_id)
        self._apply(side, message, {})

    def get_state(self, env_id: int) -> EnvironmentState:
        """Ask for one environment's state."""
        shard, _ = self._side_of(env_id)
        self._requests += 1
        envelope = self._question(
            GetState(session=self._session, shard=shard, env_id=env_id, request=self._requests)
        )
        state = envelope.message
        arrays = envelope.arrays()
        return EnvironmentState(
            env_id=env_id,
            time_s=state.time_s,
            qpos=arrays["qpos"].copy(),
            qvel=arrays["qvel"].copy(),
            fields={
                name[6:]: array.copy()
                for name, array in arrays.items()
                if name.startswith("field:")
            },
            episode_return=state.episode_return,
            episode_length=state.episode_length,
        )

    def close(self) -> None:
        """Give the environments back. Does nothing when called again."""
        if self._socket.closed:
            return
        self._transmit(encode(CloseSession(session=self._session)))
        self._disconnect(CLOSE_LINGER_MS)

    # --- inside

    def _disconnect(self, linger_ms: int = 0) -> None:
        self._handshakes.close()
        self._socket.close(linger=linger_ms)
        self._context.term()

    def _side_of(self, env_id: int) -> tuple[int, _ShardSide]:
        for shard, side in enumerate(self._sides):
            if side.span.first_env_id <= env_id < side.span.first_env_id + side.span.num_envs:
                return shard, side
        raise FleetError(
            f"there is no environment {env_id}", f"env_id is 0 to {self.num_envs - 1}."
        )

    def _free(self, shard: int) -> _ShardSide:
        if self._socket.closed:
            raise FleetError("the session is closed", "Open a new one.")
        if not 0 <= shard < len(self._sides):
            raise FleetError(f"there is no shard {shard}", f"shard is 0 to {len(self._sides) - 1}.")
        side = self._sides[shard]
        if side.outstanding is not None:
            raise FleetError(
                f"shard {shard} has not answered its last command",
                "Call recv until it has, or reset.",
            )
        return side

    def _command(self, side: _ShardSide, message: Message, arrays: Mapping[str, Array]) -> None:
        specs, frames = describe(arrays)
        # What a snapshot was asked of is about to change.
        self._unanswered = None
        # A resend must not see what the caller has written into the array since.
        parts = encode(
            msgspec.structs.replace(message, arrays=specs), [frame.tobytes() for frame in frames]
        )
        side.t += 1
        side.outstanding = parts
        side.turns_knobs = False
        self._transmit(parts)

    def _apply(
        self, side: _ShardSide, message: SetState | ResetEnv, arrays: Mapping[str, Array]
    ) -> Envelope[Any]:
        self._command(side, message, arrays)
        until_s = time.monotonic() + lifecycle.FLEET_DEADLINE_S
        while True:
            envelope = self._take(until_s)
            answer = envelope.message
            if (
                isinstance(answer, Applied)
                and answer.shard == message.shard
                and answer.t == message.t
            ):
                return envelope

    def _question(
        self,
        question: GetState | GetSnapshot,
        timeout_s: float = lifecycle.FLEET_DEADLINE_S,
        *,
        asked: bool = False,
    ) -> Envelope[Any]:
        """Ask, unless that was `asked` already, and wait for the answer of the same request."""
        until_s = time.monotonic() + timeout_s
        frames = encode(question)
        if not asked:
            self._transmit(frames)
        while True:
            envelope = self._take(until_s, again=frames)
            answer = envelope.message
            if isinstance(answer, EnvState | ShardState) and answer.request == question.request:
                return envelope

    def _transmit(self, parts: list[Any]) -> None:
        try:
            send(self._socket, parts)
        except zmq.Again:
            return  # not connected just now: what is outstanding is sent again

    def _open(
        self, parts: list[Any], deadline_s: float, while_waiting: Callable[[], object]
    ) -> SessionOpened:
        """Ask until the session is open."""
        started_s = time.monotonic()
        answered = False
        next_ask_s = 0.0
        while True:
            while_waiting()
            now_s = time.monotonic()
            if not answered and (
                self._handshakes.final or now_s - started_s > lifecycle.CONNECT_DEADLINE_S
            ):
                raise FleetUnavailable(
                    *self._handshakes.explain(
                        self.address, "Start a fleet with `websim up`, or correct the address."
                    )
                )
            if now_s - started_s > deadline_s:
                raise FleetTimeout(
                    f"the fleet at {self.address} did not build the environments within "
                    f"{deadline_s:.0f} s" + (f": {self.waiting}" if self.waiting else ""),
                    "Look at its workers' logs.",
                )
            if now_s >= next_ask_s:
                self._transmit(parts)
                next_ask_s = now_s + (lifecycle.CLIENT_PROBE_S if answered else 0.1)
            if not self._socket.poll(50):
                continue
            envelope = self._receive()
            if envelope is None:
                continue
            answered = True
            match envelope.message:
                case SessionOpened() as opened:
                    self.waiting = ""
                    return opened
                case SessionWaiting(reason=reason):
                    self.waiting = reason
                case Refused() as refusal:
                    raise FleetRefused(refusal.code, refusal.message, refusal.remedy)

    def _receive(self) -> Envelope[Any] | None:
        """Take one message that is there; broken ones are dropped."""
        frames = receive(self._socket)
        if frames is None:
            return None
        try:
            return self._decoder.decode(frames)
        except UnknownVersion as error:
            raise FleetRefused("version", f"the orchestrator at {self.address}: {error}") from None
        except WireError as error:
            log.warning("a message of the fleet is dropped: %s", error)
            return None

    def _take(self, until_s: float, again: list[Any] | None = None) -> Envelope[Any]:
        """Wait for one message and file it; what is outstanding is sent again into a silence.

        Args:
            until_s: time.monotonic() to wait until.
            again: a question to ask again with what is outstanding.
        """
        now_s = time.monotonic()
        if now_s - self._waited_s > lifecycle.CLIENT_PROBE_S:
            # The caller was busy elsewhere: a silence it did not listen to is none.
            self._heard_s = self._asked_s = now_s
        while True:
            now_s = self._waited_s = time.monotonic()
            if (envelope := self._receive()) is not None:
                self._heard_s = now_s
                if self._file(envelope):
                    self._asked_s = now_s
                    return envelope
            if now_s - self._heard_s > 2 * lifecycle.CONNECT_DEADLINE_S:
                raise FleetUnavailable(
                    f"the orchestrator at {self.address} has been silent for "
                    f"{now_s - self._heard_s:.0f} s",
                    "Look whether it still runs.",
                )
            if now_s > until_s:
                raise FleetTimeout(
                    "no environment answered in time"
                    + (f": {self.waiting}" if self.waiting else ""),
                    "Wait again, or look at the workers' logs.",
                )
            if now_s - self._asked_s > lifecycle.CLIENT_PROBE_S:
                self._asked_s = now_s
                self._ask_again(again)
            if envelope is None:
                self._socket.poll(min(200, int((until_s - now_s) * 1000) + 1))

    def _ask_back(self) -> None:
        """Ask an orchestrator that does not know the session for it: the workers still hold it."""
        self.waiting = "the orchestrator was restarted; the session is asked back"
        self._requests += 1
        request = msgspec.structs.replace(
            self._opening,
            request=self._requests,
            session=self._session,
            done=tuple(side.t - (side.outstanding is not None) for side in self._sides),
        )
        self._asking_back = encode(request, self._task_files)
        self._transmit(self._asking_back)

    def _ask_again(self, question: list[Any] | None) -> None:
        if self._asking_back is not None:
            self._transmit(self._asking_back)
            return
        self._transmit(encode(ClientHeartbeat(session=self._session)))
        for side in self._sides:
            if side.outstanding is not None:
                self._transmit(side.outstanding)
        if question is not None:
            self._transmit(question)

    def _file(self, envelope: Envelope[Any]) -> bool:
        """Put an answer where it belongs; True when a caller may have waited for it."""
        match envelope.message:
            case Stepped() | WasReset() | Applied() as answer:
                side = self._sides[answer.shard]
                if answer.session != self._session or side.outstanding is None:
                    return False
                if answer.t != side.t:
                    return False
                side.outstanding = None
                self.waiting = ""
                # What else is applied, `_apply` waits for, or has given up.
                if not isinstance(answer, Applied) or side.turns_knobs:
                    self._arrived.append(read_result(envelope, side.span.num_envs))
                return True
            case EnvState() | ShardState():
                return True
            case SessionOpened() as opened:
                if self._asking_back is not None and opened.session == self._session:
                    self._asking_back = None
                    self.waiting = ""
                    self._asked_s = 0.0
            case Refused(code="unknown_session", session=session) if session == self._session:
                if self._asking_back is None:
                    self._ask_back()
            case SessionWaiting(reason=reason):
                self.waiting = reason
            case Refused() as refusal if refusal.session in (0, self._session):
                if refusal.code in ("outstanding", "out_of_order"):
                    return False  # an echo of a command that was sent twice
                if refusal.code == "not_open" and self._asking_back is not None:
                    return False  # it is sent again when the session is back
                if 0 <= refusal.shard < len(self._sides):
                    side = self._sides[refusal.shard]
                    if refusal.t == side.t:
                        side.outstanding = None
                raise FleetRefused(refusal.code, refusal.message, refusal.remedy)
        return False


def wait_for_any(sockets: Sequence[Socket], timeout_s: float) -> bool:
    """Wait until something arrives at one of several sessions; return whether it did."""
    poller = zmq.Poller()
    for socket in sockets:
        poller.register(socket, zmq.POLLIN)
    return bool(poller.poll(int(timeout_s * 1000) + 1))
