"""`websim train --goal`: from a sentence to a measure and checked candidates; the key stays put."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

CANARY = "sk-ant-canary-of-a-test"


def environments_of_children(parent):
    """Return what each running module of a process's children has in its environment.

    A child that has not begun its own program yet is a copy of the parent, and left out.
    """
    found = {}
    own = (Path("/proc") / str(parent) / "cmdline").read_bytes()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) != parent:
                continue
            if (line := (entry / "cmdline").read_bytes()) == own:
                continue
            command = line.split(b"\0")
            environment = (entry / "environ").read_bytes()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if b"-m" in command:
            found[command[command.index(b"-m") + 1].decode()] = environment
    return found


def test_a_goal_in_words_is_measured_and_the_key_reaches_reward_gen_alone(tmp_path):
    run_dir = tmp_path / "run"
    argv = [sys.executable, "-m", "websim.local", "train", "--task", "HalfCheetah-v5"]
    argv += ["--goal", "run backwards", "--num-envs", "32", "--workers", "1"]
    argv += ["--set", "ppo.epochs=1"]
    argv += ["--total-steps", "40000", "--run-dir", str(run_dir)]
    seen: dict[str, bytes] = {}
    environment = {**os.environ, "ANTHROPIC_API_KEY": CANARY}
    # An address that refuses: Claude fails at once, and the library stands in.
    environment |= {"WEBSIM_REWARD_GEN_BASE_URL": "http://127.0.0.1:9"}
    environment |= {"WEBSIM_REWARD_GEN_PROVIDER": "library", "WEBSIM_LEARNER_EVAL_EPISODES": "4"}
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:

        def watch():
            while process.poll() is None:
                present = environments_of_children(process.pid)
                seen.update({name: value for name, value in present.items() if value})
                time.sleep(0.05)

        watcher = threading.Thread(target=watch)
        watcher.start()
        out, _ = process.communicate(timeout=90)
        watcher.join()
    assert process.returncode == 0, out

    rows = [json.loads(line) for line in (run_dir / "adaptations.jsonl").read_text().splitlines()]
    goal = next(row for row in rows if row["kind"] == "goal")["values"]
    assert goal["description"] == "run backwards"
    assert goal["kind"] == "program"
    assert "x_velocity" in goal["program"]
    answer = next(row for row in rows if row["kind"] == "answer")["values"]
    assert answer["candidates"]
    verdicts = [row["values"] for row in rows if row["kind"] == "verdict"]
    assert any(verdict["accepted"] for verdict in verdicts)

    holders = {name for name, value in seen.items() if CANARY.encode() in value}
    assert {"websim_orchestrator", "websim_sim_worker", "websim_learner"} <= set(seen)
    # reward-gen takes the key out of its own environment at the start; nobody else ever had it.
    assert holders <= {"websim_reward_gen"}
    for path in run_dir.rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path

    table = subprocess.run(
        [sys.executable, "-m", "websim.local", "adaptations", str(run_dir)],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "goal         run backwards" in table
    replay = subprocess.run(
        [sys.executable, "-m", "websim.local", "replay-decisions", str(run_dir)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert replay.returncode == 0, replay.stdout + replay.stderr
