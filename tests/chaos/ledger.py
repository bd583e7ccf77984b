"""A client that keeps books of every transition, and the check of two such books.

The ledger of a session holds, for each shard, what came of each command in order of arrival: its
number t and a digest of every array of the answer. Actions depend on (shard, t) alone, so two
runs of the same seed and the same lengths have the same ledger, whatever happened to the fleet.
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from websim.client import FleetSession, ShardResult

NUM_SHARDS = 4

ACTION_TABLES = 64
"""Different actions; step t takes number t modulo this."""


@dataclass
class Ledger:
    """What a session answered, and how fast."""

    rows: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    """By shard: (t, digest) in order of arrival."""
    skipped: list[tuple[int, int]] = field(default_factory=list)
    """(shard, t) of steps that the fleet took for the cause of three losses in a row."""
    episodes: int = 0
    env_steps: int = 0
    seconds: float = 0.0

    @property
    def steps_per_s(self) -> float:
        """Env steps per second of wall-clock."""
        return self.env_steps / self.seconds

    @property
    def lengths(self) -> dict[int, int]:
        """Last t of each shard."""
        return {shard: rows[-1][0] for shard, rows in self.rows.items()}

    def record(self, result: ShardResult) -> None:
        """Add an answer."""
        self.rows.setdefault(result.shard, []).append((result.t, digest(result)))
        if result.skipped:
            self.skipped.append((result.shard, result.t))
        self.episodes += len(result.ended)
        if result.kind == "step":
            self.env_steps += len(result.reward)


def digest(result: ShardResult) -> bytes:
    """Return a digest of everything an answer says, NaN included."""
    sums = hashlib.blake2b(digest_size=16)
    arrays = (
        *(result.obs, result.reward, result.terminated, result.truncated, result.invalid),
        *(result.ended, result.final_obs, result.episode_return, result.episode_length),
        *(result.episode_fitness, result.episode_success),
    )
    for array in arrays:
        sums.update(f"{array.dtype.str}{array.shape}".encode())
        sums.update(np.ascontiguousarray(array).tobytes())
    return sums.digest()


def problems(ledger: Ledger, undisturbed: Ledger) -> list[str]:
    """Return in words where a ledger is not what it must be; empty when it is exact.

    Each shard's numbers are to be 1, 2, 3, ...: once each, in order, without a gap; and each
    digest is to be the undisturbed run's.
    """
    found = []
    if sorted(ledger.rows) != sorted(undisturbed.rows):
        found.append(f"shards {sorted(ledger.rows)}, not {sorted(undisturbed.rows)}")
    for shard in sorted(ledger.rows.keys() & undisturbed.rows.keys()):
        rows, right = ledger.rows[shard], undisturbed.rows[shard]
        for expected, (t, _) in enumerate(rows, start=1):
            if t != expected:
                found.append(f"shard {shard}: t {t} where {expected} is due")
                break
        if len(rows) != len(right):
            found.append(f"shard {shard}: {len(rows)} answers, not {len(right)}")
        for (t, mine), (_, theirs) in zip(rows, right, strict=False):
            if mine != theirs:
                why = ": it was skipped" if (shard, t) in ledger.skipped else ""
                found.append(f"shard {shard}: the answer to t {t} has other bits{why}")
                break
    return found


def drive(
    address: str,
    lengths: int | Mapping[int, int],
    *,
    task: str = "Hopper-v5",
    num_envs: int = 256,
    seed: int = 11,
    more: Callable[[int, int], bool] = lambda shard, t: True,
    answered: Callable[[int, float], None] = lambda shard, sent_s: None,
) -> Ledger:
    """Drive a session by send and recv, every shard on its own, and return its ledger.

    Args:
        address: Of the fleet, for clients.
        lengths: Last t of every shard, or of each.
        task: Task; Hoppers fall often, so episodes end and begin all the time.
        num_envs: Environments.
        seed: Of the session and of the actions.
        more: Asked with shard and t after each answer; False ends that shard.
        answered: Told of every answer, with the shard and when its command went out.
    """
    ledger = Ledger()
    session = FleetSession(
        address, task=task, num_envs=num_envs, seed=seed, shard_envs=-(-num_envs // NUM_SHARDS)
    )
    try:
        spans = session.shards
        if isinstance(lengths, int):
            lengths = dict.fromkeys(range(len(spans)), lengths)
        tables = _actions(session, seed)
        began_s = time.monotonic()
        sent_s = dict.fromkeys(range(len(spans)), began_s)
        for shard in sent_s:
            session.send_reset(shard)
        under_way = len(spans)
        while under_way:
            result = session.recv()
            ledger.record(result)
            answered(result.shard, sent_s[result.shard])
            if result.t >= lengths[result.shard] or not more(result.shard, result.t):
                under_way -= 1
                continue
            sent_s[result.shard] = time.monotonic()
            session.send(result.shard, tables[result.shard][result.t % ACTION_TABLES])
        ledger.seconds = time.monotonic() - began_s
    finally:
        session.close()
    return ledger


def _actions(session: FleetSession, seed: int) -> list[list[NDArray[np.float32]]]:
    """Return the actions by shard and number, each (n, action_dim)."""
    low, high = np.array(session.task.action_low), np.array(session.task.action_high)
    tables = []
    for shard, span in enumerate(session.shards):
        draw = np.random.Generator(np.random.Philox(key=[seed, shard]))
        shape = (ACTION_TABLES, span.num_envs, len(low))
        tables.append(list(draw.uniform(low, high, shape).astype(np.float32)))
    return tables
