"""What training episodes come to by the reward that is learned from, whichever it is.

A worker sums the task's own reward alone; a program judges here, so its sums are kept here, too.
"""

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from websim_learner.rollout import Rollout
from websim_learner.statistics import WINDOW

Float64 = NDArray[np.float64]


class RewardReturns:
    """Returns of the last whole episodes that one reward has judged from start to end.

    An episode that began under another reward, or of which a part was not seen, is left out: as
    many of its steps are missing as were judged otherwise.
    """

    def __init__(self, num_envs: int) -> None:
        """Start where all envs begin an episode.

        Args:
            num_envs: envs whose episodes count, the first ones of a rollout.
        """
        self.reward_id = ""
        """Of the reward that judged last; empty before any."""
        self._window: deque[float] = deque(maxlen=WINDOW)
        self._sum: Float64 = np.zeros(num_envs)
        """Of the reward over each env's episode so far, as far as it counts. Shape: (N,)."""
        self._steps: NDArray[np.int64] = np.zeros(num_envs, np.int64)
        """Env steps in that sum. Shape: (N,)."""

    @property
    def mean(self) -> float | None:
        """Mean of the returns; None before such an episode has ended."""
        return float(np.mean(self._window)) if self._window else None

    def add(self, rollout: Rollout, reward: Float64, reward_id: str) -> None:
        """Take in a rollout's episodes, but for those that diverged or that the learner cut.

        Args:
            rollout: what was collected.
            reward: what is learned from. Shape: (T, N or more); unused where invalid.
            reward_id: of what judged.
        """
        if reward_id != self.reward_id:
            self.reward_id = reward_id
            self._window.clear()
            self.lose_track()
        n = len(self._sum)
        ends, invalid = rollout.ends(), rollout.invalid[:, :n]
        earned = np.where(invalid, 0.0, reward[:, :n])
        over = (rollout.terminated | rollout.truncated)[:, :n] | invalid
        returns, steps = np.empty_like(earned), np.empty(earned.shape, np.int64)
        for t in range(len(earned)):
            # G_t = G_(t-1) + r_t, from zero in every episode
            np.add(self._sum, earned[t], out=returns[t])
            np.add(self._steps, 1, out=steps[t])
            self._sum = np.where(over[t], 0.0, returns[t])
            self._steps = np.where(over[t], 0, steps[t])
        own = ends.env_id < n
        at = ends.t[own], ends.env_id[own]
        whole = (steps[at] == ends.episode_length[own]) & ~invalid[at]
        self._window.extend(returns[at][whole].tolist())

    def lose_track(self) -> None:
        """Leave out the episodes that are under way: not all of their steps will be seen."""
        self._sum = np.zeros_like(self._sum)
        self._steps = np.zeros_like(self._steps)

    def follow(self, former: "RewardReturns") -> None:
        """Go on with the returns of other envs, which all begin an episode here."""
        self.reward_id = former.reward_id
        self._window = former._window.copy()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything but the reward's id, for a checkpoint."""
        window = np.array(self._window, np.float64)
        return {"sum": self._sum.copy(), "steps": self._steps.copy(), "window": window}

    def load(self, arrays: dict[str, NDArray[Any]], reward_id: str) -> None:
        """Take over what `arrays` returned, and the reward's id.

        Raises:
            ValueError: it is of another number of envs.
        """
        if arrays["sum"].shape != self._sum.shape:
            raise ValueError(f"it sums rewards of {len(arrays['sum'])} envs")
        self.reward_id = reward_id
        self._sum, self._steps = arrays["sum"].copy(), arrays["steps"].copy()
        self._window.clear()
        self._window.extend(arrays["window"].tolist())
