"""Statistics of training episodes: means over the last ones, and how fast they improve."""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from websim_learner.improvement import Improvement
from websim_learner.rollout import Rollout

WINDOW = 100
"""Episodes in a mean."""


def _mean(values: deque[float]) -> float | None:
    # HTTP threads ask while the trainer adds: a copy is made in one go.
    known = [value for value in list(values) if not np.isnan(value)]
    return float(np.mean(known)) if known else None


class EpisodeStatistics:
    """What the episodes of one branch came to in one task."""

    def __init__(self) -> None:
        self.episodes = 0
        """Episodes that ended by themselves or by the clock, so far."""
        self._return: deque[float] = deque(maxlen=WINDOW)
        self._length: deque[float] = deque(maxlen=WINDOW)
        self._fitness: deque[float] = deque(maxlen=WINDOW)
        self._success: deque[float] = deque(maxlen=WINDOW)
        self._improvement = Improvement()

    def add(self, rollout: Rollout, env_steps: int, envs: range) -> None:
        """Take in a rollout's episodes, but for those that diverged or that the learner cut.

        Args:
            rollout: what was collected.
            env_steps: training env steps with this rollout.
            envs: whose episodes count.
        """
        ends = rollout.ends()
        whole = ~np.isnan(ends.episode_return) & ~rollout.invalid[ends.t, ends.env_id]
        whole &= (ends.env_id >= envs.start) & (ends.env_id < envs.stop)
        self.episodes += int(whole.sum())
        returns = ends.episode_return[whole]
        self._return.extend(returns.tolist())
        self._length.extend(ends.episode_length[whole].tolist())
        self._fitness.extend(ends.episode_fitness[whole].tolist())
        self._success.extend(ends.episode_success[whole].tolist())
        self._improvement.add(env_steps, returns[np.isfinite(returns)].tolist())

    def means(self) -> dict[str, float | None]:
        """Return means over the last episodes, None before an episode has ended.

        Returns:
            return_mean by the task's own reward, length_mean in env steps, fitness_mean in the
            task's unit, success_mean (None where the task defines no success); return_std, the
            standard deviation of what return_mean is taken over.
        """
        return {
            "return_mean": _mean(self._return),
            "return_std": float(np.std(list(self._return))) if self._return else None,
            "length_mean": _mean(self._length),
            "fitness_mean": _mean(self._fitness),
            "success_mean": _mean(self._success),
        }

    def improvement(self) -> dict[str, float | None]:
        """Return how fast the return grows per million env steps, by names of MetricsRecord.

        Returns:
            improvement_per_million, and the bounds of its interval; None before enough is known.
        """
        slope = self._improvement.per_million
        return {
            "improvement_per_million": slope and slope.slope,
            "improvement_low_per_million": slope and slope.low,
            "improvement_high_per_million": slope and slope.high,
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what the means and the slope are taken over, for a checkpoint."""
        windows = {name: np.array(window) for name, window in self._windows().items()}
        return {**windows, "spans": self._improvement.array()}

    def load(self, arrays: dict[str, NDArray[Any]], episodes: int) -> None:
        """Take over what `arrays` returned, and the number of episodes."""
        self.episodes = episodes
        for name, window in self._windows().items():
            window.clear()
            window.extend(arrays[name].tolist())
        # Checkpoints of earlier versions have moving averages instead, so the slope begins anew.
        if "spans" in arrays:
            self._improvement.load(arrays["spans"])

    def _windows(self) -> dict[str, deque[float]]:
        return {
            "return": self._return,
            "length": self._length,
            "fitness": self._fitness,
            "success": self._success,
        }
