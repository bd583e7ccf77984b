"""What the library proposes by what was measured: other weights, physics, rewards, or nothing."""

import asyncio

import pytest
from reward_gen_samples import GOOD, make_request, make_task

from websim_reward_gen.bodies import GoalRequest
from websim_reward_gen.library.provider import LibraryProvider, measure_goal
from websim_reward_gen.proposal import Ask


def propose(**overrides):
    return asyncio.run(LibraryProvider().propose(Ask(make_request(**overrides))))


KNOB = {"name": "gravity", "low": 8.0, "high": 12.0, "current_low": 9.0, "current_high": 10.0}
SHARES = {
    "speed": {"share": 0.1, "mean": 0.1, "std": 0.1},
    "effort": {"share": 0.9, "mean": -1.0, "std": 0.1},
}


def test_a_component_that_drowns_the_others_is_reweighted_first():
    proposal = propose(current_program=GOOD, feedback={"components": SHARES})

    assert proposal.action == "reweight"
    assert proposal.drafts[0].weights == {"effort_weight": 0.03}
    assert "effort" in proposal.diagnosis


def test_a_target_reached_asks_for_a_harder_environment_within_its_bounds():
    proposal = propose(feedback={"fitness": 3.0, "fitness_target": 2.5}, knobs=[KNOB])

    assert (proposal.action, proposal.drafts) == ("env_change", ())
    assert [(c.low, c.high) for c in proposal.env_changes] == [(8.75, 10.5)]


def test_episodes_too_short_to_learn_from_ask_for_an_easier_environment():
    proposal = propose(feedback={"episode_length": 30.0, "fitness": 0.1}, knobs=[KNOB])

    assert (proposal.action, proposal.drafts) == ("env_change", ())
    assert [(c.low, c.high) for c in proposal.env_changes] == [(9.25, 9.75)]


def test_a_fitness_that_still_rises_is_left_alone():
    proposal = propose(feedback={"fitness_slope_low": 0.1, "trigger": "schedule"})

    assert (proposal.action, proposal.drafts) == ("none", ())


def test_a_reward_that_is_gamed_is_replaced_even_when_the_target_is_reached():
    feedback = {"reward_fitness_correlation": -0.8, "fitness": 3.0, "fitness_target": 2.5}

    proposal = propose(feedback=feedback, knobs=[KNOB])

    assert proposal.action == "new_reward"
    assert "gamed" in proposal.diagnosis


@pytest.mark.parametrize("words", ["...", "please", "make it better", "be good at this"])
def test_where_nothing_is_asked_for_nothing_is_claimed(words):
    proposal = propose(description=words)
    measure, seen = measure_goal(GoalRequest(task=make_task(), description=words))

    assert (proposal.action, proposal.drafts, proposal.understood) == ("none", (), ())
    assert (measure, seen.wishes) == (None, ())


def test_what_nobody_understands_gives_no_candidates_and_says_so():
    proposal = propose(description="dance the tango")

    assert (proposal.action, proposal.drafts) == ("none", ())
    assert proposal.not_understood == ("dance", "tango")
