"""Looking at a shard: what is shown is what is there, and what is there does not change by it."""

import mujoco
import numpy as np
import pytest

from websim.wire.messages import FIGURE_FIELD
from websim_sim_worker.watching import INVALID, SUCCESS, TERMINATED, TRUNCATED

BALL = """<mujoco>
  <option timestep="0.005"/>
  <worldbody>
    <geom type="plane" size="5 5 1"/>
    <body name="ball" pos="0 0 0.1"><freejoint/><geom size="0.1" mass="2"/></body>
    <body name="cart" pos="3 0 1">
      <joint name="rail" type="slide" axis="1 0 0"/><geom size="0.1"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="rail" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
ALL = {"figures": True, "env_indices": [0, 2]}


def placed(shard, row):
    """MuJoCo's own positions and rotations of the bodies of one environment."""
    model, data = shard.task.model, mujoco.MjData(shard.task.model)
    state = shard.env_state(row)
    data.qpos[:] = state.qpos
    mujoco.mj_forward(model, data)
    return data


def expected_points(shard, row):
    figure, data = shard.task.figure, placed(shard, row)
    turns = data.xmat.reshape(-1, 3, 3)[figure.bodies]
    points = data.xpos[figure.bodies] + np.einsum("pij,pj->pi", turns, figure.local)
    if figure.root:
        points[:, :2] -= data.xpos[figure.root, :2]
    return points @ figure.projection.T / figure.scale_m


@pytest.mark.parametrize("knobs", [False, True])
@pytest.mark.parametrize("task", ["HalfCheetah-v5", "Ant-v5", "Reacher-v5", "Humanoid-v5"])
def test_a_shard_that_is_looked_at_stays_the_same_bit_for_bit(
    make_shard, random_actions, task, knobs
):
    watched, alone = (make_shard(task, 4, max_episode_steps=9) for _ in range(2))
    if knobs:
        for shard in (watched, alone):
            ranges = {knob.name: (knob.hard_low, knob.hard_high) for knob in shard.task.info.knobs}
            shard.set_knobs(ranges)
    for t, action in enumerate(random_actions(watched, 30)):
        watched.view.figures()
        if t % 3:
            watched.view.expect(**ALL)
        one, other = watched.step(action), alone.step(action)
        watched.view.figures()
        watched.view.pose(2)
        assert np.array_equal(one.obs, other.obs)
        assert np.array_equal(one.reward, other.reward)
        for name, array in alone.snapshot().items():
            assert np.array_equal(watched.snapshot()[name], array), (t, name)


@pytest.mark.parametrize("task", ["HalfCheetah-v5", "Ant-v5", "Reacher-v5", "Swimmer-v5"])
def test_points_are_where_mujoco_says_before_any_step(make_shard, task):
    shard = make_shard(task, 3)
    arrays = shard.view.figures()
    assert arrays["points"].dtype == np.int16
    for row in range(3):
        assert np.abs(arrays["points"][row] - expected_points(shard, row)).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("task", ["HalfCheetah-v5", "Humanoid-v5", "Reacher-v5"])
def test_points_are_where_mujoco_says_where_an_episode_has_just_begun(
    make_shard, random_actions, task
):
    shard = make_shard(task, 3)
    for action in random_actions(shard, 3):
        shard.view.expect(**ALL)
        shard.step(action)
    shard.request_reset(1)
    shard.view.expect(**ALL)
    shard.step(random_actions(shard, 1)[0])
    arrays = shard.view.figures()
    assert np.abs(arrays["points"][1] - expected_points(shard, 1)).max() <= 0.5 + 1e-6
    assert arrays["episode_length"].tolist() == [4, 0, 4]


def test_after_a_step_points_are_at_most_a_substep_behind(make_shard, random_actions):
    shard = make_shard("HalfCheetah-v5", 3)
    for action in random_actions(shard, 20):
        shard.view.expect(**ALL)
        shard.step(action)
        points = shard.view.figures()["points"]
        for row in range(3):
            behind = np.abs(points[row] - expected_points(shard, row)).max()
            # 20 m/s for the 10 ms of a substep.
            assert behind * shard.task.figure.scale_m < 0.2


@pytest.mark.parametrize("task", ["HalfCheetah-v5", "Humanoid-v5"])
def test_a_step_that_asks_for_figures_tells_them_and_has_the_bits_of_one_that_does_not(
    make_shard, random_actions, task
):
    asked, alone = (make_shard(task, 4, max_episode_steps=9) for _ in range(2))
    for t, action in enumerate(random_actions(asked, 30)):
        one, other = asked.step(action, (FIGURE_FIELD,) if t % 3 else ()), alone.step(action)
        assert np.array_equal(one.obs, other.obs)
        for name, array in alone.snapshot().items():
            assert np.array_equal(asked.snapshot()[name], array), (t, name)
        if t % 3 and not len(one.ended):
            shown = asked.view.figures()
            figure = one.fields[FIGURE_FIELD]
            assert np.array_equal(figure[:, 0], shown["root_x"])
            assert np.array_equal(figure[:, 1:], shown["points"].reshape(4, -1))


def test_the_figure_of_an_episodes_last_step_is_where_the_action_led(make_shard):
    shard = make_shard("HalfCheetah-v5", 2, max_episode_steps=2)
    qpos = shard.env_state(0).qpos
    qpos[0] = 123.5
    shard.set_state(0, qpos, np.zeros(9))
    still = np.zeros((2, 6), np.float32)
    shard.step(still, (FIGURE_FIELD,))
    last = shard.step(still, (FIGURE_FIELD,))
    assert last.ended.tolist() == [0, 1]
    assert last.fields[FIGURE_FIELD][0, 0] == pytest.approx(123.5, abs=0.1)
    assert shard.view.figures()["root_x"][0] == pytest.approx(0.0, abs=0.2)


def test_root_x_is_where_the_robot_is_and_points_follow_it(make_shard):
    shard = make_shard("HalfCheetah-v5", 2)
    qpos = shard.env_state(0).qpos
    before = shard.view.figures()["points"][0]
    qpos[0] = 123.5
    shard.set_state(0, qpos, np.zeros(9))
    arrays = shard.view.figures()
    assert arrays["root_x"][0] == np.float32(123.5)
    assert np.abs(arrays["points"][0].astype(int) - before).max() <= 1


def test_a_robot_that_is_bolted_down_is_followed_by_nobody(make_shard):
    shard = make_shard("Reacher-v5", 2)
    assert not shard.view.figures()["root_x"].any()


def test_a_restored_shard_shows_the_restored_state(make_shard, random_actions):
    shard, other = make_shard("HalfCheetah-v5", 3), make_shard("HalfCheetah-v5", 3, seed=8)
    for action in random_actions(shard, 5):
        other.view.expect(**ALL)
        shard.step(action)
        other.step(action)
    other.restore(shard.snapshot())
    points = other.view.figures()["points"]
    for row in range(3):
        assert np.abs(points[row] - expected_points(shard, row)).max() <= 0.5 + 1e-6


def test_what_is_too_far_away_is_at_the_edge_and_what_is_no_number_is_not_shown(make_shard):
    shard = make_shard("Humanoid-v5", 3)
    qpos = shard.env_state(0).qpos
    qpos[2] = 1e7
    shard.set_state(0, qpos, np.zeros(23))
    shard._batch.state[1] = np.nan
    arrays = shard.view.figures()
    assert arrays["points"][0, :, 1].max() == 32767
    assert np.isfinite(arrays["root_x"]).all()
    assert np.abs(arrays["points"][2] - expected_points(shard, 2)).max() <= 0.5 + 1e-6


def test_outcomes_tell_how_the_last_episode_ended(make_shard, random_actions):
    shard = make_shard("Hopper-v5", 4, max_episode_steps=12)
    assert shard.view.figures()["outcome"].tolist() == [0, 0, 0, 0]
    shard.set_state(0, np.array([0, 0.1, 0, 0, 0, 0]), np.zeros(6))  # it lies on the ground
    shard.request_reset(1)
    action = random_actions(shard, 1)[0]
    bad = action.copy()
    bad[2] = np.nan
    shard.step(bad)
    assert shard.view.figures()["outcome"].tolist() == [TERMINATED, TRUNCATED, INVALID, 0]
    shard.skip()
    assert shard.view.figures()["outcome"].tolist() == [INVALID] * 4


def test_an_episode_that_ends_with_success_says_so(make_shard):
    shard = make_shard("Reacher-v5", 2, max_episode_steps=2)
    for row in range(2):
        data = placed(shard, row)
        tip = data.body("fingertip").xpos
        qpos = shard.env_state(row).qpos
        if row == 0:  # the target is where the finger is
            qpos[2:] = tip[:2]
        else:
            qpos[2:] = -tip[:2]
        shard.set_state(row, qpos, np.zeros(4))
    for _ in range(2):
        shard.step(np.zeros((2, 2), np.float32))
    assert shard.view.figures()["outcome"].tolist() == [SUCCESS, TRUNCATED]


def test_a_pose_has_the_places_of_all_geoms(make_shard, random_actions):
    shard = make_shard("Ant-v5", 3)
    for action in random_actions(shard, 10):
        shard.step(action)
    time_s, arrays = shard.view.pose(1)
    data = placed(shard, 1)
    assert time_s == shard.env_state(1).time_s
    assert np.allclose(arrays["geom_xpos"], data.geom_xpos, atol=1e-6)
    turns = np.empty(9)
    for geom, quat in enumerate(arrays["geom_xquat"]):
        mujoco.mju_quat2Mat(turns, quat.astype(float))
        assert np.allclose(turns, data.geom_xmat[geom], atol=1e-6)


def test_what_rests_on_the_ground_presses_on_it_with_its_weight(make_custom, make_shard):
    shard = make_shard(make_custom(model=BALL, changes=[("frame_skip: 2", "frame_skip: 200")]), 2)
    shard.step(np.zeros((2, 1), np.float32))
    contacts = shard.view.pose(0)[1]["contacts"]
    assert contacts.shape == (1, 4)
    assert contacts[0, 3] == pytest.approx(2 * 9.81, rel=1e-3)
    assert contacts[0, :3] == pytest.approx([0, 0, 0], abs=1e-3)
    qpos = shard.env_state(0).qpos
    qpos[2] = 5.0
    shard.set_state(0, qpos, np.zeros(7))
    assert "contacts" not in shard.view.pose(0)[1]


def test_contacts_follow_the_environments_own_physics(make_shard):
    """Twice the gravity and twice the mass: four times the force."""

    def weigh(scale):
        shard = make_shard("HalfCheetah-v5", 1)
        shard.set_knobs({"gravity": (scale, scale), "mass": (scale, scale)})
        shard.reset()
        for _ in range(100):
            shard.step(np.zeros((1, 6), np.float32))
        return shard.view.pose(0)[1]["contacts"][:, 3].sum(), shard.task.model

    one, model = weigh(1.0)
    two, _ = weigh(2.0)
    assert one == pytest.approx(model.body_mass.sum() * 9.81, rel=0.05)
    assert two == pytest.approx(4 * one, rel=0.05)


def test_a_pose_explains_the_reward_of_the_step_even_where_the_episode_ended(
    make_shard, random_actions
):
    shard = make_shard("Hopper-v5", 3, max_episode_steps=5)
    names = {f"component:{name}" for name in shard.task.info.reward_components}
    for action in random_actions(shard, 12):
        shard.view.expect(figures=False, env_indices=[0, 2])
        step = shard.step(action)
        for row in (0, 2):
            arrays = shard.view.pose(row)[1]
            parts = {name: array for name, array in arrays.items() if ":" in name}
            assert parts.keys() == names
            assert arrays["reward"] == step.reward[row]
            assert sum(parts.values()) == pytest.approx(step.reward[row])
        assert "reward" not in shard.view.pose(1)[1], "nobody expected to look there"
    shard.step(random_actions(shard, 1)[0])
    assert "reward" not in shard.view.pose(0)[1], "an old reward is not shown as the last one"
