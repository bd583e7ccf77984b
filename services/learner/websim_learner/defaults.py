"""What a run does when nobody says otherwise: PPO's settings for each task, in one place."""

import math
from dataclasses import dataclass, replace

DEFAULT_TASK = "HalfCheetah-v5"
DEFAULT_TOTAL_STEPS = 3_000_000
"""Env steps of a run on a task that has no row below."""

REFERENCE_NUM_ENVS = 1024
"""Envs for which the settings below are written."""

FEW_ENVS = 256
"""Up to so many envs, tasks may have settings of their own."""


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)


@dataclass(frozen=True)
class PPOSettings:
    """Everything PPO can be told; the defaults are those of a task without a row of its own."""

    rollout_length: int = 16
    """Vector steps per rollout; a batch is this times the number of envs."""
    minibatch_size: int = 2048
    """Transitions per gradient step; a batch is cut into equal parts of about this size."""
    epochs: int = 5
    """Passes over a batch."""
    learning_rate: float = 1e-3
    """Of Adam, at the start."""
    final_learning_rate: float = 0.0
    """Of Adam, after total_steps; between them it falls linearly."""
    gamma: float = 0.99
    """Discount per env step."""
    gae_lambda: float = 0.95
    """Decay of the advantage estimate's horizon."""
    clip: float = 0.2
    """epsilon: how far the probability ratio may pay off."""
    value_coefficient: float = 0.5
    """c1: weight of the value loss."""
    entropy_coefficient: float = 0.0
    """c2: weight of the entropy bonus."""
    max_gradient_norm: float = 0.5
    """Gradients longer than this are scaled down to it."""
    target_kl: float = 0.05
    """An update ends after the epoch whose mean KL divergence exceeds this."""
    init_log_std: float = -1.0
    """First log standard deviation, in units where actions span [-1, 1]."""
    hidden: tuple[int, ...] = (64, 64)
    """Hidden layers of actor and critic."""
    overlap: bool = False
    """Collect the next rollout, with the weights from before the update, while the update runs."""

    def __post_init__(self) -> None:
        _require(self.rollout_length >= 2, "rollout_length is below 2")
        _require(self.minibatch_size >= 1, "minibatch_size is below 1")
        _require(self.epochs >= 1, "epochs is below 1")
        _require(self.learning_rate > 0, "learning_rate must be above 0")
        _require(self.final_learning_rate >= 0, "final_learning_rate is negative")
        _require(0 <= self.gamma <= 1, "gamma must be within 0 and 1")
        _require(0 <= self.gae_lambda <= 1, "gae_lambda must be within 0 and 1")
        _require(0 < self.clip < 1, "clip must be within 0 and 1")
        _require(self.max_gradient_norm > 0, "max_gradient_norm must be above 0")
        _require(self.target_kl > 0, "target_kl must be above 0")
        _require(len(self.hidden) >= 1 and min(self.hidden) >= 1, "hidden needs sizes above 0")
        finite = (self.value_coefficient, self.entropy_coefficient, self.init_log_std)
        _require(all(math.isfinite(x) for x in finite), "a coefficient is not finite")

    def scaled_to(self, num_envs: int, written_for: int = REFERENCE_NUM_ENVS) -> "PPOSettings":
        """Return settings written for one number of envs as they suit another one.

        Few envs need longer rollouts for a batch that says something; many envs make a large
        batch in few steps. The square root shares it out: where 1024 envs collect 16 steps, 64
        envs collect 64 and one env 512. A batch is cut into as many minibatches as before.

        Args:
            num_envs: envs of the training session.
            written_for: envs that these settings suit.
        """
        ratio = math.sqrt(written_for / num_envs)
        length = max(2, round(self.rollout_length * ratio))
        batch = self.rollout_length * written_for
        size = max(1, round(self.minibatch_size * length * num_envs / batch))
        return replace(self, rollout_length=length, minibatch_size=size)


@dataclass(frozen=True)
class TaskDefaults:
    """What is known to work on a task."""

    total_steps: int = DEFAULT_TOTAL_STEPS
    ppo: PPOSettings = PPOSettings()
    """Written for REFERENCE_NUM_ENVS."""
    few: PPOSettings | None = None
    """With FEW_ENVS at most, written for REFERENCE_NUM_ENVS, too; None: the same."""

    def ppo_for(self, num_envs: int) -> PPOSettings:
        """Return PPO's settings as they suit so many envs of a training session."""
        chosen = self.few if self.few is not None and num_envs <= FEW_ENVS else self.ppo
        return chosen.scaled_to(num_envs)


# Robots that fall learn to stand still unless the policy tries much and each batch is used well:
# with 1024 envs there are few updates, so each one sees twice the time and may go further.
_LEGGED = PPOSettings(
    rollout_length=32,
    minibatch_size=512,
    epochs=10,
    learning_rate=1e-3,
    clip=0.4,
    target_kl=0.15,
    init_log_std=0.0,
)

# Few envs make more updates, and steps as large as those ruin what was learned again and again.
_LEGGED_FEW = replace(_LEGGED, learning_rate=5e-4, clip=0.2, target_kl=0.05)

TASKS: dict[str, TaskDefaults] = {
    "Hopper-v5": TaskDefaults(ppo=_LEGGED, few=_LEGGED_FEW),
    "InvertedPendulum-v5": TaskDefaults(400_000),
    "Walker2d-v5": TaskDefaults(ppo=_LEGGED),
}
"""Rows for tasks that do better with settings of their own."""


def defaults_of(task: str) -> TaskDefaults:
    """Return the defaults of a task by its id."""
    return TASKS.get(task, TaskDefaults())
