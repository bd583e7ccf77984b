"""Running moments for observations and returns.

Statistics are frozen while a rollout is collected and merged once at its end, over rows in
(t, env_id) order, so they depend on the data alone and never on the order of arrival.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Float64 = NDArray[np.float64]

MIN_SPREAD = 1e-6
"""Spread of returns, in units of the reward, below which a reward is the same everywhere."""


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
        self.moments = RunningMoments(2)
        """Of `running` and `length`, over all steps."""
        self.comoment = 0.0
        """Sum of the products of their deviations from their means, over the same steps."""
        self.begin_episodes(num_envs)
        self.mean = self.spread = 0.0
        """Of the last rollout: mean reward, and how far the envs' returns within it lie apart."""

    def begin_episodes(self, num_envs: int) -> None:
        """Note that all envs begin an episode."""
        self.running: Float64 = np.zeros(num_envs)
        """Discounted return of each env's current episode so far. Shape: (num_envs,)."""
        self.length: Float64 = np.zeros(num_envs)
        """The same if every reward were 1. Shape: (num_envs,)."""

    def keep_episodes(self, length: Float64, running: Float64 | None) -> None:
        """Go on with the episodes that the envs are in, under statistics taken over from elsewhere.

        Args:
            length: of each env's current episode. Shape: (num_envs,).
            running: the same of its rewards, where they are what the statistics are of; None
                where those are of another reward, which is taken for its mean so far.
        """
        mean_return, mean_length = self.moments.mean
        mean = mean_return / mean_length if mean_length > 0.0 else 0.0
        self.length = length
        self.running = mean * length if running is None else running

    def merge(self, reward: Float64, ended: Bool, invalid: Bool) -> None:
        """Add a rollout's rewards, each of shape (T, num_envs), in (t, env_id) order."""
        returns = np.empty((*reward.shape, 2))
        for t in range(len(reward)):
            # R_t = gamma * R_(t-1) + r_t, starting from zero in every episode
            self.running = self.running * self.gamma + np.where(invalid[t], 0.0, reward[t])
            self.length = self.length * self.gamma + ~invalid[t]
            returns[t, :, 0], returns[t, :, 1] = self.running, self.length
            over = ended[t] | invalid[t]
            self.running = np.where(over, 0.0, self.running)
            self.length = np.where(over, 0.0, self.length)
        self._merge(returns[~invalid])
        self.mean, self.spread = self._look(reward, ended, invalid)

    def _merge(self, rows: Float64) -> None:
        """Add returns and lengths. Shape: (n, 2)."""
        n, count = len(rows), self.moments.count
        if n:
            mean = rows.mean(axis=0)
            delta = mean - self.moments.mean
            # C_ab = C_a + C_b + delta_R * delta_L * n_a * n_b / n
            within = float((rows - mean).prod(axis=1).sum())
            self.comoment += within + float(delta.prod()) * (count * n / (count + n))
        self.moments.merge(rows)

    def follow(self, reward: Float64, ended: Bool, invalid: Bool) -> None:
        """Go over to another reward, whose first rollout this is; `merge` comes after it.

        What is known of returns is kept: the new reward r' is taken for ratio * r + shift, with
        the spread and the mean of this rollout and of the last one. Statistics from this rollout
        alone would be those of returns that have only begun, and the scale would drift for as
        long as the discount looks ahead. Where either reward is the same everywhere nothing can
        be compared, and the statistics begin anew.
        """
        mean, spread = self._look(reward, ended, invalid)
        if not (spread > MIN_SPREAD and self.spread > MIN_SPREAD):
            self.moments, self.comoment = RunningMoments(2), 0.0
            self.running = np.zeros_like(self.running)
            return
        ratio = spread / self.spread
        shift = mean - ratio * self.mean
        self.running = ratio * self.running + shift * self.length
        (mean_return, mean_length), (m2_return, m2_length) = self.moments.mean, self.moments.m2
        self.moments.mean = np.array([ratio * mean_return + shift * mean_length, mean_length])
        # Var R' = ratio^2 Var R + shift^2 Var L + 2 ratio shift Cov(R, L): without the last term a
        # bonus for every step that is dropped would go on widening the returns.
        m2 = ratio**2 * m2_return + shift**2 * m2_length + 2.0 * ratio * shift * self.comoment
        self.moments.m2 = np.array([max(m2, 0.0), m2_length])
        # Cov(R', L) = ratio Cov(R, L) + shift Var L
        self.comoment = ratio * self.comoment + shift * m2_length

    def _look(self, reward: Float64, ended: Bool, invalid: Bool) -> tuple[float, float]:
        """Return the mean of a rollout's rewards, and the spread of returns that begin with it.

        The spread is that between envs at the same step, of what rewards are beyond their mean: a
        bonus for every step does not count where some episodes begin later than others.
        """
        mean = float(reward[~invalid].mean()) if not invalid.all() else 0.0
        kept = np.where(invalid, 0.0, reward - mean)
        running, variances = np.zeros(reward.shape[1]), np.zeros(len(reward))
        for t in range(len(reward)):
            running = running * self.gamma + kept[t]
            variances[t] = running.var()
            running = np.where(ended[t] | invalid[t], 0.0, running)
        return mean, float(np.sqrt(variances.mean()))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all but the moments as arrays, for a checkpoint."""
        last = np.array([self.mean, self.spread])
        own = {"running": self.running.copy(), "length": self.length.copy(), "last": last}
        return {**own, "comoment": np.array(self.comoment)}

    def load(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what `arrays` returned; of other envs only what is known of the reward.

        The moments are loaded before. Older arrays lack the comoment: it is taken for that of a
        reward that does not depend on how old an episode is.
        """
        self.mean, self.spread = (float(value) for value in arrays["last"])
        m2_return, m2_length = self.moments.m2
        most = float(np.sqrt(m2_return * m2_length))
        guess = float(np.clip(self.mean * m2_length, -most, most))
        self.comoment = float(arrays.get("comoment", guess))
        if arrays["running"].shape != self.running.shape:
            self.begin_episodes(len(self.running))
            return
        self.running, self.length = arrays["running"].copy(), arrays["length"].copy()

    @property
    def inverse_std(self) -> float:
        """The factor rewards are multiplied by."""
        return float(1.0 / np.sqrt(self.moments.variance[0] + 1e-8))
