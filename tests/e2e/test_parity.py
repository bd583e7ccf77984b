"""Gymnasium is the oracle: same state, same actions, same bits, through the whole fleet."""

import gymnasium
import numpy as np
import pytest

STEPS = 300
NUM_ENVS = 3

TASKS = [
    "Ant-v5",
    "HalfCheetah-v5",
    "Hopper-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "InvertedDoublePendulum-v5",
    "InvertedPendulum-v5",
    "Pusher-v5",
    "Reacher-v5",
    "Swimmer-v5",
    "Walker2d-v5",
]

MAY_NOT_END = ("Ant-v5", "HalfCheetah-v5", "HumanoidStandup-v5", "Swimmer-v5")
"""Their episodes need not end within 300 steps."""


@pytest.mark.parametrize("task", TASKS)
def test_observations_rewards_and_ends_equal_gymnasiums_bit_for_bit(make_env, task):
    env = make_env(task, NUM_ENVS, obs_dtype="float64")
    oracles = [gymnasium.make(task) for _ in range(NUM_ENVS)]
    rng = np.random.default_rng(5)
    space = oracles[0].action_space
    env.reset(seed=1)

    def restart(index: int) -> None:
        """Begin an episode in the oracle, and in the fleet where the oracle's begins."""
        expected, _ = oracles[index].reset(seed=int(rng.integers(2**31)))
        data = oracles[index].unwrapped.data
        obs = env.set_state(index, data.qpos.copy(), data.qvel.copy())
        assert np.array_equal(obs, expected)

    for index in range(NUM_ENVS):
        restart(index)
    ends = 0
    for step in range(STEPS):
        # the last environment is driven to the limits, where contacts and clipping happen
        action = rng.uniform(space.low, space.high, (NUM_ENVS, *space.shape)).astype(np.float32)
        action[-1] = np.where(action[-1] > 0, space.high, space.low)
        obs, reward, terminated, truncated, info = env.step(action)
        for index, oracle in enumerate(oracles):
            expected, expected_reward, end, limit, _ = oracle.step(action[index])
            ended = terminated[index] or truncated[index]
            got = info["final_obs"][index] if ended else obs[index]
            where = f"environment {index}, step {step}"
            assert np.array_equal(got, expected), where
            assert reward[index] == expected_reward, where
            assert (terminated[index], truncated[index]) == (end, limit), where
            if ended:
                ends += 1
                restart(index)
    for oracle in oracles:
        oracle.close()
    assert ends > 0 or task in MAY_NOT_END
