"""Who stays in a trial and who takes over: numbers computed by hand."""

import math

import pytest

from websim_learner.adaptation.points import EvalPoint
from websim_learner.adaptation.verdicts import TrialSettings, decide, goes_on, halve, is_clear

NAN = math.nan
CONTROL = (1.0, 2.0, 3.0)


def point(*fitness):
    zeros = (0.0,) * len(fitness)
    return EvalPoint(
        update=1,
        env_steps=1000,
        fitness=fitness,
        reward_return=zeros,
        task_return=zeros,
        length=(10,) * len(fitness),
        reward_id="p_1",
    )


def gaining(*differences):
    return point(*(c + d for c, d in zip(CONTROL, differences, strict=True)))


def one_round(**changes):
    return TrialSettings(round_env_steps=(50_000,), **changes)


def test_a_gain_that_is_sure_takes_over():
    # Mean 3, deviation 1, error 1/sqrt(3); one-sided t of 95 % with 2 degrees: 2.919986.
    decision = decide(point(*CONTROL), {"a": gaining(2.0, 3.0, 4.0)}, one_round())
    assert (decision.promote, decision.winner, decision.gain_mean) == (True, "a", 3.0)
    assert decision.gain_low == pytest.approx(3.0 - 2.919986 / math.sqrt(3.0), abs=1e-5)
    assert decision.sentence == (
        "a gains +3 in fitness, at least +1.314 with 95% confidence: it takes over."
    )


def test_a_gain_that_may_be_chance_does_not():
    # Mean 1, deviation 1: low = 1 - 2.919986 / sqrt(3) = -0.686.
    decision = decide(point(*CONTROL), {"a": gaining(0.0, 1.0, 2.0)}, one_round())
    assert (decision.promote, decision.winner) == (False, "a")
    assert decision.gain_low == pytest.approx(-0.68585, abs=1e-4)
    assert decision.sentence.endswith("the reward in force stays.")


def test_doubt_is_shared_by_finalists_and_rounds():
    # t of 97.5 % with 2 degrees: 4.302653; of 98.75 %: 6.205347.
    two = {"a": gaining(2.0, 3.0, 4.0), "b": gaining(-9.0, 0.0, 0.0)}
    by_two = decide(point(*CONTROL), two, one_round())
    assert by_two.gain_low == pytest.approx(3.0 - 4.302653 / math.sqrt(3.0), abs=1e-5)
    twice = decide(point(*CONTROL), two, TrialSettings(round_env_steps=(50_000, 100_000)))
    assert twice.gain_low == pytest.approx(3.0 - 6.205347 / math.sqrt(3.0), abs=1e-5)
    assert (by_two.promote, twice.promote) == (True, False)


def test_the_best_lower_bound_wins_and_equal_ones_by_mean_and_name():
    # b gains more on average, a more surely.
    sure, wide = gaining(2.0, 2.0, 2.0), gaining(0.0, 3.0, 6.0)
    assert decide(point(*CONTROL), {"b": wide, "a": sure}, one_round()).winner == "a"
    assert decide(point(*CONTROL), {"b": sure, "a": sure}, one_round()).winner == "a"


def test_no_gain_at_all_is_none():
    same = decide(point(*CONTROL), {"a": gaining(0.0, 0.0, 0.0)}, one_round())
    assert (same.promote, same.gain_low) == (False, 0.0)


@pytest.mark.parametrize("failed", [{}, {"a": None}, {"a": point(NAN, NAN, NAN)}])
def test_where_every_finalist_failed_nobody_wins(failed):
    decision = decide(point(*CONTROL), failed, one_round())
    assert (decision.promote, decision.winner, decision.gain_low) == (False, None, None)


def test_who_has_no_number_where_the_control_has_one_does_not_take_over():
    control = point(*CONTROL, 4.0)
    decision = decide(control, {"a": point(9.0, 10.0, 11.0, NAN)}, one_round())
    assert (decision.promote, decision.gain_mean, decision.gain_low) == (False, 8.0, -math.inf)
    assert decision.sentence == (
        "a gains +8 in fitness, but in 1 of the episodes only the control has a number: "
        "the reward in force stays."
    )
    assert decide(point(*CONTROL, NAN), {"a": point(9.0, 10.0, 11.5, NAN)}, one_round()).promote


def test_a_difference_of_rounding_is_no_gain():
    # 0.1 + 0.2 is 0.30000000000000004.
    assert not decide(point(0.3, 0.3), {"a": point(0.1 + 0.2, 0.1 + 0.2)}, one_round()).promote


def test_one_episode_bounds_nothing():
    decision = decide(point(1.0), {"a": point(100.0)}, one_round())
    assert (decision.promote, decision.gain_mean, decision.gain_low) == (False, 99.0, -math.inf)
    assert "too few episodes" in decision.sentence


def test_a_winner_beyond_twice_the_control_is_clear():
    # The control's mean is 2: a gain that is surely 2.5 is clear, one of 1.5 is not.
    control, settings = point(*CONTROL), one_round()
    far = decide(control, {"a": gaining(2.5, 2.5, 2.5)}, settings)
    near = decide(control, {"a": gaining(1.5, 1.5, 1.5)}, settings)
    assert far.promote
    assert near.promote
    assert is_clear(control, far, settings)
    assert not is_clear(control, near, settings)
    assert not is_clear(control, decide(control, {}, settings), settings)


def test_the_best_of_a_round_stay_by_their_gain_over_the_control():
    results = {
        "control": point(*CONTROL),
        "third": gaining(0.0, 1.0, -1.0),
        "first": gaining(1.0, 1.0, 1.0),
        "failed": None,
        "second": gaining(2.0, 0.0, 0.1),
    }
    assert halve(results, 2, "control") == ["first", "second"]
    assert halve(results, 9, "control") == ["first", "second", "third"]
    assert halve(results, 0, "control") == []


def test_equal_ones_stay_by_name_and_what_is_no_number_goes():
    results = {
        "control": point(*CONTROL),
        "b": gaining(1.0, 1.0, 1.0),
        "a": gaining(1.0, 1.0, 1.0),
        "c": point(NAN, NAN, NAN),
    }
    assert halve(results, 3, "control") == ["a", "b"]


def test_where_the_control_failed_fitness_itself_decides():
    results = {"control": None, "low": point(1.0, 3.0), "high": point(2.0, 3.0)}
    assert halve(results, 1, "control") == ["high"]


@pytest.mark.parametrize(
    ("tried", "stays"),
    [
        # Mean 3, deviation 1: at least 3 - 2.919986 / sqrt(3) = 1.314 better.
        ((3.0, 5.0, 7.0), False),
        # Mean 1, deviation 1: perhaps 0.686 worse.
        ((1.0, 3.0, 5.0), True),
        ((-1.0, 0.0, 1.0), True),
        ((NAN, NAN, NAN), True),
    ],
    ids=["surely better", "perhaps better", "worse", "without a number"],
)
def test_a_policy_that_waited_takes_over_only_where_it_is_surely_better(tried, stays):
    assert goes_on(point(*CONTROL), point(*tried), 0.95) == stays
