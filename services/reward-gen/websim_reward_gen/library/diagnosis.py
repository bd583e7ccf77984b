"""What the library makes of feedback: what to change, smallest change first.

The rules, in order: a reward that is gamed is replaced; a target reached asks for a harder
environment; episodes too short to learn from ask for an easier one; a goal that still comes
closer is left alone; one component that drowns the others is reweighted; otherwise new rewards.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from websim_reward_gen.answers import EnvChange
from websim_reward_gen.bodies import Action, Feedback, Knob
from websim_reward_gen.weights import SUFFIX

SHORT_EPISODE_STEPS = 60.0
"""Below this no reward teaches: what is missing is experience (reward search on a robot that
falls within 50-70 steps found no gait in 24 candidates)."""

DOMINANT_SHARE = 0.8
"""Of the magnitudes of all components: beyond it the others do not count."""

HACKED_CORRELATION = -0.3
"""Reward and fitness moving apart."""

WIDEN_SHARE = 0.25
"""How far bounds move towards what is allowed in one change."""


@dataclass(frozen=True)
class Diagnosis:
    """What is the matter and what to do."""

    text: str
    action: Action
    weights: dict[str, float] = field(default_factory=dict)
    """For a reweighting: new weights of the current program."""
    env_changes: tuple[EnvChange, ...] = ()


def diagnose(feedback: Feedback, weights: dict[str, float], knobs: Sequence[Knob]) -> Diagnosis:
    """Return a diagnosis.

    Args:
        feedback: what training under the current reward looked like.
        weights: of the current program.
        knobs: what of the environment may be changed.
    """
    correlation = feedback.reward_fitness_correlation
    if correlation is not None and correlation < HACKED_CORRELATION:
        text = f"the reward grows while the fitness falls (correlation {correlation:.2f})"
        return Diagnosis(f"{text}: it is being gamed", "new_reward")
    if _target_reached(feedback) and knobs:
        changes = tuple(_widened(knob) for knob in knobs)
        return Diagnosis("the target is reached: a harder environment", "env_change", {}, changes)
    length = feedback.episode_length
    wide = [knob for knob in knobs if knob.current_low < knob.current_high]
    if length is not None and length < SHORT_EPISODE_STEPS and wide:
        text = f"episodes end after {length:.0f} steps, too soon to learn from"
        changes = tuple(_narrowed(knob) for knob in wide)
        return Diagnosis(f"{text}: an easier environment", "env_change", {}, changes)
    slope = feedback.fitness_slope_low
    if slope is not None and slope > 0.0 and feedback.trigger in ("", "schedule"):
        return Diagnosis("the fitness still rises: nothing to change", "none")
    return _of_components(feedback, weights)


def _of_components(feedback: Feedback, weights: dict[str, float]) -> Diagnosis:
    for name, component in feedback.components.items():
        weight = weights.get(f"{name}{SUFFIX}")
        if component.share > DOMINANT_SHARE and len(feedback.components) > 1 and weight:
            text = f"the component {name} makes up {component.share:.0%} of the reward"
            smaller = {f"{name}{SUFFIX}": float(f"{0.3 * weight:.3g}")}
            return Diagnosis(f"{text} and drowns the others", "reweight", smaller)
    flat = [name for name, each in feedback.components.items() if each.std == 0.0]
    if flat:
        text = f"the component {flat[0]} never changes and teaches nothing"
        return Diagnosis(text, "new_reward")
    if feedback.trigger == "stagnation":
        return Diagnosis("the fitness does not rise any more under this reward", "new_reward")
    return Diagnosis("rewards for the goal", "new_reward")


def _target_reached(feedback: Feedback) -> bool:
    if feedback.fitness is not None and feedback.fitness_target is not None:
        return feedback.fitness >= feedback.fitness_target
    return feedback.trigger == "target_reached"


def _widened(knob: Knob) -> EnvChange:
    low = knob.current_low + WIDEN_SHARE * (knob.low - knob.current_low)
    high = knob.current_high + WIDEN_SHARE * (knob.high - knob.current_high)
    return _change(knob, low, high, "harder: a wider range")


def _narrowed(knob: Knob) -> EnvChange:
    middle = 0.5 * (knob.current_low + knob.current_high)
    low = knob.current_low + 0.5 * (middle - knob.current_low)
    high = knob.current_high + 0.5 * (middle - knob.current_high)
    return _change(knob, low, high, "easier: half the range")


def _change(knob: Knob, low: float, high: float, reason: str) -> EnvChange:
    low = min(max(low, knob.low), knob.high)
    high = min(max(high, low), knob.high)
    return EnvChange(name=knob.name, low=low, high=high, reason=reason)
