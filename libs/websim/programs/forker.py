"""The caller's end of the forker process: start it, have it fork and reap workers, close it.

The forker is a fresh interpreter with an empty environment and no inherited descriptors, so a
worker's memory never held a secret of the caller. It ends when the caller closes the socket or
dies, however that happens.
"""

import atexit
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Literal

Problem = Literal["deadline", "crashed", "error", "quarantined", "unavailable"]

START_TIMEOUT_S = 30.0
"""How long the forker may take to start; it imports numpy, usually in a fifth of a second."""

_REQUEST_TIMEOUT_S = 10.0
_STOP_TIMEOUT_S = 5.0
_MAX_ANSWER_BYTES = 4096
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_PASSED_ON = (
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES",
    "NPY_ENABLE_CPU_FEATURES",
    "GLIBC_TUNABLES",
)
"""Needed to start some interpreters, or choosing among kernels that round differently; the child
clears its environment before any program."""


class SandboxError(RuntimeError):
    """The confined child did not deliver a result: fall back to the last good program.

    Attributes:
        problem: deadline (took too long), crashed (the worker ended), error (evaluation raised),
            quarantined (three strikes: not tried again), unavailable (no child can be had).
    """

    problem: Problem

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


class Sandbox:
    """A running forker; safe to share between threads."""

    def __init__(self, command: Sequence[str] = ("-m", "websim.programs.child")) -> None:
        """Start the forker and wait until it is locked down.

        Args:
            command: arguments of the Python interpreter that becomes the forker.

        Raises:
            SandboxError: it did not start, or this system cannot confine it.
        """
        self._command = command
        self._lock = threading.Lock()
        self._socket, self._process, self.locks = self._start()
        atexit.register(self.close)

    locks: tuple[str, ...]
    """Names of the locks that hold here, for people and metrics."""

    @property
    def is_running(self) -> bool:
        """False once the forker has ended or was closed."""
        return self._process.poll() is None and self._socket.fileno() >= 0

    @property
    def pid(self) -> int:
        """Process id of the forker."""
        return self._process.pid

    def spawn(self, descriptors: Sequence[int]) -> tuple[int, int]:
        """Fork a worker on command pipe, reply pipe, input and output memory.

        Returns:
            The worker's number in this sandbox, to reap it by, and its process id.
        """
        answer = self._request({"do": "spawn"}, descriptors)
        return answer["worker"], answer["pid"]

    def reap(self, worker: int) -> int:
        """End the worker of this number and return its wait status; once for each."""
        return self._request({"do": "reap", "worker": worker}, [])["status"]

    def close(self) -> None:
        """Stop the forker and all workers; safe to call more than once."""
        with self._lock:
            self._socket.close()
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        atexit.unregister(self.close)

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _request(self, request: dict[str, object], descriptors: Sequence[int]) -> dict[str, int]:
        with self._lock:
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], list(descriptors))
                answer = self._socket.recv(_MAX_ANSWER_BYTES)
            except OSError as error:
                # An answer that is late would be taken for that to the next request.
                self._socket.close()
                self._process.kill()
                raise SandboxError("unavailable", f"the sandbox is gone: {error}") from None
        if not answer:
            raise SandboxError("unavailable", "the sandbox process ended; start another Sandbox")
        decoded: dict[str, int] = json.loads(answer)
        return decoded

    def _start(self) -> tuple[socket.socket, subprocess.Popen[bytes], tuple[str, ...]]:
        ours, theirs = socket.socketpair()
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-s", *self._command],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env={
                    "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                    **dict.fromkeys(_ONE_THREAD, "1"),
                    **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
                },
                start_new_session=True,
            )
        return ours, process, self._await_ready(ours, process)

    def _await_ready(
        self, ours: socket.socket, process: subprocess.Popen[bytes]
    ) -> tuple[str, ...]:
        ours.settimeout(START_TIMEOUT_S)
        assert process.stderr is not None
        try:
            answer = json.loads(ours.recv(_MAX_ANSWER_BYTES) or "{}")
        except TimeoutError:
            answer = {"error": f"it did not start within {START_TIMEOUT_S:g} s"}
        if "locks" not in answer:
            process.kill()
            said = process.stderr.read().decode(errors="replace").strip().splitlines()
            process.stderr.close()
            process.wait()
            ours.close()
            cause = answer.get("error") or (said[-1] if said else "it ended while starting")
            raise SandboxError("unavailable", f"programs cannot be confined here: {cause}")
        process.stderr.close()
        ours.settimeout(_REQUEST_TIMEOUT_S)
        return tuple(answer["locks"])
