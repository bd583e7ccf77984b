"""A fleet on this machine: one orchestrator and its sim workers, as child processes.

Used by the client when it is given no fleet, by `websim train` and by `websim up`. Works from a
notebook or from a script without a `__main__` guard: children are never forks of the caller.
"""

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from websim.local.ports import FleetPorts, HeldPort
from websim.local.supervisor import ChildSpec, Supervisor
from websim.service.errors import UserError

START_TIMEOUT_S = 60.0
"""How long orchestrator and workers may take to start; it is a second or two on an idle machine."""

ORCHESTRATOR = "orchestrator"
ORCHESTRATOR_STAGE = 0
WORKER_STAGE = 1
LEARNER_STAGE = 2
DASHBOARD_STAGE = -1
"""Stages of stopping: the learner first, so that its last checkpoint finds a fleet; the dashboard
last, so that it has seen how the run ended."""


class LocalFleet:
    """An orchestrator and N workers; a context manager.

    Attributes:
        client_address: Where clients connect, as in `tcp://127.0.0.1:5556`.
        worker_address: Where workers connect; more may join from anywhere that reaches it.
        telemetry_address: Where those connect who show environments.
        http_url: The orchestrator's HTTP, as in `http://127.0.0.1:8092`.
        supervisor: Keeps the processes running; a learner may be added to it.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        ports: FleetPorts | None = None,
        log_dir: Path | None = None,
        keys: str | Path | None = None,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        """Choose and hold the ports; `start` (or `with`) starts the processes.

        Args:
            workers: Number of sim workers; None is one per core this process may use.
            ports: Which ports to use; None takes free ones.
            log_dir: Where logs go; None keeps none.
            keys: Directory of a key set; the fleet then admits its keys only. None wants no keys.
            notify: Called with a line for people when a child has ended; from another thread.

        Raises:
            UserError: Something is wrong with the arguments, or not installed, or a port is taken.
        """
        count = _checked(available_cores() if workers is None else workers)
        require_installed("websim_orchestrator", "websim_sim_worker")
        wanted = ports or FleetPorts()
        held: list[HeldPort] = []
        try:
            held.append(HeldPort("orchestrator, for workers", wanted.workers))
            held.append(HeldPort("orchestrator, for clients", wanted.clients))
            held.append(HeldPort("orchestrator, HTTP", wanted.orchestrator_http))
            held.append(HeldPort("orchestrator, telemetry", wanted.telemetry))
        except UserError:
            _close(held)
            raise
        self._held = held
        self._ports = [port.port for port in held]
        self._log_dir = log_dir
        self._key_arguments = [] if keys is None else ["--keys", str(keys)]
        self._workers = [_worker_name(index) for index in range(count)]
        self._num_named = count
        self.worker_address = f"tcp://127.0.0.1:{self._ports[0]}"
        self.client_address = f"tcp://127.0.0.1:{self._ports[1]}"
        self.http_url = f"http://127.0.0.1:{self._ports[2]}"
        self.telemetry_address = f"tcp://127.0.0.1:{self._ports[3]}"
        self.supervisor = Supervisor(log_dir=log_dir, notify=notify)

    def start(self) -> "LocalFleet":
        """Start all processes at once, without waiting for them."""
        self.supervisor.start(self._orchestrator_spec())
        for name in self._workers:
            self.supervisor.start(self._worker_spec(name))
        return self

    @property
    def num_workers(self) -> int:
        """Number of workers that there are to be."""
        return len(self._workers)

    def scale(self, workers: int) -> None:
        """Add workers, or let the newest leave, until there are so many; returns at once.

        A new worker takes environments over as soon as it is registered, one that leaves hands its
        own over first; what the environments do stays the same, bit for bit.

        Args:
            workers: How many there are to be.

        Raises:
            UserError: It is less than one.
        """
        _checked(workers)
        while len(self._workers) > workers:
            self.supervisor.retire(self._workers.pop())
        while len(self._workers) < workers:
            # A name of its own: the last holder of the old one may still be leaving.
            name = _worker_name(self._num_named)
            self._num_named += 1
            self.supervisor.start(self._worker_spec(name))
            self._workers.append(name)

    def wait_ready(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait until all workers are registered.

        Args:
            cancelled: Asked again and again; once true, waiting ends with KeyboardInterrupt.

        Raises:
            ChildFailedError: A process did not start; says why.
        """
        names = [ORCHESTRATOR, *self._workers]
        self.supervisor.wait_ready(names, START_TIMEOUT_S, cancelled)

    @property
    def failure(self) -> str | None:
        """Why the fleet cannot go on: a process has been given up; None while all is well."""
        failures = self.supervisor.failures()
        return str(failures[0]) if failures else None

    def worker_pids(self) -> list[int]:
        """Return the process ids of the workers that run at this moment."""
        return [pid for name in self._workers if (pid := self.supervisor.pid(name)) is not None]

    def ready_worker_pids(self) -> list[int]:
        """Return the process ids of the workers that are registered at this moment."""
        pids = (self.supervisor.ready_pid(name) for name in self._workers)
        return [pid for pid in pids if pid is not None]

    def close(self) -> None:
        """Stop all processes; nothing of them is left. Does nothing when called again."""
        self.supervisor.stop()
        _close(self._held)

    def __enter__(self) -> "LocalFleet":
        """Start the processes and wait until they can work."""
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop all processes."""
        self.close()

    def _orchestrator_spec(self) -> ChildSpec:
        worker_port, client_port, http_port, telemetry_port = map(str, self._ports)
        argv = ["-m", "websim_orchestrator", "--worker-port", worker_port]
        argv += ["--client-port", client_port, "--http-port", http_port]
        argv += ["--telemetry-port", telemetry_port]
        argv += self._key_arguments + log_arguments(self._log_dir, ORCHESTRATOR)
        return ChildSpec(ORCHESTRATOR, tuple(argv), ORCHESTRATOR_STAGE)

    def _worker_spec(self, name: str) -> ChildSpec:
        argv = ["-m", "websim_sim_worker", "--orchestrator", self.worker_address]
        argv += self._key_arguments
        argv += ["--http-port", "0", *log_arguments(self._log_dir, name)]
        return ChildSpec(name, tuple(argv), WORKER_STAGE)


def _worker_name(index: int) -> str:
    return f"sim-worker-{index}"


def _checked(workers: int) -> int:
    if workers < 1:
        raise UserError(f"{workers} workers cannot step anything", "Use at least one.")
    return workers


def log_arguments(log_dir: Path | None, name: str) -> list[str]:
    """Return the flags that make a service write its log file, if there is a place for it."""
    return [] if log_dir is None else ["--log-file", str(log_dir / f"{name}.jsonl")]


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def require_installed(*packages: str) -> None:
    """Refuse, in words, to go on without a service's package."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            distribution = package.replace("_", "-")
            raise UserError(
                f"{distribution} is not installed here",
                f"Install it with `pip install {distribution}`.",
            )


def _close(held: list[HeldPort]) -> None:
    for port in held:
        port.close()
