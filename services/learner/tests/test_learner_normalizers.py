import numpy as np
import pytest

from websim_learner.normalizers import ObservationScale, ReturnScale, RunningMoments


@pytest.mark.parametrize("cuts", [[0, 1, 7], [250], [100, 100, 499]])
def test_moments_of_merged_batches_are_those_of_the_whole(cuts):
    rows = np.random.default_rng(0).normal(3.0, [0.1, 2.0, 50.0], (500, 3)).astype(np.float32)
    moments = RunningMoments(3)
    for part in np.split(rows, cuts):
        moments.merge(part)
    assert moments.count == 500
    np.testing.assert_allclose(moments.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(moments.variance, rows.var(axis=0, dtype=np.float64), rtol=1e-10)


def test_moments_do_not_cancel_far_from_zero():
    rows = 1e8 + np.random.default_rng(0).standard_normal((1000, 1))
    moments = RunningMoments(1)
    for part in np.array_split(rows, 10):
        moments.merge(part)
    assert moments.variance[0] == pytest.approx(rows.var(), rel=1e-6)


def test_moments_begin_as_the_identity():
    scale = ObservationScale.of(RunningMoments(2))
    obs = np.array([[1.0, -2.0]], np.float32)
    np.testing.assert_allclose(scale(obs), obs, rtol=1e-6)


def test_moments_survive_their_arrays():
    moments, other = RunningMoments(2), RunningMoments(2)
    moments.merge(np.arange(10.0).reshape(5, 2))
    other.load(moments.arrays())
    moments.merge(np.ones((1, 2)))
    other.merge(np.ones((1, 2)))
    assert np.array_equal(moments.m2, other.m2)


def test_observations_are_scaled_and_clipped():
    moments = RunningMoments(1)
    moments.merge(np.array([[1.0], [5.0]]))  # mean 3, std 2
    scaled = ObservationScale.of(moments)(np.array([[7.0], [1e6], [-1e6]], np.float32))
    np.testing.assert_allclose(scaled[:, 0], [2.0, 10.0, -10.0], rtol=1e-6)


def test_returns_are_discounted_within_episodes_only():
    scale = ReturnScale(num_envs=2, gamma=0.5)
    reward = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    ended = np.array([[False, True], [False, False], [False, False]])
    scale.merge(reward, ended, np.zeros_like(ended))
    returns = np.array([1.0, 1.5, 1.75, 1.0, 1.0, 1.5])
    assert scale.moments.variance[0] == pytest.approx(returns.var())
    assert scale.running.tolist() == [1.75, 1.5]


NEVER = np.zeros((2, 2), bool)


def test_what_is_known_of_returns_follows_another_reward():
    """Returns of the old reward lie 1 and 1.5 from their mean, of the new one ten times as far."""
    old, new = np.array([[1.0, 3.0], [2.0, 4.0]]), np.array([[13.0, 33.0], [23.0, 43.0]])
    scale, plain = ReturnScale(2, 0.5), ReturnScale(2, 0.5)
    for each in (scale, plain):
        each.merge(old, NEVER, NEVER)
    assert scale.mean == 2.5
    assert scale.spread == pytest.approx(np.sqrt((1.0 + 1.5**2) / 2))
    assert scale.running.tolist() == [2.5, 5.5]
    assert scale.length.tolist() == [1.5, 1.5]
    scale.follow(new, NEVER, NEVER)
    # r' = 10 r + 3, so R' = 10 R + 3 * 1.5
    assert scale.running == pytest.approx([29.5, 59.5])
    returns, lengths = np.array([1.0, 3.0, 2.5, 5.5]), np.array([1.0, 1.0, 1.5, 1.5])
    assert scale.moments.mean == pytest.approx([10 * 3.0 + 3 * 1.25, 1.25])
    expected = 10 * returns + 3 * lengths
    assert scale.moments.variance[0] == pytest.approx(expected.var())
    both = ((expected - expected.mean()) * (lengths - lengths.mean())).sum()
    assert scale.comoment == pytest.approx(both)
    scale.merge(new, NEVER, NEVER)
    plain.merge(old, NEVER, NEVER)
    assert scale.running == pytest.approx(10 * plain.running + 3 * plain.length)


def test_a_bonus_that_is_dropped_widens_returns_no_more():
    """r = 9 + v pays most for every step: R = 9 L + V, and what is left of it is V alone."""
    speeds = np.array([[1.0, -1.0], [1.0, -1.0]])
    scale = ReturnScale(2, 0.5)
    scale.merge(9.0 + speeds, NEVER, NEVER)
    # R is 10, 8, 15, 12; L is 1, 1, 1.5, 1.5.
    assert scale.moments.variance[0] == pytest.approx(6.6875)
    scale.follow(speeds, NEVER, NEVER)
    # V is 1, -1, 1.5, -1.5: squares of 1, 1, 2.25, 2.25 around 0.
    assert scale.moments.mean == pytest.approx([0.0, 1.25])
    assert scale.moments.variance[0] == pytest.approx(1.625)
    assert scale.comoment == pytest.approx(0.0)


def test_a_bonus_counts_for_nothing_where_episodes_end_within_a_rollout():
    """Lengths differ from the second step on; what rewards have beyond their mean does not."""
    speeds = np.array([[1.0, -1.0], [1.0, -1.0]])
    ended = np.array([[True, False], [False, False]])
    scale = ReturnScale(2, 0.5)
    scale.merge(9.0 + speeds, ended, np.zeros_like(ended))
    assert scale.mean == 9.0
    # 1 and -1 lie 1 from their mean; then 1 and -1.5 lie 1.25 from it.
    assert scale.spread == pytest.approx(np.sqrt((1.0 + 1.25**2) / 2))
    scale.merge(np.full((2, 2), 9.0), ended, np.zeros_like(ended))
    assert scale.spread == 0.0


def test_the_comoment_of_an_older_checkpoint_is_that_of_a_reward_without_age():
    speeds = np.array([[1.0, -1.0], [1.0, -1.0]])
    kept, loaded = ReturnScale(2, 0.5), ReturnScale(2, 0.5)
    kept.merge(9.0 + speeds, NEVER, NEVER)
    older = {name: array for name, array in kept.arrays().items() if name != "comoment"}
    loaded.moments.load(kept.moments.arrays())
    loaded.load(older)
    # Lengths lie 0.25 from their mean, four times; the mean reward is 9.
    assert loaded.comoment == pytest.approx(9.0 * 4 * 0.25**2)
    assert kept.comoment == pytest.approx(loaded.comoment)


@pytest.mark.parametrize("which", ["old", "new"])
def test_nothing_follows_from_a_reward_that_is_the_same_everywhere(which):
    some, flat = np.array([[1.0, 3.0], [2.0, 4.0]]), np.full((2, 2), 7.0)
    old, new = (flat, some) if which == "old" else (some, flat)
    scale = ReturnScale(2, 0.5)
    scale.merge(old, NEVER, NEVER)
    scale.follow(new, NEVER, NEVER)
    assert scale.moments.count == 0
    assert not scale.running.any()


def test_returns_come_out_of_a_checkpoint_and_not_for_other_envs():
    scale, same, fewer = ReturnScale(2, 0.5), ReturnScale(2, 0.5), ReturnScale(1, 0.5)
    scale.merge(np.array([[1.0, 3.0], [2.0, 4.0]]), NEVER, NEVER)
    same.load(scale.arrays())
    fewer.load(scale.arrays())
    assert same.running.tolist() == [2.5, 5.5]
    assert same.length.tolist() == [1.5, 1.5]
    assert fewer.running.tolist() == fewer.length.tolist() == [0.0]
    for each in (same, fewer):
        assert (each.mean, each.spread) == (scale.mean, scale.spread)
        assert each.comoment == scale.comoment == pytest.approx(0.25 * 4.0)


def test_statistics_of_elsewhere_leave_the_envs_in_their_episodes():
    """By gamma 0.5, after one step of 2: returns 2 and lengths 1, so 2 is the mean reward."""
    elsewhere, scale = ReturnScale(2, 0.5), ReturnScale(2, 0.5)
    no = np.zeros((1, 2), np.bool_)
    elsewhere.merge(np.array([[2.0, 2.0]]), no, no)
    scale.moments.load(elsewhere.moments.arrays())
    scale.keep_episodes(np.array([1.5, 0.0]), np.array([7.0, 0.0]))
    assert (scale.length.tolist(), scale.running.tolist()) == ([1.5, 0.0], [7.0, 0.0])
    # 7 was the return by another reward: by the one of the statistics it is about 2 * 1.5.
    scale.keep_episodes(np.array([1.5, 0.0]), None)
    assert (scale.length.tolist(), scale.running.tolist()) == ([1.5, 0.0], [3.0, 0.0])
    nothing = ReturnScale(1, 0.5)
    nothing.keep_episodes(np.array([1.5]), None)
    assert nothing.running.tolist() == [0.0]


def test_invalid_rewards_leave_no_trace():
    invalid = np.array([[False, False], [True, False]])
    ended = np.zeros_like(invalid)
    scales = []
    for junk in (np.nan, 1e30):
        scale = ReturnScale(num_envs=2, gamma=0.9)
        scale.merge(np.array([[1.0, 2.0], [junk, 3.0]]), ended, invalid)
        scales.append(scale)
    assert scales[0].inverse_std == scales[1].inverse_std
    assert scales[0].moments.count == 3
    assert scales[0].running[0] == 0.0
