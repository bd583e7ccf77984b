"""What evaluations since the last change say of the trend, for records and for questions. Pure.

Slopes are those that decisions rest on (guards.py); no NaN and no infinity leaves here.
"""

from collections.abc import Sequence

from websim_learner.adaptation.feedback import mean, reward_fitness_correlation
from websim_learner.adaptation.guards import PER_MILLION, fitness_slope
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.requests import finite
from websim_learner.adaptation.signals import TriggerSettings


def outlook(points: Sequence[EvalPoint], settings: TriggerSettings) -> dict[str, float | None]:
    """Return what an evaluation says beyond itself, by names of EvaluationRecord.

    Args:
        points: evaluations since the last change, the oldest first; the last one is told of.
        settings: of the run.
    """
    last = points[-1]
    told = {
        "reward_return_mean": finite(mean(last.reward_return)),
        "reward_fitness_correlation": reward_fitness_correlation(
            [point for point in points if point.reward_id == last.reward_id]
        ),
    }
    # Looks on probation follow one another too soon to show growth.
    slope = fitness_slope([point for point in points if point.whole], settings)
    if slope is not None:
        told["fitness_slope_per_million"] = finite(slope.slope * PER_MILLION)
        told["fitness_slope_low_per_million"] = finite(slope.low * PER_MILLION)
        told["fitness_slope_high_per_million"] = finite(slope.high * PER_MILLION)
    return told


def slope_low_per_million(points: Sequence[EvalPoint]) -> float | None:
    """Return the least that fitness grows by, as surely as a trend is told; None: unknown."""
    slope = fitness_slope([point for point in points if point.whole], TriggerSettings())
    return None if slope is None else finite(slope.low * PER_MILLION)
