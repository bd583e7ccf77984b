"""Gymnasium is the oracle, shard by shard: defaults and overrides, beyond the action limits too.

(tests/e2e compares the defaults through the whole fleet.)
"""

import gymnasium
import numpy as np
import pytest

STEPS = 300
NUM_ENVS = 3

CASES = [
    ("Ant-v5", {}),
    (
        "Ant-v5",
        {
            "forward_reward_weight": 2.0,
            "ctrl_cost_weight": 0.1,
            "contact_cost_weight": 0.01,
            "healthy_reward": 0.3,
            "main_body": "aux_1",
            "healthy_z_range": (0.3, 0.9),
            "contact_force_range": (-0.5, 2.0),
            "exclude_current_positions_from_observation": False,
            "include_cfrc_ext_in_observation": False,
            "frame_skip": 2,
        },
    ),
    ("HalfCheetah-v5", {}),
    (
        "HalfCheetah-v5",
        {
            "forward_reward_weight": 0.7,
            "ctrl_cost_weight": 0.3,
            "exclude_current_positions_from_observation": False,
        },
    ),
    ("Hopper-v5", {}),
    (
        "Hopper-v5",
        {
            "ctrl_cost_weight": 0.1,
            "healthy_reward": 2.5,
            "healthy_state_range": (-5.0, 5.0),
            "healthy_z_range": (0.9, 1.4),
            "healthy_angle_range": (-0.1, 0.3),
            "exclude_current_positions_from_observation": False,
        },
    ),
    ("Hopper-v5", {"terminate_when_unhealthy": False}),
    ("Humanoid-v5", {}),
    (
        "Humanoid-v5",
        {
            "forward_reward_weight": 3.0,
            "contact_cost_weight": 1e-4,
            "contact_cost_range": (0.1, 3.0),
            "terminate_when_unhealthy": False,
            "exclude_current_positions_from_observation": False,
            "include_cinert_in_observation": False,
            "include_cvel_in_observation": False,
            "include_qfrc_actuator_in_observation": False,
        },
    ),
    ("HumanoidStandup-v5", {}),
    (
        "HumanoidStandup-v5",
        {
            "ctrl_cost_weight": 0.7,
            "impact_cost_weight": 1e-3,
            "impact_cost_range": (0.0, 5.0),
            "include_cfrc_ext_in_observation": False,
        },
    ),
    ("InvertedDoublePendulum-v5", {}),
    ("InvertedDoublePendulum-v5", {"healthy_reward": 3.0, "frame_skip": 3}),
    ("InvertedPendulum-v5", {}),
    ("Pusher-v5", {}),
    (
        "Pusher-v5",
        {"reward_near_weight": 0.1, "reward_dist_weight": 3.0, "reward_control_weight": 0.7},
    ),
    ("Reacher-v5", {}),
    ("Reacher-v5", {"reward_dist_weight": 0.3, "reward_control_weight": 0.11}),
    ("Swimmer-v5", {}),
    (
        "Swimmer-v5",
        {
            "forward_reward_weight": 4.0,
            "ctrl_cost_weight": 0.1,
            "exclude_current_positions_from_observation": False,
        },
    ),
    ("Walker2d-v5", {}),
    (
        "Walker2d-v5",
        {
            "ctrl_cost_weight": 0.01,
            "healthy_reward": 0.1,
            "healthy_z_range": (1.0, 1.5),
            "healthy_angle_range": (-0.3, 0.3),
        },
    ),
]


@pytest.mark.parametrize(("task", "arguments"), CASES)
def test_a_shard_equals_gymnasium_bit_for_bit(make_shard, task, arguments):
    shard = make_shard(task, NUM_ENVS, **arguments)
    oracles = [gymnasium.make(task, **arguments).unwrapped for _ in range(NUM_ENVS)]
    rng = np.random.default_rng(7)
    space = oracles[0].action_space
    assert shard.task.info.action_low == tuple(space.low)
    assert shard.task.info.action_high == tuple(space.high)

    def restart(env):
        expected, _ = oracles[env].reset(seed=int(rng.integers(2**31)))
        data = oracles[env].data
        assert np.array_equal(shard.set_state(env, data.qpos.copy(), data.qvel.copy()), expected)

    for env in range(NUM_ENVS):
        restart(env)
    for step in range(STEPS):
        action = rng.uniform(space.low, space.high, (NUM_ENVS, *space.shape)).astype(np.float32)
        action[1] = np.where(action[1] > 0, space.high, space.low)
        if step % 5 == 0:
            action[2] *= 3.0
        result = shard.step(action)
        for env, oracle in enumerate(oracles):
            expected, reward, terminated, _, _ = oracle.step(action[env])
            ended = env in result.ended
            row = result.final_obs[list(result.ended).index(env)] if ended else result.obs[env]
            where = f"environment {env}, step {step}"
            assert np.array_equal(row, expected), where
            assert result.reward[env] == reward, where
            assert result.terminated[env] == terminated, where
            if ended:
                restart(env)
    assert not shard.diverged_total
    for oracle in oracles:
        oracle.close()


def test_fast_variants_equal_gymnasium_but_for_contact_forces(make_shard, random_actions):
    """Same physics and, with the contact parts taken out, the same observation and reward."""
    for fast, exact, kept in (
        ("AntFast-v0", "Ant-v5", 27),
        ("HumanoidFast-v0", "Humanoid-v5", 270),
    ):
        one, other = make_shard(fast), make_shard(exact, contact_cost_weight=0.0)
        for action in random_actions(one, 30):
            mine, whole = one.step(action), other.step(action)
            assert np.array_equal(mine.obs, whole.obs[:, :kept])
            assert np.array_equal(mine.reward, whole.reward)
            assert np.array_equal(mine.terminated, whole.terminated)
