"""A rollout's storage: T vector steps of N envs by (t, env_id), in preallocated arrays."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from websim.client import ShardResult
from websim_learner.models import NumpyActor
from websim_learner.normalizers import ObservationScale, RunningMoments

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class Ends:
    """Where episodes ended within a rollout, in (t, env_id) order; k of them."""

    t: NDArray[np.int64]
    """Step within the rollout. Shape: (k,)."""
    env_id: NDArray[np.int64]
    """Shape: (k,)."""
    final_obs: Float32
    """What the env looked like when the episode ended. Shape: (k, obs_dim)."""
    episode_return: Float64
    """Sum of the task's own reward; NaN where the learner cut the episode. Shape: (k,)."""
    episode_length: NDArray[np.int64]
    """Env steps. Shape: (k,)."""
    episode_fitness: Float64
    """Shape: (k,)."""
    episode_success: Float64
    """NaN where the task defines no success. Shape: (k,)."""


ENDS_COLUMNS = tuple(field.name for field in fields(Ends))

TABLES = ("obs", "action", "noise", "task_reward", "terminated", "truncated", "invalid")
"""The arrays of a rollout that are allocated once."""


class Rollout:
    """T vector steps of N envs in preallocated arrays, filled in place and reused."""

    def __init__(self, num_steps: int, num_envs: int, obs_dim: int, action_dim: int) -> None:
        """Allocate.

        Args:
            num_steps: T.
            num_envs: N.
            obs_dim: columns of an observation.
            action_dim: columns of an action.
        """
        shape = (num_steps, num_envs)
        self.num_steps, self.num_envs = shape
        self.obs: Float32 = np.zeros((num_steps + 1, num_envs, obs_dim), np.float32)
        """What the policy saw; row T is what it sees next. Shape: (T + 1, N, obs_dim)."""
        self.action: Float32 = np.zeros((*shape, action_dim), np.float32)
        """What the policy drew, unclipped, in policy units. Shape: (T, N, action_dim)."""
        self.noise: Float32 = np.zeros((*shape, action_dim), np.float32)
        """The standard normal numbers behind the actions. Shape: (T, N, action_dim)."""
        self.task_reward: Float64 = np.zeros(shape)
        """The task's own reward. Shape: (T, N)."""
        self.terminated: Bool = np.zeros(shape, np.bool_)
        """Shape: (T, N), like the next two."""
        self.truncated: Bool = np.zeros(shape, np.bool_)
        self.invalid: Bool = np.zeros(shape, np.bool_)
        """Transitions in which the engine diverged: nothing is learned from them."""
        self.fields: dict[str, Float64] = {}
        """Requested fields, where the action led, before any reset. Shape: (T, N) or (T, N, c)."""
        self.log_std: Float32 = np.zeros(action_dim, np.float32)
        """The behaviour policy's log standard deviation. Shape: (action_dim,)."""
        self.obs_scale = ObservationScale.of(RunningMoments(obs_dim))
        """The normalisation through which the behaviour policy saw."""
        self.first_t = 0
        """Vector steps of the run before this rollout."""
        self._ends: list[Ends] = []
        self._sorted: Ends | None = None

    def begin(self, first_t: int, obs: Float32, actor: NumpyActor, fields: Sequence[str]) -> None:
        """Make the buffer ready for vector steps first_t .. first_t + T - 1.

        Args:
            first_t: vector steps of the run before this rollout.
            obs: what the policy sees first. Shape: (N, obs_dim).
            actor: the behaviour policy.
            fields: names of the fields that will come with every result.
        """
        self.first_t = first_t
        self.obs[0] = obs
        self.log_std = actor.log_std
        self.obs_scale = actor.scale
        self.fields = {name: self.fields.get(name, np.zeros(0)) for name in fields}
        self._ends = []
        self._sorted = None

    def store(self, t: int, first: int, result: ShardResult) -> None:
        """Copy one shard's step result, but for its observations, to row t.

        Args:
            t: the step within the rollout.
            first: the shard's first env.
            result: arrays of the shard's n envs.
        """
        rows = slice(first, first + len(result.reward))
        self.task_reward[t, rows] = result.reward
        self.terminated[t, rows] = result.terminated
        self.truncated[t, rows] = result.truncated
        self.invalid[t, rows] = result.invalid
        for name, table in self.fields.items():
            value = result.fields[name]
            shape = (self.num_steps, self.num_envs, *value.shape[1:])
            if table.shape != shape:
                self.fields[name] = np.zeros(shape)
            self.fields[name][t, rows] = value
        if len(result.ended):
            self._ends.append(
                Ends(
                    np.full(len(result.ended), t),
                    result.ended.astype(np.int64) + first,
                    result.final_obs.astype(np.float32),
                    result.episode_return.astype(np.float64),
                    result.episode_length.astype(np.int64),
                    result.episode_fitness.astype(np.float64),
                    result.episode_success.astype(np.float64),
                )
            )

    def cut(self, t: int, env_id: NDArray[np.int64]) -> None:
        """Note that the learner ended episodes after step t, where row t + 1 of obs shows them.

        They are truncated like by the clock, but what they returned is nobody's measure.

        Args:
            t: the step within the rollout.
            env_id: envs whose episode had not ended at t. Shape: (k,).
        """
        self.truncated[t, env_id] = True
        unknown = np.full(len(env_id), np.nan)
        length = np.zeros(len(env_id), np.int64)
        final_obs = self.obs[t + 1, env_id].copy()
        at = np.full(len(env_id), t)
        self._ends.append(Ends(at, env_id, final_obs, unknown, length, unknown, unknown))

    def ends(self) -> Ends:
        """Return the episodes that ended, in (t, env_id) order; the rollout is whole."""
        if self._sorted is not None:
            return self._sorted
        index = np.zeros(0, np.int64)
        none = np.zeros(0)
        final_obs = np.zeros((0, self.obs.shape[2]), np.float32)
        parts = [Ends(index, index, final_obs, none, index, none, none), *self._ends]
        columns = [np.concatenate([getattr(part, name) for part in parts]) for name in ENDS_COLUMNS]
        order = np.lexsort((columns[1], columns[0]))
        self._sorted = Ends(*(column[order] for column in columns))
        return self._sorted

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything that was collected, for a checkpoint; views, not copies."""
        ends = self.ends()
        return {
            **{name: getattr(self, name) for name in TABLES},
            **{f"ends.{name}": getattr(ends, name) for name in ENDS_COLUMNS},
            **{f"field.{name}": table for name, table in self.fields.items()},
            "log_std": self.log_std,
            "scale.mean": self.obs_scale.mean,
            "scale.inverse_std": self.obs_scale.inverse_std,
        }

    def load(self, arrays: dict[str, NDArray[Any]], first_t: int) -> None:
        """Take over what `arrays` returned.

        Args:
            arrays: of a rollout of the same shape.
            first_t: vector steps of the run before that rollout.

        Raises:
            ValueError: it is of another shape.
        """
        for name in TABLES:
            own: NDArray[Any] = getattr(self, name)
            if arrays[name].shape != own.shape:
                raise ValueError(f"its rollout's {name} has shape {arrays[name].shape}")
            np.copyto(own, arrays[name])
        self._sorted = Ends(**{name: arrays[f"ends.{name}"] for name in ENDS_COLUMNS})
        start = "field."
        self.fields = {k[len(start) :]: v for k, v in arrays.items() if k.startswith(start)}
        self.log_std = arrays["log_std"]
        self.obs_scale = ObservationScale(arrays["scale.mean"], arrays["scale.inverse_std"])
        self.first_t = first_t
