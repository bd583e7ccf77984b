"""Runs, on a real fleet with a learner that learns nothing."""

import json
import socket
import time
from pathlib import Path

import pytest
from local_run_samples import eventually, make_options

from websim.local.keys import make_key_set
from websim.local.options import RunOptions
from websim.local.ports import FleetPorts
from websim.local.run import Run, newest_update
from websim.local.supervisor import ChildFailedError
from websim.local.train import train
from websim.service.errors import UserError

pytestmark = pytest.mark.usefixtures("fake_learner")


def test_a_notebook_iterates_metrics_and_gets_the_result(tmp_path):
    with train("Known-v0", workers=1, run_dir=tmp_path / "run", total_steps=5000) as run:
        updates = [record["update"] for record in run]

        assert updates == [1, 2, 3, 4, 5]
        assert run.result(timeout_s=10.0)["env_steps"] == 5000
        assert run.finished


def test_a_run_pauses_goes_on_and_stops(tmp_path):
    with train("Known-v0", workers=1, run_dir=tmp_path / "run") as run:
        run.pause()
        paused = run.status()
        assert paused["state"] == "paused"
        time.sleep(0.3)
        assert run.status()["env_steps"] == paused["env_steps"]
        with pytest.raises(TimeoutError):
            run.result(timeout_s=0.1)
        run.resume()
        eventually(lambda: run.status()["env_steps"] > paused["env_steps"])
        run.stop()
        assert run.result(timeout_s=10.0)["task"] == "Known-v0"
        with pytest.raises(UserError, match="cannot pause"):
            run.pause()
    assert run.status() == {"state": "ended"}


def test_a_learner_that_refuses_leaves_no_trace(tmp_path):
    with pytest.raises(ChildFailedError, match=r"^there is no task Unknown-v0\. Did you mean"):
        train("Unknown-v0", workers=1, run_dir=tmp_path / "run")

    assert list(tmp_path.iterdir()) == []


def test_a_learner_that_crashes_again_and_again_says_why_and_where(tmp_path, monkeypatch):
    monkeypatch.setattr("websim.local.child.CRASH_LIMIT", 2)
    with train("Crash-v0", workers=1, run_dir=tmp_path / "run") as run:
        with pytest.raises(ChildFailedError, match="ValueError: the weights are gone") as caught:
            list(run)
        assert str(tmp_path / "run" / "logs" / "learner.stderr") in str(caught.value)
        assert caught.value.exit_code == 1


def test_a_learner_that_dies_goes_on(tmp_path):
    lines = []
    make_key_set(tmp_path / "keys")
    options = make_options(tmp_path, task="Killed-v0", keys=tmp_path / "keys")
    run = Run(options, notify=lines.append)
    try:
        run.wait_ready()
        eventually(lambda: run.status().get("task") == "Resumed-v0")
        argv = json.loads((tmp_path / "run" / "config.json").read_text())["argv"]
        assert argv[argv.index("--resume") + 1] == str(tmp_path / "run")
        assert argv[argv.index("--keys") + 1] == str(tmp_path / "keys")
        assert any("learner was ended by SIGKILL" in line for line in lines)
    finally:
        run.close()


def test_a_run_stays_where_it_began_whatever_directory_its_user_goes_to(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    run = Run(RunOptions(task="Killed-v0", workers=1, run_dir=Path("run")))
    try:
        monkeypatch.chdir(tmp_path / "elsewhere")
        eventually(lambda: run.status().get("task") == "Resumed-v0")
        argv = json.loads((tmp_path / "run" / "config.json").read_text())["argv"]
        assert argv[argv.index("--resume") + 1] == str(tmp_path / "run")
        assert run.directory == tmp_path / "run"
    finally:
        run.close()
    assert not list((tmp_path / "elsewhere").iterdir())


def test_the_records_of_a_run_end_when_its_fleet_cannot_go_on(tmp_path):
    with train("Known-v0", workers=1, run_dir=tmp_path / "run") as run:
        supervisor = run.fleet.supervisor
        with supervisor._lock:
            supervisor._children["orchestrator"].give_up("the orchestrator is no more")
        with pytest.raises(ChildFailedError, match="the orchestrator is no more"):
            list(run)


def test_a_learner_that_dies_before_there_is_a_run_starts_it_again(tmp_path):
    options = make_options(tmp_path, task="Stillborn-v0")
    run = Run(options)
    try:
        eventually(lambda: run.status().get("task") == "Stillborn-v0")
        argv = json.loads((tmp_path / "run" / "config.json").read_text())["argv"]
        assert "--resume-if-started" in argv
    finally:
        run.close()


def test_progress_is_the_newest_checkpoint(tmp_path):
    assert newest_update(tmp_path) == -1
    for name in ("update-00000009", "update-00000120", ".writing-update-00000130", "update-x"):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    assert newest_update(tmp_path) == 120


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"num_envs": 0}, "--num-envs 0 must be at least 1"),
        ({"total_steps": -1}, "--total-steps -1 must be at least 1"),
        ({"workers": 0}, "0 workers"),
        ({"workers": 1, "fleet": "tcp://127.0.0.1:5556"}, "--workers is for a private fleet"),
        ({"resume": Path("nowhere")}, "nowhere is not a run directory"),
        ({"reward": Path("nowhere.py")}, "there is no reward file nowhere.py"),
        ({"run_dir": Path("/proc/run")}, "cannot write to /proc/run"),
        ({"difficulty": 1.5}, "--difficulty 1.5 is not from 0 to 1"),
        ({"difficulty": -0.1}, "--difficulty -0.1 is not from 0 to 1"),
        ({"difficulty": float("nan")}, "--difficulty nan is not from 0 to 1"),
        ({"knobs": {"mass": "heavy"}}, "mass=heavy is no range of a knob"),
        ({"knobs": {"mass": (1.0, 2.0, 3.0)}}, "mass=1.0,2.0,3.0 is no range of a knob"),
        ({"knobs": {"mass": (2.0, 1.0)}}, "mass=2.0,1.0 has its low end above its high one"),
        ({"knobs": {"mass": 1.0}, "difficulty": 0.5}, "by name or by --difficulty, not both"),
    ],
)
def test_options_that_cannot_work_are_refused_at_once(tmp_path, options, text):
    with pytest.raises(UserError, match=text):
        Run(make_options(tmp_path, **options))
    assert not (tmp_path / "run").exists()


def test_a_taken_port_leaves_no_trace(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports = FleetPorts(clients=other.getsockname()[1])
        with pytest.raises(UserError, match="is not free"):
            Run(make_options(tmp_path), ports=ports)

    assert not (tmp_path / "run").exists()


def test_an_unknown_option_of_train_is_named():
    with pytest.raises(UserError, match="no option num_env"):
        train("Known-v0", num_env=3)


def test_what_contradicts_a_run_that_goes_on_reaches_the_learner_which_refuses_it(tmp_path):
    asked = {"task": "Hopper-v5", "algo": "sac", "seed": 0, "goal": "stand", "adapt": "off"}
    asked |= {"target": 5.0, "adapt_every_steps": 200_000}
    asked |= {"difficulty": 0.5, "knobs": {"gravity": (0.7, 1.3), "mass": 1.2}}
    options = RunOptions(resume=tmp_path, next_tasks=["Ant-v5"], **asked)
    argv = options.learner_arguments(tmp_path, "tcp://127.0.0.1:5556")
    for text in ("--task Hopper-v5", "--algo sac", "--seed 0", "--next-task Ant-v5"):
        assert text in " ".join(argv)
    assert {"--goal=stand", "--adapt=off", "--target=5.0"} < set(argv)
    assert "--adapt-every-steps=200000" in argv
    assert {"--difficulty=0.5", "--knobs=gravity=0.7,1.3", "--knobs=mass=1.2"} < set(argv)

    quiet = RunOptions(resume=tmp_path).learner_arguments(tmp_path, "tcp://127.0.0.1:5556")
    assert quiet[1:] == [
        *("--fleet", "tcp://127.0.0.1:5556"),
        *("--run-dir", str(tmp_path), "--resume", str(tmp_path)),
    ]


def test_the_learner_is_told_of_one_directory_however_a_person_names_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    argv = RunOptions(resume=Path("run")).learner_arguments(tmp_path / "run", "tcp://127.0.0.1:1")
    assert argv[argv.index("--run-dir") + 1] == argv[argv.index("--resume") + 1]


def test_a_run_goes_on_in_its_own_directory_only(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    RunOptions(resume=tmp_path, run_dir=tmp_path).check()
    with pytest.raises(UserError, match="--run-dir and --resume name two directories"):
        RunOptions(resume=tmp_path, run_dir=tmp_path / "elsewhere").check()


def test_runs_are_named_by_what_they_are():
    name = RunOptions(task="Hopper-v5", seed=3).directory()
    assert name.parent == Path("runs")
    assert name.name.startswith("Hopper-v5-ppo-s3-2")
    assert RunOptions(task="my/walker/task.yaml").directory().name.startswith("walker-ppo-s0-")
