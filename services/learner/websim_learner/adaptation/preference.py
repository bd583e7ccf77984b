"""Which behaviour a reward prefers: it must rank kept trajectories as the goal's fitness does.

The trajectory preference evaluation of CARD (arXiv 2410.14660): no training is needed to see that
a reward pays a statue more than a runner.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import msgspec
import numpy as np
from numpy.typing import NDArray

from websim_learner.adaptation.points import Trajectory

Evaluate = Callable[[Mapping[str, NDArray[np.float64]], NDArray[np.float32]], NDArray[np.floating]]
"""A reward over steps: fields and actions of T steps to T rewards. Shape: (T,)."""

GAMMA = 0.99
"""Discount of the return that trajectories are ranked by, as the learner's."""
CLEAR_SHARE = 0.1
"""Of the range of fitness: two trajectories further apart than this are clearly ordered."""
MIN_PAIRS = 6
"""With fewer clearly ordered pairs there is nothing to judge by."""
MIN_SCORE = 0.5
"""Three right pairs for a wrong one."""
_TIE = 1e-9
"""Relative difference of returns that is rounding, not preference."""


class Preference(msgspec.Struct, frozen=True, kw_only=True):
    """How well a reward's ranking of trajectories agrees with that of fitness."""

    score: float
    """(pairs in the same order - pairs in the opposite one) / clearly ordered pairs; -1 to 1."""
    num_pairs: int
    """Clearly ordered pairs."""
    passed: bool
    sentence: str
    """For people; names the pair that is most wrongly ordered."""


def preference(
    evaluate: Evaluate,
    trajectories: Sequence[Trajectory],
    *,
    gamma: float = GAMMA,
    min_score: float = MIN_SCORE,
) -> Preference:
    """Return whether a reward prefers the trajectories that fitness prefers.

    Trajectories are ranked by discounted return, which is what a policy learns to raise: a reward
    that pays a dive more than a run does so within its horizon, whatever the episodes' sums are.
    A pair with equal returns counts as clearly ordered but as neither right nor wrong.

    Args:
        evaluate: the reward.
        trajectories: behaviours of different fitness, those worth nothing among them.
        gamma: discount per env step.
        min_score: lowest score that passes.
    """
    known = [t for t in trajectories if math.isfinite(t.fitness) and t.length]
    returns = [_discounted(evaluate(t.fields, t.action), gamma) for t in known]
    fitness = [t.fitness for t in known]
    margin = CLEAR_SHARE * (max(fitness) - min(fitness)) if known else 0.0
    agreement, num_pairs = 0, 0
    worst, worst_gap = "", 0.0
    for i, j in combinations(range(len(known)), 2):
        better, worse = (i, j) if fitness[i] > fitness[j] else (j, i)
        gap = fitness[better] - fitness[worse]
        if gap <= margin:
            continue
        num_pairs += 1
        verdict = _compare(returns[better], returns[worse])
        agreement += verdict
        if verdict <= 0 and gap > worst_gap:
            than = "no less than" if verdict == 0 else "more than"
            worst = f"it pays {_name(known[worse])} {than} {_name(known[better])}"
            worst_gap = gap
    if num_pairs < MIN_PAIRS:
        sentence = f"Only {num_pairs} pairs of trajectories differ clearly: too few to judge."
        return Preference(score=0.0, num_pairs=num_pairs, passed=True, sentence=sentence)
    score = agreement / num_pairs
    tail = f"; {worst}." if worst else "."
    sentence = f"Ranks {num_pairs} pairs of trajectories with score {score:.2f}{tail}"
    return Preference(
        score=score, num_pairs=num_pairs, passed=score >= min_score, sentence=sentence
    )


def _discounted(reward: NDArray[np.floating], gamma: float) -> float:
    """Return the sum of gamma^t r_t over an episode."""
    weights = gamma ** np.arange(len(reward))
    return math.fsum(np.asarray(reward, dtype=np.float64) * weights)


def _compare(better: float, worse: float) -> int:
    """Return 1 for the right order, -1 for the wrong one, 0 for a tie or no number."""
    if not (math.isfinite(better) and math.isfinite(worse)):
        return 0
    if abs(better - worse) <= _TIE * max(abs(better), abs(worse)):
        return 0
    return 1 if better > worse else -1


def _name(trajectory: Trajectory) -> str:
    return f'"{trajectory.label}" (fitness {trajectory.fitness:.3g})'
