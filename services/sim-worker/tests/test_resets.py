"""Reset noise is Gymnasium's in distribution, and its regions hold."""

import gymnasium
import numpy as np
import pytest

from websim.tasks import TaskError

DRAWS = 2_000
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
NORMAL_VELOCITIES = ("Ant-v5", "HalfCheetah-v5", "InvertedDoublePendulum-v5")
"""Their velocity noise is normal; all other noise is uniform and has bounds."""


def kolmogorov_smirnov(one, other):
    """Largest distance of two samples' distribution functions (no ties to speak of)."""
    both = np.sort(np.concatenate([one, other]))
    below_one = np.searchsorted(np.sort(one), both, side="right") / len(one)
    below_other = np.searchsorted(np.sort(other), both, side="right") / len(other)
    return np.abs(below_one - below_other).max()


def gymnasium_states(task, draws):
    """Initial states of the oracle without the cost of mj_forward."""
    env = gymnasium.make(task).unwrapped
    states = []
    env.set_state = lambda qpos, qvel: states.append(np.concatenate([qpos, qvel]))
    env.reset(seed=0)
    for _ in range(draws - 1):
        env.reset_model()
    env.close()
    return np.array(states)


@pytest.mark.parametrize("task", TASKS)
def test_initial_states_are_distributed_as_gymnasiums(make_task, task):
    expected = gymnasium_states(task, DRAWS)
    compiled = make_task(task)
    drawn = np.concatenate(compiled.reset.draw(seed=1, first_env_id=0, t=1, rows=DRAWS), axis=1)
    assert drawn.shape == expected.shape
    # 0.1 % critical value of the two-sample test, shared among the columns (Bonferroni).
    columns = expected.shape[1]
    critical = np.sqrt(-np.log(0.001 / columns / 2.0) / 2.0) * np.sqrt(2.0 / DRAWS)
    for column in range(columns):
        mine, theirs = drawn[:, column], expected[:, column]
        if np.ptp(theirs) == 0.0:
            assert np.array_equal(mine, theirs), column
        else:
            assert kolmogorov_smirnov(mine, theirs) < critical, column
            if task not in NORMAL_VELOCITIES or column < compiled.model.nq:
                assert mine.min() == pytest.approx(theirs.min(), abs=0.01 * np.ptp(theirs))
                assert mine.max() == pytest.approx(theirs.max(), abs=0.01 * np.ptp(theirs))
    independent = np.corrcoef(drawn[:, np.ptp(expected, axis=0) > 0], rowvar=False)
    theirs = np.corrcoef(expected[:, np.ptp(expected, axis=0) > 0], rowvar=False)
    assert np.abs(independent - theirs).max() < 0.16


def test_goals_of_reacher_fill_the_disk_and_only_it(make_task):
    qpos, qvel = make_task("Reacher-v5").reset.draw(seed=0, first_env_id=0, t=1, rows=20_000)
    radius = np.linalg.norm(qpos[:, 2:], axis=1)
    assert radius.max() < 0.2
    # Uniform in a disk: the share within half its radius is a quarter.
    assert np.mean(radius < 0.1) == pytest.approx(0.25, abs=0.01)
    assert not qvel[:, 2:].any()


def test_objects_of_pusher_keep_their_distance_from_the_goal(make_task):
    qpos, qvel = make_task("Pusher-v5").reset.draw(seed=0, first_env_id=0, t=1, rows=20_000)
    cylinder = qpos[:, -4:-2]
    assert np.linalg.norm(cylinder, axis=1).min() > 0.17
    assert -0.3 <= cylinder[:, 0].min() < cylinder[:, 0].max() <= 0.0
    assert -0.2 <= cylinder[:, 1].min() < cylinder[:, 1].max() <= 0.2
    assert not qpos[:, -2:].any()
    assert not qvel[:, -4:].any()


def test_draws_are_a_function_of_seed_shard_and_command(make_task):
    draw = make_task("Swimmer-v5").reset.draw
    base = draw(1, 0, 1, 8)
    assert all(np.array_equal(a, b) for a, b in zip(base, draw(1, 0, 1, 8), strict=True))
    for other in (draw(2, 0, 1, 8), draw(1, 8, 1, 8), draw(1, 0, 2, 8)):
        assert not np.isin(other[0], base[0]).any()


def test_a_keyframe_is_where_episodes_begin(make_shard, make_custom):
    model = """<mujoco><worldbody><body><joint name="rail" type="slide"/><geom size="0.1"/></body>
    </worldbody><actuator><motor name="push" joint="rail" ctrlrange="-1 1"/></actuator>
    <keyframe><key name="start" qpos="2.5" qvel="-1"/></keyframe></mujoco>"""
    start = [("observation:", "reset: {keyframe: start}\nobservation:")]
    shard = make_shard(make_custom(model=model, changes=start), 2)
    assert shard.reset().tolist() == [[2.5, -1.0]] * 2
    with pytest.raises(TaskError, match="no keyframe 'begin'"):
        make_custom(model=model, changes=[(start[0][0], start[0][1].replace("start", "begin"))])


def test_a_region_that_is_hardly_ever_hit_is_refused(make_custom):
    box = "box: {low: [-9], high: [9]}, outside_radius: 8.95"
    region = f"reset: {{regions: [{{joints: [rail], {box}}}]}}\n"
    with pytest.raises(TaskError, match="of the box lies in the region"):
        make_custom(changes=[("observation:", region + "observation:")])
