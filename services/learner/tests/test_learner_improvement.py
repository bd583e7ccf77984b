"""How fast episodes improve: a slope that no outlier turns, and an interval that is honest."""

import math

import numpy as np
import pytest

from websim_learner.improvement import MAX_SPANS, Improvement


def improvement(*updates):
    """Return what is known after updates, each (env_steps, returns)."""
    made = Improvement()
    for env_steps, returns in updates:
        made.add(env_steps, returns)
    return made


def line(count, slope=0.002):
    """Updates of 100 steps whose episode's return grows by so much per step."""
    return [(100 * i, [slope * 100 * i]) for i in range(1, count + 1)]


def test_it_is_unknown_until_ten_updates_have_had_episodes():
    nothing = [(50, [])] * 30
    assert improvement(*nothing, *line(9)).per_million is None
    slope = improvement(*line(10)).per_million
    # 0.002 per step is 2,000 per million; all pairs of points agree, so the interval is a point.
    assert slope == pytest.approx((2000.0, 2000.0, 2000.0))


def test_one_update_that_went_wrong_turns_nothing_and_two_are_doubted():
    """A least-squares fit of the first would fall: its last update's return is -1,000."""
    once = improvement(*line(9), (1000, [-1000.0])).per_million
    # 9 of 45 pairs are far below, 36 agree on 2,000. Of ten points the 13th slope from either end
    # bounds: P(at most 12 discordant pairs) = 3.6 %, at most 13: 5.4 %.
    assert once == pytest.approx((2000.0, 2000.0, 2000.0))
    twice = improvement(*line(8), (900, [-900.0]), (1000, [-1000.0])).per_million
    # 9 + 8 pairs are far below.
    assert twice.low < 0.0
    assert (twice.slope, twice.high) == pytest.approx((2000.0, 2000.0))


def test_returns_that_only_scatter_are_no_growth():
    scatter = [1.0, 3.0, 2.0, 5.0, 1.0, 4.0, 3.0, 1.0, 2.0, 3.0]
    slope = improvement(*((100 * i, [y]) for i, y in enumerate(scatter, 1))).per_million
    assert slope.low < 0.0 < slope.high


def test_an_update_counts_by_the_mean_of_its_episodes():
    same = improvement(*((100 * i, [0.2 * i - 5.0, 0.2 * i + 5.0]) for i in range(1, 11)))
    assert same.per_million == pytest.approx((2000.0, 2000.0, 2000.0))


def test_it_is_that_of_the_last_tenth_of_the_steps():
    """Flat for 90 updates of 100, then growing by 0.01 per step over the last ten."""
    flat = [(100 * i, [1.0]) for i in range(1, 91)]
    grown = [(100 * i, [1.0 + 0.01 * 100 * (i - 90)]) for i in range(91, 101)]
    assert improvement(*flat, *grown).per_million.slope == pytest.approx(10_000.0)
    assert improvement(*flat).per_million.slope == 0.0


def test_a_long_run_is_remembered_in_spans_of_as_many_updates():
    made = improvement(*line(MAX_SPANS))
    assert made.array().shape == (200, 4)
    made.add(100 * 201, [0.002 * 100 * 201])
    # Two become one: (100, 0.2) and (200, 0.4) are (150, 0.3), two episodes, two updates.
    assert made.array().shape == (101, 4)
    assert made.array()[0] == pytest.approx((150.0, 0.3, 2.0, 2.0))
    assert made.array()[-1] == pytest.approx((20_100.0, 40.2, 1.0, 1.0))
    made.add(100 * 202, [0.002 * 100 * 202])
    assert made.array()[-1] == pytest.approx((20_150.0, 40.3, 2.0, 2.0))
    assert made.per_million == pytest.approx((2000.0, 2000.0, 2000.0))


def test_of_spans_that_become_one_each_episode_weighs_the_same():
    updates = [(100 * i, [float(i)]) for i in range(1, MAX_SPANS + 2)]
    updates[0] = (100, [0.0, 0.0, 0.0])
    # Three episodes at 100 steps with 0, one at 200 with 2: 500 / 4 steps, 2 / 4.
    assert improvement(*updates).array()[0] == pytest.approx((125.0, 0.5, 4.0, 2.0))


def test_memory_is_bounded_however_long_a_run_is():
    made = improvement(*line(5000))
    assert len(made.array()) <= MAX_SPANS
    assert made.array()[:, 3].sum() == 5000
    # Every point of a slope is 32 updates by now, so the last tenth has some 16 of them.
    assert made.array()[0, 3] == 32
    assert made.per_million.slope == pytest.approx(2000.0)


def test_the_interval_holds_the_true_slope_of_noisy_returns():
    """Of 200 runs with a true slope of 100 per million, 90 % are held, give or take 3 sigma."""
    held = 0
    for seed in range(200):
        noise = np.random.default_rng(seed).normal(0.0, 1.0, 150)
        updates = ((1000 * i, [1e-4 * 1000 * i + noise[i - 1]]) for i in range(1, 151))
        slope = improvement(*updates).per_million
        held += slope.low <= 100.0 <= slope.high
    spread = math.sqrt(200 * 0.9 * 0.1)
    assert held >= 180 - 3 * spread


def test_it_comes_back_from_a_checkpoint():
    made, again = improvement(*line(333, 0.1)), Improvement()
    again.load(made.array())
    for each in (made, again):
        each.add(33_400, [1.0, 2.0])
    assert np.array_equal(made.array(), again.array())
    assert made.per_million == again.per_million
