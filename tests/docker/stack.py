"""A stack of containers under test: docker-compose.yml on a real engine, as a project apart."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[2]

BUILD_DEADLINE_S = 1500.0
"""For images without any cache, torch's download included."""

UP_DEADLINE_S = 240.0
"""Until every container is healthy."""

CHANGE_DEADLINE_S = 120.0
"""For whatever the fleet does after a change; a restart backs off for seconds."""

Found = TypeVar("Found")

ASK = """
import sys, urllib.request
url, tokens, body = (*sys.argv[1:], None, None)[:3]
request = urllib.request.Request(url, data=body and body.encode())
request.add_header("Content-Type", "application/json")
if tokens:
    token = open(tokens).read().split("control ")[1].split()[0]
    request.add_header("Authorization", "Bearer " + token)
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""

PACE = 0.25
"""Simulated seconds per second."""

PORTS = {
    "orchestrator": 8092,
    "sim-worker": 8093,
    "learner": 8091,
    "reward-gen": 8090,
    "dashboard": 8080,
}


def wait_for(
    what: str, ask: Callable[[], Found | None], deadline_s: float = CHANGE_DEADLINE_S
) -> Found:
    """Return the first answer that is not None or False; a failure to answer is no answer."""
    give_up_s = time.monotonic() + deadline_s
    seen: object = None
    while time.monotonic() < give_up_s:
        try:
            answer = ask()
        except (subprocess.CalledProcessError, KeyError) as error:
            seen = getattr(error, "stderr", error)
        else:
            if answer is not None and answer is not False:
                return answer
            seen = answer
        time.sleep(0.5)
    raise TimeoutError(f"{what} did not happen within {deadline_s:g} s; last seen: {seen}")


class Stack:
    """One project; nothing of it is left after `close`."""

    def __init__(self, kind: str, settings: Mapping[str, str]) -> None:
        """Two checkouts may test at the same time, on one engine."""
        checkout = hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]
        clean = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("WEBSIM_", "COMPOSE_"))
        }
        self.name = f"websim-{kind}-{checkout}"
        self.tag = f"test-{checkout}"
        self._environment = clean | {"WEBSIM_TAG": self.tag, **settings}

    def compose(self, *arguments: str, deadline_s: float = UP_DEADLINE_S) -> str:
        """Run `docker compose ARGUMENTS`; the user's .env has no say."""
        return self.run(
            "docker", "compose", "--env-file", os.devnull, "-p", self.name, *arguments,
            deadline_s=deadline_s,
        )  # fmt: skip

    def run(self, *command: str, deadline_s: float = 60.0) -> str:
        """Run a command in the repository and return what it prints."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
        if done.returncode != 0:
            print(done.stdout[-4000:], done.stderr[-4000:])
        done.check_returncode()
        return done.stdout

    def build(self) -> None:
        self.compose("build", "-q", deadline_s=BUILD_DEADLINE_S)

    def up(self, workers: int) -> None:
        """Start, or scale, and wait until all are healthy."""
        try:
            self.compose("up", "-d", "--wait", "--no-recreate", "--scale", f"sim-worker={workers}")
        except subprocess.CalledProcessError:
            print(self.compose("logs", "--tail", "20"))
            raise

    def down(self) -> None:
        """Stop and remove the containers; volumes stay."""
        self.compose("down")

    def close(self) -> None:
        self.compose("down", "--volumes", "--timeout", "5")

    def containers(self, service: str) -> list[str]:
        """Return the ids of a service's running containers."""
        return self.compose("ps", "-q", service).split()

    def inspect(self, container: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("docker", "inspect", container))[0]
        return found

    def kill_main_process(self, container: str) -> None:
        """SIGKILL it from outside the engine's hands: `docker kill` would be no accident."""
        os.kill(self.inspect(container)["State"]["Pid"], signal.SIGKILL)

    def python(self, service: str, program: str, *arguments: str) -> str:
        """Run a Python program in a service's first container."""
        return self.compose("exec", "-T", service, "python", "-c", program, *arguments)

    def ask(self, service: str, path: str) -> Any:
        """Return what a service answers over HTTP, asked from its own container."""
        url = f"http://127.0.0.1:{PORTS[service]}{path}"
        return json.loads(self.python(service, ASK, url, "/keys/tokens"))

    def slow_down(self) -> None:
        """Have the learner train at a pace that a run to compare with can catch up with."""
        url = f"http://127.0.0.1:{PORTS['learner']}/v1/run/commands"
        command = json.dumps({"kind": "set_speed", "speed": PACE})
        wait_for("a pace", lambda: self.python("learner", ASK, url, "/keys/tokens", command))

    def metrics(self, service: str) -> dict[str, float]:
        """Return the samples of a service's first container by name and labels."""
        text = self.python(service, ASK, f"http://127.0.0.1:{PORTS[service]}/metrics")
        lines = (line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#")
        return {name: float(value) for name, _, value in lines}

    def env_steps(self) -> int:
        """Return how far training has come."""
        return int(self.metrics("learner")["websim_learner_env_steps_total"])

    def await_training(self, beyond: int | None = None) -> int:
        """Wait until training gets on, by default from where it is now; return where it is then."""
        start = beyond
        if start is None:
            start = wait_for("an answer of the learner", self.env_steps)

        def further() -> int | None:
            steps = self.env_steps()
            return steps if steps > start else None

        return wait_for(f"training beyond {start} steps", further)

    def await_workers(self, count: int) -> None:
        """Wait until exactly so many workers are registered and no shard waits for one."""

        def settled() -> bool:
            now = self.metrics("orchestrator")
            return (
                now["websim_orchestrator_workers"] == count
                and now["websim_orchestrator_shards_waiting"] == 0
            )

        wait_for(f"a fleet of {count} workers", settled)

    def logs(self, service: str) -> list[dict[str, Any]]:
        """Return the log lines of a service; each is JSON."""
        text = self.compose("logs", "--no-log-prefix", "--no-color", service)
        return [json.loads(line) for line in text.splitlines() if line]
