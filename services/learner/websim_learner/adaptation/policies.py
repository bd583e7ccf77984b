"""Policies that are kept beside the one in training: those to go back to, and those proposed."""

from typing import Any

from websim_learner.algorithms.state import Arrays, prefixed, unprefixed
from websim_learner.branch import Branch
from websim_learner.policy_state import PolicyState
from websim_learner.rewards import Reward

MAX_UNDO = 3
"""Adoptions that can be taken back, one after the other."""


class Policies:
    """Keeps policies with their optimisers, normalisers and rewards, for as long as they matter."""

    def __init__(self) -> None:
        self.undo: list[PolicyState] = []
        """From before each of the last adoptions, oldest first."""
        self.proposed: dict[str, PolicyState] = {}
        """Contenders that wait for a person's yes, by name."""
        self.peak: PolicyState | None = None
        """The best since the last change."""
        self.peak_env_steps = 0
        """When it was evaluated."""
        self.times_put_back = 0

    def adopt(self, branch: Branch, policy: PolicyState, reward: Reward | None = None) -> None:
        """Let a branch go on as another policy under its reward; where it stood is kept.

        Args:
            branch: goes on.
            policy: as which.
            reward: the policy's, where it is made already.

        Raises:
            UserError: the reward cannot be run; nothing is changed.
        """
        before = branch.policy_state()
        branch.take_over(policy, reward)
        self.undo = [*self.undo, before][-MAX_UNDO:]

    def roll_back(self, branch: Branch, reward: Reward | None = None) -> None:
        """Put a branch where it stood before the last adoption: reward, policy and optimiser.

        Args:
            branch: goes back.
            reward: the one from before, where it is made already.

        Raises:
            UserError: that reward cannot be run; nothing is changed.
        """
        branch.take_over(self.undo[-1], reward)
        self.undo.pop()

    def keep_peak(self, branch: Branch, env_steps: int) -> None:
        """Keep a branch's policy as the best so far."""
        self.peak, self.peak_env_steps = branch.policy_state(), env_steps
        self.times_put_back = 0

    def counters(self) -> dict[str, Any]:
        """Return what is not arrays, for a checkpoint."""
        return {
            "undo": [policy.counters() for policy in self.undo],
            "proposed": {name: policy.counters() for name, policy in self.proposed.items()},
            "peak": None if self.peak is None else self.peak.counters(),
            "peak_env_steps": self.peak_env_steps,
            "times_put_back": self.times_put_back,
        }

    def arrays(self) -> dict[str, Arrays]:
        """Return all arrays by part, for a checkpoint."""
        parts: dict[str, Arrays] = {}
        for index, policy in enumerate(self.undo):
            parts |= prefixed(f"undo-{index}", policy.arrays())
        for index, name in enumerate(sorted(self.proposed)):
            parts |= prefixed(f"proposed-{index}", self.proposed[name].arrays())
        if self.peak is not None:
            parts |= prefixed("peak", self.peak.arrays())
        return parts

    def load(self, counters: dict[str, Any], parts: dict[str, Arrays]) -> None:
        """Take over what `counters` and `arrays` returned."""
        self.undo = [
            PolicyState.of(each, unprefixed(f"undo-{index}", parts))
            for index, each in enumerate(counters["undo"])
        ]
        # By name: a checkpoint's JSON does not keep the order in which they were proposed.
        self.proposed = {
            name: PolicyState.of(each, unprefixed(f"proposed-{index}", parts))
            for index, (name, each) in enumerate(sorted(counters["proposed"].items()))
        }
        peak = counters.get("peak")
        self.peak = None if peak is None else PolicyState.of(peak, unprefixed("peak", parts))
        self.peak_env_steps = counters.get("peak_env_steps", 0)
        self.times_put_back = counters.get("times_put_back", 0)
