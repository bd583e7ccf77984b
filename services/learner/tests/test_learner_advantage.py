import numpy as np
import pytest

from websim_learner.algorithms.advantage import generalized_advantage

GAMMA, LAMBDA = 0.5, 0.5


def estimate(reward, value, next_value, terminated=(), truncated=(), invalid=()):
    """Estimate for one env; the last three are the steps at which something happened."""
    steps = len(reward)
    flags = [
        np.isin(np.arange(steps), list(at))[:, None] for at in (terminated, truncated, invalid)
    ]
    columns = [np.array(column, np.float64)[:, None] for column in (reward, value, next_value)]
    return generalized_advantage(*columns, *flags, GAMMA, LAMBDA)[:, 0]


def test_gae_of_an_unbroken_episode():
    # delta = (1 + .5*20 - 10, 2 + .5*30 - 20, 3 + .5*40 - 30) = (1, -3, -7)
    # A2 = -7; A1 = -3 + .25*-7 = -4.75; A0 = 1 + .25*-4.75 = -.1875
    advantage = estimate([1, 2, 3], [10, 20, 30], [20, 30, 40])
    assert advantage.tolist() == [-0.1875, -4.75, -7.0]


def test_gae_after_termination_counts_no_future():
    # delta1 = 2 - 20 = -18 whatever V(final_obs) is; nothing of step 2 reaches step 1
    advantage = estimate([1, 2, 3], [10, 20, 30], [20, 99, 40], terminated=[1])
    assert advantage.tolist() == [1 + 0.25 * -18, -18.0, -7.0]


def test_gae_after_truncation_bootstraps_from_the_final_observation():
    # delta1 = 2 + .5*8 - 20 = -14 with V(final_obs) = 8; nothing of step 2 reaches step 1
    advantage = estimate([1, 2, 3], [10, 20, 30], [20, 8, 40], truncated=[1])
    assert advantage.tolist() == [1 + 0.25 * -14, -14.0, -7.0]


def test_gae_when_both_ends_coincide_termination_decides():
    both = estimate([1, 2, 3], [10, 20, 30], [20, 8, 40], terminated=[1], truncated=[1])
    assert both.tolist() == [1 + 0.25 * -18, -18.0, -7.0]


def test_gae_of_an_invalid_step_is_zero_and_reaches_nothing_before_it():
    advantage = estimate([1, np.nan, 3], [10, 20, 30], [20, np.nan, 40], invalid=[1])
    assert advantage.tolist() == [1.0, 0.0, -7.0]


def test_gae_treats_envs_apart():
    rng = np.random.default_rng(0)
    reward, value, next_value = rng.standard_normal((3, 6, 4))
    terminated, truncated, invalid = rng.random((3, 6, 4)) < 0.2
    arguments = (reward, value, next_value, terminated, truncated, invalid)
    together = generalized_advantage(*arguments, 0.99, 0.95)
    for env in range(4):
        alone = generalized_advantage(*(a[:, env : env + 1] for a in arguments), 0.99, 0.95)
        assert np.array_equal(alone[:, 0], together[:, env])


@pytest.mark.parametrize("gae_lambda", [0.0, 1.0])
def test_gae_limits_are_one_step_error_and_discounted_return(gae_lambda):
    rng = np.random.default_rng(1)
    reward, value = rng.standard_normal(5), rng.standard_normal(6)
    flags = [np.zeros((5, 1), np.bool_)] * 3
    columns = (reward[:, None], value[:-1, None], value[1:, None])
    advantage = generalized_advantage(*columns, *flags, 0.9, gae_lambda)[:, 0]
    if gae_lambda == 0.0:
        expected = reward + 0.9 * value[1:] - value[:-1]
    else:
        powers = 0.9 ** np.arange(6)
        expected = [
            powers[: 5 - t] @ reward[t:] + powers[5 - t] * value[5] - value[t] for t in range(5)
        ]
    np.testing.assert_allclose(advantage, expected, rtol=1e-12)
