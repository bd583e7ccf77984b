"""The confined side: a small forker, started fresh, that forks one locked-down worker per program.

Run by websim.programs.forker as `python -m websim.programs.child`, never by people. The forker runs
no program itself: it forks workers and reaps them until its caller closes the socket or dies.
"""

import gc
import json
import os
import signal
import socket
import sys
import warnings
from collections.abc import Sequence

import numpy as np

from websim.programs import confine, seccomp
from websim.programs.functions import FUNCTIONS, Function
from websim.programs.program import compile_program
from websim.programs.schema import ProgramSchema
from websim.programs.worker import COMMAND_FD, REPLY_FD, Loader, load_program, work

MAX_REQUEST_BYTES = 4096
"""Longest request and answer on the forker's socket; programs travel on the worker's own pipe."""

_NUM_DESCRIPTORS = 4


def main(loader: Loader = load_program) -> None:
    """Serve spawn and reap requests on the socket that is standard input, until it closes."""
    with socket.socket(fileno=os.dup(0)) as requests, open(os.devnull, "rb+") as null:
        warnings.simplefilter("ignore")
        _warm_up()
        base_bytes = confine.mapped_bytes()
        locks = [*confine.confine_forker(), "rlimits"]
        if sys.platform == "linux":
            problem = _seccomp_problem()
            if problem is not None:
                _send(requests, {"error": problem})
                return
            locks.append("seccomp")
        gc.collect()
        gc.freeze()
        _send(requests, {"locks": locks})
        os.dup2(null.fileno(), 2)
        _serve(requests, base_bytes, loader)


def _serve(requests: socket.socket, base_bytes: int, loader: Loader) -> None:
    forker = os.getpid()
    nursery = _Nursery()
    while True:
        body, descriptors, _, _ = socket.recv_fds(requests, MAX_REQUEST_BYTES, _NUM_DESCRIPTORS)
        if not body:
            nursery.end_all()
            return
        request = json.loads(body)
        if request["do"] == "reap":
            _send(requests, {"status": nursery.reap(request["worker"])})
            continue
        nursery.collect()
        pid = os.fork()
        if pid == 0:
            _work_and_exit(descriptors, forker, base_bytes, loader)
        for descriptor in descriptors:
            os.close(descriptor)
        _send(requests, {"worker": nursery.add(pid), "pid": pid})


class _Nursery:
    """The forker's children, by a number that is used once: the system uses its own again."""

    def __init__(self) -> None:
        self._alive: dict[int, int] = {}
        self._statuses: dict[int, int] = {}
        self._last = 0

    def add(self, pid: int) -> int:
        """Note a new child and return its number."""
        self._last += 1
        self._alive[self._last] = pid
        return self._last

    def reap(self, worker: int) -> int:
        """End a child if need be and return its wait status."""
        if worker in self._alive:
            pid = self._alive.pop(worker)
            os.kill(pid, signal.SIGKILL)
            return os.waitpid(pid, 0)[1]
        return self._statuses.pop(worker)

    def collect(self) -> None:
        """Take leave of children that ended by themselves, so that none stays a zombie."""
        for worker, pid in list(self._alive.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._alive[worker]
                self._statuses[worker] = status

    def end_all(self) -> None:
        """Kill every child; whoever inherits them reaps them."""
        for pid in self._alive.values():
            os.kill(pid, signal.SIGKILL)


def _work_and_exit(
    descriptors: Sequence[int], forker: int, base_bytes: int, loader: Loader
) -> None:
    """Be a worker; an error on the way ends it, and the caller sees the pipe close."""
    try:
        work(descriptors, forker, base_bytes, loader)
        os._exit(0)
    finally:
        os._exit(1)


def _seccomp_problem() -> str | None:
    """Return why system calls cannot be confined here, or None: a trial process must be killed."""
    if not seccomp.is_supported():
        return "there is no seccomp filter for this machine"
    code = seccomp.build_filter(COMMAND_FD, REPLY_FD)
    pid = os.fork()
    if pid == 0:
        try:
            seccomp.install(code)
            os.getppid()
        finally:
            os._exit(0)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGSYS:
        return None
    return "this kernel does not enforce seccomp filters"


def _warm_up() -> None:
    """Do once what a worker does, so that nothing is imported or opened behind the locks."""
    schema = ProgramSchema({"obs": 2, "x": 0}, 2)
    source = "def reward(state, action):\n    return state.x ** 2, {'a': state.obs[:, 0]}"
    program = compile_program(source, schema)
    program.with_components({"obs": np.ones((2, 2)), "x": np.ones(2)}, np.ones((2, 2), np.float32))
    for function in FUNCTIONS.values():
        for dtype in (np.float64, np.float32):
            _call_once(function, np.ones((2, 2), dtype))


def _call_once(function: Function, matrix: np.ndarray) -> None:
    if function.booleans == "required":
        matrix = matrix > 0.0
    if function.rule == "row":
        function.implementation(matrix, 1)
    elif function.rule in ("power", "like"):
        function.implementation(*[matrix, 2.0][: function.arity])
    elif function.name == "where":
        function.implementation(matrix > 0.0, matrix, matrix)
    else:
        function.implementation(*[matrix] * function.arity)


def _send(requests: socket.socket, answer: dict[str, object]) -> None:
    requests.sendall(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
