"""A fleet with keys, with real processes: who gets in, who does not, and what either is told."""

import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import numpy as np
import pytest
import zmq

from websim.client import FleetTimeout, FleetUnavailable, make_vec
from websim.client import session as session_module
from websim.client.session import FleetSession
from websim.local.fleet import ORCHESTRATOR, LocalFleet
from websim.local.keys import make_key_set
from websim.service.errors import UserError
from websim.service.ready import read_ready
from websim.wire import lifecycle
from websim.wire.codec import encode
from websim.wire.messages import OpenSession
from websim_orchestrator.__main__ import run as run_orchestrator
from websim_sim_worker.__main__ import run as run_worker

TASK = "InvertedPendulum-v5"
SHOWN = ("cmdline", "environ")
"""What other processes may see of one."""
DEADLINE_S = 30.0
"""For what a busy machine takes a second or two for."""


@pytest.fixture(scope="module")
def keys(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("ours") / "keys"
    make_key_set(directory)
    return directory


@pytest.fixture(scope="module")
def other_keys(tmp_path_factory) -> Path:
    directory = tmp_path_factory.mktemp("theirs") / "keys"
    make_key_set(directory)
    return directory


@pytest.fixture(scope="module")
def log_dir(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def guarded(keys, log_dir) -> Iterator[LocalFleet]:
    with LocalFleet(1, keys=keys, log_dir=log_dir) as running:
        yield running


def part(to: Path, **sources: Path) -> Path:
    """Make a host's part of a key set, with the files taken from wherever."""
    to.mkdir()
    for name, source in sources.items():
        shutil.copy(source, to / name.replace("__", "."))
    return to


def readings(http_url: str, name: str) -> dict[str, float]:
    """Return a metric's samples by their labels."""
    with urllib.request.urlopen(f"{http_url}/metrics", timeout=10) as response:
        lines = response.read().decode().splitlines()
    return {
        line.split()[0].removeprefix(name): float(line.split()[1])
        for line in lines
        if line.startswith(name)
    }


def refused(fleet: LocalFleet, which: str, reason: str) -> float:
    samples = readings(fleet.http_url, "websim_orchestrator_refused_peers_total")
    return samples[f'{{reason="{reason}",socket="{which}"}}']


def strangers(fleet: LocalFleet) -> float:
    """Return how many connections to the clients' socket were refused for want of keys."""
    return refused(fleet, "clients", "protocol") + refused(fleet, "clients", "broken_off")


def worker_address(fleet: LocalFleet) -> str:
    return fleet.supervisor.facts(ORCHESTRATOR)["worker_address"]


def test_who_has_keys_steps_the_same_environments(guarded, fleet, keys):
    observations = []
    for address, mine in ((guarded.client_address, keys), (fleet.client_address, None)):
        env = make_vec(TASK, 40, seed=3, fleet=address, keys=mine)
        env.reset()
        observations.append([env.step(np.full((40, 1), 0.1, np.float32))[0] for _ in range(5)])
        env.close()
    np.testing.assert_array_equal(*observations)


def test_a_client_without_keys_is_told_that_it_needs_some(guarded):
    began_s = time.monotonic()
    with pytest.raises(FleetUnavailable, match=r"wants keys.*--keys DIR"):
        make_vec(TASK, 8, fleet=guarded.client_address)
    assert time.monotonic() - began_s < lifecycle.CONNECT_DEADLINE_S + DEADLINE_S


def test_a_client_whose_key_is_not_admitted_is_told_and_counted(
    guarded, keys, other_keys, tmp_path
):
    mine = part(
        tmp_path / "mine",
        server__key=keys / "server.key",
        client__key_secret=other_keys / "client.key_secret",
    )
    before = refused(guarded, "clients", "key")
    with pytest.raises(FleetUnavailable, match=r"not let us in.*where the orchestrator admits"):
        make_vec(TASK, 8, fleet=guarded.client_address, keys=mine)
    assert refused(guarded, "clients", "key") == before + 1


def test_a_workers_key_does_not_open_the_clients_door(guarded, keys, tmp_path):
    mine = part(
        tmp_path / "mine",
        server__key=keys / "server.key",
        client__key_secret=keys / "worker.key_secret",
    )
    with pytest.raises(FleetUnavailable, match=r"does not let us in"):
        make_vec(TASK, 8, fleet=guarded.client_address, keys=mine)


def test_an_orchestrator_with_another_key_is_not_believed(guarded, other_keys):
    before = refused(guarded, "clients", "protocol")
    with pytest.raises(FleetUnavailable, match=r"server.key is not its public key"):
        make_vec(TASK, 8, fleet=guarded.client_address, keys=other_keys)
    assert refused(guarded, "clients", "protocol") > before


def test_keys_where_the_orchestrator_has_none_are_told(fleet, keys):
    with pytest.raises(FleetUnavailable, match=r"has no keys"):
        make_vec(TASK, 8, fleet=fleet.client_address, keys=keys)


def test_a_part_that_is_missing_is_named_before_anything_starts(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the key .*server.key") as caught:
        run_worker(["--keys", str(tmp_path)])
    assert caught.value.exit_code == 2


def test_workers_that_are_not_let_in_stop_and_say_why(guarded, keys, tmp_path):
    clients_key = part(
        tmp_path / "mine",
        server__key=keys / "server.key",
        worker__key_secret=keys / "client.key_secret",
    )
    command = [sys.executable, "-m", "websim_sim_worker", "--orchestrator", worker_address(guarded)]
    command += ["--connect-deadline-s", "3"]
    cases = [([], "it wants keys"), (["--keys", str(clients_key)], "where the orchestrator admits")]
    before = readings(guarded.http_url, "websim_orchestrator_workers")
    with ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen([*command, *more], stderr=subprocess.PIPE, text=True)
            )
            for more, _ in cases
        ]
        for worker, (_, words) in zip(workers, cases, strict=True):
            _, stderr = worker.communicate(timeout=DEADLINE_S)
            assert worker.returncode == 2
            error = next(line for line in stderr.splitlines() if line.startswith("error:"))
            assert words in error.lower()
            assert "Traceback" not in stderr
    assert refused(guarded, "workers", "key") >= 1
    assert readings(guarded.http_url, "websim_orchestrator_workers") == before


def flood(context: "zmq.Context[zmq.Socket[bytes]]", address: str, stack: ExitStack) -> None:
    """Send 500 requests without keys, whatever becomes of the connection.

    Where the refused side sees first that they do not fit, ZeroMQ takes its queue away for good: a
    send that waits would wait for ever. Who has no queue any more comes back as another.
    """
    request = encode(OpenSession(request=1, task=TASK, num_envs=8, seed=0))
    left = 500
    while left:
        dealer = stack.enter_context(context.socket(zmq.DEALER))
        dealer.set(zmq.LINGER, 0)
        dealer.connect(address)
        with suppress(zmq.Again):
            while left:
                dealer.send_multipart(request, zmq.NOBLOCK)
                left -= 1


def test_a_flood_of_strangers_never_reaches_the_decoder(guarded, keys):
    name = "websim_orchestrator_broken_messages_total"
    before = readings(guarded.http_url, name)
    host, port = guarded.client_address.removeprefix("tcp://").split(":")
    with ExitStack() as stack:
        env = stack.enter_context(
            closing(make_vec(TASK, 8, seed=0, fleet=guarded.client_address, keys=keys))
        )
        env.reset()
        sessions = readings(guarded.http_url, "websim_orchestrator_sessions")
        strangers_before = strangers(guarded)
        context = stack.enter_context(zmq.Context())
        for _ in range(20):
            flood(context, guarded.client_address, stack)
            raw = stack.enter_context(socket.create_connection((host, int(port))))
            raw.sendall(b"\x01\x00" * 30)
        give_up_s = time.monotonic() + DEADLINE_S
        while strangers(guarded) - strangers_before < 40:
            assert time.monotonic() < give_up_s, "they are not refused in time"
            env.step(np.zeros((8, 1), np.float32))
            # Who saw first that the keys do not fit went away without being refused: more come.
            flood(context, guarded.client_address, stack)
            time.sleep(0.05)
        assert readings(guarded.http_url, name) == before
        assert readings(guarded.http_url, "websim_orchestrator_sessions") == sessions


def test_a_refused_key_is_logged_and_no_secret_is_told_anywhere(guarded, keys, log_dir):
    logs = "".join(path.read_text() for path in log_dir.iterdir())
    public = re.findall('public-key = "(.*)"', (keys / "workers/worker.key").read_text())
    assert json.dumps(public[0]) in logs  # it was refused at the clients' door
    texts = [path.read_text() for path in keys.iterdir() if path.is_file()]
    secrets = [secret for text in texts for secret in re.findall('secret-key = "(.*)"', text)]
    secrets += [line.split()[1] for line in (keys / "tokens").read_text().splitlines()]
    assert len(secrets) == 5
    pids = [*guarded.worker_pids(), guarded.supervisor.pid(ORCHESTRATOR)]
    shown = [Path(f"/proc/{pid}/{what}").read_text() for pid in pids for what in SHOWN]
    with urllib.request.urlopen(f"{guarded.http_url}/metrics", timeout=10) as response:
        shown += [logs, response.read().decode()]
    for text in shown:
        assert not any(secret in text for secret in secrets)


def test_without_keys_a_client_says_that_another_machine_may_want_some(fleet, monkeypatch, caplog):
    monkeypatch.setattr(session_module, "leaves_machine", lambda address: True)
    make_vec(TASK, 8, fleet=fleet.client_address).close()
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "no keys" in warnings[0].getMessage()


class Process:
    """A service of the test's own, with a ready file."""

    def __init__(self, tmp_path: Path, name: str, *arguments: str) -> None:
        self.ready_file = tmp_path / f"{name}-{time.monotonic_ns()}.json"
        command = [sys.executable, "-m", name, *arguments, "--ready-file", str(self.ready_file)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)

    def facts(self) -> dict[str, object]:
        give_up_s = time.monotonic() + DEADLINE_S
        while (facts := read_ready(self.ready_file)) is None:
            assert self.process.poll() is None, "it ended before it was ready"
            assert time.monotonic() < give_up_s, "it is not ready in time"
            time.sleep(0.05)
        return facts

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(DEADLINE_S)


def test_a_worker_gets_in_when_its_key_is_admitted_later(keys, other_keys, tmp_path):
    ours = Path(shutil.copytree(keys, tmp_path / "ours"))
    its = part(
        tmp_path / "its",
        server__key=keys / "server.key",
        worker__key_secret=other_keys / "worker.key_secret",
    )
    fixed = ["--keys", str(ours), "--client-port", "0", "--telemetry-port", "0", "--http-port", "0"]
    with Process(tmp_path, "websim_orchestrator", *fixed, "--worker-port", "0") as orchestrator:
        address = str(orchestrator.facts()["worker_address"])
        worker = Process(
            tmp_path, "websim_sim_worker", "--keys", str(its), "--orchestrator", address
        )
        url = str(orchestrator.facts()["http_url"])
        give_up_s = time.monotonic() + DEADLINE_S
        name = "websim_orchestrator_refused_peers_total"
        while not readings(url, name)['{reason="key",socket="workers"}']:
            assert time.monotonic() < give_up_s, "the worker is not refused in time"
            time.sleep(0.05)
    with worker:
        shutil.copy(other_keys / "workers/worker.key", ours / "workers/another.key")
        port = address.rsplit(":", 1)[1]
        with Process(tmp_path, "websim_orchestrator", *fixed, "--worker-port", port):
            worker.facts()


def test_beyond_loopback_it_serves_who_has_keys_and_tokens(keys, tmp_path):
    tokens = dict(line.split() for line in (keys / "tokens").read_text().splitlines())
    ports = [
        "--worker-port",
        "0",
        "--client-port",
        "0",
        "--telemetry-port",
        "0",
        "--http-port",
        "0",
    ]
    everywhere = ["--host", "0.0.0.0", "--http-host", "0.0.0.0"]
    secrets = ["--keys", str(keys), "--token-file", str(keys / "tokens")]
    with Process(tmp_path, "websim_orchestrator", *ports, *everywhere, *secrets) as orchestrator:
        facts = orchestrator.facts()
        client_address, url = (
            str(facts[name]).replace("0.0.0.0", "127.0.0.1")
            for name in ("client_address", "http_url")
        )
        with pytest.raises(FleetTimeout):  # it is let in, and there is no worker
            FleetSession(client_address, task=TASK, num_envs=8, seed=0, keys=keys, deadline_s=1.0)
        with pytest.raises(FleetUnavailable):
            FleetSession(client_address, task=TASK, num_envs=8, seed=0)
        request = urllib.request.Request(
            f"{url}/v1/workers", headers={"Authorization": f"Bearer {tokens['view']}"}
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            assert json.load(response) == []
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{url}/v1/workers", timeout=10)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "example.org"])
def test_listening_beyond_loopback_without_keys_is_refused(host):
    with pytest.raises(UserError, match=f"--host {host} is not .*loopback.*--keys DIR") as caught:
        run_orchestrator(["--host", host])
    assert caught.value.exit_code == 2
