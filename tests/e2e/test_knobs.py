"""Environments whose physics vary, on real fleets: what users see, and what survives what."""

import os
import signal
from collections.abc import Callable

import gymnasium
import numpy as np
import pytest

from websim.client import FleetError, FleetRefused, FleetSession, make_vec
from websim.local.fleet import ORCHESTRATOR, LocalFleet
from websim.wire.messages import SetKnobs

STEPS = 150
"""More than two snapshots' worth, so that a replay starts from one."""
NUM_ENVS = 64


def run(fleet: LocalFleet, at_step: dict[int, Callable[[], None]]) -> list[np.ndarray]:
    """Every observation and reward of Hoppers whose knobs are turned on the way."""
    address = fleet.client_address
    knobs = {"mass": 1.2}
    env = make_vec("Hopper-v5", NUM_ENVS, seed=11, fleet=address, shard_envs=16, knobs=knobs)
    rng = np.random.default_rng(1)
    try:
        trace = [env.reset()[0]]
        for step in range(STEPS):
            if step in (20, 90):
                env.set_difficulty(step / 100)
            if step in at_step:
                at_step[step]()
            action = rng.uniform(-1, 1, (NUM_ENVS, 3)).astype(np.float32)
            trace += env.step(action)[:4]
        trace += [env.get_state(e).fields["knob:gravity"] for e in range(0, NUM_ENVS, 5)]
        return trace
    finally:
        env.close()


@pytest.fixture(scope="module")
def undisturbed(whole) -> list[np.ndarray]:
    return run(whole(1), {})


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_the_physics_vary_in_the_undisturbed_run(undisturbed):
    assert len({float(gravity) for gravity in undisturbed[-13:]}) == 13


def test_killed_workers_and_orchestrators_change_no_bit(undisturbed, whole):
    fleet = whole(2)

    def kill_worker() -> None:
        whole(2)
        os.kill(fleet.worker_pids()[0], signal.SIGKILL)

    def kill_orchestrator() -> None:
        os.kill(fleet.supervisor.pid(ORCHESTRATOR), signal.SIGKILL)

    # Both before and just after knobs are turned, and once between snapshots.
    at_step = {21: kill_worker, 60: kill_orchestrator, 90: kill_worker, 110: kill_worker}
    assert same(run(fleet, at_step), undisturbed)


def test_an_environment_shows_its_knobs_and_falls_by_them(make_env):
    env = make_env("Hopper-v5", 32, knobs={"gravity": (0.5, 1.5)})
    names = [knob.name for knob in env.task.knobs]
    assert names == ["gravity", "mass", "friction", "damping", "actuator_strength", "push"]
    env.reset()
    env.step(np.zeros((32, 3), np.float32))
    for env_id in (0, 31):
        state = env.get_state(env_id)
        gravity = float(state.fields["knob:gravity"])
        assert 0.5 <= gravity <= 1.5
        env.set_state(env_id, np.array([0.0, 3.0, 0.0, 0.0, 0.0, 0.0]), np.zeros(6))
        gravity = float(env.get_state(env_id).fields["knob:gravity"])
        env.step(np.zeros((32, 3), np.float32))
        # Free fall for 0.008 s from rest, joints and all.
        fallen = 3.0 - env.get_state(env_id).qpos[1]
        assert fallen == pytest.approx(0.5 * 9.81 * gravity * 0.008**2, rel=1e-6)


def test_gymnasium_passes_knobs_on(fleet):
    env = gymnasium.make_vec(
        "websim/HalfCheetah-v5", num_envs=32, fleet=fleet.client_address, knobs={"friction": 0.5}
    )
    env.reset(seed=1)
    assert env.unwrapped.get_state(3).fields["knob:friction"] == 0.5
    env.close()


def test_what_is_no_knob_is_refused_in_one_line(make_env, fleet):
    env = make_env("Hopper-v5", 64)
    with pytest.raises(FleetError, match=r"no knob 'gravitas'\. Did you mean 'gravity'"):
        env.set_knobs({"gravitas": 1.0})
    with pytest.raises(FleetError, match=r"Choose low and high from 0.3 to 2 x"):
        env.set_knobs({"gravity": (0.5, 3.0)})
    with pytest.raises(FleetError, match="no knob 'gravitas'"):
        make_vec("Hopper-v5", 32, fleet=fleet.client_address, knobs={"gravitas": 1.0})
    assert env.reset()[0].shape == (64, 11)


def test_a_worker_refuses_what_a_client_let_through(fleet):
    session = FleetSession(fleet.client_address, task="Hopper-v5", num_envs=32, seed=1)
    side = session._sides[0]
    message = SetKnobs(session=session._session, shard=0, t=1, knobs={"gravity": (0.5, 3.0)})
    session._command(side, message, {})
    with pytest.raises(FleetRefused, match="is no range of the knob gravity"):
        session.recv()
    session.send_knobs(0, {"gravity": 0.5})
    result = session.recv()
    assert (result.kind, result.t, result.obs.shape) == ("knobs", 2, (32, 11))
    assert len(result.ended) == 0
    session.close()
