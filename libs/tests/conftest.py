"""Fixtures of the tests of runs and of the command line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

FAKE = Path(__file__).parent / "fake_learner"


@pytest.fixture
def fake_learner(monkeypatch):
    """Let runs have a learner that learns nothing."""
    monkeypatch.setenv("PYTHONPATH", str(FAKE), prepend=os.pathsep)
    # As in an activated environment, where commands are printed by their names.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


@pytest.fixture
def websim(tmp_path):
    """Return a function that runs the command to its end."""

    def run(*argv, timeout_s=60.0):
        return subprocess.run(
            [sys.executable, "-m", "websim.local", *argv],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=tmp_path,
            check=False,
        )

    return run
