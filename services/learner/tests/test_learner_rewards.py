import numpy as np
import pytest

from websim.programs.sandbox import SandboxError
from websim.service.errors import UserError
from websim_learner.algorithms.ppo import PPO
from websim_learner.collector import Collector
from websim_learner.defaults import PPOSettings
from websim_learner.rewards import RewardFailed, make_reward
from websim_learner.rollout import Rollout

NUM_ENVS = 24
CENTRED = """
def reward(state, action):
    near = 1.0 - np.square(state.x)
    effort = -0.1 * np.sum(np.square(action), axis=1)
    return near + effort, {"near": near, "effort": effort}
"""


@pytest.fixture
def reward(toy_task):
    made = make_reward(CENTRED, toy_task, NUM_ENVS)
    yield made
    made.close()


def make_rollout(client, fields=()):
    collector = Collector(client, 0)
    collector.reset(1)
    rollout = Rollout(8, NUM_ENVS, 3, 1)
    ppo = PPO(PPOSettings(hidden=(8,)), 3, 1, NUM_ENVS, 0)
    collector.collect(rollout, ppo.actor(collector.tile), 0, fields)
    return rollout


def test_the_task_judges_by_itself(make_client, toy_task):
    rollout = make_rollout(make_client(NUM_ENVS))
    reward = make_reward(None, toy_task, NUM_ENVS)
    assert (reward.id, reward.fields, reward.source) == ("task", (), None)
    assert np.array_equal(reward.judge(rollout).reward, rollout.task_reward)


def test_a_program_judges_what_the_env_received(make_client, reward):
    assert reward.fields == ("x",)
    rollout = make_rollout(make_client(NUM_ENVS, shuffle=1), reward.fields)
    received = np.clip(2.0 * rollout.action, -2.0, 2.0)
    effort = np.float32(0.1) * np.square(received).sum(axis=2)
    judgement = reward.judge(rollout)
    np.testing.assert_allclose(
        judgement.reward, 1.0 - np.square(rollout.fields["x"]) - effort, rtol=1e-6
    )
    assert (judgement.nonfinite_rows, judgement.clipped_rows) == (0, 0)


def test_equal_programs_have_equal_ids(toy_task, reward):
    other = make_reward(CENTRED.replace("near", "close"), toy_task, NUM_ENVS)
    same = make_reward("# a comment\n" + CENTRED, toy_task, NUM_ENVS)
    assert same.id == reward.id
    assert other.id != reward.id
    same.close()
    other.close()


def test_rewards_that_are_not_finite_become_zero_and_are_counted(make_client, toy_task):
    source = "def reward(state, action):\n    return np.log(state.x)\n"
    reward = make_reward(source, toy_task, NUM_ENVS)
    rollout = make_rollout(make_client(NUM_ENVS), reward.fields)
    judgement = reward.judge(rollout)
    negative = rollout.fields["x"] < 0
    assert judgement.nonfinite_rows == negative.sum() > 0
    assert not judgement.reward[negative].any()
    reward.close()


def test_where_an_env_diverged_no_reward_is_held_to_have_numbers(make_client, toy_task):
    """sqrt of a field that is -1 in 3 of 24 envs, in all of 8 steps: 24 of 192 transitions."""
    source = "def reward(state, action):\n    return np.sqrt(state.x)\n"
    reward = make_reward(source, toy_task, NUM_ENVS)
    rollout = make_rollout(make_client(NUM_ENVS), reward.fields)
    rollout.fields["x"][:] = 1.0
    rollout.fields["x"][:, :3] = -1.0
    assert reward.judge(rollout).lost_share == 24 / 192
    rollout.invalid[:, :2] = True
    assert reward.judge(rollout).lost_share == 8 / 192
    assert reward.judge(rollout).nonfinite_rows == 24
    reward.close()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import os\n" + CENTRED, "line 1"),
        (CENTRED.replace("state.x", "state.speed"), "speed"),
        ("def reward(state, action):\n    return 1.0\n", "line 2"),
        ("not python", "refused"),
    ],
)
def test_a_bad_program_is_refused_in_one_line(toy_task, source, reason):
    with pytest.raises(UserError, match=reason) as refusal:
        make_reward(source, toy_task, NUM_ENVS)
    assert "\n" not in str(refusal.value)


def test_a_program_that_fails_for_good_is_given_up(make_client, reward, monkeypatch):
    rollout = make_rollout(make_client(NUM_ENVS), reward.fields)
    calls = []

    def fail(*_args):
        calls.append(1)
        raise SandboxError("deadline", "it took too long")

    monkeypatch.setattr("websim_learner.rewards.evaluate_guarded", fail)
    with pytest.raises(RewardFailed, match="too long"):
        reward.judge(rollout)
    assert len(calls) == 3


def test_a_killed_child_is_replaced(make_client, reward):
    import os
    import signal

    rollout = make_rollout(make_client(NUM_ENVS), reward.fields)
    before = reward.judge(rollout).reward
    os.kill(reward._program.worker_pid, signal.SIGKILL)
    assert np.array_equal(reward.judge(rollout).reward, before)
