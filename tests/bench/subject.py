"""What the bench measures: a subject is opened once and then measured block by block."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

ACTION_TABLES = 32
"""Vectors of random actions, drawn before the timing and then used in turn."""


class NotMeasured(Exception):
    """A subject cannot be measured here; the text says why and what to do."""


@dataclass(frozen=True)
class Count:
    """What a subject did in one block."""

    env_steps: int
    """Real physics steps within `seconds`; a step that only resets is none."""
    seconds: float
    all_env_steps: int
    """Those of the whole block, the filling and emptying of pipelines included: for CPU time."""
    cpu_s: float | None = None
    """CPU time of `all_env_steps`; None: whatever our processes used during the block."""


class Subject(Protocol):
    """Something whose env-steps per second are compared."""

    key: str
    """Its name in the JSON."""
    label: str
    """Its name in tables and plots."""
    num_envs: int

    def open(self) -> None:
        """Make the environments. Raises NotMeasured."""

    def block(self, seconds: float) -> Count:
        """Step for about `seconds`; nothing is in flight afterwards."""

    def memory_bytes(self) -> int | None:
        """Return what its processes hold, where they are its own."""

    def close(self) -> None:
        """Give everything back."""


def random_actions(
    low: NDArray[np.floating], high: NDArray[np.floating], num_envs: int, seed: int
) -> list[NDArray[np.float32]]:
    """Draw ACTION_TABLES uniform action vectors (num_envs, action_dim) float32.

    Args:
        low: (action_dim,) bounds; an infinite one becomes -1.
        high: (action_dim,) bounds; an infinite one becomes 1.
        num_envs: rows.
        seed: of the draw.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    low = np.where(np.isfinite(low), low, -1.0).astype(np.float32)
    high = np.where(np.isfinite(high), high, 1.0).astype(np.float32)
    shape = (num_envs, len(low))
    return [
        np.clip(low + (high - low) * generator.random(shape, dtype=np.float32), low, high)
        for _ in range(ACTION_TABLES)
    ]
