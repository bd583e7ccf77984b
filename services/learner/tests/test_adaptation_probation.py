"""How often a policy is looked at after an adoption, and until when."""

from itertools import pairwise

import pytest

from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.probation import adopted_at, is_over, looks_due
from websim_learner.adaptation.signals import TriggerSettings, TriggerState

BASELINE = EvalPoint(
    update=5,
    env_steps=40_000,
    fitness=(1.0,),
    reward_return=(1.0,),
    task_return=(1.0,),
    length=(10,),
    reward_id="task",
)


def test_looks_are_frequent_at_first_and_then_ever_rarer():
    assert [looks_due(steps) for steps in (-1, 0, 7_999, 8_000, 80_000)] == [0, 0, 0, 1, 10]
    due = [
        steps
        for steps in range(1_000, 301_000, 1_000)
        if looks_due(steps) > looks_due(steps - 1_000)
    ]
    gaps = [b - a for a, b in pairwise(due)]
    assert gaps[:9] == [8_000] * 9
    # A tenth of the time since the adoption.
    assert all(gap <= 0.11 * start + 1_000 for start, gap in zip(due[10:], gaps[10:], strict=False))
    assert gaps[-1] == max(gaps)
    assert len(due) == looks_due(300_000) == 23


@pytest.mark.parametrize(("steps_per_update", "looks"), [(500, 23), (4_000, 23), (100_000, 3)])
def test_looks_that_fall_due_in_one_update_are_one(steps_per_update, looks):
    ends = range(steps_per_update, 300_001, steps_per_update)
    assert sum(looks_due(end) > looks_due(end - steps_per_update) for end in ends) == looks


def test_probation_begins_at_the_adoption_and_ends_in_time():
    settings = TriggerSettings(probation_env_steps=100)
    by_hand, adopted = TriggerState(), TriggerState(adopted_env_steps=50_000)
    assert (adopted_at(BASELINE, by_hand), adopted_at(BASELINE, adopted)) == (40_000, 50_000)
    assert not is_over(BASELINE, by_hand, settings, 40_100)
    assert is_over(BASELINE, by_hand, settings, 40_101)
    assert not is_over(BASELINE, adopted, settings, 50_100)
    assert not is_over(None, adopted, settings, 10**9)
