"""The weights of a training are a function of its configuration and seed, not of the fleet."""

import pytest
from small_training import LONG, TASK, end_of, start_training

FLEETS = [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2), (3, 2)]
"""Numbers of workers and of threads of each. The short version compares those that differ most."""


@pytest.mark.parametrize("task", [TASK, "Ant-v5"] if LONG else [TASK])
@pytest.mark.timeout(900 if LONG else 200)
def test_workers_and_threads_leave_no_trace_in_the_weights(tmp_path, alone, task):
    digests = {alone["weights_sha256"]} if task == TASK else set()
    for workers, threads in FLEETS if LONG else FLEETS[-1:]:
        run_dir = tmp_path / f"{workers}x{threads}"
        with start_training(run_dir, task, workers, threads) as process:
            result, _ = end_of(process, run_dir)
        digests.add(result["weights_sha256"])
    assert len(digests) == 1
