"""`websim verify`: training under faults ends with the weights of training in peace."""

import json
import subprocess
import sys

import pytest
from figures import note
from storm import SCALE

LONG = SCALE > 1


def verify(directory, task, faults, total_steps, *more):
    """Run the command; return its exit code, what it said and what it wrote."""
    argv = [sys.executable, "-m", "websim.local", "verify", "--task", task, "--seed", "7"]
    argv += ["--faults", faults, "--total-steps", str(total_steps), "--run-dir", str(directory)]
    argv += ["--set", "ppo.epochs=1", *more]
    answer = subprocess.run(argv, capture_output=True, text=True, check=False)
    report = directory / "verify.json"
    return answer, json.loads(report.read_text()) if report.exists() else {}


@pytest.mark.parametrize("task", ["Hopper-v5", "Ant-v5"] if LONG else ["Hopper-v5"])
def test_training_survives_everything_with_the_same_weights(tmp_path, task):
    faults = "kill-worker,freeze-worker=1,kill-learner=1,kill-orchestrator,scale"
    total_steps, more = 60_000, ("--num-envs", "128", "--workers", "2")
    if LONG:
        faults = "kill-worker=20,freeze-worker=5,kill-learner=5,kill-orchestrator=3,scale"
        total_steps, more = 3_000_000, ("--num-envs", "256", "--workers", "2")
    answer, report = verify(tmp_path / "both", task, faults, total_steps, *more)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    done = report["disturbed"]["done"]
    assert report["equal"]
    assert report["disturbed"]["missed"] == 0
    assert {each["kind"] for each in done} >= {"kill-worker", "kill-learner", "kill-orchestrator"}
    assert "kill-learner: SIGKILL to process" in answer.stdout
    seconds = report["disturbed"]["seconds"] - report["undisturbed"]["seconds"]
    note(f"training {task} under faults", {"faults": len(done), "longer_by_s": round(seconds)})
