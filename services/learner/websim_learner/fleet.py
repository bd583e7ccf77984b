"""What the learner needs of a fleet session: the part of `websim.client` that it uses.

The learner never looks behind this interface; its tests implement it with a few lines of numpy.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from websim.client import (
    EnvironmentState,
    FleetRefused,
    FleetTimeout,
    FleetUnavailable,
    FleetVectorEnv,
    ShardResult,
    Socket,
    make_vec,
)
from websim.service.errors import UserError
from websim.service.logs import get_logger
from websim.tasks import TaskError
from websim.wire.lifecycle import CLIENT_PROBE_S
from websim.wire.messages import ShardSpan, TaskInfo
from websim_learner.run_dir import RunConfig

log = get_logger("websim_learner")

Answer = TypeVar("Answer")


class FleetClient(Protocol):
    """One session: N envs of one task in shards, at most one command outstanding per shard."""

    @property
    def task(self) -> TaskInfo:
        """What the envs simulate."""

    @property
    def shards(self) -> tuple[ShardSpan, ...]:
        """Runs of consecutive envs; a shard is named by its index here."""

    @property
    def waiting(self) -> str:
        """Why nothing happens just now, for a person; empty while all is well."""

    @property
    def sockets(self) -> tuple[Socket, ...]:
        """Where results arrive, for `wait_for_any`."""

    def send_reset(
        self, shard: int, seed: int | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Start new episodes in a shard, in the envs of the mask (n,) or in all."""

    def send(self, shard: int, action: NDArray[np.float32], fields: Sequence[str] = ()) -> None:
        """Act in every env of a shard. action: (n, action_dim), within the action space."""

    def send_knobs(self, shard: int, knobs: Mapping[str, float | tuple[float, float]]) -> None:
        """Draw knobs of a shard from ranges from each next episode on; answered by a "knobs"."""

    def recv(self, timeout_s: float = ...) -> ShardResult:
        """Wait for any shard's result; FleetTimeout when none came in time."""

    def snapshot(self, shard: int, timeout_s: float = ...) -> dict[str, NDArray[Any]]:
        """Return a shard's whole state, as copies; nothing is outstanding on it.

        FleetTimeout when it did not come in time; asked for again, it may still come.
        """

    def send_restore(self, shard: int, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Put a shard where a snapshot was taken; answered by a "reset" with its observations."""

    def get_state(self, env_id: int) -> EnvironmentState:
        """Return one env's state."""

    def close(self) -> None:
        """Give the envs back."""


def open_session(
    config: RunConfig,
    num_envs: int,
    seed: int,
    *,
    fleet: str | None,
    keys: Path | None = None,
    workers: int | None = None,
    label: str = "",
    while_waiting: Callable[[], object] = lambda: None,
) -> FleetVectorEnv:
    """Open a session of a run's task.

    Args:
        config: the run's.
        num_envs: envs of the session.
        seed: keys their randomness.
        fleet: address of a running fleet; None starts a private one that ends with the session.
        keys: directory of the key set that the fleet uses.
        workers: of the private fleet.
        label: shown to people beside the session.
        while_waiting: called several times a second until the envs are built; what it raises ends
            the waiting.

    Raises:
        UserError: there is no fleet or no such task file, or it is refused; says what to do.
    """
    overrides: dict[str, Any] = config.task_overrides
    try:
        return make_vec(
            config.task,
            num_envs,
            seed=seed,
            fleet=fleet,
            keys=keys,
            workers=workers,
            label=label,
            while_waiting=while_waiting,
            **overrides,
        )
    except TaskError as error:
        raise UserError(str(error)) from None


def num_envs(client: FleetClient) -> int:
    """Return the number of envs of a session."""
    return sum(span.num_envs for span in client.shards)


def turn_knobs(
    client: FleetClient, ranges: Mapping[str, tuple[float, float]], waiter: "Waiter"
) -> None:
    """Draw knobs of all envs from ranges, from each one's next episode on.

    Args:
        client: the session; nothing is outstanding on it.
        ranges: knob -> (low, high); the others keep theirs, and none: nothing is sent.
        waiter: waits for the answers.

    Raises:
        RunStopped, FleetTimeout, FleetUnavailable, FleetRefused: it was not done.
    """
    if not ranges:
        return
    for shard in range(len(client.shards)):
        client.send_knobs(shard, ranges)
    for _ in client.shards:
        waiter.receive(client, STOP_PATIENCE_S)


POLL_S = 0.25
"""How long one receive waits before somebody looks whether the run is to stop."""

PATIENCE_S = 60.0
"""The longest silence of the fleet, without a reason given, that is waited out."""

UNAVAILABLE_PAUSE_S = 1.5 * CLIENT_PROBE_S
"""Wait before an orchestrator that went silent is tried again; its client needs a pause."""

STOP_PATIENCE_S = 2.0
"""Silence after which a run that is to stop abandons the rollout under way."""

LOST_CODES = frozenset({"shard_lost", "unknown_session"})
"""Refusals that say that a session's envs are gone for good."""


class RunStopped(Exception):
    """What was under way is abandoned because the run is to stop; what came before it stands."""


def is_lost(error: Exception) -> bool:
    """Return whether an error says that the envs of a session are gone, and nothing worse."""
    return isinstance(error, FleetRefused) and error.code in LOST_CODES


class Waiter:
    """Waits for the fleet: without limit while it says why nothing comes, else for a while."""

    def __init__(
        self, stop: Callable[[], bool] = lambda: False, patience_s: float = PATIENCE_S
    ) -> None:
        """Wait like this.

        Args:
            stop: asked at every receive and several times a second; True ends the waiting.
            patience_s: how long nothing may come while no reason is given.
        """
        self.rest: Callable[[], object] = lambda: None
        """Called before every receive; waits out a pause."""
        self._stop = stop
        self._patience_s = patience_s
        self.quiet_since_s: float | None = None
        """time.monotonic() since when results are awaited in vain; None while they come."""

    def receive(self, client: FleetClient, stop_after_s: float = 0.0) -> ShardResult:
        """Return the next result of any shard.

        Args:
            client: on which something is outstanding.
            stop_after_s: a run that is to stop waits for this much of silence first, unless
                there is a reason for it: what is under way comes to its end where the fleet lets
                it.

        Raises:
            RunStopped: the run is to stop.
            FleetTimeout: nothing came for longer than is patient, and nobody says why.
            FleetUnavailable: there is no orchestrator, for as long.
            FleetRefused: the fleet says no.
        """
        self.rest()
        return self._await(
            lambda: client.recv(timeout_s=POLL_S), lambda: client.waiting, stop_after_s
        )

    def snapshot(self, client: FleetClient, shard: int) -> dict[str, NDArray[Any]]:
        """Return a shard's whole state; raises what `receive` raises."""
        return self._await(
            lambda: client.snapshot(shard, timeout_s=POLL_S),
            lambda: client.waiting,
            STOP_PATIENCE_S,
        )

    def look(self) -> None:
        """Look whether the run is to stop; called several times a second while a session opens.

        Raises:
            RunStopped: it is.
        """
        if self._stop():
            raise RunStopped

    def open(self, open_session: Callable[[int], FleetClient], seed: int) -> FleetClient:
        """Return a session that a function opens with a seed; raises what `receive` raises.

        The function may wait for long, and calls `look` meanwhile.
        """
        return self._await(lambda: open_session(seed), lambda: "it has not built the envs yet", 0.0)

    def _await(
        self, ask: Callable[[], Answer], reason: Callable[[], str], stop_after_s: float
    ) -> Answer:
        """Ask until there is an answer.

        Args:
            ask: asks once.
            reason: says why the fleet does not answer yet; empty when it gives no reason.
            stop_after_s: see `receive`.
        """
        began_s = silent_since_s = time.monotonic()
        told = ""
        while True:
            waited_s = time.monotonic() - began_s
            if self._stop() and (waited_s >= stop_after_s or reason()):
                raise RunStopped
            try:
                answer = ask()
            except (FleetTimeout, FleetUnavailable) as error:
                now_s = time.monotonic()
                self.quiet_since_s = began_s
                gone = isinstance(error, FleetUnavailable)
                why = str(error) if gone else reason()
                if why and not gone:
                    silent_since_s = now_s
                elif now_s - silent_since_s > self._patience_s:
                    raise
                # For how long an orchestrator has been silent is not told again and again.
                if why and why != told and not (gone and told):
                    told = why
                    log.warning("waiting for the fleet", reason=why)
                if gone:
                    time.sleep(UNAVAILABLE_PAUSE_S)
                continue
            if told:
                log.info("the fleet answers again", after_s=round(time.monotonic() - began_s, 1))
            self.quiet_since_s = None
            return answer
