"""Commands to a running learner, against a loopback server that answers as one does."""

import json
import os
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from websim.local.cli import run
from websim.local.learner_api import LearnerApi
from websim.local.options import RunOptions
from websim.local.steer import in_a_line
from websim.service.errors import UserError

REWARD = {
    "id": "p_1",
    "name": "bold",
    "origin": "library",
    "outcome": "in_force",
    "source": "def reward(state, action):\n    return state.x\n",
    "hypothesis": "plain",
    "reason": "",
    "fitness_gain": 0.5,
}
WAITING = {"adaptation": 2, "what": "reward", "sentence": "bold gains +0.5", "names": ["bold"]}
GOAL = {
    "goal": {"description": "run", "fitness_description": "speed", "target": 2.0, "unit": "m/s"},
    "mode": "approve",
    "reached": False,
    "pending": [WAITING],
    "adapting": "",
    "banner": "reward-gen does not answer",
    "difficulty": 0.5,
    "knobs": {"gravity": [0.85, 1.15]},
}
RUN = {"task": "Hopper-v5", "num_envs": 1024, "speed": 0.25, "real_time_factor": 0.2512}
ROWS = [
    {"n": 1, "kind": "goal", "env_steps": 0, "adaptation": 0, "values": GOAL["goal"]},
    {"n": 2, "kind": "question", "env_steps": 0, "adaptation": 1, "values": {}},
]


@pytest.fixture
def learner():
    posted = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status, body):
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            if self.path.startswith("/page/"):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<!doctype html>")
                return
            answers = {"/v1/goal": GOAL, "/v1/rewards": {"in_force": "p_1", "rewards": [REWARD]}}
            answers |= {"/v1/run": RUN}
            answers |= {"/v1/adaptations?after=0": ROWS, "/v1/adaptations?after=2": []}
            self.answer(200, answers[self.path])

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            posted.append(body)
            if body.get("difficulty") == 3.0:
                loc = ["body", "set_difficulty", "difficulty"]
                why = "Input should be less than or equal to 1"
                self.answer(422, {"detail": [{"loc": loc, "msg": why, "type": "less_than_equal"}]})
            elif body.get("adaptation") == 9:
                self.answer(422, {"detail": "adaptation 9 waits for nothing"})
            else:
                self.answer(200, {"kind": body["kind"], "update": 7, "detail": "done"})

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield ["--learner", f"http://127.0.0.1:{server.server_address[1]}"], posted
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_goal_is_shown_with_what_waits(learner, capsys):
    assert run(["goal", *learner[0]]) == 0
    out = capsys.readouterr().out
    assert "goal      run" in out
    assert "target    2 m/s" in out
    for answer in ("approve", "reject"):
        assert f"websim {answer} 2 {' '.join(learner[0])}\n" in out
    assert "problem   reward-gen does not answer" in out


def test_what_the_measure_of_a_goal_leaves_out_is_shown_with_it(learner, capsys, monkeypatch):
    failure = "claude gave no answer (declined); library did."
    more = {"not_understood": ["juggling", "7"], "failures": [failure]}
    monkeypatch.setitem(GOAL, "goal", {**GOAL["goal"], **more})
    assert run(["goal", *learner[0]]) == 0
    out = capsys.readouterr().out
    assert 'left out  "juggling", "7": not understood' in out
    assert f"note      {failure}" in out


@pytest.mark.parametrize(
    ("kind", "values", "line"),
    [
        (
            "goal",
            {"description": "run", "fitness_description": "speed", "not_understood": ["7"]},
            'run: speed; not understood: "7"',
        ),
        (
            "answer",
            {
                "diagnosis": "flat",
                "candidates": [],
                "reason": "none passed",
                "refused": [{"name": "wild"}],
            },
            "flat -> none passed; refused when written: wild",
        ),
        ("unanswered", {"message": "reward-gen does not answer"}, "reward-gen does not answer"),
        ("rejected", {"adaptation": 2, "why": "a person says no"}, "#2: a person says no"),
        (
            "rolled_back",
            {"reward_id": "task", "why": "fitness fell", "by": "guard"},
            "task is in force: fitness fell [guard]",
        ),
        (
            "difficulty",
            {"values": [0.25, 2.0], "asked": 1.5, "advice": "harder"},
            "harder: of 1.5 asked, it reached 0.25, 2",
        ),
    ],
)
def test_a_row_of_the_log_is_told_in_a_line(kind, values, line):
    row = {"kind": kind, "env_steps": 1000, "adaptation": 2, "values": values}
    assert in_a_line(row) == f"     1,000 steps  #2  {kind:<12} {line}"


def test_a_goal_is_set_with_a_measure_of_a_persons_own(learner, tmp_path):
    path = tmp_path / "fitness.py"
    path.write_text("def fitness(state, action):\n    return state.x\n")
    assert run(["goal", "go right", "--fitness", str(path), "--target", "3", *learner[0]]) == 0
    (body,) = learner[1]
    assert body["description"] == "go right"
    assert body["fitness"]["program"] == path.read_text()
    assert body["target"] == 3.0


def test_a_goal_of_a_run_that_does_not_adapt_is_only_measured(learner, capsys, monkeypatch):
    assert run(["goal", "go right", *learner[0]]) == 0
    assert "only measures" not in capsys.readouterr().out
    monkeypatch.setitem(GOAL, "mode", "off")
    assert run(["goal", "go right", *learner[0]]) == 0
    assert "only measures it, and changes nothing, until `websim adapt auto`" in (
        capsys.readouterr().out
    )


def test_whether_a_run_adapts_is_shown_and_set(learner, capsys):
    url, posted = learner
    assert run(["adapt", *url]) == 0
    assert capsys.readouterr().out == "approve\n"
    assert run(["adapt", "auto", *url]) == 0
    assert posted == [{"kind": "set_adapt", "mode": "auto"}]


@pytest.mark.parametrize("argv", [["ask"], ["rewards", "try", __file__]])
def test_what_takes_a_run_that_adapts_names_the_command_for_it(learner, argv, monkeypatch):
    monkeypatch.setitem(GOAL, "mode", "off")
    with pytest.raises(UserError) as caught:
        run([*argv, *learner[0]])
    assert "this run does not adapt. Turn it on by `websim adapt auto`" in str(caught.value)
    assert learner[1] == []


def test_rewards_are_listed_shown_tried_adopted_and_taken_back(learner, tmp_path, capsys):
    url, posted = learner
    path = tmp_path / "mine.py"
    path.write_text(REWARD["source"])
    assert run(["rewards", *url]) == 0
    assert "p_1                  in_force     library       +0.5  bold" in capsys.readouterr().out
    assert run(["rewards", "show", "p_1", *url]) == 0
    assert "return state.x" in capsys.readouterr().out
    for argv in (
        ["try", str(path)],
        ["adopt", "p_1", "--force"],
        ["adopt", str(path)],
        ["rollback"],
        ["rollback", "p_1"],
    ):
        assert run(["rewards", *argv, *url]) == 0
    assert posted == [
        {"kind": "try_reward", "source": REWARD["source"], "name": "mine"},
        {"kind": "adopt_reward", "reward": "p_1", "force": True},
        {"kind": "adopt_reward", "reward": REWARD["source"], "name": "mine", "force": False},
        {"kind": "rollback"},
        {"kind": "rollback", "reward": "p_1"},
    ]


def test_knobs_are_shown_and_turned(learner, capsys):
    url, posted = learner
    assert run(["knobs", *url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "difficulty 0.5",
        "gravity              0.85 to 1.15",
    ]
    assert run(["knobs", "gravity=0.7,1.3", "mass=1.2", *url]) == 0
    assert run(["knobs", "--difficulty", "0.3", *url]) == 0
    assert posted == [
        {"kind": "set_knobs", "knobs": {"gravity": [0.7, 1.3], "mass": [1.2, 1.2]}},
        {"kind": "set_difficulty", "difficulty": 0.3},
    ]


def test_envs_task_and_speed_are_shown_and_set(learner, capsys):
    url, posted = learner
    for argv in (["envs"], ["task"], ["speed"]):
        assert run([*argv, *url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "1,024 environments",
        "Hopper-v5",
        "0.25, reached 0.251 times real time",
    ]
    for argv in (
        ["envs", "64"],
        ["task", "Ant-v5"],
        ["task", "Hill-v0", "--envs", "256"],
        ["speed", "0.25"],
        ["speed", "max"],
    ):
        assert run([*argv, *url]) == 0
    assert posted == [
        {"kind": "set_num_envs", "num_envs": 64},
        {"kind": "set_task", "task": "Ant-v5", "num_envs": None},
        {"kind": "set_task", "task": "Hill-v0", "num_envs": 256},
        {"kind": "set_speed", "speed": 0.25},
        {"kind": "set_speed", "speed": None},
    ]
    assert "set_num_envs took effect at update 7: done" in capsys.readouterr().out


def test_tasks_that_share_the_environments_are_shown(learner, capsys, monkeypatch):
    monkeypatch.setitem(RUN, "others", [{"task": "Hill-v0", "num_envs": 256}])
    assert run(["task", *learner[0]]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Hopper-v5  768 environments",
        "Hill-v0  256 environments",
    ]


def test_the_log_is_shown_a_line_a_row_without_what_is_for_machines(learner, capsys):
    assert run(["adaptations", *learner[0]]) == 0
    assert capsys.readouterr().out.splitlines() == ["         0 steps  #0  goal         run: speed"]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["goal", "--target", "3"], "--target go with a new goal"),
        (["goal", "--fitness", "f.py"], "--fitness and --target go with a new goal"),
        (["goal", "run", "--per-horizon"], "--per-horizon go with --fitness"),
        (["goal", "run", "--accumulate", "max"], "--per-horizon go with --fitness"),
        (["task", "--envs", "5"], "--envs goes with the name of a task"),
        (["rewards", "burn"], "there is no action burn"),
        (["knobs", "mass=heavy"], "mass=heavy is no range of a knob"),
        (["knobs", "mass=1,2,3"], "is no range of a knob"),
        (["knobs", "mass=nan"], "mass=nan is no range of a knob"),
        (["knobs", "mass=1", "mass=2"], "the knob mass is named twice"),
        (["knobs", "mass=1", "--difficulty", "1"], "not both at once"),
        (["rewards", "try"], "rewards try needs a file"),
        (["rewards", "adopt"], "needs an id or a file. `websim rewards list` lists the ids"),
        (["knobs", "--difficulty", "3"], "refuses: difficulty: must be less than or equal to 1$"),
        (["rewards", "try", "nowhere.py"], "cannot read nowhere.py"),
        (["rewards", "show", "p_9"], "there is no reward p_9"),
        (["approve", "9"], "adaptation 9 waits for nothing"),
        (["speed", "fast"], "fast is no speed"),
        (["speed", "nan"], "nan is no speed"),
        (["speed", "0"], "0 is no speed"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(learner, argv, says):
    with pytest.raises(UserError) as caught:
        run([*argv, *learner[0]])
    assert re.search(says, str(caught.value))


def test_a_learner_that_is_not_there_is_named():
    with pytest.raises(UserError, match=r"no learner answers at http://127\.0\.0\.1:9"):
        run(["goal", "--learner", "http://127.0.0.1:9"])


@pytest.mark.parametrize("url", ["foo", "http://[::1", "localhost:8091", "file:///etc/hostname"])
def test_what_is_no_address_is_named(url):
    with pytest.raises(UserError, match=r"is not a learner's address. Write http://HOST:PORT"):
        run(["goal", "--learner", url])


def test_a_page_of_something_else_is_no_learner(learner):
    [flag, url], _ = learner
    with pytest.raises(UserError, match=r"/page is not a learner's address"):
        run(["goal", flag, f"{url}/page"])


HOSTILE = "ok\x1b]0;owned\x07\x1b[2J\nerror: forged"
"""It would rename the terminal's window, clear its screen and add a line of its own."""
SPELLED_OUT = "ok\\x1b]0;owned\\x07\\x1b[2J\\nerror: forged"


@pytest.mark.parametrize(
    "argv", [["goal"], ["rewards"], ["rewards", "show", "p_1"], ["adaptations"]]
)
def test_what_others_wrote_cannot_act_on_the_terminal(learner, capsys, monkeypatch, argv):
    monkeypatch.setitem(GOAL, "goal", {**GOAL["goal"], "description": HOSTILE})
    monkeypatch.setitem(ROWS[0], "values", GOAL["goal"])
    monkeypatch.setitem(REWARD, "name", HOSTILE)
    source = "def reward(state, action):\n\treturn state.x  # \x1b[2J\n"
    monkeypatch.setitem(REWARD, "source", source)
    assert run([*argv, *learner[0]]) == 0
    out = capsys.readouterr().out
    assert SPELLED_OUT in out
    assert not set("\x1b\x07") & set(out)
    if "show" in argv:
        assert "\ndef reward(state, action):\n\treturn state.x  # \\x1b[2J\n" in out


def test_what_came_of_a_command_cannot_act_on_the_terminal(capsys, monkeypatch):
    applied = {"update": 7, "detail": HOSTILE}
    monkeypatch.setattr(LearnerApi, "command", lambda *_, **__: applied)
    assert run(["approve", "2"]) == 0
    assert capsys.readouterr().out == f"approve took effect at update 7: {SPELLED_OUT}\n"


def a_run(folder, *lines):
    (folder / "config.json").write_text("{}")
    (folder / "adaptations.jsonl").write_bytes(b"".join(line + b"\n" for line in lines))
    return str(folder)


ROW = json.dumps(ROWS[0]).encode()


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"1", "row 2 is not a row. Restore the file"),
        (b'{"n":1}', "row 2 is not a row. Restore the file"),
        (b"[" * 100_000, "row 2 is not JSON. Restore the file"),
        (b"{broken", "row 2 is not JSON. Restore the file"),
        (ROW.replace(b"description", b"words"), "does not hold what .* Show the rows by --json"),
    ],
    ids=["number", "short", "nested", "broken", "without values"],
)
def test_a_damaged_log_is_told_in_a_line(tmp_path, line, says):
    with pytest.raises(UserError, match=f"adaptations.jsonl: .*{says}"):
        run(["adaptations", a_run(tmp_path, ROW, line)])


def test_a_log_that_is_no_file_is_named(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert run(["adaptations", str(tmp_path)]) == 0
    (tmp_path / "adaptations.jsonl").mkdir()
    with pytest.raises(UserError, match=r"adaptations\.jsonl is not a file\. Restore the file"):
        run(["adaptations", str(tmp_path)])


@pytest.mark.parametrize("command", [["rewards", "try"], ["goal", "run", "--fitness"]])
@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/dev/zero", "cannot read /dev/zero: this is not a regular file. Name a text file."),
        ("pipe", "cannot read pipe: this is not a regular file. Name a text file."),
        ("absent", "cannot read absent: No such file or directory. Name a text file."),
        ("long", "long is larger than 65536 bytes; no program is"),
        ("noise", "cannot read noise: it is not UTF-8. Name a text file."),
    ],
)
def test_a_file_that_is_no_program_is_told(learner, tmp_path, monkeypatch, command, name, says):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    (tmp_path / "long").write_bytes(b"#" * 65537)
    (tmp_path / "noise").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError) as caught:
        run([*command, name, *learner[0]])
    assert str(caught.value) == says
    assert learner[1] == []


def test_a_program_in_the_place_of_an_id_is_for_the_learner_to_judge(learner):
    text = "x" * 5000
    assert run(["rewards", "adopt", text, *learner[0]]) == 0
    assert learner[1] == [{"kind": "adopt_reward", "reward": text, "force": False}]


def test_a_directory_that_is_no_run_is_named(tmp_path):
    with pytest.raises(UserError, match="not a run directory"):
        run(["adaptations", str(tmp_path)])


def test_the_learner_is_told_the_goal_and_where_rewards_are_written(tmp_path):
    options = RunOptions(goal="run", target=-2.0, adapt="approve", reward_gen="http://127.0.0.1:1")
    arguments = options.learner_arguments(tmp_path, "tcp://127.0.0.1:5556")
    assert "--goal=run" in arguments
    assert "--target=-2.0" in arguments
    assert "--adapt=approve" in arguments
    assert arguments[arguments.index("--reward-gen") + 1] == "http://127.0.0.1:1"


@pytest.mark.parametrize("goal", ["", "   ", "x" * 10_000])
def test_an_empty_or_absurd_goal_is_refused_before_anything_starts(goal):
    with pytest.raises(UserError, match="--goal has"):
        RunOptions(goal=goal).check()
