"""One policy on several tasks: sessions of the fleet that together look like one.

The first session is of the run's own task; the others simulate tasks that see, move and measure the
same things. Their envs and shards are numbered after its own.
"""

import bisect
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from websim.client import EnvironmentState, FleetTimeout, ShardResult, Socket, wait_for_any
from websim.service.errors import UserError
from websim.wire.lifecycle import FLEET_DEADLINE_S
from websim.wire.messages import ShardSpan, TaskInfo
from websim_learner.fleet import FleetClient, num_envs
from websim_learner.randomness import Stream, derived_seed

POLL_S = 0.1
"""How long a session with nothing to say is left alone: it asks again for what got lost."""


class DividedFleet:
    """Implements `FleetClient` by several of them, at most one command outstanding per shard."""

    def __init__(self, clients: Sequence[FleetClient]) -> None:
        """Put sessions together.

        Args:
            clients: nothing is outstanding on them; the first is of the run's own task.

        Raises:
            UserError: a policy of the first task cannot act in another one, or its rewards
                cannot be computed there.
        """
        own = clients[0].task
        for client in clients[1:]:
            if (why := misfit(own, client.task)) is not None:
                raise UserError(
                    f"{client.task.id} cannot be trained on beside {own.id}: {why}",
                    "Both tasks have to see, move and measure the same things.",
                )
        ids = [client.task.id for client in clients]
        if len(set(ids)) < len(ids):
            raise UserError(
                f"two of the tasks are called {max(ids, key=ids.count)}",
                "Give each task file an id of its own.",
            )
        self.task = own
        self.clients = tuple(clients)
        """By task, the run's own first."""
        self._places: list[tuple[int, int]] = []
        """Part and shard there of each shard."""
        self._first_shard: list[int] = []
        self._first_env_id: list[int] = []
        spans: list[ShardSpan] = []
        first = 0
        for part, client in enumerate(clients):
            self._first_shard.append(len(spans))
            self._first_env_id.append(first)
            for shard, span in enumerate(client.shards):
                self._places.append((part, shard))
                spans.append(ShardSpan(first + span.first_env_id, span.num_envs))
            first += num_envs(client)
        self.shards = tuple(spans)
        self._outstanding = [0] * len(clients)
        self._next = 0

    @property
    def sockets(self) -> tuple[Socket, ...]:
        """Where results arrive."""
        return tuple(socket for client in self.clients for socket in client.sockets)

    @property
    def waiting(self) -> str:
        """Why nothing happens just now, for a person; empty while all is well."""
        return next((client.waiting for client in self.clients if client.waiting), "")

    def send_reset(
        self, shard: int, seed: int | None = None, mask: NDArray[np.bool_] | None = None
    ) -> None:
        """Start new episodes in a shard; each task's envs draw numbers of their own."""
        part, own = self._command(shard)
        seed = None if seed is None else seed_of_part(seed, part)
        self.clients[part].send_reset(own, seed, mask)

    def send(self, shard: int, action: NDArray[np.float32], fields: Sequence[str] = ()) -> None:
        """Act in every env of a shard."""
        part, own = self._command(shard)
        self.clients[part].send(own, action, fields)

    def send_knobs(self, shard: int, knobs: Mapping[str, float | tuple[float, float]]) -> None:
        """Draw the knobs that the shard's task has from ranges, within what it allows."""
        part, own = self._command(shard)
        client = self.clients[part]
        client.send_knobs(own, _allowed(client.task, knobs) if part else knobs)

    def send_restore(self, shard: int, snapshot: Mapping[str, NDArray[Any]]) -> None:
        """Put a shard where a snapshot was taken."""
        part, own = self._command(shard)
        self.clients[part].send_restore(own, snapshot)

    def recv(self, timeout_s: float = FLEET_DEADLINE_S) -> ShardResult:
        """Wait for any shard's result; FleetTimeout when none came in time."""
        until_s = time.monotonic() + timeout_s
        while True:
            busy = [part for part, count in enumerate(self._outstanding) if count]
            # The part after the one that answered last comes first: none starves another.
            for part in sorted(busy, key=lambda part: (part - self._next) % len(self.clients)):
                try:
                    result = self.clients[part].recv(0.0)
                except FleetTimeout as error:
                    silence = error
                    continue
                self._next = part + 1
                self._outstanding[part] -= 1
                return replace(result, shard=self._first_shard[part] + result.shard)
            left_s = until_s - time.monotonic()
            if left_s <= 0.0:
                raise silence
            sockets = [socket for part in busy for socket in self.clients[part].sockets]
            wait_for_any(sockets, min(left_s, POLL_S))

    def snapshot(self, shard: int, timeout_s: float = FLEET_DEADLINE_S) -> dict[str, NDArray[Any]]:
        """Return a shard's whole state, as copies; FleetTimeout when it did not come in time."""
        part, own = self._places[shard]
        return self.clients[part].snapshot(own, timeout_s)

    def get_state(self, env_id: int) -> EnvironmentState:
        """Return one env's state."""
        part = bisect.bisect_right(self._first_env_id, env_id) - 1
        state = self.clients[part].get_state(env_id - self._first_env_id[part])
        return replace(state, env_id=env_id)

    def close(self) -> None:
        """Give all envs back."""
        for client in self.clients:
            client.close()

    def _command(self, shard: int) -> tuple[int, int]:
        """Return part and shard there that a command goes to, and count it."""
        place = self._places[shard]
        self._outstanding[place[0]] += 1
        return place


def parts_of(client: FleetClient) -> tuple[FleetClient, ...]:
    """Return a session's parts by task, the run's own first; of a plain session, itself."""
    return client.clients if isinstance(client, DividedFleet) else (client,)


def seed_of_part(seed: int, part: int) -> int:
    """Return what keys the randomness of a part's envs; the first part's is the session's own."""
    return derived_seed(seed, Stream.DIVIDED_SESSION, part) if part else seed


def misfit(own: TaskInfo, other: TaskInfo) -> str | None:
    """Return why a policy and the rewards of one task cannot be used in another; None: they can."""
    if own.obs_names != other.obs_names or own.obs_dim != other.obs_dim:
        return "it is seen otherwise"
    if own.action_names != other.action_names or own.action_dim != other.action_dim:
        return "its actions are others"
    if (own.action_low, own.action_high) != (other.action_low, other.action_high):
        return "its actions have other bounds"
    there = {field.name: field.columns for field in other.fields}
    lacking = [each.name for each in own.fields if there.get(each.name) != each.columns]
    return f"it lacks the field {lacking[0]}" if lacking else None


def _allowed(
    task: TaskInfo, knobs: Mapping[str, float | tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Return the ranges of those knobs that a task has, cut to what it allows."""
    known = {knob.name: knob for knob in task.knobs}
    allowed = {}
    for name, value in knobs.items():
        if (knob := known.get(name)) is None:
            continue
        low, high = (value, value) if isinstance(value, int | float) else value
        bottom, top = np.clip((low, high), knob.low, knob.high).tolist()
        allowed[name] = (bottom, top)
    return allowed
