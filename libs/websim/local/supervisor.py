"""Keeps child processes running, and leaves none behind.

A thread watches the children: one that dies is started again, later and later if it keeps dying.
`stop` ends them stage by stage: SIGTERM, a deadline, SIGKILL. Each child holds the read end of a
pipe whose write end only this process has, so that children notice when it is killed.
"""

import atexit
import contextlib
import os
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from websim.local.child import EXIT_CRASHED, Child, ChildSpec, State
from websim.service.errors import EXIT_USER_ERROR, UserError

__all__ = ["ChildFailedError", "ChildSpec", "Supervisor"]

POLL_S = 0.05
"""How often the children are looked at; a dead one is noticed this late."""


class ChildFailedError(UserError):
    """A child did not start, or ended other than it should; says why in its own last words."""

    @classmethod
    def of(cls, child: Child, output_is_kept: bool) -> "ChildFailedError":
        """Return the error that tells of a child's end."""
        if child.returncode == EXIT_USER_ERROR:
            return cls(child.reason)
        where = f"; its output is in {child.output_file}" if output_is_kept else ""
        error = cls(child.reason + where)
        error.exit_code = EXIT_CRASHED
        return error


class Supervisor:
    """Starts children and keeps them as their specifications say, until `stop`."""

    def __init__(
        self, *, log_dir: Path | None = None, notify: Callable[[str], None] | None = None
    ) -> None:
        """Prepare.

        Args:
            log_dir: Where children's output goes, as `<name>.stderr`; None keeps it only until
                `stop`.
            notify: Called with a line for people when a child has ended; from another thread.
        """
        self._directory = Path(tempfile.mkdtemp(prefix="websim-"))
        self._keeps_logs = log_dir is not None
        self.log_dir = (log_dir if log_dir is not None else self._directory).absolute()
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._notify = notify
        self._owner_pid = os.getpid()
        self._children: dict[str, Child] = {}
        self._leaving: dict[Child, float] = {}
        """Retired children and when they are killed, on the clock of `time.monotonic`."""
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._parent_fd, self._write_fd = os.pipe()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        _supervisors.add(self)

    def start(self, spec: ChildSpec) -> None:
        """Start a child; `wait_ready` tells when it can do its work."""
        with self._lock:
            if self._stopping.is_set():
                raise RuntimeError("this supervisor has been stopped")
            child = Child(spec, self._directory, self.log_dir, self._parent_fd)
            self._children[spec.name] = child
            line = child.start()
            if not self._watcher.is_alive():
                self._watcher.start()
        self._tell(line)

    def wait_ready(
        self,
        names: Sequence[str],
        timeout_s: float,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> list[dict[str, Any]]:
        """Wait until the named children are ready.

        Args:
            names: Children that have been started.
            timeout_s: Seconds to wait at most.
            cancelled: Asked again and again; once true, waiting ends with KeyboardInterrupt.

        Returns:
            The facts of their ready files, in the order of `names`.

        Raises:
            ChildFailedError: One ended instead, or is not ready in time.
        """
        give_up_s = time.monotonic() + timeout_s
        while True:
            with self._lock:
                children = [self._children[name] for name in names]
                for child in children:
                    if child.failed or (child.state == "ended" and child.facts is None):
                        raise ChildFailedError.of(child, self._keeps_logs)
                facts = [child.facts for child in children if child.facts is not None]
                late = [child.spec.name for child in children if child.facts is None]
            if not late:
                return facts
            if cancelled():
                raise KeyboardInterrupt
            if time.monotonic() > give_up_s:
                said = self._children[late[0]].last_line()
                raise ChildFailedError(
                    f"{', '.join(late)} not ready after {timeout_s:g} s" + (said and f" ({said})")
                )
            time.sleep(POLL_S / 5)

    def state(self, name: str) -> State:
        """Return the state of a child."""
        with self._lock:
            return self._children[name].state

    def pid(self, name: str) -> int | None:
        """Return the process id of a child, None while it has no process."""
        with self._lock:
            return self._children[name].pid

    def ready_pid(self, name: str) -> int | None:
        """Return the process id of a child that is ready, None while it is not."""
        with self._lock:
            child = self._children[name]
            return child.pid if child.state == "ready" else None

    def num_starts(self, name: str) -> int:
        """Return how many processes have been started for a child."""
        with self._lock:
            return self._children[name].num_starts

    def facts(self, name: str) -> dict[str, Any] | None:
        """Return the ready file of a child's present process, None while it is not ready."""
        with self._lock:
            return self._children[name].facts

    def returncode(self, name: str) -> int | None:
        """Return the exit code of a child that has ended and is not started again."""
        with self._lock:
            child = self._children[name]
            return child.returncode if child.state in ("ended", "failed") else None

    def failures(self) -> list[ChildFailedError]:
        """Return an error for each needed child that has ended other than it should, for good."""
        with self._lock:
            children = [c for c in self._children.values() if c.failed and c.spec.needed]
            return [ChildFailedError.of(child, self._keeps_logs) for child in children]

    def retire(self, name: str) -> None:
        """Ask a child to end for good, without waiting for it, and forget its name.

        It is killed when it has not ended by its deadline.
        """
        with self._lock:
            child = self._children.pop(name)
            child.terminate()
            self._leaving[child] = time.monotonic() + child.spec.stop_deadline_s

    def stop(self) -> None:
        """End all children, by descending stage; nothing of them is left when this returns.

        Does nothing when called again, or in a fork of the process that started them. Interrupted
        (a second Ctrl-C), it kills what still runs before the exception goes on.
        """
        if os.getpid() != self._owner_pid or self._stopping.is_set():
            return
        self._stopping.set()
        try:
            if self._watcher.is_alive():
                self._watcher.join()
            children = [*self._children.values(), *self._leaving]
            for stage in sorted({child.spec.stage for child in children}, reverse=True):
                self._stop_stage([child for child in children if child.spec.stage == stage])
        finally:
            for child in [*self._children.values(), *self._leaving]:
                child.kill()
            os.close(self._write_fd)
            os.close(self._parent_fd)
            shutil.rmtree(self._directory, ignore_errors=True)

    def _stop_stage(self, children: list[Child]) -> None:
        now_s = time.monotonic()
        for child in children:
            child.terminate()
        for child in children:
            child.wait(now_s + child.spec.stop_deadline_s)

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_S):
            with self._lock:
                lines = [_tick(child) for child in self._children.values()]
                left = [child for child, by_s in self._leaving.items() if child.has_left(by_s)]
                for child in left:
                    del self._leaving[child]
            for line in lines:
                self._tell(line)

    def _tell(self, line: str | None) -> None:
        if line is not None and self._notify is not None:
            # Where nobody is there any more to hear it, the children are looked after all the same.
            with contextlib.suppress(Exception):
                self._notify(line)

    def _forget_in_fork(self) -> None:
        """Let go of the pipe: while a fork held it, children could not notice our death."""
        if not self._stopping.is_set():
            os.close(self._write_fd)


def _tick(child: Child) -> str | None:
    """Look at a child; what goes wrong in that is its end, never that of all supervision."""
    try:
        return child.tick()
    except Exception as error:
        return child.give_up(f"{child.spec.name} cannot be supervised: {error!r}")


_supervisors: "weakref.WeakSet[Supervisor]" = weakref.WeakSet()


def _stop_all() -> None:
    for supervisor in list(_supervisors):
        supervisor.stop()


def _forget_all_in_fork() -> None:
    for supervisor in list(_supervisors):
        supervisor._forget_in_fork()


atexit.register(_stop_all)
os.register_at_fork(after_in_child=_forget_all_in_fork)
