"""One supervised process: how it is started, watched and ended. Used by the supervisor only."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from websim.service.errors import EXIT_USER_ERROR
from websim.service.ready import read_ready
from websim.service.shutdown import PARENT_FD_VARIABLE

HEALTHY_AFTER_S = 5.0
"""A process that lived this long was not part of a crash loop, where nobody measures progress."""

CRASH_LIMIT = 8
"""Deaths in a row, each before ready or without progress, after which a child is given up."""

FIRST_BACKOFF_S = 0.1
"""Wait before the first restart; doubles with every death of a crash loop."""

EXIT_CRASHED = 1
"""Exit code of a command whose service crashed, and of a service that could not be started."""

MAX_BACKOFF_S = 5.0
"""Longest wait before a restart."""

SECRETS = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"})
"""Variables that only the process which needs them inherits."""

CHILD_ENVIRONMENT = {
    # Batches of observations are freed and allocated at every step: by default glibc gives that
    # memory back to the kernel each time and faults it in again page by page.
    "MALLOC_MMAP_THRESHOLD_": str(64 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
    "MALLOC_TOP_PAD_": str(64 * 1024 * 1024),
    # Processes share the cores already; more threads would fight, and change the last bits.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@dataclass(frozen=True)
class ChildSpec:
    """What to run, and how to treat it."""

    name: str
    """Unique in its supervisor, as in `sim-worker-0`; names its files."""
    argv: tuple[str, ...]
    """Arguments of the Python interpreter, as in `("-m", "websim_orchestrator")`."""
    stage: int
    """Children are stopped by descending stage; those of one stage together."""
    restart: Literal["always", "on_failure", "never"] = "always"
    """Whether to start it again when it ends without being asked to; `on_failure` takes exit code
    0 for the end of its work."""
    restart_argv: Callable[[], tuple[str, ...]] | None = None
    """Returns the arguments of every start but the first, when they differ."""
    stop_deadline_s: float = 5.0
    """How long it may take to end by itself."""
    needed: bool = True
    """Whether all is lost when it ends for good."""
    with_secrets: bool = False
    """Whether it gets what SECRETS names; nobody else does."""
    progress: Callable[[], int] | None = None
    """Returns a number that has grown when a process achieved something that the next one builds
    on: its death is no part of a crash loop then, however early; others are, however late."""


State = Literal["starting", "ready", "waiting", "ended", "failed"]


class Child:
    """A process and its history. Not thread-safe: the supervisor's lock guards it.

    Attributes:
        spec: What runs.
        state: `starting`, `ready`; `waiting` to be restarted; `ended`, not to be restarted;
            `failed`, given up.
        facts: The ready file of the present process, once there; of the last one that ended for
            good.
        returncode: Of the last process that ended; EXIT_CRASHED where it could not be started.
        reason: Why the last process ended or was not started, in a line.
        num_starts: Processes started so far.
    """

    def __init__(self, spec: ChildSpec, directory: Path, log_dir: Path, parent_fd: int) -> None:
        self.spec = spec
        self.state: State = "starting"
        self.facts: dict[str, Any] | None = None
        self.returncode: int | None = None
        self.reason = ""
        self.num_starts = 0
        self.restart_at_s = 0.0
        self._was_ready = False
        self._deaths_in_a_row = 0
        self._achieved = spec.progress() if spec.progress is not None else 0
        self._started_s = 0.0
        self._parent_fd = parent_fd
        # A notebook may go elsewhere; the paths in the arguments mean the same at every start.
        self._cwd = Path.cwd()
        self._ready_file = directory / f"{spec.name}.ready"
        self.output_file = log_dir / f"{spec.name}.stderr"
        self._output_start = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def failed(self) -> bool:
        """Whether it has ended other than it should, for good."""
        return self.state == "failed" or (self.state == "ended" and self.returncode != 0)

    @property
    def pid(self) -> int | None:
        """Process id while a process runs, or has not been noticed to have ended."""
        return self._process.pid if self._process is not None else None

    def start(self) -> str | None:
        """Start a process, now or later: where it cannot be, that counts as its death.

        Returns:
            A line for people when it could not be started and they may want to know.
        """
        try:
            self._launch()
        except OSError as error:
            # For want of memory, processes or disk space: that may pass, and is no defect of ours.
            return self._cannot(f"{self.spec.name} cannot be started: {error}")
        return None

    def _launch(self) -> None:
        # Whoever tidies up may have taken the directories away.
        self._ready_file.parent.mkdir(mode=0o700, exist_ok=True)
        self.output_file.parent.mkdir(parents=True, exist_ok=True)
        self._ready_file.unlink(missing_ok=True)
        argv = self.spec.argv
        if self.num_starts > 0 and self.spec.restart_argv is not None:
            argv = self.spec.restart_argv()
        inherited = os.environ.items()
        environment = {
            **{k: v for k, v in inherited if self.spec.with_secrets or k not in SECRETS},
            **CHILD_ENVIRONMENT,
            PARENT_FD_VARIABLE: str(self._parent_fd),
        }
        with open(self.output_file, "ab") as output:
            self._output_start = output.tell()
            # -P: a file beside the user's notebook must not shadow a module of ours. A session of
            # its own: the terminal's Ctrl-C reaches only the supervisor, which knows the order.
            self._process = subprocess.Popen(
                [sys.executable, "-P", *argv, "--ready-file", str(self._ready_file)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                cwd=self._cwd,
                pass_fds=[self._parent_fd],
                start_new_session=True,
            )
        self.num_starts += 1
        self.state = "starting"
        self._started_s = time.monotonic()

    def tick(self) -> str | None:
        """Notice what has happened and do what is due.

        Returns:
            A line for people when something happened that they may want to know.
        """
        if self.state == "waiting" and time.monotonic() >= self.restart_at_s:
            return self.start()
        if self._process is None:
            return None
        if self.state == "starting":
            self.facts = read_ready(self._ready_file)
            if self.facts is not None:
                self.state = "ready"
                self._was_ready = True
        return self._on_end() if self._process.poll() is not None else None

    def terminate(self) -> None:
        """Ask the process to end."""
        if self._process is not None:
            self._process.terminate()

    def wait(self, deadline_s: float) -> None:
        """Wait until the process has ended, and kill it, and what it started, at the deadline.

        Args:
            deadline_s: On the clock of `time.monotonic`.
        """
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.0, deadline_s - time.monotonic()))
        self.kill()

    def has_left(self, deadline_s: float) -> bool:
        """Return whether the process has ended; at the deadline it is killed.

        Args:
            deadline_s: On the clock of `time.monotonic`.
        """
        if self._process is None:
            return True
        if self._process.poll() is None and time.monotonic() < deadline_s:
            return False
        self.kill()
        return True

    def kill(self) -> None:
        """End the process and everything in its session at once."""
        if self._process is None:
            return
        _kill_group(self._process.pid)
        self.returncode = self._process.wait()
        self.reason = self._describe_end()
        self._process = None
        self.state = "ended"

    def give_up(self, reason: str) -> str:
        """End the process for good; return the line that tells of it."""
        self.kill()
        self.reason, self.returncode, self.state = reason, EXIT_CRASHED, "failed"
        return f"{reason}; given up"

    def last_line(self) -> str:
        """Return the last line the present or last process printed; empty when it said nothing."""
        try:
            with open(self.output_file, "rb") as output:
                size = output.seek(0, os.SEEK_END)
                output.seek(max(self._output_start, size - 16_384))
                text = output.read().decode(errors="replace")
        except OSError:
            return ""
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def _on_end(self) -> str | None:
        assert self._process is not None
        _kill_group(self._process.pid)
        self.returncode = self._process.returncode
        self._process = None
        self.reason = self._describe_end()
        finished = self.spec.restart == "on_failure" and self.returncode == 0
        if finished or self.spec.restart == "never":
            self.state = "ended"
            return None
        self._deaths_in_a_row = 0 if self._progressed() else self._deaths_in_a_row + 1
        return self._again_or_never()

    def _cannot(self, reason: str) -> str | None:
        self.reason = reason
        self.returncode = EXIT_CRASHED
        self._deaths_in_a_row += 1
        return self._again_or_never()

    def _again_or_never(self) -> str | None:
        """Plan the next start, or give up; return a line for people."""
        assert self.returncode is not None
        # A refusal to start is not cured by starting again, but a kill from outside may be.
        refused = not self._was_ready and self.returncode >= 0
        if refused or self.returncode == EXIT_USER_ERROR or self._deaths_in_a_row >= CRASH_LIMIT:
            self.state = "failed"
            if self.spec.needed and self.num_starts == 1:
                # Nothing was tried again, and whoever needs it ends with the reason.
                return None
            starts = f"{self.num_starts} start{'s' if self.num_starts > 1 else ''}"
            return f"{self.reason.removesuffix('.')}; given up after {starts}"
        doublings = max(0, self._deaths_in_a_row - 1)
        backoff_s = min(FIRST_BACKOFF_S * 2**doublings, MAX_BACKOFF_S)
        self.state = "waiting"
        self.facts = None
        self.restart_at_s = time.monotonic() + backoff_s
        return f"{self.reason}; starting it again in {backoff_s:.1f} s"

    def _progressed(self) -> bool:
        """Return whether the process that has ended was worth its start, or its end not its doing.

        A service that was ready and got a SIGKILL is not to blame. Where its work is what gets it
        killed, as for want of memory, the fleet sees to it: it skips a step that ends one worker
        after another, and gives such a session up.
        """
        if self.spec.progress is not None:
            before, self._achieved = self._achieved, self.spec.progress()
            return self._achieved > before
        killed = self.state == "ready" and self.returncode == -signal.SIGKILL
        return killed or time.monotonic() - self._started_s >= HEALTHY_AFTER_S

    def _describe_end(self) -> str:
        assert self.returncode is not None
        said = self.last_line()
        if self.returncode == EXIT_USER_ERROR and said.startswith("error: "):
            return said.removeprefix("error: ")
        how = f"ended with exit code {self.returncode}"
        if self.returncode < 0:
            how = f"was ended by {_signal_name(-self.returncode)}"
        why = f" ({said})" if said and self.returncode > 0 else ""
        return f"{self.spec.name} {how}{why}"


def _signal_name(number: int) -> str:
    """Return the name of a signal; of the real-time ones only the first and the last have one."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _kill_group(pid: int) -> None:
    """Kill what is left of the session that a child led."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
