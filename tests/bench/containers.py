"""Training in containers beside training in local processes: `python tests/bench/containers.py`.

Two runs of the same settings, both with keys and a dashboard that nobody looks at, one by docker
compose and one as `websim up` starts it, take turns: while one trains the other is paused. Pairs of
blocks give two ratios, containers to local: of speed, which only an idle machine can tell, and of
steps per second of processor time, of all processes of a run together, which a busy one can tell
too.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from websim.local.keys import make_key_set
from websim.local.options import RunOptions
from websim.local.run import Run

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docker"))

from stack import PORTS, Stack

ENDLESS_STEPS = 10**9
CPU = "process_cpu_seconds_total"
STEPS = "websim_learner_env_steps_total"
SERVICES = ("orchestrator", "sim-worker", "learner")


@dataclass(frozen=True)
class Count:
    """What a run has used and done by now."""

    env_steps: float
    cpu_s: float
    at_s: float


def read(url: str) -> dict[str, float]:
    """Return the samples of a service's metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=20) as response:
        lines = response.read().decode().splitlines()
    parts = (line.rpartition(" ") for line in lines if line and line[0] != "#")
    return {name: float(value) for name, _, value in parts}


def command(url: str, kind: str, token: str = "") -> None:
    """Command a learner; returns when it has taken effect."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    body = json.dumps({"kind": kind}).encode()
    request = urllib.request.Request(f"{url}/v1/run/commands", data=body, headers=headers)
    urllib.request.urlopen(request, timeout=60).read()


class Side:
    """One of the two runs: addresses of its processes, the learner's last."""

    def __init__(self, urls: list[str], token: str = "") -> None:
        self._urls, self._token = urls, token
        self.pause()

    def pause(self) -> None:
        command(self._urls[-1], "pause", self._token)

    def block(self, seconds: float) -> tuple[float, float]:
        """Train for a while; return steps per second, and per second of processor time."""
        before = self._count()
        command(self._urls[-1], "resume", self._token)
        time.sleep(seconds)
        self.pause()
        after = self._count()
        steps = after.env_steps - before.env_steps
        return steps / (after.at_s - before.at_s), steps / (after.cpu_s - before.cpu_s)

    def _count(self) -> Count:
        samples = [read(url) for url in self._urls]
        return Count(samples[-1][STEPS], sum(each[CPU] for each in samples), time.monotonic())


def containers(stack: Stack) -> Side:
    """Return the run of a stack; its containers are reached over their bridge."""
    urls = []
    for service in SERVICES:
        for container in stack.containers(service):
            networks = stack.inspect(container)["NetworkSettings"]["Networks"]
            address = next(iter(networks.values()))["IPAddress"]
            urls.append(f"http://{address}:{PORTS[service]}")
    tokens = stack.python("learner", "print(open('/keys/tokens').read())").split()
    return Side(urls, tokens[tokens.index("control") + 1])


def main() -> None:
    """Print each pair, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=8.0, help="of a block")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--num-envs", type=int, default=1024)
    arguments = parser.parse_args()
    settings = {
        "WEBSIM_LEARNER_NUM_ENVS": str(arguments.num_envs),
        "WEBSIM_LEARNER_TOTAL_STEPS": str(ENDLESS_STEPS),
        "WEBSIM_LEARNER_EVAL_EVERY_STEPS": "0",
        "WEBSIM_DASHBOARD_PORT": "0",
    }
    os.environ["WEBSIM_LEARNER_EVAL_EVERY_STEPS"] = "0"
    scratch = Path(tempfile.mkdtemp(prefix="websim-bench-"))
    make_key_set(scratch / "keys")
    stack = Stack("bench", settings)
    stack.build()
    try:
        began_s = time.monotonic()
        stack.up(arguments.workers)
        stack.await_training(beyond=0)
        print(f"from `up` to the first update learned from: {time.monotonic() - began_s:.1f} s")
        boxed = containers(stack)
        options = RunOptions(
            num_envs=arguments.num_envs,
            workers=arguments.workers,
            total_steps=ENDLESS_STEPS,
            run_dir=scratch / "run",
            keys=scratch / "keys",
        )
        with Run(options, dashboard=True) as run:
            run.wait_ready()
            assert run.fleet is not None
            with urllib.request.urlopen(f"{run.fleet.http_url}/v1/workers") as response:
                workers = [each["http_url"] for each in json.load(response)]
            while STEPS not in read(run.http_url):
                time.sleep(0.5)
            local = Side([run.fleet.http_url, *workers, run.http_url])
            compare(boxed, local, arguments.pairs, arguments.seconds)
    finally:
        stack.close()
        shutil.rmtree(scratch, ignore_errors=True)


def compare(boxed: Side, local: Side, pairs: int, seconds: float) -> None:
    """Run pairs of blocks, each side first in turn; print what came out."""
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    speed, efficiency = [], []
    for pair in range(pairs):
        order = (boxed, local) if pair % 2 else (local, boxed)
        found = {id(side): side.block(seconds) for side in order}
        (boxed_speed, boxed_work), (local_speed, local_work) = found[id(boxed)], found[id(local)]
        speed.append(boxed_speed / local_speed)
        efficiency.append(boxed_work / local_work)
        print(
            f"pair {pair + 1}: containers {boxed_speed:,.0f} steps/s, {boxed_work:,.0f} per CPU-s; "
            f"local {local_speed:,.0f}, {local_work:,.0f}; "
            f"ratios {speed[-1]:.3f}, {efficiency[-1]:.3f}",
            flush=True,
        )
    for name, ratios in (("speed", speed), ("steps per CPU-second", efficiency)):
        low, high = min(ratios), max(ratios)
        print(f"{name}: median ratio {statistics.median(ratios):.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
