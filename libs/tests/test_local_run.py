"""Runs and the command line, on a real fleet with a learner that learns nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from websim.local import cli
from websim.local.handover import check_rewards
from websim.local.keys import make_key_set
from websim.local.options import RunOptions
from websim.local.ports import FleetPorts
from websim.local.run import Run, newest_update
from websim.local.supervisor import ChildFailedError
from websim.local.train import train
from websim.local.unbegun import forget_unbegun, hold, is_free
from websim.service.errors import UserError

FAKE = Path(__file__).parent / "fake_learner"


@pytest.fixture(autouse=True)
def fake_learner(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(FAKE), prepend=os.pathsep)
    # As in an activated environment, where commands are printed by their names.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


@pytest.fixture
def websim(tmp_path):
    """Return a function that runs the command to its end."""

    def run(*argv, timeout_s=60.0):
        return subprocess.run(
            [sys.executable, "-m", "websim.local", *argv],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            cwd=tmp_path,
            check=False,
        )

    return run


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


def test_of_a_run_that_crashed_before_it_began_what_it_said_is_left(tmp_path):
    with pytest.raises(ChildFailedError, match="ValueError: no weights") as caught:
        train("Broken-v0", workers=1, run_dir=tmp_path / "run")

    assert [path.name for path in (tmp_path / "run").iterdir()] == ["logs"]
    assert str(tmp_path / "run" / "logs" / "learner.stderr") in str(caught.value)


def test_the_directory_of_a_run_that_crashed_before_it_began_is_taken_again(tmp_path):
    with pytest.raises(ChildFailedError, match="no weights"):
        train("Broken-v0", workers=1, run_dir=tmp_path / "run")

    with train("Known-v0", workers=1, run_dir=tmp_path / "run", total_steps=1000) as run:
        assert run.result(timeout_s=10.0)["env_steps"] == 1000
    assert "no weights" in (tmp_path / "run" / "logs" / "learner.stderr").read_text()


UNBEGUN = (
    "logs/learner.stderr",
    "logs/learner.jsonl",
    "logs/learner.jsonl.1",
    "logs/orchestrator.stderr",
    "logs/sim-worker-12.jsonl",
    "dashboard/history.sqlite",
    "dashboard/history.sqlite-wal",
    "reward-gen/ledger.jsonl",
    ".config.json.4711.tmp",
)


def make_files(directory, *names):
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(name)


def files_in(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def test_what_all_services_wrote_goes_with_a_run_that_never_began(tmp_path):
    make_files(tmp_path / "run", *UNBEGUN)
    (tmp_path / "run" / "checkpoints").mkdir()
    assert is_free(tmp_path / "run")

    forget_unbegun(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "mine",
    [
        "notes.txt",
        "logs/app.log",
        "logs/learner.stderr.old",
        "logs/old/learner.stderr",
        "dashboard/page.ts",
        "checkpoints/update-00000001/weights",
        "metrics.jsonl",
    ],
)
def test_what_is_a_persons_is_not_taken_and_not_removed(tmp_path, mine):
    make_files(tmp_path / "run", *UNBEGUN, mine)
    assert not is_free(tmp_path / "run")

    forget_unbegun(tmp_path / "run")
    assert files_in(tmp_path / "run") == {mine}


def test_books_and_history_of_services_started_by_hand_are_not_an_unbegun_runs(tmp_path):
    make_files(tmp_path, "runs/reward-gen/ledger.jsonl", "runs/dashboard/history.sqlite")

    with pytest.raises(UserError, match="runs is not empty"):
        RunOptions(run_dir=tmp_path / "runs").check()


def test_a_link_to_a_persons_directory_is_not_an_unbegun_runs(tmp_path):
    make_files(tmp_path / "elsewhere", "learner.stderr")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "logs").symlink_to(tmp_path / "elsewhere")
    assert not is_free(tmp_path / "run")

    forget_unbegun(tmp_path / "run")
    assert files_in(tmp_path / "elsewhere") == {"learner.stderr"}


def test_a_run_that_has_begun_is_not_forgotten(tmp_path):
    make_files(tmp_path, "config.json", *UNBEGUN)
    assert not is_free(tmp_path)

    forget_unbegun(tmp_path)
    assert files_in(tmp_path) == {"config.json", *UNBEGUN}


def test_two_runs_do_not_begin_in_the_same_directory(tmp_path):
    make_files(tmp_path / "run", "logs/learner.stderr")
    held = hold(tmp_path / "run", tmp_path / "run" / "logs")
    try:
        with pytest.raises(UserError, match="another run is about to begin in"):
            Run(make_options(tmp_path))
        assert files_in(tmp_path / "run") == {"logs/learner.stderr"}
    finally:
        os.close(held)


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
        ({"knobs": {"mass": (2.0, 1.0)}}, "mass=2.0,1.0 is no range of a knob"),
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


def test_a_run_directory_is_not_overwritten(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")

    with pytest.raises(UserError, match=r"already holds a run.*--resume"):
        Run(make_options(tmp_path))


def test_a_directory_of_something_else_is_no_run_directory_and_loses_nothing(websim, tmp_path):
    mine = [tmp_path / "project" / name for name in ("logs/mine.txt", "dashboard/page.ts")]
    for path in mine:
        path.parent.mkdir(parents=True)
        path.write_text("mine")
    options = ["--task", "Unknown-v0", "--workers", "1", "--run-dir"]

    answer = websim("train", *options, "project")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: --run-dir project is not empty")
    assert [path.read_text() for path in mine] == ["mine", "mine"]

    answer = websim("train", *options, "project/logs/mine.txt")
    assert answer.stderr.startswith("error: cannot read project/logs/mine.txt: Not a directory")


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


def test_the_command_trains_and_prints_the_result(websim, tmp_path):
    options = ["--workers", "1", "--run-dir", "run", "--num-envs", "64", "--set", "ppo.epochs=3"]
    answer = websim("train", "--task", "Known-v0", "--total-steps", "3000", *options)

    assert answer.returncode == 0, answer.stderr
    assert "training Known-v0 with ppo, seed 0" in answer.stdout
    assert "1 sim worker\n" in answer.stdout
    assert "12,346/s" in answer.stdout
    assert answer.stdout.splitlines()[-2:] == [
        "Known-v0 ppo seed 0: 3,000 steps at 12,346/s, evaluation return 5,812.3 ± 45.6",
        "  next: websim eval run (or export, or record)",
    ]
    argv = json.loads((tmp_path / "run" / "config.json").read_text())["argv"]
    assert argv[argv.index("--num-envs") + 1] == "64"
    assert argv[argv.index("--set") + 1] == "ppo.epochs=3"


@pytest.mark.parametrize("command", ["train", "up"])
@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--difficulty", "3"], "--difficulty 3 is not from 0 to 1"),
        (["--difficulty", "nan"], "--difficulty nan is not from 0 to 1"),
        (["--knobs", "gravity"], "gravity is no range of a knob. Write NAME=LOW,HIGH"),
        (["--knobs", "gravity=1.3,0.7"], "gravity=1.3,0.7 is no range of a knob"),
        (["--knobs", "mass=1", "--knobs", "mass=2"], "the knob mass is named twice"),
        (["--knobs", "mass=1", "--difficulty", "1"], "not both at once"),
    ],
)
def test_physics_that_cannot_be_are_refused_before_anything_is_started(
    tmp_path, monkeypatch, command, argv, says
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=says):
        cli.run([command, "--free-ports", *argv] if command == "up" else [command, *argv])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "drive"), [("train", "drive_train"), ("up", "drive_up")])
def test_commands_begin_runs_with_turned_physics(tmp_path, monkeypatch, command, drive):
    asked = []
    monkeypatch.setattr(f"websim.local.drive.{drive}", lambda *args, **_: asked.append(args[0]))
    cli.run([command, "--knobs", "gravity=0.7,1.3", "--knobs", "mass=1.2"])
    cli.run([command, "--difficulty", "0.5"])
    by_name, by_difficulty = (options.learner_arguments(tmp_path, "") for options in asked)
    assert {"--knobs=gravity=0.7,1.3", "--knobs=mass=1.2,1.2"} < set(by_name)
    assert "--difficulty=0.5" in by_difficulty


def test_what_waits_for_a_yes_names_the_command_that_says_it(websim):
    answer = websim("train", "--task", "Asks-v0", "--total-steps", "30000", "--workers", "1")

    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    [url] = [line.split()[1].removesuffix("/v1/run") for line in lines if "  learner " in line]
    at = lines.index("adaptation: waits for a yes: bold")
    assert lines[at + 1] == f"  yes: websim approve 2 --learner {url}"
    assert lines[at + 2] == f"  no:  websim reject 2 --learner {url}"


def test_the_command_says_in_one_line_what_a_learner_refuses(websim, tmp_path):
    answer = websim("train", "--task", "Unknown-v0", "--workers", "1")

    assert answer.returncode == 2
    assert answer.stderr == "error: there is no task Unknown-v0. Did you mean Known-v0?\n"
    assert "there is no task" not in answer.stdout
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "after_s"), [(signal.SIGINT, 0.0), (signal.SIGINT, 0.5), (signal.SIGTERM, 1.0)]
)
def test_no_process_is_left_when_it_is_interrupted_while_it_starts(tmp_path, number, after_s):
    process = start_websim(tmp_path, "train", "--task", "Known-v0", "--workers", "1")
    with process:
        process.stdout.readline()
        time.sleep(after_s)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert processes_in(tmp_path) == []
    assert "Traceback" not in out + err


def test_who_stops_before_training_begins_is_told_that_nothing_is_left(tmp_path):
    argv = ["train", "--task", "Known-v0", "--workers", "1", "--run-dir", "run"]
    with start_websim(tmp_path, *argv) as process:
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)

    last = "stopped (received SIGINT): nothing was learned yet; run is removed"
    assert out.splitlines()[-1] == last
    assert "checkpoint" not in out
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_while_modules_are_read_is_quiet(tmp_path):
    # As the console script, with a Gymnasium in which Ctrl-C falls.
    (tmp_path / "websim").write_text("from websim.local.__main__ import main\nmain()\n")
    interrupt = "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n"
    (tmp_path / "gymnasium.py").write_text(interrupt)
    answer = subprocess.run(
        [sys.executable, "websim", "--help"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        # Whoever runs the tests in the background may have it ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    # A shell shows it as 130.
    assert (answer.returncode, answer.stdout, answer.stderr) == (-signal.SIGINT, "", "")


def test_the_impatient_leave_no_process_either(tmp_path):
    process = start_websim(tmp_path, "train", "--task", "Known-v0", "--workers", "1")
    with process:
        eventually(lambda: list(tmp_path.glob("runs/*/metrics.jsonl")))
        for _ in range(3):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        _, err = process.communicate(timeout=20)

    assert process.returncode == 130
    assert processes_in(tmp_path) == []
    assert "Traceback" not in err


def test_an_interrupted_run_can_go_on(tmp_path):
    process = start_websim(tmp_path, "train", "--task", "Known-v0", "--workers", "1")
    with process:
        [metrics] = eventually(lambda: list(tmp_path.glob("runs/*/metrics.jsonl")))
        assert len(processes_in(tmp_path)) == 4
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)

    assert process.returncode == 130
    assert processes_in(tmp_path) == []
    assert int((metrics.parent / "last_checkpoint").read_text()) > 0
    assert f"go on with: websim train --resume {metrics.parent.relative_to(tmp_path)}" in out


def test_up_restarts_until_interrupted(tmp_path):
    argv = ["up", "--task", "Known-v0", "--workers", "1", "--free-ports", "--run-dir", "run"]
    with start_websim(tmp_path, *argv) as process:
        head = [process.stdout.readline() for _ in range(7)]
        assert head[0].startswith("watch it on http://127.0.0.1:")
        assert "orchestrator  http://127.0.0.1:" in head[6]
        eventually((tmp_path / "run" / "config.json").exists)
        eventually((tmp_path / "run" / "dashboard" / "history.sqlite").exists)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 0, err
    # A goal may be set later, on the page or by `websim goal`.
    author = head[5].split()
    assert author[0] == "reward-gen"
    argv = json.loads((tmp_path / "run" / "config.json").read_text())["argv"]
    assert argv[argv.index("--reward-gen") + 1] == author[1]
    assert "stopping: the learner writes a last checkpoint" in out
    assert "go on with: websim train --resume run" in out


def test_a_task_that_takes_too_long_to_read_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("websim.local.handover.TASK_DEADLINE_S", 0.01)
    with pytest.raises(UserError, match=r"task Hopper-v5 is not read within 0\.01 s"):
        check_rewards([tmp_path / "good.py"], "Hopper-v5", as_json=False)


def test_rewards_are_checked_for_a_task(websim, tmp_path):
    (tmp_path / "good.py").write_text(
        "def reward(state, action):\n    return state.x_velocity - 0.1 * np.abs(state.pitch)\n"
    )
    (tmp_path / "bad.py").write_text("import os\n")
    answer = websim("check-reward", "good.py", "bad.py", "--task", "HalfCheetah-v5", "--json")

    verdicts = [json.loads(line) for line in answer.stdout.splitlines()]
    assert answer.returncode == 1
    assert [(verdict["file"], verdict["ok"]) for verdict in verdicts] == [
        ("good.py", True),
        ("bad.py", False),
    ]
    # Hopper's healthy range has no upper end.
    (tmp_path / "forward.py").write_text(
        "def reward(state, action):\n    return state.x_velocity\n"
    )
    answer = websim("check-reward", "forward.py", "--task", "Hopper-v5")
    assert (answer.returncode, answer.stderr) == (0, "")
    answer = websim("check-reward", "good.py", "--task", "HalfCheeta-v5")
    assert answer.returncode == 2
    assert "did you mean" in answer.stderr.lower()


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["trian"], "No such command 'trian'"),
        (["train", "--num-env", "3"], "No such option: --num-env"),
        (["train", "--num-envs", "many"], "'--num-envs': Input should be a valid integer"),
        (["train", "--set", "ppo.epochs"], "--set ppo.epochs is not KEY=VALUE"),
        (["up", "--total-steps", "0"], "--total-steps 0 must be at least 1"),
        (["tasks", "Nope-v0"], "unknown task 'Nope-v0'"),
        (["check-reward"], "Missing argument"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(websim, argv, text):
    answer = websim(*argv)

    assert answer.returncode == 2
    assert answer.stdout == ""
    assert answer.stderr.count("\n") == 1
    assert answer.stderr.startswith("error: ")
    assert text in answer.stderr


def test_help_answers_at_once(websim):
    answer = websim("--help")

    assert answer.returncode == 0
    for command in ("train", "up", "eval", "export", "record", "tasks", "check-reward", "bench"):
        assert command in answer.stdout
    script = "import sys, websim.local.cli; print(*{'torch', 'mujoco', 'rich'} & set(sys.modules))"
    modules = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert modules.stdout == "\n"
