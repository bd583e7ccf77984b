"""Real processes of a run, killed at every named place, end in the weights of one left alone."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import websim_learner
from websim.service.errors import UserError
from websim_learner.checkpoint import (
    arrays_sha256,
    checkpoint_paths,
    newest_checkpoint,
    read_checkpoint,
)
from websim_learner.failpoints import FAILPOINTS, VARIABLE, arm
from websim_learner.run_dir import RunDir

HOST = Path(__file__).with_name("toy_host.py")
SOURCES = Path(websim_learner.__file__).parent

UPDATES = 6
"""At which the hosted run is told to stop."""


@pytest.fixture(scope="module")
def live():
    """Return a function that lets a run live in a process of its own; it returns the exit code."""
    command = [sys.executable, str(HOST)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as host:

        def live_once(directory, failpoint="", keep=3):
            order = {"directory": str(directory), "failpoint": failpoint, "keep": keep}
            print(json.dumps(order), file=host.stdin, flush=True)
            return int(host.stdout.readline())

        yield live_once
        host.stdin.close()


@pytest.fixture(scope="module")
def alone(live, tmp_path_factory):
    """Return the directory of the run that nobody kills; it keeps all its checkpoints."""
    directory = tmp_path_factory.mktemp("alone")
    assert live(directory, keep=100) == 0
    return directory


def result_of(directory):
    result = json.loads((directory / "result.json").read_text())
    return {k: v for k, v in result.items() if k not in ("wall_s", "steps_per_s")}


def updates_of(directory):
    if not (directory / "metrics.jsonl").exists():
        return []
    lines = (directory / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)["update"] for line in lines]


def check_newest(directory, alone):
    """What is found after a kill is whole, and the same as it was in the run that nobody kills."""
    found = newest_checkpoint(directory / "checkpoints", pytest.fail)
    done = max(updates_of(directory), default=0)
    if found is None:
        assert done == 0
        return
    assert done - 1 <= found.update <= done
    same = read_checkpoint(alone / "checkpoints" / found.name)
    assert arrays_sha256(found.arrays) == arrays_sha256(same.arrays)


def check_end(live, directory, alone):
    # A run that has its result is over, whatever it died of after that.
    if not RunDir(directory).finished:
        assert live(directory) == 0
    assert result_of(directory) == result_of(alone)
    assert updates_of(directory) == list(range(1, UPDATES + 1))
    names = sorted(os.listdir(directory / "checkpoints"))
    assert names == [path.name for path in reversed(checkpoint_paths(directory / "checkpoints"))]
    assert len(names) == 3
    kinds = [entry.kind for entry in RunDir(directory).journal()]
    assert kinds.count("set_reward") <= 1


@pytest.mark.parametrize("place", [*FAILPOINTS, "checkpoint.mid_write:35", "journal.after_write:3"])
def test_a_kill_at_any_place_costs_nothing_but_time(live, alone, tmp_path, place):
    assert live(tmp_path, place) == -signal.SIGKILL
    check_newest(tmp_path, alone)
    check_end(live, tmp_path, alone)


def test_a_run_survives_them_all_one_after_the_other(live, alone, tmp_path):
    for name in FAILPOINTS:
        assert live(tmp_path, name) == -signal.SIGKILL
        check_newest(tmp_path, alone)
    check_end(live, tmp_path, alone)


def test_the_list_names_every_place_there_is():
    source = "".join(path.read_text() for path in sorted(SOURCES.rglob("*.py")))
    assert sorted(re.findall(r'failpoint\("([a-z_.]+)"\)', source)) == sorted(FAILPOINTS)


def test_a_place_is_chosen_by_the_environment_and_counted():
    script = "from websim_learner.failpoints import failpoint\n" + (
        "failpoint('run.begun'); failpoint('run.restored'); print('alive', flush=True)\n"
        "failpoint('run.begun'); print('undead')\n"
    )
    end = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, VARIABLE: "run.begun:2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (end.returncode, end.stdout) == (-signal.SIGKILL, "alive\n")


@pytest.mark.parametrize("text", ["nowhere", "run.begun:x", "run.begun:-1"])
def test_a_place_that_is_not_there_is_refused(text):
    with pytest.raises(UserError, match="names no failpoint"):
        arm(text)
