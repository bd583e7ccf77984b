"""Probation: how often a policy is looked at after an adoption, and until when. Pure."""

import math

from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.signals import TriggerSettings, TriggerState

LOOK_EVERY_STEPS = 8_000
"""At first: a reward that can be gamed ruins a policy within some ten updates."""

OFTEN_STEPS = 80_000
"""Until then it is looked at that often; from then on each tenth of the time since the adoption.
What has gone well for long is not ruined at once, and every look costs some env steps' time."""


def looks_due(steps: int) -> int:
    """Return how many looks are due so many env steps after an adoption."""
    if steps <= OFTEN_STEPS:
        return max(steps, 0) // LOOK_EVERY_STEPS
    often = OFTEN_STEPS // LOOK_EVERY_STEPS
    return int(often * (1.0 + math.log(steps / OFTEN_STEPS)))


def adopted_at(baseline: EvalPoint, state: TriggerState) -> int:
    """Return the run's env steps at the adoption that is on probation."""
    return baseline.env_steps if state.adopted_env_steps is None else state.adopted_env_steps


def is_over(
    baseline: EvalPoint | None, state: TriggerState, settings: TriggerSettings, env_steps: int
) -> bool:
    """Return whether an adoption has passed its probation by now; False where there is none."""
    if baseline is None:
        return False
    return env_steps - adopted_at(baseline, state) > settings.probation_env_steps
