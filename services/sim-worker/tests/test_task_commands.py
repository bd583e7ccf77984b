"""`tasks`, `check-task`, `render`: what people see, and one line when they are wrong."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

from websim.service.errors import UserError
from websim.wire.messages import TaskInfo
from websim_sim_worker import render
from websim_sim_worker.commands import parse_settings, run_command
from websim_sim_worker.tasks import bundled_names

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "swing-up"


def test_tasks_lists_every_bundled_task(capsys):
    assert run_command("tasks", []) == 0
    out = capsys.readouterr().out
    listed = [line.split()[0] for line in out.splitlines() if line[:1].isupper() and "-v" in line]
    assert listed == list(bundled_names())
    assert "x_position (m), x_velocity (m/s)" in out
    assert max(map(len, out.splitlines())) <= 144


def test_tasks_describes_one_with_fields_and_units(capsys):
    assert run_command("tasks", ["Hopper-v5", "--set", "ctrl_cost_weight=0.5"]) == 0
    out = capsys.readouterr().out
    assert "x_velocity" in out
    assert "m/s" in out
    assert "ctrl_cost_weight" in out
    assert "0.5" in out
    assert "thigh_joint  -1 to 1" in out
    assert "def reward(state, action):" in out


def test_tasks_prints_task_infos_as_json(capsys):
    assert run_command("tasks", ["NLinkSwimmer-v0", "--json", "--set", "links=4"]) == 0
    info = msgspec.json.decode(capsys.readouterr().out, type=TaskInfo)
    assert info.action_names == ("bend1", "bend2", "bend3")
    assert info.parameters["links"] == 4
    assert info.content_sha256
    assert run_command("tasks", ["--json"]) == 0
    assert [task["id"] for task in json.loads(capsys.readouterr().out)] == list(bundled_names())


def test_check_task_says_ok_or_what_is_wrong(capsys, tmp_path):
    assert run_command("check-task", [str(EXAMPLE)]) == 0
    captured = capsys.readouterr()
    assert captured.out.count("\n") == 1
    assert "ok (SwingUp-v0: 5 observations, 1 actions" in captured.out
    shutil.copytree(EXAMPLE, tmp_path / "broken")
    task = tmp_path / "broken" / "task.yaml"
    task.write_text(task.read_text().replace("frame_skip: 2", "frame_skip: two"))
    assert run_command("check-task", [str(task)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "task.yaml line 6, frame_skip: 'two' is not of type integer" in captured.err
    assert run_command("check-task", [str(tmp_path / "nothing")]) == 1
    assert "there is no task file" in capsys.readouterr().err


def test_a_task_of_several_meshes_and_textures_is_ok(capsys, tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "many")
    model = tmp_path / "many" / "model.xml"
    mesh = '<mesh name="mesh{}" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/>'
    texture = '<texture name="texture{}" type="2d" builtin="flat" width="64" height="64"/>'
    assets = "".join(each.format(number) for each in (mesh, texture) for number in range(2))
    worldbody = f"<asset>{assets}</asset><worldbody>"
    model.write_text(model.read_text().replace("<worldbody>", worldbody, 1))
    code = run_command("check-task", [str(model.parent)])
    captured = capsys.readouterr()
    assert (code, captured.err) == (0, "")


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (["tasks", "Hoper-v5"], "unknown task 'Hoper-v5'. Did you mean Hopper-v5?"),
        (["tasks", "Hopper-v5", "--set", "links"], "'links' is not NAME=VALUE"),
        (["tasks", "Hopper-v5", "--set", "links=3"], "Hopper-v5 has no parameter 'links'"),
        (["tasks", "Hopper-v5", "--set", "healthy_z_range=1"], "list of 2 numbers"),
        (["tasks", "Hopper-v5", "--set", "terminate_when_unhealthy=no"], "not true or false"),
        (["tasks", "NLinkSwimmer-v0", "--set", "links=1000"], "links = 1000 is not a whole number"),
        (["tasks", "NLinkSwimmer-v0", "--set", "links=2.5"], "2.5 is not a whole number"),
        (["tasks", "--set", "links=3"], "--set changes one task"),
        (["tasks", "--bogus"], "unrecognized arguments: --bogus"),
        (["check-task"], "the following arguments are required: file"),
        (["render", "--task", "Hopper-v5", "--states", "x.npz", "--out", "x.png"], "neither .gif"),
        (["render", "--task", "Hopper-v5", "--states", "x", "--out", "/none/x.gif"], "no folder"),
    ],
)
def test_what_is_wrong_with_a_command_is_said_in_one_line(command, line):
    with pytest.raises(UserError) as caught:
        run_command(command[0], command[1:])
    shown = str(caught.value)
    assert "\n" not in shown
    assert line.lower() in shown.lower()


def test_settings_are_read_as_what_they_look_like():
    settings = ["a=true", "b=3", "c=0.5", "d=-1,2.5", "e=torso", "f=1e-3", "g=-inf,10"]
    assert parse_settings(settings) == {
        "a": True,
        "b": 3,
        "c": 0.5,
        "d": (-1.0, 2.5),
        "e": "torso",
        "f": 1e-3,
        "g": (-np.inf, 10.0),
    }


def test_a_reader_that_leaves_early_is_no_error():
    command = f"{sys.executable} -m websim_sim_worker tasks --json | head -c 5"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout == '[{"id'
    assert done.stderr == ""


@pytest.fixture
def states(make_shard, random_actions, tmp_path):
    """Recorded states of a swimmer of three links."""
    shard = make_shard("NLinkSwimmer-v0", 1, links=3)
    qpos = []
    for action in random_actions(shard, 6):
        shard.step(action)
        qpos.append(shard.env_state(0).qpos)
    np.savez(tmp_path / "states.npz", qpos=np.array(qpos), fps=25.0)
    return tmp_path / "states.npz"


def render_arguments(recorded, out, **changes):
    options = {"--task": "NLinkSwimmer-v0", "--states": recorded, "--out": out, "--set": "links=3"}
    options |= {"--width": 64, "--height": 48} | {f"--{name}": changes[name] for name in changes}
    return [str(part) for option in options.items() for part in option]


def test_render_writes_a_film_or_says_why_it_cannot(states, tmp_path, capsys):
    """A machine with EGL or OSMesa writes the film; one without says so in a line."""
    out = tmp_path / "swim.gif"
    try:
        assert run_command("render", render_arguments(states, out)) == 0
    except UserError as error:
        shown = str(error)
        assert not out.exists()
        assert shown.startswith("nothing here can render (egl: ")
    else:
        from PIL import Image

        shown = capsys.readouterr().out
        with Image.open(out) as film:
            assert (film.size, film.n_frames) == ((64, 48), 6)
            assert film.info["duration"] == 40
    assert shown.count("\n") <= 1


def test_render_says_what_is_wrong_with_its_input(states, tmp_path):
    out = tmp_path / "swim.gif"
    text = tmp_path / "text.npz"
    text.write_text("no archive")
    cases = [
        ({"set": "links=4"}, "columns; NLinkSwimmer-v0 has 6"),
        ({"states": tmp_path / "none.npz"}, "is not an .npz file with an array qpos"),
        ({"states": text}, "is not an .npz file with an array qpos"),
        ({"camera": "front"}, "the model has no camera 'front'. It has track"),
    ]
    for changes, line in cases:
        with pytest.raises(UserError) as caught:
            run_command("render", render_arguments(states, out, **changes))
        # Where nothing can render, the camera is never looked for.
        assert line in str(caught.value) or "nothing here can render" in str(caught.value)
    assert not out.exists()


def test_render_tries_each_library_and_names_what_failed(states, tmp_path, monkeypatch):
    monkeypatch.setattr(render, "BACKENDS", ("osmesa-that-is-not-there",))
    monkeypatch.setattr(render, "ASKED_MUJOCO_GL", "")
    with pytest.raises(UserError, match=r"nothing here can render \(osmesa-that-is-not-there: "):
        run_command("render", render_arguments(states, tmp_path / "swim.gif"))


def test_a_worker_starts_whatever_mujoco_gl_says():
    """A worker draws nothing, so a library that is not there must not stop it."""
    done = subprocess.run(
        [sys.executable, "-m", "websim_sim_worker", "tasks", "Hopper-v5"],
        env={**os.environ, "MUJOCO_GL": "osmesa-that-is-not-there"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
