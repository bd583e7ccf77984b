"""A private fleet with the real orchestrator and real workers."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from local_run_samples import eventually

from websim.local.fleet import LocalFleet
from websim.local.ports import FleetPorts, HeldPort
from websim.service.errors import UserError


def workers_of(http_url):
    """Return the process ids of the registered workers."""
    with urllib.request.urlopen(f"{http_url}/v1/workers", timeout=5) as response:
        return {worker["pid"] for worker in json.load(response)}


def gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_fleet_starts_replaces_a_killed_worker_and_leaves_nothing(tmp_path):
    with LocalFleet(2, log_dir=tmp_path) as fleet:
        pids = fleet.worker_pids()
        assert workers_of(fleet.http_url) == set(pids)
        orchestrator = fleet.supervisor.pid("orchestrator")

        os.kill(pids[0], signal.SIGKILL)
        eventually(lambda: len(workers_of(fleet.http_url) - {pids[0]}) == 2)
        assert fleet.failure is None
        pids += fleet.worker_pids()

    assert all(map(gone, [*pids, orchestrator]))
    assert "worker ready" in (tmp_path / "sim-worker-1.jsonl").read_text()
    assert (tmp_path / "sim-worker-1.stderr").read_text() == ""


def test_a_fleet_grows_and_shrinks_while_it_runs():
    with LocalFleet(1) as fleet:
        [first] = fleet.worker_pids()
        fleet.scale(2)
        fleet.wait_ready()
        assert fleet.num_workers == 2
        assert workers_of(fleet.http_url) == set(fleet.worker_pids())

        fleet.scale(1)
        eventually(lambda: workers_of(fleet.http_url) == {first})
        assert fleet.worker_pids() == [first]
        assert fleet.failure is None
        with pytest.raises(UserError, match="0 workers"):
            fleet.scale(0)


UNGUARDED = """
from websim.local.fleet import LocalFleet
fleet = LocalFleet(1).start()
fleet.wait_ready()
print(fleet.supervisor.pid("orchestrator"), *fleet.worker_pids(), flush=True)
"""


@pytest.mark.parametrize("how", ["script", "cell"])
def test_no_main_guard_is_needed_and_forgetting_to_close_is_forgiven(tmp_path, how):
    script = tmp_path / "train_me.py"
    script.write_text(UNGUARDED)
    # A file that would shadow a module of the children must not, where users keep such files.
    (tmp_path / "secrets.py").write_text("raise SystemExit('shadowed')")
    argv = [str(script)] if how == "script" else ["-c", UNGUARDED]
    answer = subprocess.run(
        [sys.executable, "-P", *argv],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        check=True,
    )

    pids = list(map(int, answer.stdout.split()))
    assert len(pids) == 2
    assert all(map(gone, pids))


def test_a_taken_port_is_named_with_its_holder():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(UserError) as caught:
            LocalFleet(1, ports=FleetPorts(clients=port))

    text = str(caught.value)
    assert f"port {port} (orchestrator, for clients) is not free" in text
    assert f"process {os.getpid()} has it" in text
    assert "--free-ports" in text


def test_a_holder_is_named_whatever_bytes_are_in_its_command_line():
    listens = "import socket, time; s = socket.create_server(('127.0.0.1', 0))\n"
    listens += "print(s.getsockname()[1], flush=True); time.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", listens, b"caf\xe9"], stdout=subprocess.PIPE
    ) as other:
        try:
            with pytest.raises(UserError, match=f"process {other.pid} has it"):
                HeldPort("a kettle", int(other.stdout.readline()))
        finally:
            other.kill()


def test_a_held_port_is_given_to_nobody_but_its_service():
    held = HeldPort("a kettle")
    with socket.socket() as stranger, pytest.raises(ConnectionRefusedError):
        stranger.connect(("127.0.0.1", held.port))
    with socket.create_server(("127.0.0.1", held.port)) as service:
        assert service.getsockname()[1] == held.port
    held.close()


def test_no_workers_is_refused():
    with pytest.raises(UserError, match="0 workers"):
        LocalFleet(0)


def test_a_missing_service_is_named(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(UserError, match="websim-orchestrator is not installed"):
        LocalFleet(1)
