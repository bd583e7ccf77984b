"""What a shard answers: the outcome of a step, and one environment for people."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ShardStep:
    """What a step did. Arrays are views of buffers that the next step reuses.

    n environments, k of them ended; their rows of `obs` already begin the next episode.
    """

    obs: npt.NDArray[Any]
    """(n, obs_dim) of the shard's obs_dtype, after any reset."""
    reward: Floats
    """(n,), 0 where invalid."""
    terminated: Bools
    truncated: Bools
    invalid: Bools
    """(n,): the engine diverged or failed, or the reward is not finite: nothing to learn from."""
    ended: Ids
    """(k,) rows whose episode ended, ascending."""
    final_obs: npt.NDArray[Any]
    """(k, obs_dim): where those episodes ended."""
    episode_return: Floats
    episode_length: Ids
    episode_fitness: Floats
    episode_success: Floats
    """(k,), NaN when the task defines none."""
    fields: dict[str, Floats]
    """Requested ones, (n,) or (n, columns): where the action led, before any reset."""


@dataclass(frozen=True)
class EnvState:
    """One environment as people ask for it; fields are those of its current state."""

    time_s: float
    qpos: Floats
    qvel: Floats
    fields: dict[str, Floats]
    episode_return: float
    episode_length: int
