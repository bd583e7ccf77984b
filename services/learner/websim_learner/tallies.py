"""How much each component of a reward contributes, over the valid transitions that it judged."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from websim_learner.adaptation.points import ComponentTally

Float64 = NDArray[np.float64]

ROUNDING = 1e-12
"""Relative difference of sums that is rounding."""


def tally(
    components: Mapping[str, Float64],
    episode_sums: Mapping[str, Float64] | None = None,
    episode_fitness: Float64 | None = None,
) -> dict[str, ComponentTally]:
    """Return the tally of each component.

    Args:
        components: values of the valid transitions by name. Shape: (m,) each; m may be 0.
        episode_sums: each component summed over episodes, by name. Shape: (k,) each.
        episode_fitness: of the same episodes. Shape: (k,).
    """
    magnitudes = {name: float(np.abs(values).sum()) for name, values in components.items()}
    whole = sum(magnitudes.values())
    sums = episode_sums or {}
    return {
        name: ComponentTally(
            share=magnitudes[name] / whole if whole > 0 else 0.0,
            mean=float(values.mean()) if len(values) else 0.0,
            std=float(values.std()) if len(values) else 0.0,
            fitness_correlation=correlation(sums.get(name), episode_fitness),
        )
        for name, values in components.items()
    }


def correlation(a: Float64 | None, b: Float64 | None) -> float | None:
    """Return Pearson's correlation of two rows (k,); None where one of them does not vary."""
    if a is None or b is None or len(a) < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    if not (_varies(a) and _varies(b)):
        return None
    # r = sum(x y) / sqrt(sum(x^2) sum(y^2)), of deviations from the mean in units of their spread.
    x, y = ((each - each.mean()) / np.ptp(each) for each in (a, b))
    return float(np.clip(x @ y / np.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def _varies(row: Float64) -> bool:
    """Return whether numbers differ by more than rounding, whatever their unit."""
    return bool(np.ptp(row) > ROUNDING * np.abs(row).max())
