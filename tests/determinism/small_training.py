"""A `websim train` that the tests repeat: on other fleets, or hurt on its way."""

import json
import os
import subprocess
import sys

LONG = int(os.environ.get("WEBSIM_CHAOS_SCALE", "1")) > 1

TASK = "Hopper-v5"
# Three shards, so that three workers have work. Many small updates, and rollouts collected ahead:
# the case with the most to bring back.
NUM_ENVS, ROLLOUT_LENGTH, UPDATES = 96, 4, 28
STEPS_PER_UPDATE = NUM_ENVS * ROLLOUT_LENGTH
RUN = ["--num-envs", str(NUM_ENVS), "--seed", "3"]
RUN += ["--total-steps", str(UPDATES * STEPS_PER_UPDATE)]
RUN += ["--set", f"ppo.rollout_length={ROLLOUT_LENGTH}", "--set", "ppo.overlap=true"]
RUN += ["--set", "ppo.epochs=2"]
DEADLINE_S = 90.0


def start_training(run_dir, task=TASK, workers=1, threads=1):
    argv = [*RUN, "--task", task, "--workers", str(workers), "--run-dir", str(run_dir)]
    return subprocess.Popen(
        [sys.executable, "-m", "websim.local", "train", *argv],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "WEBSIM_SIM_WORKER_NTHREAD": str(threads),
            "WEBSIM_LEARNER_CHECKPOINT_EVERY_STEPS": str(5 * STEPS_PER_UPDATE),
            "WEBSIM_LEARNER_EVAL_EPISODES": "4",
        },
    )


def end_of(process, run_dir):
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, out
    return json.loads((run_dir / "result.json").read_text()), out


def updates_of(run_dir):
    path = run_dir / "metrics.jsonl"
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line)["update"] for line in lines]
