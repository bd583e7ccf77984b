"""The gate's dry run on recorded states: what made-up inputs are too small to show."""

import numpy as np
import pytest

from websim_learner.adaptation.gate import check_reward
from websim_learner.adaptation.points import Trajectory


def reward(body):
    return f"def reward(state, action):\n    return {body}\n"


def recorded(x, label="update 12", fitness=1.0):
    """Return an episode at positions x, without speed and effort."""
    x = np.asarray(x, np.float64)
    fields = {"x": x, "velocity": np.zeros((len(x), 2))}
    return Trajectory(label, fitness, fields, np.zeros((len(x), 1), np.float32))


FAR = [recorded(np.linspace(4.0, 5.0 + i, 10), fitness=float(i)) for i in range(5)]


def test_a_reward_without_numbers_on_recorded_states_is_refused(toy_task):
    checked = check_reward(reward("np.sqrt(3.5 - state.x)"), toy_task, FAR, FAR, gamma=0.99)
    assert (checked.accepted, checked.tier) == (False, "dry_run")
    assert "NaN or infinite for 50 of 50 recorded steps" in checked.message
    assert "np.sqrt needs x >= 0" in checked.message


def test_so_it_is_where_a_person_judges_and_no_preference_is_asked(toy_task):
    assert not check_reward(
        reward("np.sqrt(3.5 - state.x)"), toy_task, (), FAR, gamma=0.99
    ).accepted
    assert check_reward(reward("np.sqrt(3.5 - state.x)"), toy_task, (), gamma=0.99).accepted


@pytest.mark.parametrize(("factor", "accepted"), [(199.0, True), (201.0, False)])
def test_a_reward_beyond_the_limit_on_recorded_states_is_refused(toy_task, factor, accepted):
    """Of x = 5 everywhere: 995 and 1,005; the limit is 1,000."""
    at_five = [recorded([5.0] * 10, fitness=float(i)) for i in range(3)]
    checked = check_reward(reward(f"{factor} * state.x"), toy_task, at_five, at_five, gamma=0.99)
    assert checked.accepted == accepted
    if not accepted:
        assert checked.tier == "dry_run"
        assert checked.message == "the total is beyond 1000 on recorded steps; scale it"


def test_steps_whose_fields_are_no_numbers_are_held_against_nobody(toy_task):
    diverged = [recorded([0.1, 0.2, np.nan]), recorded([0.1, np.inf])]
    assert check_reward(
        reward("1.0 - np.square(state.x)"), toy_task, (), diverged, gamma=0.99
    ).accepted


def test_a_reward_whose_mean_is_no_number_is_beyond_the_limit_too(toy_task):
    """+1.5e308 and -1.5e308, of which sums are infinite either way."""
    body = reward("np.sign(state.x - 4.5) * 150.0 * (1e6 ** 16) ** 3 * (1e6 ** 3)")
    checked = check_reward(body, toy_task, FAR, FAR, gamma=0.99)
    assert (checked.accepted, checked.tier) == (False, "dry_run")
    assert "beyond 1000" in checked.message


ROUNDING = "np.square(np.sin(state.x)) + np.square(np.cos(state.x))"


@pytest.mark.parametrize("body", ["0.0 * state.x", "3.0 + 0.0 * state.x", ROUNDING])
def test_a_reward_that_is_the_same_everywhere_is_refused(toy_task, body):
    for recordings in ((), FAR):
        checked = check_reward(reward(body), toy_task, FAR, recordings, gamma=0.99)
        assert (checked.accepted, checked.tier) == (False, "dry_run")
        assert "whatever the state and the action are" in checked.message


def test_a_reward_that_pays_where_recordings_go_is_no_constant(toy_task):
    """Made-up positions are standard normal, and never at 8; FAR has some up to 9."""
    body = reward("np.where(state.x > 8.0, 1.0, 0.0)")
    near = [recorded([0.1, 0.2])]
    assert not check_reward(body, toy_task, (), near, gamma=0.99).accepted
    assert check_reward(body, toy_task, (), FAR, gamma=0.99).accepted
