"""A dashboard served in this process, and a browser's side of its WebSocket."""

import contextlib
import json
import time
from pathlib import Path

import httpx2
from websockets.sync.client import connect

from websim.service.http import serve_http
from websim_dashboard.access import Guard, SessionCheck
from websim_dashboard.history import History
from websim_dashboard.service import Service
from websim_dashboard.upstream import Upstream

DEADLINE_S = 20.0


@contextlib.contextmanager
def serve_dashboard(
    services,
    place: Path,
    *,
    token_file=None,
    page=None,
    telemetry="tcp://127.0.0.1:9",
    reward_gen=None,
):
    history = History(place / "history.sqlite", keep_days=30.0, keep_points=10_000)
    service = Service(
        Upstream("learner", services.url("learner")),
        Upstream("orchestrator", services.url("orchestrator")),
        history,
        telemetry,
        None,
        "0",
        page or place / "no-page",
        None if reward_gen is None else Upstream("reward-gen", reward_gen),
    )
    server = serve_http(service.app, "127.0.0.1", 0, token_file, SessionCheck, Guard)
    try:
        yield server.url
    finally:
        server.stop()
        history.close()


def open_client(url, **options):
    return httpx2.Client(base_url=url, timeout=DEADLINE_S, trust_env=False, **options)


def open_socket(url, **options):
    return connect(url.replace("http", "ws") + "/api/v1/live", proxy=None, **options)


def hear(socket, kind, wanted=lambda message: True):
    """Return the next JSON message of a type that is wanted."""
    give_up_s = time.monotonic() + DEADLINE_S
    while time.monotonic() < give_up_s:
        data = socket.recv(timeout=DEADLINE_S)
        if isinstance(data, str):
            message = json.loads(data)
            if message["type"] == kind and wanted(message):
                return message
    raise AssertionError(f"no {kind} in {DEADLINE_S} s")


def eventually(check):
    give_up_s = time.monotonic() + DEADLINE_S
    while not (found := check()):
        assert time.monotonic() < give_up_s, "it did not come about"
        time.sleep(0.05)
    return found
