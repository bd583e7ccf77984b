"""The learner's HTTP, against a run that a test holds still."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import get_args

import httpx2
import msgspec
import pytest
from fastapi.testclient import TestClient

from websim.service.errors import UserError
from websim.service.http import add_health, make_app, serve_http
from websim.service.metrics import METRICS, make_registry
from websim_learner.api import add_run_routes
from websim_learner.clock import SPLIT_UPDATES, RunClock
from websim_learner.control import MAX_PENDING, Applied, Control, TakesEffectLater
from websim_learner.records import (
    RECORDS_PER_LIFE,
    AdaptationEvent,
    AdaptationRecord,
    EvaluationRecord,
    EventStream,
    JournalEntry,
    MetricsRecord,
    StateRecord,
    WarningRecord,
)
from websim_learner.reporting import EVALUATION_GAUGES, GAUGES, Reporter
from websim_learner.run_dir import RunDir
from websim_learner.status import RunStatus, TimeSplit

STATUS = RunStatus(
    run_id="r1",
    task="Toy-v0",
    algo="ppo",
    seed=1,
    num_envs=24,
    state="running",
    update=3,
    env_steps=576,
    total_steps=1000,
    wall_s=1.0,
    steps_per_s=576.0,
    reward_id="task",
    branches=1,
    time_split=TimeSplit(physics=0.5, inference=0.25, update=0.25),
    fleet="",
    run_dir="runs/r1",
)


class Service:
    """The application, and a thread that applies commands like a trainer would."""

    def __init__(self):
        self.control, self.stream = Control(), EventStream(0)
        self.refuse = None
        app = make_app("learner", "0")
        add_run_routes(app, lambda: STATUS, self.control, self.stream)
        self.http = TestClient(app, base_url="http://127.0.0.1")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._apply, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._over.set()
        self._thread.join()

    def _apply(self):
        while not self._over.is_set():
            if (pending := self.control.take(0.02)) is None:
                continue
            if self.refuse:
                pending.answer.set_exception(self.refuse)
            else:
                kind = pending.command.kind
                pending.answer.set_result(Applied(kind=kind, update=4, env_steps=768))


@pytest.fixture
def service():
    with Service() as made:
        yield made


def post(service, **command):
    return service.http.post("/v1/run/commands", json=command)


def test_the_status_is_told(service):
    answer = service.http.get("/v1/run").json()
    assert (answer["run_id"], answer["state"], answer["env_steps"]) == ("r1", "running", 576)
    assert answer["time_split"] == {
        "physics": 0.5,
        "inference": 0.25,
        "update": 0.25,
        "evaluation": 0.0,
    }
    assert answer["return_mean"] is None


@pytest.mark.parametrize("kind", ["pause", "resume", "stop", "checkpoint"])
def test_a_command_is_answered_with_the_update_at_which_it_took_effect(service, kind):
    answer = post(service, kind=kind)
    assert answer.status_code == 200
    assert answer.json() == {"kind": kind, "update": 4, "env_steps": 768, "detail": ""}


def test_a_reward_is_passed_on(service):
    assert post(service, kind="set_reward", source=None).status_code == 200
    assert post(service, kind="set_reward", source="def ...").status_code == 200


@pytest.mark.parametrize(
    "command",
    [
        {},
        {"kind": "explode"},
        {"kind": "pause", "why": "x"},
        {"kind": "set_reward"},
        {"kind": "set_reward", "source": 3},
        {"kind": "set_reward", "source": None, "branch": "first"},
    ],
)
def test_a_malformed_command_is_refused(service, command):
    assert post(service, **command).status_code == 422


def test_a_refusal_is_told_with_its_reason(service):
    service.refuse = UserError("the reward program is refused: line 1")
    answer = post(service, kind="set_reward", source="x")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the reward program is refused: line 1"


def test_a_command_that_takes_effect_later_is_no_refusal(service):
    service.refuse = TakesEffectLater("the fleet failed", "it is journaled")
    answer = post(service, kind="set_knobs", knobs={"mass": 1.0})
    assert answer.status_code == 504
    assert answer.json()["detail"] == "the fleet failed. It is journaled"


def test_a_run_that_is_over_takes_no_commands(service):
    service.control.close()
    assert post(service, kind="pause").status_code == 409


def test_commands_that_wait_when_the_run_ends_are_answered():
    control = Control()
    service = Service.__new__(Service)
    app = make_app("learner", "0")
    add_run_routes(app, lambda: STATUS, control, EventStream(0))
    service.http = TestClient(app, base_url="http://127.0.0.1")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(post, service, kind="stop")
        while control._queue.empty():
            pass
        control.close()
        assert waiting.result().status_code == 409


def test_too_many_waiting_commands_are_refused():
    control = Control()
    app = make_app("learner", "0")
    add_run_routes(app, lambda: STATUS, control, EventStream(0))
    for _ in range(MAX_PENDING):
        control._queue.put(None)
    http = TestClient(app, base_url="http://127.0.0.1")
    assert http.post("/v1/run/commands", json={"kind": "pause"}).status_code == 503


def test_health_is_told_however_many_commands_wait_for_a_long_update():
    """More senders than the server has threads; the trainer sets their commands aside."""
    app, control, aside = make_app("learner", "0"), Control(), []
    add_run_routes(app, lambda: STATUS, control, EventStream(0))
    registry = make_registry("learner", "0", lambda: iter(()))
    add_health(app, alive=lambda: True, ready=lambda: None, registry=registry)
    server = serve_http(app, "127.0.0.1", 0)
    url, senders = f"{server.url}/v1/run/commands", 3 * MAX_PENDING

    def send(_):
        return httpx2.post(url, json={"kind": "checkpoint"}, timeout=20.0).status_code

    try:
        with ThreadPoolExecutor(senders) as pool:
            sent = [pool.submit(send, n) for n in range(senders)]
            while len(aside) < MAX_PENDING or sum(map(Future.done, sent)) < senders - MAX_PENDING:
                if (pending := control.take(0.02)) is not None:
                    aside.append(pending)
                assert httpx2.get(f"{server.url}/healthz", timeout=20.0).status_code == 200
            for pending in aside:
                pending.answer.set_result(Applied(kind="checkpoint", update=4, env_steps=768))
        assert Counter(each.result() for each in sent) == {200: 16, 503: 32}
    finally:
        server.stop()


def test_a_command_that_must_wait_too_long_says_so(monkeypatch):
    monkeypatch.setattr("websim_learner.api.COMMAND_DEADLINE_S", 0.01)
    app = make_app("learner", "0")
    add_run_routes(app, lambda: STATUS, Control(), EventStream(0))
    http = TestClient(app, base_url="http://127.0.0.1")
    assert http.post("/v1/run/commands", json={"kind": "pause"}).status_code == 504


def test_events_are_told_from_where_a_reader_left_off(service):
    for k in range(5):
        service.stream.publish(WarningRecord(update=k, env_steps=0, message=str(k)))
    first = service.http.get("/v1/events?after=0&limit=2").json()
    assert [(e["n"], e["kind"], e["message"]) for e in first] == [
        (1, "warning", "0"),
        (2, "warning", "1"),
    ]
    rest = service.http.get("/v1/events?after=2").json()
    assert [event["n"] for event in rest] == [3, 4, 5]
    assert service.http.get("/v1/events?after=5").json() == []
    assert service.http.get("/v1/events?after=-1").status_code == 422


def test_numbers_grow_over_the_lives_of_a_run():
    stream = EventStream(2)
    record = stream.publish(StateRecord(update=0, env_steps=0, state="running"))
    assert record.n == 2 * RECORDS_PER_LIFE + 1
    assert stream.after(5, 10) == [record]


def test_a_run_that_is_over_waits_for_who_reads_its_records():
    stream = EventStream(0)
    stream.publish(WarningRecord(update=0, env_steps=0, message=""))
    began_s = time.monotonic()
    stream.await_readers()
    assert time.monotonic() - began_s < 1.0

    stream.note_reader("page", 0)
    waiting = threading.Thread(target=stream.await_readers, args=(60.0,))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive()
    stream.note_reader("page", 1)
    waiting.join(10.0)
    assert not waiting.is_alive()


def test_a_reader_that_has_left_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("websim_learner.records.READER_LEFT_S", 0.0)
    stream = EventStream(0)
    stream.note_reader("page", 0)
    stream.publish(WarningRecord(update=0, env_steps=0, message=""))
    time.sleep(0.01)
    began_s = time.monotonic()
    stream.await_readers(60.0)
    assert time.monotonic() - began_s < 30.0


def test_an_evaluations_time_is_kept_apart_from_training():
    clock = RunClock()
    clock.run()
    before_s = clock.wall_s
    with clock.evaluating():
        time.sleep(0.05)
    assert clock.phases["evaluation"] >= 0.05
    assert clock.wall_s - before_s < clock.phases["evaluation"]
    assert clock.phases["physics"] == 0.0


def test_the_split_of_the_time_is_that_of_the_last_updates_and_begins_anew_with_what_it_hangs_on():
    clock = RunClock()
    clock.phases["physics"] = 100.0
    assert clock.recent_phases["physics"] == 100.0
    for update in range(1, SPLIT_UPDATES + 2):
        clock.note_steps(update)
        clock.phases["update"] += 1.0
    assert clock.recent_phases["physics"] == 0.0
    assert clock.recent_phases["update"] == SPLIT_UPDATES + 1.0
    clock.measure_anew()
    assert clock.recent_phases["update"] == 1.0
    clock.note_steps(99)
    clock.phases["inference"] += 3.0
    assert clock.recent_phases == {
        "physics": 0.0, "inference": 3.0, "update": 1.0, "evaluation": 0.0,
    }  # fmt: skip


def test_the_stream_is_bounded(monkeypatch):
    monkeypatch.setattr("websim_learner.records.MAX_RECORDS", 3)
    stream = EventStream(0)
    for k in range(10):
        stream.publish(WarningRecord(update=k, env_steps=0, message=""))
    assert [record.n for record in stream.after(0, 100)] == [8, 9, 10]
    assert [record.n for record in stream.after(9, 100)] == [10]


def test_the_interface_is_described_with_its_records(service):
    document = service.http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {"MetricsRecord", "CommandRecord", "RunStatus", "Applied"} <= set(schemas)
    assert json.dumps(document).count("#/components/schemas/MetricsRecord") >= 1


def make_metrics(**overrides):
    numbers = {
        name: 1
        for name, hint in MetricsRecord.__annotations__.items()
        if name not in ("reward_id", "kind", "component_shares")
    }
    return MetricsRecord(
        **{**numbers, "update": 1, "env_steps": 10, "reward_id": "task", **overrides}
    )


def test_every_reading_has_its_row_in_the_table(tmp_path):
    reporter = Reporter(RunDir(tmp_path), EventStream(0), RunClock())
    before = list(reporter.readings())
    reporter.publish(make_metrics(return_mean=None, success_mean=None))
    after = list(reporter.readings())
    known = {metric.name: len(metric.labels) for metric in METRICS}
    assert all(len(reading.labels) == known[reading.name] for reading in [*before, *after])
    names = {reading.name for reading in after}
    assert "websim_learner_kl_nats" in names
    assert "websim_learner_episode_return" not in names  # not known yet: no sample, not 0
    ours = {m.name for m in METRICS if m.name.startswith("websim_learner_")}
    possible = names | {f"websim_learner_{value}" for value in GAUGES.values()}
    possible |= {f"websim_learner_evaluation_{value}" for value in EVALUATION_GAUGES.values()}
    assert ours == possible


def test_an_evaluation_is_read_as_far_as_it_is_known(tmp_path):
    reporter = Reporter(RunDir(tmp_path), EventStream(0), RunClock())

    def read():
        start = "websim_learner_evaluation_"
        told = {each.name: each.value for each in reporter.readings()}
        return {k.removeprefix(start): v for k, v in told.items() if k.startswith(start)}

    assert read() == {}
    plain = EvaluationRecord(
        update=4, env_steps=40, branch=0, episodes=5, return_mean=12.0, return_std=1.0,
        length_mean=30.0, fitness_mean=2.5, success_mean=None,
    )  # fmt: skip
    reporter.publish(plain)
    assert read() == {"return": 12.0, "fitness": 2.5}
    more = {
        "reward_return_mean": 7.0,
        "fitness_slope_per_million": 3.0,
        "fitness_slope_low_per_million": 1.0,
        "fitness_slope_high_per_million": 5.0,
        "reward_fitness_correlation": -0.5,
    }
    reporter.publish(msgspec.structs.replace(plain, **more))
    assert read() == {
        "return": 12.0,
        "fitness": 2.5,
        "reward_return": 7.0,
        "fitness_slope_per_million_steps": 3.0,
        "fitness_slope_low_per_million_steps": 1.0,
        "fitness_slope_high_per_million_steps": 5.0,
        "reward_fitness_correlation": -0.5,
    }


def test_adaptation_events_are_counted_from_0(tmp_path):
    reporter = Reporter(RunDir(tmp_path), EventStream(0), RunClock())

    def counted():
        name = "websim_learner_adaptation_events_total"
        return {each.labels[0]: each.value for each in reporter.readings() if each.name == name}

    assert counted() == dict.fromkeys(get_args(AdaptationEvent), 0)
    reporter.publish(
        AdaptationRecord(update=1, env_steps=10, adaptation=1, event="adopted", message="")
    )
    assert {event for event, count in counted().items() if count} == {"adopted"}


def test_metrics_rows_and_journal_entries_are_plain_json(tmp_path):
    run_dir = RunDir(tmp_path)
    run_dir.append_metrics(make_metrics(explained_variance=float("nan"), n=7))
    row = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert (row["kind"], row["n"], row["explained_variance"]) == ("metrics", 7, None)
    encoded = msgspec.json.encode(JournalEntry(n=1, update=0, kind="start"))
    assert json.loads(encoded) == {"n": 1, "update": 0, "kind": "start"}


def test_a_command_of_nan_is_refused_and_told_why(service):
    for body in (b'{"kind": "set_reward", "source": NaN}', b"NaN", b'{"kind": Infinity}'):
        answer = service.http.post(
            "/v1/run/commands", content=body, headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 422
        assert "NaN" not in answer.text
