"""What a learner sees of a reward: finite, bounded, float64, with every change counted."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from websim.programs.evaluator import Evaluator
from websim.programs.values import Array

REWARD_LIMIT = 1e3
"""Largest magnitude of a reward that reaches a learner."""


@dataclass(frozen=True)
class GuardedReward:
    """A reward that a learner may use as it is."""

    total: npt.NDArray[np.float64]
    """Shape (N,): finite, |total| <= limit."""
    components: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    """Each of shape (N,), finite and bounded in the same way."""
    nonfinite_rows: int = 0
    """Environments whose total or a component was NaN or infinite; it became 0."""
    clipped_rows: int = 0
    """Environments whose total or a component was finite but beyond the limit."""
    lost: npt.NDArray[np.bool_] | None = None
    """Environments whose total was no finite number, shape (N,); None where all were."""


def evaluate_guarded(
    program: Evaluator,
    fields: Mapping[str, Array],
    action: Array,
    limit: float = REWARD_LIMIT,
) -> GuardedReward:
    """Evaluate `program` and keep what is not finite or too large away from the learner.

    Args:
        program: a reward, in this process or in the confined child.
        fields: the arrays named in `program.fields`, float64, shape (N,) or (N, k).
        action: float32, shape (N, action_dim).
        limit: largest magnitude that is let through.
    """
    components: dict[str, Array] = {}
    if program.components:
        total, components = program.with_components(fields, action)
    else:
        total = program(fields, action)
    arrays = {
        name: np.asarray(array, dtype=np.float64)
        for name, array in [("", total), *components.items()]
    }
    if all(_is_within(array, limit) for array in arrays.values()):
        return GuardedReward(arrays.pop(""), arrays)
    lost = ~np.isfinite(arrays[""])
    nonfinite = np.zeros(len(total), dtype=np.bool_)
    clipped = np.zeros(len(total), dtype=np.bool_)
    for name, array in arrays.items():
        finite = np.isfinite(array)
        nonfinite |= ~finite
        clipped |= finite & (np.abs(array) > limit)
        arrays[name] = np.clip(np.where(finite, array, 0.0), -limit, limit)
    counts = int(nonfinite.sum()), int(clipped.sum())
    return GuardedReward(arrays.pop(""), arrays, *counts, lost if lost.any() else None)


def _is_within(array: npt.NDArray[np.float64], limit: float) -> bool:
    """True when nothing has to change; a NaN makes the comparison false."""
    return bool(np.abs(array).max(initial=0.0) <= limit)
