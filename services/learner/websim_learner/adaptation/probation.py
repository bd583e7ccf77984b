"""Probation: how often a policy is looked at after an adoption, and until when. Pure."""

import math
import statistics
from collections.abc import Sequence

from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.signals import TriggerSettings, TriggerState

LOOK_EVERY_STEPS = 8_000
"""At first: a reward that can be gamed ruins a policy within some ten updates."""

OFTEN_STEPS = 80_000
"""Until then it is looked at that often; from then on each tenth of the time since the adoption.
What has gone well for long is not ruined at once, and every look costs some env steps' time."""

MAX_BLOCKS = 64
"""Of training data that are remembered; a probation has fewer."""

MIN_BLOCKS = 3
"""That tell how often episodes usually terminate."""

MIN_TERMINATIONS = 8
"""In a block, of a few that may be chance."""

MORE = 2.0
"""Times the usual, from where on something happens that a look is worth."""

Blocks = list[tuple[int, int]]
"""Terminations and env steps of training data since an adoption, the oldest first. A block is
whole from LOOK_EVERY_STEPS on: one update, or several small ones."""


def looks_due(steps: int, *, doubtful: bool = False) -> int:
    """Return how many looks are due so many env steps after an adoption.

    Args:
        steps: since the adoption.
        doubtful: whether the last look has shown what may be a loss: then none is put off.
    """
    if doubtful or steps <= OFTEN_STEPS:
        return max(steps, 0) // LOOK_EVERY_STEPS
    often = OFTEN_STEPS // LOOK_EVERY_STEPS
    return int(often * (1.0 + math.log(steps / OFTEN_STEPS)))


def with_update(blocks: Blocks, terminations: int, env_steps: int) -> Blocks:
    """Return blocks with an update's data among them, which had so many env steps."""
    if blocks and blocks[-1][1] < LOOK_EVERY_STEPS:
        *blocks, (before, steps_before) = blocks
        terminations, env_steps = before + terminations, steps_before + env_steps
    return [*blocks, (terminations, env_steps)][-MAX_BLOCKS:]


def falls_more(blocks: Sequence[tuple[int, int]]) -> bool:
    """Return whether training data just completed tell that episodes terminate far more often.

    A policy that is being ruined falls in training before a look at it is due. Whether fitness is
    lost, too, is for the look to show.
    """
    if len(blocks) <= MIN_BLOCKS or blocks[-1][1] < LOOK_EVERY_STEPS:
        return False
    *before, (terminations, env_steps) = blocks
    usual = statistics.median(n / steps for n, steps in before)
    return terminations >= MIN_TERMINATIONS and terminations / env_steps >= MORE * usual


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
