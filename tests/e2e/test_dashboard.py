"""The dashboard beside a real fleet and a real training run: what pages get, what survives."""

import contextlib
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
from websockets.sync.client import connect

DEADLINE_S = 60.0
NUM_ENVS = 48
HEADER = (
    *("magic", "version", "kind", "", "seq", "time_ms", "session", "n", "k", "c", "scale_m"),
    *("first", "count"),
)
HEADER_LAYOUT = struct.Struct("<BBBBIdIIHHfII")


def get(url):
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def post(url, **body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)


def eventually(check):
    give_up_s = time.monotonic() + DEADLINE_S
    while True:
        with contextlib.suppress(OSError):
            if found := check():
                return found
        assert time.monotonic() < give_up_s, "it did not come about"
        time.sleep(0.1)


@contextlib.contextmanager
def websim_up(place, *argv):
    """Run `websim up`; yield its page's address, its process, and where the run is kept."""
    command = [sys.executable, "-m", "websim.local", "up", "--free-ports", "--workers", "2"]
    command += ["--num-envs", str(NUM_ENVS), "--run-dir", str(place / "run"), *argv]
    with (place / "output").open("w") as output:
        process = subprocess.Popen(command, cwd=place, stdout=output, stderr=output)
    try:
        told = r"^watch it on (http://\S+)"
        found = eventually(lambda: re.search(told, (place / "output").read_text(), re.MULTILINE))
        yield found[1], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0, (place / "output").read_text()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    place = tmp_path_factory.mktemp("up")
    with websim_up(place, "--total-steps", "100000000") as (url, _):
        eventually(lambda: (s := get(f"{url}/api/v1/status"))["update"] > 2 and s["session"])
        yield url, place


@pytest.fixture
def url(running):
    return running[0]


def open_socket(url):
    # A test that reads nothing more does not see the server close either.
    return connect(url.replace("http", "ws") + "/api/v1/live", proxy=None, close_timeout=1.0)


def hear(socket, wanted):
    """Return the first message, as JSON or as header and body of a frame, that is wanted."""
    give_up_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < give_up_s:
        data = socket.recv(timeout=DEADLINE_S)
        if isinstance(data, str):
            message = json.loads(data)
        else:
            head = dict(zip(HEADER, HEADER_LAYOUT.unpack_from(data), strict=True))
            socket.send(json.dumps({"type": "ack", "seq": head["seq"]}))
            body = data[HEADER_LAYOUT.size :]
            message = {"type": ("figures", "pose")[head["kind"] - 1], "body": body, **head}
        if wanted(message):
            return message
    raise AssertionError("it was not said")


def subscribe(socket, session, env_id=None):
    pose = None if env_id is None else {"session": session, "env_id": env_id}
    figures = {"session": session, "max_hz": 30}
    socket.send(json.dumps({"type": "subscribe", "figures": figures, "pose": pose}))


def await_stillness(socket, last):
    """Return the last picture before seconds without one; the fleet is told of once a second."""
    seconds = 0
    while seconds < 4:
        message = hear(socket, lambda m: m["type"] in ("figures", "fleet"))
        if message["type"] == "figures":
            last, seconds = message, 0
        else:
            seconds += 1
    return last


def root_x(message):
    return np.frombuffer(message["body"], "<f4", message["count"])


def test_the_status_is_that_of_the_run(url):
    status = get(f"{url}/api/v1/status")
    assert (status["task"], status["state"], status["run"]) == ("HalfCheetah-v5", "training", "run")
    assert (status["num_envs"], status["workers"], status["role"]) == (NUM_ENVS, 2, "control")
    assert status["fitness_unit"] == "m/s"
    assert status["steps_per_s"] > 0.0
    assert sum(status["time_split"].values()) == pytest.approx(1.0)
    assert status["bottleneck"]
    labels = {each["session"]: each["label"] for each in status["sessions"]}
    assert labels[status["session"]] == "training run"


def test_all_environments_move_and_one_is_seen_from_near(url):
    session = get(f"{url}/api/v1/status")["session"]
    scene = get(f"{url}/api/v1/sessions/{session}/scene")
    with open_socket(url) as socket:
        subscribe(socket, session, env_id=37)
        first = hear(socket, lambda m: m["type"] == "figures" and not np.isnan(root_x(m)).any())
        assert (first["session"], first["n"], first["k"]) == (session, NUM_ENVS, scene["k"])
        later = hear(socket, lambda m: m["type"] == "figures" and m["seq"] > first["seq"] + 20)
        assert (root_x(later) != root_x(first)).mean() > 0.9
        pose = hear(socket, lambda m: m["type"] == "pose")
        assert (pose["n"], pose["k"]) == (37, len(scene["geoms"]))
        quaternions = np.frombuffer(pose["body"], "<f4")[3 * pose["k"] : 7 * pose["k"]]
        norms = np.linalg.norm(quaternions.reshape(-1, 4), axis=1)
        assert norms == pytest.approx(np.ones(pose["k"]), abs=1e-5)
        env = hear(socket, lambda m: m["type"] == "env" and m["env"] and m["env"]["reward"])["env"]
        assert (env["session"], env["env_id"]) == (session, 37)
        assert env["reward"] == pytest.approx(sum(env["reward_components"].values()))


def test_a_page_that_asks_for_nothing_gets_no_pictures(url):
    with open_socket(url) as socket:
        said = [hear(socket, lambda m: True)["type"] for _ in range(8)]
    assert {"status", "fleet"} <= set(said) <= {"status", "fleet", "metrics", "event"}


def test_pictures_stand_in_a_pause_and_go_on_after_it(url):
    session = get(f"{url}/api/v1/status")["session"]
    with open_socket(url) as socket:
        subscribe(socket, session)
        moving = hear(socket, lambda m: m["type"] == "figures")
        post(f"{url}/api/v1/run/commands", kind="pause")
        still = await_stillness(socket, moving)
        with open_socket(url) as newcomer:
            subscribe(newcomer, session)
            seen = hear(newcomer, lambda m: m["type"] == "figures")
            assert seen["body"] == still["body"]
        post(f"{url}/api/v1/run/commands", kind="resume")
        hear(
            socket,
            lambda m: m["type"] == "figures" and (root_x(m) != root_x(still)).mean() > 0.9,
        )
    titles = eventually(
        lambda: "resume" in (t := [e["title"] for e in get(f"{url}/api/v1/events")]) and t
    )
    assert titles.index("pause") < titles.index("resume")


def test_curves_have_every_update(url):
    update = get(f"{url}/api/v1/status")["update"]
    series = eventually(
        lambda: (s := get(f"{url}/api/v1/metrics"))["branches"][0]["update"][-1] >= update and s
    )
    [branch] = series["branches"]
    assert branch["update"] == list(range(1, branch["update"][-1] + 1))
    for name in ("policy_loss", "steps_per_s", "physics_s", "evaluation_s"):
        assert None not in branch["values"][name]


def test_rewards_are_checked_by_the_real_tasks_fields(url):
    def check(expression):
        source = f"def reward(state, action):\n    return {expression}\n"
        return post(f"{url}/api/v1/rewards/check", source=source, session=None)

    assert check("state.x_velocity")["ok"]
    [issue] = check("state.x_velocty")["messages"]
    assert issue["line"] == 2
    assert "x_velocity" in issue["message"]


def test_tasks_are_listed_for_people(url):
    tasks = {each["name"]: each["description"] for each in get(f"{url}/api/v1/tasks")}
    assert "Ant-v5" in tasks
    assert "runs forward" in tasks["HalfCheetah-v5"]


def test_its_log_has_no_line_for_each_question_it_asks(running):
    url, place = running
    get(f"{url}/api/v1/goal")
    log = (place / "run" / "logs" / "dashboard.jsonl").read_text()
    assert "dashboard ready" in log
    assert "HTTP Request" not in log


def test_after_its_own_crash_the_curves_are_there_and_the_page_comes_back(running):
    url, place = running
    before = get(f"{url}/api/v1/metrics")["last"]
    events = get(f"{url}/api/v1/events")
    os.kill(pids_of("websim_dashboard", place)[0], signal.SIGKILL)
    series = eventually(lambda: get(f"{url}/api/v1/metrics"))
    assert series["last"] >= before > 0
    assert series["branches"][0]["update"][0] == 1
    assert get(f"{url}/api/v1/events")[: len(events)] == events
    session = eventually(lambda: get(f"{url}/api/v1/status")["session"])
    with open_socket(url) as socket:
        subscribe(socket, session)
        hear(socket, lambda m: m["type"] == "figures")


@pytest.mark.parametrize("service", ["websim_orchestrator", "websim_learner"])
def test_services_that_die_are_found_again_without_a_reload(running, service):
    url, place = running
    session = eventually(lambda: get(f"{url}/api/v1/status")["session"])
    with open_socket(url) as socket:
        subscribe(socket, session)
        hear(socket, lambda m: m["type"] == "figures")
        post(f"{url}/api/v1/run/commands", kind="checkpoint")  # a learner goes on from here
        before = pids_of(service, place)
        os.kill(before[0], signal.SIGKILL)
        eventually(lambda: pids_of(service, place) not in ([], before))
        # The one after it may be of a rollout that was there when the orchestrator went.
        update = get(f"{url}/api/v1/status")["update"] + 1
        status = hear(
            socket,
            lambda m: (
                m["type"] == "status"
                and m["status"]["state"] == "training"
                and m["status"]["update"] > update
                and m["status"]["session"] is not None
            ),
        )["status"]
        assert status["learner_error"] is None
        subscribe(socket, status["session"])
        hear(
            socket,
            lambda m: (
                m["type"] == "figures"
                and m["session"] == status["session"]
                and not np.isnan(root_x(m)).any()
            ),
        )


def test_the_end_of_a_run_is_in_the_history_and_sockets_hold_nothing_up(tmp_path):
    with websim_up(tmp_path, "--total-steps", "100000000") as (url, process):
        session = eventually(lambda: get(f"{url}/api/v1/status")["session"])
        with open_socket(url) as socket:
            subscribe(socket, session)
            hear(socket, lambda m: m["type"] == "figures")
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)
        assert pids_in(tmp_path) == []
    with serve_history(tmp_path) as url:
        status = get(f"{url}/api/v1/status")
        assert (status["run"], status["state"]) == ("run", "stopped")
        assert [event["title"] for event in get(f"{url}/api/v1/events")][-1] == "stopped"


@contextlib.contextmanager
def serve_history(place):
    """Run a dashboard alone on the history of a run that is over."""
    command = [sys.executable, "-m", "websim_dashboard", "--http-port", "0"]
    command += ["--history", str(place / "run" / "dashboard" / "history.sqlite")]
    command += ["--learner", "http://127.0.0.1:9", "--orchestrator", "http://127.0.0.1:9"]
    command += ["--telemetry", "tcp://127.0.0.1:9", "--ready-file", str(place / "ready")]
    process = subprocess.Popen(command, cwd=place, stderr=subprocess.DEVNULL)
    try:
        eventually((place / "ready").exists)
        yield json.loads((place / "ready").read_text())["http_url"]
    finally:
        process.terminate()
        assert process.wait(DEADLINE_S) == 0


def pids_of(service, place):
    return [pid for pid, words in pids_in(place) if service in words]


def pids_in(place):
    """Return process ids and command lines of our services that were started from a directory."""
    found = []
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == str(place):
                with open(f"/proc/{entry}/cmdline", "rb") as line:
                    found.append((int(entry), line.read().decode().split("\0")))
    return [(pid, words) for pid, words in found if "-P" in words]
