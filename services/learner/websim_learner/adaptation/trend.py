"""Statistics of few numbers: the slope of a series, the difference of paired episodes.

Sums are exact (math.fsum), so a decision made of them is the same on every machine.
"""

import functools
import math
import statistics
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

from websim_learner.adaptation.quantiles import t_quantile


class Slope(NamedTuple):
    """A Theil-Sen slope and the interval that holds the true one, in y per x."""

    slope: float
    low: float
    high: float


class Bounds(NamedTuple):
    """A mean, and two bounds that each hold with the confidence asked for."""

    mean: float
    low: float
    high: float


def mean_of(values: Sequence[float]) -> float:
    """Return the mean of the finite values; NaN where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return math.fsum(finite) / len(finite) if finite else math.nan


def theil_sen(x: Sequence[float], y: Sequence[float], confidence: float) -> Slope:
    """Return the median of the slopes between all pairs of points, with its interval.

    The interval is made of order statistics of the slopes: P. K. Sen, "Estimates of the
    regression coefficient based on Kendall's tau", 1968. Kendall's exact distribution is used, so
    the interval holds for the few points there are, whatever the noise; equal y only widen it.
    Three points are too few for any interval: its ends are infinite.

    Args:
        x: growing, for example env steps.
        y: as many, finite.
        confidence: of the two-sided interval, for example 0.9.
    """
    if len(x) != len(y):
        raise ValueError(f"{len(x)} x and {len(y)} y")
    if len(x) < 2:
        raise ValueError("a slope needs two points")
    if any(after <= before for before, after in pairwise(x)):
        raise ValueError("x must grow")
    if not all(map(math.isfinite, y)):
        raise ValueError("y must be finite")
    slopes = sorted((y[j] - y[i]) / (x[j] - x[i]) for i, j in combinations(range(len(x)), 2))
    rank = _interval_rank(len(x), 0.5 * (1.0 - confidence))
    low, high = (slopes[rank - 1], slopes[-rank]) if rank else (-math.inf, math.inf)
    return Slope(statistics.median(slopes), low, high)


@functools.lru_cache(maxsize=64)
def _interval_rank(points: int, tail: float) -> int:
    """Return which slope from either end bounds the interval; 0: none is far enough out.

    The largest rank with P(fewer than `rank` of all pairs are discordant) <= tail.
    """
    # Orders of k points by their number of discordant pairs: each new point adds 0 to k - 1.
    counts = [1]
    for size in range(2, points + 1):
        longer = [0] * (len(counts) + size - 1)
        for discordant, count in enumerate(counts):
            for more in range(size):
                longer[discordant + more] += count
        counts = longer
    # A fraction of whole numbers, with room for the rounding of 0.5 * (1 - confidence) only.
    limit, below = (tail + 1e-12) * math.factorial(points), 0
    for rank, count in enumerate(counts):
        below += count
        if below > limit:
            return rank
    return 0


def paired_bounds(before: Sequence[float], after: Sequence[float], confidence: float) -> Bounds:
    """Return the mean of after - before over the pairs, with one-sided bounds.

    Each bound alone holds with `confidence` (a t interval of the differences). Pairs with a
    number that is not finite are left out; where only the later one has none, nothing is sure to
    have been gained: it may have been any number. One pair bounds nothing.

    Args:
        before: one number per episode.
        after: the same episodes of another policy, in the same order.
        confidence: of each bound, for example 0.95.
    """
    if len(before) != len(after):
        raise ValueError(f"{len(before)} episodes before and {len(after)} after are not pairs")
    pairs = [b - a for a, b in zip(before, after, strict=True)]
    differences = [value for value in pairs if math.isfinite(value)]
    count = len(differences)
    if count < 2:
        return Bounds(mean_of(differences), -math.inf, math.inf)
    mean = math.fsum(differences) / count
    variance = math.fsum((value - mean) ** 2 for value in differences) / (count - 1)
    margin = t_quantile(confidence, count - 1) * math.sqrt(variance / count)
    low = -math.inf if num_gone(before, after) else mean - margin
    return Bounds(mean, low, mean + margin)


def num_gone(before: Sequence[float], after: Sequence[float]) -> int:
    """Return how many episodes had a finite number before, and have none after."""
    pairs = zip(before, after, strict=True)
    return sum(math.isfinite(b) and not math.isfinite(a) for b, a in pairs)
