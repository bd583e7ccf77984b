"""`websim train` whose learner is killed by its pid ends in the undisturbed run's weights."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

RUN = ["--task", "Hopper-v5", "--workers", "1", "--num-envs", "16", "--seed", "3"]
# Many small updates, and rollouts collected ahead: the case with the most to bring back.
SETTINGS = ["--set", "ppo.rollout_length=32", "--set", "ppo.overlap=true", "--set", "ppo.epochs=2"]
UPDATES, STEPS_PER_UPDATE = 40, 16 * 32
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


def learner_of(process):
    """Return the process id of the learner that a `websim train` has started."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                command = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == process.pid and b"websim_learner" in command:
                return int(entry.name)
    raise AssertionError("there is no learner")


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


def test_a_killed_learner_goes_on_and_ends_in_the_same_weights(tmp_path):
    alone, killed = tmp_path / "alone", tmp_path / "killed"
    with start_training(alone) as undisturbed, start_training(killed) as process:
        await_update(process, killed, 12)
        os.kill(learner_of(process), signal.SIGKILL)
        result, out = end_of(process, killed)
        expected, _ = end_of(undisturbed, alone)

    assert out.count("learner was ended by SIGKILL; starting it again") == 1
    journal = [json.loads(line) for line in (killed / "journal.jsonl").read_text().splitlines()]
    assert [entry["kind"] for entry in journal] == ["start", "resume"]
    # It goes on from a checkpoint on its way, not from the start.
    assert journal[1]["update"] in (10, 15, 20, 25)
    assert updates_of(killed) == list(range(1, UPDATES + 1)) == updates_of(alone)
    assert result["weights_sha256"] == expected["weights_sha256"]
    assert result["eval_return_mean"] == expected["eval_return_mean"]
