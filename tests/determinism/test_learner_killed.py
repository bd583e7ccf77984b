"""`websim train` whose processes are killed by their pids ends in the undisturbed run's weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

RUN = ["--task", "Hopper-v5", "--workers", "1", "--num-envs", "16", "--seed", "3"]
# Many small updates, and rollouts collected ahead: the case with the most to bring back.
SETTINGS = ["--set", "ppo.rollout_length=32", "--set", "ppo.overlap=true", "--set", "ppo.epochs=2"]
UPDATES, STEPS_PER_UPDATE = 28, 16 * 32
DEADLINE_S = 90.0


def start_training(run_dir):
    total = ["--total-steps", str(UPDATES * STEPS_PER_UPDATE)]
    argv = [*RUN, *SETTINGS, *total, "--run-dir", str(run_dir)]
    return subprocess.Popen(
        [sys.executable, "-m", "websim.local", "train", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "WEBSIM_LEARNER_CHECKPOINT_EVERY_STEPS": str(5 * STEPS_PER_UPDATE),
            "WEBSIM_LEARNER_EVAL_EPISODES": "4",
        },
    )


def end_of(process, run_dir):
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, out
    return json.loads((run_dir / "result.json").read_text()), out


def kill(process, *packages):
    """Kill those processes of a `websim train` that run these packages, all at once."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == process.pid:
                found |= {p: int(entry.name) for p in packages if p.encode() in command}
    assert set(found) == set(packages)
    for pid in found.values():
        os.kill(pid, signal.SIGKILL)


def updates_of(run_dir):
    path = run_dir / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line)["update"] for line in lines]


def await_update(process, run_dir, update):
    give_up_s = time.monotonic() + DEADLINE_S
    while max(updates_of(run_dir), default=0) < update:
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < give_up_s
        time.sleep(0.01)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    with start_training(run_dir) as process:
        result, _ = end_of(process, run_dir)
    assert updates_of(run_dir) == list(range(1, UPDATES + 1))
    return result


@pytest.mark.parametrize(
    "packages",
    [("websim_learner",), ("websim_orchestrator", "websim_sim_worker")],
    ids=["the learner", "orchestrator and worker, with all the envs"],
)
def test_who_is_killed_leaves_no_trace_in_the_weights(tmp_path, alone, packages):
    run_dir = tmp_path / "run"
    with start_training(run_dir) as process:
        await_update(process, run_dir, 12)
        kill(process, *packages)
        result, out = end_of(process, run_dir)

    assert out.count("was ended by SIGKILL; starting it again") == len(packages)
    journal = [json.loads(line) for line in (run_dir / "journal.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in journal] == ["start", "resume"]
    # It goes on from a checkpoint on its way, not from the start.
    assert journal[1]["update"] in (10, 15, 20, 25)
    assert updates_of(run_dir) == list(range(1, UPDATES + 1))
    assert result["weights_sha256"] == alone["weights_sha256"]
    assert result["eval_return_mean"] == alone["eval_return_mean"]
