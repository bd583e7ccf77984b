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


def run(fleet: LocalFleet, at_step: dict[int, Callable[[], None]]) -> list[np.ndarray]:
    """Every observation and reward of a run of 256 Hoppers that fall often."""
    env = make_vec("Hopper-v5", 256, seed=11, fleet=fleet.client_address)
    rng = np.random.default_rng(1)
    try:
        trace = [env.reset()[0]]
        for step in range(STEPS):
            if step in at_step:
                at_step[step]()
            action = rng.uniform(-1, 1, (256, 3)).astype(np.float32)
            obs, reward, terminated, truncated, info = env.step(action)
            trace += [obs, reward, terminated, truncated]
            if "final_info" in info:
                trace.append(info["final_info"]["episode"]["r"])
        return trace
    finally:
        env.close()


@pytest.fixture(scope="module")
def undisturbed() -> list[np.ndarray]:
    with LocalFleet(1) as fleet:
        return run(fleet, {})


def same(a: list[np.ndarray], b: list[np.ndarray]) -> bool:
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_episodes_end_in_the_undisturbed_run(undisturbed):
    assert len(undisturbed) > 1 + 4 * STEPS


def test_two_workers_give_the_bits_of_one(undisturbed):
    with LocalFleet(2) as fleet:
        assert same(run(fleet, {}), undisturbed)


def test_killing_workers_changes_no_bit_and_costs_less_than_three_seconds(undisturbed):
    with LocalFleet(2) as fleet:
        killed_s = []

        def kill() -> None:
            killed_s.append(time.monotonic())
            os.kill(fleet.worker_pids()[0], signal.SIGKILL)

        def look() -> None:
            # two steps after the kill, all shards have answered again
            assert time.monotonic() - killed_s[-1] < 3.0

        at_step = {30: kill, 32: look, 100: kill, 102: look}
        assert same(run(fleet, at_step), undisturbed)


def test_a_frozen_workers_shards_move_and_it_comes_back_harmless(undisturbed):
    with LocalFleet(2) as fleet:
        frozen = fleet.worker_pids()[1]
        at_step = {
            40: lambda: os.kill(frozen, signal.SIGSTOP),
            60: lambda: os.kill(frozen, signal.SIGCONT),
        }
        assert same(run(fleet, at_step), undisturbed)


def test_a_drained_worker_leaves_and_a_new_one_takes_over(undisturbed):
    with LocalFleet(2) as fleet:
        # the supervisor starts another in its place
        at_step = {50: lambda: os.kill(fleet.worker_pids()[0], signal.SIGTERM)}
        assert same(run(fleet, at_step), undisturbed)


def test_a_run_waits_for_the_only_worker_to_come_back(undisturbed):
    with LocalFleet(1) as fleet:
        at_step = {70: lambda: os.kill(fleet.worker_pids()[0], signal.SIGKILL)}
        assert same(run(fleet, at_step), undisturbed)
