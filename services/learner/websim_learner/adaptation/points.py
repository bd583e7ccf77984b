"""What is measured of a policy: evaluations, components of a reward, trajectories."""

from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray


class ComponentTally(msgspec.Struct, frozen=True, kw_only=True):
    """How one component of a reward behaved over the transitions of an evaluation or rollout."""

    share: float
    """Of the sum of magnitudes of all components, within 0 and 1."""
    mean: float
    std: float
    fitness_correlation: float | None = None
    """Of its episode sums with the episodes' fitness; None where one of them does not vary."""


class EvalPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One evaluation of a policy: its mean action's episodes from the same starts every time.

    Per-episode tuples are in env_id order, so two evaluations can be compared pair by pair.
    """

    update: int
    """Updates of the run done by then."""
    env_steps: int
    """Training env steps of the run done by then."""
    fitness: tuple[float, ...]
    """By the goal's measure."""
    reward_return: tuple[float, ...]
    """Sum of the reward in force over each episode."""
    task_return: tuple[float, ...]
    """Sum of the task's own reward."""
    length: tuple[int, ...]
    """Env steps."""
    success: tuple[float, ...] = ()
    """1 or 0 each; empty where the task defines no success."""
    reward_id: str
    whole: bool = True
    """All episodes of an evaluation; False for a look at a policy on probation, at some of them."""
    components: dict[str, ComponentTally] = {}
    value_loss: float = 0.0
    """Of the update before, like the next ones."""
    policy_loss: float = 0.0
    entropy_nats: float = 0.0
    kl_nats: float = 0.0
    explained_variance: float = 0.0


@dataclass(frozen=True)
class Trajectory:
    """One episode of a policy, kept to see which behaviour a reward prefers.

    Of one that would take more than `watching.EPISODE_BYTES` these are the first steps.
    """

    label: str
    """Where it comes from, for people: "update 120", "standing still"."""
    fitness: float
    """By the goal's measure."""
    fields: dict[str, NDArray[np.float64]]
    """Every field of the task where each action led. Shape: (T,) or (T, columns)."""
    action: NDArray[np.float32]
    """As the env received it. Shape: (T, action_dim)."""

    @property
    def length(self) -> int:
        """Env steps T."""
        return len(self.action)

    @property
    def num_bytes(self) -> int:
        """Of all its arrays."""
        return self.action.nbytes + sum(values.nbytes for values in self.fields.values())
