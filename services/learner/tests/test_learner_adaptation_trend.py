import math

import pytest

from websim_learner.adaptation.quantiles import t_quantile
from websim_learner.adaptation.trend import mean_of, paired_bounds, theil_sen


@pytest.mark.parametrize(
    ("probability", "degrees", "value"),
    [
        (0.95, 1, 6.313752),
        (0.95, 2, 2.919986),
        (0.95, 4, 2.131847),
        (0.95, 9, 1.833113),
        (0.975, 30, 2.042272),
        (0.05, 9, -1.833113),
        (0.5, 3, 0.0),
    ],
)
def test_t_quantiles_are_those_of_the_tables(probability, degrees, value):
    assert t_quantile(probability, degrees) == pytest.approx(value, abs=1e-6)


def test_the_slope_is_the_median_over_all_pairs():
    # Slopes between pairs: 1, 1, 1, 1, 1, 1 and those to the outlier: 97, 49, 33, 25 (wild).
    slope = theil_sen([0, 1, 2, 3, 4], [0.0, 1.0, 2.0, 3.0, 100.0], 0.95)
    assert slope.slope == 1.0
    # P(no discordant pair of 5 points) = 1/120 < 0.025: the interval is from end to end.
    assert (slope.low, slope.high) == (1.0, 97.0)


def test_six_points_leave_out_the_outermost_slopes():
    # P(at most 1 discordant pair) = 6/720 = 0.8 %, at most 2: 20/720 = 2.8 %, at most 3: 6.8 %.
    # So the interval is from the 2nd slope to the last but one at 95 %, from the 3rd at 90 %.
    y = [0.0, 10.0, 1.0, 2.0, 3.0, 4.0]
    # Sorted: -9, -4, -7/3, -1.5, then 2/4, 3/5, 4/5... up to 10.
    assert theil_sen(range(6), y, 0.95).low == -4.0
    assert theil_sen(range(6), y, 0.90).low == pytest.approx(-7 / 3)
    assert theil_sen(range(6), y, 0.95).high == 1.0


def test_three_points_bound_nothing():
    assert theil_sen([0, 1, 2], [0.0, 1.0, 2.0], 0.95) == (1.0, -math.inf, math.inf)


@pytest.mark.parametrize(
    ("x", "y"), [([0, 1], [1.0]), ([0], [1.0]), ([0, 0], [1.0, 2.0]), ([0, 1], [1.0, math.nan])]
)
def test_what_is_no_series_is_refused(x, y):
    with pytest.raises(ValueError, match=r"x|slope|y"):
        theil_sen(x, y, 0.9)


def test_paired_bounds_are_a_t_interval_of_differences():
    # Differences 1, 2, 3, 4, 5: mean 3, variance 2.5, error sqrt(2.5 / 5) = 0.70711.
    bounds = paired_bounds([0.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0], 0.95)
    assert bounds.mean == 3.0
    assert bounds.low == pytest.approx(3.0 - 2.131847 * 0.7071068, abs=1e-5)
    assert bounds.high == pytest.approx(3.0 + 2.131847 * 0.7071068, abs=1e-5)


def test_equal_differences_bound_exactly():
    assert paired_bounds([1.0, 5.0], [2.0, 6.0], 0.95) == (1.0, 1.0, 1.0)


def test_one_pair_bounds_nothing_and_pairs_without_a_number_are_left_out():
    assert paired_bounds([1.0], [3.0], 0.95) == (2.0, -math.inf, math.inf)
    assert paired_bounds([1.0, math.nan], [3.0, 4.0], 0.95) == (2.0, -math.inf, math.inf)
    nothing = paired_bounds([math.nan], [1.0], 0.95)
    assert math.isnan(nothing.mean)
    assert nothing[1:] == (-math.inf, math.inf)


def test_different_numbers_of_episodes_are_no_pairs():
    with pytest.raises(ValueError, match="not pairs"):
        paired_bounds([1.0], [1.0, 2.0], 0.95)


def test_the_mean_is_over_finite_values():
    assert mean_of([1.0, math.nan, 3.0]) == 2.0
    assert math.isnan(mean_of([]))
