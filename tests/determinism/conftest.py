"""Lets the tests import what lies beside them, and share a training that nobody disturbs."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from small_training import UPDATES, end_of, start_training, updates_of


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """The result of a training on one worker with one thread, left in peace."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    with start_training(run_dir) as process:
        result, _ = end_of(process, run_dir)
    assert updates_of(run_dir) == list(range(1, UPDATES + 1))
    return result
