"""How much one orchestrator can route: `python tests/bench/capacity.py --seconds 5`.

A real orchestrator and a real client, over real sockets; the workers are simulated: they speak the
protocol and answer every step at once, with arrays of the size that a task's have. Measured is the
processor time that the orchestrator spends on a shard-step, there and back. What else the machine
does changes that little, and its inverse is what a core can do.
"""

import argparse
import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil
import zmq

from websim.client import FleetSession
from websim.local.keys import make_key_set
from websim.local.supervisor import ChildSpec, Supervisor
from websim.wire import lifecycle
from websim.wire.codec import Decoder, Envelope, describe, encode
from websim.wire.curve import PeerKeys, load_peer_keys
from websim.wire.messages import (
    AssignShard,
    Message,
    Reset,
    ShardReady,
    Snapshot,
    Step,
    Stepped,
    TakeSnapshot,
    TaskInfo,
    ToWorker,
    WasReset,
    WorkerHeartbeat,
    WorkerHello,
)
from websim.wire.sockets import make_socket, receive, send

WARM_UP_S = 1.0

REGISTRATION_S = 60.0

HEARTBEATS_EVERY_S = lifecycle.HEARTBEAT_S


@dataclass(frozen=True)
class Case:
    """What is routed."""

    name: str
    obs_dim: int
    action_dim: int
    state_dim: int
    """Numbers of an env's state in a snapshot."""
    shard_envs: int
    num_shards: int
    num_workers: int
    keys: bool = False


CASES = (
    Case("HalfCheetah, shards of 256", 17, 6, 64, 256, 64, 16),
    Case("HalfCheetah, shards of 256, keys", 17, 6, 64, 256, 64, 16, keys=True),
    Case("HalfCheetah, shards of 64", 17, 6, 64, 64, 64, 16),
    Case("HalfCheetah, shards of 1024", 17, 6, 64, 1024, 16, 16),
    Case("HalfCheetah, shards of 256, 256 workers", 17, 6, 64, 256, 256, 256),
    Case("Humanoid, shards of 256", 348, 17, 120, 256, 64, 16),
    Case("Humanoid, shards of 256, keys", 348, 17, 120, 256, 64, 16, keys=True),
)


@dataclass(frozen=True)
class Finding:
    """What a case cost."""

    case: Case
    shard_steps: int
    wall_s: float
    cpu_s: float
    """Of the orchestrator, all threads."""
    wire_bytes: int
    """Of arrays, in and out of the orchestrator, for a shard-step."""

    @property
    def cpu_us(self) -> float:
        """Processor time of a shard-step in microseconds."""
        return self.cpu_s / self.shard_steps * 1e6

    @property
    def env_steps_per_s(self) -> float:
        """What a core of the orchestrator's can route."""
        return self.case.shard_envs * 1e6 / self.cpu_us


class SimulatedWorkers:
    """Many workers in one thread: each a socket of its own, none of them with physics."""

    def __init__(self, case: Case, address: str, keys: PeerKeys | None) -> None:
        self._case = case
        self._context: zmq.Context[Any] = zmq.Context()
        self._decoder: Decoder[Any] = Decoder(ToWorker)
        self._poller = zmq.Poller()
        self._sockets: list[zmq.Socket[bytes]] = []
        self._since_snapshot: dict[tuple[int, int], int] = {}
        self._places: dict[tuple[int, int], dict[str, int]] = {}
        """Where each shard is in its order of commands."""
        self.all_registered = threading.Event()
        for index in range(case.num_workers):
            socket = make_socket(self._context, zmq.DEALER)
            socket.set(zmq.IDENTITY, f"worker-{index}".encode())
            if keys is not None:
                keys.apply(socket)
            socket.connect(address)
            self._poller.register(socket, zmq.POLLIN)
            self._sockets.append(socket)
        n = case.shard_envs
        self._stepped = describe(
            {
                "obs": np.zeros((n, case.obs_dim), np.float32),
                "reward": np.zeros(n),
                "terminated": np.zeros(n, np.bool_),
                "truncated": np.zeros(n, np.bool_),
            }
        )
        self._was_reset = describe({"obs": np.zeros((n, case.obs_dim), np.float32)})
        self._snapshot = describe({"state": np.zeros((n, case.state_dim))})
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        for socket in self._sockets:
            socket.close()
        self._context.term()

    def _run(self) -> None:
        hello_s = beat_s = 0.0
        greeted: set[int] = set()
        while not self._over.is_set():
            now_s = time.monotonic()
            if now_s - hello_s > 1.0:
                hello_s = now_s
                for index, socket in enumerate(self._sockets):
                    if index not in greeted:
                        self._say(socket, WorkerHello(instance=f"i{index}", pid=1, host="bench"))
            if now_s - beat_s > HEARTBEATS_EVERY_S:
                beat_s = now_s
                for index in greeted:
                    beat = WorkerHeartbeat(commands=0, env_steps=0, busy_s=0.0, shards=1)
                    self._say(self._sockets[index], beat)
            for socket, _ in self._poller.poll(20):
                while (frames := receive(socket)) is not None:
                    greeted.add(self._sockets.index(socket))
                    if len(greeted) == len(self._sockets):
                        self.all_registered.set()
                    self._answer(socket, self._decoder.decode(frames))

    def _say(self, socket: "zmq.Socket[bytes]", message: Message, frames: Any = ()) -> None:
        with contextlib.suppress(zmq.Again):  # not connected yet; said again
            send(socket, encode(message, frames))

    def _answer(self, socket: "zmq.Socket[bytes]", envelope: Envelope[Any]) -> None:
        message = envelope.message
        match message:
            case AssignShard():
                name = {"session": message.session, "shard": message.shard, "epoch": message.epoch}
                place = {**name, "seq": message.seq, "t": message.t}
                self._places[message.session, message.shard] = place
                self._say(socket, ShardReady(**name, task=self._task(message.task)))
            case Step() | Reset():
                place = {
                    "session": message.session,
                    "shard": message.shard,
                    "epoch": message.epoch,
                    "seq": message.seq,
                    "t": message.t,
                }
                stepped = isinstance(message, Step)
                specs, frames = self._stepped if stepped else self._was_reset
                kind = Stepped if stepped else WasReset
                self._say(socket, kind(**place, arrays=specs), frames)
                key = message.session, message.shard
                self._places[key] = place
                count = self._since_snapshot[key] = self._since_snapshot.get(key, 0) + 1
                if count % lifecycle.SNAPSHOT_EVERY == 0:
                    specs, frames = self._snapshot
                    self._say(socket, Snapshot(**place, arrays=specs), frames)
            case TakeSnapshot():
                specs, frames = self._snapshot
                place = self._places[message.session, message.shard]
                self._say(socket, Snapshot(**place, arrays=specs), frames)

    def _task(self, name: str) -> TaskInfo:
        bound = (1.0,) * self._case.action_dim
        return TaskInfo(
            id=name,
            description="",
            obs_dim=self._case.obs_dim,
            action_low=tuple(-b for b in bound),
            action_high=bound,
            dt_s=0.05,
            max_episode_steps=1000,
        )


@contextlib.contextmanager
def orchestrator(keys: Path | None, directory: Path) -> Iterator[tuple[dict[str, Any], int]]:
    """A real one on free ports: its ready file's facts and its process id."""
    argv = ["-m", "websim_orchestrator", "--worker-port", "0", "--client-port", "0"]
    argv += ["--http-port", "0", "--telemetry-port", "0"]
    argv += [] if keys is None else ["--keys", str(keys)]
    supervisor = Supervisor(log_dir=directory)
    try:
        supervisor.start(ChildSpec("orchestrator", tuple(argv), 0))
        supervisor.wait_ready(["orchestrator"], 60.0, lambda: False)
        facts, pid = supervisor.facts("orchestrator"), supervisor.pid("orchestrator")
        assert facts is not None
        assert pid is not None
        yield facts, pid
    finally:
        supervisor.stop()


def measure(case: Case, seconds: float) -> Finding:
    """Route as much as goes for some time."""
    with TemporaryDirectory() as scratch:
        keys = Path(scratch) / "keys" if case.keys else None
        if keys is not None:
            make_key_set(keys)
        with orchestrator(keys, Path(scratch)) as (facts, pid):
            peer = None if keys is None else load_peer_keys(keys, "worker")
            workers = SimulatedWorkers(case, facts["worker_address"], peer)
            if not workers.all_registered.wait(REGISTRATION_S):
                raise TimeoutError("not all workers were registered")
            session = FleetSession(
                facts["client_address"],
                task="HalfCheetah-v5",
                num_envs=case.num_shards * case.shard_envs,
                seed=0,
                shard_envs=case.shard_envs,
                keys=keys,
            )
            try:
                return _drive(case, session, psutil.Process(pid), seconds)
            finally:
                session.close()
                workers.close()


def _drive(case: Case, session: FleetSession, process: psutil.Process, seconds: float) -> Finding:
    action = np.zeros((case.shard_envs, case.action_dim), np.float32)
    for shard in range(case.num_shards):
        session.send_reset(shard)
    steps, began_s, cpu_s = 0, 0.0, 0.0
    until_s = time.monotonic() + WARM_UP_S
    measuring = False
    while True:
        now_s = time.monotonic()
        if now_s > until_s:
            if measuring:
                break
            measuring, steps, began_s, cpu_s = True, 0, now_s, _cpu_s(process)
            until_s = now_s + seconds
        result = session.recv(timeout_s=20.0)
        session.send(result.shard, action)
        steps += 1
    spent_s = _cpu_s(process) - cpu_s
    n = case.shard_envs
    answer = n * (4 * case.obs_dim + 8 + 2)
    # In and out: the action, the answer; in alone: a snapshot once in a while.
    wire = 2 * (n * 4 * case.action_dim + answer)
    wire += n * 8 * case.state_dim // lifecycle.SNAPSHOT_EVERY
    return Finding(case, steps, time.monotonic() - began_s, spent_s, wire)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def show(finding: Finding) -> str:
    """Return a row of the table."""
    rate = 1e6 / finding.cpu_us
    return (
        f"| {finding.case.name} | {finding.cpu_us:.0f} | {rate:,.0f} | "
        f"{rate * finding.wire_bytes / 1e6:,.0f} | {finding.env_steps_per_s / 1e6:.2f} | "
        f"{finding.shard_steps / finding.wall_s:,.0f} |"
    )


def main() -> None:
    """Print a table, a row per case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each case")
    parser.add_argument("--json", type=Path, help="write the findings to this file")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}\n")
    print("| what is routed | us of a core for a shard-step | shard-steps/s of a core | MB/s | "
          "million env-steps/s of a core | shard-steps/s seen |")  # fmt: skip
    print("|---|---|---|---|---|---|")
    findings = []
    for case in CASES:
        finding = measure(case, arguments.seconds)
        findings.append(finding)
        print(show(finding), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(each) for each in findings], indent=1))


if __name__ == "__main__":
    main()
