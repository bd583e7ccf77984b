"""Workers die, freeze, leave and join while steps are under way; results stay the same bits."""

import os
import signal
import time
from collections.abc import Callable

import numpy as np
import pytest

from websim.client import make_vec
from websim.local.fleet import LocalFleet

STEPS = 150
"""More than two snapshots' worth, so that a replay starts from one."""
NUM_ENVS = 64


def run(fleet: LocalFleet, at_step: dict[int, Callable[[], None]]) -> list[np.ndarray]:
    """Every observation and reward of a run of Hoppers that fall often, in four shards."""
    env = make_vec("Hopper-v5", NUM_ENVS, seed=11, fleet=fleet.client_address, shard_envs=16)
    rng = np.random.default_rng(1)
    try:
        trace = [env.reset()[0]]
        for step in range(STEPS):
            if step in at_step:
                at_step[step]()
            action = rng.uniform(-1, 1, (NUM_ENVS, 3)).astype(np.float32)
            obs, reward, terminated, truncated, info = env.step(action)
            trace += [obs, reward, terminated, truncated]
            if "final_info" in info:
                trace.append(info["final_info"]["episode"]["r"])
        return trace
    finally:
        env.close()


@pytest.fixture(scope="module")
def undisturbed(whole) -> list[np.ndarray]:
    return run(whole(1), {})


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_episodes_end_in_the_undisturbed_run(undisturbed):
    assert len(undisturbed) > 1 + 4 * STEPS


def test_two_workers_give_the_bits_of_one(undisturbed, whole):
    assert same(run(whole(2), {}), undisturbed)


def test_killing_workers_changes_no_bit_and_costs_less_than_three_seconds(undisturbed, whole):
    fleet = whole(2)
    killed_s, answered_s = [], []

    def kill() -> None:
        whole(2)  # the other one can take over, and is itself one that was started again
        killed_s.append(time.monotonic())
        os.kill(fleet.worker_pids()[0], signal.SIGKILL)

    def look() -> None:
        # two steps after the kill, all shards have answered again
        answered_s.append(time.monotonic())

    at_step = {30: kill, 32: look, 100: kill, 102: look}
    assert same(run(fleet, at_step), undisturbed)
    # Whatever else the machine did meanwhile: one of them shows what it costs.
    assert min(np.subtract(answered_s, killed_s)) < 3.0


def test_a_frozen_workers_shards_move_and_it_comes_back_harmless(undisturbed, whole):
    fleet = whole(2)
    frozen = fleet.worker_pids()[1]
    at_step = {
        40: lambda: os.kill(frozen, signal.SIGSTOP),
        60: lambda: os.kill(frozen, signal.SIGCONT),
    }
    assert same(run(fleet, at_step), undisturbed)


def test_a_drained_worker_leaves_and_a_new_one_takes_over(undisturbed, whole):
    fleet = whole(2)
    [drained, _] = fleet.worker_pids()

    def until_it_is_replaced() -> None:
        # the supervisor starts another in its place
        while drained in fleet.worker_pids():
            time.sleep(0.02)
        whole(2)

    at_step = {50: lambda: os.kill(drained, signal.SIGTERM), 100: until_it_is_replaced}
    assert same(run(fleet, at_step), undisturbed)


def test_a_run_waits_for_the_only_worker_to_come_back(undisturbed, whole):
    fleet = whole(1)
    at_step = {70: lambda: os.kill(fleet.worker_pids()[0], signal.SIGKILL)}
    assert same(run(fleet, at_step), undisturbed)


def test_a_worker_that_needs_long_for_a_step_is_waited_for(whole):
    """Silent for 5 s and more, it counts as lost; three times that may not have it skipped."""
    num_envs = 400
    fleet = whole(1).client_address
    env = make_vec(
        "HalfCheetah-v5", num_envs, seed=0, fleet=fleet, shard_envs=num_envs, frame_skip=1000
    )
    try:
        env.reset()
        env.send(0, np.zeros((num_envs, 6), np.float32))
        answer = env.recv(timeout_s=90.0)
        assert not answer.skipped
        assert not answer.invalid.any()
    finally:
        env.close()
