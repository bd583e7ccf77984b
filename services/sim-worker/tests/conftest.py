"""Factories for tasks and shards."""

import numpy as np
import pytest

from websim.tasks import TaskBundle
from websim_sim_worker.compilation import compile_prepared, prepare
from websim_sim_worker.shard import Shard
from websim_sim_worker.tasks import bundled, compile_task

SLIDER = """<mujoco>
  <option timestep="0.01" gravity="0 0 0"/>
  <worldbody>
    <body name="cart">
      <joint name="rail" type="slide" axis="1 0 0"/><geom size="0.1" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="rail" ctrlrange="-1 1"/></actuator>
</mujoco>
"""
"""A cart of 1 kg on a rail, pushed by its one action with that many newtons."""

SLIDER_TASK = """
format: 1
id: Slider-v0
description: Push the cart.
model: {file: model.xml}
frame_skip: 2
max_episode_steps: 10
parameters:
  goal: 1.0
  speed_range: [-5.0, 5.0]
  with_speed: true
fields:
  position: {source: qpos, joint: rail, unit: m}
  speed: {rate: position, unit: m/s}
observation:
  - position
  - {source: qvel, clip: speed_range, when: with_speed}
reward: |
  def reward(state, action):
      return state.speed
fitness:
  program: |
    def fitness(state, action):
        return state.position
  accumulate: last
  description: where the cart ends
"""


@pytest.fixture
def slider_model():
    """The MJCF of the cart on a rail."""
    return SLIDER


@pytest.fixture
def make_task():
    """Compile a bundled task by name, with overrides."""

    def make(name="HalfCheetah-v5", **overrides):
        return compile_task(bundled(name), overrides)

    return make


@pytest.fixture
def make_shard(make_task):
    """Make a shard of a bundled task, or of a given compiled one, and reset it."""

    def make(
        task="HalfCheetah-v5",
        num_envs=4,
        seed=1,
        first_env_id=0,
        nthread=1,
        obs_dtype="float64",
        **overrides,
    ):
        compiled = make_task(task, **overrides) if isinstance(task, str) else task
        shard = Shard(
            compiled,
            seed=seed,
            first_env_id=first_env_id,
            num_envs=num_envs,
            nthread=nthread,
            obs_dtype=obs_dtype,
        )
        shard.reset()
        return shard

    return make


@pytest.fixture
def make_bundle():
    """Make the bundle of a small custom task; `changes` replace text of its task file."""

    def make(task=SLIDER_TASK, model=SLIDER, changes=(), **files):
        for old, new in changes:
            assert old in task
            task = task.replace(old, new)
        return TaskBundle(
            name="custom", task_yaml=task.encode(), files={"model.xml": model.encode(), **files}
        )

    return make


@pytest.fixture
def make_custom(make_bundle):
    """Compile a small custom task without the trial in a child process."""

    def make(overrides=None, **bundle):
        return compile_prepared(prepare(make_bundle(**bundle), overrides or {}))

    return make


@pytest.fixture
def random_actions():
    """Draw actions (n, action_dim) float32 for a shard, the same ones for the same seed."""

    def make(shard, steps, seed=0, scale=1.0):
        rng = np.random.default_rng(seed)
        low, high = np.array(shard.task.info.action_low), np.array(shard.task.info.action_high)
        shape = (shard.num_envs, shard.action_dim)
        return [(scale * rng.uniform(low, high, shape)).astype(np.float32) for _ in range(steps)]

    return make
