"""Running moments for observations and returns.

Statistics are frozen while a rollout is collected and merged once at its end, over rows in
(t, env_id) order, so they depend on the data alone and never on the order of arrival.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


class RunningMoments:
    """Mean and variance of a stream of rows, by batches (Chan, Golub and LeVeque 1979, eq. 2.1)."""

    def __init__(self, size: int) -> None:
        """Start empty: mean 0 and variance 1 until the first merge.

        Args:
            size: the number of columns.
        """
        self.count = 0
        self.mean: Float64 = np.zeros(size)
        self.m2: Float64 = np.zeros(size)
        """Sum of squared deviations from the mean. Shape: (size,)."""

    @property
    def variance(self) -> Float64:
        """Population variance, 1 while nothing was merged. Shape: (size,)."""
        return self.m2 / self.count if self.count else np.ones_like(self.m2)

    def merge(self, rows: NDArray[np.floating]) -> None:
        """Add a batch of rows.

        Args:
            rows: Shape: (n, size), any float dtype; summed in float64. n may be 0.
        """
        n = len(rows)
        if n == 0:
            return
        values = rows.astype(np.float64, copy=False)
        mean = values.mean(axis=0)
        m2 = np.square(values - mean).sum(axis=0)
        total = self.count + n
        delta = mean - self.mean
        # mean_ab = mean_a + delta * n_b / n;  M2_ab = M2_a + M2_b + delta^2 * n_a * n_b / n
        self.mean = self.mean + delta * (n / total)
        self.m2 = self.m2 + m2 + np.square(delta) * (self.count * n / total)
        self.count = total

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the moments as arrays, for a checkpoint."""
        count = np.array(self.count, dtype=np.int64)
        return {"count": count, "mean": self.mean.copy(), "m2": self.m2.copy()}

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what `arrays` returned."""
        self.count = int(arrays["count"])
        self.mean = arrays["mean"].astype(np.float64)
        self.m2 = arrays["m2"].astype(np.float64)


@dataclass(frozen=True)
class ObservationScale:
    """One frozen affine normalisation: clip((obs - mean) * inverse_std, -limit, limit)."""

    mean: NDArray[np.float32]
    """Shape: (obs_dim,)."""
    inverse_std: NDArray[np.float32]
    """Shape: (obs_dim,)."""
    limit: float = 10.0
    """Largest magnitude of a normalised observation."""

    @classmethod
    def of(cls, moments: RunningMoments) -> "ObservationScale":
        """Freeze the present moments."""
        inverse = 1.0 / np.sqrt(moments.variance + 1e-8)
        return cls(moments.mean.astype(np.float32), inverse.astype(np.float32))

    def __call__(
        self, obs: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Normalise observations.

        Args:
            obs: Shape: (..., obs_dim).
            out: where to write, of obs' shape; a new array when None.
        """
        out = np.subtract(obs, self.mean, out=out)
        np.multiply(out, self.inverse_std, out=out)
        return np.clip(out, -self.limit, self.limit, out=out)


class ReturnScale:
    """Scales rewards by the running standard deviation of the discounted return.

    Engstrom et al. 2020, "Implementation Matters in Deep Policy Gradients", algorithm 1: rewards
    are divided, never centred, because a shift would change what an episode's length is worth.
    """

    def __init__(self, num_envs: int, gamma: float) -> None:
        """Start with no statistics: the scale is 1 until the first merge."""
        self.gamma = gamma
        self.moments = RunningMoments(1)
        self.running: Float64 = np.zeros(num_envs)
        """Discounted return of each env's current episode so far. Shape: (num_envs,)."""

    def merge(self, reward: Float64, ended: NDArray[np.bool_], invalid: NDArray[np.bool_]) -> None:
        """Add a rollout's rewards, each of shape (T, num_envs), in (t, env_id) order."""
        returns = np.empty_like(reward)
        for t in range(len(reward)):
            # R_t = gamma * R_(t-1) + r_t, starting from zero in every episode
            self.running = self.running * self.gamma + np.where(invalid[t], 0.0, reward[t])
            returns[t] = self.running
            self.running = np.where(ended[t] | invalid[t], 0.0, self.running)
        self.moments.merge(returns[~invalid][:, None])

    def restart(self) -> None:
        """Forget everything: rewards from now on have another scale."""
        self.moments = RunningMoments(1)
        self.running = np.zeros_like(self.running)

    @property
    def inverse_std(self) -> float:
        """The factor rewards are multiplied by."""
        return float(1.0 / np.sqrt(self.moments.variance[0] + 1e-8))
