"""Peers that are broken, hostile, of another version or absent: a reason, never an end."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import zmq

from websim.wire.codec import Decoder, encode
from websim.wire.messages import AnyMessage, OpenSession, Refused, Step, WorkerHello


@pytest.fixture
def dial() -> Iterator[Callable[[str], "zmq.Socket[bytes]"]]:
    context = zmq.Context()
    sockets = []

    def connect(address: str) -> "zmq.Socket[bytes]":
        socket = context.socket(zmq.DEALER)
        socket.set(zmq.LINGER, 0)
        socket.set(zmq.SNDTIMEO, 5000)  # who is refused has no queue any more
        socket.connect(address)
        sockets.append(socket)
        return socket

    yield connect
    for socket in sockets:
        socket.close()
    context.term()


def answer(socket: "zmq.Socket[bytes]") -> object:
    assert socket.poll(5000), "no answer within 5 s"
    return Decoder(AnyMessage).decode(socket.recv_multipart()).message


def metric(fleet, name: str) -> float:
    with urllib.request.urlopen(f"{fleet.http_url}/metrics", timeout=10) as response:
        for line in response.read().decode().splitlines():
            if line.startswith(name):
                return float(line.split()[-1])
    raise AssertionError(f"no metric {name}")


def test_junk_is_answered_with_the_reason_counted_and_harmless(fleet, dial, make_env):
    socket = dial(fleet.client_address)
    before = metric(fleet, 'websim_orchestrator_broken_messages_total{reason="malformed"}')
    rng = np.random.default_rng(0)
    for _ in range(50):
        socket.send_multipart([rng.bytes(40), rng.bytes(10)])
    refusal = answer(socket)
    assert isinstance(refusal, Refused)
    assert refusal.code == "broken_malformed"
    env = make_env(num_envs=32)
    env.reset()
    env.step(np.zeros((32, 6), np.float32))
    after = metric(fleet, 'websim_orchestrator_broken_messages_total{reason="malformed"}')
    assert after == before + 50


def test_a_client_that_speaks_out_of_turn_is_refused_in_words(fleet, dial):
    socket = dial(fleet.client_address)
    socket.send_multipart(encode(Step(session=77, shard=0, t=1)))
    refusal = answer(socket)
    assert (refusal.code, refusal.session) == ("unknown_session", 77)
    socket.send_multipart(encode(OpenSession(request=5, task="Nope-v1", num_envs=4, seed=0)))
    refusal = answer(socket)
    assert (refusal.code, refusal.request) == ("task_refused", 5)


def test_a_peer_of_another_version_is_told_both_versions(fleet, dial):
    with urllib.request.urlopen(f"{fleet.http_url}/v1/workers", timeout=10) as response:
        count = len(json.loads(response.read()))
    socket = dial(fleet.client_address)
    hello = encode(WorkerHello(instance="x", pid=1, host="h"))
    socket.send_multipart([b"WS\x63" + hello[0][3:]])
    refusal = answer(socket)
    assert refusal.code == "broken_version"
    assert "protocol version 99 is not supported" in refusal.message
    with urllib.request.urlopen(f"{fleet.http_url}/v1/workers", timeout=10) as response:
        assert len(json.loads(response.read())) == count


def run_worker(address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "websim_sim_worker", "--orchestrator", address, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_a_worker_that_meets_another_version_stops_with_one_line():
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        router.set(zmq.LINGER, 0)
        port = router.bind_to_random_port("tcp://127.0.0.1")
        command = [sys.executable, "-m", "websim_sim_worker"]
        command += ["--orchestrator", f"tcp://127.0.0.1:{port}"]
        worker = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert router.poll(15_000)
        identity, *_ = router.recv_multipart()
        router.send_multipart([identity, b"WS\x63\x80"])
        _, stderr = worker.communicate(timeout=15)
    assert worker.returncode == 2
    errors = [line for line in stderr.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "protocol version 99 is not supported" in errors[0]
    assert "Traceback" not in stderr


def test_a_worker_without_an_orchestrator_says_so_and_stops():
    done = run_worker("tcp://127.0.0.1:1", "--connect-deadline-s", "1")
    assert done.returncode == 2
    assert "error: no orchestrator answers at tcp://127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nthread", "0"], "--nthread 0"),
        (["--nonsense"], "unknown argument --nonsense"),
        (["--http-host", "0.0.0.0"], "not a loopback address"),
    ],
)
def test_a_workers_bad_settings_are_one_line(arguments, words):
    done = run_worker("tcp://127.0.0.1:1", *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_taken_port_is_named_with_the_flag_to_change():
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        command = [sys.executable, "-m", "websim_orchestrator", "--http-port", "0"]
        command += ["--worker-port", str(port), "--client-port", "0", "--telemetry-port", "0"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr
    assert "--worker-port" in done.stderr
    assert "Traceback" not in done.stderr
