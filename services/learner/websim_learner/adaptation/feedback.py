"""What training under a reward looked like, for whoever writes the next one. Pure.

Built from evaluations, which are paired and have no exploration noise. No NaN and no infinity
leaves here: what is not a number is left out. Nor does a fitness by which the goal is not judged:
whoever writes rewards would be led by it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import get_args

import msgspec
import numpy as np

from websim.programs.limits import MAX_COMPONENT_NAME, MAX_COMPONENTS
from websim_learner.adaptation.points import ComponentTally, EvalPoint
from websim_learner.adaptation.requests import (
    MAX_TEXT,
    ComponentFeedback,
    Feedback,
    Trigger,
    finite,
)
from websim_learner.tallies import correlation

CURVE_POINTS = 10
"""Values of a curve: its shape, not its noise."""

MAX_CURVES = 32
"""Curves that reward-gen takes at most."""

MIN_CORRELATED = 3
"""Episodes below which a correlation says nothing."""


def make_feedback(
    points: Sequence[EvalPoint],
    kind: str,
    sentence: str,
    *,
    target: float | None = None,
    slope_low_per_million: float | None = None,
    by_fitness: bool = True,
) -> Feedback:
    """Return the feedback on the reward of the last point.

    Fitness, length and losses are told over all points; what the reward itself says (its return,
    its components) over those that were judged by it.

    Args:
        points: Evaluations, the oldest first.
        kind: Of the trigger; one that reward-gen does not know is not told.
        sentence: The trigger's evidence, for people.
        target: Fitness at which the goal is reached.
        slope_low_per_million: Lower confidence bound of the slope of fitness, per million steps.
        by_fitness: Whether fitness judges the goal; otherwise nothing of it is told.
    """
    told = _told(points, kind, sentence, target, slope_low_per_million)
    return told if by_fitness else _without_fitness(told)


def _told(
    points: Sequence[EvalPoint],
    kind: str,
    sentence: str,
    target: float | None,
    slope_low_per_million: float | None,
) -> Feedback:
    trigger: Trigger = next((each for each in get_args(Trigger) if each == kind), "")
    evidence = sentence[:MAX_TEXT]
    if not points:
        return Feedback(trigger=trigger, evidence=evidence, fitness_target=finite(target))
    last = points[-1]
    same = [point for point in points if point.reward_id == last.reward_id]
    return Feedback(
        trigger=trigger,
        evidence=evidence,
        env_steps=last.env_steps,
        fitness=finite(mean(last.fitness)),
        fitness_target=finite(target),
        fitness_slope_low=finite(slope_low_per_million),
        episode_length=finite(mean(last.length)),
        reward_fitness_correlation=reward_fitness_correlation(same),
        components=_components(_sound(last)),
        curves=_curves(points, same),
    )


def _without_fitness(feedback: Feedback) -> Feedback:
    return msgspec.structs.replace(
        feedback,
        fitness=None,
        fitness_target=None,
        fitness_slope_low=None,
        reward_fitness_correlation=None,
        components={
            name: msgspec.structs.replace(each, fitness_correlation=None)
            for name, each in feedback.components.items()
        },
        curves={name: curve for name, curve in feedback.curves.items() if name != "fitness"},
    )


def evenly_spaced(values: Sequence[float | None], count: int = CURVE_POINTS) -> tuple[float, ...]:
    """Return so many values, first and last among them, of those that are numbers."""
    numbers = [value for value in map(finite, values) if value is not None]
    if len(numbers) <= count:
        return tuple(numbers)
    places = np.linspace(0, len(numbers) - 1, count).round().astype(int)
    return tuple(numbers[place] for place in places)


def mean(values: Sequence[float]) -> float | None:
    """Return the mean; None of nothing."""
    return float(np.mean(values)) if values else None


def _curves(points: Sequence[EvalPoint], same: Sequence[EvalPoint]) -> dict[str, tuple[float, ...]]:
    wanted: list[tuple[str, Sequence[EvalPoint], Callable[[EvalPoint], float | None]]] = [
        ("fitness", points, lambda point: mean(point.fitness)),
        ("reward_return", same, lambda point: mean(point.reward_return)),
        ("episode_length", points, lambda point: mean(point.length)),
        ("value_loss", points, lambda point: point.value_loss),
        ("entropy", points, lambda point: point.entropy_nats),
    ]
    curves = {name: evenly_spaced([value(p) for p in over]) for name, over, value in wanted}
    for component in _sound(same[-1]):
        if len(curves) < MAX_CURVES and _is_curve_name(component):
            shares = [p.components[component].share for p in same if component in p.components]
            curves[f"share:{component}"] = evenly_spaced(shares)
    return {name: values for name, values in curves.items() if values}


def _is_curve_name(component: str) -> bool:
    """Return whether reward-gen takes a curve of the component's name."""
    return component.isascii() and component.isidentifier() and len(f"share:{component}") <= 64


def _sound(point: EvalPoint) -> dict[str, ComponentTally]:
    """Return the components whose numbers are numbers."""
    return {
        name: tally
        for name, tally in point.components.items()
        if None not in (finite(tally.share), finite(tally.mean), finite(tally.std))
    }


def _components(tallies: Mapping[str, ComponentTally]) -> dict[str, ComponentFeedback]:
    """Return as many components as reward-gen takes, those of the largest shares, by its names."""
    largest = sorted(tallies, key=lambda name: -tallies[name].share)[:MAX_COMPONENTS]
    told: dict[str, ComponentFeedback] = {}
    for name in (each for each in tallies if each in largest):
        told.setdefault(name[:MAX_COMPONENT_NAME] or "unnamed", _component(tallies[name]))
    return told


def _component(tally: ComponentTally) -> ComponentFeedback:
    told = finite(tally.fitness_correlation)
    return ComponentFeedback(
        share=min(max(tally.share, 0.0), 1.0),
        mean=tally.mean,
        std=max(tally.std, 0.0),
        fitness_correlation=None if told is None else min(max(told, -1.0), 1.0),
    )


def reward_fitness_correlation(points: Sequence[EvalPoint]) -> float | None:
    """Return how the reward's return goes with fitness over all episodes judged by it.

    None where one of them does not vary, or of too few episodes.
    """
    pairs = [
        pair
        for point in points
        for pair in zip(point.reward_return, point.fitness, strict=True)
        if None not in map(finite, pair)
    ]
    if len(pairs) < MIN_CORRELATED:
        return None
    reward, fitness = np.array(pairs, np.float64).T
    return correlation(reward, fitness)
