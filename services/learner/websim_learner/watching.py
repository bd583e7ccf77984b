"""What is made of the steps of an evaluation as they come: fitness, reward, episodes to keep.

Nothing grows with the number of envs but a few numbers per transition: what is kept whole are the
episodes of the first envs alone, up to so many bytes.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from websim.wire.messages import TaskInfo
from websim_learner.adaptation.measure import FitnessTally, GoalMeasure
from websim_learner.adaptation.points import ComponentTally, Trajectory
from websim_learner.episodes import Step
from websim_learner.fleet import FleetClient, num_envs
from websim_learner.rewards import Reward
from websim_learner.tallies import tally

Float64 = NDArray[np.float64]

RECORDED_ENVS = 16
"""Envs whose episodes are recorded at most: the best, worst and median of these are kept."""

RECORDED_BYTES = 64 * 1024 * 1024
"""Of all that is recorded in an evaluation."""

EPISODE_BYTES = 8 * 1024 * 1024
"""Of one episode, beyond which its steps are not recorded: 1,000 steps of Humanoid-v5 fit."""


class Watcher:
    """Takes in the steps of one evaluation; may fail where a program does."""

    def __init__(
        self,
        client: FleetClient,
        measure: GoalMeasure | None = None,
        reward: Reward | None = None,
        *,
        record: bool = False,
    ) -> None:
        """Make ready.

        Args:
            client: the session that is evaluated on.
            measure: the goal's; None where the task's own fitness is what counts.
            reward: a program to sum; None for none.
            record: whether episodes are recorded.
        """
        self._names = [info.name for info in client.task.fields]
        self._needed = {*(measure.fields if measure else ()), *(reward.fields if reward else ())}
        self._shards = client.shards
        self._num_envs = num_envs(client)
        self._fitness = [measure.begin(each.num_envs) for each in self._shards] if measure else []
        self._reward = reward
        self._sums = [_Sums(np.zeros(each.num_envs)) for each in self._shards]
        self.recorder = Recorder(client) if record else None

    def fields(self, shard: int) -> tuple[str, ...]:
        """Return the fields that are needed of a shard, in the task's order."""
        if self.recorder is not None and self.recorder.rows(shard):
            return tuple(self._names)
        return tuple(name for name in self._names if name in self._needed)

    def note(self, shard: int, step: Step) -> None:
        """Take in a step.

        Raises:
            MeasureFailed, RewardFailed: a program failed.
        """
        # Step by step in the shard's own rows, as the worker does: the same bits.
        if self._fitness:
            self._fitness[shard].add(step.fields, step.action, step.counted)
        if self._reward is not None:
            self._sums[shard].add(self._reward, step)
        if self.recorder is not None:
            self.recorder.note(shard, step)

    def fitness(self) -> Float64:
        """Return the fitness of first episodes by the goal's measure. Shape: (num_envs,)."""
        tallies: list[FitnessTally] = self._fitness
        return self._by_env([each.report() for each in tallies])

    def rewards(self, fitness: Float64) -> tuple[Float64, dict[str, ComponentTally]]:
        """Return the reward's sum over each first episode (num_envs,), and its components.

        Args:
            fitness: of these episodes. Shape: (num_envs,).
        """
        total = self._by_env([each.total for each in self._sums])
        sums: dict[str, Float64] = {}
        values: dict[str, list[Float64]] = {}
        # Shard by shard, whatever the order in which their steps came.
        for shard, each in zip(self._shards, self._sums, strict=True):
            rows = slice(shard.first_env_id, shard.first_env_id + shard.num_envs)
            for name, part in each.parts.items():
                sums.setdefault(name, np.zeros_like(total))[rows] = part
                values.setdefault(name, []).extend(each.values[name])
        flat = {name: np.concatenate(parts) for name, parts in values.items()}
        return total, tally(flat, sums, fitness)

    def _by_env(self, of_shards: list[Float64]) -> Float64:
        values = np.full(self._num_envs, np.nan)
        for shard, part in zip(self._shards, of_shards, strict=True):
            values[shard.first_env_id : shard.first_env_id + shard.num_envs] = part
        return values


@dataclass
class _Sums:
    """A reward over the first episodes of a shard's n envs."""

    total: Float64
    """Shape: (n,)."""
    parts: dict[str, Float64] = field(default_factory=dict)
    """Of each component. Shape: (n,)."""
    values: dict[str, list[Float64]] = field(default_factory=dict)
    """Of each component, over the transitions that count, by step."""

    def add(self, reward: Reward, step: Step) -> None:
        guarded = reward.judge_step(step.fields, step.action, step.task_reward)
        counted = step.counted
        self.total += np.where(counted, guarded.total, 0.0)
        for name, part in guarded.components.items():
            self.values.setdefault(name, []).append(part[counted])
            self.parts.setdefault(name, np.zeros_like(self.total))
            self.parts[name] += np.where(counted, part, 0.0)


class Recorder:
    """Keeps the steps of the first envs of a session, all fields of them."""

    def __init__(self, client: FleetClient) -> None:
        """Begin with nothing."""
        step_bytes = bytes_of_step(client.task)
        self._max_steps = max(1, EPISODE_BYTES // step_bytes)
        episode = step_bytes * min(client.task.max_episode_steps, self._max_steps)
        self.num_envs = min(num_envs(client), RECORDED_ENVS, max(1, RECORDED_BYTES // episode))
        """Envs whose episodes are recorded."""
        self._first_env_id = [each.first_env_id for each in client.shards]
        self._steps: list[list[Step]] = [[] for _ in client.shards]

    def rows(self, shard: int) -> int:
        """Return how many of a shard's envs are recorded, its first ones."""
        return max(0, self.num_envs - self._first_env_id[shard])

    def note(self, shard: int, step: Step) -> None:
        """Keep a step of the envs that are recorded."""
        rows = self.rows(shard)
        if rows and len(self._steps[shard]) < self._max_steps:
            self._steps[shard].append(step.first(rows))

    def trajectory(self, env_id: int, fitness: float, label: str) -> Trajectory:
        """Return what is recorded of the first episode of an env."""
        shard = max(s for s, first in enumerate(self._first_env_id) if first <= env_id)
        row = env_id - self._first_env_id[shard]
        # Where the engine diverged, which ends an episode, there is nothing to judge.
        steps = [step for step in self._steps[shard] if step.counted[row]]
        if not steps:
            return Trajectory(label, fitness, {}, np.zeros((0, 0), np.float32))
        names = steps[0].fields
        return Trajectory(
            label=label,
            fitness=fitness,
            fields={name: np.stack([step.fields[name][row] for step in steps]) for name in names},
            action=np.stack([step.action[row] for step in steps]),
        )


def bytes_of_step(task: TaskInfo) -> int:
    """Return what one recorded step of an env takes: all fields in float64, the action."""
    return 8 * sum(max(1, info.columns) for info in task.fields) + 4 * task.action_dim
