"""A policy with all it needs to go on learning, apart from its envs: to keep, fork or put back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from websim_learner.algorithms.state import Arrays


@dataclass(frozen=True)
class PolicyState:
    """What `Branch.policy_state` returned; arrays are copies and belong to nobody else."""

    parts: Mapping[str, Arrays]
    """Of the algorithm: weights, optimizer, normalizers, returns."""
    num_updates: int
    """Updates of the branch when it was taken; for people, nothing counts on from here."""
    reward_source: str | None
    """What the branch judged by; None for the task's own reward."""
    scaled_for: str
    """Id of the reward that the scale of returns belongs to."""
    swap: Mapping[str, Any]
    """Where the algorithm's treatment of another reward stands, as JSON values."""
    step_share: float = 1.0
    """Of the learning rate's schedule, by which it goes on learning."""

    def arrays(self) -> dict[str, Arrays]:
        """Return the arrays by part, for a checkpoint."""
        return {name: dict(part) for name, part in self.parts.items()}

    def counters(self) -> dict[str, Any]:
        """Return the rest as JSON values, for a checkpoint."""
        return {
            "num_updates": self.num_updates,
            "reward_source": self.reward_source,
            "scaled_for": self.scaled_for,
            "swap": dict(self.swap),
            "step_share": self.step_share,
        }

    @classmethod
    def of(cls, counters: Mapping[str, Any], arrays: Mapping[str, Arrays]) -> "PolicyState":
        """Return the state of which `counters` and `arrays` were kept."""
        return cls(
            parts={name: dict(part) for name, part in arrays.items()},
            num_updates=counters["num_updates"],
            reward_source=counters["reward_source"],
            scaled_for=counters["scaled_for"],
            swap=counters["swap"],
            step_share=counters.get("step_share", 1.0),
        )
