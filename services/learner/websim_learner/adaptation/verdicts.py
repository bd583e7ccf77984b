"""Who stays in a trial and whether a finalist takes over: pure functions of evaluations."""

import math
from collections.abc import Mapping

import msgspec

from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.trend import mean_of, num_gone, paired_bounds

ROUNDING = 1e-9
"""Share of a fitness that is no gain."""


class TrialSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How candidates are tried against the reward in force."""

    round_env_steps: tuple[int, ...] = (25_000, 50_000)
    """Training of every contender in each round."""
    finalists: int = 2
    """Candidates that stay after the first round; the control always does."""
    clear_share: float = 1.0
    """A candidate takes over before the last round if its gain is surely beyond this share of the
    control's |fitness|."""
    confidence: float = 0.95
    """That a finalist which takes over is better, however many finalists there are."""
    by_fitness: bool = True
    """Whether fitness decides; otherwise nobody takes over before a person has chosen."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a trial. It speaks of the policies evaluated, not of other training runs."""

    promote: bool
    winner: str | None
    """The finalist with the best lower bound, promoted or not; None: every one failed, or a person
    chooses."""
    gain_mean: float | None
    """Of its fitness over the control's, mean of the paired episodes; None without a winner."""
    gain_low: float | None
    """Lower bound of that gain; -inf where one pair or none bounds nothing."""
    confidence: float
    """Of the lower bounds of all finalists and rounds together."""
    sentence: str
    """For people."""


def halve(results: Mapping[str, EvalPoint | None], keep: int, control: str) -> list[str]:
    """Return the names of the candidates that stay, best first.

    They are ordered by their mean paired gain over the control, or by their mean fitness where
    the control failed; equal ones by name. A failed candidate (None) never stays.

    Args:
        results: evaluation of every contender, the control's included.
        keep: how many candidates stay.
        control: name of the contender with the reward in force; not among those returned.
    """
    reference = results.get(control)
    order: list[tuple[float, str]] = []
    for name, point in results.items():
        if name == control or point is None:
            continue
        if reference is None:
            value = mean_of(point.fitness)
        else:
            value = paired_bounds(reference.fitness, point.fitness, 0.5).mean
        if not math.isnan(value):
            order.append((-value, name))
    return [name for _, name in sorted(order)[:keep]]


def decide(
    control: EvalPoint, finalists: Mapping[str, EvalPoint | None], settings: TrialSettings
) -> Decision:
    """Return whether the best finalist takes over: only if its gain's lower bound is above 0.

    The doubt is shared out over the finalists and the rounds after which they may take over
    (Bonferroni), so picking the best of several, or looking twice, does not make a lucky one
    likelier. Equal ones: the higher mean gain, then the first by name.
    """
    standing = {name: point for name, point in finalists.items() if point is not None}
    if not standing:
        return _nobody(settings)
    if not settings.by_fitness:
        sentence = "No number says who is better: a person chooses."
        return msgspec.structs.replace(_nobody(settings), sentence=sentence)
    looks = len(standing) * len(settings.round_env_steps)
    confidence = 1.0 - (1.0 - settings.confidence) / looks
    ranking: list[tuple[float, float, str]] = []
    for name, point in standing.items():
        gain = paired_bounds(control.fitness, point.fitness, confidence)
        if not math.isnan(gain.mean):
            ranking.append((-gain.low, -gain.mean, name))
    if not ranking:
        return _nobody(settings)
    negative_low, negative_mean, winner = min(ranking)
    low, mean = -negative_low, -negative_mean
    # Equal but for rounding is equal.
    promote = low > ROUNDING * max(1.0, abs(mean_of(control.fitness)))
    surely = f"at least {low:+.4g} with {settings.confidence:.0%} confidence"
    if promote:
        sentence = f"{winner} gains {mean:+.4g} in fitness, {surely}: it takes over."
    else:
        bound = surely if math.isfinite(low) else "too few episodes to bound it"
        if gone := num_gone(control.fitness, standing[winner].fitness):
            bound = f"but in {gone} of the episodes only the control has a number"
        sentence = f"{winner} gains {mean:+.4g} in fitness, {bound}: the reward in force stays."
    return Decision(
        promote=promote,
        winner=winner,
        gain_mean=mean,
        gain_low=low,
        confidence=settings.confidence,
        sentence=sentence,
    )


def goes_on(present: EvalPoint, tried: EvalPoint, confidence: float) -> bool:
    """Return whether a late yes leaves the policy that has trained on, and changes its reward only.

    Otherwise the policy of the trial takes its place, which has to be surely better by then.

    Args:
        present: evaluation of the policy in training.
        tried: of the policy that waits since its trial, from the same starts.
        confidence: that the latter is better.
    """
    episodes = min(len(present.fitness), len(tried.fitness))
    before, after = present.fitness[:episodes], tried.fitness[:episodes]
    return not paired_bounds(before, after, confidence).low > 0.0


def is_clear(control: EvalPoint, decision: Decision, settings: TrialSettings) -> bool:
    """Return whether a decision needs no further round: the winner is far beyond the control."""
    beyond = settings.clear_share * abs(mean_of(control.fitness))
    return decision.promote and decision.gain_low is not None and decision.gain_low > beyond


def _nobody(settings: TrialSettings) -> Decision:
    return Decision(
        promote=False,
        winner=None,
        gain_mean=None,
        gain_low=None,
        confidence=settings.confidence,
        sentence="Every finalist failed: the reward in force stays.",
    )
