"""What looking costs: nobody looks at a fleet, somebody looks at all figures, at a pose besides.

Run it by hand: `python tests/bench/bench_watching.py [TASK [ENVS]]`. The ways take turns within
each round, on the same session, so that a busy machine slows all of them; figures are medians over
the rounds of each round's ratio to its unwatched block. CPU time per env step is the measure to
trust where others use the machine: wall-clock is what they leave.
"""

import json
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import load
import numpy as np
import psutil
import zmq
from fleet import PrivateFleet, SendRecvTier

from websim.local.fleet import ORCHESTRATOR, LocalFleet
from websim.wire.telemetry import Subscriber, figures_topic, pose_topic
from websim_sim_worker.engine import time_engine
from websim_sim_worker.shard import Shard
from websim_sim_worker.tasks import bundled, compile_task

WORKERS = 2
ROUNDS = 12
BLOCK_S = 3.0
TARGET = 0.03
"""Of the workers' CPU time, for 1,024 HalfCheetahs."""
ASK_AT_A_TIME_S = 0.005
"""How often who looks takes what there is."""


@dataclass(frozen=True)
class Block:
    """One way's block: CPU seconds per million env steps, and what was seen."""

    steps_per_s: float
    workers_cpu_s: float
    orchestrator_cpu_s: float
    foreign_share: float
    figures_per_s: float = 0.0
    poses_per_s: float = 0.0


def main() -> None:
    """Print the table, then what is left once nobody looks any more."""
    task = sys.argv[1] if len(sys.argv) > 1 else "HalfCheetah-v5"
    num_envs = int(sys.argv[2]) if len(sys.argv) > 2 else 1024
    local = LocalFleet(WORKERS)
    with PrivateFleet(task, num_envs, WORKERS, 0, local=local) as fleet:
        tier = SendRecvTier(fleet.sessions[0])
        session = session_of(local)
        ways = {
            "nobody": [],
            "figures": [figures_topic(session)],
            "figures + pose": [figures_topic(session), pose_topic(session, 0)],
        }
        blocks: dict[str, list[Block]] = {way: [] for way in ways}
        tier.block(BLOCK_S)
        for round_index in range(ROUNDS):
            names = list(ways)
            for way in names[round_index % 3 :] + names[: round_index % 3]:
                blocks[way].append(measure(local, tier, ways[way]))
    print(f"{task}, {num_envs} envs, {WORKERS} workers, {ROUNDS} rounds of {BLOCK_S:g} s")
    for way, measured in blocks.items():
        print_way(way, measured, blocks["nobody"])
    print_residue(task)


def measure(local: LocalFleet, tier: SendRecvTier, topics: list[bytes]) -> Block:
    """Step for one block while somebody looks at `topics`."""
    workers = local.worker_pids()
    orchestrator = local.supervisor.pid(ORCHESTRATOR)
    assert orchestrator is not None
    with watching(local, topics) as seen:
        before, cpu = load.read(), (cpu_s(workers), cpu_s([orchestrator]))
        count = tier.block(BLOCK_S)
        usage = load.between(before, load.read(), psutil.cpu_count() or 1)
        spent = cpu_s(workers) - cpu[0], cpu_s([orchestrator]) - cpu[1]
    millions = count.all_env_steps / 1e6
    return Block(
        steps_per_s=count.env_steps / count.seconds,
        workers_cpu_s=spent[0] / millions,
        orchestrator_cpu_s=spent[1] / millions,
        foreign_share=usage.foreign_share,
        figures_per_s=seen.get("figures", 0.0) / len(tier._env.shards),
        poses_per_s=seen.get("pose", 0.0),
    )


@contextmanager
def watching(local: LocalFleet, topics: list[bytes]) -> Iterator[dict[str, float]]:
    """Have a process of its own look at topics; afterwards the dict says how often a second."""
    seen: dict[str, float] = {}
    if not topics:
        yield seen
        return
    argv = [sys.executable, __file__, "--look", local.telemetry_address]
    child = subprocess.Popen(
        argv + [topic.decode() for topic in topics],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.readline()
    try:
        yield seen
    finally:
        child.stdin.close()
        seen |= json.loads(child.stdout.readline())
        child.wait()


def look(address: str, topics: list[str]) -> None:
    """Be the one who looks, until stdin ends; then say what was seen of each kind per second."""
    seen = {"figures": 0, "pose": 0}
    with zmq.Context() as context:
        subscriber = Subscriber(context, address)
        for topic in topics:
            subscriber.subscribe(topic.encode())
        while not subscriber.take():
            time.sleep(ASK_AT_A_TIME_S)
        print("ready", flush=True)
        poller = zmq.Poller()
        poller.register(sys.stdin, zmq.POLLIN)
        started_s = time.monotonic()
        while not poller.poll(1000 * ASK_AT_A_TIME_S):
            for topic in subscriber.take():
                seen[topic.split(b"/")[0].decode()] += 1
        subscriber.close()
    seconds = time.monotonic() - started_s
    print(json.dumps({kind: count / seconds for kind, count in seen.items()}), flush=True)


def print_way(way: str, measured: list[Block], unwatched: list[Block]) -> None:
    """Print one way's medians, and the workers' extra CPU time with its quartiles."""
    extra = [
        block.workers_cpu_s / base.workers_cpu_s - 1.0
        for block, base in zip(measured, unwatched, strict=True)
    ]
    low, middle, high = statistics.quantiles(extra, n=4)
    print(
        f"{way:<15} {median(measured, 'steps_per_s'):>9,.0f} env steps/s"
        f"  workers {median(measured, 'workers_cpu_s'):6.2f} CPU s/M"
        f"  orchestrator {median(measured, 'orchestrator_cpu_s'):5.2f}"
        f"  workers {middle:+.1%} ({low:+.1%} to {high:+.1%}; target {TARGET:.0%})"
        f"  figures {median(measured, 'figures_per_s'):.0f} Hz, pose"
        f" {median(measured, 'poses_per_s'):.0f} Hz, others {median(measured, 'foreign_share'):.0%}"
    )


def print_residue(name: str) -> None:
    """Print what a shard's step costs that was looked at once, against one that never was."""
    time_engine(on=False)
    task = compile_task(bundled(name))
    never, once = (Shard(task, seed=0, first_env_id=0, num_envs=256) for _ in range(2))
    once.view.expect(figures=True, env_indices=[])
    low, high = np.array(task.info.action_low), np.array(task.info.action_high)
    generator = np.random.Generator(np.random.Philox(0))
    ratios = []
    for turn in range(200):
        action = generator.uniform(low, high, (256, len(low))).astype(np.float32)
        spent = {}
        for shard in (never, once) if turn % 2 else (once, never):
            started_s = time.thread_time()
            shard.step(action)
            spent[shard] = time.thread_time() - started_s
        ratios.append(spent[once] / spent[never] - 1.0)
    low_q, middle, high_q = statistics.quantiles(ratios, n=4)
    print(
        f"a step of a shard that was looked at once, against one that never was: "
        f"{middle:+.1%} ({low_q:+.1%} to {high_q:+.1%})"
    )


def median(blocks: list[Block], name: str) -> float:
    """The median of one figure."""
    return statistics.median(getattr(block, name) for block in blocks)


def cpu_s(pids: list[int]) -> float:
    """CPU time that processes have used."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return sum(each.user + each.system for each in times)


def session_of(local: LocalFleet) -> int:
    """The fleet's one session."""
    with urllib.request.urlopen(f"{local.http_url}/v1/sessions", timeout=10) as response:
        return int(json.loads(response.read())[0]["session"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["--look"]:
        look(sys.argv[2], sys.argv[3:])
    else:
        main()
