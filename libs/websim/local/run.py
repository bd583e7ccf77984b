"""A training run on this machine: a learner, and a fleet for it unless one is given.

`websim.train(...)` returns a `Run` (see train.py); `websim train` and `websim up` drive one from
the terminal (see drive.py).
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from websim.local.fleet import (
    DASHBOARD_STAGE,
    LEARNER_STAGE,
    LocalFleet,
    log_arguments,
    require_installed,
)
from websim.local.learner_api import LearnerApi, LearnerUnreachableError
from websim.local.options import RunOptions, make_log_dir
from websim.local.ports import FleetPorts, HeldPort
from websim.local.supervisor import ChildFailedError, ChildSpec, Supervisor
from websim.local.unbegun import forget_unbegun, hold
from websim.service.errors import EXIT_USER_ERROR, UserError

REWARD_GEN = "reward-gen"
LEARNER = "learner"
DASHBOARD = "dashboard"

START_TIMEOUT_S = 120.0
"""How long a learner may take to start, torch's import included."""

STOP_DEADLINE_S = 30.0
"""How long a learner may take to write its last checkpoint and end."""

POLL_S = 0.2
"""How often an iteration asks for new records."""


def newest_update(directory: Path) -> int:
    """Return the number of the newest checkpoint in a run's directory; -1 when there is none."""
    names = [path.name.removeprefix("update-") for path in directory.glob("checkpoints/update-*")]
    return max((int(name) for name in names if name.isdigit()), default=-1)


class Run:
    """A running learner; iterate it for its metrics, one record per update. A context manager.

    Attributes:
        directory: Where the run is kept: config.json, metrics.jsonl, checkpoints/, result.json. An
            absolute path: a notebook may go elsewhere while the run goes on.
    """

    def __init__(
        self,
        options: RunOptions,
        *,
        ports: FleetPorts | None = None,
        restart: bool = True,
        dashboard: bool = False,
        notify: Callable[[str], None] | None = None,
    ) -> None:
        """Start all processes, without waiting for them: see `wait_ready`.

        Args:
            options: What to train.
            ports: Which ports to use; None takes free ones.
            restart: Whether a learner that dies goes on from its last checkpoint.
            dashboard: Whether there is a page to watch it on, and a reward-gen for the goals that
                are set there; takes a private fleet.
            notify: Called with a line for people when a process has ended; from another thread.

        Raises:
            UserError: The options cannot work, or a port is taken.
        """
        options.check()
        require_installed("websim_learner")
        self.directory = options.directory().absolute()
        self._fleet: LocalFleet | None = None
        self._held_author: HeldPort | None = None
        self._held_page: HeldPort | None = None
        wanted = ports or FleetPorts()
        log_dir = make_log_dir(self.directory)
        self._hold = hold(self.directory, log_dir)
        try:
            self._held = HeldPort("learner, HTTP", wanted.learner_http)
            try:
                if dashboard:
                    require_installed("websim_dashboard")
                    self._held_page = HeldPort("dashboard", wanted.dashboard)
                options = self._with_author(options, wanted, dashboard)
                self._open_fleet(options, wanted, log_dir, notify)
            except BaseException:
                self._release_ports()
                raise
        except BaseException:
            self._let_go(forget=True)
            raise
        try:
            if self._fleet is not None:
                self._fleet.start()
            if self._held_author is not None:
                self._supervisor.start(self._author(self._held_author.port))
            self._supervisor.start(self._learner(options, restart))
            if self._held_page is not None:
                self._supervisor.start(self._page(self._held_page.port, options))
        except BaseException:
            self.close()
            raise

    def _with_author(self, options: RunOptions, ports: FleetPorts, dashboard: bool) -> RunOptions:
        """Return the options with the address of a reward-gen, where the run may need one."""
        resume = options.resume
        wanted = options.adapts if resume is None else (resume / REWARD_GEN).exists()
        # Who watches a run may set a goal later.
        wanted = wanted or dashboard
        if options.reward_gen is not None or not wanted:
            return options
        require_installed("websim_reward_gen")
        self._held_author = HeldPort("reward-gen, HTTP", ports.reward_gen_http)
        return replace(options, reward_gen=f"http://127.0.0.1:{self._held_author.port}")

    def _author(self, port: int) -> ChildSpec:
        """Return the private reward-gen: the one process that an API key reaches."""
        directory = self.directory / REWARD_GEN
        argv = ["-m", "websim_reward_gen", "--http-port", str(port)]
        argv += ["--ledger", str(directory / "ledger.jsonl")]
        argv += log_arguments(self.directory / "logs", REWARD_GEN)
        # Training goes on without rewards from words, and says so.
        return ChildSpec(REWARD_GEN, tuple(argv), LEARNER_STAGE, needed=False, with_secrets=True)

    def _page(self, port: int, options: RunOptions) -> ChildSpec:
        """Return the dashboard."""
        assert self._fleet is not None
        argv = ["-m", "websim_dashboard", "--http-port", str(port), "--learner", self.http_url]
        argv += ["--orchestrator", self._fleet.http_url]
        argv += ["--telemetry", self._fleet.telemetry_address]
        argv += ["--history", str(self.directory / DASHBOARD / "history.sqlite")]
        argv += [] if options.keys is None else ["--keys", str(options.keys)]
        argv += [] if options.reward_gen is None else ["--reward-gen", options.reward_gen]
        argv += log_arguments(self.directory / "logs", DASHBOARD)
        # Training goes on without anybody watching.
        return ChildSpec(DASHBOARD, tuple(argv), DASHBOARD_STAGE, needed=False)

    def _release_ports(self) -> None:
        for held in (self._held, self._held_author, self._held_page):
            if held is not None:
                held.close()

    def _open_fleet(
        self,
        options: RunOptions,
        ports: FleetPorts,
        log_dir: Path,
        notify: Callable[[str], None] | None,
    ) -> None:
        """Prepare the private fleet, or to use the one that is named."""
        if options.fleet is None:
            self._fleet = LocalFleet(
                options.workers, ports=ports, log_dir=log_dir, keys=options.keys, notify=notify
            )
            self._supervisor = self._fleet.supervisor
            self._address = self._fleet.client_address
        else:
            self._supervisor = Supervisor(log_dir=log_dir, notify=notify)
            self._address = options.fleet

    def _learner(self, options: RunOptions, restart: bool) -> ChildSpec:
        fleet = self._address
        after = ["--http-port", str(self._held.port)]
        after += log_arguments(self.directory / "logs", LEARNER)

        def start(options: RunOptions, *flags: str) -> tuple[str, ...]:
            arguments = options.learner_arguments(self.directory, fleet)
            return ("-m", "websim_learner", *arguments, *flags, *after)

        def start_again() -> tuple[str, ...]:
            if options.resume is not None:
                return start(options)
            begun, over = (self.directory / name for name in ("config.json", "result.json"))
            if begun.exists() and not over.exists():
                again = RunOptions(
                    resume=self.directory, keys=options.keys, reward_gen=options.reward_gen
                )
                return start(again)
            # It died before there was a run to go on with, or when it had its result.
            return start(options, "--resume-if-started")

        return ChildSpec(
            LEARNER,
            start(options),
            LEARNER_STAGE,
            restart="on_failure" if restart else "never",
            restart_argv=start_again,
            stop_deadline_s=STOP_DEADLINE_S,
            progress=lambda: newest_update(self.directory),
        )

    @property
    def fleet(self) -> LocalFleet | None:
        """The private fleet, if this run has one."""
        return self._fleet

    @property
    def reward_gen_url(self) -> str | None:
        """The HTTP of the run's own reward-gen, if it has one."""
        held = self._held_author
        return None if held is None else f"http://127.0.0.1:{held.port}"

    @property
    def page_url(self) -> str | None:
        """Where a browser finds the run, if it has a dashboard."""
        held = self._held_page
        return None if held is None else f"http://127.0.0.1:{held.port}"

    @property
    def page_ready(self) -> bool:
        """Whether the dashboard answers."""
        return self._held_page is not None and self._supervisor.state(DASHBOARD) == "ready"

    @property
    def http_url(self) -> str:
        """The learner's HTTP."""
        return f"http://127.0.0.1:{self._held.port}"

    def wait_ready(self, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait until the fleet and the learner can work.

        Args:
            cancelled: Asked again and again; once true, waiting ends with KeyboardInterrupt.

        Raises:
            ChildFailedError: A process did not start; says why.
        """
        if self._fleet is not None:
            self._fleet.wait_ready(cancelled)
        self._supervisor.wait_ready([LEARNER], START_TIMEOUT_S, cancelled)

    def status(self) -> dict[str, Any]:
        """Return the present state of the run: `state`, `env_steps`, `steps_per_s`, and so on.

        A learner that does not answer has only a state: `starting`, `unreachable` or `ended`.
        """
        try:
            return LearnerApi(self.http_url).status()
        except LearnerUnreachableError:
            if self.ended:
                return {"state": "ended"}
            started = self._supervisor.facts(LEARNER) is not None
            return {"state": "unreachable" if started else "starting"}

    def pause(self) -> None:
        """Pause training when the present update ends; returns when it has."""
        self._command("pause")

    def resume(self) -> None:
        """Go on after a pause."""
        self._command("resume")

    def stop(self) -> None:
        """End training as if its steps were over: last checkpoint, evaluation, result."""
        self._command("stop")

    def _command(self, kind: str) -> None:
        try:
            LearnerApi(self.http_url).command(kind)
        except LearnerUnreachableError:
            reason = self.failure or "it does not answer"
            raise UserError(f"the learner cannot {kind}: {reason}") from None

    def new_events(self, after: int) -> list[dict[str, Any]]:
        """Return the records beyond number `after` that there are now.

        Those that a learner did not live to tell are read from the run's metrics.jsonl.
        """
        try:
            return LearnerApi(self.http_url).events(after)
        except LearnerUnreachableError:
            path = self.directory / "metrics.jsonl"
            if not self.ended or not path.exists():
                return []
        rows = map(json.loads, path.read_bytes().split(b"\n")[:-1])
        return [row for row in rows if row["n"] > after]

    def events(self, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the typed records of the run as they come, until it is over.

        Args:
            after: Number of the last record already known.

        Raises:
            ChildFailedError: The run cannot go on: the learner ended other than by finishing, or
                the fleet has been given up.
        """
        while True:
            over = self.ended or self.failure is not None
            records = self.new_events(after)
            for record in records:
                after = record["n"]
                yield record
            if over:
                break
            if not records:
                time.sleep(POLL_S)
        self.raise_failure()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield a record of metrics per update, as they come, until the run is over."""
        for record in self.events():
            if record["kind"] == "metrics":
                yield record

    @property
    def ended(self) -> bool:
        """Whether the learner has ended, for whatever reason, and is not started again."""
        return self.returncode is not None

    @property
    def returncode(self) -> int | None:
        """Exit code of the learner; None while it runs."""
        return self._supervisor.returncode(LEARNER)

    @property
    def failure(self) -> ChildFailedError | None:
        """Why the run cannot go on; None while all is well, or when it has finished."""
        failures = [] if self.finished else self._supervisor.failures()
        return failures[0] if failures else None

    @property
    def finished(self) -> bool:
        """Whether the run is over and has its result."""
        return self.returncode == 0 and (self.directory / "result.json").is_file()

    def raise_failure(self) -> None:
        """Raise `ChildFailedError` if the run cannot go on."""
        failure = self.failure
        if failure is not None:
            raise failure

    def result(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for the end of the run and return its result.json.

        Args:
            timeout_s: Seconds to wait at most; None waits as long as the learner runs.

        Raises:
            TimeoutError: The run is not over in time; it goes on.
            ChildFailedError: The learner ended other than by finishing.
        """
        give_up_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self.ended and self.failure is None:
            if give_up_s is not None and time.monotonic() > give_up_s:
                raise TimeoutError(f"the run is not over after {timeout_s:g} s")
            time.sleep(POLL_S)
        self.raise_failure()
        result: dict[str, Any] = json.loads((self.directory / "result.json").read_text())
        return result

    def close(self) -> None:
        """End all processes; the learner writes a last checkpoint. Nothing of them is left.

        Nor is anything of a run that never began, unless a process crashed: its output says why.
        """
        # Asked before they are ended: how a process ends that was told to says nothing.
        crashed = any(
            failure.exit_code != EXIT_USER_ERROR for failure in self._supervisor.failures()
        )
        self._supervisor.stop()
        if self._fleet is not None:
            self._fleet.close()
        self._release_ports()
        self._let_go(forget=not crashed)

    def _let_go(self, *, forget: bool) -> None:
        """Leave the directory to others; of a run that never began, leave nothing if so wished."""
        if self._hold is not None:
            if forget:
                forget_unbegun(self.directory)
            os.close(self._hold)
            self._hold = None

    def __enter__(self) -> "Run":
        """Return the run."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all processes."""
        self.close()
