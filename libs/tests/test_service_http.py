import socket
import time
import urllib.error
import urllib.request
from typing import Annotated

import pytest
from fastapi import Body
from prometheus_client import CollectorRegistry

from websim.service import metrics as metrics_module
from websim.service.errors import UserError
from websim.service.http import Pulse, add_health, make_app, serve_http
from websim.service.metrics import Metric, Reading, make_registry


def make_health_app(*, alive=lambda: True, ready=lambda: None, registry=None):
    app = make_app("kettle", "1.0")
    add_health(app, alive=alive, ready=ready, registry=registry or CollectorRegistry())
    return app


def get(url, headers=None, data=None):
    """Return (status, text)."""
    request = urllib.request.Request(url, headers=headers or {}, data=data)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def serve():
    servers = []

    def start(app, port=0):
        servers.append(serve_http(app, "127.0.0.1", port))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def test_health_and_readiness(serve):
    reason = ["no worker has registered"]
    server = serve(make_health_app(ready=lambda: reason[0]))

    assert get(f"{server.url}/healthz") == (200, "ok\n")
    assert get(f"{server.url}/readyz") == (503, "no worker has registered\n")
    reason[0] = None
    assert get(f"{server.url}/readyz") == (200, "ready\n")


def test_a_loop_that_does_not_turn_is_not_alive(serve):
    pulse = Pulse(within_s=0.05)
    server = serve(make_health_app(alive=pulse.alive))
    time.sleep(0.1)
    assert get(f"{server.url}/healthz")[0] == 503
    pulse.beat()
    assert pulse.alive()


def test_metrics_are_read_at_scrape_time(serve, monkeypatch):
    table = (
        *metrics_module.METRICS,
        Metric("websim_kettle_cups_total", "counter", "Cups boiled.", ("tea",)),
        Metric("websim_kettle_temperature_celsius", "gauge", "Of the water."),
    )
    monkeypatch.setattr(metrics_module, "METRICS", table)
    state = {"cups": 1.0}
    registry = make_registry(
        "kettle",
        "1.0",
        lambda: [
            Reading("websim_kettle_cups_total", state["cups"], ("green",)),
            Reading("websim_kettle_temperature_celsius", 98.5),
        ],
    )
    server = serve(make_health_app(registry=registry))

    first = get(f"{server.url}/metrics")[1]
    state["cups"] = 5.0
    second = get(f"{server.url}/metrics")[1]

    assert 'websim_kettle_cups_total{tea="green"} 1.0' in first
    assert 'websim_kettle_cups_total{tea="green"} 5.0' in second
    assert "websim_kettle_temperature_celsius 98.5" in second
    assert 'websim_service_info{service="kettle",version="1.0"} 1.0' in second


def test_a_reading_outside_the_table_is_a_defect():
    registry = make_registry("kettle", "1.0", lambda: [Reading("websim_kettle_spoons", 1.0)])

    with pytest.raises(ValueError, match="websim_kettle_spoons"):
        list(registry.collect())


def test_only_loopback_host_headers_are_served(serve):
    server = serve(make_health_app())

    assert get(f"{server.url}/healthz", {"Host": "evil.example"})[0] == 400
    assert get(f"{server.url}/healthz", {"Host": "localhost:1"})[0] == 200


def test_large_bodies_are_refused(serve):
    app = make_health_app()

    @app.post("/order")
    def order(cups: list[int]) -> int:
        return sum(cups)

    server = serve(app)
    json_type = {"Content-Type": "application/json"}
    assert get(f"{server.url}/order", json_type, b"[1, 2]") == (200, "3")

    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        # Announced, not sent: who sends on may lose the answer to the server's closing.
        head = f"POST /order HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: {2**21}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 413")


def test_no_part_of_an_answer_waits_for_the_one_before_to_be_acknowledged(serve):
    server = serve(make_health_app())
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        [near] = server._server.server_state.connections
        own = near.transport.get_extra_info("socket")
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


def test_a_taken_port_names_the_flag(serve):
    taken = serve(make_health_app())
    port = int(taken.url.rsplit(":", 1)[1])

    with pytest.raises(UserError, match=rf"127.0.0.1:{port}: address already in use.*--http-port"):
        serve_http(make_health_app(), "127.0.0.1", port)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com"])
def test_listening_beyond_loopback_is_refused(host):
    with pytest.raises(UserError, match="not a loopback address"):
        serve_http(make_health_app(), host, 0)


def test_the_port_is_free_after_stop(serve):
    server = serve(make_health_app())
    port = int(server.url.rsplit(":", 1)[1])
    server.stop()
    server.stop()

    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    serve(make_health_app(), port)


def test_a_body_of_nan_is_refused_in_words(serve):
    app = make_app("kettle", "1.0")

    @app.post("/v1/fill")
    def fill(litres: Annotated[float, Body(ge=0.0, allow_inf_nan=False)]) -> float:
        return litres

    headers = {"Content-Type": "application/json"}
    url = f"{serve(app).url}/v1/fill"
    for said in (b"NaN", b"-Infinity", b"1e999"):
        status, text = get(url, headers, said)
        assert status == 422
        assert "finite" in text or "greater than" in text
    assert get(url, headers, b"1.5") == (200, "1.5")
