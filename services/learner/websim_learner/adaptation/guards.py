"""Guards: signs that learning breaks or that a reward is hacked. Each speaks once a change."""

import math
import statistics
from collections.abc import Iterator, Sequence

from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.preference import Preference
from websim_learner.adaptation.probation import is_over
from websim_learner.adaptation.signals import Trigger, TriggerSettings, TriggerState
from websim_learner.adaptation.trend import (
    Bounds,
    Slope,
    mean_of,
    num_gone,
    paired_bounds,
    theil_sen,
)

PER_MILLION = 1e6
"""Slopes are told per million env steps."""


MOST_GONE = 0.5
"""Share of the episodes with a fitness from which on an adoption that leaves them none is one too
many."""


WORSE_THAN_BEFORE = ("fitness_lost", "prefers_worse")
"""Guards that hold an adoption against what was in force before it."""


def guards(
    points: Sequence[EvalPoint],
    baseline: EvalPoint | None,
    preference: Preference | None,
    state: TriggerState,
    settings: TriggerSettings,
    env_steps: int,
) -> Iterator[Trigger]:
    """Yield what is wrong, most telling first; arguments as `find_trigger` takes them."""
    if baseline is not None:
        yield from _fitness_lost(points, baseline, state, settings, env_steps)
    if preference is not None and not preference.passed:
        numbers = {"score": preference.score, "num_pairs": float(preference.num_pairs)}
        yield _guard("prefers_worse", f"The reward prefers worse: {preference.sentence}", numbers)
    breaks: list[Trigger] = []
    if points and not _has_gained(points, baseline, settings):
        breaks = list(_learning_breaks(points, baseline, settings))
    if settings.by_fitness:
        # Without an adoption that could be at fault, one loss is enough where learning breaks.
        in_a_row = 1 if breaks and baseline is None else settings.losses_in_a_row
        yield from _hacked(points, settings)
        yield from _collapsed(points, in_a_row, settings)
    yield from breaks


def peak_of(points: Sequence[EvalPoint]) -> EvalPoint | None:
    """Return the first of the best whole evaluations; None: there is none."""
    whole = [p for p in points if p.whole and math.isfinite(mean_of(p.fitness))]
    return max(whole, key=lambda p: mean_of(p.fitness), default=None)


def has_outgrown(
    points: Sequence[EvalPoint], baseline: EvalPoint, settings: TriggerSettings
) -> bool:
    """Return whether the best policy since an adoption is surely well above the one before it.

    What is gone back to is worse then than what is at hand, whatever was lost since.
    """
    peak = peak_of(points)
    if peak is None or not settings.by_fitness:
        return False
    gained = settings.loss_share_at_once * abs(mean_of(baseline.fitness))
    return _change(baseline, peak, settings).low > gained


def in_doubt(points: Sequence[EvalPoint], baseline: EvalPoint, settings: TriggerSettings) -> bool:
    """Return whether the last evaluation since the adoption shows a loss that counts, if it is one.

    Few episodes do not tell a loss from chance, so the next look is soon, and has them all.
    """
    if not points or not settings.by_fitness:
        return False
    lost = -settings.loss_share * abs(mean_of(baseline.fitness))
    return _change(baseline, points[-1], settings).mean < lost


def fitness_slope(
    points: Sequence[EvalPoint], settings: TriggerSettings, confidence: float | None = None
) -> Slope | None:
    """Return the slope of mean fitness over the last window; None: too few evaluations.

    Args:
        points: evaluations, in order.
        settings: of the run.
        confidence: of the slope's interval; None: that of trends.
    """
    return _slope([(p.env_steps, mean_of(p.fitness)) for p in points], settings, confidence)


def _slope(
    series: list[tuple[int, float]], settings: TriggerSettings, confidence: float | None = None
) -> Slope | None:
    # Of two evaluations at the same step the later one counts: a run that resumes repeats one.
    last = {x: y for x, y in series if math.isfinite(y)}
    xs = sorted(last)[-settings.window :]
    if len(xs) < settings.window:
        return None
    return theil_sen(xs, [last[x] for x in xs], confidence or settings.trend_confidence)


def _fitness_lost(
    points: Sequence[EvalPoint],
    baseline: EvalPoint,
    state: TriggerState,
    settings: TriggerSettings,
    env_steps: int,
) -> Iterator[Trigger]:
    if not points or is_over(baseline, state, settings, env_steps):
        return
    before = mean_of(baseline.fitness)
    if (gone := _share_gone(baseline, points[-1])) > MOST_GONE:
        yield _guard(
            "fitness_lost",
            f"Since the adoption {gone:.0%} of the episodes that had a fitness have none.",
            {"before": before, "gone": gone},
        )
        return
    recent = points[-settings.losses_in_a_row :]
    changes = [_change(baseline, point, settings) for point in recent]
    slow, fast = -settings.loss_share * abs(before), -settings.loss_share_at_once * abs(before)
    at_once = changes[-1].high < fast
    # What its preference spoke against needs no second proof.
    at_once = at_once or (state.overruled and changes[-1].mean < slow and changes[-1].high < 0.0)
    # Each shows the loss, and together they are sure of it.
    in_a_row = len(changes) == settings.losses_in_a_row and all(c.mean < slow for c in changes)
    in_a_row = in_a_row and _pooled(baseline, recent, settings).high < slow
    if at_once or in_a_row:
        last = changes[-1]
        how = "at once" if at_once else f"in {len(changes)} evaluations in a row"
        yield _guard(
            "fitness_lost",
            f"Since the adoption fitness changed by {last.mean:+.4g} from {before:.4g}, by "
            f"{last.high:+.4g} at best, {how}.",
            {"before": before, "change_mean": last.mean, "change_high": last.high},
        )


def _share_gone(baseline: EvalPoint, point: EvalPoint) -> float:
    episodes = min(len(baseline.fitness), len(point.fitness))
    before, after = baseline.fitness[:episodes], point.fitness[:episodes]
    return num_gone(before, after) / max(1, sum(map(math.isfinite, before)))


def _collapsed(
    points: Sequence[EvalPoint], in_a_row: int, settings: TriggerSettings
) -> Iterator[Trigger]:
    """What was learned is lost by learning on: large updates do that, whatever the reward."""
    peak = peak_of(points)
    if peak is None:
        return
    after = [point for point in points if point.whole and point.env_steps > peak.env_steps]
    recent = after[-in_a_row:]
    best = mean_of(peak.fitness)
    most = -settings.loss_share_at_once * abs(best)
    changes = [_change(peak, point, settings) for point in recent]
    if len(changes) == in_a_row and all(each.high < most for each in changes):
        last = mean_of(recent[-1].fitness)
        times = "" if in_a_row == 1 else f", in {in_a_row} evaluations in a row"
        yield _guard(
            "collapsed",
            f"Fitness fell to {last:.4g}, from {best:.4g} at {peak.env_steps:,} steps{times}.",
            {"peak": best, "fitness": last},
        )


def _change(baseline: EvalPoint, point: EvalPoint, settings: TriggerSettings) -> Bounds:
    """Return the paired change of fitness since the baseline, over the episodes that both have.

    On probation fewer episodes are looked at; they begin where the baseline's first ones did.
    """
    episodes = min(len(baseline.fitness), len(point.fitness))
    before, after = baseline.fitness[:episodes], point.fitness[:episodes]
    return paired_bounds(before, after, settings.loss_confidence)


def _pooled(baseline: EvalPoint, points: Sequence[EvalPoint], settings: TriggerSettings) -> Bounds:
    """Return the paired change of fitness since the baseline, of each episode's mean over points.

    What chance does to an episode evens out over several evaluations of nearly the same policy.
    """
    fitness = [point.fitness for point in points]
    episodes = min(len(baseline.fitness), *map(len, fitness))
    after = [mean_of(each) for each in zip(*(f[:episodes] for f in fitness), strict=True)]
    return paired_bounds(baseline.fitness[:episodes], after, settings.loss_confidence)


def _hacked(points: Sequence[EvalPoint], settings: TriggerSettings) -> Iterator[Trigger]:
    if not points:
        return
    # Returns of different rewards are in different units.
    same = [p for p in points if p.reward_id == points[-1].reward_id]
    fitness = fitness_slope(same, settings)
    reward = _slope([(p.env_steps, mean_of(p.reward_return)) for p in same], settings)
    if fitness and reward and reward.low > 0.0 and fitness.high < 0.0:
        up, down = reward.slope * PER_MILLION, fitness.slope * PER_MILLION
        yield _guard(
            "reward_up_fitness_down",
            f"The reward's return grows by {up:.4g} per million steps while fitness changes by "
            f"{down:.4g}: the reward is being hacked.",
            {"reward_per_million": up, "fitness_per_million": down},
        )


def _has_gained(
    points: Sequence[EvalPoint], baseline: EvalPoint | None, settings: TriggerSettings
) -> bool:
    """Return whether fitness is surely above what it was at the change.

    A robot that stood still and sets out falls sooner and surprises its critic: what looks like
    learning that breaks is what was wanted.
    """
    if not settings.by_fitness or not math.isfinite(points[-1].value_loss):
        return False
    return _change(baseline or points[0], points[-1], settings).low > 0.0


def _learning_breaks(
    points: Sequence[EvalPoint], baseline: EvalPoint | None, settings: TriggerSettings
) -> Iterator[Trigger]:
    last, history = points[-1], points[:-1]
    floor = settings.entropy_floor_nats
    if len(history) >= settings.min_history:
        loss = statistics.median(p.value_loss for p in history)
        most = max(settings.value_loss_factor * loss, settings.value_loss_floor)
        if loss > 0.0 and not last.value_loss <= most:
            yield _guard(
                "value_loss",
                f"Value loss is {last.value_loss:.4g}, its median since the change {loss:.4g}.",
                {"value_loss": last.value_loss, "median": loss},
            )
        length = statistics.median(mean_of(p.length) for p in history)
        if mean_of(last.length) < settings.length_share * length:
            yield _guard(
                "length",
                f"Episodes last {mean_of(last.length):.4g} steps, their median since the change "
                f"is {length:.4g}.",
                {"length": mean_of(last.length), "median": length},
            )
    if floor is not None and _explores_no_more(points, baseline, floor):
        yield _guard(
            "entropy",
            f"The policy's entropy is {last.entropy_nats:.4g} nats, below {floor:.4g}.",
            {"entropy_nats": last.entropy_nats, "floor_nats": floor},
        )


def _explores_no_more(
    points: Sequence[EvalPoint], baseline: EvalPoint | None, floor: float
) -> bool:
    """Return whether the policy's entropy has fallen below the floor since the change.

    Where it was below before, that is no fault of the change: otherwise each adoption would be
    taken back at once, and another one asked for.
    """
    before = [*([] if baseline is None else [baseline]), *points[:-1]]
    was_above = not before or any(point.entropy_nats >= floor for point in before)
    return was_above and points[-1].entropy_nats < floor


def _guard(what: str, sentence: str, numbers: dict[str, float]) -> Trigger:
    return Trigger(kind="guard", what=what, sentence=sentence, numbers=numbers)
