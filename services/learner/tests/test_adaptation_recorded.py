"""The guards on recorded curves: real trainings that adopted a reward by force.

data/probation_curves.json holds, for rewards that can be gamed and for those that cannot, the
baseline and what evaluations on probation saw since the last change (tests/bench/hacks.py).
"""

import json
from pathlib import Path

import msgspec
import pytest

from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.preference import Preference
from websim_learner.adaptation.signals import TriggerSettings, TriggerState
from websim_learner.adaptation.trend import mean_of
from websim_learner.adaptation.triggers import find_trigger

CURVES = json.loads((Path(__file__).parent / "data" / "probation_curves.json").read_text())
HACKABLE = [curve for curve in CURVES if curve["hackable"]]
HONEST = [curve for curve in CURVES if not curve["hackable"]]


def point(values):
    return msgspec.convert({"task_return": [], "reward_id": "p_1", **values}, EvalPoint)


def watch(curve, preference):
    """Return the first guard that speaks, and the look at which it does."""
    baseline, points = point(curve["baseline"]), [point(each) for each in curve["points"]]
    state = TriggerState(
        adopted_env_steps=baseline.env_steps, overruled=curve.get("overruled", False)
    )
    for count in range(1, len(points) + 1):
        seen = points[:count]
        trigger = find_trigger(
            seen, baseline, None, preference, state, TriggerSettings(), seen[-1].env_steps
        )
        if trigger is not None and trigger.kind == "guard":
            return trigger, seen[-1]
    return None, points[-1]


def preferred(curve):
    told = curve["preference"]
    return None if told is None else msgspec.convert(told, Preference)


def named(curve):
    return curve["name"]


@pytest.mark.parametrize("curve", HACKABLE, ids=named)
def test_a_gamed_reward_is_found_before_fitness_has_lost_much(curve):
    trigger, seen = watch(curve, preferred(curve))
    assert trigger is not None
    before = mean_of(curve["baseline"]["fitness"])
    assert (before - mean_of(seen.fitness)) / abs(before) < 0.3
    assert seen.env_steps - curve["baseline"]["env_steps"] <= 300_000


@pytest.mark.parametrize("curve", HONEST, ids=named)
def test_an_honest_reward_is_left_alone(curve):
    trigger, seen = watch(curve, preferred(curve))
    assert trigger is None
    assert seen.env_steps - curve["baseline"]["env_steps"] > 250_000


def test_there_are_curves_of_both_kinds():
    assert len(HACKABLE) == 6
    assert len(HONEST) >= 3
