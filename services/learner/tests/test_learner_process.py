"""The learner as a process, on a real fleet of one worker."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from websim.local.fleet import LocalFleet
from websim.service.main import EXIT_TERMINATED

TASK = ["--task", "InvertedPendulum-v5", "--num-envs", "16", "--seed", "1"]
LENGTH = 32
# Small updates, which are soon over.
SMALL = ["--set", f"ppo.rollout_length={LENGTH}", "--set", "ppo.epochs=2", "--set", "ppo.hidden=16"]
DEADLINE_S = 60.0


@pytest.fixture(scope="module")
def fleet():
    with LocalFleet(1) as running:
        yield running.client_address


@pytest.fixture
def start(tmp_path):
    """Return a function that starts `train`; what it starts is ended with the test."""
    started = []

    def start_learner(fleet, *argv):
        command = [sys.executable, "-m", "websim_learner", "train", "--fleet", fleet, *argv]
        with (tmp_path / "stderr").open("w") as stderr:
            started.append(subprocess.Popen(command, stderr=stderr, stdout=stderr))
        return started[-1]

    yield start_learner
    for learner in started:
        learner.kill()
        learner.wait()


def wait_for(condition):
    give_up_s = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < give_up_s, "nothing happened"
        time.sleep(0.05)
    return value


def get(url):
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
        return answer.read().decode()


def post(url, **body):
    request = urllib.request.Request(url, json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
        return json.load(answer)


def test_a_run_is_watched_commanded_ended_by_a_signal_and_goes_on(fleet, start, tmp_path):
    run_dir, ready = tmp_path / "run", tmp_path / "ready"
    where = ["--run-dir", str(run_dir), "--ready-file", str(ready)]
    learner = start(fleet, *TASK, *SMALL, *where, "--total-steps", "100000000")
    wait_for(lambda: ready.exists() or learner.poll() is not None)
    url = json.loads(ready.read_text())["http_url"]
    status = wait_for(lambda: (s := json.loads(get(f"{url}/v1/run")))["update"] >= 2 and s)
    assert (status["state"], status["num_envs"], status["run_id"]) == ("running", 16, "run")
    assert sum(status["time_split"].values()) == pytest.approx(1.0)
    assert get(f"{url}/healthz") == "ok\n"
    assert get(f"{url}/readyz") == "ready\n"
    assert "websim_learner_policy_loss" in get(f"{url}/metrics")
    answer = post(f"{url}/v1/run/commands", kind="checkpoint")
    assert (run_dir / "checkpoints" / answer["detail"] / "manifest.json").exists()
    events = json.loads(get(f"{url}/v1/events?after=0"))
    assert {"metrics", "state", "checkpoint", "command"} <= {event["kind"] for event in events}

    learner.send_signal(signal.SIGTERM)
    began_s = time.monotonic()
    assert learner.wait(DEADLINE_S) == 0
    assert time.monotonic() - began_s < 10.0  # a second or two on an idle machine
    assert not (run_dir / "result.json").exists()
    names = sorted(os.listdir(run_dir / "checkpoints"))
    assert all(name.startswith("update-") for name in names)

    updates = int(names[-1].removeprefix("update-"))
    steps = (updates + 3) * 16 * LENGTH
    learner = start(fleet, "--resume", str(run_dir), "--total-steps", str(steps))
    assert learner.wait(DEADLINE_S) == 0, (tmp_path / "stderr").read_text()
    result = json.loads((run_dir / "result.json").read_text())
    assert (result["task"], result["env_steps"]) == ("InvertedPendulum-v5", steps)
    rows = [
        json.loads(row)["update"] for row in (run_dir / "metrics.jsonl").read_text().splitlines()
    ]
    assert rows == list(range(1, updates + 4))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, EXIT_TERMINATED)]
)
def test_the_same_command_line_again_and_again_brings_a_run_to_its_end(
    fleet, start, tmp_path, number, code
):
    """As Docker's restart policy and Kubernetes' Jobs have it: only 0 is the end."""
    run_dir = tmp_path / "run"
    argv = [*TASK, "--run-dir", str(run_dir), "--total-steps", str(12 * 16 * 128)]
    argv += ["--checkpoint-every-steps", str(2 * 16 * 128), "--eval-episodes", "2"]
    argv += ["--resume-if-started"]
    learner = start(fleet, *argv)
    wait_for(lambda: (run_dir / "checkpoints" / "update-00000002").exists())
    learner.send_signal(number)
    assert learner.wait(DEADLINE_S) == code
    assert not (run_dir / "result.json").exists()
    assert start(fleet, *argv).wait(DEADLINE_S) == 0, (tmp_path / "stderr").read_text()
    result = (run_dir / "result.json").read_bytes()
    assert json.loads(result)["updates"] == 12
    journal = (run_dir / "journal.jsonl").read_text()
    assert journal.count("resume") == 1
    assert start(fleet, *argv).wait(DEADLINE_S) == 0
    assert (run_dir / "result.json").read_bytes() == result
    assert (run_dir / "journal.jsonl").read_text() == journal


@pytest.mark.timeout(240)
def test_envs_and_task_change_live_and_the_journal_brings_it_all_back(fleet, start, tmp_path):
    """A life that is killed, and one that has only configuration, seed and journal to go by."""
    run_dir, ready = tmp_path / "run", tmp_path / "ready"
    where = ["--run-dir", str(run_dir), "--ready-file", str(ready)]
    # Updates are small for the new task too: settings that were chosen stay.
    few = list(SMALL)
    # The learning rate falls over the total, which is not known yet: here it does not fall.
    few += ["--set", "ppo.learning_rate=2e-3", "--set", "ppo.final_learning_rate=2e-3"]
    few += ["--eval-episodes", "2", "--checkpoint-every-steps", str(5 * 16 * 32)]
    learner = start(fleet, *TASK, *where, *few, "--total-steps", "100000000")
    wait_for(lambda: ready.exists() or learner.poll() is not None)
    url = json.loads(ready.read_text())["http_url"]

    def command(**body):
        return post(f"{url}/v1/run/commands", **body)

    def status():
        return json.loads(get(f"{url}/v1/run"))

    def further(updates):
        target = status()["update"] + updates
        wait_for(lambda: status()["update"] >= target)

    further(2)
    assert command(kind="set_num_envs", num_envs=64)["detail"] == "64 environments"
    assert (status()["num_envs"], status()["task"]) == (64, "InvertedPendulum-v5")
    further(2)
    answer = command(kind="set_task", task="Hopper-v5")
    assert answer["detail"] == "Hopper-v5, a new policy"
    assert (status()["num_envs"], status()["task"]) == (64, "Hopper-v5")
    further(1)
    with pytest.raises(urllib.error.HTTPError) as refusal:
        command(kind="set_task", task="Hoper-v5")
    told = json.load(refusal.value)["detail"]
    assert (refusal.value.code, "Hoper-v5" in told, "\n" in told) == (422, True, False)
    command(kind="set_num_envs", num_envs=24)
    further(2)
    learner.kill()
    assert learner.wait(DEADLINE_S) == -signal.SIGKILL

    rows = [json.loads(row) for row in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys((row["task"], row["num_envs"]) for row in rows)) == [
        ("InvertedPendulum-v5", 16),
        ("InvertedPendulum-v5", 64),
        ("Hopper-v5", 64),
        ("Hopper-v5", 24),
    ]
    steps = str(rows[-1]["env_steps"] + 1)
    replay = tmp_path / "replay"
    replay.mkdir()
    for name in ("config.json", "journal.jsonl"):
        shutil.copy(run_dir / name, replay / name)
    results = []
    for directory in (run_dir, replay):
        learner = start(fleet, "--resume", str(directory), "--total-steps", steps)
        assert learner.wait(DEADLINE_S) == 0, (tmp_path / "stderr").read_text()
        results.append(json.loads((directory / "result.json").read_text()))
    assert results[0]["weights_sha256"] == results[1]["weights_sha256"]
    assert results[0]["eval_return_mean"] == results[1]["eval_return_mean"]
    assert (results[0]["task"], results[0]["num_envs"]) == ("Hopper-v5", 24)
    [kept] = (run_dir / "checkpoints").glob("kept-*")
    assert kept.name == f"kept-{answer['update']:08d}"


def test_a_run_goes_at_the_speed_it_is_told(fleet, start, tmp_path):
    ready = tmp_path / "ready"
    where = ["--run-dir", str(tmp_path / "run"), "--ready-file", str(ready)]
    short = ["--set", "ppo.rollout_length=8", "--eval-every-steps", "0"]
    learner = start(fleet, *TASK, *where, *short, "--total-steps", "100000000")
    wait_for(lambda: ready.exists() or learner.poll() is not None)
    url = json.loads(ready.read_text())["http_url"]

    def status():
        return json.loads(get(f"{url}/v1/run"))

    def at_its_speed(speed):
        answer = post(f"{url}/v1/run/commands", kind="set_speed", speed=speed)
        assert answer["detail"] == f"{speed:g} times real time"
        updates = status()["update"] + 12
        wait_for(lambda: status()["update"] >= updates)
        return status()["real_time_factor"]

    assert at_its_speed(1.0) == pytest.approx(1.0, rel=0.1)
    assert at_its_speed(0.5) == pytest.approx(0.5, rel=0.1)
    post(f"{url}/v1/run/commands", kind="set_speed", speed=None)
    assert status()["speed"] is None
    wait_for(lambda: status()["real_time_factor"] > 2.0)
    assert "set_speed" not in (tmp_path / "run" / "journal.jsonl").read_text()


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--task", "Nonsense-v9"], "Nonsense-v9"),
        (["--set", "ppo.speed=1"], "ppo has no setting speed"),
        (["--http-port", "{taken}"], "--http-port"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(fleet, start, tmp_path, argv, reason):
    run_dir = tmp_path / "run"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        argv = [text.format(taken=port) for text in argv]
        learner = start(fleet, *TASK, "--run-dir", str(run_dir), *argv)
        assert learner.wait(DEADLINE_S) == 2
    errors = (tmp_path / "stderr").read_text()
    lines = [line for line in errors.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert reason in lines[0]
    assert "Traceback" not in errors
    assert not (run_dir / "config.json").exists()


def test_a_fleet_that_is_not_there_is_one_line(start, tmp_path):
    learner = start("tcp://127.0.0.1:9", *TASK, "--run-dir", str(tmp_path / "run"))
    assert learner.wait(DEADLINE_S) == 2
    errors = (tmp_path / "stderr").read_text()
    assert "tcp://127.0.0.1:9" in errors.splitlines()[-1]
    assert "Traceback" not in errors
