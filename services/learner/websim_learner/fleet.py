"""What the learner needs of a fleet session: the part of `websim.client` that it uses.

The learner never looks behind this interface; its tests implement it with a few lines of numpy.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from websim.client import EnvironmentState, FleetTimeout, ShardResult, make_vec
from websim.wire.messages import ShardSpan, TaskInfo
from websim_learner.run_dir import RunConfig


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

    def send_reset(
        self, shard: int, seed: int | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Start new episodes in a shard, in the envs of the mask (n,) or in all."""

    def send(self, shard: int, action: NDArray[np.float32], fields: Sequence[str] = ()) -> None:
        """Act in every env of a shard. action: (n, action_dim), within the action space."""

    def recv(self, timeout_s: float = ...) -> ShardResult:
        """Wait for any shard's result; FleetTimeout when none came in time."""

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
) -> FleetClient:
    """Open a session of a run's task.

    Args:
        config: the run's.
        num_envs: envs of the session.
        seed: keys their randomness.
        fleet: address of a running fleet; None starts a private one that ends with the session.
        keys: directory of the key set that the fleet uses.
        workers: of the private fleet.
        label: shown to people beside the session.

    Raises:
        UserError: there is no fleet, or it refuses the task; says what to do.
    """
    overrides: dict[str, Any] = config.task_overrides
    return make_vec(
        config.task,
        num_envs,
        seed=seed,
        fleet=fleet,
        keys=keys,
        workers=workers,
        label=label,
        **overrides,
    )


def num_envs(client: FleetClient) -> int:
    """Return the number of envs of a session."""
    return sum(span.num_envs for span in client.shards)


POLL_S = 0.25
"""How long one receive waits before somebody looks whether the run is to stop."""

PATIENCE_S = 60.0
"""The longest silence of the fleet that is waited out: workers die, and others take over."""


class RunStopped(Exception):
    """What was under way is abandoned because the run is to stop; what came before it stands."""


class Waiter:
    """Waits for results; a slow fleet is waited for, a silent one is an error."""

    def __init__(
        self, stop: Callable[[], bool] = lambda: False, patience_s: float = PATIENCE_S
    ) -> None:
        """Wait like this.

        Args:
            stop: asked at every receive and several times a second; True ends the waiting.
            patience_s: how long nothing may come.
        """
        self._stop = stop
        self._patience_s = patience_s
        self.quiet_since_s: float | None = None
        """time.monotonic() since when results are awaited in vain; None while they come."""

    def receive(self, client: FleetClient) -> ShardResult:
        """Return the next result of any shard.

        Raises:
            RunStopped: the run is to stop.
            FleetTimeout: nothing came for longer than is patient.
        """
        started_s = time.monotonic()
        while True:
            if self._stop():
                raise RunStopped
            try:
                result = client.recv(timeout_s=POLL_S)
            except FleetTimeout:
                self.quiet_since_s = started_s
                if time.monotonic() - started_s > self._patience_s:
                    raise
                continue
            self.quiet_since_s = None
            return result
