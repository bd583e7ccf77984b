"""Graceful shutdown: signals and the parent's death only set a flag; the main loop acts on it."""

import os
import select
import signal
import threading
import time
import weakref
from types import FrameType

PARENT_FD_VARIABLE = "WEBSIM_PARENT_FD"
"""Names the inherited read end of a pipe whose write end only the parent process holds."""

PARENT_GONE_GRACE_S = 5.0
"""How long a service may take to stop by itself once its parent is gone."""


class Shutdown:
    """A request to stop, which any thread or signal handler may make and any loop may wait for.

    A pipe carries it rather than a `threading.Event`, whose lock a signal handler may find held
    by the very thread it interrupted. `fileno()` becomes readable when the request is made, and
    stays so: a poller can wait for it beside its sockets.
    """

    def __init__(self) -> None:
        self.reason = ""
        self._requested = False
        self._read_fd, self._write_fd = os.pipe()
        os.set_blocking(self._write_fd, False)
        self._close = weakref.finalize(self, _close_all, self._read_fd, self._write_fd)

    @property
    def requested(self) -> bool:
        """Whether the service is to stop."""
        return self._requested

    def request(self, reason: str) -> None:
        """Ask for the stop; the first reason is kept."""
        if not self._requested:
            self.reason = reason
            self._requested = True
            os.write(self._write_fd, b"x")

    def wait(self, timeout_s: float) -> bool:
        """Wait until the stop is requested.

        Args:
            timeout_s: Seconds to wait at most.

        Returns:
            Whether it is requested.
        """
        poller = select.poll()
        poller.register(self._read_fd, select.POLLIN)
        poller.poll(max(0.0, timeout_s) * 1000.0)
        return self._requested

    def wake_on_signals(self) -> None:
        """Have every signal that has a handler end the waits, so that it is handled at once.

        For a `Shutdown` that lives as long as the process.
        """
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)

    def fileno(self) -> int:
        """Return the descriptor that is readable once the stop is requested."""
        return self._read_fd


def install_shutdown() -> Shutdown:
    """Turn SIGTERM, SIGINT and the parent's death into a `Shutdown`; call it in the main thread.

    A second SIGINT interrupts the program (KeyboardInterrupt), for a person who will not wait.
    """
    shutdown = Shutdown()

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and shutdown.requested:
            raise KeyboardInterrupt
        shutdown.request(f"received {signal.Signals(number).name}")

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    # A signal that another thread gets, or that comes right before the main thread's system call,
    # interrupts no wait; this ends it, and the handler runs then.
    shutdown.wake_on_signals()
    _installed.append(shutdown)
    watch_parent()
    return shutdown


def watch_parent() -> None:
    """From now on, notice when the process that started this one is gone.

    `run_service` and `install_shutdown` call it; only the first call does something. A service
    that has no `Shutdown` yet then ends at once.
    """
    # Popped, so that a process started from here does not take our descriptor for one of its own.
    parent_fd = os.environ.pop(PARENT_FD_VARIABLE, "")
    if parent_fd:
        threading.Thread(
            target=_await_end_of_parent, args=(int(parent_fd),), name="parent-watch", daemon=True
        ).start()


_installed: list[Shutdown] = []


def _await_end_of_parent(parent_fd: int) -> None:
    """Wait for the end of file that the kernel delivers however the parent ends."""
    os.set_inheritable(parent_fd, False)
    while os.read(parent_fd, 1):
        pass
    for shutdown in _installed:
        shutdown.request("the parent process is gone")
    if _installed:
        time.sleep(PARENT_GONE_GRACE_S)
    os._exit(1)


def _close_all(*fds: int) -> None:
    for fd in fds:
        os.close(fd)
