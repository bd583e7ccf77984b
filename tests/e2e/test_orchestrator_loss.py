"""The orchestrator dies while steps are under way; results stay the same bits, workers stay."""

import os
import signal
import time

import numpy as np
import pytest

from websim.client import FleetRefused, make_vec
from websim.client.session import FleetSession
from websim.local.fleet import ORCHESTRATOR, LocalFleet

STEPS = 120
NUM_ENVS = 64
SHARD_ENVS = 16


def kill_orchestrator(fleet: LocalFleet) -> None:
    os.kill(fleet.supervisor.pid(ORCHESTRATOR), signal.SIGKILL)


def run(fleet: LocalFleet, kill_at: tuple[int, ...] = ()) -> tuple[list[np.ndarray], float]:
    """Drive 4 shards by send and recv; return each one's trace and the longest gap in seconds."""
    session = FleetSession(
        fleet.client_address, task="Hopper-v5", num_envs=NUM_ENVS, seed=5, shard_envs=SHARD_ENVS
    )
    actions = np.random.default_rng(2).uniform(-1, 1, (STEPS, NUM_ENVS, 3)).astype(np.float32)
    traces = [[] for _ in session.shards]
    longest_s, last_s = 0.0, time.monotonic()
    try:
        for shard in range(4):
            session.send_reset(shard)
        for answers in range(4 * (STEPS + 1)):
            if answers in kill_at:
                kill_orchestrator(fleet)
            result = session.recv()
            longest_s = max(longest_s, time.monotonic() - last_s)
            last_s = time.monotonic()
            trace = traces[result.shard]
            trace.append(np.concatenate([result.obs.ravel(), result.reward, result.terminated]))
            assert result.t == len(trace), "each command is answered once, in order"
            if len(trace) <= STEPS:
                rows = slice(SHARD_ENVS * result.shard, SHARD_ENVS * (result.shard + 1))
                session.send(result.shard, actions[len(trace) - 1, rows])
    finally:
        session.close()
    return [np.concatenate(trace) for trace in traces], longest_s


def test_two_kills_of_the_orchestrator_change_no_bit(whole):
    fleet = whole(2)
    undisturbed, _ = run(fleet)
    workers = fleet.worker_pids()
    disturbed, longest_s = run(fleet, kill_at=(101, 350))
    assert fleet.worker_pids() == workers
    for one, other in zip(undisturbed, disturbed, strict=True):
        assert np.array_equal(one, other)
    assert longest_s < 8.0, "a start of Python and a few reconnections"


def test_what_a_worker_took_with_it_is_lost_and_said_to_be(whole):
    fleet = whole(1)
    env = make_vec("Hopper-v5", 32, seed=5, fleet=fleet.client_address)
    env.reset()
    [worker] = fleet.worker_pids()
    os.kill(worker, signal.SIGSTOP)
    env.send(0, np.zeros((32, 3), np.float32))
    os.kill(worker, signal.SIGKILL)
    kill_orchestrator(fleet)
    with pytest.raises(FleetRefused, match="lost"):
        env.recv(timeout_s=30.0)
    env.close()


def test_a_session_can_be_opened_while_the_orchestrator_is_away(whole):
    fleet = whole(1)
    kill_orchestrator(fleet)
    env = make_vec("Hopper-v5", 32, seed=5, fleet=fleet.client_address)
    assert env.reset()[0].shape == (32, 11)
    env.close()


def test_a_shard_goes_on_from_a_snapshot_in_another_session(fleet):
    action = np.full((32, 3), 0.3, np.float32)
    one = make_vec("Hopper-v5", 32, seed=5, fleet=fleet.client_address)
    one.reset()
    one.step(action)
    snapshot = one.snapshot(0)
    expected = [one.step(action)[:4] for _ in range(40)]
    other = make_vec("Hopper-v5", 32, seed=99, fleet=fleet.client_address)
    other.send_restore(0, snapshot)
    restored = other.recv()
    assert restored.kind == "reset"
    for step in expected:
        other.send(0, action)
        result = other.recv()
        again = (result.obs, result.reward, result.terminated, result.truncated)
        assert all(np.array_equal(a, b) for a, b in zip(step, again, strict=True))
    one.close()
    other.close()


def test_a_command_that_cannot_be_carried_out_is_refused_and_changes_nothing(fleet):
    env = make_vec("Hopper-v5", 32, seed=5, fleet=fleet.client_address)
    env.reset()
    action = np.zeros((32, 3), np.float32)
    env.send(0, action, fields=("no_such_field",))
    with pytest.raises(FleetRefused, match="no field 'no_such_field'"):
        env.recv()
    env.send(0, action)
    assert env.recv().kind == "step"
    env.close()
