"""Storms: a fleet is hurt by a nemesis in one thread while another drives a session on it."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from ledger import NUM_SHARDS, Ledger, drive
from proxy import Proxy, Toxics

from websim.local.fleet import WORKER_STAGE, LocalFleet
from websim.local.nemesis import Done, Nemesis, make_schedule
from websim.local.supervisor import ChildSpec

SCALE = int(os.environ.get("WEBSIM_CHAOS_SCALE", "1"))
"""How many times longer than within `make test` a storm lasts."""

WORKERS = 8 if SCALE > 1 else 2
"""Of a fleet whose workers die, freeze, come and go."""

TEND_S = 0.02
"""How often the nemesis looks whether something is due."""

FOREVER = 1 << 60

NUM_ENVS = 256 if SCALE > 1 else 64
"""Of the session that is driven; in either case four shards."""


@contextmanager
def beside(work: Callable[[threading.Event], None]) -> Iterator[Future[None]]:
    """Run something in a thread until the block ends; what it raises is raised there."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as executor:
        future = executor.submit(work, over)
        try:
            yield future
        finally:
            over.set()
        future.result()


def rage(
    fleet: LocalFleet,
    counts: Mapping[str, int],
    seconds: float,
    seed: int,
    *,
    steps: int = 1,
    **nemesis_options,
) -> tuple[Ledger, list[Done]]:
    """Drive a session while faults happen; return the books and the deeds.

    A storm lasts so many seconds, and longer where the slowest shard has not been answered so
    often by then: a slow machine is hurt at the same places as a fast one.
    """
    nemesis = Nemesis(fleet, make_schedule(counts, seed), **nemesis_options)
    began_s = time.monotonic()
    answers: dict[int, int] = {}

    def progress() -> float:
        answered = min(answers.values()) if len(answers) == NUM_SHARDS else 0
        return min(1.0, (time.monotonic() - began_s) / seconds, answered / steps)

    def hurt(over: threading.Event) -> None:
        try:
            while not over.wait(TEND_S):
                nemesis.tend(progress())
        finally:
            nemesis.close()

    def more(shard: int, t: int) -> bool:
        answers[shard] = t
        return progress() < 1.0

    with beside(hurt):
        ledger = drive(fleet.client_address, FOREVER, num_envs=NUM_ENVS, more=more)
    assert nemesis.left == 0, f"{nemesis.left} faults were not done in time"
    return ledger, nemesis.done


@dataclass
class Recoveries:
    """Times from a fault until every shard has answered a command that was sent after it."""

    times_s: list[float] = field(default_factory=list)
    _struck_s: float = 0.0
    _waiting: set[int] = field(default_factory=set)
    _recovered: threading.Event = field(default_factory=threading.Event)

    def strike(self, num_shards: int, deed: Callable[[], None], over: threading.Event) -> None:
        """Do something bad and wait until the session has recovered from it, or all is over."""
        self._recovered.clear()
        deed()
        self._struck_s = time.monotonic()
        self._waiting = set(range(num_shards))
        while not self._recovered.wait(0.1) and not over.is_set():
            pass

    def answered(self, shard: int, sent_s: float) -> None:
        """Take note of an answer."""
        if sent_s > self._struck_s and shard in self._waiting:
            self._waiting.discard(shard)
            if not self._waiting:
                self.times_s.append(time.monotonic() - self._struck_s)
                self._recovered.set()


@contextmanager
def distant_workers(
    fleet: LocalFleet, count: int, toxics: Toxics, seed: int
) -> Iterator[list[Proxy]]:
    """Workers that reach the fleet over a bad network, each by a proxy of its own; then gone."""
    proxies = [Proxy(fleet.worker_address, seed + index, toxics) for index in range(count)]
    names = [f"distant-worker-{index}" for index in range(count)]
    for name, proxy in zip(names, proxies, strict=True):
        argv = ("-m", "websim_sim_worker", "--orchestrator", proxy.address, "--http-port", "0")
        fleet.supervisor.start(ChildSpec(name, argv, WORKER_STAGE))
    try:
        fleet.supervisor.wait_ready(names, 60.0)
        yield proxies
    finally:
        for name in names:
            fleet.supervisor.retire(name)
        for proxy in proxies:
            proxy.close()
