"""`websim verify`: training under faults ends with the weights of training in peace."""

import json
import os
import signal
import statistics
import subprocess
import sys
import time

import pytest
from figures import note
from storm import SCALE

from websim.local.options import RunOptions
from websim.local.run import LEARNER, Run

LONG = SCALE > 1


@pytest.fixture(autouse=True)
def _brief_evaluations(monkeypatch):
    monkeypatch.setenv("WEBSIM_LEARNER_EVAL_EPISODES", "2")


def verify(directory, task, faults, total_steps, *more):
    """Run the command; return its exit code, what it said and what it wrote."""
    argv = [sys.executable, "-m", "websim.local", "verify", "--task", task, "--seed", "7"]
    argv += ["--faults", faults, "--total-steps", str(total_steps), "--run-dir", str(directory)]
    argv += ["--set", "ppo.epochs=1", "--set", "ppo.rollout_length=16", *more]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False)
    report = directory / "verify.json"
    return answer, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.parametrize("task", ["Hopper-v5", "Ant-v5"] if LONG else ["Hopper-v5"])
@pytest.mark.timeout(100 * SCALE if LONG else 200)
def test_training_survives_everything_with_the_same_weights(tmp_path, task):
    faults = "kill-worker=1,freeze-worker=1,kill-learner=1,kill-orchestrator,scale"
    total_steps, more = 15_360, ("--num-envs", "64", "--workers", "1")
    if LONG:
        faults = "kill-worker=20,freeze-worker=5,kill-learner=5,kill-orchestrator=3,scale"
        total_steps, more = 25_000 * SCALE, ("--num-envs", "256", "--workers", "2")
    answer, report = verify(tmp_path / "both", task, faults, total_steps, *more)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    done = report["disturbed"]["done"]
    assert report["equal"]
    assert report["disturbed"]["missed"] == 0
    assert {each["kind"] for each in done} >= {"kill-worker", "kill-learner", "kill-orchestrator"}
    assert "kill-learner: SIGKILL to process" in answer.stdout
    seconds = report["disturbed"]["seconds"] - report["undisturbed"]["seconds"]
    note(f"training {task} under faults", {"faults": len(done), "longer_by_s": round(seconds)})


def test_a_killed_learner_goes_on_soon(tmp_path, peace):
    rounds = 20 if LONG else 1
    options = RunOptions(
        task="Hopper-v5",
        num_envs=64,
        total_steps=10**9,
        run_dir=tmp_path / "run",
        settings={"ppo.epochs": 1, "ppo.rollout_length": 16},
        checkpoint_every_steps=64 * 16 * 4,
        fleet=peace.client_address,
    )
    times_s = []
    with Run(options) as run:
        run.wait_ready()
        for _ in range(rounds):
            reached = env_steps_beyond(run, env_steps_beyond(run, 0) + 5_000)
            pid = run._supervisor.pid(LEARNER)
            began_s = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            env_steps_beyond(run, reached)
            times_s.append(time.monotonic() - began_s)
    note(
        "recovery, learner SIGKILL",
        {
            "rounds": rounds,
            "median_s": round(statistics.median(times_s), 2),
            "worst_s": round(max(times_s), 2),
        },
    )
    assert max(times_s) < 60.0


def env_steps_beyond(run, env_steps, timeout_s=60.0):
    """Wait until a run has done more steps than these; return how many it has done."""
    give_up_s = time.monotonic() + timeout_s
    while (done := run.status().get("env_steps", 0)) <= env_steps:
        assert run.failure is None
        assert time.monotonic() < give_up_s, f"no more than {done} steps"
        time.sleep(0.02)
    return done
