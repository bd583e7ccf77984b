"""Counts the episodes of a shard: return, length, fitness, success, and who is to be truncated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from websim_sim_worker.compilation import CompiledJudge, CompiledTask

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class EpisodeReport:
    """Episodes that ended, each array (k,)."""

    episode_return: Floats
    length: Ids
    fitness: Floats
    success: Floats


class Accumulator:
    """Accumulates a judge's value per step into one per episode; `values` is (n,)."""

    def __init__(self, judge: CompiledJudge, num_envs: int) -> None:
        self._judge = judge
        self._start = -np.inf if judge.accumulate == "max" else 0.0
        self.values = np.full(num_envs, self._start)

    def add(self, step_value: npt.NDArray[Any], where: Bools | bool) -> None:
        """Take in this step's values (n,), only `where` the transition is valid."""
        match self._judge.accumulate:
            case "sum":
                np.add(self.values, step_value, out=self.values, where=where)
            case "max":
                np.maximum(self.values, step_value, out=self.values, where=where)
            case "last":
                np.copyto(self.values, step_value, where=where)

    def report(self, rows: Ids) -> Floats:
        """Return the episodes' values (k,). An episode without a valid step has 0."""
        values = self.values[rows]
        return np.where(np.isneginf(values), 0.0, values) / self._judge.divisor

    def begin(self, rows: Ids) -> None:
        """Start episodes in `rows`."""
        self.values[rows] = self._start


class Episodes:
    """The running episodes of a shard.

    Attributes:
        episode_return: (n,) float64, the task's own reward summed.
        length: (n,) int32 steps.
        pending: (n,) bool, to be truncated at the next step on request.
    """

    def __init__(self, task: CompiledTask, num_envs: int) -> None:
        self._task = task
        self.episode_return = np.zeros(num_envs)
        self.length = np.zeros(num_envs, np.int32)
        self.pending = np.zeros(num_envs, bool)
        self._fitness = Accumulator(task.fitness, num_envs)
        self._success = Accumulator(task.success, num_envs) if task.success else None
        self._truncated = np.zeros(num_envs, bool)
        self._nothing = self._report(np.zeros(0, np.int32))

    def advance(
        self,
        values: Mapping[str, Floats],
        action: npt.NDArray[np.float32],
        reward: Floats,
        invalid: Bools | None,
    ) -> None:
        """Take in a step; invalid transitions (n,) count as time, not as merit."""
        where = True if invalid is None else ~invalid
        np.add(self.episode_return, reward, out=self.episode_return)
        np.add(self.length, 1, out=self.length)
        self._fitness.add(self._task.fitness.program(values, action), where)
        if self._task.success is not None and self._success is not None:
            self._success.add(self._task.success.program(values, action), where)

    def truncated(self, invalid: Bools | None) -> Bools:
        """Return who runs out of time, was asked to reset, or has diverged, (n,)."""
        horizon = self._task.info.max_episode_steps
        np.greater_equal(self.length, horizon, out=self._truncated)
        np.logical_or(self._truncated, self.pending, out=self._truncated)
        if invalid is not None:
            np.logical_or(self._truncated, invalid, out=self._truncated)
        return self._truncated

    def report(self, rows: Ids) -> EpisodeReport:
        """Report the episodes that ended in `rows` (k,)."""
        return self._report(rows) if len(rows) else self._nothing

    def begin(self, rows: Ids) -> None:
        """Start episodes in `rows`."""
        self.episode_return[rows] = 0.0
        self.length[rows] = 0
        self.pending[rows] = False
        self._fitness.begin(rows)
        if self._success is not None:
            self._success.begin(rows)

    def snapshot(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of all counters."""
        return {name: array.copy() for name, array in self._arrays().items()}

    def restore(self, snapshot: Mapping[str, npt.NDArray[Any]]) -> None:
        """Take over the counters of a snapshot."""
        for name, array in self._arrays().items():
            array[...] = snapshot[name]

    def _arrays(self) -> dict[str, npt.NDArray[Any]]:
        arrays: dict[str, npt.NDArray[Any]] = {
            "episode_return": self.episode_return,
            "episode_length": self.length,
            "episode_fitness": self._fitness.values,
            "pending_reset": self.pending.view(np.uint8),
        }
        if self._success is not None:
            arrays["episode_success"] = self._success.values
        return arrays

    def _report(self, rows: Ids) -> EpisodeReport:
        success = self._success
        return EpisodeReport(
            episode_return=self.episode_return[rows],
            length=self.length[rows],
            fitness=self._fitness.report(rows),
            success=success.report(rows) if success else np.full(len(rows), np.nan),
        )
