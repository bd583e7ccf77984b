"""When a run asks for a change: a pure function of its evaluations since the last one.

The trainer's thread calls `rearmed` and `find_trigger` after each evaluation, and the functions
of signals.py when something was done about a trigger.
"""

from collections.abc import Sequence

import msgspec

from websim_learner.adaptation.guards import PER_MILLION, fitness_slope, guards
from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.preference import Preference
from websim_learner.adaptation.signals import Trigger, TriggerSettings, TriggerState
from websim_learner.adaptation.trend import mean_of


def find_trigger(
    points: Sequence[EvalPoint],
    baseline: EvalPoint | None,
    target: float | None,
    preference: Preference | None,
    state: TriggerState,
    settings: TriggerSettings,
    env_steps: int,
) -> Trigger | None:
    """Return the most pressing reason to change something, or None.

    Args:
        points: evaluations since the last change (adoption, rollback, trial, goal), in order.
        baseline: the evaluation right before an adoption while that is on probation.
        target: mean fitness at which the goal is reached.
        preference: what the reward in force prefers, if it was looked at.
        state: what triggers remember.
        settings: of the run.
        env_steps: training env steps of the run now.
    """
    spent = state.adaptations >= settings.max_adaptations
    for guard in guards(points, baseline, preference, state, settings, env_steps):
        # What puts something back costs no adaptation; any other guard asks for candidates.
        puts_back = baseline is not None or guard.what == "collapsed"
        if guard.what not in state.told and (puts_back or not spent):
            return guard
    # Harder before different: that needs no new reward, and is told once.
    if (reached := _target_reached(points, target, state, settings)) is not None:
        return reached
    if spent:
        return None
    ended = state.last_end_env_steps
    if ended is not None and env_steps - ended < settings.cooldown_env_steps:
        return None
    return _stagnation(points, target, settings) or _schedule(state, settings, env_steps)


def rearmed(
    state: TriggerState,
    points: Sequence[EvalPoint],
    target: float | None,
    settings: TriggerSettings,
) -> TriggerState:
    """Return the state after an evaluation: a target that fell out of reach can be reached anew.

    Fitness that wavers at the target does not tell of it again: it must fall clearly below.
    """
    if not state.reached or not points:
        return state
    value, goal, _ = progress(points[-1], target, settings)
    if goal is None or value < goal - settings.rearm_share * abs(goal):
        return msgspec.structs.replace(state, reached=False)
    return state


def progress(
    point: EvalPoint, target: float | None, settings: TriggerSettings
) -> tuple[float, float | None, str]:
    """Return what is compared with the target, the target (None: there is none), and its name."""
    if not settings.by_fitness:
        return mean_of(point.fitness), None, "Fitness"
    if target is not None:
        return mean_of(point.fitness), target, "Fitness"
    if point.success:
        return mean_of(point.success), settings.success_target, "Success"
    return mean_of(point.fitness), None, "Fitness"


def _target_reached(
    points: Sequence[EvalPoint],
    target: float | None,
    state: TriggerState,
    settings: TriggerSettings,
) -> Trigger | None:
    recent = points[-settings.reached_in_a_row :]
    if state.reached or len(recent) < settings.reached_in_a_row:
        return None
    for point in recent:
        value, goal, _ = progress(point, target, settings)
        if goal is None or not value >= goal:
            return None
    value, goal, name = progress(recent[-1], target, settings)
    assert goal is not None
    sentence = f"{name} is {value:.4g}, at its target {goal:.4g} {len(recent)} times in a row."
    numbers = {"value": value, "target": goal}
    return Trigger(kind="target_reached", what="target_reached", sentence=sentence, numbers=numbers)


def _stagnation(
    points: Sequence[EvalPoint], target: float | None, settings: TriggerSettings
) -> Trigger | None:
    if not points or not settings.by_fitness:
        return None
    value, goal, _ = progress(points[-1], target, settings)
    if goal is not None and not value < goal:
        return None
    if _says_nothing(points[-1]):
        paid = points[-1].reward_return[0]
        sentence = f"The reward gives every episode {paid:.4g}, whatever its fitness."
        what = "says_nothing"
        return Trigger(kind="stagnation", what=what, sentence=sentence, numbers={"return": paid})
    # Looks on probation follow one another too soon to show growth.
    whole = [point for point in points if point.whole]
    slope = fitness_slope(whole, settings, settings.growth_confidence)
    # Growth is shown only by an interval wholly above 0.
    if slope is None or slope.low > 0.0:
        return None
    low, high = slope.low * PER_MILLION, slope.high * PER_MILLION
    sentence = (
        f"Over the last {settings.window} evaluations fitness changed by "
        f"{slope.slope * PER_MILLION:+.4g} per million steps, {low:+.4g} to {high:+.4g}: "
        "no growth can be told."
    )
    numbers = {
        "slope_per_million": slope.slope * PER_MILLION,
        "low_per_million": low,
        "high_per_million": high,
        "fitness": mean_of(points[-1].fitness),
    }
    return Trigger(kind="stagnation", what="stagnation", sentence=sentence, numbers=numbers)


def _says_nothing(point: EvalPoint) -> bool:
    """Return whether a reward pays all episodes alike that differ in fitness.

    Exact equality of many sums of many steps is no accident: nothing can be learned from it.
    """
    return len(set(point.reward_return)) == 1 and len(set(point.fitness)) > 1


def _schedule(state: TriggerState, settings: TriggerSettings, env_steps: int) -> Trigger | None:
    since = env_steps - (state.last_end_env_steps or 0)
    if not 0 < settings.schedule_env_steps <= since:
        return None
    sentence = f"{since:,} steps since the last adaptation: it is time for one."
    numbers = {"env_steps_since": float(since)}
    return Trigger(kind="schedule", what="schedule", sentence=sentence, numbers=numbers)
