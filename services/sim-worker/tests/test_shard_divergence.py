"""An engine that diverges or fails ends one episode, visibly, and nothing else."""

import subprocess
import sys

import numpy as np
import pytest

CROWD = """<mujoco>
  <size memory="71K"/>
  <worldbody>
    <geom type="plane" size="1 1 1"/>
    {bodies}
    <body pos="0 0 9"><joint name="rail" type="slide"/><geom size="0.1"/></body>
  </worldbody>
  <actuator><motor joint="rail" ctrlrange="-1 1"/></actuator>
</mujoco>
""".format(
    bodies="".join(f'<body pos="{x} 0 5"><freejoint/><geom size="0.1"/></body>' for x in range(6))
)
"""Six balls whose contacts, when they overlap, do not fit into the engine's memory."""


def zeros(shard):
    return np.zeros((shard.num_envs, shard.action_dim), np.float32)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e30])
def test_a_bad_action_ends_one_episode_and_poisons_nothing(make_shard, bad):
    shard = make_shard("HalfCheetah-v5", 3)
    calm = make_shard("HalfCheetah-v5", 3)
    shard.step(zeros(shard))
    calm.step(zeros(calm))
    action = zeros(shard)
    action[1, 2] = bad
    result = shard.step(action, ["previous_action", "x_velocity"])
    expected = calm.step(zeros(calm))
    assert result.invalid.tolist() == [False, True, False]
    assert result.truncated.tolist() == [False, True, False]
    assert not result.terminated.any()
    assert result.reward[1] == 0.0
    assert np.isfinite(result.obs).all()
    assert np.isfinite(result.final_obs).all()
    assert result.ended.tolist() == [1]
    assert result.episode_length.tolist() == [2]
    assert np.isfinite([result.episode_return, result.episode_fitness]).all()
    assert shard.diverged_total == 1
    for env in (0, 2):
        assert np.array_equal(result.obs[env], expected.obs[env])
        assert result.reward[env] == expected.reward[env]
    again = shard.step(zeros(shard))
    assert not again.invalid.any()
    assert np.isfinite(again.reward).all()
    assert shard.diverged_total == 1


def test_a_state_that_explodes_is_invalid_and_reset(make_shard):
    for task in ("Ant-v5", "HumanoidFast-v0", "InvertedDoublePendulum-v5"):
        shard = make_shard(task, 4, obs_dtype="float32")
        shard.set_state(2, shard.env_state(2).qpos, np.full(shard.task.model.nv, 1e9))
        shard.step(zeros(shard))
        # Either at once or a step later, this must end in divergence.
        for _ in range(20):
            result = shard.step(zeros(shard), ["obs"])
            assert np.isfinite(result.obs).all()
            assert np.isfinite(result.reward).all()
        assert shard.diverged_total >= 1


def test_an_invalid_step_adds_nothing_to_fitness_or_return(make_shard, make_custom):
    shard = make_shard(make_custom(changes=[("accumulate: last", "accumulate: max")]), 2)
    shard.step(np.array([[1.0], [1.0]], np.float32))
    result = shard.step(np.array([[np.nan], [1.0]], np.float32))
    assert result.ended.tolist() == [0]
    assert result.episode_fitness == pytest.approx([3e-4])
    result = shard.step(np.array([[np.nan], [1.0]], np.float32))
    # An episode without one valid step has done nothing.
    assert result.episode_fitness.tolist() == [0.0]
    assert result.episode_return.tolist() == [0.0]


def test_an_engine_failure_never_leaves_step(make_shard, make_custom):
    shard = make_shard(make_custom(model=CROWD), 3)
    rest = shard.env_state(1)
    crowded = rest.qpos.copy()
    for ball in range(6):
        crowded[7 * ball : 7 * ball + 3] = (0.0, 0.0, 0.01 * ball)
    shard.set_state(1, crowded, rest.qvel)
    result = shard.step(zeros(shard))
    assert result.invalid.tolist() == [False, True, False]
    assert result.truncated.tolist() == [False, True, False]
    assert "out of memory" in shard.last_failure
    assert shard.diverged_total == 1
    result = shard.step(zeros(shard))
    assert not result.invalid.any()
    assert np.isfinite(result.obs).all()


def test_the_engine_stays_quiet_and_writes_no_log(tmp_path):
    """HalfCheetah's model is deprecated in parts, and its divergence warns: nobody hears of it."""
    script = """
import numpy as np
from websim_sim_worker.shard import Shard
from websim_sim_worker.tasks import bundled, compile_task
task = compile_task(bundled("HalfCheetah-v5"))
shard = Shard(task, seed=0, first_env_id=0, num_envs=2, nthread=2)
shard.reset()
shard.step(np.full((2, 6), np.nan, np.float32))
print(shard.diverged_total)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "2\n"
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
