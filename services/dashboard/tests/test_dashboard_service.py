"""The dashboard as its page and scripts see it, with services behind whose answers are known."""

import json
import socket
import time
from dataclasses import dataclass

import numpy as np
import pytest
from dashboard_samples import (
    TASK,
    make_goal,
    make_metrics,
    make_run,
    make_session,
    make_state,
    make_trial,
)
from known_services import KnownServices
from running import eventually, hear, open_client, open_socket, serve_dashboard

from websim_dashboard.history import History


def make_labelled(session, label):
    return make_session(session, label=label)


@pytest.fixture
def services():
    known = KnownServices()
    yield known
    known.close()


@pytest.fixture
def url(services, tmp_path):
    with serve_dashboard(services, tmp_path) as address:
        yield address


@pytest.fixture
def client(url):
    with open_client(url) as opened:
        yield opened


def change_goal(services, **values):
    """As a learner does it, which tells of every change."""
    services.goal = make_goal(**values)
    services.records = [*services.records, make_state(len(services.records) + 1, "running")]


def test_the_status_is_made_of_what_learner_and_orchestrator_say(services, client):
    status = client.get("/api/v1/status").json()
    assert status["run"] == "r1"
    assert (status["state"], status["env_steps"], status["total_steps"]) == ("training", 3000, 9000)
    assert (status["workers"], status["num_envs"], status["session"]) == (1, 64, 1)
    assert (status["goal"], status["adapt_mode"], status["pending"]) == ("run", "auto", None)
    assert status["fitness_unit"] == "m/s"
    assert (status["speed"], status["real_time_factor"], status["difficulty"]) == (1.0, 0.75, 0.25)
    assert status["time_split"]["evaluation"] == 0.125
    assert status["learner_error"] is None
    assert [each["session"] for each in status["sessions"]] == [1, 2]
    assert "Physics takes 50%" in status["bottleneck"]


@pytest.mark.parametrize(
    ("state", "shown"),
    [("starting", "waiting"), ("adapting", "trial"), ("stopped", "stopped"), ("failed", "failed")],
)
def test_states_have_the_pages_names(services, client, state, shown):
    services.run = make_run(state=state)
    assert eventually(lambda: client.get("/api/v1/status").json()["state"] == shown)


def test_fitness_is_the_last_evaluations_where_the_goal_has_a_measure_of_its_own(services, client):
    services.run = make_run(fitness_mean=2.5, evaluation={"env_steps": 2000, "fitness_mean": -3.5})
    assert eventually(lambda: client.get("/api/v1/status").json()["fitness_mean"] == 2.5)
    own = {"n": 1, "description": "run backwards", "kind": "program", "unit": "m/s"}
    change_goal(services, goal=own)
    assert eventually(lambda: client.get("/api/v1/status").json()["fitness_mean"] == -3.5)


@pytest.mark.parametrize("what", ["goal", "reward", "environment"])
def test_what_waits_for_a_yes_is_in_the_status(services, client, what):
    shown = {"adaptation": 4, "what": what, "sentence": "try it?", "names": ["a"]}
    change_goal(services, pending=[shown | {"points": {}, "ranges": {"mass": [0.9, 1.1]}}])
    assert eventually(lambda: client.get("/api/v1/status").json()["pending"]) == shown


def test_a_goal_that_is_not_understood_is_told_and_the_rest_goes_on(services, url, client):
    change_goal(services, pending=[{"adaptation": 4, "what": "something else"}])
    status = eventually(
        lambda: (
            "understand" in ((s := client.get("/api/v1/status").json())["learner_error"] or "")
            and s
        )
    )
    assert (status["run"], status["env_steps"], status["workers"]) == ("r1", 3000, 1)
    with open_socket(url) as socket:
        assert hear(socket, "status")
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "wrong",
    [{"update": "many"}, {"time_split": {"dreams": 1.0}}, {"run_id": None}, {"num_envs": [1]}],
)
def test_a_run_that_is_not_understood_is_told_and_the_rest_goes_on(services, url, client, wrong):
    with open_socket(url) as socket:
        hear(socket, "status", lambda m: m["status"]["learner_error"] is None)
        right = services.run
        services.run = right | wrong
        told = hear(socket, "status", lambda m: m["status"]["learner_error"])["status"]
        assert "understand" in told["learner_error"]
        assert (told["run"], told["update"], told["workers"]) == ("r1", right["update"], 1)
        services.run = right
        assert hear(socket, "status", lambda m: not m["status"]["learner_error"])


def test_a_task_that_is_not_understood_is_told_and_the_rest_goes_on(services, tmp_path):
    services.task = {"id": "of another release"}
    with serve_dashboard(services, tmp_path) as url, open_client(url) as client:
        answer = client.get("/api/v1/sessions/1/task")
        assert (answer.status_code, "understand" in answer.json()["detail"]) == (502, True)
        with open_socket(url) as socket:
            assert hear(socket, "status", lambda m: m["status"]["session"] == 1)
        assert client.get("/healthz").status_code == 200


def test_without_a_learner_the_fleet_is_shown(services, client):
    services.stop("learner")
    services.sessions = [make_session(5, label="mine")]

    def fleet_alone():
        status = client.get("/api/v1/status").json()
        labels = [each["label"] for each in status["sessions"]]
        return "does not listen" in (status["learner_error"] or "") and labels == ["mine"]

    assert eventually(fleet_alone)
    status = client.get("/api/v1/status").json()
    # Its run is known, and it comes back.
    assert (status["run"], status["state"]) == ("r1", "waiting")
    assert status["orchestrator_error"] is None


def test_a_fleet_alone_waits_for_a_learner_and_nothing_at_all_is_disconnected(tmp_path):
    known = KnownServices()
    known.stop("learner")
    with serve_dashboard(known, tmp_path) as address, open_client(address) as client:
        assert client.get("/api/v1/status").json()["state"] == "waiting"
        known.stop("orchestrator")
        status = eventually(
            lambda: (s := client.get("/api/v1/status").json())["state"] == "disconnected" and s
        )
        assert "orchestrator" in status["orchestrator_error"]
        assert status["workers"] == 0
    known.close()


def test_records_become_curves_and_events(services, client):
    services.records = [make_metrics(1), make_state(2, "paused", reason="asked"), make_metrics(3)]
    series = eventually(
        lambda: (s := client.get("/api/v1/metrics?names=return_mean").json())["last"] == 3 and s
    )
    assert series["branches"][0]["values"] == {"return_mean": [10.0, 30.0]}
    assert "policy_loss" in series["names"]
    [event] = client.get("/api/v1/events").json()
    assert (event["kind"], event["title"], event["detail"]) == ("state", "paused", "asked")
    assert client.get("/api/v1/events?after=2").json() == []
    assert client.get("/api/v1/events?kinds=evaluation,command").json() == []
    assert client.get("/api/v1/events?kinds=evaluation,state").json() == [event]


def test_a_record_that_cannot_be_read_is_left_out_and_the_rest_goes_on(services, client):
    services.records = [
        make_metrics(1),
        make_metrics(2) | {"update": "many"},
        make_state(3, "running") | {"state": None},
        {"n": 4, "kind": "command", "update": 3, "env_steps": 9, "command": None, "detail": ""},
        {"n": 5},
        make_state(6, "")
        | {"kind": "evaluation", "return_mean": 2.0, "return_std": 0.5}
        | {"fitness_mean": None, "episodes": 5},
        make_metrics(7),
    ]
    series = eventually(lambda: (s := client.get("/api/v1/metrics").json())["last"] == 7 and s)
    [branch] = series["branches"]
    assert branch["number"] == [1, 7]
    assert [(e["title"], e["detail"]) for e in client.get("/api/v1/events").json()] == [
        ("evaluation: return 2.0 ± 0.5", "fitness unknown over 5 episodes")
    ]


def test_a_backlog_longer_than_an_answer_is_read_to_its_end(services, client):
    services.records = [make_metrics(n) for n in range(1, 2501)]
    series = eventually(
        lambda: (s := client.get("/api/v1/metrics?max_points=10").json())["last"] == 2500 and s
    )
    assert series["branches"][0]["update"][-1] == 2500
    assert len(series["branches"][0]["update"]) <= 10


def test_curves_and_the_end_are_there_after_a_restart_without_the_learner(services, tmp_path):
    place = tmp_path / "kept"
    place.mkdir()
    services.records = [make_metrics(1), make_state(2, "finished")]
    services.rows = [{"n": n, "kind": "goal", "values": {}} for n in range(1, 1502)]
    with serve_dashboard(services, place) as address, open_client(address) as client:
        # Answered after a whole turn.
        assert client.get("/api/v1/status").json()["run"] == "r1"
    services.stop("learner")
    with serve_dashboard(services, place) as address, open_client(address) as client:
        status = client.get("/api/v1/status").json()
        assert (status["run"], status["state"], status["env_steps"]) == ("r1", "finished", 3000)
        assert client.get("/api/v1/metrics").json()["branches"][0]["update"] == [1]
        assert [event["title"] for event in client.get("/api/v1/events").json()] == ["finished"]
        rows = client.get("/api/v1/adaptations").json()
        assert rows + client.get("/api/v1/adaptations?after=1000").json() == services.rows


def test_clips_are_the_learners_and_none_while_it_is_away(services, client):
    none = {"task": "", "figure": None, "clips": {}}
    services.clips = {2: none | {"task": "Toy-v0"}}
    # Answered after a whole turn.
    assert client.get("/api/v1/status").json()["learner_error"] is None
    assert client.get("/api/v1/adaptations/2/clips").json() == none | {"task": "Toy-v0"}
    assert client.get("/api/v1/adaptations/1/clips").json() == none
    assert client.get("/api/v1/adaptations/0/clips").status_code == 422
    services.stop("learner")
    eventually(lambda: client.get("/api/v1/status").json()["learner_error"])
    assert client.get("/api/v1/adaptations/2/clips").json() == none


def test_decisions_are_made_again_by_the_learner(services, client):
    services.replay = {"rows": 2, "decisions": [], "problem": "row 2 was changed"}
    assert client.get("/api/v1/adaptations/replay").json() == services.replay
    services.stop("learner")
    assert client.get("/api/v1/adaptations/replay").status_code == 502


def test_goal_and_rewards_are_there_after_a_restart_without_anybody(services, tmp_path):
    place = tmp_path / "kept"
    place.mkdir()
    own = {"id": "task", "name": "the task's own", "source": None, "outcome": "in_force"}
    tried = {"id": "p_1", "name": "direct", "source": "def reward", "outcome": "lost"}
    services.task = TASK | {"reward_source": "def own"}
    services.rewards = {"in_force": "task", "rewards": [own]}
    services.goal = make_goal(mode="off")
    with serve_dashboard(services, place) as address, open_client(address) as client:
        history = History(place / "history.sqlite", keep_days=1.0, keep_points=100)
        eventually(lambda: history.answer("/runs/r1", "task"))
        # What there is at the end is kept at once.
        services.rewards = {"in_force": "task", "rewards": [own, tried]}
        services.records = [make_state(1, "finished")]
        eventually(lambda: history.events("/runs/r1", ["state"], 0))
        eventually(lambda: history.answer("/runs/r1", "rewards") == services.rewards)
        history.close()
    services.stop("learner")
    services.stop("orchestrator")
    with serve_dashboard(services, place) as address, open_client(address) as client:
        rewards = [own | {"source": "def own"}, tried]
        assert client.get("/api/v1/rewards").json() == {"in_force": "task", "rewards": rewards}
        assert client.get("/api/v1/goal").json() == services.goal
        status = client.get("/api/v1/status").json()
        assert (status["goal"], status["adapt_mode"]) == ("run", "off")


def test_what_is_not_kept_is_null(services, tmp_path):
    services.stop("learner")
    with serve_dashboard(services, tmp_path) as address, open_client(address) as client:
        assert client.get("/api/v1/goal").json() is None
        assert client.get("/api/v1/rewards").json() is None


def test_another_run_has_curves_of_its_own(services, client):
    services.records = [make_metrics(1)]
    eventually(lambda: client.get("/api/v1/metrics").json()["last"] == 1)
    services.records = [make_metrics(1, return_mean=-5.0)]
    services.run = make_run(run_id="r2", run_dir="/runs/r2")
    series = eventually(
        lambda: (s := client.get("/api/v1/metrics").json())["run"] == "r2" and s["last"] and s
    )
    assert series["branches"][0]["values"]["return_mean"] == [-5.0]


def test_a_run_begun_anew_in_the_same_directory_has_curves_of_its_own(services, url, client):
    services.run = make_run(run_uuid="a1")
    services.records = [make_metrics(n) for n in range(1, 6)]
    eventually(lambda: client.get("/api/v1/metrics").json()["last"] == 5)
    before = client.get("/api/v1/status").json()["run_key"]
    with open_socket(url) as socket:
        hear(socket, "status")
        services.records = [make_metrics(1, return_mean=-5.0)]
        services.run = make_run(run_uuid="b2")
        told = hear(socket, "metrics")
        assert [point["number"] for point in told["points"]] == [1]
    series = client.get("/api/v1/metrics").json()
    assert series["branches"][0]["values"]["return_mean"] == [-5.0]
    status = client.get("/api/v1/status").json()
    assert status["run"] == series["run"] == "r1"
    assert status["run_key"] == series["run_key"] == told["run_key"] != before


def test_how_contenders_do_is_told_while_they_train_and_kept(services, url, client):
    with open_socket(url) as socket:
        hear(socket, "status")
        services.records = [make_trial(1, 100), make_trial(2, 100, "bold", fitness_mean=0.5)]
        told = hear(socket, "trial")
    assert told["run_key"] == client.get("/api/v1/status").json()["run_key"]
    kept = client.get("/api/v1/adaptations/1/curves").json()
    assert kept == told["points"]
    assert [(each["contender"], each["fitness_mean"]) for each in kept] == [
        ("control", None),
        ("bold", 0.5),
    ]
    assert client.get("/api/v1/adaptations/2/curves").json() == []


def test_an_evaluation_tells_the_branch_that_it_is_of(services, client):
    evaluation = make_state(1, "") | {
        "kind": "evaluation", "branch": 1, "episodes": 10, "return_mean": 2.0, "return_std": 0.5,
        "length_mean": 9.0, "fitness_mean": 3.0, "success_mean": None,
    }  # fmt: skip
    services.records = [evaluation]
    [event] = eventually(lambda: client.get("/api/v1/events?kinds=evaluation").json())
    assert (event["values"]["branch"], event["values"]["fitness_mean"]) == (1, 3.0)


def test_no_speed_is_told_while_nothing_is_stepped(services, client):
    for state, steps_per_s, factor in (
        ("running", 2000.0, 0.75),
        ("adapting", 2000.0, 0.75),
        ("paused", 0.0, 0.0),
        ("evaluating", 0.0, 0.0),
        ("waiting", 0.0, 0.0),
        ("finished", 0.0, 0.0),
    ):
        services.run = make_run(state=state, reason=state)
        status = eventually(
            lambda state=state: (s := client.get("/api/v1/status").json())["reason"] == state and s
        )
        assert (status["steps_per_s"], status["real_time_factor"]) == (steps_per_s, factor)


def test_what_a_run_learns_from_is_reset_by_its_learner_only(services, client):
    labels = ["evaluation of r1", "trial of r1: bold", "training r2", "a notebook"]
    services.sessions = [make_session(1), *map(make_labelled, range(2, 6), labels)]
    assert client.post("/api/v1/sessions/1/envs/7/reset").json()["update"] == 3
    assert services.commands == [{"kind": "reset_env", "env_id": 7}]
    for session in (2, 3, 4):
        answer = client.post(f"/api/v1/sessions/{session}/envs/7/reset")
        assert answer.status_code == 409
        assert f"depends on session {session}" in answer.json()["detail"]
    assert client.post("/api/v1/sessions/5/envs/7/reset").status_code == 200
    assert [path for path in services.paths if "reset" in path] == ["/v1/sessions/5/envs/7/reset"]
    assert len(services.commands) == 1


def test_commands_are_passed_on_and_their_answers_back(services, client):
    answer = client.post("/api/v1/run/commands", json={"kind": "checkpoint"})
    assert (answer.status_code, answer.json()["update"]) == (200, 3)
    answer = client.post("/api/v1/run/commands", json={"kind": "nonsense"})
    assert (answer.status_code, answer.json()["detail"]) == (422, "there is no such command")
    assert services.commands == [{"kind": "checkpoint"}, {"kind": "nonsense"}]
    services.stop("learner")
    answer = client.post("/api/v1/run/commands", json={"kind": "pause"})
    assert answer.status_code == 502
    assert "the learner at" in answer.json()["detail"]


def test_a_reward_is_checked_by_the_running_tasks_fields(client):
    def check(source, **more):
        answer = client.post("/api/v1/rewards/check", json={"source": source, **more})
        return answer.status_code, answer.json()

    good = "def reward(state, action):\n    v = state.x_velocity\n    return v, {'speed': v}\n"
    status, verdict = check(good)
    assert (status, verdict["ok"], verdict["components"]) == (200, True, ["speed"])
    assert verdict["id"].startswith("p_")
    status, verdict = check("def reward(state, action):\n    return state.altitude\n")
    assert not verdict["ok"]
    [issue] = verdict["messages"]
    assert (issue["line"], issue["reason"]) == (2, "attribute")
    assert "altitude" in issue["message"]
    status, verdict = check("import os")
    assert [issue["reason"] for issue in verdict["messages"]] == ["import"]
    status, verdict = check(good, session=99)
    assert (status, "99" in verdict["detail"]) == (502, True)


def test_a_reward_cannot_be_checked_where_nothing_is_trained(services, client):
    services.sessions = []
    answer = eventually(
        lambda: (
            (a := client.post("/api/v1/rewards/check", json={"source": "x"})).status_code == 409
            and a
        )
    )
    assert "no task" in answer.json()["detail"]


def test_a_page_hears_status_metrics_events_and_fleet(services, url):
    with open_socket(url) as socket:
        assert hear(socket, "status", lambda m: m["status"]["state"] == "training")
        assert hear(socket, "fleet", lambda m: m["workers"])["workers"][0]["worker_id"] == 1
        services.records = [make_metrics(1), make_state(2, "paused")]
        [point] = hear(socket, "metrics")["points"]
        assert (point["env_steps"], point["values"]["return_mean"]) == (1000, 10.0)
        assert hear(socket, "event")["event"]["title"] == "paused"


def test_a_pause_is_on_the_page_at_once(url, client):
    with open_socket(url) as socket:
        hear(socket, "status")
        client.post("/api/v1/run/commands", json={"kind": "pause"})
        assert hear(socket, "status", lambda m: m["status"]["state"] == "paused")


def test_a_pause_is_on_the_page_before_the_records_are_read(services, url, client):
    with open_socket(url) as socket:
        hear(socket, "status", lambda message: message["status"]["state"] == "training")
        services.tells_records.clear()
        client.post("/api/v1/run/commands", json={"kind": "pause"})
        hear(socket, "status", lambda message: message["status"]["state"] == "paused")
        assert not services.tells_records.is_set()
        services.tells_records.set()


def test_services_that_come_back_are_found_by_themselves(services, url):
    with open_socket(url) as socket:
        hear(socket, "status", lambda m: m["status"]["learner_error"] is None)
        services.stop("learner")
        services.stop("orchestrator")
        gone = hear(socket, "status", lambda m: m["status"]["state"] == "disconnected")["status"]
        assert gone["learner_error"]
        services.start("learner")
        services.start("orchestrator")
        back = hear(
            socket,
            "status",
            lambda m: not (m["status"]["learner_error"] or m["status"]["orchestrator_error"]),
        )
        assert back["status"]["state"] == "training"


@dataclass
class Hangs:
    """Services that take a request and never answer."""

    listener: socket.socket

    def url(self, name):
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"


def test_services_that_hang_do_not_silence_the_dashboard(tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        serve_dashboard(Hangs(listener), tmp_path) as address,
        open_socket(address) as page,
    ):
        heard_s = []
        for _ in range(5):
            hear(page, "status")
            heard_s.append(time.monotonic())
    assert max(np.diff(heard_s)) < 3.0


def test_what_is_not_understood_is_said_and_changes_nothing(url):
    with open_socket(url) as socket:
        for bad in (
            "not json",
            '{"type": "dance"}',
            '{"type": "ack"}',
            '{"type": "ack", "seq": -1}',
            '{"type": "subscribe", "figures": {"session": 1, "max_hz": 1e9}, "pose": null}',
            b"\x00\xff",
            "[" * 5000,
        ):
            socket.send(bad)
            assert hear(socket, "error")["message"]
        socket.send('{"type": "ack", "seq": 4000000000}')
        assert hear(socket, "status")


def test_while_nobody_looks_little_is_asked(services, client):
    eventually(lambda: "/v1/workers" in services.paths)
    time.sleep(0.5)
    services.paths.clear()
    time.sleep(3.0)
    assert services.paths.count("/v1/workers") <= 1
    assert services.paths.count("/v1/run") <= 4


def test_the_page_and_its_files_come_out_of_the_package(services, tmp_path):
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<!doctype html><title>websim</title>")
    (page / "assets" / "main-1a2b.js").write_text("export {};")
    (tmp_path / "secret").write_text("not for pages")
    with serve_dashboard(services, tmp_path, page=page) as address, open_client(address) as client:
        answer = client.get("/")
        assert answer.headers["content-type"].startswith("text/html")
        assert answer.headers["cache-control"] == "no-cache"
        script = client.get("/assets/main-1a2b.js")
        assert script.headers["content-type"].startswith("text/javascript")
        assert "immutable" in script.headers["cache-control"]
        for outside in ("/../secret", "/assets/../../secret", "/%2e%2e/secret", "/..%2fsecret"):
            assert client.get(outside).status_code == 404


def test_without_its_page_it_says_how_to_build_it(client):
    answer = client.get("/")
    assert answer.status_code == 503
    assert "make setup" in answer.text
    assert client.get("/api/v1/status").status_code == 200


def test_metrics_are_counted(url, client):
    with open_socket(url) as socket:
        hear(socket, "status")
        text = client.get("/metrics").text
    assert "websim_dashboard_viewers 1.0" in text
    assert 'websim_dashboard_upstream_requests_total{outcome="answered",upstream="learner"}' in text


def test_the_api_describes_itself(client):
    document = client.get("/openapi.json").json()
    assert "/api/v1/status" in document["paths"]
    assert "Status" in document["components"]["schemas"]
    json.dumps(document)
