"""What the tests of runs and of the command line share."""

import os
import subprocess
import sys
import time
from pathlib import Path

from websim.local.options import RunOptions


def start_websim(cwd, *argv):
    return subprocess.Popen(
        [sys.executable, "-m", "websim.local", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        start_new_session=True,
    )


def processes_in(directory):
    """Return the ids of the processes, other than this one, whose working directory this is."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if (entry / "cwd").readlink() == directory:
                    found.append(int(entry.name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found


def eventually(condition, timeout_s=20.0):
    give_up_s = time.monotonic() + timeout_s
    while time.monotonic() < give_up_s:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError("it never happened")


def make_options(tmp_path, **overrides):
    return RunOptions(**{"workers": 1, "run_dir": tmp_path / "run", **overrides})
