"""The weights of a training are a function of its configuration and seed, not of the fleet."""

import os

import pytest

from websim.local.options import RunOptions
from websim.local.run import Run

LONG = int(os.environ.get("WEBSIM_CHAOS_SCALE", "1")) > 1

FLEETS = [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2)]
"""Numbers of workers and of threads of each. The short version compares those that differ most."""

SHORT = [(1, 1), (3, 2)]


def weights(directory, task, workers, threads, monkeypatch):
    """Train a few updates; return the digest of weights and normalisers."""
    monkeypatch.setenv("WEBSIM_SIM_WORKER_NTHREAD", str(threads))
    monkeypatch.setenv("WEBSIM_LEARNER_EVAL_EPISODES", "2")
    options = RunOptions(
        task=task,
        num_envs=128,
        seed=5,
        total_steps=128 * 16 * 6,
        run_dir=directory / f"{workers}x{threads}",
        settings={"ppo.rollout_length": 16, "ppo.epochs": 2},
        workers=workers,
    )
    with Run(options) as run:
        result = run.result(timeout_s=90.0)
    assert result["env_steps"] == options.total_steps
    return result["weights_sha256"]


@pytest.mark.parametrize("task", ["Hopper-v5", "Ant-v5"] if LONG else ["Hopper-v5"])
@pytest.mark.timeout(600 if LONG else 100)
def test_workers_and_threads_leave_no_trace_in_the_weights(tmp_path, monkeypatch, task):
    digests = {
        weights(tmp_path, task, *fleet, monkeypatch) for fleet in (FLEETS if LONG else SHORT)
    }
    assert len(digests) == 1
