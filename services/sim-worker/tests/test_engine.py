"""The engine as the worker runs it: without its timers, and simulating the same bits."""

import mujoco
import numpy as np
import pytest

from websim_sim_worker.engine import time_engine
from websim_sim_worker.tasks import bundled, compile_task


@pytest.fixture(autouse=True)
def _timers_back_on():
    yield
    time_engine(on=True)


def simulate(model: mujoco.MjModel) -> tuple[np.ndarray, float]:
    """Return where 50 steps lead, and what the engine timed of them."""
    data = mujoco.MjData(model)
    data.ctrl[:] = 0.5
    for _ in range(50):
        mujoco.mj_step(model, data)
    total = data.timer[mujoco.mjtTimer.mjTIMER_STEP].duration
    return np.concatenate([data.qpos, data.qvel]), float(total)


def test_timers_can_be_turned_off_and_on_again():
    model = compile_task(bundled("HalfCheetah-v5")).model
    assert simulate(model)[1] > 0
    assert time_engine(on=False)
    assert simulate(model)[1] == 0
    time_engine(on=True)
    assert simulate(model)[1] > 0


def test_no_simulation_depends_on_the_timers():
    model = compile_task(bundled("HalfCheetah-v5")).model
    timed, _ = simulate(model)
    time_engine(on=False)
    assert np.array_equal(timed, simulate(model)[0])
