"""HTTP for people on a fleet whose worker is gone: an answer in words, and room for the next."""

import json
import threading
import time
import urllib.error
import urllib.request
from types import SimpleNamespace

import pytest
from scripted_fleet import make_fleet

from websim.service.http import make_app, serve_http
from websim.service.shutdown import Shutdown
from websim.wire import lifecycle
from websim_orchestrator.api import _view_workers, add_fleet_routes
from websim_orchestrator.runtime import Runtime


@pytest.fixture
def orphaned(monkeypatch):
    """The HTTP of an orchestrator with a session that no worker steps any more."""
    monkeypatch.setattr(lifecycle, "PERSON_DEADLINE_S", 0.3)
    fleet = make_fleet(workers=1, num_envs=32)
    # Its times are those of the runtime's clock.
    fleet.now_s = time.monotonic()
    fleet.kill("a")
    runtime = Runtime(fleet.brain, "127.0.0.1", 0, 0, 0)
    app = make_app("orchestrator", "0")
    add_fleet_routes(app, runtime)
    server = serve_http(app, "127.0.0.1", 0)
    shutdown = Shutdown()
    thread = threading.Thread(target=runtime.run, args=[shutdown])
    thread.start()
    yield SimpleNamespace(url=f"{server.url}/v1/sessions/1/envs/3/reset", runtime=runtime)
    shutdown.request("the test is over")
    thread.join()
    server.stop()


def post(url):
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=10) as told:
            return told.status, json.load(told)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def test_a_lone_worker_that_is_silent_was_not_heard_just_now():
    fleet = make_fleet(workers=1, num_envs=32)
    fleet.tick(0.75)
    [worker] = _view_workers(fleet.brain)
    assert worker.last_seen_s_ago == 0.75


def test_a_reset_without_a_worker_is_504_in_words_and_gives_its_place_back(orphaned):
    status, answer = post(orphaned.url)

    assert (status, answer["detail"]) == (
        504,
        "no sim worker has environment 3 just now: it is not reset",
    )
    assert orphaned.runtime._questions == {}
