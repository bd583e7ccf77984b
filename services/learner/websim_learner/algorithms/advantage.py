"""Generalized advantage estimation (Schulman et al. 2016, arXiv:1506.02438)."""

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]
Bool = NDArray[np.bool_]


def generalized_advantage(
    reward: Float64,
    value: Float64,
    next_value: Float64,
    terminated: Bool,
    truncated: Bool,
    invalid: Bool,
    gamma: float,
    gae_lambda: float,
) -> Float64:
    """Estimate advantages (GAE eqs. 11 and 16), never across an episode's end.

    A terminated episode has no future value. A truncated one has: the value of its final
    observation. An invalid transition has advantage 0 and cuts the sum like a truncation does.

    Args:
        reward: Shape: (T, N), like all arrays here.
        value: V(s_t).
        next_value: V of where the action led: V(final_obs) where the episode ended.
        terminated: the task ended the episode.
        truncated: the clock, or somebody, ended it.
        invalid: the engine diverged.
        gamma: discount.
        gae_lambda: decay of the sum.
    """
    ended = terminated | truncated | invalid
    # delta_t = r_t + gamma V(s_t+1) (1 - terminated_t) - V(s_t)
    delta = reward + gamma * next_value * ~terminated - value
    delta[invalid] = 0.0
    advantage = np.zeros_like(reward)
    following: Float64 = np.zeros(reward.shape[1])
    for t in range(len(reward) - 1, -1, -1):
        # A_t = delta_t + gamma lambda (1 - ended_t) A_t+1
        following = delta[t] + gamma * gae_lambda * ~ended[t] * following
        advantage[t] = following
    return advantage
