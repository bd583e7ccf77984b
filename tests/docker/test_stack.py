"""The stack through a bad day, on a real engine: `make test-docker`.

The tests of this module share one run, in order; the last one compares its weights with those of an
undisturbed run in local processes.
"""

import json
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stack import PORTS, Stack, wait_for

import websim

pytestmark = pytest.mark.timeout(2000)

NUM_ENVS = 128
SEED = 5
TOTAL_STEPS = 100_000_000
"""More than the tests take: the run is stopped, not finished."""
CHECKPOINT_EVERY_STEPS = 10_000
LOCAL_DEADLINE_S = 900.0
"""For as much training as the stack has done, by one worker process."""

SETTINGS = {
    "WEBSIM_SIM_WORKERS": "1",
    "WEBSIM_LEARNER_NUM_ENVS": str(NUM_ENVS),
    "WEBSIM_LEARNER_SEED": str(SEED),
    "WEBSIM_LEARNER_TOTAL_STEPS": str(TOTAL_STEPS),
    "WEBSIM_LEARNER_CHECKPOINT_EVERY_STEPS": str(CHECKPOINT_EVERY_STEPS),
    "WEBSIM_DASHBOARD_PORT": "0",
    "WEBSIM_PROMETHEUS_PORT": "0",
}
"""Port 0: the engine takes a free one."""

REACH = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), 3).close()
except OSError:
    sys.exit("out of reach")
"""

LOCKS = "from websim.programs.sandbox import default_sandbox; print(*default_sandbox().locks)"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    stack = Stack("long", SETTINGS)
    stack.close()
    stack.build()
    try:
        stack.up(workers=1)
        stack.slow_down()
        yield stack
    finally:
        stack.close()


def restarts(stack: Stack, container: str) -> int:
    return stack.inspect(container)["RestartCount"]


def is_healthy(stack: Stack, container: str) -> bool:
    return stack.inspect(container)["State"]["Health"]["Status"] == "healthy"


def digests(lines: Iterable[dict[str, Any]]) -> dict[str, str]:
    """Return the digests of the weights by checkpoint, as the lives of a learner logged them."""
    return {
        line["name"]: line["weights_sha256"]
        for line in lines
        if line["event"] == "wrote checkpoint"
    }


def logged(path: Path) -> dict[str, str]:
    return digests(map(json.loads, path.read_text().splitlines()))


@pytest.fixture(scope="module")
def told() -> dict[str, str]:
    """Checkpoints of containers that are gone, with their logs."""
    return {}


# --- what the containers may do


def test_no_container_has_a_right_that_it_does_not_need(stack):
    for service in PORTS:
        (container,) = stack.containers(service)
        found = stack.inspect(container)
        host = found["HostConfig"]
        assert found["Config"]["User"] == "10001:10001"
        assert host["ReadonlyRootfs"]
        assert host["CapDrop"] == ["ALL"]
        assert not host["CapAdd"]
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert host["Memory"] > 0
        assert host["NanoCpus"] > 0
        assert host["PidsLimit"] > 0
        status = stack.python(service, "print(open('/proc/1/status').read())")
        assert re.search(r"^CapBnd:\s+0+$", status, re.MULTILINE)


def test_ports_are_published_on_loopback_only(stack):
    for service in PORTS:
        (container,) = stack.containers(service)
        for bindings in stack.inspect(container)["NetworkSettings"]["Ports"].values():
            assert {binding["HostIp"] for binding in bindings or ()} <= {"127.0.0.1"}


def test_only_reward_gen_reaches_out(stack):
    """What stands for the world outside is the resolver that this machine uses."""
    servers = re.findall(r"^nameserver (\S+)", Path("/etc/resolv.conf").read_text(), re.MULTILINE)
    beyond = next(server for server in servers if not server.startswith("127."))
    with socket.create_connection((beyond, 53), 3):
        pass
    stack.python("reward-gen", REACH, beyond, "53")
    for service in ("orchestrator", "sim-worker", "learner", "dashboard"):
        with pytest.raises(subprocess.CalledProcessError):
            stack.python(service, REACH, beyond, "53")


def test_keys_are_apart(stack):
    listing = "import os; print(*sorted(os.listdir('/keys')))"
    files = {service: set(stack.python(service, listing).split()) for service in PORTS}
    assert files == {
        "orchestrator": {"server.key_secret", "tokens", "workers", "clients"},
        "sim-worker": {"server.key", "tokens", "worker.key_secret"},
        "learner": {"server.key", "tokens", "client.key_secret", "upstream.token"},
        "reward-gen": {"tokens"},
        "dashboard": {"server.key", "tokens", "client.key_secret", "upstream.token"},
    }


@pytest.mark.parametrize("service", ["learner", "reward-gen"])
def test_generated_programs_are_confined(stack, service):
    assert {"seccomp", "landlock", "no_new_privs", "rlimits"} <= set(
        stack.python(service, LOCKS).split()
    )


def test_without_seccomp_no_program_runs(stack):
    """A container whose profile forbids new filters stands for a system that has none."""
    profile = Path(__file__).with_name("deny-seccomp.json")
    confined = ["docker", "run", "--rm", "--security-opt", f"seccomp={profile}"]
    done = subprocess.run(
        [*confined, f"websim/reward-gen:{stack.tag}", "--ledger", "/tmp/ledger.jsonl"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "programs cannot be tried here" in done.stderr
    done = subprocess.run(
        [*confined, "--entrypoint", "python", f"websim/learner:{stack.tag}", "-c", LOCKS],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "SandboxError: programs cannot be confined here" in done.stderr


def test_no_image_but_the_learner_s_has_torch(stack):
    find = "import importlib.util; print(importlib.util.find_spec('torch') is not None)"
    have = {service for service in PORTS if stack.python(service, find).strip() == "True"}
    assert have == {"learner"}


# --- a bad day


def test_it_trains(stack):
    stack.await_workers(1)
    stack.await_training()


def test_logs_are_json_with_the_ids_of_run_session_and_reward(stack):
    wait_for("two checkpoints", lambda: len(digests(stack.logs("learner"))) > 1)
    lines = stack.logs("learner")
    assert {line["service"] for line in lines} == {"learner"}
    assert all({"timestamp", "level", "event"} <= set(line) for line in lines)
    written = [line for line in lines if line["event"] == "wrote checkpoint"]
    assert {line["run"] for line in written} == {"first"}
    assert {line["reward"] for line in written[1:]} == {"task"}
    assert {type(line["session"]) for line in written} == {int}


def test_workers_come_and_go_while_it_trains(stack):
    stack.up(workers=3)
    stack.await_workers(3)
    shards = [each["shards"] for each in stack.ask("orchestrator", "/v1/workers")]
    assert min(shards) >= 1
    stack.await_training()
    stack.up(workers=1)
    stack.await_workers(1)
    stack.await_training()


def test_workers_announce_where_others_find_them(stack):
    (worker,) = stack.ask("orchestrator", "/v1/workers")
    stack.python(
        "orchestrator",
        "import sys, urllib.request as u; u.urlopen(sys.argv[1] + '/metrics', timeout=5)",
        worker["http_url"],
    )


@pytest.mark.parametrize("service", ["sim-worker", "learner", "orchestrator"])
def test_what_is_killed_comes_back_and_training_goes_on(stack, service):
    (container,) = stack.containers(service)
    before = restarts(stack, container)
    reached = wait_for("an answer of the learner", stack.env_steps)
    stack.kill_main_process(container)
    wait_for("a restart", lambda: restarts(stack, container) == before + 1)
    wait_for("health", lambda: is_healthy(stack, container))
    if service == "learner":
        stack.slow_down()
    stack.await_workers(1)
    stack.await_training(beyond=reached)


def published(stack: Stack, service: str) -> str:
    """Return the address on this machine of the one port that a service publishes."""
    (container,) = stack.containers(service)
    ports = stack.inspect(container)["NetworkSettings"]["Ports"]
    (binding,) = [each for bindings in ports.values() for each in bindings or ()]
    return f"http://{binding['HostIp']}:{binding['HostPort']}"


def get(url: str, token: str = "") -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response.read().decode()


def test_the_page_is_there_and_sees_the_run(stack):
    url = published(stack, "dashboard")
    assert "<html" in get(url + "/")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(url + "/api/v1/status")
    tokens = stack.python("dashboard", "print(open('/keys/tokens').read())")
    token = re.findall(r"^view (\S+)", tokens, re.MULTILINE)[0]
    assert "first" in get(url + "/api/v1/status", token)


def test_prometheus_finds_workers_that_are_scaled(stack):
    stack.compose("--profile", "monitoring", "up", "-d", "--wait", "prometheus")
    url = published(stack, "prometheus") + "/api/v1/query?query=count+by+(job)+(up==1)"

    def found() -> dict[str, int]:
        results = json.loads(get(url))["data"]["result"]
        return {each["metric"]["job"]: int(each["value"][1]) for each in results}

    others = {"orchestrator": 1, "learner": 1, "reward-gen": 1, "dashboard": 1}
    wait_for("every service", lambda: found() == {**others, "sim-worker": 1})
    stack.up(workers=2)
    wait_for("another worker", lambda: found() == {**others, "sim-worker": 2})
    stack.up(workers=1)
    stack.await_workers(1)
    stack.compose("--profile", "monitoring", "rm", "--stop", "--force", "prometheus")


def test_a_cut_network_is_survived(stack):
    stack.up(workers=2)
    stack.await_workers(2)
    network = f"{stack.name}_simulation"
    cut = stack.containers("sim-worker")[-1]
    stack.run("docker", "network", "disconnect", network, cut)
    stack.await_workers(1)
    stack.await_training()
    stack.run("docker", "network", "connect", "--alias", "sim-worker", network, cut)
    stack.await_workers(2)
    stack.await_training()


def test_down_and_up_with_new_keys_goes_on_with_the_run(stack, told):
    reached = stack.await_training()
    told |= digests(stack.logs("learner"))
    tokens = stack.python("dashboard", "print(open('/keys/tokens').read())")
    stack.down()
    stack.compose("run", "--rm", "--no-deps", "keys", "rm -rf /keys/*/*")
    stack.up(workers=1)
    assert stack.python("dashboard", "print(open('/keys/tokens').read())") != tokens
    stack.slow_down()
    assert wait_for("an answer of the learner", stack.env_steps) >= reached
    stack.await_training(beyond=reached)


def test_after_all_that_the_weights_are_those_of_an_undisturbed_run(
    stack, told, tmp_path, monkeypatch
):
    """One worker process on this machine, never disturbed, as far as the stack has come."""
    # It chooses other kernels than the containers, which do not have it.
    monkeypatch.delenv("OPENBLAS_CORETYPE", raising=False)
    stack.compose("stop", "learner")
    told |= digests(stack.logs("learner"))
    last = max(told)
    with websim.train(
        task="HalfCheetah-v5",
        num_envs=NUM_ENVS,
        seed=SEED,
        total_steps=TOTAL_STEPS,
        workers=1,
        run_dir=tmp_path / "run",
        checkpoint_every_steps=CHECKPOINT_EVERY_STEPS,
    ) as run:
        run.wait_ready()
        log = run.directory / "logs" / "learner.jsonl"
        reached = f"checkpoint {last} of the undisturbed run"
        wait_for(reached, lambda: max(logged(log), default="") >= last, LOCAL_DEADLINE_S)
        undisturbed = logged(log)
    shared = told.keys() & undisturbed.keys()
    assert {name: told[name] for name in shared} == {name: undisturbed[name] for name in shared}
    # Only what the learner wrote when it was stopped, by `down` and here, is at other updates.
    assert len(shared) >= len(told) - 2
