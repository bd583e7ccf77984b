"""What a shard promises about episodes, fields and what a program sees, on hand-made numbers."""

import math

import numpy as np
import pytest

from websim.tasks import TaskError
from websim_sim_worker.tasks import bundled_names

DT = 0.02
"""The slider's environment step: two engine steps of 0.01 s."""

SEES_ALL = (
    ("return state.speed", "return state.previous_action[:, 0] + 10.0 * state.previous_obs[:, 0]"),
)


def push(*forces):
    return np.array(forces, np.float32)[:, None]


@pytest.fixture
def slider(make_shard, make_custom):
    """Make a shard of the cart on a rail, two environments at rest unless told otherwise."""

    def make(num_envs=2, overrides=None, obs_dtype="float64", **bundle):
        return make_shard(make_custom(overrides, **bundle), num_envs, obs_dtype=obs_dtype)

    return make


def test_a_step_gives_the_motion_that_newton_would(slider):
    shard = slider()
    result = shard.step(push(1.0, -0.5), ["position", "speed", "time_s"])
    # Euler, two steps of 0.01 s at 1 m/s2: v = 0.02, x = 0.01 * (0.01 + 0.02)
    assert result.obs == pytest.approx(np.array([[3e-4, 0.02], [-1.5e-4, -0.01]]))
    assert result.fields["speed"] == pytest.approx([3e-4 / DT, -1.5e-4 / DT])
    assert result.reward == pytest.approx(result.fields["speed"])
    assert result.fields["position"].shape == (2,)
    assert result.fields["time_s"] == pytest.approx([DT, DT])
    assert not result.terminated.any()
    assert not result.truncated.any()
    assert not result.invalid.any()
    assert len(result.ended) == len(result.final_obs) == 0


def test_an_episode_ends_at_the_limit_and_begins_again_within_the_step(slider):
    shard = slider()
    shard.set_state(1, np.array([3.0]), np.array([0.0]))
    for _ in range(9):
        result = shard.step(push(1.0, 0.0), ["position"])
    assert len(result.ended) == 0
    result = shard.step(push(1.0, 0.0), ["position"])
    assert result.truncated.tolist() == [True, True]
    assert result.terminated.tolist() == [False, False]
    assert result.ended.dtype == np.int32
    assert result.ended.tolist() == [0, 1]
    assert result.obs.tolist() == [[0.0, 0.0], [0.0, 0.0]]
    # 20 engine steps at 1 m/s2: x = 1e-4 * (1 + ... + 20) = 0.021
    assert result.final_obs == pytest.approx(np.array([[0.021, 0.2], [3.0, 0.0]]))
    assert result.fields["position"] == pytest.approx([0.021, 3.0])
    assert result.episode_length.tolist() == [10, 10]
    assert result.episode_return == pytest.approx([0.021 / DT, 0.0])
    assert result.episode_fitness == pytest.approx([0.021, 3.0])
    assert np.isnan(result.episode_success).all()
    result = shard.step(push(1.0, 0.0))
    assert result.reward == pytest.approx([3e-4 / DT, 0.0])
    assert shard.env_state(0).episode_length == 1


def test_terminated_and_truncated_are_told_apart_and_may_coincide(slider):
    ends = (
        (
            "fitness:\n",
            "terminated: |\n  def terminated(state, action):\n      return state.position > 1.0\n"
            "fitness:\n",
        ),
    )
    shard = slider(changes=ends)
    shard.set_state(0, np.array([2.0]), np.array([0.0]))
    result = shard.step(push(0.0, 0.0))
    assert result.terminated.tolist() == [True, False]
    assert result.truncated.tolist() == [False, False]
    assert result.ended.tolist() == [0]
    for _ in range(8):
        shard.step(push(0.0, 0.0))
    shard.request_reset(0)
    shard.set_state(1, np.array([2.0]), np.array([0.0]))
    shard.request_reset(1)
    result = shard.step(push(0.0, 0.0))
    assert result.terminated.tolist() == [False, True]
    assert result.truncated.tolist() == [True, True]


def test_a_requested_reset_happens_at_the_next_step_for_all_to_see(slider):
    shard = slider()
    shard.step(push(1.0, 1.0))
    shard.request_reset(1)
    result = shard.step(push(1.0, 1.0))
    assert result.truncated.tolist() == [False, True]
    assert result.ended.tolist() == [1]
    assert result.episode_length.tolist() == [2]
    assert result.obs[1].tolist() == [0.0, 0.0]
    assert len(shard.step(push(1.0, 1.0)).ended) == 0


def test_a_program_sees_what_the_policy_saw_and_the_action_before(slider):
    shard = slider(changes=SEES_ALL)
    first = shard.step(push(0.5, 1.0))
    # First step of an episode: no action before, and the policy saw the reset observation.
    assert first.reward.tolist() == [0.0, 0.0]
    seen = first.obs[:, 0].copy()
    second = shard.step(push(0.25, 0.0))
    assert second.reward == pytest.approx(np.array([0.5, 1.0]) + 10.0 * seen)
    shard.request_reset(0)
    shard.step(push(1.0, 1.0))
    after = shard.step(push(1.0, 1.0), ["previous_action", "previous_obs"])
    assert after.fields["previous_action"].tolist() == [[0.0], [1.0]]
    assert after.fields["previous_obs"][0].tolist() == [0.0, 0.0]
    assert after.reward[0] == 0.0


def test_fields_are_where_the_action_led_before_any_reset(slider):
    shard = slider()
    names = ["obs", "previous_obs", "position", "time_s"]
    for _ in range(10):
        result = shard.step(push(1.0, -1.0), names)
    assert result.ended.tolist() == [0, 1]
    assert np.array_equal(result.fields["obs"], result.final_obs)
    assert result.fields["position"] == pytest.approx([0.021, -0.021])
    assert result.fields["time_s"] == pytest.approx([0.2, 0.2])
    assert result.fields["previous_obs"][0, 0] == pytest.approx(1e-4 * sum(range(1, 19)))
    assert all(field.dtype == np.float64 for field in result.fields.values())
    assert all(field.flags.c_contiguous for field in result.fields.values())


def test_fields_may_change_from_step_to_step(make_shard, random_actions):
    asked, silent = make_shard("Humanoid-v5", 3), make_shard("Humanoid-v5", 3)
    requests = [[], ["joint_angles"], ["x_velocity", "contact_forces"], ["obs"], ["x_position"]]
    for action, names in zip(random_actions(asked, 5), requests, strict=True):
        result = asked.step(action, names)
        assert list(result.fields) == names
        assert np.array_equal(result.obs, silent.step(action).obs)
    # A field that is asked for late is as good as one that is asked for always.
    other = make_shard("Humanoid-v5", 3)
    for action in random_actions(asked, 5):
        always = other.step(action, ["x_position", "y_velocity"])
    assert np.array_equal(always.fields["x_position"], result.fields["x_position"])


def test_a_rate_counts_from_the_state_before_the_step_through_resets(slider):
    shard = slider()
    shard.set_state(0, np.array([5.0]), np.array([0.0]))
    assert shard.step(push(0.0, 1.0)).reward == pytest.approx([0.0, 3e-4 / DT])
    shard.request_reset(0)
    shard.step(push(0.0, 0.0))
    # From 5 m to the initial 0 m is a reset, not a speed.
    assert shard.step(push(1.0, 0.0)).reward[0] == pytest.approx(3e-4 / DT)


def test_a_clipped_rate_is_zero_where_an_episode_begins(slider):
    clipped = (
        ("speed: {rate: position", "speed: {rate: position, clip: [-0.01, 0.01]"),
        ("  - position\n", "  - position\n  - speed\n"),
    )
    shard = slider(changes=clipped)
    assert shard.reset()[:, 1].tolist() == [0.0, 0.0]
    # 3e-4 / DT is 0.015 m/s
    moving = shard.step(push(1.0, -1.0), ["speed"])
    assert moving.fields["speed"].tolist() == moving.obs[:, 1].tolist() == [0.01, -0.01]
    assert shard.env_state(1).fields["speed"] == -0.01
    shard.request_reset(0)
    assert shard.step(push(1.0, -1.0)).obs[:, 1].tolist() == [0.0, -0.01]


def test_a_rate_that_cannot_be_zero_begins_at_the_nearest_end(slider):
    clipped = (
        ("speed: {rate: position", "speed: {rate: position, clip: [0.5, 9.0]"),
        ("  - position\n", "  - position\n  - speed\n"),
    )
    assert slider(changes=clipped).reset()[:, 1].tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("accumulate", "expected"), [("sum", 0.03), ("last", -0.01), ("max", 0.03)]
)
def test_fitness_accumulates_as_the_task_says(slider, accumulate, expected):
    changes = (
        ("return state.position\n", "return 0.01 * action[:, 0] + 0.0 * state.position\n"),
        ("accumulate: last", f"accumulate: {accumulate}"),
        ("max_episode_steps: 10", "max_episode_steps: 3"),
    )
    per_horizon = (*changes, ("  description: where", "  per_horizon: true\n  description: where"))
    for divisor, shard in ((1, slider(changes=changes)), (3, slider(changes=per_horizon))):
        for force in (1.0, 3.0, -1.0):
            result = shard.step(push(force, force))
        assert result.episode_fitness == pytest.approx([expected / divisor] * 2)


def test_success_is_judged_where_the_task_defines_it(slider):
    success = (
        "success:\n  program: |\n    def success(state, action):\n"
        "        return state.position > 1.0\n  accumulate: last\n  description: beyond 1 m\n"
    )
    shard = slider(changes=[("fitness:\n", success + "fitness:\n")])
    assert shard.task.info.has_success
    shard.set_state(1, np.array([2.0]), np.array([0.0]))
    for _ in range(10):
        result = shard.step(push(0.0, 0.0))
    assert result.episode_success.tolist() == [0.0, 1.0]


def test_float32_observations_are_the_float64_ones_rounded(make_shard, random_actions):
    for task in ("Ant-v5", "Reacher-v5", "InvertedDoublePendulum-v5"):
        exact, rounded = make_shard(task), make_shard(task, obs_dtype="float32")
        for action in random_actions(exact, 60):
            one, other = exact.step(action), rounded.step(action)
            assert other.obs.dtype == np.float32
            assert np.array_equal(one.obs.astype(np.float32), other.obs)
            assert np.array_equal(one.final_obs.astype(np.float32), other.final_obs)
            assert np.array_equal(one.reward, other.reward)


def test_results_do_not_depend_on_threads(make_shard, random_actions):
    one, two = make_shard("Ant-v5", 7), make_shard("Ant-v5", 7, nthread=2)
    for action in random_actions(one, 60):
        assert np.array_equal(one.step(action).obs, two.step(action).obs)


@pytest.mark.parametrize("task", bundled_names())
def test_results_do_not_depend_on_the_size_of_the_shard(make_shard, random_actions, task):
    one, many = make_shard(task, 1), make_shard(task, 13)
    start = one.env_state(0)
    many.set_state(8, start.qpos, start.qvel)
    one.set_state(0, start.qpos, start.qvel)
    for action in random_actions(many, 25):
        whole, single = many.step(action), one.step(action[8:9])
        assert np.array_equal(whole.reward[8], single.reward[0])
        if 8 in whole.ended:
            break
        assert np.array_equal(whole.obs[8], single.obs[0])


def test_env_state_shows_one_environment_and_changes_nothing(make_shard, random_actions):
    shard, untouched = make_shard("Humanoid-v5", 3), make_shard("Humanoid-v5", 3)
    for action in random_actions(shard, 8):
        result = shard.step(action, ["x_velocity", "torso_height"])
        state = shard.env_state(2)
        assert np.array_equal(result.obs, untouched.step(action).obs)
    info = shard.task.info
    assert state.time_s == pytest.approx(8 * info.dt_s)
    assert state.episode_length == 8
    assert state.episode_return == pytest.approx(8 * 5.0, rel=0.2)
    assert state.qpos.shape == (24,)
    assert state.qvel.shape == (23,)
    assert state.fields["x_velocity"] == result.fields["x_velocity"][2]
    assert state.fields["torso_height"] == state.qpos[2]
    assert state.fields["contact_forces"].shape == (84,)
    assert np.array_equal(state.fields["obs"], result.obs[2])
    offered = {field.name for field in info.fields} - {"previous_obs", "previous_action"}
    assert set(state.fields) == offered | {f"knob:{knob.name}" for knob in info.knobs}
    assert state.fields["knob:mass"] == 1.0


def test_reset_takes_a_mask_and_a_seed(make_shard):
    shard = make_shard(num_envs=4)
    before = shard.reset(seed=5).copy()
    assert np.array_equal(shard.reset(seed=5), before)
    mask = np.array([False, True, False, True])
    after = shard.reset(mask=mask)
    assert (after == before).all(axis=1).tolist() == [True, False, True, False]
    assert np.array_equal(shard.reset(mask=np.zeros(4, bool)), after)


def test_what_one_environment_gets_does_not_depend_on_the_others(make_shard, random_actions):
    """The same draw for an environment, whichever others reset at the same command."""
    one, other = make_shard(num_envs=4), make_shard(num_envs=4)
    one.request_reset(2)
    other.request_reset(1)
    other.request_reset(2)
    action = random_actions(one, 1)[0]
    assert np.array_equal(one.step(action).obs[2], other.step(action).obs[2])
    assert not np.array_equal(one.step(action).obs[1], other.step(action).obs[1])


def test_shards_and_seeds_draw_apart(make_shard):
    base = make_shard(first_env_id=0).reset()
    assert not np.array_equal(base, make_shard(first_env_id=4).reset())
    assert not np.array_equal(base, make_shard(seed=2).reset())
    assert np.array_equal(base, make_shard().reset())


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64 - 1, 10**30])
def test_any_whole_number_is_a_seed(make_shard, seed):
    shard = make_shard(seed=seed)
    copy = make_shard(seed=1)
    copy.restore(shard.snapshot())
    assert np.array_equal(shard.reset(), copy.reset())


def test_wrong_commands_are_refused_before_anything_happens(slider):
    shard = slider()
    before = shard.snapshot()
    for wrong in (
        lambda: shard.step(np.zeros((3, 1), np.float32)),
        lambda: shard.step(push(0.0, 0.0), ["velocity"]),
        lambda: shard.set_state(0, np.zeros(2), np.zeros(1)),
        lambda: shard.set_state(0, np.array([math.nan]), np.zeros(1)),
        lambda: shard.set_state(2, np.zeros(1), np.zeros(1)),
        lambda: shard.request_reset(-1),
        lambda: shard.env_state(2),
    ):
        with pytest.raises(TaskError) as caught:
            wrong()
        assert "\n" not in str(caught.value)
    for name, array in shard.snapshot().items():
        assert np.array_equal(array, before[name])
    with pytest.raises(TaskError, match=r"no field 'velocity'.* position, speed"):
        shard.step(push(0.0, 0.0), ["velocity"])


def test_stepping_costs_little_beside_the_physics(make_shard, random_actions, monkeypatch):
    """128 HalfCheetahs take 3 ms to simulate; all else in the step takes tens of microseconds."""
    import time

    shard = make_shard(num_envs=128, obs_dtype="float32")
    actions = random_actions(shard, 50)
    for action in actions:
        shard.step(action, ["x_velocity"])
    monkeypatch.setattr(shard._physics, "advance", lambda: False)
    best_s = math.inf
    for action in actions:
        start = time.perf_counter()
        shard.step(action, ["x_velocity"])
        best_s = min(best_s, time.perf_counter() - start)
    # 25 us on a machine of its own: a per-environment loop would take milliseconds.
    assert best_s < 300e-6
