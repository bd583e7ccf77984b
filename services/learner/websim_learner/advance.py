"""What one update of a branch did."""

from dataclasses import dataclass

from websim_learner.algorithms.ppo import UpdateStats


@dataclass(frozen=True)
class Advance:
    """What one update of a branch did."""

    stats: UpdateStats
    reward_id: str
    reward_mean: float
    reward_std: float
    """Per transition, like the mean."""
    component_shares: dict[str, float]
    """Of the sum of magnitudes of all components; empty where the reward names none."""
    nonfinite_rows: int
    clipped_rows: int
    skipped_steps: int
    terminations: int
    """Episodes that ended by themselves in the rollout, not by the clock."""
    reward_failure: str
    """Why the rollout was judged by another reward than it was collected for; empty if it was."""
    failed_id: str
    """Of the reward that it was collected for, and that failed; empty where none did."""
    fallback_source: str | None
    """Of the reward that took over then; None: the task's own."""
    physics_s: float
    inference_s: float
    update_s: float
