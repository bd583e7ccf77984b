"""What a fleet answers a client with: results of commands on a shard, states of environments."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from websim.wire.codec import Array, Envelope
from websim.wire.messages import Applied, Stepped, WasReset

NO_EPISODES = np.empty((0, 4))
NO_ENDED = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class ShardResult:
    """What became of one command on one shard of n environments, k of whose episodes ended.

    Arrays are views of received frames: copy what is to be kept.
    """

    shard: int
    t: int
    """The client's number of the command, from 1 in each shard."""
    kind: str
    """"step", "reset" or "knobs"."""
    obs: Array
    """(n, obs_dim) after any reset, in the session's obs_dtype."""
    reward: NDArray[np.float64]
    """(n,) the task's own reward."""
    terminated: NDArray[np.bool_]
    """(n,)"""
    truncated: NDArray[np.bool_]
    """(n,)"""
    invalid: NDArray[np.bool_]
    """(n,) the engine diverged: nothing is to be learned from this transition."""
    ended: NDArray[np.int32]
    """(k,) indices within the shard, ascending."""
    final_obs: Array
    """(k, obs_dim) where the ended episodes led."""
    episode_return: NDArray[np.float64]
    """(k,)"""
    episode_length: NDArray[np.int64]
    """(k,) steps"""
    episode_fitness: NDArray[np.float64]
    """(k,) in the task's fitness unit"""
    episode_success: NDArray[np.float64]
    """(k,) 1 or 0, NaN when the task defines no success"""
    fields: Mapping[str, NDArray[np.float64]]
    """The fields asked for, (n,) or (n, columns), where the action led, before any reset."""
    skipped: bool = False
    """The step was not simulated, because it ended one worker after another: all its transitions
    are invalid and truncated."""


@dataclass(frozen=True, slots=True)
class EnvironmentState:
    """One environment, now."""

    env_id: int
    time_s: float
    qpos: NDArray[np.float64]
    qvel: NDArray[np.float64]
    fields: Mapping[str, NDArray[np.float64]]
    episode_return: float
    episode_length: int


KINDS = {Stepped: "step", WasReset: "reset", Applied: "knobs"}


def read_result(envelope: Envelope[Stepped | WasReset | Applied], num_envs: int) -> ShardResult:
    """Read a worker's answer to a Step, Reset or SetKnobs of a shard of num_envs environments."""
    answer = envelope.message
    arrays = envelope.arrays()
    obs = arrays["obs"]
    episode = arrays.get("episode", NO_EPISODES)
    terminated, truncated = arrays.get("terminated"), arrays.get("truncated")
    invalid, final_obs = arrays.get("invalid"), arrays.get("final_obs")
    none = np.zeros(num_envs, np.bool_)
    return ShardResult(
        shard=answer.shard,
        t=answer.t,
        kind=KINDS[type(answer)],
        obs=obs,
        reward=arrays.get("reward", np.zeros(num_envs)),
        terminated=none if terminated is None else terminated.view(np.bool_),
        truncated=none if truncated is None else truncated.view(np.bool_),
        invalid=none if invalid is None else invalid.view(np.bool_),
        ended=arrays.get("ended", NO_ENDED),
        final_obs=obs[:0] if final_obs is None else final_obs,
        episode_return=episode[:, 0],
        episode_length=episode[:, 1].astype(np.int64),
        episode_fitness=episode[:, 2],
        episode_success=episode[:, 3],
        fields={name[6:]: array for name, array in arrays.items() if name.startswith("field:")},
        skipped=isinstance(answer, Stepped) and answer.skipped,
    )
