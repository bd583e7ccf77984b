"""The caller's end of one worker: its pipes, its shared memory, one call with a deadline."""

import contextlib
import fcntl
import mmap
import os
import select
import signal
import sys
import tempfile
import time
import weakref
from collections.abc import Mapping

from websim.programs.forker import Sandbox, SandboxError
from websim.programs.program import Program
from websim.programs.shared import (
    COMMAND,
    MAX_REPLY_BYTES,
    REPLY,
    Load,
    input_specs,
    output_specs,
    region_arrays,
    region_bytes,
)
from websim.programs.values import Array

STALL_FACTOR = 40
"""A call that took this many times its budget of wall time is given up on a starved machine too."""

LOAD_TIMEOUT_S = 10.0
"""How long a worker may take to lock itself down and compile; usually some milliseconds."""

_F_SEAL_FUTURE_WRITE = 0x10
_SIGNALS: dict[int, str] = {
    signal.SIGSYS: "it made a forbidden system call",
    signal.SIGSEGV: "it read memory that is not there",
    signal.SIGKILL: "it was killed",
}


class WorkerLink:
    """A spawned worker that has compiled its program."""

    def __init__(self, sandbox: Sandbox, program: Program, capacity: int) -> None:
        """Spawn a worker with room for `capacity` environments and wait until it is ready."""
        self.capacity = capacity
        self._sandbox = sandbox
        self._program = program
        self._sequence = 0
        self._ended = ""
        inputs = input_specs(program.fields, program.schema)
        outputs = output_specs(len(program.components))
        input_fd, input_region = _shared_memory(region_bytes(inputs, capacity))
        output_fd, output_region = _shared_memory(region_bytes(outputs, capacity))
        _seal(input_fd, output_fd)
        self._inputs = region_arrays(input_region, inputs, capacity)
        self._outputs = region_arrays(output_region, outputs, capacity)
        command_read, self._command_fd = os.pipe()
        self._reply_fd, reply_write = os.pipe()
        self._close = weakref.finalize(self, _close_all, self._command_fd, self._reply_fd)
        theirs = [command_read, reply_write, input_fd, output_fd]
        try:
            self._worker, self.pid = sandbox.spawn(theirs)
        finally:
            _close_all(*theirs)
        self._poll = select.poll()
        self._poll.register(self._reply_fd, select.POLLIN)
        self._clock = _processor_clock(self.pid)
        try:
            self._load()
        except SandboxError as error:
            message = f"the worker did not start: {error}: {self.end()}"
            raise SandboxError(error.problem, message) from None

    def call(
        self,
        fields: Mapping[str, Array],
        action: Array,
        budget_s: float,
        *,
        with_components: bool,
    ) -> list[Array]:
        """Evaluate once; return the total and, when asked for, the components, as new arrays."""
        if self._ended:
            raise SandboxError("crashed", "the worker has ended")
        num_rows = len(action)
        self._write_inputs(fields, action, num_rows)
        self._sequence = (self._sequence + 1) & 0xFFFF_FFFF
        start_s = self._spent_s()
        self._send(COMMAND.pack(self._sequence, num_rows, with_components))
        self._await_reply(start_s, budget_s)
        self._read_reply()
        dtypes = [self._program.dtype, *self._program.component_dtypes]
        wanted = len(dtypes) if with_components else 1
        return [
            output[:num_rows].astype(dtype)
            for output, dtype in zip(self._outputs[:wanted], dtypes, strict=False)
        ]

    def end(self) -> str:
        """End the worker and return how it ended, for people; safe to call more than once."""
        if not self._ended:
            self._close()
            try:
                self._ended = _describe(self._sandbox.reap(self._worker))
            except SandboxError as error:
                self._ended = str(error)
        return self._ended

    def _load(self) -> None:
        program = self._program
        load = Load(program.source, program.kind, program.schema, self.capacity)
        self._send(load.encode())
        if not self._poll.poll(LOAD_TIMEOUT_S * 1e3):
            raise SandboxError("deadline", f"the worker was not ready within {LOAD_TIMEOUT_S:g} s")
        self._read_reply()

    def _write_inputs(self, fields: Mapping[str, Array], action: Array, num_rows: int) -> None:
        """Copy what the program reads; other columns of the shared arrays are never looked at."""
        program = self._program
        *targets, action_target = self._inputs
        sources = program.arrays(fields)
        for target, source, spans in zip(targets, sources, program.column_spans, strict=True):
            _require_shape(source, target, num_rows)
            for span in spans:
                target[:num_rows, span] = source[:, span]
            if not spans:
                target[:num_rows] = source
        _require_shape(action, action_target, num_rows)
        if program.reads_action:
            action_target[:num_rows] = action

    def _send(self, message: bytes) -> None:
        try:
            while message:
                message = message[os.write(self._command_fd, message) :]
        except BrokenPipeError:
            raise SandboxError("crashed", "the worker has ended") from None

    def _await_reply(self, start_s: float, budget_s: float) -> None:
        """Wait for a reply; the budget is processor time, so that a busy machine is no strike."""
        if self._poll.poll(budget_s * 1e3):
            return
        give_up_s = time.monotonic() + budget_s * (STALL_FACTOR - 1)
        while time.monotonic() < give_up_s:
            left_s = budget_s - (self._spent_s() - start_s)
            if left_s <= 0.0:
                break
            if self._poll.poll(max(1.0, left_s * 1e3)):
                return
        raise SandboxError("deadline", f"the program took longer than {budget_s * 1e3:g} ms")

    def _spent_s(self) -> float:
        """Return the processor time of the worker so far."""
        try:
            return time.clock_gettime(self._clock)
        except OSError:
            raise SandboxError("crashed", "the worker has ended") from None

    def _read_reply(self) -> None:
        """Read the outcome of the last message; nothing a worker writes is taken on trust."""
        reply = os.read(self._reply_fd, MAX_REPLY_BYTES)
        if not reply:
            raise SandboxError("crashed", "the worker has ended")
        if len(reply) < REPLY.size:
            raise SandboxError("crashed", "the worker's reply is cut short")
        sequence, failed = REPLY.unpack_from(reply)
        if sequence != self._sequence or failed not in (0, 1):
            raise SandboxError("crashed", "the worker's reply is out of order")
        if failed:
            text = reply[REPLY.size :].decode("ascii", "replace")
            raise SandboxError("error", "".join(c if c.isprintable() else "?" for c in text))


def _shared_memory(size: int) -> tuple[int, mmap.mmap]:
    """Return a descriptor of anonymous shared memory and its mapping in this process."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("websim-program", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor, mmap.mmap(descriptor, size)


def _seal(input_fd: int, output_fd: int) -> None:
    """Let nobody map the inputs for writing from now on, nor change the size of either."""
    if sys.platform == "linux":
        fixed = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        fcntl.fcntl(output_fd, fcntl.F_ADD_SEALS, fixed)
        fcntl.fcntl(input_fd, fcntl.F_ADD_SEALS, fixed)
        # Kernels before 5.1 do not know this one; the worker's mapping is read-only in any case.
        with contextlib.suppress(OSError):
            fcntl.fcntl(input_fd, fcntl.F_ADD_SEALS, _F_SEAL_FUTURE_WRITE)


def _processor_clock(pid: int) -> int:
    """Return the id of the clock of the processor time of `pid`, or of wall time elsewhere."""
    # The kernel's encoding of a process's clock, as clock_getcpuclockid(3) computes it.
    return (~pid << 3) | 2 if sys.platform == "linux" else time.CLOCK_MONOTONIC


def _require_shape(source: Array, target: Array, num_rows: int) -> None:
    if len(source) != num_rows or source.shape[1:] != target.shape[1:]:
        wanted = (num_rows, *target.shape[1:])
        raise ValueError(f"an input has shape {source.shape}; the program's schema says {wanted}")


def _describe(status: int) -> str:
    """Say what a wait status means."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return _SIGNALS.get(number, f"signal {number} ended it")
    return f"it exited with status {os.waitstatus_to_exitcode(status)}"


def _close_all(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
