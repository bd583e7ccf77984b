"""The command line, on a real fleet with a learner that learns nothing."""

import json
import signal
import subprocess
import sys
import time
import urllib.request

import pytest
from local_run_samples import eventually, processes_in, start_websim

from websim.local import cli
from websim.local.handover import check_rewards
from websim.service.errors import UserError

pytestmark = pytest.mark.usefixtures("fake_learner")


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
        (["--knobs", "gravity=1.3,0.7"], "gravity=1.3,0.7 has its low end above its high one"),
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
        head = [process.stdout.readline() for _ in range(6)]
        assert "orchestrator  http://127.0.0.1:" in head[5]
        # Who clicks on the address at once finds the page.
        told = next(line for line in process.stdout if line.startswith("watch it on "))
        with urllib.request.urlopen(told.split()[-1], timeout=10) as page:
            assert page.status == 200
        eventually((tmp_path / "run" / "config.json").exists)
        eventually((tmp_path / "run" / "dashboard" / "history.sqlite").exists)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)

    assert process.returncode == 0, err
    # A goal may be set later, on the page or by `websim goal`.
    author = head[4].split()
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
